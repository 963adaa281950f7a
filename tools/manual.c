/*
 * scdoc(5) out of tables. Text for people is paragraphs and indented lists there as well as in
 * --help; what scdoc would take as its own marks is escaped.
 */
#include "tools/manual.h"

#include "tools/conf.h"
#include "tools/help.h"
#include "tools/topics.h"

#include <string.h>

#ifndef IMGFS_VERSION
#define IMGFS_VERSION "unknown"
#endif

#define PAGE_WORDS_MAX 4 /* "imgfs-index-build" names two commands */

struct page {
	const struct command *command;
	const struct manual_entry *entries;
};

/* ---- text ---- */

/* Line ends become spaces: scdoc wants paragraphs, and reads marks at the beginning of a line. */
static void put_text(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strchr("\\*_`~", text[i]) || (i == 0 && strchr("#-.;|[]<+", text[i])))
			putchar('\\');
		putchar(text[i] == '\n' ? ' ' : text[i]);
	}
}

static void put_string(const char *text)
{
	put_text(text, strlen(text));
}

static void put_bold(const char *text, size_t n)
{
	putchar('*');
	put_text(text, n);
	putchar('*');
}

/* A line of a literal block. */
static void put_literal(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\\' || text[i] == '`')
			putchar('\\');
		putchar(text[i]);
	}
	putchar('\n');
}

/* The dash of options and of what is given to them is bold, a word in capitals underlined. */
static void put_word(const char *word, size_t n)
{
	size_t letters = strcspn(word, "abcdefghijklmnopqrstuvwxyz");
	bool shown = n > 1 && word[0] >= 'A' && word[0] <= 'Z' && letters >= n;
	if (word[0] == '-' || (word[0] >= 'a' && word[0] <= 'z')) {
		put_bold(word, n);
	} else if (shown) {
		putchar('_');
		put_text(word, n);
		putchar('_');
	} else {
		put_text(word, n);
	}
}

/* "[-l] [--json] REF|DIR": words, and what stands between them. */
static void put_synopsis(const char *text)
{
	static const char between[] = " []|().,=";
	while (*text) {
		size_t gap = strspn(text, between);
		size_t n = strcspn(text + gap, between);
		printf("%.*s", (int)gap, text);
		text += gap;
		if (n)
			put_word(text, n);
		text += n;
	}
}

static size_t line_len(const char *text)
{
	return strcspn(text, "\n");
}

/* ---- details ---- */

/* Whether an indented block has a line "  TERM  what it means". */
static bool block_is_list(const char *text)
{
	struct help_line parts;
	for (; *text == ' '; text += line_len(text), text += *text == '\n')
		if (help_line_split(text, line_len(text), 0, &parts) && parts.term)
			return true;
	return false;
}

static const char *put_list(const char *text)
{
	size_t column = 0;
	bool first = true;
	for (; *text == ' '; text += line_len(text), text += *text == '\n') {
		struct help_line parts;
		column = help_line_split(text, line_len(text), column, &parts);
		if (parts.term) {
			if (!first)
				putchar('\n');
			first = false;
			put_bold(parts.term, parts.term_len);
			putchar('\n');
		}
		if (parts.text) {
			putchar('\t');
			put_text(parts.text, parts.text_len);
			putchar('\n');
		}
	}
	putchar('\n');
	return text;
}

static const char *put_block(const char *text)
{
	if (block_is_list(text))
		return put_list(text);
	size_t indent = strspn(text, " ");
	printf("```\n");
	for (; *text == ' '; text += line_len(text), text += *text == '\n') {
		size_t n = line_len(text), own = min_of(strspn(text, " "), indent);
		put_literal(text + own, n - own);
	}
	printf("```\n\n");
	return text;
}

static const char *put_paragraph(const char *text)
{
	size_t n = 0;
	while (text[n] && text[n] != '\n' && text[n] != ' ')
		n += line_len(text + n), n += text[n] == '\n';
	put_text(text, n - (text[n - 1] == '\n'));
	printf("\n\n");
	return text + n;
}

static void put_details(const char *text)
{
	while (*text)
		if (*text == '\n')
			text++;
		else
			text = *text == ' ' ? put_block(text) : put_paragraph(text);
}

/* ---- rows ---- */

static void put_option(const struct option_row *row)
{
	if (row->short_name)
		put_bold((char[]){'-', row->short_name}, 2);
	if (row->short_name && row->long_name)
		printf(", ");
	if (row->long_name) {
		auto_free char *name = xasprintf("--%s", row->long_name);
		put_bold(name, strlen(name));
	}
	if (row->arg_name) {
		putchar(' ');
		put_synopsis(row->arg_name);
	}
	printf("\n\t");
	put_string(row->help);
	printf("\n\n");
}

static void put_options(const char *heading, const struct option_row *rows)
{
	printf("# %s\n", heading);
	for (; rows && !option_row_is_last(rows); rows++)
		put_option(rows);
}

static void put_help_option(void)
{
	printf("*--help*\n\tprint what stands here, in short\n\n");
}

/* "imgfs-index-build" */
static void put_page_name(const struct command *c)
{
	printf("imgfs-");
	for (const char *p = c->name; *p; p++)
		putchar(*p == ' ' ? '-' : *p);
}

static void put_command_row(const struct command *c)
{
	putchar('*');
	put_page_name(c);
	printf("*(1)\n\t");
	put_string(c->summary);
	printf("\n\n");
}

static void put_topic(const struct topic *topic)
{
	for (const struct topic_row *row = topic->rows; row->name; row++) {
		put_bold(row->name, strlen(row->name));
		printf("\n\t");
		put_string(row->text);
		printf("\n\n");
	}
}

/* "# what the next one does" is a paragraph, the others are to be typed. */
static void put_examples(const char *text)
{
	bool literal = false;
	printf("# EXAMPLES\n");
	for (const char *end; *text; text = *end ? end + 1 : end) {
		bool comment = *text == '#';
		end = strchrnul(text, '\n');
		if (comment == literal)
			printf(literal ? "```\n\n" : "```\n");
		literal = !comment;
		if (comment) {
			text += strspn(text, "# ");
			put_text(text, (size_t)(end - text));
			printf(":\n\n");
		} else if (end > text) {
			put_literal(text, (size_t)(end - text));
		}
	}
	if (literal)
		printf("```\n\n");
}

/* ---- a page ---- */

/* The others under the same heading, and what a group stands for. */
static void put_see_also(const struct page *page)
{
	size_t n = strcspn(page->command->name, " ");
	const struct manual_entry *own = page->entries, *first = own;
	for (; own->command || own->heading; own++) {
		if (own->heading)
			first = own + 1;
		else if (strlen(own->command->name) == n &&
			 !memcmp(own->command->name, page->command->name, n))
			break;
	}
	printf("# SEE ALSO\n*imgfs*(1)");
	for (; first->command; first++) {
		if (first->command == page->command)
			continue;
		printf(", *");
		put_page_name(first->command);
		printf("*(1)");
	}
	if (n == 5 && !memcmp(page->command->name, "index", n))
		printf(", *imgfs-index*(5)");
	printf("\n");
}

static void put_head(const struct description *d)
{
	put_page_name(d->self);
	printf("(1) \"imgfs " IMGFS_VERSION "\" \"imgfs manual\"\n\n# NAME\n");
	put_page_name(d->self);
	printf(" - %c", d->self->summary[0] | 0x20); /* a letter: small, as whatis(1) shows it */
	put_string(d->self->summary + 1);
	printf("\n\n# SYNOPSIS\n*imgfs %s* ", d->self->name);
	put_synopsis(d->commands ? "COMMAND ..." : d->self->synopsis);
	printf("\n\n# DESCRIPTION\n");
	put_string(d->self->summary);
	printf(".\n\n");
	if (d->self->details)
		put_details(d->self->details);
}

static void put_page(void *arg, const struct description *d)
{
	put_head(d);
	if (d->commands) {
		printf("# COMMANDS\n");
		for (const struct command *const *c = d->commands; *c; c++)
			put_command_row(*c);
	} else {
		put_options("OPTIONS", d->rows);
		if (d->common)
			put_options("COMMON OPTIONS", d->common);
		put_help_option();
	}
	if (d->self->examples)
		put_examples(d->self->examples);
	printf("# EXIT STATUS\n0 when it is done, other values as said above where they are. "
	       "*imgfs*(1) lists what the others mean.\n\n");
	put_see_also(arg);
}

static bool print_page(const struct command *const *table, const struct manual_entry *entries,
		       const char *name)
{
	auto_free char *copy = xstrdup(name);
	char *words[PAGE_WORDS_MAX], *rest = copy, *word;
	int n = 0, used;
	while ((word = strsep(&rest, "-")) && n < PAGE_WORDS_MAX)
		words[n++] = word;
	const struct command *command = describe_find(table, words + 1, n - 1, &used);
	if (strcmp(words[0], "imgfs") || !command || used != n - 1)
		return false;
	struct page page = {command, entries};
	describe_command(command, put_page, &page);
	return true;
}

/* ---- what the outside asks for ---- */

static void list_page(void *arg, const struct description *d)
{
	(void)arg;
	put_page_name(d->self);
	putchar('\n');
}

void manual_list(const struct command *const *table)
{
	describe_tree(table, list_page, NULL);
}

static void put_rows_of(void *arg, const struct description *d)
{
	(void)arg;
	put_command_row(d->self);
}

static void put_commands(const struct manual_entry *entries)
{
	for (; entries->heading || entries->command; entries++)
		if (entries->heading)
			printf("## %s\n", entries->heading);
		else
			describe_tree((const struct command *const[]){entries->command, NULL},
				      put_rows_of, NULL);
}

static void put_conf_keys(void)
{
	for (const struct conf_key *key = conf_keys; key->name; key++) {
		put_bold(key->name, strlen(key->name));
		printf(" = ");
		put_synopsis(key->arg);
		printf("\n\t");
		put_string(key->help);
		printf("\n\n");
	}
}

/* A first command that has common options shows those of all. */
static void put_common(void *arg, const struct description *d)
{
	bool *done = arg;
	for (const struct option_row *row = d->common; !*done && row && !option_row_is_last(row);
	     row++)
		put_option(row);
	*done = *done || d->common;
}

bool manual_print(const struct command *const *table, const struct manual_entry *entries,
		  char *const *words, int n)
{
	const struct topic *topic = n == 1 ? topic_find(words[0]) : NULL;
	bool done = false;
	if (n != 1)
		return false;
	if (topic)
		put_topic(topic);
	else if (!strcmp(words[0], "commands"))
		put_commands(entries);
	else if (!strcmp(words[0], "conf-keys"))
		put_conf_keys();
	else if (!strcmp(words[0], "common-options"))
		describe_tree(table, put_common, &done);
	else
		return print_page(table, entries, words[0]);
	return true;
}
