/*
 * http_url - URLs, redirects and the header values that decide them, as plain functions
 *
 * Nothing here talks to the network. A URL is parsed once (RFC 3986, through libcurl's parser,
 * which also brings odd spellings of addresses into one form) and then compared by its parts.
 */
#ifndef IMGFS_FETCH_HTTP_URL_H
#define IMGFS_FETCH_HTTP_URL_H

#include "index/base.h"

#include <time.h>

#define HTTP_URL_MAX 16384 /* signed storage URLs reach a few KiB */

/* An absolute http or https URL without user information. All strings are owned. */
struct http_url {
	char *text; /* the whole URL as it was written, without fragment */
	char *host; /* lower case; IPv6 addresses in brackets */
	char *path; /* without query */
	char *port; /* always set, from the scheme where the URL has none */
	bool https;
};
/* http_url_parse - -EPROTO (ERR_NETWORK) for anything that is not an absolute http(s) URL. */
err_t http_url_parse(const char *text, struct http_url *out, struct diag *d) must_check;
void http_url_fini(struct http_url *url);

/* http_url_same_origin - same scheme, host and port: the border that credentials never cross. */
bool http_url_same_origin(const struct http_url *a, const struct http_url *b);

/* http_url_shown - "scheme://host[:port]/path" for messages, without the query (it may be a
 * signature); the caller frees. */
char *http_url_shown(const struct http_url *url);

/* http_status_is_redirect - 301, 302, 303, 307, 308: a Location is to be followed. */
bool http_status_is_redirect(int status);

/*
 * http_url_follow - where a redirect leads
 * @location  the Location value: absolute or relative to `from`
 * Refused with -EPROTO (ERR_NETWORK): another scheme than http(s), user information, and any step
 * from https to http.
 */
err_t http_url_follow(const struct http_url *from, const char *location, struct http_url *out,
		      struct diag *d) must_check;

/* http_query_add - url with name=value appended to its query, escaped; the caller frees. */
char *http_query_add(const char *url, const char *name, const char *value);
/* http_form_add - append name=value to a form body (application/x-www-form-urlencoded). */
void http_form_add(char **form, const char *name, const char *value);

/*
 * http_url_lifetime_s - for how many seconds a signed URL is still good
 * @server_now  the time at the server that signed it
 * Knows X-Amz-Date with X-Amz-Expires, X-Goog-Date with X-Goog-Expires, se= (Azure) and Expires=
 * (seconds since 1970). Negative when it is over, INT64_MAX when the URL does not say.
 */
int64_t http_url_lifetime_s(const char *url, time_t server_now);

/* The value of a Content-Range header (RFC 9110, 14.4). */
struct http_content_range {
	bool has_range; /* false: "bytes * /TOTAL", the answer to a range that can not be served */
	bool has_total; /* false: the total is "*" */
	uint64_t first, last, total;
};
/* http_content_range_parse - false for another unit, last < first, last >= total, or any other
 * malformed text. */
bool http_content_range_parse(const char *value, struct http_content_range *out);

/* http_link_next - the target, as it is written, of the first link with rel="next" in the value of
 * a Link header (RFC 8288); NULL: none. The caller frees. */
char *http_link_next(const char *value);

/* http_retry_after_ms - seconds or an HTTP date; 0 for the past and for nonsense; at most a day. */
int64_t http_retry_after_ms(const char *value, time_t now);

/* http_date_parse - an HTTP date, or (time_t)-1. */
time_t http_date_parse(const char *value);

/* http_decimal - a header's decimal number without sign or blanks; false when malformed or too
 * large. */
bool http_decimal(const char *value, uint64_t *out);

/* Where an address lies. A bit set says which ones a transfer may connect to. */
enum http_network {
	HTTP_NET_PUBLIC = 1,
	HTTP_NET_PRIVATE = 2,  /* RFC 1918, RFC 6598, fc00::/7 */
	HTTP_NET_LOOPBACK = 4, /* 127.0.0.0/8, ::1 */
	HTTP_NET_LOCAL = 8,    /* link-local (cloud metadata lives there), unspecified, multicast,
				  reserved */
	HTTP_NET_ANY = 15,
};
struct sockaddr;
/* http_network_of - addresses that carry an IPv4 address inside (mapped, NAT64, 6to4) count as that
 * one. */
enum http_network http_network_of(const struct sockaddr *addr);
/* http_host_network - of a host as it stands in http_url: an address by itself, "localhost" as
 * loopback, any other name as public (the address is looked at again when it is connected to). */
enum http_network http_host_network(const char *host);

#endif
