/*
 * A plain list: environments have dozens of entries, and their order is what `env` prints.
 */
#include "tools/run_env.h"

#include <string.h>

/* The place of a name of n bytes; env->n when it has none. */
static size_t find_name(const struct run_env *env, const char *name, size_t n)
{
	size_t i = 0;
	while (i < env->n && (strncmp(env->entries[i], name, n) || env->entries[i][n] != '='))
		i++;
	return i;
}

static void put(struct run_env *env, char *entry)
{
	size_t i = find_name(env, entry, strcspn(entry, "="));
	if (i < env->n) {
		free(env->entries[i]);
		env->entries[i] = entry;
		return;
	}
	/* one more than needed: the list ends with NULL */
	if (!try_grow(&env->entries, env->n + 1, &env->cap, sizeof(*env->entries)))
		abort();
	env->entries[env->n++] = entry;
	env->entries[env->n] = NULL;
}

err_t run_env_set(struct run_env *env, const char *text, struct diag *d)
{
	if (!*text || *text == '=')
		return fail(d, ERR_USAGE, -EINVAL, "environment '%s' has no name", text);
	if (strchr(text, '=')) {
		put(env, xstrdup(text));
		return 0;
	}
	const char *value = getenv(text);
	if (value)
		put(env, xasprintf("%s=%s", text, value));
	return 0;
}

void run_env_default(struct run_env *env, const char *text)
{
	BUG_ON(!strchr(text, '='));
	if (find_name(env, text, strcspn(text, "=")) == env->n)
		put(env, xstrdup(text));
}

const char *run_env_get(const struct run_env *env, const char *name)
{
	size_t i = find_name(env, name, strlen(name));
	return i < env->n ? env->entries[i] + strlen(name) + 1 : NULL;
}

static err_t read_line(struct run_env *env, const char *line, size_t n, struct diag *d)
{
	auto_free char *text = xstrndup(line, n);
	if (strlen(text) != n)
		return fail(d, ERR_USAGE, -EINVAL, "a NUL byte");
	char *at = text + strspn(text, " \t");
	if (!*at || *at == '#')
		return 0;
	if (strcspn(at, " \t") < strcspn(at, "="))
		return fail(d, ERR_USAGE, -EINVAL, "a blank in the name");
	return run_env_set(env, at, d);
}

err_t run_env_read(struct run_env *env, struct bytes file, const char *path, struct diag *d)
{
	const char *at = (const char *)file.p, *end = at + file.n;
	for (unsigned number = 1; at < end; number++) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((stop ? stop : end) - at);
		size_t kept = n && at[n - 1] == '\r' ? n - 1 : n;
		err_t err = read_line(env, at, kept, d);
		if (err) {
			diag_prepend(d, "%s: line %u", path, number);
			return err;
		}
		at += n + (stop ? 1 : 0);
	}
	return 0;
}

void run_env_fini(struct run_env *env)
{
	for (size_t i = 0; i < env->n; i++)
		free(env->entries[i]);
	free(env->entries);
	*env = (struct run_env){0};
}
