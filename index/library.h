/*
 * library - where in a tree the dynamic loader finds a library by its name
 *
 * In the search path of who wants it ($ORIGIN resolved), then in the usual directories and those of
 * an architecture's tuple in them. What an image adds in /etc/ld.so.conf.d or LD_LIBRARY_PATH is
 * not looked at, nor whether the library fits the machine: this is for looking ahead, and a
 * library that is not found is found by the loader itself.
 */
#ifndef IMGFS_INDEX_LIBRARY_H
#define IMGFS_INDEX_LIBRARY_H

#include "index/index.h"

#define LIBRARY_DIRS_MAX 16u

/* The directories of a tree in which libraries lie, in the order of search. */
struct library_dirs {
	struct buf paths[LIBRARY_DIRS_MAX];
	size_t n;
};
/* library_dirs_find - of a zeroed object; directories beyond LIBRARY_DIRS_MAX are left out. Cost:
 * a pass over the names in five directories. */
void library_dirs_find(const struct index *tree, struct library_dirs *out);
void library_dirs_fini(struct library_dirs *dirs);

/* Who wants libraries. */
struct library_user {
	uint32_t row;	   /* a regular file */
	struct buf dir;	   /* where it lies; empty: found out when it is needed */
	struct buf search; /* directories with ':' between them, as DT_RUNPATH has them */
};
/* library_user_init - with an empty search path; takes *dir (NULL: not known). */
void library_user_init(struct library_user *user, uint32_t row, struct buf *dir);
void library_user_fini(struct library_user *user);

/*
 * library_find - the row of the regular file that a name leads to
 * @name  a path if it has a slash (only absolute ones are found)
 * @dir   an empty buffer; the directory in which it was found, links not resolved
 * False: there is none, or memory has ended. Of a search path, the first 32 directories count.
 * Cost: a lookup for each directory, each of which follows up to 40 links (at worst a millisecond);
 * for the first $ORIGIN of a user whose directory is not known, a pass over all names of the tree.
 */
bool library_find(const struct index *tree, const struct library_dirs *dirs,
		  struct library_user *user, struct bytes name, uint32_t *row, struct buf *dir);

#endif
