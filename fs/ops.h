/*
 * ops - what the kernel gets for an answer: the merged tree as FUSE operations
 *
 * A FUSE node id is a row of the tree plus one (the root, row 0, is FUSE's node 1), so there is
 * nothing to remember between two requests and nothing to forget. fs/README.md lists which answers
 * each operation may give.
 */
#ifndef IMGFS_FS_OPS_H
#define IMGFS_FS_OPS_H

#include "fs/counters.h"

#define READ_MAX                                                                                   \
	(1u << 20) /* bytes of one READ: 256 pages, what every kernel since 4.20 allows            \
		    */

struct fuse_lowlevel_ops;
struct filesystem;

/*
 * filesystem_new - the tree as it will be served; all arguments must outlive it
 * @xattrs  files also have user.imgfs.layer, .digest and .cached; see ops_xattr.c
 * Cost: one pass over the tree's xattrs, and one over the rows and extents of its files if any has
 * holes; 16 bytes of memory for each file that has.
 */
struct filesystem *filesystem_new(const struct index *tree, struct content *content,
				  struct counters *counters, bool xattrs);
/* filesystem_free - no operation may run any more, and no read be in flight (content_free). */
void filesystem_free(struct filesystem **fs);

/*
 * filesystem_operations - the table for fuse_session_new, with the filesystem as its user data
 * Operations that this tree does not need are left out: libfuse then answers ENOSYS, and the kernel
 * does not ask again.
 */
void filesystem_operations(const struct filesystem *fs, struct fuse_lowlevel_ops *out);

#endif
