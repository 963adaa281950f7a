/*
 * Whether images can be mounted by this user: the device, the helper, the kernel, and then the one
 * test that counts, a mount.
 */
#include "tools/doctor.h"

#include "fs/probe.h"
#include "fs/tune.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define FUSE_CONF     "/etc/fuse.conf"
#define FUSE_CONF_MAX (64u << 10)

static const char DEVICE[] = "/dev/fuse";

static void check_kernel(struct doctor *doc)
{
	struct utsname name;
	unsigned major = 0, minor = 0;
	if (uname(&name) || sscanf(name.release, "%u.%u", &major, &minor) != 2) {
		doctor_say(doc, DOCTOR_WARN, "kernel", "imgfs needs Linux 5.15 or later",
			   "its version is not known");
		return;
	}
	unsigned version = major * 1000 + minor;
	bool is_old = version < 5015;
	doctor_say(doc, is_old ? DOCTOR_WARN : DOCTOR_OK, "kernel",
		   is_old ? "imgfs is tested with Linux 5.15 and later" : NULL, "%s %s, %s",
		   name.sysname, name.release, name.machine);
}

static bool check_device(struct doctor *doc)
{
	struct stat st;
	if (stat(DEVICE, &st)) {
		doctor_say(
			doc, DOCTOR_FAIL, "fuse device",
			"as root: modprobe fuse; in a container: start it with --device /dev/fuse",
			"%s: %s", DEVICE, strerror(errno));
		return false;
	}
	auto_fd int fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		const char *hint = errno == EACCES
					   ? "as root: chmod 0666 /dev/fuse (or log in as a "
					     "member of its group)"
				   : errno == EPERM ? "the container's device rules forbid it: "
						      "start it with --device /dev/fuse"
						    : "as root: modprobe fuse";
		doctor_say(doc, DOCTOR_FAIL, "fuse device", hint, "%s can not be opened: %s",
			   DEVICE, strerror(errno));
		return false;
	}
	doctor_say(doc, DOCTOR_OK, "fuse device", NULL, "%s can be opened", DEVICE);
	return true;
}

/* How it comes to root's rights: by its mode here, by a file capability elsewhere. */
static bool may_mount(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && ((st.st_uid == 0 && (st.st_mode & S_ISUID)) ||
					faccessat(AT_FDCWD, path, X_OK, 0) != 0);
}

static bool check_fusermount(struct doctor *doc)
{
	static const char name[] = "fusermount3";
	auto_free char *path = doctor_program(name);
	enum doctor_level missing = doc->is_root ? DOCTOR_OK : DOCTOR_FAIL;
	if (!path) {
		doctor_say(doc, missing, name,
			   doc->is_root ? NULL : "as root: apt install fuse3 (dnf install fuse3)",
			   doc->is_root ? "it is not there; plain users need it, root does not"
					: "it is not there, and a plain user mounts through it");
		return doc->is_root;
	}
	if (may_mount(path)) {
		doctor_say(doc, DOCTOR_OK, name, NULL, "%s, set-user-id root", path);
		return true;
	}
	auto_free char *hint = xasprintf("as root: chown root %s && chmod u+s %s", path, path);
	doctor_say(doc, doc->is_root ? DOCTOR_WARN : DOCTOR_FAIL, name, hint,
		   "%s is not set-user-id root: plain users can not mount", path);
	return doc->is_root;
}

/* fusermount3 does not mount without it, and says so in words that few understand. */
static bool check_mtab(struct doctor *doc)
{
	if (doc->is_root || access("/etc/mtab", F_OK) == 0)
		return true;
	doctor_say(doc, DOCTOR_FAIL, "mtab", "as root: ln -s /proc/self/mounts /etc/mtab",
		   "there is no /etc/mtab, and fusermount3 does not mount without it");
	return false;
}

static bool has_line(const char *text, const char *wanted)
{
	size_t n = strlen(wanted);
	for (const char *at = text; at; at = strchr(at, '\n')) {
		at += strspn(at, " \t\n");
		if (strncmp(at, wanted, n) == 0 && !at[n + strspn(at + n, " \t\r")])
			return true;
		if (strncmp(at, wanted, n) == 0 && at[n + strspn(at + n, " \t\r")] == '\n')
			return true;
		if (!*at)
			break;
	}
	return false;
}

static void check_allow_other(struct doctor *doc)
{
	auto_buf struct buf text = {0};
	err_t err = read_file(FUSE_CONF, FUSE_CONF_MAX, &text);
	if (!err)
		err = buf_append_zeros(&text, 1);
	bool allowed = !err && has_line((const char *)text.p, "user_allow_other");
	if (doc->is_root)
		doctor_say(doc, DOCTOR_OK, "other users", NULL,
			   "root's mounts are for all users; -o allow_other of plain users: %s",
			   allowed ? "allowed" : "not allowed");
	else if (allowed)
		doctor_say(doc, DOCTOR_OK, "other users", NULL,
			   "-o allow_other lets other users, root too, see a mount");
	else
		doctor_say(doc, DOCTOR_WARN, "other users",
			   "as root: echo user_allow_other >> /etc/fuse.conf, if they shall",
			   "nobody else, not even root, can see your mounts: %s has no line "
			   "user_allow_other",
			   FUSE_CONF);
}

static void check_time_limit(struct doctor *doc)
{
	unsigned limit_s = tune_answer_limit_s();
	if (limit_s)
		doctor_say(doc, DOCTOR_WARN, "time limit",
			   "see /proc/sys/fs/fuse/default_request_timeout and max_request_timeout",
			   "the kernel ends a mount that answers too late: reads fail after %u s",
			   limit_s);
}

static void check_mount(struct doctor *doc)
{
	struct diag d = DIAG_INIT;
	struct mount_probe probe;
	if (mount_probe(&probe, &d))
		doctor_error(doc, DOCTOR_FAIL, "mounting", &d,
			     doc->is_root ? "a container needs --device /dev/fuse and --cap-add "
					    "SYS_ADMIN to mount"
					  : "see the lines above");
	else
		doctor_say(doc, DOCTOR_OK, "mounting", NULL, "works%s; FUSE protocol %u.%u",
			   doc->is_root ? "" : ", through fusermount3", probe.major, probe.minor);
}

void doctor_kernel(struct doctor *doc)
{
	doc->mounts_only = true;
	check_kernel(doc);
	bool device = check_device(doc);
	bool helper = check_fusermount(doc);
	bool mtab = check_mtab(doc);
	check_allow_other(doc);
	check_time_limit(doc);
	if (device && helper && mtab)
		check_mount(doc);
	doc->mounts_only = false;
}
