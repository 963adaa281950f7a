/*
 * Any bytes as a user's name, /etc/passwd and /etc/group, and as /etc/subuid: it ends with an error
 * that says why, or with ids in their range and an absolute home.
 *
 * An input is the name, a NUL, passwd, a NUL, group.
 */
#include "tools/run_env.c"
#include "tools/run_user.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct bytes part(struct bytes *rest)
{
	struct bytes taken = *rest;
	const uint8_t *end = rest->n ? memchr(rest->p, 0, rest->n) : NULL;
	if (end)
		taken.n = (size_t)(end - rest->p);
	rest->p += taken.n + (end ? 1 : 0);
	rest->n -= taken.n + (end ? 1 : 0);
	return taken;
}

static void check_user(const struct run_user *user)
{
	BUG_ON(user->uid > RUN_ID_MAX || user->gid > RUN_ID_MAX);
	BUG_ON(user->n_groups > RUN_GROUPS_MAX || !user->home || user->home[0] != '/');
	for (size_t i = 0; i < user->n_groups; i++)
		for (size_t k = 0; k < i; k++)
			BUG_ON(user->groups[i] == user->groups[k]);
}

static void check_env(struct bytes file)
{
	struct diag d = DIAG_INIT;
	struct run_env env = {0};
	if (run_env_read(&env, file, "file", &d))
		BUG_ON(strncmp(d.text, "file: line ", 11) != 0);
	for (size_t i = 0; i < env.n; i++) {
		size_t n = strcspn(env.entries[i], "=");
		BUG_ON(!n || !env.entries[i][n]);
		for (size_t k = 0; k < i; k++)
			BUG_ON(!strncmp(env.entries[k], env.entries[i], n + 1));
	}
	BUG_ON(env.entries && env.entries[env.n]);
	run_env_fini(&env);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes rest = {data, size}, name = part(&rest), passwd = part(&rest);
	char *text = xstrndup((const char *)name.p, name.n);
	struct diag d = DIAG_INIT;
	struct run_user user;
	if (run_user_resolve(text, passwd, rest, &user, &d) == 0) {
		check_user(&user);
		run_user_fini(&user);
	} else {
		BUG_ON(!d.text[0] || user.home);
	}
	free(text);
	check_env(passwd);
	return 0;
}
