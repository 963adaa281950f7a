/*
 * fake_kernel - the other end of /dev/fuse, for tests of the operations: a socket that carries the
 * messages of <linux/fuse.h>, so that a test may send what a real kernel never would
 */
#ifndef IMGFS_TESTS_FAKE_KERNEL_H
#define IMGFS_TESTS_FAKE_KERNEL_H

#include "fs/loop.h"
#include "fs/ops.h"
#include "tests/unit/layer_text.h"

#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define ANSWER_MAX	    (256u << 10)
#define LATE_INTERRUPTS_MAX 64
#define ANSWER_MS	    20000 /* an answer that takes longer never comes */

/* A kernel of 6.18, as far as we look at it. */
#define KERNEL_FLAGS                                                                               \
	(FUSE_ASYNC_READ | FUSE_ASYNC_DIO | FUSE_AUTO_INVAL_DATA | FUSE_EXPLICIT_INVAL_DATA |      \
	 FUSE_CACHE_SYMLINKS | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO |                       \
	 FUSE_NO_OPEN_SUPPORT | FUSE_NO_OPENDIR_SUPPORT | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES |  \
	 FUSE_POSIX_ACL)

struct kernel {
	int fd; /* ours */
	int ended_fd;
	struct index *layer, *tree;
	struct buf layer_file, tree_file;
	struct counters counters;
	struct filesystem *fs;
	struct fuse_session *session;
	struct loop *loop;
	uint64_t unique;
	struct fuse_init_out init;
	size_t n; /* bytes behind the header of the last answer */
	_Alignas(16) uint8_t answer[ANSWER_MAX];
};

static inline ssize_t end_read(int fd, void *p, size_t n, void *arg)
{
	(void)arg;
	return read(fd, p, n);
}

static inline ssize_t end_writev(int fd, struct iovec *iov, int count, void *arg)
{
	(void)arg;
	return writev(fd, iov, count);
}

/* Send one message; returns its number. */
static inline uint64_t kernel_send(struct kernel *k, uint32_t opcode, uint64_t node,
				   const void *args, size_t n)
{
	struct fuse_in_header header = {.len = (uint32_t)(sizeof(header) + n),
					.opcode = opcode,
					.unique = k->unique += 2,
					.nodeid = node};
	struct iovec iov[] = {{&header, sizeof(header)}, {(void *)(uintptr_t)args, n}};
	BUG_ON(writev(k->fd, iov, 2) != (ssize_t)header.len);
	return header.unique;
}

static inline void kernel_interrupt(struct kernel *k, uint64_t unique)
{
	struct fuse_interrupt_in args = {.unique = unique};
	struct fuse_in_header header = {.len = sizeof(header) + sizeof(args),
					.opcode = FUSE_INTERRUPT,
					.unique = unique | 1};
	struct iovec iov[] = {{&header, sizeof(header)}, {&args, sizeof(args)}};
	BUG_ON(writev(k->fd, iov, 2) != (ssize_t)header.len);
}

/* The next answer: its error (0 or -errno), and the number of what it answers. */
static inline int kernel_receive(struct kernel *k, uint64_t *unique)
{
	struct fuse_out_header header;
	struct iovec iov[] = {{&header, sizeof(header)}, {k->answer, sizeof(k->answer)}};
	struct pollfd ready = {.fd = k->fd, .events = POLLIN};
	BUG_ON(poll(&ready, 1, ANSWER_MS) != 1);
	ssize_t n = readv(k->fd, iov, 2);
	BUG_ON(n < (ssize_t)sizeof(header) || header.len != (uint32_t)n);
	k->n = (size_t)n - sizeof(header);
	*unique = header.unique;
	return header.error;
}

/* One message and its answer. libfuse answers an interrupt that came too late when it likes: such
 * answers, told by their odd numbers, are passed over. */
static inline int kernel_ask(struct kernel *k, uint32_t opcode, uint64_t node, const void *args,
			     size_t n)
{
	uint64_t unique, sent = kernel_send(k, opcode, node, args, n);
	int err;
	do
		err = kernel_receive(k, &unique);
	while (unique & 1);
	BUG_ON(unique != sent);
	return err;
}

static inline int kernel_lookup(struct kernel *k, uint64_t parent, const char *name)
{
	return kernel_ask(k, FUSE_LOOKUP, parent, name, strlen(name) + 1);
}

/* The node of a name, which must be there. */
static inline uint64_t kernel_node(struct kernel *k, uint64_t parent, const char *name)
{
	struct fuse_entry_out entry;
	BUG_ON(kernel_lookup(k, parent, name));
	memcpy(&entry, k->answer, sizeof(entry));
	BUG_ON(!entry.nodeid);
	return entry.nodeid;
}

static inline void kernel_shake_hands(struct kernel *k, uint32_t flags)
{
	struct fuse_init_in init = {
		.major = 7, .minor = 31, .max_readahead = 131072, .flags = flags};
	uint64_t unique;
	kernel_send(k, FUSE_INIT, 0, &init, sizeof(init));
	BUG_ON(loop_handshake(k->session, &k->counters));
	BUG_ON(kernel_receive(k, &unique));
	memcpy(&k->init, k->answer, min_of(k->n, sizeof(k->init)));
}

static inline void kernel_build_tree(struct kernel *k, const struct buf *tar)
{
	const struct index *layers[1];
	BUG_ON(index_of_tar(tar, &k->layer_file, NULL));
	BUG_ON(index_open_bytes(buf_bytes(&k->layer_file), &k->layer, NULL));
	layers[0] = k->layer;
	BUG_ON(merge_layers(layers, 1, &k->tree_file, NULL));
	BUG_ON(index_open_bytes(buf_bytes(&k->tree_file), &k->tree, NULL));
}

/* A mount of one layer, a plain tar, by a kernel of these abilities. */
static inline struct kernel *kernel_new_of_tar(const struct buf *tar, uint32_t flags)
{
	struct kernel *k = new_of(struct kernel);
	char *argv[] = {(char *)(uintptr_t) "test", NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	static const struct fuse_custom_io io = {.read = end_read, .writev = end_writev};
	struct fuse_lowlevel_ops operations;
	int ends[2], room = 4 << 20;
	kernel_build_tree(k, tar);
	k->fs = filesystem_new(k->tree, NULL, &k->counters, false);
	filesystem_operations(k->fs, &operations);
	k->session = fuse_session_new(&args, &operations, sizeof(operations), k->fs);
	fuse_opt_free_args(&args);
	BUG_ON(!k->session || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
	for (int i = 0; i < 2; i++)
		setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	BUG_ON(fuse_session_custom_io(k->session, &io, ends[1]));
	k->fd = ends[0];
	k->ended_fd = eventfd(0, EFD_CLOEXEC);
	kernel_shake_hands(k, flags);
	BUG_ON(loop_start(k->session, &k->counters, k->ended_fd, &k->loop, NULL));
	return k;
}

/* The same for a layer of layer_text.h. */
static inline struct kernel *kernel_new(const char *text, uint32_t flags)
{
	auto_buf struct buf tar = {0};
	tar_of_text(text, &tar);
	return kernel_new_of_tar(&tar, flags);
}

static inline void kernel_free(struct kernel **kernel)
{
	struct kernel *k = take(kernel);
	/* libfuse forgets one interrupt that came too late with each request, and all others never.
	 */
	for (unsigned i = 0; k->loop && i < LATE_INTERRUPTS_MAX; i++)
		BUG_ON(kernel_lookup(k, FUSE_ROOT_ID, "nothing"));
	loop_stop(&k->loop);
	fuse_session_destroy(k->session);
	filesystem_free(&k->fs);
	index_close(&k->tree);
	index_close(&k->layer);
	buf_fini(&k->tree_file);
	buf_fini(&k->layer_file);
	close(k->fd);
	close(k->ended_fd);
	free(k);
}

#endif
