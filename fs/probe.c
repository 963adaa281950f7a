/*
 * A mount that lives for one message: libfuse mounts it as it would mount an image, the kernel's
 * INIT is answered, and it is taken away again.
 */
#include "fs/probe.h"

#include "fs/fusermount.h"
#include "fs/mountpoint.h"

#include <fuse_lowlevel.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INIT_MS 5000 /* the kernel sends it while it mounts */

static void note_init(void *arg, struct fuse_conn_info *info)
{
	struct mount_probe *out = arg;

	out->major = info->proto_major;
	out->minor = info->proto_minor;
}

static err_t answer_init(struct fuse_session *fuse, const struct mount_probe *out, struct diag *d)
{
	struct pollfd fd = {.fd = fuse_session_fd(fuse), .events = POLLIN};
	struct fuse_buf message = {0};
	int n = poll(&fd, 1, INIT_MS);

	if (n > 0)
		n = fuse_session_receive_buf(fuse, &message);
	if (n > 0)
		fuse_session_process_buf(fuse, &message);
	free(message.mem);
	if (n <= 0 || !out->major)
		return fail(d, ERR_OTHER, -EPROTO, "the kernel mounted it, but does not speak");
	return 0;
}

static err_t mount_failed(const char *said, struct diag *d)
{
	if (access("/dev/fuse", F_OK))
		return fail(d, ERR_OTHER, -ENODEV, "there is no /dev/fuse");
	return fail(d, ERR_DENIED, -EPERM, "%s", *said ? said : "libfuse could not mount");
}

static err_t mount_on(struct fuse_session *fuse, const char *folder, const struct mount_probe *out,
		      struct diag *d)
{
	struct stderr_capture capture = stderr_capture();
	char said[FUSERMOUNT_TEXT_MAX];
	int failed = fuse_session_mount(fuse, folder);
	err_t err;

	stderr_release(&capture, said);
	if (failed)
		return mount_failed(said, d);
	err = answer_init(fuse, out, d);
	fuse_session_unmount(fuse);
	return err;
}

static err_t probe_in(const char *folder, struct mount_probe *out, struct diag *d)
{
	char *argv[] = {(char *)(uintptr_t) "imgfs", (char *)(uintptr_t) "-o",
			(char *)(uintptr_t) "ro,subtype=imgfs,fsname=imgfs-doctor", NULL};
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	struct fuse_lowlevel_ops operations = {.init = note_init};
	struct fuse_session *fuse;
	err_t err;

	fuse_set_log_func(fusermount_print_libfuse);
	fuse = fuse_session_new(&args, &operations, sizeof(operations), out);
	fuse_opt_free_args(&args);
	if (!fuse)
		return fail(d, ERR_OTHER, -EINVAL, "libfuse does not take its options");
	err = mount_on(fuse, folder, out, d);
	fuse_session_destroy(fuse);
	return err;
}

err_t mount_probe(struct mount_probe *out, struct diag *d)
{
	const char *above = getenv("TMPDIR");
	auto_free char *folder =
		xasprintf("%s/imgfs-doctor.XXXXXX", above && *above == '/' ? above : "/tmp");
	sigset_t all, old;
	err_t err;

	*out = (struct mount_probe){0};
	if (!mkdtemp(folder))
		return fail_sys(d, ERR_OTHER, -errno, "%s", folder);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	err = probe_in(folder, out, d);
	rmdir(folder);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return err;
}
