/*
 * Names of rows: one pass over the directories notes for each row the first directory entry that
 * names it. A path is then a walk up.
 */
#include "tools/map.h"

#include <string.h>

struct place {
	struct bytes name; /* the tree's */
	uint32_t dir;
};

struct map_names {
	const struct index *tree;
	struct place *places; /* by row; directories and regular files */
	uint32_t n;
};

struct map_names *map_names_new(const struct index *tree)
{
	const struct index_info *info = index_info(tree);
	struct map_names *names = new_of(struct map_names);
	names->tree = tree;
	names->n = info->n_dirs + info->n_regular;
	names->places = try_array(names->n + 1, sizeof(*names->places), UINT32_MAX);
	if (!names->places) {
		free(names);
		return NULL;
	}
	for (uint32_t dir = 0; dir < info->n_dirs; dir++) {
		uint32_t n = index_dir_count(tree, dir);
		for (uint32_t i = 0; i < n; i++) {
			struct dir_entry e;
			index_dir_entry(tree, dir, i, &e);
			if (e.row < names->n && !names->places[e.row].name.n)
				names->places[e.row] = (struct place){e.name, dir};
		}
	}
	return names;
}

void map_names_free(struct map_names **np)
{
	if (!*np)
		return;
	struct map_names *names = take(np);
	free(names->places);
	free(names);
}

/* How many names a path has: directories come in breadth-first order, so each step up is to a lower
 * row. */
static unsigned depth_of(const struct map_names *n, uint32_t row)
{
	unsigned depth = 0;
	for (; row; row = n->places[row].dir)
		depth++;
	return depth;
}

/* The paths of what stands deep would not fit anywhere: the beginning is cut. */
#define DEPTH_MAX 200

err_t map_path_of(const struct map_names *n, uint32_t row, struct buf *path)
{
	uint32_t up[DEPTH_MAX];
	unsigned depth = 0;
	err_t err = 0;
	BUG_ON(row >= n->n);
	for (; row && depth < DEPTH_MAX; row = n->places[row].dir)
		up[depth++] = row;
	if (depth == 0)
		return buf_append(path, "/", 1);
	while (depth-- && !err) {
		struct bytes name = n->places[up[depth]].name;
		err = buf_append(path, "/", 1);
		if (!err)
			err = buf_append(path, name.p, name.n);
	}
	return err;
}

uint32_t map_dir_of(const struct map_names *n, uint32_t row, unsigned depth)
{
	BUG_ON(row >= n->n);
	uint32_t dir = n->places[row].dir;
	for (unsigned at = depth_of(n, dir); at > depth; at--)
		dir = n->places[dir].dir;
	return dir;
}
