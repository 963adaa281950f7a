/*
 * What lies beside a missed chunk: that it comes with one request where that costs the reader
 * little, that the reader's chunk is delivered first, and that what has come is kept; and that more
 * comes where a program is at work.
 */
#include "tests/unit/content_world.h"

#include "fetch/board.h"
#include "fetch/content_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define BIG    2 /* file */
#define CHUNK  CHUNK_TARGET_MIN
#define MIDDLE (80u * CHUNK) /* far from both ends of the file */
#define WINDOW 8	     /* chunks on either side, at first */

static const enum world_codec plain[] = {WORLD_TAR};

static struct content *with_neighbours(struct world *w)
{
	const struct content_options options = {.budget_s = 20, .workers = 1, .neighbours = true};
	return world_content_with(w, &options);
}

static uint32_t chunk_of(struct world *w, uint64_t off)
{
	struct extent run;
	index_extent(w->image.tree, world_row(w, 0, BIG), off, &run);
	return chunk_table_at(w->tables[0], run.stream_off);
}

/* Chunks [from, to] and no others, in a moment at the latest. */
static void check_stored(struct world *w, struct content *c, uint32_t from, uint32_t to)
{
	struct chunk_store *chunks = c->slots[0].chunks;
	uint32_t n = chunk_table_info(w->tables[0])->n_chunks;
	int64_t until_ms = now_ms() + 10000;
	for (uint32_t i = from; i <= to; i++)
		while (!chunk_store_has(chunks, i) && now_ms() < until_ms)
			usleep(1000);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(chunk_store_has(chunks, i), i >= from && i <= to);
}

/* A line that answers late and then gives a lot. */
static void learn_far_line(struct content *c)
{
	line_learn(c, 20000, 1u << 20, 20000);
}

static void one_request_brings_both_sides(void **state)
{
	(void)state;
	struct world *w = world_new(plain, 1);
	struct content *c = with_neighbours(w);
	uint32_t chunk = chunk_of(w, MIDDLE);
	learn_far_line(c);
	world_check_read(w, c, 0, BIG, MIDDLE, 100);
	check_stored(w, c, chunk - WINDOW, chunk + WINDOW);
	assert_int_equal(atomic_load(&w->script.opens), 1);
	content_free(&c);
	world_free(&w);
}

/* Nothing is known of the line: what stands before the reader's chunk has a request of its own. */
static void nothing_delays_on_an_unknown_line(void **state)
{
	(void)state;
	struct world *w = world_new(plain, 1);
	struct content *c = with_neighbours(w);
	uint32_t chunk = chunk_of(w, MIDDLE);
	world_check_read(w, c, 0, BIG, MIDDLE, 100);
	check_stored(w, c, chunk - WINDOW, chunk + WINDOW);
	assert_int_equal(atomic_load(&w->script.opens), 2);
	assert_true(atomic_load(&w->script.longest) <= (WINDOW + 1) * 2 * CHUNK);
	content_free(&c);
	world_free(&w);
}

/* A near line answers at once: no byte in front of the reader's is cheaper than a request. */
static void nothing_delays_on_a_near_line(void **state)
{
	(void)state;
	struct world *w = world_new(plain, 1);
	struct content *c = with_neighbours(w);
	for (int i = 0; i < 100; i++)
		line_learn(c, 10, 1u << 20, 100000);
	world_check_read(w, c, 0, BIG, MIDDLE, 100);
	check_stored(w, c, chunk_of(w, MIDDLE) - WINDOW, chunk_of(w, MIDDLE) + WINDOW);
	assert_int_equal(atomic_load(&w->script.opens), 2);
	content_free(&c);
	world_free(&w);
}

/* The line breaks right behind the reader's chunk: it and those before it have come, and are kept;
 * nobody waits for the others. */
static void what_came_before_a_break_is_kept(void **state)
{
	(void)state;
	struct world *w = world_new(plain, 1);
	struct content *c = with_neighbours(w);
	uint32_t chunk = chunk_of(w, MIDDLE);
	struct chunk first, lead;
	chunk_table_get(w->tables[0], chunk - WINDOW, &first);
	chunk_table_get(w->tables[0], chunk, &lead);
	learn_far_line(c);
	atomic_store(&w->script.error, -ECONNRESET);
	atomic_store(&w->script.break_after, (int)(lead.blob_off + lead.blob_len - first.blob_off));
	world_check_read(w, c, 0, BIG, MIDDLE, 100);
	check_stored(w, c, chunk - WINDOW, chunk);
	assert_int_equal(atomic_load(&w->script.opens), 1);
	content_free(&c);
	world_free(&w);
}

/* Wrong bytes beside it do not touch the reader. */
static void a_bad_neighbour_harms_nobody(void **state)
{
	(void)state;
	struct world *w = world_new(plain, 1);
	struct content *c = with_neighbours(w);
	uint32_t chunk = chunk_of(w, MIDDLE);
	struct chunk first;
	chunk_table_get(w->tables[0], chunk - WINDOW, &first);
	learn_far_line(c);
	atomic_store(&w->script.lie_at, (int)first.blob_off + 10);
	atomic_store(&w->script.lies, -1);
	world_check_read(w, c, 0, BIG, MIDDLE, 100);
	check_stored(w, c, chunk - WINDOW + 1, chunk + WINDOW);
	content_free(&c);
	world_free(&w);
}

/* --- where a program is at work --- */

#define REACH 16 /* chunks on either side */

/* Three chunks at the lower end of what is looked at. */
static void want_three(struct content *c, uint32_t chunk)
{
	for (uint32_t i = 0; i < 3; i++)
		around_wanted(&c->slots[0].around, chunk - REACH + i);
}

static void more_comes_where_most_was_wanted(void **state)
{
	(void)state;
	struct world *w = world_new(plain, 1);
	struct content *c = with_neighbours(w);
	uint32_t chunk = chunk_of(w, MIDDLE);
	want_three(c, chunk);
	world_check_read(w, c, 0, BIG, MIDDLE, 100);
	check_stored(w, c, chunk - REACH, chunk + REACH);
	content_free(&c);
	world_free(&w);
}

/* 16 chunks are 256 KiB: 10 ms of a slow line are less, but that much may come on any. */
static void a_slow_line_brings_no_less_than_that(void **state)
{
	(void)state;
	struct world *w = world_new(plain, 1);
	struct content *c = with_neighbours(w);
	uint32_t chunk = chunk_of(w, MIDDLE);
	line_learn(c, 20000, 1u << 20, 1000000);
	want_three(c, chunk);
	world_check_read(w, c, 0, BIG, MIDDLE, 100);
	check_stored(w, c, chunk - REACH, chunk + REACH);
	content_free(&c);
	world_free(&w);
}

/* Guesses were of no use in this layer: nothing is guessed, wherever. */
static void a_closed_window_stays_closed(void **state)
{
	(void)state;
	struct world *w = world_new(plain, 1);
	struct content *c = with_neighbours(w);
	uint32_t chunk = chunk_of(w, MIDDLE);
	want_three(c, chunk);
	atomic_store(&c->slots[0].around.window, 0);
	world_check_read(w, c, 0, BIG, MIDDLE, 100);
	check_stored(w, c, chunk, chunk);
	content_free(&c);
	world_free(&w);
}

/* Four chunks in reach are here and were not wanted. */
static void no_more_comes_where_most_was_not(void **state)
{
	(void)state;
	static const struct start how = {
		.priority = PRIORITY_READAHEAD, .queue_max = 64, .fetches = true};
	struct world *w = world_new(plain, 1);
	struct content *c = with_neighbours(w);
	uint32_t chunk = chunk_of(w, MIDDLE), n = 0;
	uint64_t from = MIDDLE + 8u * CHUNK;
	want_three(c, chunk);
	assert_int_equal(
		content_start_range(c, world_row(w, 0, BIG), &from, from + 3u * CHUNK + 1, &how),
		START_DONE);
	uint32_t first = chunk_of(w, MIDDLE + 8u * CHUNK);
	check_stored(w, c, first, first + 3);
	world_check_read(w, c, 0, BIG, MIDDLE, 100);
	scheduler_stop(c->scheduler);
	for (uint32_t i = 0; i < chunk_table_info(w->tables[0])->n_chunks; i++)
		n += chunk_store_has(c->slots[0].chunks, i);
	assert_true(n > 4 && n <= 4 + 2 * WINDOW + 1);
	content_free(&c);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_request_brings_both_sides),
		cmocka_unit_test(nothing_delays_on_an_unknown_line),
		cmocka_unit_test(nothing_delays_on_a_near_line),
		cmocka_unit_test(what_came_before_a_break_is_kept),
		cmocka_unit_test(a_bad_neighbour_harms_nobody),
		cmocka_unit_test(more_comes_where_most_was_wanted),
		cmocka_unit_test(a_slow_line_brings_no_less_than_that),
		cmocka_unit_test(a_closed_window_stays_closed),
		cmocka_unit_test(no_more_comes_where_most_was_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
