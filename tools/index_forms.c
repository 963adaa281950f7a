/*
 * Sizes of published forms. A proven index of the store is packed as `imgfs index push` would pack
 * it, which says exactly what it would take; without one the heads of the published index tell.
 */
#include "tools/index_forms.h"

#include "tools/cmd_index_priv.h"

struct loading {
	struct image *image;
	struct forms *forms;
	struct buf *packed;		/* by layer */
	struct index_layer_head *heads; /* by layer, into packed or the published tree */
	bool all_packed;
};

static err_t pack_layer(struct loading *l, size_t layer, const struct index *ix, struct diag *d)
{
	struct form *form = &l->forms->layers[layer];
	struct buf *packed = &l->packed[layer];
	err_t err = wire_layer_encode(ix, packed, d);
	if (!err)
		err = wire_layer_sizes(buf_bytes(packed), &form->sizes, d);
	if (err)
		return err;
	digest_of(DIGEST_SHA256, packed->p, packed->n, &form->digest);
	l->heads[layer] = (struct index_layer_head){
		.form = form->digest,
		.form_len = packed->n,
		.head = {packed->p, form->sizes.head},
	};
	return 0;
}

/* What the published tree says of a layer; nothing where it names none. */
static void told_layer(struct loading *l, size_t layer)
{
	struct form *form = &l->forms->layers[layer];
	struct index_layer_head at;
	struct wire_head *head;
	struct diag unused = DIAG_INIT;
	l->all_packed = false;
	if (!l->image->tree || !index_layer_head(l->image->tree, (uint32_t)layer, &at) ||
	    wire_head_parse(at.head, &head, &unused))
		return;
	form->digest = at.form;
	form->groups_only = true;
	form->sizes = (struct wire_sizes){
		.head = head->head_len,
		.tree = head->tree.len,
		.digests = head->digests.len,
		.total = head->form_len,
		.rows = head->form_len - head->head_len - head->tree.len - head->digests.len,
	};
	wire_head_free(&head);
}

static err_t load_layer(struct loading *l, size_t layer, struct diag *d)
{
	const struct descriptor *desc = &l->image->manifest.layers[layer].desc;
	struct index *ix = NULL;
	err_t err = 0;
	if (manifest_first(&l->image->manifest, layer) != layer)
		return 0;
	l->forms->blobs += desc->size;
	struct index_layer_head head;
	bool published = l->image->tree && index_layer_head(l->image->tree, (uint32_t)layer, &head);
	if (desc->size < SMALL_LAYER_DEFAULT && !published)
		return 0;
	if (index_layer_of_store(l->image, layer, &ix))
		told_layer(l, layer);
	else
		err = pack_layer(l, layer, ix, d);
	index_close(&ix);
	l->forms->total += l->forms->layers[layer].sizes.total;
	return err;
}

static err_t load_tree(struct loading *l, struct diag *d)
{
	struct form *form = &l->forms->tree;
	struct index *tree = NULL;
	auto_buf struct buf packed = {0};
	err_t err = 0;
	form->is_tree = true;
	if (l->all_packed && !index_image_of_store(l->image, &tree)) {
		err = wire_image_encode(tree, l->heads, &packed, d);
		digest_of(DIGEST_SHA256, packed.p, packed.n, &form->digest);
		form->sizes.total = packed.n;
	} else if (l->image->published) {
		form->digest = l->image->artifact.tree.digest;
		form->sizes.total = l->image->artifact.tree.size;
	}
	index_close(&tree);
	for (size_t i = 0; i < l->image->manifest.n_layers; i++)
		form->sizes.head += l->forms->layers[i].sizes.head;
	form->sizes.tree = form->sizes.total - min_of(form->sizes.head, form->sizes.total);
	l->forms->total += form->sizes.total;
	return err;
}

err_t forms_load(struct image *image, struct forms *out, struct diag *d)
{
	size_t n = image->manifest.n_layers;
	struct loading l = {.image = image, .forms = out, .all_packed = true};
	*out = (struct forms){.layers = xcalloc(n + 1, sizeof(*out->layers))};
	l.packed = xcalloc(n + 1, sizeof(*l.packed));
	l.heads = xcalloc(n + 1, sizeof(*l.heads));
	err_t err = image->published ? image_use_index(image, d) : 0;
	for (size_t i = 0; i < n && !err; i++)
		err = load_layer(&l, i, d);
	if (!err)
		err = load_tree(&l, d);
	for (size_t i = 0; i < n; i++)
		buf_fini(&l.packed[i]);
	free(l.packed);
	free(l.heads);
	return err;
}

void forms_fini(struct forms *forms)
{
	free(forms->layers);
	*forms = (struct forms){0};
}
