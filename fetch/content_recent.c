/*
 * The last few chunks that the store could not keep. A small array under one short lock; an atomic
 * count lets everybody pass by while the store keeps what it gets, which is nearly always.
 */
#include "fetch/content_priv.h"

/* So many that chunks of the usual size fill RECENT_BYTES_MAX, few enough to search in order. */
#define RECENT_ENTRIES 64

struct recent_entry {
	uint32_t slot, chunk;
	uint64_t used; /* higher: later */
	struct chunk_data *data;
};

struct recent {
	/* atomic, relaxed: whether it is worth to look */
	_Atomic unsigned n;
	struct lock lock;
	/* under lock */
	uint64_t clock;
	size_t bytes;
	struct recent_entry entries[RECENT_ENTRIES];
};

struct recent *recent_new(void)
{
	struct recent *r = new_of(struct recent);
	lock_init(&r->lock);
	return r;
}

void recent_free(struct recent **r)
{
	if (!*r)
		return;
	for (unsigned i = 0; i < RECENT_ENTRIES; i++)
		chunk_data_put(&(*r)->entries[i].data);
	lock_fini(&(*r)->lock);
	free(*r);
	*r = NULL;
}

static struct recent_entry *find_locked(struct recent *r, uint32_t slot, uint32_t chunk)
{
	for (unsigned i = 0; i < RECENT_ENTRIES; i++) {
		struct recent_entry *e = &r->entries[i];
		if (e->data && e->slot == slot && e->chunk == chunk)
			return e;
	}
	return NULL;
}

static void drop_locked(struct recent *r, struct recent_entry *e)
{
	r->bytes -= e->data->len;
	chunk_data_put(&e->data);
	atomic_fetch_sub_explicit(&r->n, 1, memory_order_relaxed);
}

static struct recent_entry *oldest_locked(struct recent *r)
{
	struct recent_entry *oldest = NULL;
	for (unsigned i = 0; i < RECENT_ENTRIES; i++) {
		struct recent_entry *e = &r->entries[i];
		if (e->data && (!oldest || e->used < oldest->used))
			oldest = e;
	}
	return oldest;
}

/* An entry without data, after the oldest have made room for `len` more bytes. */
static struct recent_entry *make_room_locked(struct recent *r, uint32_t len)
{
	while (atomic_load_explicit(&r->n, memory_order_relaxed) == RECENT_ENTRIES ||
	       (r->bytes && r->bytes + len > RECENT_BYTES_MAX))
		drop_locked(r, oldest_locked(r));
	struct recent_entry *e = r->entries;
	while (e->data)
		e++;
	return e;
}

void recent_add(struct recent *r, uint32_t slot, uint32_t chunk, struct chunk_data *data)
{
	lock_take(&r->lock);
	struct recent_entry *e = find_locked(r, slot, chunk);
	if (!e) {
		e = make_room_locked(r, data->len);
		*e = (struct recent_entry){slot, chunk, 0, chunk_data_get(data)};
		r->bytes += data->len;
		atomic_fetch_add_explicit(&r->n, 1, memory_order_relaxed);
	}
	e->used = ++r->clock;
	lock_drop(&r->lock);
}

struct chunk_data *recent_get(struct recent *r, uint32_t slot, uint32_t chunk)
{
	if (atomic_load_explicit(&r->n, memory_order_relaxed) == 0)
		return NULL;
	lock_take(&r->lock);
	struct recent_entry *e = find_locked(r, slot, chunk);
	struct chunk_data *data = e ? chunk_data_get(e->data) : NULL;
	if (e)
		e->used = ++r->clock;
	lock_drop(&r->lock);
	return data;
}
