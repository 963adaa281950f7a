/*
 * One zstd frame that is larger than a chunk. Its bytes pass through once and are hashed per chunk;
 * the rows wait until the frame's end tells its compressed length.
 */
#include "index/chunk_zstd_priv.h"

#include <string.h>
#include <xxhash.h>

struct inner {
	struct chunker *chunker;
	struct hasher *sha256;
	XXH3_state_t *xxh3;
	uint64_t end; /* stream offset behind what has passed */
	uint64_t begin;
	struct chunk row; /* the current chunk */
	struct chunk *rows;
	size_t rows_n;
	size_t rows_cap;
};

static void begin_row(struct inner *i)
{
	i->row = (struct chunk){.codec = CHUNK_ZSTD_INNER, .stream_off = i->end};
	XXH3_64bits_reset(i->xxh3);
}

struct inner *inner_new(struct chunker *c, uint64_t stream_off)
{
	struct inner *i = new_of(struct inner);
	i->chunker = c;
	i->begin = i->end = stream_off;
	i->sha256 = hasher_new(DIGEST_SHA256);
	i->xxh3 = XXH3_createState();
	BUG_ON(!i->xxh3);
	begin_row(i);
	return i;
}

void inner_free(struct inner **i)
{
	if (!*i)
		return;
	hasher_free(&(*i)->sha256);
	XXH3_freeState((*i)->xxh3);
	free((*i)->rows);
	free(*i);
	*i = NULL;
}

uint64_t inner_len(const struct inner *i)
{
	return i->end - i->begin;
}

static err_t end_row(struct inner *i, struct diag *d)
{
	struct digest sha256;
	if (!try_grow(&i->rows, i->rows_n, &i->rows_cap, sizeof(*i->rows)))
		return fail_sys(d, ERR_OTHER, -ENOMEM, "cannot keep the chunks of a zstd frame");
	hasher_done(i->sha256, &sha256);
	memcpy(i->row.sha256, sha256.b, SHA256_LEN);
	i->row.xxh3 = XXH3_64bits_digest(i->xxh3);
	i->rows[i->rows_n++] = i->row;
	begin_row(i);
	return 0;
}

err_t inner_put(struct inner *i, const uint8_t *p, size_t n, struct diag *d)
{
	err_t err = chunker_inner(i->chunker, i->end, p, n, d);
	uint32_t target = chunker_target(i->chunker);
	while (!err && n) {
		size_t taken = min_of(n, (size_t)(target - i->row.stream_len));
		hasher_update(i->sha256, p, taken);
		XXH3_64bits_update(i->xxh3, p, taken);
		i->row.stream_len += (uint32_t)taken;
		i->end += taken;
		p += taken;
		n -= taken;
		if (i->row.stream_len == target)
			err = end_row(i, d);
	}
	return err;
}

err_t inner_end(struct inner *i, uint64_t blob_off, uint64_t blob_len, struct diag *d)
{
	err_t err = i->row.stream_len ? end_row(i, d) : 0;
	for (size_t n = 0; !err && n < i->rows_n; n++) {
		i->rows[n].blob_off = blob_off;
		i->rows[n].blob_len = blob_len;
		err = chunker_chunk(i->chunker, &i->rows[n], NULL, d);
	}
	return err;
}
