/*
 * metrics - a mount's record in the text format of Prometheus, version 0.0.4
 *
 * Every sample carries the mount point, so that the files and pages of several mounts can stand
 * side by side. Names, once given, stay.
 */
#ifndef IMGFS_FS_METRICS_H
#define IMGFS_FS_METRICS_H

#include "fs/mounts.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* metrics_text - appended to a buffer; -ENOMEM. Cost: some 10 KiB of text. */
err_t metrics_text(const struct mount_row *row, struct buf *out) must_check;

#endif
