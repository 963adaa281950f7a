/*
 * What is needed to speak to registries, as far as it can be seen without speaking to one.
 */
#include "tools/doctor.h"

#include "fetch/credentials.h"
#include "fetch/http_authorities.h"

#include <string.h>

/* ---- certificates ---- */

/* One certificate that it can not read keeps libcurl from taking any of the file. */
static void check_certificates(struct doctor *doc)
{
	const char *named = getenv("SSL_CERT_FILE");
	const char *hint = named && *named
				   ? "correct or unset $SSL_CERT_FILE: it names certificates in PEM"
				   : "as root: apt install ca-certificates; or name a bundle in "
				     "$SSL_CERT_FILE";
	struct http_authorities a;
	http_authorities_load(&a);
	if (a.err)
		doctor_say(doc, DOCTOR_FAIL, "certificates", hint,
			   "%s: %s: every https registry will be refused", a.file,
			   strerror(-a.err));
	else if (a.n_bad)
		doctor_say(doc, DOCTOR_FAIL, "certificates", hint,
			   "%s: %zu of %zu certificates can not be read: every https registry "
			   "will be refused",
			   a.file, a.n_bad, a.n + a.n_bad);
	else if (a.file ? !a.n : !a.n_dir)
		doctor_say(doc, DOCTOR_FAIL, "certificates", hint,
			   "no authority is known (%s): every https registry will be refused",
			   a.file ? a.file : "no bundle is built in");
	else
		doctor_say(doc, DOCTOR_OK, "certificates", NULL, "%zu in %s",
			   a.file ? a.n : a.n_dir, a.file ? a.file : a.dir);
	doctor_say(doc, DOCTOR_OK, "TLS library", NULL, "%s", a.library);
	http_authorities_fini(&a);
}

/* ---- credentials ---- */

struct survey {
	struct doctor *doc;
	unsigned n; /* places that hold something */
	bool named; /* --authfile or $REGISTRY_AUTH_FILE: the only place, and it must be there */
};

static void check_helper(struct doctor *doc, const char *name, const char *source)
{
	auto_free char *program = xasprintf("docker-credential-%s", name);
	auto_free char *path = credential_helper_name_valid(name) ? doctor_program(program) : NULL;
	auto_free char *hint = xasprintf("install %s, or take it out of %s", program, source);
	if (path)
		doctor_say(doc, DOCTOR_OK, "credential helper", NULL, "%s", path);
	else
		doctor_say(doc, DOCTOR_WARN, "credential helper", hint,
			   "%s names '%s', and there is no such program in $PATH", source, program);
}

/* It is read only where a registry asks. */
static const char without_login[] =
	"no image comes from a registry that asks for a login, as Docker "
	"Hub does for public ones: name another file, or correct it";

static void show_source(void *arg, const struct credential_source *source)
{
	struct survey *s = arg;
	struct doctor *doc = s->doc;
	auto_free char *chmod_hint = xasprintf("chmod 600 %s", source->name);
	if (source->err == -ENOENT && !s->named)
		return;
	s->n++;
	if (source->err == -EINVAL)
		doctor_say(doc, DOCTOR_WARN, "credentials",
			   s->named ? without_login
				    : "it is passed over; log in again, or correct it",
			   "%s is no JSON object", source->name);
	else if (source->err)
		doctor_say(doc, DOCTOR_WARN, "credentials",
			   s->named ? without_login : "name a file that can be read", "%s: %s",
			   source->name, strerror(-source->err));
	else if (source->open_to_others)
		doctor_say(doc, DOCTOR_WARN, "credentials", chmod_hint,
			   "%s can be read by others (%zu logins)", source->name, source->n_logins);
	else
		doctor_say(doc, DOCTOR_OK, "credentials", NULL, "%s (%zu login%s)", source->name,
			   source->n_logins, source->n_logins == 1 ? "" : "s");
	for (size_t i = 0; i < source->n_helpers; i++)
		check_helper(doc, source->helpers[i], source->name);
}

static void check_credentials(struct doctor *doc)
{
	const char *named = getenv("REGISTRY_AUTH_FILE");
	struct survey s = {.doc = doc, .named = doc->common.authfile || (named && *named)};
	credentials_survey(doc->common.authfile, show_source, &s);
	if (!s.n)
		doctor_say(doc, DOCTOR_OK, "credentials", NULL,
			   "none: images are fetched without a login");
}

/* ---- proxies ---- */

/* What stands in front of the '@' is a login. */
static const char *behind_login(const char *proxy)
{
	const char *at = strrchr(proxy, '@');
	return at ? at + 1 : proxy;
}

static void check_proxies(struct doctor *doc)
{
	static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy",
					    "ALL_PROXY",   "no_proxy",	  "NO_PROXY"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *value = getenv(names[i]);
		if (value && *value)
			doctor_say(doc, DOCTOR_OK, "proxy", NULL, "%s=%s", names[i],
				   behind_login(value));
	}
}

void doctor_network(struct doctor *doc)
{
	check_certificates(doc);
	check_credentials(doc);
	check_proxies(doc);
}
