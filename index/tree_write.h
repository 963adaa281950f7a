/*
 * tree_write - a finished tree as the sections of an index
 */
#ifndef IMGFS_INDEX_TREE_WRITE_H
#define IMGFS_INDEX_TREE_WRITE_H

#include "index/container.h"
#include "index/tree.h"

/* The tree sections, ready for container_write: ascending by type, borrowed from the object. */
#define TREE_SECTIONS 7 /* INODES, DIRENTS, STRINGS, OWNERS, XATTRS, EXTENTS, DIGESTS */
struct tree_sections;

/*
 * tree_sections_new - lay the tree out in rows; equal trees give equal bytes in whatever order
 * they were put together
 * @tree   borrowed; may go when this has returned
 * @salt   of the name hashes
 * @image  true: an image index. Rows lose OPAQUE and IMPLIED, and character devices 0:0 are left
 * out, because an overlayfs above the mount would take them for whiteouts
 * DIGESTS stay empty for a tree that has none. -ENOMEM, -E2BIG (names above 4 GiB).
 */
err_t tree_sections_new(const struct tree *tree, uint64_t salt, bool image,
			struct tree_sections **out) must_check;
void tree_sections_get(const struct tree_sections *ts, struct section_out out[TREE_SECTIONS]);
/* tree_sections_meta - the counts and flags of what was laid out. */
void tree_sections_meta(const struct tree_sections *ts, struct disk_tree_meta *out);
void tree_sections_free(struct tree_sections **ts);

#endif
