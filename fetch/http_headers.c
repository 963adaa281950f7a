/*
 * Header values and addresses that decide what is done with an answer. All of them come from a
 * peer: a value is either exactly of its grammar or it is malformed.
 */
#include "fetch/http_url.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <string.h>

#define RETRY_AFTER_MAX_S 86400 /* nobody waits longer; keeps the arithmetic small */

/* Digits at *at, which moves behind them. */
static bool take_decimal(const char **at, uint64_t *out)
{
	const char *s = *at;
	uint64_t value = 0;
	if (*s < '0' || *s > '9')
		return false;
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
		    !add_u64(value, (uint64_t)(*s - '0'), &value))
			return false;
	*at = s;
	*out = value;
	return true;
}

bool http_decimal(const char *value, uint64_t *out)
{
	return take_decimal(&value, out) && *value == 0;
}

bool http_content_range_parse(const char *value, struct http_content_range *out)
{
	*out = (struct http_content_range){0};
	if (strncasecmp(value, "bytes ", 6) != 0)
		return false;
	const char *at = value + 6 + strspn(value + 6, " ");
	if (*at == '*') {
		at++;
	} else {
		out->has_range = true;
		if (!take_decimal(&at, &out->first) || *at++ != '-' ||
		    !take_decimal(&at, &out->last) || out->last < out->first)
			return false;
	}
	if (*at++ != '/')
		return false;
	if (*at == '*')
		return at[1] == 0 && out->has_range;
	out->has_total = true;
	if (!take_decimal(&at, &out->total) || *at)
		return false;
	return !out->has_range || out->last < out->total;
}

/* Behind the parameters of one link: at the comma before the next link, or at the end. */
static const char *link_end(const char *at)
{
	for (bool quoted = false; *at && (quoted || *at != ','); at++)
		if (*at == '"')
			quoted = !quoted;
		else if (quoted && *at == '\\' && at[1])
			at++;
	return at;
}

/* Whether a rel parameter's value, quoted or not, names "next" among its words. */
static bool names_next(const char *at, const char *end)
{
	while (at < end) {
		size_t n = strcspn(at, " \t\";,");
		if (n == 4 && strncasecmp(at, "next", 4) == 0)
			return true;
		at += n;
		if (at < end && (*at == ';' || (*at == '"' && n)))
			return false;
		at++;
	}
	return false;
}

static bool is_next(const char *at, const char *end)
{
	while ((at = memchr(at, ';', (size_t)(end - at)))) {
		at++;
		at += strspn(at, " \t");
		if (strncasecmp(at, "rel", 3) != 0)
			continue;
		const char *value = at + 3 + strspn(at + 3, " \t");
		if (*value == '=')
			return names_next(value + 1 + strspn(value + 1, " \t"), end);
	}
	return false;
}

char *http_link_next(const char *value)
{
	for (const char *at = value; (at = strchr(at, '<'));) {
		const char *close = strchr(at, '>');
		if (!close)
			return NULL;
		const char *end = link_end(close);
		if (is_next(close, end))
			return xstrndup(at + 1, (size_t)(close - at - 1));
		at = end;
	}
	return NULL;
}

time_t http_date_parse(const char *value)
{
	return curl_getdate(value, NULL);
}

int64_t http_retry_after_ms(const char *value, time_t now)
{
	uint64_t seconds;
	if (http_decimal(value, &seconds))
		return (int64_t)min_of(seconds, (uint64_t)RETRY_AFTER_MAX_S) * 1000;
	time_t when = http_date_parse(value);
	if (when == (time_t)-1 || when <= now)
		return 0;
	return (int64_t)min_of(when - now, (time_t)RETRY_AFTER_MAX_S) * 1000;
}

static bool in_prefix(uint32_t addr, uint32_t prefix, unsigned bits)
{
	return (addr ^ prefix) >> (32 - bits) == 0;
}

/* IANA's special-purpose registry, as far as something could listen there. */
static enum http_network network_of_ipv4(uint32_t addr)
{
	if (in_prefix(addr, 0x7f000000, 8))
		return HTTP_NET_LOOPBACK;
	if (in_prefix(addr, 0x0a000000, 8) || in_prefix(addr, 0xac100000, 12) ||
	    in_prefix(addr, 0xc0a80000, 16) || in_prefix(addr, 0x64400000, 10))
		return HTTP_NET_PRIVATE;
	if (in_prefix(addr, 0xa9fe0000, 16) || in_prefix(addr, 0, 8) || addr >= 0xe0000000)
		return HTTP_NET_LOCAL;
	return HTTP_NET_PUBLIC;
}

static uint32_t ipv4_at(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static enum http_network network_of_ipv6(const struct in6_addr *addr)
{
	static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
	static const uint8_t zeros[12];
	const uint8_t *b = addr->s6_addr;
	if (IN6_IS_ADDR_LOOPBACK(addr))
		return HTTP_NET_LOOPBACK;
	if (IN6_IS_ADDR_V4MAPPED(addr) || memcmp(b, nat64, sizeof(nat64)) == 0)
		return network_of_ipv4(ipv4_at(b + 12));
	if (b[0] == 0x20 && b[1] == 0x02)
		return network_of_ipv4(ipv4_at(b + 2));
	if (memcmp(b, zeros, sizeof(zeros)) == 0 || IN6_IS_ADDR_LINKLOCAL(addr) ||
	    IN6_IS_ADDR_MULTICAST(addr) || IN6_IS_ADDR_SITELOCAL(addr))
		return HTTP_NET_LOCAL;
	return (b[0] & 0xfe) == 0xfc ? HTTP_NET_PRIVATE : HTTP_NET_PUBLIC;
}

enum http_network http_network_of(const struct sockaddr *addr)
{
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
	if (addr->sa_family == AF_INET) {
		memcpy(&in4, addr, sizeof(in4));
		return network_of_ipv4(ntohl(in4.sin_addr.s_addr));
	}
	if (addr->sa_family == AF_INET6) {
		memcpy(&in6, addr, sizeof(in6));
		return network_of_ipv6(&in6.sin6_addr);
	}
	return HTTP_NET_LOCAL;
}

enum http_network http_host_network(const char *host)
{
	char text[INET6_ADDRSTRLEN + 2];
	struct in_addr in4;
	struct in6_addr in6;
	if (inet_pton(AF_INET, host, &in4) == 1)
		return network_of_ipv4(ntohl(in4.s_addr));
	size_t n = strlen(host);
	if (n > 2 && n < sizeof(text) && host[0] == '[') {
		memcpy(text, host + 1, n - 2);
		text[n - 2] = 0;
		if (inet_pton(AF_INET6, text, &in6) == 1)
			return network_of_ipv6(&in6);
		return HTTP_NET_LOCAL; /* an address with a zone, or a form we do not know */
	}
	if (strcmp(host, "localhost") == 0 || strcmp(host, "localhost.") == 0)
		return HTTP_NET_LOOPBACK;
	return HTTP_NET_PUBLIC;
}
