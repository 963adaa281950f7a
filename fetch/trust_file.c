/*
 * Trust files: lines of PATTERN WORD..., all checked before one is chosen, for a line that is
 * passed over in silence would be a door left open or shut against the user's will.
 */
#include "fetch/trust_priv.h"

#include <stdio.h>
#include <string.h>

const struct trust_entry *trust_file_match(const struct trust_file *f, const char *subject)
{
	const struct trust_entry *best = NULL;
	for (size_t i = 0; i < f->n; i++) {
		const struct trust_entry *e = &f->entries[i];
		if (ref_pattern_matches(&e->pattern, subject) &&
		    (!best || ref_pattern_compare(&e->pattern, &best->pattern) > 0))
			best = e;
	}
	return best;
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
		if (ref_pattern_equal(&other->pattern, &e->pattern))
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
	err_t err = ref_pattern_parse(word, &e->pattern, d);
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
		ref_pattern_fini(&f->entries[i].pattern);
	}
	free(f->entries);
	free(f->path);
	*f = (struct trust_file){0};
}
