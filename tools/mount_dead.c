/*
 * A daemon that was killed leaves its mount behind. To look at it would be answered with ENOTCONN,
 * but one whose daemon hangs would never answer: so mounts are told apart by what mountinfo says of
 * them, and by the records of live daemons. A mount of this user that no record names is dead.
 */
#include "tools/mount_dead.h"

#include "fs/mounts.h"
#include "tools/format.h"
#include "tools/look.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#define SHOW_MS 100 /* between the mount and the record that names it */

static bool is_served(const struct mounted *mounted)
{
	int pid;
	auto_fd int record = mounts_find(mounted, &pid);

	/* Where the records can not be read nothing is known. */
	return record != -ENOENT;
}

static bool is_orphan(const struct mounted *mounted)
{
	return mounted->is_imgfs && mounted->owner == geteuid() && !is_served(mounted);
}

static void wait_for_record(void)
{
	nanosleep(&(struct timespec){.tv_nsec = SHOW_MS * 1000000L}, NULL);
}

err_t mount_missing(const char *path, const char *directory, struct diag *d)
{
	struct mounted mounted;
	bool dead = mounted_at(path, &mounted) == 0 && is_orphan(&mounted);

	if (dead) {
		wait_for_record();
		dead = mounted_at(path, &mounted) == 0 && is_orphan(&mounted);
	}
	if (!dead)
		return fail(d, ERR_NOT_FOUND, -ENOENT, "no image of yours is mounted on %s",
			    directory);
	auto_free char *records = mounts_runtime_dir();
	return fail(d, ERR_NOT_FOUND, -ENOTCONN,
		    "%s is a mount whose daemon is gone; run 'imgfs umount %s' (no daemon has a "
		    "record of it in %s)",
		    directory, directory, records);
}

static void add_orphan(const char *path, const struct mounted *mounted, void *arg)
{
	if (is_orphan(mounted) && path_list_add(arg, path))
		abort();
}

static int path_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void warn(const struct command *self, const char *path)
{
	auto_free char *records = mounts_runtime_dir();

	fprintf(stderr, "imgfs %s: ", self->name);
	format_name(stderr, BYTES_STR(path));
	fputs(" is a mount whose daemon is gone; run 'imgfs umount ", stderr);
	format_name(stderr, BYTES_STR(path));
	fprintf(stderr, "' (no daemon has a record of it in %s)\n", records);
}

void mount_warn_dead(const struct command *self)
{
	struct path_list orphans = {0}, still = {0};

	if (mounted_imgfs_each(add_orphan, &orphans) == 0 && orphans.n) {
		wait_for_record();
		if (mounted_imgfs_each(add_orphan, &still) == 0 && still.n)
			qsort(still.paths, still.n, sizeof(*still.paths), path_order);
	}
	fflush(stdout);
	for (size_t i = 0; i < still.n; i++)
		warn(self, still.paths[i]);
	path_list_fini(&orphans);
	path_list_fini(&still);
}
