/*
 * The ISA-L engine: about twice as fast as zlib on the same chunks. It keeps up to 64 bits of input
 * in public fields (read_in, read_in_length), which is how odd bits get in and how the end of a
 * member is found again. It decodes several literals at once and takes the step back when one of
 * them reaches beyond the input, so a few zero bytes are put behind the chunk's last byte: what
 * they decode to is never asked for. (If the range lacks its last bytes they may be, and give wrong
 * output instead of an error; that is for the checks around decoding to find.)
 */
#include "index/decode_priv.h"

bool inflate_engine_available(enum inflate_engine e)
{
#ifdef HAVE_ISAL
	return e == INFLATE_BEST || e == INFLATE_ZLIB || e == INFLATE_ISAL;
#else
	return e == INFLATE_BEST || e == INFLATE_ZLIB;
#endif
}

#ifdef HAVE_ISAL
#include <isa-l/igzip_lib.h>

static const uint8_t padding[16];

enum piece { PIECE_PREFIX, PIECE_REST, PIECE_PADDING };

struct isal_run {
	struct inflate_state state;
	struct bytes rest;
	enum piece piece; /* what next_in points into */
};

static void give(struct isal_run *run, struct bytes b, enum piece piece)
{
	run->state.next_in = (uint8_t *)(uintptr_t)b.p;
	run->state.avail_in = (uint32_t)b.n;
	run->piece = piece;
}

static err_t give_more(struct isal_run *run)
{
	if (run->piece == PIECE_PADDING)
		return -EBADMSG;
	if (run->piece == PIECE_PREFIX && run->rest.n)
		give(run, run->rest, PIECE_REST);
	else
		give(run, (struct bytes){padding, sizeof(padding)}, PIECE_PADDING);
	return 0;
}

/* unread - what lies behind the last bit that was used: bytes that wait in read_in count as unread.
 */
static err_t unread(const struct isal_run *run, struct bytes *b)
{
	size_t held = (size_t)(run->state.read_in_length > 0 ? run->state.read_in_length : 0) / 8;
	size_t given = run->piece == PIECE_PREFIX ? 0 : run->rest.n;
	if (run->piece == PIECE_REST)
		given -= run->state.avail_in;
	if (run->piece == PIECE_PREFIX && run->state.avail_in)
		return -EBADMSG;
	if (run->piece == PIECE_PADDING)
		given += sizeof(padding) - run->state.avail_in;
	if (held > given || given - held > run->rest.n)
		return -EBADMSG;
	size_t at = given - held;
	*b = (struct bytes){run->rest.p + at, run->rest.n - at};
	return 0;
}

static err_t enter_next_member(struct isal_run *run)
{
	struct bytes rest;
	err_t err = unread(run, &rest);
	if (!err)
		err = next_member(&rest);
	if (err)
		return err;
	isal_inflate_reset(&run->state);
	run->rest = rest;
	give(run, rest, PIECE_REST);
	return 0;
}

static err_t inflate_exactly(struct isal_run *run, uint8_t *out, size_t n)
{
	struct inflate_state *s = &run->state;
	s->next_out = out;
	s->avail_out = (uint32_t)n;
	for (;;) {
		int ret = isal_inflate(s);
		/* What lies behind the wanted bytes may be anything, so errors come second. */
		if (!s->avail_out)
			return 0;
		if (ret < 0)
			return -EBADMSG;
		err_t err = 0;
		if (s->block_state == ISAL_BLOCK_FINISH)
			err = enter_next_member(run);
		else if (!s->avail_in)
			err = give_more(run);
		if (err)
			return err;
	}
}

static err_t start(struct isal_run *run, const struct resume *r)
{
	isal_inflate_init(&run->state);
	run->rest = r->rest;
	if (r->window && isal_inflate_set_dict(&run->state, (uint8_t *)(uintptr_t)r->window,
					       GZIP_WINDOW) != COMP_OK)
		return -EBADMSG;
	struct bytes prefix = {r->prefix, r->prefix_len};
	if (r->prefix_skip) {
		run->state.read_in = prefix.p[0] >> r->prefix_skip;
		run->state.read_in_length = 8 - (int32_t)r->prefix_skip;
		prefix = (struct bytes){prefix.p + 1, prefix.n - 1};
	}
	give(run, prefix, PIECE_PREFIX);
	return 0;
}

err_t resume_isal(const struct resume *r, uint8_t *out, size_t n)
{
	/* Not cleared: isal_inflate_init sets what must be set, and the object is 90 KiB. */
	auto_free struct isal_run *run = malloc(sizeof(*run));
	if (!run)
		return -ENOMEM;
	uint8_t dropped[CODE_OUT_MAX];
	err_t err = start(run, r);
	if (!err && r->skip)
		err = inflate_exactly(run, dropped, r->skip);
	if (!err)
		err = inflate_exactly(run, out, n);
	return err;
}
#else
err_t resume_isal(const struct resume *r, uint8_t *out, size_t n)
{
	(void)r;
	(void)out;
	(void)n;
	return -EBADMSG;
}
#endif
