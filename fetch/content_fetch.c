/*
 * What a worker does with a batch: read one blob range that covers all of its chunks, from the kept
 * blob if there is one, else from the source; and as soon as the bytes of a chunk are complete,
 * verify them, decode, verify again, answer, and store. Nothing that has not passed both checks
 * leaves this file. It also decides what a failure means: bytes that lie, and bytes that do not
 * come, are counted separately and never make one chunk's neighbours fail.
 */
#include "fetch/content_priv.h"

#include "fetch/log.h"
#include "index/decode.h"

#include <unistd.h>

/* How often bytes of one chunk may come and be wrong before its readers are told: a proxy with one
 * bad copy is often healed by asking again, a registry with a bad blob never. */
#define REFUSALS_MAX	 3
#define REFUSED_DELAY_MS 100

/* Between two attempts to reach a source: doubling. The upper end keeps the promise that reading
 * works again within ten seconds after the network does. */
#define RETRY_FIRST_MS 200
#define RETRY_MAX_MS   5000

/* --- a range of a blob --- */

err_t range_open(struct content *c, const struct slot *slot, bool kept, uint64_t off, uint64_t len,
		 int64_t deadline_ms, struct range_reader *out, struct diag *d)
{
	*out = (struct range_reader){
		.kept_fd = -1, .kept_off = off, .left = len, .layer = slot->layer};
	if (kept) {
		out->kept_fd =
			store_blob_open(c->image->store, &slot->blob_digest, slot->blob_size);
		return out->kept_fd < 0 ? -ENOENT : 0;
	}
	board_count(&c->board->fetches, 1);
	content_fetch_begins(c, slot->layer);
	out->asked = true;
	out->asked_us = board_now_us();
	return source_open(c->image->source, &slot->blob_digest, slot->blob_size, off, len,
			   deadline_ms, &out->stream, d);
}

static err_t read_kept(struct content *c, struct range_reader *r, void *p, size_t n, struct diag *d)
{
	err_t err = read_at(r->kept_fd, p, n, r->kept_off);
	if (err)
		return fail_sys(d, ERR_STORE, -EBADMSG, "kept blob: %d", -err);
	board_count(&c->board->kept_bytes, n);
	r->kept_off += n;
	return 0;
}

err_t range_read(struct content *c, struct range_reader *r, void *p, size_t n, struct diag *d)
{
	BUG_ON(n > r->left);
	r->left -= n;
	if (r->kept_fd >= 0)
		return read_kept(c, r, p, n, d);
	for (uint8_t *to = p; n;) {
		size_t got;
		err_t err = source_read(r->stream, to, n, &got, d);
		if (err)
			return err;
		if (got == 0)
			return fail(d, ERR_NETWORK, -EPROTO, "%s: the range ended early",
				    c->image->source->label);
		if (!r->first_us)
			r->first_us = board_now_us();
		content_fetched(c, r->layer, got);
		to += got;
		n -= got;
	}
	return 0;
}

void range_close(struct content *c, struct range_reader *r)
{
	if (r->asked)
		content_fetch_ends(c);
	r->asked = false;
	if (r->kept_fd >= 0)
		close(r->kept_fd);
	r->kept_fd = -1;
	if (r->stream)
		source_close(&r->stream);
}

/* --- what becomes of a flight --- */

void content_keep(struct content *c, uint32_t slot, uint32_t chunk, struct chunk_data *data)
{
	bool had = chunk_store_has(c->slots[slot].chunks, chunk);
	if (chunk_store_put(c->slots[slot].chunks, chunk, data->bytes) != 0) {
		recent_add(c->recent, slot, chunk, data);
		return;
	}
	if (!had)
		content_show_stored(c, &c->slots[slot]);
	content_prove_soon(c, slot);
}

/* Answer first: the disk must not stand between the bytes and those who wait. The flight stays
 * until the chunk is kept, so a reader in between finds the flight. */
void content_arrive(struct content *c, struct flight *f, struct chunk_data *data)
{
	flight_land(c->flights, f, data);
	content_keep(c, f->job.slot, f->job.chunk, data);
	flight_forget(c->flights, f);
}

/* The chunk's bytes from memory or from the store; NULL when it is in neither. */
static struct chunk_data *stored_data(struct content *c, const struct slot *slot, uint32_t chunk)
{
	struct chunk_data *data = recent_get(c->recent, (uint32_t)(slot - c->slots), chunk);
	if (data || !chunk_store_has(slot->chunks, chunk))
		return data;
	struct chunk row;
	chunk_table_get(slot_table(slot), chunk, &row);
	data = chunk_data_new(row.stream_len);
	if (data && chunk_store_read(slot->chunks, chunk, 0, row.stream_len, data->bytes) != 0)
		chunk_data_put(&data);
	return data;
}

bool content_arrive_stored(struct content *c, struct flight *f)
{
	struct chunk_data *data = stored_data(c, &c->slots[f->job.slot], f->job.chunk);
	if (!data)
		return false;
	flight_land(c->flights, f, data);
	flight_forget(c->flights, f);
	chunk_data_put(&data);
	return true;
}

static void try_again(struct content *c, struct flight *f, int64_t delay_ms)
{
	if (flight_drop_unwanted(c->flights, f))
		return;
	f->job.not_before_ms = now_ms() + delay_ms;
	content_submit(c, &f, 1);
}

/* What nobody has asked for does not insist. */
static void warming_failed(struct content *c, const struct flight *f)
{
	if (f->began_as == PRIORITY_READAHEAD || f->began_as == PRIORITY_PROFILE)
		loader_failed(c);
	if (f->began_as == PRIORITY_PROFILE)
		replay_stop(c);
	else if (f->began_as == PRIORITY_FILL)
		fill_pause(c);
}

void content_refused(struct content *c, struct flight *f)
{
	warming_failed(c, f);
	f->refusals++;
	if (f->refusals < REFUSALS_MAX)
		try_again(c, f, REFUSED_DELAY_MS);
	else if (c->wait_for_ever)
		try_again(c, f, RETRY_MAX_MS);
	else
		flight_fail(c->flights, f, -EBADMSG);
}

/* Errors that asking again within seconds does not mend. A rate limit is one: the source itself has
 * waited as long as the registry said, or as it was allowed to. */
static bool is_final(err_t err)
{
	return err == -ECANCELED || err == -ENOENT || err == -EACCES || err == -ENOTSUP ||
	       err == -EINVAL || err == -ENOMEM || err == -EDQUOT;
}

/* The few errors that say something to a reader; see read_request. */
static err_t told_error(err_t err)
{
	bool telling = err == -ENOENT || err == -EACCES || err == -EDQUOT || err == -ENOMEM;
	return telling ? err : -EIO;
}

/* Somewhere in the upper half: mounts that lost one registry together do not come back together. */
static int64_t jitter(int64_t delay_ms)
{
	static _Thread_local uint64_t x;
	if (!x)
		x = (hash_seed() ^ (uintptr_t)&x) | 1;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return delay_ms - (int64_t)(x % (uint64_t)(delay_ms / 2 + 1));
}

void content_unreachable(struct content *c, struct flight *f, err_t err)
{
	warming_failed(c, f);
	if (err == -ECANCELED || (is_final(err) && !c->wait_for_ever)) {
		flight_fail(c->flights, f, told_error(err));
		return;
	}
	unsigned attempts = f->attempts++;
	if (flight_fail_unwaited(c->flights, f, told_error(err)))
		return;
	int64_t delay_ms = RETRY_FIRST_MS << min_of(attempts, 10u);
	try_again(c, f, jitter(min_of(delay_ms, (int64_t)RETRY_MAX_MS)));
}

void content_log_refused(struct content *c, const struct slot *slot, uint64_t off, uint64_t len,
			 bool kept, const char *why)
{
	board_count(&c->board->refused, 1);
	board_failed(c->board, slot->layer, why);
	log_warn("chunk.refused", "layer=%s range=%llu-%llu source=%s reason=\"%s\" next=\"%s\"",
		 slot->name, (unsigned long long)off, (unsigned long long)(off + len - 1),
		 kept ? "kept-blob" : c->image->source->label, why,
		 kept ? "kept blob dropped, ask the source" : "discarded, asked again");
}

void content_log_unreachable(struct content *c, const struct slot *slot, uint64_t off, uint64_t len,
			     const struct diag *d)
{
	board_failed(c->board, slot->layer, d->text);
	log_warn("fetch.failed", "layer=%s range=%llu-%llu source=%s reason=\"%s\"", slot->name,
		 (unsigned long long)off, (unsigned long long)(off + len - 1),
		 c->image->source->label, d->text);
}

/* --- one batch --- */

struct batch {
	struct content *c;
	const struct slot *slot;
	/* First the one for whose sake there is a batch; then those before it, whose bytes have
	 * come with its own; then those behind it. */
	struct flight *flights[BATCH_MAX];
	struct chunk rows[BATCH_MAX];
	size_t n, next; /* flights [next, n) are still ours */
	/* the range that is being read */
	uint64_t off, len, have;
	uint8_t *bytes;
	bool kept;
	enum fetch_priority who;      /* the most urgent of the flights, when they were entered */
	struct chunk_windows windows; /* of the chunks decoded last */
};

/* Decode one chunk out of verified blob bytes: 0, -EBADMSG, -ENOMEM. */
static err_t decode(struct batch *b, uint32_t chunk, const struct chunk *row, struct bytes blob,
		    struct chunk_data **out)
{
	const struct chunk_table *table = slot_table(b->slot);
	struct bytes window;
	struct chunk_data *data = chunk_data_new(row->stream_len);
	if (!data)
		return -ENOMEM;
	err_t err = chunk_table_window(table, chunk, &b->windows, &window);
	if (err == -EBADMSG && content_rows_again(b->c, b->slot, chunk) == 0)
		err = chunk_table_window(table, chunk, &b->windows, &window);
	if (!err)
		err = chunk_decode(row, blob, window, INFLATE_BEST, data->bytes);
	if (!err)
		err = chunk_check_stream(row, data->bytes);
	if (err) {
		chunk_data_put(&data);
		return err;
	}
	board_count(&b->c->board->decoded_bytes, row->stream_len);
	*out = data;
	return 0;
}

/* Right bytes that do not decode accuse the index, or this machine's memory: never who gave them,
 * and no neighbour. */
static void undecodable(struct batch *b, struct flight *f, const struct chunk *row, err_t err)
{
	const char *why =
		err == -ENOMEM ? "out of memory" : "the bytes are right, the index is not";
	board_failed(b->c->board, b->slot->layer, why);
	log_warn("chunk.undecodable", "layer=%s range=%llu-%llu reason=\"%s\"", b->slot->name,
		 (unsigned long long)row->blob_off,
		 (unsigned long long)(row->blob_off + row->blob_len - 1), why);
	if (err == -ENOMEM)
		content_unreachable(b->c, f, err);
	else
		content_refused(b->c, f);
}

/* The blob bytes of the batch's next chunk are complete. False: the kept blob has lied. */
static bool finish_chunk(struct batch *b)
{
	struct flight *f = b->flights[b->next];
	const struct chunk *row = &b->rows[b->next];
	struct bytes blob = {b->bytes + (row->blob_off - b->off), row->blob_len};
	struct chunk_data *data = NULL;
	if (chunk_check_blob(row, blob) != 0) {
		content_log_refused(b->c, b->slot, row->blob_off, row->blob_len, b->kept,
				    "SHA-256 mismatch");
		if (b->kept)
			return false;
		b->next++;
		content_refused(b->c, f);
		return true;
	}
	b->next++;
	err_t err = decode(b, f->job.chunk, row, blob, &data);
	if (!err)
		trace_chunk_came(b->c, f->job.slot, f->job.chunk, f->began_as);
	if (err)
		undecodable(b, f, row, err);
	else
		content_arrive(b->c, f, data);
	chunk_data_put(&data);
	return true;
}

/* Read on until the next chunk is complete. */
static err_t read_next(struct batch *b, struct range_reader *r, struct diag *d)
{
	const struct chunk *row = &b->rows[b->next];
	uint64_t need = row->blob_off + row->blob_len - b->off;
	if (need <= b->have)
		return 0;
	err_t err = range_read(b->c, r, b->bytes + b->have, need - b->have, d);
	if (!err)
		b->have = need;
	return err;
}

static err_t read_batch(struct batch *b, struct range_reader *r, struct diag *d)
{
	while (b->next < b->n) {
		err_t err = read_next(b, r, d);
		if (err)
			return err;
		if (!finish_chunk(b))
			return -EBADMSG;
	}
	return 0;
}

/* The most patient waiter decides how long the request may take; what nobody waits for has the
 * budget, and so has each of the attempts of those who wait for ever. */
int64_t content_deadline(struct content *c, struct flight *const *flights, size_t n)
{
	int64_t latest_ms = INT64_MIN, until_ms, attempt_ms = now_ms() + c->budget_ms;
	for (size_t i = 0; i < n; i++)
		if (flight_patience(c->flights, flights[i], &until_ms))
			latest_ms = max_of(latest_ms, until_ms);
	return latest_ms == INT64_MIN ? attempt_ms : min_of(latest_ms, attempt_ms);
}

static void set_range(struct batch *b)
{
	uint64_t end = 0;
	b->off = UINT64_MAX;
	for (size_t i = b->next; i < b->n; i++) {
		b->off = min_of(b->off, b->rows[i].blob_off);
		end = max_of(end, b->rows[i].blob_off + b->rows[i].blob_len);
	}
	b->len = end - b->off;
	b->have = 0;
}

/* Chunks [first, last], whose flights may be gone. */
static void trace_range(const struct batch *b, int64_t from_ms, uint32_t first, uint32_t last,
			err_t err)
{
	unsigned flags = (b->kept ? TRACE_KEPT : 0) | (err ? TRACE_FAILED : 0);
	trace_fetched(b->c, &(struct trace_fetched){.from_ms = from_ms,
						    .bytes = b->have,
						    .slot = (uint32_t)(b->slot - b->c->slots),
						    .chunk = first,
						    .n_chunks = last - first + 1,
						    .who = b->who,
						    .flags = flags});
}

static err_t fetch_range(struct batch *b, struct diag *d)
{
	struct range_reader r;
	int64_t from_ms = now_ms();
	uint32_t first = UINT32_MAX, last = 0;
	for (size_t i = b->next; i < b->n; i++) {
		first = min_of(first, b->flights[i]->job.chunk);
		last = max_of(last, b->flights[i]->job.chunk);
	}
	set_range(b);
	b->bytes = try_array(b->len, 1, CHUNK_BLOB_MAX);
	if (!b->bytes)
		return fail(d, ERR_OTHER, -ENOMEM, "no memory for a range of %llu bytes",
			    (unsigned long long)b->len);
	int64_t deadline_ms = content_deadline(b->c, b->flights + b->next, b->n - b->next);
	err_t err = range_open(b->c, b->slot, b->kept, b->off, b->len, deadline_ms, &r, d);
	if (!err)
		err = read_batch(b, &r, d);
	if (!err && r.first_us)
		line_learn(b->c, r.first_us - r.asked_us, b->len, board_now_us() - r.first_us);
	range_close(b->c, &r);
	free(take(&b->bytes));
	if (!b->kept || err != -ENOENT)
		trace_range(b, from_ms, first, last, err);
	return err;
}

static void fetch_batch(struct batch *b)
{
	struct diag d = DIAG_INIT;
	b->kept = true;
	err_t err = fetch_range(b, &d);
	if (err == -EBADMSG)
		store_blob_drop(b->c->image->store, &b->slot->blob_digest);
	if (err == -EBADMSG || err == -ENOENT) {
		b->kept = false;
		err = fetch_range(b, &d);
	}
	if (b->next == b->n)
		return;
	BUG_ON(!err);
	if (err != -ECANCELED)
		content_log_unreachable(b->c, b->slot, b->off, b->len, &d);
	for (; b->next < b->n; b->next++) {
		if (err == -EBADMSG)
			content_refused(b->c, b->flights[b->next]);
		else
			content_unreachable(b->c, b->flights[b->next], err);
	}
}

/* Chunks that somebody stored between the reader's look and ours, or that nobody wants any more,
 * need no fetch. This look, after the flight was entered, is what makes one fetch a chunk certain.
 */
static bool still_needed(struct content *c, struct flight *f)
{
	return !flight_drop_unwanted(c->flights, f) && !content_arrive_stored(c, f);
}

/* The i-th to be delivered. */
static size_t in_turn(size_t i, size_t lead)
{
	if (i == 0)
		return lead;
	return i <= lead ? i - 1 : i;
}

static void run_chunks(struct content *c, struct job **jobs, size_t n, size_t lead)
{
	struct batch b = {.c = c, .slot = &c->slots[jobs[0]->slot]};
	for (size_t i = 0; i < n; i++) {
		struct flight *f = flight_of(jobs[in_turn(i, lead)]);
		if (!still_needed(c, f))
			continue;
		if (f->job.alone) {
			BUG_ON(n != 1);
			content_run_frame(c, f);
			return;
		}
		chunk_table_get(slot_table(b.slot), f->job.chunk, &b.rows[b.n]);
		b.who = b.n ? min_of(b.who, f->began_as) : f->began_as;
		b.flights[b.n++] = f;
	}
	if (b.n)
		fetch_batch(&b);
	chunk_windows_fini(&b.windows);
}

void content_run_batch(void *arg, struct job **jobs, size_t n, size_t lead)
{
	struct content *c = arg;
	if (jobs[0]->slot >= c->n_slots)
		content_run_rows(c, jobs, n);
	else
		run_chunks(c, jobs, n, lead);
	loader_feed(c);
	replay_feed(c);
	fill_feed(c);
}
