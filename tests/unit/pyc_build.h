/*
 * pyc_build - for tests: compiled modules of CPython 3.6 to 3.14, byte by byte; and what is found
 * in a module, compiled or not, as one text
 *
 * Numbers of instructions: the `opcode` module of each interpreter, for 3.14 its documented list
 * (Include/opcode_ids.h). The head: PEP 552. What a code object holds: the attributes that
 * `inspect` documents, in marshal's order: 3.8 added the positional-only arguments, 3.11 put the
 * kinds of locals in place of two tuples and added qualified name and exception table. Entries of
 * caches and how far a jump leads: `dis`.
 *
 * The outermost code object is shared, as CPython writes it; so the first object that a test shares
 * is number 1.
 */
#ifndef IMGFS_TESTS_UNIT_PYC_BUILD_H
#define IMGFS_TESTS_UNIT_PYC_BUILD_H

#include "index/python_imports.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SHARED 0x80u

struct release {
	uint8_t minor;
	uint16_t magic; /* of the release, not of what came before it */
	uint8_t import_name, load_const, load_name, load_attr, store_name, extended, jump_false;
	uint8_t small_int, to_bool, resume, not_taken; /* 0: it has none such */
};

#define NUMBERS_TO_12                                                                              \
	.import_name = 108, .load_const = 100, .load_name = 101, .load_attr = 106,                 \
	.store_name = 90, .extended = 144, .jump_false = 114

static const struct release releases[] = {
	{6, 3379, NUMBERS_TO_12},
	{7, 3394, NUMBERS_TO_12},
	{8, 3413, NUMBERS_TO_12},
	{9, 3425, NUMBERS_TO_12},
	{10, 3439, NUMBERS_TO_12},
	{11, 3495, NUMBERS_TO_12, .resume = 151},
	{12, 3531, NUMBERS_TO_12, .resume = 151},
	{13, 3571, .import_name = 75, .load_const = 83, .load_name = 92, .load_attr = 82,
	 .store_name = 114, .extended = 71, .jump_false = 97, .to_bool = 40, .resume = 149},
	{14, 3627, .import_name = 73, .load_const = 82, .load_name = 93, .load_attr = 80,
	 .store_name = 116, .extended = 69, .jump_false = 100, .small_int = 94, .to_bool = 39,
	 .resume = 128, .not_taken = 28},
};
static const struct release *const releases_end = releases + ARRAY_LEN(releases);

static inline void put(struct buf *b, const void *p, size_t n)
{
	assert_int_equal(buf_append(b, p, n), 0);
}

static inline void put_u8(struct buf *b, unsigned value)
{
	uint8_t byte = (uint8_t)value;
	put(b, &byte, 1);
}

static inline void put_u32(struct buf *b, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		put_u8(b, value >> 8 * i);
}

/* --- objects: the letter (with SHARED or without) and what comes behind --- */

static inline void put_int(struct buf *b, unsigned type, uint32_t value)
{
	put_u8(b, type);
	put_u32(b, value);
}

/* 'r': another time what was shared. */
static inline void put_ref(struct buf *b, uint32_t number)
{
	put_int(b, 'r', number);
}

static inline void put_short(struct buf *b, unsigned type, const char *text)
{
	put_u8(b, type);
	put_u8(b, (unsigned)strlen(text));
	put(b, text, strlen(text));
}

static inline void put_long(struct buf *b, unsigned type, struct bytes content)
{
	put_int(b, type, (uint32_t)content.n);
	put(b, content.p, content.n);
}

/* The head only; n objects have to follow. */
static inline void put_tuple(struct buf *b, unsigned type, unsigned n)
{
	put_u8(b, type);
	put_u8(b, n);
}

/* --- a module --- */

struct part {
	struct buf b;
	unsigned n;
};

struct pyc {
	const struct release *of;
	struct buf code;
	struct part consts, names;
	uint32_t
		names_are; /* the number of a shared tuple that they are; 0: a tuple of their own */
};

static inline void put_part(struct buf *b, const struct part *part)
{
	put_int(b, '(', part->n);
	put(b, part->b.p, part->b.n);
}

static inline void put_code(struct buf *b, const struct pyc *p, unsigned type)
{
	unsigned minor = p->of->minor;
	put_u8(b, type);
	for (unsigned i = minor >= 8 ? 0 : 1; i < 3; i++)
		put_u32(b, 0); /* arguments of two or three kinds */
	if (minor <= 10)
		put_u32(b, 0); /* locals */
	put_u32(b, 16);	       /* the stack */
	put_u32(b, 0x40);      /* flags: no cells */
	put_long(b, 's', buf_bytes(&p->code));
	put_part(b, &p->consts);
	if (p->names_are)
		put_ref(b, p->names_are);
	else
		put_part(b, &p->names);
	put_tuple(b, ')', 0); /* locals */
	if (minor <= 10) {
		put_tuple(b, ')', 0); /* free variables */
		put_tuple(b, ')', 0); /* cells */
	} else {
		put_long(b, 's', BYTES_STR("")); /* kinds of locals */
	}
	put_short(b, 'z', "file.py");
	put_short(b, 'Z', "<module>");
	if (minor >= 11)
		put_short(b, 'Z', "<module>"); /* qualified */
	put_u32(b, 1);			       /* the first line */
	put_long(b, 's', BYTES_STR(""));       /* where lines begin */
	if (minor >= 11)
		put_long(b, 's', BYTES_STR("")); /* exceptions */
}

static inline void put_magic(struct buf *b, unsigned magic)
{
	put_u8(b, magic);
	put_u8(b, magic >> 8);
	put(b, "\r\n", 2);
}

/* The file; the module is gone. */
static inline void pyc_end(struct pyc *p, struct buf *file)
{
	put_magic(file, p->of->magic);
	if (p->of->minor >= 7)
		put_u32(file, 0); /* time and size follow */
	put_u32(file, 0x5e0be100);
	put_u32(file, 1234);
	put_code(file, p, 'c' | SHARED);
	buf_fini(&p->code);
	buf_fini(&p->consts.b);
	buf_fini(&p->names.b);
}

/* The place for one more constant or name, which the caller puts there. */
static inline struct buf *part_more(struct part *part)
{
	part->n++;
	return &part->b;
}

static inline uint32_t pyc_name(struct pyc *p, const char *text)
{
	put_short(part_more(&p->names), 'Z', text);
	return p->names.n - 1;
}

/* --- instructions --- */

static inline void pyc_op(struct pyc *p, unsigned op, uint32_t arg)
{
	for (unsigned i = 3; i > 0; i--)
		if (arg >> 8 * i) {
			put_u8(&p->code, p->of->extended);
			put_u8(&p->code, arg >> 8 * i);
		}
	put_u8(&p->code, op);
	put_u8(&p->code, arg);
}

static inline void pyc_cache(struct pyc *p, unsigned entries)
{
	assert_int_equal(buf_append_zeros(&p->code, 2 * entries), 0);
}

static inline struct pyc pyc_begin(const struct release *of)
{
	struct pyc p = {.of = of};
	if (of->resume)
		pyc_op(&p, of->resume, 0);
	return p;
}

static inline void pyc_load_level(struct pyc *p, unsigned level)
{
	if (p->of->small_int) {
		pyc_op(p, p->of->small_int, level);
		return;
	}
	put_int(part_more(&p->consts), 'i', level);
	pyc_op(p, p->of->load_const, p->consts.n - 1);
}

/* @name, @taken  numbers of a name and of a constant that are there */
static inline void pyc_import_of(struct pyc *p, unsigned level, uint32_t name, uint32_t taken)
{
	pyc_load_level(p, level);
	pyc_op(p, p->of->load_const, taken);
	pyc_op(p, p->of->import_name, name);
	pyc_op(p, p->of->store_name, name);
}

/* @taken  one name; NULL: none */
static inline void pyc_import(struct pyc *p, unsigned level, const char *of, const char *taken)
{
	struct buf *b = part_more(&p->consts);
	uint32_t at = p->consts.n - 1;
	if (taken) {
		put_tuple(b, ')', 1);
		put_short(b, 'z', taken);
	} else {
		put_u8(b, 'N');
	}
	pyc_import_of(p, level, pyc_name(p, of), at);
}

static inline void pyc_load_attr(struct pyc *p, const char *name)
{
	unsigned minor = p->of->minor;
	uint32_t at = pyc_name(p, name);
	pyc_op(p, p->of->load_attr, minor >= 12 ? at << 1 : at); /* the low bit: of a method */
	pyc_cache(p, minor >= 12 ? 9 : minor == 11 ? 4 : 0);
}

/* A jump that is taken if what was loaded is false; where its last byte stands. */
static inline size_t pyc_jump(struct pyc *p, bool wide)
{
	if (p->of->to_bool) {
		pyc_op(p, p->of->to_bool, 0);
		pyc_cache(p, 3);
	}
	if (wide) {
		put_u8(&p->code, p->of->extended);
		put_u8(&p->code, 0);
	}
	pyc_op(p, p->of->jump_false, 0);
	size_t at = p->code.n - 1;
	pyc_cache(p, p->of->minor >= 13 ? 1 : 0);
	if (p->of->not_taken)
		pyc_op(p, p->of->not_taken, 0);
	return at;
}

/* Here is where the jump leads. */
static inline void pyc_land(struct pyc *p, size_t at, bool wide)
{
	unsigned minor = p->of->minor;
	size_t from = minor < 11 ? 0 : at + 1 + (minor >= 13 ? 2 : 0);
	size_t arg = (p->code.n - from) / (minor < 10 ? 1 : 2);
	assert_true(arg < (wide ? 0x10000 : 0x100));
	p->code.p[at] = (uint8_t)arg;
	if (wide)
		p->code.p[at - 2] = (uint8_t)(arg >> 8);
}

/* --- what is found --- */

/* The names, with as many dots before each as its level, and a space behind. Checks what is true of
 * every list. */
static inline void put_found(const struct python_imports *list, struct buf *out)
{
	size_t at = 0, n = 0;
	assert_true(list->records.n <= PYTHON_NAMES_SIZE);
	for (struct python_import import; python_imports_next(list, &at, &import); n++) {
		assert_true(import.level <= 255 && import.name.n <= PYTHON_NAME_MAX);
		for (unsigned i = 0; i < import.level; i++)
			put_u8(out, '.');
		put(out, import.name.p, import.name.n);
		put_u8(out, ' ');
	}
	assert_true(n <= PYTHON_NAMES_SIZE);
	put_u8(out, 0);
}

/* From a block of exactly its size, so that a read beyond it is seen by the sanitizer. */
static inline void find(struct bytes file, bool is_code, struct buf *found)
{
	struct python_imports list = {0};
	uint8_t *exact = malloc(file.n ? file.n : 1);
	assert_non_null(exact);
	if (file.n)
		memcpy(exact, file.p, file.n);
	if (is_code)
		python_imports_of_code((struct bytes){exact, file.n}, &list);
	else
		python_imports_of_source((struct bytes){exact, file.n}, &list);
	free(exact);
	put_found(&list, found);
	python_imports_fini(&list);
}

static inline void check_found(struct bytes file, bool is_code, const char *want)
{
	auto_buf struct buf found = {0};
	find(file, is_code, &found);
	if (strcmp((char *)found.p, want) != 0 && !is_code)
		print_error("---\n%.*s\n---\n", (int)file.n, (const char *)file.p);
	assert_string_equal((char *)found.p, want);
}

/* pyc_end, and what is found in the file. */
static inline void check_pyc(struct pyc *p, const char *want)
{
	auto_buf struct buf file = {0};
	unsigned minor;
	pyc_end(p, &file);
	assert_true(python_is_code(buf_bytes(&file), &minor));
	assert_int_equal(minor, p->of->minor);
	check_found(buf_bytes(&file), true, want);
}

#endif
