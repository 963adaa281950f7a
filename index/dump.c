/*
 * The text form: a header, one line for each entry in the order of paths, and for a layer one line
 * for each chunk. It shows everything that the tree and the chunk table say, and nothing that
 * depends on the order of rows.
 */
#include "index/dump.h"

#include "index/index_priv.h"

#include <inttypes.h>
#include <sys/stat.h>

struct dump {
	const struct index *ix;
	FILE *out;
};

/* Printable ASCII stands for itself; all other bytes, space and backslash are \xHH. */
static void put_bytes(FILE *out, struct bytes b)
{
	for (size_t i = 0; i < b.n; i++) {
		if (b.p[i] > 0x20 && b.p[i] < 0x7f && b.p[i] != '\\')
			fputc(b.p[i], out);
		else
			fprintf(out, "\\x%02x", b.p[i]);
	}
}

static void put_hex(FILE *out, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%02x", p[i]);
}

static const char *type_name(uint32_t mode, uint32_t flags)
{
	if (flags & INODE_WHITEOUT)
		return "whiteout";
	if (flags & INODE_LOWER_LINK)
		return "lower-link";
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "dir";
	case S_IFREG:
		return "file";
	case S_IFLNK:
		return "symlink";
	case S_IFCHR:
		return "char";
	case S_IFBLK:
		return "block";
	default:
		return "fifo";
	}
}

static void put_extents(struct dump *d, uint32_t row, uint64_t size)
{
	for (uint64_t off = 0; off < size;) {
		struct extent x;
		index_extent(d->ix, row, off, &x);
		if (x.hole)
			fprintf(d->out, " hole=%" PRIu64 "+%" PRIu64, off, x.len);
		else
			fprintf(d->out, " data=%" PRIu64 "+%" PRIu64 "@%u:%" PRIu64, off, x.len,
				x.layer, x.stream_off);
		off += x.len;
	}
}

static void put_file(struct dump *d, uint32_t row, const struct inode *inode)
{
	fprintf(d->out, " size=%" PRIu64, inode->size);
	put_extents(d, row, inode->size);
	const uint8_t *digest = index_file_digest(d->ix, row);
	if (digest) {
		fputs(" sha256=", d->out);
		put_hex(d->out, digest, SHA256_LEN);
	}
}

static void put_xattrs(struct dump *d, uint32_t row)
{
	struct xattr_cursor cursor;
	struct xattr_view v;
	index_xattrs(d->ix, row, &cursor);
	while (index_xattr_next(&cursor, &v)) {
		fputs(" xattr:", d->out);
		put_bytes(d->out, v.name);
		fputc('=', d->out);
		put_hex(d->out, v.value.p, v.value.n);
	}
}

static void put_entry(struct dump *d, struct bytes path, uint32_t row)
{
	struct inode inode;
	index_inode(d->ix, row, &inode);
	if (path.n)
		put_bytes(d->out, path);
	else
		fputc('/', d->out);
	fprintf(d->out, " %s", type_name(inode.mode, inode.flags));
	if (!(inode.flags & INODE_WHITEOUT))
		fprintf(d->out, " %04o %u:%u %" PRId64 ".%09u", inode.mode & 07777, inode.uid,
			inode.gid, inode.mtime, inode.mtime_ns);
	if (inode.flags & INODE_OPAQUE)
		fputs(" opaque", d->out);
	if (inode.flags & INODE_IMPLIED)
		fputs(" implied", d->out);
	if (!S_ISDIR(inode.mode) && inode.nlink > 1)
		fprintf(d->out, " nlink=%u", inode.nlink);
	if (S_ISREG(inode.mode))
		put_file(d, row, &inode);
	if (S_ISCHR(inode.mode) || S_ISBLK(inode.mode))
		fprintf(d->out, " device=%u:%u", inode.rdev_major, inode.rdev_minor);
	if (S_ISLNK(inode.mode) || (inode.flags & INODE_LOWER_LINK)) {
		fputs(" target=", d->out);
		put_bytes(d->out, index_link_target(d->ix, row));
	}
	put_xattrs(d, row);
	fputc('\n', d->out);
}

/* A name that is still to be written: its place in the path and its row. */
struct pending {
	struct bytes name;
	uint32_t row;
	size_t parent_len;
};

static int name_order_reversed(const void *a, const void *b)
{
	return bytes_compare(((const struct pending *)b)->name, ((const struct pending *)a)->name);
}

static err_t push_children(struct dump *d, uint32_t dir, size_t path_len, struct buf *stack)
{
	size_t first = stack->n;
	for (uint32_t i = 0; i < index_dir_count(d->ix, dir); i++) {
		struct dir_entry e;
		index_dir_entry(d->ix, dir, i, &e);
		struct pending p = {e.name, e.row, path_len};
		err_t err = buf_append(stack, &p, sizeof(p));
		if (err)
			return err;
	}
	if (stack->n > first)
		qsort(stack->p + first, (stack->n - first) / sizeof(struct pending),
		      sizeof(struct pending), name_order_reversed);
	return 0;
}

static err_t dump_tree(struct dump *d)
{
	auto_buf struct buf stack = {0}, path = {0};
	put_entry(d, (struct bytes){NULL, 0}, 0);
	err_t err = push_children(d, 0, 0, &stack);
	while (!err && stack.n) {
		struct pending p;
		stack.n -= sizeof(p);
		memcpy(&p, stack.p + stack.n, sizeof(p));
		path.n = p.parent_len;
		err = buf_append(&path, "/", 1);
		if (!err)
			err = buf_append(&path, p.name.p, p.name.n);
		if (err)
			break;
		put_entry(d, buf_bytes(&path), p.row);
		if (row_is_dir(d->ix, p.row))
			err = push_children(d, p.row, path.n, &stack);
	}
	return err;
}

static err_t dump_chunk(struct dump *d, uint32_t i)
{
	static const char *const codecs[] = {"stored", "gzip", "zstd", "zstd-inner"};
	static const char *const starts[] = {"member", "block", "inside", "stored"};
	struct chunk c;
	index_chunk(d->ix, i, &c);
	fprintf(d->out, "chunk %u stream=%" PRIu64 "+%u blob=%" PRIu64 "+%" PRIu64 " %s", i,
		c.stream_off, c.stream_len, c.blob_off, c.blob_len, codecs[c.codec]);
	if (c.codec == CHUNK_GZIP)
		fprintf(d->out, " %s bit=%u", starts[c.start], c.bit);
	if (c.start == START_INSIDE)
		fprintf(d->out, " header-bits=%u skip=%u final=%u", c.header_bits, c.skip,
			c.final_block);
	if (c.start == START_STORED)
		fprintf(d->out, " left=%u final=%u", c.stored_left, c.final_block);
	fprintf(d->out, " xxh3=%016" PRIx64 " sha256=", c.xxh3);
	put_hex(d->out, c.sha256, SHA256_LEN);
	if (c.window_len) {
		auto_buf struct buf window = {0};
		err_t err = index_chunk_window(d->ix, &c, &window);
		if (err)
			return err;
		struct digest digest;
		digest_of(DIGEST_SHA256, window.p, window.n, &digest);
		fprintf(d->out, " window=%u:", c.window_len);
		put_hex(d->out, digest.b, 8);
	}
	fputc('\n', d->out);
	return 0;
}

static void dump_layer_head(struct dump *d)
{
	const struct index_info *info = index_info(d->ix);
	char blob[DIGEST_TEXT_MAX], diff[DIGEST_TEXT_MAX];
	fprintf(d->out,
		"imgfs-index %u layer\nblob %s size=%" PRIu64 " codec=%s\nstream %s size=%" PRIu64
		" chunks=%u target=%u\n",
		FORMAT_VERSION, digest_text(&info->blob_digest, blob), info->blob_size,
		blob_codec_name(info->codec), digest_text(&info->diff_id, diff), info->stream_size,
		info->n_chunks, info->chunk_target);
}

static void dump_image_head(struct dump *d)
{
	const struct index_info *info = index_info(d->ix);
	char text[DIGEST_TEXT_MAX];
	fprintf(d->out, "imgfs-index %u image\nkey %s\n", FORMAT_VERSION,
		digest_text(&info->image_key, text));
	for (uint32_t i = 0; i < info->n_layers; i++) {
		struct index_layer l;
		index_layer(d->ix, i, &l);
		fprintf(d->out, "layer %u %s size=%" PRIu64 " stream=%" PRIu64 "\n", i,
			digest_text(&l.blob_digest, text), l.blob_size, l.stream_size);
	}
}

err_t index_dump(const struct index *ix, FILE *out)
{
	struct dump d = {ix, out};
	const struct index_info *info = index_info(ix);
	if (info->kind == INDEX_LAYER)
		dump_layer_head(&d);
	else
		dump_image_head(&d);
	fprintf(out,
		"rows %u directories=%u files=%u names=%" PRIu64 " bytes=%" PRIu64 " flags=%x\n",
		info->n_inodes, info->n_dirs, info->n_regular, info->n_dirents, info->files_size,
		info->flags);
	err_t err = dump_tree(&d);
	for (uint32_t i = 0; i < info->n_chunks && !err; i++)
		err = dump_chunk(&d, i);
	return err ? err : ferror(out) ? -EIO : 0;
}
