/*
 * Prefetching: the wanted parts of each layer as ranges of its stream, then as chunks in order, a
 * few batches of flights under way at a time. A batch waits like a reader does, for as long as a
 * reader's budget; so batches begin small, grow while they come quickly, and shrink on a slow line.
 */
#include "fetch/content_prefetch.h"

#include "fetch/content_priv.h"
#include "fetch/image_priv.h"
#include "fetch/log.h"

#include <unistd.h>

#define LEVEL_FIRST	1
#define LEVEL_MAX	5
#define BATCHES_MAX	(LEVEL_MAX + 1) /* under way together */
#define BATCH_BYTES_MIN (256u << 10)	/* of blobs, at level 0; doubled by each level */
#define QUICK_MS	5000		/* a batch that takes less: more */
#define SLOW_MS		20000		/* one that takes longer: less */

#define KEEP_MS 10000 /* a disk that has not taken a batch by then takes nothing */

struct span {
	uint64_t off, len; /* of a layer's stream */
};

struct spans {
	struct span *list;
	size_t n, cap;
	bool whole; /* all of the layer, whatever the list says */
};

/* Chunks that are waited for together. */
struct batch {
	struct read_request request; /* first: done gets a pointer to it */
	struct prefetch *owner;
	uint32_t slot; /* of the flights */
	uint32_t keys[BATCH_MAX];
	size_t n;
	uint64_t bytes; /* of blobs */
	int64_t began_ms;
	/* under the owner's lock */
	bool ended;
	err_t err;
};

struct prefetch {
	struct content *c;
	struct spans *spans; /* by slot */
	struct batch ring[BATCHES_MAX];
	size_t first, n; /* those under way */
	unsigned level;
	struct progress *progress;
	struct lock lock;
	pthread_cond_t changed;
};

struct prefetch *prefetch_new(struct content *c)
{
	struct prefetch *p = new_of(struct prefetch);
	p->c = c;
	p->level = LEVEL_FIRST;
	p->spans = xcalloc(max_of(c->n_slots, 1u), sizeof(*p->spans));
	lock_init(&p->lock);
	condition_init(&p->changed);
	return p;
}

void prefetch_free(struct prefetch **pp)
{
	struct prefetch *p = take(pp);
	if (!p)
		return;
	BUG_ON(p->n);
	for (uint32_t i = 0; i < p->c->n_slots; i++)
		free(p->spans[i].list);
	free(p->spans);
	pthread_cond_destroy(&p->changed);
	lock_fini(&p->lock);
	free(p);
}

/* --- what is wanted --- */

void prefetch_add_all(struct prefetch *p)
{
	for (uint32_t i = 0; i < p->c->n_slots; i++)
		p->spans[i].whole = true;
}

err_t prefetch_add(struct prefetch *p, uint32_t row, uint64_t off, uint64_t len)
{
	for (uint64_t end = off + len; off < end;) {
		struct extent run;
		index_extent(p->c->image->tree, row, off, &run);
		uint64_t n = min_of(run.len, end - off);
		if (!run.hole) {
			struct spans *s = &p->spans[p->c->slot_of_layer[run.layer]];
			if (!try_grow(&s->list, s->n, &s->cap, sizeof(*s->list)))
				return -ENOMEM;
			s->list[s->n++] = (struct span){run.stream_off, n};
		}
		off += n;
	}
	return 0;
}

static int by_offset(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	return (x->off > y->off) - (x->off < y->off);
}

/* In order, without overlaps. */
static void tidy(struct spans *s, uint64_t stream_size)
{
	if (s->whole && try_grow(&s->list, 0, &s->cap, sizeof(*s->list))) {
		s->list[0] = (struct span){0, stream_size};
		s->n = stream_size ? 1 : 0;
	}
	if (s->n)
		qsort(s->list, s->n, sizeof(*s->list), by_offset);
	size_t n = 0;
	for (size_t i = 0; i < s->n; i++) {
		struct span *last = n ? &s->list[n - 1] : NULL;
		uint64_t end = s->list[i].off + s->list[i].len;
		if (last && s->list[i].off <= last->off + last->len)
			last->len = max_of(last->off + last->len, end) - last->off;
		else
			s->list[n++] = s->list[i];
	}
	s->n = n;
}

/* A walk over the chunks of a slot's spans, each once, in order. */
struct cursor {
	const struct spans *spans;
	const struct chunk_table *table;
	size_t span;
	uint32_t next; /* chunks before this one are behind us */
};

static bool cursor_next(struct cursor *at, uint32_t *chunk, struct chunk *row)
{
	for (; at->span < at->spans->n; at->span++) {
		const struct span *s = &at->spans->list[at->span];
		uint32_t n = chunk_table_info(at->table)->n_chunks;
		*chunk = max_of(at->next, chunk_table_at(at->table, s->off));
		if (*chunk >= n)
			continue;
		chunk_table_get(at->table, *chunk, row);
		if (row->stream_off >= s->off + s->len)
			continue;
		at->next = *chunk + 1;
		return true;
	}
	return false;
}

/* --- waiting --- */

static void batch_done(struct read_request *r, err_t err)
{
	struct batch *b = (struct batch *)r;
	struct prefetch *p = b->owner;
	lock_take(&p->lock);
	b->ended = true;
	b->err = err;
	/* Under the lock: the object may be gone as soon as its owner can see `ended`. */
	pthread_cond_signal(&p->changed);
	lock_drop(&p->lock);
}

static struct batch *batch_new(struct prefetch *p, uint32_t slot)
{
	BUG_ON(p->n == BATCHES_MAX);
	struct batch *b = &p->ring[(p->first + p->n) % BATCHES_MAX];
	*b = (struct batch){.owner = p, .slot = slot};
	b->request.done = batch_done;
	return b;
}

static bool batch_join(struct prefetch *p, struct ticket *ticket, struct leads *leads,
		       uint32_t slot, uint32_t key)
{
	static uint8_t nowhere; /* a part of no bytes: what arrives goes to the store */
	struct part part = {.to = &nowhere};
	struct flight *lead = NULL;
	struct chunk_data *data = NULL;
	switch (flight_join(p->c->flights, ticket, slot, key, &part, &lead, &data)) {
	case JOIN_LEADS:
		leads_add(p->c, leads, lead);
		return true;
	case JOIN_LANDED:
		chunk_data_put(&data);
		return true;
	case JOIN_WAITS:
		return true;
	case JOIN_FAILED:
		break;
	}
	return false;
}

static void batch_start(struct prefetch *p, struct batch *b)
{
	struct leads leads = {.n = 0};
	p->n++;
	b->began_ms = now_ms();
	struct ticket *ticket = ticket_new(p->c->flights, b->n, &b->request, &b->request.state);
	if (!ticket) {
		batch_done(&b->request, -ENOMEM);
		return;
	}
	for (size_t i = 0; i < b->n && batch_join(p, ticket, &leads, b->slot, b->keys[i]); i++)
		;
	leads_submit(p->c, &leads);
	ticket_close(p->c->flights, ticket);
}

static void adapt(struct prefetch *p, int64_t took_ms)
{
	if (took_ms < QUICK_MS)
		p->level = min_of(p->level + 1, (unsigned)LEVEL_MAX);
	else if (took_ms > SLOW_MS && p->level)
		p->level--;
}

static err_t fail_not_kept(const struct prefetch *p, struct diag *d)
{
	return fail(d, ERR_STORE, -ENOSPC,
		    "store %s: what was fetched can not be kept; make room, or see --store DIR",
		    store_dir(p->c->image->store));
}

/* What came is kept a moment after those who wait were told: see content_arrive. Only a store that
 * keeps nothing is seen at once. */
static err_t check_keeps(struct prefetch *p, const struct batch *b, struct diag *d)
{
	if (b->slot >= p->c->n_slots)
		return 0;
	const struct chunk_store *chunks = p->c->slots[b->slot].chunks;
	for (size_t i = 0; i < b->n && !chunk_store_keeps(chunks); i++)
		if (!chunk_store_has(chunks, b->keys[i]))
			return fail_not_kept(p, d);
	return 0;
}

/* The end of the oldest batch. */
static err_t batch_await(struct prefetch *p, struct diag *d)
{
	struct batch *b = &p->ring[p->first];
	lock_take(&p->lock);
	while (!b->ended)
		condition_wait(&p->changed, &p->lock, INT64_MAX);
	lock_drop(&p->lock);
	p->first = (p->first + 1) % BATCHES_MAX;
	p->n--;
	if (b->err)
		return content_fail_read(p->c, d, b->err);
	adapt(p, now_ms() - b->began_ms);
	err_t err = check_keeps(p, b, d);
	if (!err && b->slot < p->c->n_slots)
		progress_add(p->progress, p->c->slots[b->slot].layer, b->bytes);
	return err;
}

static err_t await_all(struct prefetch *p, struct diag *d)
{
	err_t err = 0;
	while (p->n && !err)
		err = batch_await(p, d);
	return err;
}

/* After a failure: nothing else is waited for. */
static void give_up(struct prefetch *p)
{
	struct diag unused = DIAG_INIT;
	for (size_t i = 0; i < p->n; i++)
		ticket_abort(p->c->flights, &p->ring[(p->first + i) % BATCHES_MAX].request.state,
			     -EINTR);
	while (p->n)
		if (batch_await(p, &unused))
			continue;
}

/* --- chunk rows, and indexes of small layers --- */

static bool is_wanted(const struct spans *s)
{
	return s->whole || s->n;
}

static err_t rows_flush(struct prefetch *p, struct batch *b, struct diag *d)
{
	if (!b->n)
		return 0;
	batch_start(p, b);
	return await_all(p, d);
}

/* The groups of one span that are not here. */
static err_t rows_of_span(struct prefetch *p, uint32_t slot, const struct span *span,
			  struct diag *d)
{
	struct chunk_table *table = slot_table(&p->c->slots[slot]);
	uint32_t group, last;
	if (!span->len || !chunk_table_groups(table, span->off, span->len, &group, &last))
		return 0;
	struct batch *b = batch_new(p, p->c->n_slots + slot);
	for (; group <= last; group++) {
		if (chunk_table_has_group(table, group) || chunk_table_recall(table, group))
			continue;
		b->keys[b->n++] = group;
		if (b->n < BATCH_MAX)
			continue;
		err_t err = rows_flush(p, b, d);
		if (err)
			return err;
		b = batch_new(p, p->c->n_slots + slot);
	}
	return rows_flush(p, b, d);
}

static err_t rows_of_slot(struct prefetch *p, uint32_t slot, struct diag *d)
{
	struct content *c = p->c;
	err_t err = 0;
	if (!slot_table(&c->slots[slot])) {
		struct batch *b = batch_new(p, c->n_slots + slot);
		b->keys[b->n++] = 0;
		err = rows_flush(p, b, d);
		/* A layer that was proven to lie is no layer. */
		if (!err && !slot_table(&c->slots[slot]))
			err = content_fail_read(c, d, -EBADMSG);
	}
	if (err)
		return err;
	tidy(&p->spans[slot], chunk_table_info(slot_table(&c->slots[slot]))->stream_size);
	for (size_t i = 0; i < p->spans[slot].n && !err; i++)
		err = rows_of_span(p, slot, &p->spans[slot].list[i], d);
	return err;
}

/* --- chunks --- */

static bool has_kept_blob(const struct content *c, const struct slot *slot)
{
	auto_fd int fd = store_blob_open(c->image->store, &slot->blob_digest, slot->blob_size);
	return fd >= 0;
}

/* The bytes that a chunk adds to what is fetched: those of a frame share its range, and those of a
 * gzip stream may share a byte. */
static uint64_t bytes_of(const struct chunk *row, uint64_t *last_end)
{
	uint64_t end = row->blob_off + row->blob_len, from = max_of(row->blob_off, *last_end);
	*last_end = max_of(end, *last_end);
	return end > from ? end - from : 0;
}

static uint64_t count_missing(const struct prefetch *p, uint32_t slot)
{
	const struct slot *s = &p->c->slots[slot];
	struct cursor at = {.spans = &p->spans[slot], .table = slot_table(s)};
	uint64_t sum = 0, last_end = 0;
	struct chunk row;
	uint32_t chunk;
	while (cursor_next(&at, &chunk, &row))
		if (!chunk_store_has(s->chunks, chunk))
			sum += bytes_of(&row, &last_end);
	return sum;
}

static void fill_batch(struct prefetch *p, struct batch *b, struct cursor *at)
{
	const struct slot *s = &p->c->slots[b->slot];
	uint64_t limit = min_of((uint64_t)BATCH_BYTES_MIN << p->level, (uint64_t)RANGE_MAX);
	uint64_t last_end = 0;
	struct chunk row;
	uint32_t chunk;
	while (b->n < BATCH_MAX && b->bytes < limit && cursor_next(at, &chunk, &row)) {
		if (chunk_store_has(s->chunks, chunk))
			continue;
		b->keys[b->n++] = chunk;
		b->bytes += bytes_of(&row, &last_end);
	}
}

/* All that was told to have come stands in the store: that is what it was fetched for. */
static err_t await_kept(struct prefetch *p, uint32_t slot, struct diag *d)
{
	int64_t until_ms = now_ms() + KEEP_MS;
	while (count_missing(p, slot)) {
		if (!chunk_store_keeps(p->c->slots[slot].chunks) || now_ms() > until_ms)
			return fail_not_kept(p, d);
		usleep(1000);
	}
	return 0;
}

static err_t fetch_slot(struct prefetch *p, uint32_t slot, struct diag *d)
{
	struct cursor at = {.spans = &p->spans[slot], .table = slot_table(&p->c->slots[slot])};
	err_t err = 0;
	progress_start(p->progress, p->c->slots[slot].layer, count_missing(p, slot));
	while (!err) {
		while (!err && p->n > min_of(p->level, (unsigned)BATCHES_MAX - 1))
			err = batch_await(p, d);
		if (err)
			break;
		struct batch *b = batch_new(p, slot);
		fill_batch(p, b, &at);
		if (!b->n)
			break;
		batch_start(p, b);
	}
	if (!err)
		err = await_all(p, d);
	if (!err)
		err = await_kept(p, slot, d);
	if (!err)
		progress_finish(p->progress, p->c->slots[slot].layer);
	return err;
}

/* Layers for which something is to be fetched; their rows are there afterwards. */
static err_t find_missing(struct prefetch *p, bool *fetch, uint64_t *sum, struct diag *d)
{
	err_t err = 0;
	for (uint32_t i = 0; i < p->c->n_slots && !err; i++) {
		const struct slot *s = &p->c->slots[i];
		if (!is_wanted(&p->spans[i]))
			continue;
		err = rows_of_slot(p, i, d);
		/* Looked for when the layer has an index: one without is kept only then. */
		if (err || has_kept_blob(p->c, s))
			continue;
		uint64_t missing = count_missing(p, i);
		fetch[i] = missing > 0;
		*sum += missing;
		if (missing)
			progress_expect(p->progress, s->layer, missing);
	}
	return err;
}

static err_t run(struct prefetch *p, struct diag *d)
{
	auto_free bool *fetch = xcalloc(max_of(p->c->n_slots, 1u), sizeof(*fetch));
	uint64_t missing = 0;
	err_t err = find_missing(p, fetch, &missing, d);
	if (!err && missing && !image_may_fetch(p->c->image))
		err = fail(d, ERR_NOT_FOUND, -ENOENT,
			   "%llu bytes are not in the store, and may not be fetched",
			   (unsigned long long)missing);
	for (uint32_t i = 0; i < p->c->n_slots && !err; i++)
		if (fetch[i])
			err = fetch_slot(p, i, d);
	return err;
}

err_t prefetch_run(struct prefetch *p, struct progress *progress, struct diag *d)
{
	p->progress = progress;
	err_t err = run(p, d);
	give_up(p);
	if (err && err != -ENOENT && !image_may_fetch(p->c->image))
		err = fail(d, ERR_NOT_FOUND, -ENOENT,
			   "not all of it is in the store, and it may not be fetched");
	return err;
}
