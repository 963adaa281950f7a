/*
 * layer_write - the parts of a layer index as one file, whoever has made them
 */
#ifndef IMGFS_INDEX_LAYER_WRITE_H
#define IMGFS_INDEX_LAYER_WRITE_H

#include "index/tree_write.h"

struct layer_write {
	const struct index_info *info; /* digests, sizes, codec and chunk target of the layer */
	const struct tree_sections *tree;
	struct bytes digests; /* the section DIGESTS; NULL: that of the tree */
	struct bytes chunks;  /* the section CHUNKS, of layer_write_chunk */
	struct bytes windows; /* the section WINDOWS, raw */
	struct buf *out;      /* appended to */
};

/* layer_salt - of the name hashes in the index of a layer with this blob digest. */
uint64_t name_salt(const struct digest *blob);

/* layer_write_chunk - append a row of CHUNKS. -ENOMEM. */
err_t layer_write_chunk(struct buf *chunks, const struct chunk *c) must_check;

/* layer_write - the index file. -ENOMEM. Cost: compresses the windows (about 40 MB/s). */
err_t layer_write(const struct layer_write *w) must_check;

#endif
