/*
 * run_dir - the folder of one container while it runs: its bundle, its mount points, its writable
 * top, and the runtime's state
 *
 * It lies in $TMPDIR (/var/tmp) under a random name, is closed to others, and its owner holds a
 * flock(2) on it. One that nobody locks belongs to a run that was killed: the next run removes it,
 * and before that the container, if that still lives.
 *
 *   config.json   rootfs/   image/        the bundle, where its root and the image are mounted
 *   top/upper/  top/work/                 what the container writes, unless --keep says otherwise
 *   state/  runtime.log                   of the OCI runtime
 *   runtime                               two lines: its program, the container's id
 */
#ifndef IMGFS_TOOLS_RUN_DIR_H
#define IMGFS_TOOLS_RUN_DIR_H

#include "index/base.h"

#define RUN_DIR_TOKEN_LEN 6 /* of the random end of its name */

struct run_dir {
	char *path; /* canonical; owned */
	int fd;	    /* holds the lock */
};

/* run_dir_new - make one; ERR_OTHER names the place, and TMPDIR. */
err_t run_dir_new(struct run_dir *out, struct diag *d) must_check;
/* run_dir_token - the random end of its name; borrowed. */
const char *run_dir_token(const struct run_dir *dir);
/* run_dir_file - the path of something in it; the caller frees. */
char *run_dir_file(const struct run_dir *dir, const char *name);
/*
 * run_dir_note - write down what is needed to end the container: its runtime's program, its id
 * Once, before the runtime starts.
 */
err_t run_dir_note(const struct run_dir *dir, const char *program, const char *id,
		   struct diag *d) must_check;
/* run_dir_remove - with all that is in it; nothing may be mounted there any more. Nothing happens
 * for one of zeroes. */
void run_dir_remove(struct run_dir *dir);

/*
 * run_dirs_clean - remove what killed runs of this user have left
 * @in_user_ns  see struct run_ns
 * Containers that still run are ended with their runtime first. Errors are logged only.
 */
void run_dirs_clean(bool in_user_ns);

/* run_file_write - a new file with these bytes, mode 0644; under its name only when it is whole. */
err_t run_file_write(const char *path, const void *bytes, size_t n, struct diag *d) must_check;

#endif
