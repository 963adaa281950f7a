/*
 * Which bytes of the window are used, found with unmodified inflate: the start of the chunk is
 * decoded twice with forged windows. Each output byte is a copy of one literal or of one window
 * byte, over any number of copies in between. Where a forged window byte j differs from the true
 * one by known patterns of j, the differences of the outputs from the true output name j; where the
 * first pattern is never zero, no difference means a literal.
 */
#include "index/chunker_priv.h"

#include <string.h>

/* j = PERIOD * fold + step - 1, with step 1..255 and fold 0..128. */
#define PERIOD 255u

static uint8_t step_of(uint32_t j)
{
	return (uint8_t)(1 + j % PERIOD);
}

static uint8_t fold_of(uint32_t j)
{
	return (uint8_t)(j / PERIOD);
}

struct forge {
	uint8_t window[GZIP_WINDOW];
	uint8_t steps[GZIP_WINDOW]; /* output under the first forged window */
	uint8_t folds[GZIP_WINDOW]; /* under the second */
};

static err_t run_forged(struct forge *f, const struct resume *r, uint8_t (*pattern)(uint32_t),
			uint8_t *out, size_t n)
{
	struct resume forged = *r;
	for (uint32_t j = 0; j < GZIP_WINDOW; j++)
		f->window[j] = r->window[j] ^ pattern(j);
	forged.window = f->window;
	err_t err = resume_run(&forged, INFLATE_BEST, out, n);
	/* The same bytes have just been decoded with the true window, and what a window holds can
	 * not make a difference to validity. */
	BUG_ON(err && err != -ENOMEM);
	return err;
}

err_t find_used(const struct resume *r, const uint8_t *out, size_t n, uint8_t used[GZIP_WINDOW])
{
	BUG_ON(n + r->skip > GZIP_WINDOW);
	auto_free struct forge *f = malloc(sizeof(*f));
	if (!f)
		return -ENOMEM;
	err_t err = run_forged(f, r, step_of, f->steps, n);
	if (!err)
		err = run_forged(f, r, fold_of, f->folds, n);
	if (err)
		return err;
	memset(used, 0, GZIP_WINDOW);
	for (size_t i = 0; i < n; i++) {
		unsigned step = f->steps[i] ^ out[i], fold = f->folds[i] ^ out[i];
		if (step)
			used[fold * PERIOD + step - 1] = 1;
	}
	return 0;
}
