/*
 * run_caps - sets of capabilities as bits, by the names of capabilities(7)
 */
#ifndef IMGFS_TOOLS_RUN_CAPS_H
#define IMGFS_TOOLS_RUN_CAPS_H

#include "index/base.h"

#define RUN_CAPS_ALL ((UINT64_C(1) << 41) - 1) /* up to CAP_CHECKPOINT_RESTORE (Linux 5.9) */

/* run_caps_default - those of a container that asks for nothing: podman's list. */
uint64_t run_caps_default(void);
/* run_caps_here - all that this process could give away: a container may be missing some itself. */
uint64_t run_caps_here(void);
/* run_caps_parse - "NET_RAW", "cap_net_raw" or "ALL" as bits; -EINVAL (ERR_USAGE). */
err_t run_caps_parse(const char *text, uint64_t *out, struct diag *d) must_check;
/* run_caps_name - "CAP_CHOWN" of bit 0, and so on; NULL past the last. */
const char *run_caps_name(unsigned bit);
/* run_caps_bit - the set of the one that is named; it must exist. */
uint64_t run_caps_bit(const char *name);

#endif
