/*
 * A zstd frame larger than any chunk has no random access: it is decoded in order, once, and its
 * chunks go to the store as they pass. One run streams a frame at a time; flights of the frame's
 * chunks board it and are answered when their chunk passes; those that board too late for their
 * chunk, where the store could not keep it, are put on the next run. While the run moves, the
 * budget of everyone aboard starts anew; and it goes to the frame's end even if nobody is left
 * aboard, since it is the only way to get the data.
 *
 * The stream bytes are verified after decoding here, not before (there is no digest of part of a
 * frame's blob bytes): the decoder is the one place that sees bytes no digest has covered.
 */
#include "fetch/content_priv.h"

#include "fetch/log.h"
#include "index/decode.h"

#include <string.h>

/* One request of a run: a lost one costs this much, and it bounds what an attempt may take. */
#define SEGMENT_LEN (16u << 20)
/* A line slower than this is taken for dead: a segment's deadline is its length at this rate, but
 * no less than the budget. */
#define SLOWEST_BYTES_PER_S (16u << 10)
#define FEED_LEN	    (128u << 10)

struct frame_run {
	/* fixed after it was entered */
	uint32_t slot, first, last; /* chunks [first, last] */
	uint64_t blob_off, blob_len;
	enum fetch_priority who;
	/* under content->runs_lock */
	TAILQ_ENTRY(frame_run) link;
	struct flight_list aboard;
	uint32_t passed; /* chunks below this one were delivered */
	/* atomic, relaxed; read by flights_tick */
	_Atomic(int64_t) progress_ms;
	/* owned by the worker that runs it */
	struct content *c;
	bool kept;
	uint32_t chunk; /* being collected */
	uint32_t have;
	struct chunk row;
	struct chunk_data *data;
	const char *why; /* the reason of a -EBADMSG */
};

/* --- boarding --- */

static struct frame_run *find_run_locked(struct content *c, uint32_t slot, uint64_t blob_off)
{
	struct frame_run *run;
	TAILQ_FOREACH(run, &c->runs, link)
	if (run->slot == slot && run->blob_off == blob_off)
		return run;
	return NULL;
}

static void board_locked(struct content *c, struct frame_run *run, struct flight *f)
{
	lock_must_hold(&c->runs_lock);
	TAILQ_INSERT_TAIL(&run->aboard, f, in_run);
	flight_ride(c->flights, f, &run->progress_ms);
}

/* Blob ranges ascend, so the chunks of a frame are found by bisection on either side. */
static uint32_t frame_edge(const struct chunk_table *table, uint32_t low, uint32_t high,
			   uint64_t blob_off)
{
	while (low < high) {
		struct chunk row;
		uint32_t mid = low + (high - low) / 2;
		chunk_table_get(table, mid, &row);
		if (row.blob_off < blob_off)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct frame_run *new_run(struct content *c, const struct flight *f, const struct chunk *row)
{
	const struct chunk_table *table = slot_table(&c->slots[f->job.slot]);
	struct frame_run *run = new_of(struct frame_run);
	run->c = c;
	run->slot = f->job.slot;
	run->who = f->began_as;
	run->blob_off = row->blob_off;
	run->blob_len = row->blob_len;
	run->first = frame_edge(table, 0, f->job.chunk, row->blob_off);
	run->last = frame_edge(table, f->job.chunk + 1, chunk_table_info(table)->n_chunks,
			       row->blob_off + 1) -
		    1;
	run->passed = run->first;
	atomic_init(&run->progress_ms, now_ms());
	TAILQ_INIT(&run->aboard);
	return run;
}

/* Take those who wait for one chunk off the run; `passed` follows when the chunk is stored. */
static void alight(struct frame_run *run, uint32_t chunk, uint32_t passed, struct flight_list *out)
{
	lock_take(&run->c->runs_lock);
	struct flight *f = TAILQ_FIRST(&run->aboard), *next;
	for (; f; f = next) {
		next = TAILQ_NEXT(f, in_run);
		if (f->job.chunk != chunk)
			continue;
		TAILQ_REMOVE(&run->aboard, f, in_run);
		TAILQ_INSERT_TAIL(out, f, in_run);
	}
	run->passed = passed;
	lock_drop(&run->c->runs_lock);
}

/* --- the stream --- */

/* A chunk keeps its flight until it is stored (or remembered), as everywhere; and who boards
 * between the answer and that is taken off in the second round. */
static void deliver(struct frame_run *run)
{
	struct content *c = run->c;
	struct flight_list first = TAILQ_HEAD_INITIALIZER(first), second;
	struct flight *f;
	TAILQ_INIT(&second);
	alight(run, run->chunk, run->passed, &first);
	TAILQ_FOREACH(f, &first, in_run)
	flight_land(c->flights, f, run->data);
	content_keep(c, run->slot, run->chunk, run->data);
	alight(run, run->chunk, run->chunk + 1, &second);
	TAILQ_FOREACH(f, &second, in_run)
	flight_land(c->flights, f, run->data);
	TAILQ_CONCAT(&first, &second, in_run);
	while ((f = TAILQ_FIRST(&first)) != NULL) {
		TAILQ_REMOVE(&first, f, in_run);
		flight_forget(c->flights, f);
	}
}

static err_t begin_chunk(struct frame_run *run)
{
	chunk_data_put(&run->data);
	run->have = 0;
	if (run->chunk > run->last)
		return 0;
	chunk_table_get(slot_table(&run->c->slots[run->slot]), run->chunk, &run->row);
	run->data = chunk_data_new(run->row.stream_len);
	return run->data ? 0 : -ENOMEM;
}

static err_t end_chunk(struct frame_run *run)
{
	if (chunk_check_stream(&run->row, run->data->bytes) != 0) {
		run->why = "SHA-256 mismatch";
		return -EBADMSG;
	}
	board_count(&run->c->board->decoded_bytes, run->row.stream_len);
	trace_chunk_came(run->c, run->slot, run->chunk, run->who);
	deliver(run);
	atomic_store_explicit(&run->progress_ms, now_ms(), memory_order_relaxed);
	run->chunk++;
	return begin_chunk(run);
}

/* The decoder's output: cut it into chunks. */
static err_t collect(void *arg, const uint8_t *p, size_t n)
{
	struct frame_run *run = arg;
	while (n) {
		if (run->chunk > run->last) {
			run->why = "the frame is longer than the index says";
			return -EBADMSG;
		}
		uint32_t step = (uint32_t)min_of(n, (size_t)(run->row.stream_len - run->have));
		memcpy(run->data->bytes + run->have, p, step);
		run->have += step;
		p += step;
		n -= step;
		err_t err = run->have == run->row.stream_len ? end_chunk(run) : 0;
		if (err)
			return err;
	}
	return 0;
}

static void trace_segment(const struct frame_run *run, int64_t from_ms, uint32_t chunk,
			  uint64_t bytes, err_t err)
{
	unsigned flags = (run->kept ? TRACE_KEPT : 0) | (err ? TRACE_FAILED : 0);
	trace_fetched(run->c, &(struct trace_fetched){.from_ms = from_ms,
						      .bytes = bytes,
						      .slot = run->slot,
						      .chunk = chunk,
						      .n_chunks = run->chunk - chunk + 1,
						      .who = run->who,
						      .flags = flags});
}

static err_t feed_segment(struct frame_run *run, struct frame_decoder *decoder, uint64_t off,
			  uint64_t len, struct diag *d)
{
	struct content *c = run->c;
	struct range_reader r;
	auto_free uint8_t *buf = malloc(FEED_LEN);
	if (!buf)
		return -ENOMEM;
	int64_t from_ms = now_ms();
	uint32_t chunk = run->chunk;
	uint64_t whole = len;
	int64_t time_ms = max_of(c->budget_ms, (int64_t)(len * 1000 / SLOWEST_BYTES_PER_S));
	err_t err =
		range_open(c, &c->slots[run->slot], run->kept, off, len, now_ms() + time_ms, &r, d);
	while (!err && len) {
		size_t step = (size_t)min_of(len, (uint64_t)FEED_LEN);
		/* A kept blob can be gigabytes, and nothing else would stop reading it. */
		err = atomic_load_explicit(&c->stopping, memory_order_relaxed)
			      ? -ECANCELED
			      : range_read(c, &r, buf, step, d);
		if (!err)
			err = frame_decoder_feed(decoder, buf, step);
		len -= step;
	}
	range_close(c, &r);
	if (err != -ENOENT)
		trace_segment(run, from_ms, chunk, whole - len, err);
	return err;
}

static err_t feed_frame(struct frame_run *run, struct frame_decoder *decoder, struct diag *d)
{
	err_t err = 0;
	for (uint64_t at = 0; !err && at < run->blob_len;) {
		uint64_t len = min_of(run->blob_len - at, (uint64_t)SEGMENT_LEN);
		err = feed_segment(run, decoder, run->blob_off + at, len, d);
		at += len;
	}
	if (!err)
		err = frame_decoder_finish(decoder);
	if (!err && run->chunk <= run->last)
		err = -EBADMSG;
	return err;
}

/* The frame once from its start: 0, -EBADMSG (wrong bytes, run->why says what), or why they did not
 * come. */
static err_t stream_once(struct frame_run *run, bool kept, struct diag *d)
{
	run->kept = kept;
	run->chunk = run->first;
	run->why = "does not decode";
	err_t err = begin_chunk(run);
	struct frame_decoder *decoder = frame_decoder_new(collect, run);
	if (!err)
		err = feed_frame(run, decoder, d);
	frame_decoder_free(&decoder);
	chunk_data_put(&run->data);
	if (err == -EBADMSG)
		content_log_refused(run->c, &run->c->slots[run->slot], run->blob_off, run->blob_len,
				    kept, run->why);
	return err;
}

static err_t stream_frame(struct frame_run *run, struct diag *d)
{
	err_t err = stream_once(run, true, d);
	if (err == -EBADMSG)
		store_blob_drop(run->c->image->store, &run->c->slots[run->slot].blob_digest);
	if (err == -EBADMSG || err == -ENOENT)
		err = stream_once(run, false, d);
	return err;
}

/* --- the end --- */

/* Those who missed their chunk look again: it is in the store, or the next run brings it. */
static void resolve(struct content *c, struct flight *f, err_t err)
{
	flight_ride(c->flights, f, NULL);
	if (err == -EBADMSG)
		content_refused(c, f);
	else if (err)
		content_unreachable(c, f, err);
	else
		content_submit(c, &f, 1);
}

static void end_run(struct content *c, struct frame_run *run, err_t err)
{
	struct flight *f;
	lock_take(&c->runs_lock);
	TAILQ_REMOVE(&c->runs, run, link);
	lock_drop(&c->runs_lock);
	/* Off the list, nobody can board any more. */
	while ((f = TAILQ_FIRST(&run->aboard)) != NULL) {
		TAILQ_REMOVE(&run->aboard, f, in_run);
		resolve(c, f, err);
	}
	free(run);
}

/* Aboard a run that is under way, or the first of a new one (then *own is set). False when the
 * chunk is stored by now, by a run that has passed it or has ended since; @looked: it was said to
 * be, and could not be read. */
static bool board(struct content *c, struct flight *f, bool looked, struct frame_run **own)
{
	struct chunk row;
	chunk_table_get(slot_table(&c->slots[f->job.slot]), f->job.chunk, &row);
	struct frame_run *fresh = new_run(c, f, &row);
	lock_take(&c->runs_lock);
	struct frame_run *run = find_run_locked(c, f->job.slot, row.blob_off);
	bool look_again = (run ? f->job.chunk < run->passed : !looked) &&
			  chunk_store_has(c->slots[f->job.slot].chunks, f->job.chunk);
	if (!run && !look_again) {
		run = *own = take(&fresh);
		TAILQ_INSERT_TAIL(&c->runs, run, link);
	}
	if (!look_again)
		board_locked(c, run, f);
	lock_drop(&c->runs_lock);
	free(fresh);
	return !look_again;
}

void content_run_frame(struct content *c, struct flight *f)
{
	struct frame_run *own = NULL;
	for (bool looked = false; !board(c, f, looked, &own); looked = true)
		if (content_arrive_stored(c, f))
			return;
	if (!own)
		return;
	struct diag d = DIAG_INIT;
	err_t err = stream_frame(own, &d);
	if (err && err != -EBADMSG && err != -ECANCELED)
		content_log_unreachable(c, &c->slots[own->slot], own->blob_off, own->blob_len, &d);
	end_run(c, own, err);
}
