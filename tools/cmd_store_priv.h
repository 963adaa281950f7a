/*
 * cmd_store_priv - what the commands of `imgfs store` share
 */
#ifndef IMGFS_TOOLS_CMD_STORE_PRIV_H
#define IMGFS_TOOLS_CMD_STORE_PRIV_H

#include "fetch/catalog.h"
#include "tools/cli.h"

/* store_mounted_at - where an image of the store is mounted by this user, "" when it is not known;
 * the caller frees. */
char *store_mounted_at(const struct store *s, const struct digest *manifest);

/* What was, or would be, removed. */
struct removal {
	struct catalog *catalog;
	bool dry_run;
	uint64_t freed;	  /* bytes */
	size_t n_items;	  /* removed */
	size_t n_skipped; /* in use after all */
	err_t err;	  /* the first */
};

/* removal_item - of one item; errors are noted in the removal. */
void removal_item(struct removal *r, struct catalog_item *item, bool bytes_only);
/* removal_dropped - of all items that are dropped and not needed, names first. */
void removal_dropped(struct removal *r);
/* removal_end - 0, or an exit status after cli_fail for the first error. */
int removal_end(const struct command *self, const struct removal *r);

extern const struct command store_ls_command, store_rm_command, store_gc_command,
	store_verify_command;

#endif
