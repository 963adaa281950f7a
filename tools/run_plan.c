/*
 * Precedence: an option, else the image's config, else what docker does.
 */
#include "tools/run_plan.h"

#include "tools/run_caps.h"
#include "tools/run_tmpfs.h"

#include <limits.h>
#include <signal.h>
#include <string.h>

#define PATH_DEFAULT "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define NAME_CHARS                                                                                 \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-" /* of an OCI runtime   \
									     */

size_t run_plan_rows(struct run_options *o, struct option_row *rows)
{
	const struct option_row table[RUN_PLAN_ROWS] = {
		{'t', "tty", OPT_FLAG, &o->terminal, NULL, "give the command a terminal"},
		{'e', "env", OPT_EACH, &o->env, "NAME[=VALUE]",
		 "set a variable; without VALUE: as it is here"},
		{0, "env-file", OPT_EACH, &o->env_files, "FILE", "lines of NAME=VALUE"},
		{'v', "volume", OPT_EACH, &o->volumes, "SRC:DST[:ro]",
		 "show a file or directory of this machine at DST"},
		{'w', "workdir", OPT_STRING, &o->workdir, "DIR", "start in this directory"},
		{'u', "user", OPT_STRING, &o->user, "USER[:GROUP]",
		 "names of the image, or numbers"},
		{0, "entrypoint", OPT_STRING, &o->entrypoint, "PROGRAM",
		 "in place of the image's; '': none"},
		{0, "network", OPT_STRING, &o->net, "host|none",
		 "this machine's network, or only a loopback of its own (host)"},
		{0, "net", OPT_STRING, &o->net, "host|none", "short for --network"},
		{0, "read-only", OPT_FLAG, &o->read_only, NULL,
		 "only /run, /tmp, /var/tmp (in memory) and volumes can be written"},
		{0, "tmpfs", OPT_EACH, &o->tmpfs, "DIR[:OPTIONS]",
		 "an empty DIR in memory; size=64m, mode=755, ro, exec"},
		{0, "hostname", OPT_STRING, &o->hostname, "NAME", "the host's name inside"},
		{0, "name", OPT_STRING, &o->name, "NAME", "name the container"},
		{0, "cap-add", OPT_EACH, &o->cap_add, "CAP", "a capability more, or ALL"},
		{0, "cap-drop", OPT_EACH, &o->cap_drop, "CAP", "a capability less, or ALL"},
		{0, "privileged", OPT_FLAG, &o->privileged, NULL,
		 "all capabilities, nothing hidden"},
	};
	memcpy(rows, table, sizeof(table));
	return RUN_PLAN_ROWS;
}

/* ---- what can be said at once ---- */

static err_t check_name(const char *option, const char *name, size_t max, struct diag *d)
{
	if (!name || (*name && !strchr("_.-", *name) && strlen(name) <= max &&
		      !name[strspn(name, NAME_CHARS)]))
		return 0;
	return fail(d, ERR_USAGE, -EINVAL,
		    "%s '%s': 1 to %zu letters, digits and '_.-', beginning with a letter or digit",
		    option, name, max);
}

err_t run_plan_check(const struct run_options *o, struct diag *d)
{
	uint64_t set;
	err_t err = check_name("--name", o->name, 100, d);
	if (!err)
		err = check_name("--hostname", o->hostname, HOST_NAME_MAX, d);
	if (!err && o->workdir && *o->workdir != '/')
		err = fail(d, ERR_USAGE, -EINVAL, "-w '%s': an absolute path is needed",
			   o->workdir);
	if (!err && o->net && strcmp(o->net, "host") && strcmp(o->net, "none"))
		err = fail(d, ERR_USAGE, -EINVAL, "--network: 'host' or 'none', not '%s'", o->net);
	for (size_t i = 0; !err && i < o->tmpfs.n; i++) {
		struct run_tmpfs tmpfs;
		err = run_tmpfs_parse(o->tmpfs.texts[i], &tmpfs, d);
		if (!err)
			run_tmpfs_fini(&tmpfs);
	}
	for (size_t i = 0; !err && i < o->cap_add.n; i++)
		err = run_caps_parse(o->cap_add.texts[i], &set, d);
	for (size_t i = 0; !err && i < o->cap_drop.n; i++)
		err = run_caps_parse(o->cap_drop.texts[i], &set, d);
	return err;
}

int run_signal_parse(const char *text)
{
	const char *name = strncmp(text, "SIG", 3) ? text : text + 3;
	char *end;
	if (*name >= '0' && *name <= '9') {
		unsigned long number = strtoul(name, &end, 10);
		return !*end && number <= (unsigned long)SIGRTMAX ? (int)number : 0;
	}
	if (!strncmp(name, "RTMIN+", 6) && name[6] >= '0' && name[6] <= '9') {
		unsigned long above = strtoul(name + 6, &end, 10);
		return !*end && above <= (unsigned long)(SIGRTMAX - SIGRTMIN)
			       ? SIGRTMIN + (int)above
			       : 0;
	}
	for (int i = 1; i < SIGRTMIN; i++) {
		const char *known = sigabbrev_np(i);
		if (known && !strcmp(known, name))
			return i;
	}
	return 0;
}

/* ---- the parts of a spec ---- */

static size_t list_length(char *const *list)
{
	size_t n = 0;
	while (list && list[n])
		n++;
	return n;
}

/* Entrypoint and command, as docker puts them together. */
static err_t make_args(const struct run_options *o, const struct image_config *config,
		       char *const *words, struct run_spec *out, struct diag *d)
{
	char *named[] = {(char *)(uintptr_t)o->entrypoint, NULL}, *none[] = {NULL};
	char *const *first = config->entrypoint, *const *second = config->cmd;
	size_t n = 0;
	if (o->entrypoint)
		first = *o->entrypoint ? named : none;
	if (list_length(words))
		second = words;
	else if (o->entrypoint && *o->entrypoint)
		second = none;
	out->args = xcalloc(list_length(first) + list_length(second) + 1, sizeof(*out->args));
	for (; first && *first; first++)
		out->args[n++] = xstrdup(*first);
	for (; second && *second; second++)
		out->args[n++] = xstrdup(*second);
	if (n)
		return 0;
	return fail(d, ERR_USAGE, -EINVAL, "the image names no command; add one behind REF");
}

static err_t read_env_file(const char *path, struct run_env *env, struct diag *d)
{
	auto_buf struct buf text = {0};
	err_t err = read_file(path, RUN_ENV_FILE_MAX, &text);
	if (err)
		return fail_sys(d, ERR_NOT_FOUND, err, "--env-file %s", path);
	return run_env_read(env, buf_bytes(&text), path, d);
}

static err_t make_env(const struct run_options *o, const struct image_config *config,
		      struct run_spec *out, struct diag *d)
{
	auto_free char *host = xasprintf("HOSTNAME=%s", out->hostname);
	err_t err = 0;
	run_env_default(&out->env, PATH_DEFAULT);
	run_env_default(&out->env, host);
	if (out->terminal)
		run_env_default(&out->env, "TERM=xterm");
	/* What another tool wrote into the config may be any text. */
	for (char *const *entry = config->env; !err && entry && *entry; entry++)
		if (strchr(*entry, '=') && **entry != '=')
			err = run_env_set(&out->env, *entry, d);
	for (size_t i = 0; !err && i < o->env_files.n; i++)
		err = read_env_file(o->env_files.texts[i], &out->env, d);
	for (size_t i = 0; !err && i < o->env.n; i++) {
		err = run_env_set(&out->env, o->env.texts[i], d);
		if (err)
			diag_prepend(d, "-e");
	}
	return err;
}

/* SRC:DST[:ro|rw] */
static err_t make_volume(const char *text, struct run_spec *out, struct diag *d)
{
	auto_free char *copy = xstrdup(text);
	char *rest = copy, *source = strsep(&rest, ":"), *target = strsep(&rest, ":");
	const char *access = rest ? rest : "rw";
	if (!target || !*source || *target != '/')
		return fail(d, ERR_USAGE, -EINVAL,
			    "-v '%s': SRC:DST or SRC:DST:ro, and DST is an absolute path", text);
	if (strcmp(access, "ro") && strcmp(access, "rw"))
		return fail(d, ERR_USAGE, -EINVAL, "-v '%s': 'ro' or 'rw', not '%s'", text, access);
	if (!target[strspn(target, "/")])
		return fail(d, ERR_USAGE, -EINVAL, "-v '%s': would hide the image", text);
	char *real = realpath(source, NULL);
	if (!real)
		return fail_sys(d, ERR_NOT_FOUND, -errno, "-v %s", source);
	run_spec_bind(out, real, xstrdup(target), !strcmp(access, "ro"));
	return 0;
}

static uint64_t make_caps(const struct run_options *o)
{
	uint64_t set = o->privileged ? run_caps_here() : run_caps_default(), one = 0;
	bool drop_all = false;
	/* ALL first, so that it can be narrowed or widened whatever the order of the options */
	for (size_t i = 0; i < o->cap_drop.n; i++)
		if (!run_caps_parse(o->cap_drop.texts[i], &one, NULL))
			drop_all = drop_all || one == RUN_CAPS_ALL;
	if (drop_all)
		set = 0;
	for (size_t i = 0; i < o->cap_add.n; i++)
		if (!run_caps_parse(o->cap_add.texts[i], &one, NULL))
			set |= one == RUN_CAPS_ALL ? run_caps_here() : one;
	for (size_t i = 0; i < o->cap_drop.n; i++)
		if (!run_caps_parse(o->cap_drop.texts[i], &one, NULL) && one != RUN_CAPS_ALL)
			set &= ~one;
	return set;
}

static char *make_cwd(const struct run_options *o, const struct image_config *config)
{
	const char *dir = o->workdir ? o->workdir : config->working_dir;
	if (!dir || !*dir)
		return xstrdup("/");
	return *dir == '/' ? xstrdup(dir) : xasprintf("/%s", dir);
}

err_t run_plan_make(const struct run_options *o, const struct image_config *config,
		    char *const *words, const char *hostname, struct run_spec *out, struct diag *d)
{
	const char *stop = config->stop_signal;
	err_t err;
	*out = (struct run_spec){
		.cwd = make_cwd(o, config),
		.hostname = xstrdup(o->hostname ? o->hostname
				    : o->name	? o->name
						: hostname),
		.reference = xstrdup(""),
		.stop_signal = xstrdup(stop && run_signal_parse(stop) ? stop : "SIGTERM"),
		.caps = make_caps(o),
		.net = o->net && !strcmp(o->net, "none") ? RUN_NET_NONE : RUN_NET_HOST,
		.terminal = o->terminal,
		.read_only = o->read_only,
		.privileged = o->privileged,
	};
	err = make_args(o, config, words, out, d);
	return err ? err : make_env(o, config, out, d);
}

err_t run_plan_volumes(const struct run_options *o, struct run_spec *spec, struct diag *d)
{
	err_t err = 0;
	for (size_t i = 0; !err && i < o->volumes.n; i++)
		err = make_volume(o->volumes.texts[i], spec, d);
	for (size_t i = 0; !err && i < o->tmpfs.n; i++)
		err = run_tmpfs_add(spec, o->tmpfs.texts[i], d);
	if (!err && o->read_only)
		run_tmpfs_add_usual(spec);
	return err;
}

err_t run_plan_user(const struct run_options *o, const struct image_config *config,
		    struct bytes passwd, struct bytes group, struct run_spec *spec, struct diag *d)
{
	const char *who = o->user ? o->user : config->user;
	err_t err = run_user_resolve(who, passwd, group, &spec->user, d);
	if (err)
		return err;
	auto_free char *home = xasprintf("HOME=%s", spec->user.home);
	run_env_default(&spec->env, home);
	return 0;
}
