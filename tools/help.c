/*
 * Text for people who ask what a command does. Everything is printed by the same two shapes: a
 * paragraph, and a row of a name and what it means.
 */
#include "tools/help.h"

#include "tools/terminal.h"

#include <string.h>
#include <unistd.h>

#define OPTION_COLUMN  26 /* where the texts of options begin */
#define COMMAND_COLUMN 17
#define TEXT_LEAST     22 /* columns that a text needs beside its name */
#define BELOW	       6  /* its indent when it stands below */

/* ---- shapes ---- */

void help_paragraph(FILE *out, const char *text, size_t len, unsigned at, unsigned indent,
		    unsigned width)
{
	const char *end = text + len;
	bool first = true;
	while (text < end) {
		const char *word = text;
		while (word < end && (*word == ' ' || *word == '\n'))
			word++;
		text = word;
		while (text < end && *text != ' ' && *text != '\n')
			text++;
		unsigned n = (unsigned)(text - word);
		if (!n)
			break;
		if (!first && at + 1 + n > width) {
			fprintf(out, "\n%*s", (int)indent, "");
			at = indent;
		} else if (!first) {
			fputc(' ', out);
			at++;
		}
		fwrite(word, 1, n, out);
		at += n;
		first = false;
	}
	fputc('\n', out);
}

void help_row(FILE *out, const char *name, const char *text, unsigned column, unsigned width)
{
	unsigned at = 2 + (unsigned)strlen(name);
	fputs("  ", out);
	if (width < column + TEXT_LEAST) {
		help_paragraph(out, name, strlen(name), 2, 2 + 2, width);
		at = column = min_of(column, (unsigned)BELOW);
		fprintf(out, "%*s", (int)column, "");
	} else {
		unsigned gap = at + 2 > column ? 2 : column - at;
		fprintf(out, "%s%*s", name, (int)gap, "");
		at += gap;
	}
	help_paragraph(out, text, strlen(text), at, column, width);
}

/* ---- texts ---- */

size_t help_line_split(const char *line, size_t len, size_t text_column, struct help_line *out)
{
	size_t indent = strspn(line, " "), gap = indent;
	*out = (struct help_line){0};
	if (text_column && indent >= text_column) {
		out->text = line + indent;
		out->text_len = len - indent;
		return text_column;
	}
	while (gap + 1 < len && !(line[gap] == ' ' && line[gap + 1] == ' '))
		gap++;
	if (gap + 1 >= len)
		gap = len;
	out->term = line + indent;
	out->term_len = gap - indent;
	if (gap == len)
		return 0;
	size_t column = gap + strspn(line + gap, " ");
	if (line[column] == '-' || memmem(line + column, len - column, "  ", 2)) {
		out->term_len = len - indent; /* several terms beside each other */
		return 0;
	}
	out->text = line + column;
	out->text_len = len - column;
	return column;
}

static size_t line_len(const char *text)
{
	return strcspn(text, "\n");
}

static bool fits(const char *text, unsigned width)
{
	for (; *text; text += line_len(text), text += *text == '\n')
		if (line_len(text) > width)
			return false;
	return true;
}

/* The lines up to an empty or an indented one. */
static size_t paragraph_len(const char *text)
{
	size_t n = 0;
	while (text[n] && text[n] != '\n' && text[n] != ' ')
		n += line_len(text + n), n += text[n] == '\n';
	return n;
}

/* One term and its text, which may go on in the lines below; returns the bytes of both. */
static size_t print_list_item(FILE *out, const char *text, unsigned width)
{
	struct help_line parts;
	auto_buf struct buf meaning = {0};
	size_t used = 0, column = 0;
	do {
		size_t len = line_len(text + used);
		column = help_line_split(text + used, len, column, &parts);
		if (used && parts.term)
			break;
		if (parts.term)
			fputs("  ", out);
		if (parts.term)
			help_paragraph(out, parts.term, parts.term_len, 2, 2 + 2, width);
		if (buf_append(&meaning, parts.text, parts.text_len) ||
		    buf_append(&meaning, " ", 1))
			break;
		used += len + (text[used + len] == '\n');
	} while (column && text[used] == ' ');
	if (meaning.n > 1) {
		fprintf(out, "%*s", BELOW, "");
		help_paragraph(out, (const char *)meaning.p, meaning.n, BELOW, BELOW, width);
	}
	return used;
}

void help_text(FILE *out, const char *text, unsigned width)
{
	if (fits(text, width)) {
		fprintf(out, "%s\n", text);
		return;
	}
	while (*text) {
		size_t n = paragraph_len(text);
		if (n) {
			help_paragraph(out, text, n, 0, 0, width);
		} else if (*text == '\n') {
			fputc('\n', out);
			n = 1;
		} else {
			n = print_list_item(out, text, width);
		}
		text += n;
	}
}

/* ---- a command ---- */

const char *option_names(const struct option_row *row, char buf[OPTION_NAMES_MAX])
{
	int n = 0;
	if (row->short_name)
		n = snprintf(buf, OPTION_NAMES_MAX, "-%c%s", row->short_name,
			     row->long_name ? ", " : "");
	if (row->long_name)
		n += snprintf(buf + n, OPTION_NAMES_MAX - (size_t)n, "--%s", row->long_name);
	if (row->arg_name)
		snprintf(buf + n, OPTION_NAMES_MAX - (size_t)n, " %s", row->arg_name);
	return buf;
}

static void print_rows(const struct option_row *rows, unsigned width)
{
	char names[OPTION_NAMES_MAX];
	for (; !option_row_is_last(rows); rows++)
		help_row(stdout, option_names(rows, names), rows->help, OPTION_COLUMN, width);
}

/* Each line of the text, set in: commands are for copying, and stay whole. */
static void print_examples(const char *text)
{
	printf("\nExamples:\n");
	for (const char *end; *text; text = *end ? end + 1 : end) {
		end = strchrnul(text, '\n');
		printf("  %.*s\n", (int)(end - text), text);
	}
}

static void print_head(const struct command *self, const char *synopsis, unsigned width)
{
	auto_free char *usage = xasprintf("Usage: imgfs %s %s", self->name, synopsis);
	auto_free char *summary = xasprintf("%s.", self->summary);
	help_paragraph(stdout, usage, strlen(usage), 0, 7, width);
	printf("\n");
	help_paragraph(stdout, summary, strlen(summary), 0, 0, width);
	if (self->details) {
		printf("\n");
		help_text(stdout, self->details, width);
	}
}

static void print_group(const struct description *d, unsigned width)
{
	auto_free char *more = xasprintf("'imgfs %s COMMAND --help' says more.", d->self->name);
	print_head(d->self, "COMMAND ...", width);
	printf("\nCommands:\n");
	cli_list_commands(d->commands, stdout);
	printf("\n");
	help_paragraph(stdout, more, strlen(more), 0, 0, width);
}

void help_print(void *arg, const struct description *d)
{
	unsigned width = terminal_width(STDOUT_FILENO);
	(void)arg;
	if (d->commands) {
		print_group(d, width);
		return;
	}
	print_head(d->self, d->self->synopsis, width);
	if (d->rows && !option_row_is_last(d->rows)) {
		printf("\nOptions:\n");
		print_rows(d->rows, width);
	}
	printf(d->common ? "\nCommon options:\n" : "\nOptions:\n");
	if (d->common)
		print_rows(d->common, width);
	help_row(stdout, "--help", "this text", OPTION_COLUMN, width);
	if (d->self->examples)
		print_examples(d->self->examples);
}

void cli_list_commands(const struct command *const *table, FILE *out)
{
	unsigned width = terminal_width(fileno(out));
	for (; *table; table++)
		help_row(out, (*table)->name, (*table)->summary, COMMAND_COLUMN, width);
}
