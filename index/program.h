/*
 * program - what is executed when somebody calls a program by its name, and what a script names in
 * its first line
 *
 * For looking ahead: whether a file may be executed is not looked at.
 */
#ifndef IMGFS_INDEX_PROGRAM_H
#define IMGFS_INDEX_PROGRAM_H

#include "index/index.h"

/* Bytes of a script that the kernel looks at for its first line. */
#define PROGRAM_LINE_MAX 256u

/*
 * program_find - the row of the regular file that is called by a name
 * @search  directories with ':' between them, as in PATH; the first 32 count, empty ones do not
 * @cwd     where a name with a slash is looked for that does not begin with one; absolute, or empty
 * @path    an empty buffer: the path under which it was found, links not resolved
 * False: there is none. Cost: a lookup for each directory (file_at).
 */
bool program_find(const struct index *tree, struct bytes search, struct bytes cwd,
		  struct bytes name, uint32_t *row, struct buf *path);

/* What a script's first line names; borrowed from it. */
struct script {
	struct bytes interpreter; /* absolute */
	struct bytes program;	  /* that env(1) starts, by its name; empty: it is not env */
};

/*
 * program_script - of the first bytes of a file
 * env's options and the variables that it sets are skipped. False: it is no script, its interpreter
 * is no absolute path, or the line is longer than PROGRAM_LINE_MAX.
 */
bool program_script(struct bytes head, struct script *out);

#endif
