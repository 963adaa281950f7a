/*
 * Removing beside use: who has an image or its chunks open keeps it; who is about to open, put or
 * publish is never harmed by who removes at the same moment.
 */
#include "tests/unit/content_world.h"

#include "fetch/catalog.h"
#include "fetch/store_priv.h"

#include <sys/stat.h>

static const enum world_codec one_gzip[] = {WORLD_GZIP};

static int setup(void **state)
{
	*state = world_new(one_gzip, 1);
	return 0;
}

static int teardown(void **state)
{
	world_free((struct world **)state);
	return 0;
}

static bool layer_dir_is_there(struct world *w)
{
	char dir[STORE_PATH_MAX];
	auto_fd int fd = store_walk(w->store, store_layer_dir(&w->blob_digests[0], dir), false);
	return fd >= 0;
}

static err_t remove_layer(struct world *w, bool bytes_only)
{
	char hex[DIGEST_TEXT_MAX];
	return store_dir_remove(w->store, "layers/sha256", digest_hex(&w->blob_digests[0], hex),
				bytes_only);
}

static struct chunk_store *open_chunks(struct world *w)
{
	struct chunk_store *cs = NULL;
	assert_int_equal(chunk_store_open(w->store, w->tables[0], &cs, NULL), 0);
	return cs;
}

static void put_index(struct world *w)
{
	const uint8_t file[] = "an index";
	assert_int_equal(store_index_put(w->store, INDEX_LAYER, &w->blob_digests[0],
					 (struct bytes){file, sizeof(file)}),
			 0);
}

/* --- opening makes nothing --- */

static void only_looks(void **state)
{
	struct world *w = *state;
	struct store *s = NULL;
	struct diag d = DIAG_INIT;
	auto_free char *nowhere = xasprintf("%s/deep/er", store_dir(w->store));
	auto_free char *deep = xasprintf("%s/deep", store_dir(w->store));
	struct stat st;
	assert_int_equal(store_open_there(nowhere, &s, &d), -ENOENT);
	assert_int_equal(d.cls, ERR_NOT_FOUND);
	assert_int_equal(lstat(deep, &st), -1);
	assert_int_equal(mkdir(deep, 0700), 0);
	assert_int_equal(store_open_there(deep, &s, &d), -ENOENT);
	assert_int_equal(store_open_there(store_dir(w->store), &s, &d), 0);
	store_close(&s);
}

/* --- uses --- */

static void use_is_seen(void **state)
{
	struct world *w = *state;
	const struct digest *m = &w->blob_digests[0];
	int64_t when = 0;
	bool in_use = false;
	assert_false(store_use_last(w->store, m, &when, &in_use));
	int a = store_use_begin(w->store, m), b = store_use_begin(w->store, m);
	assert_true(a >= 0 && b >= 0);
	assert_true(store_use_last(w->store, m, &when, &in_use));
	assert_true(in_use && when > 1700000000);
	assert_int_equal(store_use_seize(w->store, m), -EBUSY);
	close(a);
	assert_int_equal(store_use_seize(w->store, m), -EBUSY);
	close(b);
	assert_true(store_use_last(w->store, m, &when, &in_use));
	assert_false(in_use);
	int seized = store_use_seize(w->store, m);
	assert_true(seized >= 0);
	assert_int_equal(store_use_seize(w->store, m), -EBUSY);
	store_use_forget(w->store, m);
	/* Another file, which the one who is removing does not hold. */
	int c = store_use_begin(w->store, m);
	assert_true(c >= 0);
	close(seized);
	assert_int_equal(store_use_seize(w->store, m), -EBUSY);
	close(c);
}

struct race {
	struct world *w;
	_Atomic bool stop;
	_Atomic unsigned n;
};

static void *remove_uses(void *arg)
{
	struct race *r = arg;
	while (!atomic_load(&r->stop)) {
		auto_fd int fd = store_use_seize(r->w->store, &r->w->blob_digests[0]);
		if (fd >= 0) {
			store_use_forget(r->w->store, &r->w->blob_digests[0]);
			atomic_fetch_add(&r->n, 1);
		}
	}
	return NULL;
}

/* A use that has begun is one that everybody sees, however often the file is removed. */
static void use_survives_removal(void **state)
{
	struct race r = {.w = *state};
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, remove_uses, &r), 0);
	for (int i = 0; i < 300 || atomic_load(&r.n) < 3; i++) {
		int64_t when;
		bool in_use = false;
		int fd = store_use_begin(r.w->store, &r.w->blob_digests[0]);
		assert_true(fd >= 0);
		assert_true(store_use_last(r.w->store, &r.w->blob_digests[0], &when, &in_use));
		assert_true(in_use);
		close(fd);
		if (i % 10 == 0)
			usleep(1000);
	}
	atomic_store(&r.stop, true);
	pthread_join(thread, NULL);
}

/* --- directories --- */

static void what_is_open_stays(void **state)
{
	struct world *w = *state;
	struct chunk_store *cs = open_chunks(w);
	assert_int_equal(remove_layer(w, false), -EBUSY);
	assert_int_equal(remove_layer(w, true), -EBUSY);
	chunk_store_close(&cs);
	put_index(w);
	assert_int_equal(remove_layer(w, true), 0);
	assert_true(store_index_there(w->store, INDEX_LAYER, &w->blob_digests[0]));
	assert_int_equal(remove_layer(w, false), 0);
	assert_false(layer_dir_is_there(w));
	assert_int_equal(remove_layer(w, false), 0);
}

static void what_is_not_ours_stays(void **state)
{
	struct world *w = *state;
	char dir[STORE_PATH_MAX];
	put_index(w);
	auto_free char *path = xasprintf("%s/v1/%s/note", store_dir(w->store),
					 store_layer_dir(&w->blob_digests[0], dir));
	auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(remove_layer(w, false), 0);
	assert_int_equal(access(path, F_OK), 0);
	assert_false(store_index_there(w->store, INDEX_LAYER, &w->blob_digests[0]));
}

static void *remove_layers(void *arg)
{
	struct race *r = arg;
	while (!atomic_load(&r->stop)) {
		err_t err = remove_layer(r->w, false);
		assert_true(err == 0 || err == -EBUSY);
		atomic_fetch_add(&r->n, err == 0);
	}
	return NULL;
}

static void keep_blob(struct world *w)
{
	struct blob_writer *writer = NULL;
	assert_int_equal(store_blob_create(w->store, &w->blob_digests[0], &writer), 0);
	blob_writer_write(writer, w->blobs[0].p, w->blobs[0].n);
	assert_int_equal(blob_writer_commit(&writer), 0);
}

static void use_chunks(struct world *w)
{
	struct chunk c;
	struct chunk_store *cs = open_chunks(w);
	index_chunk(w->layers[0], 0, &c);
	const uint8_t *want = w->streams[0].p + c.stream_off;
	auto_free uint8_t *got = malloc(c.stream_len);
	assert_non_null(got);
	assert_true(chunk_store_keeps(cs));
	assert_int_equal(chunk_store_put(cs, 0, want), 0);
	assert_int_equal(chunk_store_read(cs, 0, 0, c.stream_len, got), 0);
	assert_memory_equal(got, want, c.stream_len);
	chunk_store_close(&cs);
}

/* Whoever opens, puts and publishes succeeds each time, while the directory goes again and again.
 */
static void removal_harms_nobody(void **state)
{
	struct race r = {.w = *state};
	pthread_t thread;
	struct digest form;
	digest_of(DIGEST_SHA256, "form", 4, &form);
	assert_int_equal(pthread_create(&thread, NULL, remove_layers, &r), 0);
	for (int i = 0; i < 150 || atomic_load(&r.n) < 20; i++) {
		put_index(r.w);
		use_chunks(r.w);
		keep_blob(r.w);
		assert_false(store_is_full(r.w->store));
	}
	atomic_store(&r.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(remove_layer(r.w, false), 0);
}

/* --- checking --- */

static void checks_and_drops(void **state)
{
	struct world *w = *state;
	struct chunk_store *cs = open_chunks(w);
	struct chunk c;
	char dir[STORE_PATH_MAX];
	index_chunk(w->layers[0], 0, &c);
	auto_free uint8_t *room = malloc(CHUNK_STREAM_MAX);
	assert_int_equal(chunk_store_check(cs, 0, room, true), -ENOENT);
	assert_int_equal(chunk_store_put(cs, 0, w->streams[0].p + c.stream_off), 0);
	assert_int_equal(chunk_store_check(cs, 0, room, true), 0);
	auto_free char *path = xasprintf("%s/v1/%s/data", store_dir(w->store),
					 store_layer_dir(&w->blob_digests[0], dir));
	auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(write_at(fd, "rot", 3, c.stream_off), 0);
	assert_int_equal(chunk_store_check(cs, 0, room, false), -EBADMSG);
	assert_true(chunk_store_has(cs, 0));
	assert_int_equal(chunk_store_check(cs, 0, room, true), -EBADMSG);
	assert_false(chunk_store_has(cs, 0));
	assert_int_equal(chunk_store_check(cs, 0, room, false), -ENOENT);
	chunk_store_close(&cs);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(only_looks),
		TEST(use_is_seen),
		TEST(use_survives_removal),
		TEST(what_is_open_stays),
		TEST(what_is_not_ours_stays),
		TEST(removal_harms_nobody),
		TEST(checks_and_drops),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
