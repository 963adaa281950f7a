/*
 * The grammar of a command line, as far as tables tell it: a command, its options, their arguments,
 * and operands, whose kinds are the words of the synopsis; an option's are those of its arg_name.
 *
 *   REF             references of the store, layouts   oci:DIR         the same
 *   PATH            in the image of the first operand  REF:PATH        both
 *   FILE, DEST      a file of this machine             DIR             a directory; as the first
 *   OS/ARCH         usual platforms                                    operand: where something is
 *   LIST            words that the details list                        mounted
 *                   behind "(-o "                      off|idle|full   these words
 *   DIGEST          as an operand, of images of the store
 *   COMMAND, ARGUMENT: in the image; options behind the operand before are not ours
 *
 * "[ ]", "..." and "|" mean what they mean to people.
 */
#include "tools/complete.h"

#include "fetch/log.h"
#include "tools/complete_image.h"
#include "tools/help.h"
#include "tools/topics.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define OPERANDS_MAX 8 /* words of a synopsis that are operands */

struct line {
	struct completion out;
	const struct command *const *table;
	char **words; /* behind the program's name; the last one is at the cursor */
	int n;
	int at; /* words that named the command */
	/* of the command */
	const struct description *d;
	struct synopsis {
		struct operand {
			char kinds[40]; /* "REF|FILE" */
			bool repeats;
		} operands[OPERANDS_MAX];
		int n;
	} synopsis;
	struct common_options common; /* those that were typed */
	char **operands;	      /* those that were typed; owned, the words are not */
	int n_operands;
	bool options_ended;
};

/* ---- kinds of words ---- */

static void put_literal(struct completion *c, const char *word, size_t n)
{
	auto_free char *text = xstrndup(word, n);
	completion_put(c, text, NULL);
}

static void complete_platforms(struct completion *c)
{
	static const char *const known[] = {"linux/386",     "linux/amd64", "linux/arm/v6",
					    "linux/arm/v7",  "linux/arm64", "linux/ppc64le",
					    "linux/riscv64", "linux/s390x", NULL};
	for (const char *const *p = known; *p; p++)
		completion_put(c, *p, NULL);
}

static bool word_is(const char *word, size_t n, const char *kind)
{
	return strlen(kind) == n && !memcmp(word, kind, n);
}

/* Names of a line, parted by commas and blanks; those with a dash in front, or the others. */
static void put_names(struct completion *c, const char *at, const char *end, bool dashes)
{
	while (at < end) {
		size_t n = strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789_-");
		bool has_dash = *at == '-' && n > 1 && at[1] != '-';
		n += at[n] == '=';
		if (n && (dashes ? has_dash : *at != '-'))
			put_literal(c, at, n);
		at += n + strcspn(at + n, ", \n");
		at += strspn(at, ", ");
	}
}

/*
 * What a command's details list behind a first mention of `marker`: the terms "  a, b=N  what they
 * mean" are words of an -o LIST, and names with a dash, anywhere in such lines, are tests as those
 * of find(1).
 */
static void put_listed(struct line *line, const char *marker, bool dashes)
{
	const char *text = line->d->self->details, *end;
	text = text ? strstr(text, marker) : NULL;
	for (size_t column = 0; text && *text; text = *end ? end + 1 : end) {
		struct help_line parts;
		end = strchrnul(text, '\n');
		column = *text == ' ' ? help_line_split(text, (size_t)(end - text), column, &parts)
				      : 0;
		if (*text == ' ' && dashes)
			put_names(&line->out, text + strspn(text, " "), end, true);
		else if (*text == ' ' && parts.term)
			put_names(&line->out, parts.term, parts.term + parts.term_len, false);
	}
}

/* The argument that the details give a name with a dash, "-user, -group NAME"; NULL: none. Two
 * blanks part it from the next. The caller frees. */
static char *listed_argument(const struct line *line, const char *name)
{
	const char *at = line->d->self->details;
	auto_free char *wanted = xasprintf(" %s", name);
	while (at && (at = strstr(at, wanted))) {
		at += strlen(wanted);
		while (at[0] == ',' && at[1] == ' ' && at[2] == '-')
			at += 2 + strcspn(at + 2, ", \n");
		if (at[0] == ' ' && !strchr(" -\n", at[1]))
			return xstrndup(at + 1, strcspn(at + 1, ", \n"));
	}
	return NULL;
}

/* "-o a,b": the last word of the list. */
static void complete_list(struct line *line)
{
	struct completion *c = &line->out;
	const char *fixed = c->fixed, *comma = strrchr(completion_part(c), ',');
	auto_free char *before =
		xstrndup(c->typed, comma ? (size_t)(comma + 1 - c->typed) : strlen(fixed));
	c->fixed = before;
	put_listed(line, "(-o ", false);
	c->fixed = fixed;
}

/* The image that a path is in. */
static void complete_image_path(struct line *line)
{
	if (line->n_operands)
		complete_paths(&line->out, &line->common, line->operands[0]);
}

/* "REF:PATH": the path begins behind the first colon that a slash follows, that of oci: aside. */
static void complete_image_file(struct line *line)
{
	struct completion *c = &line->out;
	const char *part = completion_part(c);
	const char *colon = strstr(part + (strncmp(part, "oci:", 4) ? 0 : 4), ":/");
	if (!colon) {
		complete_references(c, &line->common, ":");
		return;
	}
	const char *fixed = c->fixed;
	auto_free char *reference = xstrndup(part, (size_t)(colon - part));
	auto_free char *before = xstrndup(c->typed, (size_t)(colon + 1 - c->typed));
	c->fixed = before;
	complete_paths(c, &line->common, reference);
	c->fixed = fixed;
}

enum place { FIRST_OPERAND, LATER_OPERAND, ARGUMENT };

/* One word of a synopsis or of an option's argument. */
static void complete_kind(struct line *line, const char *word, size_t n, enum place place)
{
	struct completion *c = &line->out;
	if (word_is(word, n, "REF"))
		complete_references(c, &line->common, "");
	else if (word_is(word, n, "REF:PATH"))
		complete_image_file(line);
	else if (word_is(word, n, "PATH") || word_is(word, n, "COMMAND") ||
		 word_is(word, n, "ARGUMENT"))
		complete_image_path(line);
	else if (word_is(word, n, "DIGEST") && place != ARGUMENT)
		complete_digests(c, &line->common);
	else if (word_is(word, n, "oci:DIR"))
		complete_references(c, &line->common, "");
	else if (word_is(word, n, "DIR") && place == FIRST_OPERAND)
		complete_mounts(c); /* what is mounted there is what the command is about */
	else if (word_is(word, n, "DIR"))
		c->files = c->files == SHELL_FILES ? SHELL_FILES : SHELL_DIRECTORIES;
	else if (word_is(word, n, "FILE") || word_is(word, n, "DEST"))
		c->files = SHELL_FILES;
	else if (word_is(word, n, "LIST"))
		complete_list(line);
	else if (word_is(word, n, "OS/ARCH"))
		complete_platforms(c);
	else if (islower((unsigned char)*word))
		put_literal(c, word, n);
}

/* "REF|FILE" */
static void complete_kinds(struct line *line, const char *kinds, enum place place)
{
	while (*kinds) {
		size_t n = strcspn(kinds, "|");
		if (n)
			complete_kind(line, kinds, n, place);
		kinds += n + (kinds[n] == '|');
	}
}

/* Behind a test of find(1): whether there was one that takes something. */
static bool complete_test(struct line *line)
{
	const char *name = line->n - 2 >= line->at ? line->words[line->n - 2] : "";
	auto_free char *kinds =
		name[0] == '-' && name[1] > '-' ? listed_argument(line, name) : NULL;
	if (kinds)
		complete_kinds(line, kinds, ARGUMENT);
	return kinds != NULL;
}

/* ---- the synopsis ---- */

static const struct option_row *find_row(const struct option_row *rows, const char *name, size_t n)
{
	for (; rows && !option_row_is_last(rows); rows++)
		if ((rows->long_name && word_is(name, n, rows->long_name)) ||
		    (n == 1 && rows->short_name == *name))
			return rows;
	return NULL;
}

static const struct option_row *find_option(const struct line *line, const char *name, size_t n)
{
	const struct option_row *row = find_row(line->d->rows, name, n);
	return row ? row : find_row(line->d->common, name, n);
}

/* A word without its brackets; dots say that it repeats. */
static void add_operand(struct synopsis *s, const char *word, size_t n, bool alternative)
{
	bool repeats = false;
	for (; n && (word[n - 1] == ']' || word[n - 1] == '.'); n--)
		repeats = repeats || word[n - 1] == '.';
	if (!n || (!alternative && s->n == OPERANDS_MAX)) {
		if (repeats && s->n)
			s->operands[s->n - 1].repeats = true;
		return;
	}
	struct operand *o = alternative && s->n ? &s->operands[s->n - 1] : &s->operands[s->n++];
	size_t used = strlen(o->kinds);
	snprintf(o->kinds + used, sizeof(o->kinds) - used, "%s%.*s", used ? "|" : "", (int)n, word);
	o->repeats = o->repeats || repeats;
}

/* "[-o LIST]" and "-o FILE" are options: what stands in their brackets, or behind them, is theirs.
 */
static const char *skip_option(const struct line *line, const char *text, bool bracket)
{
	if (bracket)
		return text + strcspn(text, "]");
	size_t dashes = strspn(text, "-"), n = strcspn(text, " ");
	const struct option_row *row = find_option(line, text + dashes, n - dashes);
	text += n;
	if (row && option_takes_argument(row) && *text)
		text += 1 + strcspn(text + 1, " ");
	return text;
}

static void read_synopsis(struct line *line)
{
	struct synopsis *s = &line->synopsis;
	bool alternative = false;
	for (const char *text = line->d->self->synopsis; text && *text;) {
		size_t brackets = strspn(text, " []");
		bool bracket = brackets && text[brackets - 1] == '[';
		text += brackets;
		size_t n = strcspn(text, " ");
		if (*text == '-' && n > 1) {
			text = skip_option(line, text, bracket);
		} else if (word_is(text, n, "|")) {
			alternative = true;
			text += n;
		} else if (n) {
			add_operand(s, text, n, alternative);
			alternative = false;
			text += n;
		}
	}
}

/* Operands in front that repeat may still go on, or be over. */
static void complete_operand(struct line *line)
{
	const struct synopsis *s = &line->synopsis;
	int k = line->n_operands;
	bool behind_repeated = false;
	for (int i = 0; i < s->n && i <= k; i++) {
		bool here = i == k || s->operands[i].repeats || behind_repeated;
		behind_repeated = behind_repeated || s->operands[i].repeats;
		if (here)
			complete_kinds(line, s->operands[i].kinds,
				       k == 0 ? FIRST_OPERAND : LATER_OPERAND);
	}
}

/* "REF [COMMAND...]": options behind REF are those of that command. */
static bool another_command_follows(const struct line *line)
{
	int k = line->n_operands;
	return k < line->synopsis.n && !strcmp(line->synopsis.operands[k].kinds, "COMMAND");
}

/* ---- options ---- */

/* What the store, and which image of several, depends on. */
static void remember(struct line *line, const struct option_row *row, const char *text)
{
	struct common_options *o = &line->common;
	const struct {
		const char *name;
		const char **value;
	} known[] = {{"store", &o->store},
		     {"platform", &o->platform},
		     {"config", &o->config},
		     {"index", &o->index},
		     {"trust-index", &o->trust_index},
		     {"trust-file", &o->trust_file}};
	for (size_t i = 0; row->long_name && i < ARRAY_LEN(known); i++)
		if (!strcmp(known[i].name, row->long_name))
			*known[i].value = text;
	if (row->long_name && !strcmp(row->long_name, "trust-key") &&
	    o->trust_keys.n + 1 < ARRAY_LEN(o->trust_keys.texts))
		o->trust_keys.texts[o->trust_keys.n++] = text;
}

/* The row of an option whose argument is still to come after this word; NULL. */
static const struct option_row *take_option(struct line *line, const char *word)
{
	const struct option_row *row;
	if (word[1] == '-') {
		const char *equals = strchr(word, '=');
		size_t n = equals ? (size_t)(equals - word) - 2 : strlen(word + 2);
		row = find_option(line, word + 2, n);
		if (row && option_takes_argument(row) && equals)
			remember(line, row, equals + 1);
		return row && option_takes_argument(row) && !equals ? row : NULL;
	}
	for (const char *at = word + 1; *at; at++) {
		row = find_option(line, at, 1);
		if (row && option_takes_argument(row))
			return at[1] ? NULL : row;
	}
	return NULL;
}

static void complete_option_names(struct line *line, const struct option_row *rows)
{
	for (; rows && !option_row_is_last(rows); rows++) {
		auto_free char *name = rows->long_name ? xasprintf("--%s", rows->long_name)
						       : xasprintf("-%c", rows->short_name);
		completion_put(&line->out, name, rows->help);
	}
}

/* "--fill=" */
static void complete_value_behind_equals(struct line *line)
{
	struct completion *c = &line->out;
	const char *equals = strchr(c->typed, '=');
	const struct option_row *row =
		find_option(line, c->typed + 2, (size_t)(equals - c->typed) - 2);
	if (!row || !row->arg_name)
		return;
	auto_free char *before = xstrndup(c->typed, (size_t)(equals + 1 - c->typed));
	c->fixed = before;
	complete_kinds(line, row->arg_name, ARGUMENT);
	c->fixed = "";
	line->out.before_files = (size_t)(equals + 1 - c->typed);
}

/* ---- a command ---- */

/* The words between the command and the cursor; the row whose argument stands at the cursor. */
static const struct option_row *take_words(struct line *line)
{
	const struct option_row *pending = NULL;
	for (int i = line->at; i < line->n - 1; i++) {
		char *word = line->words[i];
		if (pending) {
			remember(line, pending, word);
			pending = NULL;
		} else if (line->options_ended || word[0] != '-' || !word[1]) {
			line->operands[line->n_operands++] = word;
			line->options_ended = line->options_ended || another_command_follows(line);
		} else if (!strcmp(word, "--")) {
			line->options_ended = true;
		} else {
			pending = take_option(line, word);
		}
	}
	return pending;
}

static void complete_group(struct line *line, const struct command *const *table)
{
	for (; *table; table++)
		completion_put(&line->out, command_own_name(*table), (*table)->summary);
}

static void complete_command(void *arg, const struct description *d)
{
	struct line *line = arg;
	line->d = d;
	if (d->commands) {
		if (line->at == line->n - 1)
			complete_group(line, d->commands);
		return;
	}
	read_synopsis(line);
	const struct option_row *pending = take_words(line);
	const char *typed = line->out.typed;
	if (pending && pending->arg_name) {
		complete_kinds(line, pending->arg_name, ARGUMENT);
	} else if (!line->options_ended && complete_test(line)) {
		return;
	} else if (!line->options_ended && !strncmp(typed, "--", 2) && strchr(typed, '=')) {
		complete_value_behind_equals(line);
	} else if (!line->options_ended && typed[0] == '-') {
		complete_option_names(line, d->rows);
		complete_option_names(line, d->common);
		completion_put(&line->out, "--help", "say what the command does");
		put_listed(line, "", true);
	} else {
		complete_operand(line);
	}
}

/* ---- the line ---- */

static void complete_top(struct line *line)
{
	complete_group(line, line->table);
	if (line->out.typed[0] == '-') {
		completion_put(&line->out, "--help", "list the commands");
		completion_put(&line->out, "--version", "versions and features");
	}
}

/* `imgfs help`: its operands are the commands themselves. */
static void complete_help(struct line *line)
{
	int used;
	const struct command *const *table = line->table;
	const struct command *c = describe_find(table, line->words + 1, line->n - 2, &used);
	if (used < line->n - 2)
		return;
	table = c ? describe_commands(c) : table;
	if (table)
		complete_group(line, table);
	for (const struct topic *const *topic = topics; !c && *topic; topic++)
		completion_put(&line->out, (*topic)->name, "a topic");
}

static void complete_words(struct line *line)
{
	line->out.fixed = "";
	line->out.typed = line->words[line->n - 1];
	const struct command *command =
		describe_find(line->table, line->words, line->n - 1, &line->at);
	line->operands = xcalloc((size_t)line->n, sizeof(*line->operands));
	if (line->n == 1)
		complete_top(line);
	else if (command == &cmd_help)
		complete_help(line);
	else if (command)
		describe_command(command, complete_command, line);
	free(line->operands);
}

static void complete_bash(struct line *line, const char *breaks, const char *text)
{
	struct shell_line split;
	shell_line_split(text, breaks, &split);
	line->words = split.words + 1;
	line->n = split.n - 1;
	line->out.bash = true;
	line->out.cut = split.cut;
	line->out.quote = split.quote;
	if (split.redirected)
		line->out.files = SHELL_FILES;
	else if (line->n > 0)
		complete_words(line);
	completion_print(&line->out);
	shell_line_fini(&split);
}

/* Warnings would stand in the middle of what is being typed. */
static void be_silent(void)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		dup2(fd, STDERR_FILENO);
	cleanup_fd(&fd);
	log_set_level(LOG_LEVEL_ERROR);
}

int complete(const struct command *const *table, int argc, char **argv)
{
	struct line line = {.table = table, .out.fixed = ""};
	be_silent();
	if (argc == 3 && !strcmp(argv[0], "bash")) {
		complete_bash(&line, argv[1], argv[2]);
	} else if (argc >= 2 && (!strcmp(argv[0], "zsh") || !strcmp(argv[0], "fish"))) {
		line.words = argv + 1;
		line.n = argc - 1;
		complete_words(&line);
		completion_print(&line.out);
	} else {
		return ERR_USAGE;
	}
	return 0;
}
