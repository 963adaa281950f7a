/*
 * ref - image references: what the user types
 *
 *   [HOST[:PORT]/]PATH[:TAG][@DIGEST]   a registry; no host means docker.io
 *   oci:DIR[:NAME]  oci:DIR:@N          an OCI layout directory
 *
 * Grammar and traps: distribution-spec and the "reference" rules of Docker's name normalisation.
 */
#ifndef IMGFS_FETCH_REF_H
#define IMGFS_FETCH_REF_H

#include "index/digest.h"

#define REF_TEXT_MAX 4096 /* longer than any path */

enum ref_kind {
	REF_REGISTRY,
	REF_OCI_LAYOUT,
};

struct ref {
	enum ref_kind kind;
	/* REF_REGISTRY */
	char *host; /* canonical, with port if any: "docker.io", "localhost:5000", "[::1]:5000" */
	char *repo; /* "library/alpine" */
	char *tag;  /* NULL when only a digest was given; with both, the digest decides and the tag
		       is a label */
	struct digest digest; /* unset without @DIGEST */
	/* REF_OCI_LAYOUT */
	char *dir;
	char *name; /* NULL: the layout must hold exactly one image */
	int number; /* of oci:DIR:@N; -1 without */
};

/* ref_parse - -EINVAL (ERR_USAGE) says what is wrong; -ENOTSUP (ERR_UNSUPPORTED) for transports we
 * do not know. */
err_t ref_parse(const char *text, struct ref *out, struct diag *d) must_check;
void ref_fini(struct ref *r);
/* ref_text - the fully expanded form ("docker.io/library/alpine:latest"), which is read back as the
 * same reference; a host that is named like a transport keeps the scheme. The caller frees. */
char *ref_text(const struct ref *r);
/* ref_api_host - the host that speaks the API: docker.io is served by registry-1.docker.io; else
 * ref->host. */
const char *ref_api_host(const struct ref *r);
/* ref_host_is_loopback - 127.0.0.0/8, ::1, localhost, with any port. */
bool ref_host_is_loopback(const char *host);

#endif
