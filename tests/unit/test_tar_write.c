/*
 * Archives that imgfs writes: our own strict reader says what was put in, GNU tar and bsdtar make
 * the same files of it, and the bytes are those of a plain ustar header where that is enough.
 */
#include "index/tar_write.h"
#include "tests/unit/tar_build.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define B(text) BYTES_STR(text)

/* A member and its stored bytes. */
static void put(struct buf *out, struct tar_entry e, const char *data)
{
	e.data_len = strlen(data);
	if (e.type == TAR_REGULAR && !e.sparse)
		e.size = e.data_len;
	assert_int_equal(tar_write_header(&e, out), 0);
	assert_int_equal(buf_append(out, data, strlen(data)), 0);
	assert_int_equal(buf_append_zeros(out, tar_padding(e.data_len)), 0);
}

static struct tar_entry file(struct bytes name)
{
	return (struct tar_entry){.name = name, .mode = 0644, .mtime = 1600000000};
}

/* What the reader says of one member; the caller frees. */
static char *read_back(struct tar_entry e, const char *data)
{
	struct buf archive = {0};
	struct record r = {0};
	struct diag d = DIAG_INIT;
	put(&archive, e, data);
	assert_int_equal(buf_append_zeros(&archive, TAR_END_LEN), 0);
	assert_int_equal(archive.n % 512, 0);
	assert_int_equal(record_archive(&archive, 7, &r, &d), 0);
	buf_fini(&archive);
	return r.text;
}

static void assert_reads(struct tar_entry e, const char *data, const char *want)
{
	auto_free char *text = read_back(e, data);
	assert_string_equal(text, want);
}

static char long_name[201], long_dir[101];

static void types(void **state)
{
	struct tar_entry e = file(B("a"));
	(void)state;
	assert_reads(e, "text", "f a 0644 0:0 1600000000.000000000 4 @512+4:text\n");
	assert_reads(e, "", "f a 0644 0:0 1600000000.000000000 0 @512+0:\n");
	e.type = TAR_HARDLINK;
	e.link = B("b/c");
	assert_reads(e, "", "h a -> b/c 0644 0:0 1600000000.000000000:\n");
	e.type = TAR_SYMLINK;
	assert_reads(e, "", "l a -> b/c 0644 0:0 1600000000.000000000:\n");
	e = file(B("d"));
	e.type = TAR_DIRECTORY;
	e.mode = 07777;
	assert_reads(e, "", "d d/ 7777 0:0 1600000000.000000000:\n");
	e.name = B("d/");
	assert_reads(e, "", "d d/ 7777 0:0 1600000000.000000000:\n");
	e.type = TAR_CHAR;
	e.name = B("c");
	e.dev_major = 4095;
	e.dev_minor = 1048575;
	assert_reads(e, "", "c c 7777 0:0 1600000000.000000000 dev 4095,1048575:\n");
	e.type = TAR_FIFO;
	e.dev_major = e.dev_minor = 0;
	assert_reads(e, "", "p c 7777 0:0 1600000000.000000000:\n");
}

static void long_names(void **state)
{
	struct tar_entry e = file(B(long_name));
	(void)state;
	auto_free char *want =
		xasprintf("f %s 0644 0:0 1600000000.000000000 0 @1536+0:\n", long_name);
	assert_reads(e, "", want);
	e.name.n = 100; /* the most that fits */
	auto_free char *fits =
		xasprintf("f %.100s 0644 0:0 1600000000.000000000 0 @512+0:\n", long_name);
	assert_reads(e, "", fits);
	e.type = TAR_DIRECTORY; /* with its slash it does not */
	e.name = B(long_dir);
	auto_free char *dir = xasprintf("d %s/ 0644 0:0 1600000000.000000000:\n", long_dir);
	assert_reads(e, "", dir);
	e.type = TAR_SYMLINK;
	e.name = B("l");
	e.link = B(long_name);
	auto_free char *link = xasprintf("l l -> %s 0644 0:0 1600000000.000000000:\n", long_name);
	assert_reads(e, "", link);
	assert_reads(file(B("caf\xe9 \xc3\xa9")), "",
		     "f caf\\e9\\20\\c3\\a9 0644 0:0 1600000000.000000000 0 @512+0:\n");
}

static void times_and_ids(void **state)
{
	static const struct {
		int64_t seconds;
		uint32_t ns;
		const char *want;
	} cases[] = {
		{0, 0, "0.000000000"},		 {1, 1, "1.000000001"},
		{-2, 500000000, "-2.500000000"}, {-1, 0, "-1.000000000"},
		{-1, 999999999, "-1.999999999"}, {8589934592, 0, "8589934592.000000000"},
		{5, 120000000, "5.120000000"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct tar_entry e = file(B("a"));
		e.type = TAR_FIFO;
		e.mtime = cases[i].seconds;
		e.mtime_ns = cases[i].ns;
		auto_free char *want = xasprintf("p a 0644 0:0 %s:\n", cases[i].want);
		assert_reads(e, "", want);
	}
	struct tar_entry e = file(B("a"));
	e.type = TAR_FIFO;
	e.uid = UINT32_MAX - 1;
	e.gid = 07777777 + 1;
	assert_reads(e, "", "p a 0644 4294967294:2097152 1600000000.000000000:\n");
}

static void xattrs(void **state)
{
	static const struct tar_xattr list[] = {
		{{(const uint8_t *)"user.a", 6}, {(const uint8_t *)"x\0\n=y", 5}},
		{{(const uint8_t *)"user.b=%c", 9}, {(const uint8_t *)"\xff\0z", 3}},
		{{(const uint8_t *)"user.d", 6}, {NULL, 0}},
	};
	struct tar_entry e = file(B("a"));
	(void)state;
	e.xattrs = list;
	e.n_xattrs = ARRAY_LEN(list);
	assert_reads(e, "q",
		     "f a 0644 0:0 1600000000.000000000 1 @1536+1 user.a=x\\00\\0a=y "
		     "user.b=%c=\\ff\\00z user.d=:q\n");
	/* The length of a record counts its own digits: all values around the changes. */
	for (size_t n = 0; n < 1100; n++) {
		auto_free char *value = xcalloc(1, n + 1);
		memset(value, 'v', n);
		const struct tar_xattr one = {B("user.n"), B(value)};
		e.xattrs = &one;
		e.n_xattrs = 1;
		auto_free char *text = read_back(e, "");
		assert_non_null(strstr(text, "user.n="));
		assert_int_equal(strlen(strchr(text, '=')), n + 3);
	}
}

static void holes(void **state)
{
	static const struct tar_extent extents[] = {
		{4096, 512}, {1 << 20, 1024}, {(1 << 20) + 2048, 4}};
	struct tar_entry e = file(B("dir/sparse"));
	char data[1541] = {0};
	(void)state;
	memset(data, 'a', 1540);
	e.sparse = true;
	e.extents = extents;
	e.n_extents = 3;
	e.size = 1 << 21;
	auto_free char *open_end =
		xasprintf("f dir/sparse 0644 0:0 1600000000.000000000 2097152 @2048+1540 "
			  "[4096+512] [1048576+1024] [1050624+4] sparse:%s\n",
			  data);
	assert_reads(e, data, open_end);
	e.size = (1 << 20) + 2052; /* data up to the end */
	auto_free char *closed =
		xasprintf("f dir/sparse 0644 0:0 1600000000.000000000 1050628 @2048+1540 "
			  "[4096+512] [1048576+1024] [1050624+4] sparse:%s\n",
			  data);
	assert_reads(e, data, closed);
	e.n_extents = 0; /* nothing but a hole */
	assert_reads(e, "", "f dir/sparse 0644 0:0 1600000000.000000000 1050628 @2048+0 sparse:\n");
}

static void large_sizes(void **state)
{
	struct buf out = {0};
	struct tar_entry e = file(B("a"));
	(void)state;
	e.size = e.data_len = UINT64_C(0100000000000); /* one more than eleven digits hold */
	assert_int_equal(tar_write_header(&e, &out), 0);
	assert_int_equal(out.n, 3 * 512);
	assert_memory_equal(out.p + 512, "19 size=8589934592\n", 19);
	buf_fini(&out);
	e.size = --e.data_len;
	assert_int_equal(tar_write_header(&e, &out), 0);
	assert_int_equal(out.n, 512);
	assert_memory_equal(out.p + 124, "77777777777", 12);
	buf_fini(&out);
}

/* --- other readers --- */

static char world[] = "tar-write-XXXXXX";
static int home = -1;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

static int world_setup(void **state)
{
	(void)state;
	memset(long_name, 'n', sizeof(long_name) - 1);
	memset(long_dir, 'd', sizeof(long_dir) - 1);
	home = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return !mkdtemp(world) || chdir(world) ? -1 : 0;
}

static int world_teardown(void **state)
{
	(void)state;
	int failed = fchdir(home);
	close(home);
	return failed || nftw(world, remove_one, 16, FTW_DEPTH | FTW_PHYS) ? -1 : 0;
}

static const char name_latin1[] = "caf\xe9";

static void write_sample(void)
{
	static const struct tar_extent extents[] = {{65536, 512}, {1 << 20, 2}};
	char data[515] = {0};
	const struct tar_xattr note = {B("user.note"), B("a=b\nc")};
	struct buf out = {0};
	struct tar_entry e = file(B("./"));
	e.type = TAR_DIRECTORY;
	e.mode = 0750;
	put(&out, e, "");
	e = file(B(name_latin1));
	e.mtime_ns = 123456789;
	e.xattrs = &note;
	e.n_xattrs = 1;
	put(&out, e, "latin");
	char deep[160];
	snprintf(deep, sizeof(deep), "%.130s\xe9", long_name); /* in a record, and not UTF-8 */
	put(&out, file(B(deep)), "deep");
	e = file(B("link"));
	e.type = TAR_HARDLINK;
	e.link = B(deep);
	put(&out, e, "");
	e = file(B("sparse"));
	e.sparse = true;
	e.extents = extents;
	e.n_extents = 2;
	e.size = 3 << 20;
	memset(data, 'x', 512);
	memcpy(data, "data", 4);
	memcpy(data + 512, "zz", 2);
	put(&out, e, data);
	assert_int_equal(buf_append_zeros(&out, TAR_END_LEN), 0);
	auto_fd int fd = open("sample.tar", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write_all(fd, out.p, out.n), 0);
	buf_fini(&out);
}

static void assert_file(const char *path, off_t size, const char *text, off_t off)
{
	struct stat st;
	char found[16] = {0};
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_size, size);
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(read_at(fd, found, strlen(text), (uint64_t)off), 0);
	assert_string_equal(found, text);
}

static void check_extracted(const char *dir, bool xattrs_kept)
{
	struct stat st;
	char value[16] = {0}, deep[160];
	snprintf(deep, sizeof(deep), "%.130s\xe9", long_name);
	assert_int_equal(chdir(dir), 0);
	assert_file(name_latin1, 5, "latin", 0);
	assert_int_equal(lstat(name_latin1, &st), 0);
	assert_int_equal(st.st_mtim.tv_nsec, 123456789);
	if (xattrs_kept && lgetxattr(name_latin1, "user.note", value, sizeof(value)) >= 0)
		assert_string_equal(value, "a=b\nc");
	assert_file(deep, 4, "deep", 0);
	assert_int_equal(lstat("link", &st), 0);
	assert_int_equal(st.st_nlink, 2);
	assert_file("sparse", 3 << 20, "data", 65536);
	assert_file("sparse", 3 << 20, "zz", 1 << 20);
	assert_int_equal(lstat("sparse", &st), 0);
	assert_true(st.st_blocks * 512 < 1 << 20);
	assert_int_equal(chdir(".."), 0);
}

static void other_readers(void **state)
{
	static const struct {
		const char *dir, *program, *command;
	} readers[] = {
		{"gnu", "tar", "tar -C gnu --xattrs -xpf sample.tar 2>gnu.log"},
		{"bsd", "bsdtar", "bsdtar -C bsd -xpf sample.tar"},
		{"bsd-c", "bsdtar", "LC_ALL=C bsdtar -C bsd-c -xpf sample.tar"},
	};
	(void)state;
	write_sample();
	for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
		auto_free char *have = xasprintf("command -v %s >/dev/null", readers[i].program);
		if (system(have)) {
			print_message("  not installed: %s\n", readers[i].program);
			continue;
		}
		assert_int_equal(mkdir(readers[i].dir, 0700), 0);
		assert_int_equal(system(readers[i].command), 0);
		check_extracted(readers[i].dir, true);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types),	 cmocka_unit_test(long_names),
		cmocka_unit_test(times_and_ids), cmocka_unit_test(xattrs),
		cmocka_unit_test(holes),	 cmocka_unit_test(large_sizes),
		cmocka_unit_test(other_readers),
	};
	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
