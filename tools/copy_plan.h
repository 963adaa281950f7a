/*
 * copy_plan - what is copied out of one image, as a list, before anything is written
 *
 * Parents stand before what is in them. Nothing here touches the file system or the network.
 */
#ifndef IMGFS_TOOLS_COPY_PLAN_H
#define IMGFS_TOOLS_COPY_PLAN_H

#include "index/index.h"
#include "tools/cli.h"

#define COPY_BASE UINT32_MAX /* parent of what lands in the destination itself */

enum copy_follow {
	FOLLOW_NEVER,	 /* -P */
	FOLLOW_OPERANDS, /* symlinks that are named, not those that are found */
	FOLLOW_ALWAYS,	 /* -L */
};

struct copy_entry {
	uint32_t row;	    /* of the image's tree */
	uint32_t parent;    /* entry of the directory that it lands in, or COPY_BASE */
	struct bytes name;  /* there; borrowed from the index or the operand. Empty: the parent
			     * itself, for the contents of a directory */
	const char *source; /* operands: their path in the image; NULL for what was found */
};

struct copy_plan {
	const struct index *tree; /* borrowed */
	enum copy_follow follow;
	struct copy_entry *entries; /* owned */
	size_t n, cap;
};

/*
 * copy_plan_add - one operand
 * @path  absolute path in the image; borrowed until copy_plan_fini
 * @name  what it is called at the destination; NULL: as in the image. With "/" or a path that ends
 *        in "/." or "/..", the contents of the directory land in the destination
 * Returns 0, or an exit status after an error line.
 */
int copy_plan_add(const struct command *self, struct copy_plan *plan, const char *path,
		  const char *name);

/*
 * copy_plan_fill - what is below the operands, in order
 * Returns 0, or an exit status after an error line; what could be found is then listed all the
 * same. Cost: a sort for each directory.
 */
int copy_plan_fill(const struct command *self, struct copy_plan *plan);

/* copy_plan_path - where an entry is in the image, for messages; the caller frees. */
char *copy_plan_path(const struct copy_plan *plan, size_t entry);

/* copy_plan_is_dir - whether an entry is a directory. */
bool copy_plan_is_dir(const struct copy_plan *plan, size_t entry);
/* copy_plan_is_regular - whether an entry is a regular file. */
bool copy_plan_is_regular(const struct copy_plan *plan, size_t entry);

/* copy_plan_fini - what was borrowed stays. */
void copy_plan_fini(struct copy_plan *plan);

#endif
