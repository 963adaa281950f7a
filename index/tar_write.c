/*
 * A member is written in three steps: collect the PAX records of what the ustar header can not
 * hold, write them as a member of type 'x' of their own, then the ustar header itself, whose fields
 * that are said better in front are cut short or 0.
 *
 * Names are bytes. In a ustar header every reader takes them as they are. A PAX record is UTF-8 by
 * POSIX, and bsdtar converts it to the user's locale: so a record with bytes outside ASCII says
 * hdrcharset=BINARY first, which bsdtar obeys and GNU tar, which never converts, passes over.
 *
 * Holes are written as PAX sparse format 1.0 (GNU tar manual, "Storing Sparse Files"): a map in
 * decimal at the start of the data, which a reader without it at least shows for what it is.
 */
#include "index/tar_write.h"

#include <stdio.h>
#include <string.h>

#define BLOCK 512

#define NAME_LEN  100
#define OCTAL7	  07777777ull	     /* 8 bytes of a field: 7 digits and a NUL */
#define OCTAL11	  077777777777ull    /* 12 bytes */
#define EXTENDED  "PaxHeaders/x"     /* what readers that know no PAX would make a file of */
#define HOLES_DIR "GNUSparseFile.0/" /* the same for the map and data of a file with holes */

/* POSIX.1-2017 pax, "ustar Interchange Format". */
struct ustar {
	char name[NAME_LEN], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8];
	char typeflag, linkname[NAME_LEN], magic[6], version[2], uname[32], gname[32];
	char major[8], minor[8], prefix[155], unused[12];
};
_Static_assert(sizeof(struct ustar) == BLOCK, "a header is one block");

size_t tar_padding(uint64_t data_len)
{
	return (size_t)(-data_len % BLOCK);
}

/* --- records --- */

static size_t digits_of(size_t n)
{
	size_t digits = 1;
	for (; n >= 10; n /= 10)
		digits++;
	return digits;
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts its own digits, too. */
static err_t record_bytes(struct buf *records, const char *key, struct bytes value)
{
	char head[320];
	size_t rest = 1 + strlen(key) + 1 + value.n + 1, len = rest + digits_of(rest);
	if (digits_of(len) > digits_of(rest))
		len = rest + digits_of(len);
	int n = snprintf(head, sizeof(head), "%zu %s=", len, key);
	BUG_ON(n < 0 || (size_t)n >= sizeof(head));
	err_t err = buf_append(records, head, (size_t)n);
	if (!err)
		err = buf_append(records, value.p, value.n);
	return err ? err : buf_append(records, "\n", 1);
}

static err_t record_number(struct buf *records, const char *key, uint64_t value)
{
	char text[32];
	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return record_bytes(records, key, BYTES_STR(text));
}

/* Nanoseconds count forward from the second: -2 and half a second is written as -1.5. */
static err_t record_time(struct buf *records, int64_t seconds, uint32_t ns)
{
	char text[48];
	bool negative = seconds < 0;
	uint64_t whole = negative ? -(uint64_t)seconds : (uint64_t)seconds;
	if (negative && ns) {
		whole--;
		ns = 1000000000u - ns;
	}
	int n = snprintf(text, sizeof(text), "%s%llu.%09u", negative ? "-" : "",
			 (unsigned long long)whole, ns);
	while (n > 0 && text[n - 1] == '0')
		text[--n] = '\0';
	if (n > 0 && text[n - 1] == '.')
		text[--n] = '\0';
	return record_bytes(records, "mtime", BYTES_STR(text));
}

/* --- xattrs --- */

/* GNU tar writes and reads '=' and '%' of a name in a way of its own, libarchive in another: such a
 * name is written as libarchive does, which can hold it. */
static bool plain_name(struct bytes name)
{
	return !memchr(name.p, '=', name.n) && !memchr(name.p, '%', name.n);
}

static err_t put_base64(struct buf *out, struct bytes value)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	err_t err = 0;
	for (size_t i = 0; i < value.n && !err; i += 3) {
		size_t n = min_of(value.n - i, (size_t)3);
		uint32_t bits = (uint32_t)value.p[i] << 16;
		if (n > 1)
			bits |= (uint32_t)value.p[i + 1] << 8;
		if (n > 2)
			bits |= value.p[i + 2];
		char text[4];
		for (unsigned k = 0; k < 4; k++)
			text[k] = digits[bits >> (18 - 6 * k) & 63];
		err = buf_append(out, text, n + 1);
	}
	return err;
}

static err_t record_xattr_encoded(struct buf *records, const struct tar_xattr *x)
{
	char key[20 + 3 * 255 + 1] = "LIBARCHIVE.xattr.";
	auto_buf struct buf value = {0};
	size_t at = strlen(key);
	for (size_t i = 0; i < x->name.n && at + 4 < sizeof(key); i++) {
		uint8_t c = x->name.p[i];
		bool escaped = c <= ' ' || c >= 0x7f || c == '=' || c == '%';
		at += (size_t)snprintf(key + at, sizeof(key) - at, escaped ? "%%%02X" : "%c", c);
	}
	err_t err = put_base64(&value, x->value);
	return err ? err : record_bytes(records, key, buf_bytes(&value));
}

static err_t record_xattr(struct buf *records, const struct tar_xattr *x)
{
	char key[16 + 256];
	BUG_ON(x->name.n == 0 || x->name.n > 255);
	if (!plain_name(x->name))
		return record_xattr_encoded(records, x);
	snprintf(key, sizeof(key), "SCHILY.xattr.%.*s", (int)x->name.n, (const char *)x->name.p);
	return record_bytes(records, key, x->value);
}

/* --- the map of a file with holes --- */

static err_t map_line(struct buf *map, uint64_t number)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)number);
	return buf_append(map, text, (size_t)n);
}

/* A hole at the end is closed by an empty extent, as GNU tar does. */
static err_t put_map(const struct tar_entry *e, struct buf *map)
{
	uint64_t end = 0;
	if (e->n_extents)
		end = e->extents[e->n_extents - 1].off + e->extents[e->n_extents - 1].len;
	bool open_end = end < e->size;
	err_t err = map_line(map, e->n_extents + open_end);
	for (size_t i = 0; i < e->n_extents && !err; i++) {
		BUG_ON(i + 1 < e->n_extents && e->extents[i].len % TAR_HOLE_UNIT);
		err = map_line(map, e->extents[i].off);
		if (!err)
			err = map_line(map, e->extents[i].len);
	}
	if (!err && open_end)
		err = map_line(map, e->size);
	if (!err && open_end)
		err = map_line(map, 0);
	return err ? err : buf_append_zeros(map, tar_padding(map->n));
}

/* --- what goes into records --- */

static bool is_ascii(struct bytes text)
{
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] >= 0x80)
			return false;
	return true;
}

/* A directory's name ends in a slash, in whichever field it stands. */
static bool lacks_slash(const struct tar_entry *e)
{
	return e->type == TAR_DIRECTORY && e->name.p[e->name.n - 1] != '/';
}

static err_t record_name(const struct tar_entry *e, struct buf *records)
{
	auto_buf struct buf name = {0};
	if (!e->sparse && e->name.n + lacks_slash(e) <= NAME_LEN)
		return 0;
	err_t err = buf_append(&name, e->name.p, e->name.n);
	if (!err && lacks_slash(e))
		err = buf_append(&name, "/", 1);
	return err ? err
		   : record_bytes(records, e->sparse ? "GNU.sparse.name" : "path",
				  buf_bytes(&name));
}

static err_t record_names(const struct tar_entry *e, struct buf *records)
{
	bool name = e->sparse || e->name.n + lacks_slash(e) > NAME_LEN, link = e->link.n > NAME_LEN;
	err_t err = 0;
	if ((name && !is_ascii(e->name)) || (link && !is_ascii(e->link)))
		err = record_bytes(records, "hdrcharset", BYTES_STR("BINARY"));
	if (!err && e->sparse)
		err = record_number(records, "GNU.sparse.major", 1);
	if (!err && e->sparse)
		err = record_number(records, "GNU.sparse.minor", 0);
	if (!err && e->sparse)
		err = record_number(records, "GNU.sparse.realsize", e->size);
	if (!err)
		err = record_name(e, records);
	return err || !link ? err : record_bytes(records, "linkpath", e->link);
}

static err_t record_numbers(const struct tar_entry *e, uint64_t stored, struct buf *records)
{
	err_t err = 0;
	if (e->uid > OCTAL7)
		err = record_number(records, "uid", e->uid);
	if (!err && e->gid > OCTAL7)
		err = record_number(records, "gid", e->gid);
	if (!err && stored > OCTAL11)
		err = record_number(records, "size", stored);
	if (!err && e->dev_major > OCTAL7)
		err = record_number(records, "SCHILY.devmajor", e->dev_major);
	if (!err && e->dev_minor > OCTAL7)
		err = record_number(records, "SCHILY.devminor", e->dev_minor);
	if (!err && (e->mtime_ns || e->mtime < 0 || (uint64_t)e->mtime > OCTAL11))
		err = record_time(records, e->mtime, e->mtime_ns);
	return err;
}

/* --- the header --- */

/* A value that does not fit is in a record. */
static void put_octal(char *field, size_t n, uint64_t value, uint64_t limit)
{
	char text[32];
	snprintf(text, sizeof(text), "%0*llo", (int)n - 1,
		 (unsigned long long)(value <= limit ? value : 0));
	memcpy(field, text, n);
}

static void put_sum(struct ustar *h)
{
	const uint8_t *p = (const uint8_t *)h;
	unsigned sum = 0;
	char text[16];
	memset(h->sum, ' ', sizeof(h->sum));
	for (size_t i = 0; i < sizeof(*h); i++)
		sum += p[i];
	snprintf(text, sizeof(text), "%06o", sum);
	memcpy(h->sum, text, 7); /* six digits, NUL, and the space that is there */
}

static void put_text(char *field, size_t n, struct bytes text)
{
	if (text.n)
		memcpy(field, text.p, min_of(text.n, n));
}

static void begin_header(struct ustar *h, char typeflag, uint64_t stored)
{
	*h = (struct ustar){.typeflag = typeflag, .magic = "ustar", .version = {'0', '0'}};
	put_octal(h->size, sizeof(h->size), stored, OCTAL11);
}

static err_t put_extended(const struct buf *records, struct buf *out)
{
	struct ustar h;
	if (!records->n)
		return 0;
	begin_header(&h, 'x', records->n);
	put_text(h.name, sizeof(h.name), BYTES_STR(EXTENDED));
	put_octal(h.mode, sizeof(h.mode), 0644, OCTAL7);
	put_octal(h.uid, sizeof(h.uid), 0, OCTAL7);
	put_octal(h.gid, sizeof(h.gid), 0, OCTAL7);
	put_octal(h.mtime, sizeof(h.mtime), 0, OCTAL11);
	put_sum(&h);
	err_t err = buf_append(out, &h, sizeof(h));
	if (!err)
		err = buf_append(out, records->p, records->n);
	return err ? err : buf_append_zeros(out, tar_padding(records->n));
}

static char typeflag_of(enum tar_type type)
{
	static const char flags[] = {
		[TAR_REGULAR] = '0', [TAR_HARDLINK] = '1',  [TAR_SYMLINK] = '2', [TAR_CHAR] = '3',
		[TAR_BLOCK] = '4',   [TAR_DIRECTORY] = '5', [TAR_FIFO] = '6'};
	return flags[type];
}

static void put_name(const struct tar_entry *e, struct ustar *h)
{
	size_t room = sizeof(h->name), dir = e->sparse ? strlen(HOLES_DIR) : 0;
	memcpy(h->name, HOLES_DIR, dir);
	put_text(h->name + dir, room - dir, e->name);
	if (lacks_slash(e) && e->name.n < room)
		h->name[e->name.n] = '/';
}

static err_t put_header(const struct tar_entry *e, uint64_t stored, struct buf *out)
{
	struct ustar h;
	bool early = e->mtime < 0;
	begin_header(&h, typeflag_of(e->type), stored);
	put_name(e, &h);
	put_text(h.linkname, sizeof(h.linkname), e->link);
	put_octal(h.mode, sizeof(h.mode), e->mode, OCTAL7);
	put_octal(h.uid, sizeof(h.uid), e->uid, OCTAL7);
	put_octal(h.gid, sizeof(h.gid), e->gid, OCTAL7);
	put_octal(h.mtime, sizeof(h.mtime), early ? 0 : (uint64_t)e->mtime, OCTAL11);
	put_octal(h.major, sizeof(h.major), e->dev_major, OCTAL7);
	put_octal(h.minor, sizeof(h.minor), e->dev_minor, OCTAL7);
	put_sum(&h);
	return buf_append(out, &h, sizeof(h));
}

err_t tar_write_header(const struct tar_entry *e, struct buf *out)
{
	auto_buf struct buf records = {0}, map = {0};
	BUG_ON(e->name.n == 0 || (e->sparse && e->type != TAR_REGULAR));
	err_t err = e->sparse ? put_map(e, &map) : 0;
	uint64_t stored = e->data_len + map.n;
	if (!err)
		err = record_names(e, &records);
	if (!err)
		err = record_numbers(e, stored, &records);
	for (size_t i = 0; i < e->n_xattrs && !err; i++)
		err = record_xattr(&records, &e->xattrs[i]);
	if (!err)
		err = put_extended(&records, out);
	if (!err)
		err = put_header(e, stored, out);
	return err ? err : buf_append(out, map.p, map.n);
}
