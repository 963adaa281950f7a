/*
 * tree_build - trees in memory from a list of parts, in any order
 */
#ifndef IMGFS_TESTS_UNIT_TREE_BUILD_H
#define IMGFS_TESTS_UNIT_TREE_BUILD_H

#include "tests/unit/tree_index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#define TREE_PARTS 256u

/* One name. Directories on the way that are no parts are made (0755, 0:0, 1970). */
struct part {
	const char *path; /* "a/b"; "" is the root */
	const char *link; /* the path of the part whose inode this is, too; the rest is unused */
	struct tree_node node;
	struct tar_xattr xattrs[3];
	size_t n_xattrs;
};

struct tree_build {
	struct tree *tree;
	const struct part *parts;
	size_t n;
	uint32_t nodes[TREE_PARTS]; /* by part; TREE_NONE: not made yet */
};

static inline size_t part_find(const struct tree_build *b, const char *path)
{
	for (size_t i = 0; i < b->n; i++)
		if (strcmp(b->parts[i].path, path) == 0)
			return i;
	fail_msg("no part '%s'", path);
	return 0;
}

static inline uint32_t part_node(struct tree_build *b, size_t i)
{
	const struct part *p = &b->parts[i];
	if (p->link)
		return part_node(b, part_find(b, p->link));
	if (b->nodes[i] != TREE_NONE)
		return b->nodes[i];
	struct tree_node node = p->node;
	assert_int_equal(tree_xattrs_add(b->tree, p->xattrs, p->n_xattrs, &node.xattrs), 0);
	if (!p->path[0]) {
		struct tree_node *root = tree_node(b->tree, 0);
		root->mode = node.mode;
		root->flags = node.flags;
		root->uid = node.uid;
		root->gid = node.gid;
		root->mtime = node.mtime;
		root->mtime_ns = node.mtime_ns;
		root->xattrs = node.xattrs;
		return b->nodes[i] = 0;
	}
	assert_int_equal(tree_add_node(b->tree, &node, &b->nodes[i]), 0);
	return b->nodes[i];
}

static inline void part_put(struct tree_build *b, size_t i);

/* The directory that a path lies in; its last component begins at *name. */
static inline uint32_t part_dir(struct tree_build *b, const char *path, const char **name)
{
	uint32_t dir = 0;
	for (const char *at = path, *slash; (slash = strchr(at, '/')); at = slash + 1) {
		struct bytes part = {(const uint8_t *)at, (size_t)(slash - at)};
		if (tree_lookup(b->tree, dir, part) == TREE_NONE) {
			struct tree_node node = {.mode = S_IFDIR | 0755};
			uint32_t made = 0;
			bool known = false;
			for (size_t i = 0; i < b->n && !known; i++)
				if (strlen(b->parts[i].path) == (size_t)(slash - path) &&
				    strncmp(b->parts[i].path, path, (size_t)(slash - path)) == 0) {
					part_put(b, i);
					known = true;
				}
			if (!known) {
				assert_int_equal(tree_add_node(b->tree, &node, &made), 0);
				assert_int_equal(tree_link(b->tree, dir, part, made), 0);
			}
		}
		dir = tree_entry(b->tree, tree_lookup(b->tree, dir, part))->node;
	}
	*name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	return dir;
}

static inline void part_put(struct tree_build *b, size_t i)
{
	const char *name;
	uint32_t node = part_node(b, i);
	if (!b->parts[i].path[0])
		return;
	uint32_t dir = part_dir(b, b->parts[i].path, &name);
	if (tree_lookup(b->tree, dir, BYTES_STR(name)) == TREE_NONE)
		assert_int_equal(tree_link(b->tree, dir, BYTES_STR(name), node), 0);
}

static inline void tree_begin(struct tree_build *b, const struct part *parts, size_t n)
{
	assert_true(n <= TREE_PARTS);
	*b = (struct tree_build){.tree = tree_new(), .parts = parts, .n = n};
	memset(b->nodes, 0xff, sizeof(b->nodes));
}

static inline struct tree *tree_of_parts(const struct part *parts, size_t n)
{
	struct tree_build b;
	tree_begin(&b, parts, n);
	for (size_t i = 0; i < n; i++)
		part_put(&b, i);
	return b.tree;
}

#endif
