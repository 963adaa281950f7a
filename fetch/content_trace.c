/*
 * What is read, fetched and waited for is written down in a file that others map: `imgfs map` makes
 * a picture of it while the mount runs, and afterwards out of the copy that is left in the store.
 *
 * It is written without a lock. A chunk has a record of its own that is only ever added to; an
 * event takes the next free place by counting, and is there for a reader when its `ready` says so.
 * The first TRACE_EVENTS_MAX of each kind are kept. On the way of a read that finds everything
 * here, it costs two additions, and a load for each chunk and for the file. The file has no holes,
 * so no store into the mapping can fail; a page of it that nothing was written to is not in memory.
 */
#include "fetch/content_priv.h"

#include "fetch/image_trace.h"
#include "fetch/log.h"
#include "index/trace.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* The structures of index/trace.h as the one who writes them sees them (a little-endian machine:
 * see README.md, "Limits"). */
struct live_head {
	uint8_t magic[8];
	uint32_t version, n_slots;
	int64_t started_at;
	_Atomic(uint32_t) ended_ms;
	uint32_t n_files;
	uint64_t files_off, fetches_off, waits_off;
	uint32_t fetches_room, waits_room;
	_Atomic(uint32_t) n_fetches, n_waits;
	_Atomic(uint64_t) reads, read_bytes, wait_ms, fetched[TRACE_WHO_COUNT], kept_bytes;
	uint8_t zero[48];
};
struct live_slot {
	_Atomic(uint32_t) n_chunks;
	uint32_t room;
	uint64_t off, stream_size;
	uint8_t digest_alg, zero[7], blob_digest[DIGEST_MAX];
};
struct live_chunk {
	_Atomic(uint32_t) wait_ms;
	_Atomic(uint8_t) flags, who;
	uint8_t zero[2];
};
struct live_event {
	_Atomic(uint32_t) ready;
	uint32_t from_ms, took_ms, slot, chunk, n_chunks, bytes, file;
	uint8_t who, flags, zero[6];
};
_Static_assert(sizeof(struct live_head) == sizeof(struct disk_trace_head), "one form");
_Static_assert(offsetof(struct live_head, kept_bytes) ==
		       offsetof(struct disk_trace_head, kept_bytes),
	       "one form");
_Static_assert(sizeof(struct live_slot) == sizeof(struct disk_trace_slot), "one form");
_Static_assert(sizeof(struct live_chunk) == sizeof(struct disk_trace_chunk), "one form");
_Static_assert(sizeof(struct live_event) == sizeof(struct disk_trace_event), "one form");
_Static_assert(offsetof(struct live_event, who) == offsetof(struct disk_trace_event, who),
	       "one form");

/* A layer that is not indexed yet has no more chunks than this says, as a rule; those behind leave
 * no record. */
#define ROOM_CHUNK CHUNK_TARGET_MIN

struct tracer {
	int64_t began_ms;
	uint32_t n_dirs, n_slots;
	uint8_t *mapping;
	size_t len;
	struct live_head *head;
	struct live_slot *slots;
	_Atomic(uint8_t) *files;
	struct live_event *fetches, *waits;
};

/* --- making it --- */

static uint32_t room_of(const struct content *c, const struct slot *slot)
{
	struct index_layer layer;
	const struct chunk_table *table = slot_table(slot);
	if (table)
		return chunk_table_info(table)->n_chunks;
	index_layer(c->image->tree, slot->layer, &layer);
	return (uint32_t)min_of(layer.stream_size / ROOM_CHUNK + 1, (uint64_t)TRACE_FILE_MAX);
}

static uint64_t aligned(uint64_t n)
{
	return (n + 63) & ~UINT64_C(63);
}

/* Where everything lies; 0 when it would be too large. */
static uint64_t lay_out(const struct content *c, struct live_head *h, uint64_t *chunks_off)
{
	uint64_t events = TRACE_EVENTS_MAX * sizeof(struct live_event);
	h->files_off = aligned(sizeof(*h) + c->n_slots * sizeof(struct live_slot));
	h->fetches_off = aligned(h->files_off + (h->n_files + 7) / 8);
	h->waits_off = h->fetches_off + events;
	uint64_t len = *chunks_off = aligned(h->waits_off + events);
	for (uint32_t i = 0; i < c->n_slots && len <= TRACE_FILE_MAX; i++)
		len += (uint64_t)room_of(c, &c->slots[i]) * sizeof(struct live_chunk);
	return len <= TRACE_FILE_MAX && c->n_slots <= TRACE_SLOTS_MAX ? len : 0;
}

static bool map_file(struct tracer *t, int fd)
{
	int err;
	do
		err = posix_fallocate(fd, 0, (off_t)t->len);
	while (err == EINTR);
	if (err) {
		log_debug("trace.not_kept", "reason=\"%s\"", strerror(err));
		return false;
	}
	void *p = mmap(NULL, t->len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	t->mapping = p == MAP_FAILED ? NULL : p;
	return t->mapping != NULL;
}

static void fill_slots(const struct content *c, struct tracer *t, uint64_t off)
{
	for (uint32_t i = 0; i < c->n_slots; i++) {
		const struct slot *slot = &c->slots[i];
		struct index_layer layer;
		index_layer(c->image->tree, slot->layer, &layer);
		t->slots[i].room = room_of(c, slot);
		t->slots[i].off = off;
		t->slots[i].stream_size = layer.stream_size;
		t->slots[i].digest_alg = slot->blob_digest.alg;
		memcpy(t->slots[i].blob_digest, slot->blob_digest.b, DIGEST_MAX);
		if (slot_table(slot))
			atomic_init(&t->slots[i].n_chunks, t->slots[i].room);
		off += (uint64_t)t->slots[i].room * sizeof(struct live_chunk);
	}
}

void tracer_open(struct content *c, int fd)
{
	const struct index_info *info = index_info(c->image->tree);
	struct live_head head = {.magic = TRACE_MAGIC_BYTES,
				 .version = TRACE_VERSION,
				 .n_slots = c->n_slots,
				 .started_at = time(NULL),
				 .n_files = info->n_regular,
				 .fetches_room = TRACE_EVENTS_MAX,
				 .waits_room = TRACE_EVENTS_MAX};
	uint64_t chunks_off;
	struct tracer *t = new_of(struct tracer);
	t->began_ms = now_ms();
	t->n_dirs = info->n_dirs;
	t->n_slots = c->n_slots;
	t->len = lay_out(c, &head, &chunks_off);
	if (!t->len || !map_file(t, fd)) {
		free(t);
		return;
	}
	memcpy(t->mapping, &head, sizeof(head));
	t->head = (struct live_head *)t->mapping;
	t->slots = (struct live_slot *)(t->mapping + sizeof(head));
	t->files = (_Atomic(uint8_t) *)(t->mapping + head.files_off);
	t->fetches = (struct live_event *)(t->mapping + head.fetches_off);
	t->waits = (struct live_event *)(t->mapping + head.waits_off);
	fill_slots(c, t, chunks_off);
	c->tracer = t;
}

void tracer_free(struct tracer **tp)
{
	if (!*tp)
		return;
	struct tracer *t = take(tp);
	munmap(t->mapping, t->len);
	free(t);
}

void trace_slot_opened(struct content *c, const struct slot *slot)
{
	struct tracer *t = c->tracer;
	if (t)
		atomic_store_explicit(&t->slots[slot - c->slots].n_chunks,
				      chunk_table_info(slot_table(slot))->n_chunks,
				      memory_order_relaxed);
}

/* --- chunks and files --- */

static struct live_chunk *chunk_of(const struct tracer *t, uint32_t slot, uint32_t chunk)
{
	const struct live_slot *s = &t->slots[slot];
	return chunk < s->room ? (struct live_chunk *)(t->mapping + s->off) + chunk : NULL;
}

/* Nearly always it is set already. */
static void set_bits(_Atomic(uint8_t) *byte, uint8_t bits)
{
	if ((atomic_load_explicit(byte, memory_order_relaxed) & bits) != bits)
		atomic_fetch_or_explicit(byte, bits, memory_order_relaxed);
}

void trace_read(struct content *c, const struct read_request *r)
{
	struct tracer *t = c->tracer;
	if (!t)
		return;
	uint32_t file = r->row - t->n_dirs;
	board_count(&t->head->reads, 1);
	board_count(&t->head->read_bytes, r->n);
	set_bits(&t->files[file / 8], (uint8_t)(1u << file % 8));
}

void trace_chunk_read(struct content *c, uint32_t slot, uint32_t chunk)
{
	struct live_chunk *record = c->tracer ? chunk_of(c->tracer, slot, chunk) : NULL;
	if (record)
		set_bits(&record->flags, TRACE_READ);
}

void trace_chunk_came(struct content *c, uint32_t slot, uint32_t chunk, enum fetch_priority who)
{
	struct live_chunk *record = c->tracer ? chunk_of(c->tracer, slot, chunk) : NULL;
	if (record)
		atomic_store_explicit(&record->who, trace_who_of(who), memory_order_relaxed);
}

/* --- events --- */

static uint32_t since(const struct tracer *t, int64_t ms)
{
	int64_t after_ms = max_of(ms - t->began_ms, (int64_t)0);
	return (uint32_t)min_of(after_ms, (int64_t)UINT32_MAX);
}

static void add_event(struct live_event *events, _Atomic(uint32_t) *n,
		      const struct live_event *event)
{
	uint32_t at = atomic_load_explicit(n, memory_order_relaxed);
	/* Counts on beyond the room, but never around. */
	if (at == UINT32_MAX)
		return;
	at = atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
	if (at >= TRACE_EVENTS_MAX)
		return;
	memcpy((uint8_t *)&events[at] + sizeof(events[at].ready),
	       (const uint8_t *)event + sizeof(event->ready),
	       sizeof(*event) - sizeof(event->ready));
	atomic_store_explicit(&events[at].ready, 1, memory_order_release);
}

void trace_fetched(struct content *c, const struct trace_fetched *f)
{
	struct tracer *t = c->tracer;
	if (!t)
		return;
	const struct live_event event = {
		.from_ms = since(t, f->from_ms),
		.took_ms = since(t, now_ms()) - since(t, f->from_ms),
		.slot = f->slot,
		.chunk = f->chunk,
		.n_chunks = f->n_chunks,
		.bytes = (uint32_t)min_of(f->bytes, (uint64_t)UINT32_MAX),
		.who = trace_who_of(f->who),
		.flags = (uint8_t)f->flags,
	};
	if (f->flags & TRACE_KEPT)
		board_count(&t->head->kept_bytes, f->bytes);
	else
		board_count(&t->head->fetched[f->flags & TRACE_INDEX ? TRACE_NOBODY : event.who],
			    f->bytes);
	add_event(t->fetches, &t->head->n_fetches, &event);
}

void trace_waits(const struct content *c, struct read_request *r, uint32_t slot, uint32_t chunk)
{
	if (!c->tracer)
		return;
	r->waits_slot = slot;
	r->waits_chunk = chunk;
}

static void add_wait(struct live_chunk *record, uint32_t ms)
{
	uint32_t old = atomic_load_explicit(&record->wait_ms, memory_order_relaxed);
	uint32_t sum;
	do
		sum = ms > UINT32_MAX - old ? UINT32_MAX : old + ms;
	while (!atomic_compare_exchange_weak_explicit(&record->wait_ms, &old, sum,
						      memory_order_relaxed, memory_order_relaxed));
	set_bits(&record->flags, TRACE_WAITED);
}

void trace_waited(struct content *c, const struct read_request *r, err_t err)
{
	struct tracer *t = c->tracer;
	if (!t || !r->wait.since_us)
		return;
	uint32_t from_ms = since(t, r->wait.since_us / 1000);
	const struct live_event event = {
		.from_ms = from_ms,
		.took_ms = since(t, now_ms()) - from_ms,
		.slot = r->waits_slot,
		.chunk = r->waits_chunk,
		.n_chunks = r->waits_chunk != TRACE_NONE,
		.bytes = (uint32_t)min_of(r->n, (size_t)UINT32_MAX),
		.file = r->row - t->n_dirs,
		.who = TRACE_READER,
		.flags = err ? TRACE_FAILED : 0,
	};
	board_count(&t->head->wait_ms, event.took_ms);
	struct live_chunk *record =
		r->waits_slot < t->n_slots ? chunk_of(t, r->waits_slot, r->waits_chunk) : NULL;
	if (record)
		add_wait(record, event.took_ms);
	add_event(t->waits, &t->head->n_waits, &event);
}

/* --- the end --- */

/* The same without the room that was not needed. */
static err_t compact(const struct tracer *t, struct buf *out)
{
	struct live_head head;
	memcpy(&head, t->mapping, sizeof(head));
	uint64_t events_end = t->head->waits_off + TRACE_EVENTS_MAX * sizeof(struct live_event);
	uint32_t fetches = min_of(atomic_load(&t->head->n_fetches), TRACE_EVENTS_MAX);
	uint32_t waits = min_of(atomic_load(&t->head->n_waits), TRACE_EVENTS_MAX);
	uint64_t fetches_len = fetches * sizeof(struct live_event);
	uint64_t waits_len = waits * sizeof(struct live_event);
	head.fetches_room = fetches;
	head.waits_room = waits;
	head.waits_off = head.fetches_off + fetches_len;
	uint64_t cut = events_end - head.waits_off - waits_len;
	err_t err = buf_append(out, &head, sizeof(head));
	if (!err)
		err = buf_append(out, t->mapping + sizeof(head), head.fetches_off - sizeof(head));
	if (!err)
		err = buf_append(out, t->fetches, fetches_len);
	if (!err)
		err = buf_append(out, t->waits, waits_len);
	if (!err)
		err = buf_append(out, t->mapping + events_end, t->len - events_end);
	struct live_slot *slots = (struct live_slot *)(out->p + sizeof(head));
	for (uint32_t i = 0; !err && i < head.n_slots; i++)
		slots[i].off -= cut;
	return err;
}

void tracer_save(struct content *c)
{
	struct tracer *t = c->tracer;
	auto_buf struct buf file = {0};
	if (!t || atomic_load(&t->head->reads) == 0)
		return;
	atomic_store(&t->head->ended_ms, max_of(since(t, now_ms()), 1u));
	err_t err = compact(t, &file);
	if (!err)
		err = image_trace_put(c->image, buf_bytes(&file));
	if (err)
		log_info("store.trace_not_kept", "reason=\"%s\"", strerror(-err));
}
