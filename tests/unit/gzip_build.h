/*
 * gzip_build - for tests: contents of known compressibility, and gzip members of every kind made of
 * them with zlib or bit by bit
 */
#ifndef IMGFS_TESTS_GZIP_BUILD_H
#define IMGFS_TESTS_GZIP_BUILD_H

#include <string.h>
#include <zlib.h>

#include "index/base.h"

static inline uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

static inline void put(struct buf *b, const void *p, size_t n)
{
	BUG_ON(buf_append(b, p, n) != 0);
}

static inline void put_byte(struct buf *b, unsigned v)
{
	uint8_t byte = (uint8_t)v;
	put(b, &byte, 1);
}

/* fill_text - lines of repeated words with a number in between: many matches at all distances. */
static inline void fill_text(struct buf *b, size_t n, uint32_t seed)
{
	static const char *const words[] = {"window ", "chunk ", "stream of bytes ",
					    "\n\t",    "layer",	 "checkpoint before ",
					    "the ",    ";\n"};
	while (b->n < n) {
		uint32_t r = next_random(&seed);
		const char *w = words[r % ARRAY_LEN(words)];
		put(b, w, strlen(w));
		if (r % 5 == 0)
			put_byte(b, r >> 8);
	}
	b->n = n;
}

static inline void fill_random(struct buf *b, size_t n, uint32_t seed)
{
	BUG_ON(buf_reserve(b, n > b->n ? n - b->n : 0) != 0);
	for (uint8_t *at = b->p + b->n, *end = b->p + n; at < end; at++)
		*at = (uint8_t)next_random(&seed);
	b->n = max_of(b->n, n);
}

/* fill_far - blocks of 512 random bytes, each of which comes back some 20 KiB later: long matches,
 * so that one deflate block covers more than a chunk. */
static inline void fill_far(struct buf *b, size_t n, uint32_t seed)
{
	fill_random(b, min_of(n, (size_t)20000), seed);
	while (b->n < n) {
		uint8_t copy[512];
		memcpy(copy, b->p + b->n - 20000 + next_random(&seed) % 64, sizeof(copy));
		put(b, copy, sizeof(copy));
	}
	b->n = n;
}

static inline void fill_mixed(struct buf *b, size_t n, uint32_t seed)
{
	size_t part = n / 6;
	fill_text(b, part, seed);
	fill_random(b, 2 * part, seed + 1);
	fill_text(b, 3 * part, seed + 2);
	BUG_ON(buf_append_zeros(b, part) != 0);
	fill_text(b, 5 * part, seed + 3);
	fill_far(b, n, seed + 4);
}

struct member {
	int level;
	int strategy;
	int mem_level;
	size_t flush_every; /* 0: never */
	int flush;
	unsigned flags; /* of the header, RFC 1952 */
};

static inline void put_le(struct buf *b, uint32_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		put_byte(b, v >> 8 * i);
}

static inline void put_header(struct buf *b, unsigned flags)
{
	size_t from = b->n;
	put(b, "\x1f\x8b\x08", 3);
	put_byte(b, flags);
	put(b, "\x11\x22\x33\x44\0\x03", 6);
	if (flags & 4)
		put(b, "\x05\0SG\x01\0x", 7);
	if (flags & 8)
		put(b, "a name", 7);
	if (flags & 16)
		put(b, "a comment", 10);
	if (flags & 2)
		put_le(b, (uint32_t)crc32(0, b->p + from, (uInt)(b->n - from)), 2);
}

static inline void put_trailer(struct buf *b, struct bytes data)
{
	put_le(b, (uint32_t)crc32(0, data.p, (uInt)data.n), 4);
	put_le(b, (uint32_t)data.n, 4);
}

static inline void deflate_some(z_stream *z, struct bytes from, int flush, struct buf *b)
{
	static const uint8_t none;
	z->next_in = (Bytef *)(uintptr_t)(from.n ? from.p : &none);
	z->avail_in = (uInt)from.n;
	do {
		BUG_ON(buf_reserve(b, 65536) != 0);
		z->next_out = b->p + b->n;
		z->avail_out = 65536;
		BUG_ON(deflate(z, flush) == Z_STREAM_ERROR);
		b->n += 65536 - z->avail_out;
	} while (!z->avail_out);
}

static inline void put_member(struct buf *b, const struct member *m, struct bytes data)
{
	z_stream z = {0};
	if (!data.p)
		data.p = (const uint8_t *)"";
	put_header(b, m->flags);
	BUG_ON(deflateInit2(&z, m->level, Z_DEFLATED, -15, m->mem_level ? m->mem_level : 8,
			    m->strategy) != Z_OK);
	size_t step = m->flush_every ? m->flush_every : data.n;
	size_t at = 0;
	for (; at + step < data.n; at += step)
		deflate_some(&z, (struct bytes){data.p + at, step}, m->flush, b);
	deflate_some(&z, (struct bytes){data.p + at, data.n - at}, Z_FINISH, b);
	deflateEnd(&z);
	put_trailer(b, data);
}

/* One block with the fixed code, however long; zlib would split it. */
struct bits {
	struct buf *out;
	uint32_t held;
	unsigned n;
};

static inline void put_bits(struct bits *b, uint32_t v, unsigned n)
{
	b->held |= v << b->n;
	for (b->n += n; b->n >= 8; b->n -= 8, b->held >>= 8)
		put_byte(b->out, b->held & 0xff);
}

static inline void put_code(struct bits *b, uint32_t code, unsigned n)
{
	while (n--)
		put_bits(b, code >> n & 1, 1);
}

static inline void put_symbol(struct bits *b, unsigned s)
{
	if (s < 144)
		put_code(b, 0x30 + s, 8);
	else if (s < 256)
		put_code(b, 0x190 + s - 144, 9);
	else if (s < 280)
		put_code(b, s - 256, 7);
	else
		put_code(b, 0xc0 + s - 280, 8);
}

/* put_giant_block - a member of one block: literals, with matches of 258 bytes at distance 24577
 * (code 29, no offset) and of 3 bytes at distance 1. `data` gets what it decodes to. */
static inline void put_giant_block(struct buf *b, size_t n, uint32_t seed, struct buf *data)
{
	struct bits bits = {.out = b};
	put_header(b, 0);
	put_bits(&bits, 1, 1);
	put_bits(&bits, 1, 2);
	BUG_ON(buf_reserve(data, n + 512) != 0);
	while (data->n < n) {
		uint32_t r = next_random(&seed);
		if (r % 16 == 0 && data->n > 24577) {
			put_symbol(&bits, 285);
			put_code(&bits, 29, 5);
			put_bits(&bits, 0, 13);
			for (unsigned i = 0; i < 258; i++)
				put_byte(data, data->p[data->n - 24577]);
		} else if (r % 16 == 1 && data->n) {
			put_symbol(&bits, 257);
			put_code(&bits, 0, 5);
			for (unsigned i = 0; i < 3; i++)
				put_byte(data, data->p[data->n - 1]);
		} else {
			put_symbol(&bits, r >> 8 & 0xff);
			put_byte(data, r >> 8 & 0xff);
		}
	}
	put_symbol(&bits, 256);
	put_bits(&bits, 0, 7);
	put_trailer(b, buf_bytes(data));
}

#endif
