/*
 * The way to one image: name, connection, protocol, login, manifest, ranges, referrers. Each step
 * needs the one before it, so the first that fails is the last that is shown.
 */
#include "tools/doctor.h"

#include "fetch/credentials.h"
#include "fetch/layout.h"
#include "fetch/log.h"
#include "fetch/registry_probe.h"

#include <string.h>

#define INDEX_DEPTH 3 /* image indexes in image indexes */

struct way {
	struct doctor *doc;
	const char *reference;
	struct ref ref;
	struct registry_options options;
	struct source *source;
	struct manifest manifest; /* of the platform, once it is known */
	struct digest digest;
	bool asks_login; /* the registry, for anything at all */
};

/* ---- to the registry ---- */

static bool check_connection(struct way *w)
{
	static const char hint[] =
		"check the spelling of the host, /etc/resolv.conf and the network";
	struct registry_target target;
	struct registry_connection c = {0};
	struct diag d = DIAG_INIT;
	bool proxied, good = false;
	if (registry_probe_target(w->source, &target, &d)) {
		doctor_error(w->doc, DOCTOR_FAIL, "name", &d, hint);
		return false;
	}
	proxied = target.proxy != NULL;
	if (proxied)
		doctor_say(w->doc, DOCTOR_OK, "connection", NULL, "through the proxy %s",
			   target.proxy);
	else if (!registry_probe_connect(&target, &c, &d))
		good = true;
	if (c.addresses)
		doctor_say(w->doc, DOCTOR_OK, "name", NULL, "%s is %s", target.host, c.addresses);
	if (good)
		doctor_say(w->doc, DOCTOR_OK, "connection", NULL, "%s port %s answers, %u ms",
			   c.address, target.port, c.ms);
	else if (!proxied)
		doctor_error(w->doc, DOCTOR_FAIL, c.addresses ? "connection" : "name", &d,
			     c.addresses ? "check the port, a firewall, or a proxy ($https_proxy)"
					 : hint);
	registry_connection_fini(&c);
	registry_target_fini(&target);
	return good || proxied;
}

static const char *protocol_hint(err_t err)
{
	switch (err) {
	case -EPROTONOSUPPORT:
		return "it speaks http: --plain-http, or plain-http = yes in imgfs.conf";
	case -EKEYREJECTED:
		return "put the certificate of its authority into "
		       "/etc/containers/certs.d/HOST/ca.crt, "
		       "or name a bundle in $SSL_CERT_FILE; look at the clock, too";
	case -EPERM:
		return "the address lies in a network that may not be asked";
	default:
		return "check what listens there, and whether a proxy stands between";
	}
}

static bool check_protocol(struct way *w)
{
	struct registry_hello hello;
	struct diag d = DIAG_INIT;
	err_t err = registry_probe_hello(w->source, &hello, &d);
	if (err) {
		d.text[strcspn(d.text, ";")] = '\0'; /* our advice says more */
		doctor_error(w->doc, DOCTOR_FAIL, "protocol", &d, protocol_hint(err));
		return false;
	}
	if (!hello.is_registry)
		doctor_say(w->doc, DOCTOR_WARN, "protocol",
			   "check the host: it may be a web site, a proxy or a login page",
			   "%s, but /v2/ answers with status %d", hello.https ? "https" : "http",
			   hello.status);
	else
		doctor_say(w->doc, DOCTOR_OK, "protocol", NULL, "%s; %s%s%s%s",
			   hello.https ? "https" : "http, not encrypted",
			   hello.scheme ? "asks for a login: " : "asks for no login",
			   hello.scheme ? hello.scheme : "",
			   hello.scheme && hello.realm ? ", " : "",
			   hello.scheme && hello.realm ? hello.realm : "");
	w->asks_login = hello.scheme != NULL;
	registry_hello_fini(&hello);
	return true;
}

static bool check_login(struct way *w)
{
	struct credential c;
	struct diag d = DIAG_INIT;
	if (credentials_find(w->options.authfile, w->ref.host, w->ref.repo, &c, &d)) {
		doctor_error(w->doc, w->asks_login ? DOCTOR_FAIL : DOCTOR_WARN, "login", &d,
			     "name another file");
		return !w->asks_login;
	}
	if (credential_is_empty(&c))
		doctor_say(w->doc, DOCTOR_OK, "login", NULL, "none for %s: asked as anybody",
			   w->ref.host);
	else
		doctor_say(w->doc, DOCTOR_OK, "login", NULL, "%s%s%s",
			   c.origin ? c.origin : "found", c.username ? ", user " : "",
			   c.username ? c.username : "");
	credential_fini(&c);
	return true;
}

/* ---- to the image ---- */

static const char *manifest_hint(const struct diag *d)
{
	switch (d->cls) {
	case ERR_NOT_FOUND:
		return "check the repository and the tag; a private one may hide behind this "
		       "answer: "
		       "log in";
	case ERR_DENIED:
		return "podman login or docker login, with a user who may read it";
	case ERR_RATE:
		return "wait, or log in for a higher limit";
	case ERR_NETWORK:
		return "try again; -vv shows every request";
	default:
		return "the registry's answer is not what the specification says";
	}
}

/* One step down into an image index. */
static err_t descend(struct way *w, const struct platform *wanted, struct document *doc,
		     struct diag *d)
{
	struct document child = {0};
	struct descriptor desc;
	err_t err = manifest_choose(doc, wanted, &desc, d);
	if (!err)
		err = source_manifest(w->source, &w->ref, &desc.digest, &child, d);
	if (err)
		return err;
	document_fini(doc);
	*doc = child;
	return 0;
}

static err_t find_manifest(struct way *w, const struct platform *wanted, struct document *doc,
			   struct diag *d)
{
	enum manifest_kind kind = MANIFEST_INDEX;
	err_t err = manifest_kind_of(doc, &kind, d);
	for (int depth = 0; !err && kind == MANIFEST_INDEX && depth < INDEX_DEPTH; depth++) {
		err = descend(w, wanted, doc, d);
		if (!err)
			err = manifest_kind_of(doc, &kind, d);
	}
	if (!err)
		err = manifest_parse(doc, &w->manifest, d);
	if (!err)
		w->digest = doc->digest;
	return err;
}

/* The manifest of the platform that was asked for, out of what the reference names. */
static err_t choose_platform(struct way *w, struct document *doc, struct platform *wanted,
			     struct diag *d)
{
	err_t err = 0;
	platform_host(wanted);
	if (w->doc->common.platform)
		err = platform_parse(w->doc->common.platform, wanted, d);
	return err ? err : find_manifest(w, wanted, doc, d);
}

static bool check_platform(struct way *w, struct document *doc)
{
	struct platform wanted;
	struct diag d = DIAG_INIT;
	char text[100];
	err_t err = choose_platform(w, doc, &wanted, &d);
	if (err)
		doctor_error(w->doc, DOCTOR_FAIL, "platform", &d, "choose another with --platform");
	else
		doctor_say(w->doc, DOCTOR_OK, "platform", NULL,
			   "there is an image for %s, %zu layer%s", platform_text(&wanted, text),
			   w->manifest.n_layers, w->manifest.n_layers == 1 ? "" : "s");
	return !err;
}

static bool check_manifest(struct way *w)
{
	const struct digest *named = w->ref.digest.alg ? &w->ref.digest : NULL;
	struct document doc = {0};
	struct diag d = DIAG_INIT;
	char text[DIGEST_TEXT_MAX];
	int64_t start = now_ms();
	if (source_manifest(w->source, &w->ref, named, &doc, &d)) {
		doctor_error(w->doc, DOCTOR_FAIL, "manifest", &d, manifest_hint(&d));
		return false;
	}
	doctor_say(w->doc, DOCTOR_OK, "manifest", NULL, "%s, %lld ms",
		   digest_text(&doc.digest, text), (long long)(now_ms() - start));
	bool good = check_platform(w, &doc);
	document_fini(&doc);
	return good;
}

/* ---- what makes a mount lazy and quick ---- */

static void check_ranges(struct way *w)
{
	const struct descriptor *largest = NULL;
	struct diag d = DIAG_INIT;
	int status = 0;
	for (size_t i = 0; i < w->manifest.n_layers; i++)
		if (!largest || w->manifest.layers[i].desc.size > largest->size)
			largest = &w->manifest.layers[i].desc;
	if (!largest || largest->size < 4)
		return;
	uint64_t half = largest->size / 2;
	err_t err = registry_probe_range(w->source, &largest->digest, half, 1, &status, &d);
	if (err)
		doctor_error(w->doc, DOCTOR_FAIL, "ranges", &d, manifest_hint(&d));
	else if (status == 206)
		doctor_say(w->doc, DOCTOR_OK, "ranges", NULL, "parts of layers can be fetched");
	else
		doctor_say(w->doc, DOCTOR_WARN, "ranges",
			   "a mount works, but fetches whole layers; another registry or proxy may "
			   "honour Range",
			   "asked for one byte of a layer it sends all (status %d)", status);
}

static void check_referrers(struct way *w)
{
	struct diag d = DIAG_INIT;
	err_t err = registry_probe_referrers(w->source, &w->digest, &d);
	if (!err)
		doctor_say(w->doc, DOCTOR_OK, "referrers", NULL,
			   "the registry lists what belongs to an image");
	else if (err == -ENOENT)
		doctor_say(w->doc, DOCTOR_OK, "referrers", NULL,
			   "no such list: published indexes are found under a tag");
	else
		doctor_error(w->doc, DOCTOR_WARN, "referrers", &d,
			     "published indexes may not be found; --index DIGEST names one");
}

/* A published index that nobody vouches for is not used. */
static void check_trust(struct way *w)
{
	struct image_options options = image_options_of(&w->doc->common);
	struct trust *trust = NULL;
	if (trust_new(&options.trust, &w->ref, &trust, NULL))
		return; /* said before */
	if (trust_refuses(trust))
		doctor_say(w->doc, DOCTOR_OK, "trust", NULL, "published indexes are refused");
	else if (trust_looks(trust))
		doctor_say(w->doc, DOCTOR_OK, "trust", NULL,
			   "published indexes are looked for; %zu key%s", trust_n_keys(trust),
			   trust_n_keys(trust) == 1 ? "" : "s");
	else
		doctor_say(
			w->doc, DOCTOR_OK, "trust", NULL,
			"published indexes are not used: no key, digest or trust file says whose");
	trust_free(&trust);
}

static void walk(struct way *w)
{
	struct diag d = DIAG_INIT;
	if (registry_source_new(&w->ref, &w->options, &w->source, &d)) {
		doctor_error(w->doc, DOCTOR_FAIL, "reference", &d, "check the reference");
		return;
	}
	if (check_connection(w) && check_protocol(w) && check_login(w) && check_manifest(w)) {
		check_ranges(w);
		check_referrers(w);
		check_trust(w);
	}
	manifest_fini(&w->manifest);
	source_free(&w->source);
}

/* Without a store: a look makes none. */
static void check_layout(struct way *w)
{
	const struct digest *named = w->ref.digest.alg ? &w->ref.digest : NULL;
	struct document doc = {0};
	struct platform wanted;
	struct diag d = DIAG_INIT;
	err_t err = layout_source_new(&w->ref, &w->source, &d);
	if (!err)
		err = source_manifest(w->source, &w->ref, named, &doc, &d);
	if (!err)
		err = choose_platform(w, &doc, &wanted, &d);
	if (err)
		doctor_error(w->doc, DOCTOR_FAIL, "layout", &d,
			     "check the path, the name, --platform");
	else
		doctor_say(w->doc, DOCTOR_OK, "layout", NULL, "%s, %zu layer%s", w->reference,
			   w->manifest.n_layers, w->manifest.n_layers == 1 ? "" : "s");
	document_fini(&doc);
	manifest_fini(&w->manifest);
	source_free(&w->source);
}

void doctor_reference(struct doctor *doc, const char *reference)
{
	struct way w = {.doc = doc, .reference = reference};
	struct diag d = DIAG_INIT;
	if (ref_parse(reference, &w.ref, &d)) {
		doctor_error(doc, DOCTOR_FAIL, "reference", &d,
			     "HOST/REPOSITORY[:TAG][@DIGEST] or oci:DIRECTORY[:NAME]");
		return;
	}
	auto_free char *text = ref_text(&w.ref);
	w.options = image_options_of(&doc->common).registry;
	doctor_say(doc, DOCTOR_OK, "reference", NULL, "%s", text);
	if (w.ref.kind == REF_REGISTRY)
		walk(&w);
	else
		check_layout(&w);
	ref_fini(&w.ref);
}
