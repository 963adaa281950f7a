/*
 * Any bytes as a tar stream: the reader keeps every promise of index/tar.h, says the same whatever
 * the size of the pieces, and passes on exactly the bytes that stand at the offsets it stated.
 *
 * The first byte of the input chooses the pieces of the second reading. Sums of header blocks are
 * made right first, as a fuzzer can not guess them; one bit of the first byte leaves them alone.
 */
#include "index/tar.h"

#include <string.h>

struct seen {
	const uint8_t *stream;
	size_t stream_n;
	uint64_t hash; /* of everything that was said, but not of the pieces of data */
	uint64_t data_at, data_end;
	bool in_member;
};

static void hash_bytes(struct seen *seen, const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		seen->hash = (seen->hash ^ ((const uint8_t *)p)[i]) * 0x100000001b3u;
}

static void hash_view(struct seen *seen, struct bytes view)
{
	hash_bytes(seen, &view.n, sizeof(view.n));
	hash_bytes(seen, view.p, view.n);
}

static void extents_check(struct seen *seen, const struct tar_entry *e)
{
	uint64_t end = 0, sum = 0;
	BUG_ON(e->n_extents > TAR_EXTENTS_MAX);
	for (size_t i = 0; i < e->n_extents; i++) {
		struct tar_extent x = e->extents[i];
		BUG_ON(x.len == 0 || x.off < end || x.off > e->size || x.len > e->size - x.off);
		end = x.off + x.len;
		sum += x.len;
		hash_bytes(seen, &x, sizeof(x));
	}
	BUG_ON(sum != e->data_len);
}

static void xattrs_check(struct seen *seen, const struct tar_entry *e)
{
	BUG_ON(e->n_xattrs > TAR_XATTRS_MAX);
	for (size_t i = 0; i < e->n_xattrs; i++) {
		struct bytes name = e->xattrs[i].name, value = e->xattrs[i].value;
		BUG_ON(name.n == 0 || name.n > 255 || memchr(name.p, 0, name.n));
		BUG_ON(value.n > TAR_XATTR_VALUE_MAX);
		for (size_t j = 0; j < i; j++)
			BUG_ON(bytes_equal(name, e->xattrs[j].name));
		hash_view(seen, name);
		hash_view(seen, value);
	}
}

static err_t seen_entry(void *arg, const struct tar_entry *e, struct diag *d)
{
	struct seen *seen = arg;
	(void)d;
	BUG_ON(seen->in_member);
	BUG_ON(e->name.n == 0 || e->name.n > TAR_PATH_MAX || memchr(e->name.p, 0, e->name.n));
	bool is_link = e->type == TAR_HARDLINK || e->type == TAR_SYMLINK;
	BUG_ON(is_link != (e->link.n != 0) || e->link.n > TAR_PATH_MAX);
	BUG_ON(e->mode > 07777 || e->uid == UINT32_MAX || e->gid == UINT32_MAX);
	BUG_ON(e->mtime_ns > 999999999);
	BUG_ON(e->type != TAR_REGULAR && (e->size || e->data_len || e->data_off || e->sparse));
	BUG_ON(!e->sparse && (e->n_extents || e->size != e->data_len));
	if (e->sparse)
		extents_check(seen, e);
	xattrs_check(seen, e);
	hash_view(seen, e->name);
	hash_view(seen, e->link);
	const uint64_t numbers[] = {
		e->type,     e->mode,	  e->uid,	e->gid,	      e->mtime_ns,	 e->size,
		e->data_off, e->data_len, e->dev_major, e->dev_minor, (uint64_t)e->mtime};
	hash_bytes(seen, numbers, sizeof(numbers));
	seen->in_member = true;
	seen->data_at = e->data_off;
	seen->data_end = e->data_off + e->data_len;
	return 0;
}

static err_t seen_data(void *arg, const uint8_t *p, size_t n, struct diag *d)
{
	struct seen *seen = arg;
	(void)d;
	BUG_ON(!seen->in_member || n == 0 || n > seen->data_end - seen->data_at);
	BUG_ON(seen->data_at + n > seen->stream_n);
	BUG_ON(memcmp(p, seen->stream + seen->data_at, n) != 0);
	seen->data_at += n;
	return 0;
}

static err_t seen_end(void *arg, struct diag *d)
{
	struct seen *seen = arg;
	(void)d;
	BUG_ON(!seen->in_member || seen->data_at != seen->data_end);
	seen->in_member = false;
	return 0;
}

static err_t read_stream(struct seen *seen, size_t piece)
{
	static const struct tar_sink sink = {seen_entry, seen_data, seen_end};
	struct diag d = DIAG_INIT;
	struct tar *t = tar_new(&sink, seen);
	err_t err = 0;
	for (size_t at = 0; at < seen->stream_n && !err; at += piece)
		err = tar_feed(t, seen->stream + at, min_of(piece, seen->stream_n - at), &d);
	if (!err)
		err = tar_finish(t, &d);
	BUG_ON(err && (d.text[0] == 0 || (err == -EBADMSG && d.cls != ERR_INTEGRITY)));
	BUG_ON(err && err != -EBADMSG && err != -ENOMEM);
	tar_free(&t);
	return err;
}

static void seal_blocks(uint8_t *p, size_t n)
{
	for (; n >= 512; p += 512, n -= 512) {
		/* Blocks that look like a header by their sum field or their magic. */
		if (memcmp(p + 257, "ustar", 5) != 0 && p[154] != 0)
			continue;
		unsigned sum = 8 * ' ';
		for (size_t i = 0; i < 512; i++)
			sum += i >= 148 && i < 156 ? 0 : p[i];
		if (sum == 8 * ' ')
			continue;
		for (int i = 5; i >= 0; i--, sum >>= 3)
			p[148 + i] = (uint8_t)('0' + (sum & 7));
		p[154] = 0;
		p[155] = ' ';
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
	if (n < 1)
		return 0;
	size_t stream_n = n - 1, piece = 1 + (input[0] & 0x7f) * 7u;
	uint8_t *stream = xcalloc(stream_n + 1, 1);
	memcpy(stream, input + 1, stream_n);
	if (!(input[0] & 0x80))
		seal_blocks(stream, stream_n);
	struct seen whole = {.stream = stream, .stream_n = stream_n}, pieces = whole;
	err_t a = read_stream(&whole, stream_n + 1), b = read_stream(&pieces, piece);
	BUG_ON(a != b || whole.hash != pieces.hash || whole.data_at != pieces.data_at);
	free(stream);
	return 0;
}
