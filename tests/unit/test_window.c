/*
 * window: what is encoded comes back, nothing else is accepted, nothing outside is read.
 */
#include "index/window.h"
#include "tests/unit/gzip_build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct history {
	uint8_t window[GZIP_WINDOW];
	uint8_t used[GZIP_WINDOW];
	uint8_t got[GZIP_WINDOW];
};

static void fill(struct history *h, uint32_t seed)
{
	for (size_t i = 0; i < GZIP_WINDOW; i++)
		h->window[i] = (uint8_t)next_random(&seed);
	memset(h->used, 0, GZIP_WINDOW);
}

/* check - used bytes come back; others come back or are zero; returns the encoded length. */
static size_t check(struct history *h, unsigned header_bits)
{
	static const uint8_t header[300] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
	auto_buf struct buf b = {0};
	const uint8_t *got_header;
	assert_int_equal(window_encode(h->window, h->used, header, header_bits, &b), 0);
	assert_true(b.n <= WINDOW_ENCODED_MAX);
	memset(h->got, 0xee, GZIP_WINDOW);
	assert_int_equal(window_decode(buf_bytes(&b), header_bits, h->got, &got_header), 0);
	for (size_t i = 0; i < GZIP_WINDOW; i++)
		assert_true(h->got[i] == h->window[i] || (!h->used[i] && !h->got[i]));
	if (header_bits)
		assert_memory_equal(got_header, header, (header_bits + 7) / 8);
	else
		assert_null(got_header);
	return b.n;
}

static void round_trips(void **state)
{
	(void)state;
	struct history *h = new_of(struct history);
	fill(h, 1);
	assert_int_equal(check(h, 0), 1);
	assert_int_equal(check(h, 2400), 301);
	memset(h->used, 1, GZIP_WINDOW);
	assert_true(check(h, 3) <= GZIP_WINDOW + 8);
	for (unsigned period = 2; period < 12; period++) {
		for (size_t i = 0; i < GZIP_WINDOW; i++)
			h->used[i] = i % period == 0;
		check(h, period);
	}
	for (uint32_t seed = 1; seed < 40; seed++) {
		uint32_t r = seed;
		fill(h, seed);
		for (size_t i = 0; i < GZIP_WINDOW; i += 1 + next_random(&r) % (1u << seed % 15))
			h->used[i] = 1;
		check(h, seed * 60);
	}
	fill(h, 2);
	h->used[0] = h->used[GZIP_WINDOW - 1] = 1;
	assert_int_equal(check(h, 0), 1 + 1 + 3 + 1 + 1 + 2);
	free(h);
}

/* refuse - in a block of exactly that size, so that a read beyond it is seen by the sanitizer. */
static void refuse(const void *p, size_t n, unsigned header_bits)
{
	uint8_t *window = xcalloc(1, GZIP_WINDOW), *exact = malloc(n ? n : 1);
	const uint8_t *header;
	assert_non_null(exact);
	memcpy(exact, p, n);
	assert_int_equal(window_decode((struct bytes){exact, n}, header_bits, window, &header),
			 -EBADMSG);
	free(exact);
	free(window);
}

static void lies_are_refused(void **state)
{
	(void)state;
	refuse("", 0, 0);				/* nothing */
	refuse("\x80", 1, 0);				/* a number without end */
	refuse("\xff\xff\xff\x7f", 4, 0);		/* a number that is too long */
	refuse("\x81\x80\x02", 3, 0);			/* more runs than bytes */
	refuse("\x01", 1, 0);				/* no positions */
	refuse("\x01\x00", 2, 0);			/* no length */
	refuse("\x01\x00\x00", 3, 0);			/* a run of nothing */
	refuse("\x01\x00\x02x", 4, 0);			/* bytes missing */
	refuse("\x01\x00\x01xy", 5, 0);			/* bytes too many */
	refuse("\x00y", 2, 0);				/* bytes too many, no run */
	refuse("\x00", 1, 3);				/* no header */
	refuse("\x00hh", 3, 3);				/* too much header */
	refuse("\x01\x80\x80\x02\x01x", 6, 0);		/* begins at 32768 */
	refuse("\x01\xff\xff\x01\x02xy", 7, 0);		/* ends at 32769 */
	refuse("\x02\x00\xff\xff\x01\x01\x01xy", 9, 0); /* the second run is outside */
}

static void random_bytes_do_no_harm(void **state)
{
	(void)state;
	uint8_t *window = xcalloc(1, GZIP_WINDOW);
	uint32_t seed = 7;
	for (unsigned i = 0; i < 20000; i++) {
		size_t n = next_random(&seed) % 40;
		uint8_t *b = xcalloc(1, n + 1), *exact = b + 1;
		const uint8_t *header = NULL;
		for (size_t k = 0; k < n; k++)
			exact[k] = (uint8_t)(next_random(&seed) % 6);
		struct bytes e = {exact, n};
		unsigned bits = next_random(&seed) % 16;
		if (window_decode(e, bits, window, &header) == 0 && bits)
			assert_true(header >= e.p && header + (bits + 7) / 8 <= e.p + e.n);
		free(b);
	}
	free(window);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trips),
		cmocka_unit_test(lies_are_refused),
		cmocka_unit_test(random_bytes_do_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
