/*
 * One thread, one poll(2) over the few connections there may be. A connection collects a request's
 * head, gets its answer and is closed; whatever it does, it is gone after HTTP_PAGE_SECONDS. An
 * answer is followed by an end of file of ours, and the peer's is awaited: a socket that is closed
 * with unread bytes would throw the answer away (RFC 9112, 9.6).
 */
#include "fs/http_page.h"

#include "fetch/log.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPT_PAUSE_MS 100 /* when there are no descriptors */

struct connection {
	int fd; /* -1: free */
	int64_t end_ms;
	size_t have; /* bytes of the request */
	struct buf answer;
	size_t sent;
	bool answered; /* all was sent: what comes now is thrown away */
	char request[HTTP_PAGE_REQUEST_MAX];
};

struct server {
	const struct http_page *page;
	struct connection connections[HTTP_PAGE_CONNECTIONS];
};

/* ---- requests ---- */

/* Where the head ends; 0: not yet. Bare line feeds end lines, too (RFC 9112, 2.2). */
static size_t head_len(struct bytes r)
{
	for (size_t i = 0; i + 1 < r.n; i++) {
		if (r.p[i] != '\n')
			continue;
		if (r.p[i + 1] == '\n')
			return i + 2;
		if (i + 2 < r.n && r.p[i + 1] == '\r' && r.p[i + 2] == '\n')
			return i + 3;
	}
	return 0;
}

static struct bytes next_word(struct bytes *line)
{
	const uint8_t *blank = memchr(line->p, ' ', line->n);
	struct bytes word = {line->p, blank ? (size_t)(blank - line->p) : line->n};
	size_t used = min_of(word.n + 1, line->n);

	*line = (struct bytes){line->p + used, line->n - used};
	return word;
}

static struct bytes first_line(struct bytes r)
{
	const uint8_t *end = memchr(r.p, '\n', r.n);
	size_t n = end ? (size_t)(end - r.p) : r.n;

	return (struct bytes){r.p, n && r.p[n - 1] == '\r' ? n - 1 : n};
}

static bool is_path(struct bytes target, const char *path)
{
	const uint8_t *query = memchr(target.p, '?', target.n);

	if (query)
		target.n = (size_t)(query - target.p);
	return bytes_equal_str(target, path);
}

enum http_page_answer http_page_judge(struct bytes request, const char *path, bool *head)
{
	struct bytes line, method, target, version;

	*head = false;
	if (!head_len(request))
		return request.n >= HTTP_PAGE_REQUEST_MAX ? HTTP_PAGE_TOO_LONG
							  : HTTP_PAGE_INCOMPLETE;
	line = first_line(request);
	method = next_word(&line);
	target = next_word(&line);
	version = next_word(&line);
	if (line.n || !method.n || !target.n || version.n != 8 ||
	    memcmp(version.p, "HTTP/1.", 7) != 0)
		return HTTP_PAGE_BAD;
	*head = bytes_equal_str(method, "HEAD");
	if (!is_path(target, path))
		return HTTP_PAGE_UNKNOWN;
	return *head || bytes_equal_str(method, "GET") ? HTTP_PAGE_OK : HTTP_PAGE_METHOD;
}

/* ---- answers ---- */

static const char *status_of(enum http_page_answer answer)
{
	switch (answer) {
	case HTTP_PAGE_OK:
		return "200 OK";
	case HTTP_PAGE_UNKNOWN:
		return "404 Not Found";
	case HTTP_PAGE_METHOD:
		return "405 Method Not Allowed";
	case HTTP_PAGE_TOO_LONG:
		return "431 Request Header Fields Too Large";
	case HTTP_PAGE_BAD:
	case HTTP_PAGE_INCOMPLETE:
		break;
	}
	return "400 Bad Request";
}

static err_t write_answer(const struct http_page *page, enum http_page_answer answer, bool head,
			  struct buf *out)
{
	auto_buf struct buf body = {0};
	auto_free char *first = NULL;
	err_t err = 0;

	if (answer == HTTP_PAGE_OK)
		err = page->write(page->arg, &body);
	else
		err = buf_append(&body, page->path, strlen(page->path));
	if (!err && answer != HTTP_PAGE_OK)
		err = buf_append(&body, " is all there is\n", 17);
	if (err)
		return err;
	first = xasprintf("HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
			  "%sConnection: close\r\n\r\n",
			  status_of(answer),
			  answer == HTTP_PAGE_OK ? page->content_type : "text/plain", body.n,
			  answer == HTTP_PAGE_METHOD ? "Allow: GET, HEAD\r\n" : "");
	err = buf_append(out, first, strlen(first));
	return err || head ? err : buf_append(out, body.p, body.n);
}

/* ---- connections ---- */

static void connection_end(struct connection *c)
{
	cleanup_fd(&c->fd);
	buf_fini(&c->answer);
	c->fd = -1;
}

static void connection_send(struct connection *c)
{
	while (c->sent < c->answer.n) {
		ssize_t n = send(c->fd, c->answer.p + c->sent, c->answer.n - c->sent, MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			connection_end(c);
			return;
		}
		c->sent += (size_t)n;
	}
	c->answered = true;
	shutdown(c->fd, SHUT_WR);
}

/* More bytes of the request, or of what nobody asked for. */
static void connection_receive(const struct http_page *page, struct connection *c)
{
	char *to = c->answered ? c->request : c->request + c->have;
	size_t room = c->answered ? sizeof(c->request) : sizeof(c->request) - c->have;
	ssize_t n = recv(c->fd, to, room, 0);
	enum http_page_answer answer;
	bool head;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		connection_end(c);
		return;
	}
	if (c->answered)
		return;
	c->have += (size_t)n;
	answer = http_page_judge((struct bytes){(const uint8_t *)c->request, c->have}, page->path,
				 &head);
	if (answer == HTTP_PAGE_INCOMPLETE)
		return;
	if (write_answer(page, answer, head, &c->answer))
		connection_end(c);
	else
		connection_send(c);
}

static bool is_sending(const struct connection *c)
{
	return c->answer.n && !c->answered;
}

static void connection_accept(struct server *s)
{
	int fd = accept4(s->page->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
		poll(NULL, 0, ACCEPT_PAUSE_MS);
	for (size_t i = 0; fd >= 0 && i < HTTP_PAGE_CONNECTIONS; i++) {
		struct connection *c = &s->connections[i];

		if (c->fd >= 0)
			continue;
		c->fd = fd;
		c->end_ms = now_ms() + HTTP_PAGE_SECONDS * 1000;
		c->have = c->sent = 0;
		c->answered = false;
		return;
	}
	cleanup_fd(&fd);
}

/* ---- serving ---- */

static bool is_full(const struct server *s)
{
	for (size_t i = 0; i < HTTP_PAGE_CONNECTIONS; i++)
		if (s->connections[i].fd < 0)
			return false;
	return true;
}

/* End those whose time is over; milliseconds to the next one, -1: none. */
static int expire(struct server *s)
{
	int64_t now = now_ms(), next = INT64_MAX;

	for (size_t i = 0; i < HTTP_PAGE_CONNECTIONS; i++) {
		struct connection *c = &s->connections[i];

		if (c->fd >= 0 && c->end_ms <= now)
			connection_end(c);
		if (c->fd >= 0)
			next = min_of(next, c->end_ms);
	}
	return next == INT64_MAX ? -1 : (int)(next - now);
}

/* Wait for something to happen and do it; false when an end was asked for. */
static bool serve_once(struct server *s)
{
	struct pollfd fds[2 + HTTP_PAGE_CONNECTIONS];
	int timeout_ms = expire(s);

	fds[0] = (struct pollfd){.fd = s->page->stop_fd, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = is_full(s) ? -1 : s->page->listen_fd, .events = POLLIN};
	for (size_t i = 0; i < HTTP_PAGE_CONNECTIONS; i++)
		fds[2 + i] = (struct pollfd){.fd = s->connections[i].fd,
					     .events = is_sending(&s->connections[i]) ? POLLOUT
										      : POLLIN};
	if (poll(fds, ARRAY_LEN(fds), timeout_ms) <= 0)
		return true;
	for (size_t i = 0; i < HTTP_PAGE_CONNECTIONS; i++) {
		struct connection *c = &s->connections[i];

		if (c->fd < 0 || !fds[2 + i].revents)
			continue;
		if (is_sending(c))
			connection_send(c);
		else
			connection_receive(s->page, c);
	}
	if (fds[1].revents)
		connection_accept(s);
	return !fds[0].revents;
}

void http_page_serve(const struct http_page *page)
{
	struct server *s = new_of(struct server);

	s->page = page;
	for (size_t i = 0; i < HTTP_PAGE_CONNECTIONS; i++)
		s->connections[i].fd = -1;
	while (serve_once(s))
		;
	for (size_t i = 0; i < HTTP_PAGE_CONNECTIONS; i++)
		connection_end(&s->connections[i]);
	free(s);
}
