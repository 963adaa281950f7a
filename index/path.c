#include "index/path.h"

bool path_join(struct bytes dir, struct bytes name, struct buf *out)
{
	if (dir.n && (buf_append(out, dir.p, dir.n) || buf_append(out, "/", 1)))
		return false;
	return buf_append(out, name.p, name.n) == 0;
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
