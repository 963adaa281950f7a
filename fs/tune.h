/*
 * tune - limits of the kernel: one that we raise, one that we have to keep
 */
#ifndef IMGFS_FS_TUNE_H
#define IMGFS_FS_TUNE_H

#include "fs/mountpoint.h"

/*
 * The kernel's read-ahead window, and with it the size of a buffered READ. fs/README.md gives the
 * measurements behind the number.
 */
#define READ_AHEAD_KIB 512

/*
 * tune_read_ahead - set the window of a mount
 * To be called after the INIT handshake, whose reply can only lower it. Without the right to write
 * to sysfs nothing changes; that is logged at debug level and no error.
 */
void tune_read_ahead(const struct mounted *mounted, unsigned kib);

/*
 * tune_answer_limit_s - seconds in which every request must be answered; 0: no limit
 * From Linux 6.15 an administrator may set a limit (fs.fuse.default_request_timeout and
 * max_request_timeout), beyond which the kernel ends the whole mount. The result leaves a margin.
 */
unsigned tune_answer_limit_s(void);

#endif
