/*
 * Authorization. The first request goes out without any; the registry's 401 says what it wants, and
 * one caller gets it while the others wait. The realm in that 401 was chosen by a peer, so the
 * rules that decide whether it is asked, and whether it is given a credential, stand here:
 *
 *   - over https, or over http if the registry itself is spoken to over http;
 *   - in networks the registry may send us to, or at the registry's own host and port;
 *   - a credential goes to the registry's own host and port, to a pair that is known to belong
 *     together, or to the host the user allowed, and never over http unless the user asked for
 *     plain http.
 *
 * Where a credential must not go, the request is made without one. Credentials are looked up anew
 * for each token, so that a login is picked up by a mount that is weeks old.
 *
 * Reading asks for the scope of reading. Only a push that was refused asks for more, and when it is
 * refused for good, what may be read can still be read.
 */
#include "fetch/registry_priv.h"

#include "fetch/log.h"
#include "fetch/token.h"

#include <string.h>

#define RENEW_SOON_MS	5000 /* after a renewal that failed while the old token still works */
#define AUTH_ROUNDS_MAX 3

static const struct {
	const char *registry, *token_host;
} known_pairs[] = {
	{"docker.io", "auth.docker.io"},
	{"registry.gitlab.com", "gitlab.com"},
};

/* What one renewal brings. */
struct grant {
	char *header;
	int64_t life_s; /* INT64_MAX: until it is refused */
};

void authorization_fini(struct authorization *a)
{
	secret_free(&a->header);
}

static void forget_scopes(struct registry_auth *auth)
{
	for (size_t i = 0; i < auth->n_scopes; i++)
		free(auth->scopes[i]);
	auth->n_scopes = 0;
}

void registry_auth_fini(struct registry_auth *auth)
{
	secret_free(&auth->header);
	challenge_fini(&auth->challenge);
	forget_scopes(auth);
}

/* --- the rules --- */

/* Another port of a host is another server, maybe another user's. */
static bool is_same_server(const struct http_url *a, const struct http_url *b)
{
	return strcmp(a->host, b->host) == 0 && strcmp(a->port, b->port) == 0;
}

static bool is_known_pair(const struct registry *r, const struct http_url *realm)
{
	for (size_t i = 0; i < ARRAY_LEN(known_pairs); i++)
		if (strcmp(known_pairs[i].registry, r->login_host) == 0 &&
		    strcmp(known_pairs[i].token_host, realm->host) == 0)
			return realm->https && strcmp(realm->port, "443") == 0;
	return false;
}

/* The user's word: "host" with any port, or "host:port". */
static bool is_allowed_by_user(const struct registry *r, const struct http_url *realm)
{
	auto_free char *with_port = xasprintf("%s:%s", realm->host, realm->port);
	return r->token_host && (strcasecmp(r->token_host, realm->host) == 0 ||
				 strcasecmp(r->token_host, with_port) == 0);
}

static bool credential_may_go_to(struct registry *r, const struct http_url *registry,
				 const struct http_url *realm)
{
	if (!realm->https && !r->plain_http)
		return false;
	return is_same_server(realm, registry) || is_known_pair(r, realm) ||
	       is_allowed_by_user(r, realm);
}

static err_t check_realm(struct registry *r, const struct http_url *registry,
			 const struct http_url *realm, unsigned *networks, struct diag *d)
{
	if (!realm->https && registry->https)
		return fail(
			d, ERR_NETWORK, -EPROTO,
			"the registry wants a token to be fetched over unencrypted http from %s",
			realm->host);
	pthread_mutex_lock(&r->lock);
	*networks = r->networks;
	pthread_mutex_unlock(&r->lock);
	if (is_same_server(realm, registry))
		*networks = HTTP_NET_ANY;
	return 0;
}

/* --- getting a grant --- */

static err_t grant_basic(struct registry *r, const struct credential *c, struct grant *out,
			 struct diag *d)
{
	if (!c || !c->username)
		return fail(d, ERR_DENIED, -EACCES,
			    "the registry wants a user and a password, and none are stored for %s "
			    "(or may not be sent: unencrypted http needs --plain-http)",
			    r->login_host);
	*out = (struct grant){basic_authorization(c->username, c->password), INT64_MAX};
	return 0;
}

/* The scopes of the challenge first, then what was wanted before; the repository's if none. */
static void fill_scopes(struct token_request *request, char **scopes, size_t n, char **own)
{
	for (size_t i = 0; i < n && request->n_scopes < TOKEN_SCOPES_MAX; i++)
		request->scopes[request->n_scopes++] = scopes[i];
	if (!request->n_scopes)
		request->scopes[request->n_scopes++] = *own;
}

static err_t grant_bearer(struct registry *r, const struct http_url *registry,
			  const struct challenge *challenge, const struct credential *c,
			  int64_t deadline_ms, struct grant *out, struct diag *d)
{
	struct http_url realm;
	struct token token;
	auto_free char *scope = xasprintf("repository:%s:pull", r->repo);
	struct token_request request = {
		.realm = &realm,
		.service = challenge->service,
		.deadline_ms = deadline_ms,
	};
	err_t err = http_url_parse(challenge->realm, &realm, d);
	if (err)
		return err;
	fill_scopes(&request, r->auth.scopes, r->auth.n_scopes, &scope);
	err = check_realm(r, registry, &realm, &request.networks, d);
	if (c && credential_may_go_to(r, registry, &realm))
		request.credential = c;
	else if (c)
		log_warn("credentials.withheld", "registry=%s token_server=%s reason=\"%s\"",
			 r->host, realm.host,
			 realm.https ? "another host or port; --token-host allows it"
				     : "unencrypted http; --plain-http allows it");
	if (!err)
		err = token_fetch(r->http, &request, &token, d);
	http_url_fini(&realm);
	if (err)
		return err;
	*out = (struct grant){xasprintf("Bearer %s", token.value), token.life_s};
	token_fini(&token);
	return 0;
}

static err_t grant_with(struct registry *r, const struct challenge *challenge,
			const struct http_url *registry, const struct credential *c,
			int64_t deadline_ms, struct grant *out, struct diag *d)
{
	/* Without encryption everybody on the way could read it. */
	bool safe = registry->https || r->plain_http;
	if (c && !safe) {
		log_warn("credentials.withheld",
			 "registry=%s reason=\"unencrypted http; "
			 "--plain-http allows it\"",
			 r->host);
		c = NULL;
	}
	if (c && c->registry_token) {
		*out = (struct grant){xasprintf("Bearer %s", c->registry_token), INT64_MAX};
		return 0;
	}
	if (challenge->scheme == CHALLENGE_BASIC)
		return grant_basic(r, c, out, d);
	return grant_bearer(r, registry, challenge, c, deadline_ms, out, d);
}

static void say_who_was_refused(struct registry *r, const struct credential *c, struct diag *d)
{
	if (credential_is_empty(c))
		diag_prepend(d,
			     "access denied; it does not exist, or needs a login at %s "
			     "(" LOGIN_WAYS ")",
			     r->login_host);
	else
		diag_prepend(d,
			     "access denied with the credentials of %s (renew them with " LOGIN_WAYS
			     ")",
			     c->origin ? c->origin : "the user");
}

/* Called by the one caller that holds auth.busy, which also keeps challenge and scopes as they are.
 */
static err_t get_grant(struct registry *r, int64_t deadline_ms, struct grant *out, struct diag *d)
{
	struct credential credential;
	struct http_url registry;
	pthread_mutex_lock(&r->lock);
	enum registry_scheme scheme = r->scheme;
	pthread_mutex_unlock(&r->lock);
	err_t err = credentials_find(r->authfile, r->login_host, r->repo, &credential, d);
	if (err)
		return err;
	err = registry_url(r, scheme, "/v2/", &registry, d);
	if (!err) {
		const struct credential *c = credential_is_empty(&credential) ? NULL : &credential;
		err = grant_with(r, &r->auth.challenge, &registry, c, deadline_ms, out, d);
		if (err == -EACCES)
			say_who_was_refused(r, &credential, d);
		http_url_fini(&registry);
	}
	credential_fini(&credential);
	return err;
}

/* --- the state --- */

static void install_locked(struct registry_auth *auth, struct grant *grant)
{
	int64_t now = now_ms();
	secret_free(&auth->header);
	auth->header = take(&grant->header);
	auth->generation++;
	auth->renew_at_ms = auth->expires_at_ms = INT64_MAX;
	auth->denied_until_ms = 0;
	if (grant->life_s != INT64_MAX) {
		auth->renew_at_ms = now + grant->life_s * 750; /* 75 % of its life */
		auth->expires_at_ms = now + grant->life_s * 1000;
	}
}

static void deny_locked(struct registry *r, const struct diag *d)
{
	struct registry_auth *auth = &r->auth;
	if (now_ms() >= auth->denied_until_ms)
		auth->denied_untold = true;
	secret_free(&auth->header);
	auth->denied = *d;
	auth->denied_until_ms = now_ms() + r->timing.denied_ms;
}

/* Say what deny_locked left to be said; called with the lock, returns without. */
static void unlock_and_tell(struct registry *r)
{
	bool untold = r->auth.denied_untold;
	struct diag denied = r->auth.denied;
	r->auth.denied_untold = false;
	pthread_mutex_unlock(&r->lock);
	if (untold)
		log_info("registry.denied", "source=%s cause=\"%s\"", r->base.label, denied.text);
}

/* Get a new authorization and publish it. Called with the lock and auth.busy set; returns with
 * the lock and auth.busy cleared. */
static err_t renew_locked(struct registry *r, int64_t deadline_ms, struct diag *d)
{
	struct grant grant = {0};
	pthread_mutex_unlock(&r->lock);
	err_t err = get_grant(r, deadline_ms, &grant, d);
	pthread_mutex_lock(&r->lock);
	if (!err)
		install_locked(&r->auth, &grant);
	r->auth.busy = false;
	pthread_cond_broadcast(&r->changed);
	return err;
}

static err_t wait_while_busy_locked(struct registry *r, int64_t deadline_ms, struct diag *d)
{
	while (r->auth.busy && !r->interrupted && now_ms() < deadline_ms)
		registry_wait_locked(r, deadline_ms);
	if (r->interrupted)
		return fail(d, ERR_NETWORK, -ECANCELED, "interrupted");
	return r->auth.busy ? fail(d, ERR_NETWORK, -ETIMEDOUT, "no token within the time allowed")
			    : 0;
}

/* A renewal ahead of time may fail; the old token is good until it expires. */
static err_t renew_early_locked(struct registry *r, int64_t deadline_ms, struct diag *d)
{
	struct registry_auth *auth = &r->auth;
	auth->busy = true;
	err_t err = renew_locked(r, deadline_ms, d);
	if (err && now_ms() < auth->expires_at_ms) {
		auth->renew_at_ms = now_ms() + RENEW_SOON_MS;
		return 0;
	}
	if (err == -EACCES)
		deny_locked(r, d);
	return err;
}

err_t registry_authorize(struct registry *r, int64_t deadline_ms, struct authorization *out,
			 struct diag *d)
{
	struct registry_auth *auth = &r->auth;
	err_t err = 0;
	*out = (struct authorization){0};
	pthread_mutex_lock(&r->lock);
	if (auth->header && now_ms() >= auth->expires_at_ms)
		err = wait_while_busy_locked(r, deadline_ms, d);
	if (!err && now_ms() < auth->denied_until_ms) {
		*d = auth->denied;
		err = -EACCES;
	}
	if (!err && auth->header && !auth->busy && now_ms() >= auth->renew_at_ms)
		err = renew_early_locked(r, deadline_ms, d);
	if (!err) {
		out->header = auth->header ? xstrdup(auth->header) : NULL;
		out->generation = auth->generation;
	}
	unlock_and_tell(r);
	return err;
}

static void read_challenge(const struct http_transfer *t, struct challenge *out)
{
	const char *value;
	for (unsigned i = 0; (value = http_header(t, "WWW-Authenticate", i)); i++)
		challenge_add(out, value);
}

/* Some registries send a bare 401; the API's root then says what it wants. */
static err_t ping(struct registry *r, int64_t deadline_ms, struct challenge *out, struct diag *d)
{
	struct http_request request = {.method = "GET", .deadline_ms = deadline_ms};
	struct http_transfer *t;
	struct http_url url = {0};
	err_t err = registry_open(r, &request, "/v2/", &url, &t, d);
	if (!err) {
		read_challenge(t, out);
		http_close(&t);
	}
	http_url_fini(&url);
	return err;
}

static void add_scope(struct registry_auth *auth, size_t at, const char *scope, size_t n)
{
	for (size_t i = 0; i < auth->n_scopes; i++)
		if (strlen(auth->scopes[i]) == n && memcmp(auth->scopes[i], scope, n) == 0)
			return;
	if (auth->n_scopes == REGISTRY_SCOPES_MAX)
		return;
	memmove(auth->scopes + at + 1, auth->scopes + at,
		(auth->n_scopes - at) * sizeof(auth->scopes[0]));
	auth->scopes[at] = xstrndup(scope, n);
	auth->n_scopes++;
}

/* What is asked for now comes first, because some token servers look at one scope only. */
static void want_locked(struct registry *r, const struct exchange *x,
			const struct challenge *challenge)
{
	struct registry_auth *auth = &r->auth;
	if (!challenge_has_error(challenge, "insufficient_scope"))
		forget_scopes(auth);
	size_t at = 0;
	for (const char *s = challenge->scope; s && *s; s += strspn(s, " ")) {
		size_t n = strcspn(s, " "), before = auth->n_scopes;
		if (n)
			add_scope(auth, at, s, n);
		at += auth->n_scopes - before;
		s += n;
	}
	if (x->push) {
		auto_free char *scope = xasprintf("repository:%s:pull,push", r->repo);
		add_scope(auth, 0, scope, strlen(scope));
	}
	challenge_copy(&auth->challenge, challenge);
}

static err_t final_refusal(struct registry *r, struct diag *d)
{
	return fail(d, ERR_DENIED, -EACCES,
		    "access denied; it does not exist, or the login at %s does not allow it",
		    r->login_host);
}

/* A refusal concerns every request, except of what not everybody may do: the scopes that were tried
 * for it are not asked for again. */
static void refuse_locked(struct registry *r, const struct exchange *x, const struct diag *d)
{
	if (x->push || x->optional)
		forget_scopes(&r->auth);
	else
		deny_locked(r, d);
}

static err_t answer_locked(struct registry *r, const struct exchange *x,
			   const struct challenge *challenge, uint64_t generation, unsigned rounds,
			   int64_t deadline_ms, struct diag *d)
{
	struct registry_auth *auth = &r->auth;
	err_t err = wait_while_busy_locked(r, deadline_ms, d);
	if (err)
		return err;
	/* Somebody else has got a new one since our request left. */
	if (auth->generation != generation && rounds < AUTH_ROUNDS_MAX)
		return 0;
	if (now_ms() < auth->denied_until_ms) {
		*d = auth->denied;
		return -EACCES;
	}
	bool wider = rounds == 1 && challenge_has_error(challenge, "insufficient_scope");
	if (rounds == 0 || wider) {
		want_locked(r, x, challenge);
		auth->busy = true;
		err = renew_locked(r, deadline_ms, d);
	} else {
		err = final_refusal(r, d);
	}
	if (err == -EACCES)
		refuse_locked(r, x, d);
	return err;
}

err_t registry_answer_401(struct registry *r, const struct exchange *x, struct http_transfer *t,
			  uint64_t generation, unsigned rounds, int64_t deadline_ms, struct diag *d)
{
	struct challenge challenge = {0};
	err_t err = 0;
	read_challenge(t, &challenge);
	if (challenge.scheme == CHALLENGE_NONE)
		err = ping(r, deadline_ms, &challenge, d);
	if (!err && challenge.scheme == CHALLENGE_NONE)
		err = fail(d, ERR_DENIED, -EACCES,
			   "access denied, and the registry does not say how to log in");
	if (!err) {
		pthread_mutex_lock(&r->lock);
		err = answer_locked(r, x, &challenge, generation, rounds, deadline_ms, d);
		unlock_and_tell(r);
	}
	challenge_fini(&challenge);
	return err;
}
