/*
 * ls - how `imgfs ls` prints entries of one directory: one a line, in columns, long, or as JSON
 */
#ifndef IMGFS_TOOLS_LS_H
#define IMGFS_TOOLS_LS_H

#include "tools/look.h"

struct ls_style {
	bool long_format, human, classify, colours, as_json;
	size_t width; /* of the window, for columns; 0: one name a line */
	void (*put_name)(FILE *out, struct bytes name);
};

/*
 * ls_print - the entries of a directory, in their order
 * @dir   its path; empty for entries whose names are absolute paths
 * @json  an array is open in it; used with as_json only
 * -ENOMEM.
 */
err_t ls_print(const struct ls_style *style, const struct index *tree, struct buf *dir,
	       const struct listing *entries, struct json_out *json) must_check;

#endif
