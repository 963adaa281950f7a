/*
 * chunker: where gzip and plain blobs are cut, what is accepted, what is refused, and that nothing
 * depends on how the blob was fed. That chunks decode to the right bytes is test_decode's part.
 */
#include "tests/unit/chunk_collect.h"
#include "tests/unit/gzip_build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const struct member plain_member = {.level = 6};

static void collect_ok(struct bytes blob, uint32_t target, size_t piece, struct collected *c)
{
	err_t err = collect(blob, target, piece, c);
	if (err)
		print_error("%d: %s\n", err, c->d.text);
	assert_int_equal(err, 0);
}

static void assert_refused(struct bytes blob, err_t want, enum err_class cls, const char *word)
{
	static const size_t pieces[] = {0, 1, 1000};
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		struct collected c;
		assert_int_equal(collect(blob, 0, pieces[i], &c), want);
		assert_int_equal(c.d.cls, cls);
		assert_non_null(strstr(c.d.text, word));
		collected_fini(&c);
	}
}

/* gzip: ranges cover the blob, neighbours share a few bytes at most. */
static void assert_covers(const struct collected *c, size_t blob_n)
{
	uint64_t end = 0;
	for (size_t i = 0; i < c->n; i++) {
		const struct chunk *r = &c->rows[i];
		assert_true(r->blob_off <= end && end - r->blob_off <= 8);
		assert_true(r->blob_len > 0 && r->blob_off + r->blob_len > end);
		end = r->blob_off + r->blob_len;
	}
	assert_int_equal(end, c->n ? blob_n : 0);
}

static void assert_same(const struct collected *a, const struct collected *b)
{
	assert_int_equal(a->n, b->n);
	assert_memory_equal(a->rows, b->rows, a->n * sizeof(*a->rows));
	assert_true(bytes_equal(buf_bytes(&a->windows), buf_bytes(&b->windows)));
	assert_true(bytes_equal(buf_bytes(&a->stream), buf_bytes(&b->stream)));
}

static void assert_feed_does_not_matter(struct bytes blob, uint32_t target)
{
	static const size_t pieces[] = {1, 7, 4096, 32769, 100000};
	struct collected whole, fed;
	collect_ok(blob, target, 0, &whole);
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		collect_ok(blob, target, pieces[i], &fed);
		assert_same(&whole, &fed);
		collected_fini(&fed);
	}
	collected_fini(&whole);
}

static void blocks_are_cut_behind_the_target(void **state)
{
	(void)state;
	auto_buf struct buf data = {0}, blob = {0};
	struct collected c;
	fill_mixed(&data, 3 << 20, 1);
	put_member(&blob, &plain_member, buf_bytes(&data));
	collect_ok(buf_bytes(&blob), 64 << 10, 0, &c);
	assert_int_equal(c.codec, BLOB_GZIP);
	assert_true(bytes_equal(buf_bytes(&c.stream), buf_bytes(&data)));
	assert_covers(&c, blob.n);
	assert_int_equal(c.rows[0].start, START_MEMBER);
	assert_true(c.n > 5);
	for (size_t i = 0; i + 1 < c.n; i++) {
		assert_true(c.rows[i].stream_len >= 64 << 10);
		assert_true(c.rows[i].window_len < GZIP_WINDOW);
	}
	collected_fini(&c);
}

static void long_blocks_are_cut_inside(void **state)
{
	(void)state;
	auto_buf struct buf data = {0}, blob = {0};
	struct collected c;
	put_giant_block(&blob, (3u << 20) + 500, 3, &data);
	collect_ok(buf_bytes(&blob), 0, 0, &c);
	assert_true(bytes_equal(buf_bytes(&c.stream), buf_bytes(&data)));
	assert_covers(&c, blob.n);
	assert_int_equal(c.n, 4);
	for (size_t i = 1; i < c.n; i++) {
		assert_int_equal(c.rows[i].start, START_INSIDE);
		assert_int_equal(c.rows[i].header_bits, 3);
		assert_int_equal(c.rows[i].final_block, 1);
		assert_int_equal(c.rows[i].stream_off, i << 20);
	}
	collected_fini(&c);
}

/* zeroes: one code gives 258 bytes, so nearly every cut lies inside a code. */
static void codes_are_cut_inside(void **state)
{
	(void)state;
	auto_buf struct buf data = {0}, blob = {0};
	struct collected c;
	assert_int_equal(buf_append_zeros(&data, (6 << 20) + 1), 0);
	put_member(&blob, &(struct member){.level = 9, .mem_level = 9}, buf_bytes(&data));
	collect_ok(buf_bytes(&blob), 0, 0, &c);
	assert_covers(&c, blob.n);
	assert_int_equal(c.n, 7);
	for (size_t i = 1; i < c.n; i++) {
		assert_int_equal(c.rows[i].start, START_INSIDE);
		assert_true(c.rows[i].header_bits > 17 && c.rows[i].skip < 258);
	}
	assert_true(c.rows[1].skip || c.rows[2].skip);
	collected_fini(&c);
}

static void stored_blocks_are_cut_inside(void **state)
{
	(void)state;
	auto_buf struct buf data = {0}, blob = {0};
	struct collected c;
	fill_random(&data, 5 << 19, 4);
	put_member(&blob, &(struct member){.level = 0}, buf_bytes(&data));
	collect_ok(buf_bytes(&blob), CHUNK_STREAM_MAX, 0, &c);
	assert_covers(&c, blob.n);
	assert_int_equal(c.n, 3);
	for (size_t i = 1; i < c.n; i++) {
		assert_int_equal(c.rows[i].start, START_STORED);
		assert_in_range(c.rows[i].stored_left, 1, 65535);
		assert_int_equal(c.rows[i].window_len, 0);
	}
	collected_fini(&c);
}

static void members_need_no_window(void **state)
{
	(void)state;
	auto_buf struct buf data = {0}, blob = {0};
	struct collected c;
	fill_text(&data, 1 << 20, 5);
	for (size_t at = 0; at < data.n; at += 5000)
		put_member(&blob, &(struct member){.level = 6, .flags = at / 5000 % 32},
			   (struct bytes){data.p + at, min_of((size_t)5000, data.n - at)});
	collect_ok(buf_bytes(&blob), CHUNK_TARGET_MIN, 0, &c);
	assert_true(bytes_equal(buf_bytes(&c.stream), buf_bytes(&data)));
	assert_covers(&c, blob.n);
	assert_int_equal(c.windows.n, 0);
	for (size_t i = 0; i + 1 < c.n; i++) {
		assert_int_equal(c.rows[i].start, START_MEMBER);
		assert_int_equal(c.rows[i].stream_len, 20000);
	}
	collected_fini(&c);
}

/* Empty blocks and members behind a cut belong to the chunk before; so does padding. */
static void empty_parts_make_no_chunk(void **state)
{
	(void)state;
	auto_buf struct buf data = {0}, blob = {0};
	struct collected c;
	fill_random(&data, CHUNK_TARGET_MIN, 6);
	struct bytes all = buf_bytes(&data), none = {0};
	struct member flushed = {.level = 6, .flush_every = all.n, .flush = Z_FULL_FLUSH};
	put_member(&blob, &plain_member, none);
	put_member(&blob, &flushed, all);
	put_member(&blob, &plain_member, none);
	put_member(&blob, &plain_member, none);
	size_t second = blob.n;
	put_member(&blob, &flushed, all);
	put_member(&blob, &plain_member, none);
	assert_int_equal(buf_append_zeros(&blob, 200000), 0);
	collect_ok(buf_bytes(&blob), CHUNK_TARGET_MIN, 0, &c);
	assert_int_equal(c.n, 2);
	assert_covers(&c, blob.n);
	assert_int_equal(c.rows[1].blob_off, second);
	assert_int_equal(c.rows[0].blob_len, second);
	assert_int_equal(c.rows[1].start, START_MEMBER);
	collected_fini(&c);
	assert_feed_does_not_matter(buf_bytes(&blob), CHUNK_TARGET_MIN);
}

static void feed_sizes_do_not_matter(void **state)
{
	(void)state;
	static const struct member members[] = {
		{.level = 1},
		{.level = 9, .mem_level = 9, .flags = 31},
		{.level = 6, .strategy = Z_FIXED},
		{.level = 6, .strategy = Z_HUFFMAN_ONLY},
		{.level = 6, .flush_every = 3000, .flush = Z_SYNC_FLUSH},
		{.level = 0, .flush_every = 50, .flush = Z_BLOCK},
	};
	auto_buf struct buf data = {0};
	fill_mixed(&data, 400000, 7);
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		auto_buf struct buf blob = {0};
		put_member(&blob, &members[i], buf_bytes(&data));
		put_member(&blob, &members[0], buf_bytes(&data));
		assert_feed_does_not_matter(buf_bytes(&blob), CHUNK_TARGET_MIN);
	}
}

static void feed_sizes_do_not_matter_inside_blocks(void **state)
{
	(void)state;
	auto_buf struct buf data = {0}, giant = {0}, zeros = {0}, stored = {0};
	put_giant_block(&giant, (1u << 20) + 5000, 8, &data);
	assert_feed_does_not_matter(buf_bytes(&giant), 0);
	put_member(&stored, &(struct member){.level = 0}, buf_bytes(&data));
	assert_feed_does_not_matter(buf_bytes(&stored), CHUNK_STREAM_MAX);
	data.n = 0;
	assert_int_equal(buf_append_zeros(&data, 3 << 20), 0);
	put_member(&zeros, &plain_member, buf_bytes(&data));
	assert_feed_does_not_matter(buf_bytes(&zeros), 0);
}

/* Blocks that are worth the faster engine, with all that it leaves to zlib between them: empty
 * blocks of each kind, stored ones, one whose output does not fit, the member's last. */
static void large_blocks_between_others(void **state)
{
	(void)state;
	static const int flushes[] = {Z_BLOCK, Z_PARTIAL_FLUSH, Z_SYNC_FLUSH, Z_FULL_FLUSH};
	auto_buf struct buf data = {0}, blob = {0};
	struct collected c;
	z_stream z = {0};
	fill_text(&data, 600000, 21);
	assert_int_equal(buf_append_zeros(&data, 2 << 20), 0);
	fill_text(&data, data.n + 400000, 22);
	put_header(&blob, 0);
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, -15, 8, 0), Z_OK);
	for (size_t at = 0, i = 0, n; at < data.n; at += n, i++) {
		n = min_of((size_t)(i % 5 == 4 ? 300 : 90000), data.n - at);
		if (i % 7 == 3)
			put(&blob, "\0\0\0\xff\xff\0\0\0\xff\xff", 10);
		deflate_some(&z, (struct bytes){data.p + at, n}, flushes[i % 4], &blob);
		/* Bytes may be put between only where the stream stands at one. */
		deflate_some(&z, (struct bytes){0}, Z_SYNC_FLUSH, &blob);
	}
	deflate_some(&z, (struct bytes){0}, Z_FINISH, &blob);
	deflateEnd(&z);
	put_trailer(&blob, buf_bytes(&data));
	put_member(&blob, &plain_member, (struct bytes){data.p, 200000});
	collect_ok(buf_bytes(&blob), 64 << 10, 0, &c);
	assert_memory_equal(c.stream.p, data.p, data.n);
	assert_covers(&c, blob.n);
	collected_fini(&c);
	assert_feed_does_not_matter(buf_bytes(&blob), 64 << 10);
	/* A broken block is zlib's to judge, and what it says does not depend on the engine. */
	for (size_t at = 2000; at < 30000; at += 1999) {
		blob.p[at] ^= 0x10;
		assert_int_equal(collect(buf_bytes(&blob), 0, 0, &c), -EBADMSG);
		assert_non_null(strstr(c.d.text, "gzip: "));
		collected_fini(&c);
		blob.p[at] ^= 0x10;
	}
}

/* A chunk that ends exactly where its block does, at the largest size there is. */
static void a_full_chunk_may_end_with_its_block(void **state)
{
	(void)state;
	auto_buf struct buf data = {0}, blob = {0};
	struct collected c;
	fill_far(&data, 2 << 20, 9);
	put_member(&blob,
		   &(struct member){.level = 6, .flush_every = 1 << 20, .flush = Z_FULL_FLUSH},
		   buf_bytes(&data));
	collect_ok(buf_bytes(&blob), CHUNK_STREAM_MAX, 0, &c);
	assert_int_equal(c.n, 2);
	assert_int_equal(c.rows[0].stream_len, 1 << 20);
	assert_int_equal(c.rows[1].start, START_BLOCK);
	assert_int_equal(c.rows[1].window_len, 0);
	collected_fini(&c);
	assert_feed_does_not_matter(buf_bytes(&blob), CHUNK_STREAM_MAX);
}

/* Where 32 KiB of output need more compressed bytes than are kept, the whole window counts as used.
 */
static void rows_of_empty_blocks(void **state)
{
	(void)state;
	auto_buf struct buf data = {0}, blob = {0};
	struct collected c;
	fill_text(&data, 60000, 10);
	put_header(&blob, 0);
	z_stream z = {0};
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, -15, 8, 0), Z_OK);
	for (size_t at = 0; at < data.n; at += 20000) {
		deflate_some(&z, (struct bytes){data.p + at, 20000}, Z_SYNC_FLUSH, &blob);
		for (unsigned i = 0; i < 70000; i++)
			put(&blob, "\0\0\0\xff\xff", 5);
	}
	deflate_some(&z, (struct bytes){0}, Z_FINISH, &blob);
	deflateEnd(&z);
	put_trailer(&blob, buf_bytes(&data));
	collect_ok(buf_bytes(&blob), CHUNK_TARGET_MIN, 0, &c);
	assert_covers(&c, blob.n);
	assert_int_equal(c.n, 3);
	collected_fini(&c);
	assert_feed_does_not_matter(buf_bytes(&blob), CHUNK_TARGET_MIN);
}

/* 32 KiB of a chunk's output are there just before, at and behind the end of what is kept of its
 * compressed bytes (256 KiB): which comes first must not depend on the pieces. */
static void the_head_ends_at_the_same_byte(void **state)
{
	(void)state;
	auto_buf struct buf data = {0};
	fill_text(&data, 70000, 14);
	fill_random(&data, 100000, 15);
	for (size_t left = 500; left < 20000; left += 1500) {
		auto_buf struct buf blob = {0};
		z_stream z = {0};
		put_header(&blob, 0);
		assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, -15, 8, 0), Z_OK);
		deflate_some(&z, (struct bytes){data.p, 50000}, Z_SYNC_FLUSH, &blob);
		size_t begin = blob.n;
		deflate_some(&z, (struct bytes){data.p + 50000, 20000}, Z_SYNC_FLUSH, &blob);
		while (blob.n - begin < (256u << 10) - left)
			put(&blob, "\0\0\0\xff\xff", 5);
		deflate_some(&z, (struct bytes){data.p + 70000, 30000}, Z_FINISH, &blob);
		deflateEnd(&z);
		put_trailer(&blob, buf_bytes(&data));
		assert_feed_does_not_matter(buf_bytes(&blob), 45000);
	}
}

static void broken_gzip_is_refused(void **state)
{
	(void)state;
	auto_buf struct buf data = {0}, blob = {0};
	fill_text(&data, 50000, 11);
	put_member(&blob, &plain_member, buf_bytes(&data));
	struct bytes b = buf_bytes(&blob);
	for (size_t n = 2; n < b.n; n += n < 40 || n > b.n - 40 ? 1 : 997)
		assert_refused((struct bytes){b.p, n}, -EBADMSG, ERR_INTEGRITY, "ends inside");
	blob.p[b.n - 8] ^= 1;
	assert_refused(b, -EBADMSG, ERR_INTEGRITY, "CRC-32");
	blob.p[b.n - 8] ^= 1;
	blob.p[b.n - 1] ^= 1;
	assert_refused(b, -EBADMSG, ERR_INTEGRITY, "length");
	blob.p[b.n - 1] ^= 1;
	blob.p[10] |= 6; /* block type 3 */
	assert_refused(b, -EBADMSG, ERR_INTEGRITY, "invalid block type");
	blob.p[2] = 9;
	assert_refused(b, -EBADMSG, ERR_INTEGRITY, "bad header");
}

static void garbage_behind_members_is_refused(void **state)
{
	(void)state;
	auto_buf struct buf data = {0}, blob = {0};
	fill_text(&data, 50000, 12);
	put_member(&blob, &plain_member, buf_bytes(&data));
	size_t end = blob.n;
	put_byte(&blob, 'x');
	assert_refused(buf_bytes(&blob), -EBADMSG, ERR_INTEGRITY, "neither a member nor zero");
	blob.n = end;
	assert_int_equal(buf_append_zeros(&blob, 1000), 0);
	put_header(&blob, 0);
	assert_refused(buf_bytes(&blob), -EBADMSG, ERR_INTEGRITY, "other than zeroes");
	blob.n = end;
	put(&blob, "\x1f\x8b\x08", 3);
	assert_refused(buf_bytes(&blob), -EBADMSG, ERR_INTEGRITY, "ends inside");
	/* A distance that reaches into the member before. */
	blob.n = end;
	put_header(&blob, 0);
	put(&blob, "\x03\x02\0", 3);
	put_trailer(&blob, (struct bytes){data.p, 3});
	assert_refused(buf_bytes(&blob), -EBADMSG, ERR_INTEGRITY, "too far back");
}

static void a_blob_without_output_is_stopped(void **state)
{
	(void)state;
	auto_buf struct buf blob = {0};
	struct diag d = DIAG_INIT;
	struct collected c = {0};
	static const struct chunker_sink sink = {collect_stream, collect_window, collect_chunk,
						 collect_inner};
	static uint8_t zeros[1 << 20];
	struct chunker *ck = chunker_new(0, &sink, &c);
	put_member(&blob, &plain_member, BYTES_STR("some bytes"));
	err_t err = chunker_feed(ck, blob.p, blob.n, &d);
	for (unsigned mib = 0; !err && mib < 100; mib++)
		err = chunker_feed(ck, zeros, sizeof(zeros), &d);
	assert_int_equal(err, -EBADMSG);
	/* It stays refused. */
	assert_int_equal(chunker_feed(ck, zeros, 1, &d), -EBADMSG);
	assert_int_equal(chunker_finish(ck, &d), -EBADMSG);
	chunker_free(&ck);
	collected_fini(&c);
}

static void plain_blobs(void **state)
{
	(void)state;
	auto_buf struct buf data = {0};
	struct collected c;
	fill_random(&data, 100000, 13);
	data.p[0] = 'd';
	collect_ok(buf_bytes(&data), 40000, 0, &c);
	assert_int_equal(c.codec, BLOB_TAR);
	assert_int_equal(c.n, 3);
	assert_int_equal(c.rows[2].stream_len, 20000);
	assert_int_equal(c.rows[2].blob_off, 80000);
	assert_int_equal(c.rows[2].codec, CHUNK_STORED);
	collected_fini(&c);
	assert_feed_does_not_matter(buf_bytes(&data), 40000);
	collect_ok((struct bytes){data.p, 80000}, 40000, 0, &c);
	assert_int_equal(c.n, 2);
	collected_fini(&c);
	for (size_t n = 0; n < 12; n++) {
		collect_ok((struct bytes){data.p, n}, 0, 1, &c);
		assert_int_equal(c.n, n > 0);
		assert_int_equal(c.stream.n, n);
		collected_fini(&c);
	}
}

static void foreign_compression_is_named(void **state)
{
	(void)state;
	struct collected c;
	assert_refused((struct bytes){(const uint8_t *)"\xfd"
						       "7zXZ\0\0\4\xe6\xd6\xb4\x46",
				      12},
		       -ENOTSUP, ERR_UNSUPPORTED, "xz");
	assert_refused((struct bytes){(const uint8_t *)"\xfd"
						       "7zXZ\0",
				      6},
		       -ENOTSUP, ERR_UNSUPPORTED, "xz");
	assert_refused(BYTES_STR("BZh91AY&SYabcdef"), -ENOTSUP, ERR_UNSUPPORTED, "bzip2");
	assert_refused(BYTES_STR("BZh9\x17\x72\x45\x38\x50\x90"), -ENOTSUP, ERR_UNSUPPORTED,
		       "bzip2");
	collect_ok(BYTES_STR("BZh9 is the name of a file"), 0, 1, &c);
	assert_int_equal(c.codec, BLOB_TAR);
	collected_fini(&c);
}

static err_t refuse_stream(void *arg, const uint8_t *p, size_t n, struct diag *d)
{
	(void)arg;
	(void)p;
	(void)n;
	(void)d;
	return -ENOSPC;
}

static void the_sink_may_refuse(void **state)
{
	(void)state;
	static const struct chunker_sink sink = {refuse_stream, collect_window, collect_chunk,
						 NULL};
	struct chunker *ck = chunker_new(0, &sink, NULL);
	assert_int_equal(chunker_feed(ck, (const uint8_t *)"some tar, or so", 15, NULL), -ENOSPC);
	assert_int_equal(chunker_finish(ck, NULL), -ENOSPC);
	chunker_free(&ck);
	chunker_free(&ck);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_are_cut_behind_the_target),
		cmocka_unit_test(long_blocks_are_cut_inside),
		cmocka_unit_test(codes_are_cut_inside),
		cmocka_unit_test(stored_blocks_are_cut_inside),
		cmocka_unit_test(members_need_no_window),
		cmocka_unit_test(empty_parts_make_no_chunk),
		cmocka_unit_test(feed_sizes_do_not_matter),
		cmocka_unit_test(feed_sizes_do_not_matter_inside_blocks),
		cmocka_unit_test(large_blocks_between_others),
		cmocka_unit_test(a_full_chunk_may_end_with_its_block),
		cmocka_unit_test(rows_of_empty_blocks),
		cmocka_unit_test(the_head_ends_at_the_same_byte),
		cmocka_unit_test(broken_gzip_is_refused),
		cmocka_unit_test(garbage_behind_members_is_refused),
		cmocka_unit_test(a_blob_without_output_is_stopped),
		cmocka_unit_test(plain_blobs),
		cmocka_unit_test(foreign_compression_is_named),
		cmocka_unit_test(the_sink_may_refuse),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
