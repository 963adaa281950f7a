/*
 * image - from a reference to a merged tree that can be read
 *
 * image_open resolves and verifies manifest and config. image_prepare gives every layer its index
 * (from the store, else by streaming the blob once) and the merged tree. After that no name,
 * attribute or target needs the network.
 */
#ifndef IMGFS_FETCH_IMAGE_H
#define IMGFS_FETCH_IMAGE_H

#include "fetch/manifest.h"
#include "fetch/registry.h"
#include "fetch/store.h"

struct image_options {
	const char *platform; /* --platform; NULL: this machine's */
	struct registry_options registry;
	uint32_t chunk_target;	/* for indexes that have to be built; 0: default */
	unsigned index_threads; /* layers indexed side by side; 0: one a processor, 4 at the most */
	bool offline;		/* only what the store has */
};

struct image {
	struct ref ref;
	struct digest digest;	  /* of the platform's manifest */
	struct digest top_digest; /* of what the reference named (the image index, or the same) */
	struct manifest manifest;
	struct image_config config;
	struct source *source; /* owned */
	struct store *store;   /* borrowed */
	struct image_options options;
	/* after image_prepare */
	/* Layer indexes, bottom first, in the manifest's order; owned. A blob that is listed twice
	 * has one index, which stands twice here. */
	struct index **layers;
	struct index *tree; /* the image index; owned */
	/* private: the bytes of indexes that the store could not keep; see image_layers.c */
	struct buf *layer_files;
	struct buf tree_file;
};

/* image_open - errors carry the class that decides the exit status. The store must outlive the
 * image. */
err_t image_open(struct store *store, const char *reference, const struct image_options *options,
		 struct image **out, struct diag *d) must_check;
/*
 * image_prepare - layer indexes and merged tree; may stream every layer once (minutes)
 * Layers are indexed side by side. Interrupted by source_interrupt. The first error is returned and
 * names its layer; the source is interrupted then, so only image_close makes sense afterwards. A
 * store that is full or read-only is no error: the indexes then live in memory.
 */
err_t image_prepare(struct image *image, struct diag *d) must_check;
void image_close(struct image **image);

/* Whether a layer's index is in the store already (opened and proved), without building it. */
bool image_layer_indexed(struct image *image, size_t layer);

/* image_layer_rebuild - the index of one layer, made again from its kept blob or its source, and
 * stored nowhere: for `imgfs index verify`, which compares. Appended to an empty buffer. */
err_t image_layer_rebuild(struct image *image, size_t layer, struct buf *index_file,
			  struct diag *d) must_check;

#endif
