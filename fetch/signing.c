/*
 * PEM in, EVP keys inside. Every key is brought to one form when it is loaded, for the id is a hash
 * of its encoding: a P-256 key says the same with a compressed point, or with its curve spelled
 * out.
 *
 * OpenSSL leaves its errors in a queue of the thread, where TLS would stumble over them later:
 * whoever may have failed here empties it.
 */
#include "fetch/signing.h"

#include "fetch/log.h"
#include "index/digest.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

struct signing_key {
	EVP_PKEY *pkey;
	char id[KEY_ID_LEN + 1];
};

struct public_key {
	EVP_PKEY *pkey; /* without a private half */
	char id[KEY_ID_LEN + 1];
};

/* --- kinds and ids --- */

static bool is_ed25519(const EVP_PKEY *pkey)
{
	return EVP_PKEY_is_a(pkey, "ED25519");
}

static bool is_p256(const EVP_PKEY *pkey)
{
	char curve[64];
	size_t n;
	return EVP_PKEY_is_a(pkey, "EC") &&
	       EVP_PKEY_get_group_name(pkey, curve, sizeof(curve), &n) == 1 &&
	       strcmp(curve, SN_X9_62_prime256v1) == 0;
}

/* Ed25519 hashes by itself. */
static const EVP_MD *hash_for(const EVP_PKEY *pkey)
{
	return is_ed25519(pkey) ? NULL : EVP_sha256();
}

static bool set_text(EVP_PKEY *pkey, const char *name, const char *value)
{
	return EVP_PKEY_set_utf8_string_param(pkey, name, value) == 1;
}

static bool make_canonical(EVP_PKEY *pkey)
{
	return is_ed25519(pkey) ||
	       (set_text(pkey, OSSL_PKEY_PARAM_EC_ENCODING, OSSL_PKEY_EC_ENCODING_GROUP) &&
		set_text(pkey, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
			 OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_UNCOMPRESSED));
}

/* The public half as bytes; the caller frees with OPENSSL_free. Negative: there is none. */
static int encode_public(const EVP_PKEY *pkey, unsigned char **der)
{
	*der = NULL;
	return i2d_PUBKEY(pkey, der);
}

static bool write_id(const EVP_PKEY *pkey, char id[KEY_ID_LEN + 1])
{
	unsigned char *der;
	uint8_t hash[SHA256_LEN];
	int n = encode_public(pkey, &der);
	if (n <= 0)
		return false;
	sha256_of(der, (size_t)n, hash);
	OPENSSL_free(der);
	for (size_t i = 0; i < KEY_ID_LEN / 2; i++)
		snprintf(id + 2 * i, 3, "%02x", hash[i]);
	return true;
}

static err_t accept_kind(EVP_PKEY *pkey, const char *name, char id[KEY_ID_LEN + 1], struct diag *d)
{
	const char *kind = EVP_PKEY_get0_type_name(pkey);
	if (!is_ed25519(pkey) && !is_p256(pkey))
		return fail(d, ERR_USAGE, -EINVAL,
			    "%s: it is a key of another kind (%s): use Ed25519 ('openssl genpkey "
			    "-algorithm ed25519') or ECDSA P-256",
			    name, kind ? kind : "unknown");
	if (!make_canonical(pkey) || !write_id(pkey, id))
		return fail(d, ERR_USAGE, -EINVAL, "%s: the key is damaged: it has no public half",
			    name);
	return 0;
}

/* --- PEM --- */

static int refuse_passphrase(char *buf, int size, int writing, void *asked)
{
	(void)buf;
	(void)size;
	(void)writing;
	*(bool *)asked = true;
	return -1;
}

typedef EVP_PKEY *pem_reader(BIO *, EVP_PKEY **, pem_password_cb *, void *);

/* NULL: there is no such key; *asked: because it is encrypted. */
static EVP_PKEY *read_pem(pem_reader *read, struct bytes pem, bool *asked)
{
	*asked = false;
	BIO *bio = BIO_new_mem_buf(pem.n ? (const void *)pem.p : "", (int)pem.n);
	BUG_ON(!bio);
	EVP_PKEY *pkey = read(bio, NULL, refuse_passphrase, asked);
	BIO_free(bio);
	return pkey;
}

static err_t fail_no_key(bool asked, const char *name, const char *wanted, struct diag *d)
{
	if (asked)
		return fail(
			d, ERR_USAGE, -EINVAL,
			"%s: the key is encrypted, and imgfs asks for no passphrase: decrypt it "
			"with 'openssl pkey'",
			name);
	return fail(d, ERR_USAGE, -EINVAL, "%s: there is no whole %s in PEM form in it", name,
		    wanted);
}

static void wipe(struct buf *b)
{
	if (b->p)
		explicit_bzero(b->p, b->cap);
	buf_fini(b);
}

/* Reserved at once, so that no outgrown copy of a secret stays behind. */
static err_t read_key_file(const char *path, struct buf *out, struct diag *d)
{
	err_t err = buf_reserve(out, KEY_FILE_MAX + 1);
	if (!err)
		err = read_file(path, KEY_FILE_MAX, out);
	if (err == -E2BIG)
		return fail(d, ERR_USAGE, err, "%s: larger than %u bytes: it is no key file", path,
			    KEY_FILE_MAX);
	return err ? fail_sys(d, err == -EACCES ? ERR_DENIED : ERR_USAGE, err, "%s", path) : 0;
}

/* --- private keys --- */

static void warn_if_readable(const char *path)
{
	struct stat st;
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077))
		log_warn("signing.key-readable", "path=%s mode=%04o hint=\"chmod 600\"", path,
			 (unsigned)(st.st_mode & 07777));
}

static err_t parse_signing_key(struct bytes pem, const char *name, struct signing_key **out,
			       struct diag *d)
{
	bool asked;
	struct signing_key *k = new_of(struct signing_key);
	k->pkey = read_pem(PEM_read_bio_PrivateKey, pem, &asked);
	err_t err = k->pkey ? accept_kind(k->pkey, name, k->id, d)
			    : fail_no_key(asked, name, "private key", d);
	ERR_clear_error();
	if (err)
		signing_key_free(&k);
	*out = k;
	return err;
}

err_t signing_key_load(const char *path, struct signing_key **out, struct diag *d)
{
	struct buf pem = {0};
	*out = NULL;
	/* From now on a core dump, or a debugger of the same user, would show a secret. */
	if (prctl(PR_SET_DUMPABLE, 0) != 0)
		log_warn("signing.dumpable", "error=%d", errno);
	err_t err = read_key_file(path, &pem, d);
	if (!err)
		err = parse_signing_key(buf_bytes(&pem), path, out, d);
	if (!err)
		warn_if_readable(path);
	wipe(&pem);
	return err;
}

const char *signing_key_id(const struct signing_key *k)
{
	return k->id;
}

void signing_key_free(struct signing_key **k)
{
	if (!*k)
		return;
	EVP_PKEY_free((*k)->pkey);
	free(*k);
	*k = NULL;
}

static err_t sign(EVP_MD_CTX *ctx, EVP_PKEY *pkey, struct bytes statement, struct buf *signature)
{
	size_t n = 0;
	if (EVP_DigestSignInit(ctx, NULL, hash_for(pkey), NULL, pkey) != 1 ||
	    EVP_DigestSign(ctx, NULL, &n, statement.p, statement.n) != 1)
		return -EIO;
	err_t err = buf_reserve(signature, n);
	if (err)
		return err;
	if (EVP_DigestSign(ctx, signature->p + signature->n, &n, statement.p, statement.n) != 1)
		return -EIO;
	signature->n += n;
	return 0;
}

err_t signing_key_sign(const struct signing_key *k, struct bytes statement, struct buf *signature,
		       struct diag *d)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	BUG_ON(!ctx);
	err_t err = sign(ctx, k->pkey, statement, signature);
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return err ? fail_sys(d, ERR_OTHER, err, "sign with key %s", k->id) : 0;
}

/* --- public keys --- */

/* A key of its own with the public half of another one. */
static EVP_PKEY *public_half(const EVP_PKEY *pkey)
{
	unsigned char *der;
	int n = encode_public(pkey, &der);
	const unsigned char *at = der;
	EVP_PKEY *half = n > 0 ? d2i_PUBKEY(NULL, &at, n) : NULL;
	OPENSSL_free(der);
	return half;
}

static EVP_PKEY *read_public(struct bytes pem, bool *asked)
{
	EVP_PKEY *pkey = read_pem(PEM_read_bio_PUBKEY, pem, asked);
	if (pkey)
		return pkey;
	EVP_PKEY *private_key = read_pem(PEM_read_bio_PrivateKey, pem, asked);
	if (private_key)
		pkey = public_half(private_key);
	EVP_PKEY_free(private_key);
	return pkey;
}

err_t public_key_parse(struct bytes pem, const char *name, struct public_key **out, struct diag *d)
{
	bool asked;
	*out = NULL;
	if (pem.n > KEY_FILE_MAX)
		return fail(d, ERR_USAGE, -EINVAL, "%s: larger than %u bytes: it is no key file",
			    name, KEY_FILE_MAX);
	struct public_key *k = new_of(struct public_key);
	k->pkey = read_public(pem, &asked);
	err_t err = k->pkey ? accept_kind(k->pkey, name, k->id, d)
			    : fail_no_key(asked, name, "public key", d);
	ERR_clear_error();
	if (err)
		public_key_free(&k);
	*out = k;
	return err;
}

err_t public_key_load(const char *path, struct public_key **out, struct diag *d)
{
	struct buf pem = {0};
	*out = NULL;
	err_t err = read_key_file(path, &pem, d);
	if (!err)
		err = public_key_parse(buf_bytes(&pem), path, out, d);
	wipe(&pem);
	return err;
}

const char *public_key_id(const struct public_key *k)
{
	return k->id;
}

static bool verifies(EVP_PKEY *pkey, struct bytes statement, struct bytes signature)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	BUG_ON(!ctx);
	bool good = EVP_DigestVerifyInit(ctx, NULL, hash_for(pkey), NULL, pkey) == 1 &&
		    EVP_DigestVerify(ctx, signature.p, signature.n, statement.p, statement.n) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return good;
}

bool public_key_verifies(const struct public_key *k, struct bytes statement, struct bytes signature)
{
	return verifies(k->pkey, statement, signature);
}

bool signing_key_verifies(const struct signing_key *k, struct bytes statement,
			  struct bytes signature)
{
	return verifies(k->pkey, statement, signature);
}

void public_key_free(struct public_key **k)
{
	if (!*k)
		return;
	EVP_PKEY_free((*k)->pkey);
	free(*k);
	*k = NULL;
}
