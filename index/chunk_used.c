/*
 * Which bytes of the window are used, found with unmodified inflate: the start of the chunk is
 * decoded twice with forged windows. Each output byte is a copy of one literal or of one window
 * byte, over any number of copies in between. Where a forged window byte j differs from the true
 * one by known patterns of j, the differences of the outputs from the true output name j; where the
 * first pattern is never zero, no difference means a literal.
 */
#include "index/decode_priv.h"
#include "index/window.h"

#include <string.h>

/* j = PERIOD * fold + step - 1, with step 1..255 and fold 0..128. */
#define PERIOD 255u

struct forge {
	uint8_t stepped[GZIP_WINDOW]; /* the window, byte j changed by step */
	uint8_t folded[GZIP_WINDOW];  /* byte j changed by fold */
	uint8_t steps[GZIP_WINDOW];   /* the output under each */
	uint8_t folds[GZIP_WINDOW];
};

static void forge_windows(struct forge *f, const uint8_t window[GZIP_WINDOW])
{
	for (uint32_t fold = 0, j = 0; j < GZIP_WINDOW; fold++) {
		uint32_t n = min_of(PERIOD, GZIP_WINDOW - j);
		for (uint32_t k = 0; k < n; k++) {
			f->stepped[j + k] = window[j + k] ^ (uint8_t)(k + 1);
			f->folded[j + k] = window[j + k] ^ (uint8_t)fold;
		}
		j += n;
	}
}

static err_t run_forged(const struct resume *r, enum inflate_engine engine, const uint8_t *window,
			uint8_t *out, size_t n)
{
	struct resume forged = *r;
	forged.window = window;
	return resume_run(&forged, engine, out, n);
}

/* -EBADMSG when the engine does not give what the pass over the blob has given. */
static err_t map_used(const struct resume *r, enum inflate_engine engine, struct forge *f,
		      const uint8_t *out, size_t n, uint8_t used[GZIP_WINDOW])
{
	err_t err = run_forged(r, engine, f->stepped, f->steps, n);
	if (!err)
		err = run_forged(r, engine, f->folded, f->folds, n);
	memset(used, 0, GZIP_WINDOW);
	for (size_t i = 0; i < n && !err; i++) {
		unsigned step = f->steps[i] ^ out[i], fold = f->folds[i] ^ out[i];
		size_t at = (size_t)fold * PERIOD + step - 1;
		if (!step)
			continue;
		if (at >= GZIP_WINDOW)
			return -EBADMSG;
		used[at] = 1;
	}
	return err;
}

static err_t find_used(const struct resume *r, const uint8_t *out, size_t n,
		       uint8_t used[GZIP_WINDOW])
{
	BUG_ON(n + r->skip > GZIP_WINDOW);
	auto_free struct forge *f = malloc(sizeof(*f));
	if (!f)
		return -ENOMEM;
	forge_windows(f, r->window);
	err_t err = map_used(r, INFLATE_BEST, f, out, n, used);
	/* Only zlib is sure to agree with the pass, which is its own, on whatever a blob holds. */
	if (err == -EBADMSG)
		err = map_used(r, INFLATE_ZLIB, f, out, n, used);
	BUG_ON(err == -EBADMSG);
	return err;
}

static err_t search(const struct window_clues *c, uint8_t used[GZIP_WINDOW])
{
	struct resume r;
	err_t err = resume_prepare(&c->row, c->head, c->history, c->header.p, &r);
	BUG_ON(err);
	return find_used(&r, c->out.p, c->out.n, used);
}

err_t window_find(const struct window_clues *c, struct buf *out)
{
	auto_free uint8_t *used = malloc(GZIP_WINDOW);
	if (!used)
		return -ENOMEM;
	err_t err = 0;
	if (c->head.n)
		err = search(c, used);
	else
		memset(used, 1, GZIP_WINDOW);
	if (err || (c->row.start != START_INSIDE && !memchr(used, 1, GZIP_WINDOW)))
		return err;
	return window_encode(c->history, used, c->header.p, c->row.header_bits, out);
}
