/*
 * The xattrs of one member, collected from PAX records in two spellings.
 *
 * SCHILY.xattr.NAME holds the value as it is; LIBARCHIVE.xattr.NAME has the name URL-encoded and
 * the value in base64. Writers of the second usually write the first too, so a name occurs twice
 * and the first spelling wins, whatever the order. The limits are those of Linux: what could not be
 * set on a file is no xattr. Sources: star(5), libarchive tar(5).
 */
#include "index/tar_priv.h"

#include <string.h>

#define XATTR_NAME_LEN_MAX 255 /* XATTR_NAME_MAX of Linux */

static err_t name_check(struct bytes name, struct diag *d)
{
	if (name.n && name.n <= XATTR_NAME_LEN_MAX && !memchr(name.p, 0, name.n))
		return 0;
	return fail(d, ERR_INTEGRITY, -EBADMSG,
		    "the name of an xattr is empty, longer than %d bytes or holds NUL",
		    XATTR_NAME_LEN_MAX);
}

static err_t row_add(struct tar_xattrs *all, struct bytes name, struct diag *d)
{
	if (all->n >= TAR_XATTRS_MAX || name.n + 1 > TAR_XATTR_LIST_MAX - all->list_len)
		return fail(d, ERR_INTEGRITY, -EBADMSG,
			    "a member has more than %d xattrs or %d bytes of their names",
			    TAR_XATTRS_MAX, TAR_XATTR_LIST_MAX);
	if (!try_grow(&all->items, all->n, &all->cap_items, sizeof(*all->items)) ||
	    !try_grow(&all->is_schily, all->n, &all->cap_spellings, sizeof(*all->is_schily)))
		return fail_sys(d, ERR_OTHER, -ENOMEM, "xattrs");
	all->list_len += name.n + 1;
	all->items[all->n] = (struct tar_xattr){.name = name};
	all->is_schily[all->n++] = false;
	return 0;
}

static err_t put(struct tar_xattrs *all, struct tar_xattr x, bool schily, struct diag *d)
{
	err_t err = name_check(x.name, d);
	if (err)
		return err;
	if (x.value.n > TAR_XATTR_VALUE_MAX)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "an xattr value is longer than %d bytes",
			    TAR_XATTR_VALUE_MAX);
	size_t row = 0;
	while (row < all->n && !bytes_equal(all->items[row].name, x.name))
		row++;
	err = row == all->n ? row_add(all, x.name, d) : 0;
	if (err)
		return err;
	if (schily || !all->is_schily[row])
		all->items[row] = x;
	all->is_schily[row] |= schily;
	return 0;
}

err_t tar_xattrs_put(struct tar_xattrs *all, struct bytes name, struct bytes value, struct diag *d)
{
	return put(all, (struct tar_xattr){name, value}, true, d);
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static err_t url_decode(struct bytes text, struct buf *out)
{
	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];
		if (c == '%') {
			int high = i + 2 < text.n ? hex_digit(text.p[i + 1]) : -1;
			int low = i + 2 < text.n ? hex_digit(text.p[i + 2]) : -1;
			if (high < 0 || low < 0)
				return -EBADMSG;
			c = (uint8_t)(high << 4 | low);
			i += 2;
		}
		err_t err = buf_append(out, &c, 1);
		if (err)
			return err;
	}
	return 0;
}

static int base64_digit(uint8_t c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

/* With or without '=' at the end: libarchive writes none. */
static err_t base64_decode(struct bytes text, struct buf *out)
{
	uint32_t bits = 0;
	unsigned n_bits = 0;
	while (text.n && text.n % 4 != 1 && text.p[text.n - 1] == '=')
		text.n--;
	if (text.n % 4 == 1)
		return -EBADMSG;
	for (size_t i = 0; i < text.n; i++) {
		int digit = base64_digit(text.p[i]);
		if (digit < 0)
			return -EBADMSG;
		bits = bits << 6 | (uint32_t)digit;
		n_bits += 6;
		if (n_bits < 8)
			continue;
		n_bits -= 8;
		uint8_t c = (uint8_t)(bits >> n_bits);
		err_t err = buf_append(out, &c, 1);
		if (err)
			return err;
	}
	return 0;
}

err_t tar_xattrs_put_encoded(struct tar_xattrs *all, struct bytes name, struct bytes value,
			     struct diag *d)
{
	/* Room for the whole body was reserved, so what `decoded` holds never moves. */
	size_t name_at = all->decoded.n;
	err_t err = url_decode(name, &all->decoded);
	size_t value_at = all->decoded.n;
	if (!err)
		err = base64_decode(value, &all->decoded);
	if (err)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "a LIBARCHIVE.xattr record is malformed");
	const uint8_t *p = all->decoded.p;
	struct tar_xattr x = {.name = {p + name_at, value_at - name_at},
			      .value = {p + value_at, all->decoded.n - value_at}};
	return put(all, x, false, d);
}

err_t tar_xattrs_reserve(struct tar_xattrs *all, size_t n, struct diag *d)
{
	BUG_ON(all->decoded.n);
	if (buf_reserve(&all->decoded, n) < 0)
		return fail_sys(d, ERR_OTHER, -ENOMEM, "xattrs");
	return 0;
}

void tar_xattrs_clear(struct tar_xattrs *all)
{
	all->n = 0;
	all->list_len = 0;
	all->decoded.n = 0;
}

void tar_xattrs_fini(struct tar_xattrs *all)
{
	free(all->items);
	free(all->is_schily);
	buf_fini(&all->decoded);
	*all = (struct tar_xattrs){0};
}
