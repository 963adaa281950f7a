/*
 * imgfs umount: works on the path alone, since a mount whose daemon died can not be looked at, and
 * is done only when the daemon is gone too.
 */
#include "fs/mountpoint.h"
#include "fs/mounts.h"
#include "tools/cli.h"

#define DAEMON_END_MS 10000 /* a daemon drains for 5 s at the most, and then only frees memory */

static err_t find_mount(const char *path, struct mounted *out, struct diag *d)
{
	err_t err = mounted_at(path, out);

	if (err == -ENOENT)
		return fail(d, ERR_NOT_FOUND, err, "nothing is mounted on %s", path);
	if (err)
		return fail_sys(d, ERR_OTHER, err, "table of mounts");
	if (!out->is_imgfs)
		return fail(d, ERR_NOT_FOUND, -EINVAL, "what is mounted on %s is not from imgfs",
			    path);
	return 0;
}

/* The record is opened while the mount is there: afterwards nothing tells whose it was. */
static err_t unmount(const char *path, bool lazy, struct diag *d)
{
	struct mounted mounted;
	err_t err = find_mount(path, &mounted, d);
	int pid = 0;
	auto_fd int record = err ? -1 : mounts_find(&mounted, &pid);

	if (!err)
		err = mountpoint_detach(path, lazy, d);
	if (err || lazy || record < 0)
		return err;
	err = mounts_wait_gone(record, DAEMON_END_MS);
	if (err == -ETIMEDOUT)
		return fail(
			d, ERR_OTHER, err,
			"%s is unmounted, but its daemon (process %d) still runs; another mount "
			"namespace, say a container's, may have the mount too",
			path, pid);
	return err ? fail_sys(d, ERR_OTHER, err, "records of mounts") : 0;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct diag d = DIAG_INIT;
	auto_free char *path = NULL;
	bool lazy = false;
	char **operands;
	const struct option_row rows[] = {
		{'l', "lazy", OPT_FLAG, &lazy, NULL,
		 "detach now, even if it is in use; it ends with its last user"},
		{0},
	};
	int n = cli_parse(self, argc, argv, rows, &common, &operands);
	err_t err;

	if (n != 1)
		return cli_usage_error(self, "expected DIR, got %d operands", n);
	err = mountpoint_path(operands[0], &path, &d);
	if (!err)
		err = unmount(path, lazy, &d);
	mounts_clean();
	return err ? cli_fail(self, &d) : 0;
}

const struct command cmd_umount = {
	.name = "umount",
	.synopsis = "[-l] DIR",
	.summary = "Unmount an image and wait for its daemon to end",
	.details = "Works on mounts whose daemon has died too. Exit status 3: DIR is no mount of "
		   "imgfs.",
	.examples = "imgfs umount /mnt\n"
		    "# although a program still works in it\n"
		    "imgfs umount -l /mnt",
	.run = run,
};
