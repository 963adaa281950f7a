/*
 * Manifests: what a document is follows from its content; the media type of the header and the
 * `mediaType` inside may only agree with it. One document that could be read as two kinds is
 * refused (CVE-2021-41190), so that no two programs see two images behind one digest.
 */
#include "fetch/manifest_artifact.h"
#include "fetch/manifest_json.h"

#include <stdio.h>
#include <string.h>

static err_t no_schema1(struct diag *d)
{
	return fail(d, ERR_UNSUPPORTED, -ENOTSUP,
		    "the image uses the retired schema1 format: push it again with a current tool");
}

/* Fields that belong to another kind than the ones that are there. */
static err_t check_shape(const json_t *root, struct diag *d)
{
	bool list = json_member_set(root, "manifests");
	bool image = json_member_set(root, "layers") || json_member_set(root, "config");
	bool schema1 = json_member_set(root, "fsLayers");
	if (list + image + schema1 > 1)
		return fail(d, ERR_INTEGRITY, -EBADMSG,
			    "the manifest mixes the fields of several kinds of manifest");
	return schema1 ? no_schema1(d) : 0;
}

static err_t check_schema_version(const json_t *root, struct diag *d)
{
	const json_t *version = json_object_get(root, "schemaVersion");
	if (!version)
		return 0;
	if (!json_is_integer(version))
		return fail(d, ERR_INTEGRITY, -EBADMSG, "\"schemaVersion\" is not an integer");
	if (json_integer_value(version) == 1)
		return no_schema1(d);
	if (json_integer_value(version) != 2)
		return fail(d, ERR_UNSUPPORTED, -ENOTSUP, "schemaVersion %lld is not known",
			    (long long)json_integer_value(version));
	return 0;
}

/* The one media type that header and document state together; "" when neither says anything. */
static err_t stated_type(const struct document *doc, const json_t *root, const char **out,
			 struct diag *d)
{
	const char *inside;
	err_t err = json_member_string(root, "mediaType", &inside, d);
	if (err)
		return err;
	inside = inside ? inside : "";
	bool header_speaks = media_class_of(doc->media_type) != MEDIA_UNSTATED;
	if (header_speaks && inside[0] && strcmp(doc->media_type, inside))
		return fail(d, ERR_INTEGRITY, -EBADMSG,
			    "the manifest was served as \"%s\" but calls itself \"%s\"",
			    doc->media_type, inside);
	*out = inside[0] ? inside : header_speaks ? doc->media_type : "";
	return 0;
}

static err_t kind_by_shape(const json_t *root, enum media_class stated, enum manifest_kind *out,
			   struct diag *d)
{
	/* Real layouts and registries have "manifests": null for an empty list. */
	if (json_object_get(root, "manifests") && !json_member_set(root, "config") &&
	    !json_member_set(root, "layers"))
		*out = MANIFEST_INDEX;
	else if (json_object_get(root, "layers"))
		*out = MANIFEST_IMAGE;
	else if (stated == MEDIA_INDEX)
		*out = MANIFEST_INDEX;
	else if (json_member_set(root, "blobs"))
		return fail(d, ERR_UNSUPPORTED, -ENOTSUP, "this is an artifact, not an image");
	else
		return fail(d, ERR_INTEGRITY, -EBADMSG, "this is no manifest");
	return 0;
}

static err_t check_type(const char *type, enum manifest_kind kind, struct diag *d)
{
	enum media_class cls = media_class_of(type);
	if (cls == MEDIA_UNSTATED || cls == (kind == MANIFEST_INDEX ? MEDIA_INDEX : MEDIA_IMAGE))
		return 0;
	if (cls == MEDIA_INDEX || cls == MEDIA_IMAGE)
		return fail(d, ERR_INTEGRITY, -EBADMSG,
			    "the manifest has the fields of an image %s but the media type \"%s\"",
			    kind == MANIFEST_INDEX ? "index" : "manifest", type);
	return fail(d, ERR_UNSUPPORTED, -ENOTSUP, "media type \"%s\" is not an image", type);
}

/* What is not an image has a config of its own type, such as a Helm chart or a SOCI index. */
static err_t check_config_type(const json_t *root, struct diag *d)
{
	const json_t *config;
	const char *type = NULL;
	err_t err = json_member_object(root, "config", &config, d);
	if (!err && !config)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "the manifest has no config");
	if (!err)
		err = json_member_string(config, "mediaType", &type, d);
	if (err)
		return err;
	if (!type || media_class_of(type) != MEDIA_CONFIG)
		return fail(d, ERR_UNSUPPORTED, -ENOTSUP,
			    "this is an artifact (its config is \"%s\"), not an image",
			    type ? type : "");
	return 0;
}

static err_t root_kind(const struct document *doc, const json_t *root, enum manifest_kind *out,
		       struct diag *d)
{
	const char *type = "";
	err_t err = check_shape(root, d);
	if (!err)
		err = stated_type(doc, root, &type, d);
	if (!err && media_class_of(type) == MEDIA_SCHEMA1)
		err = no_schema1(d);
	if (!err)
		err = check_schema_version(root, d);
	if (!err)
		err = kind_by_shape(root, media_class_of(type), out, d);
	if (!err)
		err = check_type(type, *out, d);
	if (!err && *out == MANIFEST_IMAGE)
		err = check_config_type(root, d);
	return err;
}

err_t document_kind(const struct document *doc, json_t **root, enum manifest_kind *out,
		    struct diag *d)
{
	if (doc->bytes.n > DOCUMENT_MAX)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "the manifest is larger than %u bytes",
			    DOCUMENT_MAX);
	json_auto_t *parsed = NULL;
	err_t err = json_parse_object(buf_bytes(&doc->bytes), &parsed, d);
	if (!err)
		err = root_kind(doc, parsed, out, d);
	*root = err ? NULL : take(&parsed);
	return err;
}

err_t document_of_kind(const struct document *doc, enum manifest_kind kind, json_t **root,
		       struct diag *d)
{
	enum manifest_kind found;
	err_t err = document_kind(doc, root, &found, d);
	if (err || found == kind)
		return err;
	json_decref(take(root));
	return fail(d, ERR_INTEGRITY, -EBADMSG, "the document is not an image %s",
		    kind == MANIFEST_INDEX ? "index" : "manifest");
}

err_t manifest_kind_of(const struct document *doc, enum manifest_kind *out, struct diag *d)
{
	json_auto_t *root = NULL;
	return document_kind(doc, &root, out, d);
}

err_t digest_value(const json_t *value, struct digest *out, struct diag *d)
{
	const char *text = json_string_value(value);
	if (!text)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "a digest is missing");
	if (digest_parse(BYTES_STR(text), out, d)) {
		if (d)
			d->cls = ERR_INTEGRITY;
		return -EBADMSG;
	}
	return 0;
}

void artifact_named(const json_t *object, struct digest *out)
{
	const json_t *annotations = json_object_get(object, "annotations");
	const char *text = json_string_value(json_object_get(annotations, ARTIFACT_ANNOTATION));
	*out = (struct digest){0};
	if (text && digest_parse(BYTES_STR(text), out, NULL))
		*out = (struct digest){0};
}

err_t descriptor_parse(const json_t *object, uint64_t size_max, struct descriptor *out,
		       struct diag *d)
{
	*out = (struct descriptor){0};
	const char *type;
	err_t err = json_member_string(object, "mediaType", &type, d);
	if (err)
		return err;
	if (type && strlen(type) >= sizeof(out->media_type))
		return fail(d, ERR_INTEGRITY, -EBADMSG, "a media type is longer than %zu bytes",
			    sizeof(out->media_type) - 1);
	snprintf(out->media_type, sizeof(out->media_type), "%s", type ? type : "");
	err = digest_value(json_object_get(object, "digest"), &out->digest, d);
	return err ? err : json_member_size(object, "size", size_max, &out->size, d);
}

static err_t layer_parse(const json_t *object, struct layer_desc *out, struct diag *d)
{
	if (!json_is_object(object))
		return fail(d, ERR_INTEGRITY, -EBADMSG, "its descriptor is not an object");
	err_t err = descriptor_parse(object, LAYER_SIZE_MAX, &out->desc, d);
	if (err)
		return err;
	switch (media_class_of(out->desc.media_type)) {
	case MEDIA_LAYER:
		return 0;
	case MEDIA_ENCRYPTED:
		return fail(d, ERR_UNSUPPORTED, -ENOTSUP, "it is encrypted (\"%s\")",
			    out->desc.media_type);
	default:
		return fail(d, ERR_UNSUPPORTED, -ENOTSUP, "its media type \"%s\" is not known",
			    out->desc.media_type);
	}
}

static err_t layers_parse(const json_t *layers, struct manifest *out, struct diag *d)
{
	size_t n = json_array_size(layers);
	if (n > MANIFEST_LAYERS_MAX)
		return fail(d, ERR_UNSUPPORTED, -ENOTSUP, "the image has %zu layers, more than %d",
			    n, MANIFEST_LAYERS_MAX);
	out->layers = try_array(n, sizeof(*out->layers), MANIFEST_LAYERS_MAX);
	if (!out->layers)
		return fail_sys(d, ERR_OTHER, -ENOMEM, "parse a manifest of %zu layers", n);
	for (; out->n_layers < n; out->n_layers++) {
		err_t err = layer_parse(json_array_get(layers, out->n_layers),
					&out->layers[out->n_layers], d);
		if (err) {
			diag_prepend(d, "layer %zu of %zu", out->n_layers + 1, n);
			return err;
		}
	}
	return 0;
}

static err_t image_manifest_parse(const json_t *root, struct manifest *out, struct diag *d)
{
	const json_t *layers;
	artifact_named(root, &out->artifact);
	const json_t *annotations = json_object_get(root, "annotations");
	out->annotations = annotations_copy(annotations);
	out->base_name = xstrdup_or_null(json_string_value(
		json_object_get(annotations, "org.opencontainers.image.base.name")));
	err_t err = json_member_array(root, "layers", &layers, d);
	if (!err)
		err = descriptor_parse(json_object_get(root, "config"), DOCUMENT_MAX, &out->config,
				       d);
	return err ? err : layers_parse(layers, out, d);
}

err_t manifest_parse(const struct document *doc, struct manifest *out, struct diag *d)
{
	*out = (struct manifest){0};
	json_auto_t *root = NULL;
	err_t err = document_of_kind(doc, MANIFEST_IMAGE, &root, d);
	if (!err)
		err = image_manifest_parse(root, out, d);
	if (err)
		manifest_fini(out);
	return err;
}

size_t manifest_first(const struct manifest *m, size_t layer)
{
	size_t i = 0;
	while (!digest_equal(&m->layers[i].desc.digest, &m->layers[layer].desc.digest))
		i++;
	return i;
}

void manifest_fini(struct manifest *m)
{
	free(m->layers);
	labels_free(&m->annotations);
	free(m->base_name);
	*m = (struct manifest){0};
}
