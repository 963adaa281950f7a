/*
 * Laying a tree out in rows. Directories get their rows breadth first, the entries of each in the
 * order of (hash, name); so the DIRENTS of one directory are contiguous and parents stand before
 * their children. Then come regular files by the place of their bytes, then the rest; what has no
 * place follows its first name. Everything is decided by what is written, nothing by the order in
 * which the tree was put together, by memory addresses or by leftovers, so equal trees give equal
 * bytes.
 */
#include "index/tree_write.h"

#include "index/intern.h"

#include <dirent.h>
#include <sys/stat.h>

struct sorted_entry {
	uint32_t hash;
	uint32_t entry;
	struct bytes name;
};

struct tree_sections {
	const struct tree *tree;
	bool image;
	struct disk_tree_meta meta;
	uint32_t flags;
	uint64_t files_size;
	uint32_t *row_of; /* by node; TREE_NONE: has no row */
	uint32_t *nodes;  /* by row */
	uint32_t n_rows, n_dirs, n_regular;
	uint32_t *entries; /* by dirent */
	size_t n_entries;
	uint64_t *dir_ref; /* by directory row: first dirent | count << 32 */
	struct intern strings, owners, xattrs;
	struct buf inodes, dirents, extents, digests;
};

static bool is_hidden(const struct tree_sections *ts, const struct tree_node *n)
{
	return ts->image && S_ISCHR(n->mode) && n->size == 0;
}

static int entry_order(const void *a, const void *b)
{
	const struct sorted_entry *x = a, *y = b;
	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return bytes_compare(x->name, y->name);
}

/* The entries of one directory, in their final order. */
static err_t dir_entries(struct tree_sections *ts, uint64_t salt, uint32_t dir, struct buf *sorted)
{
	sorted->n = 0;
	uint32_t number = tree_node_const(ts->tree, dir)->first_entry;
	while (number != TREE_NONE) {
		const struct tree_entry *e = tree_entry(ts->tree, number);
		struct sorted_entry s = {name_hash(salt, e->name), number, e->name};
		if (!is_hidden(ts, tree_node_const(ts->tree, e->node))) {
			err_t err = buf_append(sorted, &s, sizeof(s));
			if (err)
				return err;
		}
		number = e->next;
	}
	if (sorted->n)
		qsort(sorted->p, sorted->n / sizeof(struct sorted_entry),
		      sizeof(struct sorted_entry), entry_order);
	return 0;
}

static void row_give(struct tree_sections *ts, uint32_t node)
{
	ts->row_of[node] = ts->n_rows;
	ts->nodes[ts->n_rows++] = node;
}

/* Breadth first over the directories; everything else that has a name is collected behind them. */
static err_t rows_of_dirs(struct tree_sections *ts, uint64_t salt, uint32_t **others,
			  size_t *n_others)
{
	auto_buf struct buf sorted = {0}, names = {0}, rest = {0};
	row_give(ts, 0);
	err_t err = 0;
	for (uint32_t row = 0; row < ts->n_rows && !err; row++) {
		err = dir_entries(ts, salt, ts->nodes[row], &sorted);
		const struct sorted_entry *s = (const void *)sorted.p;
		size_t n = sorted.n / sizeof(*s);
		ts->dir_ref[row] = (uint64_t)n << 32 | ts->n_entries;
		for (size_t i = 0; i < n && !err; i++) {
			uint32_t node = tree_entry(ts->tree, s[i].entry)->node;
			err = buf_append(&names, &s[i].entry, sizeof(s[i].entry));
			ts->n_entries++;
			if (ts->row_of[node] != TREE_NONE)
				continue;
			if (S_ISDIR(tree_node_const(ts->tree, node)->mode)) {
				row_give(ts, node);
			} else if (!err) {
				ts->row_of[node] = 0; /* seen; its row comes later */
				err = buf_append(&rest, &node, sizeof(node));
			}
		}
	}
	ts->n_dirs = ts->n_rows;
	ts->entries = (uint32_t *)(void *)take(&names.p);
	*others = (uint32_t *)(void *)take(&rest.p);
	*n_others = rest.n / sizeof(uint32_t);
	return err;
}

static uint64_t data_ref(uint32_t layer, uint64_t stream_off)
{
	return (uint64_t)layer << 48 | stream_off;
}

/* Where the bytes of a regular file begin; 0 when it has none, wherever the archive had it. */
static uint64_t first_data(const struct tree_node *n)
{
	if (n->flags & INODE_SPARSE)
		return n->n_extents ? data_ref(n->layer, n->extents[0].stream_off) : 0;
	return n->size ? data_ref(n->layer, n->stream_off) : 0;
}

#define NOT_REGULAR (UINT64_C(1) << 63) /* above any data_ref */

struct data_place {
	uint64_t data; /* data_ref of the first byte, or 0; NOT_REGULAR */
	uint32_t nth;  /* of `others`, which stand in the order of their first names */
};

static int place_order(const void *a, const void *b)
{
	const struct data_place *x = a, *y = b;
	if (x->data != y->data)
		return x->data < y->data ? -1 : 1;
	return x->nth < y->nth ? -1 : x->nth > y->nth;
}

static err_t rows_of_others(struct tree_sections *ts, const uint32_t *others, size_t n)
{
	auto_free struct data_place *places = try_array(n, sizeof(*places), FORMAT_INODES_MAX);
	if (!places)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct tree_node *node = tree_node_const(ts->tree, others[i]);
		bool regular = S_ISREG(node->mode);
		places[i] =
			(struct data_place){regular ? first_data(node) : NOT_REGULAR, (uint32_t)i};
		ts->n_regular += regular;
	}
	qsort(places, n, sizeof(*places), place_order);
	for (size_t i = 0; i < n; i++)
		row_give(ts, others[places[i].nth]);
	return 0;
}

static uint8_t dirent_type(uint32_t mode)
{
	return (uint8_t)((mode & S_IFMT) >>
			 12); /* DT_* are the type bits of the mode; 0 is DT_UNKNOWN */
}

static err_t write_dirents(struct tree_sections *ts, uint64_t salt)
{
	err_t reserved = buf_reserve(&ts->dirents, ts->n_entries * sizeof(struct disk_dirent));
	if (reserved)
		return reserved;
	for (size_t i = 0; i < ts->n_entries; i++) {
		const struct tree_entry *e = tree_entry(ts->tree, ts->entries[i]);
		uint32_t name_off;
		err_t err = intern_add(&ts->strings, e->name, &name_off);
		if (err)
			return err;
		struct disk_dirent d = {
			.hash = put_le32(name_hash(salt, e->name)),
			.name_off = put_le32(name_off),
			.row = put_le32(ts->row_of[e->node]),
			.name_len = (uint8_t)e->name.n,
			.type = dirent_type(tree_node_const(ts->tree, e->node)->mode),
		};
		err = buf_append(&ts->dirents, &d, sizeof(d));
		if (err)
			return err;
	}
	return 0;
}

static err_t write_extents(struct tree_sections *ts, const struct tree_node *n, uint64_t *ref)
{
	uint64_t first = ts->extents.n / sizeof(struct disk_extent);
	if (first + n->n_extents > UINT32_MAX)
		return -E2BIG;
	for (uint32_t i = 0; i < n->n_extents; i++) {
		struct disk_extent x = {put_le64(n->extents[i].off), put_le64(n->extents[i].len),
					put_le64(data_ref(n->layer, n->extents[i].stream_off))};
		err_t err = buf_append(&ts->extents, &x, sizeof(x));
		if (err)
			return err;
	}
	*ref = (uint64_t)n->n_extents << 32 | first;
	return 0;
}

/* The two fields whose meaning depends on the type. */
static err_t size_and_ref(struct tree_sections *ts, const struct tree_node *n, uint64_t *size,
			  uint64_t *ref)
{
	*size = n->size;
	*ref = 0;
	if (S_ISLNK(n->mode) || (n->flags & INODE_LOWER_LINK)) {
		uint32_t off;
		err_t err = intern_add(&ts->strings, n->target, &off);
		*size = n->target.n;
		*ref = off;
		return err;
	}
	if (!S_ISREG(n->mode))
		return 0;
	if (!add_u64(ts->files_size, n->size, &ts->files_size))
		ts->files_size = UINT64_MAX;
	if (n->flags & INODE_SPARSE)
		return write_extents(ts, n, ref);
	*ref = first_data(n);
	return 0;
}

/* The section has the sets that rows refer to, in the order of the rows: the tree may hold more. */
static err_t write_xattrs(struct tree_sections *ts, const struct tree_node *n, uint32_t *off)
{
	*off = 0;
	if (!n->xattrs)
		return 0;
	struct bytes all = tree_xattrs_section(ts->tree);
	struct disk_xattr_set head;
	memcpy(&head, all.p + n->xattrs, sizeof(head));
	/* Offset 0 means "none", so the first set stands behind eight zeroes. */
	err_t err = ts->xattrs.data.n ? 0 : buf_append_zeros(&ts->xattrs.data, sizeof(head));
	if (err)
		return err;
	return intern_add(&ts->xattrs, (struct bytes){all.p + n->xattrs, get_le32(head.len)}, off);
}

static void note_flags(struct tree_sections *ts, const struct tree_node *n)
{
	if (n->xattrs)
		ts->flags |= INDEX_HAS_XATTRS;
	if (n->flags & INODE_SPARSE)
		ts->flags |= INDEX_HAS_SPARSE;
	if (S_ISCHR(n->mode) || S_ISBLK(n->mode))
		ts->flags |= INDEX_HAS_DEVICES;
	if (S_ISREG(n->mode) && (n->mode & (S_ISUID | S_ISGID)))
		ts->flags |= INDEX_HAS_SETID;
}

static uint32_t subdirectories(const struct tree_sections *ts, const struct tree_node *dir)
{
	uint32_t n = 0;
	for (uint32_t e = dir->first_entry; e != TREE_NONE; e = tree_entry(ts->tree, e)->next)
		n += S_ISDIR(tree_node_const(ts->tree, tree_entry(ts->tree, e)->node)->mode);
	return n;
}

/* Times that 34 bits do not hold are moved to the nearest one that they do. */
static uint64_t time_word(const struct tree_node *n)
{
	uint64_t seconds = (uint64_t)n->mtime + (uint64_t)FORMAT_TIME_BIAS, ns = n->mtime_ns;
	if (n->mtime < -FORMAT_TIME_BIAS)
		seconds = ns = 0;
	if (n->mtime >= FORMAT_TIME_BIAS) {
		seconds = (UINT64_C(1) << 34) - 1;
		ns = 999999999;
	}
	return seconds | ns << 34;
}

static err_t write_inode(struct tree_sections *ts, uint32_t row, const struct tree_node *n)
{
	struct disk_owner owner = {put_le32(n->uid), put_le32(n->gid)};
	uint32_t owner_off, xattrs, flags = n->flags;
	uint64_t size, ref;
	err_t err = intern_add(&ts->owners, (struct bytes){(const uint8_t *)&owner, sizeof(owner)},
			       &owner_off);
	if (!err)
		err = size_and_ref(ts, n, &size, &ref);
	if (!err)
		err = write_xattrs(ts, n, &xattrs);
	if (err)
		return err;
	if (S_ISDIR(n->mode)) {
		size = subdirectories(ts, n);
		ref = ts->dir_ref[row];
	}
	if (ts->image)
		flags &= ~(uint32_t)(INODE_OPAQUE | INODE_IMPLIED);
	note_flags(ts, n);
	struct disk_inode d = {
		.mode = put_le16((uint16_t)n->mode),
		.flags = put_le16((uint16_t)flags),
		.owner = put_le32(owner_off / (uint32_t)sizeof(owner)),
		.time = put_le64(time_word(n)),
		.size = put_le64(size),
		.ref = put_le64(ref),
		.xattrs = put_le32(xattrs),
		.nlink_or_parent = put_le32(S_ISDIR(n->mode) ? ts->row_of[n->parent] : n->nlink),
	};
	return buf_append(&ts->inodes, &d, sizeof(d));
}

static err_t write_digest(struct tree_sections *ts, const struct tree_node *n)
{
	static const uint8_t none[SHA256_LEN];
	return buf_append(&ts->digests, n->digest ? n->digest : none, SHA256_LEN);
}

static err_t write_inodes(struct tree_sections *ts)
{
	bool digests = tree_has_digests(ts->tree);
	err_t err = buf_reserve(&ts->inodes, ts->n_rows * sizeof(struct disk_inode));
	if (!err && digests)
		err = buf_reserve(&ts->digests, (size_t)ts->n_regular * SHA256_LEN);
	for (uint32_t row = 0; row < ts->n_rows && !err; row++) {
		const struct tree_node *n = tree_node_const(ts->tree, ts->nodes[row]);
		err = write_inode(ts, row, n);
		if (!err && digests && S_ISREG(n->mode))
			err = write_digest(ts, n);
	}
	return err;
}

static err_t lay_out(struct tree_sections *ts, uint64_t salt)
{
	uint32_t n_nodes = tree_node_count(ts->tree);
	ts->row_of = malloc(n_nodes * sizeof(*ts->row_of));
	ts->nodes = malloc(n_nodes * sizeof(*ts->nodes));
	ts->dir_ref = malloc(n_nodes * sizeof(*ts->dir_ref));
	if (!ts->row_of || !ts->nodes || !ts->dir_ref)
		return -ENOMEM;
	memset(ts->row_of, 0xff, n_nodes * sizeof(*ts->row_of));
	auto_free uint32_t *others = NULL;
	size_t n_others = 0;
	err_t err = rows_of_dirs(ts, salt, &others, &n_others);
	if (!err)
		err = rows_of_others(ts, others, n_others);
	if (!err)
		err = write_dirents(ts, salt);
	return err ? err : write_inodes(ts);
}

err_t tree_sections_new(const struct tree *tree, uint64_t salt, bool image,
			struct tree_sections **out)
{
	struct tree_sections *ts = new_of(struct tree_sections);
	ts->tree = tree;
	ts->image = image;
	err_t err = lay_out(ts, salt);
	if (err) {
		tree_sections_free(&ts);
		return err;
	}
	ts->meta = (struct disk_tree_meta){
		.n_inodes = put_le32(ts->n_rows),
		.n_dirs = put_le32(ts->n_dirs),
		.n_regular = put_le32(ts->n_regular),
		.flags = put_le32(ts->flags),
		.n_dirents = put_le64(ts->n_entries),
		.files_size = put_le64(ts->files_size),
		.salt = put_le64(salt),
	};
	ts->tree = NULL; /* it may go now */
	*out = ts;
	return 0;
}

void tree_sections_get(const struct tree_sections *ts, struct section_out out[TREE_SECTIONS])
{
	const struct section_out sections[TREE_SECTIONS] = {
		{SECTION_INODES, false, buf_bytes(&ts->inodes)},
		{SECTION_DIRENTS, false, buf_bytes(&ts->dirents)},
		{SECTION_STRINGS, false, buf_bytes(&ts->strings.data)},
		{SECTION_OWNERS, false, buf_bytes(&ts->owners.data)},
		{SECTION_XATTRS, false, buf_bytes(&ts->xattrs.data)},
		{SECTION_EXTENTS, false, buf_bytes(&ts->extents)},
		{SECTION_DIGESTS, false, buf_bytes(&ts->digests)},
	};
	memcpy(out, sections, sizeof(sections));
}

void tree_sections_meta(const struct tree_sections *ts, struct disk_tree_meta *out)
{
	*out = ts->meta;
}

void tree_sections_free(struct tree_sections **tsp)
{
	struct tree_sections *ts = *tsp;
	if (!ts)
		return;
	free(ts->row_of);
	free(ts->nodes);
	free(ts->entries);
	free(ts->dir_ref);
	intern_fini(&ts->strings);
	intern_fini(&ts->owners);
	intern_fini(&ts->xattrs);
	buf_fini(&ts->inodes);
	buf_fini(&ts->dirents);
	buf_fini(&ts->extents);
	buf_fini(&ts->digests);
	free(ts);
	*tsp = NULL;
}
