/*
 * A tree on its way out. Directories are walked depth first, the names of each in byte order: that
 * is the order in which archives are usually written, so most files' bytes lie where their
 * neighbours suggest, and like names, modes and times stand together.
 */
#include "index/index_priv.h"
#include "index/intern.h"
#include "index/wire_tree_priv.h"

#include <sys/stat.h>

struct named_row {
	struct bytes name;
	uint32_t row;
};

struct walked_dir {
	uint32_t next, end; /* of `names` */
};

struct encoder {
	const struct index *ix;
	struct named_row *names; /* by dirent, those of a directory sorted by name */
	uint32_t *numbers;	 /* by row: its place in the walk; TREE_NONE: not yet walked */
	uint32_t n_numbers;
	struct buf columns[WIRE_COLUMNS];
	struct intern attributes, sets, times; /* known records, by number */
	uint64_t seconds;		       /* of the last record of `times` */
	struct wire_places places;
	struct walked_dir dirs[FORMAT_DEPTH_MAX + 1];
	size_t depth;
};

static err_t put(struct encoder *e, enum wire_column column, uint64_t v)
{
	return varint_put(&e->columns[column], v);
}

static err_t put_bytes(struct encoder *e, enum wire_column column, struct bytes b)
{
	return buf_append(&e->columns[column], b.p, b.n);
}

static err_t put_text(struct encoder *e, enum wire_column column, struct bytes b)
{
	err_t err = put_bytes(e, column, b);
	return err ? err : put_bytes(e, column, (struct bytes){(const uint8_t *)"", 1});
}

/* The number of a record, which is *known or the next. */
static err_t number_of(struct intern *in, const void *record, size_t size, uint32_t *number,
		       bool *known)
{
	size_t before = in->data.n;
	uint32_t off;
	err_t err = intern_add(in, (struct bytes){record, size}, &off);
	if (err)
		return err;
	*known = in->data.n == before;
	*number = off / (uint32_t)size;
	return 0;
}

static err_t put_set(struct encoder *e, uint32_t row)
{
	struct xattr_cursor cursor;
	struct xattr_view v;
	index_xattrs(e->ix, row, &cursor);
	err_t err = put(e, COLUMN_XATTRS, cursor.left);
	while (!err && index_xattr_next(&cursor, &v)) {
		err = put(e, COLUMN_XATTRS, v.name.n);
		if (!err)
			err = put_bytes(e, COLUMN_XATTRS, v.name);
		if (!err)
			err = put(e, COLUMN_XATTRS, v.value.n);
		if (!err)
			err = put_bytes(e, COLUMN_XATTRS, v.value);
	}
	return err;
}

/* The number of a row's set of xattrs, counted from 1; 0: none. A new one goes into its column. */
static err_t set_number(struct encoder *e, uint32_t row, uint32_t *number)
{
	le32 off = e->ix->inodes[row].xattrs;
	*number = 0;
	if (!get_le32(off))
		return 0;
	bool known;
	err_t err = number_of(&e->sets, &off, sizeof(off), number, &known);
	++*number;
	return err || known ? err : put_set(e, row);
}

static err_t put_attributes(struct encoder *e, uint32_t row, const struct inode *inode)
{
	const struct {
		uint32_t mode, flags, uid, gid, xattrs;
	} record = {inode->mode, inode->flags, inode->uid, inode->gid,
		    get_le32(e->ix->inodes[row].xattrs)};
	uint32_t number, set;
	bool known;
	err_t err = number_of(&e->attributes, &record, sizeof(record), &number, &known);
	if (!err)
		err = put(e, COLUMN_KINDS, known ? KIND_RECORDS + number : KIND_NEW);
	if (err || known)
		return err;
	const uint64_t numbers[] = {inode->mode, inode->flags, inode->uid, inode->gid};
	for (size_t i = 0; i < ARRAY_LEN(numbers) && !err; i++)
		err = put(e, COLUMN_ATTRIBUTES, numbers[i]);
	if (!err)
		err = set_number(e, row, &set);
	return err ? err : put(e, COLUMN_ATTRIBUTES, set);
}

static err_t put_time(struct encoder *e, uint32_t row, const struct inode *inode)
{
	uint32_t number;
	bool known;
	le64 word = e->ix->inodes[row].time;
	err_t err = number_of(&e->times, &word, sizeof(word), &number, &known);
	if (!err)
		err = put(e, COLUMN_TIMES, known ? TIME_RECORDS + number : TIME_NEW);
	if (err || known)
		return err;
	err = put(e, COLUMN_SECONDS, zigzag_of((uint64_t)inode->mtime - e->seconds));
	e->seconds = (uint64_t)inode->mtime;
	return err ? err : put(e, COLUMN_NANOSECONDS, inode->mtime_ns);
}

/* Where the bytes of a file begin (`data` as in a row), and where they end in the stream. */
static err_t put_place(struct encoder *e, uint64_t data, uint64_t end)
{
	uint32_t layer = (uint32_t)(data >> 48);
	uint64_t off = data & (STREAM_MAX * 2 - 1);
	uint64_t missed = off - wire_places_predict(&e->places, layer);
	bool whole = missed % TAR_BLOCK == 0;
	if (whole)
		missed = (uint64_t)((int64_t)missed / (int64_t)TAR_BLOCK);
	err_t err = put(e, COLUMN_LAYERS, layer);
	if (!err)
		err = put(e, COLUMN_PLACES, zigzag_of(missed) << 1 | !whole);
	wire_places_note(&e->places, layer, end);
	return err;
}

static err_t put_extents(struct encoder *e, const struct disk_inode *inode)
{
	uint64_t ref = get_le64(inode->ref), first = ref & UINT32_MAX, n = ref >> 32;
	const struct disk_extent *x = &e->ix->extents[first];
	err_t err = put(e, COLUMN_EXTENTS, n);
	uint64_t at = 0, data = n ? get_le64(x[0].data) : 0;
	for (uint64_t i = 0; i < n && !err; i++) {
		uint64_t off = get_le64(x[i].off), len = get_le64(x[i].len);
		if (get_le64(x[i].data) >> 48 != data >> 48)
			return -ENOTSUP;
		err = put(e, COLUMN_EXTENTS, off - at);
		if (!err)
			err = put(e, COLUMN_EXTENTS, len);
		if (!err && i)
			err = put(e, COLUMN_EXTENTS, zigzag_of(get_le64(x[i].data) - data));
		at = off + len;
		data = get_le64(x[i].data) + len;
	}
	if (err || n == 0)
		return err;
	return put_place(e, get_le64(x[0].data), data & (STREAM_MAX * 2 - 1));
}

static err_t put_regular(struct encoder *e, const struct disk_inode *inode)
{
	uint64_t size = get_le64(inode->size), ref = get_le64(inode->ref);
	uint8_t low = (uint8_t)size;
	err_t err = put_bytes(e, COLUMN_SIZES_LOW, (struct bytes){&low, 1});
	if (!err)
		err = put(e, COLUMN_SIZES_HIGH, size >> 8);
	if (err)
		return err;
	if (get_le16(inode->flags) & INODE_SPARSE)
		return put_extents(e, inode);
	return size ? put_place(e, ref, (ref & (STREAM_MAX * 2 - 1)) + size) : 0;
}

static err_t put_inode(struct encoder *e, uint32_t row)
{
	struct inode inode;
	index_inode(e->ix, row, &inode);
	e->numbers[row] = e->n_numbers++;
	e->places.headers += !(inode.flags & INODE_IMPLIED);
	err_t err = put_attributes(e, row, &inode);
	if (!err)
		err = put_time(e, row, &inode);
	if (err)
		return err;
	if (S_ISDIR(inode.mode)) {
		uint64_t ref = get_le64(e->ix->inodes[row].ref);
		e->dirs[e->depth++] = (struct walked_dir){
			(uint32_t)ref, (uint32_t)((ref & UINT32_MAX) + (ref >> 32))};
		return put(e, COLUMN_COUNTS, ref >> 32);
	}
	if (S_ISREG(inode.mode))
		return put_regular(e, &e->ix->inodes[row]);
	if (S_ISLNK(inode.mode) || inode.flags & INODE_LOWER_LINK)
		return put_text(e, COLUMN_TARGETS, index_link_target(e->ix, row));
	if (S_ISCHR(inode.mode) || S_ISBLK(inode.mode)) {
		err = put(e, COLUMN_DEVICES, inode.rdev_major);
		return err ? err : put(e, COLUMN_DEVICES, inode.rdev_minor);
	}
	return 0;
}

static err_t put_entry(struct encoder *e, const struct named_row *entry)
{
	err_t err = put_text(e, COLUMN_NAMES, entry->name);
	uint32_t number = e->numbers[entry->row];
	if (err || number == TREE_NONE)
		return err ? err : put_inode(e, entry->row);
	e->places.headers++;
	err = put(e, COLUMN_KINDS, KIND_LINK);
	return err ? err : put(e, COLUMN_LINKS, e->n_numbers - number);
}

static int order_of_names(const void *a, const void *b)
{
	return bytes_compare(((const struct named_row *)a)->name,
			     ((const struct named_row *)b)->name);
}

/* The names of each directory by bytes; directories have disjoint ranges of DIRENTS. */
static void sort_names(struct encoder *e)
{
	for (uint64_t i = 0; i < e->ix->info.n_dirents; i++) {
		const struct disk_dirent *d = &e->ix->dirents[i];
		e->names[i] = (struct named_row){dirent_name(e->ix, d), get_le32(d->row)};
	}
	for (uint32_t dir = 0; dir < e->ix->info.n_dirs; dir++) {
		uint64_t ref = get_le64(e->ix->inodes[dir].ref);
		qsort(e->names + (ref & UINT32_MAX), ref >> 32, sizeof(*e->names), order_of_names);
	}
}

static err_t walk(struct encoder *e)
{
	sort_names(e);
	memset(e->numbers, 0xff, e->ix->info.n_inodes * sizeof(*e->numbers));
	err_t err = put_inode(e, 0);
	while (!err && e->depth) {
		struct walked_dir *dir = &e->dirs[e->depth - 1];
		if (dir->next == dir->end)
			e->depth--;
		else
			err = put_entry(e, &e->names[dir->next++]);
	}
	return err;
}

static err_t pack(const struct encoder *e, struct buf *out)
{
	struct bytes columns[WIRE_COLUMNS];
	uint64_t raw = 0;
	for (size_t i = 0; i < WIRE_COLUMNS; i++) {
		columns[i] = buf_bytes(&e->columns[i]);
		raw += columns[i].n;
	}
	return raw > WIRE_TREE_RAW_MAX ? -E2BIG : columns_pack(columns, WIRE_COLUMNS, out);
}

err_t wire_tree_encode(const struct index *ix, struct buf *out)
{
	struct encoder *e = new_of(struct encoder);
	e->ix = ix;
	e->names = try_array(ix->info.n_dirents + 1, sizeof(*e->names), FORMAT_DIRENTS_MAX + 1);
	e->numbers = try_array(ix->info.n_inodes, sizeof(*e->numbers), FORMAT_INODES_MAX);
	err_t err = e->names && e->numbers ? walk(e) : -ENOMEM;
	if (!err)
		err = pack(e, out);
	for (size_t i = 0; i < WIRE_COLUMNS; i++)
		buf_fini(&e->columns[i]);
	intern_fini(&e->attributes);
	intern_fini(&e->sets);
	intern_fini(&e->times);
	free(e->names);
	free(e->numbers);
	free(e);
	return err;
}
