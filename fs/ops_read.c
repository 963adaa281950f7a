/*
 * ops_read - file contents: a read is started on a FUSE thread and answered from wherever its bytes
 * arrive
 *
 * One allocation holds the request, its reply and its bytes. Two owners: the thread that starts the
 * read, and its completion; the last one frees it.
 *
 * An interrupt may come at any moment, on another FUSE thread, with libfuse holding the request's
 * own lock. It asks content to cancel, which completes the read at once, inside the call. A
 * completion elsewhere first takes the interrupt function off the request: that waits on the same
 * lock, so the read can not be freed below a running interrupt.
 */
#include "fs/ops_priv.h"

#include "fetch/log.h"

#include <unistd.h>

enum read_phase {
	READ_NEW,	  /* content does not know it yet */
	READ_STARTING,	  /* content_read_start is running */
	READ_STARTED,	  /* content_read_start has returned: it may be cancelled */
	READ_INTERRUPTED, /* interrupted before that */
};

struct read {
	struct read_request request;
	struct reply_once reply;
	struct filesystem *fs;
	atomic_int phase;
	atomic_int owners;
	uint8_t bytes[];
};

/* The read whose interrupt function is running on this thread, with libfuse's lock held. */
static _Thread_local struct read *interrupting;

void op_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct filesystem *fs = filesystem_of(req);

	(void)node;
	if (fs->no_open) {
		reply_error(req, fs->counters, -ENOSYS);
		return;
	}
	fi->keep_cache = 1;
	fi->noflush = 1;
	reply_sent(fs->counters, fuse_reply_open(req, fi));
}

static void read_put(struct read *r)
{
	if (atomic_fetch_sub(&r->owners, 1) == 1)
		free(r);
}

/* The completion: called by content, exactly once, on any thread. */
static void read_done(struct read_request *request, err_t err)
{
	struct read *r = (struct read *)request;

	if (interrupting != r)
		fuse_req_interrupt_func(r->reply.req, NULL, NULL);
	/* Content says more than a program may take for a statement about its file. */
	if (err)
		reply_once_error(&r->reply, err == -EINTR ? err : -EIO);
	else
		reply_once_data(&r->reply, r->bytes, request->n);
	read_put(r);
}

static bool read_phase_move(struct read *r, enum read_phase from, enum read_phase to)
{
	int expected = (int)from;

	return atomic_compare_exchange_strong(&r->phase, &expected, (int)to);
}

static void read_interrupted(fuse_req_t req, void *data)
{
	struct read *r = data;

	(void)req;
	if (read_phase_move(r, READ_NEW, READ_INTERRUPTED) ||
	    read_phase_move(r, READ_STARTING, READ_INTERRUPTED))
		return;
	if (atomic_load(&r->phase) != READ_STARTED)
		return;
	interrupting = r;
	content_read_cancel(r->fs->content, &r->request);
	interrupting = NULL;
}

static struct read *read_new(fuse_req_t req, uint32_t row, uint64_t off, size_t n)
{
	struct filesystem *fs = filesystem_of(req);
	struct read *r = malloc(sizeof(*r) + n);

	if (!r)
		return NULL;
	r->request = (struct read_request){
		.row = row, .off = off, .n = n, .buf = r->bytes, .done = read_done};
	reply_once_init(&r->reply, req, fs->counters);
	r->fs = fs;
	atomic_init(&r->phase, READ_NEW);
	atomic_init(&r->owners, 2);
	return r;
}

static void read_start(struct read *r)
{
	struct content *content = r->fs->content;

	fuse_req_interrupt_func(r->reply.req, read_interrupted, r);
	if (!read_phase_move(r, READ_NEW, READ_STARTING)) {
		read_done(&r->request, -EINTR);
		read_put(r);
		return;
	}
	content_read_start(content, &r->request);
	if (!read_phase_move(r, READ_STARTING, READ_STARTED))
		content_read_cancel(content, &r->request);
	read_put(r);
}

void op_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct filesystem *fs = filesystem_of(req);
	struct inode inode;
	struct read *r;
	uint32_t row;
	size_t n;

	(void)fi;
	if (!row_inode(req, node, &row, &inode))
		return;
	if (!S_ISREG(inode.mode) || off < 0) {
		reply_error(req, fs->counters, S_ISDIR(inode.mode) ? -EISDIR : -EINVAL);
		return;
	}
	if ((uint64_t)off >= inode.size || size == 0) {
		reply_sent(fs->counters, fuse_reply_buf(req, NULL, 0));
		return;
	}
	n = (size_t)min_of((uint64_t)size, inode.size - (uint64_t)off);
	/* Never a shorter answer: the kernel would take it for the end of the file. */
	r = n <= READ_MAX ? read_new(req, row, (uint64_t)off, n) : NULL;
	if (!r) {
		log_warn("fuse.read", "node=%llu size=%zu: too large or no memory",
			 (unsigned long long)node, size);
		reply_error(req, fs->counters, -EIO);
		return;
	}
	read_start(r);
}

/* The first offset at or behind `off` that is a hole, or is data; the size when there is none. */
static uint64_t next_of_kind(const struct filesystem *fs, uint32_t row, uint64_t off, uint64_t size,
			     bool hole)
{
	while (off < size) {
		struct extent e;

		index_extent(fs->tree, row, off, &e);
		if (e.hole == hole)
			return off;
		off += e.len;
	}
	return size;
}

void op_lseek(fuse_req_t req, fuse_ino_t node, off_t off, int whence, struct fuse_file_info *fi)
{
	struct filesystem *fs = filesystem_of(req);
	struct inode inode;
	uint64_t found;
	uint32_t row;

	(void)fi;
	if (!row_inode(req, node, &row, &inode))
		return;
	if (!S_ISREG(inode.mode) || (whence != SEEK_DATA && whence != SEEK_HOLE)) {
		reply_error(req, fs->counters, -EINVAL);
		return;
	}
	if (off < 0 || (uint64_t)off >= inode.size) {
		reply_error(req, fs->counters, -ENXIO);
		return;
	}
	found = next_of_kind(fs, row, (uint64_t)off, inode.size, whence == SEEK_HOLE);
	/* Every file ends in a hole of its own (lseek(2)); only data can be missing. */
	if (whence == SEEK_DATA && found == inode.size)
		reply_error(req, fs->counters, -ENXIO);
	else
		reply_sent(fs->counters, fuse_reply_lseek(req, (off_t)found));
}
