/* flight: one flight a chunk, everyone answered exactly once, whatever ends first. */
#include "tests/unit/tar_build.h"

#include "fetch/flight.h"
#include "fetch/lock.h"
#include "fetch/log.h"

#include <sched.h>
#include <unistd.h>

/* A reader: what a ticket completes. */
struct reader {
	void *ticket;
	_Atomic unsigned calls;
	_Atomic int err;
	uint8_t buf[64];
};

static void reader_done(void *context, void *arg, err_t err)
{
	struct reader *r = arg;
	assert_ptr_equal(context, &reader_done);
	atomic_store(&r->err, err);
	atomic_fetch_add(&r->calls, 1);
}

static struct flight_table *table_new(int64_t budget_ms)
{
	return flights_new(NULL, budget_ms, reader_done, (void *)(uintptr_t)&reader_done);
}

static struct chunk_data *make_data(uint8_t fill)
{
	struct chunk_data *data = chunk_data_new(64);
	assert_non_null(data);
	memset(data->bytes, fill, 64);
	return data;
}

static enum join_result join(struct flight_table *t, struct ticket *ticket, struct reader *r,
			     uint32_t chunk, uint32_t off, uint32_t n, struct flight **lead,
			     struct chunk_data **data)
{
	struct part part = {.to = r->buf + off, .off = off, .n = n};
	return flight_join(t, ticket, 1, chunk, &part, lead, data);
}

static struct ticket *start(struct flight_table *t, struct reader *r)
{
	*r = (struct reader){0};
	struct ticket *ticket = ticket_new(t, 4, r, &r->ticket);
	assert_non_null(ticket);
	return ticket;
}

static void land(struct flight_table *t, struct flight *f, uint8_t fill)
{
	struct chunk_data *data = make_data(fill);
	flight_land(t, f, data);
	chunk_data_put(&data);
}

static void one_flight_answers_all(void **state)
{
	(void)state;
	struct flight_table *t = table_new(60000);
	struct reader a, b, late;
	struct flight *f = NULL, *other = NULL;
	struct chunk_data *data = NULL;
	struct ticket *ta = start(t, &a), *tb = start(t, &b);
	assert_int_equal(join(t, ta, &a, 5, 0, 10, &f, &data), JOIN_LEADS);
	ticket_close(t, ta);
	assert_int_equal(join(t, tb, &b, 5, 20, 30, &other, &data), JOIN_WAITS);
	ticket_close(t, tb);
	assert_null(other);
	assert_int_equal(a.calls + b.calls, 0);
	land(t, f, 7);
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.calls, 1);
	assert_int_equal(a.err, 0);
	assert_int_equal(a.buf[0] + a.buf[9] + a.buf[10], 14);
	assert_int_equal(b.buf[19] + b.buf[20] + b.buf[49] + b.buf[50], 14);
	assert_null(a.ticket);

	/* Until it is forgotten it answers directly. */
	struct ticket *tl = start(t, &late);
	assert_int_equal(join(t, tl, &late, 5, 0, 1, &other, &data), JOIN_LANDED);
	assert_int_equal(data->bytes[0], 7);
	flight_forget(t, f);
	assert_int_equal(data->bytes[63], 7);
	chunk_data_put(&data);
	assert_int_equal(join(t, tl, &late, 5, 0, 1, &f, &data), JOIN_LEADS);
	ticket_close(t, tl);
	land(t, f, 8);
	flight_forget(t, f);
	assert_int_equal(late.calls, 1);
	flights_free(&t);
}

static void a_ticket_needs_all_its_parts(void **state)
{
	(void)state;
	struct flight_table *t = table_new(60000);
	struct reader r;
	struct flight *f[3];
	struct chunk_data *data = NULL;
	struct ticket *ticket = start(t, &r);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(join(t, ticket, &r, i, i, 1, &f[i], &data), JOIN_LEADS);
	land(t, f[2], 3);
	land(t, f[0], 1);
	land(t, f[1], 2);
	/* All there, but more could have come. */
	assert_int_equal(r.calls, 0);
	ticket_close(t, ticket);
	assert_int_equal(r.calls, 1);
	assert_memory_equal(r.buf, "\1\2\3", 3);
	for (uint32_t i = 0; i < 3; i++)
		flight_forget(t, f[i]);
	flights_free(&t);
}

static void one_failure_ends_the_ticket(void **state)
{
	(void)state;
	struct flight_table *t = table_new(60000);
	struct reader r, other;
	struct flight *bad, *good, *again = NULL;
	struct chunk_data *data = NULL;
	struct ticket *ticket = start(t, &r);
	assert_int_equal(join(t, ticket, &r, 1, 0, 1, &bad, &data), JOIN_LEADS);
	assert_int_equal(join(t, ticket, &r, 2, 1, 1, &good, &data), JOIN_LEADS);
	ticket_close(t, ticket);
	flight_fail(t, bad, -EBADMSG);
	assert_int_equal(r.calls, 1);
	assert_int_equal(r.err, -EBADMSG);
	/* The other flight goes on without it. */
	int64_t until_ms;
	assert_false(flight_patience(t, good, &until_ms));
	land(t, good, 1);
	flight_forget(t, good);
	assert_int_equal(r.calls, 1);

	/* Remembered for a second, then forgotten. */
	ticket = start(t, &other);
	assert_int_equal(join(t, ticket, &other, 1, 0, 1, &again, &data), JOIN_FAILED);
	assert_int_equal(other.calls, 0);
	ticket_close(t, ticket);
	assert_int_equal(other.calls, 1);
	assert_int_equal(other.err, -EBADMSG);
	ticket = start(t, &other);
	usleep((FAILED_REMEMBER_MS + 20) * 1000);
	assert_int_equal(join(t, ticket, &other, 1, 0, 1, &again, &data), JOIN_LEADS);
	ticket_close(t, ticket);
	land(t, again, 4);
	flight_forget(t, again);
	assert_int_equal(other.err, 0);
	flights_free(&t);
}

static void those_who_wait_for_ever_lead_again(void **state)
{
	(void)state;
	struct flight_table *t = table_new(INT64_MAX);
	struct reader a, b;
	struct flight *f, *again = NULL;
	struct chunk_data *data = NULL;
	struct ticket *ta = start(t, &a), *tb;
	int64_t until_ms;
	assert_int_equal(join(t, ta, &a, 1, 0, 1, &f, &data), JOIN_LEADS);
	ticket_close(t, ta);
	assert_true(flight_patience(t, f, &until_ms));
	assert_int_equal(until_ms, INT64_MAX);
	flights_tick(t, INT64_MAX - 1);
	assert_int_equal(a.calls, 0);
	flight_fail(t, f, -EIO);
	assert_int_equal(a.calls, 1);
	tb = start(t, &b);
	assert_int_equal(join(t, tb, &b, 1, 0, 1, &again, &data), JOIN_LEADS);
	ticket_close(t, tb);
	land(t, again, 1);
	flight_forget(t, again);
	flights_free(&t);
}

static void deadlines_are_per_reader(void **state)
{
	(void)state;
	struct flight_table *t = table_new(1000);
	struct reader first, second;
	struct flight *f, *unused = NULL;
	struct chunk_data *data = NULL;
	int64_t start_ms = now_ms(), until_ms;
	struct ticket *a = start(t, &first);
	assert_int_equal(join(t, a, &first, 1, 0, 1, &f, &data), JOIN_LEADS);
	ticket_close(t, a);
	usleep(50000);
	struct ticket *b = start(t, &second);
	assert_int_equal(join(t, b, &second, 1, 0, 1, &unused, &data), JOIN_WAITS);
	ticket_close(t, b);
	assert_true(flight_patience(t, f, &until_ms));
	assert_true(until_ms >= start_ms + 1050);
	assert_true(flights_tick(t, start_ms) <= start_ms + 1040);
	int64_t next_ms = flights_tick(t, start_ms + 1045);
	assert_int_equal(first.calls, 1);
	assert_int_equal(first.err, -EIO);
	assert_int_equal(second.calls, 0);
	assert_int_equal(next_ms, until_ms);
	land(t, f, 1);
	assert_int_equal(second.calls, 1);
	assert_int_equal(second.err, 0);
	flight_forget(t, f);
	flights_free(&t);
}

static void progress_restarts_the_budget(void **state)
{
	(void)state;
	struct flight_table *t = table_new(1000);
	struct reader r;
	struct flight *f;
	struct chunk_data *data = NULL;
	int64_t start_ms = now_ms();
	_Atomic(int64_t) progress_ms;
	struct ticket *ticket = start(t, &r);
	assert_int_equal(join(t, ticket, &r, 1, 0, 1, &f, &data), JOIN_LEADS);
	ticket_close(t, ticket);
	atomic_init(&progress_ms, start_ms + 900);
	flight_ride(t, f, &progress_ms);
	assert_int_equal(flights_tick(t, start_ms + 1500), start_ms + 1900);
	assert_int_equal(r.calls, 0);
	atomic_store(&progress_ms, start_ms + 1800);
	assert_int_equal(flights_tick(t, start_ms + 1900), start_ms + 2800);
	flights_tick(t, start_ms + 2800);
	assert_int_equal(r.calls, 1);
	assert_int_equal(r.err, -EIO);
	flight_ride(t, f, NULL);
	assert_true(flight_drop_unwanted(t, f));
	flights_free(&t);
}

static void cancelling_is_at_once(void **state)
{
	(void)state;
	struct flight_table *t = table_new(60000);
	struct reader a, b;
	struct flight *f, *unused = NULL;
	struct chunk_data *data = NULL;
	struct ticket *ta = start(t, &a), *tb = start(t, &b);
	assert_int_equal(join(t, ta, &a, 1, 0, 1, &f, &data), JOIN_LEADS);
	ticket_close(t, ta);
	assert_int_equal(join(t, tb, &b, 1, 0, 1, &unused, &data), JOIN_WAITS);
	ticket_close(t, tb);
	ticket_abort(t, &a.ticket, -EINTR);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.err, -EINTR);
	ticket_abort(t, &a.ticket, -EINTR);
	assert_int_equal(a.calls, 1);
	assert_false(flight_drop_unwanted(t, f));
	ticket_abort(t, &b.ticket, -EINTR);
	assert_true(flight_drop_unwanted(t, f));
	assert_int_equal(b.calls, 1);
	flights_free(&t);
}

/* An ended ticket takes no more parts. */
static void an_ended_ticket_joins_nothing(void **state)
{
	(void)state;
	struct flight_table *t = table_new(60000);
	struct reader r;
	struct flight *f = NULL;
	struct chunk_data *data = NULL;
	struct ticket *ticket = start(t, &r);
	ticket_abort(t, &r.ticket, -EINTR);
	assert_int_equal(r.calls, 0);
	assert_int_equal(join(t, ticket, &r, 1, 0, 1, &f, &data), JOIN_FAILED);
	assert_null(f);
	ticket_close(t, ticket);
	assert_int_equal(r.calls, 1);
	assert_int_equal(r.err, -EINTR);
	flights_free(&t);
}

static void read_ahead_waits_for_nobody(void **state)
{
	(void)state;
	struct flight_table *t = table_new(60000);
	struct reader r;
	struct flight *f = flight_start(t, 1, 1, PRIORITY_READAHEAD), *unused = NULL;
	struct chunk_data *data = NULL;
	assert_non_null(f);
	assert_null(flight_start(t, 1, 1, PRIORITY_READAHEAD));
	assert_int_equal(f->job.priority, PRIORITY_READAHEAD);
	assert_false(flight_drop_unwanted(t, f));
	struct ticket *ticket = start(t, &r);
	assert_int_equal(join(t, ticket, &r, 1, 0, 1, &unused, &data), JOIN_WAITS);
	ticket_close(t, ticket);
	land(t, f, 9);
	assert_int_equal(r.calls, 1);
	flight_forget(t, f);
	flights_free(&t);
}

/* A guess that went wrong is no answer to a reader. */
static void a_failed_read_ahead_is_forgotten(void **state)
{
	(void)state;
	struct flight_table *t = table_new(60000);
	struct reader r;
	struct flight *f = NULL;
	struct chunk_data *data = NULL;
	flight_fail(t, flight_start(t, 1, 1, PRIORITY_READAHEAD), -ENOENT);
	assert_true(flight_fail_unwaited(t, flight_start(t, 1, 1, PRIORITY_READAHEAD), -EIO));
	struct ticket *ticket = start(t, &r);
	assert_int_equal(join(t, ticket, &r, 1, 0, 1, &f, &data), JOIN_LEADS);
	ticket_close(t, ticket);
	/* Now somebody waits. */
	assert_false(flight_fail_unwaited(t, f, -EIO));
	assert_int_equal(r.calls, 0);
	land(t, f, 9);
	flight_forget(t, f);
	assert_int_equal(r.err, 0);
	flights_free(&t);
}

static void newcomer_fails(struct flight_table *t, err_t err)
{
	struct reader r;
	struct flight *f = NULL;
	struct chunk_data *data = NULL;
	struct ticket *ticket = start(t, &r);
	assert_int_equal(join(t, ticket, &r, 1, 0, 1, &f, &data), JOIN_FAILED);
	ticket_close(t, ticket);
	assert_int_equal(r.calls, 1);
	assert_int_equal(r.err, err);
}

/* Once somebody has waited a budget, nobody waits a second one right behind. */
static void a_budget_is_waited_for_once(void **state)
{
	(void)state;
	struct flight_table *t = table_new(1000);
	struct reader r, late;
	struct flight *f, *again = NULL;
	struct chunk_data *data = NULL;
	int64_t end_ms = now_ms() + 1100;
	struct ticket *ticket = start(t, &r);
	assert_int_equal(join(t, ticket, &r, 1, 0, 1, &f, &data), JOIN_LEADS);
	ticket_close(t, ticket);
	assert_false(flight_fail_unwaited(t, f, -EBADMSG));
	flights_tick(t, end_ms);
	assert_int_equal(r.calls, 1);
	assert_int_equal(r.err, -EBADMSG);
	/* The flight still goes on, then it fails: the same answer. */
	newcomer_fails(t, -EBADMSG);
	assert_true(flight_fail_unwaited(t, f, -EDQUOT));
	newcomer_fails(t, -EDQUOT);
	flights_tick(t, end_ms + FAILED_REMEMBER_MS);
	ticket = start(t, &late);
	assert_int_equal(join(t, ticket, &late, 1, 0, 1, &again, &data), JOIN_LEADS);
	ticket_close(t, ticket);
	land(t, again, 1);
	flight_forget(t, again);
	flights_free(&t);
}

static void the_end_is_for_all(void **state)
{
	(void)state;
	struct flight_table *t = table_new(INT64_MAX);
	struct reader r[3];
	struct flight *f[3];
	struct chunk_data *data = NULL;
	for (uint32_t i = 0; i < 3; i++) {
		struct ticket *ticket = start(t, &r[i]);
		assert_int_equal(join(t, ticket, &r[i], i, 0, 1, &f[i], &data), JOIN_LEADS);
		ticket_close(t, ticket);
	}
	flights_fail_all(t);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(r[i].calls, 1);
		assert_int_equal(r[i].err, -EIO);
	}
	struct reader late;
	struct ticket *ticket = start(t, &late);
	assert_int_equal(join(t, ticket, &late, 0, 0, 1, &f[0], &data), JOIN_FAILED);
	ticket_close(t, ticket);
	assert_int_equal(late.err, -EIO);
	assert_null(flight_start(t, 1, 9, PRIORITY_READAHEAD));
	flights_free(&t);
}

/* --- all at once --- */

#define CHUNKS 8

struct crowd {
	struct flight_table *t;
	_Atomic unsigned seed, led;
};

/* Reads of two chunks; whoever leads also lands, fails or drops. */
static void own(struct crowd *crowd, struct flight *f, uint32_t dice)
{
	atomic_fetch_add(&crowd->led, 1);
	if (dice % 4 == 0)
		usleep(50);
	if (dice % 16 == 1 && flight_drop_unwanted(crowd->t, f))
		return;
	if (dice % 8 == 3) {
		flight_fail(crowd->t, f, -EIO);
		return;
	}
	if (dice % 8 == 5 && flight_fail_unwaited(crowd->t, f, -EIO))
		return;
	land(crowd->t, f, (uint8_t)(f->job.chunk + 1));
	flight_forget(crowd->t, f);
}

static void crowd_read(struct crowd *crowd, uint32_t dice)
{
	struct reader r;
	struct ticket *ticket = start(crowd->t, &r);
	struct flight *leads[2] = {NULL, NULL};
	uint32_t chunks[2] = {dice % CHUNKS, dice / 8 % CHUNKS};
	bool aborted = false;
	for (uint32_t i = 0; i < 2; i++) {
		struct chunk_data *data = NULL;
		enum join_result result =
			join(crowd->t, ticket, &r, chunks[i], 32 * i, 32, &leads[i], &data);
		if (result == JOIN_LANDED) {
			memcpy(r.buf + 32 * i, data->bytes + 32 * i, 32);
			chunk_data_put(&data);
		}
		if (result == JOIN_FAILED)
			break;
	}
	ticket_close(crowd->t, ticket);
	for (uint32_t i = 0; i < 2; i++)
		if (leads[i])
			own(crowd, leads[i], dice >> (8 + i));
	if (dice % 5 == 0) {
		ticket_abort(crowd->t, &r.ticket, -EINTR);
		aborted = true;
	}
	while (!atomic_load(&r.calls))
		sched_yield();
	assert_int_equal(r.calls, 1);
	assert_true(r.err == 0 || r.err == -EIO || (aborted && r.err == -EINTR));
	if (!r.err)
		for (uint32_t i = 0; i < 64; i++)
			assert_int_equal(r.buf[i], chunks[i / 32] + 1);
}

static void *crowd_main(void *arg)
{
	struct crowd *crowd = arg;
	uint32_t seed = atomic_fetch_add(&crowd->seed, 1) * 7919u;
	for (int i = 0; i < 1500; i++) {
		seed = seed * 1664525u + 1013904223u;
		crowd_read(crowd, seed >> 8);
		if (i % 100 == 0)
			flights_tick(crowd->t, now_ms() + FAILED_REMEMBER_MS);
	}
	return NULL;
}

static void a_crowd_is_answered_exactly_once(void **state)
{
	(void)state;
	struct crowd crowd = {.t = table_new(60000), .seed = 1};
	pthread_t threads[8];
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, crowd_main, &crowd), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	assert_true(crowd.led > 0);
	flights_free(&crowd.t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_flight_answers_all),
		cmocka_unit_test(a_ticket_needs_all_its_parts),
		cmocka_unit_test(one_failure_ends_the_ticket),
		cmocka_unit_test(those_who_wait_for_ever_lead_again),
		cmocka_unit_test(deadlines_are_per_reader),
		cmocka_unit_test(progress_restarts_the_budget),
		cmocka_unit_test(cancelling_is_at_once),
		cmocka_unit_test(an_ended_ticket_joins_nothing),
		cmocka_unit_test(read_ahead_waits_for_nobody),
		cmocka_unit_test(a_failed_read_ahead_is_forgotten),
		cmocka_unit_test(a_budget_is_waited_for_once),
		cmocka_unit_test(the_end_is_for_all),
		cmocka_unit_test(a_crowd_is_answered_exactly_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
