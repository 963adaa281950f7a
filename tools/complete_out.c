/*
 * Between the program's plain texts and what shells make of them: a line is taken apart as bash
 * does it, as far as quotes go (nothing is expanded or run), and candidates are put back in quotes.
 */
#include "tools/complete_out.h"

#include "tools/format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void append(struct buf *b, const char *text, size_t n)
{
	if (n && buf_append(b, text, n))
		abort(); /* as xasprintf does it */
}

/* ---- a line, taken apart ---- */

struct splitter {
	const char *at, *breaks;
	struct buf word;
	size_t cap; /* of the words */
	bool has_word;
	struct shell_line *out;
};

static void end_word(struct splitter *s)
{
	struct shell_line *out = s->out;
	append(&s->word, "", 1);
	if (!try_grow(&out->words, (size_t)out->n, &s->cap, sizeof(*out->words)))
		abort();
	out->words[out->n++] = (char *)s->word.p;
	s->word = (struct buf){0};
	s->has_word = false;
}

static void drop_words(struct splitter *s)
{
	buf_fini(&s->word);
	s->has_word = false;
	for (int i = 0; i < s->out->n; i++)
		free(s->out->words[i]);
	s->out->n = 0;
}

/* Inside quotes: up to the closing one, or to the end of the line. */
static void take_quoted(struct splitter *s)
{
	char quote = *s->at++;
	size_t begin = s->word.n;
	for (; *s->at && *s->at != quote; s->at++) {
		bool escape =
			quote == '"' && *s->at == '\\' && s->at[1] && strchr("\"\\$`", s->at[1]);
		s->at += escape;
		append(&s->word, s->at, 1);
	}
	if (*s->at) {
		s->at++;
	} else {
		s->out->quote = quote;
		s->out->cut = begin;
	}
}

static void begin_word(struct splitter *s)
{
	if (!s->has_word)
		s->out->cut = 0;
	s->has_word = true;
}

static void take_plain(struct splitter *s)
{
	bool escaped = *s->at == '\\';
	if (escaped && !*++s->at)
		return; /* it escapes what is typed next */
	append(&s->word, s->at, 1);
	if (!escaped && strchr(s->breaks, *s->at))
		s->out->cut = s->word.n;
	s->at++;
}

/* An operator ends a word; behind some of them another command begins. */
static void take_operator(struct splitter *s)
{
	if (s->has_word)
		end_word(s);
	if (*s->at == '<' || *s->at == '>')
		s->out->redirected = true;
	else
		drop_words(s);
	s->at++;
}

static void take_blank(struct splitter *s)
{
	if (s->has_word) {
		end_word(s);
		if (s->out->redirected)
			free(s->out->words[--s->out->n]);
		s->out->redirected = false;
	}
	s->at++;
}

void shell_line_split(const char *line, const char *breaks, struct shell_line *out)
{
	struct splitter s = {.at = line, .breaks = breaks, .out = out};
	*out = (struct shell_line){0};
	while (*s.at) {
		if (*s.at == ' ' || *s.at == '\t') {
			take_blank(&s);
		} else if (strchr(";|&()<>\n", *s.at)) {
			take_operator(&s);
		} else {
			begin_word(&s);
			if (*s.at == '"' || *s.at == '\'')
				take_quoted(&s);
			else
				take_plain(&s);
		}
	}
	begin_word(&s);
	end_word(&s);
}

void shell_line_fini(struct shell_line *line)
{
	for (int i = 0; i < line->n; i++)
		free(line->words[i]);
	free(line->words);
	*line = (struct shell_line){0};
}

/* ---- a candidate, put together ---- */

void shell_quote(const char *text, char quote, struct buf *out)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_-+=:,./@%^";
	for (; *text; text++) {
		bool escape = quote == '"' ? strchr("\"\\$`", *text) != NULL
					   : !quote && (unsigned char)*text < 0x80 &&
						     !strchr(plain, *text);
		if (quote == '\'' && *text == '\'')
			append(out, "'\\'", 3);
		if (escape)
			append(out, "\\", 1);
		append(out, text, 1);
	}
}

const char *completion_part(const struct completion *c)
{
	return c->typed + strlen(c->fixed);
}

/* A line of the answer must be one, and a terminal will show it. */
static bool can_be_shown(const char *text)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t n = strlen(text);
	while (n) {
		size_t len = format_utf8_len(p, n);
		if (!len || format_is_control(p, len))
			return false;
		p += len;
		n -= len;
	}
	return true;
}

static bool goes_on(const char *text)
{
	size_t n = strlen(text);
	return n && strchr("/:=", text[n - 1]);
}

void completion_put(struct completion *c, const char *text, const char *description)
{
	const char *part = completion_part(c);
	if (strncmp(text, part, strlen(part)) != 0 || !can_be_shown(text))
		return;
	auto_free char *whole = xasprintf("%s%s", c->fixed, text);
	if (!c->bash) {
		append(&c->lines, whole, strlen(whole));
		append(&c->lines, "\t", 1);
		append(&c->lines, description, description ? strlen(description) : 0);
	} else {
		shell_quote(whole + min_of(c->cut, strlen(whole)), c->quote, &c->lines);
		append(&c->lines, " ", !c->quote && !goes_on(text));
	}
	append(&c->lines, "\n", 1);
}

void completion_print(struct completion *c)
{
	static const char *const names[] = {[SHELL_NO_FILES] = "words",
					    [SHELL_FILES] = "files",
					    [SHELL_DIRECTORIES] = "directories"};
	printf("%s %.*s\n", names[c->files], c->files ? (int)c->before_files : 0,
	       c->typed ? c->typed : "");
	fwrite(c->lines.p, 1, c->lines.n, stdout);
	buf_fini(&c->lines);
}
