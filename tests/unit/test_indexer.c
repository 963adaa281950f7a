/*
 * The indexer: kept blobs stand in for the source, one that lies is dropped, and nothing is kept
 * that has not been proved.
 */
#include "tests/unit/image_build.h"

#include "fetch/indexer.h"
#include "fetch/log.h"

#include <zlib.h>

struct fixture {
	char *layout, *store_dir;
	struct store *store;
	struct source *source;
	struct blob blob;
	struct layer_desc layer;
};

static int set_up(void **state)
{
	struct fixture *f = new_of(struct fixture);
	log_set_level(LOG_LEVEL_ERROR);
	f->layout = layout_new();
	f->store_dir = new_tree();
	struct diag d = DIAG_INIT;
	assert_outcome("store", store_open(f->store_dir, &f->store, &d), 0, &d, NULL);
	struct ref ref = {.kind = REF_OCI_LAYOUT, .dir = f->layout, .number = -1};
	assert_outcome("layout", layout_source_new(&ref, &f->source, &d), 0, &d, NULL);
	f->blob = put_layer(f->layout, "file", "content");
	f->layer.desc.digest = f->layer.diff_id = f->blob.value;
	f->layer.desc.size = f->blob.size;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	source_free(&f->source);
	store_close(&f->store);
	remove_tree(&f->layout);
	remove_tree(&f->store_dir);
	free(f);
	return 0;
}

static struct indexer_job job_of(struct fixture *f)
{
	return (struct indexer_job){
		.store = f->store, .source = f->source, .layer = &f->layer, .keep_blob = true};
}

static bool is_kept(struct fixture *f)
{
	auto_fd int fd = store_blob_open(f->store, &f->blob.value, f->blob.size);
	return fd >= 0;
}

static void keep(struct fixture *f, const void *p, size_t n)
{
	struct blob_writer *w;
	assert_int_equal(store_blob_create(f->store, &f->blob.value, &w), 0);
	blob_writer_write(w, p, n);
	assert_int_equal(blob_writer_commit(&w), 0);
}

static void run(const struct indexer_job *job, err_t err, const char *part)
{
	struct buf file = {0};
	struct diag d = DIAG_INIT;
	assert_outcome("indexer_run", indexer_run(job, &file, &d), err, &d, part);
	if (!err) {
		struct index *ix = NULL;
		assert_int_equal(index_open_bytes(buf_bytes(&file), &ix, NULL), 0);
		assert_int_equal(index_info(ix)->n_regular, 1);
		index_close(&ix);
	}
	buf_fini(&file);
}

/* Streamed once, kept, and the source is not needed any more. */
static void kept_after_streaming(void **state)
{
	struct fixture *f = *state;
	struct indexer_job job = job_of(f);
	run(&job, 0, NULL);
	assert_true(is_kept(f));
	job.source = NULL;
	run(&job, 0, NULL);
	remove_under(f->layout, f->blob.path);
	job.source = f->source;
	run(&job, 0, NULL);
}

static void kept_only_on_request(void **state)
{
	struct fixture *f = *state;
	struct indexer_job job = job_of(f);
	job.keep_blob = false;
	run(&job, 0, NULL);
	assert_false(is_kept(f));
	job.source = NULL;
	run(&job, -ENOENT, "may not be fetched");
}

static void kept_blob_that_lies(void **state)
{
	struct fixture *f = *state;
	struct indexer_job job = job_of(f);
	auto_free uint8_t *zeros = xcalloc(1, f->blob.size);
	auto_free uint8_t *xz = xcalloc(1, f->blob.size);
	memcpy(xz,
	       "\xfd"
	       "7zXZ\0",
	       6);
	const uint8_t *const lies[] = {zeros, xz};
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		keep(f, lies[i], f->blob.size);
		assert_true(is_kept(f));
		run(&job, 0, NULL);
		assert_true(is_kept(f)); /* the right one, now */
		job.source = NULL;
		run(&job, 0, NULL);
		job.source = f->source;
		store_blob_drop(f->store, &f->blob.value);
	}
	/* Without a source the lie is dropped all the same. */
	keep(f, zeros, f->blob.size);
	job.source = NULL;
	run(&job, -ENOENT, "may not be fetched");
	assert_false(is_kept(f));
}

static void kept_blob_of_other_size(void **state)
{
	struct fixture *f = *state;
	struct indexer_job job = job_of(f);
	keep(f, "short", 5);
	run(&job, 0, NULL);
	assert_true(is_kept(f));
}

static void unproved_is_not_kept(void **state)
{
	struct fixture *f = *state;
	struct indexer_job job = job_of(f);
	f->layer.diff_id.b[0] ^= 1;
	run(&job, -EBADMSG, NULL);
	assert_false(is_kept(f));
	f->layer.diff_id.b[0] ^= 1;
	auto_free uint8_t *zeros = xcalloc(1, f->blob.size);
	write_under(f->layout, f->blob.path, zeros, f->blob.size);
	run(&job, -EBADMSG, NULL);
	assert_false(is_kept(f));
}

static void cancelled(void **state)
{
	struct fixture *f = *state;
	struct indexer_job job = job_of(f);
	atomic_bool stop = true;
	job.cancelled = &stop;
	run(&job, -ECANCELED, "interrupted");
	assert_false(is_kept(f));
	/* A kept blob is not blamed for it. */
	job.cancelled = NULL;
	run(&job, 0, NULL);
	job.cancelled = &stop;
	run(&job, -ECANCELED, "interrupted");
	assert_true(is_kept(f));
}

/* set_layer - the fixture's layer becomes this blob, whose stream is `tar`. */
static void set_layer(struct fixture *f, struct bytes blob, struct bytes tar)
{
	f->blob = layout_put(f->layout, blob.p, blob.n);
	f->layer.desc.digest = f->blob.value;
	f->layer.desc.size = f->blob.size;
	digest_of(DIGEST_SHA256, tar.p, tar.n, &f->layer.diff_id);
}

static void compress_into(struct buf *blob, struct bytes tar)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)tar.p, .avail_in = (uInt)tar.n};
	assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 31, 8, 0), Z_OK);
	size_t bound = deflateBound(&z, tar.n);
	blob->n = 0;
	assert_int_equal(buf_reserve(blob, bound), 0);
	z.next_out = blob->p;
	z.avail_out = (uInt)bound;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	blob->n = bound - z.avail_out;
	deflateEnd(&z);
}

static void make_large(struct buf *tar, struct buf *blob)
{
	size_t n = 4 << 20;
	auto_free uint8_t *data = xcalloc(1, n);
	for (size_t i = 0, x = 1; i < n; i++, x = x * 6364136223846793005u + 1442695040888963407u)
		data[i] = (uint8_t)(x >> 60); /* four random bits a byte */
	put_member(tar, '0', "large", data, n);
	put_end(tar);
	compress_into(blob, buf_bytes(tar));
}

/* Layers that are large enough get a thread more, and what it says is what counts. */
static void large_layers(void **state)
{
	struct fixture *f = *state;
	struct indexer_job job = job_of(f);
	auto_buf struct buf tar = {0}, blob = {0};
	make_large(&tar, &blob);
	set_layer(f, buf_bytes(&blob), buf_bytes(&tar));
	run(&job, 0, NULL);
	assert_true(is_kept(f));
	f->layer.diff_id.b[0] ^= 1;
	store_blob_drop(f->store, &f->blob.value);
	run(&job, -EBADMSG, "DiffID");
	assert_false(is_kept(f));
}

/* Of two errors the one that lies in front is told, whichever thread met it. */
static void the_first_error_is_told(void **state)
{
	struct fixture *f = *state;
	struct indexer_job job = job_of(f);
	auto_buf struct buf tar = {0}, blob = {0};
	make_large(&tar, &blob);
	blob.p[blob.n - 8] ^= 1;
	set_layer(f, buf_bytes(&blob), buf_bytes(&tar));
	run(&job, -EBADMSG, "CRC-32");
	tar.p[0] ^= 1; /* the checksum of the first header */
	compress_into(&blob, buf_bytes(&tar));
	blob.p[blob.n - 8] ^= 1;
	set_layer(f, buf_bytes(&blob), buf_bytes(&tar));
	run(&job, -EBADMSG, "sum of the block");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(kept_after_streaming), TEST(kept_only_on_request),
		TEST(kept_blob_that_lies),  TEST(kept_blob_of_other_size),
		TEST(unproved_is_not_kept), TEST(cancelled),
		TEST(large_layers),	    TEST(the_first_error_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
