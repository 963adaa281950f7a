/*
 * test_ops - the operations, asked by a kernel that may lie: nodes that were never given out,
 * offsets behind the end, and interrupts at every moment of a read
 *
 * The contents are a fake: it answers at once, or when the test says so, or on a thread of its own.
 */
#include "tests/unit/fake_kernel.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define TREE                                                                                       \
	"d dir\nf dir/file hello\ns dir/link ../target\nd dir/deep\nf dir/deep/x y\nd empty\n"     \
	"f%600 zero\nd many"
#define HELLO 5 /* bytes of dir/file */

/* ---- contents ---- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	bool later; /* keep reads until fake_finish, or for the worker */
	bool ending;
	err_t err; /* of reads that are not kept */
	struct read_request *waiting[64];
	unsigned n;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static void finish(struct read_request *r, err_t err)
{
	memcpy(r->buf, &"hello"[r->off], r -> n);
	r->done(r, err);
}

void content_read_start(struct content *c, struct read_request *r)
{
	bool now;
	(void)c;
	pthread_mutex_lock(&fake.lock);
	err_t err = fake.err;
	now = !fake.later;
	if (!now) {
		BUG_ON(fake.n == ARRAY_LEN(fake.waiting));
		fake.waiting[fake.n++] = r;
		pthread_cond_broadcast(&fake.more);
	}
	pthread_mutex_unlock(&fake.lock);
	if (now)
		finish(r, err);
}

static _Atomic(unsigned) containers_expected;

void content_expect(struct content *c, char *const *words, const char *cwd)
{
	(void)c, (void)words, (void)cwd;
	containers_expected++;
}

void content_read_cancel(struct content *c, struct read_request *r)
{
	bool found = false;
	(void)c;
	pthread_mutex_lock(&fake.lock);
	for (unsigned i = 0; i < fake.n && !found; i++) {
		if (fake.waiting[i] != r)
			continue;
		fake.waiting[i] = fake.waiting[--fake.n];
		found = true;
	}
	pthread_mutex_unlock(&fake.lock);
	if (found)
		r->done(r, -EINTR);
}

/* Finish the read that waits longest, once there is one; false when the test ends. */
static bool fake_finish(void)
{
	struct read_request *r = NULL;
	pthread_mutex_lock(&fake.lock);
	while (fake.n == 0 && !fake.ending)
		pthread_cond_wait(&fake.more, &fake.lock);
	if (fake.n) {
		r = fake.waiting[0];
		memmove(fake.waiting, fake.waiting + 1, --fake.n * sizeof(*fake.waiting));
	}
	pthread_mutex_unlock(&fake.lock);
	if (r)
		finish(r, 0);
	return r;
}

static void fake_set(bool later, bool ending)
{
	pthread_mutex_lock(&fake.lock);
	fake.later = later;
	fake.ending = ending;
	pthread_cond_broadcast(&fake.more);
	pthread_mutex_unlock(&fake.lock);
}

static unsigned fake_waiting(void)
{
	pthread_mutex_lock(&fake.lock);
	unsigned n = fake.n;
	pthread_mutex_unlock(&fake.lock);
	return n;
}

static void *worker(void *arg)
{
	(void)arg;
	while (fake_finish())
		;
	return NULL;
}

/* ---- asking ---- */

static int ask_read(struct kernel *k, uint64_t node, uint64_t off, uint32_t size)
{
	struct fuse_read_in in = {.offset = off, .size = size};
	return kernel_ask(k, FUSE_READ, node, &in, sizeof(in));
}

static uint64_t send_read(struct kernel *k, uint64_t node)
{
	struct fuse_read_in in = {.size = 4096};
	return kernel_send(k, FUSE_READ, node, &in, sizeof(in));
}

static int ask_list(struct kernel *k, uint32_t opcode, uint64_t node, uint64_t off, uint32_t size)
{
	struct fuse_read_in in = {.offset = off, .size = size};
	return kernel_ask(k, opcode, node, &in, sizeof(in));
}

static uint64_t file_node(struct kernel *k)
{
	return kernel_node(k, kernel_node(k, 1, "dir"), "file");
}

/* ---- tests ---- */

/* Whatever made a read fail, programs see EIO: ENOENT or EACCES would speak of their file. */
static void test_read_errors(void **state)
{
	static const err_t errors[] = {-EIO, -EBADMSG, -ENOENT, -EACCES, -EDQUOT, -ENOMEM};
	struct kernel *k = kernel_new(TREE, KERNEL_FLAGS);
	uint64_t file;
	(void)state;
	file = file_node(k);
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		fake.err = errors[i];
		assert_int_equal(ask_read(k, file, 0, 4096), -EIO);
	}
	fake.err = -EINTR;
	assert_int_equal(ask_read(k, file, 0, 4096), -EINTR);
	fake.err = 0;
	kernel_free(&k);
}

static void test_handshake(void **state)
{
	struct kernel *k = kernel_new(TREE, KERNEL_FLAGS);
	(void)state;
	assert_false(k->init.flags & FUSE_AUTO_INVAL_DATA);
	assert_true(k->init.flags & FUSE_EXPLICIT_INVAL_DATA);
	assert_true(k->init.flags & FUSE_CACHE_SYMLINKS);
	assert_true(k->init.flags & FUSE_DO_READDIRPLUS);
	assert_true(k->init.flags & FUSE_READDIRPLUS_AUTO);
	assert_true(k->init.flags & FUSE_ASYNC_READ);
	assert_false(k->init.flags & FUSE_ASYNC_DIO);
	assert_false(k->init.flags & FUSE_POSIX_ACL); /* this tree has none */
	assert_int_equal(k->init.max_background, 64);
	assert_int_equal(k->init.congestion_threshold, 48);
	assert_int_equal(k->init.max_write, READ_MAX);
	kernel_free(&k);
}

static void test_open_is_never_asked_again(void **state)
{
	struct kernel *k = kernel_new(TREE, KERNEL_FLAGS);
	struct fuse_open_in in = {0};
	(void)state;
	assert_int_equal(kernel_ask(k, FUSE_OPEN, file_node(k), &in, sizeof(in)), -ENOSYS);
	assert_int_equal(kernel_ask(k, FUSE_OPENDIR, 1, &in, sizeof(in)), -ENOSYS);
	kernel_free(&k);
}

static void test_open_for_an_old_kernel(void **state)
{
	uint32_t flags = KERNEL_FLAGS & ~(uint32_t)(FUSE_NO_OPEN_SUPPORT | FUSE_NO_OPENDIR_SUPPORT);
	struct kernel *k = kernel_new(TREE, flags);
	struct fuse_open_in in = {0};
	struct fuse_open_out out;
	(void)state;
	assert_int_equal(kernel_ask(k, FUSE_OPEN, file_node(k), &in, sizeof(in)), 0);
	memcpy(&out, k->answer, sizeof(out));
	assert_true(out.open_flags & FOPEN_KEEP_CACHE);
	assert_int_equal(kernel_ask(k, FUSE_OPENDIR, 1, &in, sizeof(in)), 0);
	memcpy(&out, k->answer, sizeof(out));
	assert_true(out.open_flags & FOPEN_CACHE_DIR);
	assert_true(out.open_flags & FOPEN_KEEP_CACHE);
	kernel_free(&k);
}

static void test_lookup(void **state)
{
	struct kernel *k = kernel_new(TREE, KERNEL_FLAGS);
	struct fuse_entry_out entry;
	(void)state;
	assert_int_equal(kernel_lookup(k, 1, "dir"), 0);
	memcpy(&entry, k->answer, sizeof(entry));
	assert_int_equal(entry.attr.ino, entry.nodeid);
	assert_true(S_ISDIR(entry.attr.mode));
	assert_int_equal(entry.attr.nlink, 3);
	assert_int_equal(entry.entry_valid, 1000000000);
	assert_int_equal(entry.attr_valid, 1000000000);
	/* A missing name is an answer that the kernel keeps. */
	assert_int_equal(kernel_lookup(k, 1, "nothing"), 0);
	memcpy(&entry, k->answer, sizeof(entry));
	assert_int_equal(entry.nodeid, 0);
	assert_int_equal(entry.entry_valid, 1000000000);
	kernel_free(&k);
}

static void test_nodes_that_do_not_exist(void **state)
{
	struct kernel *k = kernel_new(TREE, KERNEL_FLAGS);
	const uint64_t nodes[] = {0, index_info(k->tree)->n_inodes + 1, UINT32_MAX,
				  (uint64_t)UINT32_MAX + 2, UINT64_MAX};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(nodes); i++) {
		struct fuse_getattr_in attr = {0};
		assert_int_equal(kernel_ask(k, FUSE_GETATTR, nodes[i], &attr, sizeof(attr)), -EIO);
		assert_int_equal(kernel_lookup(k, nodes[i], "dir"), -EIO);
		assert_int_equal(kernel_ask(k, FUSE_READLINK, nodes[i], NULL, 0), -EIO);
		assert_int_equal(ask_read(k, nodes[i], 0, 4096), -EIO);
		assert_int_equal(ask_list(k, FUSE_READDIR, nodes[i], 0, 4096), -EIO);
		assert_int_equal(ask_list(k, FUSE_READDIRPLUS, nodes[i], 0, 4096), -EIO);
	}
	assert_int_equal(kernel_lookup(k, 1, "dir"), 0);
	kernel_free(&k);
}

static void test_nodes_of_the_wrong_kind(void **state)
{
	struct kernel *k = kernel_new(TREE, KERNEL_FLAGS);
	uint64_t dir = kernel_node(k, 1, "dir"), file = kernel_node(k, dir, "file");
	uint64_t link = kernel_node(k, dir, "link");
	(void)state;
	assert_int_equal(kernel_lookup(k, file, "x"), -ENOTDIR);
	assert_int_equal(kernel_lookup(k, link, "x"), -ENOTDIR);
	assert_int_equal(ask_list(k, FUSE_READDIR, file, 0, 4096), -ENOTDIR);
	assert_int_equal(ask_read(k, dir, 0, 4096), -EISDIR);
	assert_int_equal(ask_read(k, link, 0, 4096), -EINVAL);
	assert_int_equal(kernel_ask(k, FUSE_READLINK, file, NULL, 0), -EINVAL);
	assert_int_equal(kernel_ask(k, FUSE_READLINK, link, NULL, 0), 0);
	assert_int_equal(k->n, 9);
	assert_memory_equal(k->answer, "../target", 9);
	kernel_free(&k);
}

static void test_reads_at_the_borders(void **state)
{
	struct kernel *k = kernel_new(TREE, KERNEL_FLAGS);
	uint64_t file = file_node(k), zero = kernel_node(k, 1, "zero");
	(void)state;
	assert_int_equal(ask_read(k, file, 0, 4096), 0);
	assert_int_equal(k->n, HELLO);
	assert_memory_equal(k->answer, "hello", HELLO);
	assert_int_equal(ask_read(k, file, 4, UINT32_MAX), 0);
	assert_int_equal(k->n, 1);
	assert_int_equal(ask_read(k, file, HELLO, 4096), 0);
	assert_int_equal(k->n, 0);
	assert_int_equal(ask_read(k, file, INT64_MAX, 4096), 0);
	assert_int_equal(k->n, 0);
	assert_int_equal(ask_read(k, file, UINT64_MAX, 4096), -EINVAL);
	assert_int_equal(ask_read(k, file, 0, 0), 0);
	assert_int_equal(k->n, 0);
	assert_int_equal(ask_read(k, zero, 0, 4096), 0);
	assert_int_equal(k->n, 0);
	kernel_free(&k);
}

/* The names of a directory, read in answers of `size` bytes, each followed by a space. */
static void list_names(struct kernel *k, uint32_t opcode, uint64_t node, uint32_t size, char *out)
{
	size_t skip = opcode == FUSE_READDIRPLUS ? sizeof(struct fuse_entry_out) : 0;
	uint64_t off = 0;
	*out = '\0';
	for (;;) {
		assert_int_equal(ask_list(k, opcode, node, off, size), 0);
		assert_in_range(k->n, 0, size);
		if (k->n == 0)
			return;
		for (size_t at = 0; at < k->n;) {
			struct fuse_dirent entry;
			memcpy(&entry, k->answer + at + skip, FUSE_NAME_OFFSET);
			strncat(out, (char *)k->answer + at + skip + FUSE_NAME_OFFSET,
				entry.namelen);
			strcat(out, " ");
			assert_int_equal(entry.off, off + 1);
			off = entry.off;
			at += skip + FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + entry.namelen);
		}
	}
}

static void test_listing_in_pieces(void **state)
{
	struct kernel *k = kernel_new(TREE, KERNEL_FLAGS);
	uint64_t dir = kernel_node(k, 1, "dir");
	char whole[256], pieces[256];
	(void)state;
	list_names(k, FUSE_READDIR, dir, 4096, whole);
	assert_int_equal(strlen(whole), strlen(". .. file link deep "));
	assert_ptr_equal(strstr(whole, ". .. "), whole);
	for (uint32_t size = 32; size < 200; size += 8) {
		list_names(k, FUSE_READDIR, dir, size, pieces);
		assert_string_equal(pieces, whole);
		list_names(k, FUSE_READDIRPLUS, dir, size + 128, pieces);
		assert_string_equal(pieces, whole);
	}
	list_names(k, FUSE_READDIR, kernel_node(k, 1, "empty"), 4096, pieces);
	assert_string_equal(pieces, ". .. ");
	kernel_free(&k);
}

static void test_listings_at_the_borders(void **state)
{
	struct kernel *k = kernel_new(TREE, KERNEL_FLAGS);
	const uint64_t behind[] = {5, 6, UINT32_MAX, (uint64_t)UINT32_MAX + 3, INT64_MAX};
	uint64_t dir = kernel_node(k, 1, "dir");
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(behind); i++) {
		assert_int_equal(ask_list(k, FUSE_READDIR, dir, behind[i], 4096), 0);
		assert_int_equal(k->n, 0);
	}
	assert_int_equal(ask_list(k, FUSE_READDIR, dir, UINT64_MAX, 4096), -EINVAL);
	/* Too small for one entry: an empty answer would be the end. */
	assert_int_equal(ask_list(k, FUSE_READDIR, dir, 0, 16), -EINVAL);
	assert_int_equal(ask_list(k, FUSE_READDIRPLUS, dir, 2, 100), -EINVAL);
	assert_int_equal(ask_list(k, FUSE_READDIR, dir, 0, UINT32_MAX), 0);
	assert_true(k->n > 0);
	kernel_free(&k);
}

/* ".." and "." are listed with the right inode, but not looked up: nobody would forget them. */
static void test_dots(void **state)
{
	struct kernel *k = kernel_new(TREE, KERNEL_FLAGS);
	uint64_t dir = kernel_node(k, 1, "dir"), deep = kernel_node(k, dir, "deep");
	const uint64_t expected[] = {deep, dir};
	(void)state;
	assert_int_equal(ask_list(k, FUSE_READDIRPLUS, deep, 0, 4096), 0);
	size_t step = sizeof(struct fuse_entry_out) + FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + 2);
	for (size_t i = 0; i < 2; i++) {
		struct fuse_direntplus entry;
		memcpy(&entry, k->answer + i * step, FUSE_NAME_OFFSET_DIRENTPLUS);
		assert_int_equal(entry.entry_out.nodeid, 0);
		assert_int_equal(entry.dirent.ino, expected[i]);
		assert_int_equal(entry.dirent.type, 4);
	}
	kernel_free(&k);
}

/* A file of a million bytes, whose map is "offset,length,..." and whose stored bytes are `data`. */
static void put_sparse(struct buf *tar, const char *name, const char *n_extents, const char *map,
		       const char *data)
{
	struct buf pax = {0};
	pax_text(&pax, "GNU.sparse.size", "1000000");
	pax_text(&pax, "GNU.sparse.numblocks", n_extents);
	pax_text(&pax, "GNU.sparse.map", map);
	put_pax(tar, 'x', &pax);
	put_file(tar, name, data);
}

static uint64_t blocks_of(struct kernel *k, const char *name)
{
	struct fuse_getattr_in in = {0};
	struct fuse_attr_out out;
	struct fuse_entry_out entry;
	uint64_t node = kernel_node(k, 1, name);
	memcpy(&entry, k->answer, sizeof(entry));
	assert_int_equal(kernel_ask(k, FUSE_GETATTR, node, &in, sizeof(in)), 0);
	memcpy(&out, k->answer, sizeof(out));
	assert_int_equal(out.attr.blocks, entry.attr.blocks);
	return out.attr.blocks;
}

static void test_blocks_are_without_holes(void **state)
{
	auto_buf struct buf tar = {0};
	char large[1500];
	(void)state;
	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	put_sparse(&tar, "none", "0", "", "");
	put_file(&tar, "plain", large);
	put_sparse(&tar, "two", "2", "5,1000,900000,499", large);
	put_sparse(&tar, "one", "1", "0,5", "hello");
	put_end(&tar);
	struct kernel *k = kernel_new_of_tar(&tar, KERNEL_FLAGS);
	assert_int_equal(blocks_of(k, "none"), 0);
	assert_int_equal(blocks_of(k, "plain"), 3);
	assert_int_equal(blocks_of(k, "two"), 3);
	assert_int_equal(blocks_of(k, "one"), 1);
	kernel_free(&k);
}

static void test_what_is_left_out(void **state)
{
	struct kernel *k = kernel_new(TREE, KERNEL_FLAGS);
	struct fuse_getxattr_in xattr[2] = {{.size = 100}};
	struct fuse_lseek_in seek = {.whence = SEEK_DATA};
	(void)state;
	strcpy((char *)&xattr[1], "user.a");
	assert_int_equal(kernel_ask(k, FUSE_GETXATTR, 1, xattr, sizeof(xattr)), -ENOSYS);
	assert_int_equal(kernel_ask(k, FUSE_LISTXATTR, 1, xattr, sizeof(xattr)), -ENOSYS);
	assert_int_equal(kernel_ask(k, FUSE_LSEEK, file_node(k), &seek, sizeof(seek)), -ENOSYS);
	assert_int_equal(kernel_ask(k, FUSE_ACCESS, 1, &seek, sizeof(seek)), -ENOSYS);
	assert_int_equal(kernel_ask(k, 4000, 1, &seek, sizeof(seek)), -ENOSYS);
	assert_int_equal(k->counters.upcalls[FUSE_GETXATTR], 1);
	assert_int_equal(k->counters.upcalls[0], 1); /* 4000 */
	kernel_free(&k);
}

/* overlayfs asks for it when it is laid over a tree. */
static void test_statfs_tells_of_a_container(void **state)
{
	struct kernel *k = kernel_new(TREE, 0);
	(void)state;
	unsigned before = containers_expected;
	assert_int_equal(kernel_ask(k, FUSE_GETATTR, FUSE_ROOT_ID, &(struct fuse_getattr_in){0},
				    sizeof(struct fuse_getattr_in)),
			 0);
	assert_int_equal(containers_expected, before);
	assert_int_equal(kernel_ask(k, FUSE_STATFS, FUSE_ROOT_ID, NULL, 0), 0);
	kernel_free(&k); /* it is told after the answer */
	assert_int_equal(containers_expected, before + 1);
}

static void test_interrupt_of_a_waiting_read(void **state)
{
	struct kernel *k = kernel_new(TREE, KERNEL_FLAGS);
	uint64_t file = file_node(k), answered, first, second;
	(void)state;
	fake_set(true, false);
	first = send_read(k, file);
	second = send_read(k, file);
	while (fake_waiting() < 2)
		usleep(1000);
	kernel_interrupt(k, first);
	assert_int_equal(kernel_receive(k, &answered), -EINTR);
	assert_int_equal(answered, first);
	/* Too late, and for nobody. */
	kernel_interrupt(k, first);
	fake_finish();
	assert_int_equal(kernel_receive(k, &answered), 0);
	assert_int_equal(answered, second);
	assert_int_equal(k->n, HELLO);
	fake_set(false, false);
	kernel_free(&k);
}

/* The answers to every read, each exactly once; answers to interrupts are libfuse's own business.
 */
static void collect(struct kernel *k, uint64_t first, unsigned n, unsigned *interrupted)
{
	bool *seen = xcalloc(n, sizeof(bool));
	for (unsigned left = n; left;) {
		uint64_t unique;
		int err = kernel_receive(k, &unique);
		if (unique & 1)
			continue;
		uint64_t which = (unique - first) / 2;
		assert_in_range(which, 0, n - 1);
		assert_false(seen[which]);
		seen[which] = true;
		left--;
		*interrupted += err == -EINTR;
		assert_true(err == -EINTR || (err == 0 && k->n == HELLO));
	}
	free(seen);
}

#define ROUNDS 300
#define BURST  16

/* Reads are finished on one thread while they are started and interrupted on others. */
static void test_interrupts_at_every_moment(void **state)
{
	struct kernel *k = kernel_new(TREE, KERNEL_FLAGS);
	uint64_t file = file_node(k);
	unsigned interrupted = 0;
	pthread_t thread;
	(void)state;
	fake_set(true, false);
	assert_int_equal(pthread_create(&thread, NULL, worker, NULL), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t sent[BURST];
		for (unsigned i = 0; i < BURST; i++) {
			/* Now and then the interrupt overtakes its read. */
			if (i % 5 == 4)
				kernel_interrupt(k, k->unique + 2);
			sent[i] = send_read(k, file);
			if (i % 2)
				kernel_interrupt(k, sent[i]);
		}
		collect(k, sent[0], BURST, &interrupted);
	}
	fake_set(false, true);
	pthread_join(thread, NULL);
	fake_set(false, false);
	assert_int_equal(fake_waiting(), 0);
	assert_int_equal(k->counters.failed_replies, 0);
	assert_true(interrupted > 0);
	kernel_free(&k);
}

static void test_stop_of_sleeping_threads(void **state)
{
	uint64_t ended = 0;
	(void)state;
	for (int i = 0; i < 50; i++) {
		struct kernel *k = kernel_new(TREE, KERNEL_FLAGS);
		loop_stop(&k->loop);
		assert_int_equal(read(k->ended_fd, &ended, sizeof(ended)), sizeof(ended));
		assert_true(ended >= 1);
		kernel_free(&k);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handshake),
		cmocka_unit_test(test_open_is_never_asked_again),
		cmocka_unit_test(test_open_for_an_old_kernel),
		cmocka_unit_test(test_lookup),
		cmocka_unit_test(test_nodes_that_do_not_exist),
		cmocka_unit_test(test_nodes_of_the_wrong_kind),
		cmocka_unit_test(test_reads_at_the_borders),
		cmocka_unit_test(test_read_errors),
		cmocka_unit_test(test_listing_in_pieces),
		cmocka_unit_test(test_listings_at_the_borders),
		cmocka_unit_test(test_dots),
		cmocka_unit_test(test_blocks_are_without_holes),
		cmocka_unit_test(test_what_is_left_out),
		cmocka_unit_test(test_statfs_tells_of_a_container),
		cmocka_unit_test(test_interrupt_of_a_waiting_read),
		cmocka_unit_test(test_interrupts_at_every_moment),
		cmocka_unit_test(test_stop_of_sleeping_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
