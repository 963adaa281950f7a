/*
 * The rules of the tar reader, one archive a rule, each built byte by byte and read whole, in
 * sevens and one byte at a time. An accepted archive is compared with a text of everything the
 * reader said; a rejected one must name its reason.
 */
#include "tests/unit/tar_build.h"

/* Types. */
static void one_of_each(struct buf *out)
{
	put_file(out, "a", "hello");
	put_link(out, '1', "h", "a");
	put_link(out, '2', "s", "../x y");
	struct block h = tar_head('3', "dev/null");
	tar_octal(&h, 329, 8, 1);
	tar_octal(&h, 337, 8, 3);
	put_head(out, h);
	h = tar_head('4', "dev/sda");
	tar_octal(&h, 329, 8, 0xfff);
	tar_octal(&h, 337, 8, 0xfffff);
	put_head(out, h);
	put_head(out, tar_head('5', "d/"));
	put_head(out, tar_head('6', "p"));
	put_member(out, '7', "contiguous", "x", 1);
	put_end(out);
}
static void directory_by_slash(struct buf *out)
{
	struct block h = tar_head(0, "old/");
	tar_size(&h, 5); /* a directory has no data: the next header follows at once */
	put_head(out, h);
	put_member(out, 0, "file", "x", 1);
}
static void directory_by_pax_slash(struct buf *out)
{
	put_pax1(out, "path", "long/");
	put_head(out, tar_head(0, "short"));
}
static void no_directory_by_slash(struct buf *out)
{
	put_file(out, "new/", "x");
}
static void size_of_link(struct buf *out)
{
	struct block h = tar_head('1', "h");
	tar_text(&h, 157, 100, "a");
	tar_size(&h, 1000);
	put_head(out, h);
	h = tar_head('5', "d");
	memset(h.b + 124, 0xff, 12); /* -1 */
	put_head(out, h);
	h = tar_head('3', "c");
	tar_size(&h, 700);
	put_head(out, h);
	put_file(out, "a", "x");
}
static void unknown_type(struct buf *out)
{
	put_head(out, tar_head('V', "volume"));
}
static void link_without_target(struct buf *out)
{
	put_head(out, tar_head('2', "s"));
}
static void device_too_large(struct buf *out)
{
	struct block h = tar_head('3', "c");
	tar_octal(&h, 329, 8, 0x1000);
	put_head(out, h);
}
static void device_numbers_of_a_file(struct buf *out)
{
	struct block h = tar_head('0', "f");
	tar_text(&h, 329, 8, "garbage");
	put_head(out, h);
}

/* The header. */
static void sum_signed(struct buf *out)
{
	struct block h = tar_head('0', "\xe4\xf6\xfc");
	tar_seal(&h);
	int sum = 0;
	memset(h.b + 148, ' ', 8);
	for (size_t i = 0; i < 512; i++)
		sum += (int8_t)h.b[i];
	tar_octal(&h, 148, 8, (uint64_t)sum);
	put_raw(out, h.b, 512);
}
static void sum_wrong(struct buf *out)
{
	struct block h = tar_head('0', "f");
	tar_seal(&h);
	h.b[0] ^= 1;
	put_raw(out, h.b, 512);
}
static void numbers_padded(struct buf *out)
{
	struct block h = tar_head('0', "f");
	memcpy(h.b + 100, "  0755 \0", 8);
	memcpy(h.b + 108, "1750   \0", 8);
	memcpy(h.b + 116, "\0\0\0\0\0\0\0\0", 8);
	memcpy(h.b + 136, "12\0 garbage", 12);
	put_head(out, h);
}
static void number_wrong(struct buf *out)
{
	struct block h = tar_head('0', "f");
	memcpy(h.b + 108, "0000008", 8);
	put_head(out, h);
}
static void number_negative_octal(struct buf *out)
{
	struct block h = tar_head('0', "f");
	memcpy(h.b + 136, "-0000000001", 12);
	put_head(out, h);
}
static void mode_with_type_bits(struct buf *out)
{
	struct block h = tar_head('0', "f");
	tar_octal(&h, 100, 8, 0106755);
	put_head(out, h);
}
static void base256_numbers(struct buf *out)
{
	struct block h = tar_head('0', "f");
	memcpy(h.b + 108, "\x80\0\0\0\x7f\xff\xff\xff", 8);
	memcpy(h.b + 116, "\x80\0\0\0\xff\xff\xff\xfe", 8);
	memcpy(h.b + 124, "\x80\0\0\0\0\0\0\0\0\0\0\x02", 12);
	memcpy(h.b + 136, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00", 12);
	put_head(out, h);
	put_data(out, "ok", 2);
}
static void base256_id_too_large(struct buf *out)
{
	struct block h = tar_head('0', "f");
	memcpy(h.b + 108, "\x80\0\0\0\xff\xff\xff\xff", 8);
	put_head(out, h);
}
static void base256_id_negative(struct buf *out)
{
	struct block h = tar_head('0', "f");
	memset(h.b + 116, 0xff, 8);
	put_head(out, h);
}
static void base256_size_negative(struct buf *out)
{
	struct block h = tar_head('0', "f");
	memset(h.b + 124, 0xff, 12);
	put_head(out, h);
}
static void base256_overflow(struct buf *out)
{
	struct block h = tar_head('0', "f");
	memcpy(h.b + 124, "\x80\0\0\0\x80\0\0\0\0\0\0\0", 12);
	put_head(out, h);
}
static void size_beyond_all(struct buf *out)
{
	struct block h = tar_head('0', "f");
	memcpy(h.b + 124, "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12);
	put_head(out, h);
}
static void extension_negative(struct buf *out)
{
	struct block h = tar_head('L', "x");
	memset(h.b + 124, 0xff, 12);
	put_head(out, h);
}
static void extension_too_long(struct buf *out)
{
	struct block h = tar_head('x', "x");
	tar_size(&h, TAR_PAX_MAX + 1);
	put_head(out, h);
}

/* Names in the dialects. */
static void ustar_prefix(struct buf *out)
{
	struct block h = tar_head('0', "name");
	tar_text(&h, 345, 155, "some/prefix");
	put_head(out, h);
}
static void v7_has_no_prefix(struct buf *out)
{
	struct block h = tar_head('0', "name");
	memset(h.b + 257, 0, 255);
	tar_text(&h, 345, 155, "prefix");
	put_head(out, h);
}
static void star_prefix(struct buf *out)
{
	struct block h = tar_head('0', "name");
	tar_text(&h, 345, 131, HUNDRED("p") TEN("p") TEN("p") TEN("p") "q"); /* fills it */
	tar_octal(&h, 476, 12, 5);
	tar_octal(&h, 488, 12, 6);
	memcpy(h.b + 508, "tar", 4);
	put_head(out, h);
}
static void gnu_times_are_no_prefix(struct buf *out)
{
	struct block h = gnu_head('0', "name");
	tar_octal(&h, 345, 12, 01234567);
	tar_octal(&h, 357, 12, 07654321);
	put_head(out, h);
}
static void gnu_prefix_of_old_go(struct buf *out)
{
	struct block h = gnu_head('0', "name");
	tar_text(&h, 345, 155, "usr/share");
	put_head(out, h);
	h = gnu_head('0', "other");
	tar_text(&h, 345, 155, "\xc3\xa4/b");
	put_head(out, h);
}
static void name_fills_its_field(struct buf *out)
{
	char name[101], link[101];
	memset(name, 'n', 100);
	memset(link, 'l', 100);
	name[100] = link[100] = 0;
	put_link(out, '2', name, link);
}
static void gnu_long_names(struct buf *out)
{
	static const char name[] = HUNDRED("ab/") "f", link[] = HUNDRED("../") "t";
	put_member(out, 'K', "././@LongLink", link, sizeof(link));
	put_member(out, 'L', "././@LongLink", name, sizeof(name));
	put_link(out, '2', "short", "short");
	put_link(out, '2', "short", "short");
}
static void gnu_long_name_wins(struct buf *out)
{
	put_pax1(out, "path", "pax");
	put_member(out, 'L', "././@LongLink", "long", 5);
	put_file(out, "ustar", "");
	put_pax1(out, "path", "pax");
	put_file(out, "ustar", "");
}
static void gnu_long_name_empty(struct buf *out)
{
	put_member(out, 'L', "././@LongLink", "", 0);
	put_file(out, "ustar", "");
}
static void name_empty(struct buf *out)
{
	put_file(out, "", "x");
}
static void put_name_of(struct buf *out, size_t n, size_t component)
{
	auto_buf struct buf name = {0};
	for (size_t i = 1; i <= n; i++)
		put_raw(&name, i % (component + 1) ? "x" : "/", 1);
	put_member(out, 'L', "././@LongLink", name.p, name.n);
	put_head(out, tar_head('6', "short"));
}
static void name_too_long(struct buf *out)
{
	put_name_of(out, TAR_PATH_MAX + 1, 200);
}
static void component_too_long(struct buf *out)
{
	put_name_of(out, 256, 256);
}
static void link_component_too_long(struct buf *out)
{
	char target[257];
	memset(target, 'x', 256);
	target[256] = 0;
	put_pax1(out, "linkpath", target);
	put_link(out, '1', "h", "t");
}
static void longest_names(struct buf *out)
{
	put_name_of(out, TAR_PATH_MAX, 255);
	put_name_of(out, 255, 255);
}

/* The stream. */
static void nothing(struct buf *out)
{
	(void)out;
}
static void only_end_blocks(struct buf *out)
{
	put_end(out);
}
static void no_end_blocks(struct buf *out)
{
	put_file(out, "f", "x");
}
static void one_end_block(struct buf *out)
{
	put_file(out, "f", "x");
	put_end(out);
	out->n -= 512;
}
static void after_end_blocks(struct buf *out)
{
	put_end(out);
	put_raw(out, "anything at all", 15);
}
static void zero_block_inside(struct buf *out)
{
	put_end(out);
	out->n -= 512;
	put_file(out, "f", "x");
}
static void last_padding_cut(struct buf *out)
{
	put_file(out, "f", "abc");
	out->n = 512 + 3;
}
static void data_cut(struct buf *out)
{
	put_file(out, "f", "abc");
	out->n = 512 + 2;
}
static void header_cut(struct buf *out)
{
	put_file(out, "f", "");
	out->n = 511;
}
static void extension_cut(struct buf *out)
{
	put_pax1(out, "path", "x");
	out->n = 512 + 3;
}
static void extension_of_nothing(struct buf *out)
{
	put_pax1(out, "path", "x");
	put_end(out);
}
static void offsets(struct buf *out)
{
	put_file(out, "empty", "");
	put_pax1(out, "mtime", "1");
	put_file(out, "f", "x");
	put_link(out, '2', "s", "t");
	put_file(out, "g", "yz");
}

static const struct rule rules[] = {
	ACCEPT(one_of_each,
	       LINE("a") "5 @512+5:hello\n"
			 "h h -> a 0644 0:0 0.000000000:\n"
			 "l s -> ../x\\20y 0644 0:0 0.000000000:\n"
			 "c dev/null 0644 0:0 0.000000000 dev 1,3:\n"
			 "b dev/sda 0644 0:0 0.000000000 dev 4095,1048575:\n"
			 "d d/ 0644 0:0 0.000000000:\n"
			 "p p 0644 0:0 0.000000000:\n" LINE("contiguous") "1 @4608+1:x\n"),
	ACCEPT(directory_by_slash, "d old/ 0644 0:0 0.000000000:\n" LINE("file") "1 @1024+1:x\n"),
	ACCEPT(directory_by_pax_slash, "d long/ 0644 0:0 0.000000000:\n"),
	ACCEPT(no_directory_by_slash, LINE("new/") "1 @512+1:x\n"),
	ACCEPT(size_of_link, "h h -> a 0644 0:0 0.000000000:\n"
			     "d d 0644 0:0 0.000000000:\n"
			     "c c 0644 0:0 0.000000000 dev 0,0:\n" LINE("a") "1 @2048+1:x\n"),
	REJECT(unknown_type, "unknown member type 0x56"),
	REJECT(link_without_target, "link target is empty"),
	REJECT(device_too_large, "no device has the numbers 4096:0"),
	ACCEPT(device_numbers_of_a_file, LINE("f") "0 @512+0:\n"),
	ACCEPT(sum_signed, LINE("\\e4\\f6\\fc") "0 @512+0:\n"),
	REJECT(sum_wrong, "the sum of the block is wrong"),
	ACCEPT(numbers_padded, "f f 0755 1000:0 10.000000000 0 @512+0:\n"),
	REJECT(number_wrong, "the owner in the header is no number"),
	REJECT(number_negative_octal, "the time in the header is no number"),
	ACCEPT(mode_with_type_bits, "f f 6755 0:0 0.000000000 0 @512+0:\n"),
	ACCEPT(base256_numbers, "f f 0644 2147483647:4294967294 -256.000000000 2 @512+2:ok\n"),
	REJECT(base256_id_too_large, "negative or above 2^32-2"),
	REJECT(base256_id_negative, "negative or above 2^32-2"),
	REJECT(base256_size_negative, "the size is negative"),
	REJECT(base256_overflow, "the size in the header is no number"),
	REJECT(size_beyond_all, "ends beyond 2^63"),
	REJECT(extension_negative, "extension header is negative or too long"),
	REJECT(extension_too_long, "extension header is negative or too long"),
	ACCEPT(ustar_prefix, LINE("some/prefix/name") "0 @512+0:\n"),
	ACCEPT(v7_has_no_prefix, LINE("name") "0 @512+0:\n"),
	ACCEPT(star_prefix, LINE(HUNDRED("p") TEN("p") TEN("p") TEN("p") "q/name") "0 @512+0:\n"),
	ACCEPT(gnu_times_are_no_prefix, LINE("name") "0 @512+0:\n"),
	ACCEPT(gnu_prefix_of_old_go,
	       LINE("usr/share/name") "0 @512+0:\n" LINE("other") "0 @1024+0:\n"),
	ACCEPT(name_fills_its_field,
	       "l " HUNDRED("n") " -> " HUNDRED("l") " 0644 0:0 0.000000000:\n"),
	ACCEPT(gnu_long_names, "l " HUNDRED("ab/") "f -> " HUNDRED(
				       "../") "t 0644 0:0 0.000000000:\n"
					      "l short -> short 0644 0:0 0.000000000:\n"),
	ACCEPT(gnu_long_name_wins, LINE("long") "0 @2560+0:\n" LINE("pax") "0 @4096+0:\n"),
	ACCEPT(gnu_long_name_empty, LINE("ustar") "0 @1024+0:\n"),
	REJECT(name_empty, "the name is empty"),
	REJECT(name_too_long, "the name is empty, too long"),
	REJECT(component_too_long, "longer than 255"),
	REJECT(link_component_too_long, "longer than 255"),
	ACCEPT(nothing, ""),
	ACCEPT(only_end_blocks, ""),
	ACCEPT(no_end_blocks, LINE("f") "1 @512+1:x\n"),
	ACCEPT(one_end_block, LINE("f") "1 @512+1:x\n"),
	ACCEPT(after_end_blocks, ""),
	REJECT(zero_block_inside, "a block of zeroes inside"),
	ACCEPT(last_padding_cut, LINE("f") "3 @512+3:abc\n"),
	REJECT(data_cut, "ends inside a member"),
	REJECT(header_cut, "ends inside a member"),
	REJECT(extension_cut, "ends inside a member"),
	ACCEPT(extension_of_nothing, ""),
	ACCEPT(offsets,
	       LINE("empty") "0 @512+0:\nf f 0644 0:0 1.000000000 1 @2048+1:x\n"
			     "l s -> t 0644 0:0 0.000000000:\n" LINE("g") "2 @3584+2:yz\n"),
};

static void test_rules(void **state)
{
	(void)state;
	check_rules(rules, ARRAY_LEN(rules));
}

/* Too long for a table: only that they are taken. */
static void test_longest_names(void **state)
{
	auto_buf struct buf archive = {0};
	struct record r = {0};
	(void)state;
	longest_names(&archive);
	assert_int_equal(record_archive(&archive, 1, &r, NULL), 0);
	assert_true(r.n > TAR_PATH_MAX + 255);
	free(r.text);
}

/* What a callback answers comes back unchanged, and nothing is called after it. */
static void test_callbacks_stop_the_reader(void **state)
{
	static const struct {
		struct record r;
		const char *text;
	} cases[] = {
		{{.entry_result = -EINTR}, LINE("f") "2 @512+2:"},
		{{.data_result = -EIO}, LINE("f") "2 @512+2:ab"},
		{{.end_result = -ENOSPC}, LINE("f") "2 @512+2:ab\n"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_buf struct buf archive = {0};
		put_file(&archive, "f", "ab");
		put_file(&archive, "g", "cd");
		struct record r = cases[i].r;
		err_t want = r.entry_result + r.data_result + r.end_result;
		assert_int_equal(record_archive(&archive, SIZE_MAX / 2, &r, NULL), want);
		assert_string_equal(r.text, cases[i].text);
		free(r.text);
	}
}

static void test_error_is_sticky(void **state)
{
	static const struct tar_sink sink = {record_entry, record_data, record_end};
	struct record r = {.out = stderr};
	struct tar *t = tar_new(&sink, &r);
	struct diag d = DIAG_INIT;
	uint8_t garbage[512] = "garbage";
	(void)state;
	assert_int_equal(tar_feed(t, garbage, sizeof(garbage), NULL), -EBADMSG);
	uint8_t zeroes[512] = {0};
	assert_int_equal(tar_feed(t, zeroes, sizeof(zeroes), &d), -EBADMSG);
	assert_int_equal(tar_finish(t, &d), -EBADMSG);
	assert_non_null(strstr(d.text, "failed before"));
	tar_free(&t);
	assert_null(t);
	tar_free(&t);
}

/* A message names the member and its place. */
static void test_message(void **state)
{
	auto_buf struct buf archive = {0};
	struct record r = {0};
	struct diag d = DIAG_INIT;
	(void)state;
	put_file(&archive, "first", "x");
	struct block h = tar_head('0', "second\x1b[2J");
	memset(h.b + 124, 0xff, 12);
	put_head(&archive, h);
	assert_int_equal(record_archive(&archive, 512, &r, &d), -EBADMSG);
	assert_string_equal(d.text, "tar header at offset 1024: tar member second?[2J: "
				    "the size is negative");
	free(r.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_longest_names),
		cmocka_unit_test(test_callbacks_stop_the_reader),
		cmocka_unit_test(test_error_is_sticky),
		cmocka_unit_test(test_message),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
