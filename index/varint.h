/*
 * varint - numbers of an encoded form: groups of seven bits, low group first, the high bit set on
 * all but the last (FORMAT.md, WINDOWS; WIRE.md)
 */
#ifndef IMGFS_INDEX_VARINT_H
#define IMGFS_INDEX_VARINT_H

#include "index/base.h"

#define VARINT_MAX 10 /* bytes of the longest: 64 bits */

/* varint_put - append a number. -ENOMEM. */
static inline err_t varint_put(struct buf *out, uint64_t v)
{
	uint8_t bytes[VARINT_MAX];
	size_t n = 0;
	for (; v >= 0x80; v >>= 7)
		bytes[n++] = (uint8_t)(v | 0x80);
	bytes[n++] = (uint8_t)v;
	return buf_append(out, bytes, n);
}

/* varint_take - the number in front of *b, which moves behind it. -EBADMSG when it is cut, or is
 * longer than 64 bits need. */
static inline err_t varint_take(struct bytes *b, uint64_t *v)
{
	*v = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		if (!b->n)
			return -EBADMSG;
		uint8_t byte = *b->p;
		b->p++;
		b->n--;
		if (shift == 63 && byte > 1)
			return -EBADMSG;
		*v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return 0;
	}
	return -EBADMSG;
}

/* zigzag_of, zigzag_to - small differences of either sign as small numbers. */
static inline uint64_t zigzag_of(uint64_t difference)
{
	return difference << 1 ^ (0 - (difference >> 63));
}
static inline uint64_t zigzag_to(uint64_t v)
{
	return v >> 1 ^ (0 - (v & 1));
}

#endif
