/*
 * image_digests - the SHA-256 of any file's content, without reading it
 *
 * An index that was built here has the digests in the merged tree. With a published one, they are
 * part of its layers' forms, which nobody who mounts needs: they are fetched here, for the layers
 * that are asked about, two parts of each form with one request.
 */
#ifndef IMGFS_FETCH_IMAGE_DIGESTS_H
#define IMGFS_FETCH_IMAGE_DIGESTS_H

#include "fetch/image.h"

struct image_digests;

/* image_digests_new - of a prepared image, which must outlive it. */
struct image_digests *image_digests_new(struct image *image);
void image_digests_free(struct image_digests **d);

/*
 * image_digest_of - the digest of a regular file of the merged tree; NULL when it is not known:
 * sparse files have none, and a layer's may not be had
 * May fetch the digests of a layer, at its first file; a layer without a published index, which is
 * small then (SMALL_LAYER_DEFAULT), is fetched and indexed. One caller at a time.
 */
const uint8_t *image_digest_of(struct image_digests *d, uint32_t row);

/* image_digests_failed - why digests of a layer could not be had, the first time; false: all could.
 */
bool image_digests_failed(const struct image_digests *d, struct diag *why);

#endif
