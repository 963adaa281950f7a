/*
 * The first half of the proof: the container and META. After it, every table is known to lie inside
 * the file, to have the length that META states, and to hold the bytes that were written.
 */
#include "index/index_priv.h"
#include "index/merge.h"

#include <stdarg.h>
#include <stdio.h>
#include <xxhash.h>
#include <zstd.h>

err_t broken_(struct diag *d, const char *fmt, ...)
{
	char text[400];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return fail(d, ERR_INTEGRITY, -EBADMSG, "%s", text);
}

static bool all_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

static err_t verify_header(struct index *ix, struct disk_header *h, struct diag *d)
{
	if (ix->file.n < sizeof(*h) || memcmp(ix->file.p, FORMAT_MAGIC, 8) != 0)
		return broken(d, "01", "no index file: the magic is missing");
	memcpy(h, ix->file.p, sizeof(*h));
	if (get_le16(h->version) != FORMAT_VERSION)
		return fail(d, ERR_UNSUPPORTED, -ENOTSUP,
			    "I02: index format %u; this imgfs reads format %u",
			    get_le16(h->version), FORMAT_VERSION);
	if (get_le64(h->file_len) != ix->file.n)
		return broken(d, "03", "file length: header says %llu, file has %zu",
			      (unsigned long long)get_le64(h->file_len), ix->file.n);
	uint32_t n = get_le32(h->n_sections);
	if (n > FORMAT_SECTIONS_MAX || sizeof(*h) + n * sizeof(struct disk_section) > ix->file.n)
		return broken(d, "04", "%u sections", n);
	size_t head_len = sizeof(*h) + n * sizeof(struct disk_section);
	uint8_t head[sizeof(*h) + FORMAT_SECTIONS_MAX * sizeof(struct disk_section)];
	memcpy(head, ix->file.p, head_len);
	memset(head + offsetof(struct disk_header, xxh3), 0, sizeof(le64));
	if (XXH3_64bits(head, head_len) != get_le64(h->xxh3))
		return broken(d, "05", "checksum of the header and the section table");
	uint32_t kind = get_le32(h->kind);
	if ((kind != INDEX_LAYER && kind != INDEX_IMAGE) || get_le32(h->reserved0) ||
	    !all_zero(h->reserved1, sizeof(h->reserved1)))
		return broken(d, "06", "kind %u or a reserved field of the header", kind);
	ix->info.kind = kind;
	return 0;
}

/* I10: every frame lies inside the section and says that it holds as much as the table promises. */
static err_t verify_framed(const struct section *s, struct diag *d)
{
	uint64_t n_frames = s->raw_len / FORMAT_FRAME_RAW + (s->raw_len % FORMAT_FRAME_RAW != 0);
	struct disk_framed head;
	if (s->len < sizeof(head) || (s->len - sizeof(head)) / sizeof(le64) < n_frames)
		return broken(d, "10", "frame table is cut");
	memcpy(&head, s->p, sizeof(head));
	if (get_le32(head.frame_raw) != FORMAT_FRAME_RAW || get_le32(head.n_frames) != n_frames)
		return broken(d, "10", "frame table: %u frames of %u bytes",
			      get_le32(head.n_frames), get_le32(head.frame_raw));
	const uint8_t *table = s->p + sizeof(head), *frames = table + n_frames * sizeof(le64);
	uint64_t frames_len = s->len - sizeof(head) - n_frames * sizeof(le64), begin = 0;
	for (uint64_t i = 0; i < n_frames; i++) {
		le64 end_le;
		memcpy(&end_le, table + i * sizeof(end_le), sizeof(end_le));
		uint64_t end = get_le64(end_le), raw = min_of((uint64_t)FORMAT_FRAME_RAW,
							      s->raw_len - i * FORMAT_FRAME_RAW);
		if (end <= begin || end > frames_len ||
		    ZSTD_getFrameContentSize(frames + begin, end - begin) != raw)
			return broken(d, "10", "frame %llu", (unsigned long long)i);
		begin = end;
	}
	return begin == frames_len ? 0 : broken(d, "10", "bytes behind the last frame");
}

static err_t verify_section(struct index *ix, const struct disk_section *row, uint64_t *end,
			    struct diag *d)
{
	uint32_t type = get_le32(row->type), flags = get_le32(row->flags);
	uint64_t off = get_le64(row->offset), len = get_le64(row->stored_len),
		 raw = get_le64(row->raw_len);
	if (off % FORMAT_ALIGN || off < *end || off > ix->file.n || len > ix->file.n - off ||
	    off - *end >= FORMAT_ALIGN || !all_zero(ix->file.p + *end, off - *end))
		return broken(d, "08", "section %u: offset %llu, length %llu", type,
			      (unsigned long long)off, (unsigned long long)len);
	*end = off + len;
	if (get_le64(row->reserved))
		return broken(d, "08", "section %u: reserved field", type);
	if (XXH3_64bits(ix->file.p + off, len) != get_le64(row->xxh3))
		return broken(d, "09", "checksum of section %u", type);
	if (type == 0 || type > SECTION_LAST_KNOWN ||
	    flags & ~(uint32_t)(SECTION_REQUIRED | SECTION_FRAMED)) {
		if (!(flags & SECTION_REQUIRED))
			return 0;
		return fail(d, ERR_UNSUPPORTED, -ENOTSUP, "I07: section %u is required and unknown",
			    type);
	}
	struct section *s = &ix->sections[type];
	*s = (struct section){ix->file.p + off, len, raw, (flags & SECTION_FRAMED) != 0};
	if (s->framed != (type == SECTION_WINDOWS) || (!s->framed && raw != len))
		return broken(d, "10", "section %u: stored %llu, raw %llu bytes", type,
			      (unsigned long long)len, (unsigned long long)raw);
	return s->framed ? verify_framed(s, d) : 0;
}

err_t verify_container(struct index *ix, struct diag *d)
{
	struct disk_header h;
	err_t err = verify_header(ix, &h, d);
	uint32_t last = 0;
	uint64_t end = sizeof(h) + (err ? 0 : get_le32(h.n_sections)) * sizeof(struct disk_section);
	for (uint32_t i = 0; !err && i < get_le32(h.n_sections); i++) {
		struct disk_section row;
		memcpy(&row, ix->file.p + sizeof(h) + i * sizeof(row), sizeof(row));
		if (get_le32(row.type) <= last)
			return broken(d, "07", "section types do not ascend");
		last = get_le32(row.type);
		err = verify_section(ix, &row, &end, d);
	}
	if (!err && end != ix->file.n)
		return broken(d, "08", "bytes behind the last section");
	return err;
}

/* I12: a table is there and has exactly the rows that META states. */
static err_t table(const struct index *ix, enum section_type type, uint64_t rows, size_t row_size,
		   const void **out, struct diag *d)
{
	const struct section *s = &ix->sections[type];
	if (!s->p || s->raw_len / row_size != rows || s->raw_len % row_size)
		return broken(d, "12", "section %u: %llu bytes for %llu rows of %zu", type,
			      (unsigned long long)s->raw_len, (unsigned long long)rows, row_size);
	*out = s->p;
	return 0;
}

/* TABLE - the same into a typed pointer. */
#define TABLE(ix, type, rows, member, d)                                                           \
	({                                                                                         \
		const void *table_ = NULL;                                                         \
		err_t table_err_ = table(ix, type, rows, sizeof(*(ix)->member), &table_, d);       \
		(ix)->member = table_;                                                             \
		table_err_;                                                                        \
	})

static err_t get_digest(uint8_t alg, const uint8_t bytes[DIGEST_MAX], struct digest *out)
{
	*out = (struct digest){.alg = alg};
	size_t len = digest_len(out);
	memcpy(out->b, bytes, DIGEST_MAX);
	return len && all_zero(bytes + len, DIGEST_MAX - len) ? 0 : -EBADMSG;
}

static err_t verify_layer_meta(struct index *ix, struct disk_tree_meta *tree, struct diag *d)
{
	struct disk_layer_meta m;
	const struct section *s = &ix->sections[SECTION_META];
	if (s->raw_len != sizeof(m))
		return broken(d, "11", "META has %llu bytes", (unsigned long long)s->raw_len);
	memcpy(&m, s->p, sizeof(m));
	*tree = m.tree;
	struct index_info *info = &ix->info;
	info->blob_size = get_le64(m.blob_size);
	info->stream_size = get_le64(m.stream_size);
	info->chunk_target = get_le32(m.chunk_target);
	info->codec = m.codec;
	if (get_digest(m.blob_alg, m.blob_digest, &info->blob_digest) ||
	    get_digest(m.diff_alg, m.diff_id, &info->diff_id))
		return broken(d, "11", "a digest of META");
	if (m.codec > BLOB_ZSTD || m.reserved || info->stream_size > STREAM_MAX ||
	    info->blob_size > STREAM_MAX || info->chunk_target < CHUNK_TARGET_MIN ||
	    info->chunk_target > CHUNK_STREAM_MAX)
		return broken(d, "11", "codec, sizes or chunk target of META");
	const struct section *chunks = &ix->sections[SECTION_CHUNKS];
	uint64_t n = chunks->raw_len / sizeof(struct disk_chunk);
	if (n >= UINT32_MAX)
		return broken(d, "12", "%llu chunks", (unsigned long long)n);
	info->n_chunks = (uint32_t)n;
	if (!ix->sections[SECTION_WINDOWS].p || ix->sections[SECTION_LAYERS].p ||
	    ix->sections[SECTION_HEADS].p)
		return broken(d, "12", "sections of a layer index");
	return TABLE(ix, SECTION_CHUNKS, n, chunks, d);
}

static err_t verify_image_meta(struct index *ix, struct disk_tree_meta *tree, struct diag *d)
{
	struct disk_image_meta m;
	const struct section *s = &ix->sections[SECTION_META];
	if (s->raw_len != sizeof(m))
		return broken(d, "11", "META has %llu bytes", (unsigned long long)s->raw_len);
	memcpy(&m, s->p, sizeof(m));
	*tree = m.tree;
	ix->info.n_layers = get_le32(m.n_layers);
	ix->info.image_key = (struct digest){.alg = DIGEST_SHA256};
	memcpy(ix->info.image_key.b, m.image_key, sizeof(m.image_key));
	if (ix->info.n_layers > INDEX_LAYERS_MAX || get_le32(m.reserved0) ||
	    get_le64(m.reserved1) || get_le64(m.reserved2))
		return broken(d, "11", "%u layers, or a reserved field", ix->info.n_layers);
	if (ix->sections[SECTION_CHUNKS].p || ix->sections[SECTION_WINDOWS].p)
		return broken(d, "12", "sections of an image index");
	return TABLE(ix, SECTION_LAYERS, ix->info.n_layers, layers, d);
}

static err_t verify_tables(struct index *ix, struct diag *d)
{
	const struct index_info *info = &ix->info;
	ix->strings_len = ix->sections[SECTION_STRINGS].raw_len;
	ix->xattrs_len = ix->sections[SECTION_XATTRS].raw_len;
	ix->n_extents = ix->sections[SECTION_EXTENTS].raw_len / sizeof(struct disk_extent);
	uint64_t owners = ix->sections[SECTION_OWNERS].raw_len / sizeof(struct disk_owner);
	ix->n_owners = (uint32_t)min_of(owners, (uint64_t)UINT32_MAX);
	err_t err = TABLE(ix, SECTION_INODES, info->n_inodes, inodes, d);
	if (!err)
		err = TABLE(ix, SECTION_DIRENTS, info->n_dirents, dirents, d);
	if (!err && ix->sections[SECTION_HEADS].p)
		err = ix->sections[SECTION_DIGESTS].p ? broken(d, "12", "DIGESTS beside HEADS") : 0;
	else if (!err)
		err = TABLE(ix, SECTION_DIGESTS, (uint64_t)info->n_regular * SHA256_LEN, digests,
			    d);
	if (!err)
		err = TABLE(ix, SECTION_STRINGS, ix->strings_len, strings, d);
	if (!err)
		err = TABLE(ix, SECTION_OWNERS, ix->n_owners, owners, d);
	if (!err)
		err = TABLE(ix, SECTION_XATTRS, ix->xattrs_len, xattrs, d);
	return err ? err : TABLE(ix, SECTION_EXTENTS, ix->n_extents, extents, d);
}

err_t verify_meta(struct index *ix, struct diag *d)
{
	if (!ix->sections[SECTION_META].p)
		return broken(d, "11", "META is missing");
	struct disk_tree_meta tree = {0};
	err_t err = ix->info.kind == INDEX_LAYER ? verify_layer_meta(ix, &tree, d)
						 : verify_image_meta(ix, &tree, d);
	if (err)
		return err;
	struct index_info *info = &ix->info;
	info->n_inodes = get_le32(tree.n_inodes);
	info->n_dirs = get_le32(tree.n_dirs);
	info->n_regular = get_le32(tree.n_regular);
	info->flags = get_le32(tree.flags);
	info->n_dirents = get_le64(tree.n_dirents);
	info->files_size = get_le64(tree.files_size);
	ix->salt = get_le64(tree.salt);
	if (info->n_inodes > FORMAT_INODES_MAX || info->n_dirs < 1 ||
	    info->n_dirs > info->n_inodes || info->n_regular > info->n_inodes - info->n_dirs ||
	    info->n_dirents > FORMAT_DIRENTS_MAX)
		return broken(d, "11", "%u rows, %u directories, %u files, %llu names",
			      info->n_inodes, info->n_dirs, info->n_regular,
			      (unsigned long long)info->n_dirents);
	return verify_tables(ix, d);
}
