/*
 * Words that many write and anybody may read at any time. A counter is one atomic word. An entry of
 * many words has a number in front that is odd while somebody writes it: a writer that finds it odd
 * goes away (what it wanted to say is lost, which happens when two of them meet in a microsecond),
 * and a reader that finds it odd, or changed behind its copy, leaves the entry out after a few
 * tries.
 */
#include "fetch/board.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define LOAD_TRIES 100
#define LONG_HEX   40 /* hexadecimal digits of a text that are a digest */
#define SHORT_HEX  12

static const uint32_t bounds_ms[] = BOARD_BOUNDS_MS;
_Static_assert(ARRAY_LEN(bounds_ms) + 1 == BOARD_BUCKETS, "and one for the rest");
_Static_assert(sizeof(struct board_slow) % sizeof(uint64_t) == 0, "whole words");
_Static_assert(sizeof(struct board_failure) <= sizeof(struct board_slow) &&
		       sizeof(struct board_failure) % sizeof(uint64_t) == 0,
	       "fits an entry");
_Static_assert((BOARD_FAILURES_MAX & (BOARD_FAILURES_MAX - 1)) == 0,
	       "places go on where next_failure begins again");

int64_t board_now_us(void)
{
	struct timespec ts;
	BUG_ON(clock_gettime(CLOCK_MONOTONIC, &ts) != 0);
	return max_of((int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000, (int64_t)1);
}

/* --- entries --- */

static bool entry_begin(struct board_entry *e)
{
	uint32_t changes = atomic_load_explicit(&e->changes, memory_order_relaxed);
	if (changes & 1)
		return false;
	return atomic_compare_exchange_strong_explicit(&e->changes, &changes, changes + 1,
						       memory_order_acquire, memory_order_relaxed);
}

/* Words are stored with release order, so that whoever reads one of them sees that the entry had
 * begun to change. */
static void entry_end(struct board_entry *e, const void *value, size_t n)
{
	const uint8_t *from = value;
	for (size_t i = 0; i < n / sizeof(uint64_t); i++) {
		uint64_t word;
		memcpy(&word, from + i * sizeof(word), sizeof(word));
		atomic_store_explicit(&e->words[i], word, memory_order_release);
	}
	atomic_fetch_add_explicit(&e->changes, 1, memory_order_release);
}

static bool entry_load(const struct board_entry *e, void *value, size_t n)
{
	uint8_t *to = value;
	for (int i = 0; i < LOAD_TRIES; i++) {
		uint32_t before = atomic_load_explicit(&e->changes, memory_order_acquire);
		if (before & 1)
			continue;
		for (size_t k = 0; k < n / sizeof(uint64_t); k++) {
			uint64_t word = atomic_load_explicit(&e->words[k], memory_order_acquire);
			memcpy(to + k * sizeof(word), &word, sizeof(word));
		}
		if (atomic_load_explicit(&e->changes, memory_order_relaxed) == before)
			return before != 0;
	}
	return false;
}

/* Of a digest the first digits are enough, and of a text that is still too long the end: that is
 * where the cause stands. */
static void text_set(char to[BOARD_TEXT_MAX], const char *text)
{
	static const char digits[] = "0123456789abcdef";
	auto_free char *shorter = xcalloc(strlen(text) + 1, 1);
	char *end = shorter;
	while (*text) {
		size_t n = strspn(text, digits), other = strcspn(text + n, digits);
		end = mempcpy(end, text, n < LONG_HEX ? n : SHORT_HEX);
		end = mempcpy(end, text + n, other);
		text += n + other;
	}
	text_make_printable(shorter);
	size_t n = strlen(shorter);
	bool cut = n >= BOARD_TEXT_MAX;
	snprintf(to, BOARD_TEXT_MAX, "%s%s", cut ? "..." : "",
		 shorter + (cut ? n - (BOARD_TEXT_MAX - sizeof("...")) : 0));
}

/* --- failures --- */

static bool failure_load(const struct board_entry *e, struct board_failure *out)
{
	if (!entry_load(e, out, sizeof(*out)))
		return false;
	/* The process at the other end may be of anybody's making. */
	out->text[BOARD_TEXT_MAX - 1] = '\0';
	return true;
}

/* The same again does not push out what else went wrong. */
static struct board_entry *failure_place(struct board *b, struct board_failure *f)
{
	uint32_t next = atomic_load_explicit(&b->next_failure, memory_order_relaxed);
	struct board_entry *last = &b->failed[(next - 1) % BOARD_FAILURES_MAX];
	struct board_failure before;
	if (failure_load(last, &before) && before.layer == f->layer &&
	    strcmp(before.text, f->text) == 0) {
		f->times = before.times + 1;
		return last;
	}
	next = atomic_fetch_add_explicit(&b->next_failure, 1, memory_order_relaxed);
	return &b->failed[next % BOARD_FAILURES_MAX];
}

void board_failed(struct board *b, uint32_t layer, const char *text)
{
	struct board_failure f = {
		.at_s = time(NULL), .at_us = board_now_us(), .layer = layer, .times = 1};
	board_count(&b->failures, 1);
	text_set(f.text, text);
	struct board_entry *e = failure_place(b, &f);
	if (entry_begin(e))
		entry_end(e, &f, sizeof(f));
}

/* The latest first. Many fail in one microsecond: of those the later place is the later one. */
static size_t failures_copy(const struct board *b, struct board_failure out[BOARD_FAILURES_MAX])
{
	uint32_t next = atomic_load_explicit(&b->next_failure, memory_order_relaxed);
	size_t n = 0;
	for (uint32_t i = 1; i <= BOARD_FAILURES_MAX; i++) {
		struct board_failure f;
		if (!failure_load(&b->failed[(next - i) % BOARD_FAILURES_MAX], &f))
			continue;
		size_t at = n++;
		for (; at > 0 && out[at - 1].at_us < f.at_us; at--)
			out[at] = out[at - 1];
		out[at] = f;
	}
	return n;
}

/* What its layer said since it began; NULL: nothing. */
static const char *trouble_of(const struct board_failure *failed, size_t n,
			      const struct board_wait *wait)
{
	for (size_t i = 0; i < n; i++)
		if (failed[i].layer == wait->layer && failed[i].at_us >= wait->since_us)
			return failed[i].text;
	return NULL;
}

const char *board_reason(const struct board_view *v, const struct board_wait *wait)
{
	static const char *const waits_for[] = {
		[BOARD_WAITS_FOR_BYTES] = "waits for its bytes",
		[BOARD_WAITS_FOR_INDEX] = "waits for the layer's index",
	};
	const char *text = trouble_of(v->failed, v->n_failed, wait);
	return text ? text : waits_for[wait->kind == BOARD_WAITS_FOR_INDEX];
}

/* --- waits --- */

/* Not from the start: those who begin side by side would all meet there. */
static uint32_t place_take(struct board *b, const struct board_wait *wait)
{
	uint32_t from = (wait->row * 0x9e3779b1u ^ (uint32_t)(wait->off >> 12)) % BOARD_WAITING_MAX;
	for (uint32_t i = 0; i < BOARD_WAITING_MAX; i++) {
		uint32_t at = (from + i) % BOARD_WAITING_MAX;
		int64_t nobody = 0;
		if (atomic_compare_exchange_strong_explicit(&b->waiting[at].since_us, &nobody, -1,
							    memory_order_acquire,
							    memory_order_relaxed))
			return at + 1;
	}
	return 0;
}

uint32_t board_wait_begin(struct board *b, const struct board_wait *wait)
{
	atomic_fetch_add_explicit(&b->n_waiting, 1, memory_order_relaxed);
	uint32_t place = place_take(b, wait);
	if (!place)
		return 0;
	struct board_waiting *w = &b->waiting[place - 1];
	atomic_store_explicit(&w->off, wait->off, memory_order_relaxed);
	atomic_store_explicit(&w->n, wait->n, memory_order_relaxed);
	atomic_store_explicit(&w->row, wait->row, memory_order_relaxed);
	atomic_store_explicit(&w->layer, wait->layer, memory_order_relaxed);
	atomic_store_explicit(&w->kind, (uint32_t)wait->kind, memory_order_relaxed);
	atomic_store_explicit(&w->since_us, wait->since_us, memory_order_release);
	return place;
}

void board_wait_changed(struct board *b, uint32_t place, enum board_wait_kind kind)
{
	if (place)
		atomic_store_explicit(&b->waiting[place - 1].kind, (uint32_t)kind,
				      memory_order_relaxed);
}

/* The entry that a slow read may have: a free one, one that has grown old, or that of a read which
 * waited less; NULL when all waited longer. */
static struct board_entry *slow_place(struct board *b, const struct board_slow *s)
{
	struct board_entry *least = NULL;
	uint32_t least_ms = s->wait_ms;
	for (size_t i = 0; i < BOARD_SLOW_MAX; i++) {
		struct board_slow other;
		if (!entry_load(&b->slow[i], &other, sizeof(other)) ||
		    other.at_s + BOARD_SLOW_KEEP_S < s->at_s)
			return &b->slow[i];
		if (other.wait_ms < least_ms) {
			least_ms = other.wait_ms;
			least = &b->slow[i];
		}
	}
	return least;
}

static void slow_note(struct board *b, const struct board_wait *wait, uint32_t wait_ms, err_t err)
{
	struct board_failure failed[BOARD_FAILURES_MAX];
	struct board_slow s = {
		.at_s = time(NULL),
		.off = wait->off,
		.n = wait->n,
		.row = wait->row,
		.layer = wait->layer,
		.wait_ms = wait_ms,
		.err = err,
	};
	struct board_entry *e = slow_place(b, &s);
	if (!e)
		return;
	const char *text = trouble_of(failed, failures_copy(b, failed), wait);
	text_set(s.why, text				      ? text
			: err				      ? "no answer in time"
			: wait->kind == BOARD_WAITS_FOR_INDEX ? "waited for the layer's index"
							      : "waited for its bytes");
	if (entry_begin(e))
		entry_end(e, &s, sizeof(s));
}

static size_t bucket_of(uint64_t us)
{
	size_t i = 0;
	while (i < ARRAY_LEN(bounds_ms) && us > (uint64_t)bounds_ms[i] * 1000)
		i++;
	return i;
}

void board_wait_end(struct board *b, uint32_t place, const struct board_wait *wait, err_t err)
{
	uint64_t us = (uint64_t)(board_now_us() - wait->since_us);
	uint32_t wait_ms = (uint32_t)min_of(us / 1000, (uint64_t)UINT32_MAX);
	if (place)
		atomic_store_explicit(&b->waiting[place - 1].since_us, 0, memory_order_release);
	atomic_fetch_sub_explicit(&b->n_waiting, 1, memory_order_relaxed);
	board_count(&b->waits[bucket_of(us)], 1);
	board_count(&b->waited_us, us);
	if (wait_ms >= BOARD_SLOW_MIN_MS && err != -EINTR)
		slow_note(b, wait, wait_ms, err);
}

/* --- copies --- */

void board_stats_copy(const struct board *b, struct content_stats *out)
{
#define TOTAL(name) out->name = atomic_load_explicit(&b->name, memory_order_relaxed)
	TOTAL(reads);
	TOTAL(read_bytes);
	TOTAL(store_hits);
	TOTAL(misses);
	TOTAL(fetched_bytes);
	TOTAL(fetches);
	TOTAL(kept_bytes);
	TOTAL(decoded_bytes);
	TOTAL(refused);
	TOTAL(errors);
	TOTAL(failures);
#undef TOTAL
}

static bool waiting_load(const struct board_waiting *w, struct board_wait *out)
{
	int64_t since_us = atomic_load_explicit(&w->since_us, memory_order_acquire);
	*out = (struct board_wait){
		.since_us = since_us,
		.off = atomic_load_explicit(&w->off, memory_order_relaxed),
		.n = atomic_load_explicit(&w->n, memory_order_relaxed),
		.row = atomic_load_explicit(&w->row, memory_order_relaxed),
		.layer = atomic_load_explicit(&w->layer, memory_order_relaxed),
		.kind = (enum board_wait_kind)atomic_load_explicit(&w->kind, memory_order_relaxed),
	};
	return since_us > 0 && atomic_load_explicit(&w->since_us, memory_order_acquire) == since_us;
}

static int longest_wait_first(const void *a, const void *b)
{
	const struct board_wait *x = a, *y = b;
	return (x->since_us > y->since_us) - (x->since_us < y->since_us);
}

static int slowest_first(const void *a, const void *b)
{
	const struct board_slow *x = a, *y = b;
	return (x->wait_ms < y->wait_ms) - (x->wait_ms > y->wait_ms);
}

void board_copy(const struct board *b, struct board_view *out)
{
	*out = (struct board_view){0};
	board_stats_copy(b, &out->stats);
	out->n_waiting = atomic_load_explicit(&b->n_waiting, memory_order_relaxed);
	out->n_fetching = atomic_load_explicit(&b->n_fetching, memory_order_relaxed);
	out->waited_us = atomic_load_explicit(&b->waited_us, memory_order_relaxed);
	for (size_t i = 0; i < BOARD_BUCKETS; i++)
		out->waits[i] = atomic_load_explicit(&b->waits[i], memory_order_relaxed);
	for (size_t i = 0; i < BOARD_WAITING_MAX; i++)
		out->n_waiting_shown +=
			waiting_load(&b->waiting[i], &out->waiting[out->n_waiting_shown]);
	qsort(out->waiting, out->n_waiting_shown, sizeof(*out->waiting), longest_wait_first);
	for (size_t i = 0; i < BOARD_SLOW_MAX; i++) {
		struct board_slow *s = &out->slow[out->n_slow];
		out->n_slow += entry_load(&b->slow[i], s, sizeof(*s));
		s->why[BOARD_TEXT_MAX - 1] = '\0';
	}
	qsort(out->slow, out->n_slow, sizeof(*out->slow), slowest_first);
	out->n_failed = failures_copy(b, out->failed);
}
