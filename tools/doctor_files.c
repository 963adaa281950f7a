/*
 * What imgfs reads and writes on this machine: its settings, its store, its records, its mounts.
 */
#include "tools/doctor.h"

#include "fetch/log.h"
#include "fs/mounts.h"
#include "tools/format.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <mntent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOM_LEAST (UINT64_C(1) << 30) /* less is soon full */
#define ANSWER_MS  2000		       /* a live mount answers within microseconds */

/* Magic numbers of statfs(2) that linux/magic.h lacks. */
#define XFS_MAGIC  0x58465342
#define FUSE_MAGIC 0x65735546
#define ZFS_MAGIC  0x2fc12fc1
#define CIFS_MAGIC 0xff534d42

/* ---- settings ---- */

static void check_conf(struct doctor *doc, const struct diag *error, const struct conf *conf)
{
	if (!conf) {
		doctor_error(doc, DOCTOR_FAIL, "imgfs.conf", error,
			     "correct the line, or use --config none");
		return;
	}
	size_t n = 0;
	for (size_t i = 0; i < conf_n_places(conf); i++)
		n += conf_place(conf, i)->is_there;
	for (size_t i = 0; i < conf_n_places(conf); i++)
		if (conf_place(conf, i)->is_there)
			doctor_say(doc, DOCTOR_OK, "imgfs.conf", NULL,
				   "%s ('imgfs config' shows what is in force)",
				   conf_place(conf, i)->path);
	if (!n)
		doctor_say(doc, DOCTOR_OK, "imgfs.conf", NULL, "none; everything is as built in");
}

/* Every line of the files is checked for any reference. */
static void check_trust(struct doctor *doc)
{
	struct image_options options = image_options_of(&doc->common);
	struct diag d = DIAG_INIT;
	struct trust *trust = NULL;
	struct ref ref;
	if (ref_parse("docker.io/library/scratch", &ref, &d))
		return;
	if (trust_new(&options.trust, &ref, &trust, &d))
		doctor_error(doc, DOCTOR_FAIL, "trust", &d, "correct the file");
	trust_free(&trust);
	ref_fini(&ref);
}

/* ---- the store ---- */

static const char *filesystem_name(long type)
{
	static const struct {
		long type;
		const char *name;
	} names[] = {
		{EXT4_SUPER_MAGIC, "ext4"},
		{XFS_MAGIC, "xfs"},
		{BTRFS_SUPER_MAGIC, "btrfs"},
		{TMPFS_MAGIC, "tmpfs"},
		{OVERLAYFS_SUPER_MAGIC, "overlay"},
		{NFS_SUPER_MAGIC, "nfs"},
		{F2FS_SUPER_MAGIC, "f2fs"},
		{ZFS_MAGIC, "zfs"},
		{FUSE_MAGIC, "fuse"},
		{CIFS_MAGIC, "cifs"},
	};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].type == type)
			return names[i].name;
	return "another kind of file system";
}

static bool is_remote(long type)
{
	return type == NFS_SUPER_MAGIC || type == CIFS_MAGIC || type == FUSE_MAGIC;
}

/* What the store does with its files: lock, map, and punch holes into them. */
static err_t try_file(const char *dir, const char **what)
{
	auto_fd int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	*what = "no file can be made";
	if (fd < 0)
		return -errno;
	*what = "files can not be locked";
	if (flock(fd, LOCK_EX | LOCK_NB))
		return -errno;
	*what = "files can not be written";
	if (ftruncate(fd, 4096))
		return -errno;
	*what = "files can not be mapped";
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	munmap(p, 4096);
	return 0;
}

static void check_room(struct doctor *doc, const char *dir)
{
	char size[FORMAT_TEXT_MAX];
	struct statvfs v;
	if (statvfs(dir, &v))
		return;
	uint64_t room = (uint64_t)v.f_bavail * v.f_frsize;
	bool little = room < ROOM_LEAST;
	doctor_say(
		doc, little ? DOCTOR_WARN : DOCTOR_OK, "room",
		little ? "make room, or put the store elsewhere (--store, or store = in imgfs.conf)"
		       : NULL,
		"%s free for the store", format_size(room, size));
}

/* "/a/b" to "/a", "/a" to "/", "a" to ".". */
static void cut_last_name(char **path)
{
	const char *slash = strrchr(*path, '/');
	auto_free char *whole = *path;
	*path = !slash		 ? xstrdup(".")
		: slash == whole ? xstrdup("/")
				 : xstrndup(whole, (size_t)(slash - whole));
}

/* The nearest directory at or above a path that is there; the caller frees. */
static char *existing_above(const char *path)
{
	char *at = xstrdup(path);
	while (access(at, F_OK) && errno == ENOENT && strcmp(at, "."))
		cut_last_name(&at);
	return at;
}

/* Tried, since permissions do not tell of everything: nobody makes a directory in /proc. */
static err_t try_directory(const char *above)
{
	auto_free char *path = xasprintf("%s/.imgfs-doctor-XXXXXX", above);
	if (!mkdtemp(path))
		return -errno;
	return rmdir(path) ? -errno : 0;
}

/* @above  the directory, or the one that it will be made in */
static void check_store_dir(struct doctor *doc, const char *dir, const char *above, bool is_there)
{
	const char *later = is_there ? "" : "; it is made when it is first used";
	const char *what;
	struct statfs figures = {0};
	(void)statfs(above, &figures);
	err_t err = try_file(above, &what);
	if (err)
		doctor_say(doc, DOCTOR_WARN, "store",
			   "what is fetched is not kept; name another directory with --store",
			   "%s: %s: %s", above, what, strerror(-err));
	else if (is_remote((long)figures.f_type))
		doctor_say(doc, DOCTOR_WARN, "store",
			   "a local disk is faster, and a store is not for two machines at once",
			   "%s lies on %s%s", dir, filesystem_name((long)figures.f_type), later);
	else
		doctor_say(doc, DOCTOR_OK, "store", NULL, "%s, on %s%s", dir,
			   filesystem_name((long)figures.f_type), later);
	check_room(doc, above);
}

/* Looking makes none. */
static void check_store_to_be(struct doctor *doc, const char *dir)
{
	auto_free char *above = existing_above(dir);
	err_t err = try_directory(above);
	if (err)
		doctor_say(doc, DOCTOR_FAIL, "store",
			   "name another directory with --store, or store = in imgfs.conf",
			   "%s can not be made: no directory can be made in %s: %s", dir, above,
			   strerror(-err));
	else
		check_store_dir(doc, dir, above, false);
}

/* The one thing that keeps a directory of ours from being a store. */
static bool is_ours_but_open(const char *dir)
{
	struct stat st;
	return !lstat(dir, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
	       (st.st_mode & 077);
}

static void fail_store(struct doctor *doc, const char *dir, const struct diag *d)
{
	auto_free char *version = xasprintf("%s/v1", dir);
	const char *open = is_ours_but_open(dir) ? dir : is_ours_but_open(version) ? version : NULL;
	auto_free char *hint = open ? xasprintf("chmod 700 %s", open) : NULL;
	doctor_error(doc, DOCTOR_FAIL, "store", d,
		     hint ? hint : "name another directory with --store, or store = in imgfs.conf");
}

static void check_store(struct doctor *doc)
{
	struct diag d = DIAG_INIT;
	struct store *store = NULL;
	const char *named = doc->common.store;
	auto_free char *dir = named && *named ? xstrdup(named) : store_default_dir(&d);
	err_t err = dir ? store_open_there(dir, &store, &d) : -EINVAL;
	if (!err)
		check_store_dir(doc, store_dir(store), store_dir(store), true);
	else if (dir && err == -ENOENT)
		check_store_to_be(doc, dir);
	else
		fail_store(doc, dir ? dir : "", &d);
	store_close(&store);
}

/* ---- mounts ---- */

/* The directory, or the place for it: only the last names of its path are made. */
static void check_runtime_dir(struct doctor *doc)
{
	auto_free char *path = mounts_runtime_dir();
	auto_free char *above = xstrdup(path);
	struct mount_list list = {0};
	struct diag d = DIAG_INIT;
	err_t err;
	if (access(path, F_OK))
		cut_last_name(&above);
	doc->mounts_only = true;
	if (mounts_list(&list, &d))
		doctor_error(doc, DOCTOR_FAIL, "runtime directory", &d,
			     "make it a directory of yours with mode 0700, or set "
			     "$IMGFS_RUNTIME_DIR");
	else if ((err = try_directory(above)))
		doctor_say(doc, DOCTOR_FAIL, "runtime directory",
			   "log in so that there is one (pam_systemd), or set $IMGFS_RUNTIME_DIR",
			   "%s: no directory can be made in %s: %s", path, above, strerror(-err));
	else
		doctor_say(doc, DOCTOR_OK, "runtime directory", NULL, "%s, %zu live mount%s", path,
			   list.n, list.n == 1 ? "" : "s");
	doc->mounts_only = false;
	mount_list_fini(&list);
}

/* A look at a name that is not there, in a child, which may hang: the daemon of a mount is asked. A
 * STATFS would have it fetch (content_expect). 0, -errno, or -ETIMEDOUT. */
static err_t ask_mount(const char *path)
{
	auto_free char *name =
		xasprintf("%s/.imgfs-%d-%lld", path, (int)getpid(), (long long)now_ms());
	struct stat st;
	int status = 0, ends[2];
	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		_exit(lstat(name, &st) && errno != ENOENT ? errno : 0);
	close(ends[1]); /* the child's end closes with it */
	struct pollfd fd = {.fd = ends[0], .events = POLLIN};
	int n = pid > 0 ? poll(&fd, 1, ANSWER_MS) : 1;
	close(ends[0]);
	if (n == 0 && pid > 0)
		kill(pid, SIGKILL);
	if (pid > 0)
		while (waitpid(pid, &status, n == 0 ? WNOHANG : 0) < 0 && errno == EINTR)
			;
	if (n == 0)
		return -ETIMEDOUT;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

static void check_one_mount(struct doctor *doc, const char *path)
{
	err_t err = ask_mount(path);
	auto_free char *hint =
		xasprintf("imgfs umount %s%s", err == -ETIMEDOUT ? "--lazy " : "", path);
	if (err == -ENOTCONN)
		doctor_say(doc, DOCTOR_WARN, "dead mount", hint, "the daemon of %s is gone", path);
	else if (err == -ETIMEDOUT)
		doctor_say(doc, DOCTOR_WARN, "stuck mount", hint,
			   "the daemon of %s does not answer", path);
}

static void check_mounts(struct doctor *doc)
{
	FILE *table = setmntent("/proc/self/mounts", "re");
	struct mntent *entry;
	while (table && (entry = getmntent(table)))
		if (strcmp(entry->mnt_type, MOUNT_TYPE) == 0)
			check_one_mount(doc, entry->mnt_dir);
	if (table)
		endmntent(table);
}

void doctor_files(struct doctor *doc, const struct diag *conf_error, const struct conf *conf)
{
	check_conf(doc, conf_error, conf);
	check_trust(doc);
	check_store(doc);
	check_runtime_dir(doc);
	check_mounts(doc);
}
