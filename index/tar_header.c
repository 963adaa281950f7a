/*
 * One tar header block: its sum, its dialect, its numbers and names.
 *
 * The dialect decides what stands behind offset 257. Numbers are octal text or, where they do not
 * fit, base-256. What is accepted is what Go's archive/tar accepts, because that is what most
 * engines unpack images with; in particular the GNU headers of its versions before 1.8, which put
 * a ustar prefix where GNU tar keeps two times (old images are full of them).
 */
#include "index/tar_priv.h"

#include <string.h>

#define DEV_MAJOR_MAX 0xfff   /* dev_t of Linux: 12 bits */
#define DEV_MINOR_MAX 0xfffff /* and 20 bits */

struct field {
	uint16_t off, n;
};

/* POSIX.1-2017 pax, "ustar Interchange Format". */
static const struct field f_name = {0, 100}, f_mode = {100, 8}, f_uid = {108, 8}, f_gid = {116, 8},
			  f_size = {124, 12}, f_mtime = {136, 12}, f_sum = {148, 8},
			  f_link = {157, 100}, f_dev_major = {329, 8}, f_dev_minor = {337, 8},
			  f_prefix = {345, 155};
/* star (the "tar\0" at the end tells), and the two times of GNU tar. */
static const struct field f_star_prefix = {345, 131}, f_gnu_atime = {345, 12},
			  f_gnu_ctime = {357, 12};
#define TYPEFLAG_OFF	 156
#define MAGIC_OFF	 257
#define STAR_TRAILER_OFF 508

static struct bytes field_text(const uint8_t *block, struct field f)
{
	return (struct bytes){block + f.off, strnlen((const char *)block + f.off, f.n)};
}

static bool is_padding(uint8_t c)
{
	return c == ' ' || c == 0;
}

/* Writers pad with spaces or NULs on either side; an empty field is 0, and a NUL ends the digits.
 */
static err_t octal_parse(const uint8_t *p, size_t n, int64_t *out)
{
	while (n && is_padding(p[0]))
		p++, n--;
	while (n && is_padding(p[n - 1]))
		n--;
	uint64_t x = 0;
	for (size_t i = 0; i < n && p[i]; i++) {
		if (p[i] < '0' || p[i] > '7')
			return -EBADMSG;
		x = x << 3 | (uint64_t)(p[i] - '0');
	}
	*out = (int64_t)x;
	return 0;
}

static err_t base256_parse(const uint8_t *p, size_t n, int64_t *out)
{
	/* A negative number is read as its complement, so that leading bytes are zero for both. */
	uint8_t invert = p[0] & 0x40 ? 0xff : 0;
	uint64_t x = (p[0] ^ invert) & 0x7f;
	for (size_t i = 1; i < n; i++) {
		if (x >> 55)
			return -EBADMSG;
		x = x << 8 | (uint8_t)(p[i] ^ invert);
	}
	*out = invert ? (int64_t)~x : (int64_t)x;
	return 0;
}

err_t tar_number_parse(const uint8_t *field, size_t n, int64_t *out)
{
	if (field[0] & 0x80)
		return base256_parse(field, n, out);
	return octal_parse(field, n, out);
}

static err_t number_field(const uint8_t *block, struct field f, const char *what, int64_t *out,
			  struct diag *d)
{
	if (tar_number_parse(block + f.off, f.n, out) == 0)
		return 0;
	return fail(d, ERR_INTEGRITY, -EBADMSG, "the %s in the header is no number", what);
}

static bool sum_is_right(const uint8_t *block)
{
	int64_t stated;
	if (octal_parse(block + f_sum.off, f_sum.n, &stated) < 0)
		return false;
	int64_t unsigned_sum = 0, signed_sum = 0;
	for (size_t i = 0; i < TAR_BLOCK_LEN; i++) {
		/* The sum counts its own field as spaces. */
		bool own = i >= f_sum.off && i < (size_t)f_sum.off + f_sum.n;
		uint8_t c = own ? ' ' : block[i];
		unsigned_sum += c;
		signed_sum += (int8_t)c;
	}
	return stated == unsigned_sum || stated == signed_sum;
}

static enum tar_dialect dialect_of(const uint8_t *block)
{
	if (memcmp(block + MAGIC_OFF, "ustar  ", 8) == 0)
		return TAR_GNU;
	if (memcmp(block + MAGIC_OFF, "ustar", 6) != 0)
		return TAR_V7;
	return memcmp(block + STAR_TRAILER_OFF, "tar", 4) == 0 ? TAR_STAR : TAR_USTAR;
}

static bool gnu_time_is_wrong(const uint8_t *block, struct field f)
{
	int64_t ignored;
	return block[f.off] && tar_number_parse(block + f.off, f.n, &ignored) < 0;
}

static bool is_ascii(struct bytes s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] & 0x80)
			return false;
	return true;
}

/* Go before 1.8 wrote a prefix into GNU headers; it shows where the times should be. */
static struct bytes gnu_prefix(const uint8_t *block)
{
	struct bytes none = {NULL, 0}, prefix = field_text(block, f_prefix);
	if (!gnu_time_is_wrong(block, f_gnu_atime) && !gnu_time_is_wrong(block, f_gnu_ctime))
		return none;
	return is_ascii(prefix) ? prefix : none;
}

static struct bytes prefix_of(const uint8_t *block, enum tar_dialect dialect)
{
	switch (dialect) {
	case TAR_USTAR:
		return field_text(block, f_prefix);
	case TAR_STAR:
		return field_text(block, f_star_prefix);
	case TAR_GNU:
		return gnu_prefix(block);
	case TAR_V7:
		break;
	}
	return (struct bytes){NULL, 0};
}

static void names_copy(const uint8_t *block, struct tar_header *h)
{
	struct bytes prefix = prefix_of(block, h->dialect), name = field_text(block, f_name);
	struct bytes link = field_text(block, f_link);
	size_t n = 0;
	if (prefix.n) {
		memcpy(h->name, prefix.p, prefix.n);
		n = prefix.n;
		h->name[n++] = '/';
	}
	memcpy(h->name + n, name.p, name.n);
	h->name_n = n + name.n;
	memcpy(h->link, link.p, link.n);
	h->link_n = link.n;
}

err_t tar_header_parse(const uint8_t *block, struct tar_header *h, struct diag *d)
{
	if (!sum_is_right(block))
		return fail(d, ERR_INTEGRITY, -EBADMSG,
			    "no tar header: the sum of the block is wrong");
	h->dialect = dialect_of(block);
	h->typeflag = block[TYPEFLAG_OFF];
	names_copy(block, h);
	err_t err = number_field(block, f_size, "size", &h->size, d);
	if (!err)
		err = number_field(block, f_mode, "mode", &h->mode, d);
	if (!err)
		err = number_field(block, f_uid, "owner", &h->uid, d);
	if (!err)
		err = number_field(block, f_gid, "group", &h->gid, d);
	if (!err)
		err = number_field(block, f_mtime, "time", &h->mtime, d);
	return err;
}

err_t tar_header_devices(const uint8_t *block, enum tar_dialect dialect, uint32_t *major,
			 uint32_t *minor, struct diag *d)
{
	int64_t a = 0, b = 0;
	if (dialect != TAR_V7) {
		err_t err = number_field(block, f_dev_major, "major device number", &a, d);
		if (!err)
			err = number_field(block, f_dev_minor, "minor device number", &b, d);
		if (err)
			return err;
	}
	if (a < 0 || a > DEV_MAJOR_MAX || b < 0 || b > DEV_MINOR_MAX)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "no device has the numbers %lld:%lld",
			    (long long)a, (long long)b);
	*major = (uint32_t)a;
	*minor = (uint32_t)b;
	return 0;
}
