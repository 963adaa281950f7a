/*
 * path - paths as text
 */
#ifndef IMGFS_INDEX_PATH_H
#define IMGFS_INDEX_PATH_H

#include "index/base.h"

/* path_join - DIR/NAME, or NAME where dir is empty, appended to *out. False: it is too long, or
 * memory has ended. */
bool path_join(struct bytes dir, struct bytes name, struct buf *out);

/* path_parent - what stands before the last name of a path, without the slashes between them, so
 * nothing for one in the root; path_last - that name. */
struct bytes path_parent(struct bytes path);
struct bytes path_last(struct bytes path);

#endif
