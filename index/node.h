/*
 * node - where in a tree Node.js finds its modules
 *
 * By the rules of CommonJS: a name that begins with '.' or '/' is a path, with or without its
 * ending; any other is a package, looked for in the node_modules of all directories above. What a
 * package exports under other names ("exports" in package.json) is not looked at. For looking
 * ahead: a module that is not found is found by Node itself.
 */
#ifndef IMGFS_INDEX_NODE_H
#define IMGFS_INDEX_NODE_H

#include "index/index.h"

/* node_is_one - whether a program's name says that it is Node.js. */
bool node_is_one(struct bytes program);

#define NODE_LEVELS_MAX 64u /* directories above, in which a package is looked for */

/* A file that is read because of a name. */
struct node_module {
	uint32_t row;
	uint32_t dir;	 /* where it lies: names in it are looked for there */
	bool is_package; /* a package.json: what it says is the module is read next */
};

/*
 * node_resolve - the file that a name leads to
 * @dir   a directory's row: of the module that names it
 * @out   of a directory or package it is its package.json, if it has one
 * False: there is none; names of what is part of Node.js lead nowhere, too. Cost: some ten lookups,
 * for a package one more for each directory above; each may follow 40 links.
 */
bool node_resolve(const struct index *tree, uint32_t dir, struct bytes name,
		  struct node_module *out);

#endif
