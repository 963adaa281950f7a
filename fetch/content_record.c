/*
 * What a program reads first, in order, is written down at every start, without being asked for: a
 * list of ranges of files. A read that goes on where a range of its file ends, or lies in one,
 * makes no new one. The recording ends when nothing new was read for a while, or when it is long
 * enough; then it becomes the image's profile, unless the one that is there says as much.
 *
 * A mount that is searched as a whole has no start worth remembering: a recording that holds most
 * of the image is thrown away.
 */
#include "fetch/content_priv.h"

#include "fetch/image_profile.h"
#include "fetch/log.h"

#include <string.h>

#define QUIET_MS     10000	/* nothing new for so long: the start is over */
#define LONGEST_MS   300000	/* or after this */
#define RANGE_GROWS  (1u << 20) /* a range that is not the last one grows no larger: order */
#define LOOK_BACK    32		/* ranges of a bucket that are looked at for one read */
#define BUCKETS	     2048
#define SEARCH_BYTES (64u << 20) /* of files; smaller images are read whole by many programs */

struct recorded {
	struct profile_range range;
	uint32_t older; /* the next one of its bucket, + 1; 0: none */
};

struct record {
	uint64_t bytes_max; /* fixed */
	_Atomic(bool) over; /* nothing is noted any more */
	struct lock lock;
	/* under lock */
	uint32_t *newest; /* by bucket, + 1; allocated at the first read */
	struct recorded *list;
	size_t n, cap;
	uint64_t bytes;
	int64_t began_ms, new_ms; /* the first read, and the last that was new; 0: none */
	bool too_much, saved;
};

struct record *record_new(uint64_t files_size)
{
	struct record *r = new_of(struct record);
	r->bytes_max = max_of(files_size / 2, (uint64_t)SEARCH_BYTES);
	lock_init(&r->lock);
	return r;
}

static void forget(struct record *r)
{
	free(take(&r->list));
	free(take(&r->newest));
	r->n = r->cap = 0;
}

void record_free(struct record **rp)
{
	if (!*rp)
		return;
	struct record *r = take(rp);
	forget(r);
	lock_fini(&r->lock);
	free(r);
}

/* --- noting reads --- */

/* Whether the read lies in, or goes on from, what was recorded of its file. */
static bool extend_locked(struct record *r, uint32_t bucket, uint32_t row, uint64_t off, size_t n,
			  bool *grown)
{
	uint32_t at = r->newest[bucket];
	for (unsigned i = 0; at && i < LOOK_BACK; i++, at = r->list[at - 1].older) {
		struct profile_range *range = &r->list[at - 1].range;
		uint64_t end = range->off + range->len;
		if (range->row != row || off < range->off || off > end)
			continue;
		if (off + n <= end)
			return true;
		if (at != r->n && off + n - range->off > RANGE_GROWS)
			continue;
		r->bytes += off + n - end;
		range->len = off + n - range->off;
		*grown = true;
		return true;
	}
	return false;
}

static void append_locked(struct record *r, uint32_t bucket, uint32_t row, uint64_t off, size_t n)
{
	if (r->n == PROFILE_RANGES_MAX || !try_grow(&r->list, r->n, &r->cap, sizeof(*r->list))) {
		r->too_much = true;
		return;
	}
	r->list[r->n++] = (struct recorded){{row, off, n}, r->newest[bucket]};
	r->newest[bucket] = (uint32_t)r->n;
	r->bytes += n;
}

/* True at the first read. */
static bool note_locked(struct record *r, uint32_t row, uint64_t off, size_t n)
{
	bool first = !r->newest, grown = false;
	if (first && !(r->newest = calloc(BUCKETS, sizeof(*r->newest)))) {
		atomic_store_explicit(&r->over, true, memory_order_relaxed);
		return false;
	}
	int64_t now = now_ms();
	uint32_t bucket = (row * 0x9e3779b1u) % BUCKETS;
	if (!extend_locked(r, bucket, row, off, n, &grown)) {
		append_locked(r, bucket, row, off, n);
		grown = true;
	}
	if (first)
		r->began_ms = now;
	if (first || grown)
		r->new_ms = now;
	if (r->too_much || r->bytes > r->bytes_max) {
		r->too_much = true;
		atomic_store_explicit(&r->over, true, memory_order_relaxed);
		forget(r);
	}
	return first;
}

void record_note(struct content *c, uint32_t row, uint64_t off, size_t n)
{
	struct record *r = c->record;
	if (!r || atomic_load_explicit(&r->over, memory_order_relaxed))
		return;
	lock_take(&r->lock);
	bool first = !atomic_load_explicit(&r->over, memory_order_relaxed) &&
		     note_locked(r, row, off, n);
	lock_drop(&r->lock);
	/* Without a timer it is saved at the end of the mount. */
	if (first)
		(void)!scheduler_wake_at(c->scheduler, now_ms() + QUIET_MS);
}

/* --- the end --- */

int64_t record_tick(struct content *c, int64_t now)
{
	struct record *r = c->record;
	int64_t next_ms = INT64_MAX;
	if (!r || atomic_load_explicit(&r->over, memory_order_relaxed))
		return next_ms;
	lock_take(&r->lock);
	if (r->began_ms)
		next_ms = min_of(r->new_ms + QUIET_MS, r->began_ms + LONGEST_MS);
	if (next_ms <= now)
		atomic_store_explicit(&r->over, true, memory_order_relaxed);
	lock_drop(&r->lock);
	if (next_ms > now)
		return next_ms;
	content_queue_work(c, 0, PROFILE_SAVE_GROUP);
	return INT64_MAX;
}

/* The bytes of a profile, and how many of them the other one has as well, file by file. Ranges of
 * one profile do not overlap much; what does is counted twice in both. */
struct overlap {
	uint64_t a, b, both;
};

static int by_place(const void *x, const void *y)
{
	const struct profile_range *a = x, *b = y;
	if (a->row != b->row)
		return a->row < b->row ? -1 : 1;
	return (a->off > b->off) - (a->off < b->off);
}

static struct profile_range *sorted(const struct profile *p)
{
	struct profile_range *copy = try_array(p->n + 1, sizeof(*copy), PROFILE_RANGES_MAX + 1);
	if (copy && p->n) {
		memcpy(copy, p->ranges, p->n * sizeof(*copy));
		qsort(copy, p->n, sizeof(*copy), by_place);
	}
	return copy;
}

static bool compare(const struct profile *a, const struct profile *b, struct overlap *out)
{
	auto_free struct profile_range *x = sorted(a), *y = sorted(b);
	*out = (struct overlap){0};
	if (!x || !y)
		return false;
	for (size_t i = 0; i < a->n; i++)
		out->a += x[i].len;
	for (size_t i = 0; i < b->n; i++)
		out->b += y[i].len;
	for (size_t i = 0, k = 0; i < a->n && k < b->n;) {
		uint64_t end_x = x[i].off + x[i].len, end_y = y[k].off + y[k].len;
		uint64_t from = max_of(x[i].off, y[k].off), to = min_of(end_x, end_y);
		if (x[i].row == y[k].row && from < to)
			out->both += to - from;
		if (x[i].row < y[k].row || (x[i].row == y[k].row && end_x <= end_y))
			i++;
		else
			k++;
	}
	return true;
}

/* Whether the old profile is as good as the recording: it has nearly all of it and half of it was
 * of use; or the recording is of a glance, and not of a start. */
static bool is_as_good(struct content *c, struct bytes old_text, const struct profile *recorded)
{
	struct profile old;
	struct diag d = DIAG_INIT;
	struct overlap o;
	if (profile_read(c->image->tree, old_text, &old, &d))
		return false;
	bool compared = compare(&old, recorded, &o);
	profile_fini(&old);
	if (!compared)
		return true;
	return o.b < o.a / 4 || (o.both * 10 >= o.b * 9 && o.both * 2 >= o.a);
}

static void save(struct content *c, const struct profile *recorded)
{
	auto_buf struct buf old = {0}, text = {0};
	enum profile_origin origin;
	if (!image_profile_get(c->image, true, &old, &origin) &&
	    is_as_good(c, buf_bytes(&old), recorded))
		return;
	err_t err = profile_write(c->image->tree, recorded, &text);
	if (!err)
		err = image_profile_put(c->image, buf_bytes(&text));
	if (err)
		log_info("store.profile_not_kept", "reason=\"%s\"", strerror(-err));
	else
		log_info("profile.recorded", "ranges=%zu", recorded->n);
}

void record_save(struct content *c)
{
	struct record *r = c->record;
	struct profile recorded = {0};
	if (!r)
		return;
	lock_take(&r->lock);
	atomic_store_explicit(&r->over, true, memory_order_relaxed);
	if (!r->saved && !r->too_much && r->n)
		recorded.ranges = try_array(r->n, sizeof(*recorded.ranges), PROFILE_RANGES_MAX);
	for (; recorded.ranges && recorded.n < r->n; recorded.n++)
		recorded.ranges[recorded.n] = r->list[recorded.n].range;
	r->saved = true;
	forget(r);
	lock_drop(&r->lock);
	if (recorded.n)
		save(c, &recorded);
	profile_fini(&recorded);
}
