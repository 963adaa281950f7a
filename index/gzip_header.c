/*
 * The header of a gzip member, walked field by field: ten fixed bytes, then the optional fields in
 * the order of their flags. A field that runs past the bytes at hand asks for more; only a header
 * that is complete has a length.
 */
#include "index/gzip_header.h"

#include <string.h>
#include <zlib.h>

/* RFC 1952 section 2.3.1 */
#define FLAG_FHCRC     0x02
#define FLAG_FEXTRA    0x04
#define FLAG_FNAME     0x08
#define FLAG_FCOMMENT  0x10
#define FLAGS_RESERVED 0xe0
#define METHOD_DEFLATE 8
#define FIXED_LEN      10

enum walk { WALK_OK, WALK_SHORT };

static enum walk walk_extra(struct bytes b, size_t *at)
{
	if (b.n - *at < 2)
		return WALK_SHORT;
	size_t len = 2 + (size_t)(b.p[*at] | b.p[*at + 1] << 8);
	if (b.n - *at < len)
		return WALK_SHORT;
	*at += len;
	return WALK_OK;
}

static enum walk walk_string(struct bytes b, size_t *at)
{
	const uint8_t *from = b.p + *at;
	const uint8_t *end = b.n > *at ? memchr(from, 0, b.n - *at) : NULL;
	if (!end)
		return WALK_SHORT;
	*at += (size_t)(end - from) + 1;
	return WALK_OK;
}

static enum walk walk_fields(struct bytes b, size_t *at)
{
	uint8_t flags = b.p[3];
	if ((flags & FLAG_FEXTRA) && walk_extra(b, at) == WALK_SHORT)
		return WALK_SHORT;
	if ((flags & FLAG_FNAME) && walk_string(b, at) == WALK_SHORT)
		return WALK_SHORT;
	if ((flags & FLAG_FCOMMENT) && walk_string(b, at) == WALK_SHORT)
		return WALK_SHORT;
	if ((flags & FLAG_FHCRC) && b.n - *at < 2)
		return WALK_SHORT;
	return WALK_OK;
}

static bool header_crc_matches(struct bytes b, size_t at)
{
	uint32_t crc = (uint32_t)crc32(0, b.p, (uInt)at);
	return (crc & 0xffff) == (uint32_t)(b.p[at] | b.p[at + 1] << 8);
}

/* Wrong bytes are refused as soon as they are seen, not only when the header is complete. */
static bool fixed_part_is_wrong(struct bytes b)
{
	return (b.n > 0 && b.p[0] != 0x1f) || (b.n > 1 && b.p[1] != 0x8b) ||
	       (b.n > 2 && b.p[2] != METHOD_DEFLATE) || (b.n > 3 && (b.p[3] & FLAGS_RESERVED));
}

int64_t gzip_header_len(struct bytes b)
{
	if (fixed_part_is_wrong(b))
		return -EBADMSG;
	if (b.n < FIXED_LEN)
		return 0;
	struct bytes head = {b.p, min_of(b.n, (size_t)GZIP_HEADER_MAX)};
	size_t at = FIXED_LEN;
	if (walk_fields(head, &at) == WALK_SHORT)
		return head.n == GZIP_HEADER_MAX ? -EBADMSG : 0;
	if (!(head.p[3] & FLAG_FHCRC))
		return (int64_t)at;
	return header_crc_matches(head, at) ? (int64_t)at + 2 : -EBADMSG;
}
