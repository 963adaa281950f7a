/*
 * The dynamic section: which names count, where they are looked for, where it ends, which strings
 * are none; the same in both widths and both byte orders, and no change of a byte leads outside of
 * them.
 */
#include "index/elf.h"

#include "tests/unit/elf_build.h"

static err_t parse_of(const struct elf *elf, const uint8_t *p, size_t n, struct elf_dynamic *out)
{
	uint8_t *exact = malloc(n ? n : 1);
	assert_non_null(exact);
	memcpy(exact, p, n);
	memset(out, 0xee, sizeof(*out));
	err_t err = elf_dynamic_parse(elf, (struct bytes){exact, n}, out);
	free(exact);
	return err;
}

static err_t parse_dynamic(struct shape s, const uint8_t *p, size_t n, struct elf_dynamic *out)
{
	struct elf elf;
	parse_good(s, good, ARRAY_LEN(good), &elf);
	return parse_of(&elf, p, n, out);
}

struct section {
	struct entry entries[10];
	err_t err;
	struct elf_range strings;
	unsigned n_needed;
	uint64_t needed[4], search;
};

#define STRINGS_AT_300 .strings = {0x300, STRINGS_LEN}
#define NO_SEARCH      .search = STRINGS_LEN

static const struct section sections[] = {
	{{{NEEDED, 1}, {NEEDED, 99}, AT_10300, {SONAME, 3}, {SYMTAB, 0x10200}, {NEEDED, 7}},
	 STRINGS_AT_300,
	 .n_needed = 3,
	 .needed = {1, 99, 7},
	 NO_SEARCH},
	/* where to look */
	{{{RPATH, 20}, AT_10300, {RUNPATH, 40}}, STRINGS_AT_300, .search = 40},
	{{{RUNPATH, 40}, {RPATH, 20}, AT_10300}, STRINGS_AT_300, .search = 40},
	{{{RPATH, 20}, AT_10300}, STRINGS_AT_300, .search = 20},
	{{{RPATH, 0}, AT_10300}, STRINGS_AT_300, .search = 0},
	{{AT_10300}, STRINGS_AT_300, NO_SEARCH},
	/* names outside of the strings */
	{{{NEEDED, STRINGS_LEN}, {NEEDED, 5}, {NEEDED, UINT64_MAX}, {NEEDED, 6}, AT_10300},
	 STRINGS_AT_300,
	 .n_needed = 2,
	 .needed = {5, 6},
	 NO_SEARCH},
	{{{RUNPATH, STRINGS_LEN}, AT_10300}, STRINGS_AT_300, NO_SEARCH},
	{{{RPATH, UINT64_MAX}, AT_10300}, STRINGS_AT_300, NO_SEARCH},
	/* strings in the other segment, up to its end, of no length */
	{{{STRTAB, 0x23f80}, {STRSZ, 0x80}}, .strings = {0x2f80, 0x80}, .search = 0x80},
	{{{STRTAB, 0x23f80}, {STRSZ, 0x81}}, .strings = {0x2f80, 0x80}, .search = 0x80},
	{{{STRTAB, 0x23fff}, {STRSZ, UINT64_MAX}, {NEEDED, 0}, {NEEDED, 1}},
	 .strings = {0x2fff, 1},
	 .n_needed = 1,
	 .search = 1},
	{{{STRTAB, 0x10000}, {NEEDED, 0}}, .strings = {0, 0}},
	/* and in none: before, between, in what is only memory, behind, not said */
	{{{STRTAB, 0xffff}, {STRSZ, 1}}, .err = -ENOEXEC},
	{{{STRTAB, 0x11000}, {STRSZ, 1}}, .err = -ENOEXEC},
	{{{STRTAB, 0x24000}, {STRSZ, 1}}, .err = -ENOEXEC},
	{{{STRTAB, UINT64_MAX}, {STRSZ, 1}}, .err = -ENOEXEC},
	{{{NEEDED, 1}, {STRSZ, 9}}, .err = -ENOEXEC},
	{{{END, 0}}, .err = -ENOEXEC},
	/* nothing counts behind the end */
	{{AT_10300, {NEEDED, 4}, {END, 0}, {NEEDED, 5}, {RUNPATH, 6}, {STRSZ, 1}},
	 STRINGS_AT_300,
	 .n_needed = 1,
	 .needed = {4},
	 NO_SEARCH},
	{{{END, 0}, AT_10300}, .err = -ENOEXEC},
};

static void assert_section(const struct elf_dynamic *got, const struct section *want)
{
	assert_int_equal(got->strings.off, want->strings.off);
	assert_int_equal(got->strings.len, want->strings.len);
	assert_int_equal(got->n_needed, want->n_needed);
	for (unsigned i = 0; i < want->n_needed; i++)
		assert_int_equal(got->needed[i], want->needed[i]);
	assert_int_equal(got->search, want->search);
}

static void sections_say_what_stands_in_them(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sections); i++)
		for (size_t k = 0; k < ARRAY_LEN(shapes); k++) {
			auto_buf struct buf b = {0};
			struct elf_dynamic got;
			put_entries(&b, shapes[k], sections[i].entries,
				    ARRAY_LEN(sections[i].entries));
			err_t err = parse_dynamic(shapes[k], b.p, b.n, &got);
			if (err != sections[i].err)
				print_error("section %zu, shape %zu\n", i, k);
			assert_int_equal(err, sections[i].err);
			if (!err)
				assert_section(&got, &sections[i]);
		}
}

/* A library begins at address 0: strings of which nothing is said are not its first bytes. */
static void strings_at_no_address_are_none(void **state)
{
	(void)state;
	static const struct segment library = {LOAD, R, 0, 0, 0x1000};
	static const struct entry entries[] = {{STRTAB, 0}, {STRSZ, 9}, {NEEDED, 1}};
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		auto_buf struct buf b = {0};
		struct elf elf;
		struct elf_dynamic got;
		size_t each = shapes[i].wide ? 16 : 8;
		parse_good(shapes[i], &library, 1, &elf);
		put_entries(&b, shapes[i], entries, ARRAY_LEN(entries));
		assert_int_equal(parse_of(&elf, b.p, b.n, &got), 0);
		assert_int_equal(got.n_needed, 1);
		assert_int_equal(parse_of(&elf, b.p + each, b.n - each, &got), -ENOEXEC);
		assert_int_equal(parse_of(&elf, b.p, 0, &got), -ENOEXEC);
	}
}

/* Wherever it is cut: the entries that are whole count, also without an end. */
static void cut_sections_end_before_the_cut(void **state)
{
	(void)state;
	static const struct entry entries[] = {AT_10300, {NEEDED, 4}, {NEEDED, 5}, {RUNPATH, 6}};
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		auto_buf struct buf b = {0};
		put_entries(&b, shapes[i], entries, ARRAY_LEN(entries));
		for (size_t n = 0; n <= b.n; n++) {
			struct elf_dynamic got;
			size_t whole = n / (shapes[i].wide ? 16 : 8);
			err_t err = parse_dynamic(shapes[i], b.p, n, &got);
			assert_int_equal(err, whole ? 0 : -ENOEXEC);
			if (err)
				continue;
			uint64_t len = whole > 1 ? STRINGS_LEN : 0;
			assert_int_equal(got.strings.len, len);
			assert_int_equal(got.n_needed, whole > 3 ? 2 : whole > 2 ? 1 : 0);
			assert_int_equal(got.search, whole > 4 ? 6 : len);
		}
	}
}

static void names_beyond_the_most_are_left_out(void **state)
{
	(void)state;
	struct entry entries[ELF_NEEDED_MAX + 6] = {AT_10300, {END, 0}};
	for (unsigned i = 0; i < ELF_NEEDED_MAX + 3; i++)
		entries[2 + i] = (struct entry){NEEDED, i % STRINGS_LEN};
	entries[ELF_NEEDED_MAX + 5] = (struct entry){RPATH, 9};
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		auto_buf struct buf b = {0};
		struct elf_dynamic got;
		put_entries(&b, shapes[i], entries, ARRAY_LEN(entries));
		assert_int_equal(parse_dynamic(shapes[i], b.p, b.n, &got), 0);
		assert_int_equal(got.n_needed, ELF_NEEDED_MAX);
		for (unsigned k = 0; k < ELF_NEEDED_MAX; k++)
			assert_int_equal(got.needed[k], k % STRINGS_LEN);
		assert_int_equal(got.search, 9);
	}
}

static void no_byte_of_a_section_leads_outside(void **state)
{
	(void)state;
	static const struct entry entries[] = {
		{NEEDED, 4}, {RPATH, 5}, {RUNPATH, 6}, AT_10300, {END, 0}};
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		auto_buf struct buf b = {0};
		put_entries(&b, shapes[i], entries, ARRAY_LEN(entries));
		for (size_t at = 0; at < b.n * 256; at++) {
			struct elf_dynamic got;
			b.p[at / 256] ^= (uint8_t)at;
			err_t err = parse_dynamic(shapes[i], b.p, b.n, &got);
			b.p[at / 256] ^= (uint8_t)at;
			assert_true(err == 0 || err == -ENOEXEC);
			if (err)
				continue;
			assert_inside(got.strings, FILE_SIZE);
			assert_true(got.n_needed <= 2 && got.search <= got.strings.len);
			for (unsigned k = 0; k < got.n_needed; k++)
				assert_true(got.needed[k] < got.strings.len);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sections_say_what_stands_in_them),
		cmocka_unit_test(strings_at_no_address_are_none),
		cmocka_unit_test(cut_sections_end_before_the_cut),
		cmocka_unit_test(names_beyond_the_most_are_left_out),
		cmocka_unit_test(no_byte_of_a_section_leads_outside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
