/*
 * The pass over a zstd blob. A frame is the unit: small ones are gathered until the target is
 * reached, one that does not fit behind those already gathered begins the next chunk, and one that
 * is larger than any chunk is described by CHUNK_ZSTD_INNER rows (chunk_zstd_inner.c). Whether a
 * frame fits is known at its end only, so its compressed bytes stay on the tape until then.
 */
#include "index/chunk_zstd_priv.h"

#include <string.h>
#include <xxhash.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "index/zstd_frame.h"

/*
 * Compressed bytes behind a chunk's last frame that are kept while it is open whether another frame
 * joins. A frame that joins has at most CHUNK_STREAM_MAX bytes of content; raw blocks add 3 bytes
 * to 128 KiB, and some room is left for small skippable frames.
 */
#define JOIN_MAX (CHUNK_STREAM_MAX + (64u << 10))

#define INPUT_STEP (64u << 10) /* keeps the tape short */

enum phase { PHASE_HEADER, PHASE_SKIPPABLE, PHASE_FRAME };

struct zstd_pass {
	struct chunker *chunker;
	ZSTD_DCtx *ctx;
	struct tape tape;
	enum phase phase;
	uint8_t header[ZSTD_FRAME_HEADER_MAX];
	size_t header_n;
	uint64_t skip_left;
	/* The chunk that is gathered: len bytes of output in `data`, in blob range [blob_off,
	 * blob_end).
	 */
	uint64_t stream_off;
	uint64_t blob_off;
	uint64_t blob_end;
	uint32_t len;
	/* The current frame; its output lies behind the chunk's, unless it is too large. */
	uint64_t frame_off;
	uint32_t frame_len;
	struct inner *inner; /* NULL unless the frame is too large for a chunk */
	/* One byte more than a chunk: it tells a frame that fits from one that does not. */
	uint8_t data[CHUNK_STREAM_MAX + 1];
};

static void *zstd_create(struct chunker *c)
{
	struct zstd_pass *p = new_of(struct zstd_pass);
	p->chunker = c;
	p->ctx = ZSTD_createDCtx();
	BUG_ON(!p->ctx);
	BUG_ON(ZSTD_isError(
		ZSTD_DCtx_setParameter(p->ctx, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX)));
	tape_init(&p->tape);
	return p;
}

static void zstd_destroy(void *pass)
{
	struct zstd_pass *p = pass;
	ZSTD_freeDCtx(p->ctx);
	tape_fini(&p->tape);
	inner_free(&p->inner);
	free(p);
}

static uint64_t position(const struct zstd_pass *p)
{
	return tape_end(&p->tape);
}

static err_t corrupt(const struct zstd_pass *p, struct diag *d, const char *what)
{
	return fail(d, ERR_INTEGRITY, -EBADMSG, "zstd: %s at byte %llu", what,
		    (unsigned long long)position(p));
}

static err_t emit(struct zstd_pass *p, struct diag *d)
{
	struct chunk row = {
		.codec = CHUNK_ZSTD,
		.stream_off = p->stream_off,
		.stream_len = p->len,
		.blob_off = p->blob_off,
		.blob_len = p->blob_end - p->blob_off,
		.xxh3 = XXH3_64bits(p->data, p->len),
	};
	tape_sha256(&p->tape, p->blob_end, row.sha256);
	return chunker_chunk(p->chunker, &row, p->data, d);
}

/* close_chunk - the chunk ends with its last whole frame; the current frame, if any, begins the
 * next one. */
static err_t close_chunk(struct zstd_pass *p, struct diag *d)
{
	err_t err = emit(p, d);
	if (err)
		return err;
	memmove(p->data, p->data + p->len, p->frame_len);
	p->stream_off += p->len;
	p->len = 0;
	if (p->phase == PHASE_FRAME) {
		p->blob_off = p->frame_off;
		tape_start(&p->tape, p->frame_off);
	}
	return 0;
}

/* wanted_from - the first byte of the blob that a later range may begin with or end at. */
static uint64_t wanted_from(const struct zstd_pass *p)
{
	if (p->len)
		return p->blob_end;
	return position(p) - (p->phase == PHASE_HEADER ? p->header_n : 0);
}

/* take_input - bytes of the blob have been used up. */
static err_t take_input(struct zstd_pass *p, const uint8_t *from, size_t n, struct diag *d)
{
	err_t err = tape_append(&p->tape, from, n, d);
	if (!err && p->len && position(p) - p->blob_end > JOIN_MAX)
		err = close_chunk(p, d);
	if (!err)
		tape_release(&p->tape, wanted_from(p));
	return err;
}

static void begin_frame(struct zstd_pass *p)
{
	p->phase = PHASE_FRAME;
	p->frame_off = position(p) - p->header_n;
	p->frame_len = 0;
	if (!p->len) {
		p->blob_off = p->frame_off;
		tape_start(&p->tape, p->frame_off);
	}
}

static err_t check_frame(const struct zstd_frame *f, struct diag *d)
{
	if (f->dictionary_id)
		return fail(d, ERR_UNSUPPORTED, -ENOTSUP,
			    "the layer is compressed with zstd dictionary %u", f->dictionary_id);
	if (f->window_len > UINT64_C(1) << ZSTD_WINDOW_LOG_MAX)
		return fail(d, ERR_UNSUPPORTED, -ENOTSUP,
			    "the layer needs a zstd window of %llu bytes, the limit is %llu",
			    (unsigned long long)f->window_len,
			    (unsigned long long)(UINT64_C(1) << ZSTD_WINDOW_LOG_MAX));
	return 0;
}

/* fit_frame - the frame's output has grown: does it still fit into the chunk, into any chunk? */
static err_t fit_frame(struct zstd_pass *p, struct diag *d)
{
	err_t err = 0;
	if (p->len && p->len + p->frame_len > CHUNK_STREAM_MAX)
		err = close_chunk(p, d);
	if (err || p->frame_len <= CHUNK_STREAM_MAX)
		return err;
	p->inner = inner_new(p->chunker, p->stream_off);
	err = inner_put(p->inner, p->data, p->frame_len, d);
	p->frame_len = 0;
	return err;
}

static err_t end_frame(struct zstd_pass *p, struct diag *d)
{
	err_t err = 0;
	p->phase = PHASE_HEADER;
	p->header_n = 0;
	if (p->inner) {
		p->stream_off += inner_len(p->inner);
		err = inner_end(p->inner, p->frame_off, position(p) - p->frame_off, d);
		inner_free(&p->inner);
		p->frame_len = 0;
		return err;
	}
	/* An empty frame adds nothing; if no other follows soon, no chunk needs its bytes. */
	if (!p->frame_len)
		return 0;
	p->len += p->frame_len;
	p->frame_len = 0;
	p->blob_end = position(p);
	return p->len >= chunker_target(p->chunker) ? close_chunk(p, d) : 0;
}

static err_t decompress_failed(struct zstd_pass *p, size_t ret, struct diag *d)
{
	if (ZSTD_getErrorCode(ret) == ZSTD_error_memory_allocation)
		return fail_sys(d, ERR_OTHER, -ENOMEM, "cannot decompress zstd");
	return corrupt(p, d, ZSTD_getErrorName(ret));
}

static err_t take_output(struct zstd_pass *p, const uint8_t *from, size_t n, struct diag *d)
{
	err_t err = n ? chunker_stream(p->chunker, from, n, d) : 0;
	if (err || !n)
		return err;
	if (p->inner)
		return inner_put(p->inner, from, n, d);
	p->frame_len += (uint32_t)n;
	return 0;
}

/* step_frame - one call of the decoder; *again when it may have more output without more input. */
static err_t step_frame(struct zstd_pass *p, const uint8_t *from, size_t n, size_t *taken,
			bool *again, struct diag *d)
{
	size_t used = p->inner ? 0 : p->len + p->frame_len;
	ZSTD_inBuffer in = {from, n, 0};
	ZSTD_outBuffer out = {p->data + used, sizeof(p->data) - used, 0};
	size_t ret = ZSTD_decompressStream(p->ctx, &out, &in);
	if (ZSTD_isError(ret))
		return decompress_failed(p, ret, d);
	*taken = in.pos;
	*again = ret && out.pos == out.size;
	err_t err = take_output(p, p->data + used, out.pos, d);
	if (!err)
		err = take_input(p, from, in.pos, d);
	if (!err)
		err = fit_frame(p, d);
	return !err && !ret ? end_frame(p, d) : err;
}

static err_t feed_frame(struct zstd_pass *p, const uint8_t *from, size_t n, size_t *taken,
			struct diag *d)
{
	bool again = true;
	*taken = 0;
	n = min_of(n, (size_t)INPUT_STEP);
	while (p->phase == PHASE_FRAME && (again || *taken < n)) {
		size_t more = 0;
		err_t err = step_frame(p, from + *taken, n - *taken, &more, &again, d);
		if (err)
			return err;
		*taken += more;
	}
	return 0;
}

/* begin_decoding - the decoder gets the header that has been gathered; output can not come yet. */
static err_t begin_decoding(struct zstd_pass *p, struct diag *d)
{
	ZSTD_inBuffer in = {p->header, p->header_n, 0};
	ZSTD_outBuffer out = {p->data, 0, 0};
	begin_frame(p);
	size_t ret = ZSTD_decompressStream(p->ctx, &out, &in);
	if (ZSTD_isError(ret))
		return decompress_failed(p, ret, d);
	return ret && in.pos == in.size ? 0 : corrupt(p, d, "bad frame header");
}

static err_t begin_skippable(struct zstd_pass *p, uint32_t len)
{
	p->phase = len ? PHASE_SKIPPABLE : PHASE_HEADER;
	p->skip_left = len;
	p->header_n = 0;
	return 0;
}

static err_t feed_header(struct zstd_pass *p, const uint8_t *from, size_t *taken, struct diag *d)
{
	struct zstd_frame frame;
	*taken = 1;
	p->header[p->header_n++] = *from;
	err_t err = take_input(p, from, 1, d);
	if (err)
		return err;
	int got = zstd_frame_parse((struct bytes){p->header, p->header_n}, &frame);
	if (got < 0)
		return corrupt(p, d, "no frame");
	if (!got)
		return 0;
	if (frame.skippable)
		return begin_skippable(p, frame.skip_len);
	err = check_frame(&frame, d);
	return err ? err : begin_decoding(p, d);
}

static err_t feed_skippable(struct zstd_pass *p, const uint8_t *from, size_t n, size_t *taken,
			    struct diag *d)
{
	n = min_of(n, (size_t)INPUT_STEP);
	*taken = p->skip_left < n ? (size_t)p->skip_left : n;
	p->skip_left -= *taken;
	if (!p->skip_left)
		p->phase = PHASE_HEADER;
	return take_input(p, from, *taken, d);
}

static err_t step(struct zstd_pass *p, const uint8_t *from, size_t n, size_t *taken, struct diag *d)
{
	switch (p->phase) {
	case PHASE_HEADER:
		return feed_header(p, from, taken, d);
	case PHASE_SKIPPABLE:
		return feed_skippable(p, from, n, taken, d);
	case PHASE_FRAME:
		return feed_frame(p, from, n, taken, d);
	}
	BUG_ON(true);
}

static err_t zstd_feed(void *pass, const uint8_t *from, size_t n, struct diag *d)
{
	struct zstd_pass *p = pass;
	while (n) {
		size_t taken;
		err_t err = step(p, from, n, &taken, d);
		if (err)
			return err;
		from += taken;
		n -= taken;
	}
	return 0;
}

static err_t zstd_finish(void *pass, struct diag *d)
{
	struct zstd_pass *p = pass;
	if (p->phase != PHASE_HEADER || p->header_n)
		return corrupt(p, d, "the blob ends inside a frame");
	return p->len ? emit(p, d) : 0;
}

const struct chunk_pass chunk_zstd_pass = {zstd_create, zstd_feed, zstd_finish, zstd_destroy};
