/*
 * run_guard - a second process that cleans up when the first one is killed
 *
 * A container whose file system has lost its daemon can only fail. The guard waits for the end of
 * the process that started it; when that comes without a word, it ends the container and removes
 * what is left (run_dirs_clean).
 */
#ifndef IMGFS_TOOLS_RUN_GUARD_H
#define IMGFS_TOOLS_RUN_GUARD_H

#include "index/base.h"

struct guard {
	int pid; /* 0: none */
	int tell;
};

/*
 * guard_start - before the first thread, in the namespaces of the container
 * @in_user_ns  see struct run_ns
 * Without one (no process, no descriptor) the next run cleans up.
 */
void guard_start(bool in_user_ns, struct guard *out);
/* guard_dismiss - all is clean: let it end, and wait for that. */
void guard_dismiss(struct guard *guard);

#endif
