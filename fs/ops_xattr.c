/*
 * ops_xattr - extended attributes, for the trees that have any
 *
 * The kernel caches none of these answers, so a tree without a single xattr leaves both operations
 * out: after one ENOSYS the kernel stops asking for the whole mount. Which names of a layer are
 * shown at all was decided when the index was built.
 */
#include "fs/ops_priv.h"

#include <string.h>

static bool is_acl_name(struct bytes name)
{
	struct bytes prefix = BYTES_STR("system.posix_acl_");

	return name.n >= prefix.n && memcmp(name.p, prefix.p, prefix.n) == 0;
}

static bool row_has_acl(const struct index *tree, uint32_t row)
{
	uint32_t n = index_xattr_count(tree, row);

	for (uint32_t i = 0; i < n; i++) {
		struct xattr_view xattr;

		index_xattr(tree, row, i, &xattr);
		if (is_acl_name(xattr.name))
			return true;
	}
	return false;
}

bool tree_has_acls(const struct index *tree)
{
	const struct index_info *info = index_info(tree);

	if (!(info->flags & INDEX_HAS_XATTRS))
		return false;
	for (uint32_t row = 0; row < info->n_inodes; row++)
		if (row_has_acl(tree, row))
			return true;
	return false;
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
	struct inode inode;
	uint32_t row, n;

	if (!row_inode(req, node, &row, &inode))
		return;
	n = index_xattr_count(fs->tree, row);
	for (uint32_t i = 0; i < n; i++) {
		struct xattr_view xattr;

		index_xattr(fs->tree, row, i, &xattr);
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
	uint32_t n = index_xattr_count(tree, row);

	for (uint32_t i = 0; i < n; i++) {
		struct xattr_view xattr;
		err_t err;

		index_xattr(tree, row, i, &xattr);
		err = buf_append(out, xattr.name.p, xattr.name.n);
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
