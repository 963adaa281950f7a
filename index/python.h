/*
 * python - where in a tree Python finds its modules
 *
 * CPython 3.6 and later, by the layout of its installations: PREFIX/lib/pythonX.Y with lib-dynload
 * and site-packages (Debian: dist-packages), and the same of a virtual environment. What .pth files
 * add is not looked at, nor archives. For looking ahead: a module that is not found is found by
 * Python itself.
 */
#ifndef IMGFS_INDEX_PYTHON_H
#define IMGFS_INDEX_PYTHON_H

#include "index/index.h"
#include "index/python_imports.h"

#define PYTHON_DIRS_MAX	 32u
#define PYTHON_PARTS_MAX 16u /* of a dotted name */
#define PYTHON_NO_ROW	 UINT32_MAX

struct python {
	unsigned minor;			/* it is 3.minor */
	uint32_t dirs[PYTHON_DIRS_MAX]; /* rows of directories, in the order of search */
	unsigned n_dirs;
	char version[8];     /* "3.11", "3.13t" */
	char compiled[24];   /* what the name of a compiled module ends in */
	char tag[24];	     /* what that of an extension module for this version has in it */
	struct bytes tagged; /* that of an extension module for this version; borrowed from the
				tree; empty: not known */
	struct python_names *names; /* looked for before */
};

/*
 * python_find - the Python that a program is
 * @program  absolute; its name must begin with "python", and the file that it may be a link to must
 *           be called "python", "python3" (then the highest version beside it is meant), or by a
 *           version
 * False: there is none, or its modules are not where they usually are. Cost: a few lookups, and a
 * pass over the names in PREFIX/lib and lib-dynload.
 */
bool python_find(const struct index *tree, struct bytes program, struct python *out);
/* python_of_module - the same, of a path inside of PREFIX/lib/pythonX.Y. */
bool python_of_module(const struct index *tree, struct bytes path, struct python *out);
void python_fini(struct python *py);
/* python_is_one - whether a program's name says that it is a Python. */
bool python_is_one(struct bytes program);
/* python_forget - names that were looked for are looked for again. */
void python_forget(struct python *py);

/* python_search_first - have modules looked for in this directory (absolute) before all others;
 * one that is not there, or does not fit in any more, is left out. */
void python_search_first(const struct index *tree, struct python *py, struct bytes dir);

/* A file that is read because of a name. */
struct python_module {
	uint32_t row; /* compiled, source, or extension module */
	uint32_t dir; /* of its source: names of level 1 in it are looked for there */
};

/*
 * python_resolve - the files that an import reads: of a.b.c those of a, a.b and a.b.c
 * @dir  of the module that imports (struct python_module); of no account for level 0;
 * PYTHON_NO_ROW: it lies nowhere, and only level 0 leads anywhere
 * @out  room for PYTHON_PARTS_MAX
 * Returns how many: each only the first time that the name is looked for. After 24,576 names
 * nothing is found any more. Cost: for a new name some ten lookups in each directory, each of
 * which may follow 40 links.
 */
unsigned python_resolve(const struct index *tree, struct python *py, uint32_t dir,
			const struct python_import *import, struct python_module *out);

#endif
