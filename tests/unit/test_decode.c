/*
 * decode: every chunk alone, in any order, with every engine, gives the bytes of the sequential
 * pass; hostile rows and bytes give an error or other bytes, never a read or write outside.
 */
#include "tests/unit/chunk_collect.h"
#include "tests/unit/gzip_build.h"

#include <zstd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* exact - a copy that the sanitizer guards at both ends. */
static uint8_t *exact(struct bytes b)
{
	uint8_t *p = malloc(b.n ? b.n : 1);
	assert_non_null(p);
	if (b.n)
		memcpy(p, b.p, b.n);
	return p;
}

static err_t decode_alone(const struct chunk *c, struct bytes range, struct bytes window,
			  enum inflate_engine engine, uint8_t **out)
{
	auto_free uint8_t *b = exact(range), *w = exact(window);
	*out = xcalloc(1, c->stream_len ? c->stream_len : 1);
	return chunk_decode(c, (struct bytes){b, range.n}, (struct bytes){w, window.n}, engine,
			    *out);
}

static void check_row(const struct collected *all, const struct chunk *c, struct bytes blob,
		      enum inflate_engine engine)
{
	auto_free uint8_t *out = NULL;
	struct bytes range = {blob.p + c->blob_off, c->blob_len};
	assert_int_equal(chunk_check_blob(c, range), 0);
	assert_int_equal(decode_alone(c, range, collected_window(all, c), engine, &out), 0);
	assert_memory_equal(out, all->stream.p + c->stream_off, c->stream_len);
	assert_int_equal(chunk_check_stream(c, out), 0);
	assert_int_equal(chunk_check_xxh3(c, out), 0);
	out[c->stream_len / 2] ^= 1;
	assert_int_equal(chunk_check_stream(c, out), -EBADMSG);
	assert_int_equal(chunk_check_xxh3(c, out), -EBADMSG);
}

static void check_all_rows(struct bytes blob, uint32_t target, struct bytes want)
{
	struct collected all;
	assert_int_equal(collect(blob, target, 10007, &all), 0);
	assert_true(bytes_equal(buf_bytes(&all.stream), want));
	for (enum inflate_engine e = INFLATE_BEST; e <= INFLATE_ISAL; e++) {
		if (!inflate_engine_available(e))
			continue;
		/* A step that shares no factor with n visits all of them, out of order. */
		size_t step = all.n % 7919 ? 7919 : 1;
		for (size_t i = 0, at = 0; i < all.n; i++, at = (at + step) % all.n)
			check_row(&all, &all.rows[at], blob, e);
	}
	collected_fini(&all);
}

static void members_of_every_kind(void **state)
{
	(void)state;
	static const struct member members[] = {
		{.level = 1},
		{.level = 6, .flags = 4 | 8},
		{.level = 9, .mem_level = 9, .flags = 31},
		{.level = 9, .mem_level = 1},
		{.level = 0},
		{.level = 6, .strategy = Z_FIXED},
		{.level = 6, .strategy = Z_HUFFMAN_ONLY},
		{.level = 6, .strategy = Z_RLE},
		{.level = 6, .flush_every = 2000, .flush = Z_SYNC_FLUSH},
		{.level = 6, .flush_every = 131072, .flush = Z_FULL_FLUSH},
		{.level = 6, .flush_every = 700, .flush = Z_PARTIAL_FLUSH},
	};
	auto_buf struct buf data = {0};
	fill_mixed(&data, (3 << 20) + 12345, 21);
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		auto_buf struct buf blob = {0};
		put_member(&blob, &members[i], buf_bytes(&data));
		check_all_rows(buf_bytes(&blob), CHUNK_TARGET_MIN, buf_bytes(&data));
		check_all_rows(buf_bytes(&blob), 0, buf_bytes(&data));
		check_all_rows(buf_bytes(&blob), CHUNK_STREAM_MAX, buf_bytes(&data));
	}
}

static void contents_of_every_kind(void **state)
{
	(void)state;
	void (*const fills[])(struct buf *, size_t, uint32_t) = {fill_text, fill_random, fill_far};
	for (size_t i = 0; i < ARRAY_LEN(fills); i++) {
		auto_buf struct buf data = {0}, blob = {0};
		fills[i](&data, 5 << 19, 22);
		put_member(&blob, &(struct member){.level = 6, .mem_level = 9}, buf_bytes(&data));
		check_all_rows(buf_bytes(&blob), CHUNK_TARGET_MIN, buf_bytes(&data));
		check_all_rows(buf_bytes(&blob), CHUNK_STREAM_MAX, buf_bytes(&data));
	}
}

static void highly_compressible(void **state)
{
	(void)state;
	auto_buf struct buf data = {0}, blob = {0};
	assert_int_equal(buf_append_zeros(&data, (5 << 20) + 77), 0);
	put_member(&blob, &(struct member){.level = 9, .mem_level = 9}, buf_bytes(&data));
	put_member(&blob, &(struct member){.level = 1}, buf_bytes(&data));
	assert_int_equal(buf_append_zeros(&data, data.n), 0);
	check_all_rows(buf_bytes(&blob), 0, buf_bytes(&data));
}

static void one_giant_block(void **state)
{
	(void)state;
	for (uint32_t seed = 0; seed < 6; seed++) {
		auto_buf struct buf data = {0}, blob = {0};
		put_giant_block(&blob, (2u << 20) + seed * 333, 23 + seed, &data);
		check_all_rows(buf_bytes(&blob), 0, buf_bytes(&data));
	}
}

static void chunks_across_members(void **state)
{
	(void)state;
	auto_buf struct buf data = {0}, blob = {0};
	fill_mixed(&data, 1 << 20, 24);
	uint32_t seed = 25;
	for (size_t at = 0, n; at < data.n; at += n) {
		n = min_of((size_t)(next_random(&seed) % 9000), data.n - at);
		struct member m = {.level = (int)(next_random(&seed) % 10),
				   .strategy = (int)(next_random(&seed) % 5),
				   .flags = next_random(&seed) % 32};
		put_member(&blob, &m, (struct bytes){data.p + at, n});
	}
	assert_int_equal(buf_append_zeros(&blob, 511), 0);
	check_all_rows(buf_bytes(&blob), CHUNK_TARGET_MIN, buf_bytes(&data));
	check_all_rows(buf_bytes(&blob), 0, buf_bytes(&data));
	check_all_rows(buf_bytes(&blob), CHUNK_STREAM_MAX, buf_bytes(&data));
}

static void plain_and_zstd(void **state)
{
	(void)state;
	auto_buf struct buf data = {0}, blob = {0};
	fill_mixed(&data, 1 << 20, 26);
	data.p[0] = 'd';
	check_all_rows(buf_bytes(&data), CHUNK_TARGET_MIN, buf_bytes(&data));
	for (size_t at = 0, n; at < data.n; at += n) {
		n = min_of((size_t)7000, data.n - at);
		assert_int_equal(buf_reserve(&blob, ZSTD_compressBound(n)), 0);
		size_t got =
			ZSTD_compress(blob.p + blob.n, ZSTD_compressBound(n), data.p + at, n, 3);
		assert_false(ZSTD_isError(got));
		blob.n += got;
		put(&blob, "\x5f\x2a\x4d\x18\x03\0\0\0abc", 11);
	}
	check_all_rows(buf_bytes(&blob), CHUNK_TARGET_MIN, buf_bytes(&data));
	check_all_rows(buf_bytes(&blob), 0, buf_bytes(&data));
}

static err_t gather(void *arg, const uint8_t *p, size_t n)
{
	return buf_append(arg, p, n);
}

static err_t run_frame(struct bytes frame, size_t piece, struct buf *out)
{
	struct frame_decoder *f = frame_decoder_new(gather, out);
	err_t err = 0;
	for (size_t at = 0; !err && at < frame.n; at += piece)
		err = frame_decoder_feed(f, frame.p + at, min_of(piece, frame.n - at));
	if (!err)
		err = frame_decoder_finish(f);
	frame_decoder_free(&f);
	assert_null(f);
	return err;
}

static void large_frame_in_order(void **state)
{
	(void)state;
	auto_buf struct buf data = {0}, frame = {0};
	fill_mixed(&data, 2 << 20, 27);
	assert_int_equal(buf_reserve(&frame, ZSTD_compressBound(data.n)), 0);
	ZSTD_CCtx *z = ZSTD_createCCtx();
	ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1);
	frame.n = ZSTD_compress2(z, frame.p, frame.cap, data.p, data.n);
	ZSTD_freeCCtx(z);
	assert_false(ZSTD_isError(frame.n));
	for (size_t piece = 1; piece < 4 * frame.n; piece *= 37) {
		auto_buf struct buf out = {0};
		assert_int_equal(run_frame(buf_bytes(&frame), piece, &out), 0);
		assert_true(bytes_equal(buf_bytes(&out), buf_bytes(&data)));
	}
	auto_buf struct buf out = {0};
	struct bytes b = buf_bytes(&frame);
	assert_int_equal(run_frame((struct bytes){b.p, b.n - 1}, 4096, &out), -EBADMSG);
	assert_int_equal(run_frame((struct bytes){b.p, 0}, 4096, &out), -EBADMSG);
	put_byte(&frame, 0);
	assert_int_equal(run_frame(buf_bytes(&frame), 4096, &out), -EBADMSG);
	assert_int_equal(run_frame(buf_bytes(&frame), frame.n, &out), -EBADMSG);
	frame.p[frame.n - 2] ^= 1;
	assert_int_equal(run_frame((struct bytes){frame.p, frame.n - 1}, 4096, &out), -EBADMSG);
}

static err_t stop(void *arg, const uint8_t *p, size_t n)
{
	(void)arg;
	(void)p;
	(void)n;
	return -ECANCELED;
}

static void frame_out_may_refuse(void **state)
{
	(void)state;
	uint8_t frame[64];
	size_t n = ZSTD_compress(frame, sizeof(frame), "abc", 3, 1);
	struct frame_decoder *f = frame_decoder_new(stop, NULL);
	assert_int_equal(frame_decoder_feed(f, frame, n), -ECANCELED);
	assert_int_equal(frame_decoder_finish(f), -ECANCELED);
	frame_decoder_free(&f);
}

static void too_few_bytes_are_refused(void **state)
{
	(void)state;
	auto_buf struct buf data = {0}, blob = {0};
	struct collected all;
	put_giant_block(&blob, (3u << 20) + 50000, 28, &data);
	assert_int_equal(collect(buf_bytes(&blob), 0, 0, &all), 0);
	for (size_t i = 0; i < all.n; i++)
		for (enum inflate_engine e = INFLATE_BEST; e <= INFLATE_ISAL; e++) {
			auto_free uint8_t *out = NULL;
			struct chunk c = all.rows[i];
			c.blob_len = c.blob_len / 2;
			struct bytes range = {blob.p + c.blob_off, c.blob_len};
			assert_int_equal(
				decode_alone(&c, range, collected_window(&all, &c), e, &out),
				-EBADMSG);
			assert_int_equal(chunk_check_blob(&c, range), -EBADMSG);
			assert_int_equal(chunk_check_blob(&all.rows[i], range), -EBADMSG);
		}
	collected_fini(&all);
}

static void rows_that_lie_are_refused(void **state)
{
	(void)state;
	static const uint8_t blob[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b, 0x04, 0x00};
	static const uint8_t window[] = {0, 3};
	struct bytes b = {blob, sizeof(blob)}, w = {window, sizeof(window)}, none = {0};
	uint8_t out[16];
	const struct chunk member = {
		.codec = CHUNK_GZIP, .stream_len = 1, .blob_len = sizeof(blob)};
	struct chunk c = member;
	assert_int_equal(chunk_decode(&c, b, none, INFLATE_BEST, out), 0);
	assert_int_equal(out[0], 'a');
#define REFUSED(change, window_)                                                                   \
	do {                                                                                       \
		c = member;                                                                        \
		change;                                                                            \
		assert_int_equal(chunk_decode(&c, b, window_, INFLATE_BEST, out), -EBADMSG);       \
	} while (0)
	REFUSED(c.stream_len = 0, none);
	REFUSED(c.stream_len = 2, none);
	REFUSED(c.stream_len = CHUNK_STREAM_MAX + 1, none);
	REFUSED(c.blob_len--, none);
	REFUSED(c.window_len = 1, none);
	REFUSED(c.codec = 9, none);
	REFUSED(c.codec = CHUNK_STORED, none);
	REFUSED(c.codec = CHUNK_ZSTD, none);
	REFUSED(c.start = 4, none);
	REFUSED(c.start = START_BLOCK; c.bit = 8, none);
	REFUSED(c.start = START_STORED; c.stored_left = 0, none);
	REFUSED(c.start = START_STORED; c.stored_left = 65536, none);
	REFUSED(c.start = START_STORED; c.stored_left = 1; c.bit = 1, none);
	REFUSED(c.start = START_STORED; c.stored_left = 1; c.final_block = 2, none);
	REFUSED(c.start = START_INSIDE; c.header_bits = 3, none);
	REFUSED(c.start = START_INSIDE; c.header_bits = 2; c.window_len = 2, w);
	REFUSED(c.start = START_INSIDE; c.header_bits = 2401; c.window_len = 2, w);
	REFUSED(c.start = START_INSIDE; c.header_bits = 3; c.window_len = 2; c.skip = 258, w);
	REFUSED(c.start = START_INSIDE; c.header_bits = 9; c.window_len = 2, w);
#undef REFUSED
	c = member;
	c.codec = CHUNK_ZSTD_INNER;
	assert_int_equal(chunk_decode(&c, b, none, INFLATE_BEST, out), -EINVAL);
	assert_int_equal(chunk_check_blob(&c, b), -EBADMSG);
}

static void change(struct chunk *c, struct buf *range, struct buf *window, uint32_t *seed)
{
	struct buf *const bufs[] = {range, window};
	for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
		for (uint32_t n = next_random(seed) % 4; n && bufs[i]->n; n--)
			bufs[i]->p[next_random(seed) % bufs[i]->n] ^=
				(uint8_t)(1 << next_random(seed) % 8);
	switch (next_random(seed) % 8) {
	case 0:
		c->start = (uint8_t)(next_random(seed) % 4);
		break;
	case 1:
		c->bit = (uint8_t)(next_random(seed) % 8);
		break;
	case 2:
		c->skip = (uint16_t)(next_random(seed) % 258);
		break;
	case 3:
		c->stored_left = next_random(seed) % 65536;
		break;
	default:
		break;
	}
}

static void hostile_bytes_do_no_harm(void **state)
{
	(void)state;
	auto_buf struct buf data = {0}, blob = {0};
	struct collected all;
	uint32_t seed = 29;
	fill_text(&data, 200000, 30);
	for (unsigned i = 0; i < 12; i++)
		put_member(&blob, &(struct member){.level = 6, .mem_level = 1 + (int)i % 9},
			   (struct bytes){data.p + i * 1000, 5000 + i * 9000});
	assert_int_equal(collect(buf_bytes(&blob), CHUNK_TARGET_MIN, 0, &all), 0);
	for (unsigned i = 0; i < 3000; i++) {
		struct chunk c = all.rows[next_random(&seed) % all.n];
		struct bytes window = collected_window(&all, &c);
		auto_buf struct buf range = {0}, w = {0};
		put(&range, blob.p + c.blob_off, c.blob_len);
		put(&w, window.p, window.n);
		change(&c, &range, &w, &seed);
		for (enum inflate_engine e = INFLATE_ZLIB; e <= INFLATE_ISAL; e++) {
			auto_free uint8_t *out = NULL;
			err_t err = decode_alone(&c, buf_bytes(&range), buf_bytes(&w), e, &out);
			assert_true(err == 0 || err == -EBADMSG);
		}
	}
	collected_fini(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_of_every_kind),
		cmocka_unit_test(contents_of_every_kind),
		cmocka_unit_test(highly_compressible),
		cmocka_unit_test(one_giant_block),
		cmocka_unit_test(chunks_across_members),
		cmocka_unit_test(plain_and_zstd),
		cmocka_unit_test(large_frame_in_order),
		cmocka_unit_test(frame_out_may_refuse),
		cmocka_unit_test(too_few_bytes_are_refused),
		cmocka_unit_test(rows_that_lie_are_refused),
		cmocka_unit_test(hostile_bytes_do_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
