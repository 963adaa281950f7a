/*
 * stop - a handler that adds one to an eventfd
 *
 * A handler and not a blocked signal: the libraries below start threads of their own, and a signal
 * may be delivered to any of them.
 */
#include "fs/stop.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int asked_fd = -1;

static void on_signal(int number)
{
	int saved = errno;
	uint64_t one = 1;

	(void)number;
	if (write(asked_fd, &one, sizeof(one)) < 0)
		_exit(ERR_OTHER); /* nobody would ever hear of it */
	errno = saved;
}

err_t stop_install(struct diag *d)
{
	struct sigaction ask = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	BUG_ON(asked_fd >= 0);
	asked_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (asked_fd < 0)
		return fail_sys(d, ERR_OTHER, -errno, "eventfd");
	sigaction(SIGTERM, &ask, NULL);
	sigaction(SIGINT, &ask, NULL);
	sigaction(SIGHUP, &ignore, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	return 0;
}

int stop_fd(void)
{
	return asked_fd;
}

void stop_clear(void)
{
	uint64_t asked;

	/* Nothing to read is as good. */
	while (read(asked_fd, &asked, sizeof(asked)) < 0 && errno == EINTR)
		;
}
