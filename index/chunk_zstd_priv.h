/*
 * chunk_zstd_priv - the rows of one zstd frame that is larger than a chunk
 */
#ifndef IMGFS_INDEX_CHUNK_ZSTD_PRIV_H
#define IMGFS_INDEX_CHUNK_ZSTD_PRIV_H

#include "index/chunker_priv.h"

struct inner;
/* inner_new - the frame's output begins at stream_off. */
struct inner *inner_new(struct chunker *c, uint64_t stream_off);
/* inner_put - the next bytes of the frame; handed on to the sink's `inner`. -ENOMEM, or what the
 * sink says. */
err_t inner_put(struct inner *i, const uint8_t *p, size_t n, struct diag *d) must_check;
/* inner_len - stream bytes so far. */
uint64_t inner_len(const struct inner *i);
/* inner_end - the frame lies at [blob_off, blob_off + blob_len): all rows go to the sink. */
err_t inner_end(struct inner *i, uint64_t blob_off, uint64_t blob_len, struct diag *d) must_check;
void inner_free(struct inner **i);

#endif
