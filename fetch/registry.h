/*
 * registry - an OCI distribution registry as a source (distribution-spec 1.1)
 */
#ifndef IMGFS_FETCH_REGISTRY_H
#define IMGFS_FETCH_REGISTRY_H

#include "fetch/source.h"

struct registry_options {
	bool plain_http; /* --plain-http: http for this host; without it only loopback hosts may
			    fall back to http */
	const char *authfile; /* --authfile; NULL: the usual places (fetch/credentials.h) */
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
