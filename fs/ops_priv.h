/*
 * ops_priv - what the files of operations share
 */
#ifndef IMGFS_FS_OPS_PRIV_H
#define IMGFS_FS_OPS_PRIV_H

#include "fs/ops.h"
#include "fs/reply.h"

#include <fuse_lowlevel.h>
#include <sys/stat.h>

/* Nothing in the tree ever changes: 30 years, which every kernel can add to its clock. */
#define CACHE_TIMEOUT_S 1e9

/* A file with holes: its row, and how many of its bytes are stored. */
struct sparse_file {
	uint32_t row;
	uint64_t stored;
};

struct filesystem {
	const struct index *tree;
	const struct index_info *info;
	struct content *content;
	struct counters *counters;
	struct sparse_file *sparse; /* in order of rows */
	size_t n_sparse;
	bool xattrs;   /* show our own, too */
	bool has_acls; /* the tree carries POSIX ACLs: the kernel must enforce them */
	/* Set once, by the INIT message, before any other operation runs. */
	bool no_open, no_opendir; /* the kernel takes ENOSYS for "never ask again" */
};

static inline struct filesystem *filesystem_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* row_of - the row of a node id; false for one that we never gave out. */
bool row_of(const struct filesystem *fs, fuse_ino_t node, uint32_t *row);
static inline fuse_ino_t node_of(uint32_t row)
{
	return (fuse_ino_t)row + 1;
}

/* row_inode - row_of and the inode in one; on a bad node replies with EIO and returns false. */
bool row_inode(fuse_req_t req, fuse_ino_t node, uint32_t *row, struct inode *inode);

/* stat_of - the attributes of a row. */
void stat_of(const struct filesystem *fs, uint32_t row, const struct inode *inode,
	     struct stat *out);

/* entry_of - the same as an entry that the kernel may keep for ever. */
void entry_of(const struct filesystem *fs, uint32_t row, struct fuse_entry_param *out);

/* ops_dir.c */
void op_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t off, struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
		    struct fuse_file_info *fi);

/* ops_read.c */
void op_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t off, struct fuse_file_info *fi);
void op_lseek(fuse_req_t req, fuse_ino_t node, off_t off, int whence, struct fuse_file_info *fi);

/* ops_xattr.c */
bool tree_has_acls(const struct index *tree);
void op_getxattr(fuse_req_t req, fuse_ino_t node, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t node, size_t size);

#endif
