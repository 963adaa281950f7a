/*
 * registry_priv - what the files of the registry client share
 *
 *   registry.c           the object: creation, options, interruption
 *   registry_manifest.c  documents: HEAD, manifests, configs
 *   registry_blob.c      ranges of blobs as streams
 *   registry_push.c      blobs and manifests written
 *   registry_referrers.c what refers to a manifest
 *   registry_fallback.c  the list of that, kept by us where the registry keeps none
 *   registry_exchange.c  one request with its redirects and its 401
 *   registry_auth.c      the authorization in force, and how a new one is got
 *   registry_target.c    where the registry redirected a blob to, kept while the URL is good
 *   registry_probe.c     the way to the registry, one step at a time
 *   registry_retry.c     back-off, Retry-After, and the gate in front of a registry that is down
 *   registry_error.c     what a status means
 */
#ifndef IMGFS_FETCH_REGISTRY_PRIV_H
#define IMGFS_FETCH_REGISTRY_PRIV_H

#include "fetch/challenge.h"
#include "fetch/http.h"
#include "fetch/registry.h"

#include <pthread.h>

#define REGISTRY_RESOLVE_MS	  15000 /* one document, all its attempts together */
#define REGISTRY_RESOLVE_ATTEMPTS 4
#define REGISTRY_BLOB_ATTEMPTS	  32 /* without progress between them */
#define REGISTRY_BAD_ANSWERS_MAX  3  /* answers that contradict themselves or the descriptor */
#define REGISTRY_REDIRECTS_MAX	  5
#define REGISTRY_TARGET_MS	  300000 /* a redirect target is asked for again after this */
#define REGISTRY_DENIED_MS	  30000	 /* a refused login is not tried again sooner */
#define REGISTRY_SCOPES_MAX	  4

#define LOGIN_WAYS "'podman login', 'docker login' or --authfile" /* for messages */

enum registry_scheme {
	SCHEME_UNKNOWN, /* a loopback host: https is tried, then http */
	SCHEME_HTTPS,
	SCHEME_HTTP,
};

/* The authorization in force. Under registry->lock; `busy` marks the one caller that is getting a
 * new one without holding the lock. */
struct registry_auth {
	bool busy;
	uint64_t generation; /* changes with each new header */
	char *header;	     /* "Bearer ..." or "Basic ..."; NULL: none yet */
	int64_t renew_at_ms; /* INT64_MAX: never */
	int64_t expires_at_ms;
	struct challenge challenge; /* the last one that was answered */
	char *scopes[REGISTRY_SCOPES_MAX];
	size_t n_scopes;
	int64_t denied_until_ms; /* until then the answer is `denied` without asking */
	struct diag denied;
	bool denied_untold; /* the log does not know yet */
};

/* A registry that fails again and again is asked by one caller at a time, once a second. */
struct registry_gate {
	unsigned failures; /* in a row */
	bool probing;
	int64_t next_probe_ms;
	struct diag last;
};

struct blob_target;

struct registry {
	struct source base;
	/* constant */
	char *host;	  /* that speaks the API, with port if given */
	char *login_host; /* under which credentials are kept: "docker.io" */
	char *repo;
	char *authfile;	  /* NULL: the usual places */
	char *token_host; /* NULL: none */
	bool plain_http;
	struct registry_timing timing; /* all set */
	struct http *http;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* any of what follows */
	/* under the lock */
	bool interrupted;
	enum registry_scheme scheme;
	unsigned
		networks; /* that others than the registry may lie in; grows from its own address */
	struct registry_auth auth;
	struct registry_gate gate;
	struct blob_target *targets;
	size_t n_targets;
};

/* How an operation's attempts go on; one for all requests of a document or a stream. */
struct retry {
	int64_t deadline_ms;
	unsigned failures_max;
	unsigned failures; /* since the last progress */
	unsigned bad_answers;
	/* of the last failure */
	bool transient;
	int64_t retry_after_ms;
};

/* Headers of an answer that outlive it. Owned; NULL where the answer has none. */
struct kept_headers {
	char *location; /* of a POST's answer: absolute, and checked as a redirect is */
	char *next;	/* the following page (Link), absolute, at the origin that answered */
	char *etag;
};
void kept_headers_fini(struct kept_headers *kept);

/* One request to the registry, as its caller sees it. */
struct exchange {
	const char *method;	   /* "GET", "HEAD", "POST" or "PUT" */
	const char *path;	   /* "/v2/..." */
	const char *url;	   /* instead of path: an absolute one the registry gave, or NULL */
	const char *what;	   /* for messages: "manifest 1.2" */
	const char *accept;	   /* NULL: anything */
	const struct digest *blob; /* keep the redirect target under this name; NULL: do not */
	bool ranged, no_cache;
	uint64_t first, last;
	struct bytes body;	  /* of a PUT */
	const char *content_type; /* of the body */
	const char *if_match;	  /* an ETag, or NULL */
	const char *only_to; /* follow redirects only to URLs whose path holds this; NULL: any */
	bool push;	     /* it writes: asks for the scope pull,push; any 2xx is an answer */
	bool optional; /* a refused login says nothing about other requests; so too with push */
	struct kept_headers *kept; /* NULL: none are wanted */
};

/*
 * registry_exchange - one attempt: authorization, redirects, and a status that is an answer
 * Gives a transfer with status 200, 206 or 416 (and 3xx for HEAD: it is not followed). Everything
 * else is an error, with retry->transient and retry->retry_after_ms set for registry_try_again.
 */
err_t registry_exchange(struct registry *r, const struct exchange *x, struct retry *retry,
			struct http_transfer **out, struct diag *d) must_check;

/* registry_try_again - after a failure: 0 when it is time for another attempt (it has waited), else
 * the error to return. */
err_t registry_try_again(struct registry *r, struct retry *retry, err_t err,
			 struct diag *d) must_check;
/* registry_bad_answer - an answer that contradicts itself: worth another attempt, a few times. */
err_t registry_bad_answer(struct registry *r, struct retry *retry, const char *what,
			  const char *why, struct diag *d);
/* registry_gate_enter - wait for one's turn at a registry that is down; leave says how it went. */
err_t registry_gate_enter(struct registry *r, int64_t deadline_ms, bool *probing,
			  struct diag *d) must_check;
void registry_gate_leave(struct registry *r, bool probing, bool answered, const struct diag *d);
/* registry_wait_locked - until something changes or now_ms() reaches until_ms; look again after it.
 */
void registry_wait_locked(struct registry *r, int64_t until_ms);

/* registry_status_error - turn a status that is no answer into an error; reads the body. */
err_t registry_status_error(struct registry *r, const struct exchange *x, struct retry *retry,
			    struct http_transfer *t, const char *foreign_host,
			    struct diag *d) must_check;

/* The authorization to send, a copy, and the generation to quote when it is refused. */
struct authorization {
	char *header; /* NULL: none */
	uint64_t generation;
};
void authorization_fini(struct authorization *a);
/* registry_authorize - the authorization in force, renewed when its time has come. */
err_t registry_authorize(struct registry *r, int64_t deadline_ms, struct authorization *out,
			 struct diag *d) must_check;
/*
 * registry_answer_401 - get a new authorization that x needs
 * @rounds  how many 401 this request has had before
 * 0: try the request again. -EACCES (ERR_DENIED): that was final.
 */
err_t registry_answer_401(struct registry *r, const struct exchange *x, struct http_transfer *t,
			  uint64_t generation, unsigned rounds, int64_t deadline_ms,
			  struct diag *d) must_check;
void registry_auth_fini(struct registry_auth *auth);

/* registry_url - of a path at the registry, with the scheme that is known or to be tried first. */
err_t registry_url(struct registry *r, enum registry_scheme scheme, const char *path,
		   struct http_url *out, struct diag *d) must_check;
/* registry_open - send a request to the registry itself and learn scheme and network from it. */
err_t registry_open(struct registry *r, struct http_request *request, const char *path,
		    struct http_url *url, struct http_transfer **out, struct diag *d) must_check;

/*
 * registry_target_get - the URL a blob was redirected to, or NULL: ask the registry
 * With *leader set the caller must end with registry_target_put or registry_target_give_up; others
 * who ask for the same blob wait for that.
 */
err_t registry_target_get(struct registry *r, const struct digest *blob, int64_t deadline_ms,
			  char **url, bool *leader, struct diag *d) must_check;
/* registry_target_put - url NULL: the registry serves the blob itself. */
void registry_target_put(struct registry *r, const struct digest *blob, const char *url,
			 int64_t life_ms);
void registry_target_give_up(struct registry *r, const struct digest *blob);
/* registry_target_drop - this URL does not work any more. */
void registry_target_drop(struct registry *r, const struct digest *blob, const char *url);
void registry_targets_free(struct registry *r);

/*
 * registry_document - a whole document into out, within retry's limits
 * Verified against `expected`, or (NULL or unset) against what the registry itself claims.
 */
err_t registry_document(struct registry *r, struct exchange *x, struct retry *retry,
			const struct digest *expected, struct document *out,
			struct diag *d) must_check;
/* registry_digest_header - the digest that an answer claims; false: none, or not a usable one. */
bool registry_digest_header(const struct http_transfer *t, const char *name, struct digest *out);
/* registry_push_retry - limits for a push of n bytes. */
struct retry registry_push_retry(uint64_t n);
/* registry_manifest_send - one attempt to PUT a manifest or index under a tag or digest; *listed:
 * the registry says that it lists it under its subject. */
err_t registry_manifest_send(struct registry *r, const struct exchange *x,
			     const struct manifest_put *put, struct retry *retry, bool *listed,
			     struct diag *d) must_check;
/* registry_fallback_put - list a manifest under the tag that stands in for the referrers API. */
err_t registry_fallback_put(struct registry *r, const struct manifest_put *put,
			    struct diag *d) must_check;

extern const char REGISTRY_ACCEPT_MANIFEST[]; /* the Accept header of everything that reads them */
extern const struct source_ops registry_ops;
err_t registry_head(struct source *s, const struct ref *ref, struct digest *out, struct diag *d);
err_t registry_manifest(struct source *s, const struct ref *ref, const struct digest *by_digest,
			struct document *out, struct diag *d);
err_t registry_tags(struct source *s, struct buf *json, struct diag *d);
err_t registry_small_blob(struct source *s, const struct digest *digest, uint64_t size,
			  struct document *out, struct diag *d);
err_t registry_stream_open(struct source *s, const struct digest *digest, uint64_t size,
			   uint64_t off, uint64_t len, int64_t deadline_ms,
			   struct source_stream **out, struct diag *d);
err_t registry_stream_read(struct source_stream *st, void *p, size_t n, size_t *got,
			   struct diag *d);
void registry_stream_close(struct source_stream *st);
err_t registry_referrers(struct source *s, const struct ref *ref, const struct digest *subject,
			 const char *artifact_type, referrers_page_fn page, void *arg,
			 struct diag *d);
err_t registry_blob_put(struct source *s, const struct digest *digest, struct bytes content,
			bool *was_there, struct diag *d);
err_t registry_manifest_put(struct source *s, const struct manifest_put *put, struct diag *d);

#endif
