/*
 * The head of a layer's published form: what the layer is, and where each part lies with its
 * SHA-256. Parts follow each other without gap: groups, tree, digests; so only lengths are written.
 */
#include "index/wire_priv.h"

#include <stdarg.h>
#include <stdio.h>

err_t wire_bad(struct diag *d, const char *fmt, ...)
{
	char text[400];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return fail(d, ERR_INTEGRITY, -EBADMSG, "published index: %s", text);
}

err_t wire_begin_check(const struct wire_disk_begin *begin, const char *magic, struct diag *d)
{
	if (memcmp(begin->magic, magic, sizeof(begin->magic)) != 0)
		return wire_bad(d, "the magic is missing");
	uint16_t version = get_le16(begin->version);
	if (version != WIRE_VERSION)
		return fail(d, ERR_UNSUPPORTED, -ENOTSUP,
			    "published index: form %u, which is %s; this imgfs reads form %u",
			    version, version > WIRE_VERSION ? "newer" : "older", WIRE_VERSION);
	if (get_le64(begin->form_len) > WIRE_FORM_MAX)
		return wire_bad(d, "%llu bytes", (unsigned long long)get_le64(begin->form_len));
	return 0;
}

static err_t get_digest(uint8_t alg, const uint8_t bytes[DIGEST_MAX], struct digest *out)
{
	static const uint8_t zeroes[DIGEST_MAX];
	*out = (struct digest){.alg = alg};
	size_t len = digest_len(out);
	memcpy(out->b, bytes, DIGEST_MAX);
	return len && memcmp(bytes + len, zeroes, DIGEST_MAX - len) == 0 ? 0 : -EBADMSG;
}

static err_t parse_info(const struct wire_disk_head *disk, struct index_info *info, struct diag *d)
{
	*info = (struct index_info){
		.kind = INDEX_LAYER,
		.blob_size = get_le64(disk->blob_size),
		.stream_size = get_le64(disk->stream_size),
		.codec = disk->codec,
		.chunk_target = get_le32(disk->chunk_target),
		.n_chunks = get_le32(disk->n_chunks),
	};
	if (get_digest(disk->blob_alg, disk->blob_digest, &info->blob_digest) ||
	    get_digest(disk->diff_alg, disk->diff_id, &info->diff_id))
		return wire_bad(d, "a digest of the head");
	if (disk->codec > BLOB_ZSTD || disk->reserved || info->stream_size > STREAM_MAX ||
	    info->blob_size > STREAM_MAX || info->chunk_target < CHUNK_TARGET_MIN ||
	    info->chunk_target > CHUNK_STREAM_MAX || info->n_chunks > info->stream_size ||
	    (info->n_chunks == 0) != (info->stream_size == 0))
		return wire_bad(d, "codec, sizes or chunks of the head");
	return 0;
}

static void part_at(struct wire_part *part, uint64_t *at, uint64_t len, const uint8_t *sha256)
{
	part->off = *at;
	part->len = len;
	memcpy(part->sha256, sha256, SHA256_LEN);
	*at += len;
}

static err_t parse_groups(struct wire_head *h, const uint8_t *rows, uint64_t *at, struct diag *d)
{
	h->groups = try_array(h->n_groups, sizeof(*h->groups), UINT32_MAX);
	h->stream_offs = try_array(h->n_groups, sizeof(*h->stream_offs), UINT32_MAX);
	if (!h->groups || !h->stream_offs)
		return fail_sys(d, ERR_OTHER, -ENOMEM, "published index");
	for (uint32_t i = 0; i < h->n_groups; i++) {
		struct wire_disk_group row;
		memcpy(&row, rows + i * sizeof(row), sizeof(row));
		uint32_t len = get_le32(row.len);
		h->stream_offs[i] = get_le64(row.stream_off);
		if (len == 0 || len > WIRE_GROUP_MAX ||
		    (i ? h->stream_offs[i] <= h->stream_offs[i - 1] : h->stream_offs[i] != 0) ||
		    h->stream_offs[i] >= h->info.stream_size)
			return wire_bad(d, "group %u of the head", i);
		part_at(&h->groups[i], at, len, row.sha256);
	}
	return 0;
}

static err_t parse(struct wire_head *h, struct bytes head, struct diag *d)
{
	struct wire_disk_head disk;
	if (head.n < sizeof(disk))
		return wire_bad(d, "a head of %zu bytes", head.n);
	memcpy(&disk, head.p, sizeof(disk));
	err_t err = wire_begin_check(&disk.begin, WIRE_LAYER_MAGIC, d);
	if (!err)
		err = parse_info(&disk, &h->info, d);
	if (err)
		return err;
	h->group_chunks = get_le32(disk.group_chunks);
	if (h->group_chunks == 0 || h->group_chunks > WIRE_CHUNKS_MAX)
		return wire_bad(d, "groups of %u chunks", h->group_chunks);
	h->n_groups =
		h->info.n_chunks / h->group_chunks + (h->info.n_chunks % h->group_chunks != 0);
	if ((head.n - sizeof(disk)) / sizeof(struct wire_disk_group) != h->n_groups ||
	    (head.n - sizeof(disk)) % sizeof(struct wire_disk_group) ||
	    get_le32(disk.begin.head_len) != head.n)
		return wire_bad(d, "a head of %zu bytes for %u groups", head.n, h->n_groups);
	memcpy(h->canonical, disk.canonical, sizeof(h->canonical));
	h->table_xxh3 = get_le64(disk.table_xxh3);
	h->form_len = get_le64(disk.begin.form_len);
	h->head_len = head.n;
	uint64_t at = head.n, tree_len = get_le64(disk.tree_len),
		 digests_len = get_le64(disk.digests_len);
	err = parse_groups(h, head.p + sizeof(disk), &at, d);
	if (err)
		return err;
	if (tree_len > WIRE_FORM_MAX || digests_len > WIRE_FORM_MAX)
		return wire_bad(d, "lengths of the head");
	part_at(&h->tree, &at, tree_len, disk.tree_sha256);
	part_at(&h->digests, &at, digests_len, disk.digests_sha256);
	return at == h->form_len ? 0 : wire_bad(d, "its parts do not fill it");
}

err_t wire_head_parse(struct bytes head, struct wire_head **out, struct diag *d)
{
	struct wire_head *h = new_of(struct wire_head);
	err_t err = parse(h, head, d);
	if (err)
		wire_head_free(&h);
	else
		*out = h;
	return err;
}

void wire_head_free(struct wire_head **hp)
{
	struct wire_head *h = take(hp);
	if (!h)
		return;
	free(h->groups);
	free(h->stream_offs);
	free(h);
}

uint32_t wire_group_at(const struct wire_head *h, uint64_t stream_off)
{
	BUG_ON(stream_off >= h->info.stream_size);
	uint32_t low = 0, high = h->n_groups;
	while (high - low > 1) {
		uint32_t mid = low + (high - low) / 2;
		if (h->stream_offs[mid] <= stream_off)
			low = mid;
		else
			high = mid;
	}
	return low;
}

uint32_t wire_group_len(const struct wire_head *h, uint32_t group)
{
	BUG_ON(group >= h->n_groups);
	return min_of(h->group_chunks, h->info.n_chunks - group * h->group_chunks);
}

err_t wire_part_check(const struct wire_part *part, struct bytes bytes)
{
	uint8_t found[SHA256_LEN];
	if (bytes.n != part->len)
		return -EBADMSG;
	sha256_of(bytes.p, bytes.n, found);
	return memcmp(found, part->sha256, sizeof(found)) == 0 ? 0 : -EBADMSG;
}
