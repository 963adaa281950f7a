/*
 * loop - the threads that read the kernel's requests
 */
#ifndef IMGFS_FS_LOOP_H
#define IMGFS_FS_LOOP_H

#include "fs/counters.h"

struct fuse_session;
struct loop;

/*
 * loop_handshake - read and answer the one INIT message, before there is any thread
 * 0; -EPROTO when the kernel and libfuse do not agree; -errno when the mount is gone.
 */
err_t loop_handshake(struct fuse_session *session, struct counters *counters) must_check;

/*
 * loop_start - start the threads; they run until the kernel ends the mount, or loop_stop
 * @ended_fd  an eventfd that is written when the first thread ends
 */
err_t loop_start(struct fuse_session *session, struct counters *counters, int ended_fd,
		 struct loop **out, struct diag *d) must_check;

/* loop_stop - end the threads, whatever the kernel does, and join them. No operation runs
 * afterwards; reads may still be in flight. */
void loop_stop(struct loop **loop);

#endif
