/*
 * tar_priv - what the files of the tar reader share
 *
 * tar.c holds the state machine; tar_member.c decides which source of a value wins, tar_header.c
 * reads one 512-byte header block, tar_pax.c the body of an 'x' or 'g' header, tar_xattr.c the
 * xattrs in it, tar_sparse.c the maps of sparse files. All but tar.c are pure: bytes in, values
 * out, no stream and no position. They fail with -EBADMSG and a text without context; tar.c says
 * which member it was.
 */
#ifndef IMGFS_INDEX_TAR_PRIV_H
#define IMGFS_INDEX_TAR_PRIV_H

#include "index/tar.h"

#define TAR_BLOCK_LEN 512 /* POSIX ustar: headers and data come in blocks of 512 bytes */

enum tar_dialect {
	TAR_V7,	   /* no magic: neither prefix nor device numbers */
	TAR_USTAR, /* "ustar\0": also the dialect of every PAX archive */
	TAR_STAR,  /* "ustar\0" and "tar\0" at 508: prefix of 131 bytes */
	TAR_GNU,   /* "ustar  \0": no prefix; sparse map and real size in its place */
};

/* One header block as it stands, before anything that came in front of it is applied. */
struct tar_header {
	enum tar_dialect dialect;
	uint8_t typeflag;
	uint8_t name[100 + 155 + 1]; /* prefix, '/', name */
	size_t name_n;
	uint8_t link[100];
	size_t link_n;
	int64_t size, mode, uid, gid, mtime;
};

/*
 * tar_header_parse - check the sum of a block of TAR_BLOCK_LEN bytes and read its common fields
 * Both ways to sum (unsigned, and signed as old BSD and SunOS did) are right. -EBADMSG when the sum
 * or a number is wrong.
 */
err_t tar_header_parse(const uint8_t *block, struct tar_header *h, struct diag *d) must_check;

/* tar_header_devices - the device numbers; 0:0 in TAR_V7. -EBADMSG when they are none of Linux. */
err_t tar_header_devices(const uint8_t *block, enum tar_dialect dialect, uint32_t *major,
			 uint32_t *minor, struct diag *d) must_check;

/*
 * tar_number_parse - a number field of a header: octal with spaces and NULs around, or base-256
 * (first bit set; two's complement, big-endian). -EBADMSG when it is neither or leaves int64_t.
 */
err_t tar_number_parse(const uint8_t *field, size_t n, int64_t *out) must_check;

/* tar_decimal_parse - "[+-]digits", nothing else; -EBADMSG otherwise or when it leaves int64_t. */
err_t tar_decimal_parse(struct bytes text, int64_t *out) must_check;

/*
 * The extents of one sparse file while they are collected, in the order of the archive and not yet
 * validated. Zero-initialise; free with tar_sparse_fini. The numbers below `extents` belong to the
 * reader of the 1.0 map, which is text inside the data and may come byte by byte.
 */
struct tar_sparse {
	struct tar_extent *extents;
	size_t n, cap;
	uint64_t number;       /* the digits so far */
	uint64_t numbers_left; /* after the count is known */
	uint64_t off;	       /* of the extent whose length comes next */
	uint64_t map_len;      /* bytes of the map read so far */
	bool in_number, count_known;
};

/* tar_sparse_reset - forget the extents and the 1.0 reader, keep the memory. */
void tar_sparse_reset(struct tar_sparse *s);
void tar_sparse_fini(struct tar_sparse *s);

/* tar_sparse_add - one more extent; -EBADMSG beyond TAR_EXTENTS_MAX, -ENOMEM. */
err_t tar_sparse_add(struct tar_sparse *s, uint64_t off, uint64_t len, struct diag *d) must_check;

/*
 * tar_sparse_old_block - the map inside an old GNU header (`continued` false: 4 entries at 386) or
 * in a block after it (true: 21 entries at 0). *more says whether one more block follows.
 */
err_t tar_sparse_old_block(struct tar_sparse *s, const uint8_t *block, bool continued, bool *more,
			   struct diag *d) must_check;

/* tar_sparse_old_size - the logical size, from an old GNU header. */
err_t tar_sparse_old_size(const uint8_t *block, uint64_t *size, struct diag *d) must_check;

/* tar_sparse_text - the comma-separated map of PAX 0.1, replacing what was collected. */
err_t tar_sparse_text(struct tar_sparse *s, struct bytes text, struct diag *d) must_check;

/*
 * tar_sparse_map_feed - the next bytes of a 1.0 map: the count, then offset and length of each
 * extent, each number ended by a newline
 * *used says how many bytes belonged to it; *done is set at the end of the last number.
 */
err_t tar_sparse_map_feed(struct tar_sparse *s, const uint8_t *p, size_t n, size_t *used,
			  bool *done, struct diag *d) must_check;

/*
 * tar_sparse_check - make the map one that callers may believe: sorted, disjoint, inside `size`,
 * lengths adding up to `stored`; extents without bytes are dropped.
 */
err_t tar_sparse_check(struct tar_sparse *s, uint64_t size, uint64_t stored,
		       struct diag *d) must_check;

/* The xattrs of one member; zero-initialise, free with tar_xattrs_fini. */
struct tar_xattrs {
	struct tar_xattr *items;
	bool *is_schily; /* beside items: the spelling a row came from */
	size_t n, cap_items, cap_spellings;
	size_t list_len;    /* names and their NULs */
	struct buf decoded; /* what LIBARCHIVE.xattr rows point into */
};

/*
 * tar_xattrs_reserve - before the first row: n is at least the bytes of all encoded names and
 * values that will come
 * tar_xattrs_put - one SCHILY.xattr row; name and value are borrowed
 * tar_xattrs_put_encoded - one LIBARCHIVE.xattr row
 * -EBADMSG beyond the limits of tar.h and for text that does not decode, -ENOMEM.
 */
err_t tar_xattrs_reserve(struct tar_xattrs *all, size_t n, struct diag *d) must_check;
err_t tar_xattrs_put(struct tar_xattrs *all, struct bytes name, struct bytes value,
		     struct diag *d) must_check;
err_t tar_xattrs_put_encoded(struct tar_xattrs *all, struct bytes name, struct bytes value,
			     struct diag *d) must_check;
void tar_xattrs_clear(struct tar_xattrs *all);
void tar_xattrs_fini(struct tar_xattrs *all);

/*
 * What an 'x' header says about the next member. A bytes with n == 0 and a false has_* mean
 * "nothing said". Everything borrows from the body that was parsed or from xattrs.decoded.
 */
struct tar_pax {
	struct bytes path, linkpath;
	int64_t size, uid, gid, mtime;
	uint32_t mtime_ns;
	bool has_size, has_uid, has_gid, has_mtime;

	struct tar_xattrs xattrs;

	struct bytes sparse_name, sparse_map, sparse_major, sparse_minor;
	int64_t sparse_size, sparse_real_size, sparse_count;
	bool has_sparse_size, has_sparse_real_size, has_sparse_count;
	struct tar_sparse pairs; /* of PAX 0.0 */
	bool pair_open;		 /* an offset whose length has not come */
	uint64_t pair_off;
};

/*
 * tar_pax_parse - read the records of `body`, which must outlive the result; replaces what `pax`
 * held
 * A later record of a name replaces an earlier one; an empty value takes it back (not so for
 * xattrs, where it is a value). -EBADMSG when any record is malformed.
 */
err_t tar_pax_parse(struct tar_pax *pax, struct bytes body, struct diag *d) must_check;

/* tar_pax_check - only the syntax of the records, for headers that are not applied. */
err_t tar_pax_check(struct bytes body, struct diag *d) must_check;

void tar_pax_reset(struct tar_pax *pax);
void tar_pax_fini(struct tar_pax *pax);

/* Where the stored bytes of a member lie in its file. */
enum tar_sparse_style {
	TAR_NOT_SPARSE,
	TAR_SPARSE_OLD,	  /* map in the header */
	TAR_SPARSE_PAX_0, /* 0.0 and 0.1: map in the PAX header */
	TAR_SPARSE_PAX_1, /* 1.0: map at the start of the data */
};

/* All that stands in front of the data of one member; borrowed. */
struct tar_said {
	const uint8_t *block;
	const struct tar_header *header;
	const struct tar_pax *pax;
	struct bytes long_name, long_link; /* GNU L and K; n == 0: none */
};

/*
 * tar_member_merge - decide every value of a zeroed *e but data_off and the extents
 * The name is not yet checked, as a sparse map may replace it; size and data_len are both the
 * stored bytes. -EBADMSG when a value is none that a file can have.
 */
err_t tar_member_merge(const struct tar_said *said, struct tar_entry *e,
		       enum tar_sparse_style *style, struct diag *d) must_check;

/* tar_member_check_name - 1..TAR_PATH_MAX bytes, no NUL, no component longer than NAME_MAX. */
err_t tar_member_check_name(struct bytes name, struct diag *d) must_check;

#endif
