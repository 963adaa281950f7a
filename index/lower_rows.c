/*
 * One row a layer for each directory that was asked for, in one growing array. A place that is no
 * directory is kept as well: it ends the search, and nothing lies below it.
 */
#include "index/lower_rows.h"

#include "index/index_priv.h"

#define NO_ROW UINT32_MAX

static uint32_t row_at(const struct lower_rows *lr, size_t at, uint32_t layer)
{
	uint32_t row;
	memcpy(&row, lr->rows.p + at + layer * sizeof(row), sizeof(row));
	return row;
}

/* Follow `path` from a row of each layer. */
static err_t rows_add(struct lower_rows *lr, size_t parent, struct bytes path, size_t *at)
{
	size_t start = lr->rows.n;
	lr->rows.limit = LOWER_ROWS_MAX;
	for (uint32_t i = 0; i < lr->n_layers; i++) {
		uint32_t from = parent == LOWER_ROWS_NONE ? 0 : row_at(lr, parent, i), row = NO_ROW;
		err_t err = from == NO_ROW ? -ENOENT
					   : index_path_from(lr->layers[i], from, path, true, &row);
		if (err == -ENOMEM)
			return err;
		if (err)
			row = NO_ROW;
		err = buf_append(&lr->rows, &row, sizeof(row));
		if (err)
			return err;
	}
	*at = start;
	return 0;
}

err_t lower_rows_at(struct lower_rows *lr, struct bytes path, size_t *at)
{
	return rows_add(lr, LOWER_ROWS_NONE, path, at);
}

err_t lower_rows_below(struct lower_rows *lr, size_t parent, struct bytes name, size_t *at)
{
	return rows_add(lr, parent, name, at);
}

bool lower_rows_nearest(const struct lower_rows *lr, size_t at, uint32_t *layer, uint32_t *row)
{
	for (uint32_t i = lr->n_layers; i-- > 0;) {
		uint32_t found = row_at(lr, at, i);
		if (found == NO_ROW)
			continue;
		if (!row_is_dir(lr->layers[i], found))
			return false;
		if (get_le16(lr->layers[i]->inodes[found].flags) & INODE_IMPLIED)
			continue; /* it took its own attributes from further below */
		*layer = i;
		*row = found;
		return true;
	}
	return false;
}
