/*
 * scheduler - which chunk is fetched next, by which worker, together with which neighbours
 *
 * Jobs go in, one a chunk; batches come out: the most urgent job and those queued neighbours of the
 * same blob that one range request can bring along. Workers and one timer thread are started when
 * they are first needed, so a process may fork before. Nothing here knows what a job means.
 *
 * A lower priority hardly delays a higher one: the most urgent job is always taken first, less
 * urgent neighbours ride along only when nobody more urgent waits, behind it or in front of it by a
 * few bytes, and background batches leave half of the workers free.
 */
#ifndef IMGFS_FETCH_SCHEDULER_H
#define IMGFS_FETCH_SCHEDULER_H

#include "index/base.h"

#include <sys/queue.h>

enum fetch_priority {
	PRIORITY_READER,    /* somebody waits */
	PRIORITY_READAHEAD, /* somebody will probably ask soon */
	PRIORITY_PROFILE,   /* replay of a recorded start */
	PRIORITY_FILL,	    /* background fill */
	PRIORITY_COUNT,
};

/*
 * Two pieces of a blob are fetched with one request when the bytes between them are no more than
 * this. A request costs a round trip, typically 10 to 50 ms, in which a line of 20 to 50 Mbit/s
 * carries about this much: so the gap is never dearer than the request that it saves.
 */
#define RANGE_GAP_MAX (64u << 10)
/* The most that one request asks for: large enough that the round trip no longer matters on a fast
 * line, small enough that workers * RANGE_MAX of buffers stay below 32 MiB. */
#define RANGE_MAX (4u << 20)
/* Jobs of one batch: a range of RANGE_MAX full of well-compressed chunks has this many. */
#define BATCH_MAX 64

/* One chunk to fetch. Embedded in what the owner knows about it; zeroed before the first add. */
struct job {
	/* set by the owner before scheduler_add */
	uint32_t slot;	   /* which blob: below options.n_slots */
	uint32_t chunk;	   /* ascending with blob_off */
	uint64_t blob_off; /* the bytes it needs */
	uint64_t blob_len;
	bool alone;	       /* never in one batch with others */
	int64_t not_before_ms; /* stays out of the queue until then; 0: at once */
	enum fetch_priority priority;
	/* under the scheduler's lock */
	enum { JOB_OUT, JOB_DELAYED, JOB_QUEUED } where;
	TAILQ_ENTRY(job) in_order; /* first come, first served, within a priority */
	TAILQ_ENTRY(job) in_slot;  /* sorted by chunk, all priorities */
};

/*
 * What nobody waits for yet shares the line with what somebody does. Its ranges begin small and
 * double as long as each takes less than BACKGROUND_MS, so that on any line they delay a reader by
 * about that and no more; and at most BACKGROUND_WORKERS of them are under way: one whose bytes
 * come while the other's are decoded. More are, if they are so small that they do not fill the line
 * (scheduler_allow_beside).
 */
#define BACKGROUND_RANGE_MIN (256u << 10)
#define BACKGROUND_MS	     150
#define BACKGROUND_WORKERS   2

struct scheduler_options {
	unsigned workers; /* at least 1 */
	uint32_t n_slots;
	/* A worker's work: n jobs of one slot in chunk order, which are now the callee's; all of
	 * them are there for the sake of jobs[lead]. No lock is held. */
	void (*run)(void *arg, struct job **jobs, size_t n, size_t lead);
	/* Called by the timer thread when a time given to scheduler_wake_at has come; returns when
	 * to be called again (INT64_MAX: not by itself). No lock is held. May be NULL. */
	int64_t (*tick)(void *arg, int64_t now);
	void *arg;
};

struct scheduler;

/* scheduler_new - starts no thread; options are copied. */
struct scheduler *scheduler_new(const struct scheduler_options *options);

/* scheduler_stop - no batch is handed out any more, threads are joined after the work in hand. Jobs
 * that are still queued stay their owners'. Later adds return -ECANCELED. */
void scheduler_stop(struct scheduler *s);
/* scheduler_free - stops first. */
void scheduler_free(struct scheduler **s);

/*
 * scheduler_add - queue jobs that are not queued, together, so that neighbours find each other
 * They are the scheduler's until `run` gets them. All or none: -EAGAIN when no thread can be
 * started, -ECANCELED after scheduler_stop; the jobs are then still the caller's. Cost: a short
 * lock; insertion walks the queued chunks behind each one in the same blob.
 */
err_t scheduler_add(struct scheduler *s, struct job *const *jobs, size_t n) must_check;

/* scheduler_promote - make a job at least this urgent if it still waits. The caller knows that the
 * job exists. */
void scheduler_promote(struct scheduler *s, struct job *job, enum fetch_priority priority);

/* scheduler_allow_before - how many bytes of less urgent neighbours may stand in front of the most
 * urgent job's in one request; 0 at first. */
void scheduler_allow_before(struct scheduler *s, uint64_t bytes);

/* scheduler_allow_beside - how many bytes nobody waits for yet may be under way before
 * BACKGROUND_WORKERS counts; 0 at first. For jobs that are alone it always does. */
void scheduler_allow_beside(struct scheduler *s, uint64_t bytes);

/* scheduler_wake_at - have tick called at this time at the latest. -EAGAIN as for scheduler_add. */
err_t scheduler_wake_at(struct scheduler *s, int64_t when_ms) must_check;

/* scheduler_queued - jobs of a priority that wait now, for bounds and tests. */
unsigned scheduler_queued(struct scheduler *s, enum fetch_priority priority);

/* scheduler_started - whether any worker was ever started. */
bool scheduler_started(struct scheduler *s);

#endif
