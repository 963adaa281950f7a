/*
 * reply - how an answer leaves for the kernel: exactly one a request, with an errno it may see
 *
 * A request of libfuse is consumed by its reply, whether the kernel took it or not: never a second
 * one, never a retry. Everything that can not be delivered is counted, except to a reader that is
 * gone.
 */
#ifndef IMGFS_FS_REPLY_H
#define IMGFS_FS_REPLY_H

#include "fs/counters.h"

struct fuse_req; /* libfuse's; its fuse_req_t points at it */

/*
 * reply_errno - what the kernel is told for an error of ours: a positive errno
 * Only errors that an operation on a read-only tree can mean pass; all others are EIO, so that a
 * reader never sees, say, an EACCES of the store.
 */
int reply_errno(err_t err);

/* reply_error - answer with reply_errno(err); err must be negative. */
void reply_error(struct fuse_req *req, struct counters *counters, err_t err);

/* reply_sent - account for the result of a fuse_reply_* call. */
void reply_sent(struct counters *counters, int result);

/*
 * The answer of a request that another thread may give. BUG_ON keeps it from being given twice.
 */
struct reply_once {
	struct fuse_req *req;
	struct counters *counters;
	atomic_bool given;
};

/* reply_once_init - the request is answered through `r` from now on. */
void reply_once_init(struct reply_once *r, struct fuse_req *req, struct counters *counters);

/* reply_once_data - answer with n bytes; they are copied into the kernel before it returns. */
void reply_once_data(struct reply_once *r, const void *p, size_t n);

/* reply_once_error - answer with reply_errno(err). */
void reply_once_error(struct reply_once *r, err_t err);

#endif
