/*
 * The text of a profile: a head line, then one line a range. Files are named by path and not by
 * row, so a profile outlives the tree it was recorded with.
 */
#include "index/profile.h"

#include "index/wire_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define HEAD	       "imgfs-profile 1\n"
#define PATH_BYTES_MAX 65536 /* of a line's path, escapes resolved */
#define PATH_DEPTH_MAX 1024  /* deeper files get no line */

void profile_fini(struct profile *p)
{
	free(p->ranges);
	*p = (struct profile){0};
}

/* --- writing --- */

/* A name of a row, and the directory that it stands in. */
struct place {
	uint32_t row, dir;
	struct bytes name; /* borrowed from the tree */
};

struct names {
	const struct index *tree;
	struct place *files; /* by row, each once */
	size_t n_files;
	struct place *dirs; /* by row */
};

static int by_row(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	return (x->row > y->row) - (x->row < y->row);
}

static struct place *file_place(const struct names *names, uint32_t row)
{
	const struct place key = {.row = row};
	return bsearch(&key, names->files, names->n_files, sizeof(key), by_row);
}

/* The files of the profile, without a place yet. */
static void collect_files(struct names *names, const struct profile *p)
{
	for (size_t i = 0; i < p->n; i++)
		names->files[i].row = p->ranges[i].row;
	qsort(names->files, p->n, sizeof(*names->files), by_row);
	for (size_t i = 0; i < p->n; i++)
		if (i == 0 || names->files[i].row != names->files[names->n_files - 1].row)
			names->files[names->n_files++] = names->files[i];
}

static void find_places(struct names *names)
{
	const struct index_info *info = index_info(names->tree);
	for (uint32_t dir = 0; dir < info->n_dirs; dir++) {
		uint32_t n = index_dir_count(names->tree, dir);
		for (uint32_t i = 0; i < n; i++) {
			struct dir_entry e;
			index_dir_entry(names->tree, dir, i, &e);
			struct place *place = e.row < info->n_dirs ? &names->dirs[e.row]
								   : file_place(names, e.row);
			if (place && !place->name.n)
				*place = (struct place){e.row, dir, e.name};
		}
	}
}

static err_t append_escaped(struct buf *text, struct bytes b)
{
	err_t err = 0;
	for (size_t i = 0; i < b.n && !err; i++) {
		char hex[5];
		bool plain = b.p[i] > 0x20 && b.p[i] != 0x7f && b.p[i] != '\\';
		snprintf(hex, sizeof(hex), "\\x%02x", b.p[i]);
		err = plain ? buf_append(text, &b.p[i], 1) : buf_append(text, hex, 4);
	}
	return err;
}

static err_t append_path(const struct names *names, const struct place *file, struct buf *text)
{
	const struct place *up[PATH_DEPTH_MAX]; /* from the file to the root */
	size_t depth = 0, n = 0;
	for (const struct place *at = file;; at = &names->dirs[at->dir]) {
		n += at->name.n + 1;
		if (depth == ARRAY_LEN(up) || n > PATH_BYTES_MAX)
			return -E2BIG;
		up[depth++] = at;
		if (at->dir == 0)
			break;
	}
	err_t err = 0;
	while (depth-- && !err) {
		err = buf_append(text, "/", 1);
		if (!err)
			err = append_escaped(text, up[depth]->name);
	}
	return err;
}

static err_t append_range(const struct names *names, const struct profile_range *r,
			  struct buf *text)
{
	char head[48];
	const struct place *file = file_place(names, r->row);
	size_t before = text->n;
	BUG_ON(!file || !file->name.n); /* every row of a proved tree has a name */
	int n = snprintf(head, sizeof(head), "%" PRIu64 " %" PRIu64 " ", r->off, r->len);
	err_t err = buf_append(text, head, (size_t)n);
	if (!err)
		err = append_path(names, file, text);
	if (err == -E2BIG) {
		text->n = before;
		return 0;
	}
	return err ? err : buf_append(text, "\n", 1);
}

err_t profile_write(const struct index *tree, const struct profile *p, struct buf *text)
{
	struct names names = {.tree = tree};
	names.files = try_array(max_of(p->n, (size_t)1), sizeof(*names.files), PROFILE_RANGES_MAX);
	names.dirs = try_array(index_info(tree)->n_dirs, sizeof(*names.dirs), SIZE_MAX);
	err_t err = names.files && names.dirs ? buf_append(text, HEAD, strlen(HEAD)) : -ENOMEM;
	if (!err) {
		collect_files(&names, p);
		find_places(&names);
	}
	for (size_t i = 0; i < p->n && !err; i++)
		err = append_range(&names, &p->ranges[i], text);
	free(names.files);
	free(names.dirs);
	return err;
}

/* --- reading --- */

/* A decimal number and the space behind it. */
static bool take_number(struct bytes *line, uint64_t *out)
{
	size_t i = 0;
	*out = 0;
	for (; i < line->n && line->p[i] >= '0' && line->p[i] <= '9'; i++)
		if (__builtin_mul_overflow(*out, 10, out) ||
		    !add_u64(*out, (uint64_t)(line->p[i] - '0'), out))
			return false;
	if (i == 0 || i == line->n || line->p[i] != ' ')
		return false;
	*line = (struct bytes){line->p + i + 1, line->n - i - 1};
	return true;
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Absolute, with \xHH for bytes that would break a line. */
static err_t take_path(struct bytes line, struct buf *path)
{
	err_t err = line.n && line.p[0] == '/' ? 0 : -EBADMSG;
	for (size_t i = 0; i < line.n && !err; i++) {
		uint8_t byte = line.p[i];
		if (byte == '\\') {
			int high = i + 3 < line.n && line.p[i + 1] == 'x' ? hex_digit(line.p[i + 2])
									  : -1;
			int low = high < 0 ? -1 : hex_digit(line.p[i + 3]);
			if (low < 0)
				return -EBADMSG;
			byte = (uint8_t)(high << 4 | low);
			i += 3;
		}
		err = buf_append(path, &byte, 1);
	}
	return err;
}

/* What the tree has of a range: false for nothing. */
static bool find_range(const struct index *tree, struct bytes path, struct profile_range *r)
{
	struct inode inode;
	if (index_path(tree, path, false, &r->row))
		return false;
	index_inode(tree, r->row, &inode);
	if (!S_ISREG(inode.mode) || r->off >= inode.size)
		return false;
	r->len = min_of(r->len, inode.size - r->off);
	return true;
}

static err_t read_line(const struct index *tree, struct bytes line, struct profile *out)
{
	struct profile_range r = {0};
	auto_buf struct buf path = {.limit = PATH_BYTES_MAX};
	if (!take_number(&line, &r.off) || !take_number(&line, &r.len) || r.len == 0)
		return -EBADMSG;
	err_t err = take_path(line, &path);
	if (err)
		return err == -E2BIG ? -EBADMSG : err;
	if (tree && find_range(tree, buf_bytes(&path), &r))
		out->ranges[out->n++] = r;
	return 0;
}

/* *number is that of the line read last. */
static err_t read_lines(const struct index *tree, struct bytes text, struct profile *out,
			size_t *number)
{
	err_t err = 0;
	for (*number = 1; text.n && !err; ++*number) {
		const uint8_t *end = memchr(text.p, '\n', text.n);
		if (!end || *number > PROFILE_RANGES_MAX) {
			++*number;
			return -EBADMSG;
		}
		struct bytes line = {text.p, (size_t)(end - text.p)};
		err = read_line(tree, line, out);
		text = (struct bytes){end + 1, text.n - line.n - 1};
	}
	return err;
}

err_t profile_read(const struct index *tree, struct bytes text, struct profile *out, struct diag *d)
{
	size_t head = strlen(HEAD), number;
	*out = (struct profile){0};
	if (text.n < head || memcmp(text.p, HEAD, head) != 0)
		return fail(d, ERR_INTEGRITY, -EBADMSG,
			    "no profile: the first line is not 'imgfs-profile 1'");
	out->ranges = try_array(PROFILE_RANGES_MAX, sizeof(*out->ranges), PROFILE_RANGES_MAX);
	if (!out->ranges)
		return fail_sys(d, ERR_OTHER, -ENOMEM, "a profile");
	err_t err = read_lines(tree, (struct bytes){text.p + head, text.n - head}, out, &number);
	if (err) {
		profile_fini(out);
		return err == -ENOMEM ? fail_sys(d, ERR_OTHER, err, "a profile")
				      : fail(d, ERR_INTEGRITY, err,
					     "profile, line %zu: not OFFSET LENGTH /PATH", number);
	}
	void *fits = realloc(out->ranges, max_of(out->n, (size_t)1) * sizeof(*out->ranges));
	if (fits)
		out->ranges = fits;
	return 0;
}

/* --- packing --- */

err_t profile_pack(struct bytes text, struct buf *packed)
{
	return wire_pack(text, packed);
}

err_t profile_unpack(struct bytes packed, struct buf *text)
{
	return packed.n ? wire_unpack(packed, PROFILE_TEXT_MAX, text) : -EBADMSG;
}
