/*
 * content: every codec reads right in any order; one fetch a chunk; full disks end as promised;
 * cancelling and freeing at any moment. What sources do wrong is in test_content_faults.c.
 */
#include "tests/unit/content_probe.h"

#include "fetch/flight.h"
#include "fetch/store_priv.h"

#include <sched.h>
#include <sys/mount.h>

static const enum world_codec all_codecs[] = {WORLD_TAR, WORLD_GZIP, WORLD_ZSTD_FRAMES,
					      WORLD_ZSTD_ONE};
static const enum world_codec one_gzip[] = {WORLD_GZIP};

#define BIG 2 /* the number of the large file */

/* --- right bytes --- */

static void reads_every_codec(void **state)
{
	(void)state;
	struct world *w = world_new(all_codecs, ARRAY_LEN(all_codecs));
	struct content *c = world_content(w, 20, false);
	for (unsigned layer = 0; layer < w->n_layers; layer++)
		for (unsigned file = 0; file < WORLD_FILES; file++)
			world_check_read(w, c, layer, file, 0, world_file_size(file));
	struct content_stats before = stats_of(c);
	assert_int_equal(before.errors, 0);
	assert_int_equal(before.refused, 0);
	assert_true(before.fetched_bytes > 0);
	for (unsigned layer = 0; layer < w->n_layers; layer++)
		world_check_read(w, c, layer, BIG, 12345, 700000);
	assert_int_equal(stats_of(c).fetches, before.fetches);
	assert_int_equal(stats_of(c).misses, before.misses);
	content_free(&c);

	/* A second process's view: everything from the store, the source is not even there. */
	c = world_content(w, 20, false);
	atomic_store(&w->script.failures, -1);
	atomic_store(&w->script.error, -ENOENT);
	for (unsigned layer = 0; layer < w->n_layers; layer++)
		world_check_read(w, c, layer, BIG, 0, world_file_size(BIG));
	assert_int_equal(stats_of(c).misses, 0);
	content_free(&c);
	world_free(&w);
}

static void reads_nothing(void **state)
{
	(void)state;
	struct world *w = world_new(one_gzip, 1);
	struct content *c = world_content(w, 5, false);
	world_check_read(w, c, 0, 0, 0, 0);
	world_check_read(w, c, 0, 0, world_file_size(0), 0);
	struct probe *p = probe_new(w, 0, 0, 10, 0);
	content_read_start(c, &p->r);
	assert_int_equal(probe_calls(p), 1);
	assert_int_equal(p->err, 0);
	probe_free(&p);
	assert_int_equal(atomic_load(&w->script.opens), 0);
	content_free(&c);
	world_free(&w);
}

/* Neighbouring misses of one read become one range request. */
static void merges_neighbours(void **state)
{
	(void)state;
	struct world *w = world_new(all_codecs, 1);
	const struct content_options options = {.budget_s = 20, .workers = 1};
	struct content *c;
	assert_int_equal(content_new(&w->image, &options, &c, NULL), 0);
	world_check_read(w, c, 0, BIG, 0, world_file_size(BIG));
	/* 3 MB in chunks of 16 KiB; a batch has BATCH_MAX of them at the most. */
	assert_in_range(stats_of(c).fetches, 3, 4);
	assert_true(atomic_load(&w->script.longest) > 900000);
	assert_true(atomic_load(&w->script.longest) <= RANGE_MAX);
	content_free(&c);
	world_free(&w);
}

/* A source that serves nothing but verified bytes gives no byte twice. */
static void takes_the_kept_blob_first(void **state)
{
	(void)state;
	struct world *w = world_new(all_codecs, ARRAY_LEN(all_codecs));
	for (size_t i = 0; i < w->n_layers; i++)
		world_keep_blob(w, i, -1);
	struct content *c = world_content(w, 20, false);
	for (unsigned layer = 0; layer < w->n_layers; layer++)
		world_check_read(w, c, layer, BIG, 0, world_file_size(BIG));
	assert_int_equal(atomic_load(&w->script.opens), 0);
	assert_int_equal(stats_of(c).fetched_bytes, 0);
	assert_true(stats_of(c).kept_bytes > 0);
	content_free(&c);
	world_free(&w);
}

/* --- many readers --- */

static void *storm_main(void *arg)
{
	struct crowd *crowd = arg;
	pthread_barrier_wait(&crowd->barrier);
	world_check_read(crowd->w, crowd->c, crowd->layer, BIG, crowd->off, crowd->n);
	return NULL;
}

static void storm_is_one_fetch(void **state)
{
	(void)state;
	for (unsigned layer = 0; layer < ARRAY_LEN(all_codecs); layer++) {
		struct world *w = world_new(all_codecs, ARRAY_LEN(all_codecs));
		atomic_store(&w->script.delay_ms, 2);
		struct crowd crowd = {.w = w,
				      .c = world_content(w, 20, false),
				      .layer = layer,
				      .off = 5000,
				      .n = 50};
		run_crowd(&crowd, 64, storm_main);
		assert_int_equal(atomic_load(&w->script.opens), 1);
		assert_int_equal(stats_of(crowd.c).reads, 64);
		content_free(&crowd.c);
		world_free(&w);
	}
}

/* The whole file, by everybody at once: no chunk is decoded twice. */
static void storm_decodes_each_chunk_once(void **state)
{
	(void)state;
	for (unsigned layer = 0; layer < ARRAY_LEN(all_codecs); layer++) {
		struct world *w = world_new(all_codecs, ARRAY_LEN(all_codecs));
		struct crowd crowd = {.w = w,
				      .c = world_content(w, 20, false),
				      .layer = layer,
				      .n = world_file_size(BIG)};
		run_crowd(&crowd, 16, storm_main);
		assert_true(stats_of(crowd.c).decoded_bytes <= w->streams[layer].n);
		assert_true(stats_of(crowd.c).decoded_bytes >= world_file_size(BIG));
		content_free(&crowd.c);
		world_free(&w);
	}
}

static void *random_main(void *arg)
{
	struct crowd *crowd = arg;
	uint32_t seed = atomic_fetch_add(&crowd->seed, 1) * 77773u;
	pthread_barrier_wait(&crowd->barrier);
	for (int i = 0; i < 60; i++) {
		seed = seed * 1664525u + 1013904223u;
		unsigned layer = (seed >> 8) % (unsigned)crowd->w->n_layers;
		unsigned file = (seed >> 12) % WORLD_FILES;
		size_t size = world_file_size(file), off = (seed >> 4) % size;
		size_t n = min_of((size_t)(seed >> 10) % 200000, size - off);
		world_check_read(crowd->w, crowd->c, layer, file, off, n);
	}
	return NULL;
}

static void random_reads_are_right(void **state)
{
	(void)state;
	struct world *w = world_new(all_codecs, ARRAY_LEN(all_codecs));
	struct crowd crowd = {.w = w, .c = world_content(w, 30, false), .seed = 1};
	run_crowd(&crowd, 16, random_main);
	assert_int_equal(stats_of(crowd.c).errors, 0);
	uint64_t all = 0;
	for (size_t i = 0; i < w->n_layers; i++)
		all += w->streams[i].n;
	/* Whenever a reader comes, a chunk on its way or in the store is not fetched again. */
	assert_true(stats_of(crowd.c).decoded_bytes <= all);
	content_free(&crowd.c);
	world_free(&w);
}

/* The same while the source lies, breaks off and fails now and then. */
static void random_reads_survive_a_bad_source(void **state)
{
	(void)state;
	struct world *w = world_new(all_codecs, ARRAY_LEN(all_codecs));
	atomic_store(&w->script.lies, 2);
	atomic_store(&w->script.failures, 5);
	atomic_store(&w->script.error, -ECONNRESET);
	struct crowd crowd = {.w = w, .c = world_content(w, 30, false), .seed = 1};
	run_crowd(&crowd, 8, random_main);
	assert_int_equal(stats_of(crowd.c).errors, 0);
	assert_true(stats_of(crowd.c).refused > 0);
	content_free(&crowd.c);
	world_free(&w);
}

/* --- cancelling and freeing --- */

static void cancel_leaves_the_others(void **state)
{
	(void)state;
	struct world *w = world_new(one_gzip, 1);
	struct content *c = world_content(w, 20, false);
	atomic_store(&w->script.delay_ms, 150);
	struct probe *gone = probe_new(w, 0, BIG, 0, 5000),
		     *stays = probe_new(w, 0, BIG, 100, 5000);
	content_read_start(c, &gone->r);
	content_read_start(c, &stays->r);
	content_read_cancel(c, &gone->r);
	assert_int_equal(probe_calls(gone), 1);
	assert_int_equal(gone->err, -EINTR);
	content_read_cancel(c, &gone->r);
	assert_int_equal(probe_wait(stays), 0);
	assert_memory_equal(stays->buf, world_bytes(w, 0, BIG) + 100, 5000);
	content_read_cancel(c, &stays->r);
	probe_free(&gone);
	probe_free(&stays);
	content_free(&c);
	world_free(&w);
}

static void *cancel_main(void *arg)
{
	struct crowd *crowd = arg;
	uint32_t seed = atomic_fetch_add(&crowd->seed, 1) * 99991u;
	pthread_barrier_wait(&crowd->barrier);
	for (int i = 0; i < 40; i++) {
		seed = seed * 1664525u + 1013904223u;
		unsigned layer = (seed >> 9) % (unsigned)crowd->w->n_layers;
		uint64_t off = (seed >> 5) % (world_file_size(BIG) - 70000);
		struct probe *p = probe_new(crowd->w, layer, BIG, off, 70000);
		content_read_start(crowd->c, &p->r);
		if (seed & 0x100)
			usleep(seed >> 22);
		content_read_cancel(crowd->c, &p->r);
		err_t err = probe_wait(p);
		assert_true(err == 0 || err == -EINTR);
		if (!err)
			assert_memory_equal(p->buf, world_bytes(crowd->w, layer, BIG) + off, 70000);
		probe_free(&p);
	}
	return NULL;
}

static void cancel_races(void **state)
{
	(void)state;
	struct world *w = world_new(all_codecs, ARRAY_LEN(all_codecs));
	struct crowd crowd = {.w = w, .c = world_content(w, 20, false), .seed = 1};
	run_crowd(&crowd, 12, cancel_main);
	assert_int_equal(stats_of(crowd.c).errors, 0);
	content_free(&crowd.c);
	world_free(&w);
}

static void free_fails_what_is_in_flight(void **state)
{
	(void)state;
	for (int silent = 0; silent < 2; silent++) {
		struct world *w = world_new(all_codecs, ARRAY_LEN(all_codecs));
		struct content *c = world_content(w, 60, silent);
		struct probe *probes[40];
		atomic_store(&w->script.silent, silent);
		atomic_store(&w->script.delay_ms, 1);
		for (unsigned i = 0; i < ARRAY_LEN(probes); i++) {
			probes[i] = probe_new(w, i % (unsigned)w->n_layers, BIG, i * 50000, 60000);
			content_read_start(c, &probes[i]->r);
		}
		int64_t start_ms = now_ms();
		content_free(&c);
		assert_in_range(now_ms() - start_ms, 0, 5000);
		for (unsigned i = 0; i < ARRAY_LEN(probes); i++) {
			err_t err = probe_wait(probes[i]);
			assert_true(err == -EIO || (err == 0 && !silent));
			probe_free(&probes[i]);
		}
		world_free(&w);
	}
}

/* --- a store that keeps nothing --- */

static void check_pass_through(struct world *w, struct content *c)
{
	for (unsigned layer = 0; layer < w->n_layers; layer++)
		for (size_t off = 0; off < 500000; off += 5000)
			world_check_read(w, c, layer, BIG, off, 5000);
	assert_int_equal(stats_of(c).errors, 0);
	/* The parts of one chunk come from memory. */
	assert_true(stats_of(c).decoded_bytes < 2 * w->n_layers * world_file_size(BIG));
}

static void a_full_store_passes_through(void **state)
{
	(void)state;
	struct world *w = world_new(all_codecs, ARRAY_LEN(all_codecs));
	struct content *c = world_content(w, 20, false);
	store_note_error(w->store, -ENOSPC, "test");
	check_pass_through(w, c);
	assert_int_equal(stored_chunks(w, 0), 0);
	content_free(&c);
	world_free(&w);
}

/* The same with a file system that really is full, where we may make one. */
static void a_full_disk_is_no_error(void **state)
{
	(void)state;
	struct world *w = world_new(all_codecs, ARRAY_LEN(all_codecs));
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", w->dir, "tmpfs", MS_NOSUID, "size=256k,mode=700") < 0) {
		world_free(&w);
		skip();
	}
	store_close(&w->store);
	assert_int_equal(store_open(w->dir, &w->store, NULL), 0);
	w->image.store = w->store;
	struct content *c = world_content(w, 20, false);
	check_pass_through(w, c);
	content_free(&c);
	store_close(&w->store);
	assert_int_equal(umount2(w->dir, MNT_DETACH), 0);
	assert_int_equal(store_open(w->dir, &w->store, NULL), 0);
	world_free(&w);
}

/* --- read-ahead --- */

static void reads_ahead_in_order_only(void **state)
{
	(void)state;
	struct world *w = world_new(one_gzip, 1);
	struct content *c = world_content(w, 20, false);
	/* Jumps of more than the slack: one chunk each, or two at an edge. */
	for (int i = 0; i < 6; i++)
		world_check_read(w, c, 0, BIG, (uint64_t)((i * 5) % 6) * 450000, 1000);
	sleep_ms(200);
	assert_in_range(stored_chunks(w, 0), 6, 12);
	content_free(&c);
	world_empty_store(w);

	/* In order, a third of the file: what follows is there soon, and nothing is fetched twice.
	 */
	c = world_content(w, 20, false);
	for (uint64_t off = 0; off < 1000000; off += 10000)
		world_check_read(w, c, 0, BIG, off, 10000);
	for (int i = 0; i < 100 && stored_chunks(w, 0) < 75; i++)
		sleep_ms(20);
	assert_true(stored_chunks(w, 0) >= 75);
	assert_true(stats_of(c).decoded_bytes <= w->streams[0].n);
	content_free(&c);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_every_codec),
		cmocka_unit_test(reads_nothing),
		cmocka_unit_test(merges_neighbours),
		cmocka_unit_test(takes_the_kept_blob_first),
		cmocka_unit_test(storm_is_one_fetch),
		cmocka_unit_test(storm_decodes_each_chunk_once),
		cmocka_unit_test(random_reads_are_right),
		cmocka_unit_test(random_reads_survive_a_bad_source),
		cmocka_unit_test(cancel_leaves_the_others),
		cmocka_unit_test(cancel_races),
		cmocka_unit_test(free_fails_what_is_in_flight),
		cmocka_unit_test(a_full_store_passes_through),
		cmocka_unit_test(a_full_disk_is_no_error),
		cmocka_unit_test(reads_ahead_in_order_only),
	};
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
