/*
 * ops_xattr - extended attributes, for the trees that have any
 *
 * The kernel caches none of these answers, so a tree without a single xattr leaves both operations
 * out: after one ENOSYS the kernel stops asking for the whole mount. Which names of a layer are
 * shown at all was decided when the index was built.
 */
#include "fs/ops_priv.h"

bool tree_has_acls(const struct index *tree)
{
	return index_has_xattr_named(tree, BYTES_STR("system.posix_acl_access")) ||
	       index_has_xattr_named(tree, BYTES_STR("system.posix_acl_default"));
}

/* The two-step protocol of xattr(7): size 0 asks how much there is, a smaller buffer is ERANGE. */
static void reply_xattr(fuse_req_t req, struct bytes value, size_t size)
{
	struct counters *counters = filesystem_of(req)->counters;

	if (size == 0)
		reply_sent(counters, fuse_reply_xattr(req, value.n));
	else if (value.n > size)
		reply_error(req, counters, -ERANGE);
	else
		reply_sent(counters, fuse_reply_buf(req, (const char *)value.p, value.n));
}

void op_getxattr(fuse_req_t req, fuse_ino_t node, const char *name, size_t size)
{
	struct filesystem *fs = filesystem_of(req);
	struct xattr_cursor cursor;
	struct xattr_view xattr;
	struct inode inode;
	uint32_t row;

	if (!row_inode(req, node, &row, &inode))
		return;
	index_xattrs(fs->tree, row, &cursor);
	while (index_xattr_next(&cursor, &xattr)) {
		if (bytes_equal_str(xattr.name, name)) {
			reply_xattr(req, xattr.value, size);
			return;
		}
	}
	reply_error(req, fs->counters, -ENODATA);
}

/* The names of a row, each ended by NUL. */
static err_t xattr_names(const struct index *tree, uint32_t row, struct buf *out)
{
	struct xattr_cursor cursor;
	struct xattr_view xattr;

	index_xattrs(tree, row, &cursor);
	while (index_xattr_next(&cursor, &xattr)) {
		err_t err = buf_append(out, xattr.name.p, xattr.name.n);
		if (!err)
			err = buf_append_zeros(out, 1);
		if (err)
			return err;
	}
	return 0;
}

void op_listxattr(fuse_req_t req, fuse_ino_t node, size_t size)
{
	struct filesystem *fs = filesystem_of(req);
	auto_buf struct buf names = {0};
	struct inode inode;
	uint32_t row;
	err_t err;

	if (!row_inode(req, node, &row, &inode))
		return;
	err = xattr_names(fs->tree, row, &names);
	if (err)
		reply_error(req, fs->counters, err);
	else
		reply_xattr(req, buf_bytes(&names), size);
}
