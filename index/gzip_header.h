/*
 * gzip_header - where a gzip member's deflate data begins (RFC 1952 section 2.3)
 */
#ifndef IMGFS_INDEX_GZIP_HEADER_H
#define IMGFS_INDEX_GZIP_HEADER_H

#include "index/base.h"

#define GZIP_HEADER_MAX                                                                            \
	(256u << 10) /* FEXTRA is 64 KiB at the most; FNAME and FCOMMENT are bounded by us */
#define GZIP_TRAILER 8u

/*
 * gzip_header_len - length of the header at the start of b
 * Returns the length, 0 when more bytes are needed, -EBADMSG when this is no gzip header (or longer
 * than GZIP_HEADER_MAX, or its header CRC is wrong).
 */
int64_t gzip_header_len(struct bytes b) must_check;

#endif
