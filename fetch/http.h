/*
 * http - one request at a time for the caller, one network thread for all of them
 *
 * A client owns a thread that drives a libcurl multi handle: connections are shared, HTTP/2 is used
 * where the server offers it. Callers block: http_open returns when status and headers are there,
 * http_read hands out the body from a bounded buffer, http_close ends the transfer wherever it is.
 * Nothing is followed, retried, decoded or authenticated here. Each identity at each registry has a
 * client of its own, so that no connection is ever used for somebody else's request.
 *
 * Errors, all of class ERR_NETWORK:
 *   -ECONNREFUSED, -EHOSTUNREACH  no connection (refused; no such name or no route)
 *   -ETIMEDOUT                    connect, first byte, stall or the caller's deadline
 *   -ECONNRESET                   the transfer broke
 *   -EPROTONOSUPPORT              the peer did not speak TLS
 *   -EKEYREJECTED                 its certificate is not accepted
 *   -EPERM                        the address is in a network the request must not reach
 *   -EPROTO                       not HTTP, or headers beyond HTTP_HEADERS_MAX
 *   -ECANCELED                    http_interrupt
 */
#ifndef IMGFS_FETCH_HTTP_H
#define IMGFS_FETCH_HTTP_H

#include "fetch/http_url.h"

#define HTTP_HEADERS_MAX   (256u << 10) /* no honest answer comes near; endless ones exist */
#define HTTP_BODY_BUFFER   (256u << 10) /* a transfer's body bytes in memory; then it is paused */
#define HTTP_CONNECT_MS	   5000		/* name lookup, TCP and TLS */
#define HTTP_FIRST_BYTE_MS 10000	/* from the request to the end of the headers */
#define HTTP_STALL_MS	   10000 /* a window with fewer than HTTP_STALL_BYTES_S a second is a stall */
#define HTTP_STALL_BYTES_S 1024
#define HTTP_UPLOADED_FACTOR                                                                       \
	6 /* first bytes may take so much longer after a body: it is stored first */
#define HTTP_HOST_CONNECTIONS 16

struct http_options {
	unsigned connect_ms, first_byte_ms, stall_ms; /* 0: the constants above */
	const char *own_host; /* as in http_url: the host that the rest is for; NULL: none */
	struct bytes own_authorities;	       /* PEM, trusted besides the system's */
	const char *own_certificate, *own_key; /* files to show there; NULL: none */
};

struct http;
struct http_transfer;

/* http_new - starts no thread yet: that happens at the first request, so a process may fork in
 * between. Options are copied. Trust comes from the system or SSL_CERT_FILE and SSL_CERT_DIR,
 * proxies from the environment, looked at for each request; what no_proxy exempts is a direct
 * connection with all its rules. */
struct http *http_new(const struct http_options *options);
/* http_free - every transfer must have been closed. */
void http_free(struct http **http);
/* http_interrupt - all transfers, present and future, end with -ECANCELED. */
void http_interrupt(struct http *http);

struct http_request {
	const char *method; /* "GET", "HEAD", "POST" or "PUT" */
	const struct http_url *url;
	const char *accept;	   /* NULL: none */
	const char *authorization; /* a secret; NULL: none */
	const char *form;	   /* body of a POST; NULL: an empty one */
	struct bytes body;	   /* of a PUT; not copied: it must stay until http_close */
	const char *content_type;  /* of the body; NULL: a form's */
	const char *if_match;	   /* an ETag; NULL: none */
	bool ranged;		   /* send "Range: bytes=first-last" */
	bool no_cache;		   /* ask caches on the way not to answer */
	bool count_body;	   /* body bytes of a 200 or 206 go into http_stats.body_bytes */
	uint64_t first, last;
	unsigned networks;   /* set of enum http_network it may connect to */
	int64_t deadline_ms; /* now_ms() time at which the whole transfer ends */
};

/* http_open - send a request and wait for status and headers; any status is a success. */
err_t http_open(struct http *http, const struct http_request *request, struct http_transfer **out,
		struct diag *d) must_check;
int http_status(const struct http_transfer *t);
/* http_header - the index-th value of a header, or NULL; valid until http_close. Cost: linear. */
const char *http_header(const struct http_transfer *t, const char *name, unsigned index);
/* http_peer_network - where the peer's address lies. Through a proxy: what the URL's host says. */
enum http_network http_peer_network(const struct http_transfer *t);
/* http_read - up to n body bytes; *got is 0 only at the end of the body. */
err_t http_read(struct http_transfer *t, void *p, size_t n, size_t *got, struct diag *d) must_check;
/* http_read_all - the rest of the body; -E2BIG (ERR_NETWORK) when it is longer than limit. */
err_t http_read_all(struct http_transfer *t, size_t limit, struct buf *out,
		    struct diag *d) must_check;
/* http_close - a transfer that is not at its end is aborted. Does not wait. */
void http_close(struct http_transfer **t);

/* http_proxy_for - the proxy of the environment for this URL (http_proxy, https_proxy, all_proxy;
 * no_proxy), or NULL: a direct connection, as always to a loopback host. Valid until the
 * environment changes. */
const char *http_proxy_for(const struct http_url *url);

/* http_error_is_transient - whether the same request could succeed a moment later. */
bool http_error_is_transient(err_t err);

struct http_stats {
	uint64_t requests;   /* requests sent */
	uint64_t body_bytes; /* received for requests with count_body */
};
void http_stats(struct http *http, struct http_stats *out);

#endif
