/*
 * js_imports - which modules a JavaScript module imports when it is loaded
 *
 * No grammar: what counts are require("..."), import "...", import ... from "..." and
 * export ... from "..." in lines that are not indented, since what stands deeper is mostly run
 * later, or never. For looking ahead: a name that is made up is not found, one in a comment may be.
 */
#ifndef IMGFS_INDEX_JS_IMPORTS_H
#define IMGFS_INDEX_JS_IMPORTS_H

#include "index/base.h"

#define JS_NAME_MAX 255u /* bytes of a name; longer ones are left out */

/* Names in their order; zero-initialise. */
struct js_imports {
	struct buf records;
};
void js_imports_fini(struct js_imports *list);

/* js_imports_add - one more, as it stands between the quotes; false: it does not fit (64 KiB are
 * the most of a list), or memory has ended. */
bool js_imports_add(struct js_imports *list, struct bytes name);
/* js_imports_next - the one at *at, which begins with 0; borrowed. False: past the last. */
bool js_imports_next(const struct js_imports *list, size_t *at, struct bytes *name);

/* js_imports_of - appends those of a module's text. Cost: a few passes over it. */
void js_imports_of(struct bytes text, struct js_imports *list);

#endif
