/*
 * A ring of batches between two threads. The writer fills the one behind the last full batch, the
 * reader empties the first full one; a lock covers nothing but which those are. A batch is a row of
 * records: what was called, its arguments, and the bytes they point to.
 */
#include "fetch/indexer_relay.h"

#include "fetch/lock.h"

#include <string.h>

#define RELAY_BATCHES 8
/* A batch is handed over when it is as long; the longest record can add CHUNK_STREAM_MAX. */
#define BATCH_LEN (128u << 10)

enum record_kind { RECORD_STREAM, RECORD_WINDOW, RECORD_CHUNK };

struct record {
	enum record_kind kind;
	size_t n; /* RECORD_STREAM: bytes that follow */
	union {
		struct window_clues clues; /* its pointers are set anew when it is read */
		struct chunk row;
	};
};

struct relay {
	const struct chunker_sink *to;
	void *arg;
	pthread_t thread;
	bool running; /* the writer's: the thread is to be joined */
	struct buf batches[RELAY_BATCHES];
	size_t writing; /* the writer's: which one it fills */
	struct lock lock;
	pthread_cond_t changed;
	/* under the lock */
	size_t full; /* batches in front of the one that is written */
	bool ended;
	err_t err; /* the receiver's first, and what it said */
	struct diag diag;
};

/* The reader's side. */

static struct bytes take_bytes(struct bytes *from, size_t n)
{
	struct bytes got = {from->p, n};
	BUG_ON(n > from->n);
	*from = (struct bytes){from->p + n, from->n - n};
	return got;
}

static err_t read_window(struct relay *r, struct window_clues clues, struct bytes *from,
			 struct diag *d)
{
	clues.history = take_bytes(from, GZIP_WINDOW).p;
	clues.header = take_bytes(from, clues.header.n);
	clues.head = take_bytes(from, clues.head.n);
	clues.out = take_bytes(from, clues.out.n);
	return r->to->window(r->arg, &clues, d);
}

static err_t read_record(struct relay *r, struct bytes *from, struct diag *d)
{
	struct record record;
	memcpy(&record, take_bytes(from, sizeof(record)).p, sizeof(record));
	if (record.kind == RECORD_WINDOW)
		return read_window(r, record.clues, from, d);
	if (record.kind == RECORD_CHUNK)
		return r->to->chunk(r->arg, &record.row, NULL, d);
	return r->to->stream(r->arg, take_bytes(from, record.n).p, record.n, d);
}

static err_t read_batch(struct relay *r, struct bytes from, struct diag *d)
{
	err_t err = 0;
	while (from.n && !err)
		err = read_record(r, &from, d);
	return err;
}

/* After an error the batches are emptied unread, so that the writer never waits in vain. */
static void *relay_read(void *arg)
{
	struct relay *r = arg;
	struct diag diag = DIAG_INIT;
	err_t err = 0;
	lock_take(&r->lock);
	for (size_t reading = 0;; reading = (reading + 1) % RELAY_BATCHES) {
		while (!r->full && !r->ended)
			condition_wait(&r->changed, &r->lock, INT64_MAX);
		if (!r->full)
			break;
		lock_drop(&r->lock);
		if (!err)
			err = read_batch(r, buf_bytes(&r->batches[reading]), &diag);
		r->batches[reading].n = 0;
		lock_take(&r->lock);
		if (err && !r->err) {
			r->err = err;
			r->diag = diag;
		}
		r->full--;
		pthread_cond_signal(&r->changed);
	}
	lock_drop(&r->lock);
	return NULL;
}

/* The writer's side. */

static err_t receiver_error(struct relay *r, struct diag *d)
{
	lock_take(&r->lock);
	err_t err = r->err;
	if (err && d)
		*d = r->diag;
	lock_drop(&r->lock);
	return err;
}

static void hand_over(struct relay *r)
{
	lock_take(&r->lock);
	r->full++;
	pthread_cond_signal(&r->changed);
	while (r->full == RELAY_BATCHES)
		condition_wait(&r->changed, &r->lock, INT64_MAX);
	lock_drop(&r->lock);
	r->writing = (r->writing + 1) % RELAY_BATCHES;
}

static void put(struct buf *to, const void *p, size_t n)
{
	if (n)
		memcpy(to->p + to->n, p, n);
	to->n += n;
}

/* begin_record - with room for `more` bytes behind it, so that a record is never half there. */
static err_t begin_record(struct relay *r, const struct record *record, size_t more, struct diag *d)
{
	struct buf *to = &r->batches[r->writing];
	err_t err = buf_reserve(to, sizeof(*record) + more);
	if (err)
		return fail_sys(d, ERR_OTHER, err, "hand on what a blob holds");
	put(to, record, sizeof(*record));
	return 0;
}

/* end_record - what the receiver has said so far stops the writer. */
static err_t end_record(struct relay *r, struct diag *d)
{
	if (r->batches[r->writing].n < BATCH_LEN)
		return 0;
	hand_over(r);
	return receiver_error(r, d);
}

static err_t write_stream(void *arg, const uint8_t *p, size_t n, struct diag *d)
{
	struct relay *r = arg;
	const struct record record = {.kind = RECORD_STREAM, .n = n};
	err_t err = begin_record(r, &record, n, d);
	if (err)
		return err;
	put(&r->batches[r->writing], p, n);
	return end_record(r, d);
}

static err_t write_window(void *arg, const struct window_clues *clues, struct diag *d)
{
	struct relay *r = arg;
	const struct record record = {.kind = RECORD_WINDOW, .clues = *clues};
	size_t n = GZIP_WINDOW + clues->header.n + clues->head.n + clues->out.n;
	err_t err = begin_record(r, &record, n, d);
	if (err)
		return err;
	struct buf *to = &r->batches[r->writing];
	put(to, clues->history, GZIP_WINDOW);
	put(to, clues->header.p, clues->header.n);
	put(to, clues->head.p, clues->head.n);
	put(to, clues->out.p, clues->out.n);
	return end_record(r, d);
}

static err_t write_chunk(void *arg, const struct chunk *c, const uint8_t *data, struct diag *d)
{
	struct relay *r = arg;
	const struct record record = {.kind = RECORD_CHUNK, .row = *c};
	(void)data;
	err_t err = begin_record(r, &record, 0, d);
	return err ? err : end_record(r, d);
}

const struct chunker_sink relay_sink = {
	.stream = write_stream, .window = write_window, .chunk = write_chunk};

struct relay *relay_new(const struct chunker_sink *to, void *arg)
{
	struct relay *r = new_of(struct relay);
	r->to = to;
	r->arg = arg;
	lock_init(&r->lock);
	condition_init(&r->changed);
	r->running = pthread_create(&r->thread, NULL, relay_read, r) == 0;
	if (!r->running)
		relay_free(&r);
	return r;
}

err_t relay_end(struct relay *r, struct diag *d)
{
	if (r->running && r->batches[r->writing].n)
		hand_over(r);
	lock_take(&r->lock);
	r->ended = true;
	pthread_cond_signal(&r->changed);
	lock_drop(&r->lock);
	if (r->running)
		pthread_join(r->thread, NULL);
	r->running = false;
	return receiver_error(r, d);
}

void relay_free(struct relay **rp)
{
	struct relay *r = take(rp);
	if (!r)
		return;
	if (r->running && relay_end(r, NULL))
		r->err = 0; /* nobody asks for it */
	for (size_t i = 0; i < RELAY_BATCHES; i++)
		buf_fini(&r->batches[i]);
	pthread_cond_destroy(&r->changed);
	lock_fini(&r->lock);
	free(r);
}
