/*
 * map_svg_priv - what the parts of the picture share: its measures, and text that can not break out
 * of it
 */
#ifndef IMGFS_TOOLS_MAP_SVG_PRIV_H
#define IMGFS_TOOLS_MAP_SVG_PRIV_H

#include "tools/format.h"
#include "tools/map.h"

/* In units of the picture: it scales as a whole. */
#define SVG_WIDTH  960
#define SVG_MARGIN 28
#define SVG_LABELS 196 /* where bars begin */
#define SVG_BARS   532 /* the longest bar */
#define SVG_RIGHT  (SVG_WIDTH - SVG_MARGIN)

/* How high the parts of a layer's row are. */
struct svg_row {
	int needles, bar, read, gap;
	bool two_lines; /* of words */
};

struct svg {
	FILE *out;
	const struct map *map;
	double y; /* where the next part begins */
	struct svg_row row;
};

/*
 * svg_bytes - a name as text of the picture: printable as format_name makes it, and safe in XML, in
 * HTML and in a quoted attribute
 * @max  characters; a longer one loses its middle. 0: no limit.
 */
void svg_bytes(FILE *out, struct bytes name, unsigned max);
/* svg_text - the same for a text that is printable already. */
void svg_text(FILE *out, const char *text, unsigned max);
/* svg_heading - the title of a part, with a remark beside it. */
void svg_heading(struct svg *s, const char *title, const char *remark);
/* svg_who_class - the class of what was fetched for somebody: "who-reader", ... */
const char *svg_who_class(enum trace_who who);
/* svg_style - the rules of the picture, light and dark, without the element around them. */
void svg_style(FILE *out);

/* svg_time - when it was fetched, and who waited. */
void svg_time(struct svg *s);
/* svg_tables - the files and directories that cost most. */
void svg_tables(struct svg *s);

#endif
