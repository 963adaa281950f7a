/*
 * image_profile - the profile of an image: of the store, or published beside it
 *
 * A profile is kept under the image's own digest and under its repository, so that the next release
 * starts with what the last one has taught. Text: index/profile.h.
 */
#ifndef IMGFS_FETCH_IMAGE_PROFILE_H
#define IMGFS_FETCH_IMAGE_PROFILE_H

#include "fetch/image.h"
#include "index/profile.h"

/* Whose a profile is, the best first. */
enum profile_origin {
	PROFILE_OWN,	   /* recorded or set here for this image */
	PROFILE_PUBLISHED, /* published with the index in use */
	PROFILE_SIBLING,   /* of another image of the repository */
};
/* profile_origin_name - "own", "published", "sibling". */
const char *profile_origin_name(enum profile_origin o);

/*
 * image_profile_get - the text of the best profile there is, appended to an empty buffer
 * @own_only  only PROFILE_OWN
 * A published one is fetched once (unless the image is offline) and kept as the image's own.
 * -ENOENT: there is none, or it can not be had (the log says why); -ENOMEM.
 */
err_t image_profile_get(struct image *image, bool own_only, struct buf *text,
			enum profile_origin *origin) must_check;
/* image_profile_put - keep a text for the image and its repository; -errno of the store,
 * -E2BIG. */
err_t image_profile_put(struct image *image, struct bytes text) must_check;
/* image_profile_drop - forget both. */
void image_profile_drop(struct image *image);

/* image_profile_forget - what the store keeps for the image of this manifest alone; its repository
 * keeps its own. */
void image_profile_forget(struct store *s, const struct digest *manifest);

#endif
