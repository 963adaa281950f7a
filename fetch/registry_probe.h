/*
 * registry_probe - the way to a registry, one step at a time, for `imgfs doctor`
 *
 * Every other caller asks for what it wants, and gets one error for the whole way. Here each step
 * can be seen. The sources must be those of registry_source_new.
 */
#ifndef IMGFS_FETCH_REGISTRY_PROBE_H
#define IMGFS_FETCH_REGISTRY_PROBE_H

#include "fetch/registry.h"

/* Whom the first connection goes to. Owned. */
struct registry_target {
	char *host, *port; /* without brackets */
	char *proxy;	   /* the proxy in force, without its password; NULL: a direct connection */
};
err_t registry_probe_target(struct source *s, struct registry_target *out,
			    struct diag *d) must_check;
void registry_target_fini(struct registry_target *t);

/*
 * registry_probe_connect - look the name up and connect to its addresses, in order, until one
 * answers Both give text for people, owned: "192.0.2.1" and how many more. -EHOSTUNREACH: no such
 * name, with *addresses NULL; else -errno of the last address.
 */
struct registry_connection {
	char *addresses; /* "192.0.2.1 and 3 more"; NULL: the name has none */
	char *address;	 /* the one that answered; NULL: none */
	unsigned ms;	 /* from the start of the connection to its end */
};
err_t registry_probe_connect(const struct registry_target *t, struct registry_connection *out,
			     struct diag *d) must_check;
void registry_connection_fini(struct registry_connection *c);

/* What the registry says to a request without a login. Owned. */
struct registry_hello {
	int status; /* 200, or 401: it asks for a login */
	bool https;
	bool is_registry; /* it names the distribution API, or asks as registries ask */
	char *scheme;	  /* "Bearer" or "Basic"; NULL: it asks for nothing */
	char *realm;	  /* host of the token server, or the words of Basic; may be NULL */
};
/* registry_probe_hello - GET /v2/; errors as in fetch/http.h. */
err_t registry_probe_hello(struct source *s, struct registry_hello *out, struct diag *d) must_check;
void registry_hello_fini(struct registry_hello *h);

/*
 * registry_probe_range - ask for bytes [off, off + len) of a blob, and only look at the answer
 * @status  206: the registry honours ranges; 200: it sends the whole blob
 */
err_t registry_probe_range(struct source *s, const struct digest *blob, uint64_t off, uint64_t len,
			   int *status, struct diag *d) must_check;

/* registry_probe_referrers - 0: it has the referrers API; -ENOENT: it has not, and lists of
 * referrers are kept under a tag; other errors as source_manifest. */
err_t registry_probe_referrers(struct source *s, const struct digest *subject,
			       struct diag *d) must_check;

#endif
