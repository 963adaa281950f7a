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
 * and should not stand before a reader now.
 *
 * A layer is large, and a program uses parts of it. Where guesses are of use at all, and no less of
 * what lies near was wanted than was not, the place is hot, and the window open.
 *
 * Measured, python with the index in the store, TLS registry on loopback, medians of four: a window
 * of 2 to 4 chunks and half a megabyte 136 requests, 49.7 MB, 2.43 s; 8 to 16 and 6 ms of the line
 * 106 requests, 55.2 MB, 2.16 s; over 20 ms and 200 Mbit/s, the published index included, 51.8 and
 * 53.5 MB, 5.6 s both. Without any neighbours it was 299 requests and 33.7 MB over that line, and
 * twice the time.
 */
#include "fetch/content_priv.h"

#define WINDOW_FIRST 8 /* chunks on either side */
#define WINDOW_MAX   16
#define JUDGED_AFTER 32 /* guesses, of two misses at first; then half of them count on */
#define GOOD_PERCENT 40
#define BAD_PERCENT  20
#define QUEUE_MAX    32 /* jobs waiting; more would only be stale when they come */
/* Blob bytes on either side: as many as this line brings in a moment. */
#define SIDE_MS	       6
#define SIDE_BYTES_MIN (256u << 10)
#define SIDE_BYTES_MAX (2u << 20)
/* Where it is hot: at least so many chunks in reach were wanted, and no fewer than were not. */
#define REACH	       16 /* chunks on either side */
#define HOT_WANTED_MIN 3  /* more than one read of the usual size has */
#define HOT_WINDOW     16
#define HOT_SIDE_MS    10 /* in place of SIDE_MS */

/* By chunk. */
#define GUESSED 1u /* and not wanted by a reader yet */
#define WANTED	2u /* by a reader of this mount */

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
	if (atomic_load_explicit(&a->marks[chunk], memory_order_relaxed) != WANTED &&
	    (atomic_exchange_explicit(&a->marks[chunk], WANTED, memory_order_relaxed) & GUESSED))
		atomic_fetch_add_explicit(&a->used, 1, memory_order_relaxed);
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

/* Not where guesses are of no use: random reads find half of a file here, and wanted. */
static bool is_hot(const struct slot *slot, uint32_t n_chunks, uint32_t chunk)
{
	uint32_t first = chunk - min_of(chunk, (uint32_t)REACH);
	uint32_t end = min_of(n_chunks, chunk + REACH + 1), wanted = 0, unwanted = 0;
	if (atomic_load_explicit(&slot->around.window, memory_order_relaxed) == 0)
		return false;
	for (uint32_t i = first; i < end; i++) {
		if (atomic_load_explicit(&slot->around.marks[i], memory_order_relaxed) & WANTED)
			wanted += i != chunk;
		else
			unwanted += chunk_store_has(slot->chunks, i);
	}
	return wanted >= HOT_WANTED_MIN && wanted >= unwanted;
}

/* What the line brings in a time, within limits; the least of it on one that is not known yet. */
static uint64_t side_bytes(const struct content *c, unsigned ms)
{
	uint64_t bytes = max_of(line_bytes_in(c, ms), (uint64_t)SIDE_BYTES_MIN);
	return min_of(bytes, (uint64_t)SIDE_BYTES_MAX);
}

static uint32_t window_of(const struct slot *slot, uint32_t n_chunks, uint32_t chunk)
{
	uint32_t window = atomic_load_explicit(&slot->around.window, memory_order_relaxed);
	if (window == 0 &&
	    (is_here(slot, n_chunks, chunk + 1) || is_here(slot, n_chunks, chunk - 1)))
		window = 1;
	return window;
}

/* One guess; false where it makes no sense to go on in this direction. @room: bytes that are left
 * for this side. */
static bool guess(struct content *c, uint32_t number, uint32_t chunk, uint64_t *room,
		  struct leads *leads)
{
	struct slot *slot = &c->slots[number];
	const struct chunk_table *table = slot_table(slot);
	struct chunk row;
	if (chunk >= chunk_table_info(table)->n_chunks || !chunk_table_has_chunk(table, chunk) ||
	    chunk_store_has(slot->chunks, chunk))
		return false;
	chunk_table_get(table, chunk, &row);
	if (row.codec == CHUNK_ZSTD_INNER || row.blob_len > *room)
		return false;
	*room -= row.blob_len;
	struct flight *f = flight_start(c->flights, number, chunk, PRIORITY_READAHEAD);
	if (!f)
		return false;
	leads_add(c, leads, f);
	atomic_fetch_or_explicit(&slot->around.marks[chunk], GUESSED, memory_order_relaxed);
	atomic_fetch_add_explicit(&slot->around.made, 1, memory_order_relaxed);
	return true;
}

void around_missed(struct content *c, uint32_t number, uint32_t chunk, struct leads *leads)
{
	struct slot *slot = &c->slots[number];
	/* What lies beside a changed file is mostly here under another layer. */
	if (!c->neighbours || share_helps(c) || !chunk_store_keeps(slot->chunks) ||
	    scheduler_queued(c->scheduler, PRIORITY_READAHEAD) + leads->n >= QUEUE_MAX)
		return;
	judge(&slot->around);
	uint32_t n = chunk_table_info(slot_table(slot))->n_chunks;
	uint32_t window = window_of(slot, n, chunk);
	uint64_t side = side_bytes(c, SIDE_MS);
	if (is_hot(slot, n, chunk)) {
		window = HOT_WINDOW;
		side = side_bytes(c, HOT_SIDE_MS);
	}
	uint64_t room = side;
	for (uint32_t i = 1; i <= window && guess(c, number, chunk + i, &room, leads); i++)
		;
	room = side;
	uint32_t below = min_of(window, chunk);
	for (uint32_t i = 1; i <= below && guess(c, number, chunk - i, &room, leads); i++)
		;
}
