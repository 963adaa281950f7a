#include "index/file_at.h"

#include "index/path.h"

#define PATH_LEN_MAX 4096

bool file_at(const struct index *tree, struct bytes dir, struct bytes name, uint32_t *row)
{
	const struct index_info *info = index_info(tree);
	auto_buf struct buf path = {.limit = PATH_LEN_MAX};
	return path_join(dir, name, &path) && path.n && path.p[0] == '/' &&
	       index_path(tree, buf_bytes(&path), true, row) == 0 && *row >= info->n_dirs &&
	       *row - info->n_dirs < info->n_regular;
}
