/*
 * posix_spawn(3), since this process has threads; signals start as everybody expects them.
 */
#include "tools/run_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static bool is_program(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

char *process_find(const char *name)
{
	const char *list = getenv("PATH");
	if (strchr(name, '/'))
		return is_program(name) ? realpath(name, NULL) : NULL;
	/* daemons' PATHs often lack the folders of root's tools */
	auto_free char *copy = xasprintf("%s:/usr/local/sbin:/usr/sbin:/sbin",
					 list && *list ? list : "/usr/bin:/bin");
	char *rest = copy, *dir;
	while (*name && (dir = strsep(&rest, ":"))) {
		char *path = xasprintf("%s/%s", dir, name);
		if (*dir == '/' && is_program(path))
			return path;
		free(path);
	}
	return NULL;
}

static int end_of(pid_t pid)
{
	int status;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int start(const char *const *words, bool quiet, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t how;
	sigset_t all, none;
	sigfillset(&all);
	sigemptyset(&none);
	if (posix_spawn_file_actions_init(&actions))
		return -ENOMEM;
	if (posix_spawnattr_init(&how)) {
		posix_spawn_file_actions_destroy(&actions);
		return -ENOMEM;
	}
	int err = posix_spawnattr_setsigdefault(&how, &all);
	if (!err)
		err = posix_spawnattr_setsigmask(&how, &none);
	if (!err)
		err = posix_spawnattr_setflags(&how,
					       POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	for (int fd = STDIN_FILENO; !err && quiet && fd <= STDERR_FILENO; fd++)
		err = posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
	if (!err)
		err = posix_spawnp(pid, words[0], &actions, &how, (char *const *)(uintptr_t)words,
				   environ);
	posix_spawnattr_destroy(&how);
	posix_spawn_file_actions_destroy(&actions);
	return -err;
}

int process_run(const char *const *words)
{
	pid_t pid;
	int err = start(words, false, &pid);
	return err ? err : end_of(pid);
}

int process_run_quietly(const char *const *words, int timeout_ms)
{
	pid_t pid;
	int err = start(words, true, &pid);
	if (err)
		return err;
	auto_fd int process = pidfd_open(pid, 0);
	struct pollfd fd = {.fd = process, .events = POLLIN};
	int n;
	do
		n = poll(&fd, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		return end_of(pid);
	kill(pid, SIGKILL);
	(void)end_of(pid);
	return -ETIMEDOUT;
}
