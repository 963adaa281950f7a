/*
 * Layers that another image has published need not be streamed to publish this one. The other image
 * is named by the user, by an annotation of this one's manifest, or has another tag of the same
 * repository: most images share most of their layers with the ones before them.
 */
#include "fetch/image_priv.h"
#include "fetch/image_publish.h"
#include "fetch/log.h"
#include "fetch/manifest_referrers.h"

#include <string.h>

#define SIBLINGS_MAX 16 /* other tags that are looked at */

static err_t borrow_layer(struct image *image, size_t layer, struct image *base,
			  const struct artifact_layer *l, struct diag *d)
{
	auto_buf struct buf form = {0}, file = {0};
	struct index *ix = NULL;
	err_t err = image_fetch_form(base, l, &form, d);
	if (!err)
		err = wire_layer_decode(buf_bytes(&form), &file, d);
	if (!err)
		err = index_open_bytes(buf_bytes(&file), &ix, d);
	if (!err && !image_index_agrees(ix, &image->manifest.layers[layer]))
		err = fail(d, ERR_INTEGRITY, -EBADMSG, "it is the index of another layer");
	if (err) {
		index_close(&ix);
		return err;
	}
	image->layers[layer] = ix;
	image->layer_files[layer] = file;
	image->borrowed[layer] = form;
	file = form = (struct buf){0};
	return 0;
}

static const struct artifact_layer *find_layer(const struct artifact *a, const struct digest *blob)
{
	for (size_t i = 0; i < a->n_layers; i++)
		if (digest_equal(&a->layers[i].layer, blob))
			return &a->layers[i];
	return NULL;
}

err_t image_borrow(struct image *image, struct image *base, size_t *n, struct diag *d)
{
	const struct manifest *m = &image->manifest;
	image_rooms_make(image);
	for (size_t i = 0; base->published && i < m->n_layers; i++) {
		const struct artifact_layer *l =
			find_layer(&base->artifact, &m->layers[i].desc.digest);
		if (!l || manifest_first(m, i) != i || image->layers[i] ||
		    image_layer_indexed(image, i))
			continue;
		err_t err = borrow_layer(image, i, base, l, d);
		if (err) {
			diag_prepend(d, "the published index of layer %zu", i);
			return err;
		}
		++*n;
	}
	return 0;
}

/* --- others that are likely to have them --- */

/* Whether a layer is left that would have to be streamed to be published. */
static bool lacks_layers(struct image *image)
{
	const struct manifest *m = &image->manifest;
	image_rooms_make(image);
	for (size_t i = 0; i < m->n_layers; i++)
		if (m->layers[i].desc.size > SMALL_LAYER_DEFAULT && !image->layers[i] &&
		    !image_layer_indexed(image, i))
			return true;
	return false;
}

static void try_base(struct image *image, const char *reference,
		     const struct image_options *options, size_t *n)
{
	struct image *base = NULL;
	struct diag d = DIAG_INIT;
	size_t before = *n;
	err_t err = image_open(image->store, reference, options, &base, &d);
	if (!err)
		err = image_borrow(image, base, n, &d);
	if (err)
		log_info("index.base", "image=%s reason=\"%s\"", reference, d.text);
	else
		log_info("index.base", "image=%s layers=%zu", reference, *n - before);
	if (base)
		image_close(&base);
}

static void try_siblings(struct image *image, const struct image_options *options, size_t *n)
{
	char *tags[SIBLINGS_MAX];
	size_t n_tags = 0;
	auto_buf struct buf json = {0};
	struct diag d = DIAG_INIT;
	err_t err = source_tags(image->source, &json, &d);
	if (!err)
		err = tags_parse(buf_bytes(&json), tags, SIBLINGS_MAX, &n_tags, &d);
	if (err)
		log_info("index.base", "reason=\"%s\"", d.text);
	for (size_t i = 0; i < n_tags; i++) {
		auto_free char *reference =
			xasprintf("%s/%s:%s", image->ref.host, image->ref.repo, tags[i]);
		bool own = image->ref.tag && !strcmp(tags[i], image->ref.tag);
		if (!own && lacks_layers(image))
			try_base(image, reference, options, n);
		free(tags[i]);
	}
}

/* A manifest must not send us to other hosts than its own. */
static bool is_of_our_registry(const struct image *image, const char *reference)
{
	struct ref ref = {0};
	bool ours = !ref_parse(reference, &ref, NULL) && ref.kind == REF_REGISTRY &&
		    image->ref.kind == REF_REGISTRY && !strcmp(ref.host, image->ref.host);
	ref_fini(&ref);
	return ours;
}

void image_borrow_around(struct image *image, const struct image_options *options, size_t *n)
{
	struct image_options quiet = *options;
	quiet.find_index = quiet.find_always = true;
	const char *base = image->manifest.base_name;
	if (base && is_of_our_registry(image, base) && lacks_layers(image))
		try_base(image, base, &quiet, n);
	if (image->ref.kind == REF_REGISTRY && lacks_layers(image))
		try_siblings(image, &quiet, n);
}
