/*
 * Golden dumps: the text form and the canonical digest of indexes that never change. Any change of
 * a rule, of the format or of what a chunk needs shows as a difference in tests/golden. To accept
 * one: IMGFS_UPDATE_GOLDEN=1 and read the diff.
 */
#include "tests/unit/layer_text.h"

#include "index/dump.h"

static char *golden_path(const char *name)
{
	const char *source = getenv("IMGFS_SOURCE");
	return xasprintf("%s/tests/golden/%s", source ? source : ".", name);
}

static void read_golden(const char *name, struct buf *out)
{
	auto_free char *path = golden_path(name);
	err_t err = read_file(path, 1u << 20, out);
	if (err)
		fail_msg("%s: %s (IMGFS_SOURCE)", path, strerror(-err));
}

/* The index of a blob, whose digests are whatever its bytes give. */
static void index_of_blob(const struct buf *blob, struct buf *file)
{
	struct layer_build_options options = {.chunk_target = CHUNK_TARGET_MIN};
	struct layer_build *b = layer_build_new(&options);
	struct digest digest, unknown = {0};
	struct diag d = DIAG_INIT;
	digest_of(DIGEST_SHA256, blob->p, blob->n, &digest);
	if (layer_build_feed(b, blob->p, blob->n, &d) ||
	    layer_build_finish(b, &digest, blob->n, &unknown, file, &d))
		fail_msg("%s", d.text);
	layer_build_free(&b);
}

static char *dump_text(const struct index *ix)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	struct digest digest;
	char digits[DIGEST_TEXT_MAX];
	assert_int_equal(index_dump(ix, out), 0);
	assert_int_equal(index_canonical_digest(ix, &digest), 0);
	fprintf(out, "canonical %s\n", digest_text(&digest, digits));
	fclose(out);
	return text;
}

static void compare(const struct index *ix, const char *name)
{
	auto_free char *text = dump_text(ix);
	auto_buf struct buf want = {0};
	if (getenv("IMGFS_UPDATE_GOLDEN")) {
		auto_free char *path = golden_path(name);
		FILE *f = fopen(path, "w");
		assert_non_null(f);
		fputs(text, f);
		fclose(f);
	}
	read_golden(name, &want);
	if (want.n != strlen(text) || memcmp(want.p, text, want.n) != 0)
		fail_msg("%s differs; the dump is now:\n%s", name, text);
}

static void check_blob(const char *blob_name, const char *dump_name)
{
	auto_buf struct buf blob = {0}, file = {0};
	struct index *ix;
	read_golden(blob_name, &blob);
	index_of_blob(&blob, &file);
	assert_int_equal(index_open_bytes(buf_bytes(&file), &ix, NULL), 0);
	compare(ix, dump_name);
	index_close(&ix);
}

static void test_gzip(void **state)
{
	(void)state;
	check_blob("layer.tar.gz", "layer.tar.gz.dump");
}

static void test_zstd(void **state)
{
	(void)state;
	check_blob("layer.tar.zst", "layer.tar.zst.dump");
}

/* Three layers in words, laid over each other. */
static void test_image(void **state)
{
	(void)state;
	static const char base[] = "d usr\nd usr/bin\nf%4755 usr/bin/su setuid\ns bin usr/bin\n"
				   "d etc\nf etc/a 1\nf etc/b 22\nc null 1 3";
	static const char *const texts[] = {
		base,
		"w etc/.wh.a\nh usr/bin/ping usr/bin/su\nf opt/x/y new",
		"w opt/x/.wh..wh..opq\nf opt/x/z newer\nf bin/tool below-a-symlink",
	};
	struct buf files[3] = {0}, merged = {0};
	struct index *layers[3], *ix;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_int_equal(index_of_text(texts[i], &files[i], NULL), 0);
		assert_int_equal(index_open_bytes(buf_bytes(&files[i]), &layers[i], NULL), 0);
	}
	compare(layers[2], "words.dump");
	assert_int_equal(merge_layers((const struct index *const *)layers, 3, &merged, NULL), 0);
	assert_int_equal(index_open_bytes(buf_bytes(&merged), &ix, NULL), 0);
	compare(ix, "image.dump");
	index_close(&ix);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		index_close(&layers[i]);
		buf_fini(&files[i]);
	}
	buf_fini(&merged);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gzip),
		cmocka_unit_test(test_zstd),
		cmocka_unit_test(test_image),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
