/*
 * trust - what vouches for the published index of one reference
 *
 * A published index says where every file of an image is, and which bytes it has: whoever writes
 * it decides what is read. So it is used only when something the user chose vouches for it: the
 * digest itself, a key, or the permission to take anything. The choice comes from the command line
 * and from trust files. States, file format and reasons: TRUST.md; design.md, section 5, "Trust of
 * an index".
 */
#ifndef IMGFS_FETCH_TRUST_H
#define IMGFS_FETCH_TRUST_H

#include "fetch/ref.h"
#include "fetch/signing.h"

/* In ascending order: a state is worth more than those before it. */
enum trust_state {
	TRUST_HINT,   /* nothing vouches for it */
	TRUST_SIGNED, /* a key that the user trusts */
	TRUST_BOUND,  /* its digest was named by the user or by a verified manifest */
	TRUST_PROVEN, /* built here from bytes that matched their digests */
};
/* trust_state_name - "hint", "signed", "bound", "proven". */
const char *trust_state_name(enum trust_state s);

/* What the command line says; all zero when it says nothing. Borrowed during trust_new alone. */
struct trust_options {
	const char *index;	 /* --index: digest of an artifact's manifest, or "none"; or NULL */
	const char *const *keys; /* --trust-key: files, NULL at the end; or NULL */
	bool any;		 /* --trust-index=any */
	const char *trust_file;	 /* --trust-file; NULL: the default ones */
	bool default_only; /* index, keys and any are defaults (imgfs.conf): they count only where
			      no line of a trust file applies */
};

#define TRUST_SYSTEM_FILE "/etc/imgfs/trust"
#define TRUST_FILE_MAX	  (64u << 10) /* about a thousand lines */

struct trust;
/*
 * trust_new - read options, trust files and keys, once, for a reference
 * The default files are the user's ($XDG_CONFIG_HOME/imgfs/trust, else ~/.config/imgfs/trust) and
 * TRUST_SYSTEM_FILE; either may be missing. With --index none is read.
 * ERR_USAGE: options that contradict each other (-EINVAL), a key that can not be used, a named file
 * that is missing (-errno), a line that is wrong (-EINVAL, with file:line). ERR_DENIED: a trust
 * file, or a key that it names, that others could have written (-EPERM), or that can not be read
 * (-EACCES). ERR_NOT_FOUND: a layout directory that is not there. Cost: a few small files; no
 * network, no thread.
 */
err_t trust_new(const struct trust_options *o, const struct ref *ref, struct trust **out,
		struct diag *d) must_check;
/* trust_free - NULL inside is fine. */
void trust_free(struct trust **t);

/* What a trust says does not change: any thread may ask. */

/* trust_refuses - --index=none, or `none` in a trust file: no published index is used, not even one
 * that a verified manifest names. */
bool trust_refuses(const struct trust *t);
/* trust_looks - whether it is worth asking for published indexes: not refused, and there is a
 * digest, a key, or the permission to take anything. */
bool trust_looks(const struct trust *t);
/* trust_takes_hints - whether an index that nothing vouches for may be used. */
bool trust_takes_hints(const struct trust *t);
/* trust_bound - the digest of the artifact's manifest that the user named; NULL: none. */
const struct digest *trust_bound(const struct trust *t);
/* trust_n_keys, trust_key - the keys: the trust file's, then the command line's. */
size_t trust_n_keys(const struct trust *t);
const struct public_key *trust_key(const struct trust *t, size_t i);

/* One claim: "the key with this id signed it". Both parts are the artifact's and believed in
 * nothing. */
struct statement_signature {
	const char *key_id;
	struct bytes signature;
};
/*
 * trust_judge - the state that a statement earns by its signatures
 * TRUST_SIGNED when one of them is by a trusted key, else TRUST_HINT. A signature is tried with the
 * keys of its id alone. Cost: up to a verification for each signature whose id is known.
 */
enum trust_state trust_judge(const struct trust *t, struct bytes statement,
			     const struct statement_signature *sigs, size_t n);

#endif
