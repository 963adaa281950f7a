/*
 * columns - names in as many columns as a window holds, top to bottom, as ls(1) sets them
 */
#ifndef IMGFS_TOOLS_COLUMNS_H
#define IMGFS_TOOLS_COLUMNS_H

#include "index/base.h"

#define COLUMNS_GAP 2 /* blanks between two columns */

/* n items stand in `rows` rows of `count` columns; item i in row i % rows, column i / rows. */
struct columns {
	size_t count, rows;
	size_t *widths; /* of each column but the last with its gap; owned */
};

/*
 * columns_fit - the largest number of columns that fits
 * @widths  of n items, n >= 1
 * @width   of the window; one column is always there, though wider
 * -ENOMEM. Free with columns_fini. Cost: n times the window's columns of three characters.
 */
err_t columns_fit(const size_t *widths, size_t n, size_t width, struct columns *out) must_check;
void columns_fini(struct columns *c);

#endif
