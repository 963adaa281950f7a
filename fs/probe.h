/*
 * probe - whether this user can mount here, found out by doing it, for `imgfs doctor`
 */
#ifndef IMGFS_FS_PROBE_H
#define IMGFS_FS_PROBE_H

#include "index/base.h"

/* What the kernel offered. */
struct mount_probe {
	unsigned major, minor; /* version of the FUSE protocol */
};

/*
 * mount_probe - mount an empty file system on a new folder in $TMPDIR or /tmp, and unmount it
 * It is there for a few milliseconds, in which signals wait. Nobody may use the process's standard
 * error meanwhile. Errors as those of `imgfs mount`: -ENODEV without /dev/fuse, -EPERM (ERR_DENIED)
 * with the words of fusermount3.
 */
err_t mount_probe(struct mount_probe *out, struct diag *d) must_check;

#endif
