/*
 * Any bytes as imgfs.conf: it ends with an error that names file and line, or with sections that
 * keep their promises; and the section that counts for a key is the most specific one that has it.
 */
#include "tools/conf_file.c"
#include "tools/conf_keys.c"
#include "tools/nearest.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char PATH[] = "/etc/imgfs/imgfs.conf";

static void check_line(const struct conf_section *s, const struct conf_line *line)
{
	size_t same = 0;
	BUG_ON(!line->value || !*line->value);
	BUG_ON(line->key->kind == CONF_PATH && line->value[0] != '/');
	BUG_ON(line->key->kind != CONF_PATH && conf_key_check(line->key, line->value, NULL));
	for (size_t i = 0; i < s->n; i++)
		same += s->lines[i].key == line->key;
	BUG_ON(same > (line->key->several ? CONF_SEVERAL_MAX : 1));
	BUG_ON(line->line <= s->line);
}

static void check_section(const struct conf_file *f, const struct conf_section *s)
{
	BUG_ON(!s->title || !s->pattern.text || !s->line);
	for (size_t i = 0; i < s->n; i++)
		check_line(s, &s->lines[i]);
	for (const struct conf_section *other = f->sections; other < s; other++)
		BUG_ON(ref_pattern_equal(&other->pattern, &s->pattern) || other->line >= s->line);
}

static void check_choice(const struct conf_file *f, const struct conf_key *key, const char *subject)
{
	const struct conf_section *best = conf_file_find(f, key, subject);
	for (size_t i = 0; i < f->n; i++) {
		const struct conf_section *s = &f->sections[i];
		bool everything = !*s->pattern.text;
		if (subject ? !ref_pattern_matches(&s->pattern, subject) : !everything)
			BUG_ON(best == s);
		else if (find_line(s, key->name))
			BUG_ON(!best || ref_pattern_compare(&s->pattern, &best->pattern) > 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const subjects[] = {"h.io/a", "h.io/a/b", "docker.io/library/python",
					       "oci:/srv/a", NULL};
	struct diag d = DIAG_INIT;
	struct conf_file f;
	if (conf_file_parse((struct bytes){data, size}, PATH, "/root-less", &f, &d)) {
		BUG_ON(strncmp(d.text, PATH, strlen(PATH)) != 0 || d.cls != ERR_USAGE);
		BUG_ON(f.sections || f.n || f.path);
		return 0;
	}
	for (size_t i = 0; i < f.n; i++)
		check_section(&f, &f.sections[i]);
	for (size_t i = 0; i < ARRAY_LEN(subjects); i++)
		for (const struct conf_key *key = conf_keys; key->name; key++)
			check_choice(&f, key, subjects[i]);
	conf_file_fini(&f);
	return 0;
}
