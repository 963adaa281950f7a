/*
 * layer_build - one pass over a layer's blob gives its layer index
 *
 * Blob bytes go in once, in order. Blob digest and DiffID are computed in the same pass and
 * compared at the end: an index whose layer failed either is never returned. No thread, no I/O.
 *
 * Inside are two halves that share nothing: the first hashes and cuts the blob, the second hashes
 * the stream, reads the tar and finds windows. They cost about the same, so a caller that has
 * threads may put a relay between them and run each on its own.
 */
#ifndef IMGFS_INDEX_LAYER_BUILD_H
#define IMGFS_INDEX_LAYER_BUILD_H

#include "index/chunker.h"
#include "index/index.h"

struct layer_build_options {
	uint32_t chunk_target;	  /* 0: CHUNK_TARGET_DEFAULT */
	enum digest_alg blob_alg; /* of the digest that the blob will be compared with; DIGEST_NONE:
				     sha256 */
	enum digest_alg diff_alg; /* of the DiffID; DIGEST_NONE: sha256 */
};

struct layer_build;
/* layer_build_new - options are copied. */
struct layer_build *layer_build_new(const struct layer_build_options *options);

/*
 * layer_build_relay - before the first byte: what the first half says goes to `sink`
 * Whoever stands there passes it on, in order, to layer_build_second with the layer_build as its
 * argument, on any one thread. Without a relay the first half calls the second.
 */
void layer_build_relay(struct layer_build *b, const struct chunker_sink *sink, void *arg);
/* layer_build_second - the second half; it wants neither `inner` nor the data of chunks. */
extern const struct chunker_sink layer_build_second;

/* layer_build_feed - -EBADMSG, -ENOTSUP, -ENOMEM with a diagnostic; see chunker_feed and tar_feed.
 */
err_t layer_build_feed(struct layer_build *b, const uint8_t *p, size_t n,
		       struct diag *d) must_check;

/* layer_build_end - the blob has ended: the first half says its last. Errors as layer_build_feed.
 * Needed with a relay only: layer_build_finish does it otherwise. */
err_t layer_build_end(struct layer_build *b, struct diag *d) must_check;

/*
 * layer_build_finish - the blob has ended, and all that the first half has said has reached the
 * second
 * @blob_digest  what the manifest says; @diff_id what the config says, may be unset (alg
 * DIGEST_NONE: not compared, the computed sha256 is recorded)
 * @out          the bytes of the index file, appended to an empty buffer
 * -EBADMSG names expected and found digest.
 */
err_t layer_build_finish(struct layer_build *b, const struct digest *blob_digest,
			 uint64_t blob_size, const struct digest *diff_id, struct buf *out,
			 struct diag *d) must_check;
void layer_build_free(struct layer_build **b);

/*
 * The same from the stream alone, for a layer whose chunks are known already (by a published index)
 * and were all decoded: what is left to prove is that the stream has the DiffID and gives the tree.
 * layer_build_stream stands for new, layer_build_feed_stream for feed, layer_build_finish_stream
 * for finish.
 */
struct layer_build *layer_build_stream(enum digest_alg diff_alg);
/* layer_build_feed_stream - errors as layer_build_feed. */
err_t layer_build_feed_stream(struct layer_build *b, const uint8_t *p, size_t n,
			      struct diag *d) must_check;
/*
 * layer_build_finish_stream
 * @info    blob digest and size, codec and chunk target to be recorded; its DiffID and stream size
 *          are compared
 * @chunks  the section CHUNKS; @windows the section WINDOWS, raw
 * -EBADMSG names expected and found.
 */
err_t layer_build_finish_stream(struct layer_build *b, const struct index_info *info,
				struct bytes chunks, struct bytes windows, struct buf *out,
				struct diag *d) must_check;

#endif
