/*
 * chunk - one row of a layer's chunk table, as a value
 *
 * A chunk is the smallest piece of a layer that is fetched, verified, decoded and stored on its
 * own. It covers [stream_off, stream_off + stream_len) of the uncompressed stream and needs
 * [blob_off, blob_off + blob_len) of the blob, plus, for gzip, the window that lies in the index.
 *
 * Chunks cover the stream without gap or overlap, in order. Their blob ranges are ordered by start
 * and may overlap by a few bytes (a byte shared at a bit boundary; a code that straddles a cut).
 */
#ifndef IMGFS_INDEX_CHUNK_H
#define IMGFS_INDEX_CHUNK_H

#include "index/digest.h"

#define CHUNK_TARGET_DEFAULT                                                                       \
	(256u << 10) /* stream bytes a chunk aims at (index/FORMAT.md, "Chunks") */
#define CHUNK_TARGET_MIN (16u << 10)
#define CHUNK_STREAM_MAX (1u << 20) /* no chunk covers more of the stream */
#define GZIP_WINDOW	 32768u	    /* deflate's history, RFC 1951 section 2 */

enum chunk_codec {
	CHUNK_STORED = 0,     /* the blob range is the stream range: plain tar */
	CHUNK_GZIP = 1,	      /* resumed from a checkpoint */
	CHUNK_ZSTD = 2,	      /* the blob range is one or more whole zstd frames */
	CHUNK_ZSTD_INNER = 3, /* part of one frame that is larger than CHUNK_STREAM_MAX: the blob
				 range is the whole frame, the same for all chunks of it; decoded in
				 order from the frame's start */
};

/* How decoding of a CHUNK_GZIP starts. */
enum chunk_start {
	START_MEMBER = 0, /* a gzip member's header lies at blob_off; empty history (also: the start
			     of the blob) */
	START_BLOCK =
		1, /* a deflate block header lies at bit `bit` of blob_off; history = window */
	START_INSIDE = 2, /* inside a Huffman block: first `header_bits` bits from the index, then
			     the code at bit `bit` of blob_off; the first `skip` bytes of output
			     belong to the chunk before */
	START_STORED = 3, /* inside a stored block: `stored_left` raw bytes from blob_off, then a
			     block header */
};

struct chunk {
	uint64_t stream_off;
	uint64_t blob_off;
	uint64_t blob_len;
	uint32_t stream_len; /* 1..CHUNK_STREAM_MAX */
	uint8_t codec;	     /* enum chunk_codec */
	uint8_t start;	     /* enum chunk_start; 0 unless CHUNK_GZIP */
	uint8_t bit; /* 0..7: bits of the first blob byte that belong to what lies before (low bits
			first) */
	uint8_t final_block; /* START_STORED, START_INSIDE: 1 when the block is the member's last */
	uint16_t skip;	     /* START_INSIDE: 0..257 */
	uint16_t header_bits; /* START_INSIDE: length of the embedded block header, 3..2400, BFINAL
				 and BTYPE included */
	uint32_t stored_left; /* START_STORED: 1..65535 */
	uint64_t window_off;  /* where the encoded window (see window.h) lies in the WINDOWS section
			       */
	uint32_t window_len;  /* 0: empty history */
	/* SHA-256 over the blob range; for CHUNK_ZSTD_INNER over the stream range. Checked before
	 * decoding (after it for CHUNK_ZSTD_INNER). Decides identity and trust. */
	uint8_t sha256[SHA256_LEN];
	/* XXH3-64 (seed 0) over the stream range. Finds bit rot and bugs, decides nothing. */
	uint64_t xxh3;
};

#endif
