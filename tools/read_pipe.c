/*
 * A ring of reads. The front end starts reads as long as there is room for them, in the order of
 * the files; the back end waits for the oldest one. A piece is at most PIECE_LEN of one file, so
 * that large files take few reads and small ones a slot each.
 */
#include "tools/read_pipe.h"

#include "fetch/lock.h"
#include "fetch/log.h"
#include "tools/interrupt.h"

#include <string.h>

#define PIECE_LEN (1u << 20) /* a few chunks */
#define SLOTS	  1024u	     /* of small files: 32 KiB each fill the window */
#define POLL_MS	  50	     /* how soon a signal is noticed */
#define QUICK_MS  2000	     /* a window that comes within it doubles; the budget is 60 s */
#define SLOW_MS	  8000	     /* and one that takes longer halves */

struct slot {
	struct read_request request; /* first: done gets a pointer to it */
	struct read_pipe *pipe;
	size_t file;
	/* under the pipe's lock once started */
	bool done;
	err_t err;
};

struct read_pipe {
	struct content *content;
	const struct index *tree;
	const uint32_t *rows;
	size_t n_files;
	struct progress *progress;
	/* what is started next */
	size_t file;
	uint64_t off;
	/* slots [head, tail) are in use, counted without end; bytes in their buffers */
	uint64_t head, tail, bytes;
	bool cancelled;
	/* how much may be under way, and how quickly the last so many bytes came */
	uint64_t window, window_taken;
	int64_t window_since_ms;
	uint8_t *taken; /* of the piece that the caller has */

	struct lock lock;
	pthread_cond_t changed;
	struct slot slots[SLOTS];
};

static void read_done(struct read_request *r, err_t err)
{
	struct slot *slot = (struct slot *)r;
	struct read_pipe *p = slot->pipe;
	lock_take(&p->lock);
	slot->done = true;
	slot->err = err;
	/* Under the lock: the pipe is gone as soon as its owner can see all reads done. */
	pthread_cond_signal(&p->changed);
	lock_drop(&p->lock);
}

/* --- the front --- */

/* The next run of data, at most PIECE_LEN of it; false at the end of all files. */
static bool find_next(struct read_pipe *p, uint64_t *off, size_t *n)
{
	for (; p->file < p->n_files; p->file++, p->off = 0) {
		struct inode inode;
		struct extent run;
		index_inode(p->tree, p->rows[p->file], &inode);
		while (p->off < inode.size) {
			index_extent(p->tree, p->rows[p->file], p->off, &run);
			if (!run.hole) {
				uint64_t left = min_of(run.len, inode.size - p->off);
				*off = p->off;
				*n = (size_t)min_of(left, (uint64_t)PIECE_LEN);
				return true;
			}
			p->off += run.len;
		}
	}
	return false;
}

static void start(struct read_pipe *p, uint64_t off, size_t n)
{
	struct slot *slot = &p->slots[p->tail % SLOTS];
	*slot = (struct slot){
		.request = {.row = p->rows[p->file], .off = off, .n = n, .done = read_done},
		.pipe = p,
		.file = p->file,
	};
	slot->request.buf = malloc(n);
	p->tail++;
	p->off = off + n;
	p->bytes += n;
	if (slot->request.buf)
		content_read_start(p->content, &slot->request);
	else
		read_done(&slot->request, -ENOMEM);
}

/* Many at once, when half of the room is free: chunks that are asked for together share requests.
 */
static void start_more(struct read_pipe *p)
{
	uint64_t off;
	size_t n;
	if (p->bytes > p->window / 2 || p->tail - p->head > SLOTS / 2)
		return;
	while (!p->cancelled && p->tail - p->head < SLOTS && find_next(p, &off, &n) &&
	       (p->bytes + n <= p->window || p->head == p->tail))
		start(p, off, n);
}

/* --- the back --- */

static void cancel(struct read_pipe *p)
{
	p->cancelled = true;
	for (uint64_t i = p->head; i < p->tail; i++)
		if (p->slots[i % SLOTS].request.buf)
			content_read_cancel(p->content, &p->slots[i % SLOTS].request);
}

static void wait_done(struct read_pipe *p, struct slot *slot)
{
	lock_take(&p->lock);
	while (!slot->done) {
		condition_wait(&p->changed, &p->lock, now_ms() + POLL_MS);
		if (!slot->done && !p->cancelled && interrupt_signal()) {
			lock_drop(&p->lock);
			cancel(p);
			lock_take(&p->lock);
		}
	}
	lock_drop(&p->lock);
}

/* One who takes slowly makes the window small, too: what it holds is here then, and no loss. */
static void fit_window(struct read_pipe *p, size_t taken)
{
	p->window_taken += taken;
	if (p->window_taken < p->window)
		return;
	int64_t now = now_ms(), took_ms = now - p->window_since_ms;
	if (took_ms < QUICK_MS)
		p->window = min_of(p->window * 2, (uint64_t)READ_PIPE_WINDOW_MAX);
	else if (took_ms > SLOW_MS)
		p->window = max_of(p->window / 2, (uint64_t)READ_PIPE_WINDOW_MIN);
	p->window_taken = 0;
	p->window_since_ms = now;
}

/* Take the oldest read out of the ring; its buffer is now p->taken. */
static struct slot *pop(struct read_pipe *p)
{
	struct slot *slot = &p->slots[p->head % SLOTS];
	wait_done(p, slot);
	p->head++;
	p->bytes -= slot->request.n;
	progress_add(p->progress, 0, slot->request.n);
	fit_window(p, slot->request.n);
	free(p->taken);
	p->taken = slot->request.buf;
	return slot;
}

/* Holes count: what is left of them at the end is a jump, not a lie about the time left. */
static uint64_t size_of_all(const struct read_pipe *p)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < p->n_files; i++) {
		struct inode inode;
		index_inode(p->tree, p->rows[i], &inode);
		if (!add_u64(sum, inode.size, &sum))
			return UINT64_MAX;
	}
	return sum;
}

struct read_pipe *read_pipe_new(struct content *content, const struct index *tree,
				const uint32_t *rows, size_t n_files, struct progress *progress)
{
	struct read_pipe *p = new_of(struct read_pipe);
	p->content = content;
	p->tree = tree;
	p->rows = rows;
	p->n_files = n_files;
	p->progress = progress;
	progress_start(progress, 0, size_of_all(p));
	p->window = READ_PIPE_WINDOW_FIRST;
	p->window_since_ms = now_ms();
	lock_init(&p->lock);
	condition_init(&p->changed);
	start_more(p);
	return p;
}

bool read_pipe_take(struct read_pipe *p, size_t file, struct read_piece *out)
{
	for (;;) {
		start_more(p);
		if (p->head == p->tail || p->slots[p->head % SLOTS].file > file)
			break;
		bool wanted = p->slots[p->head % SLOTS].file == file;
		struct slot *slot = pop(p);
		if (!wanted)
			continue;
		err_t err = interrupt_signal() ? -EINTR : slot->err;
		*out = (struct read_piece){.off = slot->request.off, .n = slot->request.n};
		out->err = err;
		out->p = err ? NULL : p->taken;
		return true;
	}
	/* Nothing is started any more: that is no end. */
	*out = (struct read_piece){.err = p->cancelled ? -EINTR : 0};
	return p->cancelled;
}

void read_pipe_free(struct read_pipe **pp)
{
	struct read_pipe *p = *pp;
	if (!p)
		return;
	cancel(p);
	while (p->head < p->tail)
		(void)pop(p);
	free(p->taken);
	pthread_cond_destroy(&p->changed);
	lock_fini(&p->lock);
	free(p);
	*pp = NULL;
}

err_t read_pipe_fail(const struct read_pipe *p, err_t err, const char *path, struct diag *d)
{
	(void)content_fail_read(p->content, d, err);
	diag_prepend(d, "%s", path);
	return err;
}

bool read_pipe_is_fatal(err_t err)
{
	return err && err != -EBADMSG && err != -ENOENT;
}
