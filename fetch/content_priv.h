/*
 * content_priv - what the files of the reader share
 *
 * content.c takes reads apart and joins flights; content_fetch.c is what a worker does with a batch
 * of chunks; content_frame.c streams one huge frame; content_ahead.c guesses what comes next;
 * content_recent.c remembers a few chunks that the store could not keep; content_trace.c writes
 * down what happens, for people.
 */
#ifndef IMGFS_FETCH_CONTENT_PRIV_H
#define IMGFS_FETCH_CONTENT_PRIV_H

#include "fetch/chunk_table.h"
#include "fetch/content.h"
#include "fetch/flight.h"
#include "fetch/lock.h"
#include "index/trace.h"

/* Which chunks were wanted, which neighbours of missed ones were guessed to be, and how good the
 * guesses are; see content_around.c. All relaxed: nothing else hangs on them. */
struct around {
	_Atomic(uint8_t) *marks;  /* by chunk: guessed, wanted */
	_Atomic(uint32_t) window; /* chunks on either side */
	_Atomic(uint32_t) made, used;
	_Atomic(uint32_t) rests_made, rests_used; /* of files */
};

/*
 * One distinct blob of the image; layers with the same blob share it. What is fetched of it has two
 * numbers for the scheduler and the flights: `slot` for chunks, n_slots + `slot` for what must be
 * there before chunks can be named (content_rows.c).
 */
struct slot {
	/* set once, with release order; NULL while the layer is not indexed */
	_Atomic(struct chunk_table *) table;
	struct chunk_store *chunks; /* fixed before table is set */
	struct around around;	    /* its array, too */
	uint32_t layer;		    /* the lowest of the image with this blob */
	_Atomic(bool) disproved;    /* its published index has lied: nothing of it is served */
	_Atomic(bool) proven;	    /* here, after it was read by a published index */
	_Atomic(int64_t) next_proof_ms;
	_Atomic(unsigned) proofs; /* that met rot */
	struct digest blob_digest;
	uint64_t blob_size;
	char name[24]; /* for messages: the digest's first digits */
};

/* slot_table - NULL: not indexed. */
static inline struct chunk_table *slot_table(const struct slot *slot)
{
	return atomic_load_explicit(&slot->table, memory_order_acquire);
}

struct recent;
struct ahead;
struct record;
struct replay;
struct share;
struct fill;
struct loader;
struct tracer;
struct frame_run;
TAILQ_HEAD(frame_run_list, frame_run);
TAILQ_HEAD(flight_list, flight);

/* What requests cost; atomic, relaxed; 0: not known. */
struct line {
	_Atomic(uint64_t) wait_us;	/* until the first byte */
	_Atomic(uint64_t) bytes_per_ms; /* after that */
};

struct content {
	/* fixed after new */
	struct image *image;
	int64_t budget_ms; /* how long a reader waits, and a request may take */
	bool wait_for_ever, neighbours;
	uint32_t *slot_of_layer;
	struct slot *slots;
	uint32_t n_slots;
	struct scheduler *scheduler;
	struct flight_table *flights;
	struct recent *recent;
	struct ahead *ahead;
	struct record *record;	    /* NULL: no profile is recorded */
	struct replay *replay;	    /* NULL: none is replayed */
	struct share *share;	    /* NULL: nothing is read from other layers */
	struct fill *fill;	    /* NULL: the rest of the image is not fetched */
	struct loader *loader;	    /* NULL: what programs open next is not fetched */
	struct tracer *tracer;	    /* NULL: nothing is written down */
	struct chunk_data *nothing; /* what a flight for rows lands with */

	struct lock runs_lock;
	/* under runs_lock; see content_frame.c */
	struct frame_run_list runs;

	/* atomic: what nobody has asked for yet may be fetched. In one order with share's `ready`
	 */
	_Atomic(bool) warm;
	struct line line;

	/* atomic, relaxed */
	_Atomic(bool) stopping;
	_Atomic(bool) any_disproved;
	_Atomic(bool) expected; /* content_expect was called, with these */
	_Atomic(char *const *) expected_words;
	_Atomic(const char *) expected_cwd;
	_Atomic(int64_t) read_ms; /* when the last read of a published index came */
	_Atomic(bool) tree_proven;
	_Atomic(bool) looked;		/* for what may be proven from the start */
	_Atomic(bool) judging;		/* the merged tree, right now */
	_Atomic(uint8_t) *layer_states; /* borrowed; or NULL */
	struct board *board;		/* borrowed, or own_board */
	struct board *own_board;
};

/* --- content.c --- */

/* content_go_on_warming - the part of content_warm that comes after the look at other layers. */
void content_go_on_warming(struct content *c);
/* content_begin - a read whose chunk rows are all there, from its beginning. */
void content_begin(struct content *c, struct read_request *r);
/* content_read_done - the end of a read. */
void content_read_done(struct content *c, struct read_request *r, err_t err);

/* content_submit - hand flights that the caller owns to the scheduler, at most BATCH_MAX at a time;
 * they fail if that is not possible. */
void content_submit(struct content *c, struct flight *const *flights, size_t n);

/* Flights that a read or a look ahead has to lead, handed over together. */
struct leads {
	struct flight *flights[BATCH_MAX];
	size_t n;
};
/* leads_add - submits when full; leads_submit - the rest. */
void leads_add(struct content *c, struct leads *leads, struct flight *f);
void leads_submit(struct content *c, struct leads *leads);

/* --- content_fetch.c --- */

/* content_run_batch - the scheduler's `run`. */
void content_run_batch(void *arg, struct job **jobs, size_t n, size_t lead);
/* content_arrive - the verified bytes of an owned flight's chunk: answer, keep, forget. */
void content_arrive(struct content *c, struct flight *f, struct chunk_data *data);
/* content_keep - put into the store, or failing that remember for a while. */
void content_keep(struct content *c, uint32_t slot, uint32_t chunk, struct chunk_data *data);
/* content_arrive_stored - the same from the store; false when the chunk is not there. */
bool content_arrive_stored(struct content *c, struct flight *f);
/* content_refused - an owned flight's bytes came and were wrong: try again, or fail. */
void content_refused(struct content *c, struct flight *f);
/* content_unreachable - they did not come: try again later, or fail. */
void content_unreachable(struct content *c, struct flight *f, err_t err);
/* content_log_refused - the one log line for bytes that lie. */
void content_log_refused(struct content *c, const struct slot *slot, uint64_t off, uint64_t len,
			 bool kept, const char *why);
/* content_log_unreachable - the one log line for a source that does not answer. */
void content_log_unreachable(struct content *c, const struct slot *slot, uint64_t off, uint64_t len,
			     const struct diag *d);

/*
 * A range of a blob, from the kept blob or from the source.
 */
struct range_reader {
	int kept_fd; /* -1: from the source */
	uint64_t kept_off, left;
	uint32_t layer;
	bool asked;		    /* the source was: it counts as a fetch in flight */
	int64_t asked_us, first_us; /* when it was, and when the first bytes came; 0: not yet */
	struct source_stream *stream;
};
/* range_open - `kept` asks for the kept blob, -ENOENT when there is none. */
err_t range_open(struct content *c, const struct slot *slot, bool kept, uint64_t off, uint64_t len,
		 int64_t deadline_ms, struct range_reader *out, struct diag *d) must_check;
/* range_read - exactly n more bytes of the range. */
err_t range_read(struct content *c, struct range_reader *r, void *p, size_t n,
		 struct diag *d) must_check;
void range_close(struct content *c, struct range_reader *r);

/* line_learn - a request was answered: its first byte after wait_us, and so many bytes in body_us
 * from then on (content_line.c). */
void line_learn(struct content *c, int64_t wait_us, uint64_t bytes, int64_t body_us);
/* line_bytes_in - how many bytes of one answer come in so many milliseconds; 0: not known. */
uint64_t line_bytes_in(const struct content *c, unsigned ms);

/* content_deadline - by when a request for these flights must have ended: what their most patient
 * waiter gives it, at the most the budget. */
int64_t content_deadline(struct content *c, struct flight *const *flights, size_t n);

/* --- content_watch.c: what others see of it (fetch/board.h) --- */

/* content_wait_begin - the read has to wait, if it does not already; content_wait_end - it has
 * ended. */
void content_wait_begin(struct content *c, struct read_request *r);
void content_wait_end(struct content *c, struct read_request *r, err_t err);
/* content_fetched - bytes of a layer came from the source. */
void content_fetched(struct content *c, uint32_t layer, uint64_t n);
/* content_fetch_begins, content_fetch_ends - a request of this thread to the source. */
void content_fetch_begins(struct content *c, uint32_t layer);
void content_fetch_ends(struct content *c);
/* content_trouble - for source_watch; @arg the content. */
void content_trouble(void *arg, const char *text);
/* content_show_chunks - of a slot that has just been opened: how many, and how many are stored.
 * Cost: a load a chunk. */
void content_show_chunks(struct content *c, const struct slot *slot);
/* content_show_stored - one more of them is. */
void content_show_stored(struct content *c, const struct slot *slot);

/* --- content_rows.c --- */

/* content_rows_wait - true when rows that the read needs are missing: it is then begun
 * (content_begin) or ended when they are there. */
bool content_rows_wait(struct content *c, struct read_request *r);
/* content_rows_ahead - whether the rows of stream bytes are there; if not, and if `how` fetches,
 * they are asked for. */
struct start;
bool content_rows_ahead(struct content *c, uint32_t slot, uint64_t off, uint64_t len,
			const struct start *how);
/* content_rows_job - what the scheduler has to know of a flight for rows. */
void content_rows_job(struct content *c, struct job *job);
/* content_run_rows - the scheduler's `run` for them. */
void content_run_rows(struct content *c, struct job **jobs, size_t n);
/* content_rows_again - fetch a group whose copy in the store has rotted; 0 or -errno. */
err_t content_rows_again(struct content *c, const struct slot *slot, uint32_t chunk) must_check;
/* content_slot_open - the chunks of a slot whose table is known: afterwards it can be read. */
err_t content_slot_open(struct content *c, struct slot *slot, struct chunk_table *table,
			struct diag *d) must_check;

/* Flights that stand for work and not for bytes, under the numbers of a slot's groups: its proof;
 * for slot 0, the loading and saving of the image's profile, a look at other layers, and the names
 * of what a container starts with. */
#define PROOF_GROUP	   UINT32_MAX
#define PROFILE_SAVE_GROUP (UINT32_MAX - 1)
#define PROFILE_LOAD_GROUP (UINT32_MAX - 2)
#define SHARE_LOAD_GROUP   (UINT32_MAX - 3)
#define EXPECT_GROUP	   (UINT32_MAX - 4)
#define WORK_GROUP_FIRST   EXPECT_GROUP
/* content_queue_work - have a worker do it, behind everything else. */
void content_queue_work(struct content *c, uint32_t slot, uint32_t group);

/* --- content_prove.c --- */

/* content_show_state - of all layers of a slot, where states are shown. */
void content_show_state(struct content *c, const struct slot *slot, enum layer_state state);
/* content_disprove - what the published index says of a slot was found to be wrong: nothing of it
 * is served any more, and the index is not used again. */
void content_disprove(struct content *c, struct slot *slot, const char *why);
/* content_prove_soon - something of the slot was kept, or found in the store: if nothing is missing
 * now, its proof is queued behind everything else. Cost: a few loads. */
void content_prove_soon(struct content *c, uint32_t slot);
/* content_prove_what_is_here - the same for all slots, at the first read: an earlier mount may have
 * left no more to do than that. */
void content_prove_what_is_here(struct content *c);
/* content_run_proof - the full pass over a slot whose chunks are all stored. */
void content_run_proof(struct content *c, struct slot *slot);
/* content_prove_tree - when all layers are proven: merge them, and compare with the tree in use. */
void content_prove_tree(struct content *c);
/* content_is_disproved - whether a file has bytes in a disproved slot. */
bool content_is_disproved(struct content *c, uint32_t row);

/* --- content_frame.c --- */

/* content_run_frame - see that the frame of an owned CHUNK_ZSTD_INNER flight streams. */
void content_run_frame(struct content *c, struct flight *f);

/* --- content_recent.c --- */

/* Chunks that the store could not keep: enough that the kernel's requests for the parts of one
 * chunk, and a few readers side by side, do not fetch it several times. */
#define RECENT_BYTES_MAX (8u << 20)
struct recent *recent_new(void);
void recent_free(struct recent **r);
/* recent_add - takes its own reference. */
void recent_add(struct recent *r, uint32_t slot, uint32_t chunk, struct chunk_data *data);
/* recent_get - a reference, or NULL. Costs nothing while there are none. */
struct chunk_data *recent_get(struct recent *r, uint32_t slot, uint32_t chunk);

/* --- content_around.c --- */

/* around_new - for a slot with this many chunks; around_free also for zeroes. -ENOMEM. */
err_t around_new(struct around *a, uint32_t n_chunks) must_check;
void around_free(struct around *a);
/* around_wanted - a reader came to a chunk. Cost: a load. */
void around_wanted(struct around *a, uint32_t chunk);
/* around_missed - a reader leads the flight of a chunk: perhaps start those of its neighbours,
 * which are queued together with it so that one request can bring them all. */
void around_missed(struct content *c, uint32_t slot, uint32_t chunk, struct leads *leads);
/* around_begun - a reader leads the flight of the chunk with a file's first byte: perhaps start
 * what that file has besides. Cost: a look at up to 64 chunks. */
void around_begun(struct content *c, uint32_t row, struct leads *leads);

/* --- content_loader.c --- */

struct loader *loader_new(const struct index *tree);
void loader_free(struct loader **l);
/* loader_expect - a program, a library or a script will be read soon, at this path, which is taken;
 * begun in the next loader_feed, as far as EXPECTED_MAX files and EXPECTED_BYTES allow it. */
void loader_expect(struct content *c, uint32_t row, struct buf *path);
/* loader_note - a reader came to a file: tells which guesses were good. Cost: two loads. */
void loader_note(struct content *c, uint32_t row);
/* loader_missed - a reader misses something of a file, from off on: perhaps what the dynamic loader
 * reads next is fetched, when a batch has ended. Cost: a load; a short lock the first time for a
 * file, and each time while its head is neither here nor what is missed. */
void loader_missed(struct content *c, uint32_t row, uint64_t off);
/* loader_feed - go on, as far as bytes are here and there is room in the queue; to be called when a
 * batch has ended. Cost while there is nothing to do: a load. */
void loader_feed(struct content *c);
/* loader_failed - something that nobody waited for did not come: a pause. */
void loader_failed(struct content *c);

/* --- content_expect.c --- */

/* expect_run - the work of content_expect. */
void expect_run(struct content *c);
/* expect_search - where programs are looked for by their names, as in PATH; borrowed. expect_env -
 * what the image's config sets a variable to; empty: nothing. */
struct bytes expect_search(const struct content *c);
struct bytes expect_env(const struct content *c, const char *name);
/* expect_words - what will be started: a program, and its arguments; borrowed. Their number. */
#define EXPECT_WORDS_MAX 16
size_t expect_words(const struct content *c, const char *words[EXPECT_WORDS_MAX]);
/* expect_dir - where it will be started; absolute, to be freed. */
char *expect_dir(const struct content *c);

/* --- content_feed.c --- */

/* One thread at a time feeds a queue; whoever comes meanwhile leaves word that there is more to
 * look at. */
struct feeder {
	struct lock lock;
	/* under lock */
	bool busy, again;
};
/* feeder_run - call feed(c) until nobody has left word, or leave word for who is at it. No lock is
 * held in `feed`, which is never called twice at once. */
void feeder_run(struct feeder *f, void (*feed)(struct content *c), struct content *c);

/* --- content_share.c --- */

struct share *share_new(void);
void share_free(struct share **s);
/* share_pending - whether other layers are still to be looked through: a read waits for that. */
bool share_pending(const struct content *c);
/* share_load - do it; later calls return at once. One caller at a time. Cost: some 10 ms a layer.
 */
void share_load(struct content *c);
/* share_helps - whether a reader has found something in other layers. */
bool share_helps(const struct content *c);
/* share_read - bytes of a file from where the store has the same content under another layer;
 * share_has - whether that is possible (the map says so). False: it is not. */
bool share_read(struct content *c, uint32_t row, uint64_t off, uint32_t n, void *p);
bool share_has(struct content *c, uint32_t row, uint64_t off, uint64_t n);

/* --- content_record.c --- */

/* record_new - of an image of this many bytes of files. */
struct record *record_new(uint64_t files_size);
void record_free(struct record **r);
/* record_note - a reader asked for [off, off + n) of a file, n >= 1. Cost: a short lock; after the
 * end of the recording, a load. */
void record_note(struct content *c, uint32_t row, uint64_t off, size_t n);
/* record_tick - the timer's look; returns when the next one is due, INT64_MAX: never. */
int64_t record_tick(struct content *c, int64_t now);
/* record_save - the end of the recording: what was recorded becomes the image's profile, if it says
 * more than the one that is there. Once; later calls do nothing. */
void record_save(struct content *c);

/* --- content_replay.c --- */

struct replay *replay_new(void);
void replay_free(struct replay **r);
/* replay_load - find the image's profile, and begin. */
void replay_load(struct content *c);
/* replay_note - a reader came to a place: the replay stays ahead of it. Cost: a load when there is
 * none, else a short lock. */
void replay_note(struct content *c, uint32_t row, uint64_t off);
/* replay_feed - go on, as far as there is room in the queue; to be called when there may be more
 * room, or rows that were missing. Cost without a replay: a load. */
void replay_feed(struct content *c);
/* replay_stop - something of it failed: no more is asked for. */
void replay_stop(struct content *c);
/* replay_runs - whether it has something to ask for yet. */
bool replay_runs(const struct content *c);
/* replay_has - whether it is under way and has the place of a read. */
bool replay_has(const struct content *c, uint32_t row, uint64_t off);

/* --- content_fill.c --- */

struct fill *fill_new(enum fill_mode mode);
void fill_free(struct fill **f);
void fill_start(struct content *c);
/* fill_note - somebody reads. */
void fill_note(struct content *c);
/* fill_feed - go on, as far as there is room in the queue. Cost while it does not run: a load. */
void fill_feed(struct content *c);
/* fill_pause - something of it failed: no more is asked for, for a while. */
void fill_pause(struct content *c);
/* fill_stop - the end of the content. */
void fill_stop(struct content *c);
/* fill_tick - the timer's look, as record_tick. */
int64_t fill_tick(struct content *c, int64_t now);

/* --- content_trace.c --- */

/* tracer_open - begin to write down into an empty file, which may be closed then; where that is not
 * possible, nothing is. tracer_free - the end. */
void tracer_open(struct content *c, int fd);
void tracer_free(struct tracer **t);
/* tracer_save - leave a copy in the store, if anything was read. No worker may run any more. */
void tracer_save(struct content *c);
/* trace_slot_opened - the chunks of a slot are known now. */
void trace_slot_opened(struct content *c, const struct slot *slot);

/* Below, without a tracer each costs a load. trace_read - a read begins; trace_chunk_read - a
 * reader came to a chunk, here or not; trace_chunk_came - it was fetched. Cost: loads, mostly. */
void trace_read(struct content *c, const struct read_request *r);
void trace_chunk_read(struct content *c, uint32_t slot, uint32_t chunk);
void trace_chunk_came(struct content *c, uint32_t slot, uint32_t chunk, enum fetch_priority who);
/* trace_waits - a read has to wait, from now on unless it does already, for a chunk (TRACE_NONE:
 * something else); trace_waited - the end of every read. */
void trace_waits(const struct content *c, struct read_request *r, uint32_t slot, uint32_t chunk);
void trace_waited(struct content *c, const struct read_request *r, err_t err);
/* trace_fetched - a fetch has just ended. */
struct trace_fetched {
	int64_t from_ms; /* now_ms() at its begin */
	uint64_t bytes;	 /* that came */
	uint32_t slot, chunk, n_chunks;
	enum fetch_priority who;
	unsigned flags; /* enum trace_event_flags */
};
void trace_fetched(struct content *c, const struct trace_fetched *f);
/* trace_who_of - a priority as a trace has it. */
static inline enum trace_who trace_who_of(enum fetch_priority p)
{
	return (enum trace_who)(p + 1);
}
_Static_assert((int)TRACE_READER == PRIORITY_READER + 1 && (int)TRACE_FILL == PRIORITY_FILL + 1,
	       "trace_who_of");

/* --- content_ahead.c --- */

/* How content_start_range goes about it. */
struct start {
	enum fetch_priority priority;
	unsigned queue_max; /* jobs of this priority that may wait */
	bool fetches;	    /* what is missing; what is stored is only asked of the disk */
	bool frames;	    /* also chunks of one huge frame */
};
enum start_end {
	START_DONE,    /* to the end of the range */
	START_FULL,    /* the queue is */
	START_NO_ROWS, /* chunk rows are missing; if it fetches, they are on their way */
	START_NOTHING, /* a frame, or a store that keeps nothing: no use in going on */
};
/* content_start_range - start flights for the chunks of bytes [*from, to) of a file; *from is then
 * where it came to. */
enum start_end content_start_range(struct content *c, uint32_t row, uint64_t *from, uint64_t to,
				   const struct start *how);

struct ahead *ahead_new(void);
void ahead_free(struct ahead **a);
/* ahead_note - [off, off + n) of a file was asked for, and missed or not: perhaps start flights for
 * what follows. */
void ahead_note(struct content *c, uint32_t row, uint64_t off, size_t n, bool missed);

#endif
