/*
 * elf_build - for tests: heads of programs and dynamic sections in both widths and both byte orders
 *
 * The layouts are written out from the System V ABI, not taken from the system's elf.h. The bytes
 * are parsed in blocks of exactly their size, so that a read beyond them is seen by the sanitizer.
 */
#ifndef IMGFS_TESTS_ELF_BUILD_H
#define IMGFS_TESTS_ELF_BUILD_H

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "index/elf.h"

struct shape {
	bool wide, big;
};

static const struct shape shapes[] = {{false, false}, {false, true}, {true, false}, {true, true}};

struct segment {
	uint32_t type, flags;
	uint64_t off, addr, len;
};

enum {
	LOAD = 1,
	DYNAMIC = 2,
	INTERP = 3,
	STACK = 0x6474e551,
	X = 1,
	W = 2,
	R = 4,
	FILE_SIZE = 0x3000,
};

static const struct segment good[] = {
	{INTERP, R, 0x200, 0x10200, 0x1c},
	{LOAD, R | X, 0, 0x10000, 0x1000},
	{LOAD, R | W, 0x2000, 0x23000, 0x1000},
	{DYNAMIC, R | W, 0x2100, 0x23100, 0xa0},
	{STACK, R | W, 0, 0, 0},
};

static inline void put(struct buf *b, struct shape s, unsigned n, uint64_t value)
{
	for (unsigned i = 0; i < n; i++) {
		uint8_t byte = (uint8_t)(value >> 8 * (s.big ? n - 1 - i : i));
		assert_int_equal(buf_append(b, &byte, 1), 0);
	}
}

/* An address, an offset or a size. */
static inline void put_word(struct buf *b, struct shape s, uint64_t value)
{
	put(b, s, s.wide ? 8 : 4, value);
}

static inline void put_header(struct buf *b, struct shape s, unsigned type, unsigned n_segments)
{
	const uint8_t ident[16] = {0x7f, 'E', 'L', 'F', s.wide ? 2 : 1, s.big ? 2 : 1, 1};
	assert_int_equal(buf_append(b, ident, sizeof(ident)), 0);
	put(b, s, 2, type);
	put(b, s, 2, 0);		  /* machine */
	put(b, s, 4, 1);		  /* version */
	put_word(b, s, 0x10040);	  /* entry */
	put_word(b, s, s.wide ? 64 : 52); /* program headers: right behind */
	put_word(b, s, 0);		  /* section headers */
	put(b, s, 4, 0);		  /* flags */
	put(b, s, 2, s.wide ? 64 : 52);	  /* this header's size */
	put(b, s, 2, s.wide ? 56 : 32);	  /* a program header's size */
	put(b, s, 2, n_segments);
	put(b, s, 6, 0); /* sections */
	assert_int_equal(b->n, s.wide ? 64 : 52);
}

static inline void put_segment(struct buf *b, struct shape s, const struct segment *segment)
{
	size_t begin = b->n;
	put(b, s, 4, segment->type);
	if (s.wide)
		put(b, s, 4, segment->flags);
	put_word(b, s, segment->off);
	put_word(b, s, segment->addr);
	put_word(b, s, segment->addr + 1); /* physical: of no interest */
	put_word(b, s, segment->len);
	put_word(b, s, segment->len + 0x500); /* in memory */
	if (!s.wide)
		put(b, s, 4, segment->flags);
	put_word(b, s, 0x1000); /* alignment */
	assert_int_equal(b->n - begin, s.wide ? 56 : 32);
}

static inline void make(struct buf *b, struct shape s, const struct segment *segments, unsigned n)
{
	put_header(b, s, 3, n);
	for (unsigned i = 0; i < n; i++)
		put_segment(b, s, &segments[i]);
}

static inline err_t parse(const uint8_t *p, size_t n, uint64_t size, struct elf *out)
{
	uint8_t *exact = malloc(n ? n : 1);
	assert_non_null(exact);
	memcpy(exact, p, n);
	err_t err = elf_parse((struct bytes){exact, n}, size, out);
	free(exact);
	return err;
}

static inline void parse_good(struct shape s, const struct segment *segments, unsigned n,
			      struct elf *out)
{
	auto_buf struct buf b = {0};
	make(&b, s, segments, n);
	assert_int_equal(parse(b.p, b.n, FILE_SIZE, out), 0);
	assert_int_equal(out->wide, s.wide);
	assert_int_equal(out->big_endian, s.big);
}

/* --- the dynamic section --- */

enum {
	END = 0,
	NEEDED = 1,
	STRTAB = 5,
	SYMTAB = 6,
	STRSZ = 10,
	SONAME = 14,
	RPATH = 15,
	RUNPATH = 29,
	STRINGS_LEN = 100,
};

struct entry {
	uint64_t tag, value;
};

static inline void put_entries(struct buf *b, struct shape s, const struct entry *entries, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		put_word(b, s, entries[i].tag);
		put_word(b, s, entries[i].value);
	}
}

/* Two entries: strings in the first segment of `good`. */
#define AT_10300                                                                                   \
	{STRTAB, 0x10300},                                                                         \
	{                                                                                          \
		STRSZ, STRINGS_LEN                                                                 \
	}

static inline void assert_inside(struct elf_range range, uint64_t size)
{
	assert_true(range.off <= size && range.len <= size - range.off);
}

#endif
