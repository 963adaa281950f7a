/*
 * Modules that are there as text only. No grammar: logical lines are told apart, which needs to
 * know strings, brackets and comments, and of those outside of functions and classes the ones that
 * begin with `import` or `from` are read.
 */
#include "index/python_imports.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

struct source {
	struct bytes b;
	size_t at;
};

static bool is_at(const struct source *s, const char *text)
{
	size_t n = strlen(text);
	return s->b.n - s->at >= n && memcmp(s->b.p + s->at, text, n) == 0;
}

static int peek(const struct source *s)
{
	return s->at < s->b.n ? s->b.p[s->at] : EOF;
}

/* --- logical lines --- */

static void skip_comment(struct source *s)
{
	const uint8_t *end = memchr(s->b.p + s->at, '\n', s->b.n - s->at);
	s->at = end ? (size_t)(end - s->b.p) : s->b.n;
}

/* A character, with what a backslash takes its meaning from. */
static size_t len_at(const struct source *s)
{
	return is_at(s, "\\\r\n") ? 3 : peek(s) == '\\' ? 2 : 1;
}

/* From its first quote; one that is not closed ends with its line, or with the text. */
static void skip_string(struct source *s)
{
	char quotes[4] = {(char)peek(s), (char)peek(s), (char)peek(s), 0};
	bool is_long = is_at(s, quotes);
	if (!is_long)
		quotes[1] = 0;
	s->at += strlen(quotes);
	while (s->at < s->b.n && !is_at(s, quotes) && (is_long || peek(s) != '\n'))
		s->at += len_at(s);
	s->at = min_of(s->at, s->b.n);
	if (is_at(s, quotes))
		s->at += strlen(quotes);
}

/* To the beginning of the next one. */
static void skip_line(struct source *s)
{
	unsigned depth = 0;
	while (s->at < s->b.n) {
		int c = peek(s);
		if (c == '#') {
			skip_comment(s);
			continue;
		}
		if (c == '"' || c == '\'') {
			skip_string(s);
			continue;
		}
		s->at = min_of(s->at + len_at(s), s->b.n);
		if (c == '(' || c == '[' || c == '{')
			depth++;
		else if (depth && (c == ')' || c == ']' || c == '}'))
			depth--;
		else if (c == '\n' && depth == 0)
			return;
	}
}

/* How far a line is indented; s is then at what stands there. */
static unsigned skip_indent(struct source *s)
{
	unsigned indent = 0;
	for (; peek(s) == ' ' || peek(s) == '\t' || peek(s) == '\f'; s->at++)
		indent = peek(s) == '\f' ? 0 : indent + (peek(s) == '\t' ? 8 - indent % 8 : 1);
	return indent;
}

/* --- words --- */

static bool is_name(int c)
{
	return isalnum(c) || c == '_' || c >= 0x80;
}

/* Inside of a logical line, whose end does not depend on brackets any more. */
static void skip_space(struct source *s)
{
	for (int c; (c = peek(s)) > 0 && strchr("# \t\f\r\n\\()", c);)
		if (c == '#')
			skip_comment(s);
		else
			s->at++;
}

/* A dotted name; empty: something else stands there. */
static struct bytes take_dotted(struct source *s)
{
	skip_space(s);
	size_t from = s->at;
	while (is_name(peek(s)) || (peek(s) == '.' && s->at > from))
		s->at++;
	size_t to = s->at;
	while (to > from && s->b.p[to - 1] == '.')
		to--;
	return (struct bytes){s->b.p + from, to - from};
}

static bool take_word(struct source *s, const char *word)
{
	struct source at = *s;
	skip_space(&at);
	if (!is_at(&at, word))
		return false;
	at.at += strlen(word);
	if (is_name(peek(&at)))
		return false;
	*s = at;
	return true;
}

static bool take_mark(struct source *s, char mark)
{
	skip_space(s);
	if (peek(s) != mark)
		return false;
	s->at++;
	return true;
}

/* --- statements --- */

/* a.b as c, d */
static bool add_list(struct source *s, unsigned level, struct bytes of, struct python_imports *list)
{
	do {
		struct bytes name = take_dotted(s);
		if (name.n == 0)
			return true;
		if (!python_imports_add(list, level, of, name))
			return false;
		if (take_word(s, "as"))
			(void)take_dotted(s);
	} while (take_mark(s, ','));
	return true;
}

/* ..a import b, c */
static bool add_from(struct source *s, struct python_imports *list)
{
	unsigned level = 0;
	struct bytes of = {0};
	for (; take_mark(s, '.'); level++)
		;
	if (!take_word(s, "import")) {
		of = take_dotted(s);
		if (!take_word(s, "import"))
			return true;
	}
	return python_imports_add(list, level, of, (struct bytes){0}) &&
	       (take_mark(s, '*') || add_list(s, level, of, list));
}

/* The statements of a line; s is somewhere in it afterwards. */
static bool add_line(struct source *s, struct python_imports *list)
{
	bool fits = true;
	do {
		if (take_word(s, "import"))
			fits = add_list(s, 0, (struct bytes){0}, list);
		else if (take_word(s, "from"))
			fits = add_from(s, list);
		else
			return true;
	} while (fits && take_mark(s, ';'));
	return fits;
}

/* What stands deeper than this line is not run, or not at the import. */
static bool is_skipped_block(const struct source *s)
{
	struct source at = *s;
	if (!take_word(&at, "if") && !take_word(&at, "elif"))
		return take_word(&at, "def") || take_word(&at, "class") || take_word(&at, "async");
	struct bytes name = take_dotted(&at);
	static const char word[] = "TYPE_CHECKING";
	size_t n = strlen(word);
	return name.n >= n && memcmp(name.p + name.n - n, word, n) == 0 &&
	       (name.n == n || name.p[name.n - n - 1] == '.') && take_mark(&at, ':');
}

void python_imports_of_source(struct bytes text, struct python_imports *list)
{
	static const unsigned nothing = UINT32_MAX;
	struct source s = {.b = text};
	unsigned skip = nothing; /* what is indented by more than that */
	if (is_at(&s, "\xef\xbb\xbf"))
		s.at += 3;
	while (s.at < text.n) {
		unsigned indent = skip_indent(&s);
		int c = peek(&s);
		struct source line = s;
		skip_line(&s);
		line.b.n = s.at;
		if (c == '#' || c == '\r' || c == '\n' || (skip != nothing && indent > skip))
			continue;
		skip = is_skipped_block(&line) ? indent : nothing;
		if (!add_line(&line, list))
			return;
	}
}
