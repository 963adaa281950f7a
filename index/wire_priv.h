/*
 * wire_priv - the bytes of published forms (index/WIRE.md draws them), and what its files share
 */
#ifndef IMGFS_INDEX_WIRE_PRIV_H
#define IMGFS_INDEX_WIRE_PRIV_H

#include "index/format.h"
#include "index/wire.h"

#define WIRE_LAYER_MAGIC "IMGFSWL\n"
#define WIRE_IMAGE_MAGIC "IMGFSWI\n"

/* Both forms begin with this. */
struct wire_disk_begin {
	uint8_t magic[8];
	le16 version; /* WIRE_VERSION; a reader refuses others */
	le16 minor;   /* 0; ignored by readers */
	le32 head_len;
	le64 form_len;
};
static_assert(sizeof(struct wire_disk_begin) == 24, "WIRE.md, How a form begins");

struct wire_disk_head {
	struct wire_disk_begin begin;
	uint8_t blob_alg; /* enum digest_alg */
	uint8_t diff_alg;
	uint8_t codec; /* enum blob_codec */
	uint8_t reserved;
	le32 chunk_target;
	le64 blob_size;
	le64 stream_size;
	uint8_t blob_digest[64];
	uint8_t diff_id[64];
	uint8_t canonical[32];
	le64 table_xxh3;
	le32 n_chunks;
	le32 group_chunks;
	le64 tree_len;
	uint8_t tree_sha256[32];
	le64 digests_len;
	uint8_t digests_sha256[32];
};
static_assert(sizeof(struct wire_disk_head) == 304, "WIRE.md, The head of a layer");

/* One row a group, behind the head. */
struct wire_disk_group {
	le64 stream_off; /* of its first chunk */
	le32 len;	 /* of its part */
	uint8_t sha256[32];
};
static_assert(sizeof(struct wire_disk_group) == 44, "WIRE.md, The head of a layer");

struct wire_disk_image {
	struct wire_disk_begin begin; /* head_len: of this struct */
	uint8_t image_key[32];
	le32 n_layers;
	le32 reserved;
	le64 heads_len; /* of the section HEADS */
	le64 tree_len;
};
static_assert(sizeof(struct wire_disk_image) == 80, "WIRE.md, The form of an image");

/* wire_begin_check - magic, version and length of a form or head; -EBADMSG, -ENOTSUP. */
err_t wire_begin_check(const struct wire_disk_begin *begin, const char *magic,
		       struct diag *d) must_check;

/* wire_bad - -EBADMSG with "published index: ". */
err_t wire_bad(struct diag *d, const char *fmt, ...) printf_like(2, 3);

/* pack - append one zstd frame of `raw`, level 19, with its content size; nothing for no bytes. */
err_t wire_pack(struct bytes raw, struct buf *out) must_check;
/* unpack - the reverse: exactly one frame, of at most `limit` bytes; no bytes give none. -EBADMSG,
 * -ENOMEM. */
err_t wire_unpack(struct bytes packed, size_t limit, struct buf *out) must_check;

/* wire_groups_encode - the groups of an index one after the other, and a row of each. */
err_t wire_groups_encode(const struct index *ix, uint32_t group_chunks, struct buf *rows,
			 struct buf *parts) must_check;

/* Where the two halves of a group's part lie. */
err_t wire_group_split(struct bytes piece, struct bytes *rows, struct bytes *windows,
		       struct diag *d) must_check;

#endif
