/*
 * image - from a reference to a merged tree that can be read
 *
 * image_open resolves and verifies manifest and config. image_prepare gives every layer its index
 * (from the store, else by streaming the blob once) and the merged tree. After that no name,
 * attribute or target needs the network.
 */
#ifndef IMGFS_FETCH_IMAGE_H
#define IMGFS_FETCH_IMAGE_H

#include "fetch/manifest_artifact.h"
#include "fetch/progress.h"
#include "fetch/registry.h"
#include "fetch/store.h"
#include "fetch/trust.h"

/* A layer whose blob is no larger needs no published index: it is fetched whole at the first touch
 * and indexed here. */
#define SMALL_LAYER_DEFAULT (UINT64_C(1) << 20)

/* What a layer's reads rest on. */
enum layer_state {
	LAYER_UNINDEXED, /* no index yet */
	LAYER_HINT,	 /* a published index: see enum trust_state */
	LAYER_SIGNED,
	LAYER_BOUND,
	LAYER_PROVEN,	 /* an index built or proven here */
	LAYER_DISPROVED, /* its published index has lied: reads fail */
};
/* layer_state_name - "unindexed", "hint", "signed", "bound", "proven", "disproved". */
const char *layer_state_name(enum layer_state s);

struct image_options {
	const char *platform; /* --platform; NULL: this machine's */
	struct registry_options registry;
	uint32_t chunk_target;	/* for indexes that have to be built; 0: default */
	unsigned index_threads; /* layers indexed side by side; 0: one a processor, 4 at the most */
	bool offline;		/* only what the store has */
	bool find_index;	/* use a published index where the store has none proven */
	bool find_always;	/* look for one even where the store has */
	bool ignore_named; /* do not take a manifest's word for it: who chose the manifest may have
			      chosen the index */
	bool lazy_layers;  /* with a tree at hand, leave out layer indexes that the store has: who
			      reads of a layer opens its index then (image_index_layer) */
	struct trust_options trust; /* which one */
	uint64_t small_layer;	    /* bytes; 0: SMALL_LAYER_DEFAULT */
	/* Told of the bytes of layers that are streamed, a row a layer. Borrowed: it must be there
	 * for as long as it is set here. NULL: nobody watches. */
	struct progress *progress;
};

struct image {
	struct ref ref;
	struct digest digest;	  /* of the platform's manifest */
	struct digest top_digest; /* of what the reference named (the image index, or the same) */
	uint64_t manifest_size;
	char manifest_type[128]; /* media type; "" when nobody says */
	struct manifest manifest;
	struct image_config config;
	struct source *source; /* owned */
	struct store *store;   /* borrowed */
	struct image_options options;
	/* The published index that will be or is used, if `published`. */
	bool published;
	enum trust_state trusted; /* what vouches for it */
	struct digest artifact_digest;
	struct artifact artifact;
	/* after image_prepare */
	/* Layer indexes, bottom first, in the manifest's order; owned. A blob that is listed twice
	 * has one index, which stands twice here. NULL: the layer is read by its published index,
	 * or is small and will be indexed at its first touch. */
	struct index **layers;
	struct index *tree; /* the image index; owned */
	/* private: the digest that a verified manifest names (image_resolve.c), the user's choices,
	 * and the bytes of indexes that the store could not keep (image_layers.c) */
	int use_fd; /* as long as it is open, nobody removes the image from the store; -1: none */
	struct digest named_artifact;
	struct digest untrusted; /* a published index that nothing vouched for; or unset */
	struct trust *trust;
	struct buf *layer_files;
	struct buf *borrowed; /* by layer: the published form its index was taken from, or empty */
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

/* image_peek_tree - fill image->tree only if the store has it: nothing is fetched, streamed or
 * merged. -ENOENT otherwise. In the place of image_prepare. */
err_t image_peek_tree(struct image *image) must_check;

/* Whether a layer's index is in the store already (opened and proved), without building it. */
bool image_layer_indexed(struct image *image, size_t layer);

/*
 * image_index_layer - the index of a layer for which image_prepare left NULL, from its blob
 * Kept in the store, or in memory; *out is the image's. Errors of indexer_run. One caller a layer
 * at a time. Cost: fetches the whole layer.
 */
err_t image_index_layer(struct image *image, size_t layer, const struct index **out,
			struct diag *d) must_check;

/* image_layer_state - LAYER_PROVEN for a layer whose index is the store's or image->layers', else
 * what its published index is worth. */
enum layer_state image_layer_state(struct image *image, size_t layer);

/* image_tree_path - the file that the merged tree is mapped from; NULL: it lives in memory, or is
 * not there yet. The caller frees. */
char *image_tree_path(const struct image *image);

/* image_layer_stored - what the store has of a layer's bytes, decoded by its index or by the
 * published one that would be used. */
void image_layer_stored(struct image *image, size_t layer, struct layer_stored *out);
/* image_tree_indexed - whether the merged tree is in the store. */
bool image_tree_indexed(struct image *image);
/* image_document - the exact bytes of the manifest or the config, by its digest, as the store has
 * them; -ENOENT (ERR_STORE) where it could not keep them. *out needs document_fini on success. */
err_t image_document(struct image *image, const struct digest *digest, struct document *out,
		     struct diag *d) must_check;

/* image_use_index - fill image->tree by the published index, alone; part of image_prepare. Clears
 * image->published, with a word in the log, where that does not work. -ECANCELED only. */
err_t image_use_index(struct image *image, struct diag *d) must_check;

/* image_reject_index - the published index in use has lied: it is forgotten, and not used again.
 * What is open goes on as it is. Nothing happens where no published index is in use. */
void image_reject_index(struct image *image);

/* image_layer_rebuild - the index of one layer, made again from its kept blob or its source, and
 * stored nowhere: for `imgfs index verify`, which compares. Appended to an empty buffer. */
err_t image_layer_rebuild(struct image *image, size_t layer, struct buf *index_file,
			  struct diag *d) must_check;

#endif
