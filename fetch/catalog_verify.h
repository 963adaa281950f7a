/*
 * catalog_verify - everything in a store, read again and compared
 */
#ifndef IMGFS_FETCH_CATALOG_VERIFY_H
#define IMGFS_FETCH_CATALOG_VERIFY_H

#include "fetch/catalog.h"
#include "fetch/progress.h"

struct verify_options {
	bool repair;		   /* remove what is wrong, so that it is fetched or built again */
	struct progress *progress; /* row 0; or NULL */
	/* called for each thing that is wrong; borrowed texts. */
	void (*bad)(void *arg, const char *what, const char *why);
	bool (*stop)(void *arg); /* asked now and then: true ends it */
	void *arg;
};

struct verify_counts {
	uint64_t documents, indexes, chunks, blobs; /* looked at */
	uint64_t bytes;				    /* of chunks and blobs */
	uint64_t bad;
};

/*
 * store_verify - documents against their digests, indexes by their invariants, chunks against their
 * XXH3, kept blobs against their digests
 * Chunks of published indexes whose rows are not here are passed over: nobody can read them. Safe
 * beside running mounts, which notice what is removed. Errors of catalog_load. Cost: reads all of
 * it.
 */
err_t store_verify(struct store *s, const struct verify_options *options, struct verify_counts *out,
		   struct diag *d) must_check;

#endif
