/*
 * gzip_header: every flag, every prefix of a header asks for more, every wrong byte is refused.
 */
#include "index/gzip_header.h"
#include "tests/unit/gzip_build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void every_flag_and_every_prefix(void **state)
{
	(void)state;
	for (unsigned flags = 0; flags < 32; flags++) {
		auto_buf struct buf b = {0};
		put_header(&b, flags);
		size_t len = b.n;
		put(&b, "\x03\0 data behind it", 16);
		assert_int_equal(gzip_header_len(buf_bytes(&b)), len);
		assert_int_equal(gzip_header_len((struct bytes){b.p, len}), len);
		for (size_t n = 0; n < len; n++)
			assert_int_equal(gzip_header_len((struct bytes){b.p, n}), 0);
	}
}

static void wrong_bytes_are_refused(void **state)
{
	(void)state;
	static const struct {
		size_t at;
		uint8_t v;
	} wrong[] = {{0, 0x1e}, {1, 0x8c}, {2, 7}, {3, 0x20}, {3, 0x40}, {3, 0x80}};
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		auto_buf struct buf b = {0};
		put_header(&b, 0);
		b.p[wrong[i].at] = wrong[i].v;
		assert_int_equal(gzip_header_len(buf_bytes(&b)), -EBADMSG);
		/* At once, not only when it is complete. */
		assert_int_equal(gzip_header_len((struct bytes){b.p, wrong[i].at + 1}), -EBADMSG);
	}
}

static void header_crc_is_checked(void **state)
{
	(void)state;
	auto_buf struct buf b = {0};
	put_header(&b, 2 | 8);
	assert_int_equal(gzip_header_len(buf_bytes(&b)), b.n);
	b.p[b.n - 4] ^= 1;
	assert_int_equal(gzip_header_len(buf_bytes(&b)), -EBADMSG);
}

static void endless_name_is_refused(void **state)
{
	(void)state;
	auto_buf struct buf b = {0};
	put_header(&b, 0);
	b.p[3] = 8;
	while (b.n < GZIP_HEADER_MAX - 1)
		put_byte(&b, 'n');
	assert_int_equal(gzip_header_len(buf_bytes(&b)), 0);
	put_byte(&b, 0);
	assert_int_equal(gzip_header_len(buf_bytes(&b)), GZIP_HEADER_MAX);
	b.p[b.n - 1] = 'n';
	assert_int_equal(gzip_header_len(buf_bytes(&b)), -EBADMSG);
	put_byte(&b, 0);
	assert_int_equal(gzip_header_len(buf_bytes(&b)), -EBADMSG);
}

static void largest_extra_field(void **state)
{
	(void)state;
	auto_buf struct buf b = {0};
	put_header(&b, 0);
	b.p[3] = 4;
	put(&b, "\xff\xff", 2);
	assert_int_equal(buf_append_zeros(&b, 65534), 0);
	assert_int_equal(gzip_header_len(buf_bytes(&b)), 0);
	put_byte(&b, 0);
	assert_int_equal(gzip_header_len(buf_bytes(&b)), 10 + 2 + 65535);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_flag_and_every_prefix),
		cmocka_unit_test(wrong_bytes_are_refused),
		cmocka_unit_test(header_crc_is_checked),
		cmocka_unit_test(endless_name_is_refused),
		cmocka_unit_test(largest_extra_field),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
