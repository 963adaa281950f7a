/*
 * board - what the reader of an image did, and what it does right now, in memory that other
 * processes may map
 *
 * Who writes takes no lock: counts are relaxed atomic words, and an entry of several words carries
 * a number that tells a reader whether it saw half of a change. So a look at a mount wakes nobody
 * and delays nobody, and a read that the store answers pays two additions.
 */
#ifndef IMGFS_FETCH_BOARD_H
#define IMGFS_FETCH_BOARD_H

#include "index/index.h"

#include <stdatomic.h>

#define BOARD_WAITING_MAX  64  /* reads that are shown while they wait; more are only counted */
#define BOARD_SLOW_MAX	   16  /* reads that waited longest */
#define BOARD_SLOW_MIN_MS  100 /* a shorter wait is what a fetch costs */
#define BOARD_SLOW_KEEP_S  600 /* then any slower read takes its place */
#define BOARD_FAILURES_MAX 8
#define BOARD_TEXT_MAX	   192

/* Upper ends of the buckets of the waits, in milliseconds; one more bucket has the rest. */
#define BOARD_BOUNDS_MS                                                                            \
	{                                                                                          \
		1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000                 \
	}
#define BOARD_BUCKETS 15

/* Totals since the beginning. */
struct content_stats {
	uint64_t reads, read_bytes;  /* asked by readers */
	uint64_t store_hits, misses; /* chunks found in the store / waited for */
	uint64_t fetched_bytes,
		fetches;     /* blob bytes and ranges taken from sources (not from kept blobs) */
	uint64_t kept_bytes; /* blob bytes taken from kept blobs */
	uint64_t decoded_bytes;
	uint64_t refused;  /* ranges whose bytes did not match */
	uint64_t errors;   /* reads that failed (and were not cancelled) */
	uint64_t failures; /* attempts to fetch that failed; most are tried again */
};

/* What a reader waits for. */
enum board_wait_kind {
	BOARD_WAITS_FOR_BYTES,
	BOARD_WAITS_FOR_INDEX, /* of the layer, or a part of it: chunks can not be named before */
};

/* A read that waits. */
struct board_wait {
	int64_t since_us; /* CLOCK_MONOTONIC; 0: nobody */
	uint64_t off;
	uint32_t n, row;
	uint32_t layer; /* where its first byte lies */
	enum board_wait_kind kind;
};

/* A read that waited long. */
struct board_slow {
	int64_t at_s; /* when it ended: seconds since 1970; 0: none */
	uint64_t off;
	uint32_t n, row, layer, wait_ms;
	int32_t err;		  /* 0, or -errno */
	uint32_t unused;	  /* zero */
	char why[BOARD_TEXT_MAX]; /* printable */
};

/* An attempt to fetch that failed. */
struct board_failure {
	int64_t at_s; /* seconds since 1970; 0: none */
	int64_t at_us;
	uint32_t layer;
	uint32_t times; /* one after the other */
	char text[BOARD_TEXT_MAX];
};

/* ---- the shared form; zeroes at first ---- */

struct board_layer {
	_Atomic(uint64_t) fetched_bytes; /* from sources */
	_Atomic(uint32_t) n_chunks;	 /* 0: not known yet */
	_Atomic(uint32_t) n_stored;	 /* found in the store, or put there by this process */
};

#define BOARD_WORDS (sizeof(struct board_slow) / sizeof(uint64_t))
struct board_entry {
	_Atomic(uint32_t) changes; /* odd while it is written */
	_Atomic(uint64_t) words[BOARD_WORDS];
};

struct board_waiting {
	_Atomic(int64_t) since_us; /* 0: free; -1: being filled */
	_Atomic(uint64_t) off;
	_Atomic(uint32_t) n, row, layer, kind;
};

struct board {
	/* as struct content_stats */
	_Atomic(uint64_t) reads, read_bytes, store_hits, misses, fetched_bytes, fetches, kept_bytes,
		decoded_bytes, refused, errors, failures;
	_Atomic(uint64_t) waits[BOARD_BUCKETS];	 /* reads that waited, by how long */
	_Atomic(uint64_t) waited_us;		 /* all of them together */
	_Atomic(uint32_t) n_waiting, n_fetching; /* right now */
	_Atomic(uint32_t) next_failure;
	struct board_waiting waiting[BOARD_WAITING_MAX];
	struct board_entry slow[BOARD_SLOW_MAX];
	struct board_entry failed[BOARD_FAILURES_MAX];
	struct board_layer layers[INDEX_LAYERS_MAX]; /* by the lowest layer with this blob */
};

/* board_count - add to one of its words. */
static inline void board_count(_Atomic(uint64_t) *word, uint64_t n)
{
	atomic_fetch_add_explicit(word, n, memory_order_relaxed);
}

/*
 * board_wait_begin - somebody waits from now on; any thread
 * Returns the place to give to board_wait_end: 0 when there is none free (it is counted all the
 * same).
 */
uint32_t board_wait_begin(struct board *b, const struct board_wait *wait);

/* board_wait_changed - it waits for something else now. */
void board_wait_changed(struct board *b, uint32_t place, enum board_wait_kind kind);

/*
 * board_wait_end - the end of a wait; any thread
 * @place  what board_wait_begin returned
 * @err    of the read; a cancelled one (-EINTR) counts as a wait but is never a slow read
 * One that waited long is noted with the reason: the last failure of its layer meanwhile, else what
 * it waited for.
 */
void board_wait_end(struct board *b, uint32_t place, const struct board_wait *wait, err_t err);

/* board_failed - an attempt to fetch something of a layer failed; digests in the text are cut
 * short, then the beginning of one that is still too long; it is made printable. */
void board_failed(struct board *b, uint32_t layer, const char *text);

/* ---- a copy ---- */

struct board_view {
	struct content_stats stats;
	uint64_t waits[BOARD_BUCKETS];
	uint64_t waited_us;
	uint32_t n_waiting, n_fetching;
	struct board_wait waiting[BOARD_WAITING_MAX]; /* longest first */
	size_t n_waiting_shown;
	struct board_slow slow[BOARD_SLOW_MAX]; /* longest first */
	size_t n_slow;
	struct board_failure failed[BOARD_FAILURES_MAX]; /* latest first */
	size_t n_failed;
};

/* board_copy - any process, any thread; waits for nobody. */
void board_copy(const struct board *b, struct board_view *out);

/* board_stats_copy - the totals alone. */
void board_stats_copy(const struct board *b, struct content_stats *out);

/* board_reason - why a read that waits still waits: the text of the last failure of its layer since
 * it began, or what it waits for; borrowed. */
const char *board_reason(const struct board_view *v, const struct board_wait *wait);

/* board_now_us - CLOCK_MONOTONIC, as in the entries; never 0. */
int64_t board_now_us(void);

#endif
