/*
 * Image configs: what a runtime and `imgfs inspect` need, as plain texts and lists, and the DiffIDs
 * that the layers' streams must have. A field that is null is the same as one that is absent.
 */
#include "fetch/manifest_json.h"

#include <string.h>

static err_t copy_string(const json_t *object, const char *key, char **out, struct diag *d)
{
	const char *text;
	err_t err = json_member_string(object, key, &text, d);
	if (!err && text)
		*out = xstrdup(text);
	return err;
}

/* A list of n texts; the values of JSON are bounded, so are these. */
static char **list_new(size_t n)
{
	return xcalloc(n + 1, sizeof(char *));
}

static void list_free(char ***list)
{
	for (char **p = *list; p && *p; p++)
		free(*p);
	free(take(list));
}

static int list_order(const void *a, const void *b)
{
	const char *const *left = a, *const *right = b;
	return strcmp(*left, *right);
}

/* An array of strings. Docker also writes, and reads, a lone string for a list of one. */
static err_t copy_list(const json_t *object, const char *key, char ***out, struct diag *d)
{
	const json_t *value = json_object_get(object, key);
	if (json_is_string(value)) {
		*out = list_new(1);
		(*out)[0] = xstrdup(json_string_value(value));
		return 0;
	}
	err_t err = json_member_array(object, key, &value, d);
	if (err)
		return err;
	size_t n = json_array_size(value);
	*out = list_new(n);
	for (size_t i = 0; i < n; i++) {
		const json_t *item = json_array_get(value, i);
		if (!json_is_string(item))
			return fail(d, ERR_INTEGRITY, -EBADMSG, "\"%s\" holds what is no string",
				    key);
		(*out)[i] = xstrdup(json_string_value(item));
	}
	return 0;
}

/* The keys of an object, sorted; borrowed from it, ended by NULL. */
static const char **sorted_keys(const json_t *object)
{
	size_t n = json_object_size(object), i = 0;
	const char **keys = xcalloc(n + 1, sizeof(*keys));
	for (void *at = json_object_iter((json_t *)object); at;
	     at = json_object_iter_next((json_t *)object, at))
		keys[i++] = json_object_iter_key(at);
	qsort(keys, n, sizeof(*keys), list_order);
	return keys;
}

static err_t copy_keys(const json_t *object, const char *key, char ***out, struct diag *d)
{
	const json_t *value;
	err_t err = json_member_object(object, key, &value, d);
	if (err)
		return err;
	auto_free const char **keys = sorted_keys(value);
	*out = list_new(json_object_size(value));
	for (size_t i = 0; keys[i]; i++)
		(*out)[i] = xstrdup(keys[i]);
	return 0;
}

static err_t copy_labels(const json_t *object, struct label **out, struct diag *d)
{
	const json_t *value;
	err_t err = json_member_object(object, "Labels", &value, d);
	if (err)
		return err;
	auto_free const char **keys = sorted_keys(value);
	*out = xcalloc(json_object_size(value) + 1, sizeof(**out));
	for (size_t i = 0; keys[i]; i++) {
		const char *text;
		if ((err = json_member_string(value, keys[i], &text, d)))
			return err;
		(*out)[i] = (struct label){xstrdup(keys[i]), xstrdup(text ? text : "")};
	}
	return 0;
}

struct label *annotations_copy(const json_t *object)
{
	auto_free const char **keys = sorted_keys(object);
	struct label *labels = xcalloc(json_object_size(object) + 1, sizeof(*labels));
	size_t n = 0;
	for (size_t i = 0; keys[i]; i++) {
		const char *text = json_string_value(json_object_get(object, keys[i]));
		if (text)
			labels[n++] = (struct label){xstrdup(keys[i]), xstrdup(text)};
	}
	return labels;
}

void labels_free(struct label **labels)
{
	for (struct label *p = *labels; p && p->key; p++) {
		free(p->key);
		free(p->value);
	}
	free(take(labels));
}

static err_t history_entry_parse(const json_t *entry, struct history_entry *out, struct diag *d)
{
	err_t err;
	if (!json_is_object(entry))
		return fail(d, ERR_INTEGRITY, -EBADMSG, "\"history\" holds what is no object");
	out->empty_layer = json_is_true(json_object_get(entry, "empty_layer"));
	(void)((err = copy_string(entry, "created", &out->created, d)) ||
	       (err = copy_string(entry, "created_by", &out->created_by, d)) ||
	       (err = copy_string(entry, "author", &out->author, d)) ||
	       (err = copy_string(entry, "comment", &out->comment, d)));
	return err;
}

static err_t copy_history(const json_t *root, struct image_config *out, struct diag *d)
{
	const json_t *history;
	err_t err = json_member_array(root, "history", &history, d);
	if (err)
		return err;
	size_t n = json_array_size(history);
	out->history = xcalloc(n + 1, sizeof(*out->history));
	for (; out->n_history < n && !err; out->n_history++)
		err = history_entry_parse(json_array_get(history, out->n_history),
					  &out->history[out->n_history], d);
	return err;
}

static void history_free(struct image_config *c)
{
	for (size_t i = 0; i < c->n_history; i++) {
		free(c->history[i].created);
		free(c->history[i].created_by);
		free(c->history[i].author);
		free(c->history[i].comment);
	}
	free(c->history);
}

size_t history_layer(const struct image_config *c, size_t n_layers, size_t step)
{
	size_t made = 0, before = 0;
	for (size_t i = 0; i < c->n_history; i++) {
		before += i < step && !c->history[i].empty_layer;
		made += !c->history[i].empty_layer;
	}
	return made == n_layers && !c->history[step].empty_layer ? before : SIZE_MAX;
}

static err_t config_platform(const json_t *root, struct platform *out, struct diag *d)
{
	const char *os, *arch, *variant;
	err_t err;
	if ((err = json_member_string(root, "os", &os, d)) ||
	    (err = json_member_string(root, "architecture", &arch, d)) ||
	    (err = json_member_string(root, "variant", &variant, d)))
		return err;
	if (!platform_set(out, os, arch, variant))
		return fail(d, ERR_INTEGRITY, -EBADMSG, "the config's platform is malformed");
	return 0;
}

/* What the check runs: ["CMD", ...], ["CMD-SHELL", ...] or ["NONE"]. */
static err_t copy_healthcheck(const json_t *object, char ***out, struct diag *d)
{
	const json_t *check;
	err_t err = json_member_object(object, "Healthcheck", &check, d);
	return err ? err : copy_list(check, "Test", out, d);
}

/* The part named "config" is what a runtime uses. */
static err_t runtime_parse(const json_t *root, struct image_config *out, struct diag *d)
{
	const json_t *c;
	err_t err = json_member_object(root, "config", &c, d);
	if (err)
		return err;
	(void)((err = copy_string(c, "User", &out->user, d)) ||
	       (err = copy_string(c, "WorkingDir", &out->working_dir, d)) ||
	       (err = copy_string(c, "StopSignal", &out->stop_signal, d)) ||
	       (err = copy_list(c, "Env", &out->env, d)) ||
	       (err = copy_list(c, "Entrypoint", &out->entrypoint, d)) ||
	       (err = copy_list(c, "Cmd", &out->cmd, d)) ||
	       (err = copy_list(c, "Shell", &out->shell, d)) ||
	       (err = copy_list(c, "OnBuild", &out->on_build, d)) ||
	       (err = copy_healthcheck(c, &out->healthcheck, d)) ||
	       (err = copy_keys(c, "ExposedPorts", &out->exposed_ports, d)) ||
	       (err = copy_keys(c, "Volumes", &out->volumes, d)) ||
	       (err = copy_labels(c, &out->labels, d)));
	return err;
}

static err_t diff_ids_parse(const json_t *root, struct manifest *manifest, struct diag *d)
{
	const json_t *rootfs, *ids = NULL;
	const char *type = NULL;
	err_t err = json_member_object(root, "rootfs", &rootfs, d);
	if (!err)
		err = json_member_string(rootfs, "type", &type, d);
	if (!err)
		err = json_member_array(rootfs, "diff_ids", &ids, d);
	if (err)
		return err;
	if (!type || strcmp(type, "layers"))
		return fail(d, ERR_INTEGRITY, -EBADMSG,
			    "the config's rootfs is not of type layers");
	if (json_array_size(ids) != manifest->n_layers)
		return fail(d, ERR_INTEGRITY, -EBADMSG,
			    "the config has %zu DiffIDs for the manifest's %zu layers",
			    json_array_size(ids), manifest->n_layers);
	for (size_t i = 0; i < manifest->n_layers && !err; i++)
		err = digest_value(json_array_get(ids, i), &manifest->layers[i].diff_id, d);
	if (err)
		diag_prepend(d, "diff_ids");
	return err;
}

static err_t root_parse(const json_t *root, struct manifest *manifest, struct image_config *out,
			struct diag *d)
{
	err_t err;
	(void)((err = config_platform(root, &out->platform, d)) ||
	       (err = copy_string(root, "created", &out->created, d)) ||
	       (err = copy_string(root, "author", &out->author, d)) ||
	       (err = copy_history(root, out, d)) || (err = runtime_parse(root, out, d)) ||
	       (err = diff_ids_parse(root, manifest, d)));
	return err;
}

err_t config_parse(const struct document *doc, struct manifest *manifest, struct image_config *out,
		   struct diag *d)
{
	*out = (struct image_config){0};
	if (doc->bytes.n > DOCUMENT_MAX)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "the config is larger than %u bytes",
			    DOCUMENT_MAX);
	json_auto_t *root = NULL;
	err_t err = json_parse_object(buf_bytes(&doc->bytes), &root, d);
	if (!err)
		err = root_parse(root, manifest, out, d);
	if (err)
		image_config_fini(out);
	return err;
}

void image_config_fini(struct image_config *c)
{
	free(c->created);
	free(c->author);
	free(c->user);
	free(c->working_dir);
	free(c->stop_signal);
	list_free(&c->env);
	list_free(&c->entrypoint);
	list_free(&c->cmd);
	list_free(&c->exposed_ports);
	list_free(&c->volumes);
	labels_free(&c->labels);
	list_free(&c->shell);
	list_free(&c->on_build);
	list_free(&c->healthcheck);
	history_free(c);
	*c = (struct image_config){0};
}
