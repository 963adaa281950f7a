/*
 * When to try again. Back-off doubles from 100 ms to 10 s with full jitter, so that many clients of
 * a registry that comes back do not come back in step. A registry that failed several times in a
 * row gets a gate: one caller asks, once a second, the others wait for its result. That bounds the
 * load of a thousand failing readers and lets them all go on within a second of its return.
 */
#include "fetch/registry_priv.h"

#include "fetch/log.h"

#include <string.h>
#include <sys/random.h>

#define BACKOFF_FIRST_MS   100
#define BACKOFF_MAX_MS	   10000
#define RETRY_AFTER_CAP_MS 60000   /* longer than a reader waits */
#define LAST_ATTEMPT_MS	   500	   /* what is left for the last attempt before the deadline */
#define WAIT_MAX_MS	   3600000 /* so that a deadline may be "never" */
#define GATE_FAILURES	   5
#define GATE_PROBE_MS	   1000

void registry_wait_locked(struct registry *r, int64_t until_ms)
{
	int64_t now = now_ms(), wake_ms = min_of(until_ms, now + WAIT_MAX_MS);
	struct timespec wake = {.tv_sec = wake_ms / 1000, .tv_nsec = wake_ms % 1000 * 1000000};
	if (now < wake_ms)
		pthread_cond_timedwait(&r->changed, &r->lock, &wake);
}

static int64_t random_below(int64_t limit)
{
	uint32_t value = 0;
	if (getrandom(&value, sizeof(value), 0) != sizeof(value))
		value = (uint32_t)now_ms();
	return limit > 0 ? (int64_t)(value % (uint64_t)limit) : 0;
}

static int64_t backoff_ms(unsigned failures)
{
	int64_t limit = BACKOFF_MAX_MS;
	if (failures < 8)
		limit = min_of((int64_t)BACKOFF_FIRST_MS << (failures - 1), limit);
	return random_below(limit + 1);
}

static err_t sleep_until(struct registry *r, int64_t until_ms, struct diag *d)
{
	pthread_mutex_lock(&r->lock);
	while (!r->interrupted && now_ms() < until_ms)
		registry_wait_locked(r, until_ms);
	bool interrupted = r->interrupted;
	pthread_mutex_unlock(&r->lock);
	return interrupted ? fail(d, ERR_NETWORK, -ECANCELED, "%s: interrupted", r->base.label) : 0;
}

err_t registry_try_again(struct registry *r, struct retry *retry, err_t err, struct diag *d)
{
	int64_t now = now_ms(), left = retry->deadline_ms - now;
	if (!retry->transient || err == -ECANCELED)
		return err;
	if (++retry->failures >= retry->failures_max)
		return err;
	if (left < LAST_ATTEMPT_MS ||
	    retry->retry_after_ms > min_of(left, (int64_t)RETRY_AFTER_CAP_MS))
		return err;
	int64_t wait = max_of(backoff_ms(retry->failures), retry->retry_after_ms);
	wait = min_of(wait, left - LAST_ATTEMPT_MS);
	log_info("registry.retry", "source=%s attempt=%u wait_ms=%lld cause=\"%s\"", r->base.label,
		 retry->failures, (long long)wait, d ? d->text : "");
	source_trouble(&r->base, d ? d->text : "");
	retry->transient = false;
	retry->retry_after_ms = 0;
	return sleep_until(r, now + wait, d);
}

err_t registry_bad_answer(struct registry *r, struct retry *retry, const char *what,
			  const char *why, struct diag *d)
{
	retry->transient = ++retry->bad_answers < REGISTRY_BAD_ANSWERS_MAX;
	return fail(d, ERR_NETWORK, -EPROTO, "%s: %s: %s", r->base.label, what, why);
}

static bool gate_closed_locked(const struct registry *r)
{
	return r->gate.failures >= GATE_FAILURES &&
	       (r->gate.probing || now_ms() < r->gate.next_probe_ms);
}

/* Who has to wait at the gate hears why: the one who asks has met it already. */
static void say_gate_is_closed(struct registry *r)
{
	struct diag last;
	pthread_mutex_lock(&r->lock);
	bool closed = gate_closed_locked(r);
	if (closed)
		last = r->gate.last;
	pthread_mutex_unlock(&r->lock);
	if (closed)
		source_trouble(&r->base, last.text);
}

err_t registry_gate_enter(struct registry *r, int64_t deadline_ms, bool *probing, struct diag *d)
{
	err_t err = 0;
	say_gate_is_closed(r);
	pthread_mutex_lock(&r->lock);
	while (!r->interrupted && gate_closed_locked(r) && now_ms() < deadline_ms) {
		int64_t until = r->gate.probing ? deadline_ms : r->gate.next_probe_ms;
		registry_wait_locked(r, min_of(until, deadline_ms));
	}
	if (r->interrupted)
		err = fail(d, ERR_NETWORK, -ECANCELED, "%s: interrupted", r->base.label);
	else if (gate_closed_locked(r))
		err = fail(d, ERR_NETWORK, -ETIMEDOUT, "%.700s", r->gate.last.text);
	*probing = !err && r->gate.failures >= GATE_FAILURES;
	if (*probing)
		r->gate.probing = true;
	pthread_mutex_unlock(&r->lock);
	return err;
}

void registry_gate_leave(struct registry *r, bool probing, bool answered, const struct diag *d)
{
	struct registry_gate *gate = &r->gate;
	pthread_mutex_lock(&r->lock);
	bool back = answered && gate->failures >= GATE_FAILURES;
	gate->failures = answered ? 0 : gate->failures + 1;
	bool down = !answered && gate->failures == GATE_FAILURES;
	if (!answered)
		gate->last = *d;
	if (probing)
		gate->probing = false;
	gate->next_probe_ms = now_ms() + GATE_PROBE_MS;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	if (back)
		log_warn("registry.back", "source=%s", r->base.label);
	if (down)
		log_warn("registry.down", "source=%s cause=\"%s\"", r->base.label, d->text);
}
