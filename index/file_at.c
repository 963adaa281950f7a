#include "index/file_at.h"

#define PATH_LEN_MAX 4096

bool path_join(struct bytes dir, struct bytes name, struct buf *out)
{
	if (dir.n && (buf_append(out, dir.p, dir.n) || buf_append(out, "/", 1)))
		return false;
	return buf_append(out, name.p, name.n) == 0;
}

bool file_at(const struct index *tree, struct bytes dir, struct bytes name, uint32_t *row)
{
	const struct index_info *info = index_info(tree);
	auto_buf struct buf path = {.limit = PATH_LEN_MAX};
	return path_join(dir, name, &path) && path.n && path.p[0] == '/' &&
	       index_path(tree, buf_bytes(&path), true, row) == 0 && *row >= info->n_dirs &&
	       *row - info->n_dirs < info->n_regular;
}

struct bytes path_last(struct bytes path)
{
	size_t n = path.n;
	while (n && path.p[n - 1] != '/')
		n--;
	return (struct bytes){path.p + n, path.n - n};
}

struct bytes path_parent(struct bytes path)
{
	path.n -= path_last(path).n;
	while (path.n && path.p[path.n - 1] == '/')
		path.n--;
	return path;
}
