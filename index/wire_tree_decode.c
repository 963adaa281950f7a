/*
 * A tree on its way in. The walk of the encoder is repeated with the columns saying what it meets;
 * every number is checked before it is used, names must ascend, so none comes twice, and at the end
 * each column must be used up: there is one way to read the bytes or none.
 */
#include "index/wire_tree_priv.h"

#include <sys/stat.h>

struct attributes {
	uint32_t mode, flags, uid, gid, xattrs;
};

struct time_record {
	int64_t seconds;
	uint32_t nanoseconds;
};

struct open_dir {
	uint32_t node;
	uint64_t left; /* names that are still to come */
	struct bytes last;
};

struct decoder {
	struct tree *tree;
	bool image;
	uint32_t n_layers;
	struct bytes columns[WIRE_COLUMNS];
	struct buf attributes; /* struct attributes, by number */
	struct buf times;      /* struct time_record, by number */
	struct buf sets;       /* uint32_t: the tree's sets by number - 1 */
	int64_t seconds;       /* of the last time record */
	struct wire_places places;
	struct open_dir dirs[FORMAT_DEPTH_MAX + 1];
	size_t depth;
	struct diag *d;
};

/* lies - what is wrong with the form. */
#define lies(t, ...) fail((t)->d, ERR_INTEGRITY, -EBADMSG, __VA_ARGS__)

static const char *const column_names[WIRE_COLUMNS] = {
	[COLUMN_COUNTS] = "COUNTS",	  [COLUMN_NAMES] = "NAMES",
	[COLUMN_KINDS] = "KINDS",	  [COLUMN_ATTRIBUTES] = "ATTRIBUTES",
	[COLUMN_XATTRS] = "XATTRS",	  [COLUMN_TIMES] = "TIMES",
	[COLUMN_SECONDS] = "SECONDS",	  [COLUMN_NANOSECONDS] = "NANOSECONDS",
	[COLUMN_SIZES_LOW] = "SIZES_LOW", [COLUMN_SIZES_HIGH] = "SIZES_HIGH",
	[COLUMN_LAYERS] = "LAYERS",	  [COLUMN_PLACES] = "PLACES",
	[COLUMN_EXTENTS] = "EXTENTS",	  [COLUMN_TARGETS] = "TARGETS",
	[COLUMN_DEVICES] = "DEVICES",	  [COLUMN_LINKS] = "LINKS",
};

/* A number of at most `max`. */
static err_t get(struct decoder *t, enum wire_column column, uint64_t max, uint64_t *v)
{
	if (varint_take(&t->columns[column], v))
		return lies(t, "column %s is cut", column_names[column]);
	return *v <= max
		       ? 0
		       : lies(t, "column %s: %llu where at most %llu can be", column_names[column],
			      (unsigned long long)*v, (unsigned long long)max);
}

static err_t get_u32(struct decoder *t, enum wire_column column, uint32_t *v)
{
	uint64_t wide;
	err_t err = get(t, column, UINT32_MAX, &wide);
	*v = err ? 0 : (uint32_t)wide;
	return err;
}

static err_t get_bytes(struct decoder *t, enum wire_column column, size_t n, struct bytes *out)
{
	struct bytes *b = &t->columns[column];
	if (b->n < n)
		return lies(t, "column %s is cut", column_names[column]);
	*out = (struct bytes){b->p, n};
	b->p += n;
	b->n -= n;
	return 0;
}

/* Bytes up to a NUL, which is taken, too: 1 to max. */
static err_t get_text(struct decoder *t, enum wire_column column, size_t max, struct bytes *out)
{
	struct bytes *b = &t->columns[column], nul;
	const uint8_t *end = b->n ? memchr(b->p, 0, min_of(b->n, max + 1)) : NULL;
	if (!end || end == b->p)
		return lies(t, "column %s: a text of 0 or more than %zu bytes, or cut",
			    column_names[column], max);
	err_t err = get_bytes(t, column, (size_t)(end - b->p), out);
	return err ? err : get_bytes(t, column, 1, &nul);
}

static err_t get_xattr(struct decoder *t, struct tar_xattr *x)
{
	uint64_t n;
	err_t err = get(t, COLUMN_XATTRS, 255, &n);
	if (!err)
		err = get_bytes(t, COLUMN_XATTRS, n, &x->name);
	if (!err)
		err = get(t, COLUMN_XATTRS, TAR_XATTR_VALUE_MAX, &n);
	if (!err)
		err = get_bytes(t, COLUMN_XATTRS, n, &x->value);
	if (!err && (x->name.n == 0 || memchr(x->name.p, 0, x->name.n)))
		return lies(t, "a name of an xattr");
	return err;
}

/* A set of xattrs in the order of their names. */
static err_t get_new_set(struct decoder *t, uint32_t *out)
{
	uint64_t n;
	err_t err = get(t, COLUMN_XATTRS,
			min_of((size_t)TAR_XATTRS_MAX, t->columns[COLUMN_XATTRS].n), &n);
	if (err)
		return err;
	if (n == 0)
		return lies(t, "an empty set of xattrs");
	auto_free struct tar_xattr *xattrs = try_array(n, sizeof(*xattrs), TAR_XATTRS_MAX);
	if (!xattrs)
		return -ENOMEM;
	for (uint64_t i = 0; i < n; i++) {
		err = get_xattr(t, &xattrs[i]);
		if (err)
			return err;
		if (i && bytes_compare(xattrs[i - 1].name, xattrs[i].name) >= 0)
			return lies(t, "xattrs out of order");
	}
	err = tree_xattrs_add(t->tree, xattrs, n, out);
	if (err == -EBADMSG)
		return lies(t, "more xattrs than a file can have");
	return err ? err : buf_append(&t->sets, out, sizeof(*out));
}

/* The tree's set for a number: 0 none, a known one, or the next. */
static err_t get_set(struct decoder *t, uint32_t *out)
{
	uint64_t number, n_sets = t->sets.n / sizeof(*out);
	err_t err = get(t, COLUMN_ATTRIBUTES, n_sets + 1, &number);
	*out = 0;
	if (err || number == 0)
		return err;
	if (number == n_sets + 1)
		return get_new_set(t, out);
	memcpy(out, t->sets.p + (number - 1) * sizeof(*out), sizeof(*out));
	return 0;
}

/* I14, I15 of FORMAT.md, and that what is no inode has no xattrs. */
static bool attributes_fit(const struct decoder *t, const struct attributes *a)
{
	if (a->mode > UINT16_MAX)
		return false;
	if (a->mode == 0)
		return !t->image && !a->xattrs &&
		       (a->flags == INODE_WHITEOUT || a->flags == INODE_LOWER_LINK);
	if (S_ISDIR(a->mode))
		return (a->flags & ~(uint32_t)(INODE_OPAQUE | INODE_IMPLIED)) == 0 &&
		       !(t->image && a->flags);
	if (S_ISREG(a->mode))
		return (a->flags & ~(uint32_t)INODE_SPARSE) == 0;
	return a->flags == 0 &&
	       (S_ISLNK(a->mode) || S_ISCHR(a->mode) || S_ISBLK(a->mode) || S_ISFIFO(a->mode));
}

static err_t get_new_attributes(struct decoder *t, struct attributes *a)
{
	err_t err = get_u32(t, COLUMN_ATTRIBUTES, &a->mode);
	if (!err)
		err = get_u32(t, COLUMN_ATTRIBUTES, &a->flags);
	if (!err)
		err = get_u32(t, COLUMN_ATTRIBUTES, &a->uid);
	if (!err)
		err = get_u32(t, COLUMN_ATTRIBUTES, &a->gid);
	if (!err)
		err = get_set(t, &a->xattrs);
	if (err)
		return err;
	if (!attributes_fit(t, a))
		return lies(t, "mode %o with flags %x", a->mode, a->flags);
	return buf_append(&t->attributes, a, sizeof(*a));
}

/* KINDS' next number: the attributes of a new inode, or *link for another name of an old one. */
static err_t get_kind(struct decoder *t, struct attributes *a, bool *link)
{
	uint64_t n_records = t->attributes.n / sizeof(*a), kind;
	err_t err = get(t, COLUMN_KINDS, n_records + KIND_RECORDS - 1, &kind);
	*link = !err && kind == KIND_LINK;
	if (err || *link)
		return err;
	if (kind == KIND_NEW)
		return get_new_attributes(t, a);
	memcpy(a, t->attributes.p + (kind - KIND_RECORDS) * sizeof(*a), sizeof(*a));
	return 0;
}

static err_t get_time(struct decoder *t, struct tree_node *node)
{
	struct time_record r = {0};
	uint64_t n_records = t->times.n / sizeof(r), number, step, nanoseconds;
	err_t err = get(t, COLUMN_TIMES, n_records + TIME_RECORDS - 1, &number);
	if (err)
		return err;
	if (number == TIME_NEW) {
		err = get(t, COLUMN_SECONDS, FORMAT_TIME_BIAS * 4, &step);
		if (!err)
			err = get(t, COLUMN_NANOSECONDS, 999999999, &nanoseconds);
		if (err)
			return err;
		t->seconds += (int64_t)zigzag_to(step);
		if (t->seconds < -FORMAT_TIME_BIAS || t->seconds >= FORMAT_TIME_BIAS)
			return lies(t, "a time outside 34 bits");
		r = (struct time_record){t->seconds, (uint32_t)nanoseconds};
		err = buf_append(&t->times, &r, sizeof(r));
	} else {
		memcpy(&r, t->times.p + (number - TIME_RECORDS) * sizeof(r), sizeof(r));
	}
	node->mtime = r.seconds;
	node->mtime_ns = r.nanoseconds;
	return err;
}

/* Where a file's bytes begin; they take `span` bytes of the stream, known or 0. */
static err_t get_place(struct decoder *t, uint64_t span, uint32_t *layer, uint64_t *off)
{
	uint64_t number, place;
	err_t err = get(t, COLUMN_LAYERS, INDEX_LAYERS_MAX, &number);
	if (!err)
		err = get(t, COLUMN_PLACES, UINT64_MAX, &place);
	if (err)
		return err;
	if (number >= t->n_layers)
		return lies(t, "bytes in layer %llu of %u", (unsigned long long)number,
			    t->n_layers);
	*layer = (uint32_t)number;
	*off = wire_places_predict(&t->places, *layer) +
	       zigzag_to(place >> 1) * (place & 1 ? 1 : TAR_BLOCK);
	if (*off > STREAM_MAX || span > STREAM_MAX - *off)
		return lies(t, "bytes outside any stream");
	return 0;
}

static err_t get_extent(struct decoder *t, const struct tree_node *node, uint64_t *end, bool first,
			struct tree_extent *x)
{
	uint64_t gap, step = 0;
	err_t err = get(t, COLUMN_EXTENTS, node->size - *end, &gap);
	if (!err)
		err = get(t, COLUMN_EXTENTS, node->size - *end - gap, &x->len);
	if (!err && !first)
		err = get(t, COLUMN_EXTENTS, UINT64_MAX, &step);
	if (err)
		return err;
	if (x->len == 0)
		return lies(t, "an empty extent");
	x->off = *end + gap;
	*end = x->off + x->len;
	x->stream_off = zigzag_to(step); /* from the end of the one before */
	return 0;
}

static err_t get_extents(struct decoder *t, struct tree_node *node)
{
	uint64_t n, end = 0, data;
	node->extents = NULL;
	node->n_extents = 0;
	if (node->size > INT64_MAX)
		return lies(t, "a sparse file of %llu bytes", (unsigned long long)node->size);
	/* Each takes two bytes at least. */
	err_t err = get(t, COLUMN_EXTENTS, t->columns[COLUMN_EXTENTS].n / 2, &n);
	if (err || n == 0)
		return err;
	struct tree_extent *x = tree_extents(t->tree, n);
	if (!x)
		return -ENOMEM;
	err = get_place(t, 0, &node->layer, &data);
	for (uint64_t i = 0; i < n && !err; i++) {
		err = get_extent(t, node, &end, i == 0, &x[i]);
		if (err)
			return err;
		x[i].stream_off += data;
		if (x[i].stream_off > STREAM_MAX || x[i].len > STREAM_MAX - x[i].stream_off)
			return lies(t, "an extent outside any stream");
		data = x[i].stream_off + x[i].len;
	}
	wire_places_note(&t->places, node->layer, data);
	node->extents = x;
	node->n_extents = (uint32_t)n;
	return err;
}

static err_t get_regular(struct decoder *t, struct tree_node *node)
{
	struct bytes low = {0};
	uint64_t high = 0;
	err_t err = get_bytes(t, COLUMN_SIZES_LOW, 1, &low);
	if (!err)
		err = get(t, COLUMN_SIZES_HIGH, UINT64_MAX >> 8, &high);
	if (err)
		return err;
	node->size = high << 8 | low.p[0];
	if (node->flags & INODE_SPARSE)
		return get_extents(t, node);
	if (node->size == 0)
		return 0;
	err = get_place(t, node->size, &node->layer, &node->stream_off);
	if (!err)
		wire_places_note(&t->places, node->layer, node->stream_off + node->size);
	return err;
}

static err_t get_device(struct decoder *t, struct tree_node *node)
{
	uint32_t major, minor;
	err_t err = get_u32(t, COLUMN_DEVICES, &major);
	if (!err)
		err = get_u32(t, COLUMN_DEVICES, &minor);
	if (err)
		return err;
	node->size = (uint64_t)major << 32 | minor;
	if (t->image && S_ISCHR(node->mode) && node->size == 0)
		return lies(t, "a character device 0:0 in an image");
	return 0;
}

/* What an inode of its type has; directories come later. */
static err_t get_content(struct decoder *t, struct tree_node *node)
{
	if (S_ISREG(node->mode))
		return get_regular(t, node);
	if (S_ISCHR(node->mode) || S_ISBLK(node->mode))
		return get_device(t, node);
	if (!S_ISLNK(node->mode) && !(node->flags & INODE_LOWER_LINK))
		return 0;
	return get_text(t, COLUMN_TARGETS, FORMAT_TARGET_MAX, &node->target);
}

static err_t open_dir(struct decoder *t, uint32_t node)
{
	uint64_t left;
	err_t err = get(t, COLUMN_COUNTS, FORMAT_DIRENTS_MAX, &left);
	if (err)
		return err;
	BUG_ON(t->depth > FORMAT_DEPTH_MAX); /* tree_link has refused what is deeper */
	t->dirs[t->depth++] = (struct open_dir){.node = node, .left = left};
	return 0;
}

static err_t get_inode(struct decoder *t, const struct attributes *a, struct tree_node *node)
{
	*node = (struct tree_node){.mode = a->mode,
				   .flags = a->flags,
				   .uid = a->uid,
				   .gid = a->gid,
				   .xattrs = a->xattrs};
	t->places.headers += !(a->flags & INODE_IMPLIED);
	err_t err = get_time(t, node);
	return err ? err : get_content(t, node);
}

static err_t get_root(struct decoder *t)
{
	struct attributes a;
	struct tree_node node, *root;
	bool link;
	err_t err = get_kind(t, &a, &link);
	if (err)
		return err;
	if (link || !S_ISDIR(a.mode))
		return lies(t, "the root is no directory");
	err = get_inode(t, &a, &node);
	if (err)
		return err;
	root = tree_node(t->tree, 0);
	root->mode = node.mode;
	root->flags = node.flags;
	root->uid = node.uid;
	root->gid = node.gid;
	root->mtime = node.mtime;
	root->mtime_ns = node.mtime_ns;
	root->xattrs = node.xattrs;
	return open_dir(t, 0);
}

static err_t get_name(struct decoder *t, struct open_dir *dir, struct bytes *name)
{
	err_t err = get_text(t, COLUMN_NAMES, INDEX_NAME_MAX, name);
	if (err)
		return err;
	if (memchr(name->p, '/', name->n) || bytes_equal_str(*name, ".") ||
	    bytes_equal_str(*name, ".."))
		return lies(t, "a name that no file can have");
	if (dir->last.n && bytes_compare(dir->last, *name) >= 0)
		return lies(t, "names out of order");
	dir->last = *name;
	return 0;
}

/* The node of an earlier inode: numbers of the walk are those of the tree. */
static err_t get_link(struct decoder *t, uint32_t *node)
{
	uint64_t back;
	uint32_t n = tree_node_count(t->tree);
	err_t err = get(t, COLUMN_LINKS, n, &back);
	if (err)
		return err;
	if (back == 0 || S_ISDIR(tree_node(t->tree, n - (uint32_t)back)->mode))
		return lies(t, "a hard link to itself or to a directory");
	*node = n - (uint32_t)back;
	t->places.headers++;
	return 0;
}

static err_t get_entry(struct decoder *t, struct open_dir *dir)
{
	struct bytes name;
	struct attributes a;
	uint32_t number;
	bool link;
	err_t err = get_name(t, dir, &name);
	if (!err)
		err = get_kind(t, &a, &link);
	if (!err && link) {
		err = get_link(t, &number);
		return err ? err : tree_link(t->tree, dir->node, name, number);
	}
	struct tree_node node;
	if (!err)
		err = get_inode(t, &a, &node);
	if (!err)
		err = tree_add_node(t->tree, &node, &number);
	if (err)
		return err;
	err = tree_link(t->tree, dir->node, name, number);
	if (err == -EBADMSG)
		return lies(t, "more than %u directories deep", FORMAT_DEPTH_MAX);
	return err || !S_ISDIR(a.mode) ? err : open_dir(t, number);
}

static err_t walk(struct decoder *t)
{
	err_t err = get_root(t);
	while (!err && t->depth) {
		struct open_dir *dir = &t->dirs[t->depth - 1];
		if (dir->left == 0) {
			t->depth--;
			continue;
		}
		dir->left--;
		err = get_entry(t, dir);
	}
	for (size_t i = 0; i < WIRE_COLUMNS && !err; i++)
		if (t->columns[i].n)
			err = lies(t, "column %s has %zu bytes too many", column_names[i],
				   t->columns[i].n);
	return err;
}

/* An upper bound for names: each has one number in KINDS, and one byte and a NUL in NAMES. */
static size_t names_max(const struct decoder *t)
{
	return min_of(t->columns[COLUMN_KINDS].n, t->columns[COLUMN_NAMES].n / 2);
}

static err_t decode(struct decoder *t, struct bytes in)
{
	auto_buf struct buf raw = {0};
	err_t err = columns_unpack(in, WIRE_COLUMNS, WIRE_TREE_RAW_MAX, &raw, t->columns, t->d);
	if (err)
		return err;
	/* Names ascend in each directory, and stay where they are. */
	t->tree = tree_new_unique(names_max(t));
	tree_keep(t->tree, &raw);
	return walk(t);
}

err_t wire_tree_decode(struct bytes in, bool image, uint32_t n_layers, struct tree **out,
		       struct diag *d)
{
	if (n_layers > INDEX_LAYERS_MAX)
		return fail(d, ERR_UNSUPPORTED, -ENOTSUP, "%u layers; %u is the most", n_layers,
			    INDEX_LAYERS_MAX);
	struct diag why = DIAG_INIT;
	struct decoder *t = new_of(struct decoder);
	*t = (struct decoder){.image = image, .n_layers = n_layers, .d = &why};
	err_t err = decode(t, in);
	if (!err)
		*out = take(&t->tree);
	tree_free(&t->tree);
	buf_fini(&t->attributes);
	buf_fini(&t->times);
	buf_fini(&t->sets);
	free(t);
	if (err && why.text[0])
		return fail(d, why.cls, err, "the tree: %s", why.text);
	if (err == -E2BIG)
		return fail(d, ERR_UNSUPPORTED, err, "the tree: more files than an index can have");
	return err ? fail_sys(d, ERR_OTHER, err, "the tree") : 0;
}
