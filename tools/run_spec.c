/*
 * The values that docker and podman have given to containers for years are repeated here: programs
 * in images rely on them.
 */
#include "tools/run_spec.h"

#include "tools/format.h"
#include "tools/json_out.h"
#include "tools/run_caps.h"

#include <string.h>

#define LINE_DEPTH 3 /* "process": {"env": [ one a line ]}; below that one line */

struct fixed_mount {
	const char *target, *type, *source;
	const char *options[8];
};

/* What every container has, in the order in which it is mounted. */
static const struct fixed_mount proc = {"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}};
static const struct fixed_mount dev = {
	"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}};
static const struct fixed_mount terminals = {
	"/dev/pts",
	"devpts",
	"devpts",
	{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}};
/* An own user namespace may lack the group 5. */
static const struct fixed_mount terminals_no_group = {
	"/dev/pts",
	"devpts",
	"devpts",
	{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}};
static const struct fixed_mount shared_memory = {
	"/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}};
static const struct fixed_mount queues = {
	"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}};
static const struct fixed_mount sys = {
	"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}};
static const struct fixed_mount sys_writable = {
	"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "rw"}};
/* A sysfs shows a network namespace, and takes rights over it to mount. */
static const struct fixed_mount sys_of_host = {
	"/sys", "none", "/sys", {"rbind", "nosuid", "noexec", "nodev", "ro"}};

static const char *const masked[] = {
	"/proc/acpi",	     "/proc/asound",  "/proc/interrupts",
	"/proc/kcore",	     "/proc/keys",    "/proc/latency_stats",
	"/proc/sched_debug", "/proc/scsi",    "/proc/timer_list",
	"/proc/timer_stats", "/sys/firmware", "/sys/devices/virtual/powercap",
};
static const char *const guarded[] = {
	"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

/* ---- values ---- */

void run_spec_bind(struct run_spec *spec, char *source, char *target, bool read_only)
{
	if (!try_grow(&spec->binds, spec->n_binds, &spec->binds_cap, sizeof(*spec->binds)))
		abort();
	spec->binds[spec->n_binds++] =
		(struct run_bind){.source = source, .target = target, .read_only = read_only};
}

static err_t check_text(const char *what, const char *text, struct diag *d)
{
	if (format_is_utf8(BYTES_STR(text)))
		return 0;
	return fail(d, ERR_USAGE, -EINVAL, "%s '%s' is not UTF-8: no OCI runtime can be told", what,
		    text);
}

static err_t check_list(const char *what, char *const *list, struct diag *d)
{
	err_t err = 0;
	for (; !err && list && *list; list++)
		err = check_text(what, *list, d);
	return err;
}

err_t run_spec_check(const struct run_spec *spec, struct diag *d)
{
	err_t err = check_list("argument", spec->args, d);
	if (!err)
		err = check_list("environment", spec->env.entries, d);
	if (!err)
		err = check_text("working directory", spec->cwd, d);
	for (size_t i = 0; !err && i < spec->n_binds; i++) {
		err = check_text("volume", spec->binds[i].source, d);
		if (!err)
			err = check_text("volume", spec->binds[i].target, d);
	}
	for (size_t i = 0; !err && i < spec->n_tmpfs; i++)
		err = check_text("--tmpfs", spec->tmpfs[i].target, d);
	return err;
}

void run_spec_fini(struct run_spec *spec)
{
	for (char **arg = spec->args; arg && *arg; arg++)
		free(*arg);
	free(spec->args);
	for (size_t i = 0; i < spec->n_binds; i++) {
		free(spec->binds[i].source);
		free(spec->binds[i].target);
	}
	free(spec->binds);
	for (size_t i = 0; i < spec->n_tmpfs; i++) {
		free(spec->tmpfs[i].target);
		free(spec->tmpfs[i].options);
	}
	free(spec->tmpfs);
	run_env_fini(&spec->env);
	run_user_fini(&spec->user);
	free(spec->cwd);
	free(spec->hostname);
	free(spec->reference);
	free(spec->stop_signal);
	*spec = (struct run_spec){0};
}

/* ---- config.json ---- */

static void put_texts(struct json_out *j, const char *key, char *const *texts)
{
	json_put_array(j, key);
	for (; texts && *texts; texts++)
		json_put_text(j, NULL, *texts);
	json_put_end(j);
}

static void put_constants(struct json_out *j, const char *key, const char *const *texts, size_t n)
{
	json_put_array(j, key);
	for (size_t i = 0; i < n; i++)
		json_put_text(j, NULL, texts[i]);
	json_put_end(j);
}

static void put_user(struct json_out *j, const struct run_spec *spec)
{
	const struct run_user *user = &spec->user;
	json_put_object(j, "user");
	json_put_number(j, "uid", user->uid);
	json_put_number(j, "gid", user->gid);
	if (!spec->groups_fixed) {
		json_put_array(j, "additionalGids");
		/* Its own group is one of them, so that a setgid program can not lose a restriction
		 * (CVE-2022-36109). */
		json_put_number(j, NULL, user->gid);
		for (size_t i = 0; i < user->n_groups; i++)
			if (user->groups[i] != user->gid)
				json_put_number(j, NULL, user->groups[i]);
		json_put_end(j);
	}
	json_put_end(j);
}

static void put_capability_set(struct json_out *j, const char *key, uint64_t set)
{
	json_put_array(j, key);
	for (unsigned bit = 0; run_caps_name(bit); bit++)
		if (set & UINT64_C(1) << bit)
			json_put_text(j, NULL, run_caps_name(bit));
	json_put_end(j);
}

/* Another user than root has none, but may get them from a set-user-id program. */
static void put_capabilities(struct json_out *j, const struct run_spec *spec)
{
	uint64_t own = spec->user.uid == 0 ? spec->caps : 0;
	json_put_object(j, "capabilities");
	put_capability_set(j, "bounding", spec->caps);
	put_capability_set(j, "effective", own);
	put_capability_set(j, "permitted", own);
	json_put_end(j);
}

static void put_process(struct json_out *j, const struct run_spec *spec)
{
	json_put_object(j, "process");
	json_put_bool(j, "terminal", spec->terminal);
	if (spec->terminal && spec->rows && spec->columns) {
		json_put_object(j, "consoleSize");
		json_put_number(j, "height", spec->rows);
		json_put_number(j, "width", spec->columns);
		json_put_end(j);
	}
	put_user(j, spec);
	put_texts(j, "args", spec->args);
	put_texts(j, "env", spec->env.entries);
	json_put_text(j, "cwd", spec->cwd);
	put_capabilities(j, spec);
	json_put_bool(j, "noNewPrivileges", false);
	json_put_end(j);
}

static void put_mount(struct json_out *j, const struct fixed_mount *m)
{
	size_t n = 0;
	while (n < ARRAY_LEN(m->options) && m->options[n])
		n++;
	json_put_object(j, NULL);
	json_put_text(j, "destination", m->target);
	json_put_text(j, "type", m->type);
	json_put_text(j, "source", m->source);
	put_constants(j, "options", m->options, n);
	json_put_end(j);
}

static void put_bind(struct json_out *j, const struct run_bind *bind)
{
	const char *const options[] = {"rbind", "rprivate", bind->read_only ? "ro" : "rw"};
	json_put_object(j, NULL);
	json_put_text(j, "destination", bind->target);
	json_put_text(j, "type", "bind");
	json_put_text(j, "source", bind->source);
	put_constants(j, "options", options, ARRAY_LEN(options));
	json_put_end(j);
}

static void put_tmpfs(struct json_out *j, const struct run_spec *spec, bool in_volume)
{
	for (size_t i = 0; i < spec->n_tmpfs; i++) {
		if (spec->tmpfs[i].in_volume != in_volume)
			continue;
		auto_free char *options = xstrdup(spec->tmpfs[i].options);
		json_put_object(j, NULL);
		json_put_text(j, "destination", spec->tmpfs[i].target);
		json_put_text(j, "type", "tmpfs");
		json_put_text(j, "source", "tmpfs");
		json_put_array(j, "options");
		for (char *rest = options, *word; (word = strsep(&rest, ","));)
			json_put_text(j, NULL, word);
		json_put_end(j);
		json_put_end(j);
	}
}

static const struct fixed_mount *sys_mount(const struct run_spec *spec)
{
	if (spec->in_user_ns)
		return &sys_of_host;
	return spec->privileged ? &sys_writable : &sys;
}

static void put_mounts(struct json_out *j, const struct run_spec *spec)
{
	const struct fixed_mount *const fixed[] = {
		&proc,		&dev,	 spec->no_tty_group ? &terminals_no_group : &terminals,
		&shared_memory, &queues, sys_mount(spec),
	};
	json_put_array(j, "mounts");
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		put_mount(j, fixed[i]);
	put_tmpfs(j, spec, false);
	for (size_t i = 0; i < spec->n_binds; i++)
		put_bind(j, &spec->binds[i]);
	put_tmpfs(j, spec, true);
	json_put_end(j);
}

static void put_namespaces(struct json_out *j, const struct run_spec *spec)
{
	static const char *const kinds[] = {"pid", "ipc", "uts", "mount", "network"};
	size_t n = ARRAY_LEN(kinds) - (spec->net == RUN_NET_HOST ? 1 : 0);
	json_put_array(j, "namespaces");
	for (size_t i = 0; i < n; i++) {
		json_put_object(j, NULL);
		json_put_text(j, "type", kinds[i]);
		json_put_end(j);
	}
	json_put_end(j);
}

/* All devices are closed; a runtime opens the usual ones (null, zero, random, tty...) by itself. */
static void put_device_rule(struct json_out *j, bool allow)
{
	json_put_object(j, "resources");
	json_put_array(j, "devices");
	json_put_object(j, NULL);
	json_put_bool(j, "allow", allow);
	json_put_text(j, "access", "rwm");
	json_put_end(j);
	json_put_end(j);
	json_put_end(j);
}

static void put_linux(struct json_out *j, const struct run_spec *spec)
{
	json_put_object(j, "linux");
	put_namespaces(j, spec);
	put_device_rule(j, spec->privileged);
	put_constants(j, "maskedPaths", masked, spec->privileged ? 0 : ARRAY_LEN(masked));
	put_constants(j, "readonlyPaths", guarded, spec->privileged ? 0 : ARRAY_LEN(guarded));
	json_put_end(j);
}

static void put_annotations(struct json_out *j, const struct run_spec *spec)
{
	json_put_object(j, "annotations");
	json_put_text(j, "org.opencontainers.image.ref.name", spec->reference);
	json_put_text(j, "org.opencontainers.image.stopSignal", spec->stop_signal);
	json_put_end(j);
}

void run_spec_write(const struct run_spec *spec, FILE *out)
{
	struct json_out j;
	json_out_start(&j, out, LINE_DEPTH);
	json_put_object(&j, NULL);
	json_put_text(&j, "ociVersion", "1.0.2");
	put_process(&j, spec);
	json_put_object(&j, "root");
	json_put_text(&j, "path", "rootfs");
	json_put_bool(&j, "readonly", spec->read_only);
	json_put_end(&j);
	json_put_text(&j, "hostname", spec->hostname);
	put_mounts(&j, spec);
	put_annotations(&j, spec);
	put_linux(&j, spec);
	json_put_end(&j);
}
