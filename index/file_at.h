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

#endif
