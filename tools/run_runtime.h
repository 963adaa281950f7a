/*
 * run_runtime - an OCI runtime (crun, runc) as a program that is called, and the container it
 * starts
 *
 * State and log of the runtime lie in the container's folder.
 */
#ifndef IMGFS_TOOLS_RUN_RUNTIME_H
#define IMGFS_TOOLS_RUN_RUNTIME_H

#include "index/base.h"

#include <sys/resource.h>

/* Exit statuses as docker and podman have them, where the container itself gave none. */
#define RUN_STATUS_FAILED     125 /* the runtime, or this command */
#define RUN_STATUS_NO_PROGRAM 126 /* the command is there, but can not be started */
#define RUN_STATUS_NOT_FOUND  127 /* no such command in the image */

#define RUN_STOP_S 10 /* from asking a container to end to killing it */

struct runtime {
	const char *program; /* path */
	const char *dir;     /* the container's folder, which is its bundle */
	const char *id;
	bool interactive;    /* it reads our standard input; /dev/null otherwise */
	bool in_user_ns;     /* where nobody may make a cgroup */
	bool terminal;	     /* it works on our terminal */
	int stop_signal;     /* that asks it to end */
	struct rlimit files; /* RLIMIT_NOFILE as this process was given it */
};

/*
 * runtime_find - the path of a program, allocated
 * @wanted      a name or path; NULL: crun, else runc
 * @in_user_ns  see struct run_ns
 * -ENOENT (ERR_OTHER) says which package has it.
 */
err_t runtime_find(const char *wanted, bool in_user_ns, char **out, struct diag *d) must_check;

/* runtime_hide_mixed_cgroups - crun refuses machines with both versions of cgroups in one tree; in
 * this mount namespace, which must be our own, version 2 is hidden then. */
void runtime_hide_mixed_cgroups(void);

/*
 * runtime_watch - from now on signals are collected; to be called once, by the main thread, before
 * runtime_run and after everything that sets signals
 */
err_t runtime_watch(struct diag *d) must_check;
/* runtime_stop_asked - the signal by which an end was asked for so far, 0: none. */
int runtime_stop_asked(void);

/*
 * runtime_run - run the container to its end
 * SIGTERM and SIGHUP send it stop_signal, and kill it RUN_STOP_S later; the third SIGINT kills it;
 * other signals are passed on. The terminal is as it was afterwards. Gives the exit status: that of
 * the container, or one of RUN_STATUS_*, after the runtime has said why.
 */
err_t runtime_run(const struct runtime *r, int *status, struct diag *d) must_check;

/* runtime_clean - end a container that may still be there, and remove its state; silent. */
void runtime_clean(const char *program, const char *dir, const char *id, bool in_user_ns);

#endif
