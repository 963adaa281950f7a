/*
 * daemon - fork first, promise later
 *
 * Two processes share one terminal for a while. Ctrl-C reaches both, and the parent waits until the
 * child has tidied up and said so: the shell's prompt comes last. Any other signal to the parent
 * ends the parent alone, and its death ends the child, which then cleans up as for any SIGTERM.
 */
#include "fs/daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define END_WAIT_MS 10000 /* a child that drains takes half of it */

/* What the caller left open, say the pipe of a script, must not stay open for as long as the mount
 * lives. */
static void close_others(int a, int b)
{
	unsigned low = (unsigned)min_of(a, b), high = (unsigned)max_of(a, b);

	if (a < 0 || b < 0)
		low = high;
	if (low > STDERR_FILENO + 1)
		close_range(STDERR_FILENO + 1, low - 1, 0);
	if (high > low + 1)
		close_range(low + 1, high - 1, 0);
	close_range(high + 1, ~0u, 0);
}

err_t daemon_fork(struct daemon *out, int log_fd, struct diag *d)
{
	pid_t parent = getpid();
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return fail_sys(d, ERR_OTHER, -errno, "pipe");
	/* What is buffered would be written twice. */
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		err_t err = -errno;

		close(ends[0]);
		close(ends[1]);
		return fail_sys(d, ERR_OTHER, err, "fork");
	}
	*out = (struct daemon){.is_child = pid == 0, .pid = pid, .ready_fd = ends[pid == 0]};
	close(ends[pid != 0]);
	if (pid)
		return 0;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	close_others(out->ready_fd, log_fd);
	if (getppid() != parent)
		_exit(ERR_OTHER); /* it ended before it could be watched */
	return 0;
}

err_t daemon_ready(struct daemon *daemon, struct diag *d)
{
	auto_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char byte = 1;
	err_t err;

	BUG_ON(!daemon->is_child);
	if (null < 0)
		return fail_sys(d, ERR_OTHER, -errno, "/dev/null");
	prctl(PR_SET_PDEATHSIG, 0);
	setsid();
	if (chdir("/"))
		return fail_sys(d, ERR_OTHER, -errno, "/");
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	err = write_all(daemon->ready_fd, &byte, 1);
	cleanup_fd(&daemon->ready_fd);
	daemon->ready_fd = -1;
	return err ? fail_sys(d, ERR_OTHER, err, "the command that started the daemon") : 0;
}

/* Who is to be told of Ctrl-C, should only the parent have got it. The child takes two that come
 * close together for one. */
static volatile sig_atomic_t awaited;

static void on_interrupt(int number)
{
	int saved = errno;

	kill(awaited, number);
	errno = saved;
}

static void interrupt_pass_on(int pid, struct sigaction *old)
{
	struct sigaction act = {.sa_handler = on_interrupt}; /* the loops below expect EINTR */

	awaited = pid;
	sigaction(SIGINT, NULL, old);
	if (old->sa_handler != SIG_IGN)
		sigaction(SIGINT, &act, NULL);
}

/* A child that Ctrl-C has ended ends its parent in the same way, so that a shell's loop stops. */
static int exit_status(int pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return ERR_OTHER;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	if (WTERMSIG(status) == SIGINT) {
		signal(SIGINT, SIG_DFL);
		raise(SIGINT);
	}
	return 128 + WTERMSIG(status);
}

static void end_child(int pid)
{
	int status;

	kill(pid, SIGTERM);
	for (int waited = 0; waited < END_WAIT_MS; waited += 10) {
		if (waitpid(pid, &status, WNOHANG) != 0)
			return;
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	kill(pid, SIGKILL);
}

bool daemon_await(struct daemon *daemon, const char *mountpoint, int *status, err_t *err)
{
	struct sigaction old;
	struct stat st;
	ssize_t n;
	char byte;

	interrupt_pass_on(daemon->pid, &old);
	do
		n = read(daemon->ready_fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	cleanup_fd(&daemon->ready_fd);
	daemon->ready_fd = -1;
	if (n != 1) {
		*status = exit_status(daemon->pid);
		return true;
	}
	sigaction(SIGINT, &old, NULL);
	*status = 0;
	/* The kernel asks the daemon for the root's attributes: an answer means that it serves. */
	*err = stat(mountpoint, &st) ? -errno : 0;
	if (*err)
		end_child(daemon->pid);
	return false;
}
