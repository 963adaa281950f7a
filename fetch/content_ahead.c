/*
 * Read-ahead: a file that is read in order gets the chunks that follow before they are asked for. A
 * small table, found by row, remembers for each of the files read last where its reader is; two
 * files that share an entry take it from each other, which costs read-ahead and nothing else. The
 * first read in order that misses opens a window of one chunk behind the reader; each time the
 * reader has used up half of what was started, the window doubles. Any jump closes it. Reads that
 * the store answers never fetch anything: what was read once is no reason for that. They have the
 * disk asked for what follows, in the same windows, so that it is in memory when its turn comes.
 *
 * The kernel sends the requests of one reader side by side, so they may arrive out of order by a
 * few: a read counts as in order when it begins within AHEAD_SLACK of the furthest end seen.
 */
#include "fetch/content_priv.h"

#define AHEAD_FILES	 64 /* a dozen programs starting at once, each with a few files */
#define AHEAD_WINDOW_MIN CHUNK_TARGET_DEFAULT
#define AHEAD_WINDOW_MAX (4u << 20)   /* one range request full */
#define AHEAD_SLACK	 (256u << 10) /* two of the kernel's largest usual requests */
#define AHEAD_QUEUE_MAX	 32	      /* chunks waiting; more would only be stale when they come */

struct ahead_file {
	uint32_t row_plus_1; /* 0: free */
	uint32_t window;     /* stream bytes; 0: no order seen */
	bool fetches;	     /* a read in order has missed: missing chunks are fetched */
	uint64_t next;	     /* the furthest end of a read so far */
	uint64_t started;    /* chunks before this offset were looked at */
};

struct ahead {
	struct lock lock;
	/* under lock */
	struct ahead_file files[AHEAD_FILES];
};

struct ahead *ahead_new(void)
{
	struct ahead *a = new_of(struct ahead);
	lock_init(&a->lock);
	return a;
}

void ahead_free(struct ahead **a)
{
	if (!*a)
		return;
	lock_fini(&(*a)->lock);
	free(*a);
	*a = NULL;
}

static bool in_order(const struct ahead_file *file, uint64_t off)
{
	return off <= file->next + AHEAD_SLACK && off + AHEAD_SLACK >= file->next;
}

/* Note a read; returns the bytes [*from, *to) of the file whose chunks should be started now. */
static bool plan_locked(struct ahead_file *file, uint32_t row, uint64_t off, size_t n, bool missed,
			uint64_t *from, uint64_t *to)
{
	if (file->row_plus_1 != row + 1 || !in_order(file, off)) {
		*file = (struct ahead_file){.row_plus_1 = row + 1, .next = off + n};
		return false;
	}
	/* A read inside what was read before says nothing about what follows. */
	if (off + n <= file->next)
		return false;
	file->next = off + n;
	file->fetches |= missed;
	if (file->window && file->started >= file->next + file->window / 2)
		return false;
	file->window = file->window ? min_of(file->window * 2, AHEAD_WINDOW_MAX) : AHEAD_WINDOW_MIN;
	*from = max_of(file->next, file->started);
	*to = file->next + file->window;
	file->started = *to;
	return *from < *to;
}

static bool start_chunk(struct content *c, uint32_t slot, uint32_t chunk, bool fetches,
			struct leads *leads)
{
	if (chunk_store_has(c->slots[slot].chunks, chunk)) {
		chunk_store_will_need(c->slots[slot].chunks, chunk);
		return true;
	}
	if (!fetches)
		return false;
	if (scheduler_queued(c->scheduler, PRIORITY_READAHEAD) + leads->n >= AHEAD_QUEUE_MAX)
		return false;
	struct flight *f = flight_start(c->flights, slot, chunk);
	if (f)
		leads_add(c, leads, f);
	return true;
}

/* Start the chunks of one extent. Frames that stream bring everything behind them anyway. */
static bool start_run(struct content *c, const struct extent *run, uint64_t len, bool fetches,
		      struct leads *leads)
{
	uint32_t slot = c->slot_of_layer[run->layer];
	const struct chunk_table *table = slot_table(&c->slots[slot]);
	struct chunk row;
	uint64_t at = run->stream_off, end = run->stream_off + len;
	if (!table || !content_rows_ahead(c, slot, at, len, fetches))
		return false;
	while (at < end) {
		uint32_t chunk = chunk_table_at(table, at);
		chunk_table_get(table, chunk, &row);
		if (row.codec == CHUNK_ZSTD_INNER || !chunk_store_keeps(c->slots[slot].chunks) ||
		    !start_chunk(c, slot, chunk, fetches, leads))
			return false;
		at = row.stream_off + row.stream_len;
	}
	return true;
}

static void start_range(struct content *c, uint32_t row, uint64_t from, uint64_t to, bool fetches,
			struct leads *leads)
{
	struct inode inode;
	index_inode(c->image->tree, row, &inode);
	to = min_of(to, inode.size);
	while (from < to) {
		struct extent run;
		index_extent(c->image->tree, row, from, &run);
		uint64_t len = min_of(run.len, to - from);
		if (!run.hole && !start_run(c, &run, len, fetches, leads))
			return;
		from += len;
	}
}

void ahead_note(struct content *c, uint32_t row, uint64_t off, size_t n, bool missed)
{
	uint64_t from = 0, to = 0;
	if (n == 0)
		return;
	struct ahead_file *file = &c->ahead->files[(row * 0x9e3779b1u) % AHEAD_FILES];
	lock_take(&c->ahead->lock);
	bool start = plan_locked(file, row, off, n, missed, &from, &to);
	bool fetches = file->fetches;
	lock_drop(&c->ahead->lock);
	if (!start)
		return;
	struct leads leads = {.n = 0};
	start_range(c, row, from, to, fetches, &leads);
	leads_submit(c, &leads);
}
