/*
 * layer_build_stream: the stream alone, with chunk rows and windows that are known already, gives
 * the index that layer_build made of the blob, byte for byte; a stream that is not the one of the
 * DiffID gives none.
 */
#include "tests/unit/wire_build.h"

#include "index/layer_write.h"

static const struct wire_layer layers[] = {
	{.name = "gzip", .codec = BLOB_GZIP, .big_file = 900000, .target = CHUNK_TARGET_MIN},
	{.name = "gzip, usual chunks", .codec = BLOB_GZIP, .big_file = 900000},
	{.name = "tar", .codec = BLOB_TAR, .big_file = 300000, .target = CHUNK_TARGET_MIN},
	{.name = "frames", .codec = BLOB_ZSTD, .frame = 20000, .big_file = 300000},
	{.name = "inner", .codec = BLOB_ZSTD, .big_file = 1500000, .target = CHUNK_TARGET_MIN},
	{.name = "small", .codec = BLOB_GZIP},
	{.name = "no members", .codec = BLOB_TAR, .no_members = true},
	{.name = "no bytes", .codec = BLOB_TAR, .no_bytes = true},
};

/* The sections CHUNKS and WINDOWS of an index, raw. */
static void sections_of(const struct index *ix, struct buf *chunks, struct buf *windows)
{
	for (uint32_t i = 0; i < index_info(ix)->n_chunks; i++) {
		struct chunk c;
		auto_buf struct buf window = {0};
		index_chunk(ix, i, &c);
		assert_int_equal(index_chunk_window(ix, &c, &window), 0);
		put_raw(windows, window.p, window.n);
		assert_int_equal(layer_write_chunk(chunks, &c), 0);
	}
}

/* From a stream in pieces to an index file; `info` is what is to be recorded. */
static err_t build(struct bytes stream, size_t piece, const struct wire_world *w,
		   const struct index_info *info, struct buf *out, struct diag *d)
{
	auto_buf struct buf chunks = {0}, windows = {0};
	struct layer_build *b = layer_build_stream(info->diff_id.alg);
	err_t err = 0;
	sections_of(w->ix, &chunks, &windows);
	for (size_t at = 0; at < stream.n && !err; at += piece)
		err = layer_build_feed_stream(b, stream.p + at, min_of(piece, stream.n - at), d);
	if (!err)
		err = layer_build_finish_stream(b, info, buf_bytes(&chunks), buf_bytes(&windows),
						out, d);
	layer_build_free(&b);
	assert_null(b);
	return err;
}

static void check_same(const struct wire_world *w, size_t piece)
{
	auto_buf struct buf file = {0};
	struct diag d = DIAG_INIT;
	if (build(buf_bytes(&w->stream), piece, w, index_info(w->ix), &file, &d))
		fail_msg("%s", d.text);
	assert_int_equal(file.n, w->file.n);
	assert_memory_equal(file.p, w->file.p, file.n);
}

static void the_same_index(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(layers); i++) {
		struct wire_world w;
		wire_world_make(&layers[i], &w);
		check_same(&w, SIZE_MAX / 2);
		check_same(&w, 512);
		check_same(&w, 4999);
		if (w.stream.n < 100000)
			check_same(&w, 1);
		wire_world_free(&w);
	}
}

/* Both digests may be SHA-512. */
static void sha512(void **state)
{
	(void)state;
	struct wire_world w;
	struct layer_build_options options = {.blob_alg = DIGEST_SHA512, .diff_alg = DIGEST_SHA512};
	struct digest blob, diff;
	wire_world_make(&layers[5], &w);
	index_close(&w.ix);
	w.file.n = 0;
	digest_of(DIGEST_SHA512, w.blob.p, w.blob.n, &blob);
	digest_of(DIGEST_SHA512, w.stream.p, w.stream.n, &diff);
	struct layer_build *b = layer_build_new(&options);
	assert_int_equal(layer_build_feed(b, w.blob.p, w.blob.n, NULL), 0);
	assert_int_equal(layer_build_finish(b, &blob, w.blob.n, &diff, &w.file, NULL), 0);
	layer_build_free(&b);
	w.ix = wire_open(&w.file);
	check_same(&w, 512);
	wire_world_free(&w);
}

static void check_refused(const struct wire_world *w, struct bytes stream,
			  const struct index_info *info, const char *text)
{
	auto_buf struct buf file = {0};
	struct diag d = DIAG_INIT;
	err_t err = build(stream, 1000, w, info, &file, &d);
	if (err != -EBADMSG || !strstr(d.text, text))
		fail_msg("%d '%s' lacks '%s'", err, d.text, text);
	assert_int_equal(d.cls, ERR_INTEGRITY);
	assert_int_equal(file.n, 0);
}

static void another_diff_id(void **state)
{
	(void)state;
	struct wire_world w;
	wire_world_make(&layers[5], &w);
	struct index_info info = *index_info(w.ix);
	char text[DIGEST_TEXT_MAX], found[DIGEST_TEXT_MAX];
	info.diff_id.b[0] ^= 1;
	auto_free char *reason =
		xasprintf("DiffID: expected %s, found %s", digest_text(&info.diff_id, text),
			  digest_text(&w.diff_id, found));
	check_refused(&w, buf_bytes(&w.stream), &info, reason);
	/* A byte of a file: the same tree but for a digest. */
	info = *index_info(w.ix);
	w.stream.p[1024] ^= 1;
	check_refused(&w, buf_bytes(&w.stream), &info, "DiffID: expected");
	/* The digest of the same stream by another algorithm is another DiffID. */
	w.stream.p[1024] ^= 1;
	digest_of(DIGEST_SHA512, "x", 1, &info.diff_id);
	check_refused(&w, buf_bytes(&w.stream), &info, "DiffID: expected sha512:");
	wire_world_free(&w);
}

static void another_size(void **state)
{
	(void)state;
	struct wire_world w;
	wire_world_make(&layers[5], &w);
	struct index_info info = *index_info(w.ix);
	info.stream_size++;
	check_refused(&w, buf_bytes(&w.stream), &info, "size of the stream: expected");
	info.stream_size -= 2;
	check_refused(&w, buf_bytes(&w.stream), &info, "size of the stream: expected");
	info = *index_info(w.ix);
	check_refused(&w, (struct bytes){0}, &info, "size of the stream: expected");
	/* Zeroes behind an archive do not change what it holds. */
	assert_int_equal(buf_append_zeros(&w.stream, 512), 0);
	check_refused(&w, buf_bytes(&w.stream), &info, "size of the stream: expected");
	w.stream.n -= 1024; /* one block less than the archive had */
	check_refused(&w, buf_bytes(&w.stream), &info, "size of the stream: expected");
	wire_world_free(&w);
}

/* What the tar reader refuses comes first. */
static void no_archive(void **state)
{
	(void)state;
	struct wire_world w;
	wire_world_make(&layers[5], &w);
	struct index_info info = *index_info(w.ix);
	uint8_t noise[2048];
	wire_fill(noise, sizeof(noise), 3);
	check_refused(&w, (struct bytes){noise, sizeof(noise)}, &info, "");
	/* Cut inside a file, with the DiffID and the size of what is left. */
	info.stream_size = 1024 + 3;
	digest_of(DIGEST_SHA256, w.stream.p, 1024 + 3, &info.diff_id);
	check_refused(&w, (struct bytes){w.stream.p, 1024 + 3}, &info, "ends inside a member");
	wire_world_free(&w);
}

/* Given up at any point: nothing is left behind. */
static void given_up(void **state)
{
	(void)state;
	struct wire_world w;
	wire_world_make(&layers[5], &w);
	for (size_t n = 0; n < w.stream.n; n += 300) {
		struct layer_build *b = layer_build_stream(DIGEST_NONE);
		assert_int_equal(n ? layer_build_feed_stream(b, w.stream.p, n, NULL) : 0, 0);
		layer_build_free(&b);
	}
	wire_world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_index),  cmocka_unit_test(sha512),
		cmocka_unit_test(another_diff_id), cmocka_unit_test(another_size),
		cmocka_unit_test(no_archive),	   cmocka_unit_test(given_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
