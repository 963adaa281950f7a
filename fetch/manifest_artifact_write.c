/*
 * Writing an artifact manifest. Members are sorted and nothing is dated, so the same indexes and
 * keys give the same manifest, and publishing twice publishes once (Ed25519 signs the same way each
 * time; ECDSA does not).
 */
#include "fetch/base64.h"
#include "fetch/manifest_artifact_json.h"

#include <stdio.h>
#include <string.h>

#define OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_EMPTY    "application/vnd.oci.empty.v1+json"
/* A manifest up to this size travels in the lists that name it, which saves a request. */
#define EMBEDDED_MAX (48u << 10)

err_t artifact_statement(const struct artifact *a, struct buf *out)
{
	char digest[DIGEST_TEXT_MAX], layer[DIGEST_TEXT_MAX];
	auto_free char *head = xasprintf("imgfs-index-statement-1\nsubject %s\n",
					 digest_text(&a->subject.digest, digest));
	auto_free char *tree = xasprintf("image %s %llu\n", digest_text(&a->tree.digest, digest),
					 (unsigned long long)a->tree.size);
	err_t err = buf_append(out, head, strlen(head));
	if (!err)
		err = buf_append(out, tree, strlen(tree));
	for (size_t i = 0; i < a->n_layers && !err; i++) {
		const struct artifact_layer *l = &a->layers[i];
		auto_free char *line = xasprintf(
			"layer %s %s %llu\n", digest_text(&l->layer, layer),
			digest_text(&l->form.digest, digest), (unsigned long long)l->form.size);
		err = buf_append(out, line, strlen(line));
	}
	if (!err && a->profile.digest.alg) {
		auto_free char *line =
			xasprintf("profile %s %llu\n", digest_text(&a->profile.digest, digest),
				  (unsigned long long)a->profile.size);
		err = buf_append(out, line, strlen(line));
	}
	return err;
}

static json_t *text(const char *s)
{
	json_t *value = json_string(s);
	BUG_ON(!value);
	return value;
}

static void set(json_t *object, const char *key, json_t *value)
{
	BUG_ON(json_object_set_new(object, key, value) != 0);
}

static json_t *descriptor(const char *type, const struct digest *digest, uint64_t size)
{
	char buf[DIGEST_TEXT_MAX];
	json_t *object = json_object();
	set(object, "mediaType", text(type));
	set(object, "digest", text(digest_text(digest, buf)));
	set(object, "size", json_integer((json_int_t)size));
	return object;
}

static void set_data(json_t *object, struct bytes data)
{
	auto_free char *encoded = base64_encode(data);
	set(object, "data", text(encoded));
}

static json_t *empty_config(void)
{
	struct digest digest;
	digest_of(DIGEST_SHA256, "{}", 2, &digest);
	json_t *object = descriptor(OCI_EMPTY, &digest, 2);
	set_data(object, BYTES_STR("{}"));
	return object;
}

static json_t *parts(const struct artifact *a)
{
	char layer[DIGEST_TEXT_MAX];
	json_t *list = json_array();
	json_array_append_new(list, descriptor(ARTIFACT_TREE, &a->tree.digest, a->tree.size));
	for (size_t i = 0; i < a->n_layers; i++) {
		const struct artifact_layer *l = &a->layers[i];
		json_t *object = descriptor(ARTIFACT_FORM, &l->form.digest, l->form.size);
		json_t *annotations = json_object();
		set(annotations, ARTIFACT_LAYER, text(digest_text(&l->layer, layer)));
		set(object, "annotations", annotations);
		json_array_append_new(list, object);
	}
	if (a->profile.digest.alg)
		json_array_append_new(
			list, descriptor(ARTIFACT_PROFILE, &a->profile.digest, a->profile.size));
	if (a->config.digest.alg) {
		json_t *config =
			descriptor(a->config.media_type, &a->config.digest, a->config.size);
		if (a->config_bytes.n)
			set_data(config, buf_bytes(&a->config_bytes));
		json_array_append_new(list, config);
	}
	return list;
}

static json_t *signatures(const struct artifact *a)
{
	json_t *annotations = json_object();
	for (size_t i = 0; i < a->n_signatures; i++) {
		auto_free char *encoded = base64_encode(buf_bytes(&a->signatures[i].bytes));
		auto_free char *key =
			xasprintf(ARTIFACT_SIGNATURE_PREFIX "%s", a->signatures[i].key_id);
		set(annotations, key, text(encoded));
	}
	return annotations;
}

static err_t dump(json_t *root, struct buf *out)
{
	char *written = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(root);
	if (!written)
		return -ENOMEM;
	err_t err = buf_append(out, written, strlen(written));
	free(written);
	return err;
}

err_t artifact_write(const struct artifact *a, struct buf *out)
{
	json_t *root = json_object();
	set(root, "schemaVersion", json_integer(2));
	set(root, "mediaType", text(OCI_MANIFEST));
	set(root, "artifactType", text(ARTIFACT_TYPE));
	set(root, "config", empty_config());
	set(root, "layers", parts(a));
	if (a->subject.digest.alg)
		set(root, "subject",
		    descriptor(a->subject.media_type, &a->subject.digest, a->subject.size));
	if (a->n_signatures)
		set(root, "annotations", signatures(a));
	return dump(root, out);
}

char *artifact_descriptor(const struct artifact *a, struct bytes manifest)
{
	struct digest digest;
	struct buf out = {0};
	digest_of(DIGEST_SHA256, manifest.p, manifest.n, &digest);
	json_t *object = descriptor(OCI_MANIFEST, &digest, manifest.n);
	set(object, "artifactType", text(ARTIFACT_TYPE));
	if (a->n_signatures)
		set(object, "annotations", signatures(a));
	if (manifest.n <= EMBEDDED_MAX)
		set_data(object, manifest);
	if (dump(object, &out) || buf_append(&out, "", 1))
		bug(__FILE__, __LINE__, "memory");
	return (char *)out.p;
}
