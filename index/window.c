/*
 * The encoded window: the number of kept runs of the history, the gap in front of each, the length
 * of each, the block header of a START_INSIDE checkpoint, then the kept bytes in order. Numbers are
 * groups of seven bits, low group first. Like stands beside like because the container compresses
 * several windows together: on a layer of 120 MB this was the smallest of the layouts tried (1.885
 * % of the blob with zstd -19; gaps and lengths in turn 1.896 %, zero-filled windows 2.110 %).
 */
#include "index/window.h"

#include <string.h>

/* Two numbers cost more than one byte of text, so runs that nearly touch become one. From 2 on the
 * bytes cost more. */
#define GAP_MERGED 1

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
	const uint8_t *first = at < GZIP_WINDOW ? memchr(used + at, 1, GZIP_WINDOW - at) : NULL;
	if (!first)
		return false;
	r->from = (uint32_t)(first - used);
	r->to = r->from + 1;
	for (at = r->to; at < GZIP_WINDOW && at - r->to <= GAP_MERGED; at++)
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
	for (r.to = 0; !err && next_run(used, r.to, &r); before = r.to)
		err = put_number(out, r.from - before);
	for (r.to = 0; !err && next_run(used, r.to, &r);)
		err = put_number(out, r.to - r.from);
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

/* The two columns of numbers, read in step. */
struct positions {
	struct bytes gaps;
	struct bytes lens; /* the header and the bytes follow */
	uint32_t left;
	uint32_t at; /* where the last run ended */
};

static err_t open_positions(struct bytes encoded, struct positions *p)
{
	uint32_t ignored;
	*p = (struct positions){.gaps = encoded};
	err_t err = take_number(&p->gaps, &p->left);
	if (err || p->left > GZIP_WINDOW)
		return -EBADMSG;
	p->lens = p->gaps;
	for (uint32_t i = 0; !err && i < p->left; i++)
		err = take_number(&p->lens, &ignored);
	return err;
}

/* take_run - the next run; it lies behind the one before and inside the window. */
static err_t take_run(struct positions *p, struct run *r)
{
	uint32_t gap, len;
	if (take_number(&p->gaps, &gap) || take_number(&p->lens, &len))
		return -EBADMSG;
	if (!len || gap > GZIP_WINDOW - p->at || len > GZIP_WINDOW - p->at - gap)
		return -EBADMSG;
	r->from = p->at + gap;
	r->to = p->at = r->from + len;
	p->left--;
	return 0;
}

static err_t check_positions(struct positions p, unsigned header_bits, struct bytes *behind)
{
	struct run r;
	size_t len = (header_bits + 7) / 8;
	while (p.left) {
		if (take_run(&p, &r))
			return -EBADMSG;
		len += r.to - r.from;
	}
	*behind = p.lens;
	return behind->n == len ? 0 : -EBADMSG;
}

err_t window_decode(struct bytes encoded, unsigned header_bits, uint8_t window[GZIP_WINDOW],
		    const uint8_t **header)
{
	struct positions p;
	struct bytes behind;
	struct run r;
	err_t err = open_positions(encoded, &p);
	if (!err)
		err = check_positions(p, header_bits, &behind);
	if (err)
		return err;
	*header = header_bits ? behind.p : NULL;
	const uint8_t *from = behind.p + (header_bits + 7) / 8;
	memset(window, 0, GZIP_WINDOW);
	while (p.left) {
		BUG_ON(take_run(&p, &r));
		memcpy(window + r.from, from, r.to - r.from);
		from += r.to - r.from;
	}
	return 0;
}
