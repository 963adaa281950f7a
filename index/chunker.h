/*
 * chunker - one pass over a blob: its stream, cut into chunks that decode alone
 *
 * Push-driven: blob bytes go in, stream bytes and finished chunks come out through callbacks, in
 * order. The codec is sniffed from the first bytes (gzip, zstd, plain tar); media types are hints
 * only. No thread, no I/O, no clock. The result depends on the blob and the options alone,
 * not on the sizes of the pieces it is fed in.
 *
 * gzip: blob ranges cover the blob from its first byte to its last; a chunk ends at the first block
 * boundary or member start behind `target` stream bytes, or exactly at CHUNK_STREAM_MAX. Empty
 * blocks and members belong to the chunk before. zstd: blob ranges are whole data frames; skippable
 * and empty frames between two chunks belong to none.
 *
 * Memory: about 2 MiB, for zstd also the frame's window (at most 1 << ZSTD_WINDOW_LOG_MAX), and the
 * rows of one frame that is larger than a chunk.
 */
#ifndef IMGFS_INDEX_CHUNKER_H
#define IMGFS_INDEX_CHUNKER_H

#include "index/window.h"

enum blob_codec {
	BLOB_TAR = 0,
	BLOB_GZIP = 1,
	BLOB_ZSTD = 2,
};
const char *blob_codec_name(enum blob_codec c); /* "tar", "gzip", "zstd" */

#define ZSTD_WINDOW_LOG_MAX 27 /* 128 MiB: what zstd -d itself accepts without --long */
#define STREAM_MAX                                                                                 \
	(UINT64_C(1) << 47) /* bytes of one layer's stream: extents have 48 bits (FORMAT.md) */
/*
 * A bomb is refused: beyond BOMB_FLOOR a stream may be at most BOMB_RATIO times as long as its blob
 * so far (deflate reaches 1032; real zstd layers stay below 100), and no longer than STREAM_SANE in
 * all.
 */
#define BOMB_FLOOR  (UINT64_C(4) << 30)
#define BOMB_RATIO  5000u
#define STREAM_SANE (UINT64_C(512) << 30)
/*
 * Bytes of the blob that one chunk may need (CHUNK_ZSTD_INNER: no limit). Real chunks stay near the
 * size of their stream; empty blocks, members and frames, or zero padding, can stretch them. A
 * reader holds that many bytes in memory.
 */
#define CHUNK_BLOB_MAX (64u << 20)

struct chunker_sink {
	/* The next bytes of the stream, in order. */
	err_t (*stream)(void *arg, const uint8_t *p, size_t n, struct diag *d);
	/*
	 * The next chunk to be handed over is a gzip chunk with history: what window_find needs.
	 * All borrowed for the call. Called once for the chunk, after `stream` for clues->out. It
	 * costs more than it looks, so it is the receiver's to do, wherever it likes.
	 */
	err_t (*window)(void *arg, const struct window_clues *clues, struct diag *d);
	/*
	 * The next chunk, complete but for the window, which the receiver finds and places:
	 * window_off and window_len are left 0. `data` is the chunk's stream bytes; NULL for
	 * CHUNK_ZSTD_INNER, whose bytes have all passed through `inner` before. All borrowed for
	 * the call. Called after `stream` has been called for all of its bytes.
	 */
	err_t (*chunk)(void *arg, const struct chunk *c, const uint8_t *data, struct diag *d);
	/*
	 * Stream bytes of a zstd frame that is too large for a chunk, in order, as they are
	 * decoded; such a frame's chunks are known only at its end and follow then, all at once.
	 * May be NULL when nobody wants the bytes (`stream` gets them as well).
	 */
	err_t (*inner)(void *arg, uint64_t stream_off, const uint8_t *p, size_t n, struct diag *d);
};

struct chunker;

/*
 * chunker_new
 * @target   wanted stream bytes a chunk, CHUNK_TARGET_MIN..CHUNK_STREAM_MAX; 0:
 * CHUNK_TARGET_DEFAULT
 * @sink     copied; a negative result of a callback stops the chunker and is returned unchanged
 */
struct chunker *chunker_new(uint32_t target, const struct chunker_sink *sink, void *arg);

/*
 * chunker_feed - the next bytes of the blob
 * -EBADMSG (ERR_INTEGRITY): corrupt or truncated data, a bomb beyond the limits. -ENOTSUP
 * (ERR_UNSUPPORTED): xz, bzip2, a zstd dictionary, a zstd window above ZSTD_WINDOW_LOG_MAX.
 * -ENOMEM.
 */
err_t chunker_feed(struct chunker *c, const uint8_t *p, size_t n, struct diag *d) must_check;

/* chunker_finish - the blob has ended; emits the last chunk. An empty blob is an empty stream
 * without chunks. */
err_t chunker_finish(struct chunker *c, struct diag *d) must_check;
enum blob_codec chunker_codec(const struct chunker *c);
uint64_t chunker_stream_size(const struct chunker *c);
void chunker_free(struct chunker **c);

#endif
