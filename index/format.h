/*
 * format - the bytes of an index file, version 1 (index/FORMAT.md draws and explains them)
 *
 * All integers are little-endian byte arrays (le.h), so every struct has alignment 1 and no
 * padding. A unit test compares these structs with the tables of FORMAT.md.
 */
#ifndef IMGFS_INDEX_FORMAT_H
#define IMGFS_INDEX_FORMAT_H

#include "index/chunk.h"
#include "index/le.h"

#include <assert.h>

#define FORMAT_MAGIC	    "IMGFSIX\n"
#define FORMAT_VERSION	    1
#define FORMAT_ALIGN	    4096u /* sections begin at multiples: each can be mapped alone */
#define FORMAT_SECTIONS_MAX 32u
#define FORMAT_FRAME_RAW    (64u << 10) /* raw bytes of one frame of a framed section */
#define FORMAT_INODES_MAX   20000000u	/* more than any image seen, and 800 MB of rows */
#define FORMAT_DIRENTS_MAX  40000000u
#define FORMAT_DEPTH_MAX    2048u /* directories in a path: PATH_MAX / 2 */
#define FORMAT_TIME_BIAS    (INT64_C(1) << 33)
#define FORMAT_TARGET_MAX   4096u /* PATH_MAX: bytes of a symlink or link target */

enum section_type {
	SECTION_META = 1,
	SECTION_INODES = 2,
	SECTION_DIRENTS = 3,
	SECTION_STRINGS = 4,
	SECTION_OWNERS = 5,
	SECTION_XATTRS = 6,
	SECTION_EXTENTS = 7,
	SECTION_DIGESTS = 8,
	SECTION_CHUNKS = 9,   /* layer index */
	SECTION_WINDOWS = 10, /* layer index, framed */
	SECTION_LAYERS = 11,  /* image index */
	SECTION_HEADS = 12,   /* image index that was published, instead of DIGESTS; not required */
	SECTION_LAST_KNOWN = SECTION_HEADS,
};

enum section_flags {
	SECTION_REQUIRED = 1 << 0, /* a reader that does not know the type refuses the file */
	SECTION_FRAMED = 1 << 1,   /* stored as zstd frames of FORMAT_FRAME_RAW raw bytes */
};

struct disk_header {
	uint8_t magic[8];
	le16 version;
	le16 minor;
	le32 kind; /* enum index_kind */
	le32 n_sections;
	le32 reserved0;
	le64 file_len;
	le64 xxh3; /* of the header, with this field zero, and the section table */
	uint8_t reserved1[24];
};
static_assert(sizeof(struct disk_header) == 64, "FORMAT.md, Header");

struct disk_section {
	le32 type;
	le32 flags;
	le64 offset;
	le64 stored_len;
	le64 raw_len;
	le64 xxh3; /* of the stored bytes */
	le64 reserved;
};
static_assert(sizeof(struct disk_section) == 48, "FORMAT.md, Section table");

/* The beginning of META in both kinds. */
struct disk_tree_meta {
	le32 n_inodes;
	le32 n_dirs;
	le32 n_regular;
	le32 flags; /* enum index_flags */
	le64 n_dirents;
	le64 files_size;
	le64 salt; /* of the name hashes */
};
static_assert(sizeof(struct disk_tree_meta) == 40, "FORMAT.md, META");

struct disk_layer_meta {
	struct disk_tree_meta tree;
	uint8_t blob_alg; /* enum digest_alg */
	uint8_t diff_alg;
	uint8_t codec; /* enum blob_codec */
	uint8_t reserved;
	le32 chunk_target;
	le64 blob_size;
	le64 stream_size;
	uint8_t blob_digest[64];
	uint8_t diff_id[64];
};
static_assert(sizeof(struct disk_layer_meta) == 192, "FORMAT.md, META of a layer index");

struct disk_image_meta {
	struct disk_tree_meta tree;
	le32 n_layers;
	le32 reserved0;
	le64 reserved1;
	le64 reserved2;
	uint8_t image_key[32];
};
static_assert(sizeof(struct disk_image_meta) == 96, "FORMAT.md, META of an image index");

struct disk_inode {
	le16 mode;
	le16 flags;
	le32 owner;  /* row of OWNERS */
	le64 time;   /* seconds + FORMAT_TIME_BIAS in the low 34 bits, nanoseconds in the high 30 */
	le64 size;   /* by type: bytes, length of the target, subdirectories, major << 32 | minor */
	le64 ref;    /* by type: see FORMAT.md */
	le32 xattrs; /* offset of a set in XATTRS, 0: none */
	le32 nlink_or_parent;
};
static_assert(sizeof(struct disk_inode) == 40, "FORMAT.md, INODES");

struct disk_dirent {
	le32 hash;
	le32 name_off;
	le32 row;
	uint8_t name_len;
	uint8_t type;
	le16 reserved;
};
static_assert(sizeof(struct disk_dirent) == 16, "FORMAT.md, DIRENTS");

struct disk_owner {
	le32 uid;
	le32 gid;
};
static_assert(sizeof(struct disk_owner) == 8, "FORMAT.md, OWNERS");

/* A set of xattrs: this header, then n_xattrs times disk_xattr, name, value; padded with zeroes to
 * 4 bytes. */
struct disk_xattr_set {
	le32 len; /* of the set with header and padding */
	le32 n_xattrs;
};
struct disk_xattr {
	le32 value_len;
	uint8_t name_len;
	uint8_t reserved[3];
};
static_assert(sizeof(struct disk_xattr_set) == 8 && sizeof(struct disk_xattr) == 8,
	      "FORMAT.md, XATTRS");

struct disk_extent {
	le64 off;
	le64 len;
	le64 data; /* layer << 48 | stream offset */
};
static_assert(sizeof(struct disk_extent) == 24, "FORMAT.md, EXTENTS");

struct disk_chunk {
	le64 stream_off;
	le64 blob_off;
	le64 blob_len;
	le64 xxh3;
	uint8_t sha256[32];
	le64 window_off;
	le32 window_len;
	le32 stream_len;
	le32 stored_left;
	le16 skip;
	le16 header_bits;
	uint8_t codec;
	uint8_t start;
	uint8_t bit;
	uint8_t final_block;
	le32 reserved;
};
static_assert(sizeof(struct disk_chunk) == 96, "FORMAT.md, CHUNKS");

struct disk_layer {
	uint8_t blob_alg;
	uint8_t diff_alg;
	uint8_t reserved[6];
	le64 blob_size;
	le64 stream_size;
	uint8_t blob_digest[64];
	uint8_t diff_id[64];
};
static_assert(sizeof(struct disk_layer) == 152, "FORMAT.md, LAYERS");

/* A row of HEADS, one a layer; then the heads, one after the other. Zeroes: not published. */
struct disk_layer_head {
	uint8_t form_sha256[32];
	le64 form_len;
	le32 head_len;
	le32 reserved;
};
static_assert(sizeof(struct disk_layer_head) == 48, "FORMAT.md, HEADS");

/* A framed section: this header, n_frames end offsets (le64, from the first frame's start), the
 * frames. */
struct disk_framed {
	le32 frame_raw;
	le32 n_frames;
};
static_assert(sizeof(struct disk_framed) == 8, "FORMAT.md, Framed sections");

/* name_salt - of the name hashes in the index of the blob or image that this digest names. */
uint64_t name_salt(const struct digest *name);

/* name_hash - the order of entries in a directory: low 32 bits of XXH3-64 over the name, seeded
 * with the salt. */
uint32_t name_hash(uint64_t salt, struct bytes name);

#endif
