/*
 * tar - a strict, push-driven tar reader that gives exact data offsets
 *
 * Bytes of the stream are fed in pieces of any size; for each member the reader calls `entry` once,
 * then `data` for its stored bytes in order, then `end`. It never seeks, never allocates more than
 * its named limits, and never writes anything anywhere. Dialects: v7, ustar, GNU (L, K, S and
 * base-256), PAX (x, g), all sparse styles.
 *
 * Precedence, as in Go's archive/tar, which is what containerd unpacks with: for names GNU L and K,
 * then the PAX header 'x', then ustar prefix and name; for everything else 'x', then the header.
 * The size of an 'x' header means the data of the next file member and nothing else. Global headers
 * 'g' are checked for syntax and not applied (containerd ignores them, and so do we, against
 * POSIX); like there, what 'x', 'L' and 'K' said before one is forgotten.
 *
 * Strict, because an archive that two readers can understand differently is an attack: wrong sums
 * and numbers, malformed PAX records, unknown type flags, maps that lie, names that no file system
 * could hold and a member without its data are refused. Lenient where real writers are: the end
 * blocks and the last padding may be missing, what follows the end blocks is ignored, links,
 * directories and devices may state a size (it means nothing).
 *
 * Sources: POSIX.1-2017 pax, GNU tar manual "Basic Tar Format", libarchive tar(5), OCI image-spec
 * layer.md.
 */
#ifndef IMGFS_INDEX_TAR_H
#define IMGFS_INDEX_TAR_H

#include "index/base.h"

/* Bytes of a name or link target: PATH_MAX of Linux counts a NUL; longer ones can not be opened. */
#define TAR_PATH_MAX 4095
#define TAR_PAX_MAX                                                                                \
	(1u << 20) /* one PAX header block; real ones stay below 64 KiB even with ACLs */
#define TAR_XATTRS_MAX	    1024       /* xattrs of one member */
#define TAR_XATTR_VALUE_MAX 65536      /* XATTR_SIZE_MAX of Linux */
#define TAR_XATTR_LIST_MAX  65536      /* XATTR_LIST_MAX of Linux: names and their NULs together */
#define TAR_EXTENTS_MAX	    (1u << 20) /* data extents of one sparse file (CVE-2025-58183) */

enum tar_type {
	TAR_REGULAR, /* '0', NUL, '7', 'S' */
	TAR_HARDLINK,
	TAR_SYMLINK,
	TAR_CHAR,
	TAR_BLOCK,
	TAR_DIRECTORY, /* '5', or type NUL when the name ends in '/' */
	TAR_FIFO,
};

struct tar_xattr {
	struct bytes name; /* e.g. "user.a"; 1..255 bytes, no NUL */
	struct bytes value;
};

struct tar_extent {
	uint64_t off; /* in the file */
	uint64_t len; /* stored bytes */
};

/* One member. Everything is borrowed and valid only during the callbacks for this member. */
struct tar_entry {
	enum tar_type type;
	/* As in the archive: 1..TAR_PATH_MAX bytes, not cleaned, may hold "..", leading and
	 * trailing '/', any byte but NUL; no component is longer than 255. */
	struct bytes name;
	/* Hard link and symlink target, as in the archive: 1..TAR_PATH_MAX bytes, no NUL. */
	struct bytes link;
	uint32_t mode;	   /* 07777 at the most */
	uint32_t uid, gid; /* 0..2^32-2 */
	int64_t mtime;	   /* seconds since 1970, may be negative */
	uint32_t mtime_ns; /* 0..999999999, always counted forward from mtime */
	uint64_t size;	   /* logical size of a regular file; 0 for others */
	uint64_t data_off; /* offset in the stream of the first stored byte of a regular file; 0
			      for others */
	uint64_t data_len; /* stored bytes; equals size unless sparse */
	uint32_t dev_major, dev_minor;
	bool sparse;
	const struct tar_extent *extents; /* sparse only: sorted, disjoint, inside size, lengths add
					     up to data_len */
	size_t n_extents;
	const struct tar_xattr
		*xattrs; /* names unique; "SCHILY.xattr." wins over "LIBARCHIVE.xattr." */
	size_t n_xattrs;
};

struct tar_sink {
	/* A negative result of any callback stops the reader and is returned from tar_feed
	 * unchanged. */
	err_t (*entry)(void *arg, const struct tar_entry *e, struct diag *d);
	/* Stored bytes of a regular file, in order; for a sparse file the extents' bytes one after
	 * the other. */
	err_t (*data)(void *arg, const uint8_t *p, size_t n, struct diag *d);
	/* After the last data byte of each member, also of one without data. */
	err_t (*end)(void *arg, struct diag *d);
};

struct tar;

/* tar_new - `sink` is copied; `arg` is passed through. */
struct tar *tar_new(const struct tar_sink *sink, void *arg);

/*
 * tar_feed - the next bytes of the stream, in pieces of any size
 * Returns 0, -EBADMSG (class ERR_INTEGRITY) for bytes that are no tar or break a limit or rule
 * above, -ENOMEM, or a callback's result. After an error the reader takes nothing more. Bytes after
 * the end blocks are ignored.
 */
err_t tar_feed(struct tar *t, const uint8_t *p, size_t n, struct diag *d) must_check;

/* tar_finish - the stream has ended. -EBADMSG when it ended inside a member; missing end blocks are
 * accepted. */
err_t tar_finish(struct tar *t, struct diag *d) must_check;
void tar_free(struct tar **t);

#endif
