/*
 * The reader's side. A read is walked piece by piece, a piece being what one chunk has of one
 * extent. What the store has is copied in the call; the first piece that it has not makes a ticket,
 * and from there every missing piece joins the flight of its chunk. The ticket completes when the
 * last piece is there; nothing waits here.
 */
#include "fetch/content_priv.h"

#include <string.h>
#include <sys/stat.h>

/* content_read asks for this much at a time, so that a ticket stays small. */
#define READ_STEP (4u << 20)

/* --- the pieces of a read --- */

struct piece {
	uint32_t row;
	uint64_t file_off;
	struct slot *slot; /* NULL: a hole */
	uint32_t chunk, off;
	uint32_t n;
	uint8_t *to;
};

struct walk {
	struct content *c;
	uint32_t row;
	uint64_t off, end;
	uint8_t *to;
};

static void piece_of_stream(struct slot *slot, uint64_t stream_off, uint64_t len, struct piece *out)
{
	const struct chunk_table *table = slot_table(slot);
	struct chunk row;
	out->slot = slot;
	out->chunk = chunk_table_at(table, stream_off);
	chunk_table_get(table, out->chunk, &row);
	out->off = (uint32_t)(stream_off - row.stream_off);
	out->n = (uint32_t)min_of(len, (uint64_t)(row.stream_len - out->off));
}

static bool walk_next(struct walk *w, struct piece *out)
{
	if (w->off == w->end)
		return false;
	struct extent run;
	index_extent(w->c->image->tree, w->row, w->off, &run);
	uint64_t len = min_of(run.len, w->end - w->off);
	if (run.hole)
		*out = (struct piece){.n = (uint32_t)min_of(len, (uint64_t)READ_STEP)};
	else
		piece_of_stream(&w->c->slots[w->c->slot_of_layer[run.layer]], run.stream_off, len,
				out);
	out->row = w->row;
	out->file_off = w->off;
	out->to = w->to;
	w->to += out->n;
	w->off += out->n;
	return true;
}

static bool read_stored(struct content *c, const struct slot *slot, uint32_t chunk, uint32_t off,
			uint32_t n, void *p)
{
	if (chunk_store_read(slot->chunks, chunk, off, n, p) == 0)
		return true;
	struct chunk_data *data = recent_get(c->recent, (uint32_t)(slot - c->slots), chunk);
	if (!data)
		return false;
	memcpy(p, data->bytes + off, n);
	chunk_data_put(&data);
	return true;
}

static bool serve_now(struct content *c, const struct piece *piece)
{
	if (!piece->slot) {
		memset(piece->to, 0, piece->n);
		return true;
	}
	if (!read_stored(c, piece->slot, piece->chunk, piece->off, piece->n, piece->to)) {
		if (!share_read(c, piece->row, piece->file_off, piece->n, piece->to))
			return false;
		board_count(&c->board->store_hits, 1);
		return true;
	}
	around_wanted(&piece->slot->around, piece->chunk);
	board_count(&c->board->store_hits, 1);
	trace_chunk_read(c, (uint32_t)(piece->slot - c->slots), piece->chunk);
	content_prove_soon(c, (uint32_t)(piece->slot - c->slots));
	return true;
}

/* --- waiting for what is missing --- */

void content_read_done(struct content *c, struct read_request *r, err_t err)
{
	if (err && err != -EINTR)
		board_count(&c->board->errors, 1);
	trace_waited(c, r, err);
	content_wait_end(c, r, err);
	r->done(r, err);
}

static void ticket_done(void *context, void *arg, err_t err)
{
	struct read_request *r = arg;
	bool rows = r->for_rows;
	r->for_rows = false;
	if (rows && !err)
		content_begin(context, r);
	else
		content_read_done(context, r, err);
}

static void fill_job(struct content *c, struct flight *f)
{
	struct chunk row;
	if (f->job.slot >= c->n_slots) {
		content_rows_job(c, &f->job);
		return;
	}
	chunk_table_get(slot_table(&c->slots[f->job.slot]), f->job.chunk, &row);
	f->job.blob_off = row.blob_off;
	f->job.blob_len = row.blob_len;
	f->job.alone = row.codec == CHUNK_ZSTD_INNER;
}

void content_submit(struct content *c, struct flight *const *flights, size_t n)
{
	struct job *jobs[BATCH_MAX] = {0};
	BUG_ON(n == 0 || n > BATCH_MAX);
	for (size_t i = 0; i < n; i++) {
		fill_job(c, flights[i]);
		jobs[i] = &flights[i]->job;
	}
	if (scheduler_add(c->scheduler, jobs, n) == 0)
		return;
	for (size_t i = 0; i < n; i++)
		flight_fail(c->flights, flights[i], -EIO);
}

void leads_add(struct content *c, struct leads *leads, struct flight *f)
{
	if (leads->n == BATCH_MAX)
		leads_submit(c, leads);
	leads->flights[leads->n++] = f;
}

void leads_submit(struct content *c, struct leads *leads)
{
	if (leads->n)
		content_submit(c, leads->flights, leads->n);
	leads->n = 0;
}

static void copy_landed(struct chunk_data **data, const struct piece *piece)
{
	memcpy(piece->to, (*data)->bytes + piece->off, piece->n);
	chunk_data_put(data);
}

/* The first chunks that a read leads; a large read brings its neighbours itself. */
struct place {
	uint32_t slot, chunk;
};
struct missed {
	struct place chunks[4];
	size_t n;
};

/* Returns false when the read has failed already. */
static bool wait_for(struct content *c, struct ticket *ticket, struct leads *leads,
		     struct missed *missed, const struct piece *piece)
{
	struct flight *lead = NULL;
	struct chunk_data *data = NULL;
	struct part part = {.to = piece->to, .off = piece->off, .n = piece->n};
	uint32_t slot = (uint32_t)(piece->slot - c->slots);
	board_count(&c->board->misses, 1);
	around_wanted(&piece->slot->around, piece->chunk);
	trace_chunk_read(c, slot, piece->chunk);
	switch (flight_join(c->flights, ticket, slot, piece->chunk, &part, &lead, &data)) {
	case JOIN_WAITS:
		return true;
	case JOIN_LEADS:
		leads_add(c, leads, lead);
		if (missed->n < ARRAY_LEN(missed->chunks))
			missed->chunks[missed->n++] = (struct place){slot, piece->chunk};
		return true;
	case JOIN_LANDED:
		copy_landed(&data, piece);
		return true;
	case JOIN_FAILED:
		break;
	}
	return false;
}

static size_t count_pieces(struct walk w)
{
	struct piece piece;
	size_t n = 0;
	while (walk_next(&w, &piece))
		n++;
	return n;
}

/* The rest of a read from its first missing piece on. */
static void read_missing(struct content *c, struct read_request *r, const struct piece *first,
			 struct walk *w)
{
	content_wait_begin(c, r);
	struct ticket *ticket = ticket_new(c->flights, 1 + count_pieces(*w), r, &r->state);
	if (!ticket) {
		content_read_done(c, r, -EIO);
		return;
	}
	trace_waits(c, r, (uint32_t)(first->slot - c->slots), first->chunk);
	/* A profile knows better than a guess. */
	uint32_t row = r->row;
	uint64_t off = r->off;
	bool guesses = !replay_has(c, row, off);
	struct leads leads = {.n = 0};
	struct missed missed = {.n = 0};
	struct piece piece;
	bool going = wait_for(c, ticket, &leads, &missed, first);
	while (going && walk_next(w, &piece))
		going = serve_now(c, &piece) || wait_for(c, ticket, &leads, &missed, &piece);
	/* The chunk of the file's first byte is one that this read leads. */
	bool begins = first->file_off == 0 && missed.n && missed.chunks[0].chunk == first->chunk;
	for (size_t i = 0; guesses && i < missed.n; i++)
		around_missed(c, missed.chunks[i].slot, missed.chunks[i].chunk, &leads);
	if (guesses && begins)
		around_begun(c, row, &leads);
	if (guesses)
		loader_missed(c, row, off);
	leads_submit(c, &leads);
	ticket_close(c->flights, ticket);
}

void content_begin(struct content *c, struct read_request *r)
{
	struct walk w = {c, r->row, r->off, r->off + r->n, r->buf};
	struct piece piece;
	uint32_t row = r->row;
	uint64_t off = r->off;
	size_t n = r->n;
	/* Readers first: what they miss is queued before what they may want next. The request may
	 * be gone once it is done, but the content is not: see content_free. */
	while (walk_next(&w, &piece)) {
		if (serve_now(c, &piece))
			continue;
		read_missing(c, r, &piece, &w);
		ahead_note(c, row, off, n, true);
		return;
	}
	ahead_note(c, row, off, n, false);
	content_read_done(c, r, 0);
}

void content_read_start(struct content *c, struct read_request *r)
{
	r->state = NULL;
	r->for_rows = false;
	r->wait.since_us = 0;
	board_count(&c->board->reads, 1);
	board_count(&c->board->read_bytes, r->n);
	r->waits_slot = r->waits_chunk = TRACE_NONE;
	content_prove_what_is_here(c);
	if (r->n) {
		trace_read(c, r);
		fill_note(c);
		loader_note(c, r->row);
		record_note(c, r->row, r->off, r->n);
		replay_note(c, r->row, r->off);
	}
	if (content_is_disproved(c, r->row))
		content_read_done(c, r, -EBADMSG);
	else if (!content_rows_wait(c, r))
		content_begin(c, r);
}

void content_read_cancel(struct content *c, struct read_request *r)
{
	ticket_abort(c->flights, &r->state, -EINTR);
}

/* --- the waiting form --- */

struct sync_read {
	struct read_request request; /* first: done gets a pointer to it */
	struct lock lock;
	pthread_cond_t changed;
	/* under lock */
	bool done;
	err_t err;
};

static void sync_done(struct read_request *r, err_t err)
{
	struct sync_read *sync = (struct sync_read *)r;
	lock_take(&sync->lock);
	sync->done = true;
	sync->err = err;
	/* Under the lock: the object is gone as soon as its owner can see `done`. */
	pthread_cond_signal(&sync->changed);
	lock_drop(&sync->lock);
}

static err_t read_step(struct content *c, uint32_t row, uint64_t off, void *p, size_t n)
{
	struct sync_read sync = {
		.request = {.row = row, .off = off, .n = n, .buf = p, .done = sync_done}};
	lock_init(&sync.lock);
	condition_init(&sync.changed);
	content_read_start(c, &sync.request);
	lock_take(&sync.lock);
	while (!sync.done)
		condition_wait(&sync.changed, &sync.lock, INT64_MAX);
	lock_drop(&sync.lock);
	pthread_cond_destroy(&sync.changed);
	lock_fini(&sync.lock);
	return sync.err;
}

err_t content_fail_read(const struct content *c, struct diag *d, err_t err)
{
	switch (err) {
	case -EBADMSG:
		return fail(d, ERR_INTEGRITY, err,
			    "the bytes that came are not the image's (the log says more)");
	case -ENOENT:
		return fail(d, ERR_NOT_FOUND, err, "the layer is gone (the log says more)");
	case -EACCES:
		return fail(d, ERR_DENIED, err, "the layer was denied (the log says more)");
	case -EDQUOT:
		return fail(d, ERR_RATE, err,
			    "the registry limits our rate; wait, or log in (the log says more)");
	case -ENOMEM:
		return fail(d, ERR_OTHER, err, "out of memory");
	default:
		if (c->image->options.offline)
			return fail(d, ERR_NOT_FOUND, err,
				    "its bytes are not in the store, and with --offline no "
				    "registry is asked; 'imgfs prefetch' brings them");
		return fail(d, ERR_NETWORK, err,
			    "the bytes could not be fetched (the log says why)");
	}
}

err_t content_read(struct content *c, uint32_t row, uint64_t off, void *p, size_t n, struct diag *d)
{
	uint8_t *to = p;
	while (n) {
		size_t step = min_of(n, (size_t)READ_STEP);
		err_t err = read_step(c, row, off, to, step);
		if (err)
			return content_fail_read(c, d, err);
		to += step;
		off += step;
		n -= step;
	}
	return 0;
}

/* --- beginning and end --- */

static uint32_t find_slot(const struct content *c, const struct digest *blob)
{
	for (uint32_t i = 0; i < c->n_slots; i++)
		if (digest_equal(&c->slots[i].blob_digest, blob))
			return i;
	return c->n_slots;
}

/* The table that the image has of a layer: of its index, of its published form, or none yet. */
static err_t table_of(struct content *c, uint32_t layer, struct chunk_table **out, struct diag *d)
{
	struct index_layer_head head;
	*out = NULL;
	if (c->image->layers[layer])
		*out = chunk_table_of_index(c->image->layers[layer]);
	else if (index_layer_head(c->image->tree, layer, &head))
		return chunk_table_of_head(c->image->store, &head, out, d);
	return 0;
}

err_t content_slot_open(struct content *c, struct slot *slot, struct chunk_table *table,
			struct diag *d)
{
	err_t err = around_new(&slot->around, chunk_table_info(table)->n_chunks);
	if (err)
		(void)fail_sys(d, ERR_OTHER, err, "open a layer");
	else
		err = chunk_store_open(c->image->store, table, &slot->chunks, d);
	if (err) {
		around_free(&slot->around);
		chunk_table_free(&table);
		return err;
	}
	const struct digest *form = chunk_table_form(table);
	bool proven = form && store_published_index_there(c->image->store, form);
	atomic_store_explicit(&slot->proven, proven, memory_order_relaxed);
	atomic_store_explicit(&slot->table, table, memory_order_release);
	trace_slot_opened(c, slot);
	content_show_state(c, slot,
			   chunk_table_form(table) ? image_layer_state(c->image, slot->layer)
						   : LAYER_PROVEN);
	content_show_chunks(c, slot);
	return 0;
}

static err_t add_layer(struct content *c, uint32_t layer, struct diag *d)
{
	const struct descriptor *desc = &c->image->manifest.layers[layer].desc;
	struct chunk_table *table;
	uint32_t i = find_slot(c, &desc->digest);
	c->slot_of_layer[layer] = i;
	if (i < c->n_slots)
		return 0;
	char hex[DIGEST_TEXT_MAX];
	struct slot *slot = &c->slots[i];
	*slot = (struct slot){.layer = layer, .blob_digest = desc->digest, .blob_size = desc->size};
	memcpy(slot->name, digest_hex(&desc->digest, hex), 12);
	c->n_slots++;
	err_t err = table_of(c, layer, &table, d);
	if (!err && !table)
		content_show_state(c, slot,
				   store_index_there(c->image->store, INDEX_LAYER, &desc->digest)
					   ? LAYER_PROVEN
					   : LAYER_UNINDEXED);
	return err || !table ? err : content_slot_open(c, slot, table, d);
}

static err_t add_layers(struct content *c, struct diag *d)
{
	uint32_t n = index_info(c->image->tree)->n_layers;
	c->slots = xcalloc(max_of(n, 1u), sizeof(*c->slots));
	c->slot_of_layer = xcalloc(max_of(n, 1u), sizeof(*c->slot_of_layer));
	for (uint32_t i = 0; i < n; i++) {
		err_t err = add_layer(c, i, d);
		if (err)
			return err;
	}
	return 0;
}

static int64_t content_tick(void *arg, int64_t now)
{
	struct content *c = arg;
	int64_t next_ms = flights_tick(c->flights, now);
	next_ms = min_of(next_ms, record_tick(c, now));
	return min_of(next_ms, fill_tick(c, now));
}

static void start_engine(struct content *c, const struct content_options *options)
{
	struct scheduler_options s = {
		.workers = options->workers ? options->workers : CONTENT_WORKERS,
		.n_slots = c->n_slots * 2,
		.run = content_run_batch,
		.tick = content_tick,
		.arg = c,
	};
	unsigned budget_s = options->budget_s ? options->budget_s : CONTENT_BUDGET_S;
	c->budget_ms = (int64_t)budget_s * 1000;
	c->wait_for_ever = options->wait_for_ever;
	c->neighbours = options->neighbours;
	c->scheduler = scheduler_new(&s);
	c->flights = flights_new(c->scheduler, c->wait_for_ever ? INT64_MAX : c->budget_ms,
				 ticket_done, c);
	c->recent = recent_new();
	c->nothing = chunk_data_new(0);
	BUG_ON(!c->nothing);
	c->ahead = ahead_new();
	if (c->neighbours && c->n_slots)
		c->loader = loader_new(c->image->tree);
	c->share = options->share && c->n_slots && !c->image->published ? share_new() : NULL;
	if (options->fill != FILL_OFF && c->n_slots)
		c->fill = fill_new(options->fill);
	if (options->profile && c->n_slots) {
		c->record = record_new(index_info(c->image->tree)->files_size);
		c->replay = replay_new();
	}
}

void content_go_on_warming(struct content *c)
{
	if (!atomic_load(&c->warm))
		return;
	if (c->replay)
		content_queue_work(c, 0, PROFILE_LOAD_GROUP);
	fill_start(c);
}

void content_warm(struct content *c)
{
	atomic_store(&c->warm, true); /* before the look at the other layers: see share_load */
	/* What is here under another layer need not be fetched. */
	if (share_pending(c))
		content_queue_work(c, 0, SHARE_LOAD_GROUP);
	else
		content_go_on_warming(c);
}

err_t content_new(struct image *image, const struct content_options *options, struct content **out,
		  struct diag *d)
{
	static const struct content_options defaults;
	BUG_ON(!image->tree);
	struct content *c = new_of(struct content);
	c->image = image;
	lock_init(&c->runs_lock);
	TAILQ_INIT(&c->runs);
	c->layer_states = options ? options->layer_states : NULL;
	c->own_board = options && options->board ? NULL : new_of(struct board);
	c->board = c->own_board ? c->own_board : options->board;
	err_t err = add_layers(c, d);
	if (err) {
		content_free(&c);
		return err;
	}
	start_engine(c, options ? options : &defaults);
	if (options && options->trace_fd > 0)
		tracer_open(c, options->trace_fd);
	source_watch(c->image->source, content_trouble, c);
	*out = c;
	return 0;
}

static void stop_engine(struct content *c)
{
	record_save(c);
	atomic_store_explicit(&c->stopping, true, memory_order_relaxed);
	flights_fail_all(c->flights);
	/* Only then can a worker be inside the source. */
	if (scheduler_started(c->scheduler))
		source_interrupt(c->image->source);
	replay_stop(c);
	fill_stop(c);
	/* Workers look at the scheduler until they have ended. */
	scheduler_stop(c->scheduler);
	tracer_save(c);
	source_watch(c->image->source, NULL, NULL);
	scheduler_free(&c->scheduler);
	flights_free(&c->flights);
	recent_free(&c->recent);
	chunk_data_put(&c->nothing);
	ahead_free(&c->ahead);
	loader_free(&c->loader);
	record_free(&c->record);
	replay_free(&c->replay);
	share_free(&c->share);
	fill_free(&c->fill);
	tracer_free(&c->tracer);
}

void content_free(struct content **cp)
{
	if (!*cp)
		return;
	struct content *c = take(cp);
	if (c->scheduler)
		stop_engine(c);
	for (uint32_t i = 0; i < c->n_slots; i++) {
		struct chunk_table *table = slot_table(&c->slots[i]);
		chunk_store_close(&c->slots[i].chunks);
		around_free(&c->slots[i].around);
		chunk_table_free(&table);
	}
	lock_fini(&c->runs_lock);
	free(c->slots);
	free(c->slot_of_layer);
	free(c->own_board);
	free(c);
}

void content_stats(struct content *c, struct content_stats *out)
{
	board_stats_copy(c->board, out);
}
