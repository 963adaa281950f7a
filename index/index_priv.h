/*
 * index_priv - an open index, for the files that prove it and read it
 */
#ifndef IMGFS_INDEX_INDEX_PRIV_H
#define IMGFS_INDEX_INDEX_PRIV_H

#include "index/format.h"
#include "index/index.h"

/* One section of the file: never handed out without its size. */
struct section {
	const uint8_t *p; /* stored bytes; NULL when the section is absent */
	uint64_t len;	  /* stored */
	uint64_t raw_len;
	bool framed;
};

struct index {
	/* fixed after index_open */
	struct bytes file;
	void *map; /* to unmap; NULL when the bytes are the caller's */
	struct section sections[SECTION_LAST_KNOWN + 1];
	struct index_info info;
	uint64_t salt;
	const struct disk_inode *inodes;
	const struct disk_dirent *dirents;
	const uint8_t *strings;
	uint64_t strings_len;
	const struct disk_owner *owners;
	uint32_t n_owners;
	const uint8_t *xattrs;
	uint64_t xattrs_len;
	const struct disk_extent *extents;
	uint64_t n_extents;
	const uint8_t *digests;
	const struct disk_chunk *chunks;
	const struct disk_layer *layers;
};

/* broken - an invariant of FORMAT.md does not hold: -EBADMSG with its number first in the text. */
#define broken(d, number, ...) broken_((d), "I" number ": " __VA_ARGS__)
err_t broken_(struct diag *d, const char *fmt, ...) printf_like(2, 3);

/*
 * The proof, in this order; each step relies on the ones before. All return 0, -EBADMSG, -ENOTSUP
 * or -ENOMEM. container: header, section table, checksums, frames (I01-I10). meta: META and the
 * sizes of all tables (I11-I12). tree: xattr sets, inodes, directories, names (I13-I28). data:
 * extents, chunks, layers (I29-I37).
 */
err_t verify_container(struct index *ix, struct diag *d) must_check;
err_t verify_meta(struct index *ix, struct diag *d) must_check;
err_t verify_tree(const struct index *ix, struct diag *d) must_check;
/* verify_xattrs - part of verify_tree; sets one bit of set_starts for each fourth byte at which a
 * set begins. */
err_t verify_xattrs(const struct index *ix, uint8_t *set_starts, struct diag *d) must_check;
err_t verify_data(const struct index *ix, struct diag *d) must_check;

/*
 * chunk_fits - I33 and I34 of one chunk row
 * @before  the row before it, NULL: not looked at; @first  whether it is the stream's first
 */
bool chunk_fits(const struct index_info *info, const struct chunk *c, const struct chunk *before,
		bool first);

/* index_path_from - index_path, beginning at any row; an absolute symlink leads to the root all the
 * same. */
err_t index_path_from(const struct index *ix, uint32_t from, struct bytes path, bool follow_last,
		      uint32_t *out) must_check;

/* row_mode - the mode of a row, 0 for whiteouts and lower links. */
static inline uint32_t row_mode(const struct index *ix, uint32_t row)
{
	return get_le16(ix->inodes[row].mode);
}

static inline bool row_is_dir(const struct index *ix, uint32_t row)
{
	return row < ix->info.n_dirs;
}

static inline bool row_is_regular(const struct index *ix, uint32_t row)
{
	return row >= ix->info.n_dirs && row < ix->info.n_dirs + ix->info.n_regular;
}

static inline struct bytes dirent_name(const struct index *ix, const struct disk_dirent *e)
{
	return (struct bytes){ix->strings + get_le32(e->name_off), e->name_len};
}

#endif
