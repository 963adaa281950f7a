/*
 * run_root - looking into a container's root file system from outside
 *
 * Paths and symlinks are resolved as the container's processes would: "/" is its root (openat2(2),
 * RESOLVE_IN_ROOT), so that no link of an image leads out of it.
 */
#ifndef IMGFS_TOOLS_RUN_ROOT_H
#define IMGFS_TOOLS_RUN_ROOT_H

#include "tools/run_spec.h"

/*
 * run_root_read - a regular file of at most `limit` bytes, into an empty buffer
 * One that is not there is empty. -E2BIG, -errno.
 */
err_t run_root_read(int root, const char *path, size_t limit, struct buf *out) must_check;

/*
 * run_root_program - whether the command of a spec is a program
 * Looked for as execvp(3) does, with the PATH and the directory of the container.
 * @volumes  the user adds some, which may have it: what is not found is left to the runtime
 * Returns 0; else RUN_STATUS_NOT_FOUND or RUN_STATUS_NO_PROGRAM, with a diagnostic.
 */
int run_root_program(int root, const struct run_spec *spec, bool volumes, struct diag *d);

#endif
