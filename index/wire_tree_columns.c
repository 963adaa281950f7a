/*
 * Columns side by side: like beside like, each compressed alone, so that the statistics of names do
 * not disturb those of sizes. One frame a column with a window over all of it; a column that does
 * not shrink stays as it is.
 */
#include "index/wire_tree_priv.h"

#include <zstd.h>

/* Level 22 gives 0.2 % less. */
#define COLUMN_LEVEL 19
/* The largest that every zstd decodes without being asked to; longer columns are one frame still.
 */
#define COLUMN_WINDOW_LOG 27

static err_t column_append(ZSTD_CCtx *cctx, struct bytes raw, struct buf *out, size_t *stored)
{
	size_t bound = ZSTD_compressBound(raw.n);
	err_t err = buf_reserve(out, bound);
	if (err)
		return err;
	*stored = ZSTD_compress2(cctx, out->p + out->n, bound, raw.p, raw.n);
	if (ZSTD_isError(*stored))
		return -ENOMEM;
	if (*stored < raw.n) {
		out->n += *stored;
		return 0;
	}
	*stored = raw.n;
	return buf_append(out, raw.p, raw.n);
}

err_t columns_pack(const struct bytes *columns, size_t n, struct buf *out)
{
	auto_buf struct buf body = {0};
	ZSTD_CCtx *cctx = ZSTD_createCCtx();
	if (!cctx ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(cctx, ZSTD_c_compressionLevel, COLUMN_LEVEL)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(cctx, ZSTD_c_windowLog, COLUMN_WINDOW_LOG))) {
		ZSTD_freeCCtx(cctx);
		return -ENOMEM;
	}
	err_t err = 0;
	for (size_t i = 0; i < n && !err; i++) {
		size_t stored = 0;
		if (columns[i].n)
			err = column_append(cctx, columns[i], &body, &stored);
		if (!err)
			err = varint_put(out, columns[i].n);
		if (!err)
			err = varint_put(out, stored);
	}
	ZSTD_freeCCtx(cctx);
	return err ? err : buf_append(out, body.p, body.n);
}

/* The table, taken off the front of *in. */
static err_t table_take(struct bytes *in, size_t n, uint64_t raw_max, struct bytes *columns,
			uint64_t *stored, struct diag *d)
{
	uint64_t raw_sum = 0, stored_sum = 0;
	for (size_t i = 0; i < n; i++) {
		uint64_t raw_len;
		if (varint_take(in, &raw_len) || varint_take(in, &stored[i]))
			return fail(d, ERR_INTEGRITY, -EBADMSG, "the table of columns is cut");
		if (!add_u64(raw_sum, raw_len, &raw_sum) || raw_sum > raw_max)
			return fail(d, ERR_UNSUPPORTED, -E2BIG,
				    "columns of more than %llu bytes together",
				    (unsigned long long)raw_max);
		if (stored[i] > raw_len || (stored[i] == 0) != (raw_len == 0) ||
		    !add_u64(stored_sum, stored[i], &stored_sum))
			return fail(d, ERR_INTEGRITY, -EBADMSG, "column %zu: lengths", i);
		columns[i].n = raw_len;
	}
	if (stored_sum != in->n)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "columns of %llu bytes where there are %zu",
			    (unsigned long long)stored_sum, in->n);
	return 0;
}

/* Exactly one frame, that says how long it becomes and is right. */
static bool frame_decode(ZSTD_DCtx *dctx, struct bytes stored, uint8_t *to, size_t raw_len)
{
	return ZSTD_getFrameContentSize(stored.p, stored.n) == raw_len &&
	       ZSTD_findFrameCompressedSize(stored.p, stored.n) == stored.n &&
	       ZSTD_decompressDCtx(dctx, to, raw_len, stored.p, stored.n) == raw_len;
}

static err_t column_decode(ZSTD_DCtx *dctx, struct bytes stored, struct buf *raw,
			   struct bytes *column, size_t i, struct diag *d)
{
	uint8_t *to = raw->p + raw->n;
	if (stored.n == column->n)
		memcpy(to, stored.p, stored.n);
	else if (!frame_decode(dctx, stored, to, column->n))
		return fail(d, ERR_INTEGRITY, -EBADMSG,
			    "column %zu does not decompress to %zu bytes", i, column->n);
	raw->n += column->n;
	column->p = to;
	return 0;
}

err_t columns_unpack(struct bytes in, size_t n, uint64_t raw_max, struct buf *raw,
		     struct bytes *columns, struct diag *d)
{
	uint64_t stored[WIRE_COLUMNS], raw_sum = 0;
	BUG_ON(n > ARRAY_LEN(stored));
	err_t err = table_take(&in, n, raw_max, columns, stored, d);
	if (err)
		return err;
	for (size_t i = 0; i < n; i++)
		raw_sum += columns[i].n;
	ZSTD_DCtx *dctx = ZSTD_createDCtx();
	if (!dctx || buf_reserve(raw, raw_sum + 1)) {
		ZSTD_freeDCtx(dctx);
		return fail_sys(d, ERR_OTHER, -ENOMEM, "columns of %llu bytes",
				(unsigned long long)raw_sum);
	}
	for (size_t i = 0; i < n && !err; i++) {
		columns[i].p = raw->p + raw->n;
		if (columns[i].n)
			err = column_decode(dctx, (struct bytes){in.p, stored[i]}, raw, &columns[i],
					    i, d);
		in.p += stored[i];
	}
	ZSTD_freeDCtx(dctx);
	return err;
}
