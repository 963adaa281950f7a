/*
 * lock - a mutex that knows its holder, and a condition on the monotonic clock
 *
 * Helpers whose names end in `_locked` state the fact with lock_must_hold, in release builds too.
 * A lock of this room protects a few fields for a few instructions: it is never held across I/O,
 * decoding or a reader's callback (fetch/README.md, "Locks").
 */
#ifndef IMGFS_FETCH_LOCK_H
#define IMGFS_FETCH_LOCK_H

#include "index/base.h"

#include <pthread.h>
#include <stdatomic.h>

struct lock {
	pthread_mutex_t mutex;
	_Atomic(uintptr_t) holder; /* pthread_self() of the holder; 0 when free */
};

/* lock_init, lock_fini - of an embedded lock; fini aborts when it is held. */
void lock_init(struct lock *l);
void lock_fini(struct lock *l);
/* lock_take, lock_drop - aborts when a thread takes it twice or drops what it does not hold. */
void lock_take(struct lock *l);
void lock_drop(struct lock *l);
/* lock_must_hold - abort unless the calling thread holds it. */
void lock_must_hold(const struct lock *l);

/* condition_init - waits are measured in now_ms() time; free with pthread_cond_destroy. */
void condition_init(pthread_cond_t *c);
/* condition_wait - let go of the lock until signalled or until_ms (INT64_MAX: no limit) is reached.
 * May wake for nothing. */
void condition_wait(pthread_cond_t *c, struct lock *l, int64_t until_ms);

#endif
