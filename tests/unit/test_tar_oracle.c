/*
 * Archives that other programs write: GNU tar, libarchive's bsdtar and Python's tarfile pack one
 * small tree in every dialect they know, and the reader must find in the archive what lstat(2) and
 * read(2) find in the tree: every name once, every attribute the dialect can carry, every byte,
 * and holes where the file has zeroes. A program that is not installed is skipped.
 */
#include "index/tar.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <cmocka.h>

/* What a dialect carries. */
enum {
	NANOSECONDS = 1,
	XATTRS = 2,
	SPARSE = 4,	/* and this program uses it for the file with holes */
	SINCE_1970 = 8, /* this program writes 0 for earlier times */
};

struct writer {
	const char *tree; /* "plain": what v7 can say; "rich": everything */
	unsigned carries;
	const char *program; /* looked for first */
	const char *command; /* %s: the tree; writes to stdout */
};

#define PYTHON(format)                                                                             \
	"/usr/bin/python3 -c \"import sys, tarfile\n"                                              \
	"t = tarfile.open(fileobj=sys.stdout.buffer, mode='w|', format=tarfile." format ")\n"      \
	"t.add('%s')\nt.close()\""

static const struct writer writers[] = {
	{"plain", 0, "tar", "tar --format=v7 -cf - %s"},
	{"plain", 0, "tar", "tar --format=oldgnu -cf - %s"},
	{"plain", 0, "tar", "tar --format=ustar -cf - %s"},
	{"rich", 0, "tar", "tar --format=gnu -cf - %s"},
	{"rich", SPARSE, "tar", "tar --format=gnu -S -cf - %s"},
	{"rich", SPARSE, "tar", "tar --format=oldgnu -S -cf - %s"},
	{"rich", NANOSECONDS | XATTRS, "tar", "tar --format=posix --xattrs -cf - %s"},
	{"rich", NANOSECONDS | SPARSE, "tar",
	 "tar --format=posix -S --sparse-version=0.0 -cf - %s"},
	{"rich", NANOSECONDS | SPARSE, "tar",
	 "tar --format=posix -S --sparse-version=0.1 -cf - %s"},
	{"rich", NANOSECONDS | SPARSE | XATTRS, "tar",
	 "tar --format=posix -S --sparse-version=1.0 --xattrs -cf - %s"},
	{"plain", 0, "bsdtar", "bsdtar --format=v7 -cf - %s"},
	{"plain", 0, "bsdtar", "bsdtar --format=ustar -cf - %s"},
	{"rich", SINCE_1970, "bsdtar", "bsdtar --format=gnutar -cf - %s"},
	{"rich", NANOSECONDS | XATTRS | SPARSE, "bsdtar", "bsdtar --format=pax -cf - %s"},
	{"plain", 0, "/usr/bin/python3", PYTHON("USTAR_FORMAT")},
	{"rich", 0, "/usr/bin/python3", PYTHON("GNU_FORMAT")},
	{"rich", 0, "/usr/bin/python3", PYTHON("PAX_FORMAT")},
};

static char world[] = "tar-oracle-XXXXXX";
static int home = -1;

/* The tree. */
static void write_file(const char *path, size_t n)
{
	FILE *out = fopen(path, "w");
	assert_non_null(out);
	for (size_t i = 0; i < n; i++)
		fputc((int)(i * 7 + i / 251) & 0xff, out);
	fclose(out);
}

static void set_time(const char *path, time_t seconds, long ns)
{
	const struct timespec times[2] = {{seconds, ns}, {seconds, ns}};
	assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void write_sparse(const char *path)
{
	auto_fd int fd = open(path, O_WRONLY | O_CREAT, 0644);
	assert_true(fd >= 0);
	for (off_t i = 1; i < 60; i += 2) /* more extents than an old header holds */
		assert_int_equal(pwrite(fd, "data", 4, i * 65536), 4);
	assert_int_equal(ftruncate(fd, (off_t)60 * 65536 + 5), 0);
}

static void make_common(const char *tree)
{
	assert_int_equal(mkdir(tree, 0755), 0);
	assert_int_equal(chdir(tree), 0);
	assert_int_equal(mkdir("dir", 01777), 0);
	write_file("empty", 0);
	write_file("dir/small", 511);
	write_file("dir/block", 512);
	write_file("large", 300001);
	assert_int_equal(chmod("large", 04751), 0);
	assert_int_equal(link("large", "dir/other name of large"), 0);
	assert_int_equal(symlink("../some where/else", "link"), 0);
	set_time("empty", 1700000000, 123456789);
}

static void make_rich(void)
{
	char name[256] = {0};
	memset(name, 'n', 250);
	write_file(name, 10);
	assert_int_equal(mkdir("deep", 0700), 0);
	char path[600], target[301] = {0};
	snprintf(path, sizeof(path), "deep/%s", name);
	assert_int_equal(mkdir(path, 0755), 0);
	strcat(path, "/f");
	write_file(path, 3);
	memset(target, 't', 300);
	assert_int_equal(symlink(target, "long link"), 0);
	assert_int_equal(link(name, "hard link to long name"), 0);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	write_sparse("sparse");
	write_file("caf\xc3\xa9", 1);
	set_time("caf\xc3\xa9", -86400, 0);
	if (setxattr("empty", "user.binary", "a\0=\n\xff", 5, 0) < 0)
		assert_int_equal(errno, ENOTSUP);
	if (geteuid() != 0)
		return;
	assert_int_equal(lchown("dir/small", 3000000, 4000000000u), 0);
	if (mknod("device", S_IFCHR | 0620, makedev(240, 70000)) < 0)
		assert_int_equal(errno, EPERM);
}

static int tree_setup(void **state)
{
	(void)state;
	home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	umask(022);
	if (home < 0 || !mkdtemp(world) || chdir(world) < 0)
		return -1;
	make_common("plain");
	assert_int_equal(chdir(".."), 0);
	make_common("rich");
	make_rich();
	return chdir("..");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

static int tree_teardown(void **state)
{
	(void)state;
	if (fchdir(home) < 0)
		return -1;
	close(home);
	return nftw(world, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int n_names;
static int count_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)path, (void)st, (void)type, (void)at;
	n_names++;
	return 0;
}

/* The comparison: a sink that knows where it is in the real file. */
struct compare {
	const struct writer *writer;
	const struct buf *archive;
	char path[TAR_PATH_MAX + 1];
	struct stat st;
	int fd;
	uint64_t archive_off, data_len;
	struct tar_extent extents[64];
	size_t n_extents, extent;
	uint64_t extent_at; /* bytes of the current extent that were seen */
	int n_entries, n_sparse, n_xattrs;
};

static void compare_type(const struct compare *c, const struct tar_entry *e)
{
	static const mode_t modes[] = {
		[TAR_REGULAR] = S_IFREG, [TAR_SYMLINK] = S_IFLNK,   [TAR_CHAR] = S_IFCHR,
		[TAR_BLOCK] = S_IFBLK,	 [TAR_DIRECTORY] = S_IFDIR, [TAR_FIFO] = S_IFIFO};
	char target[TAR_PATH_MAX + 1] = {0};
	struct stat st;
	switch (e->type) {
	case TAR_HARDLINK:
		memcpy(target, e->link.p, e->link.n);
		assert_int_equal(lstat(target, &st), 0);
		assert_int_equal(st.st_ino, c->st.st_ino);
		return;
	case TAR_SYMLINK:
		assert_int_equal(readlink(c->path, target, sizeof(target)), e->link.n);
		assert_memory_equal(target, e->link.p, e->link.n);
		break;
	case TAR_CHAR:
	case TAR_BLOCK:
		assert_int_equal(makedev(e->dev_major, e->dev_minor), c->st.st_rdev);
		break;
	default:
		break;
	}
	assert_int_equal(modes[e->type], c->st.st_mode & S_IFMT);
}

static void compare_xattrs(struct compare *c, const struct tar_entry *e)
{
	uint8_t value[256];
	for (size_t i = 0; i < e->n_xattrs; i++) {
		char name[256] = {0};
		memcpy(name, e->xattrs[i].name.p, e->xattrs[i].name.n);
		ssize_t n = lgetxattr(c->path, name, value, sizeof(value));
		assert_int_equal(n, e->xattrs[i].value.n);
		assert_memory_equal(value, e->xattrs[i].value.p, (size_t)n);
		c->n_xattrs++;
	}
}

static err_t compare_entry(void *arg, const struct tar_entry *e, struct diag *d)
{
	struct compare *c = arg;
	(void)d;
	memcpy(c->path, e->name.p, e->name.n);
	c->path[e->name.n] = 0;
	assert_int_equal(lstat(c->path, &c->st), 0);
	compare_type(c, e);
	if (e->type != TAR_SYMLINK) /* some write 0777, some 0755, and nobody reads it */
		assert_int_equal(e->mode, c->st.st_mode & 07777);
	assert_int_equal(e->uid, c->st.st_uid);
	assert_int_equal(e->gid, c->st.st_gid);
	if (c->st.st_mtim.tv_sec >= 0 || !(c->writer->carries & SINCE_1970))
		assert_int_equal(e->mtime, c->st.st_mtim.tv_sec);
	if (c->writer->carries & NANOSECONDS)
		assert_int_equal(e->mtime_ns, c->st.st_mtim.tv_nsec);
	compare_xattrs(c, e);
	c->n_entries++;
	c->n_sparse += e->sparse;
	c->fd = -1;
	if (e->type != TAR_REGULAR)
		return 0;
	assert_int_equal(e->size, c->st.st_size);
	c->fd = open(c->path, O_RDONLY | O_CLOEXEC);
	assert_true(c->fd >= 0);
	c->archive_off = e->data_off;
	c->data_len = e->data_len;
	c->extents[0] = (struct tar_extent){0, e->size};
	c->n_extents = 1;
	c->extent = c->extent_at = 0;
	assert_true(e->n_extents <= ARRAY_LEN(c->extents));
	if (e->sparse) {
		memcpy(c->extents, e->extents, e->n_extents * sizeof(e->extents[0]));
		c->n_extents = e->n_extents;
	}
	return 0;
}

static err_t compare_data(void *arg, const uint8_t *p, size_t n, struct diag *d)
{
	struct compare *c = arg;
	(void)d;
	assert_memory_equal(p, c->archive->p + c->archive_off, n);
	c->archive_off += n;
	c->data_len -= n;
	while (n) {
		uint8_t real[65536];
		assert_true(c->extent < c->n_extents);
		struct tar_extent x = c->extents[c->extent];
		size_t part = min_of(n, sizeof(real));
		part = (size_t)min_of(x.len - c->extent_at, (uint64_t)part);
		assert_int_equal(read_at(c->fd, real, part, x.off + c->extent_at), 0);
		assert_memory_equal(p, real, part);
		p += part;
		n -= part;
		c->extent_at += part;
		if (c->extent_at == x.len)
			c->extent++, c->extent_at = 0;
	}
	return 0;
}

static void assert_zeroes(int fd, uint64_t off, uint64_t end)
{
	static const uint8_t zeroes[4096];
	uint8_t real[4096];
	while (off < end) {
		size_t n = (size_t)min_of(end - off, (uint64_t)sizeof(real));
		assert_int_equal(read_at(fd, real, n, off), 0);
		assert_memory_equal(real, zeroes, n);
		off += n;
	}
}

static err_t compare_end(void *arg, struct diag *d)
{
	struct compare *c = arg;
	uint64_t off = 0;
	(void)d;
	if (c->fd < 0)
		return 0;
	assert_int_equal(c->data_len, 0);
	for (size_t i = 0; i < c->n_extents; i++) {
		assert_zeroes(c->fd, off, c->extents[i].off);
		off = c->extents[i].off + c->extents[i].len;
	}
	assert_zeroes(c->fd, off, (uint64_t)c->st.st_size);
	close(c->fd);
	return 0;
}

static void read_output(const char *command, struct buf *archive)
{
	uint8_t piece[65536];
	size_t n;
	FILE *in = popen(command, "r");
	assert_non_null(in);
	while ((n = fread(piece, 1, sizeof(piece), in)))
		assert_int_equal(buf_append(archive, piece, n), 0);
	assert_int_equal(pclose(in), 0);
}

static void read_archive(struct compare *c, size_t piece)
{
	static const struct tar_sink sink = {compare_entry, compare_data, compare_end};
	struct diag d = DIAG_INIT;
	struct tar *t = tar_new(&sink, c);
	for (size_t at = 0; at < c->archive->n; at += piece) {
		size_t n = min_of(piece, c->archive->n - at);
		err_t err = tar_feed(t, c->archive->p + at, n, &d);
		if (err)
			print_error("%s: %s\n", c->writer->command, d.text);
		assert_int_equal(err, 0);
	}
	assert_int_equal(tar_finish(t, &d), 0);
	tar_free(&t);
}

static bool program_exists(const char *program)
{
	char command[256];
	snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", program);
	return system(command) == 0;
}

static void check_writer(const struct writer *writer)
{
	auto_buf struct buf archive = {0};
	const char *tree = strstr(writer->command, "%s");
	auto_free char *command =
		xasprintf("export LC_ALL=C.UTF-8; %.*s%s%s", (int)(tree - writer->command),
			  writer->command, writer->tree, tree + 2);
	read_output(command, &archive);
	struct compare c = {.writer = writer, .archive = &archive};
	read_archive(&c, archive.n);
	n_names = 0;
	assert_int_equal(nftw(writer->tree, count_one, 16, FTW_PHYS), 0);
	assert_int_equal(c.n_entries, n_names);
	assert_int_equal(c.n_sparse, writer->carries & SPARSE ? 1 : 0);
	if (writer->carries & XATTRS && lgetxattr("rich/empty", "user.binary", NULL, 0) >= 0)
		assert_int_equal(c.n_xattrs, 1);
	read_archive(&c, 1000);
}

static void test_writers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(writers); i++) {
		if (program_exists(writers[i].program)) {
			check_writer(&writers[i]);
			print_message("  read: %.60s\n", writers[i].command);
		} else {
			print_message("  not installed: %s\n", writers[i].program);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_writers, tree_setup, tree_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
