/*
 * A blob that is a plain tar: the stream is the blob, chunks are ranges of the wanted size.
 */
#include "index/chunker_priv.h"

#include <string.h>
#include <xxhash.h>

struct plain {
	struct chunker *chunker;
	uint64_t off; /* where the current chunk begins */
	uint32_t len;
	uint8_t data[];
};

static void *plain_create(struct chunker *c)
{
	struct plain *p = xcalloc(1, sizeof(*p) + chunker_target(c));
	p->chunker = c;
	return p;
}

static void plain_destroy(void *pass)
{
	free(pass);
}

static err_t emit(struct plain *p, struct diag *d)
{
	struct chunk row = {
		.codec = CHUNK_STORED,
		.stream_off = p->off,
		.stream_len = p->len,
		.blob_off = p->off,
		.blob_len = p->len,
		.xxh3 = XXH3_64bits(p->data, p->len),
	};
	sha256_of(p->data, p->len, row.sha256);
	p->off += p->len;
	p->len = 0;
	return chunker_chunk(p->chunker, &row, p->data, d);
}

static err_t plain_feed(void *pass, const uint8_t *from, size_t n, struct diag *d)
{
	struct plain *p = pass;
	err_t err = chunker_stream(p->chunker, from, n, d);
	while (!err && n) {
		size_t taken = min_of(n, (size_t)(chunker_target(p->chunker) - p->len));
		memcpy(p->data + p->len, from, taken);
		p->len += (uint32_t)taken;
		from += taken;
		n -= taken;
		if (p->len == chunker_target(p->chunker))
			err = emit(p, d);
	}
	return err;
}

static err_t plain_finish(void *pass, struct diag *d)
{
	struct plain *p = pass;
	return p->len ? emit(p, d) : 0;
}

const struct chunk_pass chunk_plain_pass = {plain_create, plain_feed, plain_finish, plain_destroy};
