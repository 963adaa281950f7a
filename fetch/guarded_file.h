/*
 * guarded_file - files that decide what is believed: trust files, the keys that they name, and
 * imgfs.conf
 */
#ifndef IMGFS_FETCH_GUARDED_FILE_H
#define IMGFS_FETCH_GUARDED_FILE_H

#include "index/base.h"

/*
 * guarded_file_read - a whole file that only root and we could have written, appended to an empty
 * buffer
 * Nothing is waited for: a FIFO in its place is refused. @d is filled, unless there is no such file
 * (-ENOENT, -ENOTDIR). ERR_USAGE: no regular file (-EINVAL), longer than `limit` bytes (-E2BIG);
 * ERR_DENIED: others could have written it (-EPERM), or we can not read it (-EACCES).
 */
err_t guarded_file_read(const char *path, size_t limit, struct buf *out, struct diag *d) must_check;

#endif
