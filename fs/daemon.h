/*
 * daemon - into the background, and back to the shell when the tree can be read
 *
 * The fork comes before the first thread. The child keeps the terminal until it is ready, so that
 * its errors are the command's errors; the parent leaves with the child's exit status, or with 0
 * once it has looked at the mount itself.
 */
#ifndef IMGFS_FS_DAEMON_H
#define IMGFS_FS_DAEMON_H

#include "index/base.h"

struct daemon {
	bool is_child;
	int pid;      /* in the parent: of the child */
	int ready_fd; /* pipe from child to parent */
};

/*
 * daemon_fork - split the process
 * @log_fd  a descriptor that the child keeps beside the standard ones, or -1; it closes all others
 * The child is ended by SIGTERM if its parent ends before daemon_ready.
 */
err_t daemon_fork(struct daemon *out, int log_fd, struct diag *d) must_check;

/*
 * daemon_ready - in the child: leave the terminal, the session and the working directory, and let
 * the parent go
 */
err_t daemon_ready(struct daemon *daemon, struct diag *d) must_check;

/*
 * daemon_await - in the parent: wait for the child to be ready or to end
 * @mountpoint  looked at once the child is ready
 * Returns true with the child's exit status when it ended: it has said why. Returns false with 0
 * when it serves; with -errno when the mount can not be read, after the child was ended.
 */
bool daemon_await(struct daemon *daemon, const char *mountpoint, int *status, err_t *err);

#endif
