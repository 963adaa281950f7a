/*
 * The codes of one Huffman block through ISA-L, which takes half of zlib's time but stops nowhere:
 * neither at the end of a block nor where output is held back. So it gets the block alone. zlib has
 * read (and judged) the header; ISA-L reads it again, with nothing behind it, and is then told that
 * this is the last block (`bfinal`), so it stops at the end of it. The bits that it has read on are
 * in `read_in` as long as output waits: one byte always does, until the end is known.
 *
 * What ISA-L does not manage to the end is not decided here: zlib, which still stands behind the
 * header, does the block again, and says what is wrong with it.
 */
#include "index/chunk_gzip_priv.h"

#ifdef HAVE_ISAL
#include <isa-l/igzip_lib.h>

struct fast_block {
	struct inflate_state state;
	size_t given; /* input bytes that the state has had */
};

struct fast_block *fast_block_new(void)
{
	struct fast_block *f = new_of(struct fast_block);
	isal_inflate_init(&f->state);
	return f;
}

void fast_block_free(struct fast_block **f)
{
	free(take(f));
}

size_t fast_block_waiting(const struct fast_block *f)
{
	return (size_t)(f->state.tmp_out_valid - f->state.tmp_out_processed);
}

/* run - decode into the state's own buffer; up to n bytes that wait there go to out. */
static int run(struct fast_block *f, struct bytes input, uint8_t *out, size_t n)
{
	struct inflate_state *s = &f->state;
	s->next_in = (uint8_t *)(uintptr_t)input.p;
	s->avail_in = (uint32_t)input.n;
	s->next_out = out;
	s->avail_out = (uint32_t)n;
	int ret = isal_inflate(s);
	f->given += input.n - s->avail_in;
	return ret;
}

/* read_header - the header's bits moved so that they end with a byte. */
static bool read_header(struct fast_block *f, const struct block_header *header)
{
	uint8_t moved[BLOCK_HEADER_MAX + 1] = {0}, none;
	unsigned shift = (8 - header->bits % 8) % 8;
	size_t n = (header->bits + shift) / 8;
	for (size_t i = 0; i < n; i++) {
		unsigned before = i ? header->bytes[i - 1] : 0;
		unsigned here = i < (header->bits + 7) / 8 ? header->bytes[i] : 0;
		moved[i] = (uint8_t)((here << 8 | before) >> (8 - shift));
	}
	if (shift) {
		f->state.read_in = moved[0] >> shift;
		f->state.read_in_length = 8 - (int32_t)shift;
	}
	struct bytes rest = {moved + (shift != 0), n - (shift != 0)};
	return run(f, rest, &none, 0) == ISAL_DECOMP_OK &&
	       f->state.block_state == ISAL_BLOCK_CODED && !f->state.read_in_length &&
	       f->given == rest.n;
}

bool fast_block_begin(struct fast_block *f, const struct block_header *header, uint64_t bits,
		      unsigned n_bits, struct bytes history)
{
	isal_inflate_reset(&f->state);
	f->given = 0;
	if (history.n && isal_inflate_set_dict(&f->state, (uint8_t *)(uintptr_t)history.p,
					       (uint32_t)history.n) != COMP_OK)
		return false;
	if (!read_header(f, header))
		return false;
	f->state.bfinal = 1;
	f->state.read_in = bits;
	f->state.read_in_length = (int32_t)n_bits;
	f->given = 0;
	return true;
}

enum fast_step fast_block_step(struct fast_block *f, struct bytes input)
{
	uint8_t none;
	struct bytes more = {input.p + f->given, input.n - f->given};
	if (f->state.block_state == ISAL_BLOCK_INPUT_DONE)
		return FAST_ENDED;
	if (run(f, more, &none, 0) != ISAL_DECOMP_OK)
		return FAST_FAILED;
	if (f->state.block_state == ISAL_BLOCK_INPUT_DONE)
		return FAST_ENDED;
	if (f->state.block_state != ISAL_BLOCK_CODED)
		return FAST_FAILED; /* also: an empty block, where no output keeps read_in */
	return f->given < input.n ? FAST_FULL : FAST_INPUT;
}

int64_t fast_block_end(const struct fast_block *f)
{
	BUG_ON(f->state.block_state != ISAL_BLOCK_INPUT_DONE);
	return (int64_t)f->given * 8 - f->state.read_in_length;
}

bool fast_block_take(struct fast_block *f, uint8_t *out, size_t n)
{
	BUG_ON(n > fast_block_waiting(f));
	return run(f, (struct bytes){out, 0}, out, n) == ISAL_DECOMP_OK && !f->state.avail_out;
}
#else
struct fast_block *fast_block_new(void)
{
	return NULL;
}

void fast_block_free(struct fast_block **f)
{
	(void)f;
}

bool fast_block_begin(struct fast_block *f, const struct block_header *header, uint64_t bits,
		      unsigned n_bits, struct bytes history)
{
	(void)f, (void)header, (void)bits, (void)n_bits, (void)history;
	return false;
}

enum fast_step fast_block_step(struct fast_block *f, struct bytes input)
{
	(void)f, (void)input;
	return FAST_FAILED;
}

int64_t fast_block_end(const struct fast_block *f)
{
	(void)f;
	return 0;
}

size_t fast_block_waiting(const struct fast_block *f)
{
	(void)f;
	return 0;
}

bool fast_block_take(struct fast_block *f, uint8_t *out, size_t n)
{
	(void)f, (void)out, (void)n;
	return false;
}
#endif
