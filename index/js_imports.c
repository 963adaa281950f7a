#include "index/js_imports.h"

#include <ctype.h>
#include <string.h>

#define NAMES_SIZE (64u << 10)

void js_imports_fini(struct js_imports *list)
{
	buf_fini(&list->records);
}

/* A record: the name's length, the name. */
bool js_imports_add(struct js_imports *list, struct bytes name)
{
	uint8_t record[1 + JS_NAME_MAX];
	if (name.n == 0 || name.n > JS_NAME_MAX)
		return false;
	record[0] = (uint8_t)name.n;
	memcpy(record + 1, name.p, name.n);
	list->records.limit = NAMES_SIZE;
	return buf_append(&list->records, record, 1 + name.n) == 0;
}

bool js_imports_next(const struct js_imports *list, size_t *at, struct bytes *name)
{
	struct bytes all = buf_bytes(&list->records);
	if (*at == all.n)
		return false;
	*name = (struct bytes){all.p + *at + 1, all.p[*at]};
	*at += 1u + name->n;
	return true;
}

static bool is_name(uint8_t c)
{
	return isalnum(c) || c == '_' || c == '$' || c >= 0x80;
}

static size_t skip_spaces(struct bytes line, size_t at)
{
	while (at < line.n && (line.p[at] == ' ' || line.p[at] == '\t'))
		at++;
	return at;
}

/* What stands in quotes at a place of a line; empty: nothing does, or it goes on in the next. */
static struct bytes quoted(struct bytes line, size_t at)
{
	struct bytes nothing = {0};
	at = skip_spaces(line, at);
	if (at == line.n || !strchr("'\"`", line.p[at]) || line.p[at] == 0)
		return nothing;
	const uint8_t *end = memchr(line.p + at + 1, line.p[at], line.n - at - 1);
	if (!end)
		return nothing;
	struct bytes name = {line.p + at + 1, (size_t)(end - line.p) - at - 1};
	return memchr(name.p, '\\', name.n) || memchr(name.p, '$', name.n) ? nothing : name;
}

/* All names behind a word, if it stands by itself. @open: a bracket comes between them. */
static void add_behind(struct bytes line, const char *word, bool open, struct js_imports *list)
{
	size_t n = strlen(word);
	for (size_t at = 0; at < line.n;) {
		const uint8_t *found = memmem(line.p + at, line.n - at, word, n);
		if (!found)
			return;
		size_t start = (size_t)(found - line.p);
		at = start + n;
		if ((start && is_name(line.p[start - 1])) || (at < line.n && is_name(line.p[at])))
			continue;
		size_t behind = skip_spaces(line, at);
		if (open && (behind == line.n || line.p[behind++] != '('))
			continue;
		struct bytes name = quoted(line, behind);
		if (name.n && name.n <= JS_NAME_MAX && !js_imports_add(list, name))
			return;
	}
}

static bool begins_with(struct bytes line, const char *start)
{
	size_t n = strlen(start);
	return line.n >= n && memcmp(line.p, start, n) == 0;
}

void js_imports_of(struct bytes text, struct js_imports *list)
{
	while (text.n) {
		const uint8_t *end = memchr(text.p, '\n', text.n);
		size_t n = end ? (size_t)(end - text.p) : text.n;
		struct bytes line = {text.p, n};
		n += end != NULL;
		text.p += n;
		text.n -= n;
		if (line.n == 0 || isspace(line.p[0]) || begins_with(line, "//") ||
		    begins_with(line, "/*"))
			continue;
		add_behind(line, "require", true, list);
		add_behind(line, "from", false, list);
		add_behind(line, "import", false, list);
	}
}
