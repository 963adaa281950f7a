/*
 * One request on its way: to the registry or straight to a known redirect target, with a new
 * authorization when the registry asks for one, and from host to host by hand. Authorization goes
 * to the registry's origin only. What a redirect target refuses counts as a stale URL once.
 */
#include "fetch/registry_priv.h"

#include "fetch/log.h"

#include <string.h>
#include <time.h>

#define TARGET_SAFETY_S 30 /* a URL is dropped this long before it expires */

struct walk {
	struct registry *r;
	const struct exchange *x;
	int64_t deadline_ms;
	struct http_url url;	/* of the request that was sent last, or goes out next */
	struct http_url origin; /* of the registry, once it has been asked */
	bool at_url;		/* the next request goes to url, not to the registry's path */
	bool leader;		/* others wait for the redirect target we find */
	bool retried_stale;
	unsigned hops, auth_rounds;
	uint64_t generation; /* of the authorization sent last */
};

static bool is_foreign(const struct walk *w)
{
	return w->at_url && !(w->origin.host && http_url_same_origin(&w->url, &w->origin));
}

/* Signatures expire, and each cloud says so with another status. */
static bool may_be_stale(int status)
{
	return status == 400 || status == 401 || status == 403 || status == 404 || status == 410;
}

/* A URL that an earlier answer gave: what it may be given depends on whose it is. */
static err_t walk_start_at(struct walk *w, const char *url, struct diag *d)
{
	pthread_mutex_lock(&w->r->lock);
	enum registry_scheme scheme = w->r->scheme;
	pthread_mutex_unlock(&w->r->lock);
	w->at_url = true;
	err_t err = http_url_parse(url, &w->url, d);
	return err ? err : registry_url(w->r, scheme, "/v2/", &w->origin, d);
}

static err_t walk_start(struct walk *w, struct diag *d)
{
	auto_free char *url = NULL;
	if (w->x->url)
		return walk_start_at(w, w->x->url, d);
	if (!w->x->blob)
		return 0;
	err_t err = registry_target_get(w->r, w->x->blob, w->deadline_ms, &url, &w->leader, d);
	if (err || !url)
		return err;
	w->at_url = true;
	return http_url_parse(url, &w->url, d);
}

static void walk_fini(struct walk *w)
{
	if (w->leader)
		registry_target_give_up(w->r, w->x->blob);
	http_url_fini(&w->url);
	http_url_fini(&w->origin);
}

static struct http_request request_of(const struct walk *w)
{
	return (struct http_request){
		.method = w->x->method,
		.accept = w->x->accept,
		.ranged = w->x->ranged,
		.first = w->x->first,
		.last = w->x->last,
		.no_cache = w->x->no_cache,
		.body = w->x->body,
		.content_type = w->x->content_type,
		.if_match = w->x->if_match,
		.count_body = w->x->blob != NULL,
		.deadline_ms = w->deadline_ms,
	};
}

/* To another host: without authorization, and only into networks the registry may send us to. */
static err_t send_foreign(struct walk *w, struct http_transfer **out, struct diag *d)
{
	struct http_request request = request_of(w);
	request.url = &w->url;
	pthread_mutex_lock(&w->r->lock);
	request.networks = w->r->networks;
	pthread_mutex_unlock(&w->r->lock);
	return http_open(w->r->http, &request, out, d);
}

static err_t send_home(struct walk *w, struct http_transfer **out, struct diag *d)
{
	struct authorization authorization;
	struct http_request request = request_of(w);
	err_t err = registry_authorize(w->r, w->deadline_ms, &authorization, d);
	if (err)
		return err;
	request.authorization = authorization.header;
	w->generation = authorization.generation;
	if (w->at_url) {
		request.url = &w->url;
		request.networks = HTTP_NET_ANY;
		err = http_open(w->r->http, &request, out, d);
	} else {
		err = registry_open(w->r, &request, w->x->path, &w->url, out, d);
		http_url_fini(&w->origin);
		if (!err)
			err = http_url_parse(w->url.text, &w->origin, d);
	}
	authorization_fini(&authorization);
	return err;
}

/* What is known about the blob's place is wrong: ask the registry, or wait for who is asking. */
static err_t walk_restart(struct walk *w, struct diag *d)
{
	registry_target_drop(w->r, w->x->blob, w->url.text);
	http_url_fini(&w->url);
	w->retried_stale = true;
	w->at_url = false;
	w->hops = 0;
	return w->leader ? 0 : walk_start(w, d);
}

/* How long the URL may be used. The server's own clock, if it shows it, is the right one to
 * compare its dates with. */
static int64_t target_life_ms(struct walk *w, const struct http_transfer *t, const char *url)
{
	const char *date = http_header(t, "Date", 0);
	time_t server_now = date ? http_date_parse(date) : (time_t)-1;
	int64_t life_s =
		http_url_lifetime_s(url, server_now == (time_t)-1 ? time(NULL) : server_now);
	if (life_s <= TARGET_SAFETY_S)
		return 0;
	life_s -= TARGET_SAFETY_S;
	return life_s < INT64_MAX / 1000 ? min_of(life_s * 1000, (int64_t)w->r->timing.target_ms)
					 : (int64_t)w->r->timing.target_ms;
}

/* The registry answered the blob request itself: nobody needs to wait for a target. */
static void remember_direct(struct walk *w)
{
	if (w->leader)
		registry_target_put(w->r, w->x->blob, NULL, w->r->timing.target_ms);
	w->leader = false;
}

/* Only a first redirect away from the registry is remembered: what lies at the registry needs its
 * authorization, and is asked for through it. */
static void remember_target(struct walk *w, const struct http_transfer *t,
			    const struct http_url *next)
{
	if (!w->x->blob || w->hops != 1 || http_url_same_origin(next, &w->origin)) {
		remember_direct(w);
		return;
	}
	registry_target_put(w->r, w->x->blob, next->text, target_life_ms(w, t, next->text));
	w->leader = false;
}

/* What writes is sent again only where the status says so: 301 to 303 make clients read instead. */
static err_t check_redirect(const struct walk *w, int status, const struct http_url *next,
			    struct diag *d)
{
	bool repeats = status == 307 || status == 308;
	if (w->x->push && !repeats)
		return fail(d, ERR_NETWORK, -EPROTO,
			    "redirect refused: %d does not say to send it again", status);
	if (w->x->only_to && !strstr(next->path, w->x->only_to))
		return fail(d, ERR_NETWORK, -EPROTO, "redirected to %s%.200s", next->host,
			    next->path);
	return 0;
}

static err_t walk_redirect(struct walk *w, struct http_transfer *t, struct diag *d)
{
	struct http_url next;
	if (++w->hops > REGISTRY_REDIRECTS_MAX)
		return fail(d, ERR_NETWORK, -EPROTO, "redirect refused: more than %d in a row",
			    REGISTRY_REDIRECTS_MAX);
	err_t err = http_url_follow(&w->url, http_header(t, "Location", 0), &next, d);
	if (err)
		return err;
	err = check_redirect(w, http_status(t), &next, d);
	if (err) {
		http_url_fini(&next);
		return err;
	}
	if (log_enabled(LOG_LEVEL_DEBUG)) {
		auto_free char *shown = http_url_shown(&next);
		log_debug("registry.redirect", "source=%s to=%s", w->r->base.label, shown);
	}
	if (!is_foreign(w))
		remember_target(w, t, &next);
	http_url_fini(&w->url);
	w->url = next;
	w->at_url = true;
	return 0;
}

static err_t walk_send(struct walk *w, struct http_transfer **out, struct diag *d)
{
	err_t err = is_foreign(w) ? send_foreign(w, out, d) : send_home(w, out, d);
	/* A storage host that can not be reached may have been replaced by another one. */
	if (err && is_foreign(w) && w->x->blob)
		registry_target_drop(w->r, w->x->blob, w->url.text);
	return err;
}

/* Until there is an answer that is neither a redirect nor a 401 that can be satisfied. */
static err_t walk_run(struct walk *w, struct http_transfer **out, struct diag *d)
{
	bool heads = strcmp(w->x->method, "HEAD") == 0;
	for (;;) {
		err_t err = walk_send(w, out, d);
		if (err)
			return err;
		int status = http_status(*out);
		bool foreign = is_foreign(w);
		if (http_status_is_redirect(status) && !heads)
			err = walk_redirect(w, *out, d);
		else if (status == 401 && !foreign)
			err = registry_answer_401(w->r, w->x, *out, w->generation, w->auth_rounds++,
						  w->deadline_ms, d);
		else if (foreign && w->x->blob && may_be_stale(status) && !w->retried_stale)
			err = walk_restart(w, d);
		else
			return 0;
		http_close(out);
		if (err)
			return err;
	}
}

/* A body that was compressed on the way has other lengths and another digest. */
static bool is_encoded(const struct http_transfer *t)
{
	const char *encoding = http_header(t, "Content-Encoding", 0);
	return encoding && *encoding && strcasecmp(encoding, "identity") != 0;
}

/* What the registry's owner wants its users to read (distribution-spec, "Warnings"). */
static void pass_on_warning(struct walk *w, const struct http_transfer *t)
{
	const char *warning = http_header(t, "Warning", 0);
	if (warning && strncmp(warning, "299 ", 4) == 0)
		log_info("registry.warning", "source=%s text=%.1000s", w->r->base.label,
			 warning + 4);
}

static bool is_answer(const struct exchange *x, int status)
{
	if (strcmp(x->method, "HEAD") == 0 && http_status_is_redirect(status))
		return true;
	return x->push ? status >= 200 && status < 300
		       : status == 200 || status == 206 || status == 416;
}

static err_t judge(struct walk *w, struct retry *retry, struct http_transfer *t, struct diag *d)
{
	int status = http_status(t);
	bool heads = strcmp(w->x->method, "HEAD") == 0;
	bool foreign = is_foreign(w);
	if (!foreign) {
		remember_direct(w);
		pass_on_warning(w, t);
	}
	if (!is_answer(w->x, status))
		return registry_status_error(w->r, w->x, retry, t, foreign ? w->url.host : NULL, d);
	if (!heads && is_encoded(t))
		return registry_bad_answer(w->r, retry, w->x->what,
					   "the answer is compressed although that was refused", d);
	return 0;
}

void kept_headers_fini(struct kept_headers *kept)
{
	free(kept->location);
	free(kept->next);
	free(kept->etag);
	*kept = (struct kept_headers){0};
}

/* The absolute form of a URL in an answer's header. */
static err_t keep_url(struct walk *w, const char *value, bool same_origin, char **out,
		      struct diag *d)
{
	struct http_url url;
	err_t err = http_url_follow(&w->url, value, &url, d);
	if (err)
		return err;
	if (same_origin && !http_url_same_origin(&url, &w->url))
		err = fail(d, ERR_NETWORK, -EPROTO, "the next page is said to be at another host");
	else
		*out = xstrdup(url.text);
	http_url_fini(&url);
	return err;
}

static err_t keep_headers(struct walk *w, const struct http_transfer *t, struct diag *d)
{
	struct kept_headers *kept = w->x->kept;
	auto_free char *next = NULL;
	if (!kept)
		return 0;
	kept_headers_fini(kept);
	kept->etag = xstrdup_or_null(http_header(t, "ETag", 0));
	const char *link;
	for (unsigned i = 0; !next && (link = http_header(t, "Link", i)); i++)
		next = http_link_next(link);
	if (next && keep_url(w, next, true, &kept->next, d))
		log_info("registry.link", "source=%s reason=\"%s\"", w->r->base.label, d->text);
	if (strcmp(w->x->method, "POST") != 0)
		return 0;
	return keep_url(w, http_header(t, "Location", 0), false, &kept->location, d);
}

/* Prepend what was wanted, and where. */
static void say_what(struct registry *r, const struct exchange *x, err_t err, struct diag *d)
{
	const char *denied = x->push && err == -EACCES ? " does not let you push" : ":";
	diag_prepend(d, "%s%s %s", r->base.label, denied, x->what);
}

static err_t run_and_judge(struct registry *r, const struct exchange *x, struct retry *retry,
			   struct http_transfer **out, struct diag *d)
{
	struct walk w = {.r = r, .x = x, .deadline_ms = retry->deadline_ms};
	err_t err = walk_start(&w, d);
	if (!err)
		err = walk_run(&w, out, d);
	if (err) {
		retry->transient = http_error_is_transient(err) || err == -EREMOTEIO;
		say_what(r, x, err, d);
	} else {
		err = judge(&w, retry, *out, d);
		if (!err && (err = keep_headers(&w, *out, d)))
			say_what(r, x, err, d);
	}
	if (err)
		http_close(out);
	walk_fini(&w);
	return err;
}

/* Whether the failure says that the registry is down, not that it said no. */
static bool is_down(err_t err)
{
	return http_error_is_transient(err) || err == -EREMOTEIO;
}

err_t registry_exchange(struct registry *r, const struct exchange *x, struct retry *retry,
			struct http_transfer **out, struct diag *d)
{
	struct diag why = DIAG_INIT;
	bool probing;
	*out = NULL;
	retry->transient = false;
	retry->retry_after_ms = 0;
	err_t err = registry_gate_enter(r, retry->deadline_ms, &probing, &why);
	if (!err) {
		err = run_and_judge(r, x, retry, out, &why);
		registry_gate_leave(r, probing, !is_down(err), &why);
	}
	if (err && d)
		*d = why;
	return err;
}
