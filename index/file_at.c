#include "index/file_at.h"

#define PATH_LEN_MAX 4096

bool file_at(const struct index *tree, struct bytes dir, struct bytes name, uint32_t *row)
{
	const struct index_info *info = index_info(tree);
	auto_buf struct buf path = {.limit = PATH_LEN_MAX};
	if (dir.n && (buf_append(&path, dir.p, dir.n) || buf_append(&path, "/", 1)))
		return false;
	return buf_append(&path, name.p, name.n) == 0 && path.n && path.p[0] == '/' &&
	       index_path(tree, buf_bytes(&path), true, row) == 0 && *row >= info->n_dirs &&
	       *row - info->n_dirs < info->n_regular;
}
