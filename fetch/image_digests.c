/*
 * A layer's digests come from the first of these that has them: its own index, opened or in the
 * store; the store's copy of its published form; that form at the source; the layer itself, if it
 * is small. A layer that failed is not tried again.
 */
#include "fetch/image_digests.h"

#include "fetch/image_priv.h"
#include "fetch/log.h"
#include "index/wire_files.h"

#include <string.h>
#include <unistd.h>

#define FETCH_MS	  30000
#define FETCH_BYTES_PER_S (128u << 10)

struct layer_files {
	bool tried;
	struct wire_file *files;
	size_t n;
};

struct image_digests {
	struct image *image;
	struct layer_files *layers;
	uint8_t empty[SHA256_LEN]; /* of no bytes */
	bool failed;
	struct diag why;
};

struct image_digests *image_digests_new(struct image *image)
{
	struct image_digests *d = new_of(struct image_digests);
	d->image = image;
	d->layers = xcalloc(image->manifest.n_layers + 1, sizeof(*d->layers));
	sha256_of(NULL, 0, d->empty);
	return d;
}

void image_digests_free(struct image_digests **dp)
{
	struct image_digests *d = *dp;
	if (!d)
		return;
	for (size_t i = 0; i < d->image->manifest.n_layers; i++)
		free(d->layers[i].files);
	free(d->layers);
	free(d);
	*dp = NULL;
}

/* --- from an index --- */

/* -ENOENT: the store has none. */
static err_t from_index(struct image_digests *d, size_t layer, struct layer_files *out)
{
	struct image *image = d->image;
	const struct layer_desc *desc = &image->manifest.layers[layer];
	struct index *ix = NULL;
	if (image->layers && image->layers[layer])
		return wire_files_of_index(image->layers[layer], &out->files, &out->n);
	err_t err = store_index_get(image->store, INDEX_LAYER, &desc->desc.digest, &ix);
	if (err)
		return -ENOENT;
	err = image_index_agrees(ix, desc) ? wire_files_of_index(ix, &out->files, &out->n)
					   : -ENOENT;
	index_close(&ix);
	return err;
}

/* --- from a published form --- */

static err_t decode(const struct wire_head *h, const uint8_t *parts, size_t len,
		    struct layer_files *out, struct diag *why)
{
	return wire_files_decode(h, (struct bytes){parts, len}, &out->files, &out->n, why);
}

/* The two parts at the end of a form: from the store's copy, or from the source into it. */
static err_t get_parts(struct image *image, const struct index_layer_head *at,
		       const struct wire_head *h, struct layer_files *out, struct diag *why)
{
	size_t len = (size_t)(h->tree.len + h->digests.len);
	auto_free uint8_t *parts = try_array(len, 1, WIRE_FORM_MAX);
	if (!parts)
		return fail_sys(why, ERR_OTHER, -ENOMEM, "published index");
	auto_fd int copy = store_form_open(image->store, &at->form, at->form_len);
	if (copy >= 0 && read_at(copy, parts, len, h->tree.off) == 0 &&
	    decode(h, parts, len, out, NULL) == 0)
		return 0;
	if (!image_may_fetch(image))
		return fail(why, ERR_NOT_FOUND, -ENOENT, "they are not in the store");
	int64_t deadline_ms = now_ms() + FETCH_MS + (int64_t)(len * 1000 / FETCH_BYTES_PER_S);
	err_t err = source_read_range(image->source, &at->form, at->form_len, h->tree.off, len,
				      deadline_ms, parts, why);
	if (!err)
		err = decode(h, parts, len, out, why);
	if (!err && copy >= 0 && write_at(copy, parts, len, h->tree.off))
		log_info("store.form_not_kept", "bytes=%zu", len);
	return err;
}

static err_t from_form(struct image_digests *d, size_t layer, struct layer_files *out,
		       struct diag *why)
{
	struct index_layer_head at;
	struct wire_head *h = NULL;
	if (!index_layer_head(d->image->tree, (uint32_t)layer, &at))
		return -ENOENT;
	err_t err = wire_head_parse(at.head, &h, why);
	if (!err)
		err = get_parts(d->image, &at, h, out, why);
	wire_head_free(&h);
	return err;
}

/* --- any --- */

static err_t load(struct image_digests *d, size_t layer, struct layer_files *out, struct diag *why)
{
	const struct index *ix;
	err_t err = from_index(d, layer, out);
	if (err == -ENOENT)
		err = from_form(d, layer, out, why);
	if (err != -ENOENT)
		return err;
	if (d->image->manifest.layers[layer].desc.size > SMALL_LAYER_DEFAULT)
		return fail(why, ERR_NOT_FOUND, err, "nobody has published them");
	image_rooms_make(d->image);
	err = image_index_layer(d->image, layer, &ix, why);
	return err ? err : wire_files_of_index(ix, &out->files, &out->n);
}

static const struct layer_files *layer_of(struct image_digests *d, uint32_t layer)
{
	size_t first = manifest_first(&d->image->manifest, layer);
	struct layer_files *l = &d->layers[first];
	struct diag why = DIAG_INIT;
	if (l->tried)
		return l;
	l->tried = true;
	err_t err = load(d, first, l, &why);
	if (err && !why.text[0])
		(void)fail_sys(&why, ERR_OTHER, err, "read the index");
	if (err && !d->failed) {
		diag_prepend(&why, "the digests of layer %zu's files", first);
		d->failed = true;
		d->why = why;
	}
	return l;
}

const uint8_t *image_digest_of(struct image_digests *d, uint32_t row)
{
	struct inode inode;
	struct extent run;
	const struct index *tree = d->image->tree;
	const uint8_t *known = index_file_digest(tree, row);
	if (known)
		return known;
	index_inode(tree, row, &inode);
	if (inode.size == 0)
		return d->empty;
	if (inode.flags & INODE_SPARSE)
		return NULL;
	index_extent(tree, row, 0, &run);
	const struct layer_files *l = layer_of(d, run.layer);
	const struct wire_file *file = wire_file_at(l->files, l->n, run.stream_off);
	return file && file->size == inode.size ? file->sha256 : NULL;
}

bool image_digests_failed(const struct image_digests *d, struct diag *why)
{
	if (d->failed)
		*why = d->why;
	return d->failed;
}
