/*
 * What of a store is needed, and how the rest goes. Names go before what they name, manifests
 * before layers: who dies in between leaves something that no image needs, which the next
 * `imgfs store gc` finds.
 */
#include "fetch/catalog.h"

#include "fetch/store_priv.h"

#include <stdio.h>
#include <string.h>

/* --- what is needed --- */

static void mark(struct catalog *c, const struct catalog_image *image, enum catalog_kind kind,
		 const struct digest *digest)
{
	struct catalog_item *item = catalog_find(c, kind, digest);
	if (!item)
		return;
	*(image->keep ? &item->needed : &item->dropped) = true;
	item->in_use |= image->in_use;
	item->used = max_of(item->used, image->used);
}

static void mark_image(struct catalog *c, const struct catalog_image *image)
{
	mark(c, image, CATALOG_DOCUMENT, &image->digest);
	mark(c, image, CATALOG_DOCUMENT, &image->config);
	mark(c, image, CATALOG_TREE, &image->key);
	mark(c, image, CATALOG_USE, &image->digest);
	for (size_t i = 0; i < image->n_names; i++)
		mark(c, image, CATALOG_DOCUMENT, &image->tops[i]);
	for (size_t i = 0; i < image->n_layers; i++)
		mark(c, image, CATALOG_LAYER, &image->layers[i].digest);
	for (size_t i = 0; i < image->n_artifacts; i++) {
		mark(c, image, CATALOG_DOCUMENT, &image->artifacts[i]);
		mark(c, image, CATALOG_PUBLISHED, &image->artifacts[i]);
	}
}

static const struct catalog_image *image_named(const struct catalog *c, const char *text, bool kept)
{
	for (size_t i = 0; i < c->n_images; i++)
		for (size_t k = 0; k < c->images[i].n_names; k++)
			if (c->images[i].keep == kept && !strcmp(c->images[i].names[k], text))
				return &c->images[i];
	return NULL;
}

/* "index-of DIGEST" of a manifest. */
static const struct catalog_image *image_of_note(const struct catalog *c, const char *text)
{
	char digest[DIGEST_TEXT_MAX];
	for (size_t i = 0; i < c->n_images; i++)
		if (!strcmp(text + strlen("index-of "), digest_text(&c->images[i].digest, digest)))
			return &c->images[i];
	return NULL;
}

static void mark_tag(const struct catalog *c, struct catalog_item *tag)
{
	if (!strncmp(tag->text, "rejected-index ", 15)) {
		tag->needed = true; /* what has lied once is not to be believed again */
		return;
	}
	if (catalog_tag_is_note(tag->text)) {
		const struct catalog_image *image = image_of_note(c, tag->text);
		tag->needed = image && image->keep;
		tag->dropped = image && !image->keep;
		return;
	}
	tag->needed = image_named(c, tag->text, true) != NULL;
	tag->dropped = image_named(c, tag->text, false) != NULL;
}

void catalog_mark(struct catalog *c)
{
	for (size_t i = 0; i < c->n_items; i++) {
		c->items[i].needed = c->items[i].dropped = false;
		c->items[i].used = 0;
	}
	for (size_t i = 0; i < c->n_images; i++)
		mark_image(c, &c->images[i]);
	for (size_t i = 0; i < c->n_items; i++)
		if (c->items[i].kind == CATALOG_TAG)
			mark_tag(c, &c->items[i]);
}

/* --- removing --- */

static void parent_of(const struct catalog_item *item, char out[STORE_PATH_MAX])
{
	static const char *const dirs[] = {
		[CATALOG_DOCUMENT] = "documents", [CATALOG_LAYER] = "layers",
		[CATALOG_TREE] = "images",	  [CATALOG_PUBLISHED] = "published",
		[CATALOG_USE] = "uses",		  [CATALOG_TAG] = "tags",
	};
	bool by_alg = item->kind == CATALOG_DOCUMENT || item->kind == CATALOG_LAYER ||
		      item->kind == CATALOG_USE;
	snprintf(out, STORE_PATH_MAX, "%s%s%s", dirs[item->kind], by_alg ? "/" : "",
		 by_alg ? digest_alg_name(item->digest.alg) : "");
}

err_t catalog_remove(struct catalog *c, const struct catalog_item *item, bool bytes_only)
{
	char parent[STORE_PATH_MAX], hex[DIGEST_TEXT_MAX];
	parent_of(item, parent);
	digest_hex(&item->digest, hex);
	if (item->kind == CATALOG_LAYER || item->kind == CATALOG_TREE ||
	    item->kind == CATALOG_PUBLISHED)
		return store_dir_remove(c->store, parent, hex, bytes_only);
	BUG_ON(bytes_only);
	store_remove(c->store, parent, hex);
	return 0;
}
