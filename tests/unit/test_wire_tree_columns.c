/*
 * How columns are stored (index/WIRE.md, "The tree"): the table of their lengths, their frames, and
 * the digests, which are a column of their own.
 */
#include "index/wire_tree_priv.h"
#include "tests/unit/tree_build.h"

#define B(s)                                                                                       \
	{                                                                                          \
		(const uint8_t *)(s), sizeof(s) - 1                                                \
	}

static void check_form(struct bytes form, err_t want, const char *text)
{
	struct diag d = DIAG_INIT;
	struct tree *tree = NULL;
	err_t err = wire_tree_decode(form, true, TREE_LAYERS, &tree, &d);
	if (err != want || !strstr(d.text, text))
		fail_msg("'%s' expected: %d '%s'", text, err, d.text);
}

static void test_cut_and_longer(void **state)
{
	(void)state;
	auto_buf struct buf form = {0};
	struct bytes columns[WIRE_COLUMNS];
	for (size_t i = 0; i < WIRE_COLUMNS; i++)
		columns[i] = (struct bytes)B("some bytes");
	assert_int_equal(columns_pack(columns, WIRE_COLUMNS, &form), 0);
	for (size_t n = 0; n < form.n; n++) {
		auto_free uint8_t *copy = malloc(n + 1);
		memcpy(copy, form.p, n);
		check_form((struct bytes){copy, n}, -EBADMSG,
			   n < 2 * (size_t)WIRE_COLUMNS ? "cut" : "where there are");
	}
	assert_int_equal(buf_append_zeros(&form, 1), 0);
	check_form(buf_bytes(&form), -EBADMSG, "where there are");
}

/* A table that gives the first column these lengths, and the bytes behind it. */
static void check_table(uint64_t raw, uint64_t stored, struct bytes body, err_t want,
			const char *text)
{
	auto_buf struct buf form = {0};
	assert_int_equal(varint_put(&form, raw), 0);
	assert_int_equal(varint_put(&form, stored), 0);
	assert_int_equal(buf_append_zeros(&form, 2 * (WIRE_COLUMNS - 1)), 0);
	assert_int_equal(buf_append(&form, body.p, body.n), 0);
	check_form(buf_bytes(&form), want, text);
}

static void test_table(void **state)
{
	(void)state;
	auto_buf struct buf zeros = {0}, packed = {0};
	assert_int_equal(buf_append_zeros(&zeros, 1000), 0);
	struct bytes column = buf_bytes(&zeros);
	assert_int_equal(columns_pack(&column, 1, &packed), 0);
	struct bytes frame = buf_bytes(&packed), none = {NULL, 0};
	uint64_t n;
	assert_int_equal(varint_take(&frame, &n), 0);
	assert_int_equal(varint_take(&frame, &n), 0);
	assert_int_equal(n, frame.n);
	check_table(WIRE_TREE_RAW_MAX + 1u, 10, none, -E2BIG, "columns of more than 536870912");
	check_table(UINT64_MAX, 10, none, -E2BIG, "columns of more than 536870912");
	check_table(5, 6, (struct bytes)B("123456"), -EBADMSG, "column 0: lengths");
	check_table(5, 0, none, -EBADMSG, "column 0: lengths");
	check_table(0, 5, (struct bytes)B("12345"), -EBADMSG, "column 0: lengths");
	check_table(1000, 5, none, -EBADMSG, "where there are 0");
	check_table(999, n, frame, -EBADMSG, "does not decompress to 999");
	check_table(1001, n, frame, -EBADMSG, "does not decompress to 1001");
	check_table(1000, 5, (struct bytes)B("12345"), -EBADMSG, "does not decompress to 1000");
	/* Zeroes as a frame that does not say how many. */
	check_table(1000, 10, (struct bytes)B("\x28\xb5\x2f\xfd\0\0\x43\x1f\0\0"), -EBADMSG,
		    "does not decompress to 1000");
	auto_buf struct buf two = {0}, skipped = {0};
	assert_int_equal(buf_append(&skipped, frame.p, frame.n), 0);
	assert_int_equal(buf_append(&skipped, "\x50\x2a\x4d\x18\0\0\0\0", 8), 0);
	check_table(1000, skipped.n, buf_bytes(&skipped), -EBADMSG, "does not decompress to 1000");
	assert_int_equal(buf_append(&two, frame.p, frame.n), 0);
	assert_int_equal(buf_append(&two, frame.p, frame.n), 0);
	check_table(1000, two.n, buf_bytes(&two), -EBADMSG, "does not decompress to 1000");
	check_table(2000, two.n, buf_bytes(&two), -EBADMSG, "does not decompress to 2000");
	two.p[frame.n - 1] ^= 0xff;
	check_table(1000, frame.n, (struct bytes){two.p, frame.n}, -EBADMSG, "does not decompress");
}

/* One for each regular file that has bytes and is not sparse, neither more nor fewer. */
static void test_digests(void **state)
{
	(void)state;
	static const struct part parts[] = {
		{.path = "a", .node = {.mode = S_IFREG, .size = 1, .stream_off = 512}},
		{.path = "b", .node = {.mode = S_IFREG}},
		{.path = "c", .node = {.mode = S_IFREG, .size = 2, .stream_off = 1024}},
		{.path = "d", .node = {.mode = S_IFREG, .flags = INODE_SPARSE, .size = 3}},
		{.path = "e", .link = "a"},
	};
	auto_buf struct buf raw = {0}, form = {0}, file = {0};
	struct tree *tree = tree_of_parts(parts, ARRAY_LEN(parts));
	assert_int_equal(buf_append_zeros(&raw, 4 * SHA256_LEN), 0);
	for (size_t n = 0; n <= raw.n; n += SHA256_LEN / 2) {
		struct bytes column = {raw.p, n}, digests;
		form.n = file.n = 0;
		assert_int_equal(columns_pack(&column, 1, &form), 0);
		digests = buf_bytes(&form);
		assert_int_equal(index_of_tree(tree, true, &digests, &file),
				 n == 2 * SHA256_LEN ? 0 : -EBADMSG);
	}
	struct bytes cut = {form.p, form.n - 1};
	assert_int_equal(index_of_tree(tree, true, &cut, &file), -EBADMSG);
	tree_free(&tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_and_longer),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_digests),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
