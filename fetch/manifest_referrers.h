/*
 * manifest_referrers - image indexes that list what refers to a manifest, as they are written
 *
 * The `index.json` of a layout, an answer of the referrers API and the index under a fallback tag
 * have one form (image-spec image-index.md). They belong to many writers: what is not ours is kept
 * as it is, members that nobody here knows included.
 */
#ifndef IMGFS_FETCH_MANIFEST_REFERRERS_H
#define IMGFS_FETCH_MANIFEST_REFERRERS_H

#include "fetch/source.h"

#define MEDIA_TYPE_OCI_INDEX "application/vnd.oci.image.index.v1+json"
/* An image index that lists nothing. */
#define REFERRERS_NONE                                                                             \
	"{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_TYPE_OCI_INDEX "\",\"manifests\":[]}"

/* referrers_tag - the tag that stands in for the referrers API at registries without it
 * (distribution-spec, "Referrers Tag Schema"); the caller frees. */
char *referrers_tag(const struct digest *subject);

/* referrers_check - -EBADMSG (ERR_INTEGRITY) when the text is no OCI image index. */
err_t referrers_check(struct bytes json, struct diag *d) must_check;

/* referrers_list - whether an image index has an entry of this digest. */
bool referrers_list(struct bytes json, const struct digest *digest);

/*
 * tags_parse - the tags in a registry's list of them, without those that stand in for the referrers
 * API, at most `max`
 * The texts are the caller's to free. -EBADMSG (ERR_INTEGRITY) when the text is no such list.
 */
err_t tags_parse(struct bytes json, char **tags, size_t max, size_t *n, struct diag *d) must_check;

/* Where a new entry goes. */
enum referrers_place {
	REFERRERS_FIRST, /* readers look at a few entries only */
	REFERRERS_LAST,	 /* others are known by their number; one of the same digest is replaced */
};

/*
 * referrers_merge - an image index with put's descriptor in it
 * @json  the index as it is; empty: there is none
 * @out   empty; the new text
 * An entry of the same digest is dropped (REFERRERS_LAST: gives its place); every other member and
 * entry stays, in its order. -EBADMSG (ERR_INTEGRITY): no image index; -EINVAL: the descriptor is
 * no object with the digest, size and media type of put; -E2BIG (ERR_UNSUPPORTED): larger than
 * DOCUMENT_MAX.
 */
err_t referrers_merge(struct bytes json, const struct manifest_put *put, enum referrers_place place,
		      struct buf *out, struct diag *d) must_check;

#endif
