/*
 * run_top - the writable top of a container: overlayfs over the mounted image
 *
 * What the container changes goes into upper/, beside which overlayfs wants an empty work/. Both
 * lie in the container's folder and go with it, or in a folder of the user's and stay.
 */
#ifndef IMGFS_TOOLS_RUN_TOP_H
#define IMGFS_TOOLS_RUN_TOP_H

#include "index/index.h"

struct run_top {
	int fd;	      /* the folder that has upper/ and work/; holds a lock when it is kept */
	bool kept;    /* --keep */
	char *folder; /* its path; owned */
};

/*
 * run_top_open - make the folder ready
 * @folder  made if it is not there, with upper/ and work/
 * @kept    it is the user's: locked against a second container, and bound to one image
 * @image   the digest of the image's manifest, as text
 * @tree    whose root gives upper/ its mode and owner when it is made
 * ERR_OTHER when another container uses it, or it belongs to another image.
 */
err_t run_top_open(const char *folder, bool kept, const char *image, const struct index *tree,
		   struct run_top *out, struct diag *d) must_check;

/*
 * run_top_mount - the overlay
 * @tree             as in run_top_open
 * @lower, @target  directories
 * @dev             device nodes of the image work
 * @in_user_ns      overlayfs then keeps its notes in user.* attributes
 * Where the folder's file system can not carry an overlay and nothing is to be kept, a tmpfs does,
 * with a warning in the log. ERR_OTHER.
 */
err_t run_top_mount(struct run_top *top, const struct index *tree, const char *lower,
		    const char *target, bool dev, bool in_user_ns, struct diag *d) must_check;

/* run_top_close - let go of the lock; the folder stays. */
void run_top_close(struct run_top *top);

#endif
