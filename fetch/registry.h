/*
 * registry - an OCI distribution registry as a source (distribution-spec 1.1)
 */
#ifndef IMGFS_FETCH_REGISTRY_H
#define IMGFS_FETCH_REGISTRY_H

#include "fetch/source.h"

/* Time limits; 0: the default. Tests shorten them. */
struct registry_timing {
	unsigned connect_ms, first_byte_ms, stall_ms; /* fetch/http.h */
	unsigned resolve_ms; /* one manifest or config, all attempts together */
	unsigned target_ms;  /* a redirect target is used for so long */
	unsigned denied_ms;  /* a refused login is not tried again sooner */
};

struct registry_options {
	bool plain_http; /* --plain-http: http for this host; without it only loopback hosts may
			    fall back to http */
	const char *authfile;	/* --authfile; NULL: the usual places (fetch/credentials.h) */
	const char *token_host; /* another "host" or "host:port" that may be given this registry's
				   credentials when its challenge names it as token server; NULL:
				   none but the registry's own host and port and the well-known
				   pairs */
	struct registry_timing timing; /* zeroes: the defaults */
};

/*
 * registry_source_new - no connection is made yet
 * One network thread is started at the first request (so a process may fork before). Options are
 * copied.
 */
err_t registry_source_new(const struct ref *ref, const struct registry_options *options,
			  struct source **out, struct diag *d) must_check;

/* Totals since start, for reports and tests: response bodies' bytes received for blobs, and
 * requests sent. */
struct registry_stats {
	uint64_t blob_bytes;
	uint64_t requests;
};
void registry_source_stats(struct source *s, struct registry_stats *out);

#endif
