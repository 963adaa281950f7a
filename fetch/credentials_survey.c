/*
 * The places of credentials, looked at and not used: which are there, whether they can be read, and
 * which helpers they name. No secret leaves this file.
 */
#include "fetch/credentials_priv.h"

#include "fetch/json.h"

#include <string.h>
#include <sys/stat.h>

#define HELPERS_MAX 32 /* more are not listed */

struct survey {
	struct credential_source source;
	const char *helpers[HELPERS_MAX]; /* of the document */
};

static void add_helper(struct survey *s, const char *name)
{
	struct credential_source *source = &s->source;
	if (!name || !*name || source->n_helpers == HELPERS_MAX)
		return;
	for (size_t i = 0; i < source->n_helpers; i++)
		if (strcmp(s->helpers[i], name) == 0)
			return;
	s->helpers[source->n_helpers++] = name;
}

/* podman writes an empty object for a host whose secret a helper keeps. */
static size_t count_logins(json_t *object)
{
	const char *key;
	json_t *value;
	size_t n = 0;
	json_object_foreach(object, key, value) n += json_object_size(value) > 0;
	return n;
}

static void look_into(struct survey *s, json_t *root, bool old_format)
{
	const char *key;
	json_t *value;
	s->source.n_logins = count_logins(old_format ? root : json_object_get(root, "auths"));
	if (old_format)
		return;
	add_helper(s, json_string_value(json_object_get(root, "credsStore")));
	json_object_foreach(json_object_get(root, "credHelpers"), key, value)
		add_helper(s, json_string_value(value));
}

static void show_document(struct survey *s, struct bytes json, bool old_format,
			  credential_source_fn show, void *arg)
{
	json_t *root = NULL;
	s->source.helpers = s->helpers;
	if (json_parse_object(json, &root, NULL))
		s->source.err = -EINVAL;
	else
		look_into(s, root, old_format);
	show(arg, &s->source);
	json_decref(root);
}

static void show_file(const char *path, bool old_format, credential_source_fn show, void *arg)
{
	struct survey s = {.source = {.name = path}};
	struct buf text = {0};
	struct stat st;
	s.source.err = read_file(path, CREDENTIAL_FILE_MAX, &text);
	if (credential_place_is_absent(path, s.source.err))
		s.source.err = -ENOENT;
	s.source.open_to_others = stat(path, &st) == 0 && (st.st_mode & 077);
	if (s.source.err)
		show(arg, &s.source);
	else
		show_document(&s, buf_bytes(&text), old_format, show, arg);
	if (text.p)
		explicit_bzero(text.p, text.n);
	buf_fini(&text);
}

void credentials_survey(const char *authfile, credential_source_fn show, void *arg)
{
	const char *named = authfile ? authfile : getenv("REGISTRY_AUTH_FILE");
	const char *text = getenv("DOCKER_AUTH_CONFIG");
	struct credential_place places[CREDENTIAL_PLACES];
	if (named && *named) {
		show_file(named, false, show, arg);
		return;
	}
	if (text && *text) {
		struct survey s = {.source = {.name = "$DOCKER_AUTH_CONFIG"}};
		show_document(&s, BYTES_STR(text), false, show, arg);
	}
	credentials_places(places);
	for (size_t i = 0; i < CREDENTIAL_PLACES; i++) {
		if (places[i].path)
			show_file(places[i].path, places[i].old_format, show, arg);
		free(places[i].path);
	}
}
