/*
 * Rows depend on the tree alone: the same tree, put together in many orders and with leftovers that
 * nothing refers to, gives the same index byte for byte.
 */
#include "tests/unit/tree_build.h"

#define ORDERS 200u

static const struct tree_extent data_later[] = {{100, 5, 7777}};
static const struct tree_extent data_first[] = {{0, 5, 600}, {70, 1, 605}};
#define USER_A                                                                                     \
	{                                                                                          \
		{(const uint8_t *)"user.a", 6},                                                    \
		{                                                                                  \
			(const uint8_t *)"some", 4                                                 \
		}                                                                                  \
	}
#define USER_B                                                                                     \
	{                                                                                          \
		{(const uint8_t *)"user.b", 6},                                                    \
		{                                                                                  \
			(const uint8_t *)"other value", 11                                         \
		}                                                                                  \
	}

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

static const struct part parts[] = {
	{.path = "", .node = {.mode = S_IFDIR | 0711, .uid = 3}},
	{.path = "usr", .node = {.mode = S_IFDIR | 0755, .gid = 7}},
	{.path = "usr/b", .node = FILE_AT(512, 9), .xattrs = {USER_A}, .n_xattrs = 1},
	{.path = "usr/a", .node = FILE_AT(1536, 9), .xattrs = {USER_B, USER_A}, .n_xattrs = 2},
	{.path = "usr/c", .link = "usr/b"},
	{.path = "etc/1", .link = "usr/b"},
	{.path = "etc/empty", .node = FILE_AT(2560, 0), .xattrs = {USER_B}, .n_xattrs = 1},
	{.path = "etc/empty2", .node = FILE_AT(3072, 0)},
	{.path = "empty3", .node = FILE_AT(4096, 0)},
	{.path = "sparse1",
	 .node = {.mode = S_IFREG | 0600,
		  .flags = INODE_SPARSE,
		  .size = 200,
		  .extents = data_later,
		  .n_extents = 1}},
	{.path = "sparse2",
	 .node = {.mode = S_IFREG | 0600,
		  .flags = INODE_SPARSE,
		  .size = 71,
		  .extents = data_first,
		  .n_extents = 2}},
	{.path = "holes1", .node = {.mode = S_IFREG, .flags = INODE_SPARSE, .size = 1}},
	{.path = "holes2", .node = {.mode = S_IFREG, .flags = INODE_SPARSE, .size = 2}},
	{.path = "link1", .node = LINK_TO("usr/a")},
	{.path = "link2", .node = LINK_TO("usr/b")},
	{.path = "usr/link3", .node = LINK_TO("usr/a")},
	{.path = "dev/null", .node = {.mode = S_IFCHR | 0666, .size = UINT64_C(1) << 32 | 3}},
	{.path = "dev/disk", .node = {.mode = S_IFBLK | 0660, .size = UINT64_C(8) << 32, .uid = 9}},
	{.path = "dev/pipe", .node = {.mode = S_IFIFO | 0660}},
	{.path = "dev/gone", .node = {.mode = S_IFCHR}},
	{.path = "x/y/z/deep", .node = LINK_TO("/")},
};

static uint32_t random_below(uint64_t *state, uint32_t n)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33) % n;
}

/* What a build leaves behind: a name that is gone again, a set of xattrs that nobody has. */
static void put_leftovers(struct tree_build *b)
{
	const struct tar_xattr gone = {BYTES_STR("user.gone"), BYTES_STR("1")};
	struct tree_node node = FILE_AT(1024, 77);
	uint32_t row;
	assert_int_equal(tree_xattrs_add(b->tree, &gone, 1, &node.xattrs), 0);
	assert_int_equal(tree_add_node(b->tree, &node, &row), 0);
	assert_int_equal(tree_link(b->tree, 0, BYTES_STR("gone"), row), 0);
	tree_unlink(b->tree, tree_lookup(b->tree, 0, BYTES_STR("gone")));
}

/* Empty files lose their places in a merge; nothing may depend on them. */
static void forget_places(struct tree *t)
{
	for (uint32_t i = 0; i < tree_node_count(t); i++) {
		struct tree_node *node = tree_node(t, i);
		if (S_ISREG(node->mode) && !node->size)
			node->stream_off = node->layer = 0;
	}
}

static void build_shuffled(uint64_t seed, bool image, struct buf *out)
{
	struct tree_build b;
	size_t order[ARRAY_LEN(parts)];
	tree_begin(&b, parts, ARRAY_LEN(parts));
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		order[i] = i;
	for (uint32_t i = ARRAY_LEN(parts) - 1; i > 0; i--) {
		uint32_t k = random_below(&seed, i + 1);
		size_t held = order[i];
		order[i] = order[k];
		order[k] = held;
	}
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (random_below(&seed, 8) == 0 &&
		    tree_lookup(b.tree, 0, BYTES_STR("gone")) == TREE_NONE)
			put_leftovers(&b);
		part_put(&b, order[i]);
	}
	if (random_below(&seed, 2))
		forget_places(b.tree);
	assert_int_equal(index_of_tree(b.tree, image, NULL, out), 0);
	tree_free(&b.tree);
}

static void check_orders(bool image)
{
	auto_buf struct buf want = {0};
	struct tree *tree = tree_of_parts(parts, ARRAY_LEN(parts));
	assert_int_equal(index_of_tree(tree, image, NULL, &want), 0);
	tree_free(&tree);
	for (unsigned i = 0; i < ORDERS; i++) {
		auto_buf struct buf got = {0};
		build_shuffled(i, image, &got);
		if (want.n != got.n || memcmp(want.p, got.p, got.n) != 0)
			fail_msg("order %u of a %s gives other bytes", i,
				 image ? "image" : "layer");
	}
}

static void test_layer(void **state)
{
	(void)state;
	check_orders(false);
}

static void test_image(void **state)
{
	(void)state;
	check_orders(true);
}

static uint32_t row_at(const struct index *ix, const char *path)
{
	uint32_t row = 0;
	if (index_path(ix, BYTES_STR(path), false, &row))
		fail_msg("no '%s'", path);
	return row;
}

/* Regular files: those without bytes, then by where the bytes begin. */
static void test_order_of_files(void **state)
{
	(void)state;
	static const char *const by_place[] = {"/usr/b", "/sparse2", "/usr/a", "/sparse1"};
	static const char *const nowhere[] = {"/empty3", "/etc/empty", "/etc/empty2", "/holes1",
					      "/holes2"};
	auto_buf struct buf file = {0};
	struct diag d = DIAG_INIT;
	struct index *ix;
	build_shuffled(1, false, &file);
	if (index_open_bytes(buf_bytes(&file), &ix, &d))
		fail_msg("%s", d.text);
	uint32_t first = index_info(ix)->n_dirs + (uint32_t)ARRAY_LEN(nowhere);
	for (uint32_t i = 0; i < ARRAY_LEN(by_place); i++)
		assert_int_equal(row_at(ix, by_place[i]), first + i);
	for (size_t i = 0; i < ARRAY_LEN(nowhere); i++)
		assert_true(row_at(ix, nowhere[i]) < first);
	index_close(&ix);
}

/* Only sets that a row has are in XATTRS. */
static void test_unused_sets(void **state)
{
	(void)state;
	struct tree_build b;
	auto_buf struct buf file = {0};
	struct index *ix;
	tree_begin(&b, parts, 0);
	put_leftovers(&b);
	assert_int_equal(index_of_tree(b.tree, true, NULL, &file), 0);
	tree_free(&b.tree);
	assert_int_equal(index_open_bytes(buf_bytes(&file), &ix, NULL), 0);
	struct index_section s;
	for (unsigned i = 0; index_section(ix, i, &s); i++)
		if (strcmp(s.name, "XATTRS") == 0)
			assert_int_equal(s.raw_len, 0);
	index_close(&ix);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layer),
		cmocka_unit_test(test_image),
		cmocka_unit_test(test_order_of_files),
		cmocka_unit_test(test_unused_sets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
