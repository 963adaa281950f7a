/*
 * screen - a terminal that is drawn over and over, and given back as it was found
 *
 * Plain ANSI sequences, which every terminal of today knows, and no library. Whatever ends the
 * program - a key, Ctrl-C, SIGTERM, a hang-up, exit(3) - the terminal gets its settings, its cursor
 * and what it showed before back. Ctrl-Z works, too. One screen at a time, one thread.
 */
#ifndef IMGFS_TOOLS_SCREEN_H
#define IMGFS_TOOLS_SCREEN_H

#include "index/base.h"

/* What screen_wait came back with: a byte that was typed, or one of these. */
enum screen_key {
	SCREEN_TIMEOUT = -1,
	SCREEN_RESIZED = -2, /* or shown again after Ctrl-Z: draw anew */
	SCREEN_ENDED = -3,   /* a signal, or nobody is there any more */
	SCREEN_UP = 256,
	SCREEN_DOWN,
	SCREEN_LEFT,
	SCREEN_RIGHT,
	SCREEN_ESCAPE,
};

/* screen_is_possible - whether standard input and output are a terminal that can be drawn on. */
bool screen_is_possible(void);

/* screen_open - take the terminal; -errno. */
err_t screen_open(void) must_check;

/* screen_size - columns and lines now; at least 1. */
void screen_size(unsigned *columns, unsigned *lines);

/* screen_draw - show lines of text, which may have colours (ESC [ ... m) and are otherwise
 * printable; what does not fit is cut off. -errno when it can not be written. */
err_t screen_draw(const char *text) must_check;

/* screen_wait - for a key, at the most until a time of now_ms(). */
int screen_wait(int64_t until_ms);

/* screen_close - give the terminal back; nothing when it is not taken. */
void screen_close(void);

/* screen_end_process - after screen_close: end as the signal that came ends a process; returns when
 * none came. */
void screen_end_process(void);

#endif
