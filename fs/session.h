/*
 * session - one mount from mount(2) to its end
 *
 *   session_open    mount, shake hands with the kernel, tune
 *   session_serve   answer requests until the mount has ended
 *   session_close   what is left
 */
#ifndef IMGFS_FS_SESSION_H
#define IMGFS_FS_SESSION_H

#include "fs/mountpoint.h"
#include "fs/options.h"
#include "fs/ops.h"

#define SESSION_DRAIN_S 5 /* how long a busy mount is served on after SIGTERM */

struct session_options {
	const char *mountpoint; /* canonical, checked by mountpoint_check */
	const char *fsname;	/* what the mount table shows as the device */
	const struct mount_options *mount;
	const struct index *tree; /* the image index; must outlive the session */
	struct content *content;  /* freed between session_serve and session_close */
	struct counters *counters;
};

struct session;

/*
 * session_open - mount
 * Afterwards the kernel waits for answers at the mount point: nothing in this process may look at
 * it. An error leaves nothing mounted. ERR_DENIED when the user may not mount there.
 */
err_t session_open(const struct session_options *options, struct session **out,
		   struct diag *d) must_check;

/*
 * session_serve - serve until the mount was unmounted, or stop_fd is readable
 * @ready  called once, when requests are answered; an error of it ends the session; may be NULL
 * When asked to stop it unmounts; a tree in use is detached lazily and served on for
 * SESSION_DRAIN_S, or until it is asked a second time. Returns 0, or what ready returned. Needs
 * stop_install, unless `ready` does all that the mount is for and always returns an error. Wakes
 * for requests and signals only.
 */
err_t session_serve(struct session *s, err_t (*ready)(void *arg, struct diag *d), void *arg,
		    struct diag *d) must_check;

/* session_mounted - the device number of the mount; valid until session_close. */
const struct mounted *session_mounted(const struct session *s);

/* session_close - unmounts what is still mounted. All reads must be answered: free the content
 * first. */
void session_close(struct session **s);

#endif
