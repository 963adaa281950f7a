/*
 * The pass over a gzip blob: members (header, deflate data, trailer) one after the other, zero
 * padding at the end. The deflate data go through zlib, which is asked to stop at every block
 * boundary and behind every block header (Z_TREES), so that the bit positions of both are known.
 * Where the chunk has no more room, zlib still reads on until it holds output back; only then is
 * the place decided, which makes it independent of how the blob was fed.
 *
 * Where there is ISA-L, zlib reads the headers only: what follows one goes through a fast_block,
 * and zlib goes on at the block's end. Nothing is taken in or put out before that end is found, so
 * zlib can always do the block itself, from behind its header; it does so with stored, empty and
 * very long blocks, and with whatever is wrong. Both ways give the same rows and the same errors.
 */
#include "index/chunk_gzip_priv.h"

#include <string.h>
#include <zlib.h>

#include "index/gzip_header.h"

#ifdef HAVE_ISAL
#include <isa-l/crc.h>
#endif

/* Flags in z_stream.data_type after a call with Z_TREES (zlib.h, inflate()). */
#define UNUSED_BITS   63
#define LAST_BLOCK    64
#define AT_BOUNDARY   128
#define BEHIND_HEADER 256

/* A block of more compressed bytes is zlib's: bounds what is kept of the input. */
#define FAST_INPUT_MAX (256u << 10)
/* So is one behind a block of less: beginning one costs what zlib needs for about as much, and a
 * blob may consist of nothing but tiny blocks. */
#define FAST_BLOCK_MIN (4u << 10)
/* Bits that zlib may have read on behind a header: it holds 32 and fills up by bytes. */
#define FAST_BITS_MAX 56u

enum phase {
	PHASE_HEADER,
	PHASE_DEFLATE,
	PHASE_FAST, /* behind a block header; the block is with `fast` */
	PHASE_TRAILER,
	PHASE_BETWEEN,
	PHASE_PADDING
};

struct gzip_pass {
	struct gzip_chunk chunk;
	enum phase phase;
	z_stream z;
	struct buf member_header; /* as far as it has come in */
	uint8_t trailer[GZIP_TRAILER];
	size_t trailer_n;
	uint32_t crc;	    /* of the member's output */
	uint64_t size;	    /* of the member's output */
	uint64_t block_bit; /* where the current block's header begins */
	uint64_t block_len; /* compressed bytes of the block before */
	struct block_header block;
	struct fast_block *fast;
	size_t fast_n;	  /* output of the block so far, behind the chunk's */
	bool no_window;	  /* zlib has not got the history */
	bool wants;	  /* what is there of the input is not enough */
	struct buf ahead; /* input that waits for more */
};

static void *gzip_create(struct chunker *c)
{
	struct gzip_pass *p = new_of(struct gzip_pass);
	gzip_chunk_init(&p->chunk, c);
	BUG_ON(inflateInit2(&p->z, -15) != Z_OK);
	p->fast = fast_block_new();
	return p;
}

static void gzip_destroy(void *pass)
{
	struct gzip_pass *p = pass;
	inflateEnd(&p->z);
	buf_fini(&p->member_header);
	buf_fini(&p->ahead);
	fast_block_free(&p->fast);
	gzip_chunk_fini(&p->chunk);
	free(p);
}

static uint64_t position(const struct gzip_pass *p)
{
	return tape_end(&p->chunk.tape);
}

static uint32_t crc_extend(uint32_t crc, const uint8_t *b, size_t n)
{
#ifdef HAVE_ISAL
	return crc32_gzip_refl(crc, b, n);
#else
	return (uint32_t)crc32(crc, b, (uInt)n);
#endif
}

static err_t corrupt(const struct gzip_pass *p, struct diag *d, const char *what)
{
	return fail(d, ERR_INTEGRITY, -EBADMSG, "gzip: %s at byte %llu", what,
		    (unsigned long long)position(p));
}

static err_t step_header(struct gzip_pass *p, const uint8_t *from, size_t n, size_t *taken,
			 struct diag *d)
{
	size_t before = p->member_header.n;
	n = min_of(n, gzip_chunk_input_max(&p->chunk));
	err_t err = buf_append(&p->member_header, from, n);
	if (err)
		return fail_sys(d, ERR_OTHER, err, "cannot keep a gzip header");
	int64_t len = gzip_header_len(buf_bytes(&p->member_header));
	if (len < 0)
		return corrupt(p, d,
			       position(p) ? "neither a member nor zero padding" : "bad header");
	*taken = len ? (size_t)len - before : n;
	err = gzip_chunk_input(&p->chunk, from, *taken, d);
	if (err || !len)
		return err;
	p->member_header.n = 0;
	p->phase = PHASE_DEFLATE;
	p->crc = 0;
	p->size = 0;
	p->block_bit = position(p) * 8;
	p->no_window = false;
	BUG_ON(inflateReset(&p->z) != Z_OK);
	return gzip_chunk_output(&p->chunk, 0, d);
}

static uint64_t bit_position(const struct gzip_pass *p)
{
	return position(p) * 8 - (unsigned)(p->z.data_type & UNUSED_BITS);
}

/* keep_block_header - the bits between the boundary and here, moved to start at bit 0. */
static void keep_block_header(struct gzip_pass *p)
{
	struct bytes from = tape_from(&p->chunk.tape, p->block_bit / 8);
	unsigned shift = (unsigned)(p->block_bit % 8);
	p->block.bits = (unsigned)(bit_position(p) - p->block_bit);
	BUG_ON(p->block.bits < 3 || p->block.bits > BLOCK_HEADER_BITS_MAX);
	memset(p->block.bytes, 0, sizeof(p->block.bytes));
	for (size_t i = 0; i < (p->block.bits + 7) / 8; i++) {
		unsigned two = from.p[i] | (i + 1 < from.n ? from.p[i + 1] << 8 : 0);
		p->block.bytes[i] = (uint8_t)(two >> shift);
	}
	if (p->block.bits % 8)
		p->block.bytes[p->block.bits / 8] &= (uint8_t)((1u << p->block.bits % 8) - 1);
}

/* cut_here - zlib holds output back: the next chunk begins. */
static err_t cut_here(struct gzip_pass *p, struct diag *d)
{
	if (p->chunk.has_cut)
		return gzip_chunk_cut(&p->chunk, d);
	long mark = inflateMark(&p->z);
	long back = mark >> 16;
	unsigned done = (unsigned)(mark & 0xffff);
	if (back < 0)
		return gzip_chunk_cut_stored(&p->chunk, position(p), done,
					     (p->z.data_type & LAST_BLOCK) != 0, d);
	uint64_t end = bit_position(p), code = end - (uint64_t)back;
	return gzip_chunk_cut_inside(&p->chunk, code, done ? end : code, done, &p->block, d);
}

static err_t inflate_failed(const struct gzip_pass *p, int ret, struct diag *d)
{
	if (ret == Z_MEM_ERROR)
		return fail_sys(d, ERR_OTHER, -ENOMEM, "cannot inflate");
	return corrupt(p, d, p->z.msg ? p->z.msg : "bad deflate data");
}

static err_t account(struct gzip_pass *p, const uint8_t *from, size_t taken, size_t given,
		     struct diag *d)
{
	err_t err = gzip_chunk_input(&p->chunk, from, taken, d);
	if (err)
		return err;
	p->crc = crc_extend(p->crc, p->chunk.data + p->chunk.len, given);
	p->size += given;
	/* Before the tape is released: the header must still be on it. */
	if (p->z.data_type & BEHIND_HEADER)
		keep_block_header(p);
	return gzip_chunk_output(&p->chunk, given, d);
}

/* end_block_at - the next one, if any, begins there. */
static void end_block_at(struct gzip_pass *p, uint64_t bit)
{
	p->block_len = (bit - p->block_bit) / 8;
	p->block_bit = bit;
}

static void begin_trailer(struct gzip_pass *p)
{
	p->phase = PHASE_TRAILER;
	p->trailer_n = 0;
}

/* history - of the member, what lies in front of the next byte of output. */
static struct bytes history(const struct gzip_pass *p)
{
	size_t n = (size_t)min_of(p->size, (uint64_t)GZIP_WINDOW);
	return (struct bytes){p->chunk.data + p->chunk.len - n, n};
}

/* leave_to_zlib - the block behind whose header zlib stands. */
static void leave_to_zlib(struct gzip_pass *p)
{
	struct bytes window = history(p);
	p->phase = PHASE_DEFLATE;
	if (p->no_window && window.n)
		BUG_ON(inflateSetDictionary(&p->z, window.p, (uInt)window.n) != Z_OK);
	p->no_window = false;
}

/* bits_read_on - the bits behind the header that zlib has taken already. */
static uint64_t bits_read_on(const struct gzip_pass *p)
{
	struct bytes from = tape_from(&p->chunk.tape, bit_position(p) / 8);
	uint64_t bits = 0;
	for (size_t i = 0; i < from.n; i++)
		bits |= (uint64_t)from.p[i] << 8 * i;
	return bits >> bit_position(p) % 8;
}

/* begin_block - zlib stands behind its header: who decodes it? */
static void begin_block(struct gzip_pass *p)
{
	unsigned n_bits = (unsigned)(p->z.data_type & UNUSED_BITS);
	bool stored = (p->block.bytes[0] & 6) == 0;
	p->phase = PHASE_FAST;
	p->fast_n = 0;
	if (!p->fast || stored || p->block_len < FAST_BLOCK_MIN || n_bits > FAST_BITS_MAX ||
	    !fast_block_begin(p->fast, &p->block, bits_read_on(p), n_bits, history(p)))
		leave_to_zlib(p);
}

/* end_block - it ends `unused` bits before the end of these bytes: zlib goes on there. */
static err_t end_block(struct gzip_pass *p, const uint8_t *from, size_t taken, unsigned unused,
		       struct diag *d)
{
	p->z.data_type = 0;
	err_t err = account(p, from, taken, p->fast_n, d);
	if (err)
		return err;
	end_block_at(p, position(p) * 8 - unused);
	if (p->block.bytes[0] & 1) {
		begin_trailer(p);
		return 0;
	}
	p->phase = PHASE_DEFLATE;
	p->no_window = true;
	BUG_ON(inflateReset(&p->z) != Z_OK);
	if (unused) {
		uint8_t shared = tape_from(&p->chunk.tape, position(p) - 1).p[0];
		BUG_ON(inflatePrime(&p->z, (int)unused, shared >> (8 - unused)) != Z_OK);
	}
	gzip_chunk_at_block(&p->chunk, p->block_bit);
	return 0;
}

/* take_output - what waits, but for the byte that has to, goes behind the chunk's output. */
static bool take_output(struct gzip_pass *p, bool ended)
{
	size_t n = fast_block_waiting(p->fast);
	n -= n && !ended;
	if (n > CHUNK_STREAM_MAX - p->chunk.len - p->fast_n)
		return false;
	uint8_t *out = p->chunk.data + p->chunk.len + p->fast_n;
	p->fast_n += n;
	return !n || fast_block_take(p->fast, out, n);
}

/* step_fast - none of the input is taken before the end of the block is found in it. */
static err_t step_fast(struct gzip_pass *p, const uint8_t *from, size_t n, size_t *taken,
		       struct diag *d)
{
	enum fast_step step = fast_block_step(p->fast, (struct bytes){from, n});
	/* Bits that zlib has taken are not given back by more than the byte they stand in. */
	int64_t end = step == FAST_ENDED ? fast_block_end(p->fast) : 0;
	size_t bytes = end > 0 ? (size_t)(end + 7) / 8 : 0;
	err_t err = 0;
	if (step != FAST_FAILED && p->chunk.has_cut && fast_block_waiting(p->fast))
		err = gzip_chunk_cut(&p->chunk, d);
	if (err)
		return err;
	p->wants = step == FAST_INPUT && n < FAST_INPUT_MAX;
	if (step == FAST_FAILED || end <= -8 || bytes > gzip_chunk_block_max(&p->chunk) ||
	    (step == FAST_INPUT && !p->wants) || !take_output(p, step == FAST_ENDED)) {
		p->wants = false;
		leave_to_zlib(p);
	} else if (step == FAST_ENDED) {
		*taken = bytes;
		err = end_block(p, from, bytes, (unsigned)((int64_t)bytes * 8 - end), d);
	}
	return err;
}

static err_t step_deflate(struct gzip_pass *p, const uint8_t *from, size_t n, size_t *taken,
			  struct diag *d)
{
	uint32_t room = gzip_chunk_room(&p->chunk);
	n = min_of(n, gzip_chunk_input_max(&p->chunk));
	p->z.next_in = (Bytef *)(uintptr_t)from;
	p->z.avail_in = (uInt)n;
	p->z.next_out = p->chunk.data + p->chunk.len;
	p->z.avail_out = room;
	int ret = inflate(&p->z, Z_TREES);
	*taken = n - p->z.avail_in;
	if (ret != Z_OK && ret != Z_BUF_ERROR && ret != Z_STREAM_END)
		return inflate_failed(p, ret, d);
	err_t err = account(p, from, *taken, room - p->z.avail_out, d);
	if (err)
		return err;
	if (ret == Z_STREAM_END) {
		end_block_at(p, bit_position(p));
		begin_trailer(p);
	} else if (p->z.data_type & BEHIND_HEADER) {
		begin_block(p);
	} else if (p->z.data_type & AT_BOUNDARY) {
		end_block_at(p, bit_position(p));
		/* Behind a last block too: the next member, or the end, overrules it before any
		 * output. */
		gzip_chunk_at_block(&p->chunk, p->block_bit);
	} else if (ret == Z_BUF_ERROR) {
		/* No progress although there is input: only room is missing. */
		err = cut_here(p, d);
	}
	return err;
}

static uint32_t u32_at(const uint8_t *b)
{
	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static err_t step_trailer(struct gzip_pass *p, const uint8_t *from, size_t n, size_t *taken,
			  struct diag *d)
{
	*taken = min_of(n, GZIP_TRAILER - p->trailer_n);
	memcpy(p->trailer + p->trailer_n, from, *taken);
	p->trailer_n += *taken;
	err_t err = gzip_chunk_input(&p->chunk, from, *taken, d);
	if (err || p->trailer_n < GZIP_TRAILER)
		return err;
	if (u32_at(p->trailer) != p->crc)
		return corrupt(p, d, "the member's CRC-32 does not match");
	if (u32_at(p->trailer + 4) != (uint32_t)p->size)
		return corrupt(p, d, "the member's length does not match");
	p->phase = PHASE_BETWEEN;
	return gzip_chunk_output(&p->chunk, 0, d);
}

static err_t step_between(struct gzip_pass *p, const uint8_t *from)
{
	if (*from) {
		gzip_chunk_at_member(&p->chunk, position(p));
		p->phase = PHASE_HEADER;
	} else {
		gzip_chunk_no_cut(&p->chunk);
		p->phase = PHASE_PADDING;
	}
	return 0;
}

static err_t step_padding(struct gzip_pass *p, const uint8_t *from, size_t n, size_t *taken,
			  struct diag *d)
{
	n = min_of(n, gzip_chunk_input_max(&p->chunk));
	for (size_t i = 0; i < n; i++)
		if (from[i])
			return corrupt(p, d, "something other than zeroes behind the last member");
	*taken = n;
	err_t err = gzip_chunk_input(&p->chunk, from, n, d);
	return err ? err : gzip_chunk_output(&p->chunk, 0, d);
}

static err_t step(struct gzip_pass *p, const uint8_t *from, size_t n, size_t *taken, struct diag *d)
{
	*taken = 0;
	switch (p->phase) {
	case PHASE_HEADER:
		return step_header(p, from, n, taken, d);
	case PHASE_DEFLATE:
		return step_deflate(p, from, n, taken, d);
	case PHASE_FAST:
		return step_fast(p, from, n, taken, d);
	case PHASE_TRAILER:
		return step_trailer(p, from, n, taken, d);
	case PHASE_BETWEEN:
		return step_between(p, from);
	case PHASE_PADDING:
		return step_padding(p, from, n, taken, d);
	}
	BUG_ON(true);
}

/* feed - until the input is used up, or too little is left of it. */
static err_t feed(struct gzip_pass *p, struct bytes input, size_t *used, struct diag *d)
{
	err_t err = 0;
	*used = 0;
	p->wants = false;
	while (!err && !p->wants && *used < input.n) {
		size_t taken;
		err = step(p, input.p + *used, input.n - *used, &taken, d);
		*used += taken;
	}
	return err;
}

static err_t keep_ahead(struct gzip_pass *p, const uint8_t *from, size_t n, struct diag *d)
{
	err_t err = buf_append(&p->ahead, from, n);
	return err ? fail_sys(d, ERR_OTHER, err, "cannot keep %zu bytes of the blob", n) : 0;
}

static err_t feed_ahead(struct gzip_pass *p, struct diag *d)
{
	size_t used;
	err_t err = feed(p, buf_bytes(&p->ahead), &used, d);
	p->ahead.n -= used;
	memmove(p->ahead.p, p->ahead.p + used, p->ahead.n);
	return err;
}

static err_t gzip_feed(void *pass, const uint8_t *from, size_t n, struct diag *d)
{
	struct gzip_pass *p = pass;
	size_t used = 0;
	err_t err = p->ahead.n ? 0 : feed(p, (struct bytes){from, n}, &used, d);
	bool waits = p->ahead.n > 0;
	if (!err && used < n)
		err = keep_ahead(p, from + used, n - used, d);
	return !err && waits ? feed_ahead(p, d) : err;
}

static err_t gzip_finish(void *pass, struct diag *d)
{
	struct gzip_pass *p = pass;
	err_t err = 0;
	while (!err && p->ahead.n) {
		/* No more comes: zlib says how far the block goes. */
		if (p->phase == PHASE_FAST)
			leave_to_zlib(p);
		err = feed_ahead(p, d);
	}
	if (err)
		return err;
	if (p->phase != PHASE_BETWEEN && p->phase != PHASE_PADDING)
		return corrupt(p, d, "the blob ends inside a member");
	return gzip_chunk_end(&p->chunk, d);
}

const struct chunk_pass chunk_gzip_pass = {gzip_create, gzip_feed, gzip_finish, gzip_destroy};
