/*
 * The maps of sparse files: where the stored bytes of a member lie in the file it stands for.
 *
 * Four styles exist. Old GNU (typeflag 'S'): binary entries in the header and in blocks behind it.
 * PAX 0.0: pairs of records. PAX 0.1: one record with commas. PAX 1.0: text at the start of the
 * data, padded to a block. All of them end as one list, which is believed only after
 * tar_sparse_check. Source: GNU tar manual, "Storing Sparse Files".
 */
#include "index/tar_priv.h"

#include <string.h>

#define OLD_ENTRY	  24 /* offset and length, 12 bytes each */
#define OLD_HEAD_OFF	  386
#define OLD_HEAD_ENTRIES  4
#define OLD_HEAD_MORE_OFF 482
#define OLD_REAL_SIZE_OFF 483
#define OLD_NEXT_ENTRIES  21
#define OLD_NEXT_MORE_OFF 504

void tar_sparse_reset(struct tar_sparse *s)
{
	*s = (struct tar_sparse){.extents = s->extents, .cap = s->cap};
}

void tar_sparse_fini(struct tar_sparse *s)
{
	free(s->extents);
	*s = (struct tar_sparse){0};
}

err_t tar_sparse_add(struct tar_sparse *s, uint64_t off, uint64_t len, struct diag *d)
{
	if (s->n >= TAR_EXTENTS_MAX)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "a sparse file has more than %u extents",
			    TAR_EXTENTS_MAX);
	if (!try_grow(&s->extents, s->n, &s->cap, sizeof(*s->extents)))
		return fail_sys(d, ERR_OTHER, -ENOMEM, "sparse map");
	s->extents[s->n++] = (struct tar_extent){.off = off, .len = len};
	return 0;
}

static err_t map_fail(struct diag *d)
{
	return fail(d, ERR_INTEGRITY, -EBADMSG, "the map of a sparse file is malformed");
}

static err_t old_entry(struct tar_sparse *s, const uint8_t *entry, struct diag *d)
{
	int64_t off, len;
	if (tar_number_parse(entry, 12, &off) < 0 || tar_number_parse(entry + 12, 12, &len) < 0)
		return map_fail(d);
	if (off < 0 || len < 0)
		return map_fail(d);
	return tar_sparse_add(s, (uint64_t)off, (uint64_t)len, d);
}

err_t tar_sparse_old_block(struct tar_sparse *s, const uint8_t *block, bool continued, bool *more,
			   struct diag *d)
{
	const uint8_t *entry = continued ? block : block + OLD_HEAD_OFF;
	int n = continued ? OLD_NEXT_ENTRIES : OLD_HEAD_ENTRIES;
	*more = block[continued ? OLD_NEXT_MORE_OFF : OLD_HEAD_MORE_OFF] != 0;
	for (; n && entry[0]; n--, entry += OLD_ENTRY) {
		err_t err = old_entry(s, entry, d);
		if (err)
			return err;
	}
	return 0;
}

err_t tar_sparse_old_size(const uint8_t *block, uint64_t *size, struct diag *d)
{
	int64_t value;
	if (tar_number_parse(block + OLD_REAL_SIZE_OFF, 12, &value) < 0 || value < 0)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "the size of a sparse file is no size");
	*size = (uint64_t)value;
	return 0;
}

/* The number up to the next comma or the end; *text moves behind it. */
static err_t text_number(struct bytes *text, uint64_t *out)
{
	const uint8_t *comma = text->n ? memchr(text->p, ',', text->n) : NULL;
	size_t n = comma ? (size_t)(comma - text->p) : text->n;
	int64_t value;
	if (tar_decimal_parse((struct bytes){text->p, n}, &value) < 0 || value < 0)
		return -EBADMSG;
	n += comma != NULL;
	*text = (struct bytes){text->p + n, text->n - n};
	*out = (uint64_t)value;
	return 0;
}

err_t tar_sparse_text(struct tar_sparse *s, struct bytes text, struct diag *d)
{
	tar_sparse_reset(s);
	if (text.n && text.p[text.n - 1] == ',')
		return map_fail(d);
	while (text.n) {
		uint64_t off, len;
		if (text_number(&text, &off) < 0 || text_number(&text, &len) < 0)
			return map_fail(d);
		err_t err = tar_sparse_add(s, off, len, d);
		if (err)
			return err;
	}
	return 0;
}

/* One number of a 1.0 map is complete. */
static err_t map_number(struct tar_sparse *s, struct diag *d)
{
	uint64_t value = s->number;
	s->number = 0;
	s->in_number = false;
	if (!s->count_known) {
		if (value > TAR_EXTENTS_MAX)
			return fail(d, ERR_INTEGRITY, -EBADMSG,
				    "a sparse file has more than %u extents", TAR_EXTENTS_MAX);
		s->count_known = true;
		s->numbers_left = value * 2;
		return 0;
	}
	if (s->numbers_left-- % 2 == 0) {
		s->off = value;
		return 0;
	}
	return tar_sparse_add(s, s->off, value, d);
}

static err_t map_byte(struct tar_sparse *s, uint8_t c, struct diag *d)
{
	if (c == '\n')
		return s->in_number ? map_number(s, d) : map_fail(d);
	uint64_t digit = (uint64_t)c - '0';
	if (digit > 9 || s->number > ((uint64_t)INT64_MAX - digit) / 10)
		return map_fail(d);
	s->number = s->number * 10 + digit;
	s->in_number = true;
	return 0;
}

err_t tar_sparse_map_feed(struct tar_sparse *s, const uint8_t *p, size_t n, size_t *used,
			  bool *done, struct diag *d)
{
	size_t i = 0;
	*done = false;
	while (i < n && !*done) {
		err_t err = map_byte(s, p[i++], d);
		if (err)
			return err;
		*done = s->count_known && s->numbers_left == 0;
	}
	s->map_len += i;
	*used = i;
	return 0;
}

err_t tar_sparse_check(struct tar_sparse *s, uint64_t size, uint64_t stored, struct diag *d)
{
	uint64_t end = 0, sum = 0;
	size_t kept = 0;
	for (size_t i = 0; i < s->n; i++) {
		struct tar_extent e = s->extents[i];
		if (e.off < end || e.off > size || e.len > size - e.off)
			return fail(d, ERR_INTEGRITY, -EBADMSG,
				    "extent %zu of a sparse file overlaps or leaves the file", i);
		end = e.off + e.len;
		sum += e.len;
		if (e.len)
			s->extents[kept++] = e;
	}
	s->n = kept;
	if (sum != stored)
		return fail(d, ERR_INTEGRITY, -EBADMSG,
			    "a sparse file stores %llu bytes, but its map has %llu",
			    (unsigned long long)stored, (unsigned long long)sum);
	return 0;
}
