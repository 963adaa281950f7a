/*
 * One chunk from its bytes: the dispatch by codec, and the two checks around it (SHA-256 before
 * decoding, XXH3 behind).
 */
#include "index/decode.h"

#include <string.h>
#include <xxhash.h>

#include "index/chunker.h"
#include "index/decode_priv.h"
#include "index/window.h"

static err_t decode_gzip(const struct chunk *c, struct bytes blob, struct bytes window,
			 enum inflate_engine engine, uint8_t *out)
{
	auto_free uint8_t *history = NULL;
	const uint8_t *header = NULL;
	unsigned header_bits = c->start == START_INSIDE ? c->header_bits : 0;
	struct resume r;
	if (window.n) {
		history = malloc(GZIP_WINDOW);
		if (!history)
			return -ENOMEM;
		err_t err = window_decode(window, header_bits, history, &header);
		if (err)
			return err;
	}
	err_t err = resume_prepare(c, blob, history, header, &r);
	return err ? err : resume_run(&r, engine, out, c->stream_len);
}

err_t chunk_decode(const struct chunk *c, struct bytes blob, struct bytes window,
		   enum inflate_engine engine, uint8_t *out)
{
	if (c->codec == CHUNK_ZSTD_INNER)
		return -EINVAL;
	if (!c->stream_len || c->stream_len > CHUNK_STREAM_MAX || blob.n > CHUNK_BLOB_MAX ||
	    blob.n != c->blob_len || window.n != c->window_len)
		return -EBADMSG;
	switch (c->codec) {
	case CHUNK_STORED:
		if (blob.n != c->stream_len)
			return -EBADMSG;
		memcpy(out, blob.p, blob.n);
		return 0;
	case CHUNK_GZIP:
		return decode_gzip(c, blob, window, engine, out);
	case CHUNK_ZSTD:
		return decode_frames(blob, out, c->stream_len);
	default:
		return -EBADMSG;
	}
}

static err_t check_sha256(const struct chunk *c, const void *p, size_t n)
{
	uint8_t sha256[SHA256_LEN];
	sha256_of(p, n, sha256);
	return memcmp(sha256, c->sha256, SHA256_LEN) ? -EBADMSG : 0;
}

err_t chunk_check_blob(const struct chunk *c, struct bytes blob)
{
	if (c->codec == CHUNK_ZSTD_INNER || blob.n != c->blob_len)
		return -EBADMSG;
	return check_sha256(c, blob.p, blob.n);
}

err_t chunk_check_xxh3(const struct chunk *c, const uint8_t *data)
{
	return XXH3_64bits(data, c->stream_len) == c->xxh3 ? 0 : -EBADMSG;
}

err_t chunk_check_stream(const struct chunk *c, const uint8_t *data)
{
	err_t err = chunk_check_xxh3(c, data);
	if (!err && c->codec == CHUNK_ZSTD_INNER)
		err = check_sha256(c, data, c->stream_len);
	return err;
}
