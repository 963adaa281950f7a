/*
 * decode - the stream bytes of one chunk, from its blob range and its window alone
 *
 * Pure functions; any thread, any order. The caller has checked the SHA-256 of the blob range
 * before (so hostile bytes do not reach a decoder) and checks the XXH3 of the result afterwards
 * (decode.c offers both).
 */
#ifndef IMGFS_INDEX_DECODE_H
#define IMGFS_INDEX_DECODE_H

#include "index/chunk.h"

enum inflate_engine {
	INFLATE_BEST = 0, /* ISA-L where it was built in, zlib otherwise */
	INFLATE_ZLIB = 1,
	INFLATE_ISAL = 2,
};
/* inflate_engine_available - false for INFLATE_ISAL in a build without it. */
bool inflate_engine_available(enum inflate_engine e);

/*
 * chunk_decode - decode a chunk that stands alone (not CHUNK_ZSTD_INNER)
 * @c       the row; @blob exactly c->blob_len bytes; @window the encoded window, c->window_len
 * bytes
 * @out     c->stream_len bytes
 * Returns 0, -EBADMSG when the bytes do not give stream_len bytes (with ISA-L a range that lacks
 * its last few bytes can give wrong bytes instead: chunk_check_blob before, chunk_check_stream
 * behind), -EINVAL for CHUNK_ZSTD_INNER, -ENOMEM. What the blob holds behind these bytes is not
 * looked at. Cost: about 1 ms for 256 KiB with zlib, half of that with ISA-L. Allocates one inflate
 * state.
 */
err_t chunk_decode(const struct chunk *c, struct bytes blob, struct bytes window,
		   enum inflate_engine engine, uint8_t *out) must_check;

/* chunk_check_blob, chunk_check_stream - 0 or -EBADMSG. SHA-256 over the blob range; XXH3 (and, for
 * CHUNK_ZSTD_INNER, SHA-256) over the stream range. */
err_t chunk_check_blob(const struct chunk *c, struct bytes blob) must_check;
err_t chunk_check_stream(const struct chunk *c, const uint8_t *data) must_check;
/* chunk_check_xxh3 - the first-touch check of a stored chunk: XXH3 alone. */
err_t chunk_check_xxh3(const struct chunk *c, const uint8_t *data) must_check;

/*
 * A frame too large for a chunk is decoded in order: feed the frame's bytes as they arrive; `out`
 * is called with consecutive stream bytes, starting at the frame's first.
 */
struct frame_decoder;
typedef err_t (*frame_out_fn)(void *arg, const uint8_t *p, size_t n);
struct frame_decoder *frame_decoder_new(frame_out_fn out, void *arg);
/* -EBADMSG for corrupt data or data behind the frame's end; a negative result of `out` is passed
 * on. */
err_t frame_decoder_feed(struct frame_decoder *f, const uint8_t *p, size_t n) must_check;
/* frame_decoder_finish - -EBADMSG unless the frame ended exactly here. */
err_t frame_decoder_finish(struct frame_decoder *f) must_check;
void frame_decoder_free(struct frame_decoder **f);

#endif
