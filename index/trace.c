/*
 * Every offset and count of a trace is compared with the size of the file once, in trace_parse; the
 * events, whose writer may be in the middle of one, are checked there too and copied. What is
 * handed out afterwards lies inside the file.
 */
#include "index/trace.h"

#include "index/wire_priv.h"

#include <string.h>

_Static_assert(sizeof(struct disk_trace_head) == 192, "fetch/STORE.md, a trace");
_Static_assert(sizeof(struct disk_trace_slot) == 96, "fetch/STORE.md, a trace");
_Static_assert(sizeof(struct disk_trace_chunk) == 8, "fetch/STORE.md, a trace");
_Static_assert(sizeof(struct disk_trace_event) == 40, "fetch/STORE.md, a trace");

struct trace {
	struct buf file;
	struct trace_info info;
	const struct disk_trace_slot *slots;
	const uint8_t *files;
	struct trace_event *fetches, *waits; /* owned */
};

const char *trace_who_name(enum trace_who who)
{
	static const char *const names[] = {"index", "reader", "read-ahead", "profile", "fill"};
	BUG_ON((unsigned)who >= ARRAY_LEN(names));
	return names[who];
}

void trace_free(struct trace **tp)
{
	if (!*tp)
		return;
	struct trace *t = take(tp);
	buf_fini(&t->file);
	free(t->fetches);
	free(t->waits);
	free(t);
}

const struct trace_info *trace_info(const struct trace *t)
{
	return &t->info;
}

/* --- parsing --- */

static err_t bad(struct diag *d, const char *what)
{
	return fail(d, ERR_INTEGRITY, -EBADMSG, "no trace: %s", what);
}

/* `n` records of `size` bytes at `off`; NULL when they do not lie in the file. */
static const void *place(struct bytes file, uint64_t off, uint64_t n, size_t size)
{
	if (off > file.n || n > (file.n - off) / size)
		return NULL;
	return file.p + off;
}

static err_t read_slots(struct trace *t, struct bytes file, struct diag *d)
{
	uint32_t n = t->info.n_slots;
	t->slots = place(file, sizeof(struct disk_trace_head), n, sizeof(*t->slots));
	if (n > TRACE_SLOTS_MAX || !t->slots)
		return bad(d, "its layers do not fit into it");
	for (uint32_t i = 0; i < n; i++) {
		const struct disk_trace_slot *s = &t->slots[i];
		if (s->digest_alg != DIGEST_SHA256 && s->digest_alg != DIGEST_SHA512)
			return bad(d, "the digest of a layer is of no known kind");
		if (!place(file, get_le64(s->off), get_le32(s->room),
			   sizeof(struct disk_trace_chunk)))
			return bad(d, "the chunks of a layer do not fit into it");
	}
	return 0;
}

static bool read_event(const struct trace *t, const struct disk_trace_event *from,
		       struct trace_event *to)
{
	*to = (struct trace_event){
		.from_ms = get_le32(from->from_ms),
		.took_ms = get_le32(from->took_ms),
		.slot = get_le32(from->slot),
		.chunk = get_le32(from->chunk),
		.n_chunks = get_le32(from->n_chunks),
		.bytes = get_le32(from->bytes),
		.file = get_le32(from->file),
		.who = from->who < TRACE_WHO_COUNT ? (enum trace_who)from->who : TRACE_NOBODY,
		.flags = from->flags,
	};
	return get_le32(from->ready) == 1 && (to->slot < t->info.n_slots || to->slot == TRACE_NONE);
}

/* The events of one kind that are there, in their order. */
static err_t read_events(const struct trace *t, struct bytes file, uint64_t off, uint32_t room,
			 uint32_t seen, struct trace_event **out, size_t *n, struct diag *d)
{
	const struct disk_trace_event *from = place(file, off, room, sizeof(*from));
	if (!from || room > TRACE_EVENTS_MAX)
		return bad(d, "its events do not fit into it");
	uint32_t there = min_of(room, seen);
	*out = try_array(there + 1, sizeof(**out), TRACE_EVENTS_MAX + 1);
	if (!*out)
		return fail_sys(d, ERR_OTHER, -ENOMEM, "a trace");
	for (uint32_t i = 0; i < there; i++)
		*n += read_event(t, &from[i], &(*out)[*n]);
	return 0;
}

static void read_head(const struct disk_trace_head *h, struct trace_info *out)
{
	*out = (struct trace_info){
		.started_at = (int64_t)get_le64(h->started_at),
		.ended_ms = get_le32(h->ended_ms),
		.n_slots = get_le32(h->n_slots),
		.n_files = get_le32(h->n_files),
		.reads = get_le64(h->reads),
		.read_bytes = get_le64(h->read_bytes),
		.wait_ms = get_le64(h->wait_ms),
		.kept_bytes = get_le64(h->kept_bytes),
		.fetches_seen = get_le32(h->n_fetches),
		.waits_seen = get_le32(h->n_waits),
	};
	for (unsigned i = 0; i < TRACE_WHO_COUNT; i++)
		out->fetched[i] = get_le64(h->fetched[i]);
}

static err_t read_all(struct trace *t, struct bytes file, struct diag *d)
{
	static const uint8_t magic[] = TRACE_MAGIC_BYTES;
	const struct disk_trace_head *h = place(file, 0, 1, sizeof(*h));
	if (!h || memcmp(h->magic, magic, sizeof(h->magic)) != 0)
		return bad(d, "it does not begin as one");
	if (get_le32(h->version) != TRACE_VERSION)
		return bad(d, "it is of another version of imgfs");
	read_head(h, &t->info);
	t->files = place(file, get_le64(h->files_off), ((uint64_t)t->info.n_files + 7) / 8, 1);
	if (!t->files)
		return bad(d, "its files do not fit into it");
	err_t err = read_slots(t, file, d);
	if (!err)
		err = read_events(t, file, get_le64(h->fetches_off), get_le32(h->fetches_room),
				  t->info.fetches_seen, &t->fetches, &t->info.n_fetches, d);
	if (!err)
		err = read_events(t, file, get_le64(h->waits_off), get_le32(h->waits_room),
				  t->info.waits_seen, &t->waits, &t->info.n_waits, d);
	return err;
}

err_t trace_parse(struct buf *file, struct trace **out, struct diag *d)
{
	struct trace *t = new_of(struct trace);
	err_t err = read_all(t, buf_bytes(file), d);
	if (err) {
		trace_free(&t);
		return err;
	}
	t->file = *file;
	*file = (struct buf){0};
	*out = t;
	return 0;
}

/* --- asking --- */

bool trace_slot(const struct trace *t, const struct digest *blob, uint32_t n_chunks,
		uint64_t stream_size, uint32_t *slot)
{
	for (uint32_t i = 0; i < t->info.n_slots; i++) {
		const struct disk_trace_slot *s = &t->slots[i];
		struct digest found = {.alg = s->digest_alg};
		memcpy(found.b, s->blob_digest, DIGEST_MAX);
		if (!digest_equal(&found, blob))
			continue;
		*slot = i;
		return get_le32(s->n_chunks) == n_chunks && get_le64(s->stream_size) == stream_size;
	}
	return false;
}

void trace_chunk_get(const struct trace *t, uint32_t slot, uint32_t chunk, struct trace_chunk *out)
{
	BUG_ON(slot >= t->info.n_slots);
	const struct disk_trace_slot *s = &t->slots[slot];
	*out = (struct trace_chunk){0};
	if (chunk >= get_le32(s->room))
		return;
	struct disk_trace_chunk c;
	memcpy(&c, t->file.p + get_le64(s->off) + (uint64_t)chunk * sizeof(c), sizeof(c));
	out->wait_ms = get_le32(c.wait_ms);
	out->flags = c.flags & (TRACE_READ | TRACE_WAITED);
	out->who = c.who < TRACE_WHO_COUNT ? (enum trace_who)c.who : TRACE_NOBODY;
}

bool trace_file_was_read(const struct trace *t, uint32_t file)
{
	return file < t->info.n_files && (t->files[file / 8] >> file % 8 & 1);
}

struct trace_event trace_fetch(const struct trace *t, size_t i)
{
	BUG_ON(i >= t->info.n_fetches);
	return t->fetches[i];
}

struct trace_event trace_wait(const struct trace *t, size_t i)
{
	BUG_ON(i >= t->info.n_waits);
	return t->waits[i];
}

/* --- packing --- */

err_t trace_pack(struct bytes file, struct buf *packed)
{
	return wire_pack(file, packed);
}

err_t trace_unpack(struct bytes packed, struct buf *file)
{
	return packed.n ? wire_unpack(packed, TRACE_FILE_MAX, file) : -EBADMSG;
}
