/*
 * python_imports - which modules a Python module imports when it is loaded
 *
 * What runs at the import of a module is its code outside of functions. The names in it are known
 * without running anything: from a compiled module (.pyc of CPython 3.6 to 3.14) or from its
 * source. For looking ahead: what stands under a condition counts, except under TYPE_CHECKING,
 * which is false at run time; a module that is imported by a name that is made up is not found,
 * nor, in source, one whose import does not begin its line.
 *
 * Pure functions over bytes that came from an image: nothing in them is trusted, and what does not
 * make sense ends the list.
 */
#ifndef IMGFS_INDEX_PYTHON_IMPORTS_H
#define IMGFS_INDEX_PYTHON_IMPORTS_H

#include "index/base.h"

#define PYTHON_NAME_MAX	  255u	      /* bytes of a dotted name; longer ones are left out */
#define PYTHON_NAMES_SIZE (64u << 10) /* bytes of all names of a module; the rest is left out */

struct python_import {
	unsigned level;	   /* 0: absolute; 1: from the package that the module lies in; 2: above */
	struct bytes name; /* a.b.c; empty: that package itself */
};

/* Names in the order in which they are imported; zero-initialise. */
struct python_imports {
	struct buf records;
};
void python_imports_fini(struct python_imports *list);

/*
 * python_imports_add - one more
 * @of    the module that is imported, dotted
 * @name  what is taken from it, which may be a module or not; empty: nothing
 * A name that is too long, or of a level above 255, is left out. False: the list is full, or memory
 * has ended.
 */
bool python_imports_add(struct python_imports *list, unsigned level, struct bytes of,
			struct bytes name);
/* python_imports_next - the one at *at, which begins with 0; borrowed. False: past the last. */
bool python_imports_next(const struct python_imports *list, size_t *at, struct python_import *out);

/* Whether the first bytes of a file are those of a compiled module; it is one of 3.minor. */
#define PYTHON_CODE_HEAD 16u
bool python_is_code(struct bytes head, unsigned *minor);

/* python_imports_of_code - appends those of a compiled module; of a file that is cut off or not
 * what it says, as many as were found. Cost: a pass over the file, and four bytes of memory for
 * each shared object in it. */
void python_imports_of_code(struct bytes file, struct python_imports *list);

/* python_imports_of_source - the same for a module's text. Cost: a pass over it. */
void python_imports_of_source(struct bytes text, struct python_imports *list);

#endif
