/*
 * test_row_path - every row of a tree has a path, and the path leads back to the row
 */
#include "index/row_path.h"

#include "index/format.h"
#include "tests/unit/layer_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char text[] = "f top x\n"
			   "d a\n"
			   "d a/b\n"
			   "d a/b/c\n"
			   "f a/b/c/deep content\n"
			   "h a/again a/b/c/deep\n"
			   "s a/link b/c\n"
			   "c a/null 1 3\n"
			   "f \xff\x80/bytes y\n"
			   "f z/same x\n"
			   "f y/same x\n";

static void every_row(void **state)
{
	auto_buf struct buf file = {0};
	struct index *ix = NULL;
	struct buf paths[64] = {0};
	uint32_t rows[64];
	(void)state;
	assert_int_equal(index_of_text(text, &file, NULL), 0);
	assert_int_equal(index_open_bytes(buf_bytes(&file), &ix, NULL), 0);
	uint32_t n = index_info(ix)->n_inodes;
	assert_in_range(n, 10, ARRAY_LEN(rows));
	for (uint32_t i = 0; i < n; i++)
		rows[i] = n - 1 - i;
	assert_int_equal(index_row_paths(ix, rows, n, paths), 0);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t row = UINT32_MAX;
		assert_true(paths[i].n > 0 && paths[i].p[0] == '/');
		assert_int_equal(index_path(ix, buf_bytes(&paths[i]), false, &row), 0);
		assert_int_equal(row, rows[i]);
		buf_fini(&paths[i]);
	}
	assert_int_equal(index_row_paths(ix, rows, 0, paths), 0);
	index_close(&ix);
}

static void one_row_asked_for_twice(void **state)
{
	auto_buf struct buf file = {0};
	struct index *ix = NULL;
	struct buf paths[2] = {0};
	uint32_t row;
	(void)state;
	assert_int_equal(index_of_text(text, &file, NULL), 0);
	assert_int_equal(index_open_bytes(buf_bytes(&file), &ix, NULL), 0);
	assert_int_equal(index_path(ix, BYTES_STR("/a/b/c"), false, &row), 0);
	const uint32_t rows[] = {row, row};
	assert_int_equal(index_row_paths(ix, rows, 2, paths), 0);
	for (int i = 0; i < 2; i++) {
		assert_true(bytes_equal_str(buf_bytes(&paths[i]), "/a/b/c"));
		buf_fini(&paths[i]);
	}
	index_close(&ix);
}

static void check_dir(const struct index *ix, const char *path)
{
	auto_buf struct buf found = {0};
	uint32_t row;
	assert_int_equal(index_path(ix, BYTES_STR(path), false, &row), 0);
	assert_int_equal(index_dir_path(ix, row, &found), 0);
	assert_true(bytes_equal_str(buf_bytes(&found), path));
}

static void one_directory(void **state)
{
	auto_buf struct buf file = {0};
	struct index *ix = NULL;
	(void)state;
	assert_int_equal(index_of_text(text, &file, NULL), 0);
	assert_int_equal(index_open_bytes(buf_bytes(&file), &ix, NULL), 0);
	check_dir(ix, "/");
	check_dir(ix, "/a");
	check_dir(ix, "/a/b");
	check_dir(ix, "/a/b/c");
	check_dir(ix, "/\xff\x80");
	check_dir(ix, "/y");
	index_close(&ix);
}

static void the_deepest_directory(void **state)
{
	auto_buf struct buf tar = {0}, file = {0};
	auto_free char *path = xcalloc(2 * FORMAT_DEPTH_MAX + 1, 1);
	struct index *ix = NULL;
	(void)state;
	for (unsigned i = 0; i < FORMAT_DEPTH_MAX; i++)
		memcpy(path + 2 * (size_t)i, "/d", 2);
	put_pax1(&tar, "path", path + 1);
	put_head(&tar, tar_head('5', "d"));
	put_end(&tar);
	assert_int_equal(index_of_tar(&tar, &file, NULL), 0);
	assert_int_equal(index_open_bytes(buf_bytes(&file), &ix, NULL), 0);
	assert_int_equal(index_info(ix)->n_dirs, FORMAT_DEPTH_MAX + 1);
	check_dir(ix, path);
	path[2 * FORMAT_DEPTH_MAX - 2] = 0;
	check_dir(ix, path);
	index_close(&ix);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row),
		cmocka_unit_test(one_row_asked_for_twice),
		cmocka_unit_test(one_directory),
		cmocka_unit_test(the_deepest_directory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
