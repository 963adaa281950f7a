/*
 * content_probe - for tests of the reader: reads that do not block, and many threads at once
 */
#ifndef IMGFS_TESTS_UNIT_CONTENT_PROBE_H
#define IMGFS_TESTS_UNIT_CONTENT_PROBE_H

#include "tests/unit/content_world.h"

/* --- a read that does not block --- */

struct probe {
	struct read_request r; /* first */
	struct lock lock;
	pthread_cond_t changed;
	unsigned calls;
	err_t err;
	uint8_t *buf;
};

static inline void probe_done(struct read_request *r, err_t err)
{
	struct probe *p = (struct probe *)r;
	lock_take(&p->lock);
	p->calls++;
	p->err = err;
	pthread_cond_signal(&p->changed);
	lock_drop(&p->lock);
}

static inline struct probe *probe_of_row(uint32_t row, uint64_t off, size_t n)
{
	struct probe *p = new_of(struct probe);
	lock_init(&p->lock);
	condition_init(&p->changed);
	p->buf = malloc(n);
	assert_non_null(p->buf);
	p->r = (struct read_request){
		.row = row, .off = off, .n = n, .buf = p->buf, .done = probe_done};
	return p;
}

static inline struct probe *probe_new(struct world *w, unsigned layer, unsigned file, uint64_t off,
				      size_t n)
{
	return probe_of_row(world_row(w, layer, file), off, n);
}

static inline err_t probe_wait(struct probe *p)
{
	lock_take(&p->lock);
	while (!p->calls)
		condition_wait(&p->changed, &p->lock, INT64_MAX);
	err_t err = p->err;
	lock_drop(&p->lock);
	return err;
}

static inline unsigned probe_calls(struct probe *p)
{
	lock_take(&p->lock);
	unsigned calls = p->calls;
	lock_drop(&p->lock);
	return calls;
}

static inline void probe_free(struct probe **pp)
{
	struct probe *p = take(pp);
	assert_int_equal(p->calls, 1);
	pthread_cond_destroy(&p->changed);
	lock_fini(&p->lock);
	free(p->buf);
	free(p);
}

static inline void sleep_ms(int ms)
{
	usleep((useconds_t)ms * 1000);
}

static inline struct content_stats stats_of(struct content *c)
{
	struct content_stats stats;
	content_stats(c, &stats);
	return stats;
}

static inline unsigned stored_chunks(struct world *w, unsigned layer)
{
	unsigned chunks = 0;
	struct chunk_store *cs;
	assert_int_equal(chunk_store_open(w->store, w->tables[layer], &cs, NULL), 0);
	for (uint32_t i = 0; i < index_info(w->layers[layer])->n_chunks; i++)
		chunks += chunk_store_has(cs, i);
	chunk_store_close(&cs);
	return chunks;
}

/* Until the source has been left alone for a while. */
static inline void wait_idle(struct world *w)
{
	int64_t until_ms = now_ms() + 20000, last_ms = now_ms();
	uint64_t seen = 0;
	while (now_ms() - last_ms < 400) {
		uint64_t now = atomic_load(&w->script.bytes) + atomic_load(&w->script.opens);
		last_ms = now != seen ? now_ms() : last_ms;
		seen = now;
		assert_true(now_ms() < until_ms);
		sleep_ms(20);
	}
}

/* --- many threads --- */

struct crowd {
	struct world *w;
	struct content *c;
	pthread_barrier_t barrier;
	unsigned layer;
	uint64_t off;
	size_t n;
	_Atomic unsigned seed;
};

static inline void run_crowd(struct crowd *crowd, unsigned n, void *(*body)(void *))
{
	pthread_t threads[64];
	assert_true(n <= ARRAY_LEN(threads));
	pthread_barrier_init(&crowd->barrier, NULL, n);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, body, crowd), 0);
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&crowd->barrier);
}

#endif
