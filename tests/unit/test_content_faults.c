/*
 * content: lies, silence and dead sources end as promised, and nobody pays for the fault of
 * another.
 */
#include "tests/unit/content_probe.h"

#include "fetch/content_priv.h"

static const enum world_codec all_codecs[] = {WORLD_TAR, WORLD_GZIP, WORLD_ZSTD_FRAMES,
					      WORLD_ZSTD_ONE};
static const enum world_codec one_gzip[] = {WORLD_GZIP};
static const enum world_codec one_frame[] = {WORLD_ZSTD_ONE};

#define BIG 2 /* the number of the large file */

/* --- kept blobs --- */

static void drops_a_kept_blob_that_lies(void **state)
{
	(void)state;
	struct world *w = world_new(all_codecs, ARRAY_LEN(all_codecs));
	for (size_t i = 0; i < w->n_layers; i++)
		world_keep_blob(w, i, (long)(w->blobs[i].n / 2));
	struct content *c = world_content(w, 20, false);
	for (unsigned layer = 0; layer < w->n_layers; layer++) {
		world_check_read(w, c, layer, BIG, 0, world_file_size(BIG));
		assert_int_equal(
			store_blob_open(w->store, &w->blob_digests[layer], w->blobs[layer].n),
			-ENOENT);
	}
	assert_int_equal(stats_of(c).errors, 0);
	assert_true(stats_of(c).refused >= w->n_layers);
	assert_true(stats_of(c).fetched_bytes > 0);
	content_free(&c);
	world_free(&w);
}

/* Spoil the windows of a layer's open index so that this chunk's does not decompress any more. */
static void spoil_window(struct world *w, unsigned layer, const struct chunk *row)
{
	auto_buf struct buf window = {0};
	struct buf *file = &w->indexes[layer];
	assert_int_equal(index_chunk_window(w->layers[layer], row, &window), 0);
	for (size_t at = file->n; at-- > 0;) {
		auto_buf struct buf spoiled = {0};
		file->p[at] ^= 0xff;
		if (index_chunk_window(w->layers[layer], row, &spoiled) != 0)
			return;
		file->p[at] ^= 0xff;
	}
	assert_true(false);
}

/* What is our own fault is not the blob's. */
static void keeps_a_blob_that_the_index_fails(void **state)
{
	(void)state;
	struct world *w = world_new(one_gzip, 1);
	struct chunk row = {0};
	struct extent run;
	uint8_t p[100];
	world_keep_blob(w, 0, -1);
	index_extent(w->image.tree, world_row(w, 0, BIG), 0, &run);
	index_chunk(w->layers[0], index_chunk_at(w->layers[0], run.stream_off + 1000000), &row);
	assert_true(row.window_len > 0);
	spoil_window(w, 0, &row);
	struct content *c = world_content(w, 20, false);
	uint64_t off = row.stream_off - run.stream_off;
	assert_int_equal(content_read(c, world_row(w, 0, BIG), off, p, 100, NULL), -EBADMSG);
	assert_int_equal(atomic_load(&w->script.opens), 0);
	int fd = store_blob_open(w->store, &w->blob_digests[0], w->blobs[0].n);
	assert_true(fd >= 0);
	close(fd);
	content_free(&c);
	world_free(&w);
}

/* --- lies --- */

static void two_lies_are_forgiven(void **state)
{
	(void)state;
	struct world *w = world_new(one_gzip, 1);
	struct content *c = world_content(w, 20, false);
	atomic_store(&w->script.lies, 2);
	world_check_read(w, c, 0, BIG, 0, 1000);
	assert_int_equal(stats_of(c).refused, 2);
	assert_int_equal(atomic_load(&w->script.opens), 3);
	content_free(&c);
	world_free(&w);
}

static void a_liar_is_never_served(void **state)
{
	(void)state;
	for (unsigned layer = 0; layer < ARRAY_LEN(all_codecs); layer++) {
		struct world *w = world_new(all_codecs, ARRAY_LEN(all_codecs));
		struct content *c = world_content(w, 20, false);
		uint8_t p[100];
		atomic_store(&w->script.lies, -1);
		assert_int_equal(content_read(c, world_row(w, layer, BIG), 0, p, 100, NULL),
				 -EBADMSG);
		assert_int_equal(stats_of(c).refused, 3);
		assert_int_equal(stats_of(c).errors, 1);
		assert_int_equal(stored_chunks(w, layer), 0);
		/* Within a second the failure is remembered, then it is forgotten. */
		unsigned opens = atomic_load(&w->script.opens);
		assert_int_equal(content_read(c, world_row(w, layer, BIG), 0, p, 100, NULL),
				 -EBADMSG);
		assert_int_equal(atomic_load(&w->script.opens), opens);
		atomic_store(&w->script.lies, 0);
		sleep_ms(FAILED_REMEMBER_MS + 50);
		world_check_read(w, c, layer, BIG, 0, 100);
		content_free(&c);
		world_free(&w);
	}
}

/* A changed byte that the decoder does not mind (the time in the gzip header) is one all the same:
 * what SHA-256 has not covered must not get that far. */
static void harmless_lies_are_lies(void **state)
{
	(void)state;
	struct world *w = world_new(one_gzip, 1);
	struct content *c = world_content(w, 20, false);
	uint8_t p[100];
	atomic_store(&w->script.lie_at, 5);
	atomic_store(&w->script.lies, -1);
	assert_int_equal(content_read(c, world_row(w, 0, 0), 0, p, 100, NULL), -EBADMSG);
	assert_int_equal(stats_of(c).refused, 3);
	assert_int_equal(stats_of(c).decoded_bytes, 0);
	content_free(&c);
	world_free(&w);
}

/* --- silence --- */

static void silence_ends_in_eio_within_the_budget(void **state)
{
	(void)state;
	struct world *w = world_new(all_codecs, ARRAY_LEN(all_codecs));
	struct content *c = world_content(w, 1, false);
	world_check_read(w, c, 0, BIG, 0, 1000);
	atomic_store(&w->script.silent, 1);
	for (unsigned layer = 1; layer < w->n_layers; layer++) {
		uint8_t p[100];
		int64_t start_ms = now_ms();
		assert_int_equal(content_read(c, world_row(w, layer, BIG), 0, p, 100, NULL), -EIO);
		assert_in_range(now_ms() - start_ms, 900, 8000);
		/* What is in the store goes on meanwhile. */
		world_check_read(w, c, 0, BIG, 0, 1000);
	}
	content_free(&c);
	world_free(&w);
}

static void a_dead_source_heals(void **state)
{
	(void)state;
	struct world *w = world_new(one_gzip, 1);
	struct content *c = world_content(w, 2, false);
	uint8_t p[100];
	atomic_store(&w->script.failures, -1);
	atomic_store(&w->script.error, -ECONNREFUSED);
	int64_t start_ms = now_ms();
	assert_int_equal(content_read(c, world_row(w, 0, BIG), 0, p, 100, NULL), -EIO);
	assert_in_range(now_ms() - start_ms, 1900, 8000);
	/* A reader that comes later has its own budget. */
	struct probe *probe = probe_new(w, 0, BIG, 0, 100);
	sleep_ms(FAILED_REMEMBER_MS + 100);
	content_read_start(c, &probe->r);
	sleep_ms(300);
	atomic_store(&w->script.failures, 0);
	assert_int_equal(probe_wait(probe), 0);
	assert_memory_equal(probe->buf, world_bytes(w, 0, BIG), 100);
	probe_free(&probe);
	content_free(&c);
	world_free(&w);
}

static void final_is_final(err_t err, enum err_class cls)
{
	struct world *w = world_new(one_gzip, 1);
	struct content *c = world_content(w, 20, false);
	uint8_t p[100];
	struct diag d = DIAG_INIT;
	atomic_store(&w->script.failures, -1);
	atomic_store(&w->script.error, err);
	int64_t start_ms = now_ms();
	assert_int_equal(content_read(c, world_row(w, 0, BIG), 0, p, 100, &d), err);
	assert_int_equal(d.cls, cls);
	assert_in_range(now_ms() - start_ms, 0, 8000);
	assert_int_equal(atomic_load(&w->script.opens), 1);
	assert_int_equal(stats_of(c).errors, 1);
	content_free(&c);
	world_free(&w);
}

/* A blob that is gone is not asked for again and again; nor is a registry that limits our rate, by
 * which the source has been patient already. */
static void gone_is_final(void **state)
{
	(void)state;
	final_is_final(-ENOENT, ERR_NOT_FOUND);
	final_is_final(-EACCES, ERR_DENIED);
	final_is_final(-EDQUOT, ERR_RATE);
}

/* A read-ahead that fails is no answer to the reader who comes just then. */
static void a_failed_read_ahead_fails_nobody(void **state)
{
	(void)state;
	struct world *w = world_new(one_gzip, 1);
	struct content *c = world_content(w, 20, false);
	struct extent run;
	atomic_store(&w->script.error, -ECONNREFUSED);
	atomic_store(&w->script.failures, 1);
	index_extent(w->image.tree, world_row(w, 0, BIG), 0, &run);
	struct flight *f = flight_start(c->flights, 0, index_chunk_at(w->layers[0], run.stream_off),
					PRIORITY_READAHEAD);
	assert_non_null(f);
	content_submit(c, &f, 1);
	while (atomic_load(&w->script.opens) == 0)
		sleep_ms(1);
	sleep_ms(100);
	world_check_read(w, c, 0, BIG, 0, 100);
	assert_int_equal(atomic_load(&w->script.opens), 2);
	content_free(&c);
	world_free(&w);
}

static void waiting_for_ever_waits_for_ever(void **state)
{
	(void)state;
	struct world *w = world_new(all_codecs, ARRAY_LEN(all_codecs));
	struct content *c = world_content(w, 1, true);
	struct probe *probes[ARRAY_LEN(all_codecs)];
	atomic_store(&w->script.failures, -1);
	atomic_store(&w->script.error, -ENOENT);
	for (unsigned i = 0; i < w->n_layers; i++) {
		probes[i] = probe_new(w, i, BIG, 0, 100);
		content_read_start(c, &probes[i]->r);
	}
	sleep_ms(1500);
	for (unsigned i = 0; i < w->n_layers; i++)
		assert_int_equal(probe_calls(probes[i]), 0);
	content_read_cancel(c, &probes[0]->r);
	assert_int_equal(probe_calls(probes[0]), 1);
	assert_int_equal(probes[0]->err, -EINTR);
	atomic_store(&w->script.failures, 0);
	for (unsigned i = 1; i < w->n_layers; i++) {
		assert_int_equal(probe_wait(probes[i]), 0);
		assert_memory_equal(probes[i]->buf, world_bytes(w, i, BIG), 100);
	}
	for (unsigned i = 0; i < w->n_layers; i++)
		probe_free(&probes[i]);
	content_free(&c);
	world_free(&w);
}

/* A frame that takes longer than the budget: its readers wait as long as it moves. */
static void a_slow_frame_restarts_the_budget(void **state)
{
	(void)state;
	struct world *w = world_new(one_frame, 1);
	struct content *c = world_content(w, 1, false);
	int pieces = (int)(w->blobs[0].n / 20000);
	atomic_store(&w->script.delay_ms, 2200 / pieces + 1);
	int64_t start_ms = now_ms();
	world_check_read(w, c, 0, BIG, world_file_size(BIG) - 100, 100);
	assert_true(now_ms() - start_ms > 1500);
	assert_int_equal(stats_of(c).fetches, 1);
	content_free(&c);
	world_free(&w);
}

/* A transfer that breaks off keeps what came before the break. */
static void keeps_what_came_before_the_break(void **state)
{
	(void)state;
	struct world *w = world_new(all_codecs, 1);
	struct content *c = world_content(w, 20, false);
	atomic_store(&w->script.break_after, 400000);
	atomic_store(&w->script.error, -ECONNRESET);
	world_check_read(w, c, 0, BIG, 0, world_file_size(BIG));
	struct content_stats stats = stats_of(c);
	assert_true(stats.decoded_bytes <= w->streams[0].n);
	assert_true(stats.fetched_bytes < 2 * w->blobs[0].n);
	content_free(&c);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(drops_a_kept_blob_that_lies),
		cmocka_unit_test(keeps_a_blob_that_the_index_fails),
		cmocka_unit_test(two_lies_are_forgiven),
		cmocka_unit_test(a_liar_is_never_served),
		cmocka_unit_test(harmless_lies_are_lies),
		cmocka_unit_test(silence_ends_in_eio_within_the_budget),
		cmocka_unit_test(a_dead_source_heals),
		cmocka_unit_test(gone_is_final),
		cmocka_unit_test(a_failed_read_ahead_fails_nobody),
		cmocka_unit_test(waiting_for_ever_waits_for_ever),
		cmocka_unit_test(a_slow_frame_restarts_the_budget),
		cmocka_unit_test(keeps_what_came_before_the_break),
	};
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
