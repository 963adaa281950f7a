/*
 * run_ns - the namespaces that `imgfs run` works in
 *
 * Everything is mounted in a mount namespace of its own: nobody else sees it, and the kernel takes
 * it away with its last process, whatever became of this command. A plain user gets a user
 * namespace around it, where they may mount: as root with the ids of /etc/subuid and /etc/subgid,
 * through newuidmap(1), or, where there are none, with their own id alone.
 */
#ifndef IMGFS_TOOLS_RUN_NS_H
#define IMGFS_TOOLS_RUN_NS_H

#include "index/base.h"

struct run_ns {
	bool in_user_ns;   /* not the machine's first one */
	bool single_id;	   /* it has the id 0 and no other */
	bool groups_fixed; /* setgroups(2) is denied */
	bool no_tty_group; /* it has no group 5 */
};

/*
 * run_ns_enter - enter them; before the first thread
 * In a user namespace this user's files are root's: what is chosen by the user (the store, the
 * runtime directory) is pinned in the environment first.
 * -EPERM (ERR_DENIED) says what the system does not allow.
 */
err_t run_ns_enter(struct run_ns *out, struct diag *d) must_check;

/*
 * run_ns_range - the first range of ids that a file such as /etc/subuid gives to a user
 * @file   lines of NAME:FIRST:COUNT, where NAME may be the number, too; any bytes
 * Returns false when there is none. Malformed lines are skipped.
 */
bool run_ns_range(struct bytes file, const char *name, uint32_t uid, uint32_t *first,
		  uint32_t *count);

/* run_ns_maps - whether a map such as /proc/self/gid_map has an id (inside). */
bool run_ns_maps(struct bytes map, uint32_t id);

#endif
