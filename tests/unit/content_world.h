/*
 * content_world - for tests of the store and the reader: an image made in memory, a source that
 * serves it and misbehaves on demand, and a store in a directory of its own
 *
 * The image has one layer for each codec, each with a few files of known bytes (world_new_of: with
 * other files). All sizes are small multiples of the chunk target, which is CHUNK_TARGET_MIN.
 */
#ifndef IMGFS_TESTS_UNIT_CONTENT_WORLD_H
#define IMGFS_TESTS_UNIT_CONTENT_WORLD_H

#include "tests/unit/tar_build.h"

#include "fetch/chunk_table.h"
#include "fetch/content.h"
#include "fetch/lock.h"
#include "fetch/log.h"
#include "index/layer_build.h"
#include "index/merge.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum world_codec {
	WORLD_TAR,
	WORLD_GZIP,
	WORLD_ZSTD_FRAMES,
	WORLD_ZSTD_ONE, /* one frame larger than a chunk may be */
};

#define WORLD_LAYERS_MAX 4

/* How the source behaves; every field may be changed while it runs. */
struct script {
	_Atomic int delay_ms;	 /* before each read */
	_Atomic int lies;	 /* so many more opens give wrong bytes; negative: all */
	_Atomic int lie_at;	 /* only this byte of the blob is wrong; 0: some in every piece */
	_Atomic int failures;	 /* so many more opens fail with `error`; negative: all */
	_Atomic int error;	 /* -errno */
	_Atomic int silent;	 /* reads block until the deadline or the interrupt */
	_Atomic int break_after; /* a read fails with `error` after so many bytes; 0: never */
	/* what it saw */
	_Atomic unsigned opens;
	_Atomic(uint64_t) bytes;
	_Atomic(uint64_t) longest; /* range */
};

struct world {
	struct source source; /* first */
	struct script script;
	struct lock lock;
	pthread_cond_t changed;
	bool interrupted;

	char dir[64];
	struct store *store;
	struct image image;
	size_t n_layers;
	struct buf streams[WORLD_LAYERS_MAX], blobs[WORLD_LAYERS_MAX], indexes[WORLD_LAYERS_MAX];
	struct digest blob_digests[WORLD_LAYERS_MAX];
	struct index *layers[WORLD_LAYERS_MAX];
	struct chunk_table *tables[WORLD_LAYERS_MAX];
	struct layer_desc descs[WORLD_LAYERS_MAX]; /* what a manifest would say */
	struct buf tree;
};

/* --- the source (cmocka has a macro named fail, hence the parentheses) --- */

struct world_stream {
	struct source_stream base; /* first */
	const uint8_t *p;
	uint64_t off, left, given;
	int64_t deadline_ms;
	bool lie, silent;
};

static inline struct world *world_of(struct source *s)
{
	return (struct world *)s;
}

/* One of a number that counts down; a negative one never ends. */
static inline bool world_take(_Atomic int *n)
{
	int old = atomic_load(n);
	while (old > 0)
		if (atomic_compare_exchange_weak(n, &old, old - 1))
			return true;
	return old < 0;
}

static inline err_t world_wait(struct world *w, int64_t until_ms)
{
	lock_take(&w->lock);
	while (!w->interrupted && now_ms() < until_ms)
		condition_wait(&w->changed, &w->lock, until_ms);
	bool interrupted = w->interrupted;
	lock_drop(&w->lock);
	return interrupted ? -ECANCELED : 0;
}

static inline err_t world_open(struct source *s, const struct digest *digest, uint64_t size,
			       uint64_t off, uint64_t len, int64_t deadline_ms,
			       struct source_stream **out, struct diag *d)
{
	struct world *w = world_of(s);
	atomic_fetch_add(&w->script.opens, 1);
	err_t err = world_wait(w, 0);
	if (err)
		return (fail)(d, ERR_NETWORK, err, "interrupted");
	if (world_take(&w->script.failures))
		return (fail)(d, ERR_NETWORK, atomic_load(&w->script.error), "scripted failure");
	for (size_t i = 0; i < w->n_layers; i++) {
		if (!digest_equal(&w->blob_digests[i], digest))
			continue;
		assert_int_equal(size, w->blobs[i].n);
		struct world_stream *st = new_of(struct world_stream);
		*st = (struct world_stream){.base = {s},
					    .p = w->blobs[i].p + off,
					    .off = off,
					    .left = len,
					    .deadline_ms = deadline_ms,
					    .lie = world_take(&w->script.lies),
					    .silent = atomic_load(&w->script.silent)};
		if (len > atomic_load(&w->script.longest))
			atomic_store(&w->script.longest, len);
		*out = &st->base;
		return 0;
	}
	return (fail)(d, ERR_NOT_FOUND, -ENOENT, "no such blob");
}

static inline void world_lie(struct world *w, const struct world_stream *st, uint8_t *p, size_t n)
{
	uint64_t at = (uint64_t)atomic_load(&w->script.lie_at), from = st->off + st->given;
	if (!at)
		p[n / 2] ^= 0x40;
	else if (at >= from && at < from + n)
		p[at - from] ^= 0x40;
}

static inline err_t world_read(struct source_stream *base, void *p, size_t n, size_t *got,
			       struct diag *d)
{
	struct world_stream *st = (struct world_stream *)base;
	struct world *w = world_of(base->source);
	int delay_ms = atomic_load(&w->script.delay_ms);
	int break_after = atomic_load(&w->script.break_after);
	err_t err = 0;
	if (st->silent)
		err = world_wait(w, st->deadline_ms);
	else if (delay_ms)
		err = world_wait(w, now_ms() + delay_ms);
	if (!err && (st->silent || now_ms() >= st->deadline_ms))
		err = -ETIMEDOUT;
	if (!err && break_after && st->given >= (uint64_t)break_after)
		err = atomic_load(&w->script.error);
	if (err)
		return (fail)(d, ERR_NETWORK, err, "scripted");
	/* In pieces, as a network does. */
	uint64_t most = min_of(st->left, UINT64_C(20000));
	*got = min_of((uint64_t)n, most);
	memcpy(p, st->p, *got);
	if (st->lie && *got)
		world_lie(w, st, p, *got);
	st->p += *got;
	st->left -= *got;
	st->given += *got;
	atomic_fetch_add(&w->script.bytes, *got);
	return 0;
}

static inline void world_close(struct source_stream *st)
{
	free(st);
}

static inline void world_interrupt(struct source *s)
{
	struct world *w = world_of(s);
	lock_take(&w->lock);
	w->interrupted = true;
	pthread_cond_broadcast(&w->changed);
	lock_drop(&w->lock);
}

/* --- the image --- */

#define WORLD_FILES 3

/* Bytes that no codec shrinks to nothing, and that tell where they come from. */
static inline void world_fill(uint8_t *p, size_t n, uint32_t seed)
{
	for (size_t i = 0; i < n; i++) {
		if (i % 7 == 0)
			seed = seed * 1664525u + 1013904223u;
		p[i] = (uint8_t)(seed >> (8 * (i % 3)));
	}
}

/* Sizes: less than a chunk, a few chunks, many. */
static inline size_t world_file_size(unsigned file)
{
	static const size_t sizes[WORLD_FILES] = {5000, 100000, 3000000};
	return sizes[file];
}

static inline void world_stream_of(unsigned layer, struct buf *out)
{
	for (unsigned file = 0; file < WORLD_FILES; file++) {
		char name[32];
		size_t n = world_file_size(file);
		uint8_t *p = malloc(n);
		assert_non_null(p);
		world_fill(p, n, layer * 100 + file);
		snprintf(name, sizeof(name), "file-%u-%u", layer, file);
		put_member(out, '0', name, p, n);
		free(p);
	}
	put_end(out);
}

static inline void world_gzip(struct bytes in, struct buf *out)
{
	z_stream z = {0};
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	size_t room = deflateBound(&z, in.n);
	assert_int_equal(buf_reserve(out, room), 0);
	z.next_in = (Bytef *)(uintptr_t)in.p;
	z.avail_in = (uInt)in.n;
	z.next_out = out->p;
	z.avail_out = (uInt)room;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->n = z.total_out;
	deflateEnd(&z);
}

static inline void world_zstd(struct bytes in, size_t frame, struct buf *out)
{
	for (size_t at = 0; at < in.n; at += frame) {
		size_t n = min_of(frame, in.n - at);
		assert_int_equal(buf_reserve(out, ZSTD_compressBound(n)), 0);
		size_t got = ZSTD_compress(out->p + out->n, out->cap - out->n, in.p + at, n, 3);
		assert_false(ZSTD_isError(got));
		out->n += got;
	}
}

static inline void world_encode(enum world_codec codec, struct bytes in, struct buf *out)
{
	switch (codec) {
	case WORLD_TAR:
		put_raw(out, in.p, in.n);
		break;
	case WORLD_GZIP:
		world_gzip(in, out);
		break;
	case WORLD_ZSTD_FRAMES:
		world_zstd(in, 20000, out);
		break;
	case WORLD_ZSTD_ONE:
		world_zstd(in, in.n, out);
		break;
	}
}

/* The stream is taken. */
static inline void world_add_layer(struct world *w, enum world_codec codec, struct buf *stream)
{
	size_t i = w->n_layers++;
	struct layer_build_options options = {.chunk_target = CHUNK_TARGET_MIN};
	struct diag d = DIAG_INIT;
	w->streams[i] = *stream;
	*stream = (struct buf){0};
	world_encode(codec, buf_bytes(&w->streams[i]), &w->blobs[i]);
	digest_of(DIGEST_SHA256, w->blobs[i].p, w->blobs[i].n, &w->blob_digests[i]);
	struct digest diff_id = {0};
	struct layer_build *b = layer_build_new(&options);
	err_t err = layer_build_feed(b, w->blobs[i].p, w->blobs[i].n, &d);
	if (!err)
		err = layer_build_finish(b, &w->blob_digests[i], w->blobs[i].n, &diff_id,
					 &w->indexes[i], &d);
	layer_build_free(&b);
	if (!err)
		err = index_open_bytes(buf_bytes(&w->indexes[i]), &w->layers[i], &d);
	if (err)
		print_error("layer %zu: %s\n", i, d.text);
	assert_int_equal(err, 0);
	w->tables[i] = chunk_table_of_index(w->layers[i]);
	w->descs[i].desc.digest = w->blob_digests[i];
	w->descs[i].desc.size = w->blobs[i].n;
	w->descs[i].diff_id = index_info(w->layers[i])->diff_id;
}

static inline void world_remove_dir(const char *dir)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	assert_int_equal(system(command), 0);
}

static inline struct world *world_begin(void)
{
	static const struct source_ops ops = {.open = world_open,
					      .read = world_read,
					      .close = world_close,
					      .interrupt = world_interrupt};
	static char label[] = "test:world";
	struct world *w = new_of(struct world);
	w->source = (struct source){.ops = &ops, .label = label};
	lock_init(&w->lock);
	condition_init(&w->changed);
	return w;
}

static inline void world_open_image(struct world *w)
{
	size_t n = w->n_layers;
	assert_int_equal(merge_layers((const struct index *const *)w->layers, n, &w->tree, NULL),
			 0);
	w->image.source = &w->source;
	w->image.layers = w->layers;
	w->image.manifest.layers = w->descs;
	w->image.manifest.n_layers = n;
	assert_int_equal(index_open_bytes(buf_bytes(&w->tree), &w->image.tree, NULL), 0);
	snprintf(w->dir, sizeof(w->dir), "/tmp/imgfs-test-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	assert_int_equal(store_open(w->dir, &w->store, NULL), 0);
	w->image.store = w->store;
}

/* world_new - an image of layers with the given codecs; the store is empty. */
static inline struct world *world_new(const enum world_codec *codecs, size_t n)
{
	struct world *w = world_begin();
	for (size_t i = 0; i < n; i++) {
		struct buf stream = {0};
		world_stream_of((unsigned)i, &stream);
		world_add_layer(w, codecs[i], &stream);
	}
	world_open_image(w);
	return w;
}

/* world_new_of - the same, of one layer with other files: an archive, which is taken. */
static inline struct world *world_new_of(enum world_codec codec, struct buf *stream)
{
	struct world *w = world_begin();
	world_add_layer(w, codec, stream);
	world_open_image(w);
	return w;
}

static inline void world_free(struct world **wp)
{
	struct world *w = take(wp);
	index_close(&w->image.tree);
	for (size_t i = 0; i < w->n_layers; i++) {
		chunk_table_free(&w->tables[i]);
		index_close(&w->layers[i]);
		buf_fini(&w->streams[i]);
		buf_fini(&w->blobs[i]);
		buf_fini(&w->indexes[i]);
	}
	buf_fini(&w->tree);
	store_close(&w->store);
	world_remove_dir(w->dir);
	pthread_cond_destroy(&w->changed);
	lock_fini(&w->lock);
	free(w);
}

/* world_row - of a file of the merged tree. */
static inline uint32_t world_row(const struct world *w, unsigned layer, unsigned file)
{
	char name[32];
	uint32_t row = 0;
	snprintf(name, sizeof(name), "file-%u-%u", layer, file);
	assert_int_equal(index_lookup(w->image.tree, 0, BYTES_STR(name), &row), 0);
	return row;
}

/* world_bytes - what a file holds, from the stream it was put into; borrowed. */
static inline const uint8_t *world_bytes(const struct world *w, unsigned layer, unsigned file)
{
	struct extent run;
	index_extent(w->image.tree, world_row(w, layer, file), 0, &run);
	assert_int_equal(run.layer, layer);
	return w->streams[layer].p + run.stream_off;
}

/* world_keep_blob - put a layer's blob into the store as if it had been streamed; `flip` inverts
 * one byte of it (-1: none). */
static inline void world_keep_blob(struct world *w, size_t layer, long flip)
{
	struct blob_writer *writer;
	assert_int_equal(store_blob_create(w->store, &w->blob_digests[layer], &writer), 0);
	if (flip >= 0)
		w->blobs[layer].p[flip] ^= 0xff;
	blob_writer_write(writer, w->blobs[layer].p, w->blobs[layer].n);
	if (flip >= 0)
		w->blobs[layer].p[flip] ^= 0xff;
	assert_int_equal(blob_writer_commit(&writer), 0);
}

/* world_empty_store - forget everything, keep the image. */
static inline void world_empty_store(struct world *w)
{
	store_close(&w->store);
	world_remove_dir(w->dir);
	assert_int_equal(store_open(w->dir, &w->store, NULL), 0);
	w->image.store = w->store;
}

/* world_content_with - a reader of the image; world_content - with the usual options. */
static inline struct content *world_content_with(struct world *w,
						 const struct content_options *options)
{
	struct content *c = NULL;
	lock_take(&w->lock);
	w->interrupted = false;
	lock_drop(&w->lock);
	assert_int_equal(content_new(&w->image, options, &c, NULL), 0);
	return c;
}

static inline struct content *world_content(struct world *w, unsigned budget_s, bool wait_for_ever)
{
	const struct content_options options = {.budget_s = budget_s,
						.wait_for_ever = wait_for_ever};
	return world_content_with(w, &options);
}

/* world_check_read - read and compare with the stream. */
static inline void world_check_read(struct world *w, struct content *c, unsigned layer,
				    unsigned file, uint64_t off, size_t n)
{
	uint8_t *p = malloc(n ? n : 1);
	assert_non_null(p);
	memset(p, 0xa5, n);
	struct diag d = DIAG_INIT;
	err_t err = content_read(c, world_row(w, layer, file), off, p, n, &d);
	if (err)
		print_error("%s\n", d.text);
	assert_int_equal(err, 0);
	assert_memory_equal(p, world_bytes(w, layer, file) + off, n);
	free(p);
}

#endif
