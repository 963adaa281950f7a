/*
 * digest - a parsed content digest, and the hashing behind it
 *
 * A digest is a value, never a string: it is validated when it is parsed, before it can touch a
 * path, a URL or a header (CVE-2024-3727). sha256 and sha512 are known; others are refused by name.
 * Source of the text form: OCI image-spec, descriptor.md, "Digests".
 */
#ifndef IMGFS_INDEX_DIGEST_H
#define IMGFS_INDEX_DIGEST_H

#include "index/base.h"

enum digest_alg {
	DIGEST_NONE = 0, /* an unset digest; equal only to another unset one */
	DIGEST_SHA256 = 1,
	DIGEST_SHA512 = 2,
};
#define DIGEST_MAX	64 /* bytes of the longest digest */
#define SHA256_LEN	32
#define DIGEST_TEXT_MAX (8 + 2 * 64 + 1) /* "sha512:" + hex + NUL, rounded up */

struct digest {
	uint8_t alg;	       /* enum digest_alg */
	uint8_t b[DIGEST_MAX]; /* unused bytes are zero */
};

/* digest_len - 32, 64, or 0 for an unset digest. */
size_t digest_len(const struct digest *d);

/* digest_parse - "sha256:<64 lower-case hex>"; -EINVAL with a diagnostic for anything else. `text`
 * needs no NUL. */
err_t digest_parse(struct bytes text, struct digest *out, struct diag *d) must_check;

/* digest_text - the text form, in a buffer the caller gives; returns buf. "none" for an unset
 * digest. */
const char *digest_text(const struct digest *d, char buf[DIGEST_TEXT_MAX]);
/* digest_hex - the part behind the colon. */
const char *digest_hex(const struct digest *d, char buf[DIGEST_TEXT_MAX]);
const char *digest_alg_name(uint8_t alg);
bool digest_equal(const struct digest *a, const struct digest *b);

/* A running hash. hasher_new aborts only on memory exhaustion; alg must be a known one. Not thread
 * safe. */
struct hasher;
struct hasher *hasher_new(enum digest_alg alg);
void hasher_update(struct hasher *h, const void *p, size_t n);
/* hasher_done - the digest of all so far; the hasher starts anew afterwards. */
void hasher_done(struct hasher *h, struct digest *out);
void hasher_free(struct hasher **h);

/* digest_of - in one call. */
void digest_of(enum digest_alg alg, const void *p, size_t n, struct digest *out);
/* sha256_of - the bare 32 bytes of SHA-256. */
void sha256_of(const void *p, size_t n, uint8_t out[SHA256_LEN]);

#endif
