/*
 * The tar reader's state machine.
 *
 * The stream is a row of blocks. A header block starts either an extension ('x', 'g', 'L', 'K'),
 * whose body is collected because it speaks about what follows, or a member, whose data passes
 * through untouched. Every state knows how many bytes it still wants, so the size of the pieces
 * that are fed makes no difference. What a header's blocks mean is left to the other files.
 */
#include "index/tar_priv.h"

#include <string.h>

enum state {
	AT_HEADER,     /* collecting a header block */
	AT_SECOND_END, /* a block of zeroes was seen; the next one must be the same */
	IN_EXTENSION,  /* collecting the body of x, g, L or K */
	IN_OLD_SPARSE, /* collecting a block of an old GNU map */
	IN_MAP,	       /* reading a 1.0 map */
	AFTER_MAP,     /* skipping the rest of its last block */
	IN_DATA,       /* passing `left` bytes on */
	IN_PADDING,    /* skipping `padding` bytes */
	AT_END,	       /* after the end blocks; everything is ignored */
};

struct tar {
	struct tar_sink sink;
	void *arg;
	enum state state;
	err_t failed;	     /* sticky */
	uint64_t off;	     /* bytes taken from the stream */
	uint64_t member_off; /* of the header block that is being looked at, for messages */
	uint64_t left;	     /* bytes of the body or data not yet taken */
	uint32_t padding;    /* bytes after them */

	uint8_t block[TAR_BLOCK_LEN];
	size_t block_n;
	struct tar_header header;

	/* What extensions said about the member to come. */
	struct buf pax_body, global_body, long_name, long_link;
	struct tar_pax pax;

	struct tar_sparse sparse;
	struct tar_entry entry;
};

struct tar *tar_new(const struct tar_sink *sink, void *arg)
{
	struct tar *t = new_of(struct tar);
	t->sink = *sink;
	t->arg = arg;
	return t;
}

void tar_free(struct tar **t)
{
	struct tar *old = take(t);
	if (!old)
		return;
	buf_fini(&old->pax_body);
	buf_fini(&old->global_body);
	buf_fini(&old->long_name);
	buf_fini(&old->long_link);
	tar_pax_fini(&old->pax);
	tar_sparse_fini(&old->sparse);
	free(old);
}

static err_t reject(struct diag *d, const char *why)
{
	return fail(d, ERR_INTEGRITY, -EBADMSG, "%s", why);
}

/* Say which member a rule was broken by. */
static err_t at_member(struct tar *t, err_t err, struct diag *d)
{
	struct bytes name = t->entry.name;
	if (err && name.n)
		diag_prepend(d, "tar member %.*s", (int)min_of(name.n, (size_t)200), name.p);
	if (err)
		diag_prepend(d, "tar header at offset %llu", (unsigned long long)t->member_off);
	return err;
}

static void extensions_forget(struct tar *t)
{
	tar_pax_reset(&t->pax);
	t->long_name.n = 0;
	t->long_link.n = 0;
}

static void expect_header(struct tar *t)
{
	t->state = AT_HEADER;
	t->block_n = 0;
}

/* Up to the next block boundary, then a header. */
static void expect_padding(struct tar *t)
{
	expect_header(t);
	if (t->padding)
		t->state = IN_PADDING;
}

static uint32_t padding_after(uint64_t n)
{
	return (uint32_t)(-n % TAR_BLOCK_LEN);
}

/* Extensions. */

static struct buf *extension_buf(struct tar *t)
{
	switch (t->header.typeflag) {
	case 'x':
		return &t->pax_body;
	case 'g':
		return &t->global_body;
	case 'L':
		return &t->long_name;
	default:
		return &t->long_link;
	}
}

static void cut_at_nul(struct buf *b)
{
	if (b->n)
		b->n = strnlen((const char *)b->p, b->n);
}

static err_t extension_end(struct tar *t, struct diag *d)
{
	err_t err = 0;
	switch (t->header.typeflag) {
	case 'x':
		err = tar_pax_parse(&t->pax, buf_bytes(&t->pax_body), d);
		break;
	case 'g':
		err = tar_pax_check(buf_bytes(&t->global_body), d);
		extensions_forget(t);
		break;
	default:
		cut_at_nul(extension_buf(t));
	}
	expect_padding(t);
	return at_member(t, err, d);
}

static err_t extension_begin(struct tar *t, struct diag *d)
{
	/* Never the size of a PAX header: that one speaks about a file (CVE-2025-62518). */
	int64_t size = t->header.size;
	if (size < 0 || size > TAR_PAX_MAX)
		return at_member(t, reject(d, "an extension header is negative or too long"), d);
	extension_buf(t)->n = 0;
	t->left = (uint64_t)size;
	t->padding = padding_after(t->left);
	t->state = IN_EXTENSION;
	return size ? 0 : extension_end(t, d);
}

static err_t extension_step(struct tar *t, const uint8_t *p, size_t n, struct diag *d)
{
	if (buf_append(extension_buf(t), p, n) < 0)
		return fail_sys(d, ERR_OTHER, -ENOMEM, "tar extension header");
	t->left -= n;
	return t->left ? 0 : extension_end(t, d);
}

/* Members. */

static err_t member_end(struct tar *t, struct diag *d)
{
	err_t err = t->sink.end(t->arg, d);
	extensions_forget(t);
	expect_padding(t);
	return err;
}

/* Everything in front of the data is known. */
static err_t member_announce(struct tar *t, struct diag *d)
{
	struct tar_entry *e = &t->entry;
	err_t err = tar_member_check_name(e->name, d);
	if (!err && e->sparse) {
		e->data_len = t->left;
		err = tar_sparse_check(&t->sparse, e->size, e->data_len, d);
		e->extents = t->sparse.extents;
		e->n_extents = t->sparse.n;
	}
	if (err)
		return at_member(t, err, d);
	e->data_off = e->type == TAR_REGULAR ? t->off : 0;
	err = t->sink.entry(t->arg, e, d);
	if (err)
		return err;
	t->state = IN_DATA;
	return t->left ? 0 : member_end(t, d);
}

static err_t old_sparse_begin(struct tar *t, struct diag *d)
{
	bool more;
	if (t->header.dialect != TAR_GNU)
		return reject(d, "an old sparse file in an archive that is not GNU's");
	err_t err = tar_sparse_old_size(t->block, &t->entry.size, d);
	if (!err)
		err = tar_sparse_old_block(&t->sparse, t->block, false, &more, d);
	if (err)
		return err;
	t->state = more ? IN_OLD_SPARSE : IN_DATA;
	t->block_n = 0;
	return 0;
}

static err_t pax_sparse_begin(struct tar *t, enum tar_sparse_style style, struct diag *d)
{
	const struct tar_pax *pax = &t->pax;
	if (pax->sparse_name.n)
		t->entry.name = pax->sparse_name;
	if (pax->has_sparse_size)
		t->entry.size = (uint64_t)pax->sparse_size;
	else if (pax->has_sparse_real_size)
		t->entry.size = (uint64_t)pax->sparse_real_size;
	t->state = style == TAR_SPARSE_PAX_1 ? IN_MAP : IN_DATA;
	if (style == TAR_SPARSE_PAX_1)
		return t->left ? 0 : reject(d, "a sparse file without a map");

	err_t err = 0;
	for (size_t i = 0; i < pax->pairs.n && !err; i++)
		err = tar_sparse_add(&t->sparse, pax->pairs.extents[i].off,
				     pax->pairs.extents[i].len, d);
	if (!err && !pax->pairs.n)
		err = tar_sparse_text(&t->sparse, pax->sparse_map, d);
	if (!err && (!pax->has_sparse_count || (uint64_t)pax->sparse_count != t->sparse.n))
		err = reject(d, "the map of a sparse file has not the stated number of entries");
	return err;
}

/* The data is bounded before anything relies on its length. */
static err_t data_begin(struct tar *t, struct diag *d)
{
	uint64_t end;
	t->left = t->entry.data_len;
	t->padding = padding_after(t->left);
	if (!add_u64(t->off, t->left, &end) || end > INT64_MAX)
		return reject(d, "the data ends beyond 2^63");
	t->state = IN_DATA;
	return 0;
}

static err_t sparse_begin(struct tar *t, enum tar_sparse_style style, struct diag *d)
{
	tar_sparse_reset(&t->sparse);
	switch (style) {
	case TAR_NOT_SPARSE:
		return 0;
	case TAR_SPARSE_OLD:
		return old_sparse_begin(t, d);
	default:
		return pax_sparse_begin(t, style, d);
	}
}

static err_t member_begin(struct tar *t, struct diag *d)
{
	struct tar_said said = {
		.block = t->block,
		.header = &t->header,
		.pax = &t->pax,
		.long_name = buf_bytes(&t->long_name),
		.long_link = buf_bytes(&t->long_link),
	};
	enum tar_sparse_style style;
	err_t err = tar_member_merge(&said, &t->entry, &style, d);
	if (!err)
		err = data_begin(t, d);
	if (!err)
		err = sparse_begin(t, style, d);
	if (err)
		return at_member(t, err, d);
	return t->state == IN_DATA ? member_announce(t, d) : 0;
}

static err_t old_sparse_block(struct tar *t, struct diag *d)
{
	bool more;
	err_t err = tar_sparse_old_block(&t->sparse, t->block, true, &more, d);
	if (err)
		return at_member(t, err, d);
	t->block_n = 0;
	return more ? 0 : member_announce(t, d);
}

/* The data begins with the block after the one in which the map ends. */
static err_t map_end(struct tar *t, struct diag *d)
{
	uint64_t rest = padding_after(t->sparse.map_len);
	if (rest > t->left)
		return at_member(t, reject(d, "the map of a sparse file is cut"), d);
	t->left -= rest;
	t->padding = padding_after(t->left);
	t->block_n = rest;
	t->state = AFTER_MAP;
	return rest ? 0 : member_announce(t, d);
}

static err_t map_step(struct tar *t, const uint8_t *p, size_t n, size_t *used, struct diag *d)
{
	bool done;
	err_t err = tar_sparse_map_feed(&t->sparse, p, n, used, &done, d);
	if (err)
		return at_member(t, err, d);
	t->left -= *used;
	t->off += *used;
	if (done)
		return map_end(t, d);
	return t->left ? 0 : at_member(t, reject(d, "the map of a sparse file is cut"), d);
}

/* Steps: each takes what its state wants. */

static bool is_zero_block(const uint8_t *block)
{
	return block[0] == 0 && memcmp(block, block + 1, TAR_BLOCK_LEN - 1) == 0;
}

static err_t header_block(struct tar *t, struct diag *d)
{
	t->member_off = t->off - TAR_BLOCK_LEN;
	t->entry = (struct tar_entry){0};
	t->block_n = 0;
	if (is_zero_block(t->block)) {
		t->state = t->state == AT_HEADER ? AT_SECOND_END : AT_END;
		return 0;
	}
	if (t->state == AT_SECOND_END)
		return at_member(t, reject(d, "a block of zeroes inside the archive"), d);
	err_t err = tar_header_parse(t->block, &t->header, d);
	if (err)
		return at_member(t, err, d);
	switch (t->header.typeflag) {
	case 'x':
	case 'g':
	case 'L':
	case 'K':
		return extension_begin(t, d);
	default:
		return member_begin(t, d);
	}
}

static err_t block_step(struct tar *t, const uint8_t *p, size_t n, struct diag *d)
{
	memcpy(t->block + t->block_n, p, n);
	t->block_n += n;
	if (t->block_n < TAR_BLOCK_LEN)
		return 0;
	return t->state == IN_OLD_SPARSE ? old_sparse_block(t, d) : header_block(t, d);
}

static err_t data_step(struct tar *t, const uint8_t *p, size_t n, struct diag *d)
{
	t->left -= n;
	err_t err = t->sink.data(t->arg, p, n, d);
	if (err || t->left)
		return err;
	return member_end(t, d);
}

static err_t skip_step(struct tar *t, size_t n, struct diag *d)
{
	if (t->state == IN_PADDING) {
		t->padding -= (uint32_t)n;
		if (t->padding == 0)
			expect_header(t);
		return 0;
	}
	t->block_n -= n;
	return t->block_n ? 0 : member_announce(t, d);
}

/* How many bytes the state wants before it must think again. */
static uint64_t wanted(const struct tar *t)
{
	switch (t->state) {
	case AT_HEADER:
	case AT_SECOND_END:
	case IN_OLD_SPARSE:
		return TAR_BLOCK_LEN - t->block_n;
	case AFTER_MAP:
		return t->block_n;
	case IN_PADDING:
		return t->padding;
	case IN_EXTENSION:
	case IN_MAP:
	case IN_DATA:
		return t->left;
	case AT_END:
		break;
	}
	return UINT64_MAX;
}

static err_t step(struct tar *t, const uint8_t *p, size_t n, size_t *used, struct diag *d)
{
	*used = (size_t)min_of((uint64_t)n, wanted(t));
	if (t->state == IN_MAP)
		return map_step(t, p, *used, used, d);
	t->off += *used;
	switch (t->state) {
	case IN_EXTENSION:
		return extension_step(t, p, *used, d);
	case IN_DATA:
		return data_step(t, p, *used, d);
	case IN_PADDING:
	case AFTER_MAP:
		return skip_step(t, *used, d);
	case AT_END:
		return 0;
	default:
		return block_step(t, p, *used, d);
	}
}

err_t tar_feed(struct tar *t, const uint8_t *p, size_t n, struct diag *d)
{
	if (t->failed)
		return fail(d, ERR_INTEGRITY, t->failed, "the tar reader has failed before");
	while (n && !t->failed) {
		size_t used;
		t->failed = step(t, p, n, &used, d);
		p += used;
		n -= used;
	}
	return t->failed;
}

err_t tar_finish(struct tar *t, struct diag *d)
{
	if (t->failed)
		return fail(d, ERR_INTEGRITY, t->failed, "the tar reader has failed before");
	bool between = t->state == AT_END || t->state == IN_PADDING;
	if (t->state == AT_HEADER || t->state == AT_SECOND_END)
		between = t->block_n == 0;
	if (between)
		return 0;
	t->failed = fail(d, ERR_INTEGRITY, -EBADMSG, "the archive ends inside a member, at %llu",
			 (unsigned long long)t->off);
	return t->failed;
}
