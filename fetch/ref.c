/*
 * References are split from the right: digest, then tag, then host, and every part is checked
 * against its own small grammar before it is stored. What is stored may go into a URL or a header
 * as it is.
 */
#include "fetch/ref.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define REF_NAME_MAX 255 /* host, slash and path: the cap many registries and clients share */
#define REF_TAG_MAX  128 /* distribution-spec */

#define SCHEME "docker://"
#define LAYOUT "oci:"

static const char HUB_HOST[] = "docker.io";
static const char HUB_API_HOST[] = "registry-1.docker.io";
static const char HUB_LIBRARY[] = "library/";

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
	return is_lower(c) || is_upper(c) || is_digit(c);
}

static bool port_valid(const char *port)
{
	size_t n = strlen(port);
	if (n == 0 || n > 5 || strspn(port, "0123456789") != n)
		return false;
	long value = strtol(port, NULL, 10);
	return value > 0 && value <= UINT16_MAX;
}

/* Letters, digits and inner dashes, joined by single dots. */
static bool domain_valid(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool edge = i == 0 || i + 1 == n || s[i - 1] == '.' || s[i + 1] == '.';
		if (!is_alnum(s[i]) && (edge || (s[i] != '-' && s[i] != '.')))
			return false;
	}
	return n > 0;
}

static bool ipv6_valid(const char *s, size_t n)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr addr;
	if (n >= sizeof(text))
		return false;
	memcpy(text, s, n);
	text[n] = 0;
	return inet_pton(AF_INET6, text, &addr) == 1;
}

static bool host_valid(const char *host)
{
	const char *rest;
	if (host[0] == '[') {
		const char *close = strchr(host, ']');
		if (!close || !ipv6_valid(host + 1, (size_t)(close - host - 1)))
			return false;
		rest = close + 1;
	} else {
		size_t n = strcspn(host, ":");
		if (!domain_valid(host, n))
			return false;
		rest = host + n;
	}
	return *rest == 0 || (*rest == ':' && port_valid(rest + 1));
}

/* One run between letters or digits: '.', '_', '__' or any number of '-'. */
static bool separator_valid(const char *s, size_t n)
{
	if (s[0] == '-')
		return strspn(s, "-") >= n;
	return (n == 1 && (s[0] == '.' || s[0] == '_')) || (n == 2 && s[0] == '_' && s[1] == '_');
}

static bool component_valid(const char *s, size_t n)
{
	size_t i = 0;
	if (n == 0 || !(is_lower(s[n - 1]) || is_digit(s[n - 1])))
		return false;
	while (i < n) {
		if (!(is_lower(s[i]) || is_digit(s[i])))
			return false;
		while (i < n && (is_lower(s[i]) || is_digit(s[i])))
			i++;
		size_t run = i;
		while (run < n && !is_alnum(s[run]))
			run++;
		if (run > i && !separator_valid(s + i, run - i))
			return false;
		i = run;
	}
	return true;
}

static bool path_valid(const char *path)
{
	for (const char *at = path;; at++) {
		size_t n = strcspn(at, "/");
		if (!component_valid(at, n))
			return false;
		at += n;
		if (!*at)
			return true;
	}
}

static bool tag_valid(const char *tag)
{
	size_t n = strlen(tag);
	if (n == 0 || n > REF_TAG_MAX || !(is_alnum(tag[0]) || tag[0] == '_'))
		return false;
	for (size_t i = 1; i < n; i++)
		if (!is_alnum(tag[i]) && !strchr("_.-", tag[i]))
			return false;
	return true;
}

/* 64 hex digits could also be meant as an image id. */
static bool looks_like_id(const char *text)
{
	return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* The first part is a host only if it can not be a path of Docker Hub. */
static bool part_is_host(const char *s, size_t n)
{
	return memchr(s, '.', n) || memchr(s, ':', n) || s[0] == '[' ||
	       (n == strlen("localhost") && strncmp(s, "localhost", n) == 0);
}

static char *lower_copy(const char *s, size_t n)
{
	char *copy = xstrndup(s, n);
	for (char *c = copy; *c; c++)
		if (is_upper(*c))
			*c = (char)(*c - 'A' + 'a');
	return copy;
}

static err_t bad(struct diag *d, const char *text, const char *why)
{
	return fail(d, ERR_USAGE, -EINVAL, "'%.200s' is not an image reference: %s", text, why);
}

static err_t split_digest(const char *text, char *work, struct ref *out, struct diag *d)
{
	char *at = strchr(work, '@');
	if (!at)
		return 0;
	*at = 0;
	err_t err = digest_parse(BYTES_STR(at + 1), &out->digest, d);
	if (err)
		diag_prepend(d, "'%.200s' is not an image reference", text);
	return err;
}

static err_t split_tag(const char *text, char *work, struct ref *out, struct diag *d)
{
	char *slash = strrchr(work, '/'), *colon = strrchr(work, ':');
	/* A colon in front of the last slash belongs to a port; inside brackets, to an address. */
	if (!colon || (slash && colon < slash))
		return 0;
	*colon = 0;
	if (!tag_valid(colon + 1))
		return bad(d, text,
			   "a tag is 1 to 128 letters, digits, '_', '.', '-', not starting with "
			   "'.' or '-'");
	out->tag = xstrdup(colon + 1);
	return 0;
}

static err_t split_host(const char *text, const char *work, struct ref *out, struct diag *d)
{
	size_t first = strcspn(work, "/");
	const char *path = work;
	if (work[first] == '/' && part_is_host(work, first)) {
		out->host = lower_copy(work, first);
		path = work + first + 1;
		if (!host_valid(out->host))
			return bad(d, text, "the host is malformed");
	} else {
		out->host = xstrdup(HUB_HOST);
	}
	if (strcmp(out->host, "index.docker.io") == 0) {
		free(out->host);
		out->host = xstrdup(HUB_HOST);
	}
	for (const char *c = path; *c; c++)
		if (is_upper(*c))
			return bad(d, text, "the path must be lower case");
	if (!path_valid(path))
		return bad(d, text,
			   "the path is lower-case letters and digits, joined by '/', '.', '_', "
			   "'__' or '-'");
	bool official = strcmp(out->host, HUB_HOST) == 0 && !strchr(path, '/');
	out->repo = xasprintf("%s%s", official ? HUB_LIBRARY : "", path);
	if (strlen(out->host) + 1 + strlen(out->repo) > REF_NAME_MAX)
		return bad(d, text, "host and path together are longer than 255 characters");
	return 0;
}

static err_t parse_registry(const char *text, struct ref *out, struct diag *d)
{
	if (starts_with(text, SCHEME))
		text += strlen(SCHEME);
	out->kind = REF_REGISTRY;
	if (!*text)
		return bad(d, text, "it is empty");
	if (looks_like_id(text))
		return bad(d, text, "64 hex digits look like an image id; write NAME@sha256:HEX");
	auto_free char *work = xstrdup(text);
	err_t err = split_digest(text, work, out, d);
	if (!err)
		err = split_tag(text, work, out, d);
	if (!err)
		err = split_host(text, work, out, d);
	if (!err && !out->tag && !out->digest.alg)
		out->tag = xstrdup("latest");
	return err;
}

static err_t parse_layout_name(const char *text, const char *name, struct ref *out, struct diag *d)
{
	if (!*name)
		return bad(d, text, "nothing follows the colon behind the directory");
	if (name[0] != '@') {
		out->name = xstrdup(name);
		return 0;
	}
	size_t digits = strspn(name + 1, "0123456789");
	if (digits == 0 || digits > 9 || name[1 + digits])
		return bad(d, text, "a number follows '@' in oci:DIR:@N");
	out->number = (int)strtol(name + 1, NULL, 10);
	return 0;
}

static err_t parse_layout(const char *text, const char *rest, struct ref *out, struct diag *d)
{
	out->kind = REF_OCI_LAYOUT;
	size_t n = strcspn(rest, ":");
	if (n == 0)
		return bad(d, text, "oci: needs a directory");
	out->dir = xstrndup(rest, n);
	return rest[n] ? parse_layout_name(text, rest + n + 1, out, d) : 0;
}

/* Names of transports that other tools know; a short one is also a fine name with a tag. */
static bool is_foreign_transport(const char *text)
{
	static const char *const always[] = {
		"oci-archive:", "docker-archive:", "containers-storage:", "docker-daemon:"};
	static const char *const with_path[] = {"dir:", "sif:"};
	for (size_t i = 0; i < ARRAY_LEN(always); i++)
		if (starts_with(text, always[i]))
			return true;
	for (size_t i = 0; i < ARRAY_LEN(with_path); i++)
		if (starts_with(text, with_path[i]) && strchr(text, '/'))
			return true;
	return strstr(text, "://") && !starts_with(text, SCHEME);
}

err_t ref_parse(const char *text, struct ref *out, struct diag *d)
{
	*out = (struct ref){.number = -1};
	if (strlen(text) > REF_TEXT_MAX)
		return bad(d, text, "it is too long");
	if (is_foreign_transport(text))
		return fail(d, ERR_UNSUPPORTED, -ENOTSUP,
			    "'%.200s': imgfs reads registries ([HOST/]PATH[:TAG][@DIGEST]) and "
			    "oci:DIR[:NAME]",
			    text);
	err_t err = starts_with(text, LAYOUT) ? parse_layout(text, text + strlen(LAYOUT), out, d)
					      : parse_registry(text, out, d);
	if (err)
		ref_fini(out);
	return err;
}

void ref_fini(struct ref *r)
{
	free(r->host);
	free(r->repo);
	free(r->tag);
	free(r->dir);
	free(r->name);
	*r = (struct ref){.number = -1};
}

static char *layout_text(const struct ref *r)
{
	if (r->name)
		return xasprintf("oci:%s:%s", r->dir, r->name);
	if (r->number >= 0)
		return xasprintf("oci:%s:@%d", r->dir, r->number);
	return xasprintf("oci:%s", r->dir);
}

char *ref_text(const struct ref *r)
{
	char digest[DIGEST_TEXT_MAX];
	if (r->kind == REF_OCI_LAYOUT)
		return layout_text(r);
	char *text = xasprintf("%s/%s%s%s%s%s", r->host, r->repo, r->tag ? ":" : "",
			       r->tag ? r->tag : "", r->digest.alg ? "@" : "",
			       r->digest.alg ? digest_text(&r->digest, digest) : "");
	if (!starts_with(text, LAYOUT) && !is_foreign_transport(text))
		return text;
	/* A host like "oci:5000": only the scheme tells it from the layout 5000. */
	auto_free char *bare = text;
	return xasprintf(SCHEME "%s", bare);
}

const char *ref_api_host(const struct ref *r)
{
	return strcmp(r->host, HUB_HOST) == 0 ? HUB_API_HOST : r->host;
}

bool ref_host_is_loopback(const char *host)
{
	if (host[0] == '[') {
		const char *close = strchr(host, ']');
		return close && strncmp(host, "[::1]", (size_t)(close - host + 1)) == 0;
	}
	char name[64];
	size_t n = strcspn(host, ":");
	if (n >= sizeof(name))
		return false;
	memcpy(name, host, n);
	name[n] = 0;
	struct in_addr addr;
	return strcmp(name, "localhost") == 0 ||
	       (inet_pton(AF_INET, name, &addr) == 1 && ntohl(addr.s_addr) >> 24 == 127);
}
