/*
 * Text for people: modes as `ls -l` shows them, times without a time zone, sizes, and names that
 * can not reach a terminal's controls.
 */
#include "tools/format.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static char text[FORMAT_TEXT_MAX];

static void short_sizes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text; /* of `ls -h` (coreutils 9.1) */
	} cases[] = {
		{0, "0"},
		{1023, "1023"},
		{1024, "1.0K"},
		{1025, "1.1K"},
		{10137, "9.9K"},
		{10138, "10K"},
		{10240, "10K"},
		{10241, "11K"},
		{1047552, "1023K"},
		{1047553, "1.0M"},
		{1048577, "1.1M"},
		{(UINT64_C(1) << 40) - 1, "1.0T"},
		{UINT64_C(5) << 60, "5.0E"},
		{UINT64_MAX, "16E"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(format_size_short(cases[i].bytes, text), cases[i].text);
}

static void modes(void **state)
{
	static const struct {
		uint32_t mode;
		const char *text, *type;
	} cases[] = {
		{S_IFREG | 0644, "-rw-r--r--", "file"},
		{S_IFDIR | 0755, "drwxr-xr-x", "directory"},
		{S_IFDIR | 01777, "drwxrwxrwt", "directory"},
		{S_IFDIR | 01776, "drwxrwxrwT", "directory"},
		{S_IFREG | 04755, "-rwsr-xr-x", "file"},
		{S_IFREG | 04655, "-rwSr-xr-x", "file"},
		{S_IFREG | 02755, "-rwxr-sr-x", "file"},
		{S_IFREG | 02745, "-rwxr-Sr-x", "file"},
		{S_IFREG | 07000, "---S--S--T", "file"},
		{S_IFLNK | 0777, "lrwxrwxrwx", "symlink"},
		{S_IFCHR | 0600, "crw-------", "char"},
		{S_IFBLK | 0060, "b---rw----", "block"},
		{S_IFIFO | 0006, "p------rw-", "fifo"},
		{S_IFSOCK | 0111, "s--x--x--x", "socket"},
		{0, "?---------", "unknown"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_string_equal(format_mode(cases[i].mode, text), cases[i].text);
		assert_string_equal(format_type(cases[i].mode), cases[i].type);
	}
}

static void times(void **state)
{
	(void)state;
	setenv("TZ", "Asia/Tokyo", 1);
	setenv("LC_ALL", "de_DE.UTF-8", 1);
	assert_string_equal(format_minute(0, text), "1970-01-01 00:00");
	assert_string_equal(format_minute(1709251199, text), "2024-02-29 23:59");
	assert_string_equal(format_minute(-1, text), "1969-12-31 23:59");
	assert_string_equal(format_minute(253402300800, text), "10000-01-01 00:00");
	assert_string_equal(format_minute(INT64_MAX, text), "@9223372036854775807");
	assert_string_equal(format_minute(INT64_MIN, text), "@-9223372036854775808");
	assert_string_equal(format_time(1709251199, 7, text), "2024-02-29 23:59:59.000000007 UTC");
	assert_string_equal(format_time(INT64_MIN, 999999999, text),
			    "@-9223372036854775808.999999999 UTC");
}

static void sizes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{0, "0 B"},
		{1023, "1023 B"},
		{1024, "1.0 KiB"},
		{1536, "1.5 KiB"},
		{(1 << 20) - 1, "1.0 MiB"},
		{5ull << 30, "5.0 GiB"},
		{UINT64_MAX, "16.0 EiB"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(format_size(cases[i].bytes, text), cases[i].text);
	assert_string_equal(format_percent(137, 10000, text), "1.37 %");
	assert_string_equal(format_percent(1, 0, text), "-");
}

static void utf8(void **state)
{
	static const struct {
		const char *bytes;
		size_t n, len;
	} cases[] = {
		{"a", 1, 1},
		{"\x7f", 1, 1},
		{"\x80", 1, 0},
		{"\xc1\xbf", 2, 0}, /* overlong */
		{"\xc2\x80", 2, 2},
		{"\xc2", 1, 0}, /* cut */
		{"\xe0\x9f\xbf", 3, 0},
		{"\xe0\xa0\x80", 3, 3},
		{"\xed\x9f\xbf", 3, 3},
		{"\xed\xa0\x80", 3, 0}, /* surrogate */
		{"\xee\x80\x80", 3, 3},
		{"\xf0\x8f\xbf\xbf", 4, 0},
		{"\xf0\x90\x80\x80", 4, 4},
		{"\xf4\x8f\xbf\xbf", 4, 4},
		{"\xf4\x90\x80\x80", 4, 0}, /* above U+10FFFF */
		{"\xf1\x80\x80", 3, 0},
		{"\xf1\x80\x80z", 4, 0},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(format_utf8_len((const uint8_t *)cases[i].bytes, cases[i].n),
				 cases[i].len);
	assert_true(format_is_utf8(BYTES_STR("\xc3\xa4 a")));
	assert_false(format_is_utf8(BYTES_STR("a\xc3")));
}

static void assert_name(const char *name, size_t n, const char *expected)
{
	char *out = NULL;
	size_t len;
	FILE *file = open_memstream(&out, &len);
	format_name(file, (struct bytes){(const uint8_t *)name, n});
	fclose(file);
	assert_string_equal(out, expected);
	free(out);
}

static void names(void **state)
{
	(void)state;
	assert_name("plain \xc3\xa4", 8, "plain \xc3\xa4");
	assert_name("a\nb\x1b[2J", 7, "a\\012b\\033[2J");
	assert_name("\0", 1, "\\000");
	assert_name("\\n", 2, "\\\\n");
	assert_name("\xff\xc3", 2, "\\377\\303");
	assert_name("\xc2\x9b", 2, "\\302\\233");	   /* C1: CSI */
	assert_name("\xe2\x80\xae", 3, "\\342\\200\\256"); /* right-to-left override */
	assert_name("\xe2\x81\xa6", 3, "\\342\\201\\246");
	assert_name("\xe2\x80\x9c", 3, "\xe2\x80\x9c"); /* a quotation mark is text */
	assert_name("", 0, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(modes), cmocka_unit_test(short_sizes), cmocka_unit_test(times),
		cmocka_unit_test(sizes), cmocka_unit_test(utf8),	cmocka_unit_test(names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
