/*
 * The map as a document: the same figures, with every file and event.
 */
#include "tools/json_out.h"
#include "tools/map.h"

static const char *origin_name(enum map_origin o)
{
	static const char *const names[] = {"mount", "last-mount", "profile", "nothing"};
	return names[o];
}

/* Runs of chunks that are alike, as blob bytes: what a picture needs. */
static bool alike(const struct map_chunk *a, const struct map_chunk *b)
{
	return a->stored == b->stored && a->read == b->read && a->who == b->who && !a->waited &&
	       !b->waited;
}

static void put_runs(struct json_out *j, const struct map_layer *l)
{
	json_put_array(j, "runs");
	for (uint32_t i = 0; i < l->n_chunks;) {
		uint32_t from = i;
		while (i < l->n_chunks && (i == from || alike(&l->chunks[from], &l->chunks[i])))
			i++;
		const struct map_chunk *c = &l->chunks[from], *last = &l->chunks[i - 1];
		if (!c->stored && !c->read)
			continue;
		json_put_object(j, NULL);
		json_put_number(j, "offset", c->at);
		json_put_number(j, "size", last->at + last->len - c->at);
		json_put_number(j, "chunk", from);
		json_put_number(j, "chunks", i - from);
		json_put_bool(j, "stored", c->stored);
		json_put_bool(j, "read", c->read);
		if (c->who != TRACE_NOBODY)
			json_put_text(j, "fetched_for", trace_who_name(c->who));
		if (c->waited)
			json_put_number(j, "wait_ms", c->wait_ms);
		json_put_end(j);
	}
	json_put_end(j);
}

static void put_layer(struct json_out *j, const struct map_layer *l)
{
	char text[DIGEST_TEXT_MAX];
	json_put_object(j, NULL);
	json_put_number(j, "number", l->number);
	json_put_text(j, "digest", digest_text(&l->blob, text));
	json_put_number(j, "size", l->blob_size);
	json_put_number(j, "stream_size", l->stream_size);
	json_put_bool(j, "indexed", l->known);
	json_put_bool(j, "blob_kept", l->kept);
	json_put_number(j, "chunks", l->n_chunks);
	json_put_number(j, "stored", l->stored_bytes);
	json_put_number(j, "read", l->read_bytes);
	json_put_number(j, "waits", l->waits);
	json_put_number(j, "wait_ms", l->wait_ms);
	put_runs(j, l);
	json_put_end(j);
}

static void put_file(struct json_out *j, const struct map *m, const struct map_file *f)
{
	json_put_object(j, NULL);
	json_put_bytes(j, "path", f->path);
	json_put_number(j, "size", f->size);
	json_put_number(j, "read", f->read_bytes);
	json_put_number(j, "waits", f->waits);
	json_put_number(j, "wait_ms", f->wait_ms);
	json_put_number(j, "longest_ms", f->longest_ms);
	if (f->layer != MAP_NONE)
		json_put_number(j, "layer", m->layers[f->layer].number);
	json_put_end(j);
}

static void put_event(struct json_out *j, const struct map *m, const struct map_event *e,
		      bool is_wait)
{
	json_put_object(j, NULL);
	json_put_number(j, "from_ms", e->from_ms);
	json_put_number(j, "took_ms", e->took_ms);
	json_put_number(j, "size", e->bytes);
	if (e->layer != MAP_NONE)
		json_put_number(j, "layer", m->layers[e->layer].number);
	if (e->chunk != MAP_NONE) {
		json_put_number(j, "chunk", e->chunk);
		json_put_number(j, "chunks", e->n_chunks);
	}
	if (is_wait && e->file != MAP_NONE)
		json_put_bytes(j, "path", m->files[e->file].path);
	if (!is_wait)
		json_put_text(j, "for", trace_who_name(e->index ? TRACE_NOBODY : e->who));
	if (e->kept)
		json_put_bool(j, "kept", true);
	if (e->failed)
		json_put_bool(j, "failed", true);
	json_put_end(j);
}

static void put_mount(struct json_out *j, const struct map *m)
{
	if (m->origin != MAP_LIVE && m->origin != MAP_LAST)
		return;
	json_put_object(j, "mount");
	if (m->mountpoint)
		json_put_bytes(j, "mountpoint", BYTES_STR(m->mountpoint));
	json_put_signed(j, "started", m->started_at);
	json_put_number(j, "lasted_ms", m->lasted_ms);
	json_put_number(j, "first_ms", m->first_ms);
	json_put_number(j, "span_ms", m->span_ms);
	json_put_number(j, "reads", m->reads);
	json_put_number(j, "read_bytes", m->asked_bytes);
	json_put_number(j, "waits", m->waits_seen);
	json_put_number(j, "wait_ms", m->wait_ms);
	json_put_number(j, "requests", m->requests);
	json_put_object(j, "fetched");
	for (unsigned i = 0; i < TRACE_WHO_COUNT; i++)
		json_put_number(j, trace_who_name(i), m->fetched[i]);
	json_put_end(j);
	json_put_number(j, "kept_bytes", m->kept_bytes);
	json_put_number(j, "unread_bytes", m->unread_bytes);
	json_put_bool(j, "complete", !m->more_events);
	json_put_end(j);
}

static void put_events(struct json_out *j, const struct map *m, const char *key,
		       const struct map_event *events, size_t n)
{
	json_put_array(j, key);
	for (size_t i = 0; i < n; i++)
		put_event(j, m, &events[i], events == m->waits);
	json_put_end(j);
}

void map_json(const struct map *m, FILE *out)
{
	struct json_out j;
	char text[DIGEST_TEXT_MAX];
	json_out_start(&j, out, 2);
	json_put_object(&j, NULL);
	json_put_bytes(&j, "image", BYTES_STR(m->reference));
	json_put_text(&j, "digest", digest_text(&m->image->digest, text));
	json_put_text(&j, "origin", origin_name(m->origin));
	json_put_number(&j, "size", m->size);
	json_put_number(&j, "stored", m->stored_bytes);
	json_put_number(&j, "read", m->read_bytes);
	put_mount(&j, m);
	json_put_array(&j, "layers");
	for (uint32_t i = 0; i < m->n_layers; i++)
		put_layer(&j, &m->layers[i]);
	json_put_end(&j);
	json_put_array(&j, "files");
	for (size_t i = 0; i < m->n_files; i++)
		put_file(&j, m, &m->files[i]);
	json_put_end(&j);
	put_events(&j, m, "fetches", m->fetches, m->n_fetches);
	put_events(&j, m, "waits", m->waits, m->n_waits);
	json_put_end(&j);
}
