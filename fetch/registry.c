/*
 * The registry as an object: what it is made of, how it learns to be spoken to, how it goes down.
 * Whether a loopback host speaks TLS is found out by trying and remembered; every other host is
 * https unless the user said plain http.
 */
#include "fetch/registry_priv.h"

#include "fetch/log.h"
#include "fetch/tls_trust.h"

#include <string.h>

const struct source_ops registry_ops;

static void timing_defaults(struct registry_timing *t)
{
	if (!t->resolve_ms)
		t->resolve_ms = REGISTRY_RESOLVE_MS;
	if (!t->target_ms)
		t->target_ms = REGISTRY_TARGET_MS;
	if (!t->denied_ms)
		t->denied_ms = REGISTRY_DENIED_MS;
}

static void init_lock(struct registry *r)
{
	pthread_condattr_t attr;
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->changed, &attr);
	pthread_condattr_destroy(&attr);
}

static enum registry_scheme first_scheme(const struct registry *r)
{
	if (r->plain_http)
		return SCHEME_HTTP;
	return ref_host_is_loopback(r->host) ? SCHEME_UNKNOWN : SCHEME_HTTPS;
}

/* The client that speaks for this registry only, with what the user trusts and shows there. */
static err_t make_client(struct registry *r, struct diag *d)
{
	struct tls_trust trust;
	struct http_url url;
	err_t err = registry_url(r, SCHEME_HTTPS, "/v2/", &url, d);
	if (err)
		return err;
	tls_trust_load(r->login_host, &trust);
	struct http_options options = {
		.connect_ms = r->timing.connect_ms,
		.first_byte_ms = r->timing.first_byte_ms,
		.stall_ms = r->timing.stall_ms,
		.own_host = url.host,
		.own_authorities = buf_bytes(&trust.authorities),
		.own_certificate = trust.certificate,
		.own_key = trust.key,
	};
	r->http = http_new(&options);
	tls_trust_fini(&trust);
	http_url_fini(&url);
	return 0;
}

static void registry_free(struct source *s)
{
	struct registry *r = (struct registry *)s;
	http_free(&r->http);
	registry_targets_free(r);
	registry_auth_fini(&r->auth);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	free(r->base.label);
	free(r->host);
	free(r->login_host);
	free(r->repo);
	free(r->authfile);
	free(r->token_host);
	free(r);
}

err_t registry_source_new(const struct ref *ref, const struct registry_options *options,
			  struct source **out, struct diag *d)
{
	static const struct registry_options none;
	*out = NULL;
	if (ref->kind != REF_REGISTRY)
		return fail(d, ERR_USAGE, -EINVAL, "the reference names no registry");
	if (!options)
		options = &none;
	struct registry *r = new_of(struct registry);
	r->base = (struct source){.ops = &registry_ops,
				  .label = xasprintf("%s/%s", ref->host, ref->repo)};
	r->host = xstrdup(ref_api_host(ref));
	r->login_host = xstrdup(ref->host);
	r->repo = xstrdup(ref->repo);
	r->authfile = xstrdup_or_null(options->authfile);
	r->token_host = xstrdup_or_null(options->token_host);
	r->plain_http = options->plain_http;
	r->timing = options->timing;
	timing_defaults(&r->timing);
	r->scheme = first_scheme(r);
	r->networks = HTTP_NET_PUBLIC;
	init_lock(r);
	err_t err = make_client(r, d);
	if (err)
		registry_free(&r->base);
	else
		*out = &r->base;
	return err;
}

static void registry_interrupt(struct source *s)
{
	struct registry *r = (struct registry *)s;
	pthread_mutex_lock(&r->lock);
	r->interrupted = true;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	http_interrupt(r->http);
}

void registry_source_stats(struct source *s, struct registry_stats *out)
{
	struct registry *r = (struct registry *)s;
	struct http_stats stats;
	BUG_ON(s->ops != &registry_ops);
	http_stats(r->http, &stats);
	*out = (struct registry_stats){.blob_bytes = stats.body_bytes, .requests = stats.requests};
}

err_t registry_url(struct registry *r, enum registry_scheme scheme, const char *path,
		   struct http_url *out, struct diag *d)
{
	auto_free char *text =
		xasprintf("%s://%s%s", scheme == SCHEME_HTTP ? "http" : "https", r->host, path);
	return http_url_parse(text, out, d);
}

/* A registry may send us to its own kind of network and to more public ones, never to closer ones:
 * a public registry has no business with this machine or its neighbours. */
static unsigned networks_from(enum http_network own)
{
	switch (own) {
	case HTTP_NET_LOOPBACK:
		return HTTP_NET_PUBLIC | HTTP_NET_PRIVATE | HTTP_NET_LOOPBACK;
	case HTTP_NET_PRIVATE:
		return HTTP_NET_PUBLIC | HTTP_NET_PRIVATE;
	default:
		return HTTP_NET_PUBLIC;
	}
}

/* 400 is what a TLS server says to plain http: nothing is learned from it. */
static void learn(struct registry *r, enum registry_scheme scheme, struct http_transfer *t)
{
	pthread_mutex_lock(&r->lock);
	bool learned = r->scheme == SCHEME_UNKNOWN && http_status(t) != 400;
	if (learned)
		r->scheme = scheme;
	r->networks = networks_from(http_peer_network(t));
	pthread_mutex_unlock(&r->lock);
	if (learned)
		log_debug("registry.scheme", "host=%s scheme=%s", r->host,
			  scheme == SCHEME_HTTP ? "http" : "https");
}

static err_t open_with(struct registry *r, enum registry_scheme scheme,
		       struct http_request *request, const char *path, struct http_url *url,
		       struct http_transfer **out, struct diag *d)
{
	http_url_fini(url);
	err_t err = registry_url(r, scheme, path, url, d);
	if (err)
		return err;
	request->url = url;
	request->networks = HTTP_NET_ANY; /* the user named this host */
	err = http_open(r->http, request, out, d);
	if (!err)
		learn(r, scheme, *out);
	return err;
}

err_t registry_open(struct registry *r, struct http_request *request, const char *path,
		    struct http_url *url, struct http_transfer **out, struct diag *d)
{
	pthread_mutex_lock(&r->lock);
	enum registry_scheme scheme = r->scheme;
	pthread_mutex_unlock(&r->lock);
	if (scheme != SCHEME_UNKNOWN)
		return open_with(r, scheme, request, path, url, out, d);
	err_t err = open_with(r, SCHEME_HTTPS, request, path, url, out, d);
	if (err != -ECONNREFUSED && err != -EPROTONOSUPPORT)
		return err;
	return open_with(r, SCHEME_HTTP, request, path, url, out, d);
}

const struct source_ops registry_ops = {
	.head = registry_head,
	.manifest = registry_manifest,
	.small_blob = registry_small_blob,
	.open = registry_stream_open,
	.read = registry_stream_read,
	.close = registry_stream_close,
	.interrupt = registry_interrupt,
	.free = registry_free,
	.referrers = registry_referrers,
	.tags = registry_tags,
	.blob_put = registry_blob_put,
	.manifest_put = registry_manifest_put,
};
