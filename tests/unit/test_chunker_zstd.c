/*
 * chunker, zstd blobs: frames are gathered, kept alone, or described from inside; what lies between
 * them belongs to no chunk; what imgfs can not read is named.
 */
#include "tests/unit/chunk_collect.h"
#include "tests/unit/gzip_build.h"

#include <zstd.h>

#include "index/zstd_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define KIB 1024u

static void put_frame(struct buf *b, struct bytes data, bool checksum, int window_log)
{
	ZSTD_CCtx *z = ZSTD_createCCtx();
	ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, checksum);
	if (window_log)
		ZSTD_CCtx_setParameter(z, ZSTD_c_windowLog, window_log);
	size_t bound = ZSTD_compressBound(data.n) + 64;
	BUG_ON(buf_reserve(b, bound) != 0);
	ZSTD_inBuffer in = {data.p, data.n, 0};
	ZSTD_outBuffer out = {b->p + b->n, bound, 0};
	/* Streamed, so that the header has no content size. */
	BUG_ON(ZSTD_isError(ZSTD_compressStream2(z, &out, &in, ZSTD_e_flush)));
	BUG_ON(ZSTD_compressStream2(z, &out, &in, ZSTD_e_end) != 0);
	ZSTD_freeCCtx(z);
	b->n += out.pos;
}

static void put_skippable(struct buf *b, uint32_t n)
{
	put_le(b, 0x184d2a50 + n % 16, 4);
	put_le(b, n, 4);
	BUG_ON(buf_append_zeros(b, n) != 0);
}

static void assert_feed_does_not_matter(struct bytes blob, struct collected *whole)
{
	static const size_t pieces[] = {1, 13, 4096, 131072};
	assert_int_equal(collect(blob, 64 * KIB, 0, whole), 0);
	assert_int_equal(whole->codec, BLOB_ZSTD);
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		struct collected fed;
		assert_int_equal(collect(blob, 64 * KIB, pieces[i], &fed), 0);
		assert_int_equal(fed.n, whole->n);
		for (size_t k = 0; k < fed.n; k++)
			assert_memory_equal(&fed.rows[k], &whole->rows[k], sizeof(fed.rows[k]));
		assert_true(bytes_equal(buf_bytes(&fed.stream), buf_bytes(&whole->stream)));
		collected_fini(&fed);
	}
}

static void small_frames_are_gathered(void **state)
{
	(void)state;
	auto_buf struct buf data = {0}, blob = {0};
	struct collected c;
	fill_mixed(&data, 600 * KIB, 1);
	put_skippable(&blob, 20);
	for (size_t at = 0; at < data.n; at += 10 * KIB)
		put_frame(&blob, (struct bytes){data.p + at, 10 * KIB}, at % 3 == 0, 0);
	size_t end = blob.n;
	put_frame(&blob, (struct bytes){0}, true, 0);
	put_skippable(&blob, 5000);
	assert_feed_does_not_matter(buf_bytes(&blob), &c);
	assert_true(bytes_equal(buf_bytes(&c.stream), buf_bytes(&data)));
	assert_int_equal(c.n, 9);
	assert_int_equal(c.rows[0].blob_off, 28);
	assert_int_equal(c.rows[0].stream_len, 70 * KIB);
	assert_int_equal(c.rows[8].blob_off + c.rows[8].blob_len, end);
	collected_fini(&c);
}

static void frames_that_do_not_fit_begin_a_chunk(void **state)
{
	(void)state;
	auto_buf struct buf data = {0}, blob = {0};
	struct collected c;
	fill_random(&data, 1024 * KIB, 2);
	struct bytes small = {data.p, 10 * KIB}, full = buf_bytes(&data);
	put_frame(&blob, small, false, 0);
	size_t second = blob.n;
	put_frame(&blob, full, true, 0);
	put_frame(&blob, small, false, 0);
	assert_feed_does_not_matter(buf_bytes(&blob), &c);
	assert_int_equal(c.n, 3);
	assert_int_equal(c.rows[0].blob_len, second);
	assert_int_equal(c.rows[1].stream_len, CHUNK_STREAM_MAX);
	assert_int_equal(c.rows[1].codec, CHUNK_ZSTD);
	assert_int_equal(c.rows[2].stream_len, 10 * KIB);
	collected_fini(&c);
}

/* Index blocks of other tools lie in skippable frames: no reader should fetch them with a chunk. */
static void large_skippable_frames_end_a_chunk(void **state)
{
	(void)state;
	auto_buf struct buf data = {0}, blob = {0};
	struct collected c;
	fill_text(&data, 20 * KIB, 3);
	put_frame(&blob, buf_bytes(&data), false, 0);
	size_t first = blob.n;
	put_skippable(&blob, 3 << 20);
	size_t second = blob.n;
	put_frame(&blob, buf_bytes(&data), false, 0);
	assert_feed_does_not_matter(buf_bytes(&blob), &c);
	assert_int_equal(c.n, 2);
	assert_int_equal(c.rows[0].blob_len, first);
	assert_int_equal(c.rows[1].blob_off, second);
	collected_fini(&c);
}

static void large_frames_are_described_from_inside(void **state)
{
	(void)state;
	auto_buf struct buf data = {0}, blob = {0};
	struct collected c;
	fill_mixed(&data, (2 << 20) + 1000, 4);
	struct bytes head = {data.p, 5 * KIB}, all = buf_bytes(&data);
	put_frame(&blob, head, false, 0);
	size_t from = blob.n;
	put_frame(&blob, all, true, 0);
	size_t end = blob.n;
	put_skippable(&blob, 9);
	put_frame(&blob, head, false, 0);
	assert_feed_does_not_matter(buf_bytes(&blob), &c);
	assert_int_equal(c.n, 1 + 33 + 1);
	assert_int_equal(c.inner_end, head.n + all.n);
	assert_int_equal(c.rows[0].blob_len, from);
	for (size_t i = 1; i < 34; i++) {
		assert_int_equal(c.rows[i].codec, CHUNK_ZSTD_INNER);
		assert_int_equal(c.rows[i].blob_off, from);
		assert_int_equal(c.rows[i].blob_len, end - from);
		assert_int_equal(c.rows[i].stream_len, i < 33 ? 64 * KIB : 1000);
		assert_int_equal(chunk_check_stream(&c.rows[i], c.stream.p + c.rows[i].stream_off),
				 0);
	}
	assert_int_equal(c.rows[34].codec, CHUNK_ZSTD);
	assert_int_equal(c.rows[34].blob_off, end + 17);
	c.stream.p[c.rows[3].stream_off] ^= 1;
	assert_int_equal(chunk_check_stream(&c.rows[3], c.stream.p + c.rows[3].stream_off),
			 -EBADMSG);
	collected_fini(&c);
}

static void nothing_but_empty_frames(void **state)
{
	(void)state;
	auto_buf struct buf blob = {0};
	struct collected c;
	put_skippable(&blob, 0);
	put_frame(&blob, (struct bytes){0}, true, 0);
	put_frame(&blob, (struct bytes){0}, false, 0);
	assert_feed_does_not_matter(buf_bytes(&blob), &c);
	assert_int_equal(c.n, 0);
	collected_fini(&c);
}

static void assert_refused(struct bytes blob, err_t want, enum err_class cls, const char *word)
{
	for (size_t piece = 0; piece < 2; piece++) {
		struct collected c;
		assert_int_equal(collect(blob, 0, piece, &c), want);
		assert_int_equal(c.d.cls, cls);
		assert_non_null(strstr(c.d.text, word));
		collected_fini(&c);
	}
}

static void broken_frames_are_refused(void **state)
{
	(void)state;
	auto_buf struct buf data = {0}, blob = {0};
	fill_text(&data, 30000, 5);
	put_frame(&blob, buf_bytes(&data), true, 0);
	size_t end = blob.n;
	for (size_t n = 4; n < end; n += n < 30 || n > end - 30 ? 1 : 101)
		assert_refused((struct bytes){blob.p, n}, -EBADMSG, ERR_INTEGRITY, "ends inside");
	blob.p[end - 1] ^= 1;
	assert_refused(buf_bytes(&blob), -EBADMSG, ERR_INTEGRITY, "checksum");
	blob.p[end - 1] ^= 1;
	put(&blob, "tail", 4);
	assert_refused(buf_bytes(&blob), -EBADMSG, ERR_INTEGRITY, "no frame");
	blob.n = end;
	put_skippable(&blob, 100);
	assert_refused((struct bytes){blob.p, blob.n - 1}, -EBADMSG, ERR_INTEGRITY, "ends inside");
	blob.n = end;
	blob.p[4] |= 8; /* reserved */
	assert_refused(buf_bytes(&blob), -EBADMSG, ERR_INTEGRITY, "zstd");
}

static void what_can_not_be_read_is_named(void **state)
{
	(void)state;
	auto_buf struct buf data = {0}, blob = {0};
	fill_text(&data, 3000, 6);
	put_frame(&blob, buf_bytes(&data), false, 28);
	assert_refused(buf_bytes(&blob), -ENOTSUP, ERR_UNSUPPORTED, "window of 268435456");
	blob.n = 0;
	put_frame(&blob, buf_bytes(&data), false, 27);
	struct collected c;
	assert_int_equal(collect(buf_bytes(&blob), 0, 0, &c), 0);
	collected_fini(&c);
	const uint8_t dictionary[] = {0x28, 0xb5, 0x2f, 0xfd, 0x21, 0x2a, 0x01, 0x09, 0, 0, 'x'};
	assert_refused((struct bytes){dictionary, sizeof(dictionary)}, -ENOTSUP, ERR_UNSUPPORTED,
		       "dictionary 42");
	const uint8_t single[] = {0x28, 0xb5, 0x2f, 0xfd, 0xa0, 1, 0, 0, 8, 1, 0, 0};
	assert_refused((struct bytes){single, sizeof(single)}, -ENOTSUP, ERR_UNSUPPORTED,
		       "window of 134217729");
}

static void frame_headers(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		unsigned header_len;
		uint64_t window_len;
		uint32_t dictionary_id;
	} cases[] = {
		{"\x28\xb5\x2f\xfd\x00\x58", 6, 2 << 20, 0},
		{"\x28\xb5\x2f\xfd\x00\x59", 6, (2 << 20) / 8 * 9, 0},
		{"\x28\xb5\x2f\xfd\x20\x07", 6, 7, 0},
		{"\x28\xb5\x2f\xfd\x60\x07\x01", 7, 263 + 256, 0},
		{"\x28\xb5\x2f\xfd\xa0\x01\x02\x03\x04", 9, 0x04030201, 0},
		{"\x28\xb5\x2f\xfd\xe0\x01\x02\x03\x04\x05\x06\x07\x08", 13, 0x0807060504030201, 0},
		{"\x28\xb5\x2f\xfd\x22\x34\x12\x05", 8, 5, 0x1234},
		{"\x28\xb5\x2f\xfd\xc3\x58\x04\x03\x02\x01\1\1\1\1\1\1\1\1", 18, 2 << 20,
		 0x01020304},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct bytes b = {(const uint8_t *)cases[i].bytes, cases[i].header_len};
		struct zstd_frame f;
		assert_int_equal(zstd_frame_parse(b, &f), 1);
		assert_int_equal(f.header_len, cases[i].header_len);
		assert_int_equal(f.window_len, cases[i].window_len);
		assert_int_equal(f.dictionary_id, cases[i].dictionary_id);
		while (b.n-- > 0)
			assert_int_equal(zstd_frame_parse(b, &f), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_frames_are_gathered),
		cmocka_unit_test(frames_that_do_not_fit_begin_a_chunk),
		cmocka_unit_test(large_skippable_frames_end_a_chunk),
		cmocka_unit_test(large_frames_are_described_from_inside),
		cmocka_unit_test(nothing_but_empty_frames),
		cmocka_unit_test(broken_frames_are_refused),
		cmocka_unit_test(what_can_not_be_read_is_named),
		cmocka_unit_test(frame_headers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
