/*
 * The network thread. One loop: take new transfers, let libcurl work, report what ended, resume
 * whose reader made room, end whose time is over, sleep until the next event. libcurl's callbacks
 * run in this thread; they take the client's lock for as long as it takes to copy bytes.
 */
#include "fetch/http_priv.h"

#include "fetch/log.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOP_IDLE_MS	    60000
#define HTTP2_SAME_ERROR_MS 2000
#define HTTP2_ERRORS_MAX    2
#define HTTP1_FOR_MS	    600000

static void signal_locked(struct http_transfer *t, enum http_phase phase)
{
	t->phase = phase;
	pthread_cond_broadcast(&t->changed);
}

/* --- libcurl's callbacks --- */

/* The last moment before a packet leaves: names have become addresses here. */
static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *addr)
{
	struct http_transfer *t = arg;
	(void)purpose;
	/* A proxy's own address says nothing about the target; the proxy is the gate then. */
	if (!t->proxied && !(http_network_of(&addr->addr) & t->networks)) {
		t->refused_address = true;
		return CURL_SOCKET_BAD;
	}
	return socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
}

static int on_request_sent(void *arg, char *peer, char *local, int peer_port, int local_port)
{
	struct http_transfer *t = arg;
	(void)peer, (void)local, (void)peer_port, (void)local_port;
	t->sent_ms = now_ms();
	atomic_fetch_add(&t->http->requests, 1);
	return CURL_PREREQFUNC_OK;
}

/* The body is its sender's until it closes the transfer; the lock keeps it there for the copy.
 * Every piece that leaves shows that the peer still takes some. */
static size_t on_upload(char *p, size_t size, size_t n, void *arg)
{
	struct http_transfer *t = arg;
	size_t result = CURL_READFUNC_ABORT;
	(void)size; /* always 1 */
	pthread_mutex_lock(&t->http->lock);
	if (!t->closed) {
		result = min_of(n, t->upload.n - t->uploaded);
		if (result)
			memcpy(p, t->upload.p + t->uploaded, result);
		t->uploaded += result;
	}
	pthread_mutex_unlock(&t->http->lock);
	t->sent_ms = now_ms();
	return result;
}

/* A kept connection that turned out to be dead: the body is sent anew over another one. */
static int on_upload_seek(void *arg, curl_off_t off, int origin)
{
	struct http_transfer *t = arg;
	if (origin != SEEK_SET || off < 0 || (uint64_t)off > t->upload.n)
		return CURL_SEEKFUNC_FAIL;
	pthread_mutex_lock(&t->http->lock);
	t->uploaded = (size_t)off;
	pthread_mutex_unlock(&t->http->lock);
	return CURL_SEEKFUNC_OK;
}

static enum http_network network_of_text(const char *address)
{
	char host[80];
	snprintf(host, sizeof(host), strchr(address, ':') ? "[%s]" : "%s", address);
	return http_host_network(host);
}

static void end_of_headers(struct http_transfer *t)
{
	char *address = NULL;
	t->head_done = true;
	t->http->suspect = false;
	t->peer_network = t->host_network;
	if (!t->proxied && curl_easy_getinfo(t->easy, CURLINFO_PRIMARY_IP, &address) == CURLE_OK &&
	    address && *address)
		t->peer_network = network_of_text(address);
	t->window_start_ms = now_ms();
	pthread_mutex_lock(&t->http->lock);
	signal_locked(t, HTTP_BODY);
	pthread_mutex_unlock(&t->http->lock);
}

static err_t keep_header_line(struct http_transfer *t, const char *p, size_t n)
{
	while (n && (p[n - 1] == '\r' || p[n - 1] == '\n' || p[n - 1] == ' ' || p[n - 1] == '\t'))
		n--;
	if (memchr(p, 0, n))
		return -EPROTO;
	if (t->head.n + n + 1 > HTTP_HEADERS_MAX)
		return -EPROTO;
	err_t err = buf_append(&t->head, p, n);
	return err ? err : buf_append(&t->head, "", 1);
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct http_transfer *t = arg;
	long status = 0;
	(void)size; /* always 1 */
	if (t->head_done)
		return n; /* a trailer */
	if (n >= 5 && strncmp(p, "HTTP/", 5) == 0)
		t->head.n = 0; /* also after a 1xx answer */
	if (n > 2 || (n && p[0] != '\r' && p[0] != '\n')) {
		t->callback_err = keep_header_line(t, p, n);
		return t->callback_err ? 0 : n;
	}
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 200) {
		t->status = (int)status;
		end_of_headers(t);
	}
	return n;
}

/* Counted before the reader can see the bytes, so that totals are never behind what was read. */
static void append_body_locked(struct http_transfer *t, const char *p, size_t n)
{
	size_t at = (t->body_at + t->body_n) % HTTP_BODY_BUFFER;
	size_t first = min_of(n, HTTP_BODY_BUFFER - at);
	memcpy(t->body + at, p, first);
	memcpy(t->body, p + first, n - first);
	t->body_n += n;
	t->window_bytes += n;
	if (t->count_body && (t->status == 200 || t->status == 206))
		atomic_fetch_add(&t->http->body_bytes, n);
	if (t->body_n >= t->wanted)
		pthread_cond_signal(&t->changed);
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct http_transfer *t = arg;
	size_t result = n;
	(void)size; /* always 1 */
	pthread_mutex_lock(&t->http->lock);
	if (!t->body)
		t->body = xcalloc(HTTP_BODY_BUFFER, 1);
	if (t->closed) {
		result = 0;
	} else if (n > HTTP_BODY_BUFFER - t->body_n) {
		t->paused = true;
		pthread_cond_signal(&t->changed);
		result = CURL_WRITEFUNC_PAUSE;
	} else {
		append_body_locked(t, p, n);
	}
	pthread_mutex_unlock(&t->http->lock);
	return result;
}

void http_setup_callbacks(struct http_transfer *t)
{
	CURL *easy = t->easy;
	curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->curl_error);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, t);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request_sent);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, t);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_upload);
	curl_easy_setopt(easy, CURLOPT_READDATA, t);
	curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_upload_seek);
	curl_easy_setopt(easy, CURLOPT_SEEKDATA, t);
}

/* --- the end of a transfer --- */

static void end_transfer(struct http_transfer *t, err_t err, const char *why)
{
	if (t->added) {
		/* A connection that went silent is not given to the next request. */
		if (err == -ETIMEDOUT) {
			curl_easy_setopt(t->easy, CURLOPT_FORBID_REUSE, 1L);
			t->http->suspect = true;
		}
		curl_multi_remove_handle(t->http->multi, t->easy);
		t->added = false;
	}
	pthread_mutex_lock(&t->http->lock);
	if (t->phase != HTTP_ENDED) {
		t->err = err;
		snprintf(t->error, sizeof(t->error), "%s", why);
		signal_locked(t, HTTP_ENDED);
	}
	pthread_mutex_unlock(&t->http->lock);
}

/* Connected, but the handshake did not come to its end. */
static bool broke_in_handshake(struct http_transfer *t)
{
	curl_off_t connected = 0, secured = 0;
	curl_easy_getinfo(t->easy, CURLINFO_CONNECT_TIME_T, &connected);
	curl_easy_getinfo(t->easy, CURLINFO_APPCONNECT_TIME_T, &secured);
	return t->https && connected > 0 && secured == 0 && !t->sent_ms;
}

static err_t err_of_connect(struct http_transfer *t)
{
	long os_errno = 0;
	curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &os_errno);
	return os_errno == 0 || os_errno == ECONNREFUSED ? -ECONNREFUSED : -EHOSTUNREACH;
}

static err_t err_of_curl(struct http_transfer *t, CURLcode code)
{
	if (t->callback_err)
		return t->callback_err;
	if (t->refused_address && !t->sent_ms)
		return -EPERM;
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return -EHOSTUNREACH;
	case CURLE_COULDNT_CONNECT:
		return err_of_connect(t);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_CERTPROBLEM:
		return -EKEYREJECTED;
	case CURLE_SSL_CONNECT_ERROR:
		return -EPROTONOSUPPORT;
	case CURLE_OPERATION_TIMEDOUT:
		return broke_in_handshake(t) ? -EPROTONOSUPPORT : -ETIMEDOUT;
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_BAD_CONTENT_ENCODING:
		return -EPROTO;
	default:
		return broke_in_handshake(t) ? -EPROTONOSUPPORT : -ECONNRESET;
	}
}

static void explain(struct http_transfer *t, CURLcode code, err_t err, char *why, size_t n)
{
	const char *detail = t->curl_error[0] ? t->curl_error : curl_easy_strerror(code);
	if (err == -EPERM)
		snprintf(why, n, "its address is in a network that a registry must not send us to");
	else if (err == -EPROTO && t->callback_err)
		snprintf(why, n, "malformed or endless headers");
	else if (err == -ECONNREFUSED)
		snprintf(why, n, "connection refused");
	else if (err == -EHOSTUNREACH)
		snprintf(why, n, "not reachable (%.180s)", detail);
	else if (err == -EKEYREJECTED)
		snprintf(why, n,
			 "certificate not accepted (%.150s); SSL_CERT_FILE names authorities",
			 detail);
	else if (err == -EPROTONOSUPPORT)
		snprintf(why, n, "no TLS connection (%.150s); --plain-http does without", detail);
	else
		snprintf(why, n, "%.200s", detail);
}

/* One connection that breaks takes many streams with it: that is one error. */
static void note_protocol_error(struct http *http, CURLcode code)
{
	int64_t now = now_ms();
	if ((code != CURLE_HTTP2 && code != CURLE_HTTP2_STREAM) ||
	    now - http->http2_error_ms < HTTP2_SAME_ERROR_MS)
		return;
	http->http2_error_ms = now;
	if (++http->http2_errors < HTTP2_ERRORS_MAX)
		return;
	http->http2_errors = 0;
	http->http1_until_ms = now + HTTP1_FOR_MS;
	log_info("http.downgrade", "HTTP/1.1 for %d s after protocol errors", HTTP1_FOR_MS / 1000);
}

static void report_ended(struct http *http)
{
	CURLMsg *message;
	int left;
	while ((message = curl_multi_info_read(http->multi, &left))) {
		struct http_transfer *t = NULL;
		char why[sizeof(t->error)] = "";
		CURLcode code = message->data.result;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t);
		err_t err = code == CURLE_OK ? 0 : err_of_curl(t, code);
		if (code == CURLE_OK && !t->head_done)
			err = -EPROTO;
		if (err)
			explain(t, code, err, why, sizeof(why));
		note_protocol_error(http, code);
		end_transfer(t, err, why);
	}
}

/* --- what the loop does for each transfer --- */

static void start_transfer(struct http *http, struct http_transfer *t)
{
	bool old = now_ms() < http->http1_until_ms;
	curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION,
			 (long)(old ? CURL_HTTP_VERSION_1_1 : CURL_HTTP_VERSION_2TLS));
	curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, http->suspect ? 1L : 0L);
	t->next = http->active;
	http->active = t;
	t->window_start_ms = now_ms();
	if (curl_multi_add_handle(http->multi, t->easy) == CURLM_OK)
		t->added = true;
	else
		end_transfer(t, -ECONNRESET, "the request could not be started");
}

/* Oldest first, so that requests leave in the order they were made. */
static void take_incoming(struct http *http)
{
	struct http_transfer *in_order = NULL;
	pthread_mutex_lock(&http->lock);
	struct http_transfer *t = take(&http->incoming);
	pthread_mutex_unlock(&http->lock);
	while (t) {
		struct http_transfer *next = t->next;
		t->next = in_order;
		in_order = t;
		t = next;
	}
	while (in_order) {
		t = in_order;
		in_order = t->next;
		start_transfer(http, t);
	}
}

/* The time at which the transfer is given up if nothing happens until then; says why. */
static int64_t stage_deadline(struct http_transfer *t, bool paused, const char **why)
{
	const struct http_options *options = &t->http->options;
	int64_t at = t->deadline_ms, stage = INT64_MAX;
	*why = "no answer within the time allowed";
	if (!t->head_done && t->sent_ms)
		stage = t->sent_ms +
			(int64_t)options->first_byte_ms * (t->upload.n ? HTTP_UPLOADED_FACTOR : 1);
	else if (t->head_done && !paused)
		stage = t->window_start_ms + options->stall_ms;
	if (stage >= at)
		return at;
	*why = t->head_done ? "the transfer has stalled"
			    : "it took the request but does not answer";
	return stage;
}

/* A window that brought enough bytes is followed by the next one. */
static void turn_window(struct http_transfer *t, int64_t now, bool paused)
{
	uint64_t enough = (uint64_t)HTTP_STALL_BYTES_S * t->http->options.stall_ms / 1000;
	bool over = now >= t->window_start_ms + t->http->options.stall_ms;
	if (paused || (over && t->window_bytes >= enough)) {
		t->window_start_ms = now;
		t->window_bytes = 0;
	}
}

static void serve_transfer(struct http_transfer *t, bool interrupted, int64_t *next_ms)
{
	const char *why;
	pthread_mutex_lock(&t->http->lock);
	bool paused = t->paused;
	bool resume = paused && t->body_n <= HTTP_BODY_BUFFER / 2;
	if (resume)
		t->paused = false;
	pthread_mutex_unlock(&t->http->lock);

	int64_t now = now_ms();
	turn_window(t, now, paused);
	int64_t deadline = stage_deadline(t, paused, &why);
	if (interrupted)
		end_transfer(t, -ECANCELED, "interrupted");
	else if (now >= deadline)
		end_transfer(t, -ETIMEDOUT, why);
	else if (resume)
		curl_easy_pause(t->easy, CURLPAUSE_CONT);
	*next_ms = min_of(*next_ms, deadline);
}

static bool is_closed(struct http_transfer *t)
{
	pthread_mutex_lock(&t->http->lock);
	bool closed = t->closed;
	pthread_mutex_unlock(&t->http->lock);
	return closed;
}

/* Serve all, free the closed ones; the time of the next deadline. */
static int64_t serve_all(struct http *http, bool interrupted)
{
	int64_t next_ms = now_ms() + LOOP_IDLE_MS;
	for (struct http_transfer **link = &http->active; *link;) {
		struct http_transfer *t = *link;
		if (is_closed(t)) {
			*link = t->next;
			end_transfer(t, -ECANCELED, "closed");
			http_transfer_free(t);
			continue;
		}
		if (t->added)
			serve_transfer(t, interrupted, &next_ms);
		link = &t->next;
	}
	return next_ms;
}

void *http_thread_main(void *arg)
{
	struct http *http = arg;
	for (;;) {
		int running;
		pthread_mutex_lock(&http->lock);
		bool stopping = http->stopping, interrupted = http->interrupted;
		pthread_mutex_unlock(&http->lock);
		take_incoming(http);
		curl_multi_perform(http->multi, &running);
		report_ended(http);
		int64_t next_ms = serve_all(http, interrupted);
		if (stopping) {
			BUG_ON(http->active); /* every transfer is closed before the client is freed
					       */
			return NULL;
		}
		int64_t wait_ms = max_of(next_ms - now_ms(), (int64_t)1);
		curl_multi_poll(http->multi, NULL, 0, (int)min_of(wait_ms, (int64_t)LOOP_IDLE_MS),
				NULL);
	}
}
