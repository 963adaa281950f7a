/*
 * An index leads from names to rows. For the way back all directories are looked through once for
 * the rows in question; from there a directory knows its parent, and only its own name has to be
 * found among the parent's entries.
 */
#include "index/row_path.h"

#include "index/format.h"

struct place {
	bool found;
	uint32_t dir;
	struct bytes name;
};

static bool find_in(const struct index *ix, uint32_t dir, uint32_t row, struct bytes *name)
{
	uint32_t n = index_dir_count(ix, dir);
	for (uint32_t i = 0; i < n; i++) {
		struct dir_entry e;
		index_dir_entry(ix, dir, i, &e);
		if (e.row == row) {
			*name = e.name;
			return true;
		}
	}
	return false;
}

static void find_all(const struct index *ix, const uint32_t *rows, size_t n, struct place *places)
{
	uint32_t n_dirs = index_info(ix)->n_dirs;
	for (uint32_t dir = 0; dir < n_dirs; dir++) {
		uint32_t entries = index_dir_count(ix, dir);
		for (uint32_t i = 0; i < entries; i++) {
			struct dir_entry e;
			index_dir_entry(ix, dir, i, &e);
			for (size_t k = 0; k < n; k++)
				if (rows[k] == e.row && !places[k].found)
					places[k] = (struct place){true, dir, e.name};
		}
	}
}

/* The names from a directory up to the root, the lowest first; behind that `last`, if it is one. */
static err_t append_path(const struct index *ix, uint32_t dir, struct bytes last, struct buf *path)
{
	struct bytes names[FORMAT_DEPTH_MAX + 1]; /* and a file in the deepest directory */
	size_t depth = 0;
	err_t err = 0;
	if (last.n)
		names[depth++] = last;
	while (dir != 0) {
		struct inode inode;
		index_inode(ix, dir, &inode);
		if (depth == ARRAY_LEN(names) || !find_in(ix, inode.parent, dir, &names[depth]))
			return 0;
		depth++;
		dir = inode.parent;
	}
	while (depth-- && !err) {
		err = buf_append(path, "/", 1);
		if (!err)
			err = buf_append(path, names[depth].p, names[depth].n);
	}
	return err;
}

err_t index_row_paths(const struct index *ix, const uint32_t *rows, size_t n, struct buf *paths)
{
	auto_free struct place *places = try_array(max_of(n, (size_t)1), sizeof(*places), SIZE_MAX);
	err_t err = places ? 0 : -ENOMEM;
	if (!err)
		find_all(ix, rows, n, places);
	for (size_t i = 0; i < n && !err; i++) {
		BUG_ON(rows[i] >= index_info(ix)->n_inodes);
		if (rows[i] == 0)
			err = buf_append(&paths[i], "/", 1);
		else if (places[i].found)
			err = append_path(ix, places[i].dir, places[i].name, &paths[i]);
	}
	return err;
}

err_t index_dir_path(const struct index *ix, uint32_t dir, struct buf *path)
{
	BUG_ON(dir >= index_info(ix)->n_dirs);
	return dir ? append_path(ix, dir, (struct bytes){0}, path) : buf_append(path, "/", 1);
}
