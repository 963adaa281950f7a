/*
 * Reading a store again. What readers check at their first touch is checked here for all of it, and
 * by the same functions; so what passes would be served, and what does not would not.
 */
#include "fetch/catalog_verify.h"

#include "fetch/chunk_table.h"
#include "fetch/store_priv.h"
#include "index/digest.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_LEN (1u << 20)
_Static_assert(BLOCK_LEN >= CHUNK_STREAM_MAX, "a chunk fits into a block");

struct verify {
	struct store *s;
	const struct verify_options *o;
	struct verify_counts n;
	struct catalog catalog;
	uint8_t *block;
};

static void note_bad(struct verify *v, const char *what, const char *why)
{
	v->n.bad++;
	if (v->o->bad)
		v->o->bad(v->o->arg, what, why);
}

static bool is_stopped(const struct verify *v)
{
	return v->o->stop && v->o->stop(v->o->arg);
}

static void count_bytes(struct verify *v, uint64_t n)
{
	v->n.bytes += n;
	progress_add(v->o->progress, 0, n);
}

/* --- documents --- */

static void check_document(void *arg, const char *alg, const char *name)
{
	struct verify *v = arg;
	struct digest digest;
	char text[DIGEST_TEXT_MAX + 16], what[DIGEST_TEXT_MAX + 32];
	snprintf(text, sizeof(text), "%s:%.*s", alg, DIGEST_TEXT_MAX, name);
	if (digest_parse(BYTES_STR(text), &digest, NULL))
		return;
	v->n.documents++;
	if (store_document_check(v->s, &digest, v->o->repair) != -EBADMSG)
		return;
	snprintf(what, sizeof(what), "document %.*s", DIGEST_TEXT_MAX, text);
	note_bad(v, what, "its bytes do not match its digest");
}

static void document_256(void *arg, int dir_fd, const char *name)
{
	(void)dir_fd;
	check_document(arg, "sha256", name);
}

static void document_512(void *arg, int dir_fd, const char *name)
{
	(void)dir_fd;
	check_document(arg, "sha512", name);
}

/* --- blobs --- */

static err_t hash_blob(struct verify *v, int fd, uint8_t alg, struct digest *out)
{
	struct hasher *hasher = hasher_new((enum digest_alg)alg);
	uint64_t off = 0;
	ssize_t got = 1;
	while (got > 0 && !is_stopped(v)) {
		got = pread(fd, v->block, BLOCK_LEN, (off_t)off);
		if (got <= 0)
			break;
		hasher_update(hasher, v->block, (size_t)got);
		off += (uint64_t)got;
		count_bytes(v, (uint64_t)got);
	}
	hasher_done(hasher, out);
	hasher_free(&hasher);
	return got < 0 ? -errno : 0;
}

static void check_blob(struct verify *v, const struct catalog_item *item)
{
	char text[DIGEST_TEXT_MAX], what[DIGEST_TEXT_MAX + 32];
	struct digest found = {0};
	auto_fd int fd = store_blob_open(v->s, &item->digest, item->blob_size);
	if (fd < 0)
		return;
	v->n.blobs++;
	err_t err = hash_blob(v, fd, item->digest.alg, &found);
	if (is_stopped(v) || (!err && digest_equal(&found, &item->digest)))
		return;
	snprintf(what, sizeof(what), "kept blob %s", digest_text(&item->digest, text));
	note_bad(v, what, err ? "it can not be read" : "its bytes do not match its digest");
	if (v->o->repair)
		store_blob_drop(v->s, &item->digest);
}

/* --- indexes --- */

/* The index in a directory, proved; NULL. `name` is the one that it must bear, or NULL. */
static struct index *check_index(struct verify *v, const char *dir, enum index_kind kind,
				 const struct digest *name)
{
	struct diag d = DIAG_INIT;
	struct index *ix = NULL;
	auto_free char *path = xasprintf("%s/v1/%s/index", store_dir(v->s), dir);
	err_t err = index_open(path, &ix, &d);
	if (err == -ENOENT)
		return NULL;
	v->n.indexes++;
	if (!err && name) {
		const struct digest *own = kind == INDEX_LAYER ? &index_info(ix)->blob_digest
							       : &index_info(ix)->image_key;
		if (index_info(ix)->kind != kind || !digest_equal(own, name)) {
			index_close(&ix);
			err = fail(&d, ERR_INTEGRITY, -EBADMSG,
				   "it is the index of something else");
		}
	}
	if (!err)
		return ix;
	/* Another version's is none of ours to judge. */
	if (err == -ENOTSUP)
		return NULL;
	auto_free char *what = xasprintf("index %s", dir);
	note_bad(v, what, d.text);
	if (v->o->repair && err == -EBADMSG)
		store_remove(v->s, dir, "index");
	return NULL;
}

/* --- chunks --- */

static void check_chunk(struct verify *v, struct chunk_store *chunks,
			const struct chunk_table *table, uint32_t i, const char *dir)
{
	struct chunk row;
	chunk_table_get(table, i, &row);
	err_t err = chunk_store_check(chunks, i, v->block, v->o->repair);
	if (err == -ENOENT)
		return;
	v->n.chunks++;
	count_bytes(v, row.stream_len);
	if (!err)
		return;
	auto_free char *what = xasprintf("chunk %u of %s", i, dir);
	note_bad(v, what, "its bytes have changed");
}

/* Takes the table. */
static void check_chunks(struct verify *v, struct chunk_table *table, const char *dir)
{
	struct chunk_store *chunks = NULL;
	struct diag d = DIAG_INIT;
	uint32_t n = chunk_table_info(table)->n_chunks;
	if (!chunk_store_open(v->s, table, &chunks, &d))
		for (uint32_t i = 0; i < n && !is_stopped(v); i++)
			if (chunk_store_has(chunks, i) && chunk_table_has_chunk(table, i))
				check_chunk(v, chunks, table, i, dir);
	chunk_store_close(&chunks);
	chunk_table_free(&table);
}

static void check_layer(struct verify *v, const struct catalog_item *item)
{
	char dir[STORE_PATH_MAX];
	store_layer_dir(&item->digest, dir);
	if (item->has_blob)
		check_blob(v, item);
	struct index *ix = item->has_index ? check_index(v, dir, INDEX_LAYER, &item->digest) : NULL;
	/* Without a map there are no chunks, and none is to be made. */
	if (ix && item->n_chunks)
		check_chunks(v, chunk_table_of_index(ix), dir);
	index_close(&ix);
}

static void recall_groups(struct chunk_table *table)
{
	const struct wire_head *head = chunk_table_head(table);
	for (uint32_t i = 0; i < head->n_groups; i++)
		(void)chunk_table_recall(table, i);
}

/* The chunks that the layers' published forms have decoded, by the tree that has their heads. */
static void check_forms(struct verify *v, const struct index *tree)
{
	for (uint32_t i = 0; i < index_info(tree)->n_layers && !is_stopped(v); i++) {
		struct index_layer_head head;
		struct chunk_table *table;
		struct diag d = DIAG_INIT;
		char dir[STORE_PATH_MAX];
		if (!index_layer_head(tree, i, &head))
			continue;
		const struct catalog_item *item =
			catalog_find(&v->catalog, CATALOG_PUBLISHED, &head.form);
		if (!item || !item->n_chunks || chunk_table_of_head(v->s, &head, &table, &d))
			continue;
		recall_groups(table);
		check_chunks(v, table, store_published_dir(&head.form, dir));
	}
}

static void check_published(struct verify *v, const struct catalog_item *item)
{
	char dir[STORE_PATH_MAX];
	store_published_dir(&item->digest, dir);
	struct index *ix = item->has_index ? check_index(v, dir, INDEX_LAYER, NULL) : NULL;
	if (ix && index_info(ix)->kind == INDEX_IMAGE)
		check_forms(v, ix);
	index_close(&ix);
}

/* --- all of it --- */

static void check_item(struct verify *v, const struct catalog_item *item)
{
	char dir[STORE_PATH_MAX];
	if (item->kind == CATALOG_LAYER) {
		check_layer(v, item);
	} else if (item->kind == CATALOG_PUBLISHED) {
		check_published(v, item);
	} else if (item->kind == CATALOG_TREE && item->has_index) {
		store_image_dir(&item->digest, dir);
		struct index *ix = check_index(v, dir, INDEX_IMAGE, &item->digest);
		index_close(&ix);
	}
}

err_t store_verify(struct store *s, const struct verify_options *options, struct verify_counts *out,
		   struct diag *d)
{
	struct verify v = {.s = s, .o = options};
	uint64_t total = 0;
	store_list(s, "documents/sha256", document_256, &v);
	store_list(s, "documents/sha512", document_512, &v);
	err_t err = catalog_load(s, &v.catalog, d);
	if (err)
		return err;
	for (size_t i = 0; i < v.catalog.n_items; i++)
		total += v.catalog.items[i].bytes;
	progress_start(options->progress, 0, total);
	v.block = xcalloc(1, BLOCK_LEN);
	for (size_t i = 0; i < v.catalog.n_items && !is_stopped(&v); i++)
		check_item(&v, &v.catalog.items[i]);
	free(v.block);
	catalog_fini(&v.catalog);
	*out = v.n;
	return 0;
}
