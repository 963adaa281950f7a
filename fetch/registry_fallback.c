/*
 * The list that a registry without the referrers API does not keep: an image index under a tag made
 * of the subject's digest, which its writers keep themselves. It is read, changed and written, and
 * there is no lock: If-Match is sent where the registry gives an ETag, and because many ignore it,
 * the list is read back, and changed anew when somebody else's writing has undone ours. A tag that
 * holds anything but an image index belongs to somebody else and is left alone.
 */
#include "fetch/manifest_referrers.h"
#include "fetch/registry_priv.h"

#include "fetch/log.h"

#define MERGE_ATTEMPTS 8

struct fallback {
	struct registry *r;
	const struct manifest_put *put;
	struct retry retry;
	char *path, *what;
};

/* The index under the tag; no bytes when there is none. */
static err_t read_list(struct fallback *f, bool past_caches, struct kept_headers *kept,
		       struct document *out, struct diag *d)
{
	struct exchange x = {
		.method = "GET",
		.path = f->path,
		.what = f->what,
		.accept = REGISTRY_ACCEPT_MANIFEST,
		.no_cache = past_caches,
		.kept = kept,
	};
	*out = (struct document){0};
	err_t err = registry_document(f->r, &x, &f->retry, NULL, out, d);
	if (err)
		document_fini(out);
	return err == -ENOENT ? 0 : err;
}

static err_t write_list(struct fallback *f, struct bytes json, const char *etag, struct diag *d)
{
	bool listed;
	struct manifest_put index = {.media_type = MEDIA_TYPE_OCI_INDEX, .content = json};
	struct exchange x = {
		.method = "PUT",
		.path = f->path,
		.what = f->what,
		.content_type = MEDIA_TYPE_OCI_INDEX,
		.body = json,
		.if_match = etag,
		.push = true,
	};
	digest_of(DIGEST_SHA256, json.p, json.n, &index.digest);
	return registry_manifest_send(f->r, &x, &index, &f->retry, &listed, d);
}

/* -ESTALE: somebody else has written in the meantime. */
static err_t check_listed(struct fallback *f, struct diag *d)
{
	struct document doc;
	err_t err = read_list(f, true, NULL, &doc, d);
	if (err)
		return err;
	bool listed = referrers_list(buf_bytes(&doc.bytes), &f->put->digest);
	document_fini(&doc);
	return listed ? 0
		      : fail(d, ERR_NETWORK, -ESTALE,
			     "%s: %s: other writers keep changing it: try again", f->r->base.label,
			     f->what);
}

static err_t merge_list(struct fallback *f, struct buf *merged, struct kept_headers *kept,
			struct diag *d)
{
	struct document doc;
	err_t err = read_list(f, false, kept, &doc, d);
	if (err)
		return err;
	err = referrers_merge(buf_bytes(&doc.bytes), f->put, REFERRERS_FIRST, merged, d);
	if (err)
		diag_prepend(d, "%s: %s is left as it is", f->r->base.label, f->what);
	document_fini(&doc);
	return err;
}

static err_t list_once(struct fallback *f, struct diag *d)
{
	auto_buf struct buf merged = {0};
	struct kept_headers kept = {0};
	err_t err = merge_list(f, &merged, &kept, d);
	if (!err)
		err = write_list(f, buf_bytes(&merged), kept.etag, d);
	kept_headers_fini(&kept);
	if (!err)
		err = check_listed(f, d);
	if (err == -ESTALE)
		f->retry.transient = true;
	return err;
}

err_t registry_fallback_put(struct registry *r, const struct manifest_put *put, struct diag *d)
{
	struct fallback f = {.r = r, .put = put, .retry = registry_push_retry(0)};
	char text[DIGEST_TEXT_MAX];
	auto_free char *tag = referrers_tag(&put->subject);
	auto_free char *path = xasprintf("/v2/%s/manifests/%s", r->repo, tag);
	auto_free char *what = xasprintf("the list of what refers to %s (tag %s)",
					 digest_text(&put->subject, text), tag);
	f.path = path;
	f.what = what;
	f.retry.failures_max = MERGE_ATTEMPTS;
	log_debug("registry.fallback", "source=%s tag=%s", r->base.label, tag);
	for (;;) {
		err_t err = list_once(&f, d);
		if (!err)
			return 0;
		err = registry_try_again(r, &f.retry, err, d);
		if (err)
			return err;
	}
}
