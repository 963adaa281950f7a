/*
 * decode_priv - how a gzip chunk is resumed, shared by the two inflate engines and by the search
 * for the used bytes of a window
 *
 * Whatever a checkpoint says is turned into one form: some bits of prefix (a replayed block header,
 * a made-up header of a stored block, the bits of a shared byte), then whole bytes of the blob.
 * Neither engine knows the kinds of checkpoints.
 */
#ifndef IMGFS_INDEX_DECODE_PRIV_H
#define IMGFS_INDEX_DECODE_PRIV_H

#include "index/decode.h"

/*
 * A dynamic block's header: 3 + 14 bits, 19 lengths of 3 bits, then 316 code lengths of at most 7
 * bits each (RFC 1951 section 3.2.7; a repeat code never costs more than the lengths it stands
 * for): 2286 bits. CHUNK rows allow 2400.
 */
#define BLOCK_HEADER_BITS_MAX 2400u
#define BLOCK_HEADER_MAX      (BLOCK_HEADER_BITS_MAX / 8)
#define CODE_OUT_MAX	      258u /* longest match: what one code can give */

struct resume {
	uint8_t prefix[BLOCK_HEADER_MAX + 2];
	size_t prefix_len;
	unsigned prefix_skip;  /* 0..7: low bits of prefix[0] that are not part of the data */
	struct bytes rest;     /* what follows the prefix */
	const uint8_t *window; /* GZIP_WINDOW bytes, NULL: empty history */
	uint32_t skip;	       /* output to drop */
};

/*
 * resume_prepare - the one form of a CHUNK_GZIP row
 * @blob    at least the bytes that the wanted output needs, from c->blob_off on; borrowed
 * @window  borrowed; NULL: empty history
 * @header  START_INSIDE: header_bits bits
 * -EBADMSG when the row or the member header contradicts itself.
 */
err_t resume_prepare(const struct chunk *c, struct bytes blob, const uint8_t *window,
		     const uint8_t *header, struct resume *out) must_check;

/*
 * resume_run - exactly n bytes of output behind r->skip; -EBADMSG when the input does not give
 * them, -ENOMEM
 */
err_t resume_run(const struct resume *r, enum inflate_engine engine, uint8_t *out,
		 size_t n) must_check;

err_t resume_zlib(const struct resume *r, uint8_t *out, size_t n) must_check;
err_t resume_isal(const struct resume *r, uint8_t *out, size_t n) must_check;

/* next_member - *rest stands behind the deflate data of a member: step over its trailer and over
 * the header of the next one. -EBADMSG when there is none. */
err_t next_member(struct bytes *rest) must_check;

/* decode_frames - whole zstd frames that give exactly n bytes; -EBADMSG, -ENOMEM. */
err_t decode_frames(struct bytes blob, uint8_t *out, size_t n) must_check;

#endif
