/*
 * mount_dead - mounts of this user that no daemon serves any more
 */
#ifndef IMGFS_TOOLS_MOUNT_DEAD_H
#define IMGFS_TOOLS_MOUNT_DEAD_H

#include "tools/cli.h"

/*
 * mount_missing - why a path has no live mount of this user
 * @path       canonical, as mountpoint_path gives it; @directory as it was typed
 * Always an error, ERR_NOT_FOUND: that its daemon is gone (-ENOTCONN), or that nothing of this
 * user's is there (-ENOENT). May sleep for a moment, for a mount that is just being made.
 */
err_t mount_missing(const char *path, const char *directory, struct diag *d) must_check;

/* mount_warn_dead - a line on standard error for each mount of this user whose daemon is gone, by
 * path. The same sleep where there are any. */
void mount_warn_dead(const struct command *self);

#endif
