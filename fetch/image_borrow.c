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

#define SIBLINGS_MAX 16	   /* other tags that are looked at */
#define SIBLINGS_MS  20000 /* and for how long */
#define TAGS_MAX     1000

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

err_t image_borrow(struct image *image, struct image *base, enum trust_state least, size_t *n,
		   struct diag *d)
{
	const struct manifest *m = &image->manifest;
	image_rooms_make(image);
	if (!base->published)
		return fail(d, ERR_NOT_FOUND, -ENOENT, "it has no published index that is trusted");
	if (base->trusted < least)
		return fail(
			d, ERR_DENIED, -EACCES,
			"its published index is a %s; what is taken from it needs a trusted key "
			"(--trust-key)",
			trust_state_name(base->trusted));
	for (size_t i = 0; i < m->n_layers; i++) {
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
		err = image_borrow(image, base, TRUST_SIGNED, n, &d);
	if (err)
		log_info("index.base", "image=%s reason=\"%s\"", reference, d.text);
	else
		log_info("index.base", "image=%s trust=%s layers=%zu", reference,
			 trust_state_name(base->trusted), *n - before);
	if (base)
		image_close(&base);
}

static int by_name(const void *a, const void *b)
{
	return strverscmp(*(char *const *)a, *(char *const *)b);
}

/* The nearest tags first, as versions go: 1.9 is beside 1.10. */
static void try_siblings(struct image *image, const struct image_options *options, size_t *n)
{
	auto_free char **tags = xcalloc(TAGS_MAX, sizeof(*tags));
	size_t n_tags = 0, own = 0;
	auto_buf struct buf json = {0};
	struct diag d = DIAG_INIT;
	int64_t until_ms = now_ms() + SIBLINGS_MS;
	err_t err = source_tags(image->source, &json, &d);
	if (!err)
		err = tags_parse(buf_bytes(&json), tags, TAGS_MAX, &n_tags, &d);
	if (err)
		log_info("index.base", "reason=\"%s\"", d.text);
	qsort(tags, n_tags, sizeof(*tags), by_name);
	while (image->ref.tag && own < n_tags && strverscmp(tags[own], image->ref.tag) < 0)
		own++;
	for (size_t i = 0; i < SIBLINGS_MAX && now_ms() < until_ms; i++) {
		/* One below, one above, the next below, ... */
		size_t step = i / 2 + 1, at = i % 2 ? own + step : own - step;
		if (at >= n_tags || (image->ref.tag && !strcmp(tags[at], image->ref.tag)))
			continue;
		auto_free char *reference =
			xasprintf("%s/%s:%s", image->ref.host, image->ref.repo, tags[at]);
		if (lacks_layers(image))
			try_base(image, reference, options, n);
	}
	for (size_t i = 0; i < n_tags; i++)
		free(tags[i]);
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
	/* Anybody who can push makes tags and manifests: only a signature counts. */
	quiet.ignore_named = true;
	quiet.trust.index = NULL;
	const char *base = image->manifest.base_name;
	if (base && is_of_our_registry(image, base) && lacks_layers(image))
		try_base(image, base, &quiet, n);
	if (image->ref.kind == REF_REGISTRY && lacks_layers(image))
		try_siblings(image, &quiet, n);
}
