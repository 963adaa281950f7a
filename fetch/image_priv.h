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

/*
 * image_find_index - look for a published index that may be used: sets image->published and what
 * belongs to it
 * Nothing that goes wrong with it is an error: there is none then, and the log says why. Only
 * -ECANCELED is passed on.
 */
err_t image_find_index(struct image *image, struct diag *d) must_check;
/* image_key - the name of the merged tree, which follows from the layers. */
void image_key(const struct image *image, struct digest *out);
/* image_keep_index - put an index into the store and map it from there; where that fails, *file
 * keeps the bytes and the index lives on them. */
err_t image_keep_index(struct image *image, enum index_kind kind, const struct digest *name,
		       struct buf *file, struct index **out, struct diag *d) must_check;
/* image_tree_agrees - whether a merged tree speaks of the layers of manifest and config. */
bool image_tree_agrees(const struct image *image, const struct index *tree);

/*
 * image_fetch_part - a blob of a published index, whole, into an empty buffer; its digest is
 * checked
 * @what  for errors: "its tree"
 * -ENOENT when the image is offline, -EBADMSG for no bytes and for wrong ones; errors of
 * source_read.
 */
err_t image_fetch_part(struct image *image, const struct descriptor *part, const char *what,
		       int64_t deadline_ms, struct buf *out, struct diag *d) must_check;

/* image_may_fetch - false when image_options.offline forbids to ask the source. */
bool image_may_fetch(const struct image *image);

/* image_indexer_job - what the indexer has to know about one layer. */
struct indexer_job image_indexer_job(const struct image *image, size_t layer);

/* image_index_agrees - whether a layer index speaks of the layer that manifest and config name. */
bool image_index_agrees(const struct index *ix, const struct layer_desc *layer);

/* image_load_tree - fill image->tree from the store, if it has a proven one; -ENOENT. */
err_t image_load_tree(struct image *image) must_check;

/*
 * image_load_layers - fill image->layers: from the store, or by streaming; with a tree, those that
 * can wait are left out
 * image_merge_layers - fill image->tree from them, unless it is there and agrees with them.
 */
err_t image_load_layers(struct image *image, struct diag *d) must_check;
err_t image_merge_layers(struct image *image, struct diag *d) must_check;

/* image_rooms_make - the arrays by layer, if they are not there. */
void image_rooms_make(struct image *image);

/* image_unload - free what the two have filled, wholly or in part. */
void image_unload(struct image *image);

#endif
