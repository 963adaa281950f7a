/*
 * Background fill: what nobody has read yet is fetched behind everything else, layer by layer in
 * the order of the blob, until the store has the whole image. With FILL_IDLE only while nobody
 * reads; with FILL_FULL all the time. A source that fails, or a store that keeps nothing, is left
 * alone for a while.
 */
#include "fetch/content_priv.h"

#include "fetch/log.h"

#define FILL_QUEUE_MAX BATCH_MAX
#define IDLE_MS	       3000  /* nobody has read for so long */
#define PAUSE_MS       30000 /* after a failure */
#define LOOK_AGAIN_MS  5000  /* should nothing that ends feed it */
#define NEXT_PASS_MS   1000
#define GROUPS_AHEAD   8 /* groups of rows that are asked for together */

static const struct start how_to_fill = {
	.priority = PRIORITY_FILL, .queue_max = FILL_QUEUE_MAX, .fetches = true, .frames = true};

struct fill {
	enum fill_mode mode;
	_Atomic(bool) running;
	_Atomic(int64_t) read_ms;	/* the last read */
	_Atomic(int64_t) not_before_ms; /* the end of a pause */
	struct feeder feeder;
	/* the feeder's */
	uint32_t slot, chunk;
};

struct fill *fill_new(enum fill_mode mode)
{
	struct fill *f = new_of(struct fill);
	f->mode = mode;
	lock_init(&f->feeder.lock);
	return f;
}

void fill_free(struct fill **fp)
{
	if (!*fp)
		return;
	struct fill *f = take(fp);
	lock_fini(&f->feeder.lock);
	free(f);
}

void fill_note(struct content *c)
{
	if (c->fill)
		atomic_store_explicit(&c->fill->read_ms, now_ms(), memory_order_relaxed);
}

void fill_start(struct content *c)
{
	if (!c->fill)
		return;
	atomic_store_explicit(&c->fill->running, true, memory_order_relaxed);
	fill_feed(c);
}

void fill_pause(struct content *c)
{
	if (!c->fill)
		return;
	int64_t until_ms = now_ms() + PAUSE_MS;
	atomic_store_explicit(&c->fill->not_before_ms, until_ms, memory_order_relaxed);
	(void)!scheduler_wake_at(c->scheduler, until_ms);
}

void fill_stop(struct content *c)
{
	if (c->fill)
		atomic_store_explicit(&c->fill->running, false, memory_order_relaxed);
}

/* When it may go on; in the past: now. */
static int64_t due_ms(const struct fill *f)
{
	int64_t due = atomic_load_explicit(&f->not_before_ms, memory_order_relaxed);
	int64_t read_ms = atomic_load_explicit(&f->read_ms, memory_order_relaxed);
	return f->mode == FILL_IDLE && read_ms ? max_of(due, read_ms + IDLE_MS) : due;
}

/* --- feeding --- */

/* Nothing of it is served any more. */
static bool is_lost(const struct slot *slot)
{
	return atomic_load_explicit(&slot->disproved, memory_order_relaxed);
}

enum step {
	STEP_ON,   /* the cursor has moved */
	STEP_WAIT, /* something is on its way, or the queue is full */
	STEP_PAUSE,
};

/* Where a frame ends is looked for in the whole table (content_frame.c). */
static bool has_rows(const struct chunk_table *table, uint32_t chunk)
{
	return chunk_table_info(table)->codec == BLOB_ZSTD ? chunk_table_whole(table)
							   : chunk_table_has_chunk(table, chunk);
}

/* The rows of a chunk of a published index are asked for with those of what follows. */
static bool rows_are_here(struct content *c, uint32_t slot, struct chunk_table *table,
			  uint32_t chunk)
{
	const struct wire_head *head = chunk_table_head(table);
	if (!head || has_rows(table, chunk))
		return true;
	uint32_t group = chunk / head->group_chunks, end = group + GROUPS_AHEAD;
	uint64_t from = head->stream_offs[group];
	uint64_t to = end < head->n_groups ? head->stream_offs[end]
					   : chunk_table_info(table)->stream_size;
	(void)content_rows_ahead(c, slot, from, to - from, &how_to_fill);
	return has_rows(table, chunk);
}

static enum step fill_chunk(struct content *c, struct fill *f, struct chunk_table *table,
			    struct leads *leads)
{
	const struct slot *slot = &c->slots[f->slot];
	struct chunk row;
	if (chunk_store_has(slot->chunks, f->chunk)) {
		f->chunk++;
		return STEP_ON;
	}
	if (!chunk_store_keeps(slot->chunks))
		return STEP_PAUSE;
	if (scheduler_queued(c->scheduler, PRIORITY_FILL) + leads->n >= FILL_QUEUE_MAX ||
	    !rows_are_here(c, f->slot, table, f->chunk))
		return STEP_WAIT;
	chunk_table_get(table, f->chunk, &row);
	struct flight *flight = flight_start(c->flights, f->slot, f->chunk, PRIORITY_FILL);
	if (flight)
		leads_add(c, leads, flight);
	/* The run of a frame brings all that follows. */
	if (row.codec == CHUNK_ZSTD_INNER)
		return STEP_WAIT;
	f->chunk++;
	return STEP_ON;
}

static enum step fill_step(struct content *c, struct fill *f, struct leads *leads)
{
	const struct slot *slot = &c->slots[f->slot];
	struct chunk_table *table = slot_table(slot);
	bool lost = is_lost(slot);
	if (!lost && !table) {
		/* A small layer comes whole. */
		(void)content_rows_ahead(c, f->slot, 0, 1, &how_to_fill);
		return slot_table(slot) ? STEP_ON : STEP_WAIT;
	}
	if (!lost && f->chunk < chunk_table_info(table)->n_chunks)
		return fill_chunk(c, f, table, leads);
	f->slot++;
	f->chunk = 0;
	return STEP_ON;
}

static bool all_is_here(const struct content *c)
{
	for (uint32_t i = 0; i < c->n_slots; i++)
		if (!is_lost(&c->slots[i]) &&
		    (!slot_table(&c->slots[i]) || !chunk_store_complete(c->slots[i].chunks)))
			return false;
	return true;
}

/* The end of a pass. The last chunks are on their way, or some were dropped meanwhile: then there
 * is another one. */
static void end_pass(struct content *c, struct fill *f)
{
	f->slot = f->chunk = 0;
	if (!all_is_here(c)) {
		(void)!scheduler_wake_at(c->scheduler, now_ms() + NEXT_PASS_MS);
		return;
	}
	atomic_store_explicit(&f->running, false, memory_order_relaxed);
	log_info("image.complete", "layers=%u", c->n_slots);
}

static void feed(struct content *c)
{
	struct fill *f = c->fill;
	struct leads leads = {.n = 0};
	enum step came = STEP_ON;
	if (due_ms(f) > now_ms()) {
		(void)!scheduler_wake_at(c->scheduler, due_ms(f));
		return;
	}
	while (came == STEP_ON && f->slot < c->n_slots)
		came = fill_step(c, f, &leads);
	leads_submit(c, &leads);
	if (came == STEP_PAUSE)
		fill_pause(c);
	else if (came == STEP_ON)
		end_pass(c, f);
	else
		(void)!scheduler_wake_at(c->scheduler, now_ms() + LOOK_AGAIN_MS);
}

void fill_feed(struct content *c)
{
	struct fill *f = c->fill;
	if (f && atomic_load_explicit(&f->running, memory_order_relaxed))
		feeder_run(&f->feeder, feed, c);
}

int64_t fill_tick(struct content *c, int64_t now)
{
	struct fill *f = c->fill;
	if (!f || !atomic_load_explicit(&f->running, memory_order_relaxed))
		return INT64_MAX;
	int64_t due = due_ms(f);
	if (due > now)
		return due;
	fill_feed(c);
	return INT64_MAX;
}
