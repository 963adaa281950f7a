/*
 * What a request to the source costs before its first byte, and what a byte costs after that, both
 * as a worker sees it: decoding included. From these follows how many bytes may stand in front of
 * those that a reader waits for, where the alternative is a request of their own: as many as come
 * in half the time in which nothing comes anyway. On a line of 20 ms and 200 Mbit/s that is a
 * quarter of a megabyte; with a registry that answers at once, next to nothing.
 *
 * And how many bytes, in several small requests, may be under way for nobody before they keep the
 * line busy: as many as come in the time in which nothing comes for one request.
 */
#include "fetch/content_priv.h"

/* A pause that a source has made for its own reasons must not put megabytes before a reader. */
#define BEFORE_MAX (512u << 10)
#define BESIDE_MAX (2u << 20)  /* nor start a crowd */
#define BODY_MIN   (64u << 10) /* fewer bytes say nothing about the line */
#define SLOWNESS   4	       /* a new figure counts as one of so many */

static uint64_t blend(_Atomic(uint64_t) *mean, uint64_t fresh)
{
	uint64_t old = atomic_load_explicit(mean, memory_order_relaxed);
	uint64_t now = old ? (old * (SLOWNESS - 1) + fresh) / SLOWNESS : fresh;
	atomic_store_explicit(mean, now, memory_order_relaxed);
	return now;
}

void line_learn(struct content *c, int64_t wait_us, uint64_t bytes, int64_t body_us)
{
	if (bytes < BODY_MIN || wait_us < 0 || body_us < 0)
		return;
	/* Two threads at once lose one figure, which is no harm. */
	uint64_t wait = blend(&c->line.wait_us, (uint64_t)wait_us + 1);
	uint64_t rate = blend(&c->line.bytes_per_ms, bytes * 1000 / ((uint64_t)body_us + 1));
	scheduler_allow_beside(c->scheduler, min_of(wait * rate / 1000, (uint64_t)BESIDE_MAX));
	scheduler_allow_before(c->scheduler, min_of(wait / 2 * rate / 1000, (uint64_t)BEFORE_MAX));
}

uint64_t line_bytes_in(const struct content *c, unsigned ms)
{
	return atomic_load_explicit(&c->line.bytes_per_ms, memory_order_relaxed) * ms;
}
