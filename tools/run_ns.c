/*
 * A process that has entered a user namespace has no rights over its map: newuidmap must be started
 * by one that stayed outside. So a helper is forked first, and waits until the namespace is there.
 */
#include "tools/run_ns.h"

#include "fetch/log.h"
#include "fetch/store.h"
#include "fs/mounts.h"
#include "tools/run_process.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define ID_FILE_MAX (1u << 20) /* /etc/subuid of a large site */
#define TTY_GROUP   5
#define MAP_ALL	    4294967295u /* the length of the first namespace's map */

/* ---- files of ids ---- */

static void line_end(const char **at, const char *end, const char **line, size_t *n)
{
	const char *stop = memchr(*at, '\n', (size_t)(end - *at));
	*line = *at;
	*n = (size_t)((stop ? stop : end) - *at);
	*at += *n + (stop ? 1 : 0);
}

bool run_ns_range(struct bytes file, const char *name, uint32_t uid, uint32_t *first,
		  uint32_t *count)
{
	const char *at = (const char *)file.p, *end = at + file.n, *line;
	char number[16];
	size_t n;
	snprintf(number, sizeof(number), "%" PRIu32, uid);
	while (at < end) {
		line_end(&at, end, &line, &n);
		auto_free char *text = xstrndup(line, n);
		char *rest = text, *who = strsep(&rest, ":");
		if (!rest || (strcmp(who, number) && (!name || strcmp(who, name))))
			continue;
		unsigned long long from, many;
		if (sscanf(rest, "%10llu:%10llu", &from, &many) != 2 || many == 0 ||
		    from + many > UINT32_MAX)
			continue;
		*first = (uint32_t)from;
		*count = (uint32_t)many;
		return true;
	}
	return false;
}

bool run_ns_maps(struct bytes map, uint32_t id)
{
	const char *at = (const char *)map.p, *end = at + map.n, *line;
	size_t n;
	while (at < end) {
		unsigned long long inside, outside, many;
		line_end(&at, end, &line, &n);
		auto_free char *text = xstrndup(line, n);
		if (sscanf(text, " %10llu %10llu %10llu", &inside, &outside, &many) == 3 &&
		    id >= inside && id - inside < many)
			return true;
	}
	return false;
}

static bool range_of_user(const char *path, uint32_t *first, uint32_t *count)
{
	auto_buf struct buf text = {0};
	const struct passwd *entry = getpwuid(geteuid());
	return read_file(path, ID_FILE_MAX, &text) == 0 &&
	       run_ns_range(buf_bytes(&text), entry ? entry->pw_name : NULL, geteuid(), first,
			    count);
}

/* ---- the helper ---- */

/* newuidmap PID 0 ID 1 1 FIRST COUNT */
static int map_ids(const char *program, pid_t pid, uint32_t id, uint32_t first, uint32_t count)
{
	char texts[4][16];
	const uint32_t values[] = {(uint32_t)pid, id, first, count};
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		snprintf(texts[i], sizeof(texts[i]), "%" PRIu32, values[i]);
	return process_run((const char *const[]){program, texts[0], "0", texts[1], "1", "1",
						 texts[2], texts[3], NULL});
}

struct helper {
	pid_t pid; /* 0: none, a single id it is */
	int tell;  /* a byte begins the work, its end means that there is none */
};

static void helper_work(pid_t parent, int told)
{
	uint32_t first, count;
	char byte;
	if (read(told, &byte, 1) != 1)
		_exit(1);
	if (!range_of_user("/etc/subuid", &first, &count) ||
	    map_ids("newuidmap", parent, geteuid(), first, count))
		_exit(1);
	if (!range_of_user("/etc/subgid", &first, &count) ||
	    map_ids("newgidmap", parent, getegid(), first, count))
		_exit(1);
	_exit(0);
}

/* Only where it has a chance: a map that was written in part can not be written again. */
static void helper_start(struct helper *helper)
{
	auto_free char *users = process_find("newuidmap");
	auto_free char *groups = process_find("newgidmap");
	uint32_t first, count;
	pid_t parent = getpid();
	int ends[2];
	*helper = (struct helper){.tell = -1};
	if (!users || !groups || !range_of_user("/etc/subuid", &first, &count) ||
	    !range_of_user("/etc/subgid", &first, &count) || pipe2(ends, O_CLOEXEC))
		return;
	helper->pid = fork();
	if (helper->pid == 0) {
		close(ends[1]);
		helper_work(parent, ends[0]);
	}
	close(ends[0]);
	if (helper->pid < 0) {
		close(ends[1]);
		helper->pid = 0;
		return;
	}
	helper->tell = ends[1];
}

/* Whether the maps are written now; go false: let it go. */
static bool helper_finish(struct helper *helper, bool go)
{
	int status = 1;
	if (!helper->pid)
		return false;
	if (go && write_all(helper->tell, "", 1))
		go = false;
	close(helper->tell);
	while (waitpid(helper->pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return go && status == 0;
}

static err_t write_proc(const char *name, const char *text, struct diag *d)
{
	auto_free char *path = xasprintf("/proc/self/%s", name);
	auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
	err_t err = fd < 0 ? -errno : write_all(fd, text, strlen(text));
	return err ? fail_sys(d, ERR_DENIED, err, "%s", path) : 0;
}

static err_t map_single(uid_t uid, gid_t gid, struct diag *d)
{
	auto_free char *users = xasprintf("0 %u 1\n", uid);
	auto_free char *groups = xasprintf("0 %u 1\n", gid);
	err_t err = write_proc("setgroups", "deny", d);
	if (!err)
		err = write_proc("gid_map", groups, d);
	return err ? err : write_proc("uid_map", users, d);
}

/* ---- entering ---- */

/* The path with what exists of it resolved: a link of root's is a stranger's inside. */
static char *resolve_start(const char *path)
{
	auto_free char *head = xstrdup(path);
	for (;;) {
		auto_free char *real = realpath(head, NULL);
		char *slash = strrchr(head, '/');
		if (real)
			return xasprintf("%s%s", real, path + strlen(head));
		if (!slash || slash == head)
			return xstrdup(path);
		*slash = '\0';
	}
}

static void pin_environment(void)
{
	auto_free char *store = store_default_dir(NULL);
	auto_free char *runtime = mounts_runtime_dir();
	auto_free char *real = store ? resolve_start(store) : NULL;
	if (real)
		setenv("IMGFS_STORE", real, 1);
	setenv("IMGFS_RUNTIME_DIR", runtime, 1);
}

static err_t enter_failed(err_t err, struct diag *d)
{
	if (err == -ENOSPC || err == -EUSERS)
		return fail(d, ERR_DENIED, err,
			    "this system allows no (more) user namespaces; raise "
			    "user.max_user_namespaces, or run as root");
	return fail_sys(d, ERR_DENIED, err,
			"this system gives plain users no user namespace to mount in; as root it "
			"works; see kernel.unprivileged_userns_clone and "
			"kernel.apparmor_restrict_unprivileged_userns");
}

static err_t enter_as_user(struct diag *d)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	struct helper helper;
	err_t err = 0;
	pin_environment();
	helper_start(&helper);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		err = -errno;
	bool had_helper = helper.pid != 0, mapped = helper_finish(&helper, !err);
	if (err)
		return enter_failed(err, d);
	if (mapped)
		return 0;
	if (had_helper)
		log_warn("run.ids", "newuidmap failed: only your own id is there, as root");
	return map_single(uid, gid, d);
}

static bool maps(const char *path, uint32_t id)
{
	auto_buf struct buf text = {0};
	return read_file(path, ID_FILE_MAX, &text) == 0 && run_ns_maps(buf_bytes(&text), id);
}

static bool groups_denied(void)
{
	auto_buf struct buf text = {0};
	return read_file("/proc/self/setgroups", 64, &text) == 0 && text.n >= 4 &&
	       !memcmp(text.p, "deny", 4);
}

static void look_around(struct run_ns *out)
{
	static const char users[] = "/proc/self/uid_map", groups[] = "/proc/self/gid_map";
	*out = (struct run_ns){
		.in_user_ns = !maps(users, MAP_ALL - 1),
		.single_id = !maps(users, 1),
		.groups_fixed = groups_denied(),
		.no_tty_group = !maps(groups, TTY_GROUP),
	};
}

err_t run_ns_enter(struct run_ns *out, struct diag *d)
{
	err_t err = 0;
	if (geteuid() != 0)
		err = enter_as_user(d);
	else if (unshare(CLONE_NEWNS))
		err = fail_sys(d, ERR_DENIED, -errno,
			       "no mount namespace of its own: the right to mount (CAP_SYS_ADMIN) "
			       "is missing");
	if (err)
		return err;
	/* What the machine mounts and unmounts later is seen here, too, but nothing the other way.
	 */
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL))
		return errno != EINVAL ? fail_sys(d, ERR_OTHER, -errno, "mount namespace")
				       : fail(d, ERR_OTHER, -EINVAL,
					      "the root directory is no mount point (a chroot?), "
					      "so no container can be started in it; outside, "
					      "'mount --rbind DIR DIR' before 'chroot DIR' helps");
	look_around(out);
	return 0;
}
