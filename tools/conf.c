/*
 * From files to what is in force: all files are read and checked, then each key is looked up by
 * itself, and the keys that say who is believed as one.
 */
#include "tools/conf_file.h"

#include "fetch/guarded_file.h"

#include <string.h>
#include <unistd.h>

#define PLACES_MAX 2 /* the user's and the system's */

struct conf {
	struct conf_place places[PLACES_MAX];
	struct conf_file files[PLACES_MAX]; /* the user's first; only those that are there */
	size_t n_places, n_files;
	struct conf_setting *settings;
	size_t n, cap;
};

static const char *environment(const char *name)
{
	const char *value = getenv(name);
	return value && *value ? value : NULL;
}

static const char *home_folder(void)
{
	const char *home = environment("HOME");
	return home && home[0] == '/' ? home : NULL;
}

/* --- files --- */

static err_t read_place(struct conf *c, char *path, bool must_exist, struct diag *d)
{
	struct conf_place *place = &c->places[c->n_places++];
	auto_buf struct buf text = {0};
	place->path = path;
	err_t err = guarded_file_read(path, CONF_FILE_MAX, &text, d);
	if ((err == -ENOENT || err == -ENOTDIR) && !must_exist)
		return 0;
	if (err == -ENOENT || err == -ENOTDIR)
		return fail_sys(d, ERR_USAGE, err, "%s", path);
	if (!err)
		err = conf_file_parse(buf_bytes(&text), path, home_folder(), &c->files[c->n_files],
				      d);
	if (err)
		return err;
	c->n_files++;
	place->is_there = true;
	return 0;
}

/* NULL when the environment names no place. A relative one would be whatever folder we are in. */
static char *user_path(void)
{
	const char *home = home_folder(), *config = environment("XDG_CONFIG_HOME");
	if (config && config[0] == '/')
		return xasprintf("%s/imgfs/imgfs.conf", config);
	return home ? xasprintf("%s/.config/imgfs/imgfs.conf", home) : NULL;
}

/* Messages and paths in the file shall not depend on the folder we are in later. */
static char *named_path(const char *named)
{
	char *real = realpath(named, NULL);
	return real ? real : xstrdup(named);
}

static err_t read_places(struct conf *c, const char *system_file, const char *named, struct diag *d)
{
	if (!named || !*named)
		named = environment("IMGFS_CONFIG");
	if (named && strcmp(named, "none") == 0)
		return 0;
	if (named)
		return read_place(c, named_path(named), true, d);
	char *user = user_path();
	err_t err = user ? read_place(c, user, false, d) : 0;
	return err ? err : read_place(c, xstrdup(system_file), false, d);
}

/* --- what is in force --- */

static void add_settings(struct conf *c, const struct conf_file *f, const struct conf_section *s,
			 const struct conf_key *key)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct conf_line *line = &s->lines[i];
		if (line->key != key)
			continue;
		BUG_ON(!try_grow(&c->settings, c->n, &c->cap, sizeof(*c->settings)));
		c->settings[c->n++] = (struct conf_setting){
			.key = key,
			.value = line->value,
			.file = f->path,
			.section = s->title,
			.line = line->line,
		};
	}
}

static void choose(struct conf *c, const struct conf_key *key, const char *subject)
{
	const struct conf_section *best = NULL;
	const struct conf_file *file = NULL;
	for (size_t i = 0; i < c->n_files; i++) {
		const struct conf_section *s = conf_file_find(&c->files[i], key, subject);
		if (s && (!best || ref_pattern_compare(&s->pattern, &best->pattern) > 0)) {
			best = s;
			file = &c->files[i];
		}
	}
	if (best)
		add_settings(c, file, best, key);
}

/* NULL where only [default] can count: whoever opens the reference says what is wrong with it. */
static char *subject_of(const char *reference)
{
	struct ref ref;
	char *subject = NULL;
	if (!reference || ref_parse(reference, &ref, NULL))
		return NULL;
	if (ref_pattern_subject(&ref, &subject, NULL))
		subject = NULL;
	ref_fini(&ref);
	return subject;
}

/* What could replace a key could have replaced the file that names it: the same guard. */
static err_t check_keys(const struct conf *c, struct diag *d)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct conf_setting *s = &c->settings[i];
		struct buf text = {0};
		if (strcmp(s->key->name, "trust-key") != 0)
			continue;
		err_t err = guarded_file_read(s->value, KEY_FILE_MAX, &text, d);
		if (err == -ENOENT || err == -ENOTDIR)
			(void)fail_sys(d, ERR_USAGE, err, "%s", s->value);
		if (text.p)
			explicit_bzero(text.p, text.n); /* it may be a private key */
		buf_fini(&text);
		if (err) {
			diag_prepend(d, "%.300s:%u: trust-key", s->file, s->line);
			return err;
		}
	}
	return 0;
}

err_t conf_load_with(const char *system_file, const char *named, const char *reference,
		     struct conf **out, struct diag *d)
{
	struct conf *c = new_of(struct conf);
	err_t err = read_places(c, system_file, named, d);
	auto_free char *subject = err ? NULL : subject_of(reference);
	for (const struct conf_key *key = conf_keys; !err && key->name; key++)
		choose(c, key, subject);
	if (!err)
		err = check_keys(c, d);
	if (err)
		conf_free(&c);
	*out = c;
	return err;
}

err_t conf_load(const char *named, const char *reference, struct conf **out, struct diag *d)
{
	return conf_load_with(CONF_SYSTEM_FILE, named, reference, out, d);
}

void conf_free(struct conf **conf)
{
	struct conf *c = *conf;
	if (!c)
		return;
	for (size_t i = 0; i < c->n_files; i++)
		conf_file_fini(&c->files[i]);
	for (size_t i = 0; i < c->n_places; i++)
		free(c->places[i].path);
	free(c->settings);
	free(c);
	*conf = NULL;
}

size_t conf_n_settings(const struct conf *conf)
{
	return conf->n;
}

const struct conf_setting *conf_setting(const struct conf *conf, size_t i)
{
	BUG_ON(i >= conf->n);
	return &conf->settings[i];
}

size_t conf_n_places(const struct conf *conf)
{
	return conf->n_places;
}

const struct conf_place *conf_place(const struct conf *conf, size_t i)
{
	BUG_ON(i >= conf->n_places);
	return &conf->places[i];
}

const struct conf_setting *conf_get(const struct conf *conf, const char *key)
{
	BUG_ON(!conf_key_find(key));
	for (size_t i = 0; i < conf->n; i++)
		if (strcmp(conf->settings[i].key->name, key) == 0)
			return &conf->settings[i];
	return NULL;
}

bool conf_flag(const struct conf *conf, const char *key)
{
	const struct conf_setting *s = conf_get(conf, key);
	return s && strcmp(s->value, "yes") == 0;
}

/* --- options --- */

bool conf_trust_is_given(const struct common_options *common)
{
	return common->index || common->trust_keys.n || common->trust_index || common->trust_file;
}

static void fill_text(const struct conf *conf, const char *key, const char **option)
{
	const struct conf_setting *s = conf_get(conf, key);
	if (s && !*option)
		*option = s->value;
}

static void fill_trust(const struct conf *conf, struct common_options *common)
{
	struct option_texts *keys = &common->trust_keys;
	common->trust_is_default = true;
	fill_text(conf, "index", &common->index);
	fill_text(conf, "trust-index", &common->trust_index);
	fill_text(conf, "trust-file", &common->trust_file);
	for (size_t i = 0; i < conf->n; i++)
		if (strcmp(conf->settings[i].key->name, "trust-key") == 0 &&
		    keys->n + 1 < ARRAY_LEN(keys->texts))
			keys->texts[keys->n++] = conf->settings[i].value;
}

void conf_fill(const struct conf *conf, struct common_options *common)
{
	if (!environment("IMGFS_STORE"))
		fill_text(conf, "store", &common->store);
	if (!environment("REGISTRY_AUTH_FILE"))
		fill_text(conf, "authfile", &common->authfile);
	fill_text(conf, "platform", &common->platform);
	fill_text(conf, "token-host", &common->token_host);
	common->plain_http |= conf_flag(conf, "plain-http");
	if (!conf_trust_is_given(common))
		fill_trust(conf, common);
}
