#include "index/node.h"

#include "index/format.h"
#include "index/index_priv.h"
#include "index/path.h"

#include <string.h>

bool node_is_one(struct bytes program)
{
	struct bytes name = path_last(program);
	return bytes_equal_str(name, "node") || bytes_equal_str(name, "nodejs");
}

/* What a path and what it ends in lead to from a directory; links are followed. */
static bool row_at(const struct index *tree, uint32_t dir, struct bytes path, const char *end,
		   uint32_t *row)
{
	auto_buf struct buf whole = {.limit = FORMAT_TARGET_MAX};
	bool from_root = path.n && path.p[0] == '/';
	return buf_append(&whole, path.p, path.n) == 0 &&
	       buf_append(&whole, end, strlen(end)) == 0 &&
	       index_path_from(tree, from_root ? 0 : dir, buf_bytes(&whole), true, row) == 0;
}

static bool is_dir(const struct index *tree, uint32_t row)
{
	return row < index_info(tree)->n_dirs;
}

/* A regular file, and the directory in which it is called so. */
static bool file_in(const struct index *tree, uint32_t dir, struct bytes path, const char *end,
		    struct node_module *out)
{
	uint32_t n_dirs = index_info(tree)->n_dirs;
	struct bytes parent = path_parent(path);
	bool from_root = path.n && path.p[0] == '/';
	*out = (struct node_module){.dir = from_root ? 0 : dir};
	if (!row_at(tree, dir, path, end, &out->row) || out->row < n_dirs ||
	    out->row - n_dirs >= index_info(tree)->n_regular)
		return false;
	return parent.n == 0 ||
	       (row_at(tree, dir, parent, "", &out->dir) && is_dir(tree, out->dir));
}

static bool of_directory(const struct index *tree, uint32_t dir, struct node_module *out)
{
	if (file_in(tree, dir, BYTES_STR("package.json"), "", out)) {
		out->is_package = true;
		return true;
	}
	return file_in(tree, dir, BYTES_STR("index.js"), "", out) ||
	       file_in(tree, dir, BYTES_STR("index.json"), "", out) ||
	       file_in(tree, dir, BYTES_STR("index.node"), "", out);
}

static bool of_path(const struct index *tree, uint32_t dir, struct bytes path,
		    struct node_module *out)
{
	static const char *const ends[] = {"", ".js", ".json", ".node"};
	uint32_t row;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (file_in(tree, dir, path, ends[i], out))
			return true;
	return row_at(tree, dir, path, "", &row) && is_dir(tree, row) &&
	       of_directory(tree, row, out);
}

/* How much of a name is the package's: two parts if it begins with '@'. */
static struct bytes package_of(struct bytes name)
{
	size_t n = 0;
	for (unsigned parts = name.p[0] == '@' ? 2 : 1; n < name.n; n++)
		if (name.p[n] == '/' && --parts == 0)
			break;
	return (struct bytes){name.p, n};
}

static bool of_package(const struct index *tree, uint32_t dir, struct bytes name,
		       struct node_module *out)
{
	struct bytes package = package_of(name);
	struct bytes rest = {name.p + package.n, name.n - package.n};
	while (rest.n && rest.p[0] == '/')
		rest = (struct bytes){rest.p + 1, rest.n - 1};
	for (unsigned level = 0; level < NODE_LEVELS_MAX; level++) {
		uint32_t modules, at;
		struct inode inode;
		if (row_at(tree, dir, BYTES_STR("node_modules"), "", &modules) &&
		    is_dir(tree, modules) && row_at(tree, modules, package, "", &at) &&
		    is_dir(tree, at))
			return rest.n ? of_path(tree, at, rest, out) : of_directory(tree, at, out);
		if (dir == 0)
			return false;
		index_inode(tree, dir, &inode);
		dir = inode.parent;
	}
	return false;
}

bool node_resolve(const struct index *tree, uint32_t dir, struct bytes name,
		  struct node_module *out)
{
	*out = (struct node_module){0};
	if (name.n == 0 || memchr(name.p, 0, name.n) || memchr(name.p, ':', name.n))
		return false;
	return name.p[0] == '.' || name.p[0] == '/' ? of_path(tree, dir, name, out)
						    : of_package(tree, dir, name, out);
}
