/*
 * What the store has of an image that was opened: documents, the merged tree, and the bytes of its
 * layers. Nothing is fetched, and nothing is read that has to be verified.
 */
#include "fetch/image.h"
#include "index/merge.h"

static const struct digest *form_of(const struct image *image, const struct digest *blob)
{
	for (size_t i = 0; image->published && i < image->artifact.n_layers; i++)
		if (digest_equal(&image->artifact.layers[i].layer, blob))
			return &image->artifact.layers[i].form.digest;
	return NULL;
}

void image_layer_stored(struct image *image, size_t layer, struct layer_stored *out)
{
	const struct descriptor *desc = &image->manifest.layers[layer].desc;
	store_layer_stored(image->store, &desc->digest, desc->size, form_of(image, &desc->digest),
			   out);
}

bool image_tree_indexed(struct image *image)
{
	size_t n = image->manifest.n_layers;
	struct digest key;
	auto_free struct digest *blobs = try_array(n, sizeof(*blobs), MANIFEST_LAYERS_MAX);
	if (!blobs)
		return false;
	for (size_t i = 0; i < n; i++)
		blobs[i] = image->manifest.layers[i].desc.digest;
	image_key_of(blobs, n, &key);
	return store_index_there(image->store, INDEX_IMAGE, &key);
}

err_t image_document(struct image *image, const struct digest *digest, struct document *out,
		     struct diag *d)
{
	char text[DIGEST_TEXT_MAX];
	*out = (struct document){0};
	err_t err = store_document_get(image->store, digest, out);
	if (err)
		return fail(d, ERR_STORE, -ENOENT, "%s could not be kept in the store",
			    digest_text(digest, text));
	return 0;
}
