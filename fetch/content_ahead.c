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
#define AHEAD_WINDOW_MAX (32u << 20)
#define AHEAD_SLACK	 (256u << 10) /* two of the kernel's largest usual requests */
#define AHEAD_QUEUE_MAX	 128

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

static enum start_end start_chunk(struct content *c, uint32_t slot, uint32_t chunk,
				  const struct start *how, struct leads *leads)
{
	if (chunk_store_has(c->slots[slot].chunks, chunk)) {
		chunk_store_will_need(c->slots[slot].chunks, chunk);
		return START_DONE;
	}
	if (!how->fetches || !chunk_store_keeps(c->slots[slot].chunks))
		return START_NOTHING;
	if (scheduler_queued(c->scheduler, how->priority) + leads->n >= how->queue_max)
		return START_FULL;
	struct flight *f = flight_start(c->flights, slot, chunk, how->priority);
	if (f)
		leads_add(c, leads, f);
	return START_DONE;
}

/* Bytes [*from, to) of a file, which are one extent. Frames that stream bring everything behind
 * them anyway. */
static enum start_end start_run(struct content *c, uint32_t file, const struct extent *run,
				uint64_t *from, uint64_t to, const struct start *how,
				struct leads *leads)
{
	uint32_t slot = c->slot_of_layer[run->layer];
	struct chunk row;
	uint64_t at = run->stream_off, end = run->stream_off + (to - *from);
	/* Nothing of it will ever be served. */
	if (atomic_load_explicit(&c->slots[slot].disproved, memory_order_relaxed))
		return START_NOTHING;
	if (!content_rows_ahead(c, slot, at, end - at, how))
		return START_NO_ROWS;
	const struct chunk_table *table = slot_table(&c->slots[slot]);
	while (at < end) {
		uint32_t chunk = chunk_table_at(table, at);
		chunk_table_get(table, chunk, &row);
		if (row.codec == CHUNK_ZSTD_INNER && !how->frames)
			return START_NOTHING;
		uint64_t next = min_of(row.stream_off + row.stream_len, end);
		enum start_end came = START_DONE;
		if (chunk_store_has(c->slots[slot].chunks, chunk) ||
		    !share_has(c, file, *from, next - at))
			came = start_chunk(c, slot, chunk, how, leads);
		if (came != START_DONE)
			return came;
		*from += next - at;
		at = next;
	}
	return START_DONE;
}

enum start_end content_start_range(struct content *c, uint32_t row, uint64_t *from, uint64_t to,
				   const struct start *how)
{
	struct leads leads = {.n = 0};
	struct inode inode;
	enum start_end came = START_DONE;
	index_inode(c->image->tree, row, &inode);
	to = min_of(to, inode.size);
	while (*from < to && came == START_DONE) {
		struct extent run;
		index_extent(c->image->tree, row, *from, &run);
		uint64_t end = *from + min_of(run.len, to - *from);
		if (run.hole)
			*from = end;
		else
			came = start_run(c, row, &run, from, end, how, &leads);
	}
	leads_submit(c, &leads);
	return came;
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
	const struct start how = {
		.priority = PRIORITY_READAHEAD, .queue_max = AHEAD_QUEUE_MAX, .fetches = fetches};
	(void)content_start_range(c, row, &from, to, &how);
}
