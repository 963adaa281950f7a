/*
 * A profile is replayed in its order, ahead of the reader, at a priority below everything that
 * somebody asks for. It begins with a little (REPLAY_FIRST) when the image is mounted, and goes on
 * as the program is seen to follow it: each read that is found in the profile puts the mark up to
 * which it is fetched further ahead, twice as far each time. So a mount that only serves a glance
 * fetches little, and a wrong profile stops by itself.
 */
#include "fetch/content_priv.h"

#include "fetch/image_profile.h"
#include "fetch/log.h"

#define REPLAY_FIRST	 (8u << 20) /* stream bytes */
#define REPLAY_AHEAD_MAX (1u << 30)
#define REPLAY_QUEUE_MAX BATCH_MAX
#define ROWS_AHEAD	 (16u << 20) /* rows are asked for this far before their chunks */
#define LOOK_MAX	 64	     /* ranges of a bucket that are looked at for one read */
#define BUCKETS		 2048

static const struct start how_to_start = {.priority = PRIORITY_PROFILE,
					  .queue_max = REPLAY_QUEUE_MAX,
					  .fetches = true,
					  .frames = true};

struct replay {
	/* fixed before `running` is set */
	struct profile profile;
	uint64_t *end;	   /* by range: the sum of the lengths up to its end */
	uint32_t *first;   /* by bucket of rows: a range, + 1; 0: none */
	uint32_t *another; /* by range: the next one of its bucket, + 1 */

	_Atomic(bool) running; /* there is something to ask for yet */
	struct lock lock;
	/* under lock */
	uint64_t ahead, target;
	struct feeder feeder;
	/* the feeder's */
	size_t next, next_rows;
	uint64_t from; /* bytes of range `next` that were begun */
};

struct replay *replay_new(void)
{
	struct replay *r = new_of(struct replay);
	lock_init(&r->lock);
	lock_init(&r->feeder.lock);
	r->ahead = r->target = REPLAY_FIRST;
	return r;
}

void replay_free(struct replay **rp)
{
	if (!*rp)
		return;
	struct replay *r = take(rp);
	profile_fini(&r->profile);
	free(r->end);
	free(r->first);
	free(r->another);
	lock_fini(&r->feeder.lock);
	lock_fini(&r->lock);
	free(r);
}

bool replay_runs(const struct content *c)
{
	return c->replay && atomic_load_explicit(&c->replay->running, memory_order_acquire);
}

void replay_stop(struct content *c)
{
	if (c->replay)
		atomic_store_explicit(&c->replay->running, false, memory_order_relaxed);
}

/* --- loading --- */

static uint32_t bucket_of(uint32_t row)
{
	return (row * 0x9e3779b1u) % BUCKETS;
}

static bool make_tables(struct replay *r)
{
	size_t n = r->profile.n;
	uint64_t sum = 0;
	r->end = try_array(n, sizeof(*r->end), PROFILE_RANGES_MAX);
	r->another = try_array(n, sizeof(*r->another), PROFILE_RANGES_MAX);
	r->first = try_array(BUCKETS, sizeof(*r->first), BUCKETS);
	if (!r->end || !r->another || !r->first)
		return false;
	for (size_t i = 0; i < n; i++)
		r->end[i] = sum += r->profile.ranges[i].len;
	/* Backwards: the earliest range of a row stands first. */
	for (size_t i = n; i-- > 0;) {
		uint32_t bucket = bucket_of(r->profile.ranges[i].row);
		r->another[i] = r->first[bucket];
		r->first[bucket] = (uint32_t)i + 1;
	}
	return true;
}

void replay_load(struct content *c)
{
	struct replay *r = c->replay;
	struct diag d = DIAG_INIT;
	enum profile_origin origin;
	auto_buf struct buf text = {0};
	/* Late, the mount would replay what it has just recorded. */
	if (r->profile.ranges || atomic_load_explicit(&c->stopping, memory_order_relaxed) ||
	    image_profile_get(c->image, false, &text, &origin) ||
	    profile_read(c->image->tree, buf_bytes(&text), &r->profile, &d))
		return;
	if (r->profile.n == 0 || !make_tables(r))
		return;
	log_info("profile.replayed", "ranges=%zu bytes=%llu origin=%s", r->profile.n,
		 (unsigned long long)r->end[r->profile.n - 1], profile_origin_name(origin));
	atomic_store_explicit(&r->running, true, memory_order_release);
}

/* --- feeding --- */

/* Chunk rows of ranges whose turn comes soon. */
static void feed_rows(struct content *c, struct replay *r, uint64_t target)
{
	const struct profile *p = &r->profile;
	for (; r->next_rows < p->n; r->next_rows++) {
		const struct profile_range *range = &p->ranges[r->next_rows];
		if (r->end[r->next_rows] - range->len >= target + ROWS_AHEAD)
			return;
		for (uint64_t off = range->off; off < range->off + range->len;) {
			struct extent run;
			index_extent(c->image->tree, range->row, off, &run);
			uint64_t len = min_of(run.len, range->off + range->len - off);
			if (!run.hole)
				(void)content_rows_ahead(c, c->slot_of_layer[run.layer],
							 run.stream_off, len, &how_to_start);
			off += len;
		}
	}
}

static void feed_chunks(struct content *c, struct replay *r, uint64_t target)
{
	const struct profile *p = &r->profile;
	while (r->next < p->n && replay_runs(c)) {
		const struct profile_range *range = &p->ranges[r->next];
		uint64_t from = range->off + r->from;
		uint64_t begun = r->end[r->next] - range->len + r->from;
		if (begun >= target)
			return;
		uint64_t to = from + min_of(range->len - r->from, target - begun);
		enum start_end came = content_start_range(c, range->row, &from, to, &how_to_start);
		if (came == START_FULL || came == START_NO_ROWS) {
			r->from = from - range->off;
			return;
		}
		if (came == START_DONE && to < range->off + range->len) {
			r->from = to - range->off;
			continue;
		}
		r->next++;
		r->from = 0;
	}
	replay_stop(c);
}

static void feed(struct content *c)
{
	struct replay *r = c->replay;
	lock_take(&r->lock);
	uint64_t target = r->target;
	lock_drop(&r->lock);
	feed_rows(c, r, target);
	feed_chunks(c, r, target);
}

void replay_feed(struct content *c)
{
	if (replay_runs(c))
		feeder_run(&c->replay->feeder, feed, c);
}

/* --- following the reader --- */

/* The sum of the lengths up to the place of a read; 0: the profile has not this place. */
static uint64_t place_of(const struct replay *r, uint32_t row, uint64_t off)
{
	uint32_t at = r->first[bucket_of(row)];
	for (unsigned i = 0; at && i < LOOK_MAX; i++, at = r->another[at - 1]) {
		const struct profile_range *range = &r->profile.ranges[at - 1];
		if (range->row == row && off >= range->off && off < range->off + range->len)
			return r->end[at - 1];
	}
	return 0;
}

bool replay_has(const struct content *c, uint32_t row, uint64_t off)
{
	return replay_runs(c) && place_of(c->replay, row, off) != 0;
}

void replay_note(struct content *c, uint32_t row, uint64_t off)
{
	struct replay *r = c->replay;
	if (!replay_runs(c))
		return;
	uint64_t place = place_of(r, row, off);
	if (place == 0)
		return;
	lock_take(&r->lock);
	r->ahead = min_of(r->ahead * 2, (uint64_t)REPLAY_AHEAD_MAX);
	bool further = place + r->ahead > r->target;
	r->target = max_of(r->target, place + r->ahead);
	lock_drop(&r->lock);
	if (further)
		replay_feed(c);
}
