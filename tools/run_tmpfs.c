/*
 * A tmpfs is mounted before the volumes, which may lie on it (and before /etc/resolv.conf, which
 * may be a symlink into /run), unless it lies in one of them.
 */
#include "tools/run_tmpfs.h"

#include <string.h>

#define TMPFS_OPTIONS "nosuid,nodev" /* always */

static const char *const tmpfs_flags[] = {"ro", "rw", "exec", "noexec", "nosuid", "nodev"};

/* ---- options ---- */

/* Digits, and one letter of a unit. */
static bool is_size(const char *text)
{
	size_t n = strspn(text, "0123456789");
	return n > 0 && n < 19 && (!text[n] || (strchr("kKmMgG%", text[n]) && !text[n + 1]));
}

static bool is_mode(const char *text)
{
	size_t n = strspn(text, "01234567");
	return n > 0 && n <= 5 && !text[n] && strtoul(text, NULL, 8) <= 07777;
}

static bool is_flag(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(tmpfs_flags); i++)
		if (!strcmp(word, tmpfs_flags[i]))
			return true;
	return false;
}

static void add_word(char **list, const char *word)
{
	char *longer = xasprintf("%s,%s", *list, word);
	free(*list);
	*list = longer;
}

static err_t take_words(const char *text, char *words, char **list, struct diag *d)
{
	bool has_exec = false, has_mode = false;
	for (char *word; (word = strsep(&words, ","));) {
		bool mode = !strncmp(word, "mode=", 5) && is_mode(word + 5);
		if (!*word)
			continue;
		if (!mode && !is_flag(word) && !(!strncmp(word, "size=", 5) && is_size(word + 5)))
			return fail(d, ERR_USAGE, -EINVAL,
				    "--tmpfs '%s': '%s' is none of size=BYTES (k, m, g or %% may "
				    "follow), mode=OCTAL, ro, rw, exec, noexec",
				    text, word);
		has_mode = has_mode || mode;
		has_exec = has_exec || !strcmp(word, "exec") || !strcmp(word, "noexec");
		add_word(list, word);
	}
	if (!has_mode)
		add_word(list, "mode=1777");
	if (!has_exec)
		add_word(list, "noexec");
	return 0;
}

static void cut_slashes(char *path)
{
	for (size_t n = strlen(path); n > 1 && path[n - 1] == '/';)
		path[--n] = '\0';
}

err_t run_tmpfs_parse(const char *text, struct run_tmpfs *out, struct diag *d)
{
	*out = (struct run_tmpfs){.target = xstrdup(text), .options = xstrdup(TMPFS_OPTIONS)};
	char *words = out->target, *target = strsep(&words, ":");
	err_t err = 0;
	cut_slashes(target);
	if (*target != '/' || !target[1])
		err = fail(d, ERR_USAGE, -EINVAL,
			   "--tmpfs '%s': an absolute path is needed, other than /", text);
	if (!err)
		err = take_words(text, words, &out->options, d);
	if (err)
		run_tmpfs_fini(out);
	return err;
}

void run_tmpfs_fini(struct run_tmpfs *tmpfs)
{
	free(tmpfs->target);
	free(tmpfs->options);
	*tmpfs = (struct run_tmpfs){0};
}

/* ---- in a spec ---- */

/* Both without slashes at the end; the same counts, too. */
static bool lies_in(const char *path, const char *dir)
{
	size_t n = strlen(dir);
	return !strncmp(path, dir, n) && (!path[n] || path[n] == '/');
}

/* What a bind of the spec does to this directory. */
static void compare_binds(const struct run_spec *spec, const char *target, bool *same, bool *in)
{
	*same = *in = false;
	for (size_t i = 0; i < spec->n_binds; i++) {
		auto_free char *bind = xstrdup(spec->binds[i].target);
		cut_slashes(bind);
		*same = *same || !strcmp(bind, target);
		*in = *in || lies_in(target, bind);
	}
}

static bool has_tmpfs(const struct run_spec *spec, const char *target)
{
	for (size_t i = 0; i < spec->n_tmpfs; i++)
		if (!strcmp(spec->tmpfs[i].target, target))
			return true;
	return false;
}

static void append(struct run_spec *spec, const struct run_tmpfs *tmpfs)
{
	if (!try_grow(&spec->tmpfs, spec->n_tmpfs, &spec->tmpfs_cap, sizeof(*spec->tmpfs)))
		abort();
	spec->tmpfs[spec->n_tmpfs++] = *tmpfs;
}

err_t run_tmpfs_add(struct run_spec *spec, const char *text, struct diag *d)
{
	struct run_tmpfs tmpfs;
	bool same;
	err_t err = run_tmpfs_parse(text, &tmpfs, d);
	if (err)
		return err;
	compare_binds(spec, tmpfs.target, &same, &tmpfs.in_volume);
	if (same || has_tmpfs(spec, tmpfs.target)) {
		err = fail(d, ERR_USAGE, -EINVAL, "--tmpfs '%s': something else is mounted there",
			   text);
		run_tmpfs_fini(&tmpfs);
	} else {
		append(spec, &tmpfs);
	}
	return err;
}

void run_tmpfs_add_usual(struct run_spec *spec)
{
	static const struct {
		const char *target, *options;
	} usual[] = {
		{"/run", TMPFS_OPTIONS ",tmpcopyup,mode=755"},
		{"/tmp", TMPFS_OPTIONS ",noexec,tmpcopyup,mode=1777"},
		{"/var/tmp", TMPFS_OPTIONS ",noexec,tmpcopyup,mode=1777"},
	};
	for (size_t i = 0; i < ARRAY_LEN(usual); i++) {
		bool same, in;
		compare_binds(spec, usual[i].target, &same, &in);
		/* Who shows a directory above it, or lays one there, has said what is to be seen.
		 */
		if (in || has_tmpfs(spec, usual[i].target))
			continue;
		const struct run_tmpfs tmpfs = {.target = xstrdup(usual[i].target),
						.options = xstrdup(usual[i].options)};
		append(spec, &tmpfs);
	}
}
