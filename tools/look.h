/*
 * look - what ls, tree, find, stat and cat share: finding paths in the merged tree, listing a
 * directory in order, and the members that describe an inode in JSON
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

/* Absolute paths of an image; zero-initialise, free with path_list_fini. */
struct path_list {
	char **paths; /* ended by NULL once there is one; owned */
	size_t n, cap;
};
void path_list_fini(struct path_list *l);
/* path_list_add - append a copy of a path. -ENOMEM. */
err_t path_list_add(struct path_list *l, const char *path) must_check;

/*
 * look_paths - what was typed, as absolute paths; patterns are replaced by what they match
 * @typed  ended by NULL; none at all is "/"
 * A path that is in the image as it was typed is taken so; others that hold *, ? or [ are patterns,
 * as a shell knows them: * matches no slash and no leading dot, ** any number of directories, and
 * symlinks to directories are followed but by **. A path that is no pattern is not looked up here.
 * A slash at the end stays, and means directories: see look_up_listed.
 * Returns 0, or the exit status of the first pattern that matches nothing, after an error line.
 */
int look_paths(const struct command *self, const struct index *tree, char **typed,
	       struct path_list *out);

/* look_glob - the paths that an absolute pattern matches, in bytewise order, appended. -ENOMEM. */
err_t look_glob(const struct index *tree, const char *pattern, struct path_list *out) must_check;

/* path_push - append "/name" to a path, "/" being the root; *before is its length until then. A
 * name that is added to an empty path stands alone. */
err_t path_push(struct buf *path, struct bytes name, size_t *before) must_check;

/*
 * look_up_listed - look_up for a path of look_paths
 * One with a slash at its end is a directory, symlinks followed; the slash is taken away.
 */
int look_up_listed(const struct command *self, const struct index *tree, char *path, bool follow,
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

enum listing_order { ORDER_NAME, ORDER_SIZE, ORDER_TIME };
/* listing_sort - by name, or the largest or newest first, names deciding between equals. */
void listing_sort(const struct index *tree, struct listing *l, enum listing_order order,
		  bool reverse);

/* look_json_inode - type, mode, owner, size, time, links, and target or device; see
 * tools/JSON.md. */
void look_json_inode(struct json_out *j, const struct index *tree, uint32_t row);
/* look_json_entry - an object of a path, a name, and the members of an inode: a row of ls, find. */
void look_json_entry(struct json_out *j, const struct index *tree, uint32_t row, struct bytes path,
		     struct bytes name);

#endif
