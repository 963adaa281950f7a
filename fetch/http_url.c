/*
 * URLs through libcurl's parser. The rules of a redirect stand here in one place
 * (http_url_follow), so that no request can be redirected by other ones.
 */
#include "fetch/http_url.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#define URL_FLAGS (CURLU_PATH_AS_IS | CURLU_DISALLOW_USER)

static char *url_part(CURLU *u, CURLUPart part, unsigned flags)
{
	char *value = NULL;
	if (curl_url_get(u, part, &value, flags) != CURLUE_OK)
		return NULL;
	char *copy = xstrdup(value);
	curl_free(value);
	return copy;
}

static void lower(char *s)
{
	for (; *s; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s - 'A' + 'a');
}

static bool scheme_known(const char *scheme)
{
	return scheme && (strcmp(scheme, "https") == 0 || strcmp(scheme, "http") == 0);
}

/* Take the parts out of a parsed handle; false when it is no http(s) URL. */
static bool url_take_parts(CURLU *u, struct http_url *out)
{
	auto_free char *scheme = url_part(u, CURLUPART_SCHEME, 0);
	if (!scheme_known(scheme) || curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0) != CURLUE_OK)
		return false;
	*out = (struct http_url){
		.https = strcmp(scheme, "https") == 0,
		.host = url_part(u, CURLUPART_HOST, 0),
		.port = url_part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT),
		.path = url_part(u, CURLUPART_PATH, 0),
		.text = url_part(u, CURLUPART_URL, 0),
	};
	if (!out->host || !out->host[0] || !out->port || !out->path || !out->text) {
		http_url_fini(out);
		return false;
	}
	lower(out->host);
	return true;
}

err_t http_url_parse(const char *text, struct http_url *out, struct diag *d)
{
	*out = (struct http_url){0};
	CURLU *u = curl_url();
	BUG_ON(!u);
	bool good = strlen(text) <= HTTP_URL_MAX &&
		    curl_url_set(u, CURLUPART_URL, text, URL_FLAGS) == CURLUE_OK &&
		    url_take_parts(u, out);
	curl_url_cleanup(u);
	if (good)
		return 0;
	return fail(d, ERR_NETWORK, -EPROTO, "'%.*s' is not a usable http URL",
		    (int)min_of(strcspn(text, "?#@"), (size_t)200), text);
}

void http_url_fini(struct http_url *url)
{
	free(url->text);
	free(url->host);
	free(url->path);
	free(url->port);
	*url = (struct http_url){0};
}

bool http_url_same_origin(const struct http_url *a, const struct http_url *b)
{
	return a->https == b->https && strcmp(a->host, b->host) == 0 &&
	       strcmp(a->port, b->port) == 0;
}

char *http_url_shown(const struct http_url *url)
{
	bool usual = strcmp(url->port, url->https ? "443" : "80") == 0;
	return xasprintf("%s://%s%s%s%s", url->https ? "https" : "http", url->host,
			 usual ? "" : ":", usual ? "" : url->port, url->path);
}

static err_t refuse_redirect(const struct http_url *from, const char *why, struct diag *d)
{
	auto_free char *shown = http_url_shown(from);
	return fail(d, ERR_NETWORK, -EPROTO, "redirect refused: %.300s leads to %s", shown, why);
}

bool http_status_is_redirect(int status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

err_t http_url_follow(const struct http_url *from, const char *location, struct http_url *out,
		      struct diag *d)
{
	*out = (struct http_url){0};
	if (!location || !*location || strlen(location) > HTTP_URL_MAX)
		return refuse_redirect(from, "no usable location", d);
	CURLU *u = curl_url();
	BUG_ON(!u);
	bool good = curl_url_set(u, CURLUPART_URL, from->text, URL_FLAGS) == CURLUE_OK &&
		    curl_url_set(u, CURLUPART_URL, location, URL_FLAGS) == CURLUE_OK &&
		    url_take_parts(u, out);
	curl_url_cleanup(u);
	if (!good)
		return refuse_redirect(from, "something that is not a plain http(s) URL", d);
	if (from->https && !out->https) {
		http_url_fini(out);
		return refuse_redirect(from, "unencrypted http", d);
	}
	return 0;
}

static char *escaped(const char *value)
{
	char *text = curl_easy_escape(NULL, value, 0);
	BUG_ON(!text);
	char *copy = xstrdup(text);
	curl_free(text);
	return copy;
}

char *http_query_add(const char *url, const char *name, const char *value)
{
	auto_free char *text = escaped(value);
	return xasprintf("%s%c%s=%s", url, strchr(url, '?') ? '&' : '?', name, text);
}

void http_form_add(char **form, const char *name, const char *value)
{
	auto_free char *text = escaped(value);
	char *old = *form;
	*form = xasprintf("%s%s%s=%s", old ? old : "", old ? "&" : "", name, text);
	if (old)
		explicit_bzero(old, strlen(old)); /* it may hold a password */
	free(old);
	explicit_bzero(text, strlen(text));
}

/* The value of one query parameter, unescaped, or NULL; the caller frees. */
static char *query_value(const char *url, const char *name)
{
	size_t name_len = strlen(name);
	const char *at = strchr(url, '?');
	while (at) {
		at++;
		if (strncasecmp(at, name, name_len) == 0 && at[name_len] == '=') {
			const char *value = at + name_len + 1;
			char *plain =
				curl_easy_unescape(NULL, value, (int)strcspn(value, "&#"), NULL);
			if (!plain)
				return NULL;
			char *copy = xstrdup(plain);
			curl_free(plain);
			return copy;
		}
		at = strchr(at, '&');
	}
	return NULL;
}

static bool parse_utc(const char *text, const char *format, time_t *out)
{
	struct tm tm = {0};
	const char *end = text ? strptime(text, format, &tm) : NULL;
	if (!end || *end)
		return false;
	*out = timegm(&tm);
	return *out != (time_t)-1;
}

/* "date" and "seconds" parameters of the two clouds that sign this way. */
static bool signed_until(const char *url, const char *date_name, const char *expires_name,
			 int64_t *until)
{
	auto_free char *date = query_value(url, date_name);
	auto_free char *expires = query_value(url, expires_name);
	time_t start;
	uint64_t seconds;
	if (!date || !expires || !parse_utc(date, "%Y%m%dT%H%M%SZ", &start) ||
	    !http_decimal(expires, &seconds) || seconds > INT32_MAX)
		return false;
	*until = (int64_t)start + (int64_t)seconds;
	return true;
}

int64_t http_url_lifetime_s(const char *url, time_t server_now)
{
	int64_t until;
	uint64_t epoch;
	time_t end;
	auto_free char *azure = query_value(url, "se");
	auto_free char *plain = query_value(url, "Expires");
	if (!signed_until(url, "X-Amz-Date", "X-Amz-Expires", &until) &&
	    !signed_until(url, "X-Goog-Date", "X-Goog-Expires", &until)) {
		if (azure && parse_utc(azure, "%Y-%m-%dT%H:%M:%SZ", &end))
			until = end;
		else if (plain && http_decimal(plain, &epoch) && epoch <= INT64_MAX / 2)
			until = (int64_t)epoch;
		else
			return INT64_MAX;
	}
	return until - (int64_t)server_now;
}
