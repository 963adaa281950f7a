/*
 * flight - chunks on their way, and who waits for them
 *
 * One flight a chunk, however many readers want it: the first leads (and has it fetched), the
 * others join. A flight is WAITING until whoever fetches it calls flight_land or flight_fail.
 * Landed, it answers everyone at once and newcomers directly, until flight_forget takes it out
 * (when the chunk is in the store, so that a reader finds either the flight or the store). Failed
 * for those who waited, it is remembered for FAILED_REMEMBER_MS, so that a dead source is not asked
 * again for each of a thousand readers, and then forgotten: a failure is never latched. The same
 * holds for a flight whose waiters have run out of patience: the kernel asks once more for a page
 * whose read-ahead failed, and must not wait a second budget. A failure that nobody waited for is
 * forgotten at once: a guess of ours that went wrong is no answer to a reader.
 *
 * Who owns a WAITING flight: first the caller that flight_join or flight_start told to lead, then
 * the scheduler's queue, then the worker that got its job. Only the owner lands, fails or drops it.
 * Waiters come and go under the table's lock without asking the owner.
 *
 * A ticket is the waiting side of one read: it completes when all of its parts are there, or at the
 * first error, or when its deadline has passed.
 */
#ifndef IMGFS_FETCH_FLIGHT_H
#define IMGFS_FETCH_FLIGHT_H

#include "fetch/scheduler.h"

#include <stdatomic.h>

#define FAILED_REMEMBER_MS 1000

/* The stream bytes of one chunk, shared by counted reference. */
struct chunk_data {
	_Atomic unsigned refs;
	uint32_t len;
	uint8_t bytes[];
};
/* chunk_data_new - one reference, bytes undefined; NULL when memory ends. */
struct chunk_data *chunk_data_new(uint32_t len);
struct chunk_data *chunk_data_get(struct chunk_data *data);
void chunk_data_put(struct chunk_data **data);

struct flight;
struct ticket;
struct flight_table;

/* One piece that a ticket waits for: bytes [off, off + n) of a chunk, to be copied to `to`. */
struct part {
	TAILQ_ENTRY(part) in_flight;
	struct ticket *ticket;
	struct flight *flight; /* NULL while it is copied and afterwards */
	uint8_t *to;
	uint32_t off, n;
};
TAILQ_HEAD(part_list, part);

enum flight_state {
	FLIGHT_WAITING,
	FLIGHT_LANDED,
	FLIGHT_FAILED,
};

struct flight {
	/* fixed after it was entered; slot and chunk are its key. The rest of the job is the
	 * scheduler's. */
	struct job job;
	enum fetch_priority began_as; /* what it was entered for */
	/* under the table's lock */
	enum flight_state state;
	LIST_ENTRY(flight) in_bucket;
	struct part_list parts;
	struct chunk_data *data; /* LANDED */
	int64_t failed_ms;	 /* FAILED */
	err_t err;		 /* why the last attempt failed; 0: none did, or not said */
	int64_t expired_ms;	 /* WAITING: a waiter ran out of patience then; 0: none did */
	const _Atomic(int64_t) *progress_ms; /* rides a stream that last moved then; or NULL */
	/* owned by the owner (see above) */
	unsigned attempts; /* network failures so far */
	unsigned refusals; /* times that bytes came and were wrong */
	TAILQ_ENTRY(flight) in_run;
};

/* flight_of - the flight that a job is embedded in. */
static inline struct flight *flight_of(struct job *job)
{
	return (struct flight *)((char *)job - offsetof(struct flight, job));
}

/*
 * flights_new
 * @scheduler  borrowed; told of deadlines and of joined flights' new priority. NULL in tests
 * without deadlines
 * @budget_ms  how long a ticket waits after the last sign of progress; INT64_MAX: for ever
 * @done       called exactly once for each ticket, from any thread, without any lock, with
 * `context`, the ticket's arg and 0 or -errno
 */
typedef void (*ticket_done_fn)(void *context, void *arg, err_t err);
struct flight_table *flights_new(struct scheduler *scheduler, int64_t budget_ms,
				 ticket_done_fn done, void *context);
/* flights_free - no ticket may wait any more; flights that are left are freed. */
void flights_free(struct flight_table **t);

/*
 * ticket_new - begin to wait for at most `n_parts` parts
 * @arg    for done; the ticket is gone when done is called
 * @owner  where the ticket is to be found by ticket_abort: set here, NULL before done is called.
 * Must live until then
 * Returns NULL when memory ends. ticket_close must follow.
 */
struct ticket *ticket_new(struct flight_table *t, size_t n_parts, void *arg, void **owner);

enum join_result {
	JOIN_WAITS,  /* the part waits; nothing to do */
	JOIN_LEADS,  /* the part waits in a new flight, which is the caller's to have fetched */
	JOIN_LANDED, /* *data is the chunk, one reference; the part does not wait */
	JOIN_FAILED, /* the flight failed a moment ago, and the ticket ends with its error; or the
			ticket had ended before: give up */
};
/*
 * flight_join - wait for one piece of a chunk
 * With a budget of for ever a failed flight is led again instead of JOIN_FAILED.
 */
enum join_result flight_join(struct flight_table *t, struct ticket *ticket, uint32_t slot,
			     uint32_t chunk, const struct part *piece, struct flight **lead,
			     struct chunk_data **data);

/* ticket_close - no more parts will be added; done is called at once if none is waited for. */
void ticket_close(struct flight_table *t, struct ticket *ticket);

/* ticket_abort - end the ticket that *owner names with an error; nothing when it has ended. Parts
 * being copied right now are waited for by the ticket, not by the caller. */
void ticket_abort(struct flight_table *t, void **owner, err_t err);

/* flight_start - a flight nobody waits for yet; NULL when there is one already. */
struct flight *flight_start(struct flight_table *t, uint32_t slot, uint32_t chunk,
			    enum fetch_priority priority);

/*
 * flight_patience - whether anybody waits, and until when (INT64_MAX: for ever) the most patient of
 * them does
 */
bool flight_patience(struct flight_table *t, struct flight *f, int64_t *until_ms);

/* flight_drop_unwanted - free an owned flight for which nobody waits and which a reader had asked
 * for; true when it is gone. */
bool flight_drop_unwanted(struct flight_table *t, struct flight *f);

/* flight_ride - its budget restarts whenever *progress_ms moves (NULL: no more). */
void flight_ride(struct flight_table *t, struct flight *f, const _Atomic(int64_t) *progress_ms);

/* flight_land - the chunk's verified bytes are here: answers all who wait. Takes its own reference.
 */
void flight_land(struct flight_table *t, struct flight *f, struct chunk_data *data);
/* flight_forget - take a landed flight out and free it. */
void flight_forget(struct flight_table *t, struct flight *f);
/* flight_fail - all who wait end with err (not 0). The flight is the table's from now on. */
void flight_fail(struct flight_table *t, struct flight *f, err_t err);
/*
 * flight_fail_unwaited - flight_fail if nobody waits or nobody's patience lasts; else only note err
 * for those whose patience ends before the next attempt does
 * True when the flight is the table's.
 */
bool flight_fail_unwaited(struct flight_table *t, struct flight *f, err_t err);

/* flights_tick - end tickets whose deadline has passed, with what made the last attempt fail or
 * -EIO; forget old failures; returns when to call again. */
int64_t flights_tick(struct flight_table *t, int64_t now);
/* flights_fail_all - end every ticket with -EIO, now and in the future. */
void flights_fail_all(struct flight_table *t);

#endif
