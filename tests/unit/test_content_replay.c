/*
 * content: the next mount fetches ahead what the last one has read, as far as the reader is seen to
 * follow; a replay that fails, or is ended, harms nobody.
 */
#include "tests/unit/profile_world.h"

#include "fetch/content_priv.h"

static const enum world_codec all_codecs[] = {WORLD_TAR, WORLD_GZIP, WORLD_ZSTD_FRAMES,
					      WORLD_ZSTD_ONE};
static const enum world_codec two_tars[] = {WORLD_TAR, WORLD_TAR};
static const enum world_codec four_tars[] = {WORLD_TAR, WORLD_TAR, WORLD_TAR, WORLD_TAR};

/* --- replaying --- */

static void what_was_read_is_fetched_ahead(void **state)
{
	(void)state;
	struct world *w = profile_world(all_codecs, ARRAY_LEN(all_codecs));
	struct content *c = profile_content(w, 0);
	for (unsigned layer = 0; layer < w->n_layers; layer++) {
		world_check_read(w, c, layer, BIG, 1000000, 150000);
		world_check_read(w, c, layer, SMALL, 0, 5000);
	}
	content_free(&c);
	forget_chunks(w);
	c = profile_content(w, 0);
	assert_int_equal(atomic_load(&w->script.opens), 0);
	content_warm(c);
	for (unsigned layer = 0; layer < w->n_layers; layer++) {
		wait_stored(w, layer, BIG, 1000000, 150000);
		wait_stored(w, layer, SMALL, 0, 5000);
	}
	wait_idle(w);
	for (unsigned layer = 0; layer < w->n_layers; layer++) {
		unsigned all = index_info(w->layers[layer])->n_chunks;
		unsigned here = stored_chunks(w, layer);
		assert_true(all_codecs[layer] == WORLD_ZSTD_ONE || here < all / 4);
	}
	assert_int_equal(stats_of(c).reads, 0);
	assert_true(stats_of(c).fetches > 0);
	/* Without a source. */
	atomic_store(&w->script.error, -ENOENT);
	atomic_store(&w->script.failures, -1);
	for (unsigned layer = 0; layer < w->n_layers; layer++)
		world_check_read(w, c, layer, BIG, 1000000, 150000);
	assert_int_equal(stats_of(c).misses, 0);
	content_free(&c);
	world_free(&w);
}

static void is_fetched_in_the_order_of_the_profile(void **state)
{
	(void)state;
	struct world *w = profile_world(two_tars, 2);
	put_profile(w, "0 1000000 /file-1-2\n0 100000 /file-0-1\n2000000 500000 /file-1-2\n");
	struct content *c = profile_content(w, 1);
	atomic_store(&w->script.delay_ms, 2);
	content_warm(c);
	int64_t until_ms = now_ms() + 20000;
	for (bool last = false; !last;) {
		assert_true(now_ms() < until_ms);
		last = is_stored(w, 1, BIG, 2000000, 500000);
		bool middle = is_stored(w, 0, MIDDLE, 0, 100000);
		bool first = is_stored(w, 1, BIG, 0, 1000000);
		assert_true(first || !middle);
		assert_true(middle || !last);
		sleep_ms(1);
	}
	content_free(&c);
	world_free(&w);
}

#define ALL_BIG                                                                                    \
	"0 3000000 /file-0-2\n0 3000000 /file-1-2\n0 3000000 /file-2-2\n0 3000000 /file-3-2\n"

/* Two ranges and most of the third are what it begins with; a read of anything else does not move
 * it, one of the profile does. */
static void goes_on_as_it_is_followed(void **state)
{
	(void)state;
	struct world *w = profile_world(four_tars, 4);
	put_profile(w, ALL_BIG);
	struct content *c = profile_content(w, 0);
	content_warm(c);
	wait_stored(w, 0, BIG, 0, 3000000);
	wait_stored(w, 1, BIG, 0, 3000000);
	wait_stored(w, 2, BIG, 0, (8u << 20) - 6000000);
	wait_idle(w);
	assert_int_equal(stored_chunks(w, 3), 0);
	world_check_read(w, c, 3, MIDDLE, 0, 1000);
	wait_idle(w);
	assert_false(is_stored(w, 3, BIG, 2000000, 1));
	unsigned fetches = (unsigned)stats_of(c).fetches;
	world_check_read(w, c, 0, BIG, 1500000, 1);
	wait_stored(w, 2, BIG, 0, 3000000);
	wait_stored(w, 3, BIG, 0, 3000000);
	assert_true(stats_of(c).fetches > fetches);
	assert_int_equal(stats_of(c).misses, 1);
	content_free(&c);
	world_free(&w);
}

/* However long a range is: a mount that serves nobody fetches no more of it. */
static void a_long_range_is_begun_and_not_fetched(void **state)
{
	(void)state;
	struct world *w = profile_world(four_tars, 4);
	put_profile(w, ALL_BIG);
	struct content *c = profile_content(w, 0);
	content_warm(c);
	wait_stored(w, 2, BIG, 0, (8u << 20) - 6000000);
	wait_idle(w);
	assert_false(is_stored(w, 2, BIG, 2999999, 1));
	assert_true(stats_of(c).fetched_bytes < (9u << 20));
	content_free(&c);
	world_free(&w);
}

static void what_is_stored_is_not_fetched_again(void **state)
{
	(void)state;
	struct world *w = profile_world(two_tars, 2);
	put_profile(w, "0 3000000 /file-0-2\n0 100000 /file-1-1\n");
	struct content *c = profile_content(w, 0);
	world_check_read(w, c, 0, BIG, 0, 3000000);
	uint64_t before = stats_of(c).fetched_bytes;
	content_warm(c);
	wait_stored(w, 1, MIDDLE, 0, 100000);
	wait_idle(w);
	assert_true(stats_of(c).fetched_bytes - before < 400000);
	content_free(&c);
	world_free(&w);
}

static void a_profile_that_fits_nothing(void **state)
{
	(void)state;
	static const char *const texts[] = {"", "0 5000 /gone\n", "5000 1 /file-0-0\n",
					    "0 1 nonsense\n"};
	struct world *w = profile_world(two_tars, 1);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		put_profile(w, texts[i]);
		struct content *c = profile_content(w, 0);
		content_warm(c);
		content_warm(c);
		sleep_ms(50);
		assert_false(replay_runs(c));
		assert_int_equal(atomic_load(&w->script.opens), 0);
		world_check_read(w, c, 0, SMALL, 0, 5000);
		content_free(&c);
		forget_chunks(w);
	}
	world_free(&w);
}

/* --- failures --- */

/* It asks once or twice, and no more; readers are told what is wrong; and when the source is back
 * they read, and nothing more is fetched ahead. */
static void check_failure(bool lies, err_t error, err_t told)
{
	uint8_t p[100];
	struct world *w = profile_world(four_tars, 4);
	put_profile(w, ALL_BIG);
	const struct content_options options = {.budget_s = 2, .profile = true};
	struct content *c = world_content_with(w, &options);
	atomic_store(&w->script.error, error);
	atomic_store(lies ? &w->script.lies : &w->script.failures, -1);
	content_warm(c);
	int64_t until_ms = now_ms() + 20000;
	while (!atomic_load(&w->script.opens) || replay_runs(c)) {
		assert_true(now_ms() < until_ms);
		sleep_ms(5);
	}
	wait_idle(w);
	unsigned opens = atomic_load(&w->script.opens);
	sleep_ms(1000);
	assert_int_equal(atomic_load(&w->script.opens), opens);
	assert_int_equal(stats_of(c).errors, 0);
	assert_int_equal(content_read(c, world_row(w, 0, BIG), 0, p, 100, NULL), told);
	assert_int_equal(stats_of(c).errors, 1);
	atomic_store(&w->script.failures, 0);
	atomic_store(&w->script.lies, 0);
	sleep_ms(FAILED_REMEMBER_MS + 100);
	world_check_read(w, c, 0, BIG, 0, 100);
	wait_idle(w);
	assert_false(is_stored(w, 1, BIG, 0, 1));
	content_free(&c);
	world_free(&w);
}

static void a_dead_source_stops_it(void **state)
{
	(void)state;
	check_failure(false, -ECONNREFUSED, -EIO);
	check_failure(false, -ENOENT, -ENOENT);
	check_failure(false, -EACCES, -EACCES);
}

static void a_lying_source_stops_it(void **state)
{
	(void)state;
	check_failure(true, 0, -EBADMSG);
}

/* A reader that came to wait for what the replay has asked for is served by a later try. */
static void a_reader_aboard_is_served(void **state)
{
	(void)state;
	struct world *w = profile_world(two_tars, 2);
	put_profile(w, "0 1000000 /file-0-2\n0 1000000 /file-1-2\n");
	struct content *c = profile_content(w, 0);
	atomic_store(&w->script.delay_ms, 20);
	atomic_store(&w->script.break_after, 100000);
	atomic_store(&w->script.error, -ECONNRESET);
	content_warm(c);
	int64_t until_ms = now_ms() + 20000;
	while (!atomic_load(&w->script.opens)) {
		assert_true(now_ms() < until_ms);
		sleep_ms(1);
	}
	struct probe *probe = probe_new(w, 0, BIG, 150000, 1000);
	content_read_start(c, &probe->r);
	sleep_ms(150);
	atomic_store(&w->script.break_after, 0);
	assert_int_equal(probe_wait(probe), 0);
	assert_memory_equal(probe->buf, world_bytes(w, 0, BIG) + 150000, 1000);
	probe_free(&probe);
	content_free(&c);
	world_free(&w);
}

/* --- ends, and many readers --- */

static void ends_at_any_moment(void **state)
{
	(void)state;
	struct world *w = profile_world(all_codecs, ARRAY_LEN(all_codecs));
	unsigned seed = 4711;
	atomic_store(&w->script.delay_ms, 1);
	for (unsigned i = 0; i < 16; i++) {
		put_profile(w, ALL_BIG);
		struct content *c = profile_content(w, 1 + i % 5);
		struct probe *probe = NULL;
		content_warm(c);
		usleep((useconds_t)rand_r(&seed) % 60000);
		if (i % 2) {
			probe = probe_new(w, i % 4, BIG, (uint64_t)rand_r(&seed) % 2000000, 100000);
			content_read_start(c, &probe->r);
			usleep((useconds_t)rand_r(&seed) % 10000);
		}
		content_free(&c);
		if (probe) {
			err_t err = probe_wait(probe);
			assert_true(err == 0 || err == -EIO);
			probe_free(&probe);
		}
		forget_chunks(w);
	}
	world_free(&w);
}

static void *read_all_over(void *arg)
{
	struct crowd *crowd = arg;
	unsigned seed = atomic_fetch_add(&crowd->seed, 1) * 7919;
	pthread_barrier_wait(&crowd->barrier);
	for (unsigned i = 0; i < 40; i++) {
		unsigned layer = (unsigned)rand_r(&seed) % (unsigned)crowd->w->n_layers;
		unsigned file = (unsigned)rand_r(&seed) % WORLD_FILES;
		size_t size = world_file_size(file);
		uint64_t off = (uint64_t)rand_r(&seed) % size;
		size_t n = min_of((size_t)rand_r(&seed) % 100000 + 1, size - off);
		world_check_read(crowd->w, crowd->c, layer, file, off, n);
	}
	return NULL;
}

/* Right bytes for everybody, and no chunk twice, whoever asks for it. */
static void many_read_while_it_runs(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct world *w = profile_world(all_codecs, ARRAY_LEN(all_codecs));
		uint64_t sum = 0;
		for (unsigned layer = 0; layer < w->n_layers; layer++)
			sum += w->streams[layer].n;
		put_profile(w, ALL_BIG "0 100000 /file-0-1\n0 5000 /file-1-0\n");
		struct crowd crowd = {.w = w, .c = profile_content(w, 0), .seed = 100 * i + 1};
		content_warm(crowd.c);
		run_crowd(&crowd, 16, read_all_over);
		assert_true(stats_of(crowd.c).decoded_bytes <= sum);
		assert_int_equal(stats_of(crowd.c).errors, 0);
		content_free(&crowd.c);
		enum profile_origin origin;
		auto_buf struct buf text = {0};
		assert_int_equal(image_profile_get(&w->image, true, &text, &origin), 0);
		world_free(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_read_is_fetched_ahead),
		cmocka_unit_test(is_fetched_in_the_order_of_the_profile),
		cmocka_unit_test(goes_on_as_it_is_followed),
		cmocka_unit_test(a_long_range_is_begun_and_not_fetched),
		cmocka_unit_test(what_is_stored_is_not_fetched_again),
		cmocka_unit_test(a_profile_that_fits_nothing),
		cmocka_unit_test(a_dead_source_stops_it),
		cmocka_unit_test(a_lying_source_stops_it),
		cmocka_unit_test(a_reader_aboard_is_served),
		cmocka_unit_test(ends_at_any_moment),
		cmocka_unit_test(many_read_while_it_runs),
	};
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
