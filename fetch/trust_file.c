/*
 * Trust files: lines of PATTERN WORD..., all checked before one is chosen, for a line that is
 * passed over in silence would be a door left open or shut against the user's will. For the same
 * reason a pattern that no reference can match is an error: references are known in their one
 * canonical form.
 */
#include "fetch/trust_priv.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char LAYOUT[] = "oci:";

/* --- patterns --- */

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
static err_t take_pattern(struct trust_entry *e, const char *text, struct diag *d)
{
	size_t n = strcspn(text, "*");
	if (text[n] && text[n + 1])
		return bad(d, text, "'*' stands at the end only, once");
	e->prefix = text[n] == '*';
	bool all_layouts = e->prefix && n == strlen(LAYOUT) && is_layout(text);
	e->pattern = xasprintf("%.*s%s", (int)n, text, all_layouts ? "/" : "");
	if (e->prefix && n == 0)
		return 0;
	return is_layout(e->pattern) ? check_layout(e->pattern, e->prefix, d)
				     : check_registry(e->pattern, e->prefix, d);
}

static bool matches(const struct trust_entry *e, const char *subject)
{
	size_t n = strlen(e->pattern);
	if (strncmp(e->pattern, subject, n) != 0)
		return false;
	bool host = !strchr(e->pattern, '/');
	return e->prefix || !subject[n] || (host && subject[n] == '/');
}

static bool is_more_specific(const struct trust_entry *a, const struct trust_entry *b)
{
	size_t n = strlen(a->pattern), m = strlen(b->pattern);
	return n > m || (n == m && !a->prefix && b->prefix);
}

const struct trust_entry *trust_file_match(const struct trust_file *f, const char *subject)
{
	const struct trust_entry *best = NULL;
	for (size_t i = 0; i < f->n; i++)
		if (matches(&f->entries[i], subject) &&
		    (!best || is_more_specific(&f->entries[i], best)))
			best = &f->entries[i];
	return best;
}

err_t trust_subject(const struct ref *ref, char **out, struct diag *d)
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

/* --- lines --- */

/* NULL at the end of the line or where a comment begins. */
static char *next_word(char **rest)
{
	char *word;
	while ((word = strsep(rest, " \t\r")) && !*word)
		;
	return word && *word != '#' ? word : NULL;
}

static err_t take_key(struct trust_entry *e, const char *folder, const char *path, struct diag *d)
{
	if (!*path)
		return fail(d, ERR_USAGE, -EINVAL, "key= needs the path of a key file");
	if (!try_grow(&e->keys, e->n_keys, &e->keys_cap, sizeof(*e->keys)))
		return fail_sys(d, ERR_OTHER, -ENOMEM, "keys");
	e->keys[e->n_keys++] = path[0] == '/' ? xstrdup(path) : xasprintf("%s/%s", folder, path);
	return 0;
}

static err_t take_word(struct trust_entry *e, const char *folder, const char *word, struct diag *d)
{
	if (strcmp(word, "any") == 0)
		e->any = true;
	else if (strcmp(word, "none") == 0)
		e->none = true;
	else if (strncmp(word, "key=", 4) == 0)
		return take_key(e, folder, word + 4, d);
	else
		return fail(d, ERR_USAGE, -EINVAL,
			    "'%.100s' is no word of a trust file: any, none, or key=FILE", word);
	return 0;
}

static err_t check_entry(const struct trust_file *f, const struct trust_entry *e, struct diag *d)
{
	if (!e->any && !e->none && !e->n_keys)
		return fail(d, ERR_USAGE, -EINVAL,
			    "nothing follows the pattern: add any, none, or key=FILE");
	if (e->none && (e->any || e->n_keys))
		return fail(d, ERR_USAGE, -EINVAL, "'none' stands alone: remove it or the rest");
	for (const struct trust_entry *other = f->entries; other < e; other++)
		if (other->prefix == e->prefix && strcmp(other->pattern, e->pattern) == 0)
			return fail(d, ERR_USAGE, -EINVAL,
				    "line %u has the same pattern: make one line of both",
				    other->line);
	return 0;
}

static err_t parse_line(struct trust_file *f, const char *folder, char *line, unsigned number,
			struct diag *d)
{
	char *word = next_word(&line);
	if (!word)
		return 0;
	if (!try_grow(&f->entries, f->n, &f->cap, sizeof(*f->entries)))
		return fail_sys(d, ERR_OTHER, -ENOMEM, "entries");
	struct trust_entry *e = &f->entries[f->n++];
	*e = (struct trust_entry){.line = number};
	err_t err = take_pattern(e, word, d);
	while (!err && (word = next_word(&line)))
		err = take_word(e, folder, word, d);
	return err ? err : check_entry(f, e, d);
}

static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return xstrdup(".");
	return slash == path ? xstrdup("") : xstrndup(path, (size_t)(slash - path));
}

err_t trust_file_parse(struct bytes text, const char *path, struct trust_file *out, struct diag *d)
{
	*out = (struct trust_file){.path = xstrdup(path)};
	if (text.n && memchr(text.p, 0, text.n)) {
		trust_file_fini(out);
		return fail(d, ERR_USAGE, -EINVAL, "%s: it is no text: it has a NUL in it", path);
	}
	auto_free char *folder = folder_of(path);
	auto_free char *lines = text.n ? xstrndup((const char *)text.p, text.n) : xstrdup("");
	char *rest = lines, *line;
	err_t err = 0;
	for (unsigned number = 1; !err && (line = strsep(&rest, "\n")); number++)
		if ((err = parse_line(out, folder, line, number, d)))
			diag_prepend(d, "%.400s:%u", path, number);
	if (err)
		trust_file_fini(out);
	return err;
}

void trust_file_fini(struct trust_file *f)
{
	for (size_t i = 0; i < f->n; i++) {
		for (size_t k = 0; k < f->entries[i].n_keys; k++)
			free(f->entries[i].keys[k]);
		free(f->entries[i].keys);
		free(f->entries[i].pattern);
	}
	free(f->entries);
	free(f->path);
	*f = (struct trust_file){0};
}

/* --- files that are believed --- */

static err_t check_guarded(const char *path, const struct stat *st, struct diag *d)
{
	if (!S_ISREG(st->st_mode))
		return fail(d, ERR_USAGE, -EINVAL, "%s: it is not a regular file", path);
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return fail(d, ERR_DENIED, -EPERM,
			    "%s: it belongs to user %u, who could have imgfs trust anything: it "
			    "must be root's or user %u's",
			    path, (unsigned)st->st_uid, (unsigned)geteuid());
	if (st->st_mode & 022)
		return fail(d, ERR_DENIED, -EPERM,
			    "%s: others than its owner may write it (mode %04o) and so have imgfs "
			    "trust anything: chmod go-w it",
			    path, (unsigned)(st->st_mode & 07777));
	return 0;
}

static err_t read_open(int fd, const char *path, size_t limit, struct buf *out, struct diag *d)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return fail_sys(d, ERR_OTHER, -errno, "%s", path);
	err_t err = check_guarded(path, &st, d);
	if (err)
		return err;
	size_t n = (size_t)st.st_size;
	if (n > limit)
		return fail(d, ERR_USAGE, -E2BIG, "%s: larger than %zu bytes", path, limit);
	err = buf_append_zeros(out, n);
	if (!err && n)
		err = read_at(fd, out->p, n, 0);
	return err ? fail_sys(d, ERR_OTHER, err, "%s", path) : 0;
}

err_t trust_read_guarded(const char *path, size_t limit, struct buf *out, struct diag *d)
{
	/* Not blocking: a FIFO in its place is refused, not waited for. */
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0)
		return read_open(fd, path, limit, out, d);
	err_t err = -errno;
	if (err == -ENOENT || err == -ENOTDIR)
		return err;
	return fail_sys(d, err == -EACCES ? ERR_DENIED : ERR_OTHER, err, "%s", path);
}
