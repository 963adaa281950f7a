/*
 * Resolving: reference -> top document -> the platform's manifest -> config. A document is taken
 * from the store where its digest is known and it lies there, else from the source; in both cases
 * its digest is compared before it is parsed. A tag costs one HEAD when nothing has changed.
 */
#include "fetch/image_priv.h"
#include "fetch/log.h"
#include "fetch/manifest_priv.h"

#include <stdio.h>
#include <string.h>

/* The store is a cache here: an image can be used without it. */
static void keep_document(struct image *image, const struct document *doc)
{
	err_t err = store_document_put(image->store, doc);
	if (err)
		log_warn("store.document_not_kept", "reason=\"%s\"", strerror(-err));
}

/*
 * A manifest is kept with the media type its server gave it, so only where the two agree: a server
 * that names it wrongly must not spoil it for the others.
 */
static void keep_manifest(struct image *image, const struct document *doc)
{
	enum manifest_kind kind;
	if (!manifest_kind_of(doc, &kind, NULL))
		keep_document(image, doc);
}

static err_t check_digest(const struct document *doc, const struct digest *expected, struct diag *d)
{
	struct digest found;
	char want[DIGEST_TEXT_MAX], got[DIGEST_TEXT_MAX];
	digest_of(expected->alg, doc->bytes.p, doc->bytes.n, &found);
	if (digest_equal(&found, expected))
		return 0;
	return fail(d, ERR_INTEGRITY, -EBADMSG, "the document's digest is %s, expected %s",
		    digest_text(&found, got), digest_text(expected, want));
}

static err_t fail_offline(const struct digest *digest, struct diag *d)
{
	char text[DIGEST_TEXT_MAX];
	return fail(d, ERR_NOT_FOUND, -ENOENT, "%s is not in the store, and it may not be fetched",
		    digest_text(digest, text));
}

/* A manifest by digest: *out needs document_fini on success only. */
static err_t get_manifest(struct image *image, const struct digest *digest, struct document *out,
			  struct diag *d)
{
	*out = (struct document){0};
	if (!store_document_get(image->store, digest, out))
		return 0;
	if (!image_may_fetch(image))
		return fail_offline(digest, d);
	err_t err = source_manifest(image->source, &image->ref, digest, out, d);
	if (err)
		return err;
	err = check_digest(out, digest, d);
	if (!err) {
		out->digest = *digest;
		keep_manifest(image, out);
	} else {
		document_fini(out);
	}
	return err;
}

/* What the tag names, when the source can not say its digest or has it under the tag only. */
static err_t get_top_directly(struct image *image, struct document *out, struct diag *d)
{
	*out = (struct document){0};
	err_t err = source_manifest(image->source, &image->ref, NULL, out, d);
	if (err)
		return err;
	err = check_digest(out, &out->digest, d);
	if (!err)
		keep_manifest(image, out);
	else
		document_fini(out);
	return err;
}

/* A HEAD saves the manifest where the store may have it; where it knows nothing of the tag, the
 * manifest is wanted anyway. */
static err_t get_top_by_tag(struct image *image, struct document *out, struct diag *d)
{
	struct digest named, last;
	auto_free char *text = ref_text(&image->ref);
	if (image->ref.kind == REF_REGISTRY && store_tag_get(image->store, text, &last))
		return get_top_directly(image, out, d);
	err_t err = source_head(image->source, &image->ref, &named, d);
	if (!err)
		err = get_manifest(image, &named, out, d);
	if (err == -ENOTSUP || err == -ENOENT)
		err = get_top_directly(image, out, d);
	return err;
}

static err_t get_top_offline(struct image *image, struct document *out, struct diag *d)
{
	auto_free char *text = ref_text(&image->ref);
	struct digest named;
	if (store_tag_get(image->store, text, &named))
		return fail(d, ERR_NOT_FOUND, -ENOENT,
			    "the store has no record of %s, and no registry may be asked", text);
	return get_manifest(image, &named, out, d);
}

static err_t get_top(struct image *image, struct document *out, struct diag *d)
{
	if (image->ref.digest.alg != DIGEST_NONE)
		return get_manifest(image, &image->ref.digest, out, d);
	return image_may_fetch(image) ? get_top_by_tag(image, out, d)
				      : get_top_offline(image, out, d);
}

/* A parent's descriptor must not contradict what it points at. */
static err_t check_descriptor(struct document *doc, const struct descriptor *desc, struct diag *d)
{
	if (doc->bytes.n != desc->size)
		return fail(d, ERR_INTEGRITY, -EBADMSG,
			    "the document has %zu bytes, its descriptor says %llu", doc->bytes.n,
			    (unsigned long long)desc->size);
	if (media_class_of(desc->media_type) == MEDIA_UNSTATED)
		return 0;
	if (media_class_of(doc->media_type) == MEDIA_UNSTATED)
		memcpy(doc->media_type, desc->media_type, sizeof(doc->media_type));
	if (media_class_of(doc->media_type) != media_class_of(desc->media_type))
		return fail(d, ERR_INTEGRITY, -EBADMSG,
			    "the document is a \"%s\", its descriptor says \"%s\"", doc->media_type,
			    desc->media_type);
	return 0;
}

/* Replace the image index in *doc by the entry that serves the platform. */
static err_t descend(struct image *image, const struct platform *wanted, struct document *doc,
		     bool *has_platform, struct diag *d)
{
	struct descriptor desc;
	struct document child = {0};
	char text[DIGEST_TEXT_MAX];
	err_t err = manifest_choose(doc, wanted, &desc, d);
	if (err)
		return err;
	if (desc.has_platform)
		*has_platform = true;
	image->named_artifact = desc.artifact;
	err = get_manifest(image, &desc.digest, &child, d);
	if (!err)
		err = check_descriptor(&child, &desc, d);
	if (err) {
		diag_prepend(d, "manifest %s", digest_text(&desc.digest, text));
		document_fini(&child);
		return err;
	}
	document_fini(doc);
	*doc = child;
	return 0;
}

static err_t descend_to_image(struct image *image, const struct platform *wanted,
			      struct document *doc, bool *has_platform, struct diag *d)
{
	for (int depth = 0;; depth++) {
		enum manifest_kind kind;
		err_t err = manifest_kind_of(doc, &kind, d);
		if (err || kind == MANIFEST_IMAGE)
			return err;
		if (depth == INDEX_DEPTH_MAX)
			return fail(d, ERR_INTEGRITY, -EBADMSG,
				    "image indexes are nested deeper than %d", INDEX_DEPTH_MAX);
		err = descend(image, wanted, doc, has_platform, d);
		if (err)
			return err;
	}
}

/* The config that the published index carries, if it is this image's. */
static bool carried_config(struct image *image, struct document *out)
{
	const struct buf *bytes = &image->artifact.config_bytes;
	const struct descriptor *desc = &image->manifest.config;
	struct digest found;
	if (!image->published || bytes->n != desc->size)
		return false;
	digest_of(desc->digest.alg, bytes->p, bytes->n, &found);
	if (!digest_equal(&found, &desc->digest) || buf_append(&out->bytes, bytes->p, bytes->n))
		return false;
	out->digest = found;
	keep_document(image, out);
	return true;
}

static err_t get_config(struct image *image, struct document *out, struct diag *d)
{
	const struct descriptor *desc = &image->manifest.config;
	*out = (struct document){0};
	if (!store_document_get(image->store, &desc->digest, out)) {
		if (out->bytes.n == desc->size)
			return 0;
		document_fini(out);
		return fail(d, ERR_INTEGRITY, -EBADMSG,
			    "it does not have the %llu bytes of its "
			    "descriptor",
			    (unsigned long long)desc->size);
	}
	if (carried_config(image, out))
		return 0;
	if (!image_may_fetch(image))
		return fail_offline(&desc->digest, d);
	err_t err = source_small_blob(image->source, &desc->digest, desc->size, out, d);
	if (err)
		return err;
	err = check_digest(out, &desc->digest, d);
	if (!err) {
		out->digest = desc->digest;
		out->media_type[0] = '\0'; /* the descriptor says what it is */
		keep_document(image, out);
	} else {
		document_fini(out);
	}
	return err;
}

static err_t load_config(struct image *image, struct diag *d)
{
	struct document doc;
	char text[DIGEST_TEXT_MAX];
	err_t err = get_config(image, &doc, d);
	if (!err) {
		err = config_parse(&doc, &image->manifest, &image->config, d);
		document_fini(&doc);
	}
	if (err)
		diag_prepend(d, "config %s", digest_text(&image->manifest.config.digest, text));
	return err;
}

/*
 * An entry that states its platform was chosen for it, and many images on the way were built with a
 * config that says something else; only where nothing else tells does the config decide.
 */
static err_t check_platform(const struct image *image, const struct platform *wanted, bool explicit,
			    bool chosen, struct diag *d)
{
	const struct platform *have = &image->config.platform;
	char have_text[100], wanted_text[100];
	platform_text(have, have_text);
	platform_text(wanted, wanted_text);
	if (!strcmp(have->os, "windows"))
		return fail(d, ERR_UNSUPPORTED, -ENOTSUP, "layers of Windows images are not known");
	if (platform_rank(wanted, have) >= 0)
		return 0;
	if (explicit && !chosen)
		return fail(d, ERR_NOT_FOUND, -ENOENT, "the image is for %s, not for %s", have_text,
			    wanted_text);
	log_warn("image.platform", "image=%s wanted=%s", have_text, wanted_text);
	return 0;
}

static err_t load_documents(struct image *image, const struct platform *wanted, bool explicit,
			    struct document *doc, struct diag *d)
{
	bool chosen = false;
	err_t err = descend_to_image(image, wanted, doc, &chosen, d);
	if (!err)
		err = manifest_parse(doc, &image->manifest, d);
	if (err)
		return err;
	image->digest = doc->digest;
	if (image->manifest.artifact.alg)
		image->named_artifact = image->manifest.artifact;
	image->use_fd = store_use_begin(image->store, &image->digest);
	if (image->use_fd < 0)
		log_debug("store.use_not_noted", "reason=\"%s\"", strerror(-image->use_fd));
	image->manifest_size = doc->bytes.n;
	memcpy(image->manifest_type, doc->media_type, sizeof(image->manifest_type));
	err = image_find_index(image, d);
	if (!err)
		err = load_config(image, d);
	return err ? err : check_platform(image, wanted, explicit, chosen, d);
}

/* Written only after everything the tag leads to has been verified. What a layout or a digest named
 * is never asked for: `imgfs store ls` shows it. */
static void record_tag(struct image *image)
{
	if (!image_may_fetch(image))
		return;
	auto_free char *text = ref_text(&image->ref);
	err_t err = store_tag_put(image->store, text, &image->top_digest);
	if (err)
		log_warn("store.tag_not_kept", "reason=\"%s\"", strerror(-err));
}

/* What a user may not think of while the network is away. */
static void say_stored(struct image *image, struct diag *d)
{
	struct digest last;
	auto_free char *text = ref_text(&image->ref);
	if (!d || d->cls != ERR_NETWORK || !image_may_fetch(image) ||
	    store_tag_get(image->store, text, &last))
		return;
	size_t n = strlen(d->text);
	snprintf(d->text + n, sizeof(d->text) - n, "; --offline uses what the store has of it");
}

err_t image_resolve(struct image *image, const struct platform *wanted, bool explicit,
		    struct diag *d)
{
	struct document doc;
	err_t err = get_top(image, &doc, d);
	if (!err) {
		image->top_digest = doc.digest;
		err = load_documents(image, wanted, explicit, &doc, d);
		document_fini(&doc);
	}
	if (!err) {
		record_tag(image);
		return 0;
	}
	say_stored(image, d);
	/* Once is enough: most errors of a source start with its label. */
	if (d && !strstr(d->text, image->source->label)) {
		auto_free char *text = ref_text(&image->ref);
		diag_prepend(d, "%s", text);
	}
	return err;
}
