/*
 * chunker_priv - what the chunkers of the codecs share: the way out, and the tape of recent blob
 * bytes
 */
#ifndef IMGFS_INDEX_CHUNKER_PRIV_H
#define IMGFS_INDEX_CHUNKER_PRIV_H

#include "index/chunker.h"
#include "index/decode_priv.h"

/* One codec's pass. Objects belong to the chunker that made them. */
struct chunk_pass {
	void *(*create)(struct chunker *c);
	err_t (*feed)(void *pass, const uint8_t *p, size_t n, struct diag *d);
	err_t (*finish)(void *pass, struct diag *d);
	void (*destroy)(void *pass);
};
extern const struct chunk_pass chunk_plain_pass, chunk_gzip_pass, chunk_zstd_pass;

uint32_t chunker_target(const struct chunker *c);

/* chunker_stream, chunker_inner, chunker_window, chunker_chunk - hand on; chunker_stream checks
 * STREAM_MAX. */
err_t chunker_stream(struct chunker *c, const uint8_t *p, size_t n, struct diag *d) must_check;
err_t chunker_inner(struct chunker *c, uint64_t stream_off, const uint8_t *p, size_t n,
		    struct diag *d) must_check;
err_t chunker_window(struct chunker *c, const struct window_clues *clues,
		     struct diag *d) must_check;
err_t chunker_chunk(struct chunker *c, const struct chunk *row, const uint8_t *data,
		    struct diag *d) must_check;

/*
 * The tape holds the last bytes of the blob that went in, and hashes the range of the current
 * chunk. Where that range ends is known only later, so hashing stays behind: tape_release says
 * which bytes are settled.
 */
struct tape {
	struct buf bytes;
	uint64_t off;	 /* blob offset of bytes.p[0] */
	uint64_t hashed; /* blob offset up to which the current range is hashed; >= off */
	struct hasher *hasher;
};
void tape_init(struct tape *t);
void tape_fini(struct tape *t);
uint64_t tape_end(const struct tape *t);
err_t tape_append(struct tape *t, const uint8_t *p, size_t n, struct diag *d) must_check;
/* tape_start - a range begins at blob offset `from`, which is still on the tape. */
void tape_start(struct tape *t, uint64_t from);
/* tape_release - bytes before blob offset `until` are wanted no more, except for the hash. */
void tape_release(struct tape *t, uint64_t until);
/* tape_sha256 - the digest of the range that ends at blob offset `end`. */
void tape_sha256(struct tape *t, uint64_t end, uint8_t out[SHA256_LEN]);
/* tape_from - the bytes from blob offset `from` to the tape's end. */
struct bytes tape_from(const struct tape *t, uint64_t from);

#endif
