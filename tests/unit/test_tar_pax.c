/*
 * PAX headers and what they carry: values, times, xattrs in two spellings, and sparse files of all
 * four styles. One archive a rule, as in test_tar.c.
 */
#include "tests/unit/tar_build.h"

/* A file "f" with content "x" behind an 'x' header that holds one record, or a raw body. */
static void put_described(struct buf *out, const char *key, const char *value)
{
	put_pax1(out, key, value);
	put_file(out, "f", "x");
}
static void put_raw_body(struct buf *out, const char *body, size_t n)
{
	put_member(out, 'x', "x", body, n);
	put_file(out, "f", "x");
}
#define RAW_BODY(name, body)                                                                       \
	static void name(struct buf *out)                                                          \
	{                                                                                          \
		put_raw_body(out, body, sizeof(body) - 1);                                         \
	}
#define ONE_RECORD(name, key, value)                                                               \
	static void name(struct buf *out)                                                          \
	{                                                                                          \
		put_described(out, key, value);                                                    \
	}
#define X_LINE "0 @1536+1:x\n"

/* Records. */
RAW_BODY(empty_body, "")
RAW_BODY(two_records, "9 uid=77\n9 gid=88\n")
RAW_BODY(last_record_wins, "9 uid=77\n9 uid=88\n")
RAW_BODY(empty_value_takes_back, "9 uid=77\n7 uid=\n")
RAW_BODY(value_with_newline, "11 path=a\n\n")
RAW_BODY(value_with_equals, "12 path=a=b\n")
RAW_BODY(unknown_key, "14 LIB.ok=yes\n")
RAW_BODY(no_length, " uid=77\n")
RAW_BODY(no_space, "9uid=77\n")
RAW_BODY(length_short, "8 uid=77\n")
RAW_BODY(length_long, "10 uid=7\n9 gid=88\n")
RAW_BODY(length_beyond, "999 uid=77\n")
RAW_BODY(length_overflow, "99999999999999999999999 uid=77\n")
RAW_BODY(length_negative, "-9 uid=77\n")
RAW_BODY(length_only, "2 ")
RAW_BODY(no_equals, "9 uid:77\n")
RAW_BODY(no_key, "6 =77\n")
RAW_BODY(key_with_nul, "9 u\0d=77\n")
RAW_BODY(path_with_nul, "12 path=a\0b\n")
RAW_BODY(linkpath_with_nul, "16 linkpath=a\0b\n")
RAW_BODY(garbage_behind, "9 uid=77\ngarbage")
RAW_BODY(padding_counted, "9 uid=77\n\0\0\0")

/* Values. */
ONE_RECORD(uid_largest, "uid", "4294967294")
ONE_RECORD(uid_too_large, "uid", "4294967295")
ONE_RECORD(uid_negative, "uid", "-1")
ONE_RECORD(uid_no_number, "uid", "1x")
ONE_RECORD(gid_too_large, "gid", "99999999999")
ONE_RECORD(gid_overflow, "gid", "9223372036854775808")
ONE_RECORD(size_negative, "size", "-1")
ONE_RECORD(size_overflow, "size", "99999999999999999999")
ONE_RECORD(charset_is_ignored, "hdrcharset", "BINARY")
ONE_RECORD(name_of_bytes, "path", "\xff\xfe/\\\n")
ONE_RECORD(holes_of_solaris, "SUN.holesdata", " 0 1")

/* Times. */
ONE_RECORD(time_whole, "mtime", "1700000000")
ONE_RECORD(time_point, "mtime", "5.")
ONE_RECORD(time_tenth, "mtime", "5.1")
ONE_RECORD(time_cut, "mtime", "5.9999999999")
ONE_RECORD(time_negative, "mtime", "-5")
ONE_RECORD(time_negative_half, "mtime", "-1.5")
ONE_RECORD(time_minus_zero, "mtime", "-0.25")
ONE_RECORD(time_negative_cut, "mtime", "-1.0000000001")
ONE_RECORD(time_negative_carry, "mtime", "-1.9999999999")
ONE_RECORD(time_negative_zeroes, "mtime", "-1.0000000000")
ONE_RECORD(time_largest, "mtime", "9223372036854775807.999999999")
ONE_RECORD(time_too_early, "mtime", "-9223372036854775808.5")
ONE_RECORD(time_too_late, "mtime", "9223372036854775808")
ONE_RECORD(time_no_whole, "mtime", ".5")
ONE_RECORD(time_letters, "mtime", "5.1e3")
ONE_RECORD(time_sign_only, "mtime", "-")

static void size_of_pax_wins(struct buf *out)
{
	put_pax1(out, "size", "3");
	struct block h = tar_head('0', "f");
	tar_size(&h, 600);
	put_head(out, h);
	put_data(out, "abc", 3);
	put_file(out, "g", "");
}
/* CVE-2025-62518: the size speaks about the file, not about the header between. */
static void size_skips_extensions(struct buf *out)
{
	put_pax1(out, "size", "3");
	put_member(out, 'L', "././@LongLink", "long", 5);
	struct block h = tar_head('0', "f");
	put_head(out, h);
	put_data(out, "abc", 3);
	put_file(out, "g", "de");
}
static void size_of_directory(struct buf *out)
{
	put_pax1(out, "size", "1000");
	put_head(out, tar_head('5', "d"));
	put_file(out, "g", "de");
}
static void later_header_replaces(struct buf *out)
{
	put_pax1(out, "uid", "7");
	put_described(out, "gid", "8");
}
static void header_for_one_member(struct buf *out)
{
	put_described(out, "SCHILY.xattr.user.a", "1");
	put_file(out, "g", "");
}
static void global_is_not_applied(struct buf *out)
{
	struct buf body = {0};
	pax_text(&body, "uid", "no number");
	pax_text(&body, "path", "global");
	put_pax(out, 'g', &body);
	put_file(out, "f", "x");
}
static void global_forgets_local(struct buf *out)
{
	put_pax1(out, "uid", "7");
	put_member(out, 'L', "././@LongLink", "long", 5);
	put_member(out, 'g', "g", "9 uid=77\n", 9);
	put_file(out, "f", "x");
}
static void global_malformed(struct buf *out)
{
	put_member(out, 'g', "g", "8 uid=77\n", 9);
	put_file(out, "f", "x");
}

/* Xattrs. */
static void put_xattrs(struct buf *out, const char *const *pairs)
{
	struct buf body = {0};
	for (; pairs[0]; pairs += 2)
		pax_text(&body, pairs[0], pairs[1]);
	put_pax(out, 'x', &body);
	put_file(out, "f", "");
}
#define XATTRS(name, ...)                                                                          \
	static void name(struct buf *out)                                                          \
	{                                                                                          \
		put_xattrs(out, (const char *const[]){__VA_ARGS__, NULL});                         \
	}
#define SCHILY	   "SCHILY.xattr."
#define LIBARCHIVE "LIBARCHIVE.xattr."

XATTRS(xattr_spellings, SCHILY "user.a", "1", LIBARCHIVE "user.b%20%c3%A4",
       "YWI=", LIBARCHIVE "user.c", "YWJj")
XATTRS(xattr_schily_wins_behind, LIBARCHIVE "user.a", "YWI", SCHILY "user.a", "1")
XATTRS(xattr_schily_wins_before, SCHILY "user.a", "1", LIBARCHIVE "user.a", "YWI")
XATTRS(xattr_last_wins, SCHILY "user.a", "1", SCHILY "user.b", "2", SCHILY "user.a", "3")
XATTRS(xattr_empty_value, SCHILY "user.a", "", LIBARCHIVE "user.b", "")
XATTRS(xattr_no_name, SCHILY, "1")
XATTRS(xattr_no_name_libarchive, LIBARCHIVE, "YWI")
XATTRS(xattr_nul_in_name, LIBARCHIVE "user.%00", "YWI")
XATTRS(xattr_bad_escape, LIBARCHIVE "user.%4", "YWI")
XATTRS(xattr_bad_escape_digit, LIBARCHIVE "user.%4g", "YWI")
XATTRS(xattr_base64_length, LIBARCHIVE "user.a", "YWIxY")
XATTRS(xattr_base64_only_pads, LIBARCHIVE "user.a", "====")
XATTRS(xattr_base64_letter, LIBARCHIVE "user.a", "Y*I=")
XATTRS(xattr_base64_pad_inside, LIBARCHIVE "user.a", "YW==YWJj")
static void xattr_binary(struct buf *out)
{
	struct buf body = {0};
	pax_bytes(&body, SCHILY "security.capability", "\1\0\0\2\n=\0", 7);
	put_pax(out, 'x', &body);
	put_file(out, "f", "");
}
static void put_xattr_of(struct buf *out, size_t name_n, size_t value_n)
{
	char key[400] = SCHILY;
	struct buf body = {0};
	auto_buf struct buf value = {0};
	memset(key + strlen(key), 'n', name_n);
	if (buf_append_zeros(&value, value_n) < 0)
		abort();
	pax_bytes(&body, key, value.p, value_n);
	put_pax(out, 'x', &body);
	put_file(out, "f", "");
}
static void xattr_name_too_long(struct buf *out)
{
	put_xattr_of(out, 256, 1);
}
static void xattr_value_too_long(struct buf *out)
{
	put_xattr_of(out, 1, TAR_XATTR_VALUE_MAX + 1);
}
static void put_many_xattrs(struct buf *out, int n, int name_width)
{
	struct buf body = {0};
	for (int i = 0; i < n; i++) {
		char key[300];
		snprintf(key, sizeof(key), SCHILY "%0*d", name_width, i);
		pax_text(&body, key, "1");
	}
	put_pax(out, 'x', &body);
	put_file(out, "f", "");
}
static void xattrs_too_many(struct buf *out)
{
	put_many_xattrs(out, TAR_XATTRS_MAX + 1, 4);
}
static void xattr_names_too_long(struct buf *out)
{
	put_many_xattrs(out, TAR_XATTR_LIST_MAX / 256 + 1, 255);
}

/* Sparse files. */
static void sparse_number(struct block *h, size_t off, uint64_t value)
{
	tar_octal(h, off, 12, value);
}
static struct block old_sparse(uint64_t size, uint64_t stored)
{
	struct block h = gnu_head('S', "s");
	tar_size(&h, stored);
	sparse_number(&h, 483, size);
	return h;
}
static void sparse_old(struct buf *out)
{
	struct block h = old_sparse(2000, 5);
	const uint64_t map[] = {10, 2, 100, 3, 2000, 0};
	for (size_t i = 0; i < ARRAY_LEN(map); i++)
		sparse_number(&h, 386 + 12 * i, map[i]);
	put_head(out, h);
	put_data(out, "abcde", 5);
	put_file(out, "f", "x");
}
static void sparse_old_continued(struct buf *out)
{
	struct block h = old_sparse(1000, 27), next = {{0}};
	uint64_t off = 0;
	for (size_t i = 0; i < 4; i++, off += 10) {
		sparse_number(&h, 386 + 24 * i, off);
		sparse_number(&h, 398 + 24 * i, 1);
	}
	h.b[482] = 1;
	put_head(out, h);
	for (size_t i = 0; i < 21; i++, off += 10) {
		sparse_number(&next, 24 * i, off);
		sparse_number(&next, 24 * i + 12, 1);
	}
	next.b[504] = 1;
	put_raw(out, next.b, 512);
	memset(&next, 0, sizeof(next));
	sparse_number(&next, 0, 998);
	sparse_number(&next, 12, 2);
	put_raw(out, next.b, 512);
	put_data(out, "abcdefghijklmnopqrstuvwxyzA", 27);
	put_file(out, "f", "x");
}
static void sparse_old_base256(struct buf *out)
{
	struct block h = old_sparse(0, 1);
	memcpy(h.b + 483, "\x80\0\0\0\0\0\0\x10\0\0\0\x01", 12);
	memcpy(h.b + 386, "\x80\0\0\0\0\0\0\x10\0\0\0\0", 12);
	sparse_number(&h, 398, 1);
	put_head(out, h);
	put_data(out, "z", 1);
}
static void sparse_old_in_ustar(struct buf *out)
{
	struct block h = old_sparse(10, 0);
	memcpy(h.b + 257, "ustar\00000", 8);
	put_head(out, h);
}
static void sparse_old_no_number(struct buf *out)
{
	struct block h = old_sparse(10, 0);
	memcpy(h.b + 386, "9", 1);
	put_head(out, h);
}
static void sparse_old_no_size(struct buf *out)
{
	struct block h = old_sparse(10, 0);
	memset(h.b + 483, 0xff, 12);
	put_head(out, h);
}
static void put_old_map(struct buf *out, uint64_t stored, const uint64_t map[4])
{
	struct block h = old_sparse(10, stored);
	for (size_t i = 0; i < 4; i++)
		sparse_number(&h, 386 + 12 * i, map[i]);
	put_head(out, h);
	put_data(out, "abcdefghij", stored);
}
#define OLD_MAP(name, stored, ...)                                                                 \
	static void name(struct buf *out)                                                          \
	{                                                                                          \
		put_old_map(out, stored, (const uint64_t[]){__VA_ARGS__});                         \
	}
OLD_MAP(sparse_touching, 4, 0, 2, 2, 2)
OLD_MAP(sparse_overlap, 4, 0, 3, 2, 1)
OLD_MAP(sparse_backward, 2, 5, 1, 0, 1)
OLD_MAP(sparse_beyond_size, 4, 0, 2, 9, 2)
OLD_MAP(sparse_off_beyond_size, 0, 11, 0, 11, 0)
OLD_MAP(sparse_stored_too_much, 5, 0, 2, 2, 2)
OLD_MAP(sparse_stored_too_little, 3, 0, 2, 2, 2)

static void put_sparse_pax(struct buf *out, const char *const *pairs, const char *data)
{
	struct buf body = {0};
	for (; pairs[0]; pairs += 2)
		pax_text(&body, pairs[0], pairs[1]);
	put_pax(out, 'x', &body);
	put_file(out, "GNUSparseFile.1/s", data);
	put_file(out, "f", "x");
}
#define SPARSE_PAX(test, data, ...)                                                                \
	static void test(struct buf *out)                                                          \
	{                                                                                          \
		put_sparse_pax(out, (const char *const[]){__VA_ARGS__, NULL}, data);               \
	}
#define SIZE_20	   "GNU.sparse.size", "20"
#define BLOCKS(n)  "GNU.sparse.numblocks", n
#define PAIR(a, b) "GNU.sparse.offset", a, "GNU.sparse.numbytes", b
#define MAP(text)  "GNU.sparse.map", text
#define NAME	   "GNU.sparse.name", "real"

SPARSE_PAX(sparse_0_0, "abc", SIZE_20, BLOCKS("3"), PAIR("1", "2"), PAIR("10", "1"),
	   PAIR("20", "0"))
SPARSE_PAX(sparse_0_0_order, "ab", SIZE_20, BLOCKS("1"), "GNU.sparse.numbytes", "2", PAIR("1", "2"))
SPARSE_PAX(sparse_0_0_half, "ab", SIZE_20, BLOCKS("1"), PAIR("1", "2"), "GNU.sparse.offset", "5")
SPARSE_PAX(sparse_0_0_negative, "ab", SIZE_20, BLOCKS("1"), PAIR("-1", "2"))
SPARSE_PAX(sparse_0_1, "abc", SIZE_20, BLOCKS("2"), NAME, MAP("1,2,10,1"))
SPARSE_PAX(sparse_0_1_version, "", "GNU.sparse.major", "0", "GNU.sparse.minor", "1", SIZE_20,
	   BLOCKS("0"))
SPARSE_PAX(sparse_0_1_count, "abc", SIZE_20, BLOCKS("3"), MAP("1,2,10,1"))
SPARSE_PAX(sparse_0_1_no_count, "abc", SIZE_20, MAP("1,2,10,1"))
SPARSE_PAX(sparse_0_1_odd, "abc", SIZE_20, BLOCKS("2"), MAP("1,2,10"))
SPARSE_PAX(sparse_0_1_comma, "ab", SIZE_20, BLOCKS("1"), MAP("1,2,"))
SPARSE_PAX(sparse_0_1_empty_number, "ab", SIZE_20, BLOCKS("1"), MAP(",2"))
SPARSE_PAX(sparse_0_1_overflow, "ab", SIZE_20, BLOCKS("1"), MAP("9223372036854775807,2"))
SPARSE_PAX(sparse_unknown_version, "ab", "GNU.sparse.major", "2", "GNU.sparse.minor", "0")

static void put_sparse_1(struct buf *out, const char *map, size_t map_n, size_t padded,
			 const char *data)
{
	struct buf body = {0};
	auto_buf struct buf stored = {0};
	pax_text(&body, "GNU.sparse.major", "1");
	pax_text(&body, "GNU.sparse.minor", "0");
	pax_text(&body, "GNU.sparse.name", "real");
	pax_text(&body, "GNU.sparse.realsize", "4000");
	put_pax(out, 'x', &body);
	put_raw(&stored, map, map_n);
	if (buf_append_zeros(&stored, padded - map_n) < 0)
		abort();
	put_raw(&stored, data, strlen(data));
	put_member(out, '0', "GNUSparseFile.1/s", stored.p, stored.n);
	put_file(out, "f", "x");
}
#define SPARSE_1(test, map, padded, data)                                                          \
	static void test(struct buf *out)                                                          \
	{                                                                                          \
		put_sparse_1(out, map, sizeof(map) - 1, padded, data);                             \
	}
SPARSE_1(sparse_1_0, "2\n0\n3\n3996\n4\n", 512, "abcdefg")
SPARSE_1(sparse_1_0_empty, "0\n", 512, "")
SPARSE_1(sparse_1_0_full_block, "1\n1\n0000000" HUNDRED("00000") "\n", 512, "")
SPARSE_1(sparse_1_0_two_blocks, "1\n" HUNDRED("000000") "7\n1\n", 1024, "a")
SPARSE_1(sparse_1_0_no_padding, "0\n", 2, "")
SPARSE_1(sparse_1_0_cut, "2\n0\n3\n", 6, "")
SPARSE_1(sparse_1_0_no_map, "", 0, "")
SPARSE_1(sparse_1_0_letter, "1\n0\nx\n", 512, "")
SPARSE_1(sparse_1_0_no_number, "1\n\n1\n", 512, "")
SPARSE_1(sparse_1_0_too_many, "1048577\n", 512, "")
SPARSE_1(sparse_1_0_overflow, "1\n9223372036854775808\n", 512, "")
SPARSE_1(sparse_1_0_unsorted, "2\n10\n1\n0\n1\n", 512, "ab")

static void sparse_directory(struct buf *out)
{
	struct buf body = {0};
	pax_text(&body, "GNU.sparse.map", "0,1");
	pax_text(&body, "GNU.sparse.numblocks", "1");
	put_pax(out, 'x', &body);
	put_head(out, tar_head('5', "d"));
}
/* More extents than the limit, each a block of 21: the reader must stop, not the memory. */
static void sparse_endless(struct buf *out)
{
	struct block h = old_sparse(1, 0), next = {{0}};
	h.b[482] = next.b[504] = 1;
	for (size_t i = 0; i < 42; i++)
		sparse_number(&next, 12 * i, 0);
	put_head(out, h);
	for (size_t i = 0; i <= TAR_EXTENTS_MAX / 21; i++)
		put_raw(out, next.b, 512);
}

#define F_LINE(ids, time) "f f 0644 " ids " " time " 1 @1536+1:x\n"
#define F_PLAIN		  F_LINE("0:0", "0.000000000")
#define AT_TIME(time)	  F_LINE("0:0", time)
#define XATTR_LINE(text)  LINE("f") "0 @1536+0 " text ":\n"

static const struct rule record_rules[] = {
	ACCEPT(empty_body, LINE("f") "1 @1024+1:x\n"),
	ACCEPT(two_records, F_LINE("77:88", "0.000000000")),
	ACCEPT(last_record_wins, F_LINE("88:0", "0.000000000")),
	ACCEPT(empty_value_takes_back, F_PLAIN),
	ACCEPT(value_with_newline, LINE("a\\0a") "1 @1536+1:x\n"),
	ACCEPT(value_with_equals, LINE("a=b") "1 @1536+1:x\n"),
	ACCEPT(unknown_key, F_PLAIN),
	REJECT(no_length, "a PAX record is malformed"),
	REJECT(no_space, "a PAX record is malformed"),
	REJECT(length_short, "a PAX record is malformed"),
	REJECT(length_long, "a PAX record is malformed"),
	REJECT(length_beyond, "a PAX record is malformed"),
	REJECT(length_overflow, "a PAX record is malformed"),
	REJECT(length_negative, "a PAX record is malformed"),
	REJECT(length_only, "a PAX record is malformed"),
	REJECT(no_equals, "a PAX record is malformed"),
	REJECT(no_key, "a PAX record is malformed"),
	REJECT(key_with_nul, "a PAX record is malformed"),
	REJECT(path_with_nul, "PAX record path has a wrong value"),
	REJECT(linkpath_with_nul, "PAX record linkpath has a wrong value"),
	REJECT(garbage_behind, "a PAX record is malformed"),
	REJECT(padding_counted, "a PAX record is malformed"),
	ACCEPT(uid_largest, F_LINE("4294967294:0", "0.000000000")),
	REJECT(uid_too_large, "negative or above 2^32-2"),
	REJECT(uid_negative, "negative or above 2^32-2"),
	REJECT(uid_no_number, "PAX record uid has a wrong value"),
	REJECT(gid_too_large, "negative or above 2^32-2"),
	REJECT(gid_overflow, "PAX record gid has a wrong value"),
	REJECT(size_negative, "PAX record size has a wrong value"),
	REJECT(size_overflow, "PAX record size has a wrong value"),
	ACCEPT(charset_is_ignored, F_PLAIN),
	ACCEPT(name_of_bytes, LINE("\\ff\\fe/\\5c\\0a") "1 @1536+1:x\n"),
	REJECT(holes_of_solaris, "SUN.holesdata is not supported"),
	ACCEPT(time_whole, AT_TIME("1700000000.000000000")),
	ACCEPT(time_point, AT_TIME("5.000000000")),
	ACCEPT(time_tenth, AT_TIME("5.100000000")),
	ACCEPT(time_cut, AT_TIME("5.999999999")),
	ACCEPT(time_negative, AT_TIME("-5.000000000")),
	ACCEPT(time_negative_half, AT_TIME("-2.500000000")),
	ACCEPT(time_minus_zero, AT_TIME("-1.750000000")),
	ACCEPT(time_negative_cut, AT_TIME("-2.999999999")),
	ACCEPT(time_negative_carry, AT_TIME("-2.000000000")),
	ACCEPT(time_negative_zeroes, AT_TIME("-1.000000000")),
	ACCEPT(time_largest, AT_TIME("9223372036854775807.999999999")),
	REJECT(time_too_early, "PAX record mtime has a wrong value"),
	REJECT(time_too_late, "PAX record mtime has a wrong value"),
	REJECT(time_no_whole, "PAX record mtime has a wrong value"),
	REJECT(time_letters, "PAX record mtime has a wrong value"),
	REJECT(time_sign_only, "PAX record mtime has a wrong value"),
	ACCEPT(size_of_pax_wins, LINE("f") "3 @1536+3:abc\n" LINE("g") "0 @2560+0:\n"),
	ACCEPT(size_skips_extensions, LINE("long") "3 @2560+3:abc\n" LINE("g") "2 @3584+2:de\n"),
	ACCEPT(size_of_directory, "d d 0644 0:0 0.000000000:\n" LINE("g") "2 @2048+2:de\n"),
	ACCEPT(later_header_replaces, "f f 0644 0:8 0.000000000 1 @2560+1:x\n"),
	ACCEPT(header_for_one_member, LINE("f") "1 @1536+1 user.a=1:x\n" LINE("g") "0 @2560+0:\n"),
	ACCEPT(global_is_not_applied, F_PLAIN),
	ACCEPT(global_forgets_local, LINE("f") "1 @3584+1:x\n"),
	REJECT(global_malformed, "a PAX record is malformed"),
};

static const struct rule xattr_rules[] = {
	ACCEPT(xattr_spellings, XATTR_LINE("user.a=1 user.b\\20\\c3\\a4=ab user.c=abc")),
	ACCEPT(xattr_schily_wins_behind, XATTR_LINE("user.a=1")),
	ACCEPT(xattr_schily_wins_before, XATTR_LINE("user.a=1")),
	ACCEPT(xattr_last_wins, XATTR_LINE("user.a=3 user.b=2")),
	ACCEPT(xattr_empty_value, XATTR_LINE("user.a= user.b=")),
	ACCEPT(xattr_binary, XATTR_LINE("security.capability=\\01\\00\\00\\02\\0a=\\00")),
	REJECT(xattr_no_name, "the name of an xattr is empty"),
	REJECT(xattr_no_name_libarchive, "the name of an xattr is empty"),
	REJECT(xattr_nul_in_name, "holds NUL"),
	REJECT(xattr_bad_escape, "LIBARCHIVE.xattr record is malformed"),
	REJECT(xattr_bad_escape_digit, "LIBARCHIVE.xattr record is malformed"),
	REJECT(xattr_base64_length, "LIBARCHIVE.xattr record is malformed"),
	REJECT(xattr_base64_only_pads, "LIBARCHIVE.xattr record is malformed"),
	REJECT(xattr_base64_letter, "LIBARCHIVE.xattr record is malformed"),
	REJECT(xattr_base64_pad_inside, "LIBARCHIVE.xattr record is malformed"),
	REJECT(xattr_name_too_long, "longer than 255 bytes"),
	REJECT(xattr_value_too_long, "an xattr value is longer than 65536"),
	REJECT(xattrs_too_many, "more than 1024 xattrs"),
	REJECT(xattr_names_too_long, "65536 bytes of their names"),
};

#define SPARSE_S "f s 0644 0:0 0.000000000 "
#define PAX_S	 LINE("GNUSparseFile.1/s")

static const struct rule sparse_rules[] = {
	ACCEPT(sparse_old,
	       SPARSE_S "2000 @512+5 [10+2] [100+3] sparse:abcde\n" LINE("f") "1 @1536+1:x\n"),
	ACCEPT(sparse_old_continued,
	       SPARSE_S "1000 @1536+27 [0+1] [10+1] [20+1] [30+1] [40+1] [50+1] [60+1] [70+1] "
			"[80+1] [90+1] [100+1] [110+1] [120+1] [130+1] [140+1] [150+1] [160+1] "
			"[170+1] [180+1] [190+1] [200+1] [210+1] [220+1] [230+1] [240+1] [998+2] "
			"sparse:abcdefghijklmnopqrstuvwxyzA\n" LINE("f") "1 @2560+1:x\n"),
	ACCEPT(sparse_old_base256, SPARSE_S "68719476737 @512+1 [68719476736+1] sparse:z\n"),
	REJECT(sparse_old_in_ustar, "an archive that is not GNU's"),
	REJECT(sparse_old_no_number, "the map of a sparse file is malformed"),
	REJECT(sparse_old_no_size, "the size of a sparse file is no size"),
	ACCEPT(sparse_touching, SPARSE_S "10 @512+4 [0+2] [2+2] sparse:abcd\n"),
	REJECT(sparse_overlap, "extent 1 of a sparse file overlaps or leaves"),
	REJECT(sparse_backward, "extent 1 of a sparse file overlaps or leaves"),
	REJECT(sparse_beyond_size, "extent 1 of a sparse file overlaps or leaves"),
	REJECT(sparse_off_beyond_size, "extent 0 of a sparse file overlaps or leaves"),
	REJECT(sparse_stored_too_much, "stores 5 bytes, but its map has 4"),
	REJECT(sparse_stored_too_little, "stores 3 bytes, but its map has 4"),
	ACCEPT(sparse_0_0, PAX_S "20 @1536+3 [1+2] [10+1] sparse:abc\n" LINE("f") "1 @2560+1:x\n"),
	REJECT(sparse_0_0_order, "GNU.sparse.numbytes has a wrong value"),
	REJECT(sparse_0_0_half, "a PAX record is malformed"),
	REJECT(sparse_0_0_negative, "GNU.sparse.offset has a wrong value"),
	ACCEPT(sparse_0_1,
	       LINE("real") "20 @1536+3 [1+2] [10+1] sparse:abc\n" LINE("f") "1 @2560+1:x\n"),
	ACCEPT(sparse_0_1_version, PAX_S "20 @1536+0 sparse:\n" LINE("f") "1 @2048+1:x\n"),
	REJECT(sparse_0_1_count, "not the stated number of entries"),
	REJECT(sparse_0_1_no_count, "not the stated number of entries"),
	REJECT(sparse_0_1_odd, "the map of a sparse file is malformed"),
	REJECT(sparse_0_1_comma, "the map of a sparse file is malformed"),
	REJECT(sparse_0_1_empty_number, "the map of a sparse file is malformed"),
	REJECT(sparse_0_1_overflow, "overlaps or leaves"),
	REJECT(sparse_unknown_version, "a sparse file of an unknown version"),
	ACCEPT(sparse_1_0, LINE("real") "4000 @2048+7 [0+3] [3996+4] sparse:abcdefg\n" LINE(
				   "f") "1 @3072+1:x\n"),
	ACCEPT(sparse_1_0_empty, LINE("real") "4000 @2048+0 sparse:\n" LINE("f") "1 @2560+1:x\n"),
	ACCEPT(sparse_1_0_full_block,
	       LINE("real") "4000 @2048+0 sparse:\n" LINE("f") "1 @2560+1:x\n"),
	ACCEPT(sparse_1_0_two_blocks,
	       LINE("real") "4000 @2560+1 [7+1] sparse:a\n" LINE("f") "1 @3584+1:x\n"),
	REJECT(sparse_1_0_no_padding, "the map of a sparse file is cut"),
	REJECT(sparse_1_0_cut, "the map of a sparse file is cut"),
	REJECT(sparse_1_0_no_map, "a sparse file without a map"),
	REJECT(sparse_1_0_letter, "the map of a sparse file is malformed"),
	REJECT(sparse_1_0_no_number, "the map of a sparse file is malformed"),
	REJECT(sparse_1_0_too_many, "more than 1048576 extents"),
	REJECT(sparse_1_0_overflow, "the map of a sparse file is malformed"),
	REJECT(sparse_1_0_unsorted, "extent 1 of a sparse file overlaps or leaves"),
	REJECT(sparse_directory, "no regular file"),
};

static void test_records(void **state)
{
	(void)state;
	check_rules(record_rules, ARRAY_LEN(record_rules));
}
static void test_xattrs(void **state)
{
	(void)state;
	check_rules(xattr_rules, ARRAY_LEN(xattr_rules));
}
static void test_sparse(void **state)
{
	(void)state;
	check_rules(sparse_rules, ARRAY_LEN(sparse_rules));
}

static void test_sparse_endless(void **state)
{
	auto_buf struct buf archive = {0};
	struct record r = {0};
	struct diag d = DIAG_INIT;
	(void)state;
	sparse_endless(&archive);
	assert_int_equal(record_archive(&archive, 65536, &r, &d), -EBADMSG);
	assert_non_null(strstr(d.text, "more than 1048576 extents"));
	free(r.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_xattrs),
		cmocka_unit_test(test_sparse),
		cmocka_unit_test(test_sparse_endless),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
