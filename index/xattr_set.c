/*
 * A set is encoded whole, in the order of its names, and interned: images have a handful of
 * distinct ones. Hard links whose headers carry xattrs of their own make unions.
 */
#include "index/xattr_set.h"

#include "index/format.h"

static int name_order(const void *a, const void *b)
{
	return bytes_compare(((const struct tar_xattr *)a)->name,
			     ((const struct tar_xattr *)b)->name);
}

static err_t encode(struct buf *out, const struct tar_xattr *sorted, size_t n)
{
	struct disk_xattr_set head = {.n_xattrs = put_le32((uint32_t)n)};
	err_t err = buf_append(out, &head, sizeof(head));
	for (size_t i = 0; i < n && !err; i++) {
		struct disk_xattr x = {.value_len = put_le32((uint32_t)sorted[i].value.n),
				       .name_len = (uint8_t)sorted[i].name.n};
		err = buf_append(out, &x, sizeof(x));
		if (!err)
			err = buf_append(out, sorted[i].name.p, sorted[i].name.n);
		if (!err)
			err = buf_append(out, sorted[i].value.p, sorted[i].value.n);
	}
	if (!err)
		err = buf_append_zeros(out, (4 - out->n % 4) % 4);
	if (err)
		return err;
	head.len = put_le32((uint32_t)out->n);
	memcpy(out->p, &head, sizeof(head));
	return 0;
}

static bool has_name(const struct tar_xattr *xattrs, size_t n, struct bytes name)
{
	for (size_t i = 0; i < n; i++)
		if (bytes_equal(xattrs[i].name, name))
			return true;
	return false;
}

/* Append those of the base that the new ones do not replace; false when there is no room. */
static bool append_base(const struct intern *sets, uint32_t base, struct tar_xattr *all,
			size_t n_new, size_t *n)
{
	struct disk_xattr_set head;
	memcpy(&head, sets->data.p + base, sizeof(head));
	const uint8_t *at = sets->data.p + base + sizeof(head);
	for (uint32_t i = 0; i < get_le32(head.n_xattrs); i++) {
		struct disk_xattr x;
		memcpy(&x, at, sizeof(x));
		at += sizeof(x);
		struct tar_xattr old = {{at, x.name_len}, {at + x.name_len, get_le32(x.value_len)}};
		at += old.name.n + old.value.n;
		if (has_name(all, n_new, old.name))
			continue;
		if (*n == TAR_XATTRS_MAX)
			return false;
		all[(*n)++] = old;
	}
	return true;
}

err_t xattr_set_add(struct intern *sets, uint32_t base, const struct tar_xattr *xattrs, size_t n,
		    uint32_t *out)
{
	*out = base;
	if (n == 0)
		return 0;
	auto_free struct tar_xattr *all = try_array(TAR_XATTRS_MAX, sizeof(*all), TAR_XATTRS_MAX);
	if (!all)
		return -ENOMEM;
	BUG_ON(n > TAR_XATTRS_MAX);
	memcpy(all, xattrs, n * sizeof(*all));
	if (base && !append_base(sets, base, all, n, &n))
		return -EBADMSG;
	size_t list_len = 0;
	for (size_t i = 0; i < n; i++)
		list_len += all[i].name.n + 1;
	if (list_len > TAR_XATTR_LIST_MAX)
		return -EBADMSG;
	qsort(all, n, sizeof(*all), name_order);
	auto_buf struct buf set = {0};
	err_t err = encode(&set, all, n);
	return err ? err : intern_add(sets, buf_bytes(&set), out);
}
