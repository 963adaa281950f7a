/*
 * Where metrics go, from one word. Addresses are numbers: to look a name up would have a mount
 * depend on a name server, and listen wherever that says.
 */
#include "fs/exporter.h"

#include <stdlib.h>
#include <string.h>

#define UNIX_PREFIX "unix:"

static err_t refuse(const char *text, const char *why, struct diag *d)
{
	return fail(d, ERR_USAGE, -EINVAL,
		    "--metrics %s: %s; give ADDR:PORT, :PORT, unix:PATH or a file", text, why);
}

static bool parse_port(const char *text, uint16_t *out)
{
	char *end;
	unsigned long port;

	if (*text < '0' || *text > '9' || strlen(text) > 5)
		return false;
	port = strtoul(text, &end, 10);
	*out = (uint16_t)port;
	return *end == '\0' && port >= 1 && port <= UINT16_MAX;
}

/* The part before the port. */
static char *host_of(const char *text, const char *colon)
{
	size_t n = (size_t)(colon - text);

	if (n == 0 || (n == 9 && strncmp(text, "localhost", 9) == 0))
		return xstrdup("127.0.0.1");
	if (n == 1 && *text == '*')
		return xstrdup("");
	if (n > 2 && text[0] == '[' && text[n - 1] == ']')
		return xstrndup(text + 1, n - 2);
	return memchr(text, ':', n) ? NULL : xstrndup(text, n);
}

err_t exporter_target_parse(const char *text, struct exporter_target *out, struct diag *d)
{
	const char *colon = strrchr(text, ':');

	*out = (struct exporter_target){.kind = EXPORTER_FILE};
	if (strncmp(text, UNIX_PREFIX, sizeof(UNIX_PREFIX) - 1) == 0) {
		out->kind = EXPORTER_UNIX;
		text += sizeof(UNIX_PREFIX) - 1;
	}
	if (!*text)
		return refuse(text, "nothing is named", d);
	if (out->kind == EXPORTER_UNIX || strchr(text, '/') || !colon) {
		out->path = xstrdup(text);
		return text[strlen(text) - 1] == '/' ? refuse(text, "it is a directory", d) : 0;
	}
	out->kind = EXPORTER_TCP;
	if (!parse_port(colon + 1, &out->port))
		return refuse(text, "not a port from 1 to 65535", d);
	out->host = host_of(text, colon);
	return out->host ? 0 : refuse(text, "an IPv6 address stands in brackets", d);
}

void exporter_target_fini(struct exporter_target *t)
{
	free(t->path);
	free(t->host);
	*t = (struct exporter_target){0};
}
