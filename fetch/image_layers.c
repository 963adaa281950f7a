/*
 * Preparing: every distinct layer gets its index, from the store or by streaming its blob, several
 * side by side; then the trees are merged, or the merged tree is taken from the store. What the
 * store can not keep stays in memory, in buffers beside the index that is mapped onto them.
 */
#include "fetch/image_priv.h"
#include "fetch/log.h"
#include "index/merge.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define THREADS_DEFAULT_MAX 4 /* more streams side by side do not fill a line better */

/* The layers that have to be indexed, handed out one by one. */
struct workshop {
	struct image *image;
	const size_t *layers;
	size_t n;
	atomic_size_t next;
	atomic_bool cancelled;
	pthread_mutex_t lock; /* of the two below */
	err_t err;	      /* the first one */
	struct diag diag;
};

/* One blob has one size and one stream. */
static err_t check_duplicates(const struct manifest *m, struct diag *d)
{
	for (size_t i = 0; i < m->n_layers; i++) {
		size_t first = manifest_first(m, i);
		if (m->layers[i].desc.size != m->layers[first].desc.size ||
		    !digest_equal(&m->layers[i].diff_id, &m->layers[first].diff_id))
			return fail(d, ERR_INTEGRITY, -EBADMSG,
				    "layers %zu and %zu are the same blob, but differ in size or "
				    "DiffID",
				    first + 1, i + 1);
	}
	return 0;
}

bool image_index_agrees(const struct index *ix, const struct layer_desc *layer)
{
	const struct index_info *info = index_info(ix);
	return info->kind == INDEX_LAYER && digest_equal(&info->blob_digest, &layer->desc.digest) &&
	       info->blob_size == layer->desc.size && digest_equal(&info->diff_id, &layer->diff_id);
}

static struct index *layer_from_store(struct image *image, const struct layer_desc *layer)
{
	struct index *ix = NULL;
	if (store_index_get(image->store, INDEX_LAYER, &layer->desc.digest, &ix))
		return NULL;
	if (image_index_agrees(ix, layer))
		return ix;
	char text[DIGEST_TEXT_MAX];
	log_warn("index.disagrees", "layer=%s next=rebuild",
		 digest_text(&layer->desc.digest, text));
	index_close(&ix);
	return NULL;
}

err_t image_keep_index(struct image *image, enum index_kind kind, const struct digest *name,
		       struct buf *file, struct index **out, struct diag *d)
{
	err_t err = store_index_put(image->store, kind, name, buf_bytes(file));
	if (!err && !store_index_get(image->store, kind, name, out)) {
		buf_fini(file);
		return 0;
	}
	if (err)
		log_warn("store.index_not_kept", "reason=\"%s\" next=memory", strerror(-err));
	return index_open_bytes(buf_bytes(file), out, d);
}

static err_t index_blob(struct image *image, size_t layer, atomic_bool *cancelled, struct diag *d)
{
	struct indexer_job job = image_indexer_job(image, layer);
	job.cancelled = cancelled;
	struct buf *file = &image->layer_files[layer];
	err_t err = indexer_run(&job, file, d);
	if (!err)
		err = image_keep_index(image, INDEX_LAYER, &job.layer->desc.digest, file,
				       &image->layers[layer], d);
	if (!err && !image_index_agrees(image->layers[layer], job.layer))
		err = fail(d, ERR_INTEGRITY, -EBADMSG, "its index does not fit the manifest");
	char text[DIGEST_TEXT_MAX];
	if (err)
		diag_prepend(d, "layer %zu of %zu (%s)", layer + 1, image->manifest.n_layers,
			     digest_text(&job.layer->desc.digest, text));
	return err;
}

err_t image_index_layer(struct image *image, size_t layer, const struct index **out, struct diag *d)
{
	BUG_ON(layer >= image->manifest.n_layers);
	err_t err = 0;
	/* An attempt that failed has left nothing but bytes. */
	if (!image->layers[layer])
		buf_fini(&image->layer_files[layer]);
	if (!image->layers[layer])
		image->layers[layer] = layer_from_store(image, &image->manifest.layers[layer]);
	if (!image->layers[layer])
		err = index_blob(image, layer, NULL, d);
	if (err)
		index_close(&image->layers[layer]);
	*out = image->layers[layer];
	return err;
}

/* The others end soon: those that wait for bytes through the source, the rest at their next block.
 */
static void stop_others(struct workshop *w, err_t err, const struct diag *diag)
{
	pthread_mutex_lock(&w->lock);
	bool first = !w->err;
	if (first) {
		w->err = err;
		w->diag = *diag;
	}
	pthread_mutex_unlock(&w->lock);
	atomic_store(&w->cancelled, true);
	if (first)
		source_interrupt(w->image->source);
}

static void *workshop_run(void *arg)
{
	struct workshop *w = arg;
	size_t at;
	while (!atomic_load(&w->cancelled) && (at = atomic_fetch_add(&w->next, 1)) < w->n) {
		struct diag diag = DIAG_INIT;
		err_t err = index_blob(w->image, w->layers[at], &w->cancelled, &diag);
		if (err)
			stop_others(w, err, &diag);
	}
	return NULL;
}

static size_t thread_count(const struct image *image, size_t n_layers)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	size_t n = image->options.index_threads;
	if (!n)
		n = processors > 1 ? min_of((size_t)processors, (size_t)THREADS_DEFAULT_MAX) : 1;
	return min_of(n, n_layers);
}

/* The caller works too, so it goes on, slower, when no thread can be made. */
static err_t index_missing(struct image *image, const size_t *layers, size_t n, struct diag *d)
{
	struct workshop w = {.image = image, .layers = layers, .n = n, .diag = DIAG_INIT};
	pthread_t threads[MANIFEST_LAYERS_MAX];
	size_t started = 0, wanted = thread_count(image, n);
	pthread_mutex_init(&w.lock, NULL);
	while (started + 1 < wanted && !pthread_create(&threads[started], NULL, workshop_run, &w))
		started++;
	workshop_run(&w);
	for (size_t i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	pthread_mutex_destroy(&w.lock);
	if (w.err && d)
		*d = w.diag;
	return w.err;
}

/* The largest is handed out first: begun last, it would be worked on alone at the end. */
static void sort_by_size(const struct manifest *m, size_t *layers, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		size_t layer = layers[i], at = i;
		for (; at && m->layers[layers[at - 1]].desc.size < m->layers[layer].desc.size; at--)
			layers[at] = layers[at - 1];
		layers[at] = layer;
	}
}

/* Whether a layer can be read, now or at its first touch, without an index here. */
static bool can_wait(const struct image *image, size_t layer)
{
	struct index_layer_head head;
	uint64_t small = image->options.small_layer;
	if (!image->tree)
		return false;
	return index_layer_head(image->tree, (uint32_t)layer, &head) ||
	       image->manifest.layers[layer].desc.size <= (small ? small : SMALL_LAYER_DEFAULT);
}

/* Whether opening the index of a layer can wait for its first reader. */
static bool can_open_later(const struct image *image, size_t layer)
{
	return image->tree && !image->published && image->options.lazy_layers &&
	       store_index_there(image->store, INDEX_LAYER,
				 &image->manifest.layers[layer].desc.digest);
}

void image_rooms_make(struct image *image)
{
	size_t n = image->manifest.n_layers + 1;
	if (image->layers)
		return;
	image->layers = xcalloc(n, sizeof(*image->layers));
	image->layer_files = xcalloc(n, sizeof(*image->layer_files));
	image->borrowed = xcalloc(n, sizeof(*image->borrowed));
}

err_t image_load_layers(struct image *image, struct diag *d)
{
	const struct manifest *m = &image->manifest;
	err_t err = check_duplicates(m, d);
	if (err)
		return err;
	size_t missing[MANIFEST_LAYERS_MAX], n = 0;
	BUG_ON(m->n_layers > MANIFEST_LAYERS_MAX);
	image_rooms_make(image);
	for (size_t i = 0; i < m->n_layers; i++) {
		if (manifest_first(m, i) != i || can_open_later(image, i))
			continue;
		if (!image->layers[i])
			image->layers[i] = layer_from_store(image, &m->layers[i]);
		if (!image->layers[i] && !can_wait(image, i))
			missing[n++] = i;
	}
	sort_by_size(m, missing, n);
	for (size_t i = 0; i < n; i++)
		progress_expect(image->options.progress, missing[i],
				m->layers[missing[i]].desc.size);
	if (n)
		err = index_missing(image, missing, n, d);
	for (size_t i = 0; i < m->n_layers && !err; i++)
		image->layers[i] = image->layers[manifest_first(m, i)];
	return err;
}

bool image_tree_agrees(const struct image *image, const struct index *tree)
{
	const struct index_info *info = index_info(tree);
	if (info->kind != INDEX_IMAGE || info->n_layers != image->manifest.n_layers)
		return false;
	for (uint32_t i = 0; i < info->n_layers; i++) {
		const struct layer_desc *layer = &image->manifest.layers[i];
		struct index_layer merged;
		index_layer(tree, i, &merged);
		if (!digest_equal(&merged.blob_digest, &layer->desc.digest) ||
		    !digest_equal(&merged.diff_id, &layer->diff_id) ||
		    merged.blob_size != layer->desc.size)
			return false;
	}
	return true;
}

/* A stored tree, or a published one, is as good as the streams that its extents point into: where a
 * layer's index is at hand, the two must agree. */
static bool streams_agree(const struct image *image, const struct index *tree)
{
	for (uint32_t i = 0; i < image->manifest.n_layers; i++) {
		struct index_layer merged;
		index_layer(tree, i, &merged);
		if (image->layers[i] &&
		    merged.stream_size != index_info(image->layers[i])->stream_size)
			return false;
	}
	return true;
}

void image_key(const struct image *image, struct digest *out)
{
	size_t n = image->manifest.n_layers;
	auto_free struct digest *digests = xcalloc(n + 1, sizeof(*digests));
	for (size_t i = 0; i < n; i++)
		digests[i] = image->manifest.layers[i].desc.digest;
	image_key_of(digests, n, out);
}

err_t image_load_tree(struct image *image)
{
	struct digest key;
	struct index *tree = NULL;
	image_key(image, &key);
	if (store_index_get(image->store, INDEX_IMAGE, &key, &tree))
		return -ENOENT;
	if (!image_tree_agrees(image, tree)) {
		index_close(&tree);
		return -ENOENT;
	}
	image->tree = tree;
	return 0;
}

char *image_tree_path(const struct image *image)
{
	if (!image->tree || image->tree_file.n)
		return NULL;
	return image->published ? store_published_index_path(image->store, &image->artifact_digest)
				: store_index_path(image->store, INDEX_IMAGE,
						   &index_info(image->tree)->image_key);
}

/* What was merged from other than proven layers is no proven tree. */
static bool has_borrowed(const struct image *image)
{
	for (size_t i = 0; i < image->manifest.n_layers; i++)
		if (image->borrowed[i].n)
			return true;
	return false;
}

static err_t merge(struct image *image, struct diag *d)
{
	struct digest key;
	image_key(image, &key);
	err_t err = merge_layers((const struct index *const *)image->layers,
				 image->manifest.n_layers, &image->tree_file, d);
	if (!err && has_borrowed(image))
		err = index_open_bytes(buf_bytes(&image->tree_file), &image->tree, d);
	else if (!err)
		err = image_keep_index(image, INDEX_IMAGE, &key, &image->tree_file, &image->tree,
				       d);
	if (err)
		diag_prepend(d, "merge the layers");
	return err;
}

err_t image_merge_layers(struct image *image, struct diag *d)
{
	if (image->tree && streams_agree(image, image->tree))
		return 0;
	if (image->tree) {
		/* Which of the two lies is not known: nothing but the layers decides. */
		log_warn("index.disagrees", "image=tree next=\"index the layers\"");
		if (image->published)
			image_reject_index(image);
		image->published = false;
		image_unload(image);
		err_t err = image_load_layers(image, d);
		if (err)
			return err;
	}
	return merge(image, d);
}

void image_unload(struct image *image)
{
	index_close(&image->tree);
	buf_fini(&image->tree_file);
	for (size_t i = 0; image->layers && i < image->manifest.n_layers; i++) {
		if (manifest_first(&image->manifest, i) != i)
			continue;
		index_close(&image->layers[i]);
		buf_fini(&image->layer_files[i]);
		buf_fini(&image->borrowed[i]);
	}
	free(take(&image->layers));
	free(take(&image->layer_files));
	free(take(&image->borrowed));
}
