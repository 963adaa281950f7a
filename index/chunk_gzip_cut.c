/*
 * The current chunk of a gzip blob. A cut is decided at the first place behind the target, but made
 * only when the next byte of output appears: empty blocks and empty members after it move it along,
 * so no chunk is empty and the next one starts where its bytes start.
 *
 * What the window of a chunk is found in is handed out as soon as 32 KiB of it are there (or at its
 * end), while its first compressed bytes are still on the tape.
 */
#include "index/chunk_gzip_priv.h"

#include <string.h>
#include <xxhash.h>

/* What stays on the tape behind the position: a cut inside a block steps back over one code (48
 * bits) and what inflate holds (32 bits), a block header is collected from it (286 bytes). */
#define TAPE_TAIL 512u

/*
 * Compressed bytes that are kept to find a window. Even stored blocks of one byte each (six bytes
 * for one) give 32 KiB within it; only long rows of empty blocks do not, and then the whole window
 * counts as used.
 */
#define HEAD_MAX (256u << 10)

#define INPUT_STEP (32u << 10) /* keeps the tape short */

/* The checks on a chunk's blob range are exact at its end; this one only stops a blob without
 * output early. */
#define BLOB_EARLY_STOP (CHUNK_BLOB_MAX + (1u << 20))

void gzip_chunk_init(struct gzip_chunk *g, struct chunker *c)
{
	*g = (struct gzip_chunk){.chunker = c, .window_told = true};
	g->row.codec = CHUNK_GZIP;
	g->buffer = xcalloc(1, HISTORY_LEN + CHUNK_STREAM_MAX);
	g->data = g->buffer + HISTORY_LEN;
	tape_init(&g->tape);
}

void gzip_chunk_fini(struct gzip_chunk *g)
{
	free(g->buffer);
	tape_fini(&g->tape);
}

uint32_t gzip_chunk_room(const struct gzip_chunk *g)
{
	return g->has_cut ? 0 : CHUNK_STREAM_MAX - g->len;
}

/* head_left - how many more compressed bytes may be kept for the search of the window. */
static size_t head_left(const struct gzip_chunk *g)
{
	uint64_t have = tape_end(&g->tape) - g->row.blob_off;
	return have < HEAD_MAX ? (size_t)(HEAD_MAX - have) : 0;
}

/* A step never passes the end of the head, so that the answer does not depend on how the blob was
 * fed. */
size_t gzip_chunk_input_max(const struct gzip_chunk *g)
{
	size_t left = g->window_told ? 0 : head_left(g);
	return left ? min_of(left, (size_t)INPUT_STEP) : INPUT_STEP;
}

size_t gzip_chunk_block_max(const struct gzip_chunk *g)
{
	return g->window_told ? SIZE_MAX : head_left(g);
}

/* tell_window - what the window can be found in; without the compressed bytes when there were too
 * many to keep. */
static err_t tell_window(struct gzip_chunk *g, bool searchable, struct diag *d)
{
	struct window_clues clues = {
		.row = g->row,
		.header = {g->header.bytes, (g->row.header_bits + 7u) / 8},
		.history = g->data - g->row.skip - GZIP_WINDOW,
		.out = {g->data, min_of((size_t)g->len, (size_t)GZIP_WINDOW - g->row.skip)},
	};
	if (searchable)
		clues.head = tape_from(&g->tape, g->row.blob_off);
	g->window_told = true;
	return chunker_window(g->chunker, &clues, d);
}

static void release_tape(struct gzip_chunk *g)
{
	uint64_t end = tape_end(&g->tape);
	uint64_t until = end - min_of(end, (uint64_t)TAPE_TAIL);
	if (g->has_cut)
		until = min_of(until, g->cut.row.blob_off);
	if (!g->window_told)
		until = min_of(until, g->row.blob_off);
	tape_release(&g->tape, until);
}

err_t gzip_chunk_input(struct gzip_chunk *g, const uint8_t *p, size_t n, struct diag *d)
{
	if (tape_end(&g->tape) - g->row.blob_off > BLOB_EARLY_STOP)
		return fail(d, ERR_INTEGRITY, -EBADMSG,
			    "%u compressed bytes give less than one chunk", BLOB_EARLY_STOP);
	return tape_append(&g->tape, p, n, d);
}

err_t gzip_chunk_output(struct gzip_chunk *g, size_t n, struct diag *d)
{
	err_t err = n ? chunker_stream(g->chunker, g->data + g->len, n, d) : 0;
	if (err)
		return err;
	g->len += (uint32_t)n;
	if (!g->window_told && g->len + g->row.skip >= GZIP_WINDOW)
		err = tell_window(g, true, d);
	else if (!g->window_told && !head_left(g))
		err = tell_window(g, false, d);
	release_tape(g);
	return err;
}

static bool long_enough(const struct gzip_chunk *g)
{
	return g->len >= chunker_target(g->chunker);
}

static void set_cut(struct gzip_chunk *g, uint64_t end, struct chunk row)
{
	row.codec = CHUNK_GZIP;
	row.stream_off = g->row.stream_off + g->len;
	g->cut = (struct cut){.end = end, .row = row};
	g->has_cut = true;
}

void gzip_chunk_at_block(struct gzip_chunk *g, uint64_t bit)
{
	struct chunk row = {.start = START_BLOCK, .blob_off = bit / 8, .bit = (uint8_t)(bit % 8)};
	if (long_enough(g))
		set_cut(g, (bit + 7) / 8, row);
}

void gzip_chunk_at_member(struct gzip_chunk *g, uint64_t off)
{
	if (long_enough(g))
		set_cut(g, off, (struct chunk){.start = START_MEMBER, .blob_off = off});
}

void gzip_chunk_no_cut(struct gzip_chunk *g)
{
	g->has_cut = false;
}

static err_t emit(struct gzip_chunk *g, uint64_t end, struct diag *d)
{
	err_t err = g->window_told ? 0 : tell_window(g, head_left(g) > 0, d);
	if (err)
		return err;
	g->row.stream_len = g->len;
	g->row.blob_len = end - g->row.blob_off;
	g->row.xxh3 = XXH3_64bits(g->data, g->len);
	tape_sha256(&g->tape, end, g->row.sha256);
	return chunker_chunk(g->chunker, &g->row, g->data, d);
}

err_t gzip_chunk_cut(struct gzip_chunk *g, struct diag *d)
{
	BUG_ON(!g->has_cut);
	err_t err = emit(g, g->cut.end, d);
	if (err)
		return err;
	/* Source and target overlap when the chunk is shorter than the history. */
	memmove(g->buffer, g->buffer + g->len, HISTORY_LEN);
	g->row = g->cut.row;
	g->len = 0;
	g->has_cut = false;
	g->window_told = g->row.start == START_MEMBER;
	tape_start(&g->tape, g->row.blob_off);
	return 0;
}

err_t gzip_chunk_cut_inside(struct gzip_chunk *g, uint64_t code, uint64_t end, unsigned skip,
			    const struct block_header *header, struct diag *d)
{
	struct chunk row = {
		.start = START_INSIDE,
		.blob_off = code / 8,
		.bit = (uint8_t)(code % 8),
		.skip = (uint16_t)skip,
		.header_bits = (uint16_t)header->bits,
		.final_block = header->bytes[0] & 1,
	};
	BUG_ON(skip >= CODE_OUT_MAX || header->bits < 3);
	set_cut(g, (end + 7) / 8, row);
	err_t err = gzip_chunk_cut(g, d);
	g->header = *header;
	return err;
}

err_t gzip_chunk_cut_stored(struct gzip_chunk *g, uint64_t off, uint32_t left, bool final_block,
			    struct diag *d)
{
	struct chunk row = {
		.start = START_STORED,
		.blob_off = off,
		.stored_left = left,
		.final_block = final_block,
	};
	BUG_ON(left < 1 || left > 0xffff);
	set_cut(g, off, row);
	return gzip_chunk_cut(g, d);
}

err_t gzip_chunk_end(struct gzip_chunk *g, struct diag *d)
{
	gzip_chunk_no_cut(g);
	return g->len ? emit(g, tape_end(&g->tape), d) : 0;
}
