/*
 * chunk_gzip_priv - the current chunk of a gzip blob: its output, its checkpoint, and where it may
 * be cut. chunk_gzip.c drives inflate and the members, chunk_gzip_cut.c keeps the chunk.
 *
 * Invariants: output [0, len) of the chunk lies at `data`, what came before it in front of that.
 * While `has_cut` is set nothing has been put out since `cut`, and inflate gets no room: the next
 * byte of output begins the next chunk.
 */
#ifndef IMGFS_INDEX_CHUNK_GZIP_PRIV_H
#define IMGFS_INDEX_CHUNK_GZIP_PRIV_H

#include "index/chunker_priv.h"

/* History in front of the data: a window, which for START_INSIDE ends up to 257 bytes earlier. */
#define HISTORY_LEN (GZIP_WINDOW + 1024u)

/* The header of the current block, or of the one that the current chunk began in. */
struct block_header {
	unsigned bits;
	uint8_t bytes[BLOCK_HEADER_MAX];
};

/* A place where the current chunk ends and the next one begins. */
struct cut {
	uint64_t end;	  /* blob offset that the current chunk reaches to */
	struct chunk row; /* what is known of the next chunk: where and how it starts */
};

struct gzip_chunk {
	struct chunker *chunker;
	struct tape tape;
	struct chunk row;	    /* the current chunk, as far as it is known */
	struct block_header header; /* START_INSIDE: of the block it began in */
	uint32_t len;		    /* stream bytes of the current chunk so far */
	bool has_cut;
	struct cut cut;
	bool window_told;
	uint8_t *buffer; /* HISTORY_LEN + CHUNK_STREAM_MAX */
	uint8_t *data;	 /* buffer + HISTORY_LEN */
};

void gzip_chunk_init(struct gzip_chunk *g, struct chunker *c);
void gzip_chunk_fini(struct gzip_chunk *g);

/* gzip_chunk_room - how much output the chunk takes now; 0 where the next byte begins a new one. */
uint32_t gzip_chunk_room(const struct gzip_chunk *g);

/* gzip_chunk_input_max - how many input bytes may be taken in one step, at least 1. */
size_t gzip_chunk_input_max(const struct gzip_chunk *g);

/* gzip_chunk_block_max - the same where a whole block is taken in together with its output. */
size_t gzip_chunk_block_max(const struct gzip_chunk *g);

/* gzip_chunk_input, gzip_chunk_output - bytes that have been taken in; bytes that now lie at data +
 * len. */
err_t gzip_chunk_input(struct gzip_chunk *g, const uint8_t *p, size_t n, struct diag *d) must_check;
err_t gzip_chunk_output(struct gzip_chunk *g, size_t n, struct diag *d) must_check;

/* gzip_chunk_at_block, gzip_chunk_at_member - the stream stands before a block header (blob bit
 * position) or a member header: a place to cut if the chunk is long enough. */
void gzip_chunk_at_block(struct gzip_chunk *g, uint64_t bit);
void gzip_chunk_at_member(struct gzip_chunk *g, uint64_t off);
/* gzip_chunk_no_cut - nothing but the end of the blob follows. */
void gzip_chunk_no_cut(struct gzip_chunk *g);

/* gzip_chunk_cut - begin a new chunk at g->cut. */
err_t gzip_chunk_cut(struct gzip_chunk *g, struct diag *d) must_check;

/* gzip_chunk_cut_inside - the chunk is full inside a Huffman block: the next code begins at blob
 * bit `code`, `skip` bytes of it have been put out, and `end` is the bit position behind it (behind
 * the code before, when skip is 0). */
err_t gzip_chunk_cut_inside(struct gzip_chunk *g, uint64_t code, uint64_t end, unsigned skip,
			    const struct block_header *header, struct diag *d) must_check;

/* gzip_chunk_cut_stored - the chunk is full inside a stored block. */
err_t gzip_chunk_cut_stored(struct gzip_chunk *g, uint64_t off, uint32_t left, bool final_block,
			    struct diag *d) must_check;

/* gzip_chunk_end - the blob ends here; emits the last chunk if there is one. */
err_t gzip_chunk_end(struct gzip_chunk *g, struct diag *d) must_check;

/*
 * fast_block - the codes of one Huffman block, decoded by ISA-L (chunk_gzip_fast.c)
 * Whenever it fails, zlib does the block again. fast_block_new gives NULL in a build without ISA-L.
 */
enum fast_step {
	FAST_FAILED,
	FAST_INPUT, /* all input is used up, the block goes on */
	FAST_FULL,  /* what waits must be taken before more is decoded */
	FAST_ENDED,
};
struct fast_block;
struct fast_block *fast_block_new(void);
void fast_block_free(struct fast_block **f);
/*
 * fast_block_begin - false: it can not
 * @bits     the first n_bits (at most 56) bits behind the header; the input follows them
 * @history  what the member has given so far, at most GZIP_WINDOW bytes; copied
 */
bool fast_block_begin(struct fast_block *f, const struct block_header *header, uint64_t bits,
		      unsigned n_bits, struct bytes history) must_check;
/* fast_block_step - decode some more. @input all input since fast_block_begin, and more each time.
 */
enum fast_step fast_block_step(struct fast_block *f, struct bytes input) must_check;
/* fast_block_waiting, fast_block_take - output that waits; take n bytes of it. All but the last
 * byte may be taken before FAST_ENDED. False: it has failed. */
size_t fast_block_waiting(const struct fast_block *f);
bool fast_block_take(struct fast_block *f, uint8_t *out, size_t n) must_check;
/* fast_block_end - after FAST_ENDED, before the last byte is taken: the bit of the input behind the
 * block, negative inside `bits`. */
int64_t fast_block_end(const struct fast_block *f);

#endif
