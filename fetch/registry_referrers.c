/*
 * What refers to a manifest, asked once and cheaply. Registries answer this question in every way
 * there is: with a list, not at all, with an HTML page, by a redirect to a login, or never. Only a
 * list is an answer; after anything else the fallback tag is tried, once, and then there are none.
 * A mount waits for it, so both together have a few seconds and no second attempt.
 */
#include "fetch/manifest_referrers.h"
#include "fetch/registry_priv.h"

#include "fetch/log.h"

#define LOOKUP_MS 5000 /* in all */
#define API_MS	  3000 /* of them, so that the fallback tag has a chance after silence */

struct lookup {
	struct registry *r;
	const char *subject;
	referrers_page_fn page;
	void *arg;
	int64_t start_ms;
	bool caller_failed; /* page did: the listing ends with its error */
};

/* What is the caller's to know, and not just an answer that is none. */
static bool is_final(const struct lookup *l, err_t err)
{
	return l->caller_failed || err == -ECANCELED || err == -ECONNREFUSED ||
	       err == -EHOSTUNREACH;
}

static void say(const struct lookup *l, const struct diag *why)
{
	log_info("index.referrers", "source=%s subject=%s reason=\"%s\"", l->r->base.label,
		 l->subject, why->text);
}

/* One request, one page. */
static err_t show_page(struct lookup *l, struct exchange *x, int64_t limit_ms, struct diag *d)
{
	struct retry retry = {.deadline_ms = l->start_ms + limit_ms, .failures_max = 1};
	struct document doc = {0};
	err_t err = registry_document(l->r, x, &retry, NULL, &doc, d);
	if (!err) {
		err = referrers_check(buf_bytes(&doc.bytes), d);
		if (err)
			diag_prepend(d, "%s: %s", l->r->base.label, x->what);
	}
	if (!err) {
		err = l->page(l->arg, buf_bytes(&doc.bytes), d);
		l->caller_failed = err != 0;
	}
	document_fini(&doc);
	return err;
}

/* The pages after the first; what they lack is not worth an error. */
static err_t show_more(struct lookup *l, struct exchange *x, struct diag *d)
{
	for (unsigned n = 1; n < REFERRERS_PAGES_MAX && x->kept->next; n++) {
		auto_free char *url = take(&x->kept->next);
		x->url = url;
		err_t err = show_page(l, x, LOOKUP_MS, d);
		x->url = NULL;
		if (err && is_final(l, err))
			return err;
		if (err) {
			say(l, d);
			return 0;
		}
	}
	return 0;
}

static err_t ask_api(struct lookup *l, const char *artifact_type, struct diag *d)
{
	struct kept_headers kept = {0};
	auto_free char *tail = xasprintf("/referrers/%s", l->subject);
	auto_free char *plain = xasprintf("/v2/%s%s", l->r->repo, tail);
	auto_free char *path = artifact_type ? http_query_add(plain, "artifactType", artifact_type)
					     : xstrdup(plain);
	auto_free char *what = xasprintf("referrers of %s", l->subject);
	struct exchange x = {
		.method = "GET",
		.path = path,
		.what = what,
		.accept = MEDIA_TYPE_OCI_INDEX,
		.only_to = tail, /* not to a page to log in at */
		.optional = true,
		.kept = &kept,
	};
	err_t err = show_page(l, &x, API_MS, d);
	if (!err)
		err = show_more(l, &x, d);
	kept_headers_fini(&kept);
	return err;
}

static err_t ask_tag(struct lookup *l, const struct digest *subject, struct diag *d)
{
	auto_free char *tag = referrers_tag(subject);
	auto_free char *path = xasprintf("/v2/%s/manifests/%s", l->r->repo, tag);
	auto_free char *what = xasprintf("tag %s", tag);
	struct exchange x = {
		.method = "GET",
		.path = path,
		.what = what,
		.accept = REGISTRY_ACCEPT_MANIFEST,
		.optional = true,
	};
	return show_page(l, &x, LOOKUP_MS, d);
}

err_t registry_referrers(struct source *s, const struct ref *ref, const struct digest *subject,
			 const char *artifact_type, referrers_page_fn page, void *arg,
			 struct diag *d)
{
	(void)ref; /* the repository is this source's */
	struct diag why = DIAG_INIT;
	char text[DIGEST_TEXT_MAX];
	struct lookup l = {
		.r = (struct registry *)s,
		.subject = digest_text(subject, text),
		.page = page,
		.arg = arg,
		.start_ms = now_ms(),
	};
	err_t err = ask_api(&l, artifact_type, &why);
	if (err && !is_final(&l, err)) {
		if (err != -ENOENT) /* that is how a registry says that it has no such API */
			say(&l, &why);
		err = ask_tag(&l, subject, &why);
		if (err && err != -ENOENT && !is_final(&l, err))
			say(&l, &why);
	}
	if (!err || !is_final(&l, err))
		return 0;
	if (d)
		*d = why;
	return err;
}
