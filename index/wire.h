/*
 * wire - the published form of indexes: what travels through a registry (index/WIRE.md)
 *
 * A layer's form begins with a head that names every other part by its SHA-256, so any part can be
 * fetched by its range and trusted as far as the head is. Its chunk rows and windows come in
 * groups, each alone: reading a file takes the groups of its chunks and nothing else. An image's
 * form holds the merged tree and the head of each layer's form: it is all that a mount needs.
 *
 * Nothing here trusts a byte: every decoder returns -EBADMSG (ERR_INTEGRITY) for what is malformed,
 * -ENOTSUP (ERR_UNSUPPORTED) for another version, with one line of reason.
 */
#ifndef IMGFS_INDEX_WIRE_H
#define IMGFS_INDEX_WIRE_H

#include "index/index.h"

#define WIRE_VERSION  1
#define WIRE_HEAD_MAX (16u << 20) /* 300,000 groups: a layer of 1.4 TB */
/* Bytes of a group's part, and of its windows unpacked: 16 of the largest, with room. */
#define WIRE_GROUP_MAX	(2u << 20)
#define WIRE_CHUNKS_MAX 1024u /* of a group */
#define WIRE_FORM_MAX	(UINT64_C(2) << 30)

/* One part of a published form, as its head names it. */
struct wire_part {
	uint64_t off, len; /* in the form */
	uint8_t sha256[SHA256_LEN];
};

/* A parsed head. All fields are fixed after wire_head_parse. */
struct wire_head {
	struct index_info info;	       /* of a layer index; no counts of the tree */
	uint8_t canonical[SHA256_LEN]; /* index_canonical_digest of the whole index */
	uint64_t table_xxh3;	       /* index_table_xxh3 */
	uint64_t form_len;	       /* bytes of the whole form */
	uint64_t head_len;	       /* bytes of the head */
	uint32_t group_chunks;	       /* 1..WIRE_CHUNKS_MAX; the last group may have fewer */
	uint32_t n_groups;
	struct wire_part *groups;	/* owned */
	uint64_t *stream_offs;		/* of each group's first chunk; owned */
	struct wire_part tree, digests; /* parts behind the groups */
};

/*
 * wire_head_parse - @head exactly one head
 * Proves: version, lengths, that parts follow each other and end with the form, that groups
 * ascend in the stream. *out needs wire_head_free.
 */
err_t wire_head_parse(struct bytes head, struct wire_head **out, struct diag *d) must_check;
void wire_head_free(struct wire_head **h);
/* wire_group_at - the group that covers a stream offset below stream_size. Cost: O(log n). */
uint32_t wire_group_at(const struct wire_head *h, uint64_t stream_off);
/* wire_group_len - the number of chunks in a group. */
uint32_t wire_group_len(const struct wire_head *h, uint32_t group);
/* wire_part_check - 0, or -EBADMSG when these are not the part's bytes. */
err_t wire_part_check(const struct wire_part *part, struct bytes bytes) must_check;

/*
 * wire_group_rows - the chunk rows of a group, proved against each other and the head
 * @piece  the part's bytes, checked against its SHA-256
 * @rows   wire_group_len of them; window_off counts inside the group
 */
err_t wire_group_rows(const struct wire_head *h, uint32_t group, struct bytes piece,
		      struct chunk *rows, struct diag *d) must_check;
/* wire_rows_follow - whether a row may stand behind another of the same layer, if not right behind
 * it: what two groups can not tell each alone (I33). */
bool wire_rows_follow(const struct wire_head *h, const struct chunk *before,
		      const struct chunk *after);
/*
 * wire_group_windows - the windows of a group one after the other, appended to an empty buffer
 * -EBADMSG, -ENOMEM. Cost: decompresses about 60 KiB.
 */
err_t wire_group_windows(const struct wire_head *h, uint32_t group, struct bytes piece,
			 struct buf *out, struct diag *d) must_check;

/*
 * wire_layer_encode - the published form of a layer index, appended to an empty buffer
 * Deterministic for one version of libzstd. Cost: zstd level 19, about 5 MB/s of windows.
 * -ENOMEM, -E2BIG.
 */
err_t wire_layer_encode(const struct index *ix, struct buf *out, struct diag *d) must_check;

/*
 * wire_layer_decode - the layer index of a whole form, appended to an empty buffer
 * Its canonical digest is compared with the head's; the caller proves it with index_open_bytes.
 */
err_t wire_layer_decode(struct bytes form, struct buf *index_file, struct diag *d) must_check;

/*
 * wire_image_encode - the published form of an image index, appended to an empty buffer
 * @heads  one for each layer of the image, bottom first; zeroes where a layer has no form
 */
err_t wire_image_encode(const struct index *tree, const struct index_layer_head *heads,
			struct buf *out, struct diag *d) must_check;

/*
 * wire_image_decode - the image index of a published form, appended to an empty buffer
 * It has no DIGESTS, and a HEADS section: index_layer_head gives each layer's head. The caller
 * proves it with index_open_bytes.
 */
err_t wire_image_decode(struct bytes form, struct buf *index_file, struct diag *d) must_check;

/* What a published form spends on what, in bytes. */
struct wire_sizes {
	uint64_t head, rows, windows, tree, digests, total;
};
/* wire_layer_sizes - of a layer's whole form. */
err_t wire_layer_sizes(struct bytes form, struct wire_sizes *out, struct diag *d) must_check;

#endif
