/*
 * chunk_table - the chunk rows of one layer: those of its index, or of a published index of which
 * groups arrive as they are needed
 *
 * Once a group is there it stays for the table's life. Reading rows takes no lock; any thread.
 */
#ifndef IMGFS_FETCH_CHUNK_TABLE_H
#define IMGFS_FETCH_CHUNK_TABLE_H

#include "fetch/store.h"
#include "index/wire.h"

struct chunk_table;

/* chunk_table_of_index - all rows are there; the index is borrowed and must outlive the table. */
struct chunk_table *chunk_table_of_index(const struct index *ix);

/*
 * chunk_table_of_head - no row is there yet
 * Groups that arrive are kept in the store beside the layer's chunks, or in memory where it keeps
 * nothing. -EBADMSG, -ENOTSUP as wire_head_parse; -ENOMEM.
 */
err_t chunk_table_of_head(struct store *s, const struct index_layer_head *head,
			  struct chunk_table **out, struct diag *d) must_check;
void chunk_table_free(struct chunk_table **t);

/* chunk_table_info - digests, sizes, codec and n_chunks of the layer; borrowed. */
const struct index_info *chunk_table_info(const struct chunk_table *t);
/* chunk_table_xxh3 - index_table_xxh3 of the whole table. Cost: a pass over the rows of an index.
 */
uint64_t chunk_table_xxh3(const struct chunk_table *t);
/* chunk_table_form - the SHA-256 of the published form, NULL for the rows of an index: chunks of
 * one are never mixed with those of another (STORE.md, S14). */
const struct digest *chunk_table_form(const struct chunk_table *t);
/* chunk_table_head - of the published form, NULL for the rows of an index. */
const struct wire_head *chunk_table_head(const struct chunk_table *t);

/* chunk_table_groups - the groups that a reader of stream bytes [off, off + len) needs, len >= 1;
 * false for the rows of an index, which are all there. */
bool chunk_table_groups(const struct chunk_table *t, uint64_t off, uint64_t len, uint32_t *first,
			uint32_t *last);
/* chunk_table_whole - whether all rows are there. Cost: O(1) for an index, else O(groups). */
bool chunk_table_whole(const struct chunk_table *t);
/* chunk_table_has_group - whether the rows of a group are there; of a table with groups. */
bool chunk_table_has_group(const struct chunk_table *t, uint32_t group);
/* chunk_table_has_chunk - whether the row of a chunk is there. */
bool chunk_table_has_chunk(const struct chunk_table *t, uint32_t chunk);

/* chunk_table_get, chunk_table_at - a row, and the chunk that covers a stream offset; their groups
 * must be there. */
void chunk_table_get(const struct chunk_table *t, uint32_t chunk, struct chunk *out);
uint32_t chunk_table_at(const struct chunk_table *t, uint64_t stream_off);

/* Windows of one table that were decompressed together; zeroes at first, freed with
 * chunk_windows_fini. */
struct chunk_windows {
	uint32_t group_plus_1; /* of a published index */
	uint64_t off;	       /* window_off of the first byte */
	struct buf raw;
};
void chunk_windows_fini(struct chunk_windows *w);
/* chunk_table_window - the encoded window of a chunk: borrowed from `near`, where it may stand
 * already, until the next call with it. -EBADMSG: the bytes have rotted on disk; -ENOMEM. Cost:
 * decompresses about 64 KiB, unless a chunk beside it was asked for before. */
err_t chunk_table_window(const struct chunk_table *t, uint32_t chunk, struct chunk_windows *near,
			 struct bytes *out) must_check;
/* chunk_table_group_windows - those of a whole group, one after the other. */
err_t chunk_table_group_windows(const struct chunk_table *t, uint32_t group,
				struct buf *out) must_check;

/* chunk_table_recall - take a group from the store; false when it is not there. Reads and hashes
 * about 22 KiB. */
bool chunk_table_recall(struct chunk_table *t, uint32_t group);
/*
 * chunk_table_arrive - the bytes of a group's part came
 * Verified against the head before they are looked at; then its rows are there, and the part is
 * kept. -EBADMSG when they are wrong, with a reason; -ENOMEM.
 */
err_t chunk_table_arrive(struct chunk_table *t, uint32_t group, struct bytes piece,
			 struct diag *d) must_check;

#endif
