/*
 * An image index as a published form, and back: the rows of its layers, the head of each layer's
 * form, and the compact tree. Nothing of it is left out by a reader, so it is one piece, named by
 * its digest. Digests of files are not in it: they are the layers' (WIRE.md).
 */
#include "index/index_priv.h"
#include "index/merge.h"
#include "index/tree_write.h"
#include "index/wire_priv.h"
#include "index/wire_tree.h"

/* --- writing --- */

static err_t heads_section(const struct index_layer_head *heads, uint32_t n, struct buf *out)
{
	err_t err = 0;
	for (uint32_t i = 0; i < n && !err; i++) {
		struct disk_layer_head row = {
			.form_len = put_le64(heads[i].form_len),
			.head_len = put_le32((uint32_t)heads[i].head.n),
		};
		memcpy(row.form_sha256, heads[i].form.b, sizeof(row.form_sha256));
		err = buf_append(out, &row, sizeof(row));
	}
	for (uint32_t i = 0; i < n && !err; i++)
		err = buf_append(out, heads[i].head.p, heads[i].head.n);
	return err;
}

static err_t encode(const struct index *tree, const struct index_layer_head *heads, struct buf *out)
{
	const struct section *layers = &tree->sections[SECTION_LAYERS];
	auto_buf struct buf head_bytes = {0}, packed = {0};
	err_t err = heads_section(heads, tree->info.n_layers, &head_bytes);
	if (!err)
		err = wire_tree_encode(tree, &packed);
	if (err)
		return err;
	struct wire_disk_image begin = {
		.begin = {.magic = WIRE_IMAGE_MAGIC,
			  .version = put_le16(WIRE_VERSION),
			  .head_len = put_le32(sizeof(begin)),
			  .form_len =
				  put_le64(sizeof(begin) + layers->len + head_bytes.n + packed.n)},
		.n_layers = put_le32(tree->info.n_layers),
		.heads_len = put_le64(head_bytes.n),
		.tree_len = put_le64(packed.n),
	};
	memcpy(begin.image_key, tree->info.image_key.b, sizeof(begin.image_key));
	const struct bytes parts[] = {{(const uint8_t *)&begin, sizeof(begin)},
				      {layers->p, layers->len},
				      buf_bytes(&head_bytes),
				      buf_bytes(&packed)};
	for (size_t i = 0; i < ARRAY_LEN(parts) && !err; i++)
		err = buf_append(out, parts[i].p, parts[i].n);
	return err;
}

err_t wire_image_encode(const struct index *tree, const struct index_layer_head *heads,
			struct buf *out, struct diag *d)
{
	BUG_ON(index_info(tree)->kind != INDEX_IMAGE);
	err_t err = encode(tree, heads, out);
	if (!err && out->n > WIRE_FORM_MAX)
		err = -E2BIG;
	return err ? fail_sys(d, ERR_OTHER, err, "pack an image index") : 0;
}

/* --- reading --- */

struct image_parts {
	struct wire_disk_image begin;
	struct bytes layers, heads, tree;
};

static err_t split(struct bytes form, struct image_parts *out, struct diag *d)
{
	struct wire_disk_image *begin = &out->begin;
	if (form.n < sizeof(*begin))
		return wire_bad(d, "a form of %zu bytes", form.n);
	memcpy(begin, form.p, sizeof(*begin));
	err_t err = wire_begin_check(&begin->begin, WIRE_IMAGE_MAGIC, d);
	if (err)
		return err;
	uint64_t n_layers = get_le32(begin->n_layers), rest = form.n - sizeof(*begin);
	uint64_t layers_len = n_layers * sizeof(struct disk_layer),
		 heads_len = get_le64(begin->heads_len), tree_len = get_le64(begin->tree_len);
	if (get_le64(begin->begin.form_len) != form.n ||
	    get_le32(begin->begin.head_len) != sizeof(*begin) || get_le32(begin->reserved) ||
	    n_layers > INDEX_LAYERS_MAX || heads_len > rest || tree_len > rest ||
	    layers_len + heads_len + tree_len != rest)
		return wire_bad(d, "the lengths of its parts");
	out->layers = (struct bytes){form.p + sizeof(*begin), layers_len};
	out->heads = (struct bytes){out->layers.p + layers_len, heads_len};
	out->tree = (struct bytes){out->heads.p + heads_len, tree_len};
	return 0;
}

static err_t write_file(const struct image_parts *p, const struct tree_sections *ts,
			struct buf *out)
{
	struct disk_image_meta meta = {.n_layers = p->begin.n_layers};
	tree_sections_meta(ts, &meta.tree);
	memcpy(meta.image_key, p->begin.image_key, sizeof(meta.image_key));
	struct section_out sections[TREE_SECTIONS + 2] = {
		{SECTION_META, false, {(const uint8_t *)&meta, sizeof(meta)}},
	};
	tree_sections_get(ts, sections + 1);
	/* In the place of DIGESTS, which stand last among the tree's. */
	BUG_ON(sections[TREE_SECTIONS].type != SECTION_DIGESTS);
	sections[TREE_SECTIONS] = (struct section_out){SECTION_LAYERS, false, p->layers};
	sections[TREE_SECTIONS + 1] = (struct section_out){SECTION_HEADS, false, p->heads};
	return container_write(INDEX_IMAGE, sections, ARRAY_LEN(sections), out);
}

err_t wire_image_decode(struct bytes form, struct buf *index_file, struct diag *d)
{
	struct image_parts parts;
	struct tree *tree = NULL;
	struct tree_sections *ts = NULL;
	err_t err = split(form, &parts, d);
	if (!err)
		err = wire_tree_decode(parts.tree, true, get_le32(parts.begin.n_layers), &tree, d);
	if (err)
		return err;
	struct digest key = {.alg = DIGEST_SHA256};
	memcpy(key.b, parts.begin.image_key, sizeof(parts.begin.image_key));
	err = tree_sections_new(tree, name_salt(&key), true, &ts);
	tree_free(&tree); /* the file takes its place in memory */
	if (!err)
		err = write_file(&parts, ts, index_file);
	if (ts)
		tree_sections_free(&ts);
	return err ? fail_sys(d, ERR_OTHER, err, "published index") : 0;
}
