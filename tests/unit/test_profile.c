/*
 * The text of a profile: what is written comes back range by range, whatever bytes the names have;
 * ranges are cut to what a tree holds; and each way in which a line can be wrong is refused with
 * its number.
 */
#include "index/profile.h"

#include "tests/unit/tree_build.h"

#define HEAD "imgfs-profile 1\n"

#define FILE_AT(off_, size_)                                                                       \
	{                                                                                          \
		.mode = S_IFREG | 0644, .size = (size_), .stream_off = (off_)                      \
	}
#define LINK_TO(target_)                                                                           \
	{                                                                                          \
		.mode = S_IFLNK | 0777, .target = {                                                \
			(const uint8_t *)(target_),                                                \
			sizeof(target_) - 1                                                        \
		}                                                                                  \
	}

static const struct tree_extent one_run[] = {{1000, 5, 600}};

static const struct part parts[] = {
	{.path = "plain", .node = FILE_AT(512, 100)},
	{.path = "with space", .node = FILE_AT(1024, 10)},
	{.path = "new\nline", .node = FILE_AT(1536, 10)},
	{.path = "back\\slash", .node = FILE_AT(2048, 10)},
	{.path = "\x01\x07\x1f\x7f", .node = FILE_AT(2560, 10)},
	{.path = "gr\xc3\xbc\xc3\x9f", .node = FILE_AT(3072, 10)},
	{.path = "\xff\x80", .node = FILE_AT(3584, 10)},
	{.path = "a dir/\\x2f/deep", .node = FILE_AT(4096, 70000)},
	{.path = "a dir/twice", .node = FILE_AT(131072, 10)},
	{.path = "z/again", .link = "a dir/twice"},
	{.path = "empty", .node = FILE_AT(0, 0)},
	{.path = "sparse",
	 .node = {.mode = S_IFREG | 0600,
		  .flags = INODE_SPARSE,
		  .size = 1 << 20,
		  .extents = one_run,
		  .n_extents = 1}},
	{.path = "to-file", .node = LINK_TO("plain")},
	{.path = "to-dir", .node = LINK_TO("a dir")},
	{.path = "pipe", .node = {.mode = S_IFIFO | 0660}},
	{.path = "null", .node = {.mode = S_IFCHR | 0666, .size = UINT64_C(1) << 32 | 3}},
};

/* --- trees and texts --- */

static struct index *index_of_parts(const struct part *list, size_t n, struct buf *file)
{
	struct index *ix = NULL;
	struct tree *tree = tree_of_parts(list, n);
	assert_int_equal(index_of_tree(tree, true, NULL, file), 0);
	tree_free(&tree);
	assert_int_equal(index_open_bytes(buf_bytes(file), &ix, NULL), 0);
	return ix;
}

/* The tree of `parts`. */
struct fixture {
	struct index *ix;
	struct buf file;
};

static int fixture_new(void **state)
{
	struct fixture *f = new_of(struct fixture);
	f->ix = index_of_parts(parts, ARRAY_LEN(parts), &f->file);
	*state = f;
	return 0;
}

static int fixture_free(void **state)
{
	struct fixture *f = *state;
	index_close(&f->ix);
	buf_fini(&f->file);
	free(f);
	return 0;
}

static uint32_t row_of(const struct index *ix, const char *path)
{
	uint32_t row = 0;
	assert_int_equal(index_path(ix, BYTES_STR(path), false, &row), 0);
	return row;
}

static void read_good(const struct index *ix, const char *text, struct profile *out)
{
	struct diag d = DIAG_INIT;
	err_t err = profile_read(ix, BYTES_STR(text), out, &d);
	if (err)
		print_error("%s", d.text);
	assert_int_equal(err, 0);
}

static void assert_range(const struct profile *p, size_t i, uint32_t row, uint64_t off,
			 uint64_t len)
{
	assert_true(i < p->n);
	assert_int_equal(p->ranges[i].row, row);
	assert_int_equal(p->ranges[i].off, off);
	assert_int_equal(p->ranges[i].len, len);
}

static void assert_same_ranges(const struct profile *a, const struct profile *b)
{
	assert_int_equal(a->n, b->n);
	for (size_t i = 0; i < a->n; i++)
		assert_range(a, i, b->ranges[i].row, b->ranges[i].off, b->ranges[i].len);
}

static void assert_text(const struct buf *text, const char *want)
{
	assert_int_equal(text->n, strlen(want));
	assert_memory_equal(text->p, want, text->n);
}

/* --- writing --- */

static void is_written_in_the_order_of_the_ranges(void **state)
{
	const struct fixture *f = *state;
	auto_buf struct buf text = {0};
	struct profile_range ranges[] = {
		{row_of(f->ix, "/with space"), 3, 7},
		{row_of(f->ix, "/plain"), 0, 100},
		{row_of(f->ix, "/new\nline"), 0, 1},
		{row_of(f->ix, "/back\\slash"), 9, 1},
		{row_of(f->ix, "/\x01\x07\x1f\x7f"), 0, 10},
		{row_of(f->ix, "/gr\xc3\xbc\xc3\x9f"), 0, 10},
		{row_of(f->ix, "/\xff\x80"), 0, 10},
		{row_of(f->ix, "/a dir/\\x2f/deep"), 4096, 65904},
		{row_of(f->ix, "/plain"), 50, UINT64_MAX},
	};
	const struct profile p = {ranges, ARRAY_LEN(ranges)};
	assert_int_equal(profile_write(f->ix, &p, &text), 0);
	assert_text(&text, HEAD "3 7 /with\\x20space\n"
				"0 100 /plain\n"
				"0 1 /new\\x0aline\n"
				"9 1 /back\\x5cslash\n"
				"0 10 /\\x01\\x07\\x1f\\x7f\n"
				"0 10 /gr\xc3\xbc\xc3\x9f\n"
				"0 10 /\xff\x80\n"
				"4096 65904 /a\\x20dir/\\x5cx2f/deep\n"
				"50 18446744073709551615 /plain\n");
}

static void nothing_is_a_head_line(void **state)
{
	const struct fixture *f = *state;
	auto_buf struct buf text = {0};
	struct profile none = {0};
	assert_int_equal(profile_write(f->ix, &none, &text), 0);
	assert_text(&text, HEAD);
	read_good(f->ix, HEAD, &none);
	assert_int_equal(none.n, 0);
	profile_fini(&none);
}

/* Each regular file of the tree with bytes in it, forwards and backwards. */
static void comes_back_as_it_was(void **state)
{
	const struct fixture *f = *state;
	const struct index_info *info = index_info(f->ix);
	struct profile_range ranges[2 * ARRAY_LEN(parts)];
	struct profile p = {ranges, 0}, back;
	auto_buf struct buf text = {0};
	for (uint32_t i = 0; i < 2 * info->n_regular; i++) {
		struct inode inode;
		uint32_t k = i < info->n_regular ? i : 2 * info->n_regular - 1 - i;
		index_inode(f->ix, info->n_dirs + k, &inode);
		if (inode.size)
			ranges[p.n++] = (struct profile_range){info->n_dirs + k, i % inode.size,
							       inode.size - i % inode.size};
	}
	assert_int_equal(p.n, 2 * 10);
	assert_int_equal(profile_write(f->ix, &p, &text), 0);
	assert_int_equal(profile_read(f->ix, buf_bytes(&text), &back, NULL), 0);
	assert_same_ranges(&back, &p);
	profile_fini(&back);
}

static void a_hard_link_has_one_of_its_names(void **state)
{
	const struct fixture *f = *state;
	struct profile_range range = {row_of(f->ix, "/a dir/twice"), 0, 10};
	const struct profile p = {&range, 1};
	struct profile back;
	auto_buf struct buf text = {0};
	assert_int_equal(row_of(f->ix, "/z/again"), range.row);
	assert_int_equal(profile_write(f->ix, &p, &text), 0);
	assert_int_equal(buf_append(&text, "", 1), 0);
	const char *one = HEAD "0 10 /a\\x20dir/twice\n", *other = HEAD "0 10 /z/again\n";
	assert_true(strcmp((char *)text.p, one) == 0 || strcmp((char *)text.p, other) == 0);
	read_good(f->ix, HEAD "1 2 /z/again\n3 4 /a\\x20dir/twice\n", &back);
	assert_int_equal(back.n, 2);
	assert_range(&back, 0, range.row, 1, 2);
	assert_range(&back, 1, range.row, 3, 4);
	profile_fini(&back);
}

/* `depth` directories and a file, each with a name of so many bytes; the path, without a first
 * slash. */
static char *deep_path(size_t depth, size_t name)
{
	struct buf path = {0};
	for (size_t i = 0; i <= depth; i++) {
		for (size_t k = 0; k < name; k++)
			assert_int_equal(buf_append(&path, "d", 1), 0);
		assert_int_equal(buf_append(&path, i < depth ? "/" : "", 1), 0);
	}
	return (char *)path.p;
}

/* What is written of a tree with one deep file and a flat one reads back; whether the deep one is
 * in it. */
static bool writes_deep(size_t depth, size_t name)
{
	auto_free char *path = deep_path(depth, name);
	auto_free char *absolute = xasprintf("/%s", path);
	const struct part list[] = {{.path = path, .node = FILE_AT(512, 100)},
				    {.path = "flat", .node = FILE_AT(1024, 100)}};
	auto_buf struct buf file = {0}, text = {0};
	struct index *ix = index_of_parts(list, ARRAY_LEN(list), &file);
	struct profile_range ranges[] = {{row_of(ix, absolute), 0, 100},
					 {row_of(ix, "/flat"), 5, 10}};
	const struct profile p = {ranges, ARRAY_LEN(ranges)};
	struct profile back;
	struct diag d = DIAG_INIT;
	assert_int_equal(profile_write(ix, &p, &text), 0);
	err_t err = profile_read(ix, buf_bytes(&text), &back, &d);
	if (err)
		print_error("%zu directories, names of %zu bytes: %s\n", depth, name, d.text);
	assert_int_equal(err, 0);
	bool both = back.n == 2;
	assert_range(&back, back.n - 1, row_of(ix, "/flat"), 5, 10);
	if (both)
		assert_range(&back, 0, ranges[0].row, 0, 100);
	profile_fini(&back);
	index_close(&ix);
	return both;
}

static void deep_files(void **state)
{
	(void)state;
	assert_true(writes_deep(1023, 1));
	assert_false(writes_deep(1024, 1));
	assert_false(writes_deep(2000, 1));
}

/* A path longer than a line's may be has no line: else nothing of the profile could be read. */
static void long_paths(void **state)
{
	(void)state;
	assert_true(writes_deep(255, 255));
	assert_false(writes_deep(256, 255));
}

/* --- reading --- */

static void is_cut_at_the_end_of_files(void **state)
{
	const struct fixture *f = *state;
	struct profile p;
	read_good(f->ix,
		  HEAD "0 100 /plain\n"
		       "0 101 /plain\n"
		       "99 1000 /plain\n"
		       "99 18446744073709551615 /plain\n"
		       "100 1 /plain\n" /* behind the end */
		       "18446744073709551615 18446744073709551615 /plain\n"
		       "0 1 /empty\n"
		       "1048575 2 /sparse\n",
		  &p);
	assert_int_equal(p.n, 5);
	assert_range(&p, 0, row_of(f->ix, "/plain"), 0, 100);
	assert_range(&p, 1, row_of(f->ix, "/plain"), 0, 100);
	assert_range(&p, 2, row_of(f->ix, "/plain"), 99, 1);
	assert_range(&p, 3, row_of(f->ix, "/plain"), 99, 1);
	assert_range(&p, 4, row_of(f->ix, "/sparse"), 1048575, 1);
	profile_fini(&p);
}

static void what_is_no_file_is_left_out(void **state)
{
	const struct fixture *f = *state;
	struct profile p;
	read_good(f->ix,
		  HEAD "0 1 /\n"
		       "0 1 /nowhere\n"
		       "0 1 /plain/below\n"
		       "0 1 /plain/\n"
		       "0 1 /a\\x20dir\n"
		       "0 1 /to-file\n"
		       "0 1 /pipe\n"
		       "0 1 /null\n"
		       "0 1 /plai\\x6e\\x00\n"
		       "0 1 /plain\\x00\n"
		       "2 3 /plain\n",
		  &p);
	assert_int_equal(p.n, 1);
	assert_range(&p, 0, row_of(f->ix, "/plain"), 2, 3);
	profile_fini(&p);
}

/* What people write by hand: more than what is written by itself. */
static void lenient_forms(void **state)
{
	const struct fixture *f = *state;
	struct profile p;
	uint32_t space = row_of(f->ix, "/with space");
	read_good(f->ix,
		  HEAD "007 01 /plain\n"
		       "0 1 /with space\n"
		       "0 2 /with\\x20space\n"
		       "0 3 /\\x77ith\\x20space\n"
		       "0 4 //a dir/./\\x5cx2f/../../with space\n"
		       "0 5 /to-dir/twice\n"
		       "0 6 /a\\x20dir\\x2ftwice\n",
		  &p);
	assert_int_equal(p.n, 7);
	assert_range(&p, 0, row_of(f->ix, "/plain"), 7, 1);
	for (size_t i = 1; i <= 4; i++)
		assert_range(&p, i, space, 0, i);
	for (size_t i = 5; i <= 6; i++)
		assert_range(&p, i, row_of(f->ix, "/a dir/twice"), 0, i);
	profile_fini(&p);
}

static void without_a_tree_it_is_only_looked_at(void **state)
{
	(void)state;
	struct profile p;
	struct diag d = DIAG_INIT;
	read_good(NULL, HEAD "0 100 /plain\n1 2 /nowhere\n", &p);
	assert_int_equal(p.n, 0);
	profile_fini(&p);
	assert_int_equal(profile_read(NULL, BYTES_STR(HEAD "0 100 /plain\n1 2 nowhere\n"), &p, &d),
			 -EBADMSG);
	assert_non_null(strstr(d.text, "line 3:"));
}

static void another_first_line(void **state)
{
	const struct fixture *f = *state;
	static const char *const texts[] = {"",
					    "\n",
					    "imgfs-profile 1",
					    "imgfs-profile 1\r\n",
					    "imgfs-profile 2\n",
					    "imgfs-profile 11\n0 1 /plain\n",
					    " imgfs-profile 1\n",
					    "IMGFS-PROFILE 1\n",
					    "0 1 /plain\n"};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct profile p;
		struct diag d = DIAG_INIT;
		assert_int_equal(profile_read(f->ix, BYTES_STR(texts[i]), &p, &d), -EBADMSG);
		assert_int_equal(d.cls, ERR_INTEGRITY);
		assert_non_null(strstr(d.text, "first line"));
		assert_int_equal(profile_read(NULL, BYTES_STR(texts[i]), &p, NULL), -EBADMSG);
	}
}

static void assert_bad_line(const struct index *ix, struct bytes text, size_t line)
{
	struct profile p;
	struct diag d = DIAG_INIT;
	auto_free char *want = xasprintf("line %zu:", line);
	err_t err = profile_read(ix, text, &p, &d);
	if (err != -EBADMSG || !strstr(d.text, want))
		print_error("want %s, got %d '%s' for: %.*s\n", want, err, d.text,
			    (int)min_of(text.n, (size_t)200), (const char *)text.p);
	assert_int_equal(err, -EBADMSG);
	assert_int_equal(d.cls, ERR_INTEGRITY);
	assert_non_null(strstr(d.text, want));
}

static const char *const bad_lines[] = {
	"",
	" ",
	"#",
	"0",
	"0 1",
	"0 1 ",
	"/plain",
	"0 /plain",
	"x 1 /plain",
	"0 x /plain",
	"-1 1 /plain",
	"+1 1 /plain",
	"0 -1 /plain",
	"0x10 1 /plain",
	"1.5 1 /plain",
	" 0 1 /plain",
	"0  1 /plain",
	"0 1  /plain",
	"0\t1\t/plain",
	"0 1\t/plain",
	"0 0 /plain",
	"0 00 /plain",
	"0 1 plain",
	"0 1 ./plain",
	"0 1 \\x2fplain",
	"18446744073709551616 1 /plain",
	"0 18446744073709551616 /plain",
	"99999999999999999999999999999999 1 /plain",
	"0 1 /\\",
	"0 1 /\\x",
	"0 1 /\\x2",
	"0 1 /\\\\",
	"0 1 /\\n",
	"0 1 /\\xg0",
	"0 1 /\\x0g",
	"0 1 /\\x0A",
	"0 1 /\\xA0",
	"0 1 /\\X0a",
	"0 1 /\\012",
	"0 1 /\\x\\x20",
};

static void a_bad_line_is_named(void **state)
{
	const struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_LEN(bad_lines); i++) {
		for (size_t before = 0; before < 3; before++) {
			auto_free char *text =
				xasprintf(HEAD "%s%s\n0 1 /plain\n",
					  before == 2 ? "0 1 /plain\n0 1 /nowhere\n"
						      : (before ? "0 1 /plain\n" : ""),
					  bad_lines[i]);
			assert_bad_line(f->ix, BYTES_STR(text), 2 + before);
			assert_bad_line(NULL, BYTES_STR(text), 2 + before);
		}
	}
}

static void the_last_line_has_an_end(void **state)
{
	const struct fixture *f = *state;
	assert_bad_line(f->ix, BYTES_STR(HEAD "0 1 /plain"), 2);
	assert_bad_line(f->ix, BYTES_STR(HEAD "0 1 /plain\n0 1 /pla"), 3);
	assert_bad_line(NULL, BYTES_STR(HEAD "0 1 /plain\n0 1 /plain\n0 1 /plain"), 4);
	/* A text that was cut anywhere is refused, or has whole lines. */
	static const char whole[] = HEAD "0 10 /plain\n5 20 /plain\n";
	for (size_t n = 0; n < sizeof(whole) - 1; n++) {
		struct profile p;
		err_t err =
			profile_read(f->ix, (struct bytes){(const uint8_t *)whole, n}, &p, NULL);
		bool at_line_end = n && whole[n - 1] == '\n';
		assert_int_equal(err, at_line_end ? 0 : -EBADMSG);
		if (!err)
			profile_fini(&p);
	}
}

static void bytes_that_are_no_text(void **state)
{
	const struct fixture *f = *state;
	struct profile p;
	static const char nul[] = HEAD "0 1 /pl\0ain\n1 2 /plain\n";
	const struct bytes text = {(const uint8_t *)nul, sizeof(nul) - 1};
	assert_int_equal(profile_read(f->ix, text, &p, NULL), 0);
	assert_int_equal(p.n, 1);
	assert_range(&p, 0, row_of(f->ix, "/plain"), 1, 2);
	profile_fini(&p);
}

static void fill_lines(size_t n, struct buf *text)
{
	static const char line[] = "0 1 /plain\n";
	assert_int_equal(buf_append(text, HEAD, sizeof(HEAD) - 1), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(buf_append(text, line, sizeof(line) - 1), 0);
}

static void as_many_ranges_as_there_may_be(void **state)
{
	const struct fixture *f = *state;
	auto_buf struct buf full = {0}, more = {0}, again = {0};
	struct profile p;
	fill_lines(PROFILE_RANGES_MAX, &full);
	assert_int_equal(profile_read(f->ix, buf_bytes(&full), &p, NULL), 0);
	assert_int_equal(p.n, PROFILE_RANGES_MAX);
	assert_int_equal(profile_write(f->ix, &p, &again), 0);
	assert_true(bytes_equal(buf_bytes(&full), buf_bytes(&again)));
	profile_fini(&p);
	fill_lines(PROFILE_RANGES_MAX + 1, &more);
	assert_bad_line(f->ix, buf_bytes(&more), PROFILE_RANGES_MAX + 2);
	assert_bad_line(NULL, buf_bytes(&more), PROFILE_RANGES_MAX + 2);
}

static void a_path_may_have_so_many_bytes(void **state)
{
	const struct fixture *f = *state;
	struct profile p;
	for (size_t n = 65535; n <= 65537; n++) {
		auto_buf struct buf text = {0};
		assert_int_equal(buf_append(&text, HEAD "0 1 /", sizeof(HEAD "0 1 /") - 1), 0);
		for (size_t i = 1; i < n; i++)
			assert_int_equal(buf_append(&text, "\\x64", 4), 0);
		assert_int_equal(buf_append(&text, "\n", 1), 0);
		if (n > 65536) {
			assert_bad_line(f->ix, buf_bytes(&text), 2);
			continue;
		}
		assert_int_equal(profile_read(f->ix, buf_bytes(&text), &p, NULL), 0);
		assert_int_equal(p.n, 0);
		profile_fini(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_written_in_the_order_of_the_ranges),
		cmocka_unit_test(nothing_is_a_head_line),
		cmocka_unit_test(comes_back_as_it_was),
		cmocka_unit_test(a_hard_link_has_one_of_its_names),
		cmocka_unit_test(deep_files),
		cmocka_unit_test(long_paths),
		cmocka_unit_test(is_cut_at_the_end_of_files),
		cmocka_unit_test(what_is_no_file_is_left_out),
		cmocka_unit_test(lenient_forms),
		cmocka_unit_test(without_a_tree_it_is_only_looked_at),
		cmocka_unit_test(another_first_line),
		cmocka_unit_test(a_bad_line_is_named),
		cmocka_unit_test(the_last_line_has_an_end),
		cmocka_unit_test(bytes_that_are_no_text),
		cmocka_unit_test(as_many_ranges_as_there_may_be),
		cmocka_unit_test(a_path_may_have_so_many_bytes),
	};
	return cmocka_run_group_tests(tests, fixture_new, fixture_free);
}
