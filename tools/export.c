/*
 * Two passes: the first lists all entries, so that it is known which files come and in which order,
 * and their bytes can be read ahead; the second writes. What is written is collected first, since
 * an archive of small files is mostly headers.
 */
#include "tools/export.h"

#include "index/tar_write.h"
#include "tools/interrupt.h"
#include "tools/look.h"
#include "tools/read_pipe.h"

#include <string.h>
#include <sys/stat.h>

#define COLLECT_LEN (1u << 20)
#define NO_PARENT   UINT32_MAX

struct entry {
	uint32_t row;
	uint32_t parent; /* entry; NO_PARENT for what was asked for */
	struct bytes name;
};

struct export
{
	const struct index *tree;
	const char *path;
	struct entry *entries;
	size_t n, cap;
	uint32_t *first; /* by row: 1 + the entry that has it first */
	uint32_t *files; /* rows whose bytes are written, in order */
	size_t n_files;
	struct read_pipe *pipe;
	size_t file; /* number of the next one */
	struct buf collected;
	struct export_output *out;
	struct diag *d;
};

/* --- listing --- */

/* The children of an entry onto the stack, the first one on top. */
static err_t push_children(struct export *x, uint32_t entry, struct entry **stack, size_t *n,
			   size_t *cap)
{
	struct listing listing;
	err_t err = listing_load(x->tree, x->entries[entry].row, true, &listing);
	for (uint32_t i = listing.n; i-- > 0 && !err;) {
		const struct dir_entry *child = &listing.entries[i];
		if (!try_grow(stack, *n, cap, sizeof(**stack)))
			err = -ENOMEM;
		else
			(*stack)[(*n)++] = (struct entry){child->row, entry, child->name};
	}
	listing_fini(&listing);
	return err;
}

static err_t list_all(struct export *x, uint32_t row)
{
	auto_free struct entry *stack = NULL;
	size_t n = 0, cap = 0;
	if (!try_grow(&stack, n, &cap, sizeof(*stack)))
		return -ENOMEM;
	stack[n++] = (struct entry){row, NO_PARENT, {0}};
	while (n) {
		struct entry e = stack[--n];
		struct inode inode;
		if (x->n == NO_PARENT || !try_grow(&x->entries, x->n, &x->cap, sizeof(e)))
			return -ENOMEM;
		x->entries[x->n++] = e;
		index_inode(x->tree, e.row, &inode);
		if (!x->first[e.row]) {
			x->first[e.row] = (uint32_t)x->n;
			if (S_ISREG(inode.mode))
				x->files[x->n_files++] = e.row;
		}
		err_t err = S_ISDIR(inode.mode)
				    ? push_children(x, (uint32_t)x->n - 1, &stack, &n, &cap)
				    : 0;
		if (err)
			return err;
	}
	return 0;
}

/* --- names --- */

/* bsdtar would take "a:" for the name of a drive, and pass it over. */
static bool looks_like_drive(struct bytes name)
{
	return name.n >= 2 && name.p[1] == ':';
}

/* The name of an entry in the archive, appended to an empty buffer. The root is "./". */
static err_t put_name(const struct export *x, uint32_t entry, struct buf *out)
{
	size_t depth = 0;
	struct bytes top = BYTES_STR(x->path + 1);
	err_t err = looks_like_drive(top) ? buf_append(out, "./", 2) : 0;
	if (!err)
		err = buf_append(out, top.p, top.n);
	for (uint32_t at = entry; x->entries[at].parent != NO_PARENT; at = x->entries[at].parent)
		depth++;
	auto_free uint32_t *chain = try_array(depth + 1, sizeof(*chain), UINT32_MAX);
	if (!chain)
		return -ENOMEM;
	uint32_t at = entry;
	for (size_t i = depth; i > 0; at = x->entries[at].parent)
		chain[--i] = at;
	for (size_t i = 0; i < depth && !err; i++) {
		struct bytes name = x->entries[chain[i]].name;
		if (!out->n && looks_like_drive(name))
			err = buf_append(out, ".", 1);
		if (!err && out->n)
			err = buf_append(out, "/", 1);
		if (!err)
			err = buf_append(out, name.p, name.n);
	}
	return err || out->n ? err : buf_append(out, "./", 2);
}

/* --- writing --- */

static err_t flush(struct export *x)
{
	err_t err = write_all(x->out->fd, x->collected.p, x->collected.n);
	x->collected.n = 0;
	x->out->error = err;
	return err;
}

/* What is large goes out as it is, behind what was collected. */
static err_t put(struct export *x, const void *p, size_t n)
{
	bool large = n > COLLECT_LEN / 2;
	err_t err = large || x->collected.n + n > COLLECT_LEN ? flush(x) : 0;
	if (!err && large)
		return x->out->error = write_all(x->out->fd, p, n);
	return err ? err : buf_append(&x->collected, p, n);
}

static err_t put_zeroes(struct export *x, size_t n)
{
	static const uint8_t zeroes[TAR_END_LEN];
	BUG_ON(n > sizeof(zeroes));
	return put(x, zeroes, n);
}

/* --- members --- */

/* What a run of data takes in the archive, whose units are larger than a byte. */
static struct tar_extent in_units(uint64_t off, uint64_t len, uint64_t size)
{
	uint64_t begin = off - off % TAR_HOLE_UNIT, end = off + len;
	end = end % TAR_HOLE_UNIT ? end - end % TAR_HOLE_UNIT + TAR_HOLE_UNIT : end;
	return (struct tar_extent){begin, min_of(end, size) - begin};
}

static err_t add_extent(struct tar_extent **extents, size_t *n, size_t *cap, struct tar_extent e)
{
	struct tar_extent *last = *n ? &(*extents)[*n - 1] : NULL;
	if (last && e.off <= last->off + last->len) {
		last->len = max_of(last->len, e.off + e.len - last->off);
		return 0;
	}
	if (!try_grow(extents, *n, cap, sizeof(**extents)))
		return -ENOMEM;
	(*extents)[(*n)++] = e;
	return 0;
}

/* Where a file has data; *stored the bytes of it. */
static err_t list_extents(const struct export *x, uint32_t row, uint64_t size,
			  struct tar_extent **extents, size_t *n, uint64_t *stored)
{
	size_t cap = 0;
	struct extent run;
	err_t err = 0;
	for (uint64_t off = 0; off < size && !err; off += run.len) {
		index_extent(x->tree, row, off, &run);
		run.len = min_of(run.len, size - off);
		if (!run.hole)
			err = add_extent(extents, n, &cap, in_units(off, run.len, size));
	}
	*stored = 0;
	for (size_t i = 0; i < *n; i++)
		*stored += (*extents)[i].len;
	return err;
}

static err_t list_xattrs(const struct export *x, uint32_t row, struct tar_xattr **xattrs, size_t *n)
{
	size_t cap = 0;
	struct xattr_cursor cursor;
	struct xattr_view view;
	index_xattrs(x->tree, row, &cursor);
	while (index_xattr_next(&cursor, &view)) {
		if (!try_grow(xattrs, *n, &cap, sizeof(**xattrs)))
			return -ENOMEM;
		(*xattrs)[(*n)++] = (struct tar_xattr){view.name, view.value};
	}
	return 0;
}

static enum tar_type type_of(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return TAR_DIRECTORY;
	case S_IFLNK:
		return TAR_SYMLINK;
	case S_IFCHR:
		return TAR_CHAR;
	case S_IFBLK:
		return TAR_BLOCK;
	case S_IFIFO:
		return TAR_FIFO;
	default:
		return TAR_REGULAR;
	}
}

static struct tar_entry member_of(const struct export *x, uint32_t row, const struct inode *inode,
				  struct bytes name)
{
	struct tar_entry e = {
		.type = type_of(inode->mode),
		.name = name,
		.mode = inode->mode & 07777,
		.uid = inode->uid,
		.gid = inode->gid,
		.mtime = inode->mtime,
		.mtime_ns = inode->mtime_ns,
		.dev_major = inode->rdev_major,
		.dev_minor = inode->rdev_minor,
	};
	if (e.type == TAR_SYMLINK)
		e.link = index_link_target(x->tree, row);
	return e;
}

static err_t put_header(struct export *x, const struct tar_entry *e)
{
	auto_buf struct buf header = {0};
	err_t err = tar_write_header(e, &header);
	return err ? err : put(x, header.p, header.n);
}

static err_t put_link(struct export *x, struct tar_entry *e, uint32_t first)
{
	auto_buf struct buf target = {0};
	err_t err = put_name(x, first, &target);
	e->type = TAR_HARDLINK;
	e->link = buf_bytes(&target);
	return err ? err : put_header(x, e);
}

/* Where the next byte of a file's data goes: the extent, and how much of it is there. */
struct place {
	size_t extent;
	uint64_t done;
};

/* Zeroes up to an offset of the file, as far as extents cover it. */
static err_t fill_to(struct export *x, const struct tar_entry *e, struct place *at, uint64_t off)
{
	err_t err = 0;
	while (!err && at->extent < e->n_extents) {
		const struct tar_extent *extent = &e->extents[at->extent];
		uint64_t end = min_of(extent->len, off > extent->off ? off - extent->off : 0);
		if (end > at->done)
			err = put_zeroes(x, (size_t)(end - at->done));
		at->done = max_of(at->done, end);
		if (at->done < extent->len)
			break;
		*at = (struct place){at->extent + 1, 0};
	}
	return err;
}

static err_t put_data(struct export *x, const struct tar_entry *e)
{
	struct read_piece piece = {0};
	struct place at = {0, 0};
	err_t err = 0;
	size_t file = x->file++;
	while (!err && read_pipe_take(x->pipe, file, &piece) && !piece.err) {
		err = fill_to(x, e, &at, piece.off);
		if (!err)
			err = put(x, piece.p, piece.n);
		at.done += piece.n;
	}
	if (!err && piece.err) {
		auto_free char *path = xasprintf("/%.*s", (int)e->name.n, (const char *)e->name.p);
		return read_pipe_fail(x->pipe, piece.err, path, x->d);
	}
	if (!err)
		err = fill_to(x, e, &at, UINT64_MAX);
	return err ? err : put_zeroes(x, tar_padding(e->data_len));
}

static err_t put_whole(struct export *x, uint32_t row, const struct inode *inode,
		       struct tar_entry *e)
{
	auto_free struct tar_extent *extents = NULL;
	auto_free struct tar_xattr *xattrs = NULL;
	err_t err = list_xattrs(x, row, &xattrs, &e->n_xattrs);
	e->xattrs = xattrs;
	if (!err && e->type == TAR_REGULAR) {
		err = list_extents(x, row, inode->size, &extents, &e->n_extents, &e->data_len);
		e->size = inode->size;
		e->extents = extents;
		e->sparse = e->data_len < e->size;
	}
	if (!err)
		err = put_header(x, e);
	return err || e->type != TAR_REGULAR ? err : put_data(x, e);
}

static err_t put_member(struct export *x, uint32_t entry)
{
	auto_buf struct buf name = {0};
	struct inode inode;
	uint32_t row = x->entries[entry].row, first = x->first[row] - 1;
	index_inode(x->tree, row, &inode);
	err_t err = put_name(x, entry, &name);
	if (err)
		return err;
	struct tar_entry e = member_of(x, row, &inode, buf_bytes(&name));
	return first == entry ? put_whole(x, row, &inode, &e) : put_link(x, &e, first);
}

static err_t write_archive(struct export *x)
{
	err_t err = 0;
	for (uint32_t i = 0; i < x->n && !err; i++)
		err = interrupt_signal() ? -EINTR : put_member(x, i);
	if (!err)
		err = put_zeroes(x, TAR_END_LEN);
	return err ? err : flush(x);
}

err_t export_tree(struct content *content, const struct index *tree, const char *path, uint32_t row,
		  struct export_output *out, struct progress *progress, struct diag *d)
{
	const struct index_info *info = index_info(tree);
	struct export x = {.tree = tree, .path = path, .out = out, .d = d};
	x.first = try_array(info->n_inodes, sizeof(*x.first), UINT32_MAX);
	x.files = try_array((size_t)info->n_regular + 1, sizeof(*x.files), UINT32_MAX);
	err_t err = x.first && x.files ? list_all(&x, row) : -ENOMEM;
	if (!err) {
		x.pipe = read_pipe_new(content, tree, x.files, x.n_files, progress);
		err = write_archive(&x);
		read_pipe_free(&x.pipe);
	}
	if (err == -ENOMEM)
		(void)fail(d, ERR_OTHER, err, "out of memory");
	buf_fini(&x.collected);
	free(x.entries);
	free(x.first);
	free(x.files);
	return err;
}
