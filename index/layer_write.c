/*
 * A layer index file out of its parts: the builder's, or those of a published form.
 */
#include "index/layer_write.h"

err_t layer_write_chunk(struct buf *chunks, const struct chunk *c)
{
	struct disk_chunk row = {
		.stream_off = put_le64(c->stream_off),
		.blob_off = put_le64(c->blob_off),
		.blob_len = put_le64(c->blob_len),
		.xxh3 = put_le64(c->xxh3),
		.window_off = put_le64(c->window_off),
		.window_len = put_le32(c->window_len),
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
	return buf_append(chunks, &row, sizeof(row));
}

err_t layer_write(const struct layer_write *w)
{
	const struct index_info *info = w->info;
	struct disk_layer_meta meta = {
		.blob_alg = info->blob_digest.alg,
		.diff_alg = info->diff_id.alg,
		.codec = (uint8_t)info->codec,
		.chunk_target = put_le32(info->chunk_target),
		.blob_size = put_le64(info->blob_size),
		.stream_size = put_le64(info->stream_size),
	};
	tree_sections_meta(w->tree, &meta.tree);
	memcpy(meta.blob_digest, info->blob_digest.b, sizeof(meta.blob_digest));
	memcpy(meta.diff_id, info->diff_id.b, sizeof(meta.diff_id));
	struct section_out sections[TREE_SECTIONS + 3] = {
		{SECTION_META, false, {(const uint8_t *)&meta, sizeof(meta)}},
	};
	tree_sections_get(w->tree, sections + 1);
	if (w->digests.p)
		sections[TREE_SECTIONS].raw = w->digests;
	sections[TREE_SECTIONS + 1] = (struct section_out){SECTION_CHUNKS, false, w->chunks};
	sections[TREE_SECTIONS + 2] = (struct section_out){SECTION_WINDOWS, true, w->windows};
	return container_write(INDEX_LAYER, sections, ARRAY_LEN(sections), w->out);
}
