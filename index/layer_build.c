/*
 * One pass over a layer. The blob's bytes are hashed and given to the chunker; the stream that
 * comes out of it is hashed and given to the tar reader; its members become the tree. What the
 * chunker cuts is recorded as rows. At the end both digests are compared before a single byte of
 * the index is given away.
 */
#include "index/layer_build.h"

#include "index/container.h"
#include "index/layer_tree.h"
#include "index/tree_write.h"

#include <sys/stat.h>

struct layer_build {
	struct layer_build_options options;
	struct chunker *chunker;
	struct tar *tar;
	struct tree *tree;
	struct hasher *blob_hash, *stream_hash;
	uint64_t blob_size;
	struct hasher *file_hash;
	uint32_t file_node; /* node of the member whose bytes pass, TREE_NONE between */
	bool file_sparse;
	struct buf chunks, windows;
};

static err_t on_entry(void *arg, const struct tar_entry *e, struct diag *d)
{
	struct layer_build *b = arg;
	b->file_sparse = e->sparse;
	return layer_tree_add(b->tree, e, &b->file_node, d);
}

static bool file_is_hashed(const struct layer_build *b)
{
	return b->file_node != TREE_NONE && !b->file_sparse &&
	       S_ISREG(tree_node_const(b->tree, b->file_node)->mode);
}

static err_t on_data(void *arg, const uint8_t *p, size_t n, struct diag *d)
{
	struct layer_build *b = arg;
	(void)d;
	if (file_is_hashed(b))
		hasher_update(b->file_hash, p, n);
	return 0;
}

static err_t on_end(void *arg, struct diag *d)
{
	struct layer_build *b = arg;
	(void)d;
	if (file_is_hashed(b)) {
		struct digest digest;
		hasher_done(b->file_hash, &digest);
		struct tree_node *n = tree_node(b->tree, b->file_node);
		memcpy(n->digest, digest.b, SHA256_LEN);
		n->has_digest = true;
	}
	b->file_node = TREE_NONE;
	return 0;
}

static err_t on_stream(void *arg, const uint8_t *p, size_t n, struct diag *d)
{
	struct layer_build *b = arg;
	hasher_update(b->stream_hash, p, n);
	return tar_feed(b->tar, p, n, d);
}

static err_t on_chunk(void *arg, const struct chunk *c, struct bytes window, const uint8_t *data,
		      struct diag *d)
{
	struct layer_build *b = arg;
	(void)data;
	struct disk_chunk row = {
		.stream_off = put_le64(c->stream_off),
		.blob_off = put_le64(c->blob_off),
		.blob_len = put_le64(c->blob_len),
		.xxh3 = put_le64(c->xxh3),
		.window_off = put_le64(window.n ? b->windows.n : 0),
		.window_len = put_le32((uint32_t)window.n),
		.stream_len = put_le32(c->stream_len),
		.stored_left = put_le32(c->stored_left),
		.skip = put_le16(c->skip),
		.header_bits = put_le16(c->header_bits),
		.codec = c->codec,
		.start = c->start,
		.bit = c->bit,
		.final_block = c->final_block,
	};
	memcpy(row.sha256, c->sha256, sizeof(row.sha256));
	err_t err = buf_append(&b->chunks, &row, sizeof(row));
	if (!err)
		err = buf_append(&b->windows, window.p, window.n);
	return err ? fail_sys(d, ERR_OTHER, err, "chunk table") : 0;
}

struct layer_build *layer_build_new(const struct layer_build_options *options)
{
	struct layer_build *b = new_of(struct layer_build);
	b->options = *options;
	const struct chunker_sink chunks = {.stream = on_stream, .chunk = on_chunk};
	const struct tar_sink members = {.entry = on_entry, .data = on_data, .end = on_end};
	b->chunker = chunker_new(options->chunk_target, &chunks, b);
	b->tar = tar_new(&members, b);
	b->tree = tree_new();
	b->blob_hash = hasher_new(options->blob_alg ? options->blob_alg : DIGEST_SHA256);
	b->stream_hash = hasher_new(options->diff_alg ? options->diff_alg : DIGEST_SHA256);
	b->file_hash = hasher_new(DIGEST_SHA256);
	b->file_node = TREE_NONE;
	return b;
}

err_t layer_build_feed(struct layer_build *b, const uint8_t *p, size_t n, struct diag *d)
{
	hasher_update(b->blob_hash, p, n);
	b->blob_size += n;
	return chunker_feed(b->chunker, p, n, d);
}

static err_t compare(const char *what, const struct digest *want, const struct digest *got,
		     struct diag *d)
{
	char a[DIGEST_TEXT_MAX], c[DIGEST_TEXT_MAX];
	if (digest_equal(want, got))
		return 0;
	return fail(d, ERR_INTEGRITY, -EBADMSG, "%s: expected %s, found %s", what,
		    digest_text(want, a), digest_text(got, c));
}

static err_t write_index(struct layer_build *b, const struct digest *blob,
			 const struct digest *diff, struct buf *out)
{
	uint64_t salt;
	memcpy(&salt, blob->b, sizeof(salt));
	struct tree_sections *ts;
	err_t err = tree_sections_new(b->tree, le64toh(salt), false, &ts);
	if (err)
		return err;
	struct disk_layer_meta meta = {
		.blob_alg = blob->alg,
		.diff_alg = diff->alg,
		.codec = (uint8_t)chunker_codec(b->chunker),
		.chunk_target = put_le32(b->options.chunk_target ? b->options.chunk_target
								 : CHUNK_TARGET_DEFAULT),
		.blob_size = put_le64(b->blob_size),
		.stream_size = put_le64(chunker_stream_size(b->chunker)),
	};
	tree_sections_meta(ts, &meta.tree);
	memcpy(meta.blob_digest, blob->b, sizeof(meta.blob_digest));
	memcpy(meta.diff_id, diff->b, sizeof(meta.diff_id));
	struct section_out sections[TREE_SECTIONS + 3] = {
		{SECTION_META, false, {(const uint8_t *)&meta, sizeof(meta)}},
	};
	tree_sections_get(ts, sections + 1);
	sections[TREE_SECTIONS + 1] =
		(struct section_out){SECTION_CHUNKS, false, buf_bytes(&b->chunks)};
	sections[TREE_SECTIONS + 2] =
		(struct section_out){SECTION_WINDOWS, true, buf_bytes(&b->windows)};
	err = container_write(INDEX_LAYER, sections, ARRAY_LEN(sections), out);
	tree_sections_free(&ts);
	return err;
}

err_t layer_build_finish(struct layer_build *b, const struct digest *blob_digest,
			 uint64_t blob_size, const struct digest *diff_id, struct buf *out,
			 struct diag *d)
{
	err_t err = chunker_finish(b->chunker, d);
	if (!err)
		err = tar_finish(b->tar, d);
	if (err)
		return err;
	if (b->blob_size != blob_size)
		return fail(d, ERR_INTEGRITY, -EBADMSG,
			    "size of the blob: expected %llu bytes, found %llu",
			    (unsigned long long)blob_size, (unsigned long long)b->blob_size);
	struct digest blob, diff;
	hasher_done(b->blob_hash, &blob);
	hasher_done(b->stream_hash, &diff);
	err = compare("digest of the blob", blob_digest, &blob, d);
	if (!err && diff_id->alg != DIGEST_NONE)
		err = compare("DiffID", diff_id, &diff, d);
	if (err)
		return err;
	err = write_index(b, &blob, &diff, out);
	return err ? fail_sys(d, ERR_OTHER, err, "write the index") : 0;
}

void layer_build_free(struct layer_build **bp)
{
	struct layer_build *b = *bp;
	if (!b)
		return;
	chunker_free(&b->chunker);
	tar_free(&b->tar);
	tree_free(&b->tree);
	hasher_free(&b->blob_hash);
	hasher_free(&b->stream_hash);
	hasher_free(&b->file_hash);
	buf_fini(&b->chunks);
	buf_fini(&b->windows);
	free(b);
	*bp = NULL;
}
