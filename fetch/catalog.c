/*
 * A store as images. Directories are listed before documents, and documents before tags: what is
 * written by somebody else in the meantime comes in the other order, so nothing that a manifest of
 * the catalog needs can be missing in its eyes, and a layer that was listed without a manifest had
 * none when it was listed.
 */
#include "fetch/catalog.h"

#include "fetch/manifest_artifact.h"
#include "fetch/manifest_priv.h"
#include "fetch/store_priv.h"
#include "index/merge.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LIST_MAX  100000 /* more items than any store has */
#define DEPTH_MAX 4	 /* image indexes within image indexes */

/* An image index, or an artifact: what leads to images. */
struct lead {
	struct digest digest;
	struct digest *to;
	struct digest *layers; /* of an artifact: which layer each of `to` is about */
	size_t n;
};

struct loading {
	struct catalog *c;
	size_t items_cap, images_cap;
	struct lead *indexes; /* image indexes, to their entries */
	size_t n_indexes, indexes_cap;
	struct lead *artifacts; /* to the manifest they are for */
	size_t n_artifacts, artifacts_cap;
	const char *alg; /* of the directory that is listed */
	enum catalog_kind kind;
	bool no_memory;
};

/* --- items --- */

static bool digest_of_name(const char *alg, const char *name, struct digest *out)
{
	char text[DIGEST_TEXT_MAX + 16];
	if (strlen(name) >= DIGEST_TEXT_MAX)
		return false;
	snprintf(text, sizeof(text), "%s:%s", alg, name);
	return digest_parse(BYTES_STR(text), out, NULL) == 0;
}

static struct catalog_item *add_item(struct loading *l, const char *name)
{
	struct catalog *c = l->c;
	struct digest digest;
	if (!digest_of_name(l->alg, name, &digest) || c->n_items == LIST_MAX)
		return NULL;
	if (!try_grow(&c->items, c->n_items, &l->items_cap, sizeof(*c->items))) {
		l->no_memory = true;
		return NULL;
	}
	c->items[c->n_items] = (struct catalog_item){.kind = l->kind, .digest = digest};
	return &c->items[c->n_items++];
}

static void look_at_file(struct catalog_item *item, int dir_fd, const char *name)
{
	struct stat st;
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return;
	item->disk += (uint64_t)st.st_blocks * 512;
	item->time = max_of(item->time, (int64_t)st.st_mtim.tv_sec);
	if (!strcmp(name, "index"))
		item->has_index = true;
	else if (!strcmp(name, "index.rotten"))
		item->has_rotten = true;
	else if (!strcmp(name, "data") || !strcmp(name, "map") || !strcmp(name, "blob"))
		item->bytes += (uint64_t)st.st_blocks * 512;
	if (!strcmp(name, "blob")) {
		item->has_blob = true;
		item->blob_size = (uint64_t)st.st_size;
	}
}

static void add_dir(void *arg, int dir_fd, const char *name)
{
	static const char *const files[] = {"index", "index.rotten", "form", "data", "map", "blob"};
	struct loading *l = arg;
	struct catalog_item *item = add_item(l, name);
	auto_fd int fd =
		item ? openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		look_at_file(item, fd, files[i]);
	(void)!store_map_counts(fd, &item->n_chunks, &item->n_stored);
	auto_fd int data = store_open_file(fd, "data", O_RDONLY);
	item->in_use = data >= 0 && flock(data, LOCK_EX | LOCK_NB) < 0;
}

static void add_file(void *arg, int dir_fd, const char *name)
{
	struct catalog_item *item = add_item(arg, name);
	if (item)
		look_at_file(item, dir_fd, name);
}

static void add_tag(void *arg, int dir_fd, const char *name)
{
	struct loading *l = arg;
	struct catalog_item *item = add_item(l, name);
	if (!item)
		return;
	look_at_file(item, dir_fd, name);
	if (store_tag_read(l->c->store, name, &item->target, &item->text))
		l->c->n_items--;
}

static void list(struct loading *l, enum catalog_kind kind, const char *dir, bool by_alg,
		 store_name_fn each)
{
	static const char *const algs[] = {"sha256", "sha512"};
	l->kind = kind;
	for (size_t i = 0; i < (by_alg ? ARRAY_LEN(algs) : 1); i++) {
		char path[STORE_PATH_MAX];
		snprintf(path, sizeof(path), by_alg ? "%s/%s" : "%s", dir, algs[i]);
		l->alg = algs[i];
		store_list(l->c->store, path, each, l);
	}
}

static int by_kind_and_digest(const void *a, const void *b)
{
	const struct catalog_item *x = a, *y = b;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return memcmp(&x->digest, &y->digest, sizeof(x->digest));
}

struct catalog_item *catalog_find(const struct catalog *c, enum catalog_kind kind,
				  const struct digest *digest)
{
	const struct catalog_item key = {.kind = kind, .digest = *digest};
	return c->n_items ? bsearch(&key, c->items, c->n_items, sizeof(key), by_kind_and_digest)
			  : NULL;
}

/* --- documents --- */

static struct lead *add_lead(struct loading *l, struct lead **list_of, size_t *n, size_t *cap,
			     const struct digest *digest, size_t room)
{
	if (!try_grow(list_of, *n, cap, sizeof(**list_of))) {
		l->no_memory = true;
		return NULL;
	}
	struct lead *lead = &(*list_of)[(*n)++];
	*lead = (struct lead){.digest = *digest,
			      .to = xcalloc(room + 1, sizeof(*lead->to)),
			      .layers = xcalloc(room + 1, sizeof(*lead->layers))};
	return lead;
}

static void add_index(struct loading *l, const struct document *doc)
{
	struct index_entries entries;
	struct diag d = DIAG_INIT;
	if (index_entries_parse(doc, &entries, &d))
		return;
	struct lead *lead =
		add_lead(l, &l->indexes, &l->n_indexes, &l->indexes_cap, &doc->digest, entries.n);
	for (size_t i = 0; lead && i < entries.n; i++)
		if (entries.entries[i].is_image)
			lead->to[lead->n++] = entries.entries[i].desc.digest;
	index_entries_fini(&entries);
}

static bool add_artifact(struct loading *l, const struct document *doc)
{
	struct artifact a;
	struct diag d = DIAG_INIT;
	if (artifact_parse(doc, &a, &d))
		return false;
	/* The subject first, then the parts that are kept by their digests. */
	struct lead *lead = add_lead(l, &l->artifacts, &l->n_artifacts, &l->artifacts_cap,
				     &doc->digest, a.n_layers + 1);
	if (lead) {
		lead->to[lead->n++] = a.subject.digest;
		for (size_t i = 0; i < a.n_layers; i++) {
			lead->layers[lead->n] = a.layers[i].layer;
			lead->to[lead->n++] = a.layers[i].form.digest;
		}
	}
	artifact_fini(&a);
	return true;
}

static void add_image(struct loading *l, const struct document *doc, int64_t changed)
{
	struct catalog *c = l->c;
	struct manifest m;
	struct diag d = DIAG_INIT;
	if (manifest_parse(doc, &m, &d))
		return;
	if (!try_grow(&c->images, c->n_images, &l->images_cap, sizeof(*c->images))) {
		l->no_memory = true;
		manifest_fini(&m);
		return;
	}
	struct catalog_image *image = &c->images[c->n_images++];
	*image = (struct catalog_image){.digest = doc->digest,
					.config = m.config.digest,
					.used = changed,
					.keep = true,
					.n_layers = m.n_layers};
	image->layers = xcalloc(m.n_layers + 1, sizeof(*image->layers));
	auto_free struct digest *digests = xcalloc(m.n_layers + 1, sizeof(*digests));
	for (size_t i = 0; i < m.n_layers; i++) {
		digests[i] = image->layers[i].digest = m.layers[i].desc.digest;
		image->layers[i].size = m.layers[i].desc.size;
	}
	image_key_of(digests, m.n_layers, &image->key);
	(void)store_use_last(c->store, &image->digest, &image->used, &image->in_use);
	image->young = time(NULL) - changed < CATALOG_GRACE_S;
	manifest_fini(&m);
}

static void read_document(struct loading *l, const struct catalog_item *item)
{
	struct document doc;
	struct diag d = DIAG_INIT;
	enum manifest_kind kind;
	if (store_document_peek(l->c->store, &item->digest, &doc))
		return;
	if (add_artifact(l, &doc) || manifest_kind_of(&doc, &kind, &d))
		; /* an artifact, or a config */
	else if (kind == MANIFEST_INDEX)
		add_index(l, &doc);
	else
		add_image(l, &doc, item->time);
	document_fini(&doc);
}

/* --- what leads where --- */

static void name_image(struct catalog *c, const struct digest *manifest, const char *text,
		       const struct digest *top)
{
	for (size_t i = 0; i < c->n_images; i++) {
		struct catalog_image *image = &c->images[i];
		if (!digest_equal(&image->digest, manifest))
			continue;
		size_t n = image->n_names++;
		image->names = realloc(image->names, (n + 1) * sizeof(*image->names));
		image->tops = realloc(image->tops, (n + 1) * sizeof(*image->tops));
		BUG_ON(!image->names || !image->tops);
		image->names[n] = xstrdup(text);
		image->tops[n] = *top;
	}
}

/* Image indexes lead on to the images that they list, and may be nested. */
static void name_all(struct loading *l, const struct digest *at, const char *text,
		     const struct digest *top, int depth)
{
	name_image(l->c, at, text, top);
	for (size_t i = 0; depth && i < l->n_indexes; i++)
		if (digest_equal(&l->indexes[i].digest, at))
			for (size_t k = 0; k < l->indexes[i].n; k++)
				name_all(l, &l->indexes[i].to[k], text, top, depth - 1);
}

bool catalog_tag_is_note(const char *text)
{
	return !strncmp(text, "index-of ", 9) || !strncmp(text, "rejected-index ", 15);
}

static bool has_all_chunks(const struct catalog_item *item)
{
	return item && item->n_chunks && item->n_chunks == item->n_stored;
}

/* The published form with the most chunks, if several were used. */
static void give_form(struct catalog_layer *layer, const struct catalog_item *form)
{
	if (form && (!layer->published || layer->published->n_stored < form->n_stored))
		layer->published = form;
}

static void give_artifact(const struct catalog *c, struct catalog_image *image,
			  const struct lead *artifact)
{
	size_t n = image->n_artifacts;
	image->artifacts =
		realloc(image->artifacts, (n + artifact->n + 1) * sizeof(*image->artifacts));
	BUG_ON(!image->artifacts);
	image->artifacts[n++] = artifact->digest;
	for (size_t i = 1; i < artifact->n; i++) {
		image->artifacts[n++] = artifact->to[i];
		for (size_t k = 0; k < image->n_layers; k++)
			if (digest_equal(&image->layers[k].digest, &artifact->layers[i]))
				give_form(&image->layers[k],
					  catalog_find(c, CATALOG_PUBLISHED, &artifact->to[i]));
	}
	image->n_artifacts = n;
}

/* By its subject, or because it was used for the image. */
static void find_artifacts(struct loading *l, struct catalog_image *image)
{
	char digest[DIGEST_TEXT_MAX];
	struct digest last = {0};
	auto_free char *note = xasprintf("index-of %s", digest_text(&image->digest, digest));
	bool has_last = store_tag_get(l->c->store, note, &last) == 0;
	for (size_t i = 0; i < l->n_artifacts; i++)
		if (digest_equal(&l->artifacts[i].to[0], &image->digest) ||
		    (has_last && digest_equal(&l->artifacts[i].digest, &last)))
			give_artifact(l->c, image, &l->artifacts[i]);
}

/* --- how much of an image is here --- */

static void find_layer(const struct catalog *c, struct catalog_layer *layer)
{
	const struct catalog_item *own = catalog_find(c, CATALOG_LAYER, &layer->digest);
	layer->own = own;
	layer->whole = (own && own->has_blob && own->blob_size == layer->size) ||
		       (own && own->has_index && has_all_chunks(own)) ||
		       has_all_chunks(layer->published);
}

/* A layer that is listed twice lies on the disk once. */
static bool is_first(const struct catalog_image *image, size_t layer)
{
	for (size_t i = 0; i < layer; i++)
		if (digest_equal(&image->layers[i].digest, &image->layers[layer].digest))
			return false;
	return true;
}

static uint64_t disk_of(const struct catalog_item *item)
{
	return item ? item->disk : 0;
}

static void measure(const struct catalog *c, struct catalog_image *image)
{
	const struct catalog_item *tree = catalog_find(c, CATALOG_TREE, &image->key);
	bool whole = true, indexed = true, published = false;
	for (size_t i = 0; i < image->n_layers; i++) {
		struct catalog_layer *layer = &image->layers[i];
		find_layer(c, layer);
		whole &= layer->whole;
		indexed &= layer->own && (layer->own->has_index || layer->own->has_blob);
		if (is_first(image, i))
			image->disk += disk_of(layer->own);
	}
	for (size_t i = 0; i < image->n_artifacts; i++) {
		const struct catalog_item *item =
			catalog_find(c, CATALOG_PUBLISHED, &image->artifacts[i]);
		published |= item && item->has_index;
		image->disk += disk_of(item);
	}
	image->disk += disk_of(tree);
	image->complete = whole && (indexed || published || (tree && tree->has_index)) &&
			  catalog_find(c, CATALOG_DOCUMENT, &image->config);
}

/* --- loading --- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_name(const void *a, const void *b)
{
	const struct catalog_image *x = a, *y = b;
	if (!x->n_names != !y->n_names)
		return x->n_names ? -1 : 1;
	int order = x->n_names ? strcmp(x->names[0], y->names[0]) : 0;
	return order ? order : memcmp(&x->digest, &y->digest, sizeof(x->digest));
}

static void leads_fini(struct lead *leads, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(leads[i].to);
		free(leads[i].layers);
	}
	free(leads);
}

static void find_images(struct loading *l)
{
	struct catalog *c = l->c;
	for (size_t i = 0; i < c->n_items; i++)
		if (c->items[i].kind == CATALOG_DOCUMENT)
			read_document(l, &c->items[i]);
	for (size_t i = 0; i < c->n_items; i++)
		if (c->items[i].kind == CATALOG_TAG && !catalog_tag_is_note(c->items[i].text))
			name_all(l, &c->items[i].target, c->items[i].text, &c->items[i].target,
				 DEPTH_MAX);
	for (size_t i = 0; i < c->n_images; i++) {
		struct catalog_image *image = &c->images[i];
		find_artifacts(l, image);
		measure(c, image);
		if (image->n_names)
			qsort(image->names, image->n_names, sizeof(*image->names), by_text);
	}
	if (c->n_images)
		qsort(c->images, c->n_images, sizeof(*c->images), by_name);
}

err_t catalog_load(struct store *s, struct catalog *out, struct diag *d)
{
	*out = (struct catalog){.store = s};
	struct loading l = {.c = out};
	list(&l, CATALOG_LAYER, "layers", true, add_dir);
	list(&l, CATALOG_TREE, "images", false, add_dir);
	list(&l, CATALOG_PUBLISHED, "published", false, add_dir);
	list(&l, CATALOG_USE, "uses", true, add_file);
	list(&l, CATALOG_DOCUMENT, "documents", true, add_file);
	list(&l, CATALOG_TAG, "tags", false, add_tag);
	if (out->n_items)
		qsort(out->items, out->n_items, sizeof(*out->items), by_kind_and_digest);
	find_images(&l);
	leads_fini(l.indexes, l.n_indexes);
	leads_fini(l.artifacts, l.n_artifacts);
	if (!l.no_memory)
		return 0;
	catalog_fini(out);
	return fail_sys(d, ERR_OTHER, -ENOMEM, "store %s", store_dir(s));
}

void catalog_fini(struct catalog *c)
{
	for (size_t i = 0; i < c->n_items; i++)
		free(c->items[i].text);
	for (size_t i = 0; i < c->n_images; i++) {
		struct catalog_image *image = &c->images[i];
		for (size_t k = 0; k < image->n_names; k++)
			free(image->names[k]);
		free(image->names);
		free(image->tops);
		free(image->artifacts);
		free(image->layers);
	}
	free(c->items);
	free(c->images);
	*c = (struct catalog){0};
}
