/*
 * Single requests and single connections, without retries: a probe tells what it saw the first
 * time.
 */
#include "fetch/registry_probe.h"

#include "fetch/log.h"
#include "fetch/manifest_referrers.h"
#include "fetch/registry_priv.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PROBE_MS 10000 /* one request, with its redirects and its login */

static struct registry *registry_of(struct source *s)
{
	BUG_ON(s->ops != &registry_ops);
	return (struct registry *)s;
}

/* --- target --- */

/* "http://user:password@proxy:3128" without what stands in front of the '@'. */
static char *without_login(const char *proxy)
{
	const char *scheme = strstr(proxy, "://"), *at = strrchr(proxy, '@');
	if (!at)
		return xstrdup(proxy);
	return xasprintf("%.*s%s", scheme ? (int)(scheme + 3 - proxy) : 0, proxy, at + 1);
}

static char *without_brackets(const char *host)
{
	size_t n = strlen(host);
	return host[0] == '[' && n > 2 ? xstrndup(host + 1, n - 2) : xstrdup(host);
}

err_t registry_probe_target(struct source *s, struct registry_target *out, struct diag *d)
{
	struct registry *r = registry_of(s);
	struct http_url url;
	*out = (struct registry_target){0};
	err_t err = registry_url(r, r->plain_http ? SCHEME_HTTP : SCHEME_HTTPS, "/v2/", &url, d);
	if (err)
		return err;
	const char *proxy = http_proxy_for(&url);
	out->host = without_brackets(url.host);
	out->port = xstrdup(url.port);
	out->proxy = proxy ? without_login(proxy) : NULL;
	http_url_fini(&url);
	return 0;
}

void registry_target_fini(struct registry_target *t)
{
	free(t->host);
	free(t->port);
	free(t->proxy);
	*t = (struct registry_target){0};
}

/* --- connection --- */

static char *address_text(const struct addrinfo *ai)
{
	char host[NI_MAXHOST];
	if (getnameinfo(ai->ai_addr, ai->ai_addrlen, host, sizeof(host), NULL, 0, NI_NUMERICHOST))
		return xstrdup("?");
	return xstrdup(host);
}

static char *addresses_text(const struct addrinfo *list)
{
	auto_free char *first = address_text(list);
	unsigned more = 0;
	for (const struct addrinfo *ai = list->ai_next; ai; ai = ai->ai_next)
		more++;
	return more ? xasprintf("%s and %u more", first, more) : xstrdup(first);
}

static err_t wait_connected(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int error = 0, n;
	socklen_t size = sizeof(error);
	do
		n = poll(&p, 1, HTTP_CONNECT_MS);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n ? -errno : -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size))
		return -errno;
	return -error;
}

static err_t connect_to(const struct addrinfo *ai)
{
	auto_fd int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) == 0)
		return 0;
	return errno == EINPROGRESS ? wait_connected(fd) : -errno;
}

err_t registry_probe_connect(const struct registry_target *t, struct registry_connection *out,
			     struct diag *d)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	*out = (struct registry_connection){0};
	int code = getaddrinfo(t->host, t->port, &hints, &list);
	if (code)
		return fail(d, ERR_NETWORK, -EHOSTUNREACH, "%s: %s", t->host,
			    code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
	out->addresses = addresses_text(list);
	err_t err = -EHOSTUNREACH;
	int64_t start = now_ms();
	for (const struct addrinfo *ai = list; ai && err; ai = ai->ai_next) {
		err = connect_to(ai);
		if (!err)
			out->address = address_text(ai);
	}
	out->ms = (unsigned)(now_ms() - start);
	freeaddrinfo(list);
	return err ? fail_sys(d, ERR_NETWORK, err, "%s port %s", t->host, t->port) : 0;
}

void registry_connection_fini(struct registry_connection *c)
{
	free(c->addresses);
	free(c->address);
	*c = (struct registry_connection){0};
}

/* --- requests --- */

/* The realm of Bearer is a URL, whose host tells enough; that of Basic is a text. */
static char *realm_text(const struct challenge *c)
{
	struct http_url url;
	if (!c->realm || c->scheme != CHALLENGE_BEARER || http_url_parse(c->realm, &url, NULL))
		return xstrdup_or_null(c->realm);
	char *host = xstrdup(url.host);
	http_url_fini(&url);
	return host;
}

static void read_hello(struct http_transfer *t, bool https, struct registry_hello *out)
{
	struct challenge c = {0};
	const char *value;
	for (unsigned i = 0; (value = http_header(t, "WWW-Authenticate", i)); i++)
		challenge_add(&c, value);
	out->status = http_status(t);
	out->https = https;
	out->is_registry = http_header(t, "Docker-Distribution-Api-Version", 0) ||
			   (out->status == 401 && c.scheme != CHALLENGE_NONE) || out->status == 200;
	if (c.scheme != CHALLENGE_NONE)
		out->scheme = xstrdup(c.scheme == CHALLENGE_BEARER ? "Bearer" : "Basic");
	out->realm = realm_text(&c);
	challenge_fini(&c);
}

err_t registry_probe_hello(struct source *s, struct registry_hello *out, struct diag *d)
{
	struct http_request request = {.method = "GET", .deadline_ms = now_ms() + PROBE_MS};
	struct http_transfer *t = NULL;
	struct http_url url = {0};
	*out = (struct registry_hello){0};
	err_t err = registry_open(registry_of(s), &request, "/v2/", &url, &t, d);
	if (!err) {
		read_hello(t, url.https, out);
		http_close(&t);
	}
	http_url_fini(&url);
	return err;
}

void registry_hello_fini(struct registry_hello *h)
{
	free(h->scheme);
	free(h->realm);
	*h = (struct registry_hello){0};
}

static err_t exchange_once(struct source *s, const struct exchange *x, int *status, struct diag *d)
{
	struct retry retry = {.deadline_ms = now_ms() + PROBE_MS, .failures_max = 1};
	struct http_transfer *t = NULL;
	err_t err = registry_exchange(registry_of(s), x, &retry, &t, d);
	if (err)
		return err;
	*status = http_status(t);
	http_close(&t);
	return 0;
}

err_t registry_probe_range(struct source *s, const struct digest *blob, uint64_t off, uint64_t len,
			   int *status, struct diag *d)
{
	char text[DIGEST_TEXT_MAX];
	auto_free char *path =
		xasprintf("/v2/%s/blobs/%s", registry_of(s)->repo, digest_text(blob, text));
	auto_free char *what = xasprintf("blob %s", text);
	struct exchange x = {
		.method = "GET",
		.path = path,
		.what = what,
		.ranged = true,
		.first = off,
		.last = off + len - 1,
	};
	BUG_ON(!len);
	return exchange_once(s, &x, status, d);
}

err_t registry_probe_referrers(struct source *s, const struct digest *subject, struct diag *d)
{
	char text[DIGEST_TEXT_MAX];
	auto_free char *tail = xasprintf("/referrers/%s", digest_text(subject, text));
	auto_free char *path = xasprintf("/v2/%s%s", registry_of(s)->repo, tail);
	auto_free char *what = xasprintf("referrers of %s", text);
	struct exchange x = {
		.method = "GET",
		.path = path,
		.what = what,
		.accept = MEDIA_TYPE_OCI_INDEX,
		.only_to = tail,
		.optional = true,
	};
	int status;
	return exchange_once(s, &x, &status, d);
}
