/*
 * run_env - the environment of a container's process: "NAME=value" texts, one for each name
 */
#ifndef IMGFS_TOOLS_RUN_ENV_H
#define IMGFS_TOOLS_RUN_ENV_H

#include "index/base.h"

#define RUN_ENV_FILE_MAX (1u << 20) /* bytes of an --env-file; execve(2) takes about as much */

struct run_env {
	char **entries; /* NULL behind the last, or NULL when there is none; owned */
	size_t n, cap;
};

/*
 * run_env_set - "NAME=value" takes the place of an entry of the same name
 * A text without '=' takes the value from this process's environment, and does nothing where that
 * has none. -EINVAL (ERR_USAGE) without a name.
 */
err_t run_env_set(struct run_env *env, const char *text, struct diag *d) must_check;
/* run_env_default - the same, unless the name has a value. The text must have a '='. */
void run_env_default(struct run_env *env, const char *text);
/* run_env_get - the value of a name, borrowed, or NULL. */
const char *run_env_get(const struct run_env *env, const char *name);
/*
 * run_env_read - lines as docker's --env-file has them: NAME=value or NAME; blank lines and those
 * that begin with '#' are skipped; nothing is unquoted
 * @path  for messages. -EINVAL (ERR_USAGE) names the line: no name, a blank in it, a NUL.
 */
err_t run_env_read(struct run_env *env, struct bytes file, const char *path,
		   struct diag *d) must_check;
void run_env_fini(struct run_env *env);

#endif
