/*
 * Writing the container. Sections are laid out one after the other at 4 KiB boundaries, zeroes
 * between them; checksums are filled in last. A framed section is cut into frames of equal raw size
 * that decompress alone, so that a reader (or a range request) touches only what it needs.
 */
#include "index/container.h"

#include <xxhash.h>
#include <zstd.h>

/* Beyond level 9 the windows of real layers shrink by less than 3 % at a quarter of the speed. */
#define FRAME_LEVEL 9

uint64_t name_salt(const struct digest *name)
{
	uint64_t salt;
	memcpy(&salt, name->b, sizeof(salt));
	return le64toh(salt);
}

uint32_t name_hash(uint64_t salt, struct bytes name)
{
	return (uint32_t)XXH3_64bits_withSeed(name.p, name.n, salt);
}

static err_t frame_append(ZSTD_CCtx *cctx, struct bytes raw, struct buf *out)
{
	size_t bound = ZSTD_compressBound(raw.n);
	err_t err = buf_reserve(out, bound);
	if (err)
		return err;
	size_t n = ZSTD_compressCCtx(cctx, out->p + out->n, bound, raw.p, raw.n, FRAME_LEVEL);
	if (ZSTD_isError(n))
		return -ENOMEM;
	out->n += n;
	return 0;
}

static err_t framed_append(struct bytes raw, struct buf *out)
{
	size_t n_frames = (raw.n + FORMAT_FRAME_RAW - 1) / FORMAT_FRAME_RAW;
	struct disk_framed head = {put_le32(FORMAT_FRAME_RAW), put_le32((uint32_t)n_frames)};
	err_t err = buf_append(out, &head, sizeof(head));
	size_t table = out->n;
	if (!err)
		err = buf_append_zeros(out, n_frames * sizeof(le64));
	size_t first = out->n;
	ZSTD_CCtx *cctx = ZSTD_createCCtx();
	if (!cctx)
		return -ENOMEM;
	for (size_t i = 0; i < n_frames && !err; i++) {
		size_t off = i * FORMAT_FRAME_RAW;
		struct bytes part = {raw.p + off, min_of((size_t)FORMAT_FRAME_RAW, raw.n - off)};
		err = frame_append(cctx, part, out);
		le64 end = put_le64(out->n - first);
		memcpy(out->p + table + i * sizeof(end), &end, sizeof(end));
	}
	ZSTD_freeCCtx(cctx);
	return err;
}

static err_t section_append(const struct section_out *section, size_t start, struct buf *out,
			    struct disk_section *row)
{
	size_t pad = (FORMAT_ALIGN - (out->n - start) % FORMAT_ALIGN) % FORMAT_ALIGN;
	err_t err = buf_append_zeros(out, pad);
	if (err)
		return err;
	size_t at = out->n;
	err = section->framed ? framed_append(section->raw, out)
			      : buf_append(out, section->raw.p, section->raw.n);
	if (err)
		return err;
	*row = (struct disk_section){
		.type = put_le32(section->type),
		.flags = put_le32((section->type == SECTION_HEADS ? 0 : SECTION_REQUIRED) |
				  (section->framed ? SECTION_FRAMED : 0)),
		.offset = put_le64(at - start),
		.stored_len = put_le64(out->n - at),
		.raw_len = put_le64(section->raw.n),
		.xxh3 = put_le64(XXH3_64bits(out->p + at, out->n - at)),
	};
	return 0;
}

err_t container_write(uint32_t kind, const struct section_out *sections, size_t n, struct buf *out)
{
	BUG_ON(n > FORMAT_SECTIONS_MAX);
	struct disk_section rows[FORMAT_SECTIONS_MAX] = {0};
	size_t start = out->n, head_len = sizeof(struct disk_header) + n * sizeof(rows[0]);
	size_t whole = head_len;
	for (size_t i = 0; i < n; i++)
		whole += FORMAT_ALIGN + (sections[i].framed ? 0 : sections[i].raw.n);
	err_t err = buf_reserve(out, whole);
	if (!err)
		err = buf_append_zeros(out, head_len);
	for (size_t i = 0; i < n && !err; i++)
		err = section_append(&sections[i], start, out, &rows[i]);
	if (err)
		return err;
	struct disk_header header = {
		.version = put_le16(FORMAT_VERSION),
		.kind = put_le32(kind),
		.n_sections = put_le32((uint32_t)n),
		.file_len = put_le64(out->n - start),
	};
	memcpy(header.magic, FORMAT_MAGIC, sizeof(header.magic));
	uint8_t *head = out->p + start;
	memcpy(head, &header, sizeof(header));
	memcpy(head + sizeof(header), rows, n * sizeof(rows[0]));
	header.xxh3 = put_le64(XXH3_64bits(head, head_len));
	memcpy(head, &header, sizeof(header));
	return 0;
}

static err_t frame_read(ZSTD_DCtx *dctx, struct bytes frame, size_t raw, struct buf *out)
{
	err_t err = buf_reserve(out, raw);
	if (err)
		return err;
	size_t got = ZSTD_decompressDCtx(dctx, out->p + out->n, raw, frame.p, frame.n);
	if (ZSTD_isError(got) || got != raw)
		return -EBADMSG;
	out->n += raw;
	return 0;
}

static uint64_t frame_end(const uint8_t *table, uint64_t i)
{
	le64 end;
	memcpy(&end, table + i * sizeof(end), sizeof(end));
	return get_le64(end);
}

err_t framed_read(struct bytes stored, uint64_t raw_len, uint64_t off, uint64_t n, struct buf *out)
{
	BUG_ON(off > raw_len || n > raw_len - off);
	if (n == 0)
		return 0;
	const uint8_t *table = stored.p + sizeof(struct disk_framed);
	uint64_t n_frames = (raw_len + FORMAT_FRAME_RAW - 1) / FORMAT_FRAME_RAW;
	const uint8_t *frames = table + n_frames * sizeof(le64);
	auto_buf struct buf raw = {0};
	ZSTD_DCtx *dctx = ZSTD_createDCtx();
	if (!dctx)
		return -ENOMEM;
	err_t err = 0;
	uint64_t first = off / FORMAT_FRAME_RAW, last = (off + n - 1) / FORMAT_FRAME_RAW;
	for (uint64_t i = first; i <= last && !err; i++) {
		uint64_t begin = i ? frame_end(table, i - 1) : 0;
		struct bytes frame = {frames + begin, frame_end(table, i) - begin};
		err = frame_read(dctx, frame,
				 min_of((uint64_t)FORMAT_FRAME_RAW, raw_len - i * FORMAT_FRAME_RAW),
				 &raw);
	}
	ZSTD_freeDCtx(dctx);
	return err ? err : buf_append(out, raw.p + (off - first * FORMAT_FRAME_RAW), n);
}
