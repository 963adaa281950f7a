/*
 * indexer - one layer's blob, streamed once, gives its index
 */
#ifndef IMGFS_FETCH_INDEXER_H
#define IMGFS_FETCH_INDEXER_H

#include <stdatomic.h>

#include "fetch/progress.h"
#include "fetch/store.h"

struct indexer_job {
	struct store *store;
	struct source *source; /* NULL: only a kept blob may be read */
	const struct layer_desc *layer;
	uint32_t chunk_target;	/* 0: the default */
	bool keep_blob;		/* whether what is streamed from the source is kept in the store */
	atomic_bool *cancelled; /* may be NULL; set by another thread: give up with -ECANCELED */
	struct progress *progress; /* told of the blob's bytes as they pass; NULL: nobody is */
	size_t progress_row;
};

/*
 * indexer_run - build the index of one layer
 * Reads the kept blob if there is one; one that lies is dropped. Otherwise streams the blob from
 * the source; a blob to be kept is published only after its digest and DiffID have matched.
 * @out  the index file's bytes, appended to an empty buffer
 * Errors: those of source_open, source_read and layer_build_*. Blocks as long as the source does.
 */
err_t indexer_run(const struct indexer_job *job, struct buf *out, struct diag *d) must_check;

#endif
