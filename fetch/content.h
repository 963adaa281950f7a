/*
 * content - the bytes of an image's files, verified, from the store or the sources
 *
 * A read that the store can answer is answered in the call. Otherwise it joins the flight of each
 * missing chunk and returns; a fetch worker completes it. One flight a chunk, however many readers
 * wait. See fetch/README.md.
 */
#ifndef IMGFS_FETCH_CONTENT_H
#define IMGFS_FETCH_CONTENT_H

#include "fetch/board.h"
#include "fetch/image.h"

#include <stdatomic.h>

/* Whether what nobody has read yet is fetched, too. */
enum fill_mode {
	FILL_OFF,
	FILL_IDLE, /* while nobody reads */
	FILL_FULL,
};

struct content_options {
	unsigned budget_s;  /* a reader waits at the most this long before an error; 0:
			     * CONTENT_BUDGET_S
			     */
	bool wait_for_ever; /* --on-error=wait: retry until it works; readers can still be
			       interrupted */
	bool neighbours;    /* fetch chunks beside missed ones: for programs that run from the
			       image, not for one who wants a certain file */
	bool profile;	    /* record what is read first, and replay what was recorded before */
	enum fill_mode fill;
	bool share;	  /* read files from other layers of the store with the same content */
	unsigned workers; /* concurrent fetches; 0: CONTENT_WORKERS */
	/* Where the state of each layer is shown (enum layer_state), INDEX_LAYERS_MAX of them,
	 * which must outlive the content; NULL: nowhere. */
	_Atomic(uint8_t) *layer_states;
	/* Where everything that it does is shown; zeroes, and must outlive the content. NULL: only
	 * content_stats tells. */
	struct board *board;
	/* An empty file into which is written down what is read, fetched and waited for
	 * (index/trace.h), open for both; may be closed after content_new. 0: nowhere. */
	int trace_fd;
};
#define CONTENT_BUDGET_S 60
#define CONTENT_WORKERS	 8

struct content;

/* content_new - the image must be prepared and outlive the content. Threads start at the first
 * miss. */
err_t content_new(struct image *image, const struct content_options *options, struct content **out,
		  struct diag *d) must_check;
/* content_warm - begin to fetch what nobody has asked for yet: the profile, if there is one,
 * and the rest, if the options say so. Starts threads. */
void content_warm(struct content *c);
/*
 * content_expect - a container is about to be started from the tree: what that reads first is
 * fetched ahead
 * @words  its program and the words behind it, ended by NULL; NULL: those of the image's config
 * @cwd    where names that are no absolute paths are looked for; NULL: the config's
 * Both must outlive the content. Once, whatever the words; later calls do nothing, and so do all
 * where neighbours are not fetched, or nothing can be (offline). Any thread; starts threads, and
 * never waits. Cost: a load; the first time, a few locks.
 */
void content_expect(struct content *c, char *const *words, const char *cwd);
/* content_free - fails what is in flight with -EIO, joins all threads; the source is interrupted
 * for good if it was in use. No read may be started any more, and no start, cancel or expect may be
 * under way. */
void content_free(struct content **c);

/*
 * One read of a regular file. The caller owns it and keeps it, and buf, until done was called:
 * exactly once, from any thread, possibly before content_read_start returns. err is 0 (all n bytes
 * are there), -EINTR (cancelled), or why a chunk did not come: -EBADMSG (wrong bytes came), -ENOENT
 * (its blob is gone), -EACCES (denied), -EDQUOT (rate limit), -ENOMEM, -EIO (anything else: mostly
 * no answer within the budget). The kernel gets EIO for all of the latter.
 */
struct read_request {
	uint32_t row; /* regular file of image->tree */
	uint64_t off; /* off + n <= size */
	size_t n;
	uint8_t *buf;
	void (*done)(struct read_request *r, err_t err);
	/* private to content */
	void *state;
	bool for_rows; /* state waits for chunk rows, not for bytes */
	struct board_wait wait;
	uint32_t wait_place;
	uint32_t waits_slot, waits_chunk;
};
void content_read_start(struct content *c, struct read_request *r);

/* content_read_cancel - done is called with -EINTR at once unless it was called already; flights
 * others wait for go on. To be called after content_read_start has returned; the request (not buf)
 * must still be there, done or not. */
void content_read_cancel(struct content *c, struct read_request *r);

/* content_fail_read - what the one word that a reader gets means to a person; returns err. */
err_t content_fail_read(const struct content *c, struct diag *d, err_t err);

/* content_read - the same, waiting; the diagnostic's class follows the error. */
err_t content_read(struct content *c, uint32_t row, uint64_t off, void *p, size_t n,
		   struct diag *d) must_check;

/*
 * content_cached - bytes of a regular file that a read would get without a source: holes, what the
 * store has (by its map, not read again), and what it has of the same file under another layer
 * Of a layer that nobody has read of nothing may be known yet, which counts as not there. Any
 * thread; never waits for a source. Cost: a look at each chunk of the file.
 */
uint64_t content_cached(struct content *c, uint32_t row);

/* content_stats - totals since content_new. */
void content_stats(struct content *c, struct content_stats *out);

#endif
