/*
 * What is written to a registry. A blob is asked for before it is sent; an upload is two requests
 * (where to, and all of the content), and one that breaks is begun anew, because what a server
 * keeps of a broken one differs from server to server. A manifest is one request; when the registry
 * does not say that it lists it under its subject, registry_fallback.c does that.
 */
#include "fetch/registry_priv.h"

#include "fetch/log.h"

#include <string.h>

#define PUSH_MS	      60000 /* all attempts of a small one together */
#define PUSH_BYTES_MS 16    /* and as much more as this slow a line takes */
#define PUSH_ATTEMPTS 4
#define HEAD_ATTEMPTS 2 /* without the answer it is sent again: that is right too */

static const char OCTETS[] = "application/octet-stream";

struct retry registry_push_retry(uint64_t n)
{
	return (struct retry){
		.deadline_ms = now_ms() + PUSH_MS + (int64_t)(n / PUSH_BYTES_MS),
		.failures_max = PUSH_ATTEMPTS,
	};
}

/* The digest that the registry says it stored. */
static err_t check_stored(struct registry *r, const struct exchange *x,
			  const struct http_transfer *t, const struct digest *digest,
			  struct diag *d)
{
	struct digest stored;
	char want[DIGEST_TEXT_MAX], got[DIGEST_TEXT_MAX];
	if (!registry_digest_header(t, "Docker-Content-Digest", &stored) ||
	    digest_equal(&stored, digest))
		return 0;
	return fail(d, ERR_INTEGRITY, -EBADMSG,
		    "%s: %s: the registry stored other bytes: expected %s, got %s", r->base.label,
		    x->what, digest_text(digest, want), digest_text(&stored, got));
}

/* Registries send who looks for a blob to where it lies: then it is there. */
static bool head_says_there(const struct http_transfer *t, uint64_t size)
{
	uint64_t length;
	const char *text = http_header(t, "Content-Length", 0);
	int status = http_status(t);
	if (status == 307 || status == 308)
		return true;
	return status == 200 && text && http_decimal(text, &length) && length == size;
}

/* A refusal or a strange answer is not the last word: the upload's answer says more. */
static bool is_final(err_t err)
{
	return err != -ENOENT && err != -EACCES && err != -EPROTO;
}

static err_t look_for_blob(struct registry *r, const struct digest *digest, uint64_t size,
			   bool *there, struct diag *d)
{
	char text[DIGEST_TEXT_MAX];
	auto_free char *path = xasprintf("/v2/%s/blobs/%s", r->repo, digest_text(digest, text));
	auto_free char *what = xasprintf("blob %s", text);
	struct exchange x = {.method = "HEAD", .path = path, .what = what, .push = true};
	struct retry retry = registry_push_retry(0);
	retry.failures_max = HEAD_ATTEMPTS;
	*there = false;
	for (;;) {
		struct http_transfer *t;
		err_t err = registry_exchange(r, &x, &retry, &t, d);
		if (!err) {
			*there = head_says_there(t, size);
			http_close(&t);
			return 0;
		}
		err = registry_try_again(r, &retry, err, d);
		if (err)
			return is_final(err) ? err : 0;
	}
}

/* Ask where to: *location is absolute, and the caller's. */
static err_t begin_upload(struct registry *r, const char *what, struct retry *retry,
			  char **location, struct diag *d)
{
	auto_free char *path = xasprintf("/v2/%s/blobs/uploads/", r->repo);
	struct kept_headers kept = {0};
	struct http_transfer *t;
	struct exchange x = {
		.method = "POST",
		.path = path,
		.what = what,
		.content_type = OCTETS,
		.push = true,
		.kept = &kept,
	};
	err_t err = registry_exchange(r, &x, retry, &t, d);
	if (!err && http_status(t) != 202)
		err = registry_bad_answer(r, retry, what, "the upload was not begun (no 202)", d);
	http_close(&t);
	*location = err ? NULL : take(&kept.location);
	kept_headers_fini(&kept);
	return err;
}

static err_t upload_once(struct registry *r, const struct digest *digest, struct bytes content,
			 const char *what, struct retry *retry, struct diag *d)
{
	auto_free char *location = NULL;
	char text[DIGEST_TEXT_MAX];
	struct http_transfer *t;
	err_t err = begin_upload(r, what, retry, &location, d);
	if (err)
		return err;
	auto_free char *url = http_query_add(location, "digest", digest_text(digest, text));
	struct exchange x = {
		.method = "PUT",
		.url = url,
		.what = what,
		.content_type = OCTETS,
		.body = content,
		.push = true,
	};
	err = registry_exchange(r, &x, retry, &t, d);
	if (err == -ENOENT)
		retry->transient = true; /* the upload was forgotten, as by a restart */
	if (err)
		return err;
	err = http_status(t) == 202
		      ? registry_bad_answer(r, retry, what, "the upload was not ended (202)", d)
		      : check_stored(r, &x, t, digest, d);
	http_close(&t);
	return err;
}

static err_t upload(struct registry *r, const struct digest *digest, struct bytes content,
		    struct diag *d)
{
	char text[DIGEST_TEXT_MAX];
	auto_free char *what = xasprintf("blob %s", digest_text(digest, text));
	struct retry retry = registry_push_retry(content.n);
	for (;;) {
		err_t err = upload_once(r, digest, content, what, &retry, d);
		if (err)
			err = registry_try_again(r, &retry, err, d);
		else
			return 0;
		if (err)
			return err;
	}
}

/* The retries need a text to log, whether the caller wants one or not. */
static err_t give(struct diag *d, const struct diag *why, err_t err)
{
	if (err && d)
		*d = *why;
	return err;
}

err_t registry_blob_put(struct source *s, const struct digest *digest, struct bytes content,
			bool *was_there, struct diag *d)
{
	struct registry *r = (struct registry *)s;
	struct diag why = DIAG_INIT;
	err_t err = look_for_blob(r, digest, content.n, was_there, &why);
	if (!err && !*was_there)
		err = upload(r, digest, content, &why);
	return give(d, &why, err);
}

err_t registry_manifest_send(struct registry *r, const struct exchange *x,
			     const struct manifest_put *put, struct retry *retry, bool *listed,
			     struct diag *d)
{
	struct http_transfer *t;
	struct digest subject;
	err_t err = registry_exchange(r, x, retry, &t, d);
	if (err)
		return err;
	err = check_stored(r, x, t, &put->digest, d);
	*listed = registry_digest_header(t, "OCI-Subject", &subject) &&
		  digest_equal(&subject, &put->subject);
	http_close(&t);
	return err;
}

static err_t send_manifest(struct registry *r, const struct manifest_put *put, bool *listed,
			   struct diag *d)
{
	char text[DIGEST_TEXT_MAX];
	struct retry retry = registry_push_retry(put->content.n);
	auto_free char *path =
		xasprintf("/v2/%s/manifests/%s", r->repo, digest_text(&put->digest, text));
	auto_free char *what = xasprintf("manifest %s", text);
	struct exchange x = {
		.method = "PUT",
		.path = path,
		.what = what,
		.content_type = put->media_type,
		.body = put->content,
		.push = true,
	};
	for (;;) {
		err_t err = registry_manifest_send(r, &x, put, &retry, listed, d);
		if (!err)
			return 0;
		err = registry_try_again(r, &retry, err, d);
		if (err)
			return err;
	}
}

err_t registry_manifest_put(struct source *s, const struct manifest_put *put, struct diag *d)
{
	struct registry *r = (struct registry *)s;
	struct diag why = DIAG_INIT;
	bool listed = false;
	err_t err = send_manifest(r, put, &listed, &why);
	if (!err && put->subject.alg && !listed)
		err = registry_fallback_put(r, put, &why);
	return give(d, &why, err);
}
