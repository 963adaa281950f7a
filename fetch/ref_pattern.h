/*
 * ref_pattern - which references a line of a trust file or a section of imgfs.conf is for
 *
 *   *                      everything
 *   HOST                   every repository of a registry
 *   HOST/REPOSITORY        one repository
 *   HOST/TEXT*             every repository that begins so
 *   oci:/DIR               one OCI layout
 *   oci:/TEXT*             every layout whose path begins so; oci:* is all of them
 *
 * They are compared with the canonical form of a reference, without tag and digest: the host always
 * stands there (docker.io), and folders are as realpath(1) writes them.
 */
#ifndef IMGFS_FETCH_REF_PATTERN_H
#define IMGFS_FETCH_REF_PATTERN_H

#include "fetch/ref.h"

struct ref_pattern {
	char *text;  /* what a subject is compared with, without the '*'; owned */
	bool prefix; /* it had one: anything may follow */
};

/* ref_pattern_parse - -EINVAL (ERR_USAGE), with nothing to free, for a pattern that no reference
 * can match. */
err_t ref_pattern_parse(const char *text, struct ref_pattern *out, struct diag *d) must_check;
void ref_pattern_fini(struct ref_pattern *p);

/* ref_pattern_matches - @subject as ref_pattern_subject gives it. */
bool ref_pattern_matches(const struct ref_pattern *p, const char *subject);
/* ref_pattern_compare - above 0 when a is the more specific of two that match the same subject,
 * below 0 when b is: the longer one, and of two equally long ones that without a '*'. */
int ref_pattern_compare(const struct ref_pattern *a, const struct ref_pattern *b);
/* ref_pattern_equal - whether both match the same subjects. */
bool ref_pattern_equal(const struct ref_pattern *a, const struct ref_pattern *b);

/* ref_pattern_subject - what patterns are compared with: "host/repository" or "oci:/real/path". The
 * caller frees. ERR_NOT_FOUND, ERR_DENIED, ERR_OTHER: the directory is not there. */
err_t ref_pattern_subject(const struct ref *ref, char **out, struct diag *d) must_check;

#endif
