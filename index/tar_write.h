/*
 * tar_write - the headers of an archive that every reader of tar understands
 *
 * The dialect is POSIX pax. What a plain ustar header can hold stands in it alone; what it can not
 * (long names and targets, sub-second and early times, large ids and sizes, xattrs, holes) comes in
 * front as an extended header. The bytes follow from the entry and nothing else: no clock, no
 * process id, no names of users. GNU tar, libarchive and index/tar.h read them back.
 */
#ifndef IMGFS_INDEX_TAR_WRITE_H
#define IMGFS_INDEX_TAR_WRITE_H

#include "index/tar.h"

#define TAR_END_LEN   (2 * 512u) /* zeroes that end an archive */
#define TAR_HOLE_UNIT 512u

/*
 * tar_write_header - append all that stands before a member's stored bytes
 * @e  a name that is not empty (a directory's may end in '/' or not); `extents` if it is sparse,
 *     ascending, disjoint, each but the last of a multiple of TAR_HOLE_UNIT bytes (GNU tar
 *     takes the data of each from a block of its own); data_off means nothing here
 * Afterwards data_len bytes must follow, and tar_padding(data_len) zeroes. -ENOMEM. Cost: 512
 * bytes, 1,536 or more with an extended header.
 */
err_t tar_write_header(const struct tar_entry *e, struct buf *out) must_check;

/* tar_padding - zeroes behind so many stored bytes: 0..511. */
size_t tar_padding(uint64_t data_len);

#endif
