/*
 * Reading an artifact manifest. It comes from whoever can push: every field is checked here, and
 * what it says is believed only as far as the trust in it goes (image_published.c).
 */
#include "fetch/base64.h"
#include "fetch/manifest_artifact_json.h"
#include "index/profile.h"
#include "index/wire.h"

#include <stdio.h>
#include <string.h>

static err_t not_ours(struct diag *d, const char *type)
{
	if (strncmp(type, ARTIFACT_TYPE_PREFIX, strlen(ARTIFACT_TYPE_PREFIX)) == 0)
		return fail(d, ERR_UNSUPPORTED, -ENOTSUP,
			    "the published index is a \"%s\"; this imgfs reads \"%s\"", type,
			    ARTIFACT_TYPE);
	return fail(d, ERR_INTEGRITY, -EBADMSG, "it is no published index but a \"%s\"", type);
}

err_t artifact_key_id_of(const char *annotation, char out[ARTIFACT_KEY_ID_MAX])
{
	size_t prefix = strlen(ARTIFACT_SIGNATURE_PREFIX);
	if (strncmp(annotation, ARTIFACT_SIGNATURE_PREFIX, prefix) != 0)
		return -ENOENT;
	size_t n = strlen(annotation + prefix);
	if (n == 0 || n >= ARTIFACT_KEY_ID_MAX)
		return -ENOENT;
	memcpy(out, annotation + prefix, n + 1);
	return 0;
}

/* `data` of a descriptor: bytes that need not be fetched. What is malformed is not there. */
static void embedded(const json_t *object, size_t limit, struct buf *out)
{
	const char *text = NULL;
	struct diag unused = DIAG_INIT;
	if (json_member_string(object, "data", &text, &unused) || !text)
		return;
	out->limit = limit + 2; /* the text's last group may hold less than it has room for */
	if (base64_decode(BYTES_STR(text), out) != 0 || out->n > limit)
		buf_fini(out);
}

static err_t layer_of(const json_t *object, struct artifact *a, struct diag *d)
{
	const json_t *annotations;
	const char *layer = NULL;
	struct artifact_layer *out = &a->layers[a->n_layers];
	err_t err = descriptor_parse(object, WIRE_FORM_MAX, &out->form, d);
	if (!err)
		err = json_member_object(object, "annotations", &annotations, d);
	if (!err && annotations)
		err = json_member_string(annotations, ARTIFACT_LAYER, &layer, d);
	if (err)
		return err;
	if (!layer)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "a layer's index does not name its layer");
	err = digest_value(json_object_get(annotations, ARTIFACT_LAYER), &out->layer, d);
	for (size_t i = 0; i < a->n_layers && !err; i++)
		if (digest_equal(&a->layers[i].layer, &out->layer))
			err = fail(d, ERR_INTEGRITY, -EBADMSG,
				   "the published index names a layer twice");
	a->n_layers += !err;
	return err;
}

static err_t part_of(const json_t *object, struct artifact *a, struct diag *d)
{
	const char *type = NULL;
	if (!json_is_object(object))
		return fail(d, ERR_INTEGRITY, -EBADMSG, "a descriptor is not an object");
	err_t err = json_member_string(object, "mediaType", &type, d);
	if (err || !type)
		return err;
	if (!strcmp(type, ARTIFACT_TREE) && a->tree.digest.alg)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "the published index has two trees");
	if (!strcmp(type, ARTIFACT_TREE))
		return descriptor_parse(object, WIRE_FORM_MAX, &a->tree, d);
	if (!strcmp(type, ARTIFACT_FORM))
		return layer_of(object, a, d);
	if (!strcmp(type, ARTIFACT_PROFILE) && !a->profile.digest.alg)
		return descriptor_parse(object, PROFILE_PACKED_MAX, &a->profile, d);
	if (media_class_of(type) != MEDIA_CONFIG || a->config.digest.alg)
		return 0; /* a newer imgfs may publish more */
	err = descriptor_parse(object, DOCUMENT_MAX, &a->config, d);
	embedded(object, ARTIFACT_CONFIG_MAX, &a->config_bytes);
	return err;
}

static err_t parts_of(const json_t *root, struct artifact *a, struct diag *d)
{
	const json_t *list;
	err_t err = json_member_array(root, "layers", &list, d);
	size_t n = list ? json_array_size(list) : 0;
	if (!err && n > MANIFEST_LAYERS_MAX + 16)
		err = fail(d, ERR_UNSUPPORTED, -ENOTSUP, "the published index has %zu parts", n);
	if (err)
		return err;
	a->layers = xcalloc(n + 1, sizeof(*a->layers));
	for (size_t i = 0; i < n && !err; i++)
		err = part_of(json_array_get(list, i), a, d);
	if (!err && !a->tree.digest.alg)
		err = fail(d, ERR_INTEGRITY, -EBADMSG, "the published index has no tree");
	return err;
}

static void signatures_of(const json_t *annotations, struct artifact *a)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)annotations, key, value)
	{
		struct artifact_signature *s = &a->signatures[a->n_signatures];
		if (a->n_signatures == ARTIFACT_KEYS_MAX)
			return;
		if (!json_is_string(value) || artifact_key_id_of(key, s->key_id))
			continue;
		if (base64_decode(BYTES_STR(json_string_value(value)), &s->bytes) == 0)
			a->n_signatures++;
		else
			buf_fini(&s->bytes);
	}
}

static err_t parse(const json_t *root, struct artifact *a, struct diag *d)
{
	const char *type = NULL;
	const json_t *subject, *annotations;
	err_t err = json_member_string(root, "artifactType", &type, d);
	if (err)
		return err;
	if (!type || strcmp(type, ARTIFACT_TYPE))
		return not_ours(d, type ? type : "manifest without artifactType");
	if ((err = json_member_object(root, "subject", &subject, d)) ||
	    (err = json_member_object(root, "annotations", &annotations, d)) ||
	    (subject && (err = descriptor_parse(subject, DOCUMENT_MAX, &a->subject, d))))
		return err;
	err = parts_of(root, a, d);
	if (!err && annotations)
		signatures_of(annotations, a);
	return err;
}

err_t artifact_parse(const struct document *doc, struct artifact *out, struct diag *d)
{
	json_auto_t *root = NULL;
	*out = (struct artifact){0};
	err_t err = json_parse_object(buf_bytes(&doc->bytes), &root, d);
	if (!err)
		err = parse(root, out, d);
	if (err)
		artifact_fini(out);
	return err;
}

void artifact_fini(struct artifact *a)
{
	for (size_t i = 0; i < a->n_signatures; i++)
		buf_fini(&a->signatures[i].bytes);
	free(a->layers);
	buf_fini(&a->config_bytes);
	*a = (struct artifact){0};
}

/* --- lists --- */

static void claimed_keys(const json_t *object, struct artifact_candidate *out)
{
	const json_t *annotations = json_object_get(object, "annotations");
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)annotations, key, value)
	{
		if (out->n_key_ids == ARTIFACT_KEYS_MAX)
			return;
		if (artifact_key_id_of(key, out->key_ids[out->n_key_ids]) == 0)
			out->n_key_ids++;
	}
}

/* Some registries say nothing, or the type of the empty config, of every artifact. */
static bool type_is_vague(const char *type)
{
	return !type[0] || !strcmp(type, "application/vnd.oci.empty.v1+json") ||
	       media_class_of(type) == MEDIA_CONFIG;
}

static bool claims_wanted(const struct artifact_candidates *c, const struct artifact_candidate *one)
{
	for (size_t i = 0; c->wants && i < one->n_key_ids; i++)
		if (c->wants(c->wants_arg, one->key_ids[i]))
			return true;
	return false;
}

/* Where a candidate goes: in a full list, in the place of the last one that claims no wanted key,
 * if this one does. */
static struct artifact_candidate *place_for(struct artifact_candidates *c,
					    const struct artifact_candidate *one)
{
	if (c->n < ARTIFACT_CANDIDATES_MAX)
		return &c->list[c->n++];
	if (!claims_wanted(c, one))
		return NULL;
	for (size_t i = c->n; i-- > 0;)
		if (!claims_wanted(c, &c->list[i])) {
			buf_fini(&c->list[i].manifest);
			return &c->list[i];
		}
	return NULL;
}

static void candidate_add(struct artifact_candidates *c, const json_t *object)
{
	struct diag unused = DIAG_INIT;
	struct descriptor desc = {0};
	const char *type = NULL;
	if (!json_is_object(object) || json_member_string(object, "artifactType", &type, &unused) ||
	    descriptor_parse(object, DOCUMENT_MAX, &desc, &unused))
		return;
	type = type ? type : "";
	bool sure = strcmp(type, ARTIFACT_TYPE) == 0;
	c->other_version |=
		!sure && strncmp(type, ARTIFACT_TYPE_PREFIX, strlen(ARTIFACT_TYPE_PREFIX)) == 0;
	/* A list of a layout holds its images too; those have no type, and a platform or a name. */
	if (!sure && (!type_is_vague(type) || json_member_set(object, "platform")))
		return;
	struct artifact_candidate one = {.digest = desc.digest, .sure = sure};
	claimed_keys(object, &one);
	struct artifact_candidate *out = place_for(c, &one);
	if (!out)
		return;
	*out = one;
	embedded(object, DOCUMENT_MAX, &out->manifest);
}

err_t artifact_candidates_add(struct artifact_candidates *c, struct bytes json, struct diag *d)
{
	json_auto_t *root = NULL;
	const json_t *list = NULL;
	err_t err = json_parse_object(json, &root, d);
	if (!err)
		err = json_member_array(root, "manifests", &list, d);
	if (err)
		return err;
	if (!c->list)
		c->list = xcalloc(ARTIFACT_CANDIDATES_MAX, sizeof(*c->list));
	size_t n = list ? json_array_size(list) : 0;
	for (size_t i = 0; i < n; i++)
		candidate_add(c, json_array_get(list, i));
	return 0;
}

void artifact_candidates_fini(struct artifact_candidates *c)
{
	for (size_t i = 0; i < c->n; i++)
		buf_fini(&c->list[i].manifest);
	free(c->list);
	*c = (struct artifact_candidates){0};
}
