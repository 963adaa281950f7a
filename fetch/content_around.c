/*
 * What lies beside a missed chunk. Files that are used together mostly stand together in an
 * archive, so a program that starts misses in a cluster, in no order: each miss brings neighbours,
 * which ride in the reader's own request or follow it at lower priority. How many is learned for
 * each layer from what became of the last ones: where two in five are wanted later, the window
 * doubles; where fewer than one in five, it halves, down to nothing, so that random reads of a
 * large file fetch what they ask for. A miss beside something that is here opens a closed window
 * again. How many bytes is learned from the line: a request has a price, to the registry's
 * processor if not in milliseconds, and what comes with it while nobody would notice is cheap. On a
 * slow line a moment brings little, and most of the rest will be asked for one way or the other,
 * and should not stand before a reader now. More comes from behind the chunk than from before it,
 * for those bytes stand in front of its own.
 *
 * A file whose beginning is missed is mostly read to its end, so the rest of it comes, too, while
 * that is of use.
 *
 * Measured with the index in the store, TLS registry on loopback, medians of four and three,
 * against 6 ms on both sides and no rest of the file: python 73 requests, 54.2 MB, 1.70 s (98, 56.2
 * MB, 2.05 s), a C++ compiler 62, 40.3 MB, 1.30 s (72, 42.6 MB, 1.38 s); what content_expect
 * fetches is in that. Without any neighbours python was 299 requests and 33.7 MB over 20 ms and 200
 * Mbit/s, and twice the time.
 */
#include "fetch/content_priv.h"

#define WINDOW_FIRST 8 /* chunks on either side */
#define WINDOW_MAX   16
#define JUDGED_AFTER 32 /* guesses, of two misses at first; then half of them count on */
#define GOOD_PERCENT 40
#define BAD_PERCENT  20
#define QUEUE_MAX    64 /* jobs waiting; more would only be stale when they come */
/* Blob bytes: as many as this line brings in a moment. */
#define BEHIND_MS	 10
#define BEHIND_BYTES_MIN (256u << 10)
#define BEHIND_BYTES_MAX (2u << 20)
#define BEFORE_MS	 3
#define BEFORE_BYTES_MIN (128u << 10)
#define BEFORE_BYTES_MAX (512u << 10)

/* The rest of a file: of files up to this size, so many chunks and bytes of the blob. */
#define REST_FILE_MAX  (12u << 20)
#define REST_CHUNKS    64u
#define REST_MS	       40
#define REST_BYTES_MIN (512u << 10)
#define REST_BYTES_MAX (4u << 20)
#define REST_RUNS      64 /* of a sparse file */
/* As long as one chunk in five was wanted: who looks at the beginnings of many files has no use for
 * the rest of them. */
#define REST_JUDGED_AFTER 64
#define REST_GOOD_ONE_IN  5

/* By chunk. */
#define GUESSED 1u /* and not wanted by a reader yet */
#define WANTED	2u /* by a reader of this mount */
#define REST	4u /* with GUESSED: as the rest of a file */

err_t around_new(struct around *a, uint32_t n_chunks)
{
	a->marks = try_array(max_of(n_chunks, 1u), 1, UINT32_MAX);
	atomic_init(&a->window, WINDOW_FIRST);
	return a->marks ? 0 : -ENOMEM;
}

void around_free(struct around *a)
{
	free((void *)a->marks);
	a->marks = NULL;
}

void around_wanted(struct around *a, uint32_t chunk)
{
	if (atomic_load_explicit(&a->marks[chunk], memory_order_relaxed) == WANTED)
		return;
	uint8_t was = atomic_exchange_explicit(&a->marks[chunk], WANTED, memory_order_relaxed);
	if (was & GUESSED)
		atomic_fetch_add_explicit(was & REST ? &a->rests_used : &a->used, 1,
					  memory_order_relaxed);
}

/* Two threads that judge at once do it twice, which is no harm. */
static void judge(struct around *a)
{
	uint32_t made = atomic_load_explicit(&a->made, memory_order_relaxed);
	uint32_t used = atomic_load_explicit(&a->used, memory_order_relaxed);
	uint32_t window = atomic_load_explicit(&a->window, memory_order_relaxed);
	if (made < JUDGED_AFTER)
		return;
	if (used * 100 >= made * GOOD_PERCENT)
		window = window ? min_of(window * 2, (uint32_t)WINDOW_MAX) : 1;
	else if (used * 100 < made * BAD_PERCENT)
		window /= 2;
	atomic_store_explicit(&a->window, window, memory_order_relaxed);
	atomic_store_explicit(&a->made, made / 2, memory_order_relaxed);
	atomic_store_explicit(&a->used, used / 2, memory_order_relaxed);
}

static bool is_here(const struct slot *slot, uint32_t n_chunks, uint32_t chunk)
{
	return chunk < n_chunks && chunk_store_has(slot->chunks, chunk);
}

/* What the line brings in a time, within limits; the least of it on one that is not known yet. */
static uint64_t line_room(const struct content *c, unsigned ms, uint64_t least, uint64_t most)
{
	uint64_t bytes = line_bytes_in(c, ms);
	return bytes < least ? least : min_of(bytes, most);
}

static uint32_t window_of(const struct slot *slot, uint32_t n_chunks, uint32_t chunk)
{
	uint32_t window = atomic_load_explicit(&slot->around.window, memory_order_relaxed);
	if (window == 0 &&
	    (is_here(slot, n_chunks, chunk + 1) || is_here(slot, n_chunks, chunk - 1)))
		window = 1;
	return window;
}

enum guessed {
	GUESS_MADE,
	GUESS_NEEDLESS, /* it is here, or comes */
	GUESS_ENDS,	/* not possible, or no room is left */
};

/* @rest: 0 or REST; @room: bytes that are left for guesses of this miss. */
static enum guessed guess(struct content *c, uint32_t number, uint32_t chunk, uint8_t rest,
			  uint64_t *room, struct leads *leads)
{
	struct slot *slot = &c->slots[number];
	const struct chunk_table *table = slot_table(slot);
	struct chunk row;
	if (chunk >= chunk_table_info(table)->n_chunks || !chunk_table_has_chunk(table, chunk))
		return GUESS_ENDS;
	if (chunk_store_has(slot->chunks, chunk))
		return GUESS_NEEDLESS;
	chunk_table_get(table, chunk, &row);
	if (row.codec == CHUNK_ZSTD_INNER || row.blob_len > *room)
		return GUESS_ENDS;
	struct flight *f = flight_start(c->flights, number, chunk, PRIORITY_READAHEAD);
	if (!f)
		return GUESS_NEEDLESS;
	*room -= row.blob_len;
	leads_add(c, leads, f);
	atomic_fetch_or_explicit(&slot->around.marks[chunk], GUESSED | rest, memory_order_relaxed);
	atomic_fetch_add_explicit(rest ? &slot->around.rests_made : &slot->around.made, 1,
				  memory_order_relaxed);
	return GUESS_MADE;
}

static bool may_guess(const struct content *c, const struct slot *slot, const struct leads *leads)
{
	/* What lies beside a changed file is mostly here under another layer. */
	return c->neighbours && !share_helps(c) && chunk_store_keeps(slot->chunks) &&
	       scheduler_queued(c->scheduler, PRIORITY_READAHEAD) + leads->n < QUEUE_MAX;
}

void around_missed(struct content *c, uint32_t number, uint32_t chunk, struct leads *leads)
{
	struct slot *slot = &c->slots[number];
	if (!may_guess(c, slot, leads))
		return;
	judge(&slot->around);
	uint32_t n = chunk_table_info(slot_table(slot))->n_chunks;
	uint32_t window = window_of(slot, n, chunk), before = min_of(window, chunk);
	uint64_t room = line_room(c, BEHIND_MS, BEHIND_BYTES_MIN, BEHIND_BYTES_MAX);
	for (uint32_t i = 1; i <= window; i++)
		if (guess(c, number, chunk + i, 0, &room, leads) != GUESS_MADE)
			break;
	room = line_room(c, BEFORE_MS, BEFORE_BYTES_MIN, BEFORE_BYTES_MAX);
	for (uint32_t i = 1; i <= before; i++)
		if (guess(c, number, chunk - i, 0, &room, leads) != GUESS_MADE)
			break;
}

static bool rests_are_of_use(const struct around *a)
{
	uint32_t made = atomic_load_explicit(&a->rests_made, memory_order_relaxed);
	uint32_t used = atomic_load_explicit(&a->rests_used, memory_order_relaxed);
	return made < REST_JUDGED_AFTER || used >= made / REST_GOOD_ONE_IN;
}

/* What may still be asked for of a file. */
struct rest {
	uint64_t room;
	unsigned chunks, runs;
};

/* The chunks of one stretch of the file; false: no more of it. */
static bool guess_run(struct content *c, const struct extent *run, struct rest *rest,
		      struct leads *leads)
{
	static const struct start look = {.fetches = false};
	uint32_t number = c->slot_of_layer[run->layer];
	struct slot *slot = &c->slots[number];
	const struct chunk_table *table = slot_table(slot);
	if (rest->runs-- == 0 || !table || !rests_are_of_use(&slot->around) ||
	    !may_guess(c, slot, leads) || !content_rows_ahead(c, number, run->stream_off, 1, &look))
		return false;
	uint32_t n = chunk_table_info(table)->n_chunks;
	for (uint32_t i = chunk_table_at(table, run->stream_off); i < n; i++) {
		struct chunk row;
		if (rest->chunks-- == 0 || !chunk_table_has_chunk(table, i))
			return false;
		chunk_table_get(table, i, &row);
		if (row.stream_off >= run->stream_off + run->len)
			break;
		if (guess(c, number, i, REST, &rest->room, leads) == GUESS_ENDS)
			return false;
	}
	return true;
}

void around_begun(struct content *c, uint32_t row, struct leads *leads)
{
	struct inode inode;
	struct rest rest = {.room = line_room(c, REST_MS, REST_BYTES_MIN, REST_BYTES_MAX),
			    .chunks = REST_CHUNKS,
			    .runs = REST_RUNS};
	index_inode(c->image->tree, row, &inode);
	if (inode.size > REST_FILE_MAX)
		return;
	for (uint64_t off = 0; off < inode.size;) {
		struct extent run;
		index_extent(c->image->tree, row, off, &run);
		if (!run.hole && !guess_run(c, &run, &rest, leads))
			return;
		off += run.len;
	}
}
