/*
 * progress - how far long work has come, counted where it is done and shown by somebody else
 *
 * Who starts the work makes the counters and hands them down; who does it adds to them from any
 * thread. Nothing here prints. All functions take NULL, for work that nobody watches.
 */
#ifndef IMGFS_FETCH_PROGRESS_H
#define IMGFS_FETCH_PROGRESS_H

#include "fetch/manifest.h"

#include <stdatomic.h>

enum progress_state {
	PROGRESS_NONE,	  /* nothing is to be done */
	PROGRESS_WAITING, /* expected, not begun */
	PROGRESS_RUNNING,
	PROGRESS_DONE,
};

/* One part of the work: mostly a layer, by its number in the image. */
struct progress_row {
	_Atomic(uint64_t) done, total; /* bytes */
	_Atomic(uint8_t) state;	       /* enum progress_state */
};

struct progress {
	struct progress_row rows[MANIFEST_LAYERS_MAX]; /* zeroes at first */
};

/* progress_expect - a row will be worked at, and has this many bytes. */
void progress_expect(struct progress *p, size_t row, uint64_t total);
/* progress_start - it is begun, from the beginning; one that was not expected gets its total here.
 */
void progress_start(struct progress *p, size_t row, uint64_t total);
/* progress_add - n more bytes are done. Cost: one atomic addition. */
void progress_add(struct progress *p, size_t row, uint64_t n);
/* progress_finish - nothing is left of it; what was not counted is. */
void progress_finish(struct progress *p, size_t row);

#endif
