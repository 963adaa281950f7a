/*
 * Opening an index and reading its rows. Everything here relies on the proof that index_open made:
 * rows, offsets and lengths taken from the tables are used as they are.
 */
#include "index/index_priv.h"

#include "index/container.h"
#include "index/window.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

static err_t prove(struct index *ix, struct diag *d)
{
	err_t err = verify_container(ix, d);
	if (!err)
		err = verify_meta(ix, d);
	if (!err)
		err = verify_tree(ix, d);
	return err ? err : verify_data(ix, d);
}

err_t index_open_bytes(struct bytes file, struct index **out, struct diag *d)
{
	struct index *ix = new_of(struct index);
	ix->file = file;
	err_t err = prove(ix, d);
	if (err) {
		index_close(&ix);
		return err;
	}
	*out = ix;
	return 0;
}

err_t index_open(const char *path, struct index **out, struct diag *d)
{
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail_sys(d, ERR_STORE, -errno, "open index %s", path);
	if (!S_ISREG(st.st_mode) || st.st_size == 0)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "%s: I01: no index file", path);
	void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (map == MAP_FAILED)
		return fail_sys(d, ERR_STORE, -errno, "map index %s", path);
	struct index *ix;
	err_t err = index_open_bytes((struct bytes){map, (size_t)st.st_size}, &ix, d);
	if (err) {
		munmap(map, (size_t)st.st_size);
		diag_prepend(d, "%s", path);
		return err;
	}
	ix->map = map;
	/* The proof touched all of it; what is used comes back from the page cache. An idle mount
	 * does not hold the index of a large image in its memory. */
	(void)madvise(map, (size_t)st.st_size, MADV_DONTNEED);
	*out = ix;
	return 0;
}

void index_close(struct index **ixp)
{
	struct index *ix = *ixp;
	if (!ix)
		return;
	if (ix->map)
		munmap(ix->map, ix->file.n);
	free(ix);
	*ixp = NULL;
}

const struct index_info *index_info(const struct index *ix)
{
	return &ix->info;
}

uint64_t index_file_size(const struct index *ix)
{
	return ix->file.n;
}

static const struct disk_inode *inode_row(const struct index *ix, uint32_t row)
{
	BUG_ON(row >= ix->info.n_inodes);
	return &ix->inodes[row];
}

void index_inode(const struct index *ix, uint32_t row, struct inode *out)
{
	const struct disk_inode *d = inode_row(ix, row);
	const struct disk_owner *owner = &ix->owners[get_le32(d->owner)];
	uint64_t time = get_le64(d->time), size = get_le64(d->size);
	bool dir = row_is_dir(ix, row);
	*out = (struct inode){
		.mode = get_le16(d->mode),
		.flags = get_le16(d->flags),
		.uid = get_le32(owner->uid),
		.gid = get_le32(owner->gid),
		.mtime = (int64_t)(time & ((UINT64_C(1) << 34) - 1)) - FORMAT_TIME_BIAS,
		.mtime_ns = (uint32_t)(time >> 34),
		.nlink = dir ? (uint32_t)min_of(size + 2, (uint64_t)UINT32_MAX)
			     : get_le32(d->nlink_or_parent),
		.parent = dir ? get_le32(d->nlink_or_parent) : 0,
	};
	if (S_ISCHR(out->mode) || S_ISBLK(out->mode)) {
		out->rdev_major = (uint32_t)(size >> 32);
		out->rdev_minor = (uint32_t)size;
	} else if (!dir) {
		out->size = size;
	}
}

struct bytes index_link_target(const struct index *ix, uint32_t row)
{
	const struct disk_inode *d = inode_row(ix, row);
	BUG_ON(!S_ISLNK(get_le16(d->mode)) && !(get_le16(d->flags) & INODE_LOWER_LINK));
	return (struct bytes){ix->strings + get_le64(d->ref), get_le64(d->size)};
}

/* The xattrs of the set at an offset of the section. */
static void set_cursor(const struct index *ix, uint64_t off, struct xattr_cursor *out)
{
	struct disk_xattr_set head;
	memcpy(&head, ix->xattrs + off, sizeof(head));
	*out = (struct xattr_cursor){ix->xattrs + off + sizeof(head), get_le32(head.n_xattrs)};
}

void index_xattrs(const struct index *ix, uint32_t row, struct xattr_cursor *out)
{
	uint32_t off = get_le32(inode_row(ix, row)->xattrs);
	*out = (struct xattr_cursor){NULL, 0};
	if (off)
		set_cursor(ix, off, out);
}

bool index_xattr_next(struct xattr_cursor *cursor, struct xattr_view *out)
{
	if (!cursor->left)
		return false;
	struct disk_xattr x;
	memcpy(&x, cursor->at, sizeof(x));
	const uint8_t *name = cursor->at + sizeof(x), *value = name + x.name_len;
	*out = (struct xattr_view){{name, x.name_len}, {value, get_le32(x.value_len)}};
	cursor->at = value + get_le32(x.value_len);
	cursor->left--;
	return true;
}

uint32_t index_xattr_count(const struct index *ix, uint32_t row)
{
	struct xattr_cursor cursor;
	index_xattrs(ix, row, &cursor);
	return cursor.left;
}

void index_xattr(const struct index *ix, uint32_t row, uint32_t i, struct xattr_view *out)
{
	struct xattr_cursor cursor;
	index_xattrs(ix, row, &cursor);
	do
		BUG_ON(!index_xattr_next(&cursor, out));
	while (i--);
}

bool index_has_xattr_named(const struct index *ix, struct bytes name)
{
	for (uint64_t at = sizeof(struct disk_xattr_set); at < ix->xattrs_len;) {
		struct disk_xattr_set head;
		struct xattr_cursor cursor;
		struct xattr_view view;
		memcpy(&head, ix->xattrs + at, sizeof(head));
		set_cursor(ix, at, &cursor);
		while (index_xattr_next(&cursor, &view))
			if (bytes_equal(view.name, name))
				return true;
		at += get_le32(head.len);
	}
	return false;
}

static void sparse_extent(const struct index *ix, const struct disk_inode *d, uint64_t off,
			  struct extent *out)
{
	uint64_t ref = get_le64(d->ref), low = ref & UINT32_MAX, high = low + (ref >> 32);
	const uint64_t last = high, size = get_le64(d->size);
	while (low < high) { /* the first extent that ends behind off */
		uint64_t mid = low + (high - low) / 2;
		const struct disk_extent *x = &ix->extents[mid];
		if (get_le64(x->off) + get_le64(x->len) > off)
			high = mid;
		else
			low = mid + 1;
	}
	if (low == last) {
		*out = (struct extent){.hole = true, .len = size - off};
		return;
	}
	const struct disk_extent *x = &ix->extents[low];
	uint64_t start = get_le64(x->off), data = get_le64(x->data);
	if (start > off) {
		*out = (struct extent){.hole = true, .len = start - off};
		return;
	}
	*out = (struct extent){
		.layer = (uint32_t)(data >> 48),
		.stream_off = (data & (STREAM_MAX * 2 - 1)) + (off - start),
		.len = get_le64(x->len) - (off - start),
	};
}

void index_extent(const struct index *ix, uint32_t row, uint64_t off, struct extent *out)
{
	const struct disk_inode *d = inode_row(ix, row);
	uint64_t size = get_le64(d->size), ref = get_le64(d->ref);
	BUG_ON(!row_is_regular(ix, row) || off >= size);
	if (get_le16(d->flags) & INODE_SPARSE) {
		sparse_extent(ix, d, off, out);
		return;
	}
	*out = (struct extent){
		.layer = (uint32_t)(ref >> 48),
		.stream_off = (ref & (STREAM_MAX * 2 - 1)) + off,
		.len = size - off,
	};
}

const uint8_t *index_file_digest(const struct index *ix, uint32_t row)
{
	BUG_ON(!row_is_regular(ix, row));
	if (!ix->digests || get_le16(ix->inodes[row].flags) & INODE_SPARSE)
		return NULL;
	return ix->digests + (uint64_t)(row - ix->info.n_dirs) * SHA256_LEN;
}

void index_chunk(const struct index *ix, uint32_t i, struct chunk *out)
{
	BUG_ON(i >= ix->info.n_chunks);
	const struct disk_chunk *d = &ix->chunks[i];
	*out = (struct chunk){
		.stream_off = get_le64(d->stream_off),
		.blob_off = get_le64(d->blob_off),
		.blob_len = get_le64(d->blob_len),
		.stream_len = get_le32(d->stream_len),
		.codec = d->codec,
		.start = d->start,
		.bit = d->bit,
		.final_block = d->final_block,
		.skip = get_le16(d->skip),
		.header_bits = get_le16(d->header_bits),
		.stored_left = get_le32(d->stored_left),
		.window_off = get_le64(d->window_off),
		.window_len = get_le32(d->window_len),
		.xxh3 = get_le64(d->xxh3),
	};
	memcpy(out->sha256, d->sha256, sizeof(out->sha256));
}

uint32_t index_chunk_at(const struct index *ix, uint64_t stream_off)
{
	BUG_ON(stream_off >= ix->info.stream_size);
	uint32_t low = 0, high = ix->info.n_chunks;
	while (high - low > 1) {
		uint32_t mid = low + (high - low) / 2;
		if (get_le64(ix->chunks[mid].stream_off) <= stream_off)
			low = mid;
		else
			high = mid;
	}
	return low;
}

err_t index_chunk_window(const struct index *ix, const struct chunk *c, struct buf *out)
{
	const struct section *s = &ix->sections[SECTION_WINDOWS];
	return framed_read((struct bytes){s->p, s->len}, s->raw_len, c->window_off, c->window_len,
			   out);
}

err_t index_windows_around(const struct index *ix, const struct chunk *c, uint64_t *off,
			   struct buf *out)
{
	const struct section *s = &ix->sections[SECTION_WINDOWS];
	BUG_ON(c->window_len == 0);
	uint64_t last = (c->window_off + c->window_len - 1) / FORMAT_FRAME_RAW;
	*off = c->window_off / FORMAT_FRAME_RAW * FORMAT_FRAME_RAW;
	uint64_t end = min_of((last + 1) * FORMAT_FRAME_RAW, s->raw_len);
	return framed_read((struct bytes){s->p, s->len}, s->raw_len, *off, end - *off, out);
}

void index_layer(const struct index *ix, uint32_t i, struct index_layer *out)
{
	BUG_ON(i >= ix->info.n_layers);
	const struct disk_layer *d = &ix->layers[i];
	*out = (struct index_layer){
		.blob_digest.alg = d->blob_alg,
		.diff_id.alg = d->diff_alg,
		.blob_size = get_le64(d->blob_size),
		.stream_size = get_le64(d->stream_size),
	};
	memcpy(out->blob_digest.b, d->blob_digest, DIGEST_MAX);
	memcpy(out->diff_id.b, d->diff_id, DIGEST_MAX);
}

bool index_layer_head(const struct index *ix, uint32_t layer, struct index_layer_head *out)
{
	const struct section *s = &ix->sections[SECTION_HEADS];
	BUG_ON(layer >= ix->info.n_layers);
	*out = (struct index_layer_head){0};
	if (!s->p)
		return false;
	uint64_t at = (uint64_t)ix->info.n_layers * sizeof(struct disk_layer_head);
	struct disk_layer_head row;
	for (uint32_t i = 0;; i++) {
		memcpy(&row, s->p + i * sizeof(row), sizeof(row));
		if (i == layer)
			break;
		at += get_le32(row.head_len);
	}
	out->form = (struct digest){.alg = DIGEST_SHA256};
	memcpy(out->form.b, row.form_sha256, sizeof(row.form_sha256));
	out->form_len = get_le64(row.form_len);
	out->head = (struct bytes){s->p + at, get_le32(row.head_len)};
	return out->head.n != 0;
}

uint64_t index_table_xxh3(const struct index *ix)
{
	XXH3_state_t *hash = XXH3_createState();
	BUG_ON(!hash || XXH3_64bits_reset(hash) != XXH_OK);
	for (uint32_t i = 0; i < ix->info.n_chunks; i++) {
		struct chunk c;
		index_chunk(ix, i, &c);
		const le64 row[] = {put_le64(c.stream_off), put_le64(c.stream_len),
				    put_le64(c.xxh3)};
		XXH3_64bits_update(hash, row, sizeof(row));
	}
	uint64_t sum = XXH3_64bits_digest(hash);
	XXH3_freeState(hash);
	return sum;
}

bool index_section(const struct index *ix, unsigned i, struct index_section *out)
{
	static const char *const names[] = {
		[SECTION_META] = "META",       [SECTION_INODES] = "INODES",
		[SECTION_DIRENTS] = "DIRENTS", [SECTION_STRINGS] = "STRINGS",
		[SECTION_OWNERS] = "OWNERS",   [SECTION_XATTRS] = "XATTRS",
		[SECTION_EXTENTS] = "EXTENTS", [SECTION_DIGESTS] = "DIGESTS",
		[SECTION_CHUNKS] = "CHUNKS",   [SECTION_WINDOWS] = "WINDOWS",
		[SECTION_LAYERS] = "LAYERS",   [SECTION_HEADS] = "HEADS",
	};
	for (unsigned type = 1; type <= SECTION_LAST_KNOWN; type++) {
		const struct section *s = &ix->sections[type];
		if (s->p && i-- == 0) {
			*out = (struct index_section){names[type], s->len, s->raw_len};
			return true;
		}
	}
	return false;
}

bool index_same_tree(const struct index *a, const struct index *b)
{
	static const enum section_type compared[] = {
		SECTION_INODES, SECTION_DIRENTS, SECTION_STRINGS, SECTION_OWNERS,
		SECTION_XATTRS, SECTION_EXTENTS, SECTION_LAYERS,
	};
	/* The counts of META follow from the rows, the key from the layers. */
	for (size_t i = 0; i < ARRAY_LEN(compared); i++) {
		const struct section *x = &a->sections[compared[i]], *y = &b->sections[compared[i]];
		if (!bytes_equal((struct bytes){x->p, x->len}, (struct bytes){y->p, y->len}))
			return false;
	}
	return a->info.kind == b->info.kind && a->salt == b->salt;
}

err_t index_canonical_digest(const struct index *ix, struct digest *out)
{
	struct hasher *h = hasher_new(DIGEST_SHA256);
	err_t err = 0;
	le32 kind = put_le32(ix->info.kind);
	hasher_update(h, FORMAT_MAGIC, 8);
	hasher_update(h, &kind, sizeof(kind));
	for (uint32_t type = 1; type <= SECTION_LAST_KNOWN && !err; type++) {
		const struct section *s = &ix->sections[type];
		if (!s->p || type == SECTION_HEADS)
			continue;
		struct {
			le32 type;
			le64 raw_len;
		} head = {put_le32(type), put_le64(s->raw_len)};
		hasher_update(h, &head, sizeof(head));
		if (!s->framed) {
			hasher_update(h, s->p, s->len);
			continue;
		}
		for (uint64_t off = 0; off < s->raw_len && !err; off += FORMAT_FRAME_RAW) {
			auto_buf struct buf raw = {0};
			uint64_t n = min_of((uint64_t)FORMAT_FRAME_RAW, s->raw_len - off);
			err = framed_read((struct bytes){s->p, s->len}, s->raw_len, off, n, &raw);
			hasher_update(h, raw.p, raw.n);
		}
	}
	hasher_done(h, out);
	hasher_free(&h);
	return err;
}
