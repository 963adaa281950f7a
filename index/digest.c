/*
 * Digests as values. Hashing is OpenSSL's EVP; a failure of EVP here can only be a lack of memory
 * or a broken installation, so it aborts instead of giving every caller a path that can not be
 * tested.
 */
#include "index/digest.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

size_t digest_len(const struct digest *d)
{
	return d->alg == DIGEST_SHA256 ? 32 : d->alg == DIGEST_SHA512 ? 64 : 0;
}

const char *digest_alg_name(uint8_t alg)
{
	return alg == DIGEST_SHA256 ? "sha256" : alg == DIGEST_SHA512 ? "sha512" : "none";
}

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

err_t digest_parse(struct bytes text, struct digest *out, struct diag *d)
{
	struct digest got = {0};
	const uint8_t *colon = text.n ? memchr(text.p, ':', text.n) : NULL;
	if (!colon)
		return fail(d, ERR_USAGE, -EINVAL, "'%.*s' is not a digest (ALGORITHM:HEX)",
			    (int)min_of(text.n, (size_t)80), (const char *)text.p);
	struct bytes alg = {text.p, (size_t)(colon - text.p)};
	struct bytes hex = {colon + 1, text.n - alg.n - 1};
	if (bytes_equal_str(alg, "sha256"))
		got.alg = DIGEST_SHA256;
	else if (bytes_equal_str(alg, "sha512"))
		got.alg = DIGEST_SHA512;
	else
		return fail(d, ERR_UNSUPPORTED, -EINVAL, "digest algorithm '%.*s' is not supported",
			    (int)min_of(alg.n, (size_t)40), (const char *)alg.p);
	size_t len = digest_len(&got);
	if (hex.n != 2 * len)
		return fail(d, ERR_USAGE, -EINVAL, "a %s digest has %zu hex digits, not %zu",
			    digest_alg_name(got.alg), 2 * len, hex.n);
	for (size_t i = 0; i < len; i++) {
		int high = hex_value(hex.p[2 * i]), low = hex_value(hex.p[2 * i + 1]);
		if (high < 0 || low < 0)
			return fail(d, ERR_USAGE, -EINVAL,
				    "a digest has lower-case hex digits only: '%.*s'", (int)text.n,
				    (const char *)text.p);
		got.b[i] = (uint8_t)(high << 4 | low);
	}
	*out = got;
	return 0;
}

const char *digest_hex(const struct digest *d, char buf[DIGEST_TEXT_MAX])
{
	size_t len = digest_len(d);
	for (size_t i = 0; i < len; i++)
		snprintf(buf + 2 * i, 3, "%02x", d->b[i]);
	buf[2 * len] = 0;
	return buf;
}

const char *digest_text(const struct digest *d, char buf[DIGEST_TEXT_MAX])
{
	char hex[DIGEST_TEXT_MAX];
	if (!d->alg)
		snprintf(buf, DIGEST_TEXT_MAX, "none");
	else
		snprintf(buf, DIGEST_TEXT_MAX, "%s:%.128s", digest_alg_name(d->alg),
			 digest_hex(d, hex));
	return buf;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return a->alg == b->alg && memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

struct hasher {
	EVP_MD_CTX *ctx;
	enum digest_alg alg;
};

static const EVP_MD *md_of(enum digest_alg alg)
{
	BUG_ON(alg != DIGEST_SHA256 && alg != DIGEST_SHA512);
	return alg == DIGEST_SHA256 ? EVP_sha256() : EVP_sha512();
}

struct hasher *hasher_new(enum digest_alg alg)
{
	struct hasher *h = new_of(struct hasher);
	h->alg = alg;
	h->ctx = EVP_MD_CTX_new();
	BUG_ON(!h->ctx || EVP_DigestInit_ex(h->ctx, md_of(alg), NULL) != 1);
	return h;
}

void hasher_update(struct hasher *h, const void *p, size_t n)
{
	BUG_ON(EVP_DigestUpdate(h->ctx, p, n) != 1);
}

void hasher_done(struct hasher *h, struct digest *out)
{
	*out = (struct digest){.alg = (uint8_t)h->alg};
	BUG_ON(EVP_DigestFinal_ex(h->ctx, out->b, NULL) != 1);
	BUG_ON(EVP_DigestInit_ex(h->ctx, NULL, NULL) != 1);
}

void hasher_free(struct hasher **h)
{
	if (!*h)
		return;
	EVP_MD_CTX_free((*h)->ctx);
	free(*h);
	*h = NULL;
}

void digest_of(enum digest_alg alg, const void *p, size_t n, struct digest *out)
{
	*out = (struct digest){.alg = (uint8_t)alg};
	BUG_ON(EVP_Digest(p, n, out->b, NULL, md_of(alg), NULL) != 1);
}

void sha256_of(const void *p, size_t n, uint8_t out[SHA256_LEN])
{
	BUG_ON(EVP_Digest(p, n, out, NULL, EVP_sha256(), NULL) != 1);
}
