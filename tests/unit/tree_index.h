/*
 * tree_index - an index of a tree in memory, without a layer or image
 *
 * What an index needs besides its tree is made up: a stream of TREE_STREAM_SIZE bytes in stored
 * chunks, or TREE_LAYERS layers with the largest streams there are.
 */
#ifndef IMGFS_TESTS_UNIT_TREE_INDEX_H
#define IMGFS_TESTS_UNIT_TREE_INDEX_H

#include "index/merge.h"
#include "index/tree_write.h"
#include "index/wire_tree.h"

#define TREE_LAYERS	 3u
#define TREE_STREAM_SIZE (8u << 20)
#define TREE_SALT	 UINT64_C(0x0123456789abcdef)

/* Stored chunks over the whole stream, and the rest of META. */
static inline void layer_parts(struct disk_layer_meta *meta, struct buf *chunks)
{
	struct digest none;
	digest_of(DIGEST_SHA256, "", 0, &none);
	meta->blob_alg = meta->diff_alg = DIGEST_SHA256;
	meta->codec = BLOB_TAR;
	meta->chunk_target = put_le32(CHUNK_TARGET_DEFAULT);
	meta->blob_size = meta->stream_size = put_le64(TREE_STREAM_SIZE);
	memcpy(meta->blob_digest, none.b, SHA256_LEN);
	memcpy(meta->diff_id, none.b, SHA256_LEN);
	for (uint64_t off = 0; off < TREE_STREAM_SIZE; off += CHUNK_STREAM_MAX) {
		struct disk_chunk c = {.stream_off = put_le64(off),
				       .blob_off = put_le64(off),
				       .blob_len = put_le64(CHUNK_STREAM_MAX),
				       .stream_len = put_le32(CHUNK_STREAM_MAX),
				       .codec = CHUNK_STORED};
		BUG_ON(buf_append(chunks, &c, sizeof(c)));
	}
}

static inline void image_parts(struct disk_image_meta *meta, struct buf *layers)
{
	struct digest blobs[TREE_LAYERS], key;
	for (uint32_t i = 0; i < TREE_LAYERS; i++) {
		struct disk_layer row = {.blob_alg = DIGEST_SHA256,
					 .diff_alg = DIGEST_SHA256,
					 .blob_size = put_le64(STREAM_MAX),
					 .stream_size = put_le64(STREAM_MAX)};
		digest_of(DIGEST_SHA256, &i, sizeof(i), &blobs[i]);
		memcpy(row.blob_digest, blobs[i].b, SHA256_LEN);
		BUG_ON(buf_append(layers, &row, sizeof(row)));
	}
	image_key_of(blobs, TREE_LAYERS, &key);
	meta->n_layers = put_le32(TREE_LAYERS);
	memcpy(meta->image_key, key.b, SHA256_LEN);
}

/* The index file of a tree; @digests NULL, or the form of DIGESTS, which the tree then has not. */
static inline err_t index_of_tree(const struct tree *tree, bool image, const struct bytes *digests,
				  struct buf *out)
{
	struct tree_sections *ts;
	auto_buf struct buf more = {0}, sums = {0};
	struct disk_layer_meta layer = {0};
	struct disk_image_meta whole = {0};
	err_t err = tree_sections_new(tree, TREE_SALT, image, &ts);
	if (err)
		return err;
	tree_sections_meta(ts, image ? &whole.tree : &layer.tree);
	struct section_out sections[TREE_SECTIONS + 3] = {
		{SECTION_META, false, {(const uint8_t *)&layer, sizeof(layer)}},
	};
	tree_sections_get(ts, sections + 1);
	if (digests)
		err = wire_digests_decode(*digests, sections[1].raw,
					  image ? &whole.tree : &layer.tree, &sums, NULL);
	else if (!tree_has_digests(tree))
		err = buf_append_zeros(
			&sums, (size_t)get_le32((image ? &whole.tree : &layer.tree)->n_regular) *
				       SHA256_LEN);
	if (digests || !tree_has_digests(tree))
		sections[TREE_SECTIONS].raw = buf_bytes(&sums);
	size_t n = TREE_SECTIONS + 1;
	if (image) {
		image_parts(&whole, &more);
		sections[0].raw = (struct bytes){(const uint8_t *)&whole, sizeof(whole)};
		sections[n++] = (struct section_out){SECTION_LAYERS, false, buf_bytes(&more)};
	} else {
		layer_parts(&layer, &more);
		sections[n++] = (struct section_out){SECTION_CHUNKS, false, buf_bytes(&more)};
		sections[n++] = (struct section_out){SECTION_WINDOWS, true, {NULL, 0}};
	}
	if (!err)
		err = container_write(image ? INDEX_IMAGE : INDEX_LAYER, sections, n, out);
	tree_sections_free(&ts);
	return err;
}

#endif
