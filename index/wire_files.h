/*
 * wire_files - which content each file of a published layer has
 *
 * A published image index carries no digests of files; the form of each of its layers does, in two
 * parts at its end, the tree and the digests (index/WIRE.md). Both together say for every file
 * where its data begins in the layer's stream, which finds it from the merged tree, and its
 * SHA-256.
 */
#ifndef IMGFS_INDEX_WIRE_FILES_H
#define IMGFS_INDEX_WIRE_FILES_H

#include "index/wire.h"

struct wire_file {
	uint64_t stream_off; /* of its data */
	uint64_t size;	     /* at least 1 */
	uint8_t sha256[SHA256_LEN];
};

/*
 * wire_files_decode - from the last two parts of a form, which stand side by side
 * @h      its head, which vouches for them: both are compared with it
 * @parts  h->tree.len + h->digests.len bytes, from h->tree.off on
 * *out is a new array in ascending order of stream_off (NULL for none), the caller's to free; empty
 * and sparse files are not in it. -EBADMSG (ERR_INTEGRITY) for other bytes, -ENOMEM, -E2BIG. Cost:
 * that of wire_tree_decode.
 */
err_t wire_files_decode(const struct wire_head *h, struct bytes parts, struct wire_file **out,
			size_t *n, struct diag *d) must_check;

/* wire_files_of_index - the same of an open layer index. */
err_t wire_files_of_index(const struct index *layer, struct wire_file **out, size_t *n) must_check;

/* wire_file_at - the file whose data begins at an offset, or NULL. Cost: O(log n). */
const struct wire_file *wire_file_at(const struct wire_file *files, size_t n, uint64_t stream_off);

#endif
