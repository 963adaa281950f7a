/*
 * The callers' side of a client: build a request, hand it to the network thread, wait for it. A
 * caller never waits longer than its deadline, whatever the network thread is doing.
 */
#include "fetch/http_priv.h"

#include "fetch/log.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#ifndef IMGFS_VERSION
#define IMGFS_VERSION "0"
#endif

#define CURL_CHUNK	  (128u << 10) /* one read from a socket; must fit the body buffer */
#define CONNECTION_LIFE_S 600	       /* so that a rotated or expired certificate is noticed */
#define CONNECTION_IDLE_S 60
#define NAME_CACHE_S	  5	  /* an address that changed is not kept for long */
#define WAIT_MAX_MS	  3600000 /* so that a deadline may be "never" */
#define CA_BUNDLE_MAX	  (8u << 20)

static const char SYSTEM_CA_FILE[] = "/etc/ssl/certs/ca-certificates.crt";

static void curl_start(void)
{
	BUG_ON(curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK);
}

static char *copy_env(const char *name)
{
	const char *value = getenv(name);
	return value && *value ? xstrdup(value) : NULL;
}

/* libcurl takes one bundle only: a host's own authorities are put behind the system's. */
static void load_own_bundle(struct http *http, struct bytes own)
{
	const char *system = http->ca_file ? http->ca_file : SYSTEM_CA_FILE;
	err_t err = read_file(system, CA_BUNDLE_MAX, &http->own_bundle);
	if (err && err != -ENOENT)
		log_warn("tls.trust", "file=%s error=%d", system, -err);
	http->own_bundle.limit = 0;
	BUG_ON(buf_append(&http->own_bundle, "\n", 1) ||
	       buf_append(&http->own_bundle, own.p, own.n));
}

struct http *http_new(const struct http_options *options)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, curl_start);
	struct http *http = new_of(struct http);
	http->options = *options;
	if (!http->options.connect_ms)
		http->options.connect_ms = HTTP_CONNECT_MS;
	if (!http->options.first_byte_ms)
		http->options.first_byte_ms = HTTP_FIRST_BYTE_MS;
	if (!http->options.stall_ms)
		http->options.stall_ms = HTTP_STALL_MS;
	http->ca_file = copy_env("SSL_CERT_FILE");
	http->ca_dir = copy_env("SSL_CERT_DIR");
	http->own_host = xstrdup_or_null(options->own_host);
	http->own_certificate = xstrdup_or_null(options->own_certificate);
	http->own_key = xstrdup_or_null(options->own_key);
	if (options->own_authorities.n)
		load_own_bundle(http, options->own_authorities);
	pthread_mutex_init(&http->lock, NULL);
	return http;
}

void http_free(struct http **pp)
{
	struct http *http = take(pp);
	if (!http)
		return;
	pthread_mutex_lock(&http->lock);
	bool started = http->started;
	http->stopping = true;
	pthread_mutex_unlock(&http->lock);
	if (started) {
		curl_multi_wakeup(http->multi);
		pthread_join(http->thread, NULL);
	}
	if (http->multi)
		curl_multi_cleanup(http->multi);
	pthread_mutex_destroy(&http->lock);
	buf_fini(&http->own_bundle);
	free(http->own_host);
	free(http->own_certificate);
	free(http->own_key);
	free(http->ca_file);
	free(http->ca_dir);
	free(http);
}

void http_interrupt(struct http *http)
{
	pthread_mutex_lock(&http->lock);
	http->interrupted = true;
	if (http->started)
		curl_multi_wakeup(http->multi);
	pthread_mutex_unlock(&http->lock);
}

/* Signals are the main thread's business; SIGPIPE of a broken connection must not end the process.
 */
static err_t start_thread_locked(struct http *http)
{
	sigset_t all, old;
	if (http->started)
		return 0;
	if (!http->multi) {
		http->multi = curl_multi_init();
		BUG_ON(!http->multi);
		curl_multi_setopt(http->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
		curl_multi_setopt(http->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
				  (long)HTTP_HOST_CONNECTIONS);
	}
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	err_t err = -pthread_create(&http->thread, NULL, http_thread_main, http);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	http->started = err == 0;
	return err;
}

static void add_header(struct http_transfer *t, const char *name, const char *value)
{
	auto_free char *line = xasprintf("%s%s%s", name, value ? ": " : ":", value ? value : "");
	struct curl_slist *list = curl_slist_append(t->header_lines, line);
	BUG_ON(!list);
	t->header_lines = list;
	explicit_bzero(line, strlen(line));
}

static void build_headers(struct http_transfer *t, const struct http_request *request)
{
	char range[64];
	add_header(t, "Accept-Encoding", "identity");
	add_header(t, "Accept", request->accept ? request->accept : "*/*");
	add_header(t, "Expect", NULL);
	if (request->authorization)
		add_header(t, "Authorization", request->authorization);
	if (request->content_type)
		add_header(t, "Content-Type", request->content_type);
	if (request->if_match)
		add_header(t, "If-Match", request->if_match);
	if (request->no_cache)
		add_header(t, "Cache-Control", "no-cache");
	if (request->ranged) {
		snprintf(range, sizeof(range), "bytes=%llu-%llu",
			 (unsigned long long)request->first, (unsigned long long)request->last);
		add_header(t, "Range", range);
	}
}

#define set(option, value) BUG_ON(curl_easy_setopt(t->easy, option, value) != CURLE_OK)

/* The one place that decides trust: every connection of every kind goes through it. */
static void setup_tls(struct http_transfer *t, const struct http_request *request)
{
	struct http *http = t->http;
	bool own = http->own_host && strcmp(http->own_host, request->url->host) == 0;
	set(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	set(CURLOPT_SSL_VERIFYPEER, 1L);
	set(CURLOPT_SSL_VERIFYHOST, 2L);
	if (own && http->own_bundle.n) {
		struct curl_blob blob = {http->own_bundle.p, http->own_bundle.n, CURL_BLOB_NOCOPY};
		set(CURLOPT_CAINFO_BLOB, &blob);
	} else if (http->ca_file) {
		set(CURLOPT_CAINFO, http->ca_file);
	}
	if (http->ca_dir)
		set(CURLOPT_CAPATH, http->ca_dir);
	if (own && http->own_certificate) {
		set(CURLOPT_SSLCERT, http->own_certificate);
		set(CURLOPT_SSLKEY, http->own_key);
	}
}

/* Everything libcurl would do on its own with redirects, credentials or other protocols is off. */
static void setup_safety(struct http_transfer *t, const char *proxy)
{
	set(CURLOPT_FOLLOWLOCATION, 0L);
	set(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	set(CURLOPT_PROTOCOLS_STR, "http,https");
	set(CURLOPT_HTTP_CONTENT_DECODING, 0L);
	set(CURLOPT_PATH_AS_IS, 1L);
	set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	/* Both said, so that it asks the environment for neither. */
	set(CURLOPT_PROXY, proxy ? proxy : "");
	set(CURLOPT_NOPROXY, "");
}

static void setup_connection(struct http_transfer *t)
{
	set(CURLOPT_NOSIGNAL, 1L);
	set(CURLOPT_CONNECTTIMEOUT_MS, (long)t->http->options.connect_ms);
	set(CURLOPT_MAXLIFETIME_CONN, (long)CONNECTION_LIFE_S);
	set(CURLOPT_MAXAGE_CONN, (long)CONNECTION_IDLE_S);
	set(CURLOPT_DNS_CACHE_TIMEOUT, (long)NAME_CACHE_S);
	set(CURLOPT_TCP_KEEPALIVE, 1L);
	set(CURLOPT_PIPEWAIT, 1L);
	set(CURLOPT_BUFFERSIZE, (long)CURL_CHUNK);
#if LIBCURL_VERSION_NUM >= 0x075700
	/* a transfer that is given up does not wait for the resolver */
	set(CURLOPT_QUICK_EXIT, 1L);
#endif
}

static void setup_request(struct http_transfer *t, const struct http_request *request)
{
	set(CURLOPT_URL, request->url->text);
	set(CURLOPT_USERAGENT, "imgfs/" IMGFS_VERSION);
	if (strcmp(request->method, "HEAD") == 0)
		set(CURLOPT_NOBODY, 1L);
	if (strcmp(request->method, "POST") == 0) {
		t->form = xstrdup(request->form ? request->form : "");
		set(CURLOPT_POSTFIELDS, t->form);
	}
	if (strcmp(request->method, "PUT") == 0) {
		t->upload = request->body;
		set(CURLOPT_UPLOAD, 1L);
		set(CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->body.n);
	}
	build_headers(t, request);
	set(CURLOPT_HTTPHEADER, t->header_lines);
}
#undef set

static struct http_transfer *transfer_new(struct http *http, const struct http_request *request)
{
	struct http_transfer *t = new_of(struct http_transfer);
	pthread_condattr_t attr;
	t->http = http;
	t->deadline_ms = request->deadline_ms;
	t->networks = request->networks;
	t->count_body = request->count_body;
	t->https = request->url->https;
	t->host_network = http_host_network(request->url->host);
	const char *proxy = http_proxy_for(request->url);
	t->proxied = proxy != NULL;
	t->host_shown = xasprintf("%s:%s", request->url->host, request->url->port);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->changed, &attr);
	pthread_condattr_destroy(&attr);
	t->easy = curl_easy_init();
	BUG_ON(!t->easy);
	setup_tls(t, request);
	setup_safety(t, proxy);
	setup_connection(t);
	setup_request(t, request);
	http_setup_callbacks(t);
	return t;
}

static void wipe_headers(struct curl_slist *list)
{
	for (; list; list = list->next)
		explicit_bzero(list->data, strlen(list->data));
}

void http_transfer_free(struct http_transfer *t)
{
	curl_easy_cleanup(t->easy);
	struct curl_slist *list = t->header_lines;
	size_t form_len = t->form ? strlen(t->form) : 0;
	wipe_headers(list);
	curl_slist_free_all(list);
	if (form_len)
		explicit_bzero(t->form, form_len);
	free(t->form);
	free(t->host_shown);
	free(t->body);
	buf_fini(&t->head);
	pthread_cond_destroy(&t->changed);
	free(t);
}

static err_t hand_over(struct http_transfer *t, struct diag *d)
{
	struct http *http = t->http;
	pthread_mutex_lock(&http->lock);
	err_t err = http->interrupted ? -ECANCELED : start_thread_locked(http);
	if (!err) {
		t->next = http->incoming;
		http->incoming = t;
		curl_multi_wakeup(http->multi);
	}
	pthread_mutex_unlock(&http->lock);
	if (err == -ECANCELED)
		return fail(d, ERR_NETWORK, err, "interrupted");
	return err ? fail_sys(d, ERR_OTHER, err, "can not start the network thread") : 0;
}

/* Wait for a change; false when the deadline has passed. */
static bool wait_locked(struct http_transfer *t)
{
	int64_t now = now_ms(), until_ms = min_of(t->deadline_ms, now + WAIT_MAX_MS);
	struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
	if (now < until_ms)
		pthread_cond_timedwait(&t->changed, &t->http->lock, &until);
	return now_ms() < t->deadline_ms;
}

static err_t fail_transfer_locked(struct http_transfer *t, struct diag *d)
{
	return fail(d, ERR_NETWORK, t->err, "%s: %s", t->host_shown, t->error);
}

static err_t fail_deadline(struct http_transfer *t, struct diag *d)
{
	return fail(d, ERR_NETWORK, -ETIMEDOUT, "%s: no answer within the time allowed",
		    t->host_shown);
}

err_t http_open(struct http *http, const struct http_request *request, struct http_transfer **out,
		struct diag *d)
{
	*out = NULL;
	/* A name is looked at again when it has become an address; an address can be refused now.
	 */
	enum http_network network = http_host_network(request->url->host);
	if (network != HTTP_NET_PUBLIC && !(network & request->networks))
		return fail(d, ERR_NETWORK, -EPERM,
			    "%s: the address is in a network that a registry must not send us to",
			    request->url->host);
	struct http_transfer *t = transfer_new(http, request);
	err_t err = hand_over(t, d);
	if (err) {
		http_transfer_free(t);
		return err;
	}
	bool in_time = true;
	pthread_mutex_lock(&http->lock);
	while (t->phase == HTTP_WAITING && in_time)
		in_time = wait_locked(t);
	if (t->phase == HTTP_WAITING)
		err = fail_deadline(t, d);
	else if (!t->head_done)
		err = fail_transfer_locked(t, d);
	pthread_mutex_unlock(&http->lock);
	if (err)
		http_close(&t);
	*out = t;
	return err;
}

int http_status(const struct http_transfer *t)
{
	return t->status;
}

enum http_network http_peer_network(const struct http_transfer *t)
{
	return t->peer_network;
}

const char *http_header(const struct http_transfer *t, const char *name, unsigned index)
{
	size_t name_len = strlen(name);
	for (size_t at = 0; at < t->head.n;) {
		const char *line = (const char *)t->head.p + at;
		at += strlen(line) + 1;
		if (strncasecmp(line, name, name_len) != 0 || line[name_len] != ':')
			continue;
		if (index-- == 0)
			return line + name_len + 1 + strspn(line + name_len + 1, " \t");
	}
	return NULL;
}

/* Copy out of the ring; wake the network thread when half of it has become free. */
static size_t take_body_locked(struct http_transfer *t, uint8_t *p, size_t n)
{
	n = min_of(n, t->body_n);
	size_t first = min_of(n, HTTP_BODY_BUFFER - t->body_at);
	memcpy(p, t->body + t->body_at, first);
	memcpy(p + first, t->body, n - first);
	t->body_at = (t->body_at + n) % HTTP_BODY_BUFFER;
	t->body_n -= n;
	if (t->paused && t->body_n <= HTTP_BODY_BUFFER / 2)
		curl_multi_wakeup(t->http->multi);
	return n;
}

err_t http_read(struct http_transfer *t, void *p, size_t n, size_t *got, struct diag *d)
{
	err_t err = 0;
	bool in_time = true;
	*got = 0;
	pthread_mutex_lock(&t->http->lock);
	/* TLS gives 16 KiB at a time: to be woken for each costs more than to copy them. */
	t->wanted = min_of(n, (size_t)HTTP_BODY_BUFFER / 2);
	while (t->body_n < t->wanted && !(t->paused && t->body_n) && t->phase == HTTP_BODY &&
	       in_time)
		in_time = wait_locked(t);
	if (t->body_n)
		*got = take_body_locked(t, p, n);
	else if (t->phase == HTTP_BODY)
		err = fail_deadline(t, d);
	else if (t->err)
		err = fail_transfer_locked(t, d);
	pthread_mutex_unlock(&t->http->lock);
	return err;
}

err_t http_read_all(struct http_transfer *t, size_t limit, struct buf *out, struct diag *d)
{
	uint8_t piece[16384];
	for (;;) {
		size_t got;
		err_t err = http_read(t, piece, sizeof(piece), &got, d);
		if (err || !got)
			return err;
		if (got > limit - out->n)
			return fail(d, ERR_NETWORK, -E2BIG,
				    "%s: the answer is longer than the %zu bytes allowed for it",
				    t->host_shown, limit);
		err = buf_append(out, piece, got);
		if (err)
			return fail_sys(d, ERR_OTHER, err, "%s", t->host_shown);
	}
}

void http_close(struct http_transfer **pp)
{
	struct http_transfer *t = take(pp);
	if (!t)
		return;
	struct http *http = t->http;
	pthread_mutex_lock(&http->lock);
	t->closed = true;
	curl_multi_wakeup(http->multi);
	pthread_mutex_unlock(&http->lock);
}

bool http_error_is_transient(err_t err)
{
	return err == -ECONNREFUSED || err == -EHOSTUNREACH || err == -ETIMEDOUT ||
	       err == -ECONNRESET || err == -EPROTONOSUPPORT;
}

void http_stats(struct http *http, struct http_stats *out)
{
	out->requests = atomic_load(&http->requests);
	out->body_bytes = atomic_load(&http->body_bytes);
}
