/*
 * What a mount is good for on this machine: lines of fstab, overlays, containers, user namespaces.
 * Nothing here keeps an image from being mounted, so nothing here is a failure.
 */
#include "tools/doctor.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EPOCH_LEAST 1735689600 /* 2025-01-01: this program is younger */
#define EPOCH_MOST  4102444800 /* 2100-01-01 */

static const char MOUNT_HELPER[] = "/sbin/mount.imgfs";

static void check_clock(struct doctor *doc)
{
	int64_t now = time(NULL);
	if (now < EPOCH_LEAST || now > EPOCH_MOST)
		doctor_say(doc, DOCTOR_WARN, "clock",
			   "set it: certificates and tokens are refused with a wrong clock",
			   "it says %lld seconds since 1970", (long long)now);
}

static void check_mount_helper(struct doctor *doc)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (access(MOUNT_HELPER, X_OK) == 0) {
		doctor_say(doc, DOCTOR_OK, "mount -t imgfs", NULL, "%s is there", MOUNT_HELPER);
		return;
	}
	auto_free char *hint = xasprintf("as root: ln -s %.*s %s", n > 0 ? (int)n : 5,
					 n > 0 ? self : "imgfs", MOUNT_HELPER);
	doctor_say(doc, DOCTOR_WARN, "mount -t imgfs", hint,
		   "there is no %s: mount(8) and lines of fstab do not know imgfs", MOUNT_HELPER);
}

static bool filesystem_known(const char *name)
{
	auto_buf struct buf text = {0};
	auto_free char *line = xasprintf("\t%s\n", name);
	if (read_file("/proc/filesystems", 64u << 10, &text) || buf_append_zeros(&text, 1))
		return false;
	return strstr((const char *)text.p, line) != NULL;
}

static void check_overlay(struct doctor *doc)
{
	if (filesystem_known("overlay"))
		doctor_say(doc, DOCTOR_OK, "overlay", NULL,
			   "a writable layer can be put on an image");
	else
		doctor_say(doc, DOCTOR_WARN, "overlay", "as root: modprobe overlay",
			   "the kernel has no overlay now: images stay read-only");
}

static void check_runtime(struct doctor *doc)
{
	static const char *const names[] = {"crun", "runc"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		auto_free char *path = doctor_program(names[i]);
		if (!path)
			continue;
		doctor_say(doc, DOCTOR_OK, "container runtime", NULL, "%s", path);
		return;
	}
	doctor_say(doc, DOCTOR_WARN, "container runtime", "as root: apt install crun (or runc)",
		   "neither crun nor runc is in $PATH: no containers from images");
}

/* A child tries it: what it becomes it stays. */
static bool namespace_works(int kind)
{
	int status = 0;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		_exit(unshare(kind) ? 1 : 0);
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
}

static unsigned long setting(const char *path, unsigned long otherwise)
{
	auto_buf struct buf text = {0};
	if (read_file(path, 64, &text) || buf_append_zeros(&text, 1))
		return otherwise;
	return strtoul((const char *)text.p, NULL, 10);
}

/* The setting that keeps plain users from them; NULL: none is known. */
static const char *namespaces_hint(void)
{
	if (setting("/proc/sys/user/max_user_namespaces", 1) == 0)
		return "as root: sysctl user.max_user_namespaces=15000";
	if (setting("/proc/sys/kernel/unprivileged_userns_clone", 1) == 0)
		return "as root: sysctl kernel.unprivileged_userns_clone=1";
	if (setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", 0) == 1)
		return "as root: sysctl kernel.apparmor_restrict_unprivileged_userns=0";
	return NULL;
}

static void check_namespaces(struct doctor *doc)
{
	const char *hint = namespaces_hint();
	if (!namespace_works(CLONE_NEWUSER))
		doctor_say(doc, DOCTOR_WARN, "user namespaces",
			   hint ? hint
				: "rules of a container or of the system forbid them (seccomp)",
			   "not allowed%s", doc->is_root ? "" : ": no containers without root");
	else if (hint)
		doctor_say(doc, DOCTOR_WARN, "user namespaces", hint,
			   "restricted: no containers without root");
	else
		doctor_say(doc, DOCTOR_OK, "user namespaces", NULL,
			   "allowed: containers without root");
}

static void check_cgroup(struct doctor *doc)
{
	struct statfs figures;
	if (statfs("/sys/fs/cgroup", &figures)) {
		doctor_say(doc, DOCTOR_WARN, "cgroups", "mount cgroup2 on /sys/fs/cgroup",
			   "/sys/fs/cgroup: %s: container runtimes want it", strerror(errno));
		return;
	}
	bool v2 = figures.f_type == CGROUP2_SUPER_MAGIC;
	doctor_say(doc, DOCTOR_OK, "cgroups", NULL, "version %s", v2 ? "2" : "1");
}

void doctor_system(struct doctor *doc)
{
	check_clock(doc);
	check_mount_helper(doc);
	check_overlay(doc);
	check_runtime(doc);
	check_namespaces(doc);
	check_cgroup(doc);
}
