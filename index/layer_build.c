/*
 * One pass over a layer. The blob's bytes are hashed and given to the chunker; the stream that
 * comes out of it is hashed and given to the tar reader; its members become the tree. What the
 * chunker cuts is recorded as rows. At the end both digests are compared before a single byte of
 * the index is given away.
 */
#include "index/layer_build.h"

#include "index/layer_tree.h"
#include "index/layer_write.h"

#include <sys/stat.h>

struct layer_build {
	struct layer_build_options options;
	/* the first half */
	struct chunker *chunker;
	struct hasher *blob_hash;
	uint64_t blob_size;
	bool ended;
	/* the second half */
	struct tar *tar;
	struct tree *tree;
	struct hasher *stream_hash;
	uint64_t stream_size;
	struct hasher *file_hash;
	uint32_t file_node; /* node of the member whose bytes pass, TREE_NONE between */
	bool file_sparse;
	size_t window_off; /* where the window of the next row begins in `windows` */
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
	err_t err = 0;
	if (file_is_hashed(b)) {
		struct digest digest;
		struct bytes kept = {NULL, 0};
		hasher_done(b->file_hash, &digest);
		err = tree_bytes(b->tree, (struct bytes){digest.b, SHA256_LEN}, &kept);
		tree_node(b->tree, b->file_node)->digest = kept.p;
	}
	b->file_node = TREE_NONE;
	return err ? fail_sys(d, ERR_OTHER, err, "a file's digest") : 0;
}

static err_t on_stream(void *arg, const uint8_t *p, size_t n, struct diag *d)
{
	struct layer_build *b = arg;
	hasher_update(b->stream_hash, p, n);
	b->stream_size += n;
	return tar_feed(b->tar, p, n, d);
}

static err_t on_window(void *arg, const struct window_clues *clues, struct diag *d)
{
	struct layer_build *b = arg;
	err_t err = window_find(clues, &b->windows);
	return err ? fail_sys(d, ERR_OTHER, err, "cannot find the window of a chunk") : 0;
}

static err_t on_chunk(void *arg, const struct chunk *c, const uint8_t *data, struct diag *d)
{
	struct layer_build *b = arg;
	(void)data;
	struct chunk row = *c;
	row.window_len = (uint32_t)(b->windows.n - b->window_off);
	row.window_off = row.window_len ? b->window_off : 0;
	b->window_off = b->windows.n;
	err_t err = layer_write_chunk(&b->chunks, &row);
	return err ? fail_sys(d, ERR_OTHER, err, "chunk table") : 0;
}

const struct chunker_sink layer_build_second = {
	.stream = on_stream, .window = on_window, .chunk = on_chunk};

struct layer_build *layer_build_new(const struct layer_build_options *options)
{
	struct layer_build *b = layer_build_stream(options->diff_alg);
	b->options = *options;
	layer_build_relay(b, &layer_build_second, b);
	b->blob_hash = hasher_new(options->blob_alg ? options->blob_alg : DIGEST_SHA256);
	return b;
}

void layer_build_relay(struct layer_build *b, const struct chunker_sink *sink, void *arg)
{
	BUG_ON(b->blob_size);
	chunker_free(&b->chunker);
	b->chunker = chunker_new(b->options.chunk_target, sink, arg);
}

struct layer_build *layer_build_stream(enum digest_alg diff_alg)
{
	struct layer_build *b = new_of(struct layer_build);
	const struct tar_sink members = {.entry = on_entry, .data = on_data, .end = on_end};
	b->tar = tar_new(&members, b);
	b->tree = tree_new();
	b->stream_hash = hasher_new(diff_alg ? diff_alg : DIGEST_SHA256);
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

err_t layer_build_feed_stream(struct layer_build *b, const uint8_t *p, size_t n, struct diag *d)
{
	BUG_ON(b->chunker);
	return on_stream(b, p, n, d);
}

err_t layer_build_end(struct layer_build *b, struct diag *d)
{
	b->ended = true;
	return chunker_finish(b->chunker, d);
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

static err_t write_index(struct layer_build *b, const struct index_info *info, struct bytes chunks,
			 struct bytes windows, struct buf *out, struct diag *d)
{
	struct tree_sections *ts;
	err_t err = tree_sections_new(b->tree, name_salt(&info->blob_digest), false, &ts);
	if (!err) {
		const struct layer_write w = {
			.info = info, .tree = ts, .chunks = chunks, .windows = windows, .out = out};
		err = layer_write(&w);
		tree_sections_free(&ts);
	}
	return err ? fail_sys(d, ERR_OTHER, err, "write the index") : 0;
}

err_t layer_build_finish(struct layer_build *b, const struct digest *blob_digest,
			 uint64_t blob_size, const struct digest *diff_id, struct buf *out,
			 struct diag *d)
{
	err_t err = b->ended ? 0 : layer_build_end(b, d);
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
	const struct index_info info = {
		.blob_digest = blob,
		.diff_id = diff,
		.codec = chunker_codec(b->chunker),
		.chunk_target =
			b->options.chunk_target ? b->options.chunk_target : CHUNK_TARGET_DEFAULT,
		.blob_size = b->blob_size,
		.stream_size = chunker_stream_size(b->chunker),
	};
	return write_index(b, &info, buf_bytes(&b->chunks), buf_bytes(&b->windows), out, d);
}

err_t layer_build_finish_stream(struct layer_build *b, const struct index_info *info,
				struct bytes chunks, struct bytes windows, struct buf *out,
				struct diag *d)
{
	err_t err = tar_finish(b->tar, d);
	if (err)
		return err;
	if (b->stream_size != info->stream_size)
		return fail(d, ERR_INTEGRITY, -EBADMSG,
			    "size of the stream: expected %llu bytes, found %llu",
			    (unsigned long long)info->stream_size,
			    (unsigned long long)b->stream_size);
	struct digest diff;
	hasher_done(b->stream_hash, &diff);
	err = compare("DiffID", &info->diff_id, &diff, d);
	return err ? err : write_index(b, info, chunks, windows, out, d);
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
