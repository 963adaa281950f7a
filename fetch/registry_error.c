/*
 * What a status means to the user. The body of an error may be the registry's JSON, a proxy's HTML
 * or nothing; only the JSON's code and message are shown.
 */
#include "fetch/json.h"
#include "fetch/registry_priv.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ERROR_BODY_MAX (64u << 10)
#define ERROR_TEXT_MAX 400

/* "CODE: message" of the first error in the body, or "". */
static void error_text(struct http_transfer *t, char out[ERROR_TEXT_MAX])
{
	struct buf body = {0};
	out[0] = 0;
	json_t *root = NULL;
	if (http_read_all(t, ERROR_BODY_MAX, &body, NULL) == 0 &&
	    json_parse_object(buf_bytes(&body), &root, NULL) == 0) {
		json_t *first = json_array_get(json_object_get(root, "errors"), 0);
		const char *code = json_string_value(json_object_get(first, "code"));
		const char *message = json_string_value(json_object_get(first, "message"));
		if (code || message)
			snprintf(out, ERROR_TEXT_MAX, " (%.80s%s%.300s)", code ? code : "",
				 code && message ? ": " : "", message ? message : "");
		json_decref(root);
	}
	buf_fini(&body);
}

static bool status_is_transient(int status)
{
	switch (status) {
	case 408:
	case 425:
	case 429:
	case 499:
	case 500:
	case 502:
	case 503:
	case 504:
	case 520:
	case 521:
	case 522:
	case 523:
	case 524:
		return true;
	default:
		return false;
	}
}

/* A 429 with a text and no time is a quota: it lasts for hours, and trying again makes it worse. */
static err_t rate_error(struct registry *r, const struct exchange *x, struct retry *retry,
			const char *text, struct diag *d)
{
	char when[48] = "";
	if (text[0] && !retry->retry_after_ms)
		retry->transient = false;
	if (retry->retry_after_ms)
		snprintf(when, sizeof(when), "; it says to try again in %lld s",
			 (long long)(retry->retry_after_ms / 1000));
	return fail(d, ERR_RATE, -EDQUOT, "%s: %s: the registry limits our rate%s%s", r->base.label,
		    x->what, text, when);
}

static err_t foreign_error(struct registry *r, const struct exchange *x, int status,
			   const char *host, struct diag *d)
{
	bool gone = status == 404 || status == 410;
	return fail(d, gone ? ERR_NOT_FOUND : ERR_NETWORK, gone ? -ENOENT : -EREMOTEIO,
		    "%s: %s: the storage behind the registry, %s, answers %d", r->base.label,
		    x->what, host, status);
}

/* Refusals that only what writes meets. */
static err_t push_error(struct registry *r, const struct exchange *x, int status, const char *text,
			struct diag *d)
{
	if (status == 404)
		return fail(d, ERR_NOT_FOUND, -ENOENT,
			    "%s: the registry has no place for %s (404)%s; the repository must "
			    "exist, and you must be allowed to push to it",
			    r->base.label, x->what, text);
	if (status == 405)
		return fail(d, ERR_DENIED, -EACCES,
			    "%s does not let you push %s: it takes no pushes (405)%s; it is "
			    "read-only, or a cache of another registry",
			    r->base.label, x->what, text);
	return fail(d, ERR_DENIED, -EACCES,
		    "%s does not let you push %s (%d)%s; log in as somebody who may (" LOGIN_WAYS
		    ")",
		    r->base.label, x->what, status, text);
}

err_t registry_status_error(struct registry *r, const struct exchange *x, struct retry *retry,
			    struct http_transfer *t, const char *foreign_host, struct diag *d)
{
	int status = http_status(t);
	const char *after = http_header(t, "Retry-After", 0);
	char text[ERROR_TEXT_MAX];
	retry->transient = status_is_transient(status);
	retry->retry_after_ms = after ? http_retry_after_ms(after, time(NULL)) : 0;
	error_text(t, text);
	if (status == 429)
		return rate_error(r, x, retry, text, d);
	if (foreign_host)
		return foreign_error(r, x, status, foreign_host, d);
	if (x->push && (status == 401 || status == 403 || status == 404 || status == 405))
		return push_error(r, x, status, text, d);
	if (status == 412 && x->if_match)
		return fail(d, ERR_NETWORK, -ESTALE, "%s: %s has been changed by somebody else",
			    r->base.label, x->what);
	if (status == 404)
		return fail(d, ERR_NOT_FOUND, -ENOENT, "%s: %s does not exist, or needs a login%s",
			    r->base.label, x->what, text);
	if (status == 401 || status == 403)
		return fail(
			d, ERR_DENIED, -EACCES,
			"%s: %s: access denied%s; it does not exist or needs a login (" LOGIN_WAYS
			")",
			r->base.label, x->what, text);
	if (status >= 500 || retry->transient)
		return fail(d, ERR_NETWORK, -EREMOTEIO, "%s: %s: the registry answers %d%s",
			    r->base.label, x->what, status, text);
	return fail(d, ERR_NETWORK, -EPROTO, "%s: %s: unexpected answer %d%s from the registry",
		    r->base.label, x->what, status, text);
}
