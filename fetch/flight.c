/*
 * One lock covers the flights, the parts that hang on them, and the tickets the parts belong to.
 * Under it only pointers move. Bytes are copied and readers are called after it was dropped: a part
 * that is being copied has left its flight (part->flight is NULL) but still counts in its ticket,
 * so the reader's buffer stays valid until the last copy is through, whoever ends the ticket
 * meanwhile.
 */
#include "fetch/flight.h"

#include "fetch/lock.h"
#include "fetch/log.h"

#include <string.h>

#define BUCKETS 256 /* flights at one time: readers * 2 + read-ahead, some hundreds */

LIST_HEAD(bucket, flight);
TAILQ_HEAD(ticket_list, ticket);

struct ticket {
	/* fixed after new */
	void *arg;
	void **owner;
	/* under the table's lock */
	TAILQ_ENTRY(ticket) link; /* by deadline; or in a list of ended tickets */
	int64_t deadline_ms;
	unsigned left; /* parts that wait or are being copied, and one until ticket_close */
	err_t err;     /* the first */
	size_t n_parts, max_parts;
	struct part parts[];
};

struct flight_table {
	/* fixed after new */
	struct scheduler *scheduler;
	int64_t budget_ms;
	ticket_done_fn done;
	void *context;

	struct lock lock;
	/* under lock */
	struct bucket buckets[BUCKETS];
	struct ticket_list waiting; /* earliest deadline first */
	unsigned n_failed;
	bool closed;
};

struct chunk_data *chunk_data_new(uint32_t len)
{
	struct chunk_data *data = malloc(sizeof(*data) + len);
	if (!data)
		return NULL;
	atomic_init(&data->refs, 1);
	data->len = len;
	return data;
}

struct chunk_data *chunk_data_get(struct chunk_data *data)
{
	atomic_fetch_add_explicit(&data->refs, 1, memory_order_relaxed);
	return data;
}

void chunk_data_put(struct chunk_data **data)
{
	if (!*data)
		return;
	unsigned before = atomic_fetch_sub_explicit(&(*data)->refs, 1, memory_order_acq_rel);
	BUG_ON(before == 0);
	if (before == 1)
		free(*data);
	*data = NULL;
}

struct flight_table *flights_new(struct scheduler *scheduler, int64_t budget_ms,
				 ticket_done_fn done, void *context)
{
	struct flight_table *t = new_of(struct flight_table);
	t->scheduler = scheduler;
	t->budget_ms = budget_ms;
	t->done = done;
	t->context = context;
	lock_init(&t->lock);
	for (unsigned i = 0; i < BUCKETS; i++)
		LIST_INIT(&t->buckets[i]);
	TAILQ_INIT(&t->waiting);
	return t;
}

/* --- flights in their buckets --- */

static struct bucket *bucket_of(struct flight_table *t, uint32_t slot, uint32_t chunk)
{
	uint32_t h = (slot * 0x9e3779b1u) ^ (chunk * 0x85ebca6bu);
	return &t->buckets[(h ^ h >> 16) % BUCKETS];
}

static struct flight *find_locked(struct flight_table *t, uint32_t slot, uint32_t chunk)
{
	lock_must_hold(&t->lock);
	struct flight *f;
	LIST_FOREACH(f, bucket_of(t, slot, chunk), in_bucket)
	if (f->job.slot == slot && f->job.chunk == chunk)
		return f;
	return NULL;
}

static struct flight *enter_locked(struct flight_table *t, uint32_t slot, uint32_t chunk,
				   enum fetch_priority priority)
{
	struct flight *f = new_of(struct flight);
	f->job.slot = slot;
	f->job.chunk = chunk;
	f->job.priority = f->began_as = priority;
	TAILQ_INIT(&f->parts);
	LIST_INSERT_HEAD(bucket_of(t, slot, chunk), f, in_bucket);
	return f;
}

static void remove_locked(struct flight_table *t, struct flight *f)
{
	lock_must_hold(&t->lock);
	BUG_ON(!TAILQ_EMPTY(&f->parts));
	BUG_ON(f->job.where != JOB_OUT);
	t->n_failed -= f->state == FLIGHT_FAILED;
	LIST_REMOVE(f, in_bucket);
	chunk_data_put(&f->data);
	free(f);
}

static void forget_failures_locked(struct flight_table *t, int64_t before_ms)
{
	for (unsigned i = 0; t->n_failed && i < BUCKETS; i++) {
		struct flight *f = LIST_FIRST(&t->buckets[i]), *next;
		for (; f; f = next) {
			next = LIST_NEXT(f, in_bucket);
			if (f->state == FLIGHT_FAILED && f->failed_ms <= before_ms)
				remove_locked(t, f);
		}
	}
}

void flights_free(struct flight_table **tp)
{
	if (!*tp)
		return;
	struct flight_table *t = take(tp);
	BUG_ON(!TAILQ_EMPTY(&t->waiting));
	for (unsigned i = 0; i < BUCKETS; i++) {
		while (!LIST_EMPTY(&t->buckets[i])) {
			struct flight *f = LIST_FIRST(&t->buckets[i]);
			BUG_ON(!TAILQ_EMPTY(&f->parts));
			LIST_REMOVE(f, in_bucket);
			chunk_data_put(&f->data);
			free(f);
		}
	}
	lock_fini(&t->lock);
	free(t);
}

/* --- tickets --- */

/* Insert by deadline, looking from the end: with one budget for all, that is where it belongs. */
static void await_locked(struct flight_table *t, struct ticket *ticket)
{
	struct ticket *before = TAILQ_LAST(&t->waiting, ticket_list);
	while (before && before->deadline_ms > ticket->deadline_ms)
		before = TAILQ_PREV(before, ticket_list, link);
	if (before)
		TAILQ_INSERT_AFTER(&t->waiting, before, ticket, link);
	else
		TAILQ_INSERT_HEAD(&t->waiting, ticket, link);
}

static int64_t deadline_after(const struct flight_table *t, int64_t start_ms)
{
	return t->budget_ms == INT64_MAX ? INT64_MAX : start_ms + t->budget_ms;
}

struct ticket *ticket_new(struct flight_table *t, size_t n_parts, void *arg, void **owner)
{
	struct ticket *ticket = calloc(1, sizeof(*ticket) + n_parts * sizeof(ticket->parts[0]));
	if (!ticket)
		return NULL;
	ticket->arg = arg;
	ticket->owner = owner;
	ticket->left = 1;
	ticket->max_parts = n_parts;
	ticket->deadline_ms = deadline_after(t, now_ms());
	lock_take(&t->lock);
	await_locked(t, ticket);
	*owner = ticket;
	if (t->closed)
		ticket->err = -EIO;
	lock_drop(&t->lock);
	/* Without a timer a ticket could wait for ever; then it is better not to wait at all. */
	if (t->scheduler && ticket->deadline_ms != INT64_MAX &&
	    scheduler_wake_at(t->scheduler, ticket->deadline_ms) != 0)
		ticket_abort(t, owner, -EIO);
	return ticket;
}

static void let_go_locked(struct flight_table *t, struct ticket *ticket, struct ticket_list *ended)
{
	lock_must_hold(&t->lock);
	BUG_ON(ticket->left == 0);
	if (--ticket->left > 0)
		return;
	TAILQ_REMOVE(&t->waiting, ticket, link);
	*ticket->owner = NULL;
	TAILQ_INSERT_TAIL(ended, ticket, link);
}

static void tell_ended(struct flight_table *t, struct ticket_list *ended)
{
	struct ticket *ticket;
	while ((ticket = TAILQ_FIRST(ended)) != NULL) {
		TAILQ_REMOVE(ended, ticket, link);
		t->done(t->context, ticket->arg, ticket->err);
		free(ticket);
	}
}

/* End a ticket: its parts leave their flights, except those being copied. The ticket may be gone
 * from `waiting` afterwards. */
static void abort_locked(struct flight_table *t, struct ticket *ticket, err_t err,
			 struct ticket_list *ended)
{
	if (ticket->err)
		return;
	ticket->err = err;
	/* Keeps it alive until the loop is through. */
	ticket->left++;
	for (size_t i = 0; i < ticket->n_parts; i++) {
		struct part *part = &ticket->parts[i];
		if (!part->flight)
			continue;
		TAILQ_REMOVE(&part->flight->parts, part, in_flight);
		part->flight = NULL;
		let_go_locked(t, ticket, ended);
	}
	let_go_locked(t, ticket, ended);
}

void ticket_close(struct flight_table *t, struct ticket *ticket)
{
	struct ticket_list ended = TAILQ_HEAD_INITIALIZER(ended);
	lock_take(&t->lock);
	let_go_locked(t, ticket, &ended);
	lock_drop(&t->lock);
	tell_ended(t, &ended);
}

void ticket_abort(struct flight_table *t, void **owner, err_t err)
{
	struct ticket_list ended = TAILQ_HEAD_INITIALIZER(ended);
	lock_take(&t->lock);
	if (*owner)
		abort_locked(t, *owner, err, &ended);
	lock_drop(&t->lock);
	tell_ended(t, &ended);
}

/* --- joining --- */

static void hang_on_locked(struct flight *f, struct ticket *ticket, const struct part *piece)
{
	BUG_ON(ticket->n_parts == ticket->max_parts);
	struct part *part = &ticket->parts[ticket->n_parts++];
	*part = (struct part){
		.ticket = ticket, .flight = f, .to = piece->to, .off = piece->off, .n = piece->n};
	TAILQ_INSERT_TAIL(&f->parts, part, in_flight);
	ticket->left++;
}

static bool remembered(const struct flight_table *t, int64_t since_ms)
{
	return t->budget_ms != INT64_MAX && since_ms && now_ms() < since_ms + FAILED_REMEMBER_MS;
}

/* Why a flight failed, or its last attempt did. */
static err_t reason_of(const struct flight *f)
{
	return f->err ? f->err : -EIO;
}

/* A failure still remembered answers for the source, except to those who wait for ever. */
static bool remembers_failure_locked(struct flight_table *t, struct flight **f)
{
	if (*f && (*f)->state == FLIGHT_WAITING)
		return remembered(t, (*f)->expired_ms);
	if (!*f || (*f)->state != FLIGHT_FAILED)
		return false;
	if (remembered(t, (*f)->failed_ms))
		return true;
	remove_locked(t, *f);
	*f = NULL;
	return false;
}

/* An open ticket can not end here, only begin to. */
static void refuse_locked(struct flight_table *t, struct ticket *ticket, err_t err)
{
	struct ticket_list ended = TAILQ_HEAD_INITIALIZER(ended);
	abort_locked(t, ticket, err, &ended);
	BUG_ON(!TAILQ_EMPTY(&ended));
}

static enum join_result join_locked(struct flight_table *t, struct ticket *ticket, uint32_t slot,
				    uint32_t chunk, const struct part *piece, struct flight **lead,
				    struct chunk_data **data)
{
	struct flight *f = find_locked(t, slot, chunk);
	if (ticket->err)
		return JOIN_FAILED;
	if (remembers_failure_locked(t, &f)) {
		refuse_locked(t, ticket, reason_of(f));
		return JOIN_FAILED;
	}
	if (f && f->state == FLIGHT_LANDED) {
		*data = chunk_data_get(f->data);
		return JOIN_LANDED;
	}
	if (f) {
		hang_on_locked(f, ticket, piece);
		if (t->scheduler)
			scheduler_promote(t->scheduler, &f->job, PRIORITY_READER);
		return JOIN_WAITS;
	}
	*lead = enter_locked(t, slot, chunk, PRIORITY_READER);
	hang_on_locked(*lead, ticket, piece);
	return JOIN_LEADS;
}

enum join_result flight_join(struct flight_table *t, struct ticket *ticket, uint32_t slot,
			     uint32_t chunk, const struct part *piece, struct flight **lead,
			     struct chunk_data **data)
{
	lock_take(&t->lock);
	enum join_result result = join_locked(t, ticket, slot, chunk, piece, lead, data);
	lock_drop(&t->lock);
	return result;
}

struct flight *flight_start(struct flight_table *t, uint32_t slot, uint32_t chunk,
			    enum fetch_priority priority)
{
	lock_take(&t->lock);
	struct flight *f = NULL;
	if (!t->closed && !find_locked(t, slot, chunk))
		f = enter_locked(t, slot, chunk, priority);
	lock_drop(&t->lock);
	return f;
}

/* --- what the owner of a flight does --- */

/* Until when the most patient waits; INT64_MIN: nobody does. */
static int64_t patience_locked(const struct flight *f)
{
	const struct part *part;
	int64_t until_ms = INT64_MIN;
	TAILQ_FOREACH(part, &f->parts, in_flight)
	until_ms = max_of(until_ms, part->ticket->deadline_ms);
	return until_ms;
}

bool flight_patience(struct flight_table *t, struct flight *f, int64_t *until_ms)
{
	lock_take(&t->lock);
	*until_ms = patience_locked(f);
	bool waited_for = !TAILQ_EMPTY(&f->parts);
	lock_drop(&t->lock);
	return waited_for;
}

/* From now on it is only a memory; its parts are the caller's to end. */
static void remember_locked(struct flight_table *t, struct flight *f, int64_t since_ms)
{
	f->state = FLIGHT_FAILED;
	f->failed_ms = since_ms;
	f->progress_ms = NULL;
	t->n_failed++;
}

/* Nobody waits: there is nothing to remember, unless somebody has waited in vain just now. */
static void drop_locked(struct flight_table *t, struct flight *f)
{
	if (remembered(t, f->expired_ms))
		remember_locked(t, f, f->expired_ms);
	else
		remove_locked(t, f);
}

bool flight_drop_unwanted(struct flight_table *t, struct flight *f)
{
	lock_take(&t->lock);
	bool unwanted = TAILQ_EMPTY(&f->parts) && f->job.priority == PRIORITY_READER;
	if (unwanted)
		drop_locked(t, f);
	lock_drop(&t->lock);
	return unwanted;
}

void flight_ride(struct flight_table *t, struct flight *f, const _Atomic(int64_t) *progress_ms)
{
	lock_take(&t->lock);
	f->progress_ms = progress_ms;
	lock_drop(&t->lock);
}

void flight_land(struct flight_table *t, struct flight *f, struct chunk_data *data)
{
	struct part_list parts = TAILQ_HEAD_INITIALIZER(parts);
	struct ticket_list ended = TAILQ_HEAD_INITIALIZER(ended);
	struct part *part;
	lock_take(&t->lock);
	BUG_ON(f->state != FLIGHT_WAITING);
	f->state = FLIGHT_LANDED;
	f->data = chunk_data_get(data);
	f->progress_ms = NULL;
	TAILQ_CONCAT(&parts, &f->parts, in_flight);
	TAILQ_FOREACH(part, &parts, in_flight)
	part->flight = NULL;
	lock_drop(&t->lock);

	TAILQ_FOREACH(part, &parts, in_flight)
	{
		BUG_ON((uint64_t)part->off + part->n > data->len);
		memcpy(part->to, data->bytes + part->off, part->n);
	}

	lock_take(&t->lock);
	while ((part = TAILQ_FIRST(&parts)) != NULL) {
		TAILQ_REMOVE(&parts, part, in_flight);
		let_go_locked(t, part->ticket, &ended);
	}
	lock_drop(&t->lock);
	tell_ended(t, &ended);
}

void flight_forget(struct flight_table *t, struct flight *f)
{
	lock_take(&t->lock);
	BUG_ON(f->state != FLIGHT_LANDED);
	remove_locked(t, f);
	lock_drop(&t->lock);
}

static void fail_locked(struct flight_table *t, struct flight *f, err_t err,
			struct ticket_list *ended)
{
	struct part *part;
	BUG_ON(f->state != FLIGHT_WAITING);
	f->err = err;
	if (TAILQ_EMPTY(&f->parts)) {
		drop_locked(t, f);
		return;
	}
	remember_locked(t, f, now_ms());
	while ((part = TAILQ_FIRST(&f->parts)) != NULL)
		abort_locked(t, part->ticket, err, ended);
}

/* A failure that is never asked for again is still forgotten; without a timer it stays until it is.
 */
static void tell_failed(struct flight_table *t, struct ticket_list *ended)
{
	tell_ended(t, ended);
	if (t->scheduler)
		(void)!scheduler_wake_at(t->scheduler, now_ms() + FAILED_REMEMBER_MS);
}

void flight_fail(struct flight_table *t, struct flight *f, err_t err)
{
	struct ticket_list ended = TAILQ_HEAD_INITIALIZER(ended);
	lock_take(&t->lock);
	fail_locked(t, f, err, &ended);
	lock_drop(&t->lock);
	tell_failed(t, &ended);
}

bool flight_fail_unwaited(struct flight_table *t, struct flight *f, err_t err)
{
	struct ticket_list ended = TAILQ_HEAD_INITIALIZER(ended);
	lock_take(&t->lock);
	bool unwaited = patience_locked(f) <= now_ms();
	if (unwaited)
		fail_locked(t, f, err, &ended);
	else
		f->err = err;
	lock_drop(&t->lock);
	if (unwaited)
		tell_failed(t, &ended);
	return unwaited;
}

/* --- time --- */

/* The latest sign of progress of the streams that its parts ride. */
static int64_t progress_locked(const struct ticket *ticket)
{
	int64_t latest_ms = INT64_MIN;
	for (size_t i = 0; i < ticket->n_parts; i++) {
		const struct flight *f = ticket->parts[i].flight;
		if (f && f->progress_ms)
			latest_ms = max_of(latest_ms, atomic_load_explicit(f->progress_ms,
									   memory_order_relaxed));
	}
	return latest_ms;
}

static void expire_locked(struct flight_table *t, struct ticket *ticket, int64_t now,
			  struct ticket_list *ended)
{
	int64_t progress_ms = progress_locked(ticket);
	int64_t deadline_ms = progress_ms == INT64_MIN ? now : deadline_after(t, progress_ms);
	if (deadline_ms > now) {
		TAILQ_REMOVE(&t->waiting, ticket, link);
		ticket->deadline_ms = deadline_ms;
		await_locked(t, ticket);
		return;
	}
	err_t err = -EIO;
	for (size_t i = 0; i < ticket->n_parts; i++) {
		struct flight *f = ticket->parts[i].flight;
		if (!f)
			continue;
		f->expired_ms = now;
		err = reason_of(f);
	}
	abort_locked(t, ticket, err, ended);
}

/* A ticket that has ended but whose copies are under way stays in the list with its old deadline:
 * it is passed over. */
static void expire_all_locked(struct flight_table *t, int64_t now, struct ticket_list *ended)
{
	struct ticket *ticket = TAILQ_FIRST(&t->waiting), *next;
	for (; ticket && ticket->deadline_ms <= now; ticket = next) {
		next = TAILQ_NEXT(ticket, link);
		if (!ticket->err)
			expire_locked(t, ticket, now, ended);
	}
}

static int64_t next_deadline_locked(struct flight_table *t)
{
	const struct ticket *ticket;
	TAILQ_FOREACH(ticket, &t->waiting, link)
	if (!ticket->err)
		return ticket->deadline_ms;
	return INT64_MAX;
}

int64_t flights_tick(struct flight_table *t, int64_t now)
{
	struct ticket_list ended = TAILQ_HEAD_INITIALIZER(ended);
	lock_take(&t->lock);
	expire_all_locked(t, now, &ended);
	int64_t next_ms = next_deadline_locked(t);
	forget_failures_locked(t, now - FAILED_REMEMBER_MS);
	if (t->n_failed)
		next_ms = min_of(next_ms, now + FAILED_REMEMBER_MS);
	lock_drop(&t->lock);
	tell_ended(t, &ended);
	return next_ms;
}

void flights_fail_all(struct flight_table *t)
{
	struct ticket_list ended = TAILQ_HEAD_INITIALIZER(ended);
	lock_take(&t->lock);
	t->closed = true;
	struct ticket *ticket = TAILQ_FIRST(&t->waiting), *next;
	for (; ticket; ticket = next) {
		next = TAILQ_NEXT(ticket, link);
		abort_locked(t, ticket, -EIO, &ended);
	}
	lock_drop(&t->lock);
	tell_ended(t, &ended);
}
