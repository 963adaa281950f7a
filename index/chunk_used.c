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
/* What step and fold can name, one more in front: 0 is a literal. */
#define NAMES (PERIOD * 255 + 256)

struct forge {
	uint8_t stepped[GZIP_WINDOW]; /* the window, byte j changed by step */
	uint8_t folded[GZIP_WINDOW];  /* byte j changed by fold */
	uint8_t steps[GZIP_WINDOW];   /* the output under each */
	uint8_t folds[GZIP_WINDOW];
	uint8_t named[NAMES]; /* 1 where an output byte named it: j + 1 */
};

static uint64_t word_at(const uint8_t *p)
{
	uint64_t word;
	memcpy(&word, p, sizeof(word));
	return word;
}

/* change - n bytes of the window: step counts up from 1, fold stays. */
static void change(struct forge *f, const uint8_t *window, uint32_t at, uint32_t n, uint8_t fold)
{
	uint64_t step = word_at((const uint8_t[]){1, 2, 3, 4, 5, 6, 7, 8});
	uint64_t eights = UINT64_C(0x0808080808080808), folds = UINT64_C(0x0101010101010101) * fold;
	uint32_t k = 0;
	for (; k + 8 <= n; k += 8, step += eights) {
		uint64_t stepped = word_at(window + at + k) ^ step;
		uint64_t folded = word_at(window + at + k) ^ folds;
		memcpy(f->stepped + at + k, &stepped, sizeof(stepped));
		memcpy(f->folded + at + k, &folded, sizeof(folded));
	}
	for (; k < n; k++) {
		f->stepped[at + k] = window[at + k] ^ (uint8_t)(k + 1);
		f->folded[at + k] = window[at + k] ^ fold;
	}
}

static void forge_windows(struct forge *f, const uint8_t window[GZIP_WINDOW])
{
	for (uint32_t fold = 0, j = 0, n; j < GZIP_WINDOW; fold++, j += n) {
		n = min_of(PERIOD, GZIP_WINDOW - j);
		change(f, window, j, n, (uint8_t)fold);
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
	if (err)
		return err;
	memset(f->named, 0, sizeof(f->named));
	/* Eight literals in a row are passed over; otherwise a branch a byte would cost more. */
	for (size_t i = 0; i < n; i++) {
		if (i + 8 <= n && word_at(f->steps + i) == word_at(out + i))
			i += 7;
		else
			f->named[(f->folds[i] ^ out[i]) * PERIOD + (f->steps[i] ^ out[i])] = 1;
	}
	if (memchr(f->named + 1 + GZIP_WINDOW, 1, NAMES - 1 - GZIP_WINDOW))
		return -EBADMSG;
	memcpy(used, f->named + 1, GZIP_WINDOW);
	return 0;
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
