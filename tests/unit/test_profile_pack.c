/*
 * A packed profile comes back as the same text, or is refused: cut, longer, without its size, or
 * with one that no profile has.
 */
#include "index/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include <zstd.h>

static void fill_lines(size_t n, struct buf *text)
{
	static const char head[] = "imgfs-profile 1\n", line[] = "0 1 /plain\n";
	assert_int_equal(buf_append(text, head, sizeof(head) - 1), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(buf_append(text, line, sizeof(line) - 1), 0);
}

static void packed_it_comes_back(void **state)
{
	(void)state;
	auto_buf struct buf text = {0}, packed = {0}, again = {0}, back = {0};
	fill_lines(1000, &text);
	assert_int_equal(profile_pack(buf_bytes(&text), &packed), 0);
	assert_true(packed.n < text.n / 10);
	assert_int_equal(profile_pack(buf_bytes(&text), &again), 0);
	assert_true(bytes_equal(buf_bytes(&packed), buf_bytes(&again)));
	assert_int_equal(profile_unpack(buf_bytes(&packed), &back), 0);
	assert_true(bytes_equal(buf_bytes(&back), buf_bytes(&text)));
}

static void assert_not_unpacked(struct bytes packed)
{
	auto_buf struct buf text = {0};
	assert_int_equal(profile_unpack(packed, &text), -EBADMSG);
	assert_int_equal(text.n, 0);
}

static void packed_and_cut(void **state)
{
	(void)state;
	auto_buf struct buf text = {0}, packed = {0};
	fill_lines(3, &text);
	assert_int_equal(profile_pack(buf_bytes(&text), &packed), 0);
	for (size_t n = 0; n < packed.n; n++)
		assert_not_unpacked((struct bytes){packed.p, n});
	assert_int_equal(buf_append(&packed, "", 1), 0);
	assert_not_unpacked(buf_bytes(&packed));
	/* twice the same frame */
	packed.n--;
	size_t n = packed.n;
	assert_int_equal(buf_reserve(&packed, n), 0);
	memcpy(packed.p + n, packed.p, n);
	packed.n += n;
	assert_not_unpacked(buf_bytes(&packed));
}

/* No digest is in the frame: what comes out may be another text, but nothing worse. */
static void packed_and_flipped(void **state)
{
	(void)state;
	auto_buf struct buf text = {0}, packed = {0};
	unsigned refused = 0;
	fill_lines(40, &text);
	assert_int_equal(profile_pack(buf_bytes(&text), &packed), 0);
	for (size_t bit = 0; bit < packed.n * 8; bit++) {
		auto_buf struct buf back = {0};
		struct profile p;
		packed.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		err_t err = profile_unpack(buf_bytes(&packed), &back);
		assert_true(err == 0 || err == -EBADMSG);
		refused += err != 0;
		if (!err && profile_read(NULL, buf_bytes(&back), &p, NULL) == 0)
			profile_fini(&p);
		packed.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_true(refused > 0);
}

/* A frame of zeroes with its content size, or without. */
static void pack_zeros(size_t n, bool sized, struct buf *packed)
{
	auto_buf struct buf raw = {0};
	ZSTD_CCtx *z = ZSTD_createCCtx();
	assert_non_null(z);
	assert_int_equal(buf_append_zeros(&raw, n), 0);
	assert_int_equal(buf_reserve(packed, ZSTD_compressBound(n)), 0);
	assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(z, ZSTD_c_contentSizeFlag, sized)));
	packed->n = ZSTD_compress2(z, packed->p, packed->cap, raw.p, raw.n);
	assert_false(ZSTD_isError(packed->n));
	ZSTD_freeCCtx(z);
}

static void packed_and_too_large(void **state)
{
	(void)state;
	auto_buf struct buf most = {0}, more = {0}, unsized = {0}, text = {0};
	pack_zeros(PROFILE_TEXT_MAX, true, &most);
	assert_int_equal(profile_unpack(buf_bytes(&most), &text), 0);
	assert_int_equal(text.n, PROFILE_TEXT_MAX);
	pack_zeros(PROFILE_TEXT_MAX + 1, true, &more);
	assert_not_unpacked(buf_bytes(&more));
	pack_zeros(1000, false, &unsized);
	assert_not_unpacked(buf_bytes(&unsized));
	/* Magic, a descriptor that says "8 bytes of content size", and the size: all claim, no
	 * byte. */
	static const uint8_t claim[] = {0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0xff, 0xff, 0xff,
					0xff, 0xff, 0xff, 0xff, 0x7f, 0x01, 0x00, 0x00};
	assert_not_unpacked((struct bytes){claim, sizeof(claim)});
	static const uint8_t modest[] = {0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0x00, 0x00, 0x00,
					 0x01, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00};
	assert_not_unpacked((struct bytes){modest, sizeof(modest)});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packed_it_comes_back),
		cmocka_unit_test(packed_and_cut),
		cmocka_unit_test(packed_and_flipped),
		cmocka_unit_test(packed_and_too_large),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
