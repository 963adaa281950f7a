/*
 * The life of an image: opened from a reference, prepared for reading, closed. The steps lie in
 * image_resolve.c (names to documents) and image_layers.c (layers to a tree).
 */
#include "fetch/image_priv.h"
#include "fetch/layout.h"

#include <unistd.h>

static err_t open_source(struct image *image, struct diag *d)
{
	if (image->ref.kind == REF_OCI_LAYOUT)
		return layout_source_new(&image->ref, &image->source, d);
	err_t err = registry_source_new(&image->ref, &image->options.registry, &image->source, d);
	/* Whoever asks an interrupted source gets an error at once: offline is offline for all. */
	if (!err && image->options.offline)
		source_interrupt(image->source);
	return err;
}

static err_t open_image(struct image *image, const char *reference, struct diag *d)
{
	const char *platform = image->options.platform;
	struct platform wanted;
	err_t err = 0;
	if (platform)
		err = platform_parse(platform, &wanted, d);
	else
		platform_host(&wanted);
	if (!err)
		err = ref_parse(reference, &image->ref, d);
	if (!err)
		err = open_source(image, d);
	if (!err)
		err = trust_new(&image->options.trust, &image->ref, &image->trust, d);
	if (!err)
		err = image_resolve(image, &wanted, platform != NULL, d);
	/* The texts belong to the caller, who may drop them now. */
	image->options.platform = NULL;
	image->options.registry.authfile = NULL;
	image->options.registry.token_host = NULL;
	image->options.trust = (struct trust_options){0};
	return err;
}

err_t image_open(struct store *store, const char *reference, const struct image_options *options,
		 struct image **out, struct diag *d)
{
	struct image *image = new_of(struct image);
	image->store = store;
	image->use_fd = -1;
	if (options)
		image->options = *options;
	err_t err = open_image(image, reference, d);
	if (err)
		image_close(&image);
	*out = image;
	return err;
}

bool image_may_fetch(const struct image *image)
{
	return image->ref.kind == REF_OCI_LAYOUT || !image->options.offline;
}

err_t image_prepare(struct image *image, struct diag *d)
{
	BUG_ON(image->tree);
	err_t err = image_load_tree(image) ? image_use_index(image, d) : 0;
	if (!err)
		err = image_load_layers(image, d);
	if (!err)
		err = image_merge_layers(image, d);
	if (err)
		image_unload(image);
	return err;
}

void image_close(struct image **image_ptr)
{
	struct image *image = take(image_ptr);
	if (!image)
		return;
	image_unload(image);
	if (image->source)
		source_free(&image->source);
	artifact_fini(&image->artifact);
	trust_free(&image->trust);
	manifest_fini(&image->manifest);
	image_config_fini(&image->config);
	ref_fini(&image->ref);
	if (image->use_fd >= 0)
		close(image->use_fd);
	free(image);
}

bool image_layer_indexed(struct image *image, size_t layer)
{
	BUG_ON(layer >= image->manifest.n_layers);
	const struct layer_desc *desc = &image->manifest.layers[layer];
	struct index *ix = NULL;
	if (store_index_get(image->store, INDEX_LAYER, &desc->desc.digest, &ix))
		return false;
	bool agrees = image_index_agrees(ix, desc);
	index_close(&ix);
	return agrees;
}

const char *layer_state_name(enum layer_state s)
{
	static const char *const names[] = {
		[LAYER_UNINDEXED] = "unindexed", [LAYER_HINT] = "hint",
		[LAYER_SIGNED] = "signed",	 [LAYER_BOUND] = "bound",
		[LAYER_PROVEN] = "proven",	 [LAYER_DISPROVED] = "disproved",
	};
	return (unsigned)s < ARRAY_LEN(names) ? names[s] : "unknown";
}

enum layer_state image_layer_state(struct image *image, size_t layer)
{
	static const enum layer_state states[] = {
		[TRUST_HINT] = LAYER_HINT,
		[TRUST_SIGNED] = LAYER_SIGNED,
		[TRUST_BOUND] = LAYER_BOUND,
		[TRUST_PROVEN] = LAYER_PROVEN,
	};
	BUG_ON(layer >= image->manifest.n_layers);
	if ((image->layers && image->layers[layer]) || image_layer_indexed(image, layer))
		return LAYER_PROVEN;
	for (size_t i = 0; image->published && i < image->artifact.n_layers; i++) {
		const struct artifact_layer *l = &image->artifact.layers[i];
		if (digest_equal(&l->layer, &image->manifest.layers[layer].desc.digest))
			return store_published_index_there(image->store, &l->form.digest)
				       ? LAYER_PROVEN
				       : states[image->trusted];
	}
	return LAYER_UNINDEXED;
}

struct indexer_job image_indexer_job(const struct image *image, size_t layer)
{
	return (struct indexer_job){
		.store = image->store,
		.source = image_may_fetch(image) ? image->source : NULL,
		.layer = &image->manifest.layers[layer],
		.chunk_target = image->options.chunk_target,
		/* A layout's blobs lie on a disk of this machine already. */
		.keep_blob = image->ref.kind == REF_REGISTRY,
		.progress = image->options.progress,
		.progress_row = layer,
	};
}

err_t image_layer_rebuild(struct image *image, size_t layer, struct buf *index_file, struct diag *d)
{
	BUG_ON(layer >= image->manifest.n_layers);
	struct indexer_job job = image_indexer_job(image, layer);
	err_t err = indexer_run(&job, index_file, d);
	if (err)
		diag_prepend(d, "layer %zu of %zu", layer + 1, image->manifest.n_layers);
	return err;
}
