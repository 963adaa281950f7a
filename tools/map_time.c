/*
 * What a mount did, out of its trace: marks on chunks, events by begin, and the figures. Readers
 * wait side by side, mostly for the parts of one thing: so what is told is the time in which at
 * least one of them waited, and not the sum.
 */
#include "tools/map.h"

#include "tools/format.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

/* --- chunks --- */

/* @slot: the layer's in the trace. */
static void mark_layer(struct map *m, struct map_layer *l, const struct trace *t, uint32_t slot)
{
	for (uint32_t i = 0; i < l->n_chunks; i++) {
		struct map_chunk *c = &l->chunks[i];
		struct trace_chunk record;
		trace_chunk_get(t, slot, i, &record);
		c->read = record.flags & TRACE_READ;
		c->waited = record.flags & TRACE_WAITED;
		c->wait_ms = record.wait_ms;
		c->who = record.who;
		l->read_bytes += c->read ? c->len : 0;
		if (c->who != TRACE_NOBODY && !c->read)
			m->unread_bytes += c->len;
	}
	m->read_bytes += l->read_bytes;
}

/* The layer of each slot; MAP_NONE where the trace is of another cut, or of nothing here. */
static uint32_t *match_slots(struct map *m, const struct trace *t)
{
	uint32_t *layers = xcalloc(trace_info(t)->n_slots + 1, sizeof(*layers));
	for (uint32_t i = 0; i < trace_info(t)->n_slots; i++)
		layers[i] = MAP_NONE;
	for (uint32_t i = 0; i < m->n_layers; i++) {
		struct map_layer *l = &m->layers[i];
		uint32_t slot = TRACE_NONE;
		bool same = trace_slot(t, &l->blob, l->n_chunks, l->stream_size, &slot);
		if (slot != TRACE_NONE)
			layers[slot] = i;
		if (same && l->known)
			mark_layer(m, l, t, slot);
	}
	return layers;
}

/* --- events --- */

static struct map_event event_of(const struct map *m, const struct trace_event *from,
				 const uint32_t *layers)
{
	struct map_event e = {
		.from_ms = from->from_ms,
		.took_ms = from->took_ms,
		.layer = from->slot == TRACE_NONE ? MAP_NONE : layers[from->slot],
		.file = from->file,
		.chunk = from->chunk,
		.n_chunks = from->n_chunks,
		.bytes = from->bytes,
		.who = from->who,
		.kept = from->flags & TRACE_KEPT,
		.failed = from->flags & TRACE_FAILED,
		.index = from->flags & TRACE_INDEX,
	};
	if (e.layer == MAP_NONE || e.chunk >= m->layers[e.layer].n_chunks) {
		e.chunk = MAP_NONE;
		e.n_chunks = 0;
	} else {
		e.n_chunks = min_of(e.n_chunks, m->layers[e.layer].n_chunks - e.chunk);
	}
	return e;
}

static int by_begin(const void *a, const void *b)
{
	const struct map_event *x = a, *y = b;
	if (x->from_ms != y->from_ms)
		return x->from_ms < y->from_ms ? -1 : 1;
	if (x->took_ms != y->took_ms)
		return x->took_ms > y->took_ms ? -1 : 1;
	if (x->layer != y->layer)
		return x->layer < y->layer ? -1 : 1;
	return (x->chunk > y->chunk) - (x->chunk < y->chunk);
}

typedef struct trace_event (*event_fn)(const struct trace *t, size_t i);

static err_t take_kind(const struct map *m, const struct trace *t, event_fn get, size_t n,
		       const uint32_t *layers, struct map_event **out)
{
	*out = try_array(n + 1, sizeof(**out), TRACE_EVENTS_MAX + 1);
	if (!*out)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct trace_event e = get(t, i);
		(*out)[i] = event_of(m, &e, layers);
	}
	if (n)
		qsort(*out, n, sizeof(**out), by_begin);
	return 0;
}

/* Both lists as one, by begin: the next event, and its list. */
static const struct map_event *next_event(const struct map *m, size_t *f, size_t *w)
{
	const struct map_event *a = *f < m->n_fetches ? &m->fetches[*f] : NULL;
	const struct map_event *b = *w < m->n_waits ? &m->waits[*w] : NULL;
	if (a && (!b || a->from_ms <= b->from_ms)) {
		++*f;
		return a;
	}
	*w += b != NULL;
	return b;
}

struct window {
	size_t fetches[2], waits[2];
	uint64_t begin_ms, end_ms, wait_ms;
};

static void take_window(struct map *m, const struct window *w)
{
	memcpy(m->start_fetches, w->fetches, sizeof(w->fetches));
	memcpy(m->start_waits, w->waits, sizeof(w->waits));
	m->first_ms = (uint32_t)w->begin_ms;
	m->span_ms = (uint32_t)min_of(w->end_ms - w->begin_ms, (uint64_t)UINT32_MAX);
}

/* A mount may be quiet before and after the start of a program; a profile is replayed before it. */
static void find_start(struct map *m)
{
	size_t f = 0, w = 0;
	struct window now = {.begin_ms = UINT64_MAX}, best = {0};
	for (;;) {
		size_t f_before = f, w_before = w;
		const struct map_event *e = next_event(m, &f, &w);
		if (!e || now.begin_ms == UINT64_MAX || e->from_ms > now.end_ms + MAP_QUIET_MS) {
			if (now.begin_ms != UINT64_MAX &&
			    (!best.end_ms || now.wait_ms > best.wait_ms))
				best = now;
			if (!e)
				break;
			now = (struct window){.fetches = {f_before, f_before},
					      .waits = {w_before, w_before},
					      .begin_ms = e->from_ms};
		}
		now.end_ms = max_of(now.end_ms, (uint64_t)e->from_ms + e->took_ms + 1);
		now.wait_ms += w > w_before ? e->took_ms : 0;
		now.fetches[1] = f;
		now.waits[1] = w;
	}
	take_window(m, &best);
}

/* --- figures --- */

static void count_waits(struct map *m)
{
	uint64_t until = 0;
	for (size_t i = 0; i < m->n_waits; i++) {
		const struct map_event *w = &m->waits[i];
		uint64_t begin = max_of((uint64_t)w->from_ms, until);
		uint64_t end = (uint64_t)w->from_ms + w->took_ms;
		m->wait_ms += end > begin ? end - begin : 0;
		until = max_of(until, end);
		if (w->layer == MAP_NONE)
			continue;
		m->layers[w->layer].waits++;
		m->layers[w->layer].wait_ms += w->took_ms;
	}
}

static void count_fetches(struct map *m)
{
	for (size_t i = 0; i < m->n_fetches; i++)
		if (m->fetches[i].layer != MAP_NONE && !m->fetches[i].kept)
			m->layers[m->fetches[i].layer].fetches++;
}

static void take_figures(struct map *m, const struct trace_info *info)
{
	int64_t now = time(NULL);
	m->started_at = info->started_at;
	m->lasted_ms = info->ended_ms;
	if (!info->ended_ms && now > info->started_at)
		m->lasted_ms = (uint64_t)(now - info->started_at) * 1000;
	m->asked_bytes = info->read_bytes;
	m->reads = info->reads;
	m->kept_bytes = info->kept_bytes;
	memcpy(m->fetched, info->fetched, sizeof(m->fetched));
	m->waits_seen = info->waits_seen;
	m->requests = info->fetches_seen;
	m->more_events = info->fetches_seen > info->n_fetches || info->waits_seen > info->n_waits;
	for (size_t i = 0; i < m->n_fetches; i++)
		m->requests -= m->fetches[i].kept;
}

err_t map_take_events(struct map *m, const struct trace *t)
{
	const struct trace_info *info = trace_info(t);
	auto_free uint32_t *layers = match_slots(m, t);
	err_t err = take_kind(m, t, trace_fetch, info->n_fetches, layers, &m->fetches);
	if (!err)
		err = take_kind(m, t, trace_wait, info->n_waits, layers, &m->waits);
	if (err)
		return err;
	m->n_fetches = info->n_fetches;
	m->n_waits = info->n_waits;
	take_figures(m, info);
	find_start(m);
	count_waits(m);
	count_fetches(m);
	return 0;
}

err_t map_use_trace(struct map *m, const struct trace *t)
{
	err_t err = map_take_events(m, t);
	return err ? err : map_take_files(m, t, NULL);
}

/* --- without a trace --- */

static void mark_range(struct map *m, const struct profile_range *r)
{
	for (uint64_t off = r->off; off < r->off + r->len;) {
		struct extent run;
		index_extent(m->image->tree, r->row, off, &run);
		uint64_t len = min_of(run.len, r->off + r->len - off);
		struct map_layer *l = run.hole ? NULL : &m->layers[map_layer_at(m, run.layer)];
		for (uint32_t i = l && l->known ? map_chunk_at(l, run.stream_off) : UINT32_MAX;
		     l && i < l->n_chunks && l->chunks[i].stream_off < run.stream_off + len; i++) {
			l->read_bytes += l->chunks[i].read ? 0 : l->chunks[i].len;
			m->read_bytes += l->chunks[i].read ? 0 : l->chunks[i].len;
			l->chunks[i].read = true;
		}
		off += len;
	}
	m->asked_bytes += r->len;
}

err_t map_use_profile(struct map *m, struct bytes text)
{
	struct profile p = {0};
	struct diag d = DIAG_INIT;
	/* One that can not be read is none. */
	if (text.n && profile_read(m->image->tree, text, &p, &d))
		p = (struct profile){0};
	for (size_t i = 0; i < p.n; i++)
		mark_range(m, &p.ranges[i]);
	m->origin = p.n ? MAP_PROFILE : MAP_NOTHING;
	err_t err = map_take_files(m, NULL, &p);
	profile_fini(&p);
	return err;
}

/* --- words --- */

const char *map_duration(uint64_t ms, char buf[64])
{
	if (ms < 1000)
		snprintf(buf, 64, "%" PRIu64 " ms", ms);
	else if (ms < 10000)
		snprintf(buf, 64, "%.2f s", (double)ms / 1000);
	else if (ms < 60000)
		snprintf(buf, 64, "%.1f s", (double)ms / 1000);
	else if (ms < 3600000)
		snprintf(buf, 64, "%" PRIu64 " min %" PRIu64 " s", ms / 60000, ms / 1000 % 60);
	else
		snprintf(buf, 64, "%" PRIu64 " h %" PRIu64 " min", ms / 3600000, ms / 60000 % 60);
	return buf;
}

char *map_source_text(const struct map *m)
{
	char lasted[64], when[FORMAT_TEXT_MAX], *name = NULL;
	size_t n = 0;
	FILE *out;
	map_duration(m->lasted_ms, lasted);
	switch (m->origin) {
	case MAP_LIVE:
		out = open_memstream(&name, &n);
		BUG_ON(!out);
		format_name(out, BYTES_STR(m->mountpoint));
		fprintf(out, m->lasted_ms ? ", mounted for %s" : ", mounted just now", lasted);
		if (m->n_mounts > 1)
			fprintf(out, " (one of %u mounts, the last)", m->n_mounts);
		fclose(out);
		return name;
	case MAP_LAST:
		return xasprintf("the last mount, %s UTC, for %s",
				 format_minute(m->started_at, when), lasted);
	case MAP_PROFILE:
		return xstrdup("read: what the recorded profile says");
	case MAP_NOTHING:
		break;
	}
	return xstrdup("no mount has read from it yet");
}
