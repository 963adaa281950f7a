/*
 * A layer index as a whole published form, and back. The form's tree is the compact one
 * (wire_tree.h); what a reader of files needs, the groups, stands right behind the head.
 */
#include "index/index_priv.h"
#include "index/layer_write.h"
#include "index/wire_priv.h"
#include "index/wire_tree.h"

/* A group of gzip chunks is mostly windows: 16 of them are 4 MiB of stream and about 22 KiB to
 * fetch, and larger ones compress hardly better (measured in WIRE.md). Rows without windows are 50
 * bytes each. */
#define GROUP_CHUNKS_GZIP  16u
#define GROUP_CHUNKS_OTHER 256u

/* --- writing --- */

static void part_named(struct bytes part, le64 *len, uint8_t sha256[SHA256_LEN])
{
	*len = put_le64(part.n);
	sha256_of(part.p, part.n, sha256);
}

static struct wire_disk_head head_of(const struct index *ix, const struct digest *canonical,
				     uint32_t group_chunks)
{
	const struct index_info *info = index_info(ix);
	struct wire_disk_head head = {
		.begin = {.magic = WIRE_LAYER_MAGIC, .version = put_le16(WIRE_VERSION)},
		.blob_alg = info->blob_digest.alg,
		.diff_alg = info->diff_id.alg,
		.codec = (uint8_t)info->codec,
		.chunk_target = put_le32(info->chunk_target),
		.blob_size = put_le64(info->blob_size),
		.stream_size = put_le64(info->stream_size),
		.table_xxh3 = put_le64(index_table_xxh3(ix)),
		.n_chunks = put_le32(info->n_chunks),
		.group_chunks = put_le32(group_chunks),
	};
	memcpy(head.blob_digest, info->blob_digest.b, DIGEST_MAX);
	memcpy(head.diff_id, info->diff_id.b, DIGEST_MAX);
	memcpy(head.canonical, canonical->b, sizeof(head.canonical));
	return head;
}

static err_t encode(const struct index *ix, struct buf *out)
{
	auto_buf struct buf rows = {0}, groups = {0}, tree = {0}, digests = {0};
	uint32_t group_chunks =
		index_info(ix)->codec == BLOB_GZIP ? GROUP_CHUNKS_GZIP : GROUP_CHUNKS_OTHER;
	struct digest canonical;
	err_t err = index_canonical_digest(ix, &canonical);
	if (!err)
		err = wire_groups_encode(ix, group_chunks, &rows, &groups);
	if (!err)
		err = wire_tree_encode(ix, &tree);
	if (!err)
		err = wire_digests_encode(ix, &digests);
	if (err)
		return err;
	struct wire_disk_head head = head_of(ix, &canonical, group_chunks);
	uint64_t head_len = sizeof(head) + rows.n;
	if (head_len > WIRE_HEAD_MAX)
		return -E2BIG;
	head.begin.head_len = put_le32((uint32_t)head_len);
	head.begin.form_len = put_le64(head_len + groups.n + tree.n + digests.n);
	part_named(buf_bytes(&tree), &head.tree_len, head.tree_sha256);
	part_named(buf_bytes(&digests), &head.digests_len, head.digests_sha256);
	const struct bytes parts[] = {{(const uint8_t *)&head, sizeof(head)},
				      buf_bytes(&rows),
				      buf_bytes(&groups),
				      buf_bytes(&tree),
				      buf_bytes(&digests)};
	for (size_t i = 0; i < ARRAY_LEN(parts) && !err; i++)
		err = buf_append(out, parts[i].p, parts[i].n);
	return err;
}

err_t wire_layer_encode(const struct index *ix, struct buf *out, struct diag *d)
{
	BUG_ON(index_info(ix)->kind != INDEX_LAYER);
	err_t err = encode(ix, out);
	if (!err && out->n > WIRE_FORM_MAX)
		err = -E2BIG;
	return err ? fail_sys(d, ERR_OTHER, err, "pack a layer index") : 0;
}

/* --- reading --- */

/* One part of a whole form, compared with its digest. */
static err_t part_of(struct bytes form, const struct wire_part *part, const char *name,
		     struct bytes *out, struct diag *d)
{
	*out = (struct bytes){form.p + part->off, part->len};
	return wire_part_check(part, *out) ? wire_bad(d, "SHA-256 of %s", name) : 0;
}

static err_t form_head(struct bytes form, struct wire_head **out, struct diag *d)
{
	struct wire_disk_begin begin;
	if (form.n < sizeof(begin))
		return wire_bad(d, "a form of %zu bytes", form.n);
	memcpy(&begin, form.p, sizeof(begin));
	err_t err = wire_begin_check(&begin, WIRE_LAYER_MAGIC, d);
	if (err)
		return err;
	if (get_le64(begin.form_len) != form.n || get_le32(begin.head_len) > form.n)
		return wire_bad(d, "%zu bytes, its head says %llu", form.n,
				(unsigned long long)get_le64(begin.form_len));
	return wire_head_parse((struct bytes){form.p, get_le32(begin.head_len)}, out, d);
}

static err_t take_group(const struct wire_head *h, struct bytes form, uint32_t group,
			struct buf *chunks, struct buf *windows, struct diag *d)
{
	uint32_t n = wire_group_len(h, group);
	auto_free struct chunk *rows = try_array(n, sizeof(*rows), WIRE_CHUNKS_MAX);
	struct bytes piece;
	if (!rows)
		return fail_sys(d, ERR_OTHER, -ENOMEM, "published index");
	err_t err = part_of(form, &h->groups[group], "a group", &piece, d);
	if (!err)
		err = wire_group_rows(h, group, piece, rows, d);
	if (err)
		return err;
	uint64_t end = windows->n;
	for (uint32_t i = 0; i < n && !err; i++) {
		if (rows[i].window_len)
			rows[i].window_off += windows->n;
		end += rows[i].window_len;
		err = layer_write_chunk(chunks, &rows[i]);
	}
	if (err)
		return fail_sys(d, ERR_OTHER, err, "published index");
	err = wire_group_windows(h, group, piece, windows, d);
	/* Also where the next group would make up for it: each is used alone. */
	if (!err && windows->n != end)
		err = wire_bad(d, "the windows of group %u are not those of its rows", group);
	return err;
}

static err_t write_layer(const struct wire_head *h, struct bytes form, struct tree_sections *ts,
			 struct layer_write *w, struct diag *d)
{
	struct bytes packed;
	struct section_out sections[TREE_SECTIONS];
	struct disk_tree_meta meta;
	auto_buf struct buf digests = {0};
	tree_sections_get(ts, sections);
	tree_sections_meta(ts, &meta);
	BUG_ON(sections[0].type != SECTION_INODES);
	err_t err = part_of(form, &h->digests, "the digests", &packed, d);
	if (!err)
		err = wire_digests_decode(packed, sections[0].raw, &meta, &digests, d);
	if (err)
		return err;
	w->tree = ts;
	w->digests = buf_bytes(&digests);
	err = layer_write(w);
	return err ? fail_sys(d, ERR_OTHER, err, "published index") : 0;
}

static err_t decode(const struct wire_head *h, struct bytes form, struct layer_write *w,
		    struct diag *d)
{
	struct bytes packed;
	struct tree *tree = NULL;
	struct tree_sections *ts = NULL;
	err_t err = part_of(form, &h->tree, "the tree", &packed, d);
	if (!err)
		err = wire_tree_decode(packed, false, 1, &tree, d);
	if (err)
		return err;
	err = tree_sections_new(tree, name_salt(&h->info.blob_digest), false, &ts);
	tree_free(&tree);
	if (err)
		(void)fail_sys(d, ERR_OTHER, err, "published index");
	else
		err = write_layer(h, form, ts, w, d);
	if (ts)
		tree_sections_free(&ts);
	return err;
}

/* The head's word for the whole: an index that differs from it in anything is caught here. */
static err_t check_canonical(const struct wire_head *h, struct bytes file, struct diag *d)
{
	struct index *ix = NULL;
	struct digest found = {0};
	err_t err = index_open_bytes(file, &ix, d);
	if (err)
		return err;
	err = index_canonical_digest(ix, &found);
	bool table = index_table_xxh3(ix) == h->table_xxh3;
	index_close(&ix);
	if (err)
		return fail_sys(d, ERR_OTHER, err, "published index");
	if (memcmp(found.b, h->canonical, sizeof(h->canonical)) != 0 || !table)
		return wire_bad(d, "the whole is not what its head says");
	return 0;
}

err_t wire_layer_decode(struct bytes form, struct buf *index_file, struct diag *d)
{
	struct wire_head *h = NULL;
	auto_buf struct buf chunks = {0}, windows = {0};
	err_t err = form_head(form, &h, d);
	for (uint32_t i = 0; !err && i < h->n_groups; i++)
		err = take_group(h, form, i, &chunks, &windows, d);
	if (!err) {
		struct layer_write w = {.info = &h->info,
					.chunks = buf_bytes(&chunks),
					.windows = buf_bytes(&windows),
					.out = index_file};
		err = decode(h, form, &w, d);
	}
	if (!err)
		err = check_canonical(h, buf_bytes(index_file), d);
	wire_head_free(&h);
	return err;
}

/* --- sizes --- */

err_t wire_layer_sizes(struct bytes form, struct wire_sizes *out, struct diag *d)
{
	struct wire_head *h = NULL;
	*out = (struct wire_sizes){0};
	err_t err = form_head(form, &h, d);
	for (uint32_t i = 0; !err && i < h->n_groups; i++) {
		struct bytes rows, windows;
		err = wire_group_split((struct bytes){form.p + h->groups[i].off, h->groups[i].len},
				       &rows, &windows, d);
		if (!err) {
			out->rows += h->groups[i].len - windows.n;
			out->windows += windows.n;
		}
	}
	if (!err) {
		out->head = h->head_len;
		out->tree = h->tree.len;
		out->digests = h->digests.len;
		out->total = h->form_len;
	}
	wire_head_free(&h);
	return err;
}
