/*
 * imgfs umount: works on the path alone, since a mount whose daemon died can not be looked at, and
 * is done only when the daemon is gone too.
 */
#include "fs/mountpoint.h"
#include "fs/mounts.h"
#include "tools/cli.h"

#define DAEMON_END_MS 10000 /* a daemon drains for 5 s at the most, and then only frees memory */

static err_t check_mounted(const char *path, struct diag *d)
{
	struct mounted mounted;
	err_t err = mounted_at(path, &mounted);

	if (err == -ENOENT)
		return fail(d, ERR_NOT_FOUND, err, "nothing is mounted on %s", path);
	if (err)
		return fail_sys(d, ERR_OTHER, err, "table of mounts");
	if (!mounted.is_imgfs)
		return fail(d, ERR_NOT_FOUND, -EINVAL, "what is mounted on %s is not from imgfs",
			    path);
	return 0;
}

static err_t unmount(const char *path, bool lazy, struct diag *d)
{
	int pid = 0;
	err_t err = check_mounted(path, d);

	if (!err)
		err = mountpoint_detach(path, lazy, d);
	/* Also when nothing is mounted: the record of a dead daemon is removed by the look. */
	if (mounts_wait_gone(path, lazy || err ? 0 : DAEMON_END_MS, &pid) == -ETIMEDOUT && !err &&
	    !lazy)
		err = fail(d, ERR_OTHER, -ETIMEDOUT,
			   "%s is unmounted, but its daemon (process %d) still runs", path, pid);
	return err;
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
	return err ? cli_fail(self, &d) : 0;
}

const struct command cmd_umount = {
	.name = "umount",
	.synopsis = "[-l] DIR",
	.summary = "Unmount an image and wait for its daemon to end",
	.details = "Works on mounts whose daemon has died too. Exit status 3: DIR is no mount of "
		   "imgfs.",
	.run = run,
};
