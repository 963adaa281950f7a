/*
 * look - what ls, tree, stat and cat share: finding a path in the merged tree, listing a directory
 * in order, and the members that describe an inode in JSON
 */
#ifndef IMGFS_TOOLS_LOOK_H
#define IMGFS_TOOLS_LOOK_H

#include "tools/cli.h"
#include "tools/json_out.h"

/* look_path - what was typed as an absolute path: "etc/" is "/etc", nothing is "/"; caller frees.
 */
char *look_path(const char *typed);

/* look_up - the row of a path; 0, or an exit status after an error line. */
int look_up(const struct command *self, const struct index *tree, const char *path, bool follow,
	    uint32_t *row);

/* The entries of a directory in bytewise order of their names. */
struct listing {
	struct dir_entry *entries; /* owned; the names are the index's */
	uint32_t n;
};
/* listing_load - @hidden: also names that begin with a dot. -ENOMEM. */
err_t listing_load(const struct index *tree, uint32_t dir, bool hidden,
		   struct listing *out) must_check;
void listing_fini(struct listing *l);

/* look_json_inode - type, mode, owner, size, time, links, and target or device; see
 * tools/JSON.md. */
void look_json_inode(struct json_out *j, const struct index *tree, uint32_t row);

#endif
