/*
 * terminal - whether somebody looks, how wide the window is, and colours
 *
 * Text for people differs on a terminal: names are made safe, colours are used, columns fit the
 * width, progress moves. A pipe or a file gets plain lines that a script can rely on.
 */
#ifndef IMGFS_TOOLS_TERMINAL_H
#define IMGFS_TOOLS_TERMINAL_H

#include "index/base.h"

#define TERMINAL_WIDTH 80 /* where nobody says */

enum colour_when { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER };

/* terminal_is - whether the descriptor is a terminal. */
bool terminal_is(int fd);

/*
 * terminal_width - columns of the descriptor's window: what the kernel says, else $COLUMNS, else
 * TERMINAL_WIDTH. At least 1.
 */
unsigned terminal_width(int fd);

/*
 * terminal_colours - whether colours belong on this descriptor
 * COLOUR_AUTO: it is a terminal, $NO_COLOR is unset or empty (no-color.org), and $TERM is not
 * "dumb".
 */
bool terminal_colours(int fd, enum colour_when when);

/* terminal_colour_when - "auto", "always" or "never"; false for another word. */
bool terminal_colour_when(const char *text, enum colour_when *out);

#endif
