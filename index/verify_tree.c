/*
 * The second half of the proof, first part: that rows and names are one tree. Directories are
 * walked in row order; because the names of one directory are contiguous, directories partition
 * DIRENTS, every directory is named exactly once and its parent stands before it, so there is no
 * cycle and every row is reached.
 */
#include "index/index_priv.h"

#include <sys/stat.h>

/* What the pass counts about each row. */
struct tally {
	uint32_t *refs;		   /* names of each row; subdirectories for directories */
	uint16_t *depth;	   /* of directories */
	const uint8_t *set_starts; /* a bit for every fourth byte of XATTRS */
	uint32_t flags;		   /* enum index_flags seen */
	uint64_t files_size;
};

/* I27: the offset of a set, not of the middle of one. */
static bool is_xattr_set(const struct index *ix, const struct tally *t, uint32_t off)
{
	return off % 4 == 0 && off < ix->xattrs_len &&
	       t->set_starts[off / 32] & 1u << (off / 4 % 8);
}

static bool type_fits(const struct index *ix, uint32_t row, uint32_t mode, uint32_t flags)
{
	if (row_is_dir(ix, row))
		return S_ISDIR(mode);
	if (row_is_regular(ix, row))
		return S_ISREG(mode);
	if (mode == 0)
		return ix->info.kind == INDEX_LAYER &&
		       (flags == INODE_WHITEOUT || flags == INODE_LOWER_LINK);
	return S_ISLNK(mode) || S_ISCHR(mode) || S_ISBLK(mode) || S_ISFIFO(mode);
}

static bool flags_fit(const struct index *ix, uint32_t row, uint32_t mode, uint32_t flags)
{
	uint32_t allowed = mode == 0 ? INODE_WHITEOUT | INODE_LOWER_LINK : 0;
	if (row_is_regular(ix, row))
		allowed = INODE_SPARSE;
	if (row_is_dir(ix, row) && ix->info.kind == INDEX_LAYER)
		allowed = INODE_OPAQUE | INODE_IMPLIED;
	return (flags & ~allowed) == 0;
}

/* I25: a symlink's or a lower link's text. */
static bool target_fits(const struct index *ix, const struct disk_inode *inode)
{
	uint64_t len = get_le64(inode->size), off = get_le64(inode->ref);
	return len >= 1 && len <= FORMAT_TARGET_MAX && off <= ix->strings_len &&
	       len <= ix->strings_len - off && !memchr(ix->strings + off, 0, len);
}

/* I26: fields that have no meaning for the type are zero. */
static bool spare_fields_fit(const struct index *ix, const struct disk_inode *inode, uint32_t mode,
			     uint32_t flags)
{
	uint64_t size = get_le64(inode->size), ref = get_le64(inode->ref);
	if (mode == 0 && get_le32(inode->xattrs))
		return false;
	if (flags & INODE_WHITEOUT || S_ISFIFO(mode))
		return size == 0 && ref == 0;
	if (S_ISCHR(mode) || S_ISBLK(mode))
		return ref == 0 && !(ix->info.kind == INDEX_IMAGE && S_ISCHR(mode) && size == 0);
	return true;
}

static void note_flags(struct tally *t, const struct disk_inode *inode, uint32_t mode,
		       uint32_t flags)
{
	if (get_le32(inode->xattrs))
		t->flags |= INDEX_HAS_XATTRS;
	if (flags & INODE_SPARSE)
		t->flags |= INDEX_HAS_SPARSE;
	if (S_ISCHR(mode) || S_ISBLK(mode))
		t->flags |= INDEX_HAS_DEVICES;
	if (S_ISREG(mode) && (mode & (S_ISUID | S_ISGID)))
		t->flags |= INDEX_HAS_SETID;
	if (S_ISREG(mode) && !add_u64(t->files_size, get_le64(inode->size), &t->files_size))
		t->files_size = UINT64_MAX;
}

static err_t verify_inodes(const struct index *ix, struct tally *t, struct diag *d)
{
	for (uint32_t row = 0; row < ix->info.n_inodes; row++) {
		const struct disk_inode *inode = &ix->inodes[row];
		uint32_t mode = get_le16(inode->mode), flags = get_le16(inode->flags);
		if (!type_fits(ix, row, mode, flags))
			return broken(d, "14", "row %u: mode %o", row, mode);
		if (!flags_fit(ix, row, mode, flags))
			return broken(d, "15", "row %u: flags %x", row, flags);
		if (get_le32(inode->owner) >= ix->n_owners)
			return broken(d, "16", "row %u: owner %u", row, get_le32(inode->owner));
		if (get_le64(inode->time) >> 34 >= 1000000000)
			return broken(d, "17", "row %u: nanoseconds", row);
		bool has_target = S_ISLNK(mode) || (flags & INODE_LOWER_LINK);
		if (has_target && !target_fits(ix, inode))
			return broken(d, "25", "row %u: target", row);
		if (!spare_fields_fit(ix, inode, mode, flags))
			return broken(d, "26", "row %u: a field that its type does not have", row);
		uint32_t set = get_le32(inode->xattrs);
		if (set && !is_xattr_set(ix, t, set))
			return broken(d, "27", "row %u: xattr set %u", row, set);
		note_flags(t, inode, mode, flags);
	}
	return 0;
}

static bool name_fits(const struct index *ix, const struct disk_dirent *e)
{
	uint64_t off = get_le32(e->name_off);
	if (e->name_len == 0 || off > ix->strings_len || e->name_len > ix->strings_len - off)
		return false;
	struct bytes name = dirent_name(ix, e);
	return !memchr(name.p, '/', name.n) && !memchr(name.p, 0, name.n) &&
	       !bytes_equal_str(name, ".") && !bytes_equal_str(name, "..");
}

static err_t verify_child(const struct index *ix, struct tally *t, uint32_t dir, uint64_t i,
			  struct diag *d)
{
	const struct disk_dirent *e = &ix->dirents[i];
	uint32_t row = get_le32(e->row);
	if (row == 0 || row >= ix->info.n_inodes || e->type != row_mode(ix, row) >> 12 ||
	    get_le16(e->reserved))
		return broken(d, "21", "name %llu: row %u, type %u", (unsigned long long)i, row,
			      e->type);
	if (!row_is_dir(ix, row)) {
		t->refs[row]++;
		return 0;
	}
	if (row <= dir || t->depth[row] || get_le32(ix->inodes[row].nlink_or_parent) != dir)
		return broken(d, "22", "directory %u: named twice, or not by its parent", row);
	if (t->depth[dir] + 1u > FORMAT_DEPTH_MAX + 1u)
		return broken(d, "23", "directory %u: more than %u deep", row, FORMAT_DEPTH_MAX);
	t->depth[row] = (uint16_t)(t->depth[dir] + 1);
	t->refs[dir]++;
	return 0;
}

static err_t verify_dir(const struct index *ix, struct tally *t, uint32_t dir, uint64_t *next,
			struct diag *d)
{
	uint64_t ref = get_le64(ix->inodes[dir].ref), first = ref & UINT32_MAX, count = ref >> 32;
	if (t->depth[dir] == 0)
		return broken(d, "22", "directory %u has no name", dir);
	if (first != *next || count > ix->info.n_dirents - first)
		return broken(d, "18", "directory %u: names %llu to %llu", dir,
			      (unsigned long long)first, (unsigned long long)(first + count));
	*next = first + count;
	for (uint64_t i = first; i < *next; i++) {
		const struct disk_dirent *e = &ix->dirents[i];
		if (!name_fits(ix, e))
			return broken(d, "19", "name %llu", (unsigned long long)i);
		uint32_t hash = get_le32(e->hash), before = i > first ? get_le32(e[-1].hash) : 0;
		if (hash != name_hash(ix->salt, dirent_name(ix, e)) || hash < before ||
		    (i > first && hash == before &&
		     bytes_compare(dirent_name(ix, e - 1), dirent_name(ix, e)) >= 0))
			return broken(d, "20", "name %llu: hash or order", (unsigned long long)i);
		err_t err = verify_child(ix, t, dir, i, d);
		if (err)
			return err;
	}
	return 0;
}

static err_t verify_names(const struct index *ix, struct tally *t, struct diag *d)
{
	uint64_t next = 0;
	err_t err = 0;
	t->depth[0] = 1;
	if (get_le32(ix->inodes[0].nlink_or_parent) != 0)
		return broken(d, "22", "the root's parent is not itself");
	for (uint32_t dir = 0; dir < ix->info.n_dirs && !err; dir++)
		err = verify_dir(ix, t, dir, &next, d);
	if (!err && next != ix->info.n_dirents)
		return broken(d, "18", "names that belong to no directory");
	for (uint32_t row = 0; row < ix->info.n_inodes && !err; row++) {
		const struct disk_inode *inode = &ix->inodes[row];
		bool dir = row_is_dir(ix, row);
		uint64_t stated = dir ? get_le64(inode->size) : get_le32(inode->nlink_or_parent);
		if (stated != t->refs[row] || (!dir && stated == 0))
			err = broken(d, "24",
				     "row %u: %llu links or subdirectories stated, %u found", row,
				     (unsigned long long)stated, t->refs[row]);
	}
	return err;
}

err_t verify_tree(const struct index *ix, struct diag *d)
{
	struct tally t = {0};
	auto_free uint32_t *refs = try_array(ix->info.n_inodes, sizeof(*refs), FORMAT_INODES_MAX);
	auto_free uint16_t *depth = try_array(ix->info.n_dirs, sizeof(*depth), FORMAT_INODES_MAX);
	auto_free uint8_t *set_starts = try_array(ix->xattrs_len / 32 + 1, 1, UINT32_MAX);
	if (!refs || !depth || !set_starts)
		return fail_sys(d, ERR_OTHER, -ENOMEM, "prove the index");
	t.refs = refs;
	t.depth = depth;
	t.set_starts = set_starts;
	err_t err = verify_xattrs(ix, set_starts, d);
	if (!err)
		err = verify_inodes(ix, &t, d);
	if (!err)
		err = verify_names(ix, &t, d);
	if (!err && (t.flags != ix->info.flags || t.files_size != ix->info.files_size))
		return broken(d, "28",
			      "META says flags %x and %llu bytes, the rows say %x and %llu",
			      ix->info.flags, (unsigned long long)ix->info.files_size, t.flags,
			      (unsigned long long)t.files_size);
	return err;
}
