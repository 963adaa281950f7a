/*
 * The chunker's front: finds out what the blob is from its first bytes, then hands every byte to
 * the pass for that codec. The first bytes are gathered, so that a blob may arrive one byte at a
 * time.
 */
#include "index/chunker_priv.h"

#include <string.h>

#define SNIFF_LEN 10 /* the longest mark: bzip2's, with its first block's */

struct chunker {
	struct chunker_sink sink;
	void *arg;
	uint32_t target;
	uint64_t stream_size, blob_size; /* so far */
	enum blob_codec codec;
	const struct chunk_pass *type; /* NULL until sniffed */
	void *pass;
	uint8_t first[SNIFF_LEN];
	size_t first_n;
	err_t failed;
};

const char *blob_codec_name(enum blob_codec c)
{
	return c == BLOB_GZIP ? "gzip" : c == BLOB_ZSTD ? "zstd" : "tar";
}

struct chunker *chunker_new(uint32_t target, const struct chunker_sink *sink, void *arg)
{
	struct chunker *c = new_of(struct chunker);
	c->sink = *sink;
	c->arg = arg;
	c->target = target ? target : CHUNK_TARGET_DEFAULT;
	BUG_ON(c->target < CHUNK_TARGET_MIN || c->target > CHUNK_STREAM_MAX);
	return c;
}

void chunker_free(struct chunker **c)
{
	if (!*c)
		return;
	if ((*c)->type)
		(*c)->type->destroy((*c)->pass);
	free(*c);
	*c = NULL;
}

uint32_t chunker_target(const struct chunker *c)
{
	return c->target;
}

enum blob_codec chunker_codec(const struct chunker *c)
{
	return c->codec;
}

uint64_t chunker_stream_size(const struct chunker *c)
{
	return c->stream_size;
}

err_t chunker_stream(struct chunker *c, const uint8_t *p, size_t n, struct diag *d)
{
	c->stream_size += n;
	if (c->stream_size > STREAM_SANE)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "the layer is larger than 512 GiB");
	if (c->stream_size > BOMB_FLOOR && c->stream_size / BOMB_RATIO > c->blob_size)
		return fail(d, ERR_INTEGRITY, -EBADMSG,
			    "the layer decompresses to more than %u times its size", BOMB_RATIO);
	return c->sink.stream(c->arg, p, n, d);
}

err_t chunker_inner(struct chunker *c, uint64_t stream_off, const uint8_t *p, size_t n,
		    struct diag *d)
{
	return c->sink.inner ? c->sink.inner(c->arg, stream_off, p, n, d) : 0;
}

err_t chunker_window(struct chunker *c, const struct window_clues *clues, struct diag *d)
{
	return c->sink.window(c->arg, clues, d);
}

err_t chunker_chunk(struct chunker *c, const struct chunk *row, const uint8_t *data, struct diag *d)
{
	BUG_ON(!row->stream_len || row->stream_len > CHUNK_STREAM_MAX);
	if (row->codec != CHUNK_ZSTD_INNER && row->blob_len > CHUNK_BLOB_MAX)
		return fail(d, ERR_INTEGRITY, -EBADMSG,
			    "a chunk of %u bytes needs %llu compressed bytes, the limit is %u",
			    row->stream_len, (unsigned long long)row->blob_len, CHUNK_BLOB_MAX);
	return c->sink.chunk(c->arg, row, data, d);
}

static bool starts_with(const struct chunker *c, const char *mark, size_t n)
{
	return c->first_n >= n && memcmp(c->first, mark, n) == 0;
}

/* A tar may begin with a file named BZh9, so the mark of the first block must follow. */
static bool is_bzip2(const struct chunker *c)
{
	return starts_with(c, "BZh", 3) && c->first_n == SNIFF_LEN &&
	       (memcmp(c->first + 4, "\x31\x41\x59\x26\x53\x59", 6) == 0 ||
		memcmp(c->first + 4, "\x17\x72\x45\x38\x50\x90", 6) == 0);
}

static bool is_zstd(const struct chunker *c)
{
	return starts_with(c, "\x28\xb5\x2f\xfd", 4) ||
	       (c->first_n >= 4 && (c->first[0] & 0xf0) == 0x50 &&
		memcmp(c->first + 1, "\x2a\x4d\x18", 3) == 0);
}

static err_t sniff(struct chunker *c, struct diag *d)
{
	const char *foreign = starts_with(c,
					  "\xfd"
					  "7zXZ\0",
					  6)
				      ? "xz"
			      : is_bzip2(c) ? "bzip2"
					    : NULL;
	if (foreign)
		return fail(d, ERR_UNSUPPORTED, -ENOTSUP,
			    "the layer is compressed with %s; imgfs reads tar, tar+gzip and "
			    "tar+zstd",
			    foreign);
	c->codec = starts_with(c, "\x1f\x8b", 2) ? BLOB_GZIP : is_zstd(c) ? BLOB_ZSTD : BLOB_TAR;
	c->type = c->codec == BLOB_GZIP	  ? &chunk_gzip_pass
		  : c->codec == BLOB_ZSTD ? &chunk_zstd_pass
					  : &chunk_plain_pass;
	c->pass = c->type->create(c);
	return c->type->feed(c->pass, c->first, c->first_n, d);
}

static err_t feed(struct chunker *c, const uint8_t *p, size_t n, struct diag *d)
{
	if (!c->type) {
		size_t taken = min_of(n, SNIFF_LEN - c->first_n);
		memcpy(c->first + c->first_n, p, taken);
		c->first_n += taken;
		p += taken;
		n -= taken;
		err_t err = c->first_n == SNIFF_LEN ? sniff(c, d) : 0;
		if (err)
			return err;
	}
	return n ? c->type->feed(c->pass, p, n, d) : 0;
}

err_t chunker_feed(struct chunker *c, const uint8_t *p, size_t n, struct diag *d)
{
	if (c->failed)
		return fail(d, ERR_OTHER, c->failed, "the layer has been refused before");
	c->blob_size += n;
	c->failed = n ? feed(c, p, n, d) : 0;
	return c->failed;
}

err_t chunker_finish(struct chunker *c, struct diag *d)
{
	if (c->failed)
		return fail(d, ERR_OTHER, c->failed, "the layer has been refused before");
	if (!c->type && c->first_n)
		c->failed = sniff(c, d);
	if (!c->failed && c->type)
		c->failed = c->type->finish(c->pass, d);
	return c->failed;
}
