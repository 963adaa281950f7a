/*
 * image_publish - write an image's indexes beside it, as one artifact (index/WIRE.md)
 */
#ifndef IMGFS_FETCH_IMAGE_PUBLISH_H
#define IMGFS_FETCH_IMAGE_PUBLISH_H

#include "fetch/image.h"
#include "index/wire.h"

/* One blob of the artifact. */
struct publish_part {
	size_t layer; /* number in the image; or one of the two below */
#define PUBLISH_TREE	SIZE_MAX
#define PUBLISH_PROFILE (SIZE_MAX - 1)
	struct digest digest; /* of the published form */
	uint64_t blob_size;   /* of the layer; for the tree: of all layers */
	struct wire_sizes
		sizes;	/* for the tree only total and head (of all layers), for a profile total */
	bool was_there; /* the registry had it */
	bool borrowed;	/* not packed here: another image's artifact had it */
};

struct publish_options {
	const struct signing_key *key; /* signs it; NULL: unsigned */
	uint64_t small_layer;	       /* layers smaller than this are not published */
	bool profile; /* publish the profile that the store has of this image, too */
	/* called after each part, for a report; may be NULL */
	void (*progress)(void *arg, const struct publish_part *part);
	void *arg;
};

/*
 * image_publish - of a prepared image, all of whose layer indexes are at hand
 * @to   where the artifact goes: the image's source, or a layout
 * @out  the digest of the artifact's manifest
 * Publishing the same again writes nothing new. Errors of source_blob_put, source_manifest_put;
 * -ENOTSUP for an image whose manifest is not in `to`'s form. Cost: zstd level 19 over the windows
 * and trees (10 s a gigabyte of layers).
 */
err_t image_publish(struct image *image, struct source *to, const struct publish_options *options,
		    struct digest *out, struct diag *d) must_check;

/*
 * image_fetch_form - a whole published form, appended to an empty buffer: from the store, else from
 * the source; its digest is checked
 * Errors of source_read. Not kept.
 */
err_t image_fetch_form(struct image *image, const struct artifact_layer *layer, struct buf *out,
		       struct diag *d) must_check;

/*
 * image_pull - bring the whole published index into the store: afterwards reads need nothing more
 * of it
 * @progress  as in publish_options
 * Every form is decoded and proved once; one that lies is -EBADMSG, and the index is rejected. What
 * the store can not keep is an error (ERR_STORE). Needs image->published.
 */
err_t image_pull(struct image *image, void (*progress)(void *arg, const struct publish_part *part),
		 void *arg, struct diag *d) must_check;

/*
 * image_borrow - take the layer indexes that another image's published index has, so that
 * image_prepare does not stream those layers
 * @base  opened with find_index; borrowed for the call
 * @least  what must vouch for it at the least: TRUST_SIGNED for what will be signed, or nobody
 * chose Only layers that the store has no proven index of are taken. They live in memory: the store
 * has proven ones alone. To be called before image_prepare. *n is increased by each layer taken.
 * -ENOENT (ERR_NOT_FOUND), -EACCES (ERR_DENIED): none, or not trusted enough.
 */
err_t image_borrow(struct image *image, struct image *base, enum trust_state least, size_t *n,
		   struct diag *d) must_check;

/*
 * image_borrow_around - image_borrow from images that are likely to have the layers: the base that
 * the manifest names (org.opencontainers.image.base.name), if it is in the same registry, and other
 * tags of the repository
 * @options  as for image_open of this image: how to reach them, and whom to trust
 * Only from indexes that a trusted key has signed. What can not be had is no error; the log says
 * why
 * (-v). Cost: nothing when no layer above SMALL_LAYER_DEFAULT lacks an index; else a few requests
 * for each of at most 16 images.
 */
void image_borrow_around(struct image *image, const struct image_options *options, size_t *n);

#endif
