/*
 * container - sections in one file: how they are put together
 */
#ifndef IMGFS_INDEX_CONTAINER_H
#define IMGFS_INDEX_CONTAINER_H

#include "index/format.h"

/* One section to write; raw is borrowed for the call. */
struct section_out {
	enum section_type type;
	bool framed;
	struct bytes raw;
};

/*
 * container_write - append a whole index file to an empty buffer
 * @sections  ascending by type; all but HEADS are written as required ones
 * Cost: framed sections are compressed (zstd level 9, about 40 MB/s); the rest is copied once.
 * -ENOMEM.
 */
err_t container_write(uint32_t kind, const struct section_out *sections, size_t n,
		      struct buf *out) must_check;

/*
 * framed_read - raw bytes [off, off + n) of a framed section, appended to out
 * @stored, @raw_len  of the section, its frame table proved (I10)
 * -EBADMSG when a frame does not decompress to what the table says; -ENOMEM. Cost: whole frames of
 * 64 KiB.
 */
err_t framed_read(struct bytes stored, uint64_t raw_len, uint64_t off, uint64_t n,
		  struct buf *out) must_check;

#endif
