/*
 * Publishing: each layer's index is packed and put, then the merged tree with the heads of those,
 * then the manifest that names them all, signed. Blobs that are there already cost one request
 * each; equal layers of different images have equal blobs.
 */
#include "fetch/image_publish.h"

#include "fetch/image_priv.h"
#include "fetch/image_profile.h"

#include <stdio.h>
#include <string.h>

struct publishing {
	struct image *image;
	struct source *to;
	const struct publish_options *options;
	struct artifact artifact;
	struct index_layer_head *heads; /* by layer */
	struct buf *head_bytes;		/* by layer: what heads[].head points to */
};

static void report(struct publishing *p, const struct publish_part *part)
{
	if (p->options->progress)
		p->options->progress(p->options->arg, part);
}

static bool is_small(const struct publishing *p, size_t layer)
{
	return p->image->manifest.layers[layer].desc.size < p->options->small_layer;
}

/* What is published must come back as it was. An index that an early imgfs built may have its rows
 * in another order than a tree has them now: that one has to be built again. */
static err_t fail_not_canonical(struct publishing *p, enum index_kind kind,
				const struct digest *name, struct diag *d)
{
	auto_free char *path = store_index_path(p->image->store, kind, name);
	return fail(d, ERR_STORE, -ESTALE,
		    "%s was built by an older imgfs and can not be published; remove it and try "
		    "again",
		    path);
}

static err_t pack_layer(struct publishing *p, size_t layer, struct buf *out, struct diag *d)
{
	auto_buf struct buf file = {0};
	struct diag why = DIAG_INIT;
	err_t err = wire_layer_encode(p->image->layers[layer], out, d);
	if (err)
		return err;
	err = wire_layer_decode(buf_bytes(out), &file, &why);
	if (err == -EBADMSG)
		return fail_not_canonical(p, INDEX_LAYER,
					  &p->image->manifest.layers[layer].desc.digest, d);
	return err ? fail(d, why.cls, err, "%s", why.text) : 0;
}

static err_t pack_tree(struct publishing *p, struct buf *out, struct diag *d)
{
	auto_buf struct buf file = {0};
	struct index *back = NULL;
	err_t err = wire_image_encode(p->image->tree, p->heads, out, d);
	if (!err)
		err = wire_image_decode(buf_bytes(out), &file, d);
	if (!err)
		err = index_open_bytes(buf_bytes(&file), &back, d);
	if (err)
		return err;
	bool same = index_same_tree(back, p->image->tree);
	index_close(&back);
	return same ? 0
		    : fail_not_canonical(p, INDEX_IMAGE, &index_info(p->image->tree)->image_key, d);
}

/* The form of a layer: as another image's artifact had it, or packed now. */
static err_t form_of(struct publishing *p, size_t layer, struct buf *out, bool *borrowed,
		     struct diag *d)
{
	struct buf *form = p->image->borrowed ? &p->image->borrowed[layer] : NULL;
	*borrowed = form && form->n;
	if (!*borrowed)
		return pack_layer(p, layer, out, d);
	*out = *form;
	*form = (struct buf){0};
	return 0;
}

static err_t keep_head(struct publishing *p, size_t layer, const struct digest *digest,
		       struct bytes form, uint64_t head_len)
{
	struct index_layer_head *head = &p->heads[layer];
	err_t err = buf_append(&p->head_bytes[layer], form.p, head_len);
	*head = (struct index_layer_head){
		.form = *digest, .form_len = form.n, .head = buf_bytes(&p->head_bytes[layer])};
	return err;
}

static err_t put_layer(struct publishing *p, size_t layer, struct diag *d)
{
	const struct descriptor *desc = &p->image->manifest.layers[layer].desc;
	struct publish_part part = {.layer = layer, .blob_size = desc->size};
	auto_buf struct buf form = {0};
	err_t err = form_of(p, layer, &form, &part.borrowed, d);
	if (!err)
		err = wire_layer_sizes(buf_bytes(&form), &part.sizes, d);
	if (err)
		return err;
	digest_of(DIGEST_SHA256, form.p, form.n, &part.digest);
	err = source_blob_put(p->to, &part.digest, buf_bytes(&form), &part.was_there, d);
	if (err)
		return err;
	err = keep_head(p, layer, &part.digest, buf_bytes(&form), part.sizes.head);
	if (err)
		return fail_sys(d, ERR_OTHER, err, "publish an index");
	struct artifact *a = &p->artifact;
	a->layers[a->n_layers++] = (struct artifact_layer){
		.layer = desc->digest, .form = {.digest = part.digest, .size = form.n}};
	report(p, &part);
	return 0;
}

/* Duplicates have the head of the first. */
static err_t put_layers(struct publishing *p, struct diag *d)
{
	const struct manifest *m = &p->image->manifest;
	err_t err = 0;
	for (size_t i = 0; i < m->n_layers && !err; i++) {
		size_t first = manifest_first(m, i);
		if (first != i)
			p->heads[i] = p->heads[first];
		else if (!is_small(p, i))
			err = put_layer(p, i, d);
	}
	return err;
}

static err_t put_tree(struct publishing *p, struct diag *d)
{
	struct publish_part part = {.layer = PUBLISH_TREE};
	auto_buf struct buf form = {0};
	err_t err = pack_tree(p, &form, d);
	if (err)
		return err;
	digest_of(DIGEST_SHA256, form.p, form.n, &part.digest);
	part.sizes.total = form.n;
	for (size_t i = 0; i < p->image->manifest.n_layers; i++) {
		part.sizes.head += p->heads[i].head.n;
		part.blob_size += p->image->manifest.layers[i].desc.size;
	}
	part.sizes.tree = form.n - part.sizes.head;
	err = source_blob_put(p->to, &part.digest, buf_bytes(&form), &part.was_there, d);
	if (err)
		return err;
	p->artifact.tree = (struct descriptor){.digest = part.digest, .size = form.n};
	report(p, &part);
	return 0;
}

/* The config travels along, so that a mount needs no request for it. Where the artifact goes to
 * another place than the image, the place may not have that blob: it is put, too. */
static err_t put_configs(struct publishing *p, struct diag *d)
{
	struct image *image = p->image;
	struct document doc = {0};
	struct digest empty;
	bool was_there;
	digest_of(DIGEST_SHA256, "{}", 2, &empty);
	err_t err = source_blob_put(p->to, &empty, BYTES_STR("{}"), &was_there, d);
	if (err || store_document_get(image->store, &image->manifest.config.digest, &doc))
		return err;
	p->artifact.config = image->manifest.config;
	if (!p->artifact.config.media_type[0])
		strcpy(p->artifact.config.media_type, "application/vnd.oci.image.config.v1+json");
	err = source_blob_put(p->to, &p->artifact.config.digest, buf_bytes(&doc.bytes), &was_there,
			      d);
	if (!err && doc.bytes.n <= ARTIFACT_CONFIG_MAX) {
		p->artifact.config_bytes = doc.bytes;
		doc.bytes = (struct buf){0};
	}
	document_fini(&doc);
	return err;
}

/* What the store knows of how the image starts. Nothing hangs on it. */
static err_t put_profile(struct publishing *p, struct diag *d)
{
	struct publish_part part = {.layer = PUBLISH_PROFILE};
	enum profile_origin origin;
	auto_buf struct buf text = {0}, packed = {0};
	if (!p->options->profile || image_profile_get(p->image, true, &text, &origin))
		return 0;
	err_t err = profile_pack(buf_bytes(&text), &packed);
	if (err)
		return fail_sys(d, ERR_OTHER, err, "publish a profile");
	digest_of(DIGEST_SHA256, packed.p, packed.n, &part.digest);
	part.sizes.total = packed.n;
	err = source_blob_put(p->to, &part.digest, buf_bytes(&packed), &part.was_there, d);
	if (err)
		return err;
	p->artifact.profile = (struct descriptor){.digest = part.digest, .size = packed.n};
	report(p, &part);
	return 0;
}

/* --- the signature --- */

static bool is_own_key(void *arg, const char *key_id)
{
	return strcmp(key_id, signing_key_id(arg)) == 0;
}

/* Take over a signature of this key under this statement, if the manifest has one. */
static bool take_signature(struct publishing *p, const struct buf *manifest, struct bytes statement)
{
	const struct signing_key *key = p->options->key;
	struct document doc = {.bytes = *manifest};
	struct artifact old;
	auto_buf struct buf text = {0};
	struct diag unused = DIAG_INIT;
	if (!manifest->n || artifact_parse(&doc, &old, &unused))
		return false;
	bool same = !artifact_statement(&old, &text) && bytes_equal(buf_bytes(&text), statement);
	bool taken = false;
	for (size_t i = 0; same && !taken && i < old.n_signatures; i++) {
		struct artifact_signature *s = &old.signatures[i];
		taken = is_own_key((void *)key, s->key_id) &&
			signing_key_verifies(key, statement, buf_bytes(&s->bytes));
		if (taken) {
			p->artifact.signatures[0] = *s;
			s->bytes = (struct buf){0};
		}
	}
	artifact_fini(&old);
	return taken;
}

static err_t page_of_own(void *arg, struct bytes json, struct diag *d)
{
	return artifact_candidates_add(arg, json, d);
}

/* A candidate's manifest, carried in the list or from the source; compared with nothing, since only
 * a signature of our own counts. */
static bool take_from(struct publishing *p, const struct artifact_candidate *c,
		      struct bytes statement)
{
	struct document doc = {0};
	struct diag unused = DIAG_INIT;
	bool own = false;
	for (size_t i = 0; i < c->n_key_ids; i++)
		own |= is_own_key((void *)p->options->key, c->key_ids[i]);
	if (!own)
		return false;
	if (c->manifest.n)
		return take_signature(p, &c->manifest, statement);
	bool taken = !source_manifest(p->to, &p->image->ref, &c->digest, &doc, &unused) &&
		     take_signature(p, &doc.bytes, statement);
	document_fini(&doc);
	return taken;
}

/* ECDSA signs differently each time. Publishing the same again must not publish another artifact:
 * what this key has signed before is looked for. */
static bool signed_before(struct publishing *p, struct bytes statement)
{
	struct artifact_candidates c = {.wants = is_own_key, .wants_arg = (void *)p->options->key};
	struct diag unused = DIAG_INIT;
	bool found = false;
	if (!source_referrers(p->to, &p->image->ref, &p->artifact.subject.digest, ARTIFACT_TYPE,
			      page_of_own, &c, &unused))
		for (size_t i = 0; i < c.n && !found; i++)
			found = take_from(p, &c.list[i], statement);
	artifact_candidates_fini(&c);
	return found;
}

static err_t sign(struct publishing *p, struct diag *d)
{
	const struct signing_key *key = p->options->key;
	struct artifact_signature *s = &p->artifact.signatures[0];
	auto_buf struct buf statement = {0};
	if (!key)
		return 0;
	err_t err = artifact_statement(&p->artifact, &statement);
	if (err)
		return fail_sys(d, ERR_OTHER, err, "sign the index");
	if (!signed_before(p, buf_bytes(&statement)))
		err = signing_key_sign(key, buf_bytes(&statement), &s->bytes, d);
	if (err)
		return err;
	BUG_ON(strlen(signing_key_id(key)) >= sizeof(s->key_id));
	strcpy(s->key_id, signing_key_id(key));
	p->artifact.n_signatures = 1;
	return 0;
}

static err_t put_manifest(struct publishing *p, struct digest *out, struct diag *d)
{
	auto_buf struct buf manifest = {0};
	err_t err = artifact_write(&p->artifact, &manifest);
	if (err)
		return fail_sys(d, ERR_OTHER, err, "publish an index");
	auto_free char *descriptor = artifact_descriptor(&p->artifact, buf_bytes(&manifest));
	struct manifest_put put = {
		.media_type = "application/vnd.oci.image.manifest.v1+json",
		.content = buf_bytes(&manifest),
		.subject = p->artifact.subject.digest,
		.descriptor = descriptor,
	};
	digest_of(DIGEST_SHA256, manifest.p, manifest.n, &put.digest);
	*out = put.digest;
	return source_manifest_put(p->to, &put, d);
}

static void name_subject(struct publishing *p)
{
	const struct image *image = p->image;
	struct descriptor *subject = &p->artifact.subject;
	*subject = (struct descriptor){.digest = image->digest, .size = image->manifest_size};
	const char *type = image->manifest_type;
	snprintf(subject->media_type, sizeof(subject->media_type), "%s",
		 *type ? type : "application/vnd.oci.image.manifest.v1+json");
}

static err_t publish(struct publishing *p, struct digest *out, struct diag *d)
{
	err_t err = put_layers(p, d);
	if (!err)
		err = put_tree(p, d);
	if (!err)
		err = put_profile(p, d);
	if (!err)
		err = put_configs(p, d);
	name_subject(p);
	if (!err)
		err = sign(p, d);
	return err ? err : put_manifest(p, out, d);
}

err_t image_publish(struct image *image, struct source *to, const struct publish_options *options,
		    struct digest *out, struct diag *d)
{
	size_t n = image->manifest.n_layers;
	struct publishing p = {.image = image, .to = to, .options = options};
	BUG_ON(!image->tree);
	p.heads = xcalloc(n + 1, sizeof(*p.heads));
	p.head_bytes = xcalloc(n + 1, sizeof(*p.head_bytes));
	p.artifact.layers = xcalloc(n + 1, sizeof(*p.artifact.layers));
	err_t err = publish(&p, out, d);
	for (size_t i = 0; i < n; i++)
		buf_fini(&p.head_bytes[i]);
	free(p.head_bytes);
	free(p.heads);
	artifact_fini(&p.artifact);
	return err;
}
