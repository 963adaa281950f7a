/*
 * conf_file - one imgfs.conf as parsed lines
 *
 * Every line is checked, also those of sections that are not in force: a line that is passed over
 * in silence would be believed to work.
 */
#ifndef IMGFS_TOOLS_CONF_FILE_H
#define IMGFS_TOOLS_CONF_FILE_H

#include "fetch/ref_pattern.h"
#include "tools/conf.h"

struct conf_line {
	const struct conf_key *key;
	char *value; /* as written; of a path joined to the file's folder, or to ~ */
	unsigned line;
};

/* Zero to many lines; keys that are not `several` stand in it once. */
struct conf_section {
	char *title; /* "default", "registry h.io", "repository h.io/a/..." as written */
	struct ref_pattern pattern;
	unsigned line;
	struct conf_line *lines;
	size_t n, cap;
};

struct conf_file {
	char *path; /* for messages */
	struct conf_section *sections;
	size_t n, cap;
};

/*
 * conf_file_parse - all lines or none
 * @path  where the text is from; relative paths in it are joined to its folder
 * @home  what ~/ means; NULL: it is an error
 * -EINVAL (ERR_USAGE), the message begins with path:line.
 */
err_t conf_file_parse(struct bytes text, const char *path, const char *home, struct conf_file *out,
		      struct diag *d) must_check;
void conf_file_fini(struct conf_file *f);

/* conf_file_find - the section of a file that decides about a key (of a CONF_TRUST key: about that
 * group) for a subject; NULL: none. @subject NULL: only [default] is looked at. */
const struct conf_section *conf_file_find(const struct conf_file *f, const struct conf_key *key,
					  const char *subject);

#endif
