/*
 * file_at - the regular file that a directory and a name lead to
 */
#ifndef IMGFS_INDEX_FILE_AT_H
#define IMGFS_INDEX_FILE_AT_H

#include "index/index.h"

/*
 * file_at - the regular file at DIR/NAME, or at NAME where dir is empty; links are followed inside
 * the root
 * False: there is none, the path does not begin with '/', or memory has ended. Cost: a lookup for
 * each component, over up to 40 links.
 */
bool file_at(const struct index *tree, struct bytes dir, struct bytes name, uint32_t *row);

/* path_join - DIR/NAME, or NAME where dir is empty, appended to *out. False: it is too long, or
 * memory has ended. */
bool path_join(struct bytes dir, struct bytes name, struct buf *out);

/* path_parent - what stands before the last name of a path, without the slashes between them;
 * path_last - that name. */
struct bytes path_parent(struct bytes path);
struct bytes path_last(struct bytes path);

#endif
