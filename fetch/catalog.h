/*
 * catalog - what a store holds, as images: for `imgfs store`
 *
 * A catalog is a picture of one moment, made without locks; other processes go on. It says which
 * files which image needs; what is removed by it is looked at again, under the locks that openers
 * take (fetch/STORE.md, S16).
 */
#ifndef IMGFS_FETCH_CATALOG_H
#define IMGFS_FETCH_CATALOG_H

#include "fetch/store.h"

/* An image that is younger is in the making: nothing of it is taken for left over. */
#define CATALOG_GRACE_S 60

enum catalog_kind {
	CATALOG_DOCUMENT,  /* documents/ALG/HEX */
	CATALOG_LAYER,	   /* layers/ALG/HEX/ */
	CATALOG_TREE,	   /* images/HEX/ */
	CATALOG_PUBLISHED, /* published/HEX/ */
	CATALOG_USE,	   /* uses/ALG/HEX */
	CATALOG_TAG,	   /* tags/HEX; the digest is that of the file's name */
};

/* One file or directory of the store. */
struct catalog_item {
	enum catalog_kind kind;
	struct digest digest;
	uint64_t disk;	/* bytes allocated */
	uint64_t bytes; /* of which chunks and kept blobs */
	int64_t time;	/* of the last change */
	/* CATALOG_TAG */
	char *text; /* owned */
	struct digest target;
	/* CATALOG_LAYER, CATALOG_PUBLISHED */
	bool has_index, has_blob, has_rotten;
	uint64_t blob_size; /* of the kept blob */
	uint32_t n_chunks, n_stored;
	bool in_use; /* some process has its chunks open, or (after catalog_mark) the image */
	/* set by catalog_mark */
	bool needed, dropped;
	int64_t used; /* the last use of an image that needs it */
	bool gone;    /* the caller's: removed */
};

struct catalog_layer {
	struct digest digest;
	uint64_t size;				    /* of the blob */
	const struct catalog_item *own, *published; /* where its bytes are; or NULL */
	bool whole;				    /* every byte can be read without a source */
};

struct catalog_image {
	struct digest digest; /* of the manifest */
	struct digest config, key;
	char **names; /* sorted; the tags' */
	size_t n_names;
	struct digest *tops; /* documents that the names lead to */
	struct digest *artifacts;
	size_t n_artifacts;
	struct catalog_layer *layers; /* in the manifest's order */
	size_t n_layers;
	int64_t used; /* seconds since 1970 */
	bool in_use;
	bool young;    /* see CATALOG_GRACE_S */
	bool complete; /* can be mounted and read with --offline */
	uint64_t disk; /* of its layers and trees, each counted once */
	bool keep;     /* set by the caller before catalog_mark; true at first */
};

struct catalog {
	struct store *store;	    /* borrowed */
	struct catalog_item *items; /* sorted by kind and digest */
	size_t n_items;
	struct catalog_image *images; /* sorted by the first name, those without one last */
	size_t n_images;
};

/* catalog_load - *out needs catalog_fini on success only. Cost: reads every document. */
err_t catalog_load(struct store *s, struct catalog *out, struct diag *d) must_check;
void catalog_fini(struct catalog *c);

/* catalog_find - an item by kind and digest; NULL. */
struct catalog_item *catalog_find(const struct catalog *c, enum catalog_kind kind,
				  const struct digest *digest);

/* catalog_tag_is_note - whether a tag's text is no reference, but a note of imgfs about published
 * indexes (fetch/STORE.md, "A tag"). */
bool catalog_tag_is_note(const char *text);

/* catalog_mark - what images with `keep` need is `needed`; what the others would need is
 * `dropped`, unless it is needed. Items that are neither belong to no image. */
void catalog_mark(struct catalog *c);

/*
 * catalog_remove - remove an item from the store
 * @bytes_only  of a layer or published index: the chunks and the kept blob, not the index
 * 0, -EBUSY when a process has its chunks open, -errno. An item that is gone already is 0.
 */
err_t catalog_remove(struct catalog *c, const struct catalog_item *item,
		     bool bytes_only) must_check;

#endif
