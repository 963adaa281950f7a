/*
 * text - characters rather than bytes: patterns of names, and columns on a terminal
 *
 * Names are taken as UTF-8 whatever the user's locale is; one that is not is matched byte by byte.
 */
#ifndef IMGFS_TOOLS_TEXT_H
#define IMGFS_TOOLS_TEXT_H

#include "index/base.h"

/*
 * text_matches - whether the whole name matches a shell pattern: *, ?, [...], and \ before what is
 * meant as it is
 * @flags  of fnmatch(3): FNM_CASEFOLD, FNM_PERIOD; without FNM_PATHNAME, * matches a slash
 * Cost: one allocation; the pattern is the user's own, its worst case too.
 */
bool text_matches(const char *pattern, struct bytes name, int flags);

/* text_is_pattern - whether it holds a character that means something in a pattern. */
bool text_is_pattern(const char *text);

/* text_width - columns of a terminal that format_name takes for a name. */
size_t text_width(struct bytes name);

#endif
