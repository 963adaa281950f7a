/*
 * Which proxy a request goes through. The environment says it in the way libcurl reads it, but it
 * is read here: only a connection that is known to be direct can have its address checked, so
 * libcurl is never left to decide.
 */
#include "fetch/http_priv.h"

#include <arpa/inet.h>
#include <string.h>

static const char SEPARATORS[] = ", \t";

/* One entry of the list, without blanks. */
struct exempt {
	char host[256];	  /* longer ones name no host */
	const char *port; /* in host, or NULL: all ports */
};

static size_t address_of(const char *text, uint8_t out[16])
{
	if (inet_pton(AF_INET, text, out) == 1)
		return 4;
	return inet_pton(AF_INET6, text, out) == 1 ? 16 : 0;
}

/* "10.0.0.0/8" and the like. */
static bool lies_in_network(const char *host, char *network)
{
	uint8_t address[16], prefix[16];
	uint64_t bits;
	char *slash = strchr(network, '/');
	if (!slash)
		return false;
	*slash = 0;
	size_t n = address_of(network, prefix);
	if (!n || address_of(host, address) != n || !http_decimal(slash + 1, &bits) || bits > n * 8)
		return false;
	size_t whole = (size_t)bits / 8, rest = (size_t)bits % 8;
	if (memcmp(address, prefix, whole) != 0)
		return false;
	return rest == 0 || (address[whole] ^ prefix[whole]) >> (8 - rest) == 0;
}

static bool same_address(const char *a, const char *b)
{
	uint8_t first[16], second[16];
	size_t n = address_of(a, first);
	return n && address_of(b, second) == n && memcmp(first, second, n) == 0;
}

/* The name itself and all names below it. */
static bool lies_in_domain(const char *host, const char *domain)
{
	uint8_t address[16];
	domain += strncmp(domain, "*.", 2) == 0;
	domain += *domain == '.';
	size_t host_n = strlen(host), n = strlen(domain);
	while (host_n && host[host_n - 1] == '.')
		host_n--;
	while (n && domain[n - 1] == '.')
		n--;
	if (!n || n > host_n || strncasecmp(host + host_n - n, domain, n) != 0)
		return false;
	return n == host_n || (host[host_n - n - 1] == '.' && !address_of(host, address));
}

/* Take a port off the end: "host:port" and "[address]:port", but not a bare IPv6 address. */
static void split_entry(struct exempt *entry)
{
	char *text = entry->host, *colon = strrchr(text, ':'), *bracket = strrchr(text, ']');
	entry->port = NULL;
	if (colon && (bracket ? colon == bracket + 1 : colon == strchr(text, ':'))) {
		*colon = 0;
		entry->port = colon + 1;
	}
	if (text[0] == '[' && bracket) {
		*bracket = 0;
		memmove(text, text + 1, strlen(text));
	}
}

static bool entry_matches(const char *p, size_t n, const char *host, const char *port)
{
	struct exempt entry;
	if (n >= sizeof(entry.host))
		return false;
	memcpy(entry.host, p, n);
	entry.host[n] = 0;
	if (strcmp(entry.host, "*") == 0)
		return true;
	split_entry(&entry);
	if (entry.port && strcmp(entry.port, port) != 0)
		return false;
	return same_address(host, entry.host) || lies_in_domain(host, entry.host) ||
	       lies_in_network(host, entry.host);
}

bool http_proxy_exempts(const char *list, const struct http_url *url)
{
	char bare[64];
	const char *host = url->host;
	size_t host_n = strlen(host);
	if (host[0] == '[' && host_n > 2 && host_n - 2 < sizeof(bare)) {
		memcpy(bare, host + 1, host_n - 2);
		bare[host_n - 2] = 0;
		host = bare;
	}
	while (*list) {
		size_t n = strcspn(list, SEPARATORS);
		if (n && entry_matches(list, n, host, url->port))
			return true;
		list += n;
		list += strspn(list, SEPARATORS);
	}
	return false;
}

/* The first of these variables that says something, or NULL. */
static const char *first_set(const char *const *names)
{
	for (; *names; names++) {
		const char *value = getenv(*names);
		if (value && *value)
			return value;
	}
	return NULL;
}

const char *http_proxy_for(const struct http_url *url)
{
	/* A server's HTTP_PROXY may be a header of a request to it: it does not count. */
	static const char *const for_http[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
	static const char *const for_https[] = {"https_proxy", "HTTPS_PROXY", "all_proxy",
						"ALL_PROXY", NULL};
	static const char *const exempt[] = {"no_proxy", "NO_PROXY", NULL};
	const char *proxy = first_set(url->https ? for_https : for_http);
	const char *list = first_set(exempt);
	if (!proxy || http_host_network(url->host) == HTTP_NET_LOOPBACK)
		return NULL;
	return list && http_proxy_exempts(list, url) ? NULL : proxy;
}
