/*
 * directives - formats such as "%s %p\n", printed for one inode after the other
 *
 * -printf of find(1) and -c of stat(1) give different letters to the same facts: each has a table
 * of its own, over the same functions.
 */
#ifndef IMGFS_TOOLS_DIRECTIVES_H
#define IMGFS_TOOLS_DIRECTIVES_H

#include "tools/find.h"

typedef void (*put_name_fn)(FILE *out, struct bytes name);

/* The letters of find's -printf, and of stat's -c. */
enum directive_table { DIRECTIVES_FIND, DIRECTIVES_STAT };

/*
 * directives_check - whether a format has only letters of its table; -EINVAL (ERR_USAGE) says which
 * it has not
 */
err_t directives_check(enum directive_table table, const char *format, struct diag *d) must_check;

/*
 * directives_print - one inode by a format that was checked
 * Between % and the letter, "-", "0" and a width may stand. With DIRECTIVES_FIND, \n, \t, \0,
 * \\ and \ooo are characters too.
 */
void directives_print(enum directive_table table, const char *format, const struct candidate *c,
		      put_name_fn put_name, FILE *out);

#endif
