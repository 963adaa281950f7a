/*
 * help - `imgfs COMMAND --help` and lists of commands, fitted to the width of the window
 *
 * Texts are written for 80 columns: they stand as they are where there is room for them, and are
 * broken anew where there is not.
 */
#ifndef IMGFS_TOOLS_HELP_H
#define IMGFS_TOOLS_HELP_H

#include "tools/describe.h"

/* help_print - a describe_fn: usage, details, options and examples of a command, or the commands of
 * a group. On standard output; arg is not used. */
void help_print(void *arg, const struct description *d);

/* help_paragraph - words of one paragraph, broken to `width` columns; lines after the first begin
 * with `indent` spaces, and the first is thought to stand at column `at` already. */
void help_paragraph(FILE *out, const char *text, size_t len, unsigned at, unsigned indent,
		    unsigned width);

/* help_row - "  NAME  TEXT": the text begins at `column` and is broken there, or below the name
 * where the window is narrow. */
void help_row(FILE *out, const char *name, const char *text, unsigned column, unsigned width);

/* help_text - paragraphs, and indented lists "  TERM  what it means". */
void help_text(FILE *out, const char *text, unsigned width);

/* option_names - "-f, --flag ARG" into buf; returns buf. */
#define OPTION_NAMES_MAX 80
const char *option_names(const struct option_row *row, char buf[OPTION_NAMES_MAX]);

/*
 * A line of an indented list, taken apart: "  allow_other  whether others may look". A line without
 * two words that stand apart, or with more than that, has no text; one that goes on with the text
 * before it has no term.
 */
struct help_line {
	const char *term, *text; /* into the line; NULL: none */
	size_t term_len, text_len;
};
/* help_line_split - text_column: where the text of the line before begins, 0 for none; returns that
 * of this one. */
size_t help_line_split(const char *line, size_t len, size_t text_column, struct help_line *out);

#endif
