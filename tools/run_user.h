/*
 * run_user - who a container's process is: "name", "uid", "name:group" and "uid:gid" by the image's
 * own /etc/passwd and /etc/group
 *
 * The rules are those of docker and podman: a number is always an id, and needs no entry; a name
 * needs one. Without a group the process has the user's own and all those that list the user; with
 * one it has that alone.
 */
#ifndef IMGFS_TOOLS_RUN_USER_H
#define IMGFS_TOOLS_RUN_USER_H

#include "index/base.h"

#define RUN_GROUPS_MAX	  256	      /* more are an error; few users are in twenty */
#define RUN_USER_FILE_MAX (1u << 20)  /* bytes of /etc/passwd or /etc/group that are looked at */
#define RUN_ID_MAX	  0x7fffffffu /* ids beyond are not portable, and refused as docker does */

struct run_user {
	uint32_t uid, gid;
	uint32_t groups[RUN_GROUPS_MAX]; /* the additional ones, in the file's order */
	size_t n_groups;
	char *home; /* absolute; "/" when nobody says; owned */
};

/*
 * run_user_resolve - the ids behind a text
 * @text    "" and NULL are the user 0
 * @passwd  the contents of the two files, any bytes; empty where the image has none. Lines that
 *          are malformed are skipped.
 * -ENOENT (ERR_NOT_FOUND) for a name that is in neither, -EINVAL (ERR_USAGE) for an id out of
 * range, -E2BIG for more than RUN_GROUPS_MAX groups. Cost: one pass over each file.
 */
err_t run_user_resolve(const char *text, struct bytes passwd, struct bytes group,
		       struct run_user *out, struct diag *d) must_check;
/* run_user_fini - also for one of zeroes. */
void run_user_fini(struct run_user *user);

#endif
