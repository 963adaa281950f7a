/*
 * run_tmpfs - directories of a container that lie in memory: --tmpfs, and those that programs
 * expect to write to although --read-only is said
 */
#ifndef IMGFS_TOOLS_RUN_TMPFS_H
#define IMGFS_TOOLS_RUN_TMPFS_H

#include "tools/run_spec.h"

/*
 * run_tmpfs_parse - "DIR" or "DIR:OPTION,OPTION..."
 * Options: ro, rw, exec, noexec, size=BYTES (k, m, g or % may follow), mode=OCTAL. Without others
 * it is empty, for everybody to write, and nosuid,nodev,noexec, as docker has it. (runc
 * 1.1 does not heed mode= where the image has DIR, and keeps that one's.) -EINVAL (ERR_USAGE). *out
 * is to be freed with run_tmpfs_fini, not after an error.
 */
err_t run_tmpfs_parse(const char *text, struct run_tmpfs *out, struct diag *d) must_check;
void run_tmpfs_fini(struct run_tmpfs *tmpfs);

/*
 * run_tmpfs_add - one more for a spec that has all its binds
 * -EINVAL (ERR_USAGE): as run_tmpfs_parse, or something else is to be seen at the same directory.
 */
err_t run_tmpfs_add(struct run_spec *spec, const char *text, struct diag *d) must_check;

/* run_tmpfs_add_usual - /run, /tmp and /var/tmp with what the image has there, as podman has them
 * with --read-only; not where the spec says otherwise. After all others. */
void run_tmpfs_add_usual(struct run_spec *spec);

#endif
