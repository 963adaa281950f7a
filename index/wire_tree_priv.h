/*
 * wire_tree_priv - the columns of a tree's form, for its two sides and for tests that make it lie
 */
#ifndef IMGFS_INDEX_WIRE_TREE_PRIV_H
#define IMGFS_INDEX_WIRE_TREE_PRIV_H

#include "index/varint.h"
#include "index/wire_tree.h"

/* In the order of the table in WIRE.md. */
enum wire_column {
	COLUMN_COUNTS,
	COLUMN_NAMES,
	COLUMN_KINDS,
	COLUMN_ATTRIBUTES,
	COLUMN_XATTRS,
	COLUMN_TIMES,
	COLUMN_SECONDS,
	COLUMN_NANOSECONDS,
	COLUMN_SIZES_LOW,
	COLUMN_SIZES_HIGH,
	COLUMN_LAYERS,
	COLUMN_PLACES,
	COLUMN_EXTENTS,
	COLUMN_TARGETS,
	COLUMN_DEVICES,
	COLUMN_LINKS,
	WIRE_COLUMNS,
};

/* The first numbers of KINDS; behind them come the records of ATTRIBUTES by number. */
#define KIND_LINK    0u /* another name of an earlier inode */
#define KIND_NEW     1u /* the next record */
#define KIND_RECORDS 2u
/* The same of TIMES. */
#define TIME_NEW     0u
#define TIME_RECORDS 1u

#define TAR_BLOCK UINT64_C(512)

/*
 * Where a tar has a file's bytes: behind what the layer's file before it has, each name walked
 * since then costs a header. Both sides keep this alike; only what it misses is sent.
 */
struct wire_places {
	uint64_t ends[INDEX_LAYERS_MAX]; /* of the last bytes of each layer, in whole blocks */
	uint64_t headers; /* names since the last file with bytes, this one included */
};
static inline uint64_t wire_places_predict(const struct wire_places *p, uint32_t layer)
{
	return p->ends[layer] + p->headers * TAR_BLOCK;
}
static inline void wire_places_note(struct wire_places *p, uint32_t layer, uint64_t end)
{
	p->ends[layer] = (end + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
	p->headers = 0;
}

/*
 * columns_pack - the table of lengths, then each column: as it is, or as one zstd frame where that
 * is smaller. -ENOMEM.
 */
err_t columns_pack(const struct bytes *columns, size_t n, struct buf *out) must_check;

/*
 * columns_unpack - the reverse
 * @raw_max  -E2BIG when the columns have more bytes together
 * @raw      empty; owns the columns' bytes afterwards
 */
err_t columns_unpack(struct bytes in, size_t n, uint64_t raw_max, struct buf *raw,
		     struct bytes *columns, struct diag *d) must_check;

#endif
