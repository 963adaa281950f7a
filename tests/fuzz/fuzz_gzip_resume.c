/*
 * fuzz_gzip_resume - any bytes go into the chunker; what it accepts must decode chunk by chunk,
 * alone, with both engines, to the same bytes. Then rows, windows and blob bytes are changed and
 * decoded again: nothing but an error or other bytes may come of it.
 *
 * A checksum would stop nearly every mutation, so most inputs are not a blob but a recipe for one:
 * raw deflate data that get a header and the right trailer, or a script of calls to zlib's deflate.
 */
#define STREAM_LIMIT	   (1280u << 10) /* a little more than the largest chunk; keeps one run short */
#define SCRIPT_LIMIT	   (150u << 10)
#define COLLECT_STREAM_MAX (2 * STREAM_LIMIT)
#include "tests/unit/chunk_collect.h"
#include "tests/unit/gzip_build.h"

enum recipe { RECIPE_BLOB, RECIPE_DEFLATE, RECIPE_SCRIPT, RECIPES };

struct input {
	const uint8_t *p;
	size_t n;
};

static unsigned take_byte(struct input *in)
{
	if (!in->n)
		return 0;
	in->n--;
	return *in->p++;
}

/* cook_deflate - as much of the input as is valid deflate data becomes members. */
static void cook_deflate(struct input in, unsigned flags, size_t limit, struct buf *blob)
{
	z_stream z = {0};
	BUG_ON(inflateInit2(&z, -15) != Z_OK);
	while (in.n) {
		auto_buf struct buf data = {0};
		BUG_ON(buf_reserve(&data, limit) != 0);
		BUG_ON(inflateReset(&z) != Z_OK);
		z.next_in = (Bytef *)(uintptr_t)in.p;
		z.avail_in = (uInt)in.n;
		z.next_out = data.p;
		z.avail_out = (uInt)limit;
		if (inflate(&z, Z_FINISH) != Z_STREAM_END)
			break;
		data.n = limit - z.avail_out;
		put_header(blob, flags);
		put(blob, in.p, in.n - z.avail_in);
		put_trailer(blob, buf_bytes(&data));
		in = (struct input){z.next_in, z.avail_in};
	}
	inflateEnd(&z);
}

static void repeat(struct buf *data, size_t back, size_t n)
{
	BUG_ON(buf_reserve(data, n) != 0);
	for (uint8_t *at = data->p + data->n, *end = at + n; at < end; at++)
		*at = *(at - back);
	data->n += n;
}

static void add_data(struct input *in, struct buf *data)
{
	unsigned op = take_byte(in), len = 1 + take_byte(in) * (op & 0x80 ? 256 : 1);
	uint32_t seed = take_byte(in);
	if (op % 3 == 0)
		fill_random(data, data->n + len, seed);
	else if (op % 3 == 1 || data->n < 600)
		fill_text(data, data->n + len, seed);
	else
		repeat(data, 1 + seed * 97 % data->n, len);
}

/* cook_script - a member: pieces of data, each with a level, a strategy and a flush of its own. */
static void cook_script(struct input *in, unsigned flags, struct buf *blob)
{
	auto_buf struct buf data = {0};
	z_stream z = {0};
	put_header(blob, flags);
	BUG_ON(deflateInit2(&z, 6, Z_DEFLATED, -15, 1 + (int)(take_byte(in) % 9), 0) != Z_OK);
	for (unsigned pieces = take_byte(in) % 64; in->n && pieces; pieces--) {
		static const int flushes[] = {Z_NO_FLUSH, Z_PARTIAL_FLUSH, Z_SYNC_FLUSH,
					      Z_FULL_FLUSH, Z_BLOCK};
		size_t from = data.n;
		unsigned how = take_byte(in);
		if (data.n < SCRIPT_LIMIT)
			add_data(in, &data);
		deflate_some(&z, (struct bytes){data.p + from, data.n - from},
			     flushes[how % ARRAY_LEN(flushes)], blob);
		BUG_ON(buf_reserve(blob, 65536) != 0);
		z.next_out = blob->p + blob->n;
		z.avail_out = 65536;
		deflateParams(&z, (int)(how >> 4) % 10, (int)(how >> 2) % 5);
		blob->n += 65536 - z.avail_out;
	}
	deflate_some(&z, (struct bytes){0}, Z_FINISH, blob);
	deflateEnd(&z);
	put_trailer(blob, buf_bytes(&data));
}

/* cook - only the largest target needs streams that are larger than a chunk can be. */
static void cook(struct input in, uint32_t target, struct buf *blob)
{
	unsigned how = take_byte(&in), flags = how >> 3;
	switch (how % RECIPES) {
	case RECIPE_BLOB:
		put(blob, in.p, in.n);
		break;
	case RECIPE_DEFLATE:
		cook_deflate(in, flags, target == CHUNK_STREAM_MAX ? STREAM_LIMIT : SCRIPT_LIMIT,
			     blob);
		break;
	default:
		while (in.n && blob->n < 2 * SCRIPT_LIMIT)
			cook_script(&in, flags, blob);
		break;
	}
}

/* decode - from copies of exactly the right size, so that the sanitizer sees every byte outside. */
static err_t decode(const struct chunk *c, struct bytes blob, struct bytes window,
		    enum inflate_engine engine, uint8_t *out)
{
	struct bytes b = {malloc(blob.n + 1), blob.n}, w = {malloc(window.n + 1), window.n};
	auto_free uint8_t *blob_copy = (uint8_t *)(uintptr_t)b.p;
	auto_free uint8_t *window_copy = (uint8_t *)(uintptr_t)w.p;
	BUG_ON(!b.p || !w.p);
	b.p++;
	w.p++;
	if (b.n)
		memcpy(blob_copy + 1, blob.p, b.n);
	if (w.n)
		memcpy(window_copy + 1, window.p, w.n);
	return chunk_decode(c, b, w, engine, out);
}

static void check_chunk(const struct collected *all, const struct chunk *row, struct bytes blob,
			uint8_t *out)
{
	struct bytes range = {blob.p + row->blob_off, row->blob_len};
	const uint8_t *want = all->stream.p + row->stream_off;
	BUG_ON(row->blob_off > blob.n || row->blob_len > blob.n - row->blob_off);
	BUG_ON(row->codec != CHUNK_ZSTD_INNER && chunk_check_blob(row, range) != 0);
	BUG_ON(chunk_check_stream(row, want) != 0);
	if (row->codec == CHUNK_ZSTD_INNER)
		return;
	for (enum inflate_engine e = INFLATE_ZLIB; e <= INFLATE_ISAL; e++) {
		if (!inflate_engine_available(e))
			continue;
		memset(out, 0xee, row->stream_len);
		BUG_ON(decode(row, range, collected_window(all, row), e, out) != 0);
		BUG_ON(memcmp(out, want, row->stream_len) != 0);
	}
}

static void change_row(struct chunk *c, uint32_t *seed)
{
	uint32_t r = next_random(seed), v = next_random(seed);
	switch (r % 10) {
	case 0:
		c->codec = v % 5;
		break;
	case 1:
		c->start = v % 6;
		break;
	case 2:
		c->bit = v % 10;
		break;
	case 3:
		c->final_block = v % 3;
		break;
	case 4:
		c->skip = v % 300;
		break;
	case 5:
		c->header_bits = v % 2500;
		break;
	case 6:
		c->stored_left = v % 70000;
		break;
	case 7:
		c->stream_len = v % (CHUNK_STREAM_MAX + 2);
		break;
	default:
		break;
	}
}

static void change_bytes(struct buf *b, uint32_t *seed)
{
	for (uint32_t n = next_random(seed) % 4; n && b->n; n--)
		b->p[next_random(seed) % b->n] ^= (uint8_t)(1u << next_random(seed) % 8);
	if (b->n && next_random(seed) % 8 == 0)
		b->n -= next_random(seed) % b->n;
}

static void check_lies(const struct collected *all, struct bytes blob, uint32_t seed, uint8_t *out)
{
	const struct chunk *row = &all->rows[seed % all->n];
	struct chunk lie = *row;
	struct bytes window = collected_window(all, row);
	auto_buf struct buf b = {0}, w = {0};
	put(&b, blob.p + row->blob_off,
	    min_of((size_t)row->blob_len, blob.n - (size_t)row->blob_off));
	put(&w, window.p, window.n);
	change_row(&lie, &seed);
	change_bytes(&b, &seed);
	change_bytes(&w, &seed);
	lie.blob_len = b.n;
	lie.window_len = (uint32_t)w.n;
	for (enum inflate_engine e = INFLATE_ZLIB; e <= INFLATE_ISAL; e++)
		if (decode(&lie, buf_bytes(&b), buf_bytes(&w), e, out) == 0 &&
		    chunk_check_stream(&lie, out) != 0)
			continue; /* a lie may decode; what counts is that nothing is overrun */
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const uint32_t targets[] = {CHUNK_TARGET_MIN, 40000, CHUNK_STREAM_MAX};
	struct input in = {p, n};
	auto_buf struct buf blob = {0};
	struct collected all, again;
	uint32_t target = targets[take_byte(&in) % ARRAY_LEN(targets)];
	uint32_t seed = (uint32_t)crc32(0, p, (uInt)n);
	cook(in, target, &blob);
	err_t err = collect(buf_bytes(&blob), target, 0, &all);
	if (!err) {
		auto_free uint8_t *out = xcalloc(1, CHUNK_STREAM_MAX + 2);
		for (size_t i = 0; i < all.n; i++)
			check_chunk(&all, &all.rows[i], buf_bytes(&blob), out);
		for (unsigned i = 0; all.n && i < 3; i++)
			check_lies(&all, buf_bytes(&blob), seed += 77, out);
	}
	size_t piece = 1 + seed % 5000;
	BUG_ON(collect(buf_bytes(&blob), target, blob.n < 4096 ? 1 : piece, &again) != err);
	BUG_ON(!err && (again.n != all.n || again.windows.n != all.windows.n));
	for (size_t i = 0; !err && i < all.n; i++)
		BUG_ON(memcmp(&again.rows[i], &all.rows[i], sizeof(all.rows[i])) != 0);
	collected_fini(&again);
	collected_fini(&all);
	return 0;
}
