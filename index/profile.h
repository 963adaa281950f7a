/*
 * profile - which parts of an image's files a program read when it started, in the order in which
 * it first touched them
 *
 * Recorded on one start, replayed on the next. It names files by path, so it also fits the next
 * release of an image. It is advice: a wrong one costs bytes and nothing else. Its text
 * (index/WIRE.md, "The profile") is what people read and edit; packed, it is what is stored and
 * published.
 */
#ifndef IMGFS_INDEX_PROFILE_H
#define IMGFS_INDEX_PROFILE_H

#include "index/index.h"

#define PROFILE_RANGES_MAX (1u << 16)
#define PROFILE_TEXT_MAX   (32u << 20)
#define PROFILE_PACKED_MAX (8u << 20)

/* Bytes [off, off + len) of a regular file, len >= 1. */
struct profile_range {
	uint32_t row;
	uint64_t off, len;
};

struct profile {
	struct profile_range *ranges; /* owned; in order of first touch */
	size_t n;
};
void profile_fini(struct profile *p);

/* profile_write - the text of a profile, appended to an empty buffer. -ENOMEM. Cost: one pass over
 * the directories of the tree. */
err_t profile_write(const struct index *tree, const struct profile *p, struct buf *text) must_check;

/*
 * profile_read - the ranges that a text names in this tree
 * Files that the tree has not, or that are shorter, are left out or cut. -EBADMSG (ERR_INTEGRITY)
 * with the line for a malformed text; -ENOMEM. *out needs profile_fini on success only.
 * @tree  NULL: only look whether the text is well formed; *out is empty then
 */
err_t profile_read(const struct index *tree, struct bytes text, struct profile *out,
		   struct diag *d) must_check;

/* profile_pack - the compressed form of a text, appended to an empty buffer; profile_unpack - the
 * reverse. -EBADMSG, -ENOMEM. */
err_t profile_pack(struct bytes text, struct buf *packed) must_check;
err_t profile_unpack(struct bytes packed, struct buf *text) must_check;

#endif
