/*
 * ops_xattr - extended attributes, for the trees that have any
 *
 * The kernel caches none of these answers, so a tree without a single xattr leaves both operations
 * out: after one ENOSYS the kernel stops asking for the whole mount. Which names of a layer are
 * shown at all was decided when the index was built.
 *
 * With -o xattrs every regular file has a few more, which say where its bytes are:
 *
 *   user.imgfs.layer   the digest of the layer in which its first byte lies; not of empty files
 *   user.imgfs.digest  "sha256:..." of its content, where the index knows it
 *   user.imgfs.cached  how many of its bytes a read would get without the network
 *
 * An image that has an attribute of such a name itself keeps it.
 */
#include "fs/ops_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

/* ---- our own ---- */

#define OWN_VALUE_MAX DIGEST_TEXT_MAX

/* Bytes of the value, 0: this file has none. */
typedef size_t (*own_value_fn)(const struct filesystem *fs, uint32_t row, const struct inode *inode,
			       char value[OWN_VALUE_MAX]);

static size_t layer_value(const struct filesystem *fs, uint32_t row, const struct inode *inode,
			  char value[OWN_VALUE_MAX])
{
	for (uint64_t off = 0; off < inode->size;) {
		struct extent run;
		struct index_layer layer;

		index_extent(fs->tree, row, off, &run);
		off += run.len;
		if (run.hole)
			continue;
		index_layer(fs->tree, run.layer, &layer);
		return strlen(digest_text(&layer.blob_digest, value));
	}
	return 0;
}

static size_t digest_value(const struct filesystem *fs, uint32_t row, const struct inode *inode,
			   char value[OWN_VALUE_MAX])
{
	const uint8_t *bytes = index_file_digest(fs->tree, row);
	struct digest digest = {.alg = DIGEST_SHA256};

	(void)inode;
	if (!bytes)
		return 0;
	memcpy(digest.b, bytes, SHA256_LEN);
	return strlen(digest_text(&digest, value));
}

static size_t cached_value(const struct filesystem *fs, uint32_t row, const struct inode *inode,
			   char value[OWN_VALUE_MAX])
{
	(void)inode;
	return (size_t)snprintf(value, OWN_VALUE_MAX, "%" PRIu64, content_cached(fs->content, row));
}

static const struct own_xattr {
	const char *name;
	own_value_fn value;
} own_xattrs[] = {
	{"user.imgfs.layer", layer_value},
	{"user.imgfs.digest", digest_value},
	{"user.imgfs.cached", cached_value},
};

static bool row_has(const struct filesystem *fs, uint32_t row, const char *name,
		    struct bytes *value)
{
	struct xattr_cursor cursor;
	struct xattr_view xattr;

	index_xattrs(fs->tree, row, &cursor);
	while (index_xattr_next(&cursor, &xattr)) {
		if (!bytes_equal_str(xattr.name, name))
			continue;
		*value = xattr.value;
		return true;
	}
	return false;
}

static bool has_own(const struct filesystem *fs, const struct inode *inode)
{
	return fs->xattrs && S_ISREG(inode->mode);
}

static size_t own_value(const struct filesystem *fs, uint32_t row, const struct inode *inode,
			const char *name, char value[OWN_VALUE_MAX])
{
	for (size_t i = 0; has_own(fs, inode) && i < ARRAY_LEN(own_xattrs); i++)
		if (strcmp(own_xattrs[i].name, name) == 0)
			return own_xattrs[i].value(fs, row, inode, value);
	return 0;
}

/* ---- the operations ---- */

void op_getxattr(fuse_req_t req, fuse_ino_t node, const char *name, size_t size)
{
	struct filesystem *fs = filesystem_of(req);
	char own[OWN_VALUE_MAX];
	struct bytes value;
	struct inode inode;
	uint32_t row;

	if (!row_inode(req, node, &row, &inode))
		return;
	if (row_has(fs, row, name, &value)) {
		reply_xattr(req, value, size);
		return;
	}
	value = (struct bytes){(const uint8_t *)own, own_value(fs, row, &inode, name, own)};
	if (value.n)
		reply_xattr(req, value, size);
	else
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

static err_t own_names(const struct filesystem *fs, uint32_t row, const struct inode *inode,
		       struct buf *out)
{
	err_t err = 0;

	for (size_t i = 0; !err && has_own(fs, inode) && i < ARRAY_LEN(own_xattrs); i++) {
		const struct own_xattr *own = &own_xattrs[i];
		char unused[OWN_VALUE_MAX];
		struct bytes of_image;

		if (!row_has(fs, row, own->name, &of_image) &&
		    own->value(fs, row, inode, unused) > 0)
			err = buf_append(out, own->name, strlen(own->name) + 1);
	}
	return err;
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
	if (!err)
		err = own_names(fs, row, &inode, &names);
	if (err)
		reply_error(req, fs->counters, err);
	else
		reply_xattr(req, buf_bytes(&names), size);
}
