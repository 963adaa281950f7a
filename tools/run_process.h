/*
 * run_process - programs that are called and waited for
 */
#ifndef IMGFS_TOOLS_RUN_PROCESS_H
#define IMGFS_TOOLS_RUN_PROCESS_H

#include "index/base.h"

/* process_find - the path of a program as a shell finds it ($PATH, or a path); NULL: there is
 * none. The caller frees. */
char *process_find(const char *name);

/*
 * process_run - run a program to its end, with our standard streams
 * Returns its exit status, 128 + the number of the signal that ended it, or -errno.
 */
int process_run(const char *const *words);

/* process_run_quietly - the same without any streams, killed after timeout_ms (-ETIMEDOUT). */
int process_run_quietly(const char *const *words, int timeout_ms);

#endif
