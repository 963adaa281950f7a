#include "index/program.h"

#include "index/file_at.h"
#include "index/path.h"

#include <string.h>

#define SEARCH_DIRS_MAX 32

static const struct bytes no_bytes;

/* What stands before the next one of two characters, which is skipped. */
static struct bytes next_part(struct bytes *left, char end, char other)
{
	struct bytes part = {left->p, 0};
	while (part.n < left->n && left->p[part.n] != end && left->p[part.n] != other)
		part.n++;
	size_t n = min_of(part.n + 1, left->n);
	left->p += n;
	left->n -= n;
	return part;
}

bool program_find(const struct index *tree, struct bytes search, struct bytes cwd,
		  struct bytes name, uint32_t *row, struct buf *path)
{
	if (name.n == 0)
		return false;
	if (memchr(name.p, '/', name.n)) {
		struct bytes dir = name.p[0] == '/' ? no_bytes : cwd;
		return file_at(tree, dir, name, row) && path_join(dir, name, path);
	}
	for (unsigned i = 0; search.n && i < SEARCH_DIRS_MAX; i++) {
		struct bytes dir = next_part(&search, ':', ':');
		if (dir.n && file_at(tree, dir, name, row))
			return path_join(dir, name, path);
	}
	return false;
}

static struct bytes next_word(struct bytes *line)
{
	struct bytes word = {0};
	while (line->n && word.n == 0)
		word = next_part(line, ' ', '\t');
	return word;
}

static bool is_env(struct bytes path)
{
	return bytes_equal_str(path_last(path), "env");
}

bool program_script(struct bytes head, struct script *out)
{
	*out = (struct script){0};
	head.n = min_of(head.n, (size_t)PROGRAM_LINE_MAX);
	if (head.n < 2 || memcmp(head.p, "#!", 2) != 0)
		return false;
	const uint8_t *end = memchr(head.p, '\n', head.n);
	if (!end || memchr(head.p, 0, (size_t)(end - head.p)))
		return false;
	struct bytes line = {head.p + 2, (size_t)(end - head.p) - 2};
	out->interpreter = next_word(&line);
	if (out->interpreter.n == 0 || out->interpreter.p[0] != '/')
		return false;
	while (is_env(out->interpreter) && line.n && out->program.n == 0) {
		struct bytes word = next_word(&line);
		if (word.n && word.p[0] != '-' && !memchr(word.p, '=', word.n))
			out->program = word;
	}
	return true;
}
