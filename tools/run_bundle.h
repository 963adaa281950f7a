/*
 * run_bundle - the files of an OCI bundle: config.json, and what is shown in /etc
 */
#ifndef IMGFS_TOOLS_RUN_BUNDLE_H
#define IMGFS_TOOLS_RUN_BUNDLE_H

#include "tools/run_spec.h"

/*
 * run_bundle_etc - hosts, hostname and resolv.conf of the container, in `dir`, and their binds
 * Copies of this machine's, so that the container may write them. To be called before the user's
 * volumes are added, which may lie on top. Nothing is shown of what this machine does not have.
 */
err_t run_bundle_etc(const char *dir, struct run_spec *spec, struct diag *d) must_check;

/* run_bundle_write - config.json in `dir`, after run_spec_check. */
err_t run_bundle_write(const char *dir, const struct run_spec *spec, struct diag *d) must_check;

#endif
