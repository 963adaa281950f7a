/*
 * reply - the only file that knows which errors the kernel may see
 *
 * The list is short on purpose: an errno of the store or of the network that slips into read(2) is
 * read by programs as a statement about their file. EIO says "could not be read", which is all that
 * is known.
 */
#include "fs/reply.h"

#include "fetch/log.h"

#include <fuse_lowlevel.h>
#include <string.h>

static const int passed_errnos[] = {
	ENOENT,	 /* lookup: no such name */
	ENOTDIR, /* lookup, readdir: the node is no directory */
	EISDIR,	 /* read: the node is a directory */
	EINVAL,	 /* readlink of something else, a negative offset */
	EINTR,	 /* read: the reader was killed or interrupted */
	ENXIO,	 /* lseek: behind the last data */
	ENODATA, /* getxattr: no such attribute */
	ERANGE,	 /* getxattr, listxattr: the caller's buffer is too small */
	ENOSYS,	 /* "do not ask again" */
	ENOMEM,
};

int reply_errno(err_t err)
{
	BUG_ON(err >= 0);
	for (size_t i = 0; i < ARRAY_LEN(passed_errnos); i++)
		if (passed_errnos[i] == -err)
			return -err;
	return EIO;
}

void reply_sent(struct counters *counters, int result)
{
	/* ENOENT: the kernel gave the request up (its caller was killed). ENODEV, ENOTCONN: the
	 * mount is gone. */
	if (result == 0 || result == -ENOENT || result == -ENODEV || result == -ENOTCONN)
		return;
	counters_failed_reply(counters);
	log_warn("fuse.reply", "error=\"%s\"", strerror(-result));
}

void reply_error(struct fuse_req *req, struct counters *counters, err_t err)
{
	reply_sent(counters, fuse_reply_err(req, reply_errno(err)));
}

void reply_once_init(struct reply_once *r, struct fuse_req *req, struct counters *counters)
{
	r->req = req;
	r->counters = counters;
	atomic_init(&r->given, false);
}

static struct fuse_req *reply_once_take(struct reply_once *r)
{
	BUG_ON(atomic_exchange(&r->given, true));
	return r->req;
}

void reply_once_data(struct reply_once *r, const void *p, size_t n)
{
	struct fuse_req *req = reply_once_take(r);

	reply_sent(r->counters, fuse_reply_buf(req, p, n));
}

void reply_once_error(struct reply_once *r, err_t err)
{
	struct fuse_req *req = reply_once_take(r);

	reply_error(req, r->counters, err);
}
