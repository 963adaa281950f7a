/*
 * image_trace - the trace of the last mount of an image that has ended, as the store has it
 */
#ifndef IMGFS_FETCH_IMAGE_TRACE_H
#define IMGFS_FETCH_IMAGE_TRACE_H

#include "fetch/image.h"
#include "index/trace.h"

/* image_trace_put - keep a trace's file in the place of the one before; -errno of the store. */
err_t image_trace_put(struct image *image, struct bytes file) must_check;

/* image_trace_get - the trace that was kept; -ENOENT when there is none that can be read (the log
 * says why), -ENOMEM. */
err_t image_trace_get(struct image *image, struct trace **out) must_check;

#endif
