/*
 * image_priv - the steps of image_open and image_prepare
 */
#ifndef IMGFS_FETCH_IMAGE_PRIV_H
#define IMGFS_FETCH_IMAGE_PRIV_H

#include "fetch/image.h"
#include "fetch/indexer.h"

#define INDEX_DEPTH_MAX 4 /* image indexes within image indexes; real images have 1 */

/*
 * image_resolve - fill digest, top_digest, manifest and config from ref, source and store
 * @explicit  whether the user asked for this platform: then another one is an error, not a warning
 * Everything is verified before it is parsed, and kept in the store where that works.
 */
err_t image_resolve(struct image *image, const struct platform *wanted, bool explicit,
		    struct diag *d) must_check;

/* image_may_fetch - false when image_options.offline forbids to ask the source. */
bool image_may_fetch(const struct image *image);

/* image_indexer_job - what the indexer has to know about one layer. */
struct indexer_job image_indexer_job(const struct image *image, size_t layer);

/* image_index_agrees - whether a layer index speaks of the layer that manifest and config name. */
bool image_index_agrees(const struct index *ix, const struct layer_desc *layer);

/* image_load_layers - fill image->layers; image_merge_layers - fill image->tree from them. */
err_t image_load_layers(struct image *image, struct diag *d) must_check;
err_t image_merge_layers(struct image *image, struct diag *d) must_check;

/* image_unload - free what the two have filled, wholly or in part. */
void image_unload(struct image *image);

#endif
