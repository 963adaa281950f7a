/*
 * How much of a file is here, for who asks before reading: the same walk as a read's, with a look
 * at the store's map in place of the bytes. What a published index has not told yet about a layer
 * is taken from the store if it lies there, and not fetched.
 */
#include "fetch/content_priv.h"

/* Stream bytes [at, end) that are in one chunk, or in one group whose rows are not here. */
struct stretch {
	uint64_t end;
	bool here;
};

/* Where the rows of a stream byte are missing; @end: of the group that has them. */
static bool rows_missing(struct chunk_table *table, uint64_t at, uint64_t *end)
{
	const struct wire_head *head = chunk_table_head(table);
	uint32_t first, last;
	if (!chunk_table_groups(table, at, 1, &first, &last) || chunk_table_recall(table, first))
		return false;
	*end = first + 1 < head->n_groups ? head->stream_offs[first + 1]
					  : chunk_table_info(table)->stream_size;
	return true;
}

static struct stretch stretch_of(const struct slot *slot, uint64_t at)
{
	struct chunk_table *table = slot_table(slot);
	struct stretch s = {.here = false};
	struct chunk row;
	if (rows_missing(table, at, &s.end))
		return s;
	uint32_t chunk = chunk_table_at(table, at);
	chunk_table_get(table, chunk, &row);
	return (struct stretch){row.stream_off + row.stream_len,
				chunk_store_has(slot->chunks, chunk)};
}

static uint64_t cached_run(struct content *c, uint32_t row, uint64_t off, const struct extent *run)
{
	const struct slot *slot = &c->slots[c->slot_of_layer[run->layer]];
	uint64_t end = run->stream_off + run->len, cached = 0;
	if (!slot_table(slot))
		return 0;
	for (uint64_t at = run->stream_off; at < end;) {
		struct stretch s = stretch_of(slot, at);
		uint64_t n = min_of(s.end, end) - at;
		if (s.here || share_has(c, row, off + (at - run->stream_off), n))
			cached += n;
		at += n;
	}
	return cached;
}

uint64_t content_cached(struct content *c, uint32_t row)
{
	uint64_t cached = 0;
	struct inode inode;
	index_inode(c->image->tree, row, &inode);
	for (uint64_t off = 0; off < inode.size;) {
		struct extent run;
		index_extent(c->image->tree, row, off, &run);
		cached += run.hole ? run.len : cached_run(c, row, off, &run);
		off += run.len;
	}
	return cached;
}
