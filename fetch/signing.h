/*
 * signing - keys that vouch for published indexes: signatures made and checked
 *
 * Two kinds: Ed25519 (pure, RFC 8032: 64 bytes) and ECDSA on P-256 with SHA-256 (the DER form of
 * RFC 3279). Both come as PEM files, as `openssl genpkey` and `openssl pkey -pubout` write them.
 * What is signed, and who may sign what: TRUST.md.
 *
 * A key has an id: the first 16 hex digits of the SHA-256 of its public half (DER,
 * SubjectPublicKeyInfo, a point uncompressed on a named curve). It finds the key that a signature
 * is tried with; it proves nothing.
 *
 * Keys do not change once they are loaded: any thread may use one.
 */
#ifndef IMGFS_FETCH_SIGNING_H
#define IMGFS_FETCH_SIGNING_H

#include "index/base.h"

#define KEY_ID_LEN   16		 /* hex digits, without NUL */
#define KEY_FILE_MAX (16u << 10) /* a PEM file of either kind has less than 1 KiB */

struct signing_key;
/*
 * signing_key_load - the private key in a PEM file
 * -EINVAL (ERR_USAGE): another kind of key, none at all, or one behind a passphrase, which is never
 * asked for; -errno (ERR_USAGE; ERR_DENIED for -EACCES) where the file can not be read. A file that
 * others may read is logged (signing.key-readable). From here on the process leaves no core dump,
 * and its memory can not be read by other processes of its user (PR_SET_DUMPABLE).
 */
err_t signing_key_load(const char *path, struct signing_key **out, struct diag *d) must_check;
/* signing_key_sign - append the signature of the statement: at most 72 bytes. */
err_t signing_key_sign(const struct signing_key *k, struct bytes statement, struct buf *signature,
		       struct diag *d) must_check;
/* signing_key_verifies - whether the signature is this key's for exactly this statement; as
 * public_key_verifies. */
bool signing_key_verifies(const struct signing_key *k, struct bytes statement,
			  struct bytes signature);
/* signing_key_id - the id of the public half: what public_key_id says of it. */
const char *signing_key_id(const struct signing_key *k);
/* signing_key_free - wipes the key; NULL inside is fine. */
void signing_key_free(struct signing_key **k);

struct public_key;
/*
 * public_key_load - the public key in a PEM file; of a private key the public half alone is kept
 * Errors as for signing_key_load.
 */
err_t public_key_load(const char *path, struct public_key **out, struct diag *d) must_check;
/* public_key_parse - the same from bytes; @name says in messages where they are from. -EINVAL
 * (ERR_USAGE). */
err_t public_key_parse(struct bytes pem, const char *name, struct public_key **out,
		       struct diag *d) must_check;
/* public_key_id - KEY_ID_LEN hex digits; lives as long as the key. */
const char *public_key_id(const struct public_key *k);
/* public_key_verifies - whether the signature is this key's for exactly this statement. Any bytes
 * are fine. Cost: one verification, about 0.1 ms. */
bool public_key_verifies(const struct public_key *k, struct bytes statement,
			 struct bytes signature);
/* public_key_free - NULL inside is fine. */
void public_key_free(struct public_key **k);

#endif
