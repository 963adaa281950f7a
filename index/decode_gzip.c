/*
 * Resuming a gzip chunk: every kind of checkpoint becomes "prefix bits, then blob bytes". A block
 * header that is replayed from the index is put in front so that it ends where the first used bit
 * of the shared byte begins; a stored block that is entered in the middle gets a new five-byte
 * header with the length that is left.
 */
#include "index/decode_priv.h"

#include <string.h>

#include "index/gzip_header.h"

err_t next_member(struct bytes *rest)
{
	if (rest->n < GZIP_TRAILER)
		return -EBADMSG;
	struct bytes b = {rest->p + GZIP_TRAILER, rest->n - GZIP_TRAILER};
	int64_t len = gzip_header_len(b);
	if (len <= 0)
		return -EBADMSG;
	*rest = (struct bytes){b.p + len, b.n - (size_t)len};
	return 0;
}

static err_t prepare_member(struct bytes blob, struct resume *out)
{
	int64_t len = gzip_header_len(blob);
	if (len <= 0)
		return -EBADMSG;
	out->rest = (struct bytes){blob.p + len, blob.n - (size_t)len};
	return 0;
}

static err_t prepare_stored(const struct chunk *c, struct bytes blob, struct resume *out)
{
	if (c->stored_left < 1 || c->stored_left > 0xffff || c->bit || c->final_block > 1)
		return -EBADMSG;
	uint8_t low = (uint8_t)c->stored_left, high = (uint8_t)(c->stored_left >> 8);
	const uint8_t header[5] = {c->final_block, low, high, (uint8_t)~low, (uint8_t)~high};
	memcpy(out->prefix, header, sizeof(header));
	out->prefix_len = sizeof(header);
	out->rest = blob;
	return 0;
}

static void put_bit(uint8_t *to, size_t at, unsigned bit)
{
	to[at / 8] |= (uint8_t)(bit << at % 8);
}

/* prepare_bits - skip | header bits | the bits of blob[0] from c->bit on, ending on a whole byte.
 */
static err_t prepare_bits(const struct chunk *c, struct bytes blob, const uint8_t *header,
			  unsigned header_bits, struct resume *out)
{
	if (!blob.n || c->bit > 7)
		return -EBADMSG;
	out->prefix_skip = (c->bit + 8 - header_bits % 8) % 8;
	size_t at = out->prefix_skip;
	for (unsigned i = 0; i < header_bits; i++, at++)
		put_bit(out->prefix, at, header[i / 8] >> i % 8 & 1);
	BUG_ON(at % 8 != c->bit);
	out->prefix[at / 8] |= (uint8_t)(blob.p[0] >> c->bit << c->bit);
	out->prefix_len = at / 8 + 1;
	out->rest = (struct bytes){blob.p + 1, blob.n - 1};
	return 0;
}

err_t resume_prepare(const struct chunk *c, struct bytes blob, const uint8_t *window,
		     const uint8_t *header, struct resume *out)
{
	memset(out, 0, sizeof(*out));
	out->window = window;
	switch (c->start) {
	case START_MEMBER:
		out->window = NULL;
		return prepare_member(blob, out);
	case START_BLOCK:
		return prepare_bits(c, blob, NULL, 0, out);
	case START_STORED:
		return prepare_stored(c, blob, out);
	case START_INSIDE:
		if (!header || c->header_bits < 3 || c->header_bits > BLOCK_HEADER_BITS_MAX ||
		    c->skip >= CODE_OUT_MAX)
			return -EBADMSG;
		out->skip = c->skip;
		return prepare_bits(c, blob, header, c->header_bits, out);
	default:
		return -EBADMSG;
	}
}

err_t resume_run(const struct resume *r, enum inflate_engine engine, uint8_t *out, size_t n)
{
	if (engine == INFLATE_ZLIB)
		return resume_zlib(r, out, n);
	if (engine == INFLATE_ISAL)
		return resume_isal(r, out, n);
	err_t err = inflate_engine_available(INFLATE_ISAL) ? resume_isal(r, out, n) : -EBADMSG;
	/* zlib decides what a valid stream is: it made the index. */
	return err == -EBADMSG ? resume_zlib(r, out, n) : err;
}
