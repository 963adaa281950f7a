/*
 * What lies beside a missed chunk: that it comes with one request where that costs the reader
 * little, that the reader's chunk is delivered first, and that what has come is kept; how much it
 * is, and when the rest of the file comes, too.
 */
#include "tests/unit/content_probe.h"

#include "fetch/board.h"
#include "fetch/content_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define BIG    2 /* file */
#define CHUNK  CHUNK_TARGET_MIN
#define MIDDLE (80u * CHUNK) /* far from both ends of the file */
#define WINDOW 8u	     /* chunks on either side, at first */

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
	wait_idle(w);
	for (uint32_t i = 0; i < n; i++)
		if (chunk_store_has(chunks, i) != (i >= from && i <= to))
			fail_msg("chunk %u, of [%u, %u]: %d", i, from, to,
				 chunk_store_has(chunks, i));
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

/* --- how much --- */

/* On a line of which nothing is known: 256 KiB behind the chunk, 128 KiB before it. */
#define BEHIND_LEAST 16u
#define BEFORE_LEAST 8u

static void open_window(struct content *c, uint32_t window)
{
	atomic_store(&c->slots[0].around.window, window);
}

static void check_come(struct world *w, struct content *c, uint32_t before, uint32_t behind)
{
	uint32_t chunk = chunk_of(w, MIDDLE);
	world_check_read(w, c, 0, BIG, MIDDLE, 100);
	check_stored(w, c, chunk - before, chunk + behind);
}

static void more_comes_from_behind(void **state)
{
	(void)state;
	struct world *w = world_new(plain, 1);
	struct content *c = with_neighbours(w);
	open_window(c, 64);
	check_come(w, c, BEFORE_LEAST, BEHIND_LEAST);
	content_free(&c);
	world_free(&w);
}

/* 10 ms of it are 10 KiB. */
static void a_slow_line_brings_no_less(void **state)
{
	(void)state;
	struct world *w = world_new(plain, 1);
	struct content *c = with_neighbours(w);
	line_learn(c, 20000, 1u << 20, 1000000);
	open_window(c, 64);
	check_come(w, c, BEFORE_LEAST, BEHIND_LEAST);
	content_free(&c);
	world_free(&w);
}

/* 65 KiB a millisecond. */
static void a_fast_line_brings_more(void **state)
{
	(void)state;
	struct world *w = world_new(plain, 1);
	struct content *c = with_neighbours(w);
	line_learn(c, 20000, 65u << 20, 1024000);
	open_window(c, 64);
	check_come(w, c, 3 * 4, 10 * 4);
	content_free(&c);
	world_free(&w);
}

/* Guesses were of no use in this layer. */
static void a_closed_window_brings_nothing(void **state)
{
	(void)state;
	struct world *w = world_new(plain, 1);
	struct content *c = with_neighbours(w);
	open_window(c, 0);
	check_come(w, c, 0, 0);
	content_free(&c);
	world_free(&w);
}

/* --- the rest of a file --- */

/* On a line of which nothing is known: 512 KiB besides the neighbours. */
#define REST_LEAST 32u

static void check_rest(struct world *w, struct content *c, uint32_t rest)
{
	uint32_t first = chunk_of(w, 0);
	assert_true(first < WINDOW); /* all that is before it comes */
	assert_true(chunk_of(w, world_file_size(BIG) - 1) > first + WINDOW + rest);
	world_check_read(w, c, 0, BIG, 0, 100);
	check_stored(w, c, 0, first + WINDOW + rest);
}

static void the_beginning_brings_the_rest(void **state)
{
	(void)state;
	struct world *w = world_new(plain, 1);
	struct content *c = with_neighbours(w);
	check_rest(w, c, REST_LEAST);
	assert_int_equal(atomic_load(&c->slots[0].around.window), WINDOW);
	content_free(&c);
	world_free(&w);
}

/* 40 KiB a millisecond: enough for 64 chunks, and that is the limit, neighbours among them. */
static void a_fast_line_brings_64_chunks(void **state)
{
	(void)state;
	struct world *w = world_new(plain, 1);
	struct content *c = with_neighbours(w);
	line_learn(c, 20000, 40u << 20, 1024000);
	check_rest(w, c, 64 - WINDOW - 1);
	content_free(&c);
	world_free(&w);
}

/* Somebody has looked at the beginnings of many files. */
static void where_rests_were_of_no_use_none_comes(void **state)
{
	(void)state;
	struct world *w = world_new(plain, 1);
	struct content *c = with_neighbours(w);
	atomic_store(&c->slots[0].around.rests_made, 100);
	atomic_store(&c->slots[0].around.rests_used, 19);
	check_rest(w, c, 0);
	content_free(&c);
	world_empty_store(w);
	c = with_neighbours(w);
	atomic_store(&c->slots[0].around.rests_made, 100);
	atomic_store(&c->slots[0].around.rests_used, 20);
	check_rest(w, c, REST_LEAST);
	content_free(&c);
	world_free(&w);
}

static void what_is_read_of_it_counts(void **state)
{
	(void)state;
	struct world *w = world_new(plain, 1);
	struct content *c = with_neighbours(w);
	const struct around *a = &c->slots[0].around;
	check_rest(w, c, REST_LEAST);
	assert_int_equal(atomic_load(&a->rests_made), REST_LEAST);
	assert_int_equal(atomic_load(&a->rests_used), 0);
	uint32_t neighbours = atomic_load(&a->made);
	assert_int_equal(neighbours, chunk_of(w, 0) + WINDOW);
	world_check_read(w, c, 0, BIG, (WINDOW + 4) * CHUNK, CHUNK);
	assert_in_range(atomic_load(&a->rests_used), 1, 2);
	assert_int_equal(atomic_load(&a->used), 0);
	world_check_read(w, c, 0, BIG, CHUNK, CHUNK);
	assert_in_range(atomic_load(&a->used), 1, 2);
	content_free(&c);
	world_free(&w);
}

/* Not if it is missed from somewhere else on. */
static void only_with_the_beginning(void **state)
{
	(void)state;
	struct world *w = world_new(plain, 1);
	struct content *c = with_neighbours(w);
	world_check_read(w, c, 0, BIG, MIDDLE, 100);
	assert_int_equal(atomic_load(&c->slots[0].around.rests_made), 0);
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
		cmocka_unit_test(more_comes_from_behind),
		cmocka_unit_test(a_slow_line_brings_no_less),
		cmocka_unit_test(a_fast_line_brings_more),
		cmocka_unit_test(a_closed_window_brings_nothing),
		cmocka_unit_test(the_beginning_brings_the_rest),
		cmocka_unit_test(a_fast_line_brings_64_chunks),
		cmocka_unit_test(where_rests_were_of_no_use_none_comes),
		cmocka_unit_test(what_is_read_of_it_counts),
		cmocka_unit_test(only_with_the_beginning),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
