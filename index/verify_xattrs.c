/*
 * The proof of XATTRS: the section is a row of sets without a gap, each holding names in order with
 * their values, within the limits that the kernel puts on them.
 */
#include "index/index_priv.h"
#include "index/tar.h"

/* One xattr at *pos of a set that ends at `end`; *pos moves behind it. */
static err_t verify_xattr(const struct index *ix, uint64_t end, uint64_t *pos, struct bytes *name,
			  struct diag *d)
{
	struct disk_xattr x;
	if (end - *pos < sizeof(x))
		return broken(d, "13", "xattr at %llu is cut", (unsigned long long)*pos);
	memcpy(&x, ix->xattrs + *pos, sizeof(x));
	*pos += sizeof(x);
	uint64_t value_len = get_le32(x.value_len);
	if (x.name_len == 0 || end - *pos < x.name_len || end - *pos - x.name_len < value_len ||
	    value_len > TAR_XATTR_VALUE_MAX || x.reserved[0] || x.reserved[1] || x.reserved[2])
		return broken(d, "13", "lengths of the xattr at %llu", (unsigned long long)*pos);
	*name = (struct bytes){ix->xattrs + *pos, x.name_len};
	*pos += name->n + value_len;
	return memchr(name->p, 0, name->n) ? broken(d, "13", "NUL in an xattr name") : 0;
}

static err_t verify_set(const struct index *ix, uint64_t at, uint64_t *next, struct diag *d)
{
	struct disk_xattr_set head;
	if (ix->xattrs_len - at < sizeof(head))
		return broken(d, "13", "xattr set at %llu is cut", (unsigned long long)at);
	memcpy(&head, ix->xattrs + at, sizeof(head));
	uint64_t len = get_le32(head.len), pos = at + sizeof(head), end = at + len, list = 0;
	uint32_t n = get_le32(head.n_xattrs);
	if (len % 4 || len < sizeof(head) || len > ix->xattrs_len - at || n == 0 ||
	    n > TAR_XATTRS_MAX)
		return broken(d, "13", "xattr set at %llu", (unsigned long long)at);
	struct bytes last = {NULL, 0}, name;
	for (uint32_t i = 0; i < n; i++, last = name) {
		err_t err = verify_xattr(ix, end, &pos, &name, d);
		if (err)
			return err;
		list += name.n + 1;
		if ((i && bytes_compare(last, name) >= 0) || list > TAR_XATTR_LIST_MAX)
			return broken(d, "13", "names of the xattr set at %llu",
				      (unsigned long long)at);
	}
	if (end - pos > 3)
		return broken(d, "13", "padding of the xattr set at %llu", (unsigned long long)at);
	for (; pos < end; pos++)
		if (ix->xattrs[pos])
			return broken(d, "13", "padding of the xattr set at %llu",
				      (unsigned long long)at);
	*next = end;
	return 0;
}

err_t verify_xattrs(const struct index *ix, uint8_t *set_starts, struct diag *d)
{
	uint64_t at = sizeof(struct disk_xattr_set);
	if (ix->xattrs_len == 0)
		return 0;
	if (ix->xattrs_len > UINT32_MAX || ix->xattrs_len <= at)
		return broken(d, "13", "XATTRS has %llu bytes", (unsigned long long)ix->xattrs_len);
	for (size_t i = 0; i < at; i++)
		if (ix->xattrs[i])
			return broken(d, "13", "XATTRS does not begin with zeroes");
	while (at < ix->xattrs_len) {
		uint64_t next = 0;
		err_t err = verify_set(ix, at, &next, d);
		if (err)
			return err;
		set_starts[at / 32] |= (uint8_t)(1u << (at / 4 % 8));
		at = next;
	}
	return 0;
}
