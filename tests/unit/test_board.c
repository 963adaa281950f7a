/*
 * test_board - what is shown of reads while they wait and afterwards, also while many threads write
 */
#include "fetch/board.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct board_wait wait_of(uint32_t row, uint32_t layer, int64_t ago_ms)
{
	return (struct board_wait){.since_us = board_now_us() - ago_ms * 1000,
				   .off = row * UINT64_C(4096),
				   .n = 4096,
				   .row = row,
				   .layer = layer};
}

static struct board_view *view_of(const struct board *b)
{
	struct board_view *v = new_of(struct board_view);
	board_copy(b, v);
	return v;
}

static void end_after(struct board *b, uint32_t row, uint32_t layer, int64_t ms, err_t err)
{
	struct board_wait wait = wait_of(row, layer, ms);
	board_wait_end(b, board_wait_begin(b, &wait), &wait, err);
}

static void test_waiting(void **state)
{
	struct board *b = new_of(struct board);
	struct board_wait young = wait_of(7, 1, 10), old = wait_of(8, 2, 5000);
	(void)state;
	uint32_t place = board_wait_begin(b, &young), place_too = board_wait_begin(b, &old);
	auto_free struct board_view *during = view_of(b);
	assert_int_equal(during->n_waiting, 2);
	assert_int_equal(during->n_waiting_shown, 2);
	assert_int_equal(during->waiting[0].row, 8);
	assert_int_equal(during->waiting[0].off, 8 * 4096);
	assert_int_equal(during->waiting[1].row, 7);
	assert_int_equal(during->waiting[1].layer, 1);
	board_wait_end(b, place, &young, 0);
	board_wait_end(b, place_too, &old, 0);
	auto_free struct board_view *after = view_of(b);
	assert_int_equal(after->n_waiting, 0);
	assert_int_equal(after->n_waiting_shown, 0);
	assert_int_equal(after->n_slow, 1);
	assert_int_equal(after->slow[0].row, 8);
	assert_in_range(after->slow[0].wait_ms, 5000, 6000);
	free(b);
}

/* More readers than places: the others are counted. */
static void test_more_than_can_be_shown(void **state)
{
	struct board *b = new_of(struct board);
	struct board_wait wait = wait_of(1, 0, 0);
	uint32_t places[BOARD_WAITING_MAX + 5];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		places[i] = board_wait_begin(b, &wait);
	auto_free struct board_view *v = view_of(b);
	assert_int_equal(v->n_waiting, ARRAY_LEN(places));
	assert_int_equal(v->n_waiting_shown, BOARD_WAITING_MAX);
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		board_wait_end(b, places[i], &wait, 0);
	auto_free struct board_view *after = view_of(b);
	assert_int_equal(after->n_waiting, 0);
	assert_int_equal(after->n_waiting_shown, 0);
	free(b);
}

static void test_histogram(void **state)
{
	struct board *b = new_of(struct board);
	uint64_t sum = 0;
	(void)state;
	end_after(b, 1, 0, 0, 0);
	end_after(b, 1, 0, 7, 0);
	end_after(b, 1, 0, 7, -EINTR);
	end_after(b, 1, 0, 40000, -EIO);
	auto_free struct board_view *v = view_of(b);
	for (size_t i = 0; i < BOARD_BUCKETS; i++)
		sum += v->waits[i];
	assert_int_equal(sum, 4);
	assert_int_equal(v->waits[0], 1);
	assert_int_equal(v->waits[3], 2); /* 5 to 10 ms */
	assert_int_equal(v->waits[BOARD_BUCKETS - 1], 1);
	assert_in_range(v->waited_us, 40014000, 41000000);
	free(b);
}

/* Short waits and cancelled reads say nothing; the longest stay. */
static void test_slowest(void **state)
{
	struct board *b = new_of(struct board);
	(void)state;
	end_after(b, 1, 0, BOARD_SLOW_MIN_MS - 20, 0);
	end_after(b, 2, 0, 9000, -EINTR);
	for (uint32_t i = 0; i < BOARD_SLOW_MAX + 4; i++)
		end_after(b, 100 + i, 0, 1000 + 100 * i, 0);
	end_after(b, 3, 0, 500, 0);
	end_after(b, 4, 0, 8000, -EIO);
	auto_free struct board_view *v = view_of(b);
	assert_int_equal(v->n_slow, BOARD_SLOW_MAX);
	assert_int_equal(v->slow[0].row, 4);
	assert_int_equal(v->slow[0].err, -EIO);
	assert_int_equal(v->slow[1].row, 100 + BOARD_SLOW_MAX + 3);
	for (size_t i = 0; i < v->n_slow; i++)
		assert_true(v->slow[i].wait_ms >= 1500);
	free(b);
}

static void test_failures(void **state)
{
	struct board *b = new_of(struct board);
	char text[32], long_text[500];
	(void)state;
	memset(long_text, 'x', sizeof(long_text));
	long_text[sizeof(long_text) - 1] = '\0';
	board_failed(b, 1, "evil\x1b[2Jtext");
	for (int i = 0; i < 5; i++)
		board_failed(b, 3, "connection refused");
	auto_free struct board_view *v = view_of(b);
	assert_int_equal(v->stats.failures, 6);
	assert_int_equal(v->n_failed, 2);
	assert_string_equal(v->failed[0].text, "connection refused");
	assert_int_equal(v->failed[0].times, 5);
	assert_string_equal(v->failed[1].text, "evil?[2Jtext");
	board_failed(
		b, 0,
		"blob sha256:728dbb6e40300bbfebed720e59cf62694c6187289bf503c104a4937411a406df: no");
	auto_free struct board_view *digest = view_of(b);
	assert_string_equal(digest->failed[0].text, "blob sha256:728dbb6e4030: no");
	for (int i = 0; i < 20; i++) {
		snprintf(text, sizeof(text), "failure %d", i);
		board_failed(b, 0, text);
	}
	board_failed(b, 0, long_text);
	auto_free struct board_view *full = view_of(b);
	assert_int_equal(full->n_failed, BOARD_FAILURES_MAX);
	assert_int_equal(strlen(full->failed[0].text), BOARD_TEXT_MAX - 1);
	assert_memory_equal(full->failed[0].text, "...xx", 5);
	assert_string_equal(full->failed[1].text, "failure 19");
	free(b);
}

/* What fails within one microsecond stands in the order in which it failed. */
static void test_failures_at_once(void **state)
{
	struct board *b = new_of(struct board);
	struct board_view *v = new_of(struct board_view);
	size_t at_once = 0;
	(void)state;
	for (int round = 0; round < 100000 && at_once < 100; round++) {
		board_failed(b, 0, "first");
		board_failed(b, 0, "second");
		board_copy(b, v);
		assert_string_equal(v->failed[0].text, "second");
		assert_string_equal(v->failed[1].text, "first");
		at_once += v->failed[0].at_us == v->failed[1].at_us;
	}
	print_message("%zu times within one microsecond\n", at_once);
	free(v);
	free(b);
}

/* Why a read waits: what its own layer said since it began, nothing older, nothing of others. */
static void test_reason(void **state)
{
	struct board *b = new_of(struct board);
	(void)state;
	board_failed(b, 1, "refused");
	struct board_wait later = wait_of(1, 1, -1), before = wait_of(1, 1, 1000),
			  other = wait_of(1, 2, 1000), index = wait_of(1, 2, 1000);
	index.kind = BOARD_WAITS_FOR_INDEX;
	auto_free struct board_view *v = view_of(b);
	assert_string_equal(board_reason(v, &before), "refused");
	assert_string_equal(board_reason(v, &later), "waits for its bytes");
	assert_string_equal(board_reason(v, &other), "waits for its bytes");
	assert_string_equal(board_reason(v, &index), "waits for the layer's index");
	end_after(b, 5, 1, 1000, 0);
	auto_free struct board_view *slow = view_of(b);
	assert_string_equal(slow->slow[0].why, "refused");
	end_after(b, 6, 2, 5000, 0);
	end_after(b, 7, 2, 6000, -EIO);
	auto_free struct board_view *more = view_of(b);
	assert_string_equal(more->slow[0].why, "no answer in time");
	assert_string_equal(more->slow[1].why, "waited for its bytes");
	free(b);
}

/* --- threads --- */

#define WRITERS 4
#define ROUNDS	3000

static struct board *shared;
static _Atomic(bool) written;

/* Each entry carries one number in all of its fields, so that a mixture would show. */
static void *write_much(void *arg)
{
	uint32_t number = *(const uint32_t *)arg;
	char text[32];
	snprintf(text, sizeof(text), "%u", number);
	for (int i = 0; i < ROUNDS; i++) {
		struct board_wait wait = wait_of(number, number, 1000 + i % 50);
		uint32_t place = board_wait_begin(shared, &wait);
		board_failed(shared, number, text);
		board_wait_end(shared, place, &wait, 0);
	}
	return NULL;
}

static void *look(void *arg)
{
	struct board_view *v = new_of(struct board_view);
	(void)arg;
	while (!atomic_load(&written)) {
		board_copy(shared, v);
		for (size_t i = 0; i < v->n_waiting_shown; i++)
			BUG_ON(v->waiting[i].n != 4096);
		for (size_t i = 0; i < v->n_slow; i++)
			BUG_ON(v->slow[i].row != v->slow[i].layer ||
			       v->slow[i].off != v->slow[i].row * UINT64_C(4096));
		for (size_t i = 0; i < v->n_failed; i++)
			BUG_ON((uint32_t)atoi(v->failed[i].text) != v->failed[i].layer);
	}
	free(v);
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t writers[WRITERS], reader;
	uint32_t numbers[WRITERS];
	uint64_t sum = 0;
	(void)state;
	shared = new_of(struct board);
	assert_int_equal(pthread_create(&reader, NULL, look, NULL), 0);
	for (uint32_t i = 0; i < WRITERS; i++) {
		numbers[i] = i + 1;
		assert_int_equal(pthread_create(&writers[i], NULL, write_much, &numbers[i]), 0);
	}
	for (uint32_t i = 0; i < WRITERS; i++)
		pthread_join(writers[i], NULL);
	atomic_store(&written, true);
	pthread_join(reader, NULL);
	auto_free struct board_view *v = view_of(shared);
	assert_int_equal(v->n_waiting, 0);
	assert_int_equal(v->stats.failures, WRITERS * ROUNDS);
	for (size_t i = 0; i < BOARD_BUCKETS; i++)
		sum += v->waits[i];
	assert_int_equal(sum, WRITERS * ROUNDS);
	free(shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waiting),	  cmocka_unit_test(test_more_than_can_be_shown),
		cmocka_unit_test(test_histogram), cmocka_unit_test(test_slowest),
		cmocka_unit_test(test_failures),  cmocka_unit_test(test_failures_at_once),
		cmocka_unit_test(test_reason),	  cmocka_unit_test(test_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
