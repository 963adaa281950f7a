/*
 * Documents: what a tag names, manifests, configs. All of one document's attempts share one time
 * limit. Bytes are compared with their digest before anybody parses them; a mismatch is asked for
 * once more, past all caches, because it is nearly always a cache that is wrong.
 */
#include "fetch/registry_priv.h"

#include "fetch/log.h"

#include <string.h>

/* Schema1 is not listed: registries then say that they can not serve it. */
const char REGISTRY_ACCEPT_MANIFEST[] =
	"application/vnd.oci.image.index.v1+json, "
	"application/vnd.docker.distribution.manifest.list.v2+json, "
	"application/vnd.oci.image.manifest.v1+json, "
	"application/vnd.docker.distribution.manifest.v2+json";

static const char CLAIMED[] = "Docker-Content-Digest";

static struct retry document_retry(const struct registry *r)
{
	return (struct retry){
		.deadline_ms = now_ms() + r->timing.resolve_ms,
		.failures_max = REGISTRY_RESOLVE_ATTEMPTS,
	};
}

/* The name of a manifest in a path and in messages. */
static const char *manifest_name(const struct ref *ref, const struct digest *digest,
				 char text[DIGEST_TEXT_MAX])
{
	return digest->alg ? digest_text(digest, text) : ref->tag;
}

static void take_media_type(const struct http_transfer *t, struct document *out)
{
	const char *type = http_header(t, "Content-Type", 0);
	size_t n = type ? strcspn(type, "; \t") : 0;
	if (n >= sizeof(out->media_type))
		n = 0;
	memcpy(out->media_type, type ? type : "", n);
	out->media_type[n] = 0;
}

bool registry_digest_header(const struct http_transfer *t, const char *name, struct digest *out)
{
	const char *text = http_header(t, name, 0);
	return text && digest_parse(BYTES_STR(text), out, NULL) == 0;
}

static err_t fail_digest(struct registry *r, const char *what, const struct digest *expected,
			 const struct digest *got, struct diag *d)
{
	char a[DIGEST_TEXT_MAX], b[DIGEST_TEXT_MAX];
	return fail(d, ERR_INTEGRITY, -EBADMSG,
		    "%s: %s: the bytes do not match their digest: expected %s, got %s",
		    r->base.label, what, digest_text(expected, a), digest_text(got, b));
}

/* One attempt: the whole body, at most DOCUMENT_MAX bytes. */
static err_t fetch_once(struct registry *r, const struct exchange *x, struct retry *retry,
			struct document *out, struct digest *claimed, struct diag *d)
{
	struct http_transfer *t;
	out->bytes.n = 0;
	*claimed = (struct digest){0};
	err_t err = registry_exchange(r, x, retry, &t, d);
	if (err)
		return err;
	if (http_status(t) != 200) {
		err = registry_bad_answer(r, retry, x->what,
					  "a part was sent, or none, where the "
					  "whole was asked for",
					  d);
	} else {
		take_media_type(t, out);
		if (!registry_digest_header(t, CLAIMED, claimed))
			*claimed = (struct digest){0};
		err = http_read_all(t, DOCUMENT_MAX, &out->bytes, d);
		retry->transient = http_error_is_transient(err);
		if (err)
			diag_prepend(d, "%s: %s", r->base.label, x->what);
	}
	http_close(&t);
	return err;
}

static err_t fetch(struct registry *r, const struct exchange *x, struct retry *retry,
		   struct document *out, struct digest *claimed, struct diag *d)
{
	for (;;) {
		struct diag why = DIAG_INIT;
		err_t err = fetch_once(r, x, retry, out, claimed, &why);
		if (!err)
			return 0;
		err = registry_try_again(r, retry, err, &why);
		if (err) {
			if (d)
				*d = why;
			return err;
		}
	}
}

err_t registry_document(struct registry *r, struct exchange *x, struct retry *retry,
			const struct digest *expected, struct document *out, struct diag *d)
{
	for (;;) {
		struct digest claimed;
		err_t err = fetch(r, x, retry, out, &claimed, d);
		if (err)
			return err;
		const struct digest *want = expected && expected->alg ? expected : &claimed;
		enum digest_alg alg = want->alg ? (enum digest_alg)want->alg : DIGEST_SHA256;
		digest_of(alg, out->bytes.p, out->bytes.n, &out->digest);
		if (!want->alg || digest_equal(want, &out->digest))
			return 0;
		if (x->no_cache)
			return fail_digest(r, x->what, want, &out->digest, d);
		log_info("registry.mismatch", "source=%s what=%s", r->base.label, x->what);
		x->no_cache = true;
	}
}

err_t registry_manifest(struct source *s, const struct ref *ref, const struct digest *by_digest,
			struct document *out, struct diag *d)
{
	struct registry *r = (struct registry *)s;
	const struct digest *digest = by_digest ? by_digest : &ref->digest;
	char text[DIGEST_TEXT_MAX];
	const char *name = manifest_name(ref, digest, text);
	if (!name)
		return fail(d, ERR_USAGE, -EINVAL, "%s: neither tag nor digest", s->label);
	auto_free char *path = xasprintf("/v2/%s/manifests/%s", r->repo, name);
	auto_free char *what = xasprintf("manifest %s", name);
	struct exchange x = {
		.method = "GET",
		.path = path,
		.what = what,
		.accept = REGISTRY_ACCEPT_MANIFEST,
	};
	struct retry retry = document_retry(r);
	err_t err = registry_document(r, &x, &retry, digest, out, d);
	if (err)
		document_fini(out);
	return err;
}

err_t registry_small_blob(struct source *s, const struct digest *digest, uint64_t size,
			  struct document *out, struct diag *d)
{
	struct registry *r = (struct registry *)s;
	char text[DIGEST_TEXT_MAX];
	auto_free char *path = xasprintf("/v2/%s/blobs/%s", r->repo, digest_text(digest, text));
	auto_free char *what = xasprintf("blob %s", text);
	struct exchange x = {.method = "GET", .path = path, .what = what, .blob = digest};
	struct retry retry = document_retry(r);
	err_t err = registry_document(r, &x, &retry, digest, out, d);
	if (!err && out->bytes.n != size)
		err = fail(d, ERR_INTEGRITY, -EBADMSG,
			   "%s: %s has %zu bytes, its descriptor says %llu", s->label, what,
			   out->bytes.n, (unsigned long long)size);
	out->media_type[0] = 0; /* blobs are served as octet streams */
	if (err)
		document_fini(out);
	return err;
}

err_t registry_tags(struct source *s, struct buf *json, struct diag *d)
{
	struct registry *r = (struct registry *)s;
	auto_free char *path = xasprintf("/v2/%s/tags/list?n=100", r->repo);
	struct exchange x = {.method = "GET", .path = path, .what = "the list of tags"};
	struct retry retry = document_retry(r);
	struct document doc = {0};
	err_t err = registry_document(r, &x, &retry, NULL, &doc, d);
	if (!err) {
		*json = doc.bytes;
		doc.bytes = (struct buf){0};
	}
	document_fini(&doc);
	return err;
}

/* Whatever a HEAD can not say is worth a GET: servers differ in what they support, and a refusal
 * shows its reason only in a body. */
static bool get_would_say_more(err_t err)
{
	return err == -ENOENT || err == -EACCES || err == -EPROTO;
}

static err_t read_head(struct http_transfer *t, struct digest *out)
{
	uint64_t length;
	const char *text = http_header(t, "Content-Length", 0);
	if (http_status(t) != 200 || !text || !http_decimal(text, &length))
		return -ENOTSUP;
	return registry_digest_header(t, CLAIMED, out) ? 0 : -ENOTSUP;
}

err_t registry_head(struct source *s, const struct ref *ref, struct digest *out, struct diag *d)
{
	struct registry *r = (struct registry *)s;
	struct retry retry = document_retry(r);
	if (ref->digest.alg) {
		*out = ref->digest;
		return 0;
	}
	auto_free char *path = xasprintf("/v2/%s/manifests/%s", r->repo, ref->tag);
	auto_free char *what = xasprintf("manifest %s", ref->tag);
	struct exchange x = {
		.method = "HEAD",
		.path = path,
		.what = what,
		.accept = REGISTRY_ACCEPT_MANIFEST,
	};
	for (;;) {
		struct diag why = DIAG_INIT;
		struct http_transfer *t;
		err_t err = registry_exchange(r, &x, &retry, &t, &why);
		if (!err) {
			err = read_head(t, out);
			http_close(&t);
			return err ? fail(d, ERR_OTHER, err, "%s: no digest in the answer", what)
				   : 0;
		}
		err = registry_try_again(r, &retry, err, &why);
		if (err) {
			if (d)
				*d = why;
			return get_would_say_more(err) ? -ENOTSUP : err;
		}
	}
}
