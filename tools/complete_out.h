/*
 * complete_out - candidates on their way to a shell
 */
#ifndef IMGFS_TOOLS_COMPLETE_OUT_H
#define IMGFS_TOOLS_COMPLETE_OUT_H

#include "index/base.h"

enum shell_files { SHELL_NO_FILES, SHELL_FILES, SHELL_DIRECTORIES };

struct completion {
	bool bash;	   /* else zsh or fish */
	const char *typed; /* the word at the cursor, without its quotes */
	const char *fixed; /* what of it stands before the part that is completed: "--fill=" */
	size_t cut;	   /* bash: bytes of the word that readline does not replace */
	char quote;	   /* bash: the quote that is open at the cursor, or 0 */
	enum shell_files files;
	size_t before_files; /* bytes of `typed` before the name of a file: "--log=" */
	struct buf lines;    /* owned */
};

/* completion_part - what is typed of the part that is completed. */
const char *completion_part(const struct completion *c);

/* completion_put - a candidate for that part; dropped when it does not begin with what was typed,
 * or is no name that a terminal could show. description: NULL for none. */
void completion_put(struct completion *c, const char *text, const char *description);

/* completion_print - everything, on standard output; frees. */
void completion_print(struct completion *c);

/*
 * What bash would make of a line: words without their quotes. A line that ends in a blank has an
 * empty last word.
 */
struct shell_line {
	char **words; /* owned */
	int n;	      /* at least 1 */
	/* of the last word */
	size_t cut;	 /* bytes up to its last unquoted break, or to the quote that is open */
	char quote;	 /* the quote that is open, or 0 */
	bool redirected; /* it stands behind < or > */
};
/* shell_line_split - the last command of a line; @breaks is $COMP_WORDBREAKS. */
void shell_line_split(const char *line, const char *breaks, struct shell_line *out);
void shell_line_fini(struct shell_line *line);

/* shell_quote - appended so that bash reads it as it is, @quote being open (0: none). */
void shell_quote(const char *text, char quote, struct buf *out);

#endif
