/*
 * Rows that arrive in groups lie in one array, which memory backs as far as it has been written.
 * Windows are large and rarely needed twice, so they stay packed: in the store's copy of the form,
 * read and hashed again at each use, or in memory where the store could not keep them.
 */
#include "fetch/chunk_table.h"

#include "fetch/lock.h"
#include "fetch/store_priv.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

struct chunk_table {
	/* fixed after new; exactly one of index and head is set */
	const struct index *ix;
	struct wire_head *head;
	struct digest form;
	struct store *store;
	int fd; /* the store's copy of the form; -1: none */
	struct chunk *rows;
	/* of each group, set with release order once its rows are written */
	_Atomic(bool) *there;
	struct lock lock;
	/* under the lock; fixed once it has bytes */
	struct buf *kept; /* by group: parts that the store could not keep */
};

struct chunk_table *chunk_table_of_index(const struct index *ix)
{
	BUG_ON(index_info(ix)->kind != INDEX_LAYER);
	struct chunk_table *t = new_of(struct chunk_table);
	t->ix = ix;
	t->fd = -1;
	lock_init(&t->lock);
	return t;
}

err_t chunk_table_of_head(struct store *s, const struct index_layer_head *head,
			  struct chunk_table **out, struct diag *d)
{
	struct chunk_table *t = new_of(struct chunk_table);
	t->fd = -1;
	t->store = s;
	t->form = head->form;
	lock_init(&t->lock);
	err_t err = wire_head_parse(head->head, &t->head, d);
	if (!err && t->head->form_len != head->form_len)
		err = fail(d, ERR_INTEGRITY, -EBADMSG, "published index: the length of a form");
	if (err) {
		chunk_table_free(&t);
		return err;
	}
	t->rows = try_array(max_of(t->head->info.n_chunks, 1u), sizeof(*t->rows), UINT32_MAX);
	t->there = try_array(max_of(t->head->n_groups, 1u), sizeof(*t->there), UINT32_MAX);
	t->kept = try_array(max_of(t->head->n_groups, 1u), sizeof(*t->kept), UINT32_MAX);
	if (!t->rows || !t->there || !t->kept) {
		chunk_table_free(&t);
		return fail_sys(d, ERR_OTHER, -ENOMEM, "published index");
	}
	t->fd = store_form_open(s, &t->form, t->head->form_len);
	*out = t;
	return 0;
}

void chunk_table_free(struct chunk_table **tp)
{
	struct chunk_table *t = take(tp);
	if (!t)
		return;
	for (uint32_t i = 0; t->kept && i < t->head->n_groups; i++)
		buf_fini(&t->kept[i]);
	if (t->fd >= 0)
		close(t->fd);
	wire_head_free(&t->head);
	lock_fini(&t->lock);
	free(t->rows);
	free((void *)t->there);
	free(t->kept);
	free(t);
}

const struct index_info *chunk_table_info(const struct chunk_table *t)
{
	return t->ix ? index_info(t->ix) : &t->head->info;
}

uint64_t chunk_table_xxh3(const struct chunk_table *t)
{
	return t->ix ? index_table_xxh3(t->ix) : t->head->table_xxh3;
}

const struct digest *chunk_table_form(const struct chunk_table *t)
{
	return t->ix ? NULL : &t->form;
}

const struct wire_head *chunk_table_head(const struct chunk_table *t)
{
	return t->head;
}

/* --- rows --- */

static bool group_there(const struct chunk_table *t, uint32_t group)
{
	return atomic_load_explicit(&t->there[group], memory_order_acquire);
}

bool chunk_table_has_group(const struct chunk_table *t, uint32_t group)
{
	return group_there(t, group);
}

bool chunk_table_groups(const struct chunk_table *t, uint64_t off, uint64_t len, uint32_t *first,
			uint32_t *last)
{
	if (t->ix)
		return false;
	/* A frame is found by its neighbours, which may be any of the layer's chunks. */
	bool all = t->head->info.codec == BLOB_ZSTD;
	*first = all ? 0 : wire_group_at(t->head, off);
	*last = all ? t->head->n_groups - 1 : wire_group_at(t->head, off + len - 1);
	return true;
}

bool chunk_table_whole(const struct chunk_table *t)
{
	for (uint32_t i = 0; !t->ix && i < t->head->n_groups; i++)
		if (!group_there(t, i))
			return false;
	return true;
}

bool chunk_table_has_chunk(const struct chunk_table *t, uint32_t chunk)
{
	return t->ix || group_there(t, chunk / t->head->group_chunks);
}

void chunk_table_get(const struct chunk_table *t, uint32_t chunk, struct chunk *out)
{
	if (t->ix) {
		index_chunk(t->ix, chunk, out);
		return;
	}
	BUG_ON(chunk >= t->head->info.n_chunks || !chunk_table_has_chunk(t, chunk));
	*out = t->rows[chunk];
}

uint32_t chunk_table_at(const struct chunk_table *t, uint64_t stream_off)
{
	if (t->ix)
		return index_chunk_at(t->ix, stream_off);
	uint32_t group = wire_group_at(t->head, stream_off);
	BUG_ON(!group_there(t, group));
	uint32_t low = group * t->head->group_chunks, high = low + wire_group_len(t->head, group);
	while (high - low > 1) {
		uint32_t mid = low + (high - low) / 2;
		if (t->rows[mid].stream_off <= stream_off)
			low = mid;
		else
			high = mid;
	}
	return low;
}

/* --- groups --- */

/* The part of a group from the store, verified; false when it is not there (or has rotted). */
static bool recall_part(const struct chunk_table *t, uint32_t group, struct buf *out)
{
	const struct wire_part *part = &t->head->groups[group];
	if (t->fd < 0 || buf_reserve(out, part->len) != 0 ||
	    read_at(t->fd, out->p, part->len, part->off) != 0)
		return false;
	out->n = part->len;
	return wire_part_check(part, buf_bytes(out)) == 0;
}

/* Groups are right each by itself; but one range serves chunks of several, so those that are there
 * must ascend from one to the next. */
static bool follows_locked(const struct chunk_table *t, uint32_t group, const struct chunk *rows)
{
	const struct wire_head *h = t->head;
	uint32_t n = wire_group_len(h, group), before = group, after = group + 1;
	while (before > 0 && !group_there(t, before - 1))
		before--;
	while (after < h->n_groups && !group_there(t, after))
		after++;
	return (before == 0 ||
		wire_rows_follow(h, &t->rows[(size_t)before * h->group_chunks - 1], &rows[0])) &&
	       (after == h->n_groups ||
		wire_rows_follow(h, &rows[n - 1], &t->rows[(size_t)after * h->group_chunks]));
}

/* Decode outside the lock; whoever comes first writes the rows. */
static err_t install(struct chunk_table *t, uint32_t group, struct bytes piece, bool keep,
		     struct diag *d)
{
	uint32_t n = wire_group_len(t->head, group);
	auto_free struct chunk *rows = try_array(n, sizeof(*rows), WIRE_CHUNKS_MAX);
	auto_buf struct buf copy = {0};
	if (!rows || (keep && buf_append(&copy, piece.p, piece.n) != 0))
		return fail_sys(d, ERR_OTHER, -ENOMEM, "published index");
	err_t err = wire_group_rows(t->head, group, piece, rows, d);
	if (err)
		return err;
	lock_take(&t->lock);
	bool fresh = !group_there(t, group);
	if (fresh && !follows_locked(t, group, rows))
		err = -EBADMSG;
	/* One that came again has rotted on a disk that takes no more. */
	if (!err && !t->kept[group].p) {
		t->kept[group] = copy;
		copy = (struct buf){0};
	}
	if (!err && fresh) {
		memcpy(t->rows + (size_t)group * t->head->group_chunks, rows, n * sizeof(*rows));
		atomic_store_explicit(&t->there[group], true, memory_order_release);
	}
	lock_drop(&t->lock);
	return err ? fail(d, ERR_INTEGRITY, err,
			  "published index: group %u contradicts another one", group)
		   : 0;
}

bool chunk_table_recall(struct chunk_table *t, uint32_t group)
{
	auto_buf struct buf piece = {0};
	if (group_there(t, group))
		return true;
	return recall_part(t, group, &piece) &&
	       install(t, group, buf_bytes(&piece), false, NULL) == 0;
}

static bool keep_part(struct chunk_table *t, const struct wire_part *part, struct bytes piece)
{
	if (t->fd < 0 || store_is_full(t->store))
		return false;
	err_t err = write_at(t->fd, piece.p, piece.n, part->off);
	if (err)
		store_note_error(t->store, err, "index part");
	return !err;
}

err_t chunk_table_arrive(struct chunk_table *t, uint32_t group, struct bytes piece, struct diag *d)
{
	const struct wire_part *part = &t->head->groups[group];
	if (wire_part_check(part, piece) != 0)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "SHA-256 mismatch");
	return install(t, group, piece, !keep_part(t, part, piece), d);
}

/* --- windows --- */

err_t chunk_table_group_windows(const struct chunk_table *t, uint32_t group, struct buf *out)
{
	auto_buf struct buf piece = {0};
	BUG_ON(t->ix || !group_there(t, group));
	lock_take((struct lock *)&t->lock);
	struct bytes part = buf_bytes(&t->kept[group]);
	lock_drop((struct lock *)&t->lock);
	if (!part.p) {
		if (!recall_part(t, group, &piece))
			return -EBADMSG;
		part = buf_bytes(&piece);
	}
	return wire_group_windows(t->head, group, part, out, NULL);
}

void chunk_windows_fini(struct chunk_windows *w)
{
	buf_fini(&w->raw);
	*w = (struct chunk_windows){0};
}

/* Whether the window of a row stands in it. Offsets of a published index begin anew in each group.
 */
static bool windows_have(const struct chunk_windows *w, uint32_t group_plus_1,
			 const struct chunk *row)
{
	return w->raw.n && w->group_plus_1 == group_plus_1 && row->window_off >= w->off &&
	       row->window_off - w->off <= w->raw.n &&
	       row->window_len <= w->raw.n - (row->window_off - w->off);
}

err_t chunk_table_window(const struct chunk_table *t, uint32_t chunk, struct chunk_windows *near,
			 struct bytes *out)
{
	struct chunk row;
	uint32_t group_plus_1 = t->ix ? 0 : chunk / t->head->group_chunks + 1;
	chunk_table_get(t, chunk, &row);
	*out = (struct bytes){0};
	if (row.window_len == 0)
		return 0;
	if (!windows_have(near, group_plus_1, &row)) {
		chunk_windows_fini(near);
		err_t err = t->ix ? index_windows_around(t->ix, &row, &near->off, &near->raw)
				  : chunk_table_group_windows(t, group_plus_1 - 1, &near->raw);
		if (err) {
			chunk_windows_fini(near);
			return err;
		}
		near->group_plus_1 = group_plus_1;
		if (!windows_have(near, group_plus_1, &row))
			return -EBADMSG;
	}
	*out = (struct bytes){near->raw.p + (row.window_off - near->off), row.window_len};
	return 0;
}
