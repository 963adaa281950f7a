/*
 * http_priv - what the callers' side (http.c) and the network thread (http_multi.c) share
 *
 * A transfer belongs to its caller until http_close, which sets `closed`; then the network thread
 * frees it. Fields are grouped by who may touch them.
 */
#ifndef IMGFS_FETCH_HTTP_PRIV_H
#define IMGFS_FETCH_HTTP_PRIV_H

#include "fetch/http.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>

enum http_phase {
	HTTP_WAITING, /* for the end of the headers */
	HTTP_BODY,    /* headers complete; body bytes arrive */
	HTTP_ENDED,   /* nothing more arrives; err says how it ended */
};

struct http_transfer {
	/* written before the network thread sees it, then constant */
	struct http *http;
	CURL *easy; /* used by the network thread only, once it has the transfer */
	struct curl_slist *header_lines;
	char *form;
	struct bytes upload; /* the caller's: untouched once `closed` */
	char *host_shown;    /* "host:port" for messages */
	bool https;
	bool count_body;
	bool proxied; /* the address connected to is a proxy's */
	unsigned networks;
	int64_t deadline_ms;
	enum http_network host_network;

	/* under http->lock */
	pthread_cond_t changed;
	enum http_phase phase;
	err_t err;
	char error[256];
	bool closed;	 /* the caller is gone */
	bool paused;	 /* the network thread waits for room in the body buffer */
	uint8_t *body;	 /* ring of HTTP_BODY_BUFFER bytes */
	size_t body_at;	 /* of the first unread byte */
	size_t body_n;	 /* unread bytes */
	size_t wanted;	 /* the reader is woken when there are so many */
	size_t uploaded; /* bytes of upload that libcurl has taken */

	/* the network thread's until phase HTTP_BODY, constant afterwards */
	struct buf head; /* header lines, each ended by NUL */
	int status;
	enum http_network peer_network;

	/* the network thread's */
	struct http_transfer *next;
	bool added; /* to the multi handle */
	bool head_done;
	bool refused_address;
	err_t callback_err; /* why one of our callbacks stopped the transfer */
	int64_t sent_ms;    /* the last piece of the request went out; 0: none yet */
	int64_t window_start_ms;
	uint64_t window_bytes;
	char curl_error[CURL_ERROR_SIZE];
};

struct http {
	struct http_options options;
	char *ca_file, *ca_dir;			    /* SSL_CERT_FILE, SSL_CERT_DIR, or NULL */
	char *own_host, *own_certificate, *own_key; /* copies of the options, or NULL */
	struct buf own_bundle; /* the system's authorities and own_authorities; empty without */
	_Atomic uint64_t requests, body_bytes;

	pthread_mutex_t lock;
	/* under the lock */
	bool started, stopping, interrupted;
	struct http_transfer *incoming;

	/* set before the thread starts */
	pthread_t thread;
	CURLM *multi;

	/* the network thread's */
	struct http_transfer *active;
	int64_t http2_error_ms; /* of the last one */
	unsigned http2_errors;
	int64_t http1_until_ms; /* after protocol errors HTTP/2 is left alone for a while */
	bool suspect;		/* a transfer timed out and none has succeeded since */
};

/* http_thread_main - the network thread; arg is the struct http. */
void *http_thread_main(void *arg);
/* http_setup_callbacks - connect a transfer's easy handle with the network thread's callbacks. */
void http_setup_callbacks(struct http_transfer *t);
/* http_transfer_free - a transfer the network thread has not, or no longer. */
void http_transfer_free(struct http_transfer *t);

/*
 * http_proxy_exempts - whether a no_proxy list names the URL's host
 * @list  entries with commas or blanks between them: "*", a name (which stands for those below it
 *        too, with or without a leading dot), an address, or a network "10.0.0.0/8"; a port behind
 *        a name or an address restricts it to that port
 */
bool http_proxy_exempts(const char *list, const struct http_url *url);

#endif
