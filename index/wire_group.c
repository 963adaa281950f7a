/*
 * Groups of chunks: the rows of a few neighbours in columns, and their windows, in two frames. What
 * follows from the rows before is written as a difference, offsets of windows are not written at
 * all.
 */
#include "index/index_priv.h"
#include "index/varint.h"
#include "index/window.h"
#include "index/wire_priv.h"

/* Bytes of a row in the raw form, at the most: seven numbers, four bytes, two digests. */
#define ROW_RAW_MAX (7 * VARINT_MAX + 4 + SHA256_LEN + 8)

/* --- writing --- */

static void rows_get(const struct index *ix, uint32_t first, uint32_t n, struct chunk *rows)
{
	for (uint32_t i = 0; i < n; i++)
		index_chunk(ix, first + i, &rows[i]);
}

/* The numbers of a row, in the order of their columns. */
enum column {
	COL_STREAM_LEN,
	COL_BLOB_GAP,
	COL_BLOB_LEN,
	COL_WINDOW_LEN,
	COL_SKIP,
	COL_HEADER_BITS,
	COL_STORED_LEFT,
	COL_CODEC,
	COL_START,
	COL_BIT,
	COL_FINAL,
	COL_COUNT
};

static uint64_t column_of(const struct chunk *c, uint64_t blob_end, enum column column)
{
	switch (column) {
	case COL_STREAM_LEN:
		return c->stream_len;
	case COL_BLOB_GAP:
		return zigzag_of(c->blob_off - blob_end);
	case COL_BLOB_LEN:
		return c->blob_len;
	case COL_WINDOW_LEN:
		return c->window_len;
	case COL_SKIP:
		return c->skip;
	case COL_HEADER_BITS:
		return c->header_bits;
	case COL_STORED_LEFT:
		return c->stored_left;
	case COL_CODEC:
		return c->codec;
	case COL_START:
		return c->start;
	case COL_BIT:
		return c->bit;
	case COL_FINAL:
		return c->final_block;
	case COL_COUNT:
		break;
	}
	return 0;
}

static err_t put_rows(const struct chunk *rows, uint32_t n, struct buf *raw)
{
	err_t err = 0;
	for (enum column column = 0; column < COL_COUNT; column++) {
		uint64_t end = 0;
		for (uint32_t i = 0; i < n && !err; i++) {
			err = varint_put(raw, column_of(&rows[i], end, column));
			end = rows[i].blob_off + rows[i].blob_len;
		}
	}
	for (uint32_t i = 0; i < n && !err; i++)
		err = buf_append(raw, rows[i].sha256, SHA256_LEN);
	for (uint32_t i = 0; i < n && !err; i++) {
		le64 xxh3 = put_le64(rows[i].xxh3);
		err = buf_append(raw, &xxh3, sizeof(xxh3));
	}
	return err;
}

static err_t put_windows(const struct index *ix, const struct chunk *rows, uint32_t n,
			 struct buf *raw)
{
	err_t err = 0;
	for (uint32_t i = 0; i < n && !err; i++)
		if (rows[i].window_len)
			err = index_chunk_window(ix, &rows[i], raw);
	return err;
}

static err_t put_group(const struct index *ix, uint32_t first, uint32_t n, struct buf *out)
{
	auto_free struct chunk *rows = try_array(n, sizeof(*rows), WIRE_CHUNKS_MAX);
	auto_buf struct buf raw = {0}, windows = {0}, packed = {0};
	if (!rows)
		return -ENOMEM;
	rows_get(ix, first, n, rows);
	err_t err = put_rows(rows, n, &raw);
	if (!err)
		err = put_windows(ix, rows, n, &windows);
	if (!err)
		err = wire_pack(buf_bytes(&raw), &packed);
	le32 rows_len = put_le32((uint32_t)packed.n);
	if (!err)
		err = buf_append(out, &rows_len, sizeof(rows_len));
	if (!err)
		err = buf_append(out, packed.p, packed.n);
	return err ? err : wire_pack(buf_bytes(&windows), out);
}

err_t wire_groups_encode(const struct index *ix, uint32_t group_chunks, struct buf *rows,
			 struct buf *parts)
{
	const struct index_info *info = index_info(ix);
	err_t err = 0;
	for (uint32_t first = 0; first < info->n_chunks && !err; first += group_chunks) {
		size_t start = parts->n;
		struct chunk c;
		index_chunk(ix, first, &c);
		err = put_group(ix, first, min_of(group_chunks, info->n_chunks - first), parts);
		size_t len = parts->n - start;
		if (!err && len > WIRE_GROUP_MAX)
			err = -E2BIG;
		if (err)
			break;
		struct wire_disk_group row = {.stream_off = put_le64(c.stream_off),
					      .len = put_le32((uint32_t)len)};
		sha256_of(parts->p + start, len, row.sha256);
		err = buf_append(rows, &row, sizeof(row));
	}
	return err;
}

/* --- reading --- */

err_t wire_group_split(struct bytes piece, struct bytes *rows, struct bytes *windows,
		       struct diag *d)
{
	le32 rows_len;
	if (piece.n < sizeof(rows_len))
		return wire_bad(d, "a group is cut");
	memcpy(&rows_len, piece.p, sizeof(rows_len));
	size_t len = get_le32(rows_len), rest = piece.n - sizeof(rows_len);
	if (len > rest)
		return wire_bad(d, "a group is cut");
	*rows = (struct bytes){piece.p + sizeof(rows_len), len};
	*windows = (struct bytes){rows->p + len, rest - len};
	return 0;
}

/* Put a number where it belongs; false when it does not fit there. */
static bool column_set(struct chunk *c, uint64_t blob_end, enum column column, uint64_t v)
{
#define FITS(member)                                                                               \
	(v <= (__typeof__(c->member))-1 && ((c->member = (__typeof__(c->member))v), true))
	switch (column) {
	case COL_STREAM_LEN:
		return FITS(stream_len);
	case COL_BLOB_GAP:
		c->blob_off = blob_end + zigzag_to(v);
		return c->blob_off <= STREAM_MAX;
	case COL_BLOB_LEN:
		c->blob_len = v;
		return v <= STREAM_MAX;
	case COL_WINDOW_LEN:
		return v <= WINDOW_ENCODED_MAX && FITS(window_len);
	case COL_SKIP:
		return FITS(skip);
	case COL_HEADER_BITS:
		return FITS(header_bits);
	case COL_STORED_LEFT:
		return FITS(stored_left);
	case COL_CODEC:
		return FITS(codec);
	case COL_START:
		return FITS(start);
	case COL_BIT:
		return FITS(bit);
	case COL_FINAL:
		return FITS(final_block);
	case COL_COUNT:
		break;
	}
#undef FITS
	return false;
}

/* The gap of a row counts from the end of the row before, so lengths are read first. */
static err_t take_rows(struct bytes raw, struct chunk *rows, uint32_t n)
{
	auto_free uint64_t *gaps = try_array(n, sizeof(*gaps), WIRE_CHUNKS_MAX);
	if (!gaps)
		return -ENOMEM;
	for (enum column column = 0; column < COL_COUNT; column++)
		for (uint32_t i = 0; i < n; i++) {
			uint64_t v;
			if (varint_take(&raw, &v))
				return -EBADMSG;
			if (column == COL_BLOB_GAP)
				gaps[i] = v;
			else if (!column_set(&rows[i], 0, column, v))
				return -EBADMSG;
		}
	if (raw.n != (size_t)n * (SHA256_LEN + sizeof(le64)))
		return -EBADMSG;
	uint64_t end = 0;
	for (uint32_t i = 0; i < n; i++) {
		le64 xxh3;
		if (!column_set(&rows[i], end, COL_BLOB_GAP, gaps[i]))
			return -EBADMSG;
		end = rows[i].blob_off + rows[i].blob_len;
		memcpy(rows[i].sha256, raw.p + (size_t)i * SHA256_LEN, SHA256_LEN);
		memcpy(&xxh3, raw.p + (size_t)n * SHA256_LEN + i * sizeof(xxh3), sizeof(xxh3));
		rows[i].xxh3 = get_le64(xxh3);
	}
	return 0;
}

/* What verify_chunks proves of a whole table, inside a group and against the head. */
static err_t prove_rows(const struct wire_head *h, uint32_t group, struct chunk *rows, uint32_t n,
			struct diag *d)
{
	uint64_t stream = h->stream_offs[group], windows = 0;
	uint64_t end = group + 1 < h->n_groups ? h->stream_offs[group + 1] : h->info.stream_size;
	for (uint32_t i = 0; i < n; i++) {
		struct chunk *c = &rows[i];
		c->stream_off = stream;
		c->window_off = c->window_len ? windows : 0;
		if (c->stream_len == 0 || c->stream_len > CHUNK_STREAM_MAX)
			return wire_bad(d, "group %u, chunk %u: %u bytes", group, i, c->stream_len);
		if (!chunk_fits(&h->info, c, i ? &rows[i - 1] : NULL, group == 0 && i == 0))
			return wire_bad(d, "group %u, chunk %u: blob range or start", group, i);
		stream += c->stream_len;
		windows += c->window_len;
	}
	return stream == end ? 0 : wire_bad(d, "group %u covers the wrong bytes", group);
}

err_t wire_group_rows(const struct wire_head *h, uint32_t group, struct bytes piece,
		      struct chunk *rows, struct diag *d)
{
	struct bytes packed, windows;
	auto_buf struct buf raw = {0};
	uint32_t n = wire_group_len(h, group);
	err_t err = wire_group_split(piece, &packed, &windows, d);
	if (err)
		return err;
	memset(rows, 0, n * sizeof(*rows));
	err = wire_unpack(packed, (size_t)n * ROW_RAW_MAX, &raw);
	if (!err)
		err = take_rows(buf_bytes(&raw), rows, n);
	if (err == -EBADMSG)
		return wire_bad(d, "the rows of group %u do not decode", group);
	return err ? fail_sys(d, ERR_OTHER, err, "published index")
		   : prove_rows(h, group, rows, n, d);
}

bool wire_rows_follow(const struct wire_head *h, const struct chunk *before,
		      const struct chunk *after)
{
	return chunk_fits(&h->info, after, before, false);
}

err_t wire_group_windows(const struct wire_head *h, uint32_t group, struct bytes piece,
			 struct buf *out, struct diag *d)
{
	struct bytes rows, packed;
	BUG_ON(group >= h->n_groups);
	err_t err = wire_group_split(piece, &rows, &packed, d);
	if (!err)
		err = wire_unpack(packed, WIRE_GROUP_MAX, out);
	if (err == -EBADMSG)
		return wire_bad(d, "the windows of group %u do not decode", group);
	return err ? fail_sys(d, ERR_OTHER, err, "published index") : 0;
}
