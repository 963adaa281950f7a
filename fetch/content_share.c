/*
 * A file that is already in the store under another layer is read from there: two releases of an
 * image mostly hold the same files in layers that have not one compressed byte in common. What
 * makes two files one is the SHA-256 of their content, which both layers' indexes have because each
 * was computed here, in a pass over the whole layer; so nothing is shared with layers that are
 * known by a published index only.
 *
 * The layers used last are looked through at the first read, once. Each gets a list of its files in
 * the order of their digests.
 */
#include "fetch/content_priv.h"

#include "fetch/log.h"

#include <string.h>
#include <sys/stat.h>

#define DONORS_MAX    16
#define LOOKED_AT_MAX 128 /* layers of the store, those of the image itself among them */

struct donor {
	struct index *ix;
	struct chunk_table *table;
	struct chunk_store *chunks;
	uint32_t *rows; /* of files with a digest, in its order */
	size_t n;
};

struct share {
	_Atomic(bool) ready;
	/* fixed before `ready` is set */
	struct donor donors[DONORS_MAX];
	size_t n;

	_Atomic(bool) served; /* a reader found something in them */
};

struct share *share_new(void)
{
	return new_of(struct share);
}

static void donor_fini(struct donor *d)
{
	free(d->rows);
	chunk_store_close(&d->chunks);
	chunk_table_free(&d->table);
	index_close(&d->ix);
	*d = (struct donor){0};
}

void share_free(struct share **sp)
{
	if (!*sp)
		return;
	struct share *s = take(sp);
	for (size_t i = 0; i < s->n; i++)
		donor_fini(&s->donors[i]);
	free(s);
}

/* --- donors --- */

static int by_digest(const void *a, const void *b, void *arg)
{
	const struct index *ix = arg;
	return memcmp(index_file_digest(ix, *(const uint32_t *)a),
		      index_file_digest(ix, *(const uint32_t *)b), SHA256_LEN);
}

static bool list_files(struct donor *d)
{
	const struct index_info *info = index_info(d->ix);
	d->rows = try_array(max_of(info->n_regular, 1u), sizeof(*d->rows), UINT32_MAX);
	if (!d->rows)
		return false;
	for (uint32_t i = 0; i < info->n_regular; i++)
		if (index_file_digest(d->ix, info->n_dirs + i))
			d->rows[d->n++] = info->n_dirs + i;
	qsort_r(d->rows, d->n, sizeof(*d->rows), by_digest, d->ix);
	return true;
}

static bool donor_open(struct content *c, const struct digest *blob, struct donor *d)
{
	struct store *store = c->image->store;
	struct diag diag = DIAG_INIT;
	if (store_index_get(store, INDEX_LAYER, blob, &d->ix))
		return false;
	d->table = chunk_table_of_index(d->ix);
	if (chunk_store_open(store, d->table, &d->chunks, &diag) || !list_files(d)) {
		donor_fini(d);
		return false;
	}
	return true;
}

static bool is_of_image(const struct content *c, const struct digest *blob)
{
	for (uint32_t i = 0; i < c->n_slots; i++)
		if (digest_equal(&c->slots[i].blob_digest, blob))
			return true;
	return false;
}

bool share_pending(const struct content *c)
{
	return c->share && !atomic_load(&c->share->ready);
}

void share_load(struct content *c)
{
	struct share *s = c->share;
	if (!share_pending(c))
		return;
	struct digest *blobs = xcalloc(LOOKED_AT_MAX, sizeof(*blobs));
	size_t n = store_layers_used(c->image->store, blobs, LOOKED_AT_MAX);
	for (size_t i = 0; i < n && s->n < DONORS_MAX; i++)
		if (!is_of_image(c, &blobs[i]) && donor_open(c, &blobs[i], &s->donors[s->n]))
			s->n++;
	free(blobs);
	if (s->n)
		log_info("content.shared", "layers=%zu", s->n);
	atomic_store(&s->ready, true);
}

static bool has_donors(const struct content *c)
{
	return c->share && !share_pending(c) && c->share->n;
}

bool share_helps(const struct content *c)
{
	return has_donors(c) && atomic_load_explicit(&c->share->served, memory_order_relaxed);
}

/* --- finding a file --- */

/* Position of the first file whose digest is not below the wanted one. */
static size_t lower_bound(const struct donor *d, const uint8_t *digest)
{
	size_t low = 0, high = d->n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (memcmp(index_file_digest(d->ix, d->rows[mid]), digest, SHA256_LEN) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Bytes of a file of the donor; p NULL: only whether they are there. */
static bool use_stream(struct donor *d, uint64_t at, uint64_t n, uint8_t *p)
{
	while (n) {
		struct chunk row;
		uint32_t chunk = chunk_table_at(d->table, at);
		chunk_table_get(d->table, chunk, &row);
		uint32_t off = (uint32_t)(at - row.stream_off);
		uint32_t len = (uint32_t)min_of(n, (uint64_t)(row.stream_len - off));
		if (!(p ? chunk_store_read(d->chunks, chunk, off, len, p) == 0
			: chunk_store_has(d->chunks, chunk)))
			return false;
		at += len;
		n -= len;
		p = p ? p + len : NULL;
	}
	return true;
}

/* The same of any file of the donor with this content. */
static bool use_donor(struct donor *d, const uint8_t *digest, uint64_t size, uint64_t off,
		      uint64_t n, uint8_t *p)
{
	for (size_t i = lower_bound(d, digest); i < d->n; i++) {
		struct inode inode;
		struct extent run;
		if (memcmp(index_file_digest(d->ix, d->rows[i]), digest, SHA256_LEN) != 0)
			return false;
		index_inode(d->ix, d->rows[i], &inode);
		if (inode.size != size)
			continue;
		index_extent(d->ix, d->rows[i], off, &run);
		if (!run.hole && run.len >= n && use_stream(d, run.stream_off, n, p))
			return true;
	}
	return false;
}

static bool use(struct content *c, uint32_t row, uint64_t off, uint64_t n, uint8_t *p)
{
	struct inode inode;
	if (!has_donors(c))
		return false;
	const uint8_t *digest = index_file_digest(c->image->tree, row);
	if (!digest)
		return false;
	index_inode(c->image->tree, row, &inode);
	for (size_t i = 0; i < c->share->n; i++)
		if (use_donor(&c->share->donors[i], digest, inode.size, off, n, p))
			return true;
	return false;
}

bool share_read(struct content *c, uint32_t row, uint64_t off, uint32_t n, void *p)
{
	if (!use(c, row, off, n, p))
		return false;
	atomic_store_explicit(&c->share->served, true, memory_order_relaxed);
	return true;
}

bool share_has(struct content *c, uint32_t row, uint64_t off, uint64_t n)
{
	return use(c, row, off, n, NULL);
}
