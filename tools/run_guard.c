/*
 * A pipe whose write end only the first process has: a byte is a word, its end is none.
 */
#include "tools/run_guard.h"

#include "fs/mounts.h"
#include "tools/run_dir.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Out of reach of the terminal's signals, and of whoever waits for the end of our output. */
static void step_aside(void)
{
	static const int deaf_to[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	setsid();
	prctl(PR_SET_NAME, "imgfs-guard");
	for (size_t i = 0; i < ARRAY_LEN(deaf_to); i++)
		signal(deaf_to[i], SIG_IGN);
	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
}

static _Noreturn void watch_over(int told, bool in_user_ns)
{
	char byte;
	ssize_t n;
	step_aside();
	do
		n = read(told, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n == 0) {
		run_dirs_clean(in_user_ns);
		mounts_clean();
	}
	_exit(0);
}

void guard_start(bool in_user_ns, struct guard *out)
{
	int ends[2];
	*out = (struct guard){.tell = -1};
	if (pipe2(ends, O_CLOEXEC))
		return;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		close(ends[1]);
		watch_over(ends[0], in_user_ns);
	}
	close(ends[0]);
	if (pid < 0)
		close(ends[1]);
	else
		*out = (struct guard){.pid = pid, .tell = ends[1]};
}

void guard_dismiss(struct guard *guard)
{
	if (!guard->pid)
		return;
	if (write_all(guard->tell, "", 1))
		kill(guard->pid, SIGKILL);
	close(guard->tell);
	while (waitpid(guard->pid, NULL, 0) < 0 && errno == EINTR)
		;
	*guard = (struct guard){.tell = -1};
}
