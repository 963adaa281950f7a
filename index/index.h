/*
 * index - read access to an index file: a layer index or an image index (index/FORMAT.md)
 *
 * An index is mapped, proved once by index_open (every offset, order, bound and the tree's shape:
 * index/verify_*.c), and immutable afterwards. Accessors may be called from any thread, take no
 * lock, allocate nothing unless they say so, and BUG_ON a row or position outside its range:
 * callers hold rows that the index itself gave them.
 *
 * Rows: 0 is the root. Directories come first in breadth-first order, then regular files in order
 * of their data, then everything else.
 */
#ifndef IMGFS_INDEX_INDEX_H
#define IMGFS_INDEX_INDEX_H

#include "index/chunk.h"
#include "index/chunker.h"

#define INDEX_LAYERS_MAX 512 /* layers of one image; common runtimes stop at 127 */
#define INDEX_NAME_MAX	 255 /* NAME_MAX */

enum index_kind {
	INDEX_LAYER = 1,
	INDEX_IMAGE = 2,
};

/* What the whole index has or has not: lets a mount switch whole operations off. */
enum index_flags {
	INDEX_HAS_XATTRS = 1 << 0,
	INDEX_HAS_SPARSE = 1 << 1,
	INDEX_HAS_DEVICES = 1 << 2,
	INDEX_HAS_SETID = 1 << 3,
};

struct index_info {
	enum index_kind kind;
	uint32_t flags;	    /* enum index_flags */
	uint32_t n_inodes;  /* rows; at least 1 */
	uint32_t n_dirs;    /* rows [0, n_dirs) are directories */
	uint32_t n_regular; /* rows [n_dirs, n_dirs + n_regular) are regular files */
	uint64_t n_dirents;
	uint64_t files_size; /* sum of the sizes of all regular files, each inode once */
	/* layer index only */
	struct digest blob_digest, diff_id;
	uint64_t blob_size, stream_size;
	enum blob_codec codec;
	uint32_t chunk_target;
	uint32_t n_chunks;
	/* image index only */
	struct digest image_key; /* names the ordered list of layers; see image_key_of in merge.h */
	uint32_t n_layers;
};

/* Row flags. WHITEOUT and LOWER_LINK rows exist in layer indexes only. */
enum inode_flags {
	INODE_OPAQUE = 1 << 0, /* directory: hides what lower layers have in it */
	INODE_IMPLIED =
		1 << 1, /* directory that the tar never named; its attributes are not known here */
	INODE_SPARSE = 1 << 2,	   /* regular file with holes */
	INODE_WHITEOUT = 1 << 3,   /* hides the lower entry of this name; mode is 0 */
	INODE_LOWER_LINK = 1 << 4, /* hard link to a path of a lower layer; mode is 0, the target is
				      its "symlink" text */
};

struct inode {
	uint32_t mode; /* S_IFMT | 07777; 0 for whiteouts and lower links */
	uint32_t uid, gid;
	uint32_t nlink;	 /* directories: 2 + subdirectories */
	uint32_t flags;	 /* enum inode_flags */
	uint32_t parent; /* directories: row of the parent (the root's is itself); others: 0 */
	uint32_t rdev_major, rdev_minor;
	int64_t mtime;
	uint32_t mtime_ns;
	uint64_t size; /* regular: bytes; symlink: length of the target; others 0 */
};

struct dir_entry {
	struct bytes name; /* borrowed from the index, no NUL at its end */
	uint32_t row;
	uint8_t type; /* DT_* of dirent.h; DT_UNKNOWN for whiteouts and lower links */
};

struct index;

/*
 * index_open - map a file and prove it
 * @path  the file must not be changed while it is open (it is replaced by rename, never written in
 * place) Errors: -errno of open (ERR_STORE); -EBADMSG (ERR_INTEGRITY) with "I<number>: ..." for a
 * broken invariant; -ENOTSUP (ERR_UNSUPPORTED) for a newer required version or section. Cost: one
 * linear pass, about 50 ns an entry; memory is the page cache's.
 */
err_t index_open(const char *path, struct index **out, struct diag *d) must_check;

/* index_open_bytes - the same over memory that stays the caller's and must outlive the index. */
err_t index_open_bytes(struct bytes file, struct index **out, struct diag *d) must_check;
void index_close(struct index **ix);

/* index_info - borrowed; valid until index_close. */
const struct index_info *index_info(const struct index *ix);

/* index_inode - one row, decoded. */
void index_inode(const struct index *ix, uint32_t row, struct inode *out);

/*
 * index_lookup - find one name in one directory
 * @name  any bytes; longer than INDEX_NAME_MAX is never found
 * Returns 0, -ENOENT, -ENOTDIR. Cost: O(1) expected, O(log n) worst; no allocation.
 */
err_t index_lookup(const struct index *ix, uint32_t dir, struct bytes name,
		   uint32_t *row) must_check;

/* index_dir_count - entries of a directory; index_dir_entry - the one at pos 0..count-1, in a fixed
 * order (by hash). */
uint32_t index_dir_count(const struct index *ix, uint32_t dir);
void index_dir_entry(const struct index *ix, uint32_t dir, uint32_t pos, struct dir_entry *out);

/* index_link_target - of a symlink or a lower link; borrowed, no NUL at its end. */
struct bytes index_link_target(const struct index *ix, uint32_t row);

/*
 * index_path - resolve an absolute path inside the tree, following symlinks inside the root (at
 * most 40)
 * @follow_last  whether a symlink as last component is followed
 * Returns 0, -ENOENT, -ENOTDIR, -ELOOP.
 */
err_t index_path(const struct index *ix, struct bytes path, bool follow_last,
		 uint32_t *row) must_check;

struct xattr_view {
	struct bytes name, value; /* borrowed */
};
uint32_t index_xattr_count(const struct index *ix, uint32_t row);
void index_xattr(const struct index *ix, uint32_t row, uint32_t i, struct xattr_view *out);

/* A walk over all xattrs of a row: index_xattrs begins it, index_xattr_next is false at its end. */
struct xattr_cursor {
	const uint8_t *at;
	uint32_t left;
};
void index_xattrs(const struct index *ix, uint32_t row, struct xattr_cursor *out);
bool index_xattr_next(struct xattr_cursor *cursor, struct xattr_view *out);

/* index_has_xattr_named - whether any row has an xattr of this name. Cost: one pass over all sets.
 */
bool index_has_xattr_named(const struct index *ix, struct bytes name);

/* One run of a file's bytes. */
struct extent {
	bool hole;	     /* reads as zeroes */
	uint32_t layer;	     /* 0 in a layer index */
	uint64_t stream_off; /* where the bytes of `off` lie in that layer's stream; 0 for a hole */
	uint64_t len;	     /* bytes from `off` to the run's end, at least 1 */
};
/* index_extent - the run that holds byte `off` of a regular file; off must be below its size. */
void index_extent(const struct index *ix, uint32_t row, uint64_t off, struct extent *out);

/* index_file_digest - SHA-256 of a regular file's content; NULL for sparse files, which carry none,
 * and for all files of a published image index (its layers' indexes have them). */
const uint8_t *index_file_digest(const struct index *ix, uint32_t row);

/* Where a layer's published index lies, as a published image index names it (index/wire.h). */
struct index_layer_head {
	struct digest form; /* SHA-256 of its published form */
	uint64_t form_len;
	struct bytes head; /* of the form, not proved yet: wire_head_parse; borrowed */
};
/* index_layer_head - image index only; false when it names none for this layer. */
bool index_layer_head(const struct index *ix, uint32_t layer, struct index_layer_head *out);

/* Layer index only. index_chunk_at finds the chunk that covers a stream offset below stream_size.
 */
void index_chunk(const struct index *ix, uint32_t i, struct chunk *out);
uint32_t index_chunk_at(const struct index *ix, uint64_t stream_off);

/* index_table_xxh3 - XXH3 over stream offset, length and XXH3 of every chunk: tells one cut of a
 * layer from another. Cost: one pass over the rows. */
uint64_t index_table_xxh3(const struct index *ix);

/*
 * index_chunk_window - the encoded window of a chunk, appended to an empty buffer (left empty when
 * it has none) Decompresses the part of the WINDOWS section that holds it. -EBADMSG when that does
 * not decompress, -ENOMEM.
 */
err_t index_chunk_window(const struct index *ix, const struct chunk *c, struct buf *out) must_check;
/* index_windows_around - all windows that are decompressed together with that of a chunk, which has
 * one, appended to an empty buffer; *off is the window_off of its first byte. Errors as above. */
err_t index_windows_around(const struct index *ix, const struct chunk *c, uint64_t *off,
			   struct buf *out) must_check;

/* Image index only. */
struct index_layer {
	struct digest blob_digest, diff_id;
	uint64_t blob_size, stream_size;
};
void index_layer(const struct index *ix, uint32_t i, struct index_layer *out);

/* Sizes of the sections, for `imgfs index show`. index_section returns false past the last. */
struct index_section {
	const char *name;
	uint64_t stored_len; /* bytes in the file */
	uint64_t raw_len;    /* bytes uncompressed */
};
bool index_section(const struct index *ix, unsigned i, struct index_section *out);
uint64_t index_file_size(const struct index *ix);

/* index_same_tree - whether two indexes of one kind show the same tree, with the same places of
 * bytes: all tree sections and LAYERS but DIGESTS, which a published index has not. */
bool index_same_tree(const struct index *a, const struct index *b);

/*
 * index_canonical_digest - SHA-256 of the uncompressed form
 * The same on every machine and for every version of zstd: this is what names, compares and signs
 * an index.
 */
err_t index_canonical_digest(const struct index *ix, struct digest *out) must_check;

#endif
