/*
 * layer_tree - the members of one layer's tar as a tree, whiteouts included (image-spec layer.md)
 */
#ifndef IMGFS_INDEX_LAYER_TREE_H
#define IMGFS_INDEX_LAYER_TREE_H

#include "index/tree.h"

#define SYMLINKS_MAX 40 /* followed in one resolution, as in the kernel (MAXSYMLINKS) */

/*
 * layer_tree_add - one member, in the order of the archive
 * @node  the inode that the member's bytes belong to, for their digest; TREE_NONE when it has
 * none -EBADMSG (ERR_INTEGRITY): a name that no tree can have (".wh." alone, the root as a file, a
 * link to a directory). -ENOMEM, -E2BIG.
 */
err_t layer_tree_add(struct tree *tree, const struct tar_entry *e, uint32_t *node,
		     struct diag *d) must_check;

#endif
