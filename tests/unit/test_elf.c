/*
 * elf: heads say the same in both widths and both byte orders; each lie is refused; and no change
 * of a byte yields a range outside of the file.
 */
#include "index/elf.h"

#include "tests/unit/elf_build.h"

static void assert_load(const struct elf_load *got, const struct segment *want)
{
	assert_int_equal(got->file.off, want->off);
	assert_int_equal(got->file.len, want->len);
	assert_int_equal(got->addr, want->addr);
	assert_int_equal(got->writable, (want->flags & W) != 0);
}

static void all_shapes_say_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		struct elf elf;
		parse_good(shapes[i], good, ARRAY_LEN(good), &elf);
		assert_int_equal(elf.n_loads, 2);
		assert_load(&elf.loads[0], &good[1]);
		assert_load(&elf.loads[1], &good[2]);
		assert_int_equal(elf.loader.off, good[0].off);
		assert_int_equal(elf.loader.len, good[0].len);
		assert_int_equal(elf.dynamic.off, good[3].off);
		assert_int_equal(elf.dynamic.len, good[3].len);
		parse_good(shapes[i], &good[1], 1, &elf); /* neither loader nor dynamic section */
		assert_int_equal(elf.n_loads, 1);
		assert_int_equal(elf.loader.len, 0);
		assert_int_equal(elf.dynamic.len, 0);
	}
}

/* Both kinds of file, and more bytes than the headers. */
static void programs_and_libraries_are_known(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
		for (unsigned type = 0; type < 0x10000; type++) {
			auto_buf struct buf b = {0};
			struct elf elf;
			put_header(&b, shapes[i], type, 1);
			put_segment(&b, shapes[i], &good[1]);
			put(&b, shapes[i], 8, UINT64_MAX);
			assert_int_equal(parse(b.p, b.n, FILE_SIZE, &elf),
					 type == 2 || type == 3 ? 0 : -ENOEXEC);
			if (type == 8) /* the rest are of one system or another */
				type = 0xfdff;
			if (type == 0xfe10)
				type = 0xfff0;
		}
}

static void loads_beyond_the_most_are_left_out(void **state)
{
	(void)state;
	struct segment many[ELF_LOADS_MAX + 3];
	for (unsigned i = 0; i < ARRAY_LEN(many); i++)
		many[i] = (struct segment){LOAD, i % 2 ? R | W : R, i * 0x10, 0x1000 * i, 0x10 + i};
	many[ARRAY_LEN(many) - 1] = good[3];
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		struct elf elf;
		parse_good(shapes[i], many, ARRAY_LEN(many), &elf);
		assert_int_equal(elf.n_loads, ELF_LOADS_MAX);
		for (unsigned k = 0; k < ELF_LOADS_MAX; k++)
			assert_load(&elf.loads[k], &many[k]);
		assert_int_equal(elf.dynamic.off, good[3].off);
	}
}

/* --- lies --- */

/* The good head with n bytes of it replaced. */
static err_t parse_with(struct shape s, size_t off, unsigned n, uint64_t value)
{
	auto_buf struct buf b = {0}, field = {0};
	struct elf elf;
	make(&b, s, good, ARRAY_LEN(good));
	put(&field, s, n, value);
	memcpy(b.p + off, field.p, n);
	return parse(b.p, b.n, FILE_SIZE, &elf);
}

static void lies_in_the_header_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		struct shape s = shapes[i];
		unsigned phoff = s.wide ? 32 : 28, word = s.wide ? 8 : 4;
		unsigned each = s.wide ? 54 : 42, count = s.wide ? 56 : 44;
		uint64_t most = s.wide ? UINT64_MAX : UINT32_MAX, behind = s.wide ? 64 : 52;
		assert_int_equal(parse_with(s, phoff, word, behind), 0);
		for (unsigned at = 0; at < 4; at++)
			assert_int_equal(parse_with(s, at, 1, 'e'), -ENOEXEC);
		for (unsigned at = 4; at < 7; at++)
			for (unsigned value = 3; value < 256; value++)
				assert_int_equal(parse_with(s, at, 1, value), -ENOEXEC);
		assert_int_equal(parse_with(s, 4, 1, 0), -ENOEXEC);
		assert_int_equal(parse_with(s, 5, 1, 0), -ENOEXEC);
		assert_int_equal(parse_with(s, 6, 1, 0), -ENOEXEC);
		assert_int_equal(parse_with(s, 6, 1, 2), -ENOEXEC);
		for (unsigned value = 0; value < 0x10000; value += value < 300 ? 1 : 251)
			assert_int_equal(parse_with(s, each, 2, value),
					 value == (s.wide ? 56 : 32) ? 0 : -ENOEXEC);
		assert_int_equal(parse_with(s, count, 2, ARRAY_LEN(good) + 1), -ENOEXEC);
		assert_int_equal(parse_with(s, count, 2, 0xffff), -ENOEXEC);
		assert_int_equal(parse_with(s, phoff, word, behind + 1), -ENOEXEC);
		assert_int_equal(parse_with(s, phoff, word, FILE_SIZE), -ENOEXEC);
		for (uint64_t below = 0; below < 400; below++)
			assert_int_equal(parse_with(s, phoff, word, most - below), -ENOEXEC);
	}
}

/* The widest files have room for the largest numbers; in narrow ones they are cut to 32 bits. */
static void segments_beyond_the_file_are_refused(void **state)
{
	(void)state;
	static const uint32_t types[] = {LOAD, DYNAMIC, INTERP};
	static const struct {
		uint64_t off, len;
		err_t err;
	} cases[] = {
		{0, FILE_SIZE, 0},
		{FILE_SIZE - 1, 1, 0},
		{FILE_SIZE, 0, 0},
		{0, FILE_SIZE + 1, -ENOEXEC},
		{FILE_SIZE - 1, 2, -ENOEXEC},
		{FILE_SIZE, 1, -ENOEXEC},
		{FILE_SIZE + 1, 1, -ENOEXEC},
		{UINT64_MAX, 1, -ENOEXEC},
		{UINT64_MAX, 2, -ENOEXEC},
		{UINT64_MAX, UINT64_MAX, -ENOEXEC},
		{UINT64_MAX - 0xf, 0x10, -ENOEXEC},
		{UINT64_MAX - 0xf, 0x20, -ENOEXEC},
		{1, UINT64_MAX, -ENOEXEC},
		{0x10, UINT64_MAX - 0xf, -ENOEXEC},
	};
	for (size_t i = 0; i < ARRAY_LEN(shapes) * ARRAY_LEN(types); i++)
		for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
			auto_buf struct buf b = {0};
			struct elf elf;
			struct segment segments[] = {good[1], good[2], good[4]};
			segments[1] = (struct segment){types[i % ARRAY_LEN(types)], R, cases[k].off,
						       0x10000, cases[k].len};
			make(&b, shapes[i / ARRAY_LEN(types)], segments, ARRAY_LEN(segments));
			assert_int_equal(parse(b.p, b.n, FILE_SIZE, &elf), cases[k].err);
		}
}

/* --- no change of a byte leads outside --- */

/* What elf_parse made of a head, and what an honest section says with it. */
static void assert_harmless(const struct elf *elf, uint64_t size)
{
	static const struct entry entries[] = {AT_10300, {NEEDED, 4}, {RUNPATH, 6}};
	struct shape s = {elf->wide, elf->big_endian};
	auto_buf struct buf b = {0};
	struct elf_dynamic got;
	assert_true(elf->n_loads <= ELF_LOADS_MAX);
	for (unsigned i = 0; i < elf->n_loads; i++)
		assert_inside(elf->loads[i].file, size);
	assert_inside(elf->dynamic, size);
	assert_inside(elf->loader, size);
	put_entries(&b, s, entries, ARRAY_LEN(entries));
	if (elf_dynamic_parse(elf, buf_bytes(&b), &got) == 0)
		assert_inside(got.strings, size);
}

static void short_heads_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		auto_buf struct buf b = {0};
		struct elf elf;
		make(&b, shapes[i], good, ARRAY_LEN(good));
		for (size_t n = 0; n < b.n; n++) {
			assert_int_equal(parse(b.p, n, n, &elf), -ENOEXEC);
			assert_int_equal(parse(b.p, n, FILE_SIZE, &elf), -ENOEXEC);
		}
		for (uint64_t size = b.n; size <= FILE_SIZE; size++) {
			err_t err = parse(b.p, b.n, size, &elf);
			assert_int_equal(err, size < FILE_SIZE ? -ENOEXEC : 0);
		}
	}
}

static void no_byte_of_a_head_leads_outside(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		auto_buf struct buf b = {0};
		make(&b, shapes[i], good, ARRAY_LEN(good));
		for (size_t at = 0; at < b.n; at++)
			for (unsigned x = 1; x < 256; x++) {
				struct elf elf;
				b.p[at] ^= (uint8_t)x;
				err_t err = parse(b.p, b.n, FILE_SIZE, &elf);
				b.p[at] ^= (uint8_t)x;
				assert_true(err == 0 || err == -ENOEXEC);
				if (!err)
					assert_harmless(&elf, FILE_SIZE);
			}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_shapes_say_the_same),
		cmocka_unit_test(programs_and_libraries_are_known),
		cmocka_unit_test(loads_beyond_the_most_are_left_out),
		cmocka_unit_test(lies_in_the_header_are_refused),
		cmocka_unit_test(segments_beyond_the_file_are_refused),
		cmocka_unit_test(short_heads_are_refused),
		cmocka_unit_test(no_byte_of_a_head_leads_outside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
