/*
 * session - the life of a mount, from the process's main thread
 *
 * The main thread mounts, answers the INIT message by itself and then only waits: for a signal, or
 * for the end of the FUSE threads. An idle mount sleeps.
 *
 * A mount ends in one of two ways. Somebody unmounts it: the kernel ends the FUSE threads' reads.
 * Or we are asked to stop: we unmount, which comes to the same, unless the tree is in use; then it
 * is detached from its folder, so that it is out of the way at once, and whoever still has a file
 * open is served on for a moment.
 */
#include "fs/session.h"

#include "fetch/log.h"
#include "fs/fusermount.h"
#include "fs/loop.h"
#include "fs/stop.h"
#include "fs/tune.h"

#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct session {
	char *mountpoint;
	struct fuse_session *fuse;
	struct filesystem *fs;
	struct counters *counters;
	struct loop *loop;
	struct mounted mounted; /* names our mount among those that may lie on the same path */
	int ended_fd;		/* eventfd: a FUSE thread has ended */
	bool detached;		/* unmounted, or lazily so: the path is no longer ours */
};

/* ---- libfuse's own messages ---- */

printf_like(2, 0) static void log_libfuse(enum fuse_log_level level, const char *fmt, va_list args)
{
	char text[FUSERMOUNT_TEXT_MAX];

	vsnprintf(text, sizeof(text), fmt, args);
	text[strcspn(text, "\n")] = '\0';
	log_event(level <= FUSE_LOG_ERR ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, "fuse.library", "%s",
		  text);
}

/* ---- mounting ---- */

static err_t mount_failed(const struct session *s, const char *said, struct diag *d)
{
	bool denied =
		geteuid() != 0 || strstr(said, strerror(EPERM)) || strstr(said, strerror(EACCES));

	if (access("/dev/fuse", F_OK))
		return fail(d, ERR_OTHER, -ENODEV, "there is no /dev/fuse: 'modprobe fuse'");
	/* The advice below would not help: bare systems have none until somebody makes it. */
	if (strstr(said, "/etc/mtab") && access("/etc/mtab", F_OK))
		return fail(d, ERR_OTHER, -ENOENT,
			    "mount on %s: fusermount3 needs /etc/mtab, and there is none; as root: "
			    "ln -s /proc/self/mounts /etc/mtab",
			    s->mountpoint);
	if (strstr(said, "user_allow_other"))
		return fail(d, ERR_DENIED, -EPERM, "mount on %s: %s; or leave allow_other out",
			    s->mountpoint, said);
	if (!*said)
		said = "failed";
	if (!denied)
		return fail(d, ERR_OTHER, -EIO, "mount on %s: %s", s->mountpoint, said);
	return fail(d, ERR_DENIED, -EPERM,
		    "mount on %s: %s; it takes root, or fusermount3, /dev/fuse open to all, and a "
		    "mount point that is yours",
		    s->mountpoint, said);
}

static err_t mount_tree(struct session *s, struct diag *d)
{
	char said[FUSERMOUNT_TEXT_MAX];
	struct stderr_capture capture;
	err_t err;

	fuse_set_log_func(fusermount_print_libfuse);
	capture = stderr_capture();
	err = fuse_session_mount(s->fuse, s->mountpoint) ? -EIO : 0;
	stderr_release(&capture, said);
	fuse_set_log_func(log_libfuse);
	if (err)
		return mount_failed(s, said, d);
	err = mounted_at(s->mountpoint, &s->mounted);
	if (err) {
		fuse_session_unmount(s->fuse);
		return fail_sys(d, ERR_OTHER, err, "table of mounts");
	}
	s->detached = false;
	return 0;
}

static err_t session_create(struct session *s, const struct session_options *options,
			    struct diag *d)
{
	auto_free char *text = mount_options_text(options->mount, options->fsname);
	char *argv[] = {(char *)(uintptr_t) "imgfs", (char *)(uintptr_t) "-o", text, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	struct fuse_lowlevel_ops operations;

	filesystem_operations(s->fs, &operations);
	s->fuse = fuse_session_new(&args, &operations, sizeof(operations), s->fs);
	fuse_opt_free_args(&args);
	if (!s->fuse)
		return fail(d, ERR_OTHER, -EINVAL, "libfuse does not take the options '%s'", text);
	return 0;
}

static err_t session_mount(struct session *s, const struct session_options *options, struct diag *d)
{
	err_t err;

	s->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->ended_fd < 0)
		return fail_sys(d, ERR_OTHER, -errno, "eventfd");
	err = session_create(s, options, d);
	if (!err)
		err = mount_tree(s, d);
	if (err)
		return err;
	err = loop_handshake(s->fuse, s->counters);
	if (err)
		return fail(d, ERR_OTHER, err, "the kernel does not accept the mount on %s",
			    s->mountpoint);
	if (geteuid() == 0)
		tune_read_ahead(&s->mounted, options->mount->read_ahead_kib
						     ? options->mount->read_ahead_kib
						     : READ_AHEAD_KIB);
	return 0;
}

err_t session_open(const struct session_options *options, struct session **out, struct diag *d)
{
	struct session *s = new_of(struct session);
	err_t err;

	s->mountpoint = xstrdup(options->mountpoint);
	s->counters = options->counters;
	s->ended_fd = -1;
	s->detached = true;
	s->fs = filesystem_new(options->tree, options->content, options->counters,
			       options->mount->xattrs);
	err = session_mount(s, options, d);
	if (err)
		session_close(&s);
	else
		*out = s;
	return err;
}

const struct mounted *session_mounted(const struct session *s)
{
	return &s->mounted;
}

/* ---- the end ---- */

/* Whether our mount is the one on top of its path. */
static bool is_on_top(const struct session *s)
{
	struct mounted top;

	return mounted_at(s->mountpoint, &top) == 0 && top.is_imgfs &&
	       top.dev_major == s->mounted.dev_major && top.dev_minor == s->mounted.dev_minor;
}

static void detach(struct session *s)
{
	struct diag d = DIAG_INIT;
	err_t err;

	if (s->detached)
		return;
	s->detached = true;
	if (!is_on_top(s))
		return;
	err = mountpoint_detach(s->mountpoint, false, &d);
	if (err)
		err = mountpoint_detach(s->mountpoint, true, &d);
	if (err)
		log_warn("mount.unmount", "error=\"%s\"", d.text);
}

/*
 * libfuse unmounts by path when it is asked to clean up, unless the device says that its mount is
 * gone: after a detach whatever lies on the path now belongs to somebody else. A pipe without a
 * reader says the same (POLLERR).
 */
static void disarm(struct session *s)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return;
	close(ends[0]);
	dup2(ends[1], fuse_session_fd(s->fuse));
	close(ends[1]);
}

void session_close(struct session **session)
{
	struct session *s = take(session);

	if (!s)
		return;
	loop_stop(&s->loop);
	if (s->fuse) {
		detach(s);
		if (fuse_session_fd(s->fuse) >= 0) {
			disarm(s);
			fuse_session_unmount(s->fuse);
		}
		fuse_session_destroy(s->fuse);
	}
	filesystem_free(&s->fs);
	cleanup_fd(&s->ended_fd);
	free(s->mountpoint);
	free(s);
}

/* ---- serving ---- */

/* Serve until the FUSE threads end, a stop is asked for, or end_ms (negative: never) is reached. */
static void serve_until(struct session *s, int64_t end_ms)
{
	struct pollfd fds[] = {
		{.fd = s->ended_fd, .events = POLLIN},
		{.fd = stop_fd(), .events = POLLIN},
	};

	for (;;) {
		int64_t left = end_ms < 0 ? -1 : max_of(end_ms - now_ms(), (int64_t)0);
		int n = poll(fds, ARRAY_LEN(fds), (int)left);

		if (n >= 0 || errno != EINTR)
			return;
	}
}

static bool loop_has_ended(const struct session *s)
{
	struct pollfd fd = {.fd = s->ended_fd, .events = POLLIN};

	return poll(&fd, 1, 0) > 0;
}

err_t session_serve(struct session *s, err_t (*ready)(void *arg, struct diag *d), void *arg,
		    struct diag *d)
{
	err_t err = loop_start(s->fuse, s->counters, s->ended_fd, &s->loop, d);

	if (!err && ready)
		err = ready(arg, d);
	if (!err)
		serve_until(s, -1);
	/* Whoever sees the mount gone and asks again means it. */
	stop_clear();
	/* When the threads ended first, the kernel has ended the mount, or its device is broken;
	 * either way what is left on the path is ours to take away. */
	detach(s);
	if (!err && !loop_has_ended(s))
		serve_until(s, now_ms() + SESSION_DRAIN_S * 1000);
	loop_stop(&s->loop);
	return err;
}
