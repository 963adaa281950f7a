/*
 * content_prefetch - bring parts of an image into the store, and wait for them
 *
 * Unlike a fill, which nobody waits for, it goes at full speed, layer by layer in the order of the
 * blob, and ends with an error when something can not be had or kept. What is there already is not
 * fetched again, so it goes on where an earlier one stopped. One thread at a time.
 */
#ifndef IMGFS_FETCH_CONTENT_PREFETCH_H
#define IMGFS_FETCH_CONTENT_PREFETCH_H

#include "fetch/content.h"
#include "fetch/progress.h"

struct prefetch;

/* prefetch_new - nothing is wanted yet; the content is borrowed. */
struct prefetch *prefetch_new(struct content *c);
void prefetch_free(struct prefetch **p);

/* prefetch_add_all - every layer, whole. */
void prefetch_add_all(struct prefetch *p);
/* prefetch_add - bytes [off, off + len) of a regular file of the tree. -ENOMEM. */
err_t prefetch_add(struct prefetch *p, uint32_t row, uint64_t off, uint64_t len) must_check;

/*
 * prefetch_run - fetch what was added and is not in the store
 * @progress  told of the bytes of each layer, by the layer's number; may be NULL
 * Errors: of content_read; ERR_STORE (-ENOSPC) when the store does not keep what came; -ENOENT
 * (ERR_NOT_FOUND) when something is missing and the image is offline. What came before is kept.
 * Layers whose blob is kept need nothing.
 */
err_t prefetch_run(struct prefetch *p, struct progress *progress, struct diag *d) must_check;

#endif
