/*
 * The compact form of trees (index/WIRE.md): every kind of entry goes out and comes back byte for
 * byte, the form of one small tree is written down by hand, and each way in which a byte of its
 * columns can lie is refused with its reason.
 */
#include "index/wire_tree_priv.h"
#include "tests/unit/tree_build.h"

#define T3(x)  x x x
#define T5(x)  x x x x x
#define T17(x) x T5(T3(x)) x
#define B(s)                                                                                       \
	{                                                                                          \
		(const uint8_t *)(s), sizeof(s) - 1                                                \
	}

/* ---- round trips ---- */

static const struct tree_extent two_runs[] = {{0, 512, 70000}, {1 << 20, 3, 70512}};
static const struct tree_extent odd_runs[] = {{7, 1, 9001}, {8, 5, 4}, {100, 1, 9001}};

#define REGULAR(mode_, layer_, off_, size_)                                                        \
	{                                                                                          \
		.mode = S_IFREG | (mode_), .layer = (layer_), .stream_off = (off_),                \
		.size = (size_), .digest = (const uint8_t[SHA256_LEN])                             \
		{                                                                                  \
			1, (uint8_t)(off_)                                                         \
		}                                                                                  \
	}
static const uint8_t empty_sha256[SHA256_LEN] = {0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14,
						 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
						 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c,
						 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55};

/* What layers and images can have. */
static const struct part parts[] = {
	{.path = "",
	 .node = {.mode = S_IFDIR | 01777, .uid = 3, .mtime = 1700000000},
	 .xattrs = {{B("security.selinux"), B("root\0")}},
	 .n_xattrs = 1},
	{.path = "bin/su", .node = REGULAR(04755, 0, 512, 20)},
	{.path = "bin/sudo", .link = "bin/su"},
	{.path = "bin/zz", .link = "bin/su"},
	{.path = "abc", .link = "bin/su"},
	{.path = "bin/wall", .node = REGULAR(02755, 0, 1536, 1)},
	{.path = "empty", .node = {.mode = S_IFREG, .digest = empty_sha256}},
	{.path = "odd-offset", .node = REGULAR(0600, 0, 3333, 100)},
	{.path = "before", .node = REGULAR(0600, 0, 0, 511)},
	{.path = "size255", .node = REGULAR(0600, 0, 8192, 255)},
	{.path = "size256", .node = REGULAR(0600, 0, 8704, 256)},
	{.path = "far", .node = REGULAR(0600, 0, TREE_STREAM_SIZE - 5, 5)},
	{.path = "sparse",
	 .node = {.mode = S_IFREG | 0644,
		  .flags = INODE_SPARSE,
		  .size = UINT64_C(1) << 40,
		  .extents = two_runs,
		  .n_extents = 2}},
	{.path = "sparse-odd",
	 .node = {.mode = S_IFREG | 0644,
		  .flags = INODE_SPARSE,
		  .size = INT64_MAX,
		  .extents = odd_runs,
		  .n_extents = 3}},
	{.path = "sparse-no-data",
	 .node = {.mode = S_IFREG | 0644, .flags = INODE_SPARSE, .size = 12}},
	{.path = "sparse-empty", .node = {.mode = S_IFREG | 0644, .flags = INODE_SPARSE}},
	{.path = "link", .node = {.mode = S_IFLNK | 0777, .target = B("bin/su")}},
	{.path = "link2", .link = "link"},
	{.path = "long-link",
	 .node = {.mode = S_IFLNK | 0777, .target = B(T17(T5(T3("0123456789abcdef"))))}},
	{.path = "dev/null", .node = {.mode = S_IFCHR | 0666, .size = UINT64_C(1) << 32 | 3}},
	{.path = "dev/max", .node = {.mode = S_IFBLK | 0666, .size = UINT64_MAX}},
	{.path = "dev/block0", .node = {.mode = S_IFBLK | 0666}},
	{.path = "dev/fifo",
	 .node = {.mode = S_IFIFO | 0666},
	 .xattrs = {{B("user.a"), B("1")}, {B("user.b"), B("")}},
	 .n_xattrs = 2},
	{.path = "dev/fifo2",
	 .node = {.mode = S_IFIFO | 0666, .uid = UINT32_MAX - 1, .gid = UINT32_MAX - 1},
	 .xattrs = {{B("user.b"), B("")}},
	 .n_xattrs = 1},
	{.path = "dev/fifo3",
	 .node = {.mode = S_IFIFO | 0666},
	 .xattrs = {{B("user.b"), B("")}},
	 .n_xattrs = 1},
	{.path = "t1", .node = {.mode = S_IFIFO, .mtime = INT64_MIN}},
	{.path = "t2", .node = {.mode = S_IFIFO, .mtime = INT64_MAX}},
	{.path = "t3", .node = {.mode = S_IFIFO, .mtime = -1, .mtime_ns = 999999999}},
	{.path = "t4", .node = {.mode = S_IFIFO, .mtime = -FORMAT_TIME_BIAS}},
	{.path = "t5", .node = {.mode = S_IFIFO, .mtime = -1, .mtime_ns = 1}},
	{.path = "dir/sub/sub/sub/deep", .node = REGULAR(0, 0, 40000, 4096)},
	{.path = "dir/none", .node = {.mode = S_IFDIR}},
	{.path = "\xff\xfe\x80", .node = {.mode = S_IFIFO}},
	{.path = "\x01\n\t", .node = {.mode = S_IFIFO}},
	{.path = T17(T5(T3("n"))), .node = REGULAR(0644, 0, 50000, 1)},
	{.path = "dir.d/" T17(T5(T3("m"))), .node = {.mode = S_IFIFO}},
};

static const struct part layer_parts_more[] = {
	{.path = "", .node = {.mode = S_IFDIR | 0755, .flags = INODE_IMPLIED | INODE_OPAQUE}},
	{.path = "gone", .node = {.flags = INODE_WHITEOUT}},
	{.path = "here", .node = {.flags = INODE_LOWER_LINK, .target = B("/usr/bin/here")}},
	{.path = "opaque", .node = {.mode = S_IFDIR | 0700, .flags = INODE_OPAQUE, .mtime = 5}},
	{.path = "opaque/gone", .node = {.flags = INODE_WHITEOUT}},
	{.path = "implied", .node = {.mode = S_IFDIR | 0755, .flags = INODE_IMPLIED}},
	{.path = "implied/file", .node = REGULAR(0644, 0, 512, 9)},
	{.path = "null", .node = {.mode = S_IFCHR}},
};

/* Files of several layers side by side, the largest offset among them. */
static const struct part image_parts_more[] = {
	{.path = "a", .node = REGULAR(0644, 0, 512, 9)},
	{.path = "b", .node = REGULAR(0644, 2, 512, 9)},
	{.path = "c", .node = REGULAR(0644, 0, 1536, 9)},
	{.path = "d", .node = REGULAR(0644, 1, 2560, 9)},
	{.path = "e", .node = REGULAR(0644, 2, 1536, 9)},
	{.path = "f", .node = REGULAR(0644, 1, STREAM_MAX - 9, 9)},
	{.path = "g", .node = REGULAR(0644, 1, 0, STREAM_MAX)},
	{.path = "h", .node = REGULAR(0644, 2, STREAM_MAX - 1, 1)},
	{.path = "i",
	 .node = {.mode = S_IFREG | 0644,
		  .layer = 1,
		  .flags = INODE_SPARSE,
		  .size = UINT64_C(1) << 40,
		  .extents = two_runs,
		  .n_extents = 2}},
	{.path = "j", .node = {.mode = S_IFREG, .digest = empty_sha256}},
};

static struct index *open_file(const struct buf *file)
{
	struct index *ix;
	struct diag d = DIAG_INIT;
	if (index_open_bytes(buf_bytes(file), &ix, &d))
		fail_msg("%s", d.text);
	return ix;
}

/* The tree's index, out and in again. The tree is taken. */
static void check_round_trip(struct tree *tree, bool image)
{
	auto_buf struct buf want = {0}, got = {0}, form = {0}, sums = {0}, twice = {0};
	struct diag d = DIAG_INIT;
	assert_int_equal(index_of_tree(tree, image, NULL, &want), 0);
	tree_free(&tree);
	struct index *ix = open_file(&want);
	assert_int_equal(wire_tree_encode(ix, &form), 0);
	assert_int_equal(wire_tree_encode(ix, &twice), 0);
	assert_true(bytes_equal(buf_bytes(&form), buf_bytes(&twice)));
	assert_int_equal(wire_digests_encode(ix, &sums), 0);
	index_close(&ix);
	if (wire_tree_decode(buf_bytes(&form), image, image ? TREE_LAYERS : 1, &tree, &d))
		fail_msg("%s", d.text);
	struct bytes digests = buf_bytes(&sums);
	assert_int_equal(index_of_tree(tree, image, &digests, &got), 0);
	tree_free(&tree);
	assert_int_equal(want.n, got.n);
	assert_memory_equal(want.p, got.p, got.n);
}

static void test_layer(void **state)
{
	(void)state;
	check_round_trip(tree_of_parts(parts, ARRAY_LEN(parts)), false);
	check_round_trip(tree_of_parts(layer_parts_more, ARRAY_LEN(layer_parts_more)), false);
}

static void test_image(void **state)
{
	(void)state;
	check_round_trip(tree_of_parts(parts, ARRAY_LEN(parts)), true);
	check_round_trip(tree_of_parts(image_parts_more, ARRAY_LEN(image_parts_more)), true);
}

static void test_nothing(void **state)
{
	(void)state;
	check_round_trip(tree_new(), false);
	check_round_trip(tree_new(), true);
}

/* Directories as deep as they can be, below each other and beside each other. */
static void test_deep_and_wide(void **state)
{
	(void)state;
	struct tree *tree = tree_new();
	struct tree_node dir = {.mode = S_IFDIR | 0755};
	uint32_t at = 0, node;
	for (unsigned i = 0; i < FORMAT_DEPTH_MAX; i++, at = node) {
		assert_int_equal(tree_add_node(tree, &dir, &node), 0);
		assert_int_equal(tree_link(tree, at, BYTES_STR("d"), node), 0);
	}
	for (unsigned i = 0; i < 3000; i++) {
		char name[16];
		dir.mtime = i;
		snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(tree_add_node(tree, &dir, &node), 0);
		assert_int_equal(tree_link(tree, 0, BYTES_STR(name), node), 0);
	}
	check_round_trip(tree, false);
}

/* No build makes it, and the form can not say it. */
static void test_sparse_file_in_two_layers(void **state)
{
	(void)state;
	static const struct tree_extent runs[] = {{0, 1, 512}, {9, 1, UINT64_C(1) << 48 | 512}};
	static const struct part part = {.path = "a",
					 .node = {.mode = S_IFREG,
						  .flags = INODE_SPARSE,
						  .size = 10,
						  .extents = runs,
						  .n_extents = 2}};
	auto_buf struct buf file = {0}, form = {0};
	struct tree *tree = tree_of_parts(&part, 1);
	assert_int_equal(index_of_tree(tree, true, NULL, &file), 0);
	tree_free(&tree);
	struct index *ix = open_file(&file);
	assert_int_equal(wire_tree_encode(ix, &form), -ENOTSUP);
	index_close(&ix);
}

/* ---- a form by hand, and lies about it ---- */

#define DIR_A	 "\xed\x83\x01\0\0\0\0"
#define FILE_A	 "\xa4\x83\x02\0\0\0\0"
#define LINK_A	 "\xff\xc3\x02\0\0\0\0"
#define DEVICE_A "\xb6\x43\0\0\0\1"
#define SPARSE_A "\xa4\x83\x02\4\0\0\0"

/*
 * The root holds: a, a file of 3 bytes; b, a symlink to it; c, another name of a; d, a directory
 * with e, a device 1:3 that has an xattr; f, a sparse file of 9 bytes with two runs.
 */
static const struct bytes small[WIRE_COLUMNS] = {
	[COLUMN_COUNTS] = B("\5\1"),
	[COLUMN_NAMES] = B("a\0b\0c\0d\0e\0f\0"),
	[COLUMN_KINDS] = B("\1\1\1\0\2\1\1"),
	[COLUMN_ATTRIBUTES] = B(DIR_A FILE_A LINK_A DEVICE_A SPARSE_A),
	[COLUMN_XATTRS] = B("\1\6user.x\1y"),
	[COLUMN_TIMES] = B("\0\1\1\1\1\1"),
	[COLUMN_SECONDS] = B("\0"),
	[COLUMN_NANOSECONDS] = B("\0"),
	[COLUMN_SIZES_LOW] = B("\3\x9"),
	[COLUMN_SIZES_HIGH] = B("\0\0"),
	[COLUMN_LAYERS] = B("\0\0"),
	[COLUMN_PLACES] = B("\0\0"),
	[COLUMN_EXTENTS] = B("\2\0\1\2\1\0"),
	[COLUMN_TARGETS] = B("a\0"),
	[COLUMN_DEVICES] = B("\1\3"),
	[COLUMN_LINKS] = B("\2"),
};

static err_t decode_columns(const struct bytes columns[WIRE_COLUMNS], bool image,
			    struct tree **tree, struct diag *d)
{
	auto_buf struct buf form = {0};
	assert_int_equal(columns_pack(columns, WIRE_COLUMNS, &form), 0);
	return wire_tree_decode(buf_bytes(&form), image, TREE_LAYERS, tree, d);
}

/* What is written by hand is what the encoder writes. */
static void test_by_hand(void **state)
{
	(void)state;
	auto_buf struct buf file = {0}, form = {0}, raw = {0};
	struct bytes columns[WIRE_COLUMNS];
	struct diag d = DIAG_INIT;
	struct tree *tree;
	uint32_t row;
	struct extent x;
	if (decode_columns(small, true, &tree, &d))
		fail_msg("%s", d.text);
	assert_int_equal(index_of_tree(tree, true, NULL, &file), 0);
	tree_free(&tree);
	struct index *ix = open_file(&file);
	assert_int_equal(wire_tree_encode(ix, &form), 0);
	assert_int_equal(index_path(ix, BYTES_STR("/b"), true, &row), 0);
	index_extent(ix, row, 0, &x);
	assert_true(x.stream_off == 1024 && x.len == 3); /* behind the headers of the root and a */
	assert_int_equal(index_path(ix, BYTES_STR("/f"), true, &row), 0);
	index_extent(ix, row, 3, &x);
	assert_true(x.stream_off == 1536 + 5 * 512 + 1); /* behind those of b, c, d, e and f */
	index_close(&ix);
	assert_int_equal(columns_unpack(buf_bytes(&form), WIRE_COLUMNS, 1000, &raw, columns, NULL),
			 0);
	for (size_t i = 0; i < WIRE_COLUMNS; i++)
		if (!bytes_equal(columns[i], small[i]))
			fail_msg("column %zu", i);
}

struct lie {
	const char *what;
	enum wire_column column;
	struct bytes bytes; /* in its place */
	const char *text;   /* in the reason */
};

static const struct lie lie_list[] = {
	{"a name too many", COLUMN_COUNTS, B("\6\1"), "NAMES: a text"},
	{"a name too few", COLUMN_COUNTS, B("\4\1"), "too many"},
	{"more names than there are", COLUMN_COUNTS, B("\x81\xb4\x89\x13\1"), "can be"},
	{"no count of a directory", COLUMN_COUNTS, B("\5"), "COUNTS is cut"},
	{"a number that ends nowhere", COLUMN_COUNTS, B("\x80"), "COUNTS is cut"},
	{"a number of 70 bits", COLUMN_COUNTS, B("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f\1"),
	 "COUNTS is cut"},
	{"an empty name", COLUMN_NAMES, B("\0b\0c\0d\0e\0f\0"), "a text of 0"},
	{"a name of 256 bytes", COLUMN_NAMES, B("a" T17(T5(T3("n"))) "\0b\0c\0d\0e\0f\0"),
	 "more than 255"},
	{"a name without an end", COLUMN_NAMES, B("a\0b\0c\0d\0e\0f"), "NAMES: a text"},
	{"a slash", COLUMN_NAMES, B("a\0b/\0c\0d\0e\0f\0"), "no file can have"},
	{"dot", COLUMN_NAMES, B(".\0b\0c\0d\0e\0f\0"), "no file can have"},
	{"dot dot", COLUMN_NAMES, B("..\0b\0c\0d\0e\0f\0"), "no file can have"},
	{"names out of order", COLUMN_NAMES, B("b\0a\0c\0d\0e\0f\0"), "names out of order"},
	{"a name twice", COLUMN_NAMES, B("a\0a\0c\0d\0e\0f\0"), "names out of order"},
	{"the root as a link", COLUMN_KINDS, B("\0\1\1\0\2\1\1"), "the root"},
	{"the root as a file", COLUMN_ATTRIBUTES, B(FILE_A FILE_A LINK_A DEVICE_A SPARSE_A),
	 "the root"},
	{"a record that is not there", COLUMN_KINDS, B("\1\1\1\0\5\1\1"), "KINDS: 5"},
	{"no kind", COLUMN_KINDS, B("\1\1\1\0\2\1"), "KINDS is cut"},
	{"a mode of 17 bits", COLUMN_ATTRIBUTES, B("\xed\x83\x05\0\0\0\0"), "mode"},
	{"a socket", COLUMN_ATTRIBUTES, B(DIR_A "\xa4\x83\x03\0\0\0\0"), "mode 140644"},
	{"no type at all", COLUMN_ATTRIBUTES, B(DIR_A "\xa4\3\0\0\0\0"), "mode 644"},
	{"an opaque file", COLUMN_ATTRIBUTES, B(DIR_A "\xa4\x83\x02\1\0\0\0"), "flags 1"},
	{"a sparse directory", COLUMN_ATTRIBUTES, B("\xed\x83\x01\4\0\0\0"), "flags 4"},
	{"an implied directory in an image", COLUMN_ATTRIBUTES, B("\xed\x83\x01\2\0\0\0"),
	 "flags 2"},
	{"a symlink with flags", COLUMN_ATTRIBUTES, B(DIR_A FILE_A "\xff\xc3\x02\1\0\0\0"),
	 "flags 1"},
	{"flags that do not exist", COLUMN_ATTRIBUTES, B(DIR_A "\xa4\x83\x02\x20\0\0\0"),
	 "flags 20"},
	{"a whiteout in an image", COLUMN_ATTRIBUTES, B(DIR_A "\0\x8\0\0\0"), "mode 0 with"},
	{"a mode of 33 bits", COLUMN_ATTRIBUTES, B("\x80\x80\x80\x80\x10\0\0\0\0"), "can be"},
	{"an owner of 33 bits", COLUMN_ATTRIBUTES, B("\xed\x83\x01\0\x80\x80\x80\x80\x10\0\0"),
	 "can be"},
	{"attributes that are cut", COLUMN_ATTRIBUTES, B(DIR_A FILE_A "\xff\xc3\x02\0\0"),
	 "ATTRIBUTES is cut"},
	{"a set that is not there", COLUMN_ATTRIBUTES, B(DIR_A FILE_A LINK_A "\xb6\x43\0\0\0\2"),
	 "ATTRIBUTES: 2"},
	{"an empty set", COLUMN_XATTRS, B("\0"), "an empty set"},
	{"more xattrs than bytes", COLUMN_XATTRS, B("\x7f\6user.x\1y"), "XATTRS: 127"},
	{"an xattr that is cut", COLUMN_XATTRS, B("\1\6user.x\2y"), "XATTRS is cut"},
	{"an xattr without a name", COLUMN_XATTRS, B("\1\0\1y"), "name of an xattr"},
	{"a NUL in an xattr's name", COLUMN_XATTRS, B("\1\6use\0.x\1y"), "name of an xattr"},
	{"an xattr's name of 256 bytes", COLUMN_XATTRS, B("\1\x80\2" T17(T5(T3("n"))) "n\0"),
	 "XATTRS: 256"},
	{"a value of 65537 bytes", COLUMN_XATTRS, B("\1\6user.x\x81\x80\4y"), "XATTRS: 65537"},
	{"xattrs out of order", COLUMN_XATTRS, B("\2\1b\0\1a\0"), "xattrs out of order"},
	{"an xattr twice", COLUMN_XATTRS, B("\2\1a\0\1a\0"), "xattrs out of order"},
	{"a time that is not there", COLUMN_TIMES, B("\0\1\1\1\1\2"), "TIMES: 2"},
	{"no time", COLUMN_TIMES, B("\0\1\1\1\1"), "TIMES is cut"},
	{"a time after 2242", COLUMN_SECONDS, B("\x80\x80\x80\x80\x40"), "34 bits"},
	{"a time before 1697", COLUMN_SECONDS, B("\x81\x80\x80\x80\x40"), "34 bits"},
	{"a step that leads nowhere", COLUMN_SECONDS, B("\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"),
	 "can be"},
	{"a second in nanoseconds", COLUMN_NANOSECONDS, B("\x80\x94\xeb\xdc\3"), "can be"},
	{"no size", COLUMN_SIZES_LOW, B("\3"), "SIZES_LOW is cut"},
	{"half a size", COLUMN_SIZES_HIGH, B("\0"), "SIZES_HIGH is cut"},
	{"a size of 65 bits", COLUMN_SIZES_HIGH, B("\x80\x80\x80\x80\x80\x80\x80\x80\2\0"),
	 "can be"},
	{"a file larger than any stream", COLUMN_SIZES_HIGH, B("\x80\x80\x80\x80\x80\x40\0"),
	 "outside any stream"},
	{"a sparse file of 2^63 bytes", COLUMN_SIZES_HIGH, B("\0\x80\x80\x80\x80\x80\x80\x80\x40"),
	 "a sparse file of"},
	{"a layer that is not there", COLUMN_LAYERS, B("\3\0"), "layer 3 of 3"},
	{"no layer", COLUMN_LAYERS, B("\0"), "LAYERS is cut"},
	{"bytes in front of the stream", COLUMN_PLACES, B("\xa\0"), "outside any stream"},
	{"bytes behind the stream", COLUMN_PLACES, B("\x80\x80\x80\x80\x80\x80\x80\1\0"),
	 "outside any stream"},
	{"no place", COLUMN_PLACES, B("\0"), "PLACES is cut"},
	{"more extents than bytes", COLUMN_EXTENTS, B("\x7f\0\1\2\1\0"), "EXTENTS: 127"},
	{"an empty extent", COLUMN_EXTENTS, B("\2\0\0\2\1\0"), "an empty extent"},
	{"an extent behind the file", COLUMN_EXTENTS, B("\2\0\1\x9\1\0"), "EXTENTS: 9"},
	{"an extent over the file's end", COLUMN_EXTENTS, B("\2\0\1\7\2\0"), "EXTENTS: 2"},
	{"an extent in front of the stream", COLUMN_EXTENTS, B("\2\0\1\2\1\xff\xff\1"),
	 "extent outside"},
	{"an extent behind the stream", COLUMN_EXTENTS,
	 B("\2\0\1\2\1\x80\x80\x80\x80\x80\x80\x80\1"), "extent outside"},
	{"an extent that is cut", COLUMN_EXTENTS, B("\2\0\1\2\1"), "EXTENTS is cut"},
	{"an empty target", COLUMN_TARGETS, B("\0"), "TARGETS: a text"},
	{"a target without an end", COLUMN_TARGETS, B("a"), "TARGETS: a text"},
	{"a target of 4097 bytes", COLUMN_TARGETS,
	 B("a" T17(T5(T3("0123456789abcdef"))) "0123456789abcdef\0"), "more than 4096"},
	{"a device of 33 bits", COLUMN_DEVICES, B("\x80\x80\x80\x80\x10\3"), "can be"},
	{"half a device", COLUMN_DEVICES, B("\1"), "DEVICES is cut"},
	{"device 0:0 in an image", COLUMN_DEVICES, B("\0\0"), "0:0"},
	{"a link to itself", COLUMN_LINKS, B("\0"), "itself or to a directory"},
	{"a link to the root", COLUMN_LINKS, B("\3"), "itself or to a directory"},
	{"a link in front of the root", COLUMN_LINKS, B("\4"), "LINKS: 4"},
	{"no link", COLUMN_LINKS, B(""), "LINKS is cut"},
};

/* Those that an image's tree would be refused for anyway. */
static const struct lie layer_lies[] = {
	{"a whiteout that is a link", COLUMN_ATTRIBUTES, B(DIR_A "\0\x18\0\0\0"), "mode 0 with"},
	{"a whiteout with xattrs", COLUMN_ATTRIBUTES, B(DIR_A "\0\x8\0\0\1"), "mode 0 with"},
};

static void check_refused(const struct bytes columns[WIRE_COLUMNS], bool image, err_t want,
			  const char *what, const char *text)
{
	struct diag d = DIAG_INIT;
	struct tree *tree = NULL;
	err_t err = decode_columns(columns, image, &tree, &d);
	if (err != want || !strstr(d.text, text))
		fail_msg("%s: %d '%s'", what, err, d.text);
}

static void check_lies(const struct lie *list, size_t n, bool image)
{
	for (const struct lie *lie = list; lie < list + n; lie++) {
		struct bytes columns[WIRE_COLUMNS];
		memcpy(columns, small, sizeof(columns));
		columns[lie->column] = lie->bytes;
		check_refused(columns, image, -EBADMSG, lie->what, lie->text);
	}
}

static void test_lies(void **state)
{
	(void)state;
	check_lies(lie_list, ARRAY_LEN(lie_list), true);
	check_lies(layer_lies, ARRAY_LEN(layer_lies), false);
}

/* A byte too many at the end of each column. */
static void test_columns_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < WIRE_COLUMNS; i++) {
		struct bytes columns[WIRE_COLUMNS];
		auto_buf struct buf longer = {0};
		memcpy(columns, small, sizeof(columns));
		assert_int_equal(buf_append(&longer, small[i].p, small[i].n), 0);
		assert_int_equal(buf_append_zeros(&longer, 1), 0);
		columns[i] = buf_bytes(&longer);
		check_refused(columns, true, -EBADMSG, "a byte too many", "has 1 bytes too many");
	}
}

/* Names of all xattrs together, and directories below each other, are limited. */
static void test_limits(void **state)
{
	(void)state;
	struct bytes columns[WIRE_COLUMNS];
	auto_buf struct buf list = {0}, names = {0}, kinds = {0}, ones = {0};
	assert_int_equal(varint_put(&list, 257), 0);
	for (unsigned i = 0; i < 257; i++) {
		char name[256];
		snprintf(name, sizeof(name), "%0255u", i);
		assert_int_equal(buf_append(&list, "\xff\1", 2), 0);
		assert_int_equal(buf_append(&list, name, 255), 0);
		assert_int_equal(buf_append_zeros(&list, 1), 0);
	}
	memcpy(columns, small, sizeof(columns));
	columns[COLUMN_XATTRS] = buf_bytes(&list);
	check_refused(columns, true, -EBADMSG, "65792 bytes of names", "more xattrs");

	memset(columns, 0, sizeof(columns));
	assert_int_equal(buf_append(&kinds, "\1", 1), 0);
	for (unsigned i = 0; i <= FORMAT_DEPTH_MAX + 1; i++) {
		assert_int_equal(buf_append(&names, "d\0", 2), 0);
		assert_int_equal(buf_append(&kinds, "\2", 1), 0);
		assert_int_equal(buf_append(&ones, "\1", 1), 0);
	}
	columns[COLUMN_NAMES] = buf_bytes(&names);
	columns[COLUMN_KINDS] = buf_bytes(&kinds);
	columns[COLUMN_COUNTS] = buf_bytes(&ones);
	columns[COLUMN_ATTRIBUTES] = small[COLUMN_ATTRIBUTES];
	columns[COLUMN_SECONDS] = columns[COLUMN_NANOSECONDS] = (struct bytes)B("\0");
	ones.p[0] = 0;
	columns[COLUMN_TIMES] = buf_bytes(&ones);
	auto_buf struct buf counts = {0};
	for (unsigned i = 0; i <= FORMAT_DEPTH_MAX + 1; i++)
		assert_int_equal(buf_append(&counts, "\1", 1), 0);
	columns[COLUMN_COUNTS] = buf_bytes(&counts);
	check_refused(columns, true, -EBADMSG, "2049 directories", "directories deep");

	struct tree *tree = NULL;
	assert_int_equal(
		wire_tree_decode((struct bytes){NULL, 0}, true, INDEX_LAYERS_MAX + 1, &tree, NULL),
		-ENOTSUP);
}

/* Lies that take two columns: what lies outside a stream, without anything behind it there. */
static void test_ends_of_streams(void **state)
{
	(void)state;
	struct bytes columns[WIRE_COLUMNS];
	memcpy(columns, small, sizeof(columns));
	columns[COLUMN_SIZES_HIGH] = (struct bytes)B("\x80\x80\x80\x80\x80\x20\0");
	columns[COLUMN_LAYERS] = (struct bytes)B("\0\1");
	check_refused(columns, true, -EBADMSG, "a file over the stream's end", "outside any");
	columns[COLUMN_SIZES_HIGH] = (struct bytes)B("\0\x80\x80\x80\x80\x80\x80\1");
	columns[COLUMN_EXTENTS] = (struct bytes)B("\1\0\x80\x80\x80\x80\x80\x80\x20");
	check_refused(columns, true, -EBADMSG, "an extent over the stream's end", "extent outside");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layer),
		cmocka_unit_test(test_image),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_deep_and_wide),
		cmocka_unit_test(test_sparse_file_in_two_layers),
		cmocka_unit_test(test_by_hand),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_columns_end),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_ends_of_streams),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
