/*
 * wire_build - layers of every codec and their indexes, and published forms taken apart, changed
 * and put together again with digests that are right
 *
 * The rows of a group are encoded here a second time, from WIRE.md, so that lies can be told that
 * the encoder of index/ would never write.
 */
#ifndef IMGFS_TESTS_UNIT_WIRE_BUILD_H
#define IMGFS_TESTS_UNIT_WIRE_BUILD_H

#include "tests/unit/tar_build.h"

#include "index/format.h"
#include "index/layer_build.h"
#include "index/varint.h"
#include "index/wire_priv.h"

#include <zlib.h>
#include <zstd.h>

/* --- layers --- */

struct wire_layer {
	const char *name;
	enum blob_codec codec;
	size_t frame;	 /* zstd: stream bytes of a frame; 0: one frame */
	size_t big_file; /* bytes of a file besides the small ones */
	uint32_t target; /* of chunks; 0: the usual one */
	bool no_members; /* the tar has only its end */
	bool no_bytes;	 /* the blob is empty */
};

/* What a layer went through: its blob, its stream, its index. */
struct wire_world {
	struct buf stream, blob, file;
	struct digest blob_digest, diff_id;
	struct index *ix;
};

/* Text, noise and zeroes in turns: blocks of all kinds, windows of all lengths. */
static inline void wire_fill(uint8_t *p, size_t n, uint32_t seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525u + 1013904223u;
		size_t part = i >> 18;
		p[i] = part % 4 == 3   ? 0
		       : part % 4 == 2 ? (uint8_t)(seed >> 24)
				       : (uint8_t)("etaoin shrdlu\n\t."[seed >> 28]);
	}
}

static inline void wire_tar(const struct wire_layer *l, struct buf *out)
{
	if (l->no_bytes)
		return;
	if (!l->no_members) {
		uint8_t *p = malloc(l->big_file + 1);
		BUG_ON(!p);
		wire_fill(p, l->big_file, 7);
		put_head(out, tar_head('5', "dir"));
		put_file(out, "dir/hello", "hello");
		put_file(out, "empty", "");
		put_link(out, '2', "symlink", "dir/hello");
		put_file(out, ".wh.gone", "");
		if (l->big_file)
			put_member(out, '0', "big", p, l->big_file);
		put_file(out, "last", "the last one");
		free(p);
	}
	put_end(out);
}

static inline void wire_gzip(struct bytes in, struct buf *out)
{
	z_stream z = {0};
	/* Little memory makes short blocks: many chunks. */
	BUG_ON(deflateInit2(&z, 6, Z_DEFLATED, 31, 2, Z_DEFAULT_STRATEGY) != Z_OK);
	size_t room = deflateBound(&z, in.n);
	BUG_ON(buf_reserve(out, room) != 0);
	z.next_in = (Bytef *)(uintptr_t)in.p;
	z.avail_in = (uInt)in.n;
	z.next_out = out->p;
	z.avail_out = (uInt)room;
	BUG_ON(deflate(&z, Z_FINISH) != Z_STREAM_END);
	out->n = z.total_out;
	deflateEnd(&z);
}

static inline void wire_zstd(struct bytes in, size_t frame, struct buf *out)
{
	for (size_t at = 0; at < in.n; at += frame) {
		size_t n = min_of(frame, in.n - at);
		BUG_ON(buf_reserve(out, ZSTD_compressBound(n)) != 0);
		size_t got = ZSTD_compress(out->p + out->n, out->cap - out->n, in.p + at, n, 3);
		BUG_ON(ZSTD_isError(got));
		out->n += got;
	}
}

static inline void wire_blob(const struct wire_layer *l, struct bytes stream, struct buf *out)
{
	if (l->codec == BLOB_TAR)
		put_raw(out, stream.p, stream.n);
	else if (l->codec == BLOB_GZIP)
		wire_gzip(stream, out);
	else
		wire_zstd(stream, l->frame ? l->frame : stream.n, out);
}

static inline struct index *wire_open(const struct buf *file)
{
	struct index *ix = NULL;
	struct diag d = DIAG_INIT;
	if (index_open_bytes(buf_bytes(file), &ix, &d))
		fail_msg("%s", d.text);
	return ix;
}

static inline void wire_world_make(const struct wire_layer *l, struct wire_world *w)
{
	struct layer_build_options options = {.chunk_target = l->target};
	struct diag d = DIAG_INIT;
	*w = (struct wire_world){0};
	wire_tar(l, &w->stream);
	if (!l->no_bytes)
		wire_blob(l, buf_bytes(&w->stream), &w->blob);
	digest_of(DIGEST_SHA256, w->blob.p, w->blob.n, &w->blob_digest);
	digest_of(DIGEST_SHA256, w->stream.p, w->stream.n, &w->diff_id);
	struct layer_build *b = layer_build_new(&options);
	err_t err = w->blob.n ? layer_build_feed(b, w->blob.p, w->blob.n, &d) : 0;
	if (err || layer_build_finish(b, &w->blob_digest, w->blob.n, &w->diff_id, &w->file, &d))
		fail_msg("%s: %s", l->name, d.text);
	layer_build_free(&b);
	w->ix = wire_open(&w->file);
}

static inline void wire_world_free(struct wire_world *w)
{
	index_close(&w->ix);
	buf_fini(&w->stream);
	buf_fini(&w->blob);
	buf_fini(&w->file);
}

static inline void wire_encode(const struct index *ix, struct buf *out)
{
	struct diag d = DIAG_INIT;
	if (wire_layer_encode(ix, out, &d))
		fail_msg("%s", d.text);
}

static inline struct wire_head *wire_head_of(const struct buf *form)
{
	struct wire_disk_begin begin;
	struct wire_head *h = NULL;
	struct diag d = DIAG_INIT;
	memcpy(&begin, form->p, sizeof(begin));
	if (wire_head_parse((struct bytes){form->p, get_le32(begin.head_len)}, &h, &d))
		fail_msg("%s", d.text);
	return h;
}

static inline struct bytes wire_part_at(const struct buf *form, const struct wire_part *part)
{
	assert_true(part->off <= form->n && part->len <= form->n - part->off);
	return (struct bytes){form->p + part->off, part->len};
}

/* --- forms in pieces --- */

#define WIRE_PIECES_MAX 64

struct wire_pieces {
	struct wire_disk_head head;
	uint64_t stream_offs[WIRE_PIECES_MAX];
	struct buf groups[WIRE_PIECES_MAX];
	uint32_t n_groups;
	struct buf tree, digests;
};

static inline void wire_copy(struct bytes from, struct buf *to)
{
	to->n = 0;
	BUG_ON(buf_append(to, from.p, from.n) != 0);
}

static inline void wire_take_apart(const struct buf *form, struct wire_pieces *out)
{
	struct wire_head *h = wire_head_of(form);
	*out = (struct wire_pieces){.n_groups = h->n_groups};
	assert_true(h->n_groups <= WIRE_PIECES_MAX);
	memcpy(&out->head, form->p, sizeof(out->head));
	for (uint32_t i = 0; i < h->n_groups; i++) {
		out->stream_offs[i] = h->stream_offs[i];
		wire_copy(wire_part_at(form, &h->groups[i]), &out->groups[i]);
	}
	wire_copy(wire_part_at(form, &h->tree), &out->tree);
	wire_copy(wire_part_at(form, &h->digests), &out->digests);
	wire_head_free(&h);
}

static inline void wire_name(const struct buf *part, le64 *len, uint8_t sha256[SHA256_LEN])
{
	*len = put_le64(part->n);
	sha256_of(part->p, part->n, sha256);
}

/* A form whose lengths and digests are right, whatever its parts say. */
static inline void wire_put_together(const struct wire_pieces *p, struct buf *out)
{
	struct wire_disk_head head = p->head;
	uint64_t n = sizeof(head) + p->n_groups * sizeof(struct wire_disk_group);
	head.begin.head_len = put_le32((uint32_t)n);
	wire_name(&p->tree, &head.tree_len, head.tree_sha256);
	wire_name(&p->digests, &head.digests_len, head.digests_sha256);
	for (uint32_t i = 0; i < p->n_groups; i++)
		n += p->groups[i].n;
	head.begin.form_len = put_le64(n + p->tree.n + p->digests.n);
	put_raw(out, &head, sizeof(head));
	for (uint32_t i = 0; i < p->n_groups; i++) {
		struct wire_disk_group row = {.stream_off = put_le64(p->stream_offs[i]),
					      .len = put_le32((uint32_t)p->groups[i].n)};
		sha256_of(p->groups[i].p, p->groups[i].n, row.sha256);
		put_raw(out, &row, sizeof(row));
	}
	for (uint32_t i = 0; i < p->n_groups; i++)
		put_raw(out, p->groups[i].p, p->groups[i].n);
	put_raw(out, p->tree.p, p->tree.n);
	put_raw(out, p->digests.p, p->digests.n);
}

static inline void wire_pieces_free(struct wire_pieces *p)
{
	for (uint32_t i = 0; i < p->n_groups; i++)
		buf_fini(&p->groups[i]);
	buf_fini(&p->tree);
	buf_fini(&p->digests);
}

/* --- a group by hand --- */

static inline void wire_put_number(struct buf *out, uint64_t v)
{
	BUG_ON(varint_put(out, v) != 0);
}

/* The columns of some rows, before they are packed. */
static inline void wire_rows_raw(const struct chunk *c, uint32_t n, struct buf *out)
{
	uint64_t end = 0;
	for (uint32_t i = 0; i < n; i++)
		wire_put_number(out, c[i].stream_len);
	for (uint32_t i = 0; i < n; i++) {
		int64_t gap = (int64_t)(c[i].blob_off - end);
		wire_put_number(out, gap < 0 ? 2 * (uint64_t)(-(gap + 1)) + 1 : 2 * (uint64_t)gap);
		end = c[i].blob_off + c[i].blob_len;
	}
	for (uint32_t i = 0; i < n; i++)
		wire_put_number(out, c[i].blob_len);
	for (uint32_t i = 0; i < n; i++)
		wire_put_number(out, c[i].window_len);
	for (uint32_t i = 0; i < n; i++)
		wire_put_number(out, c[i].skip);
	for (uint32_t i = 0; i < n; i++)
		wire_put_number(out, c[i].header_bits);
	for (uint32_t i = 0; i < n; i++)
		wire_put_number(out, c[i].stored_left);
	for (uint32_t i = 0; i < n; i++)
		wire_put_number(out, c[i].codec);
	for (uint32_t i = 0; i < n; i++)
		wire_put_number(out, c[i].start);
	for (uint32_t i = 0; i < n; i++)
		wire_put_number(out, c[i].bit);
	for (uint32_t i = 0; i < n; i++)
		wire_put_number(out, c[i].final_block);
	for (uint32_t i = 0; i < n; i++)
		put_raw(out, c[i].sha256, sizeof(c[i].sha256));
	for (uint32_t i = 0; i < n; i++) {
		le64 xxh3 = put_le64(c[i].xxh3);
		put_raw(out, &xxh3, sizeof(xxh3));
	}
}

/* The part of a group out of raw columns and raw windows. */
static inline void wire_group_put(struct bytes raw, struct bytes windows, struct buf *out)
{
	auto_buf struct buf packed = {0};
	out->n = 0;
	BUG_ON(wire_pack(raw, &packed) != 0);
	le32 len = put_le32((uint32_t)packed.n);
	put_raw(out, &len, sizeof(len));
	put_raw(out, packed.p, packed.n);
	BUG_ON(wire_pack(windows, out) != 0);
}

#endif
