/*
 * The holder is written only by the thread that has the mutex, and compared only with the reader's
 * own identity: so a relaxed load gives the right answer to the one question asked, "is it me?".
 */
#include "fetch/lock.h"

#include <time.h>

static uintptr_t self(void)
{
	return (uintptr_t)pthread_self();
}

void lock_init(struct lock *l)
{
	BUG_ON(pthread_mutex_init(&l->mutex, NULL) != 0);
	atomic_init(&l->holder, 0);
}

void lock_fini(struct lock *l)
{
	BUG_ON(atomic_load_explicit(&l->holder, memory_order_relaxed) != 0);
	BUG_ON(pthread_mutex_destroy(&l->mutex) != 0);
}

void lock_must_hold(const struct lock *l)
{
	BUG_ON(atomic_load_explicit(&l->holder, memory_order_relaxed) != self());
}

void lock_take(struct lock *l)
{
	BUG_ON(atomic_load_explicit(&l->holder, memory_order_relaxed) == self());
	BUG_ON(pthread_mutex_lock(&l->mutex) != 0);
	atomic_store_explicit(&l->holder, self(), memory_order_relaxed);
}

void lock_drop(struct lock *l)
{
	lock_must_hold(l);
	atomic_store_explicit(&l->holder, 0, memory_order_relaxed);
	BUG_ON(pthread_mutex_unlock(&l->mutex) != 0);
}

void condition_init(pthread_cond_t *c)
{
	pthread_condattr_t attr;
	BUG_ON(pthread_condattr_init(&attr) != 0);
	BUG_ON(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) != 0);
	BUG_ON(pthread_cond_init(c, &attr) != 0);
	pthread_condattr_destroy(&attr);
}

void condition_wait(pthread_cond_t *c, struct lock *l, int64_t until_ms)
{
	lock_must_hold(l);
	atomic_store_explicit(&l->holder, 0, memory_order_relaxed);
	if (until_ms == INT64_MAX) {
		pthread_cond_wait(c, &l->mutex);
	} else {
		int64_t ms = max_of(until_ms, (int64_t)0);
		struct timespec at = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
		pthread_cond_timedwait(c, &l->mutex, &at);
	}
	atomic_store_explicit(&l->holder, self(), memory_order_relaxed);
}
