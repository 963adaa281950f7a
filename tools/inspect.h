/*
 * inspect - the two forms of `imgfs inspect`, and what they both have to work out
 */
#ifndef IMGFS_TOOLS_INSPECT_H
#define IMGFS_TOOLS_INSPECT_H

#include "fetch/image.h"

/* The layers as a whole. A blob that is listed twice counts once in what is unlike `size`. */
struct inspect_totals {
	uint64_t size;	       /* sum of the layers' sizes, compressed */
	uint64_t blobs_size;   /* what a machine that has nothing would fetch */
	uint64_t chunks_bytes; /* of decoded chunks in the store, on disk */
	size_t blobs_kept;     /* layers whose blob is in the store */
	size_t n_blobs;
};
void inspect_totals(struct image *image, struct inspect_totals *out);

/* inspect_compression - "gzip", "zstd" or "tar", as the media type says. */
const char *inspect_compression(const char *media_type);

/* inspect_json - the document of tools/JSON.md on standard output. */
void inspect_json(struct image *image, const char *reference);

#endif
