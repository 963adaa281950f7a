/*
 * Published forms as a whole: fetched, compared with their digests, and kept.
 */
#include "fetch/image_priv.h"
#include "fetch/image_profile.h"
#include "fetch/image_publish.h"
#include "fetch/log.h"

#include <string.h>

err_t image_fetch_part(struct image *image, const struct descriptor *part, const char *what,
		       int64_t deadline_ms, struct buf *out, struct diag *d)
{
	struct digest found;
	if (!image_may_fetch(image))
		return fail(d, ERR_NOT_FOUND, -ENOENT, "%s is not in the store", what);
	if (part->size == 0)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "%s has no bytes", what);
	err_t err = buf_reserve(out, part->size);
	if (err)
		return fail_sys(d, ERR_OTHER, err, "%s", what);
	err = source_read_range(image->source, &part->digest, part->size, 0, part->size,
				deadline_ms, out->p, d);
	if (err)
		return err;
	out->n = part->size;
	digest_of(part->digest.alg, out->p, out->n, &found);
	return digest_equal(&found, &part->digest)
		       ? 0
		       : fail(d, ERR_INTEGRITY, -EBADMSG,
			      "the bytes of %s do not match their digest", what);
}

err_t image_fetch_form(struct image *image, const struct artifact_layer *layer, struct buf *out,
		       struct diag *d)
{
	const struct descriptor *form = &layer->form;
	if (!store_form_read(image->store, &form->digest, form->size, out))
		return 0;
	return image_fetch_part(image, form, "a published index", INT64_MAX, out, d);
}

/* The lowest layer of the image with this blob. */
static size_t number_of(const struct image *image, const struct digest *blob)
{
	size_t i = 0;
	while (!digest_equal(&image->manifest.layers[i].desc.digest, blob))
		i++;
	return i;
}

static err_t check_form(const struct image *image, size_t number, struct bytes form, struct diag *d)
{
	auto_buf struct buf file = {0};
	struct index *ix = NULL;
	err_t err = wire_layer_decode(form, &file, d);
	if (!err)
		err = index_open_bytes(buf_bytes(&file), &ix, d);
	if (!err && !image_index_agrees(ix, &image->manifest.layers[number]))
		err = fail(d, ERR_INTEGRITY, -EBADMSG, "it is the index of another layer");
	index_close(&ix);
	return err;
}

static err_t pull_layer(struct image *image, const struct artifact_layer *layer,
			struct publish_part *part, struct diag *d)
{
	auto_buf struct buf form = {0};
	part->layer = number_of(image, &layer->layer);
	part->digest = layer->form.digest;
	part->blob_size = image->manifest.layers[part->layer].desc.size;
	part->was_there =
		!store_form_read(image->store, &layer->form.digest, layer->form.size, &form);
	buf_fini(&form);
	err_t err = image_fetch_form(image, layer, &form, d);
	/* What came and does not match its digest is the source's fault, not the publisher's. */
	if (!err && (err = check_form(image, part->layer, buf_bytes(&form), d)) == -EBADMSG)
		image_reject_index(image);
	if (!err)
		err = wire_layer_sizes(buf_bytes(&form), &part->sizes, d);
	if (err) {
		diag_prepend(d, "the published index of layer %zu", part->layer);
		return err;
	}
	if (!part->was_there)
		err = store_form_write(image->store, &layer->form.digest, buf_bytes(&form));
	return err ? fail_sys(d, ERR_STORE, err, "keep the published index of layer %zu",
			      part->layer)
		   : 0;
}

static void tree_part(const struct image *image, struct publish_part *part)
{
	struct index_layer_head head;
	*part = (struct publish_part){.layer = PUBLISH_TREE, .digest = image->artifact.tree.digest};
	part->sizes.total = image->artifact.tree.size;
	for (uint32_t i = 0; i < image->manifest.n_layers; i++) {
		part->blob_size += image->manifest.layers[i].desc.size;
		if (index_layer_head(image->tree, i, &head))
			part->sizes.head += head.head.n;
	}
	part->sizes.tree = part->sizes.total - min_of(part->sizes.head, part->sizes.total);
}

/* Advice: without it nothing is missing. */
static void pull_profile(struct image *image)
{
	auto_buf struct buf text = {0};
	enum profile_origin origin;
	if (image_profile_get(image, false, &text, &origin))
		log_debug("profile.none", "published=%d", image->artifact.profile.digest.alg != 0);
}

err_t image_pull(struct image *image, void (*progress)(void *arg, const struct publish_part *part),
		 void *arg, struct diag *d)
{
	struct publish_part part;
	BUG_ON(!image->published);
	bool had_tree = store_published_index_there(image->store, &image->artifact_digest);
	err_t err = image_use_index(image, d);
	if (!err && !image->published)
		err = fail(d, ERR_INTEGRITY, -EBADMSG,
			   "the published index can not be used (-v says why)");
	for (size_t i = 0; i < image->artifact.n_layers && !err; i++) {
		part = (struct publish_part){0};
		err = pull_layer(image, &image->artifact.layers[i], &part, d);
		if (!err && progress)
			progress(arg, &part);
	}
	if (!err)
		pull_profile(image);
	if (!err && progress) {
		tree_part(image, &part);
		part.was_there = had_tree;
		progress(arg, &part);
	}
	return err;
}
