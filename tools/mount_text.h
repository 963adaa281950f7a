/*
 * mount_text - names and sentences cut to a width, and the few styles of the views of mounts
 */
#ifndef IMGFS_TOOLS_MOUNT_TEXT_H
#define IMGFS_TOOLS_MOUNT_TEXT_H

#include "tools/mount_view.h"

#define MOUNT_TEXT_LONG_MS 1000 /* a read that has waited longer is shown as trouble */

enum mount_text_style {
	MOUNT_TEXT_PLAIN,
	MOUNT_TEXT_HEAD,
	MOUNT_TEXT_CHOSEN,
	MOUNT_TEXT_BAD,
	MOUNT_TEXT_GOOD,
};

/* mount_text_begin, mount_text_end - a style, where colours are shown. */
void mount_text_begin(const struct mount_view *v, enum mount_text_style style);
void mount_text_end(const struct mount_view *v, enum mount_text_style style);

/* mount_text_tail - a name, of which the end says most; @width 0: all of it. @fill: blanks up to
 * the width. mount_text_start - the same for a sentence, which is cut at its end. Both write names
 * as format_name does. */
void mount_text_tail(const struct mount_view *v, struct bytes name, size_t width, bool fill);
void mount_text_start(const struct mount_view *v, struct bytes text, size_t width);

#endif
