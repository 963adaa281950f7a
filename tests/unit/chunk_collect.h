/*
 * chunk_collect - for tests: run the chunker over a blob in memory and keep all it says
 *
 * Every callback checks the order that chunker.h promises, so each test that collects also tests
 * it.
 */
#ifndef IMGFS_TESTS_CHUNK_COLLECT_H
#define IMGFS_TESTS_CHUNK_COLLECT_H

#include <string.h>

#include "index/chunker.h"
#include "index/decode.h"

/* A fuzzer makes bombs; no test needs more. */
#ifndef COLLECT_STREAM_MAX
#define COLLECT_STREAM_MAX (16u << 20)
#endif

struct collected {
	struct chunk *rows;
	size_t n;
	size_t cap;
	struct buf windows; /* rows[i].window_off points here */
	struct buf window;  /* of the next row, once `told` */
	bool told;
	struct buf stream;
	uint64_t covered;   /* stream bytes of the rows so far */
	uint64_t inner_end; /* stream offset behind the last `inner` bytes */
	enum blob_codec codec;
	struct diag d;
};

static inline err_t collect_stream(void *arg, const uint8_t *p, size_t n, struct diag *d)
{
	struct collected *c = arg;
	(void)d;
	BUG_ON(!n);
	if (c->stream.n + n > COLLECT_STREAM_MAX)
		return -E2BIG;
	return buf_append(&c->stream, p, n);
}

static inline err_t collect_inner(void *arg, uint64_t stream_off, const uint8_t *p, size_t n,
				  struct diag *d)
{
	struct collected *c = arg;
	(void)d;
	BUG_ON(stream_off < c->covered || stream_off + n > c->stream.n);
	BUG_ON(memcmp(c->stream.p + stream_off, p, n) != 0);
	BUG_ON(c->inner_end > c->covered && stream_off != c->inner_end);
	c->inner_end = stream_off + n;
	return 0;
}

static inline err_t collect_window(void *arg, const struct window_clues *clues, struct diag *d)
{
	struct collected *c = arg;
	const struct chunk *row = &clues->row;
	(void)d;
	BUG_ON(c->told || row->stream_off != c->covered || row->start == START_MEMBER);
	BUG_ON(row->stream_off + clues->out.n > c->stream.n);
	BUG_ON(memcmp(clues->out.p, c->stream.p + row->stream_off, clues->out.n) != 0);
	c->told = true;
	return window_find(clues, &c->window);
}

static inline err_t collect_chunk(void *arg, const struct chunk *row, const uint8_t *data,
				  struct diag *d)
{
	struct collected *c = arg;
	(void)d;
	BUG_ON(c->told != (row->codec == CHUNK_GZIP && row->start != START_MEMBER));
	BUG_ON(row->stream_off != c->covered || !row->stream_len);
	BUG_ON(row->stream_off + row->stream_len > c->stream.n);
	BUG_ON(row->window_len || row->window_off);
	BUG_ON(c->n && row->blob_off < c->rows[c->n - 1].blob_off);
	BUG_ON((row->codec == CHUNK_ZSTD_INNER) != !data);
	BUG_ON(data && memcmp(data, c->stream.p + row->stream_off, row->stream_len) != 0);
	c->covered += row->stream_len;
	BUG_ON(!data && c->covered > c->inner_end);
	BUG_ON(!try_grow(&c->rows, c->n, &c->cap, sizeof(*c->rows)));
	c->rows[c->n] = *row;
	c->rows[c->n].window_len = (uint32_t)c->window.n;
	c->rows[c->n++].window_off = c->windows.n;
	err_t err = buf_append(&c->windows, c->window.p, c->window.n);
	c->window.n = 0;
	c->told = false;
	return err;
}

/* collect - feed pieces of `piece` bytes (0: all at once); the chunker's result. */
static inline err_t collect(struct bytes blob, uint32_t target, size_t piece, struct collected *out)
{
	static const struct chunker_sink sink = {collect_stream, collect_window, collect_chunk,
						 collect_inner};
	*out = (struct collected){.d = DIAG_INIT};
	struct chunker *c = chunker_new(target, &sink, out);
	err_t err = 0;
	for (size_t at = 0, n; !err && at < blob.n; at += n) {
		n = piece ? min_of(piece, blob.n - at) : blob.n;
		err = chunker_feed(c, blob.p + at, n, &out->d);
	}
	if (!err)
		err = chunker_finish(c, &out->d);
	out->codec = chunker_codec(c);
	BUG_ON(!err && (chunker_stream_size(c) != out->stream.n || out->covered != out->stream.n));
	chunker_free(&c);
	return err;
}

static inline void collected_fini(struct collected *c)
{
	free(c->rows);
	buf_fini(&c->windows);
	buf_fini(&c->window);
	buf_fini(&c->stream);
}

static inline struct bytes collected_window(const struct collected *c, const struct chunk *row)
{
	if (!row->window_len)
		return (struct bytes){0};
	return (struct bytes){c->windows.p + row->window_off, row->window_len};
}

#endif
