/*
 * mountpoint - folders that something is, or will be, mounted on
 *
 * Nothing here touches a file system of ours: a dead mount answers every look with ENOTCONN, and
 * the daemon would wait for itself. What is mounted where is read from /proc/self/mountinfo
 * (proc(5)).
 */
#ifndef IMGFS_FS_MOUNTPOINT_H
#define IMGFS_FS_MOUNTPOINT_H

#include "index/base.h"

#define MOUNT_TYPE "fuse.imgfs" /* the type of our mounts in mountinfo */

/* What is mounted on top at a path. */
struct mounted {
	unsigned dev_major, dev_minor; /* st_dev of what is in it */
	bool is_imgfs;
	unsigned owner; /* of a FUSE mount: the user who mounted it; UINT_MAX: not known */
};

/*
 * mounted_at - the topmost mount at exactly this path
 * @path  canonical, as mountpoint_path gives it
 * Returns 0, -ENOENT when nothing is mounted there, -errno when mountinfo can not be read.
 */
err_t mounted_at(const char *path, struct mounted *out) must_check;

/*
 * mounted_imgfs_each - call `each` for every mount of ours in this mount namespace, whoever made it
 * @path  canonical; valid during the call
 * Nothing is looked at but mountinfo, so a mount that hangs or is dead does no harm. -errno when
 * that can not be read.
 */
err_t mounted_imgfs_each(void (*each)(const char *path, const struct mounted *mounted, void *arg),
			 void *arg) must_check;

/*
 * mountpoint_path - the canonical path of a folder that may be a dead mount; the caller frees
 * Everything but the last component is resolved with realpath; the last is not looked into, except
 * when it is a symlink. Errors: -errno of the resolution (ERR_NOT_FOUND).
 */
err_t mountpoint_path(const char *path, char **out, struct diag *d) must_check;

/*
 * mountpoint_check_alive - -ENOTCONN (ERR_OTHER) for a mount whose daemon is gone, and for what
 * lies in one; 0 for all else, also for what does not exist
 */
err_t mountpoint_check_alive(const char *path, struct diag *d) must_check;

/*
 * mountpoint_check - whether something may be mounted on a folder; gives its canonical path, the
 * caller frees
 * Refused: what does not exist (ERR_NOT_FOUND); a dead mount, a live mount of ours, "/", and a
 * folder with something in it unless `nonempty` (all ERR_OTHER); what is no directory (ERR_USAGE).
 */
err_t mountpoint_check(const char *path, bool nonempty, char **out, struct diag *d) must_check;

/*
 * mountpoint_check_apart - refuse a mount that would hide a directory that the daemon needs, or
 * that would lie in it
 * @path  canonical; @dir exists; @what names it in the message
 */
err_t mountpoint_check_apart(const char *path, const char *dir, const char *what,
			     struct diag *d) must_check;

/*
 * mountpoint_detach - unmount what is on top at a path: with umount2 as root, else through
 * fusermount3
 * @lazy  detach now, even if it is in use; the mount ends with its last user
 * -EBUSY when it is in use, -EPERM (ERR_DENIED), -errno. Blocks while the kernel unmounts.
 */
err_t mountpoint_detach(const char *path, bool lazy, struct diag *d) must_check;

#endif
