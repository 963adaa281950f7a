/*
 * Prefetching: what was asked for is in the store afterwards, whatever the codec and the source;
 * what is there is not fetched again; what can not be had is an error, and what came before it
 * stays.
 */
#include "tests/unit/content_world.h"

#include "fetch/content_prefetch.h"
#include "fetch/flight.h"
#include "fetch/store_priv.h"

static const enum world_codec all_codecs[] = {WORLD_TAR, WORLD_GZIP, WORLD_ZSTD_FRAMES,
					      WORLD_ZSTD_ONE};
#define N_LAYERS ARRAY_LEN(all_codecs)

struct fixture {
	struct world *w;
	struct content *c;
	struct prefetch *p;
	struct progress *counters;
	struct diag d;
};

static int setup(void **state)
{
	struct fixture *f = new_of(struct fixture);
	f->w = world_new(all_codecs, N_LAYERS);
	f->c = world_content(f->w, 2, false);
	f->p = prefetch_new(f->c);
	f->counters = new_of(struct progress);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	prefetch_free(&f->p);
	content_free(&f->c);
	world_free(&f->w);
	free(f->counters);
	free(f);
	return 0;
}

/* Chunks of a layer that the store has. */
static uint32_t stored(const struct fixture *f, size_t layer)
{
	char dir[STORE_PATH_MAX];
	uint32_t n_chunks, n_stored;
	auto_fd int fd =
		store_walk(f->w->store, store_layer_dir(&f->w->blob_digests[layer], dir), false);
	assert_true(store_map_counts(fd, &n_chunks, &n_stored));
	assert_int_equal(n_chunks, index_info(f->w->layers[layer])->n_chunks);
	return n_stored;
}

static uint64_t fetched(const struct fixture *f)
{
	struct content_stats stats;
	content_stats(f->c, &stats);
	return stats.fetched_bytes;
}

static void brings_all(void **state)
{
	struct fixture *f = *state;
	uint64_t blobs = 0;
	prefetch_add_all(f->p);
	assert_int_equal(prefetch_run(f->p, f->counters, &f->d), 0);
	for (size_t i = 0; i < N_LAYERS; i++) {
		const struct progress_row *row = &f->counters->rows[i];
		assert_int_equal(stored(f, i), index_info(f->w->layers[i])->n_chunks);
		assert_int_equal(atomic_load(&row->state), PROGRESS_DONE);
		assert_true(atomic_load(&row->total) <= f->w->blobs[i].n);
		blobs += f->w->blobs[i].n;
	}
	uint64_t once = fetched(f);
	assert_true(once <= blobs);
	assert_int_equal(prefetch_run(f->p, f->counters, &f->d), 0);
	assert_int_equal(fetched(f), once);
}

static void brings_parts(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(prefetch_add(f->p, world_row(f->w, 0, 2), 0, world_file_size(2)), 0);
	/* Twice, and overlapping. */
	assert_int_equal(prefetch_add(f->p, world_row(f->w, 0, 2), 1, 1), 0);
	assert_int_equal(prefetch_add(f->p, world_row(f->w, 1, 0), 0, world_file_size(0)), 0);
	assert_int_equal(prefetch_run(f->p, f->counters, &f->d), 0);
	assert_in_range(stored(f, 0), 1, index_info(f->w->layers[0])->n_chunks - 1);
	assert_in_range(stored(f, 1), 1, index_info(f->w->layers[1])->n_chunks - 1);
	assert_int_equal(stored(f, 2), 0);
	assert_int_equal(atomic_load(&f->counters->rows[2].state), PROGRESS_NONE);
	uint64_t once = fetched(f);
	world_check_read(f->w, f->c, 0, 2, 0, world_file_size(2));
	assert_int_equal(fetched(f), once);
}

static void nothing_is_wanted(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(prefetch_run(f->p, NULL, &f->d), 0);
	assert_int_equal(fetched(f), 0);
}

static void a_kept_blob_is_enough(void **state)
{
	struct fixture *f = *state;
	for (size_t i = 0; i < N_LAYERS; i++)
		world_keep_blob(f->w, i, -1);
	prefetch_add_all(f->p);
	assert_int_equal(prefetch_run(f->p, f->counters, &f->d), 0);
	assert_int_equal(fetched(f), 0);
	assert_int_equal(stored(f, 0), 0);
}

static void a_few_failures_are_overcome(void **state)
{
	struct fixture *f = *state;
	atomic_store(&f->w->script.error, -ECONNRESET);
	atomic_store(&f->w->script.failures, 2);
	atomic_store(&f->w->script.lies, 1);
	prefetch_add_all(f->p);
	assert_int_equal(prefetch_run(f->p, f->counters, &f->d), 0);
	for (size_t i = 0; i < N_LAYERS; i++)
		assert_int_equal(stored(f, i), index_info(f->w->layers[i])->n_chunks);
}

static void lies_are_an_error(void **state)
{
	struct fixture *f = *state;
	atomic_store(&f->w->script.lies, -1);
	prefetch_add_all(f->p);
	assert_int_equal(prefetch_run(f->p, f->counters, &f->d), -EBADMSG);
	assert_int_equal(f->d.cls, ERR_INTEGRITY);
	/* It goes on where it stopped. */
	atomic_store(&f->w->script.lies, 0);
	usleep((FAILED_REMEMBER_MS + 100) * 1000);
	assert_int_equal(prefetch_run(f->p, f->counters, &f->d), 0);
}

static void silence_is_an_error(void **state)
{
	struct fixture *f = *state;
	int64_t began_ms = now_ms();
	atomic_store(&f->w->script.silent, 1);
	prefetch_add_all(f->p);
	assert_int_not_equal(prefetch_run(f->p, f->counters, &f->d), 0);
	assert_int_equal(f->d.cls, ERR_NETWORK);
	assert_true(now_ms() - began_ms < 20000);
}

static void a_full_store_is_an_error(void **state)
{
	struct fixture *f = *state;
	prefetch_add_all(f->p);
	store_note_error(f->w->store, -ENOSPC, "test");
	assert_int_equal(prefetch_run(f->p, f->counters, &f->d), -ENOSPC);
	assert_int_equal(f->d.cls, ERR_STORE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(brings_all),
		TEST(brings_parts),
		TEST(nothing_is_wanted),
		TEST(a_kept_blob_is_enough),
		TEST(a_few_failures_are_overcome),
		TEST(lies_are_an_error),
		TEST(silence_is_an_error),
		TEST(a_full_store_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
