/*
 * The grammar of imgfs.conf: [section] lines and key = value lines, one thing a line. A '#' or ';'
 * begins a comment where a line begins, and nowhere else, since paths may hold one.
 */
#include "tools/conf_file.h"

#include <string.h>

struct parser {
	struct conf_file *file;
	const char *folder, *home;
	unsigned line;
};

static const char BLANKS[] = " \t\r";

/* The text without what surrounds it. */
static char *trim(char *text)
{
	text += strspn(text, BLANKS);
	size_t n = strlen(text);
	while (n && strchr(BLANKS, text[n - 1]))
		text[--n] = '\0';
	return text;
}

/* --- sections --- */

static err_t take_registry(struct conf_section *s, const char *host, struct diag *d)
{
	if (strpbrk(host, "/*"))
		return fail(d, ERR_USAGE, -EINVAL,
			    "[registry HOST] takes a host alone: write [repository %.200s]", host);
	return ref_pattern_parse(host, &s->pattern, d);
}

static err_t take_repository(struct conf_section *s, const char *pattern, struct diag *d)
{
	if (strcmp(pattern, "*") == 0)
		return fail(d, ERR_USAGE, -EINVAL, "what is for everything stands in [default]");
	if (!strpbrk(pattern, "/*") && strncmp(pattern, "oci:", 4) != 0)
		return fail(d, ERR_USAGE, -EINVAL,
			    "[repository HOST/PATH] takes a repository: for a whole registry write "
			    "[registry %.200s]",
			    pattern);
	return ref_pattern_parse(pattern, &s->pattern, d);
}

static err_t take_pattern(struct conf_section *s, const char *kind, const char *rest,
			  struct diag *d)
{
	static const char *const kinds[] = {"default", "registry", "repository", NULL};
	if (strcmp(kind, "default") == 0 && !*rest)
		return ref_pattern_parse("*", &s->pattern, d);
	if (strcmp(kind, "default") == 0)
		return fail(d, ERR_USAGE, -EINVAL, "[default] stands alone, without '%.100s'",
			    rest);
	if (strcmp(kind, "registry") == 0)
		return take_registry(s, rest, d);
	if (strcmp(kind, "repository") == 0)
		return take_repository(s, rest, d);
	const char *near = cli_nearest(kind, kinds);
	return fail(d, ERR_USAGE, -EINVAL, "unknown section '%.100s'%s%s%s", kind,
		    near ? ", did you mean '" : ": [default], [registry HOST] or [repository PATH]",
		    near ? near : "", near ? "'?" : "");
}

static err_t check_new(const struct conf_file *f, const struct conf_section *s, struct diag *d)
{
	for (const struct conf_section *other = f->sections; other < s; other++)
		if (ref_pattern_equal(&other->pattern, &s->pattern))
			return fail(d, ERR_USAGE, -EINVAL,
				    "line %u begins the same section: make one of both",
				    other->line);
	return 0;
}

static err_t parse_section(struct parser *p, char *text, struct diag *d)
{
	struct conf_file *f = p->file;
	size_t n = strlen(text);
	if (text[n - 1] != ']')
		return fail(d, ERR_USAGE, -EINVAL, "a section's line ends with ']'");
	text[n - 1] = '\0';
	char *rest = trim(text + 1), *kind = strsep(&rest, BLANKS);
	const char *what = rest ? trim(rest) : "";
	if (!try_grow(&f->sections, f->n, &f->cap, sizeof(*f->sections)))
		return fail_sys(d, ERR_OTHER, -ENOMEM, "sections");
	struct conf_section *s = &f->sections[f->n++];
	*s = (struct conf_section){.line = p->line};
	err_t err = take_pattern(s, kind, what, d);
	if (err)
		return err;
	s->title = xasprintf("%s%s%s", kind, *what ? " " : "", what);
	return check_new(f, s, d);
}

/* --- keys --- */

static err_t unknown_key(const char *name, struct diag *d)
{
	const struct conf_key *near = conf_key_nearest(name);
	return fail(d, ERR_USAGE, -EINVAL, "unknown key '%.100s'%s%s%s", name,
		    near ? ", did you mean '" : "; 'imgfs config --keys' lists them",
		    near ? near->name : "", near ? "'?" : "");
}

static const struct conf_line *find_line(const struct conf_section *s, const char *key)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->lines[i].key->name, key) == 0)
			return &s->lines[i];
	return NULL;
}

/* What would be refused on a command line is refused here, where the line is known. */
static err_t check_trust(const struct conf_section *s, struct diag *d)
{
	const struct conf_line *index = find_line(s, "index");
	bool none = index && strcmp(index->value, "none") == 0;
	if (none && (find_line(s, "trust-index") || find_line(s, "trust-key")))
		return fail(d, ERR_USAGE, -EINVAL,
			    "'index = none' and a %s in one section contradict each other",
			    find_line(s, "trust-key") ? "trust-key" : "trust-index");
	return 0;
}

static err_t absolute(const struct parser *p, const struct conf_key *key, const char *value,
		      char **out, struct diag *d)
{
	*out = NULL;
	if (strncmp(value, "~/", 2) == 0 && !p->home)
		return fail(d, ERR_USAGE, -EINVAL, "%s: $HOME is not set: write the path in full",
			    key->name);
	if (strncmp(value, "~/", 2) == 0)
		*out = xasprintf("%s/%s", p->home, value + 2);
	else
		*out = value[0] == '/' ? xstrdup(value) : xasprintf("%s/%s", p->folder, value);
	return 0;
}

/* A command line takes no more either. */
static err_t check_count(const struct conf_section *s, const struct conf_key *key, struct diag *d)
{
	size_t n = 0;
	for (size_t i = 0; i < s->n; i++)
		n += s->lines[i].key == key;
	return n < CONF_SEVERAL_MAX ? 0
				    : fail(d, ERR_USAGE, -EINVAL, "%s: more than %d in one section",
					   key->name, CONF_SEVERAL_MAX);
}

static err_t add_line(const struct parser *p, struct conf_section *s, const struct conf_key *key,
		      const char *value, struct diag *d)
{
	const struct conf_line *same = find_line(s, key->name);
	if (same && !key->several)
		return fail(d, ERR_USAGE, -EINVAL, "%s: line %u of this section has it already",
			    key->name, same->line);
	err_t err = check_count(s, key, d);
	if (err)
		return err;
	if (!try_grow(&s->lines, s->n, &s->cap, sizeof(*s->lines)))
		return fail_sys(d, ERR_OTHER, -ENOMEM, "lines");
	struct conf_line *line = &s->lines[s->n];
	*line = (struct conf_line){.key = key, .line = p->line};
	if (key->kind == CONF_PATH)
		err = absolute(p, key, value, &line->value, d);
	else
		line->value = xstrdup(value);
	if (err)
		return err;
	s->n++;
	return key->group == CONF_TRUST ? check_trust(s, d) : 0;
}

static err_t parse_key(struct parser *p, char *text, struct diag *d)
{
	char *equals = strchr(text, '=');
	if (equals)
		*equals = '\0';
	const char *name = trim(text), *value = equals ? trim(equals + 1) : "";
	const struct conf_key *key = conf_key_find(name);
	if (!p->file->n)
		return fail(d, ERR_USAGE, -EINVAL,
			    "a section must come before '%.100s': [default], [registry HOST] or "
			    "[repository PATH]",
			    name);
	if (!key)
		return unknown_key(name, d);
	err_t err = conf_key_check(key, value, d);
	return err ? err : add_line(p, &p->file->sections[p->file->n - 1], key, value, d);
}

/* --- files --- */

static err_t parse_line(struct parser *p, char *line, struct diag *d)
{
	char *text = trim(line);
	if (!*text || *text == '#' || *text == ';')
		return 0;
	return *text == '[' ? parse_section(p, text, d) : parse_key(p, text, d);
}

static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return xstrdup(".");
	return slash == path ? xstrdup("") : xstrndup(path, (size_t)(slash - path));
}

err_t conf_file_parse(struct bytes text, const char *path, const char *home, struct conf_file *out,
		      struct diag *d)
{
	*out = (struct conf_file){0};
	if (text.n && memchr(text.p, 0, text.n))
		return fail(d, ERR_USAGE, -EINVAL, "%s: it is no text: it has a NUL in it", path);
	out->path = xstrdup(path);
	auto_free char *folder = folder_of(path);
	auto_free char *lines = text.n ? xstrndup((const char *)text.p, text.n) : xstrdup("");
	struct parser p = {.file = out, .folder = folder, .home = home, .line = 1};
	char *rest = lines, *line;
	err_t err = 0;
	for (; !err && (line = strsep(&rest, "\n")); p.line++)
		if ((err = parse_line(&p, line, d)))
			diag_prepend(d, "%.400s:%u", path, p.line);
	if (err)
		conf_file_fini(out);
	return err;
}

void conf_file_fini(struct conf_file *f)
{
	for (size_t i = 0; i < f->n; i++) {
		struct conf_section *s = &f->sections[i];
		for (size_t k = 0; k < s->n; k++)
			free(s->lines[k].value);
		free(s->lines);
		free(s->title);
		ref_pattern_fini(&s->pattern);
	}
	free(f->sections);
	free(f->path);
	*f = (struct conf_file){0};
}

static bool decides(const struct conf_section *s, const struct conf_key *key)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->lines[i].key == key ||
		    (key->group == CONF_TRUST && s->lines[i].key->group == CONF_TRUST))
			return true;
	return false;
}

static bool applies(const struct conf_section *s, const char *subject)
{
	bool everything = !*s->pattern.text;
	return subject ? ref_pattern_matches(&s->pattern, subject) : everything;
}

const struct conf_section *conf_file_find(const struct conf_file *f, const struct conf_key *key,
					  const char *subject)
{
	const struct conf_section *best = NULL;
	for (size_t i = 0; i < f->n; i++) {
		const struct conf_section *s = &f->sections[i];
		if (applies(s, subject) && decides(s, key) &&
		    (!best || ref_pattern_compare(&s->pattern, &best->pattern) > 0))
			best = s;
	}
	return best;
}
