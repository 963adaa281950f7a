/*
 * Any bytes as what a registry says on the way to a blob: WWW-Authenticate lines, Content-Range,
 * Retry-After, and the Location of a redirect. What is accepted keeps its promises.
 *
 * Input: lines; each one is tried as every kind of value.
 */
#include "fetch/challenge.h"
#include "fetch/http_url.h"
#include "fetch/token.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_range(const char *line)
{
	struct http_content_range range;
	uint64_t number;
	if (http_content_range_parse(line, &range)) {
		BUG_ON(range.has_range && range.last < range.first);
		BUG_ON(range.has_range && range.has_total && range.last >= range.total);
		BUG_ON(!range.has_range && !range.has_total);
	}
	if (http_decimal(line, &number))
		BUG_ON(line[0] < '0' || line[0] > '9');
	int64_t wait = http_retry_after_ms(line, 1700000000);
	BUG_ON(wait < 0 || wait > 86400 * 1000);
}

static void check_redirect(const struct http_url *from, const char *line)
{
	struct http_url to;
	if (http_url_follow(from, line, &to, NULL))
		return;
	BUG_ON(from->https && !to.https);
	BUG_ON(strncmp(to.text, to.https ? "https://" : "http://", to.https ? 8 : 7) != 0);
	BUG_ON(!to.host[0] || strpbrk(to.host, "/@ "));
	(void)http_url_lifetime_s(to.text, 1700000000);
	(void)http_host_network(to.host);
	char *shown = http_url_shown(&to);
	BUG_ON(strchr(shown, '?'));
	free(shown);
	http_url_fini(&to);
}

static void check_token(const char *line)
{
	struct token token;
	if (token_parse(BYTES_STR(line), &token, NULL))
		return;
	BUG_ON(!token.value[0] || strpbrk(token.value, " \r\n"));
	BUG_ON(token.life_s < TOKEN_LIFE_MIN_S);
	token_fini(&token);
}

static void check_challenge(const struct challenge *c)
{
	BUG_ON(c->scheme == CHALLENGE_BEARER && !c->realm);
	BUG_ON(c->scheme == CHALLENGE_NONE && (c->realm || c->scope || c->service || c->error));
	BUG_ON(c->realm && strlen(c->realm) > CHALLENGE_PARAM_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const bases[] = {"https://host.io/v2/a/blobs/b?c=d", "http://h:1/"};
	struct http_url from[ARRAY_LEN(bases)];
	struct challenge challenge = {0};
	char *text = xcalloc(size + 1, 1), *rest = text, *line;
	if (size)
		memcpy(text, data, size);
	for (size_t i = 0; i < ARRAY_LEN(bases); i++)
		BUG_ON(http_url_parse(bases[i], &from[i], NULL));
	while ((line = strsep(&rest, "\n"))) {
		challenge_add(&challenge, line);
		check_challenge(&challenge);
		check_range(line);
		check_token(line);
		for (size_t i = 0; i < ARRAY_LEN(bases); i++)
			check_redirect(&from[i], line);
	}
	for (size_t i = 0; i < ARRAY_LEN(bases); i++)
		http_url_fini(&from[i]);
	challenge_fini(&challenge);
	free(text);
	return 0;
}
