/*
 * row_path - the way back: from a row of an index to a name that leads there
 */
#ifndef IMGFS_INDEX_ROW_PATH_H
#define IMGFS_INDEX_ROW_PATH_H

#include "index/index.h"

/*
 * index_row_paths - an absolute path for each of n rows; of several names of a file it is one
 * @rows   below n_inodes
 * @paths  n empty buffers, owned by the caller; raw bytes, no NUL at the end; "/" for the root. One
 *         stays empty where the row has no name, which a proved index does not have
 * -ENOMEM. Cost: one pass over all names, however many rows.
 */
err_t index_row_paths(const struct index *ix, const uint32_t *rows, size_t n,
		      struct buf *paths) must_check;

/* index_dir_path - the same for one directory. Cost: a pass over the names in each directory above
 * it. */
err_t index_dir_path(const struct index *ix, uint32_t dir, struct buf *path) must_check;

#endif
