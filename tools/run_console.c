/*
 * Two pumps with a small buffer each: a direction that is stuck does not hold up the other.
 */
#include "tools/run_console.h"

#include "fetch/log.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DRAIN_MS 1000

err_t console_open(const char *dir, struct console *out, struct diag *d)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	*out = (struct console){.socket = -1, .master = -1};
	out->path = xasprintf("%s/console", dir);
	size_t n = strlen(out->path);
	if (n >= sizeof(address.sun_path))
		return fail(d, ERR_OTHER, -ENAMETOOLONG,
			    "%s is too long for a socket; TMPDIR names a shorter place", dir);
	memcpy(address.sun_path, out->path, n + 1);
	out->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (out->socket < 0 ||
	    bind(out->socket, (const struct sockaddr *)&address, sizeof(address)) ||
	    listen(out->socket, 1))
		return fail_sys(d, ERR_OTHER, -errno, "%s", out->path);
	return 0;
}

/* One message with one descriptor; its text is the name of the terminal. */
static int receive_descriptor(int connection)
{
	union {
		struct cmsghdr header; /* aligns */
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char text[256];
	struct iovec part = {.iov_base = text, .iov_len = sizeof(text)};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	ssize_t n;
	int fd;
	do
		n = recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	const struct cmsghdr *first = CMSG_FIRSTHDR(&message);
	if (!first || first->cmsg_level != SOL_SOCKET || first->cmsg_type != SCM_RIGHTS ||
	    first->cmsg_len != CMSG_LEN(sizeof(int)))
		return -EPROTO;
	memcpy(&fd, CMSG_DATA(first), sizeof(fd));
	return fd;
}

static void make_raw(struct console *c)
{
	struct termios raw;
	if (tcgetattr(STDIN_FILENO, &c->before))
		return;
	raw = c->before;
	cfmakeraw(&raw);
	c->is_raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

err_t console_accept(struct console *c, struct diag *d)
{
	auto_fd int connection = accept4(c->socket, NULL, NULL, SOCK_CLOEXEC);
	c->master = connection < 0 ? -errno : receive_descriptor(connection);
	if (c->master < 0) {
		err_t err = c->master;
		c->master = -1;
		return fail_sys(d, ERR_OTHER, err, "no terminal came from the runtime");
	}
	fcntl(c->master, F_SETFL, fcntl(c->master, F_GETFL) | O_NONBLOCK);
	c->in.from = STDIN_FILENO;
	c->in.to = c->out.from = c->master;
	c->out.to = STDOUT_FILENO;
	console_resize(c);
	make_raw(c);
	return 0;
}

void console_resize(struct console *c)
{
	struct winsize size;
	if (c->master >= 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 &&
	    ioctl(c->master, TIOCSWINSZ, &size))
		log_debug("run.console", "error=\"%s\"", strerror(errno));
}

/* ---- moving ---- */

static bool is_full(const struct pump *p)
{
	return p->at < p->n;
}

static short master_events(const struct console *c)
{
	short events = is_full(&c->in) ? POLLOUT : 0;
	return is_full(&c->out) || c->out.ended ? events : (short)(events | POLLIN);
}

void console_poll(const struct console *c, struct pollfd fds[CONSOLE_FDS])
{
	bool reads = c->master >= 0 && !c->in.ended && !is_full(&c->in);
	short events = c->master >= 0 ? master_events(c) : 0;
	fds[0] = (struct pollfd){.fd = reads ? STDIN_FILENO : -1, .events = POLLIN};
	/* with nothing to ask for, a hang-up would be told again and again */
	fds[1] = (struct pollfd){.fd = events ? c->master : -1, .events = events};
	fds[2] = (struct pollfd){.fd = is_full(&c->out) ? STDOUT_FILENO : -1, .events = POLLOUT};
}

static void fill(struct pump *p)
{
	ssize_t n = read(p->from, p->piece, sizeof(p->piece));
	/* EIO: nobody has the other end of the terminal open */
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		p->ended = true;
	p->at = 0;
	p->n = n > 0 ? (size_t)n : 0;
}

static err_t empty(struct pump *p)
{
	ssize_t n = write(p->to, p->piece + p->at, p->n - p->at);
	if (n >= 0)
		p->at += (size_t)n;
	else if (errno != EAGAIN && errno != EINTR)
		return -errno;
	return 0;
}

err_t console_move(struct console *c, const struct pollfd fds[CONSOLE_FDS])
{
	err_t err = 0;
	if (fds[0].fd >= 0 && fds[0].revents && !is_full(&c->in)) {
		fill(&c->in);
		/* A raw terminal has no end of file but this one. */
		err = c->in.ended ? -EIO : 0;
	}
	if (fds[1].fd >= 0 && fds[1].revents && !is_full(&c->out) && !c->out.ended)
		fill(&c->out);
	if (is_full(&c->in) && empty(&c->in))
		c->in.at = c->in.n; /* the container has closed it */
	if (is_full(&c->out) && empty(&c->out)) {
		c->out.at = c->out.n;
		c->out.ended = true;
		err = -EPIPE;
	}
	return err;
}

void console_hang_up(struct console *c)
{
	cleanup_fd(&c->master);
	c->master = -1;
	c->in.at = c->in.n;
	c->out.at = c->out.n;
	c->in.ended = c->out.ended = true;
}

void console_drain(struct console *c)
{
	int64_t end_ms = now_ms() + DRAIN_MS;
	struct pollfd fds[CONSOLE_FDS];
	c->in.ended = true;
	c->in.at = c->in.n;
	while (c->master >= 0 && now_ms() < end_ms) {
		console_poll(c, fds);
		if (fds[1].fd < 0 && fds[2].fd < 0)
			return;
		if (poll(fds, CONSOLE_FDS, DRAIN_MS) < 0 && errno != EINTR)
			return;
		if (console_move(c, fds))
			return;
	}
}

void console_close(struct console *c)
{
	if (!c->path)
		return;
	if (c->is_raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &c->before);
	cleanup_fd(&c->socket);
	cleanup_fd(&c->master);
	free(c->path);
	*c = (struct console){.socket = -1, .master = -1};
}
