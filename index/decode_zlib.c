/*
 * The zlib engine: raw inflate, primed with the odd bits of the prefix, reset at each member.
 */
#include "index/decode_priv.h"

#include <zlib.h>

struct zlib_run {
	z_stream z;
	struct bytes rest; /* what comes behind the bytes zlib has; empty once it was given */
	bool in_rest;
};

/* zlib's next_in lost its const unless ZLIB_CONST is set; it is only read. */
static void give(struct zlib_run *run, struct bytes b)
{
	run->z.next_in = (Bytef *)(uintptr_t)b.p;
	run->z.avail_in = (uInt)b.n;
}

static err_t give_rest(struct zlib_run *run)
{
	if (run->in_rest || !run->rest.n)
		return -EBADMSG;
	give(run, run->rest);
	run->in_rest = true;
	return 0;
}

static err_t enter_next_member(struct zlib_run *run)
{
	struct bytes rest = run->rest;
	if (run->in_rest)
		rest = (struct bytes){run->z.next_in, run->z.avail_in};
	else if (run->z.avail_in)
		return -EBADMSG;
	err_t err = next_member(&rest);
	if (err)
		return err;
	give(run, rest);
	run->in_rest = true;
	return inflateReset(&run->z) == Z_OK ? 0 : -EBADMSG;
}

static err_t inflate_exactly(struct zlib_run *run, uint8_t *out, size_t n)
{
	run->z.next_out = out;
	run->z.avail_out = (uInt)n;
	while (run->z.avail_out) {
		err_t err = run->z.avail_in ? 0 : give_rest(run);
		if (err)
			return err;
		int ret = inflate(&run->z, Z_NO_FLUSH);
		if (ret == Z_STREAM_END && run->z.avail_out)
			err = enter_next_member(run);
		else if (ret != Z_OK && ret != Z_STREAM_END)
			err = ret == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
		if (err)
			return err;
	}
	return 0;
}

static err_t start(struct zlib_run *run, const struct resume *r)
{
	struct bytes prefix = {r->prefix, r->prefix_len};
	run->rest = r->rest;
	if (r->window && inflateSetDictionary(&run->z, r->window, GZIP_WINDOW) != Z_OK)
		return -EBADMSG;
	if (r->prefix_skip) {
		int bits = 8 - (int)r->prefix_skip;
		if (inflatePrime(&run->z, bits, prefix.p[0] >> r->prefix_skip) != Z_OK)
			return -EBADMSG;
		prefix = (struct bytes){prefix.p + 1, prefix.n - 1};
	}
	give(run, prefix);
	return 0;
}

err_t resume_zlib(const struct resume *r, uint8_t *out, size_t n)
{
	struct zlib_run run = {0};
	if (inflateInit2(&run.z, -15) != Z_OK)
		return -ENOMEM;
	uint8_t dropped[CODE_OUT_MAX];
	err_t err = start(&run, r);
	if (!err && r->skip)
		err = inflate_exactly(&run, dropped, r->skip);
	if (!err)
		err = inflate_exactly(&run, out, n);
	inflateEnd(&run.z);
	return err;
}
