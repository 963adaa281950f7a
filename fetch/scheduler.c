/*
 * Every queued job stands in two lists: its priority's, in order of arrival, which says who is
 * next; and its blob's, sorted by chunk, which says who can ride along. A worker takes the head of
 * the most urgent list and widens the range over its neighbours in the sorted one. One leaf lock
 * covers both lists and the threads' state; it is dropped before any work is done.
 */
#include "fetch/scheduler.h"

#include "fetch/lock.h"
#include "fetch/log.h"

#include <limits.h>
#include <signal.h>

/* Decoders keep their state on the heap; the deepest user of the stack is a source's HTTP code with
 * a diagnostic or two. The default of 8 MiB a thread would count against a container's limits. */
#define THREAD_STACK (512u << 10)

TAILQ_HEAD(job_list, job);

struct scheduler {
	/* fixed after new */
	struct scheduler_options options;
	unsigned background_max;

	struct lock lock;
	pthread_cond_t work; /* a job was queued, or the end has come */
	pthread_cond_t time; /* the timer has to look again */
	/* under lock */
	struct job_list by_priority[PRIORITY_COUNT];
	unsigned n_queued[PRIORITY_COUNT];
	struct job_list *by_slot;
	struct job_list delayed;
	int64_t tick_at_ms;
	unsigned n_threads, n_idle;
	unsigned n_background; /* batches under way that no reader led, */
	unsigned n_unhurried;  /* and those of them that are not read-ahead */
	uint64_t unhurried_range;
	uint64_t before_max;		      /* bytes; see scheduler_allow_before */
	uint64_t beside_max, unhurried_bytes; /* see scheduler_allow_beside; under way */
	bool stopping, timer_started, joined;
	pthread_t timer;
	pthread_t *threads;
};

struct scheduler *scheduler_new(const struct scheduler_options *options)
{
	BUG_ON(!options->workers || !options->run);
	struct scheduler *s = new_of(struct scheduler);
	s->options = *options;
	s->background_max = max_of(options->workers / 2, 1u);
	lock_init(&s->lock);
	condition_init(&s->work);
	condition_init(&s->time);
	for (unsigned i = 0; i < PRIORITY_COUNT; i++)
		TAILQ_INIT(&s->by_priority[i]);
	TAILQ_INIT(&s->delayed);
	s->by_slot = xcalloc(max_of(options->n_slots, 1u), sizeof(*s->by_slot));
	for (uint32_t i = 0; i < options->n_slots; i++)
		TAILQ_INIT(&s->by_slot[i]);
	s->threads = xcalloc(options->workers, sizeof(*s->threads));
	s->tick_at_ms = INT64_MAX;
	s->unhurried_range = BACKGROUND_RANGE_MIN;
	return s;
}

/* --- the queues --- */

static void queue_locked(struct scheduler *s, struct job *job)
{
	struct job_list *slot = &s->by_slot[job->slot];
	struct job *before = TAILQ_LAST(slot, job_list);
	while (before && before->chunk > job->chunk)
		before = TAILQ_PREV(before, job_list, in_slot);
	if (before)
		TAILQ_INSERT_AFTER(slot, before, job, in_slot);
	else
		TAILQ_INSERT_HEAD(slot, job, in_slot);
	TAILQ_INSERT_TAIL(&s->by_priority[job->priority], job, in_order);
	s->n_queued[job->priority]++;
	job->where = JOB_QUEUED;
}

static void unqueue_locked(struct scheduler *s, struct job *job)
{
	BUG_ON(job->where != JOB_QUEUED);
	TAILQ_REMOVE(&s->by_slot[job->slot], job, in_slot);
	TAILQ_REMOVE(&s->by_priority[job->priority], job, in_order);
	s->n_queued[job->priority]--;
	job->where = JOB_OUT;
}

/* Nobody waits for it, nor will in the next moment. */
static bool is_unhurried(const struct job *job)
{
	return job->priority >= PRIORITY_PROFILE;
}

/* A batch under construction: the leader, what stands before it, what follows it. */
struct span {
	const struct job *lead;
	uint64_t start, end;  /* of the blob */
	uint64_t max;	      /* bytes */
	unsigned n, n_urgent; /* jobs, and those that are as urgent as the leader */
};

/* One more job, unless the gap or the sum is too large. Less urgent ones ride along, unless
 * somebody more urgent needs the worker. */
static bool span_widen_locked(const struct scheduler *s, struct span *span, const struct job *job)
{
	uint64_t start = min_of(span->start, job->blob_off);
	uint64_t end = max_of(span->end, job->blob_off + job->blob_len);
	uint64_t gap = 0;
	bool urgent = job->priority <= span->lead->priority;
	if (span->n == BATCH_MAX || job->alone)
		return false;
	if (!urgent && s->n_queued[span->lead->priority] > span->n_urgent)
		return false;
	if (job->blob_off > span->end)
		gap = job->blob_off - span->end;
	else if (span->start > job->blob_off + job->blob_len)
		gap = span->start - (job->blob_off + job->blob_len);
	if (gap > RANGE_GAP_MAX || end - start > span->max)
		return false;
	span->start = start;
	span->end = end;
	span->n++;
	span->n_urgent += urgent;
	return true;
}

/* Bytes before the leader's delay it: who is as urgent may stand there, and others if they are few.
 */
static bool may_stand_before_locked(const struct scheduler *s, const struct job *lead,
				    const struct job *job)
{
	return job->priority <= lead->priority || job->blob_off + s->before_max >= lead->blob_off;
}

/* @lead_at: how many stand before it. */
static size_t take_batch_locked(struct scheduler *s, struct job *lead, struct job **jobs,
				size_t *lead_at)
{
	struct span span = {.lead = lead,
			    .start = lead->blob_off,
			    .end = lead->blob_off + lead->blob_len,
			    .max = is_unhurried(lead) ? s->unhurried_range : RANGE_MAX,
			    .n = 1,
			    .n_urgent = 1};
	struct job *first = lead, *last = lead, *job;
	while (!lead->alone && (job = TAILQ_PREV(first, job_list, in_slot)) != NULL &&
	       may_stand_before_locked(s, lead, job) && span_widen_locked(s, &span, job))
		first = job;
	*lead_at = span.n - 1;
	while (!lead->alone && (job = TAILQ_NEXT(last, in_slot)) != NULL &&
	       span_widen_locked(s, &span, job))
		last = job;
	job = first;
	for (size_t i = 0; i < span.n; i++) {
		struct job *next = TAILQ_NEXT(job, in_slot);
		unqueue_locked(s, job);
		jobs[i] = job;
		job = next;
	}
	return span.n;
}

static bool may_run_locked(const struct scheduler *s, const struct job *job)
{
	if (job->priority == PRIORITY_READER)
		return true;
	if (s->n_background >= s->background_max)
		return false;
	if (!is_unhurried(job) || s->n_unhurried < BACKGROUND_WORKERS)
		return true;
	/* One is left for who will be waited for in the next moment. */
	return !job->alone && s->n_background + 1 < s->background_max &&
	       s->unhurried_bytes < s->beside_max;
}

/* The head of the most urgent list that may run now. */
static struct job *next_job_locked(struct scheduler *s)
{
	for (unsigned i = 0; i < PRIORITY_COUNT; i++) {
		struct job *job = TAILQ_FIRST(&s->by_priority[i]);
		if (job && may_run_locked(s, job))
			return job;
	}
	return NULL;
}

/* --- threads --- */

static err_t rouse_worker_locked(struct scheduler *s);

static void adapt_range_locked(struct scheduler *s, int64_t took_ms)
{
	if (took_ms < BACKGROUND_MS)
		s->unhurried_range = min_of(s->unhurried_range * 2, (uint64_t)RANGE_MAX);
	else if (took_ms > BACKGROUND_MS * 2)
		s->unhurried_range = max_of(s->unhurried_range / 2, (uint64_t)BACKGROUND_RANGE_MIN);
}

static uint64_t bytes_of(struct job *const *jobs, size_t n)
{
	return jobs[n - 1]->blob_off + jobs[n - 1]->blob_len - jobs[0]->blob_off;
}

/* Each one that takes a batch wakes the next if there is more: so jobs that come together are taken
 * by as few workers as their ranges need. */
static void work_once_locked(struct scheduler *s, struct job *lead)
{
	struct job *jobs[BATCH_MAX];
	bool background = lead->priority != PRIORITY_READER, unhurried = is_unhurried(lead);
	bool adapts = unhurried && !lead->alone;
	size_t lead_at, n = take_batch_locked(s, lead, jobs, &lead_at);
	uint64_t bytes = unhurried ? bytes_of(jobs, n) : 0;
	s->n_background += background;
	s->n_unhurried += unhurried;
	s->unhurried_bytes += bytes;
	if (next_job_locked(s))
		(void)rouse_worker_locked(s);
	lock_drop(&s->lock);
	int64_t began = now_ms();
	s->options.run(s->options.arg, jobs, n, lead_at);
	int64_t took = now_ms() - began;
	lock_take(&s->lock);
	s->n_background -= background;
	s->n_unhurried -= unhurried;
	s->unhurried_bytes -= bytes;
	if (adapts)
		adapt_range_locked(s, took);
}

static void *worker_main(void *arg)
{
	struct scheduler *s = arg;
	lock_take(&s->lock);
	while (!s->stopping) {
		struct job *lead = next_job_locked(s);
		if (lead) {
			work_once_locked(s, lead);
			continue;
		}
		s->n_idle++;
		condition_wait(&s->work, &s->lock, INT64_MAX);
		s->n_idle--;
	}
	lock_drop(&s->lock);
	return NULL;
}

/* Signals are the main thread's: a worker must neither run a handler nor have its calls
 * interrupted. */
static err_t thread_start(pthread_t *thread, void *(*run)(void *), void *arg)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_attr_t attr;
	BUG_ON(pthread_attr_init(&attr) != 0);
	pthread_attr_setstacksize(&attr, max_of((size_t)THREAD_STACK, (size_t)PTHREAD_STACK_MIN));
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int failed = pthread_create(thread, &attr, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return failed ? -EAGAIN : 0;
}

/* One more worker if all are busy. Fewer workers than wanted are slower, none is an error. */
static err_t start_worker_locked(struct scheduler *s)
{
	unsigned n_queued = 0;
	for (unsigned i = 0; i < PRIORITY_COUNT; i++)
		n_queued += s->n_queued[i];
	if (s->n_threads == s->options.workers || (s->n_threads && n_queued <= s->n_idle))
		return 0;
	err_t err = thread_start(&s->threads[s->n_threads], worker_main, s);
	if (!err)
		s->n_threads++;
	return s->n_threads ? 0 : err;
}

/* Somebody has to take what was just queued: an idle worker, a new one, or the next to finish. */
static err_t rouse_worker_locked(struct scheduler *s)
{
	pthread_cond_signal(&s->work);
	return start_worker_locked(s);
}

/* Move jobs whose time has come into the queue; returns when the next one is due. */
static int64_t queue_due_locked(struct scheduler *s, int64_t now)
{
	int64_t next_ms = INT64_MAX;
	struct job *job = TAILQ_FIRST(&s->delayed);
	while (job) {
		struct job *next = TAILQ_NEXT(job, in_order);
		if (job->not_before_ms <= now) {
			TAILQ_REMOVE(&s->delayed, job, in_order);
			queue_locked(s, job);
			(void)rouse_worker_locked(s);
		} else {
			next_ms = min_of(next_ms, job->not_before_ms);
		}
		job = next;
	}
	return next_ms;
}

static void tick_locked(struct scheduler *s, int64_t now)
{
	s->tick_at_ms = INT64_MAX;
	lock_drop(&s->lock);
	int64_t next_ms = s->options.tick ? s->options.tick(s->options.arg, now) : INT64_MAX;
	lock_take(&s->lock);
	s->tick_at_ms = min_of(s->tick_at_ms, next_ms);
}

static void *timer_main(void *arg)
{
	struct scheduler *s = arg;
	lock_take(&s->lock);
	while (!s->stopping) {
		int64_t now = now_ms();
		int64_t due_ms = queue_due_locked(s, now);
		if (s->tick_at_ms <= now)
			tick_locked(s, now);
		else
			condition_wait(&s->time, &s->lock, min_of(due_ms, s->tick_at_ms));
	}
	lock_drop(&s->lock);
	return NULL;
}

static err_t start_timer_locked(struct scheduler *s)
{
	if (s->timer_started)
		return 0;
	err_t err = thread_start(&s->timer, timer_main, s);
	s->timer_started = err == 0;
	return err;
}

/* Everything that can fail; what follows can not. */
static err_t prepare_locked(struct scheduler *s)
{
	if (s->stopping)
		return -ECANCELED;
	err_t err = start_timer_locked(s);
	return err || s->n_threads ? err : start_worker_locked(s);
}

static void add_locked(struct scheduler *s, struct job *job, int64_t now)
{
	BUG_ON(job->where != JOB_OUT || job->slot >= s->options.n_slots);
	if (job->not_before_ms <= now) {
		queue_locked(s, job);
		return;
	}
	TAILQ_INSERT_TAIL(&s->delayed, job, in_order);
	job->where = JOB_DELAYED;
	pthread_cond_signal(&s->time);
}

err_t scheduler_add(struct scheduler *s, struct job *const *jobs, size_t n)
{
	int64_t now = now_ms();
	lock_take(&s->lock);
	err_t err = prepare_locked(s);
	for (size_t i = 0; !err && i < n; i++)
		add_locked(s, jobs[i], now);
	if (!err)
		(void)rouse_worker_locked(s);
	lock_drop(&s->lock);
	return err;
}

void scheduler_promote(struct scheduler *s, struct job *job, enum fetch_priority priority)
{
	lock_take(&s->lock);
	if (job->priority > priority) {
		bool queued = job->where == JOB_QUEUED;
		if (queued)
			unqueue_locked(s, job);
		job->priority = priority;
		if (queued) {
			queue_locked(s, job);
			(void)rouse_worker_locked(s);
		}
	}
	lock_drop(&s->lock);
}

void scheduler_allow_before(struct scheduler *s, uint64_t bytes)
{
	lock_take(&s->lock);
	s->before_max = bytes;
	lock_drop(&s->lock);
}

void scheduler_allow_beside(struct scheduler *s, uint64_t bytes)
{
	lock_take(&s->lock);
	s->beside_max = bytes;
	lock_drop(&s->lock);
}

err_t scheduler_wake_at(struct scheduler *s, int64_t when_ms)
{
	lock_take(&s->lock);
	err_t err = s->stopping ? -ECANCELED : start_timer_locked(s);
	if (!err && when_ms < s->tick_at_ms) {
		s->tick_at_ms = when_ms;
		pthread_cond_signal(&s->time);
	}
	lock_drop(&s->lock);
	return err;
}

unsigned scheduler_queued(struct scheduler *s, enum fetch_priority priority)
{
	lock_take(&s->lock);
	unsigned n = s->n_queued[priority];
	lock_drop(&s->lock);
	return n;
}

bool scheduler_started(struct scheduler *s)
{
	lock_take(&s->lock);
	bool started = s->n_threads > 0;
	lock_drop(&s->lock);
	return started;
}

void scheduler_stop(struct scheduler *s)
{
	lock_take(&s->lock);
	s->stopping = true;
	bool join = !s->joined;
	s->joined = true;
	pthread_cond_broadcast(&s->work);
	pthread_cond_broadcast(&s->time);
	lock_drop(&s->lock);
	if (!join)
		return;
	for (unsigned i = 0; i < s->n_threads; i++)
		pthread_join(s->threads[i], NULL);
	if (s->timer_started)
		pthread_join(s->timer, NULL);
}

void scheduler_free(struct scheduler **sp)
{
	if (!*sp)
		return;
	struct scheduler *s = take(sp);
	scheduler_stop(s);
	pthread_cond_destroy(&s->work);
	pthread_cond_destroy(&s->time);
	lock_fini(&s->lock);
	free(s->threads);
	free(s->by_slot);
	free(s);
}
