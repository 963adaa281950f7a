/*
 * Transfers against a server in this process: many threads at once, readers that are slow or leave,
 * deadlines, interruption, and networks that must not be reached. The registry's own behaviour is
 * tested end to end (tests/e2e/test_registry_*.py).
 */
#include "fetch/http.h"

#include "fetch/log.h"

#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define BODY_LEN    (1u << 20)
#define CONNECTIONS 1024
#define THREADS	    8
#define ROUNDS	    40

static struct {
	int listener;
	uint16_t port;
	pthread_t thread;
	_Atomic unsigned accepted;
	pthread_t serving[CONNECTIONS];
	int fds[CONNECTIONS];
	uint8_t body[BODY_LEN];
} server;

/* --- the server: "GET /silent" is never answered, everything else is a range of the body --- */

static bool read_request(int fd, char *text, size_t size)
{
	size_t n = 0;
	while (n + 1 < size) {
		ssize_t got = read(fd, text + n, size - 1 - n);
		if (got <= 0)
			return false;
		n += (size_t)got;
		text[n] = 0;
		if (strstr(text, "\r\n\r\n"))
			return true;
	}
	return false;
}

static void *serve(void *arg)
{
	int fd = *(int *)arg;
	char text[4096], head[256];
	while (read_request(fd, text, sizeof(text))) {
		unsigned first = 0, last = BODY_LEN - 1;
		const char *range = strstr(text, "bytes=");
		if (strncmp(text, "GET /silent", 11) == 0)
			continue;
		if (range && (sscanf(range, "bytes=%u-%u", &first, &last) != 2 || last >= BODY_LEN))
			break;
		int n = snprintf(
			head, sizeof(head),
			"HTTP/1.1 %s\r\nContent-Length: %u\r\nX-Two:  a\t\r\nx-two: b\r\n\r\n",
			range ? "206 Partial Content" : "200 OK", last - first + 1);
		if (send(fd, head, (size_t)n, MSG_NOSIGNAL) < 0)
			break;
		for (size_t at = first; at <= last;) {
			ssize_t sent = send(fd, server.body + at, last + 1 - at, MSG_NOSIGNAL);
			if (sent <= 0)
				return NULL;
			at += (size_t)sent;
		}
	}
	return NULL;
}

static void *accept_all(void *arg)
{
	(void)arg;
	for (;;) {
		int fd = accept4(server.listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			return NULL;
		unsigned i = atomic_load(&server.accepted);
		BUG_ON(i == CONNECTIONS);
		server.fds[i] = fd;
		BUG_ON(pthread_create(&server.serving[i], NULL, serve, &server.fds[i]) != 0);
		atomic_store(&server.accepted, i + 1);
	}
}

static int start_server(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	(void)state;
	for (size_t i = 0; i < BODY_LEN; i++)
		server.body[i] = (uint8_t)(i * 2654435761u >> 13);
	server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(server.listener, (struct sockaddr *)&address, len) ||
	    listen(server.listener, CONNECTIONS) ||
	    getsockname(server.listener, (struct sockaddr *)&address, &len))
		return -1;
	server.port = ntohs(address.sin_port);
	return pthread_create(&server.thread, NULL, accept_all, NULL);
}

static int stop_server(void **state)
{
	(void)state;
	shutdown(server.listener, SHUT_RDWR);
	pthread_join(server.thread, NULL);
	close(server.listener);
	for (unsigned i = 0; i < atomic_load(&server.accepted); i++) {
		shutdown(server.fds[i], SHUT_RDWR);
		pthread_join(server.serving[i], NULL);
		close(server.fds[i]);
	}
	return 0;
}

/* --- requests --- */

static struct http_url url_of(const char *host, const char *path)
{
	struct http_url url;
	auto_free char *text = xasprintf("http://%s:%u%s", host, server.port, path);
	BUG_ON(http_url_parse(text, &url, NULL));
	return url;
}

static struct http_request get(const struct http_url *url, int64_t budget_ms)
{
	return (struct http_request){
		.method = "GET",
		.url = url,
		.networks = HTTP_NET_ANY,
		.deadline_ms = now_ms() + budget_ms,
	};
}

static struct http *client(void)
{
	static const struct http_options options = {
		.connect_ms = 2000, .first_byte_ms = 400, .stall_ms = 400};
	return http_new(&options);
}

struct crowd {
	struct http *http;
	_Atomic unsigned wrong;
};

/* Ranges of all sizes; each third one is left in the middle. */
static void *read_ranges(void *arg)
{
	struct crowd *crowd = arg;
	struct http_url url = url_of("127.0.0.1", "/x");
	uint32_t seed = (uint32_t)(uintptr_t)&seed;
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct http_request request = get(&url, 20000);
		struct http_transfer *t;
		struct buf got = {0};
		seed = seed * 1664525 + 1013904223;
		request.ranged = true;
		request.first = seed % (BODY_LEN / 2);
		request.last = request.first + (seed >> 8) % (BODY_LEN / 2);
		size_t want = (size_t)(request.last - request.first + 1);
		err_t err = http_open(crowd->http, &request, &t, NULL);
		if (!err && i % 3 == 0) {
			http_close(&t);
			continue;
		}
		if (!err)
			err = http_read_all(t, BODY_LEN, &got, NULL);
		if (err || http_status(t) != 206 || got.n != want ||
		    memcmp(got.p, server.body + request.first, want) != 0)
			atomic_fetch_add(&crowd->wrong, 1);
		http_close(&t);
		buf_fini(&got);
	}
	http_url_fini(&url);
	return NULL;
}

static void many_threads(void **state)
{
	struct crowd crowd = {.http = client()};
	pthread_t threads[THREADS];
	struct http_stats stats;
	(void)state;
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_ranges, &crowd), 0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	http_stats(crowd.http, &stats);
	http_free(&crowd.http);
	assert_int_equal(crowd.wrong, 0);
	assert_true(stats.requests >= THREADS * ROUNDS);
}

static void headers(void **state)
{
	struct http *http = client();
	struct http_url url = url_of("127.0.0.1", "/x");
	struct http_request request = get(&url, 5000);
	struct http_transfer *t;
	(void)state;
	assert_int_equal(http_open(http, &request, &t, NULL), 0);
	assert_int_equal(http_status(t), 200);
	assert_string_equal(http_header(t, "X-TWO", 0), "a");
	assert_string_equal(http_header(t, "x-Two", 1), "b");
	assert_null(http_header(t, "x-two", 2));
	assert_null(http_header(t, "x-tw", 0));
	assert_int_equal(http_peer_network(t), HTTP_NET_LOOPBACK);
	http_close(&t);
	http_url_fini(&url);
	http_free(&http);
}

/* The body waits in a buffer of bounded size, longer than a stall may last, and nothing is lost. */
static void slow_reader(void **state)
{
	struct http *http = client();
	struct http_url url = url_of("127.0.0.1", "/x");
	struct http_request request = get(&url, 20000);
	struct http_transfer *t;
	struct http_stats before;
	struct buf got = {0};
	(void)state;
	request.count_body = true;
	assert_int_equal(http_open(http, &request, &t, NULL), 0);
	usleep(900000);
	http_stats(http, &before);
	assert_true(before.body_bytes <= HTTP_BODY_BUFFER);
	assert_int_equal(http_read_all(t, BODY_LEN, &got, NULL), 0);
	assert_int_equal(got.n, BODY_LEN);
	assert_memory_equal(got.p, server.body, BODY_LEN);
	http_stats(http, &before);
	assert_int_equal(before.body_bytes, BODY_LEN);
	buf_fini(&got);
	http_close(&t);
	http_url_fini(&url);
	http_free(&http);
}

static void body_beyond_the_limit(void **state)
{
	struct http *http = client();
	struct http_url url = url_of("127.0.0.1", "/x");
	struct http_request request = get(&url, 5000);
	struct http_transfer *t;
	struct buf got = {0};
	(void)state;
	assert_int_equal(http_open(http, &request, &t, NULL), 0);
	assert_int_equal(http_read_all(t, BODY_LEN - 1, &got, NULL), -E2BIG);
	buf_fini(&got);
	http_close(&t);
	http_url_fini(&url);
	http_free(&http);
}

static void times(void **state)
{
	struct http *http = client();
	struct http_url url = url_of("127.0.0.1", "/silent");
	struct http_request request = get(&url, 5000);
	struct http_transfer *t;
	struct diag d = DIAG_INIT;
	int64_t start_ms = now_ms();
	(void)state;
	assert_int_equal(http_open(http, &request, &t, &d), -ETIMEDOUT);
	assert_in_range(now_ms() - start_ms, 390, 2000); /* first_byte_ms */
	assert_int_equal(d.cls, ERR_NETWORK);
	request.deadline_ms = (start_ms = now_ms()) + 100;
	assert_int_equal(http_open(http, &request, &t, &d), -ETIMEDOUT);
	assert_in_range(now_ms() - start_ms, 90, 380);
	http_url_fini(&url);
	http_free(&http);
}

static void *interrupt_soon(void *http)
{
	usleep(100000);
	http_interrupt(http);
	return NULL;
}

static void interruption(void **state)
{
	struct http *http = client();
	struct http_url url = url_of("127.0.0.1", "/silent");
	struct http_request request = get(&url, 5000);
	struct http_transfer *t;
	pthread_t thread;
	int64_t start_ms = now_ms();
	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, http), 0);
	assert_int_equal(http_open(http, &request, &t, NULL), -ECANCELED);
	assert_true(now_ms() - start_ms < 390);
	pthread_join(thread, NULL);
	assert_int_equal(http_open(http, &request, &t, NULL), -ECANCELED);
	http_url_fini(&url);
	http_free(&http);
}

/* With a proxy for other hosts, a host that is exempt is still not led into a forbidden network. */
static void exempt_from_the_proxy(void **state)
{
	struct http *http = client();
	struct http_url url = url_of("app.localhost", "/x"); /* a name of loopback to libcurl */
	struct http_request request = get(&url, 3000);
	struct http_transfer *t;
	(void)state;
	unsigned before = atomic_load(&server.accepted);
	request.networks = HTTP_NET_PUBLIC;
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("no_proxy", "other.example,.localhost", 1);
	assert_int_equal(http_open(http, &request, &t, NULL), -EPERM);
	assert_int_equal(atomic_load(&server.accepted), before);
	setenv("no_proxy", "other.example", 1);
	assert_int_equal(http_open(http, &request, &t, NULL), -ECONNREFUSED); /* by the proxy */
	unsetenv("http_proxy");
	unsetenv("no_proxy");
	http_url_fini(&url);
	http_free(&http);
}

/* Before a connection is made where the URL says it, and after the name is known otherwise. */
static void forbidden_networks(void **state)
{
	static const char *const hosts[] = {"127.0.0.1", "localhost", "2130706433",
					    "ip6-localhost"};
	struct http *http = client();
	(void)state;
	unsigned before = atomic_load(&server.accepted);
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		struct http_url url = url_of(hosts[i], "/x");
		struct http_request request = get(&url, 3000);
		struct http_transfer *t;
		request.networks = HTTP_NET_PUBLIC | HTTP_NET_PRIVATE;
		err_t err = http_open(http, &request, &t, NULL);
		/* the last is a name that not every system's hosts file has */
		if (err != -EPERM && !(err == -EHOSTUNREACH && i == 3))
			fail_msg("%s: %d", hosts[i], err);
		http_url_fini(&url);
	}
	assert_int_equal(atomic_load(&server.accepted), before);
	http_free(&http);
}

static void nobody_listens(void **state)
{
	struct http *http = client();
	struct http_url url;
	struct http_transfer *t;
	(void)state;
	assert_int_equal(http_url_parse("http://127.0.0.1:1/", &url, NULL), 0);
	struct http_request request = get(&url, 3000);
	assert_int_equal(http_open(http, &request, &t, NULL), -ECONNREFUSED);
	http_url_fini(&url);
	/* TLS to a server that does not speak it */
	auto_free char *text = xasprintf("https://127.0.0.1:%u/", server.port);
	assert_int_equal(http_url_parse(text, &url, NULL), 0);
	request = get(&url, 1500);
	err_t err = http_open(http, &request, &t, NULL);
	assert_true(err == -EPROTONOSUPPORT || err == -ETIMEDOUT);
	http_url_fini(&url);
	http_free(&http);
}

static void unused_client(void **state)
{
	struct http *http = client();
	(void)state;
	http_interrupt(http);
	http_free(&http);
	http_free(&http);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unused_client),	 cmocka_unit_test(headers),
		cmocka_unit_test(many_threads),		 cmocka_unit_test(slow_reader),
		cmocka_unit_test(body_beyond_the_limit), cmocka_unit_test(times),
		cmocka_unit_test(interruption),		 cmocka_unit_test(exempt_from_the_proxy),
		cmocka_unit_test(forbidden_networks),	 cmocka_unit_test(nobody_listens),
	};
	return cmocka_run_group_tests(tests, start_server, stop_server);
}
