/*
 * xattr_set - sets of xattrs as the XATTRS section holds them (FORMAT.md), while it is being built
 */
#ifndef IMGFS_INDEX_XATTR_SET_H
#define IMGFS_INDEX_XATTR_SET_H

#include "index/intern.h"
#include "index/tar.h"

/*
 * xattr_set_add - the set `base` (an offset in sets->data, 0: none) with n xattrs more; equal sets
 * are kept once
 * @xattrs  names unique, in any order; they win over those of the base
 * @out     offset of the set, 0 when it is empty
 * -EBADMSG when the set would pass TAR_XATTRS_MAX or TAR_XATTR_LIST_MAX; -ENOMEM, -E2BIG.
 */
err_t xattr_set_add(struct intern *sets, uint32_t base, const struct tar_xattr *xattrs, size_t n,
		    uint32_t *out) must_check;

#endif
