/*
 * lower_rows - where a directory of one layer lies in each of the layers below it
 *
 * Needed for directories that a layer only implies (FORMAT.md, "Merging"). The places of a
 * directory are found from those of its parent, one step in each layer, so that a deep chain costs
 * its length and not its square.
 */
#ifndef IMGFS_INDEX_LOWER_ROWS_H
#define IMGFS_INDEX_LOWER_ROWS_H

#include "index/index.h"

#define LOWER_ROWS_NONE SIZE_MAX
#define LOWER_ROWS_MAX                                                                             \
	(256u << 20) /* bytes: half a million directories over a hundred layers; beyond, -E2BIG */

struct lower_rows {
	const struct index *const *layers; /* bottom first */
	uint32_t n_layers;		   /* how many lie below */
	struct buf rows;		   /* n_layers rows a directory */
};

/* lower_rows_at - the places of a directory by its path, "" for the root. */
err_t lower_rows_at(struct lower_rows *lr, struct bytes path, size_t *at) must_check;

/* lower_rows_below - of a directory by its parent's places and its name. -ENOMEM, -E2BIG. */
err_t lower_rows_below(struct lower_rows *lr, size_t parent, struct bytes name,
		       size_t *at) must_check;

/*
 * lower_rows_nearest - the nearest layer, from the top, that names this directory itself
 * A file or whiteout at the place ends the search. False when there is none.
 */
bool lower_rows_nearest(const struct lower_rows *lr, size_t at, uint32_t *layer, uint32_t *row);

#endif
