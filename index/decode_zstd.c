/*
 * zstd frames: several small ones into a chunk's buffer, or one large one piece by piece in order.
 */
#include "index/decode_priv.h"

#include <zstd.h>
#include <zstd_errors.h>

#include "index/chunker.h"

static err_t new_context(ZSTD_DCtx **out)
{
	*out = ZSTD_createDCtx();
	if (!*out)
		return -ENOMEM;
	return ZSTD_isError(ZSTD_DCtx_setParameter(*out, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX))
		       ? -EBADMSG
		       : 0;
}

err_t decode_frames(struct bytes blob, uint8_t *out, size_t n)
{
	ZSTD_DCtx *ctx = ZSTD_createDCtx();
	if (!ctx)
		return -ENOMEM;
	/* All frames of the range, skippable ones included, in one call; too much output is an
	 * error. */
	size_t got = ZSTD_decompressDCtx(ctx, out, n, blob.p, blob.n);
	ZSTD_freeDCtx(ctx);
	return ZSTD_isError(got) || got != n ? -EBADMSG : 0;
}

struct frame_decoder {
	ZSTD_DCtx *ctx;
	frame_out_fn out;
	void *arg;
	uint8_t *piece;
	size_t piece_len;
	bool ended;
	err_t failed;
};

struct frame_decoder *frame_decoder_new(frame_out_fn out, void *arg)
{
	struct frame_decoder *f = new_of(struct frame_decoder);
	f->out = out;
	f->arg = arg;
	f->piece_len = ZSTD_DStreamOutSize();
	f->piece = xcalloc(1, f->piece_len);
	f->failed = new_context(&f->ctx);
	return f;
}

static err_t decode_piece(struct frame_decoder *f, ZSTD_inBuffer *in, bool *more)
{
	ZSTD_outBuffer out = {f->piece, f->piece_len, 0};
	size_t before = in->pos;
	size_t ret = ZSTD_decompressStream(f->ctx, &out, in);
	if (ZSTD_isError(ret))
		return ZSTD_getErrorCode(ret) == ZSTD_error_memory_allocation ? -ENOMEM : -EBADMSG;
	f->ended = ret == 0;
	*more = !f->ended && (out.pos == out.size || (in->pos < in->size && in->pos > before));
	return out.pos ? f->out(f->arg, f->piece, out.pos) : 0;
}

static err_t feed(struct frame_decoder *f, const uint8_t *p, size_t n)
{
	ZSTD_inBuffer in = {p, n, 0};
	bool more = n > 0;
	while (more) {
		if (f->ended)
			return -EBADMSG;
		err_t err = decode_piece(f, &in, &more);
		if (err)
			return err;
	}
	return in.pos < n ? -EBADMSG : 0;
}

err_t frame_decoder_feed(struct frame_decoder *f, const uint8_t *p, size_t n)
{
	if (!f->failed)
		f->failed = feed(f, p, n);
	return f->failed;
}

err_t frame_decoder_finish(struct frame_decoder *f)
{
	if (!f->failed && !f->ended)
		f->failed = -EBADMSG;
	return f->failed;
}

void frame_decoder_free(struct frame_decoder **f)
{
	if (!*f)
		return;
	ZSTD_freeDCtx((*f)->ctx);
	free((*f)->piece);
	free(*f);
	*f = NULL;
}
