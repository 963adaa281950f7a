/*
 * fusermount - run fusermount3(1), the set-user-id helper through which a plain user unmounts
 */
#ifndef IMGFS_FS_FUSERMOUNT_H
#define IMGFS_FS_FUSERMOUNT_H

#include "index/base.h"

#include <fuse_log.h>

#define FUSERMOUNT_TEXT_MAX 512 /* its messages are one line */

/*
 * fusermount - fusermount3 WORDS..., waiting for its end
 * @words  ended by NULL
 * @said   the first line of what it printed
 * Returns 0; -EIO when it ended with an error; -errno when it could not be run.
 */
err_t fusermount(const char *const *words, char said[FUSERMOUNT_TEXT_MAX]) must_check;

/*
 * stderr_capture - send standard error into memory while code runs that prints by itself
 * Returns a token for stderr_release, which restores it and gives the first line that was printed.
 * The whole process is concerned: only for moments in which no other thread prints. -1 when it is
 * not possible; printing then goes its usual way.
 */
struct stderr_capture {
	int saved, memory;
};
struct stderr_capture stderr_capture(void);
/* stderr_release - ends the capture. */
void stderr_release(struct stderr_capture *capture, char said[FUSERMOUNT_TEXT_MAX]);

/* fusermount_print_libfuse - for fuse_set_log_func while mounting: libfuse's words are the reason
 * of our error then, and go to the captured standard error. */
printf_like(2, 0) void fusermount_print_libfuse(enum fuse_log_level level, const char *fmt,
						va_list args);

#endif
