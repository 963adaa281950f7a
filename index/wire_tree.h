/*
 * wire_tree - the compact form in which a tree travels through a registry (index/WIRE.md, "The
 * tree")
 *
 * What can be recomputed is not sent: rows, name hashes, offsets and counts come back from
 * tree_sections_new, digests of empty and sparse files from wire_digests_decode. For every index
 * that this code builds, decoding and laying out with the same salt gives the tree sections of the
 * original, byte for byte.
 */
#ifndef IMGFS_INDEX_WIRE_TREE_H
#define IMGFS_INDEX_WIRE_TREE_H

#include "index/tree.h"

/*
 * Raw bytes of all columns together. Real trees have about 21 an entry, so this is
 * FORMAT_INODES_MAX of them with room; it bounds what a few hostile bytes that decompress well can
 * cost.
 */
#define WIRE_TREE_RAW_MAX (512u << 20)

/*
 * wire_tree_encode - append the form of an index's tree, without DIGESTS
 * Deterministic for one version of libzstd. Cost: zstd level 19 over about 21 raw bytes an entry.
 * -E2BIG beyond WIRE_TREE_RAW_MAX; -ENOTSUP for a sparse file in two layers, which no build makes;
 * -ENOMEM.
 */
err_t wire_tree_encode(const struct index *ix, struct buf *out) must_check;

/*
 * wire_tree_decode - the reverse: a tree in memory for tree_sections_new, without digests
 * @in        exactly one form; no byte of it is trusted
 * @image     the tree of an image index: it has no whiteouts, lower links, opaque and implied
 * directories
 * @n_layers  of the image, at most INDEX_LAYERS_MAX; a layer index has 1
 * Errors: -EBADMSG (ERR_INTEGRITY) with what is malformed; -E2BIG or -ENOTSUP (ERR_UNSUPPORTED)
 * beyond a limit; -ENOMEM. What the tree can not know (the sizes of streams) is proved by
 * index_open_bytes. Cost: linear in the raw bytes, of which there are at most WIRE_TREE_RAW_MAX,
 * and in the nodes (FORMAT_INODES_MAX) and names (FORMAT_DIRENTS_MAX).
 */
err_t wire_tree_decode(struct bytes in, bool image, uint32_t n_layers, struct tree **out,
		       struct diag *d) must_check;

/*
 * wire_digests_encode - append the form of DIGESTS: the SHA-256 of each regular file that has bytes
 * and is not sparse, in row order
 */
err_t wire_digests_encode(const struct index *ix, struct buf *out) must_check;

/*
 * wire_digests_decode - the DIGESTS section, appended to out: 32 bytes for each regular file
 * @inodes  the INODES section that belongs to them, and its counts: both of tree_sections_new, or
 * proved
 * Errors: -EBADMSG (ERR_INTEGRITY), -ENOMEM. Cost: linear in the rows.
 */
err_t wire_digests_decode(struct bytes in, struct bytes inodes, const struct disk_tree_meta *meta,
			  struct buf *out, struct diag *d) must_check;

#endif
