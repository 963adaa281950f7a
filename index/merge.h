/*
 * merge - the trees of an image's layers, stacked into one
 *
 * Layers are merged once, never searched at run time. The rules stand in index/FORMAT.md,
 * "Merging".
 */
#ifndef IMGFS_INDEX_MERGE_H
#define IMGFS_INDEX_MERGE_H

#include "index/index.h"

/* image_key_of - SHA-256 over "imgfs-image-1\n" and each layer's blob digest in text form and "\n",
 * bottom first. */
void image_key_of(const struct digest *layers, size_t n, struct digest *out);

/*
 * merge_layers - build an image index
 * @layers  layer indexes, bottom first; 0..INDEX_LAYERS_MAX of them
 * @out     the bytes of the image index file, appended to an empty buffer
 * -EBADMSG (ERR_INTEGRITY): a hard link to something that no layer has, a path too deep, too many
 * entries. -ENOMEM.
 */
err_t merge_layers(const struct index *const *layers, size_t n, struct buf *out,
		   struct diag *d) must_check;

#endif
