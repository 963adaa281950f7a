/* scheduler: order, merging, delays, threads that come when needed and go when told. */
#include "tests/unit/tar_build.h"

#include "fetch/lock.h"
#include "fetch/log.h"
#include "fetch/scheduler.h"

#include <unistd.h>

#define JOBS_MAX 128

/* Writes down the batches; can hold the workers back. */
struct recorder {
	struct scheduler *s;
	struct lock lock;
	pthread_cond_t changed;
	/* under lock */
	bool hold;
	unsigned busy, most_busy, n_batches, n_jobs;
	uint32_t lead;	 /* chunk of the last batch's leader */
	char text[4096]; /* "slot:chunk,chunk slot:chunk ..." */
	unsigned ticks;
	int64_t last_tick_ms;
	struct job jobs[JOBS_MAX];
};

static void record_run(void *arg, struct job **jobs, size_t n, size_t lead)
{
	struct recorder *r = arg;
	lock_take(&r->lock);
	r->lead = jobs[lead]->chunk;
	size_t at = strlen(r->text);
	for (size_t i = 0; i < n && at < sizeof(r->text) - 32; i++)
		at += (size_t)(i ? snprintf(r->text + at, 32, ",%u", jobs[i]->chunk)
				 : snprintf(r->text + at, 32, "%u:%u", jobs[i]->slot,
					    jobs[i]->chunk));
	snprintf(r->text + at, 2, " ");
	r->n_batches++;
	r->n_jobs += (unsigned)n;
	r->busy++;
	r->most_busy = max_of(r->most_busy, r->busy);
	pthread_cond_broadcast(&r->changed);
	while (r->hold)
		condition_wait(&r->changed, &r->lock, INT64_MAX);
	r->busy--;
	lock_drop(&r->lock);
}

static int64_t record_tick(void *arg, int64_t now)
{
	struct recorder *r = arg;
	lock_take(&r->lock);
	r->ticks++;
	r->last_tick_ms = now;
	pthread_cond_broadcast(&r->changed);
	lock_drop(&r->lock);
	return INT64_MAX;
}

static struct recorder *recorder_new(unsigned workers)
{
	struct recorder *r = new_of(struct recorder);
	const struct scheduler_options options = {
		.workers = workers, .n_slots = 3, .run = record_run, .tick = record_tick, .arg = r};
	lock_init(&r->lock);
	condition_init(&r->changed);
	r->s = scheduler_new(&options);
	return r;
}

static void set_hold(struct recorder *r, bool hold)
{
	lock_take(&r->lock);
	r->hold = hold;
	pthread_cond_broadcast(&r->changed);
	lock_drop(&r->lock);
}

static void wait_jobs(struct recorder *r, unsigned n_jobs)
{
	int64_t until_ms = now_ms() + 10000;
	lock_take(&r->lock);
	while (r->n_jobs < n_jobs && now_ms() < until_ms)
		condition_wait(&r->changed, &r->lock, until_ms);
	unsigned found = r->n_jobs;
	lock_drop(&r->lock);
	assert_int_equal(found, n_jobs);
}

static void recorder_free(struct recorder **rp)
{
	struct recorder *r = take(rp);
	set_hold(r, false);
	scheduler_free(&r->s);
	pthread_cond_destroy(&r->changed);
	lock_fini(&r->lock);
	free(r);
}

/* A job for 100 KiB of blob at chunk * 100 KiB. */
static struct job *make_job(struct recorder *r, unsigned i, uint32_t slot, uint32_t chunk,
			    enum fetch_priority priority)
{
	assert_true(i < JOBS_MAX);
	r->jobs[i] = (struct job){.slot = slot,
				  .chunk = chunk,
				  .blob_off = chunk * UINT64_C(102400),
				  .blob_len = 102400,
				  .priority = priority};
	return &r->jobs[i];
}

static err_t add_job(struct recorder *r, struct job *job)
{
	return scheduler_add(r->s, &job, 1);
}

static void add(struct recorder *r, unsigned i, uint32_t slot, uint32_t chunk,
		enum fetch_priority priority)
{
	assert_int_equal(add_job(r, make_job(r, i, slot, chunk, priority)), 0);
}

/* One worker that is busy with job 0 (slot 2), so that what is added now queues up. */
static struct recorder *held_recorder(void)
{
	struct recorder *r = recorder_new(1);
	r->hold = true;
	add(r, 0, 2, 0, PRIORITY_READER);
	wait_jobs(r, 1);
	r->text[0] = 0;
	return r;
}

static void check_batches(struct recorder **r, unsigned n_jobs, const char *want)
{
	set_hold(*r, false);
	wait_jobs(*r, n_jobs + 1);
	scheduler_stop((*r)->s);
	assert_string_equal((*r)->text, want);
	recorder_free(r);
}

static void starts_nothing_by_itself(void **state)
{
	(void)state;
	struct recorder *r = recorder_new(4);
	assert_false(scheduler_started(r->s));
	scheduler_stop(r->s);
	assert_int_equal(add_job(r, make_job(r, 0, 0, 0, PRIORITY_READER)), -ECANCELED);
	assert_int_equal(scheduler_wake_at(r->s, 0), -ECANCELED);
	recorder_free(&r);
}

static void first_come_first_served(void **state)
{
	(void)state;
	struct recorder *r = held_recorder();
	add(r, 1, 0, 50, PRIORITY_READER);
	add(r, 2, 1, 10, PRIORITY_READER);
	add(r, 3, 0, 20, PRIORITY_READER);
	check_batches(&r, 3, "0:50 1:10 0:20 ");
}

static void the_most_urgent_first(void **state)
{
	(void)state;
	struct recorder *r = held_recorder();
	add(r, 1, 0, 10, PRIORITY_FILL);
	add(r, 2, 0, 20, PRIORITY_PROFILE);
	add(r, 3, 0, 30, PRIORITY_READAHEAD);
	add(r, 4, 0, 40, PRIORITY_READER);
	check_batches(&r, 4, "0:40 0:30 0:20 0:10 ");
}

static void neighbours_go_together(void **state)
{
	(void)state;
	struct recorder *r = held_recorder();
	add(r, 1, 0, 7, PRIORITY_READER);
	add(r, 2, 0, 5, PRIORITY_READER);
	add(r, 3, 1, 6, PRIORITY_READER);
	add(r, 4, 0, 6, PRIORITY_READER);
	add(r, 5, 0, 9, PRIORITY_READER);
	check_batches(&r, 5, "0:5,6,7 1:6 0:9 ");
}

/* In front of a reader's bytes others stand only as far as they are allowed to, and only when no
 * other reader waits. */
static void a_few_bytes_stand_before(void **state)
{
	(void)state;
	for (unsigned allowed = 0; allowed <= 2; allowed++) {
		struct recorder *r = held_recorder();
		scheduler_allow_before(r->s, allowed * UINT64_C(102400));
		for (unsigned i = 1; i <= 4; i++)
			add(r, i, 0, 20 + i, PRIORITY_READAHEAD);
		add(r, 5, 0, 25, PRIORITY_READER);
		add(r, 6, 0, 26, PRIORITY_READAHEAD);
		static const char *const want[] = {"0:25,26 0:21,22,23,24 ",
						   "0:24,25,26 0:21,22,23 ",
						   "0:23,24,25,26 0:21,22 "};
		check_batches(&r, 6, want[allowed]);
	}
	struct recorder *r = held_recorder();
	scheduler_allow_before(r->s, UINT64_MAX / 2);
	add(r, 1, 0, 24, PRIORITY_READAHEAD);
	add(r, 2, 0, 25, PRIORITY_READER);
	add(r, 3, 1, 1, PRIORITY_READER);
	check_batches(&r, 3, "0:25 1:1 0:24 ");
}

static void the_leader_is_named(void **state)
{
	(void)state;
	struct recorder *r = held_recorder();
	scheduler_allow_before(r->s, 204800);
	add(r, 1, 0, 24, PRIORITY_READAHEAD);
	add(r, 2, 0, 26, PRIORITY_READER);
	add(r, 3, 0, 25, PRIORITY_READER);
	add(r, 4, 0, 27, PRIORITY_READAHEAD);
	set_hold(r, false);
	wait_jobs(r, 5);
	scheduler_stop(r->s);
	assert_string_equal(r->text, "0:24,25,26,27 ");
	assert_int_equal(r->lead, 26);
	recorder_free(&r);
}

/* What is added together is taken together, also by a worker that was idle. */
static void one_call_is_one_batch(void **state)
{
	(void)state;
	struct recorder *r = recorder_new(4);
	struct job *jobs[8];
	for (unsigned i = 0; i < 8; i++)
		jobs[i] = make_job(r, i, i / 4, i, PRIORITY_READER);
	assert_int_equal(scheduler_add(r->s, jobs, 8), 0);
	wait_jobs(r, 8);
	scheduler_stop(r->s);
	assert_non_null(strstr(r->text, "0:0,1,2,3 "));
	assert_non_null(strstr(r->text, "1:4,5,6,7 "));
	recorder_free(&r);
}

static void small_gaps_are_bridged(void **state)
{
	(void)state;
	struct recorder *r = held_recorder();
	for (unsigned i = 1; i <= 3; i++) {
		struct job *job = make_job(r, i, 0, i, PRIORITY_READER);
		/* Gaps of exactly the limit, and of one byte more. */
		job->blob_off = i * UINT64_C(200000) + (i == 3);
		job->blob_len = 200000 - RANGE_GAP_MAX;
		assert_int_equal(add_job(r, job), 0);
	}
	check_batches(&r, 3, "0:1,2 0:3 ");
}

/* Blob ranges of neighbours may share a byte. */
static void overlaps_are_no_gap(void **state)
{
	(void)state;
	struct recorder *r = held_recorder();
	for (unsigned i = 1; i <= 3; i++) {
		struct job *job = make_job(r, i, 0, i, PRIORITY_READER);
		job->blob_len += 1;
		assert_int_equal(add_job(r, job), 0);
	}
	check_batches(&r, 3, "0:1,2,3 ");
}

static void a_range_has_an_end(void **state)
{
	(void)state;
	struct recorder *r = held_recorder();
	/* 40 * 100 KiB fit in RANGE_MAX, 41 do not. */
	for (unsigned i = 1; i <= 50; i++)
		add(r, i, 0, i, PRIORITY_READER);
	set_hold(r, false);
	wait_jobs(r, 51);
	scheduler_stop(r->s);
	assert_non_null(strstr(r->text, "39,40 0:41,42"));
	assert_int_equal(r->n_batches, 3);
	recorder_free(&r);
}

static void a_batch_has_an_end(void **state)
{
	(void)state;
	struct recorder *r = held_recorder();
	for (unsigned i = 1; i <= 100; i++) {
		struct job *job = make_job(r, i, 0, i, PRIORITY_READER);
		job->blob_off = i * UINT64_C(100);
		job->blob_len = 100;
		assert_int_equal(add_job(r, job), 0);
	}
	set_hold(r, false);
	wait_jobs(r, 101);
	scheduler_stop(r->s);
	assert_int_equal(r->n_batches, 3);
	recorder_free(&r);
}

static void a_lone_job_goes_alone(void **state)
{
	(void)state;
	struct recorder *r = held_recorder();
	for (unsigned i = 1; i <= 3; i++) {
		struct job *job = make_job(r, i, 0, i, PRIORITY_READER);
		job->alone = i == 2;
		assert_int_equal(add_job(r, job), 0);
	}
	check_batches(&r, 3, "0:1 0:2 0:3 ");
}

/* Read-ahead rides behind a reader, never before one, and not when another reader waits. */
static void the_less_urgent_ride_behind(void **state)
{
	(void)state;
	struct recorder *r = held_recorder();
	add(r, 1, 0, 4, PRIORITY_READAHEAD);
	add(r, 2, 0, 6, PRIORITY_READAHEAD);
	add(r, 3, 0, 5, PRIORITY_READER);
	check_batches(&r, 3, "0:5,6 0:4 ");

	r = held_recorder();
	add(r, 1, 0, 5, PRIORITY_READER);
	add(r, 2, 0, 6, PRIORITY_READAHEAD);
	add(r, 3, 1, 9, PRIORITY_READER);
	check_batches(&r, 3, "0:5 1:9 0:6 ");
}

static void promotion_overtakes(void **state)
{
	(void)state;
	struct recorder *r = held_recorder();
	add(r, 1, 0, 10, PRIORITY_READAHEAD);
	add(r, 2, 0, 20, PRIORITY_READAHEAD);
	add(r, 3, 0, 30, PRIORITY_READAHEAD);
	assert_int_equal(scheduler_queued(r->s, PRIORITY_READAHEAD), 3);
	scheduler_promote(r->s, &r->jobs[2], PRIORITY_READER);
	/* Never down. */
	scheduler_promote(r->s, &r->jobs[2], PRIORITY_FILL);
	assert_int_equal(scheduler_queued(r->s, PRIORITY_READAHEAD), 2);
	assert_int_equal(scheduler_queued(r->s, PRIORITY_READER), 1);
	check_batches(&r, 3, "0:20 0:10 0:30 ");
}

/* Half of the workers at most are in the background: a reader finds one at once. */
static void background_leaves_workers(void **state)
{
	(void)state;
	struct recorder *r = recorder_new(4);
	set_hold(r, true);
	for (unsigned i = 0; i < 6; i++)
		add(r, i, 0, i * 10, PRIORITY_READAHEAD);
	wait_jobs(r, 2);
	usleep(50000);
	wait_jobs(r, 2);
	add(r, 10, 1, 0, PRIORITY_READER);
	wait_jobs(r, 3);
	set_hold(r, false);
	wait_jobs(r, 7);
	recorder_free(&r);
}

/* Two batches that nobody waits for, unless they are so small that they do not fill the line. */
static void small_ones_go_beside(void **state)
{
	(void)state;
	static const struct {
		uint64_t bytes;
		unsigned n;
	} cases[] = {{0, 2}, {204800, 2}, {204801, 3}, {307201, 4}, {UINT64_MAX, 5}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct recorder *r = recorder_new(12);
		scheduler_allow_beside(r->s, cases[i].bytes);
		set_hold(r, true);
		for (unsigned k = 0; k < 10; k++)
			add(r, k, 0, k * 10, k % 2 ? PRIORITY_PROFILE : PRIORITY_FILL);
		wait_jobs(r, cases[i].n);
		usleep(20000);
		wait_jobs(r, cases[i].n);
		set_hold(r, false);
		wait_jobs(r, 10);
		recorder_free(&r);
	}
}

/* What stands for work has no bytes. */
static void lone_jobs_are_two_in_any_case(void **state)
{
	(void)state;
	struct recorder *r = recorder_new(12);
	scheduler_allow_beside(r->s, UINT64_MAX);
	set_hold(r, true);
	for (unsigned i = 0; i < 6; i++) {
		struct job *job = make_job(r, i, 0, i * 10, PRIORITY_FILL);
		job->alone = true;
		job->blob_len = 0;
		assert_int_equal(add_job(r, job), 0);
	}
	wait_jobs(r, BACKGROUND_WORKERS);
	usleep(20000);
	wait_jobs(r, BACKGROUND_WORKERS);
	set_hold(r, false);
	wait_jobs(r, 6);
	recorder_free(&r);
}

static void no_more_workers_than_asked(void **state)
{
	(void)state;
	struct recorder *r = recorder_new(3);
	set_hold(r, true);
	for (unsigned i = 0; i < 20; i++)
		add(r, i, 0, i * 10, PRIORITY_READER);
	wait_jobs(r, 3);
	usleep(50000);
	set_hold(r, false);
	wait_jobs(r, 20);
	scheduler_stop(r->s);
	assert_int_equal(r->most_busy, 3);
	recorder_free(&r);
}

static void delays_are_kept(void **state)
{
	(void)state;
	struct recorder *r = recorder_new(2);
	int64_t start_ms = now_ms();
	struct job *late = make_job(r, 0, 0, 0, PRIORITY_READER);
	struct job *later = make_job(r, 1, 0, 50, PRIORITY_READER);
	late->not_before_ms = start_ms + 100;
	later->not_before_ms = start_ms + 200;
	assert_int_equal(add_job(r, later), 0);
	assert_int_equal(add_job(r, late), 0);
	add(r, 2, 1, 0, PRIORITY_READER);
	wait_jobs(r, 1);
	wait_jobs(r, 2);
	assert_true(now_ms() - start_ms >= 100);
	wait_jobs(r, 3);
	assert_in_range(now_ms() - start_ms, 200, 3000);
	scheduler_stop(r->s);
	assert_string_equal(r->text, "1:0 0:0 0:50 ");
	recorder_free(&r);
}

static void ticks_when_asked(void **state)
{
	(void)state;
	struct recorder *r = recorder_new(1);
	int64_t start_ms = now_ms();
	assert_int_equal(scheduler_wake_at(r->s, start_ms + 150), 0);
	assert_int_equal(scheduler_wake_at(r->s, start_ms + 5000), 0);
	assert_int_equal(scheduler_wake_at(r->s, start_ms + 50), 0);
	lock_take(&r->lock);
	while (!r->ticks)
		condition_wait(&r->changed, &r->lock, start_ms + 5000);
	int64_t tick_ms = r->last_tick_ms;
	lock_drop(&r->lock);
	assert_in_range(tick_ms - start_ms, 50, 2000);
	recorder_free(&r);
}

static void *release_main(void *arg)
{
	usleep(100000);
	set_hold(arg, false);
	return NULL;
}

/* Stop waits for the work in hand and hands out nothing more. */
static void stop_leaves_the_queue(void **state)
{
	(void)state;
	struct recorder *r = held_recorder();
	pthread_t thread;
	for (unsigned i = 1; i <= 5; i++)
		add(r, i, 0, i * 10, PRIORITY_READER);
	assert_int_equal(pthread_create(&thread, NULL, release_main, r), 0);
	scheduler_stop(r->s);
	pthread_join(thread, NULL);
	assert_int_equal(r->n_jobs, 1);
	assert_int_equal(r->busy, 0);
	recorder_free(&r);
}

struct adder {
	struct recorder *r;
	unsigned first;
};

static void *add_main(void *arg)
{
	struct adder *adder = arg;
	for (unsigned i = 0; i < 16; i++) {
		unsigned at = adder->first + i;
		add(adder->r, at, at % 3, at * 7 % 50, (enum fetch_priority)(at % PRIORITY_COUNT));
		scheduler_promote(adder->r->s, &adder->r->jobs[adder->first], PRIORITY_READER);
	}
	return NULL;
}

static void many_add_at_once(void **state)
{
	(void)state;
	struct recorder *r = recorder_new(4);
	pthread_t threads[8];
	struct adder adders[8];
	for (unsigned i = 0; i < 8; i++) {
		adders[i] = (struct adder){r, i * 16};
		assert_int_equal(pthread_create(&threads[i], NULL, add_main, &adders[i]), 0);
	}
	for (unsigned i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	wait_jobs(r, 128);
	recorder_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_nothing_by_itself),
		cmocka_unit_test(first_come_first_served),
		cmocka_unit_test(the_most_urgent_first),
		cmocka_unit_test(neighbours_go_together),
		cmocka_unit_test(a_few_bytes_stand_before),
		cmocka_unit_test(the_leader_is_named),
		cmocka_unit_test(one_call_is_one_batch),
		cmocka_unit_test(small_gaps_are_bridged),
		cmocka_unit_test(overlaps_are_no_gap),
		cmocka_unit_test(a_range_has_an_end),
		cmocka_unit_test(a_batch_has_an_end),
		cmocka_unit_test(a_lone_job_goes_alone),
		cmocka_unit_test(the_less_urgent_ride_behind),
		cmocka_unit_test(promotion_overtakes),
		cmocka_unit_test(background_leaves_workers),
		cmocka_unit_test(small_ones_go_beside),
		cmocka_unit_test(lone_jobs_are_two_in_any_case),
		cmocka_unit_test(no_more_workers_than_asked),
		cmocka_unit_test(delays_are_kept),
		cmocka_unit_test(ticks_when_asked),
		cmocka_unit_test(stop_leaves_the_queue),
		cmocka_unit_test(many_add_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
