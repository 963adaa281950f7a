/*
 * The tree is laid out in rows as for a layer index, which is what gives the digests their order;
 * then only what a file's row says of its data is kept.
 */
#include "index/wire_files.h"

#include "index/tree_write.h"
#include "index/wire_priv.h"
#include "index/wire_tree.h"

#include <string.h>

static int by_place(const void *a, const void *b)
{
	uint64_t x = ((const struct wire_file *)a)->stream_off,
		 y = ((const struct wire_file *)b)->stream_off;
	return x < y ? -1 : x > y;
}

static void sort(struct wire_file *files, size_t n)
{
	if (n)
		qsort(files, n, sizeof(*files), by_place);
}

/* Rows of regular files with their digests beside them; those that have a digest of their own. */
static err_t collect(struct bytes inodes, const struct disk_tree_meta *meta, struct bytes digests,
		     struct wire_file **out, size_t *n)
{
	uint32_t n_dirs = get_le32(meta->n_dirs), n_regular = get_le32(meta->n_regular);
	const struct disk_inode *rows = (const struct disk_inode *)inodes.p + n_dirs;
	BUG_ON(digests.n != (uint64_t)n_regular * SHA256_LEN);
	*out = try_array(max_of(n_regular, 1u), sizeof(**out), FORMAT_INODES_MAX);
	if (!*out)
		return -ENOMEM;
	for (uint32_t i = 0; i < n_regular; i++) {
		uint64_t size = get_le64(rows[i].size);
		if (size == 0 || (get_le16(rows[i].flags) & INODE_SPARSE))
			continue;
		struct wire_file *file = &(*out)[(*n)++];
		/* In a layer index, the high bits that name a layer are 0. */
		file->stream_off = get_le64(rows[i].ref);
		file->size = size;
		memcpy(file->sha256, digests.p + (size_t)i * SHA256_LEN, SHA256_LEN);
	}
	sort(*out, *n);
	return 0;
}

static err_t decode_digests(const struct tree_sections *ts, struct bytes packed,
			    struct wire_file **out, size_t *n, struct diag *d)
{
	struct section_out sections[TREE_SECTIONS];
	struct disk_tree_meta meta;
	auto_buf struct buf digests = {0};
	tree_sections_get(ts, sections);
	tree_sections_meta(ts, &meta);
	BUG_ON(sections[0].type != SECTION_INODES);
	err_t err = wire_digests_decode(packed, sections[0].raw, &meta, &digests, d);
	if (err)
		return err;
	err = collect(sections[0].raw, &meta, buf_bytes(&digests), out, n);
	return err ? fail_sys(d, ERR_OTHER, err, "published index") : 0;
}

static err_t decode(const struct wire_head *h, struct bytes packed_tree, struct bytes digests,
		    struct wire_file **out, size_t *n, struct diag *d)
{
	struct tree *tree = NULL;
	struct tree_sections *ts = NULL;
	err_t err = wire_tree_decode(packed_tree, false, 1, &tree, d);
	if (err)
		return err;
	err = tree_sections_new(tree, name_salt(&h->info.blob_digest), false, &ts);
	tree_free(&tree);
	if (err)
		(void)fail_sys(d, ERR_OTHER, err, "published index");
	else
		err = decode_digests(ts, digests, out, n, d);
	if (ts)
		tree_sections_free(&ts);
	return err;
}

err_t wire_files_decode(const struct wire_head *h, struct bytes parts, struct wire_file **out,
			size_t *n, struct diag *d)
{
	*out = NULL;
	*n = 0;
	BUG_ON(parts.n != h->tree.len + h->digests.len);
	struct bytes tree = {parts.p, h->tree.len}, digests = {parts.p + tree.n, h->digests.len};
	if (wire_part_check(&h->tree, tree) || wire_part_check(&h->digests, digests))
		return wire_bad(d, "SHA-256 of its tree or digests");
	return decode(h, tree, digests, out, n, d);
}

err_t wire_files_of_index(const struct index *layer, struct wire_file **out, size_t *n)
{
	const struct index_info *info = index_info(layer);
	*n = 0;
	*out = try_array(max_of(info->n_regular, 1u), sizeof(**out), FORMAT_INODES_MAX);
	if (!*out)
		return -ENOMEM;
	for (uint32_t row = info->n_dirs; row < info->n_dirs + info->n_regular; row++) {
		struct inode inode;
		struct extent run;
		const uint8_t *digest = index_file_digest(layer, row);
		index_inode(layer, row, &inode);
		if (!digest || inode.size == 0)
			continue;
		index_extent(layer, row, 0, &run);
		struct wire_file *file = &(*out)[(*n)++];
		file->stream_off = run.stream_off;
		file->size = inode.size;
		memcpy(file->sha256, digest, SHA256_LEN);
	}
	sort(*out, *n);
	return 0;
}

const struct wire_file *wire_file_at(const struct wire_file *files, size_t n, uint64_t stream_off)
{
	size_t low = 0, high = n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (files[mid].stream_off < stream_off)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n && files[low].stream_off == stream_off ? &files[low] : NULL;
}
