/*
 * python_world - trees with a Python in them, for test_python.c and test_python_resolve.c
 */
#ifndef IMGFS_TESTS_UNIT_PYTHON_WORLD_H
#define IMGFS_TESTS_UNIT_PYTHON_WORLD_H

#include "tests/unit/layer_text.h"

#include "index/python.h"
#include "index/row_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define INSTALLED                                                                                  \
	"f usr/bin/python3.11 x\nf usr/lib/python3.11/os.py x\n"                                   \
	"f usr/lib/python3.11/lib-dynload/_json.cpython-311-x86_64-linux-gnu.so x\n"               \
	"d usr/lib/python3.11/site-packages\n"
#define INSTALLED_DIRS                                                                             \
	"/usr/lib/python3.11 /usr/lib/python3.11/lib-dynload /usr/lib/python3.11/site-packages"

struct world {
	struct buf file;
	struct index *tree;
	struct python py;
};

static inline void look_into(const char *text, struct world *w)
{
	*w = (struct world){0};
	assert_int_equal(index_of_text(text, &w->file, NULL), 0);
	assert_int_equal(index_open_bytes(buf_bytes(&w->file), &w->tree, NULL), 0);
}

static inline void look_away(struct world *w)
{
	python_fini(&w->py);
	assert_null(w->py.names);
	index_close(&w->tree);
	buf_fini(&w->file);
}

static inline uint32_t row_of(const struct world *w, const char *path)
{
	uint32_t row = UINT32_MAX;
	assert_int_equal(index_path(w->tree, BYTES_STR(path), true, &row), 0);
	return row;
}

static inline void put_text(struct buf *b, const char *text)
{
	assert_int_equal(buf_append(b, text, strlen(text)), 0);
}

/* Appends the path of a row, links resolved, and a space. */
static inline void put_path(const struct world *w, uint32_t row, struct buf *out)
{
	auto_buf struct buf path = {0};
	assert_int_equal(index_row_paths(w->tree, &row, 1, &path), 0);
	assert_int_equal(buf_append(out, path.p, path.n), 0);
	put_text(out, " ");
}

/* @paths: with a space between them; @got has one behind each. */
static inline void check_paths(const char *what, const struct buf *got, const char *paths)
{
	struct bytes text = {got->p, got->n - (got->n > 0)};
	if (!bytes_equal_str(text, paths))
		print_error("%s: %.*s\n", what, (int)text.n, (const char *)text.p);
	assert_true(bytes_equal_str(text, paths));
}

static inline void check_dirs(const struct world *w, const char *what, const char *dirs)
{
	auto_buf struct buf got = {0};
	for (unsigned i = 0; i < w->py.n_dirs; i++)
		put_path(w, w->py.dirs[i], &got);
	check_paths(what, &got, dirs);
}

#endif
