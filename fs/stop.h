/*
 * stop - SIGTERM and SIGINT as something that can be waited for
 */
#ifndef IMGFS_FS_STOP_H
#define IMGFS_FS_STOP_H

#include "index/base.h"

/*
 * stop_install - from now on SIGTERM and SIGINT only ask for an end; SIGHUP and SIGPIPE are ignored
 * Once a process, by its main thread. Calls in other threads are restarted.
 */
err_t stop_install(struct diag *d) must_check;

/* stop_fd - an eventfd that is readable once an end was asked for. */
int stop_fd(void);

/* stop_clear - stop_fd becomes readable again when an end is asked for the next time. */
void stop_clear(void);

#endif
