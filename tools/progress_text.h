/*
 * progress_text - one line of progress, as wide as the window allows
 */
#ifndef IMGFS_TOOLS_PROGRESS_TEXT_H
#define IMGFS_TOOLS_PROGRESS_TEXT_H

#include "index/base.h"

#define PROGRESS_LINE_MAX 256 /* wider windows are not filled */

struct progress_view {
	const char *label;    /* "layer 3"; ASCII */
	uint64_t done, total; /* bytes */
	double rate;	      /* bytes a second; 0: not known yet */
	size_t label_width;   /* columns that the labels of the block take; 0: no block */
	bool part;	      /* of more: a bar is worth more than rate and time left */
};

/*
 * progress_bar - "layer 3  ######------  12.3/45.6 MiB  1.2 MiB/s  0:28" of at most `width` columns
 * What does not fit is left out, the rate before the time left, which is shorter; of a part the bar
 * goes last, of the whole first. Where not even the amounts fit there is a percentage; no number is
 * ever cut. In a block the columns stand below each other. ASCII only.
 */
const char *progress_bar(const struct progress_view *v, size_t width, char out[PROGRESS_LINE_MAX]);

/* progress_plain - "12.3 of 45.6 MiB, 1.2 MiB/s, 0:28 left": for a log. */
const char *progress_plain(const struct progress_view *v, char out[PROGRESS_LINE_MAX]);

#endif
