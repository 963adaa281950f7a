/*
 * Token requests. Two forms are in use: GET with an optional Basic header, which every server
 * knows, and the OAuth2 POST, which trades an identity token and which a server may not know.
 */
#include "fetch/token.h"

#include "fetch/json.h"

#include <openssl/evp.h>
#include <string.h>

#define TOKEN_REDIRECTS_MAX 5
#define TOKEN_LIFE_MAX_S    (7 * 86400) /* nothing is believed to last longer */

static const char CLIENT_ID[] = "imgfs";

void token_fini(struct token *t)
{
	if (t->value)
		explicit_bzero(t->value, strlen(t->value));
	free(t->value);
	*t = (struct token){0};
}

char *basic_authorization(const char *username, const char *password)
{
	static const char scheme[] = "Basic ";
	auto_free char *plain = xasprintf("%s:%s", username, password);
	size_t n = strlen(plain);
	char *text = xcalloc(strlen(scheme) + (n + 2) / 3 * 4 + 1, 1);
	memcpy(text, scheme, strlen(scheme));
	EVP_EncodeBlock((unsigned char *)text + strlen(scheme), (const unsigned char *)plain,
			(int)n);
	explicit_bzero(plain, n);
	return text;
}

/* A token goes into a header line: what could end the line is no token. */
static bool token_valid(const char *value)
{
	if (!value || !*value)
		return false;
	for (; *value; value++)
		if ((unsigned char)*value <= 0x20 || (unsigned char)*value >= 0x7f)
			return false;
	return true;
}

err_t token_parse(struct bytes json, struct token *out, struct diag *d)
{
	*out = (struct token){0};
	json_t *root;
	if (json_parse_object(json, &root, NULL))
		return fail(d, ERR_NETWORK, -EPROTO, "the token server's answer is not JSON");
	const char *access = json_string_value(json_object_get(root, "access_token"));
	const char *token = json_string_value(json_object_get(root, "token"));
	const char *value = access && *access ? access : token;
	int64_t life = json_integer_value(json_object_get(root, "expires_in"));
	bool good = token_valid(value);
	if (good) {
		out->value = xstrdup(value);
		life = max_of(life, (int64_t)TOKEN_LIFE_MIN_S);
		out->life_s = min_of(life, (int64_t)TOKEN_LIFE_MAX_S);
	}
	json_decref(root);
	return good ? 0 : fail(d, ERR_NETWORK, -EPROTO, "the token server's answer has no token");
}

static char *get_url(const struct token_request *request, const char *account)
{
	char *url = xstrdup(request->realm->text);
	const struct {
		const char *name, *value;
	} params[] = {
		{"service", request->service},
		{"account", account},
		{"client_id", account ? CLIENT_ID : NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(params); i++) {
		char *old = url;
		if (!params[i].value)
			continue;
		url = http_query_add(old, params[i].name, params[i].value);
		free(old);
	}
	for (size_t i = 0; i < request->n_scopes; i++) {
		char *old = url;
		url = http_query_add(old, "scope", request->scopes[i]);
		free(old);
	}
	return url;
}

static char *post_form(const struct token_request *request)
{
	char *form = NULL, *scope = xstrdup("");
	for (size_t i = 0; i < request->n_scopes; i++) {
		char *old = scope;
		scope = xasprintf("%s%s%s", old, i ? " " : "", request->scopes[i]);
		free(old);
	}
	http_form_add(&form, "grant_type", "refresh_token");
	if (request->service)
		http_form_add(&form, "service", request->service);
	http_form_add(&form, "client_id", CLIENT_ID);
	http_form_add(&form, "scope", scope);
	http_form_add(&form, "refresh_token", request->credential->identity_token);
	free(scope);
	return form;
}

/* GET with redirects; the Basic header stays at the realm's origin. */
static err_t get_following(struct http *http, const struct token_request *request,
			   struct http_url *url, const char *authorization,
			   struct http_transfer **out, struct diag *d)
{
	for (unsigned hops = 0;; hops++) {
		struct http_url next;
		struct http_request get = {
			.method = "GET",
			.url = url,
			.accept = "application/json",
			.networks = request->networks,
			.deadline_ms = request->deadline_ms,
		};
		if (http_url_same_origin(url, request->realm))
			get.authorization = authorization;
		err_t err = http_open(http, &get, out, d);
		if (err || !http_status_is_redirect(http_status(*out)))
			return err;
		if (hops == TOKEN_REDIRECTS_MAX)
			err = fail(d, ERR_NETWORK, -EPROTO, "%s: too many redirects", url->host);
		else
			err = http_url_follow(url, http_header(*out, "Location", 0), &next, d);
		http_close(out);
		if (err)
			return err;
		http_url_fini(url);
		*url = next;
	}
}

static char *get_authorization(const struct credential *c)
{
	if (!c)
		return NULL;
	const char *user = c->username ? c->username : "<token>";
	const char *password = c->password && *c->password ? c->password : c->identity_token;
	return basic_authorization(user, password ? password : "");
}

static err_t open_get(struct http *http, const struct token_request *request,
		      struct http_transfer **out, struct diag *d)
{
	const struct credential *c = request->credential;
	struct http_url url;
	auto_free char *text = get_url(request, c ? c->username : NULL);
	err_t err = http_url_parse(text, &url, d);
	if (err)
		return err;
	char *authorization = get_authorization(c);
	err = get_following(http, request, &url, authorization, out, d);
	if (authorization)
		explicit_bzero(authorization, strlen(authorization));
	free(authorization);
	http_url_fini(&url);
	return err;
}

/* A redirected POST would carry the identity token along: it is not followed. */
static err_t open_post(struct http *http, const struct token_request *request,
		       struct http_transfer **out, struct diag *d)
{
	char *form = post_form(request);
	struct http_request post = {
		.method = "POST",
		.url = request->realm,
		.accept = "application/json",
		.form = form,
		.networks = request->networks,
		.deadline_ms = request->deadline_ms,
	};
	err_t err = http_open(http, &post, out, d);
	explicit_bzero(form, strlen(form));
	free(form);
	return err;
}

/* How servers say that they do not know the POST form. */
static bool post_unknown(int status)
{
	return status == 400 || status == 401 || status == 404 || status == 405 ||
	       http_status_is_redirect(status);
}

static err_t status_error(const struct token_request *request, int status, struct diag *d)
{
	const char *host = request->realm->host;
	bool known = request->credential != NULL;
	if (status == 429)
		return fail(d, ERR_RATE, -EDQUOT, "the token server %s limits our rate (429)",
			    host);
	if (status >= 500 || status == 408)
		return fail(d, ERR_NETWORK, -EREMOTEIO, "the token server %s answers %d", host,
			    status);
	return fail(d, ERR_DENIED, -EACCES, "the token server %s %s (%d)", host,
		    known ? "refuses the credentials" : "gives no anonymous access", status);
}

static err_t read_token(const struct token_request *request, struct http_transfer *t,
			struct token *out, struct diag *d)
{
	struct buf body = {0};
	if (http_status(t) != 200)
		return status_error(request, http_status(t), d);
	err_t err = http_read_all(t, TOKEN_ANSWER_MAX, &body, d);
	if (!err)
		err = token_parse(buf_bytes(&body), out, d);
	if (body.p)
		explicit_bzero(body.p, body.n);
	buf_fini(&body);
	return err;
}

err_t token_fetch(struct http *http, const struct token_request *request, struct token *out,
		  struct diag *d)
{
	struct http_transfer *t = NULL;
	*out = (struct token){0};
	err_t err = 0;
	if (request->credential && request->credential->identity_token) {
		err = open_post(http, request, &t, d);
		if (!err && post_unknown(http_status(t)))
			http_close(&t);
	}
	if (!err && !t)
		err = open_get(http, request, &t, d);
	if (!err)
		err = read_token(request, t, out, d);
	http_close(&t);
	return err;
}
