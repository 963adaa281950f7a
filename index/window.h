/*
 * window - the sparse history that a gzip checkpoint needs
 *
 * Of the 32 KiB before a checkpoint the data behind it refers to about a tenth. Only those bytes
 * are kept. The encoded form is deterministic; it is compressed for the disk by the container
 * (index/FORMAT.md, WINDOWS), not here.
 */
#ifndef IMGFS_INDEX_WINDOW_H
#define IMGFS_INDEX_WINDOW_H

#include "index/chunk.h"

#define WINDOW_ENCODED_MAX (GZIP_WINDOW * 2 + 1024) /* never longer; limit for readers */

/*
 * window_encode - append the encoded form of a window (and of a block header, for START_INSIDE) to
 * out
 * @window  GZIP_WINDOW bytes, oldest first
 * @used    GZIP_WINDOW flags: 1 where the byte is needed, else 0
 * @header  header_bits bits, low bit first, as they stand in the blob but moved to start at bit 0;
 * NULL if none
 */
err_t window_encode(const uint8_t window[GZIP_WINDOW], const uint8_t used[GZIP_WINDOW],
		    const uint8_t *header, unsigned header_bits, struct buf *out) must_check;

/*
 * What is known around the start of a gzip chunk when its first bytes have been decoded: enough to
 * find out which bytes of the window they copy.
 */
struct window_clues {
	struct chunk row;    /* where and how the chunk starts; the rest of the row is not known */
	struct bytes header; /* START_INSIDE: row.header_bits bits */
	struct bytes head;   /* the blob from row.blob_off on, as much as `out` needs; empty: it was
				not kept, and all of the window counts as used */
	const uint8_t *history; /* GZIP_WINDOW bytes in front of the first code's output */
	struct bytes out; /* the chunk's first bytes: as many as may copy from the window, or all
			     that it has */
};

/*
 * window_find - append the encoded window of a chunk, nothing when it needs none, to out
 * A pure function: any thread. Costs two decodings of clues->out. -ENOMEM
 */
err_t window_find(const struct window_clues *clues, struct buf *out) must_check;

/*
 * window_decode - the reverse; unused bytes are zero. *header points into `encoded`.
 * -EBADMSG unless `encoded` is exactly one window with a header of header_bits bits; never reads
 * outside it.
 */
err_t window_decode(struct bytes encoded, unsigned header_bits, uint8_t window[GZIP_WINDOW],
		    const uint8_t **header) must_check;

#endif
