/*
 * One zstd frame for each part that is fetched alone. Level 19 is paid once, when an index is
 * published, and saves a tenth of the windows at every node that fetches them.
 */
#include "index/wire_priv.h"

#include <zstd.h>
#include <zstd_errors.h>

#define PACK_LEVEL 19

err_t wire_pack(struct bytes raw, struct buf *out)
{
	if (raw.n == 0)
		return 0;
	size_t bound = ZSTD_compressBound(raw.n);
	err_t err = buf_reserve(out, bound);
	if (err)
		return err;
	size_t n = ZSTD_compress(out->p + out->n, bound, raw.p, raw.n, PACK_LEVEL);
	if (ZSTD_isError(n))
		return -ENOMEM;
	out->n += n;
	return 0;
}

err_t wire_unpack(struct bytes packed, size_t limit, struct buf *out)
{
	if (packed.n == 0)
		return 0;
	unsigned long long raw = ZSTD_getFrameContentSize(packed.p, packed.n);
	if (raw == ZSTD_CONTENTSIZE_ERROR || raw == ZSTD_CONTENTSIZE_UNKNOWN || raw == 0 ||
	    raw > limit || ZSTD_findFrameCompressedSize(packed.p, packed.n) != packed.n)
		return -EBADMSG;
	err_t err = buf_reserve(out, (size_t)raw);
	if (err)
		return err;
	size_t n = ZSTD_decompress(out->p + out->n, (size_t)raw, packed.p, packed.n);
	if (ZSTD_isError(n))
		return ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation ? -ENOMEM : -EBADMSG;
	if (n != raw)
		return -EBADMSG;
	out->n += n;
	return 0;
}
