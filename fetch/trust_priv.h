/*
 * trust_priv - between trust.c and trust_file.c: trust files as parsed lines
 */
#ifndef IMGFS_FETCH_TRUST_PRIV_H
#define IMGFS_FETCH_TRUST_PRIV_H

#include "fetch/guarded_file.h"
#include "fetch/ref_pattern.h"
#include "fetch/trust.h"

/* One line. It has any, none, or keys; any and keys may stand together. */
struct trust_entry {
	struct ref_pattern pattern;
	bool any, none;
	char **keys; /* paths of key files; relative ones are joined to the trust file's folder */
	size_t n_keys, keys_cap;
	unsigned line;
};

struct trust_file {
	char *path; /* for messages */
	struct trust_entry *entries;
	size_t n, cap;
};

/* trust_file_parse - all lines or none; @path is where they are from. -EINVAL (ERR_USAGE), the
 * message begins with path:line. */
err_t trust_file_parse(struct bytes text, const char *path, struct trust_file *out,
		       struct diag *d) must_check;
void trust_file_fini(struct trust_file *f);
/* trust_file_match - the one entry that applies, the most specific; NULL: none. */
const struct trust_entry *trust_file_match(const struct trust_file *f, const char *subject);
/* trust_new_with - trust_new with another system-wide file: tests have no /etc of their own. */
err_t trust_new_with(const char *system_file, const struct trust_options *o, const struct ref *ref,
		     struct trust **out, struct diag *d) must_check;

#endif
