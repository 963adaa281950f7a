/*
 * progress - long work shows how far it is
 *
 * On a terminal: a line for each layer that is worked at, and one for all, drawn on standard error
 * at most ten times a second and gone at the end. With --progress plain: a line every few seconds.
 * Otherwise, and with -q, nothing. One at a time, from the main thread:
 *
 *	struct progress *p = progress_begin(self, "layer");
 *	progress_expect(p, 0, size);                 // as many rows as there are (fetch/progress.h)
 *	progress_start(p, 0, size), progress_add(p, 0, n), progress_finish(p, 0)    // any thread
 *	progress_end();                              // before an error line is printed
 */
#ifndef IMGFS_TOOLS_PROGRESS_H
#define IMGFS_TOOLS_PROGRESS_H

#include "fetch/progress.h"
#include "tools/cli.h"

/*
 * progress_begin - start to show
 * @noun  what a row is: "layer"; NULL: the work has one row only, number 0
 * Returns the counters to hand down, valid for ever; NULL when nothing will be shown, which is
 * taken by all who count.
 */
struct progress *progress_begin(const struct command *self, const char *noun);
/* progress_end - clear the place, and join the thread that draws. Nothing when nothing is shown. */
void progress_end(void);

/*
 * progress_hold, progress_release - around what is printed meanwhile, on either output: the place
 * is cleared, and drawn again below. No more than a few lines in between. Any thread; also when
 * nothing is shown.
 */
void progress_hold(void);
void progress_release(void);

/* progress_layer, progress_bytes - for work with one file after the other: row 0 has `total` bytes;
 * n more are done. */
static inline void progress_layer(struct progress *p, size_t row, uint64_t total)
{
	progress_start(p, row, total);
}
static inline void progress_bytes(struct progress *p, size_t row, uint64_t n)
{
	progress_add(p, row, n);
}

#endif
