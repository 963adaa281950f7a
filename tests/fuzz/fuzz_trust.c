/*
 * Any bytes as a trust file: it ends with an error that names file and line, or with lines that
 * keep their promises; and the line that applies to a reference is the most specific one.
 */
#include "fetch/trust_priv.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char PATH[] = "/etc/t";

static void check_entry(const struct trust_entry *e)
{
	BUG_ON(e->none == (e->any || e->n_keys));
	BUG_ON(!e->pattern.text[0] && !e->pattern.prefix);
	BUG_ON(strpbrk(e->pattern.text, "* \t\r\n"));
	if (strncmp(e->pattern.text, "oci:", 4) != 0)
		BUG_ON(strpbrk(e->pattern.text, "#@?%") || strstr(e->pattern.text, "//"));
	/* where a name of a host ends, the pattern is over or has a '/': no part of one matches */
	BUG_ON(e->pattern.text[0] && e->pattern.prefix && !strchr(e->pattern.text, '/'));
	for (size_t i = 0; i < e->n_keys; i++)
		BUG_ON(e->keys[i][0] != '/');
}

/* What a pattern says, in other words than the parser's. */
static bool covers(const struct trust_entry *e, const char *subject)
{
	size_t n = strlen(e->pattern.text);
	if (strlen(subject) < n || memcmp(subject, e->pattern.text, n) != 0)
		return false;
	return e->pattern.prefix || subject[n] == 0 ||
	       (subject[n] == '/' && !strchr(e->pattern.text, '/'));
}

static void check_match(const struct trust_file *f, const char *subject)
{
	const struct trust_entry *best = trust_file_match(f, subject);
	BUG_ON(best && !covers(best, subject));
	for (size_t i = 0; i < f->n; i++) {
		const struct trust_entry *e = &f->entries[i];
		if (!covers(e, subject))
			continue;
		BUG_ON(!best || strlen(e->pattern.text) > strlen(best->pattern.text));
		BUG_ON(e != best && strlen(e->pattern.text) == strlen(best->pattern.text) &&
		       (best->pattern.prefix || !e->pattern.prefix));
	}
}

/* An entry without '*' for a repository or a layout applies to exactly that one. */
static void check_own_subject(const struct trust_file *f, const struct trust_entry *e)
{
	if (!e->pattern.prefix && strchr(e->pattern.text, '/'))
		BUG_ON(trust_file_match(f, e->pattern.text) != e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const subjects[] = {
		"h.io/a",	    "h.io/a/b", "docker.io/library/python",
		"localhost:5000/x", "oci:/",	"oci:/srv/a"};
	struct diag d = DIAG_INIT;
	struct trust_file f;
	if (trust_file_parse((struct bytes){data, size}, PATH, &f, &d)) {
		BUG_ON(strncmp(d.text, PATH, strlen(PATH)) != 0 || d.cls != ERR_USAGE);
		BUG_ON(f.entries || f.n || f.path);
		return 0;
	}
	for (size_t i = 0; i < f.n; i++) {
		check_entry(&f.entries[i]);
		check_own_subject(&f, &f.entries[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(subjects); i++)
		check_match(&f, subjects[i]);
	trust_file_fini(&f);
	return 0;
}
