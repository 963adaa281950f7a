/*
 * zstd_frame - what the first bytes of a zstd frame say (RFC 8878 section 3.1)
 */
#ifndef IMGFS_INDEX_ZSTD_FRAME_H
#define IMGFS_INDEX_ZSTD_FRAME_H

#include "index/base.h"

#define ZSTD_FRAME_HEADER_MAX                                                                      \
	18u /* magic 4, descriptor 1, window 1, dictionary 4, content size 8 */

struct zstd_frame {
	bool skippable;
	unsigned header_len;	/* with the magic */
	uint32_t skip_len;	/* skippable: bytes behind the header */
	uint32_t dictionary_id; /* 0: none */
	uint64_t window_len;	/* bytes of history that decoding needs */
};

/* zstd_frame_parse - 1, 0 when more bytes are needed, -EBADMSG when b is no frame. Never asks for
 * more than ZSTD_FRAME_HEADER_MAX. */
int zstd_frame_parse(struct bytes b, struct zstd_frame *out) must_check;

#endif
