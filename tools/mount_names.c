/*
 * A record says where its mount's tree lies. Whoever looks at the mount maps that file, too, and
 * finds the names of the few rows in question by itself: the daemon need not know any.
 */
#include "tools/mount_view.h"

#include "index/row_path.h"

#define ROWS_MAX (BOARD_WAITING_MAX + BOARD_SLOW_MAX)

static void row_add(uint32_t *rows, size_t *n, uint32_t row, uint32_t limit)
{
	for (size_t i = 0; i < *n; i++)
		if (rows[i] == row)
			return;
	if (row < limit)
		rows[(*n)++] = row;
}

static size_t rows_of(const struct board_view *board, uint32_t limit, uint32_t rows[ROWS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < board->n_waiting_shown; i++)
		row_add(rows, &n, board->waiting[i].row, limit);
	for (size_t i = 0; i < board->n_slow; i++)
		row_add(rows, &n, board->slow[i].row, limit);
	return n;
}

static void find_names(const struct index *tree, const struct board_view *board,
		       struct mount_names *out)
{
	uint32_t rows[ROWS_MAX];
	struct buf paths[ROWS_MAX] = {0};
	size_t n = rows_of(board, index_info(tree)->n_inodes, rows);
	err_t err = index_row_paths(tree, rows, n, paths);

	out->names = xcalloc(n + 1, sizeof(*out->names));
	for (size_t i = 0; i < n; i++)
		out->names[i] = (struct mount_name){rows[i], paths[i]};
	out->n = n;
	if (err)
		mount_names_fini(out);
}

void mount_names_load(const struct mount_row *row, struct mount_names *out)
{
	struct index *tree = NULL;

	*out = (struct mount_names){0};
	if ((!row->board.n_waiting_shown && !row->board.n_slow) || !row->tree[0] ||
	    index_open(row->tree, &tree, NULL))
		return;
	if (index_info(tree)->kind == INDEX_IMAGE)
		find_names(tree, &row->board, out);
	index_close(&tree);
}

void mount_names_fini(struct mount_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		buf_fini(&names->names[i].path);
	free(names->names);
	*names = (struct mount_names){0};
}

struct bytes mount_name(const struct mount_names *names, uint32_t row)
{
	for (size_t i = 0; i < names->n; i++)
		if (names->names[i].row == row)
			return buf_bytes(&names->names[i].path);
	return (struct bytes){NULL, 0};
}
