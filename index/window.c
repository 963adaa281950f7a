/*
 * The encoded window: which runs of the history are kept, the block header of a START_INSIDE
 * checkpoint, then the kept bytes in order. Positions and bytes stand apart because the container
 * compresses several windows together, and like finds like.
 */
#include "index/window.h"

#include <string.h>

/* A pair of numbers costs more than a few bytes of text, so runs that nearly touch become one. */
#define GAP_MERGED 3

static err_t put_number(struct buf *out, uint32_t v)
{
	uint8_t bytes[5];
	size_t n = 0;
	for (; v >= 0x80; v >>= 7)
		bytes[n++] = (uint8_t)(v | 0x80);
	bytes[n++] = (uint8_t)v;
	return buf_append(out, bytes, n);
}

/* take_number - at most three groups of seven bits: all numbers here are below 2^16. */
static err_t take_number(struct bytes *b, uint32_t *v)
{
	*v = 0;
	for (unsigned shift = 0; shift < 21; shift += 7) {
		if (!b->n)
			return -EBADMSG;
		uint8_t byte = *b->p;
		b->p++;
		b->n--;
		*v |= (uint32_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return 0;
	}
	return -EBADMSG;
}

struct run {
	uint32_t from;
	uint32_t to;
};

static bool next_run(const uint8_t used[GZIP_WINDOW], uint32_t at, struct run *r)
{
	while (at < GZIP_WINDOW && !used[at])
		at++;
	if (at == GZIP_WINDOW)
		return false;
	r->from = at;
	r->to = at + 1;
	for (at++; at < GZIP_WINDOW && at - r->to <= GAP_MERGED; at++)
		if (used[at])
			r->to = at + 1;
	return true;
}

static err_t put_positions(const uint8_t used[GZIP_WINDOW], struct buf *out)
{
	struct run r = {0, 0};
	uint32_t before = 0, count = 0;
	while (next_run(used, r.to, &r))
		count++;
	err_t err = put_number(out, count);
	for (r.to = 0; !err && next_run(used, r.to, &r); before = r.to) {
		err = put_number(out, r.from - before);
		if (!err)
			err = put_number(out, r.to - r.from);
	}
	return err;
}

err_t window_encode(const uint8_t window[GZIP_WINDOW], const uint8_t used[GZIP_WINDOW],
		    const uint8_t *header, unsigned header_bits, struct buf *out)
{
	err_t err = put_positions(used, out);
	if (!err && header_bits)
		err = buf_append(out, header, (header_bits + 7) / 8);
	struct run r = {0, 0};
	while (!err && next_run(used, r.to, &r))
		err = buf_append(out, window + r.from, r.to - r.from);
	return err;
}

err_t window_decode(struct bytes encoded, unsigned header_bits, uint8_t window[GZIP_WINDOW],
		    const uint8_t **header)
{
	uint32_t count, gap, len, total = 0;
	struct bytes rest = encoded;
	err_t err = take_number(&rest, &count);
	if (err || count > GZIP_WINDOW)
		return -EBADMSG;
	struct bytes positions = rest;
	for (uint32_t i = 0, at = 0; i < count; i++) {
		if (take_number(&rest, &gap) || take_number(&rest, &len))
			return -EBADMSG;
		if (!len || gap > GZIP_WINDOW - at || len > GZIP_WINDOW - at - gap)
			return -EBADMSG;
		at += gap + len;
		total += len;
	}
	size_t header_len = (header_bits + 7) / 8;
	if (rest.n != header_len + total)
		return -EBADMSG;
	*header = header_len ? rest.p : NULL;
	const uint8_t *from = rest.p + header_len;
	memset(window, 0, GZIP_WINDOW);
	for (uint32_t i = 0, at = 0; i < count; i++) {
		if (take_number(&positions, &gap) || take_number(&positions, &len))
			return -EBADMSG;
		memcpy(window + at + gap, from, len);
		from += len;
		at += gap + len;
	}
	return 0;
}
