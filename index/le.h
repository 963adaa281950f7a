/*
 * le - little-endian integers as they lie in a file
 *
 * They are byte arrays in a struct, so they may stand at any offset, and arithmetic on them does
 * not compile by accident: a value is taken out with get_*, put in with put_*.
 */
#ifndef IMGFS_INDEX_LE_H
#define IMGFS_INDEX_LE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

typedef struct {
	uint8_t b[2];
} le16;
typedef struct {
	uint8_t b[4];
} le32;
typedef struct {
	uint8_t b[8];
} le64;

/* get_le16, get_le32, get_le64 - the value. */
static inline uint16_t get_le16(le16 v)
{
	uint16_t x;
	memcpy(&x, v.b, sizeof(x));
	return le16toh(x);
}
static inline uint32_t get_le32(le32 v)
{
	uint32_t x;
	memcpy(&x, v.b, sizeof(x));
	return le32toh(x);
}
static inline uint64_t get_le64(le64 v)
{
	uint64_t x;
	memcpy(&x, v.b, sizeof(x));
	return le64toh(x);
}
/* put_le16, put_le32, put_le64 - the bytes of a value. */
static inline le16 put_le16(uint16_t v)
{
	le16 x;
	v = htole16(v);
	memcpy(x.b, &v, sizeof(v));
	return x;
}
static inline le32 put_le32(uint32_t v)
{
	le32 x;
	v = htole32(v);
	memcpy(x.b, &v, sizeof(v));
	return x;
}
static inline le64 put_le64(uint64_t v)
{
	le64 x;
	v = htole64(v);
	memcpy(x.b, &v, sizeof(v));
	return x;
}

#endif
