/*
 * Patterns: text that a subject is equal to, or begins with, parsed so strictly that every pattern
 * can match something. References are known in their one canonical form, so a pattern in another
 * spelling would be passed over in silence.
 */
#include "fetch/ref_pattern.h"

#include <string.h>

static const char LAYOUT[] = "oci:";

static bool is_layout(const char *pattern)
{
	return strncmp(pattern, LAYOUT, strlen(LAYOUT)) == 0;
}

static err_t bad(struct diag *d, const char *pattern, const char *why)
{
	return fail(d, ERR_USAGE, -EINVAL, "pattern '%.200s': %s", pattern, why);
}

/* No "..", "." or empty component. The last one is whole unless anything may follow it. */
static bool is_real(const char *dir, bool prefix)
{
	auto_free char *text = xasprintf("%s%s", dir, prefix || !dir[1] ? "" : "/");
	return !strstr(text, "//") && !strstr(text, "/./") && !strstr(text, "/../");
}

static err_t check_layout(const char *pattern, bool prefix, struct diag *d)
{
	const char *dir = pattern + strlen(LAYOUT);
	size_t n = strlen(dir);
	if (dir[0] != '/')
		return bad(d, pattern, "oci: is followed by an absolute path, or by '*' alone");
	if (n > 1 && dir[n - 1] == '/' && !prefix)
		return bad(d, pattern, "write it without the last '/', or with '/*'");
	if (!is_real(dir, prefix))
		return bad(d, pattern, "the path is not as realpath(1) writes it");
	return 0;
}

/* A host is one when a reference with it has exactly this host. */
static err_t check_host(const char *pattern, const char *host, struct diag *d)
{
	struct ref ref;
	auto_free char *text = xasprintf("%s/x", host);
	bool same = ref_parse(text, &ref, NULL) == 0;
	if (same) {
		same = ref.kind == REF_REGISTRY && strcmp(ref.host, host) == 0;
		ref_fini(&ref);
	}
	return same ? 0
		    : bad(d, pattern,
			  "it does not begin with a host as imgfs writes it (docker.io, "
			  "localhost:5000, registry.example.com)");
}

static err_t check_repository(const char *pattern, struct diag *d)
{
	struct ref ref;
	if (ref_parse(pattern, &ref, NULL))
		return bad(d, pattern, "no reference has such a repository");
	auto_free char *full =
		ref.kind == REF_REGISTRY ? xasprintf("%s/%s", ref.host, ref.repo) : NULL;
	ref_fini(&ref);
	if (full && strcmp(full, pattern) == 0)
		return 0;
	return fail(d, ERR_USAGE, -EINVAL,
		    "pattern '%.200s': it is compared with host/repository: write '%.300s'",
		    pattern, full ? full : "host/repository");
}

static err_t check_registry(const char *pattern, bool prefix, struct diag *d)
{
	const char *slash = strchr(pattern, '/');
	if (!slash && prefix)
		return bad(d, pattern,
			   "'*' inside a host would match hosts of strangers: write HOST or "
			   "HOST/*");
	auto_free char *host = xstrndup(pattern, strcspn(pattern, "/"));
	err_t err = check_host(pattern, host, d);
	if (err || !slash)
		return err;
	if (!prefix)
		return check_repository(pattern, d);
	if (strspn(slash, "abcdefghijklmnopqrstuvwxyz0123456789._-/") != strlen(slash) ||
	    strstr(slash, "//"))
		return bad(d, pattern, "no reference has such a repository");
	return 0;
}

/* Cuts the '*' off. "oci:*" becomes "oci:/", which no host can begin with. */
err_t ref_pattern_parse(const char *text, struct ref_pattern *out, struct diag *d)
{
	size_t n = strcspn(text, "*");
	*out = (struct ref_pattern){.prefix = text[n] == '*'};
	if (text[n] && text[n + 1])
		return bad(d, text, "'*' stands at the end only, once");
	if (!*text)
		return fail(d, ERR_USAGE, -EINVAL, "a pattern is missing");
	bool all_layouts = out->prefix && n == strlen(LAYOUT) && is_layout(text);
	out->text = xasprintf("%.*s%s", (int)n, text, all_layouts ? "/" : "");
	if (out->prefix && n == 0)
		return 0;
	err_t err = is_layout(out->text) ? check_layout(out->text, out->prefix, d)
					 : check_registry(out->text, out->prefix, d);
	if (err)
		ref_pattern_fini(out);
	return err;
}

void ref_pattern_fini(struct ref_pattern *p)
{
	free(p->text);
	*p = (struct ref_pattern){0};
}

bool ref_pattern_matches(const struct ref_pattern *p, const char *subject)
{
	size_t n = strlen(p->text);
	if (strncmp(p->text, subject, n) != 0)
		return false;
	bool host = !strchr(p->text, '/');
	return p->prefix || !subject[n] || (host && subject[n] == '/');
}

int ref_pattern_compare(const struct ref_pattern *a, const struct ref_pattern *b)
{
	size_t n = strlen(a->text), m = strlen(b->text);
	if (n != m)
		return n > m ? 1 : -1;
	return (int)b->prefix - (int)a->prefix;
}

bool ref_pattern_equal(const struct ref_pattern *a, const struct ref_pattern *b)
{
	return a->prefix == b->prefix && strcmp(a->text, b->text) == 0;
}

err_t ref_pattern_subject(const struct ref *ref, char **out, struct diag *d)
{
	*out = NULL;
	if (ref->kind == REF_REGISTRY) {
		*out = xasprintf("%s/%s", ref->host, ref->repo);
		return 0;
	}
	/* Real paths: "good/../evil" is no folder of good. */
	auto_free char *real = realpath(ref->dir, NULL);
	if (!real) {
		err_t err = -errno;
		return fail_sys(d,
				err == -EACCES			    ? ERR_DENIED
				: err == -ENOENT || err == -ENOTDIR ? ERR_NOT_FOUND
								    : ERR_OTHER,
				err, "%s%s", LAYOUT, ref->dir);
	}
	*out = xasprintf("%s%s", LAYOUT, real);
	return 0;
}
