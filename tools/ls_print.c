/*
 * The forms of `imgfs ls`. Each is one function over the entries of a directory; they share how a
 * name is shown: made safe, coloured, with its mark.
 */
#include "tools/colours.h"
#include "tools/columns.h"
#include "tools/format.h"
#include "tools/ls.h"
#include "tools/text.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

struct printer {
	const struct ls_style *style;
	const struct index *tree;
	struct buf *dir;
	const struct listing *entries;
};

/* Widths of the columns of one directory's long listing. */
struct widths {
	int nlink, uid, gid, size;
};

static void size_text(const struct ls_style *style, const struct inode *inode,
		      char buf[FORMAT_TEXT_MAX])
{
	if (S_ISCHR(inode->mode) || S_ISBLK(inode->mode))
		snprintf(buf, FORMAT_TEXT_MAX, "%" PRIu32 ", %" PRIu32, inode->rdev_major,
			 inode->rdev_minor);
	else if (style->human)
		format_size_short(inode->size, buf);
	else
		snprintf(buf, FORMAT_TEXT_MAX, "%" PRIu64, inode->size);
}

static int digits(uint32_t n)
{
	return snprintf(NULL, 0, "%" PRIu32, n);
}

static struct widths widths_of(const struct printer *p)
{
	struct widths w = {0};
	for (uint32_t i = 0; i < p->entries->n; i++) {
		struct inode inode;
		char size[FORMAT_TEXT_MAX];
		index_inode(p->tree, p->entries->entries[i].row, &inode);
		size_text(p->style, &inode, size);
		w.nlink = max_of(w.nlink, digits(inode.nlink));
		w.uid = max_of(w.uid, digits(inode.uid));
		w.gid = max_of(w.gid, digits(inode.gid));
		w.size = max_of(w.size, (int)strlen(size));
	}
	return w;
}

/* What -F shows behind a name; 0: nothing. */
static char mark_of(const struct ls_style *style, uint32_t mode)
{
	if (!style->classify)
		return 0;
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return '/';
	case S_IFLNK:
		return style->long_format ? 0 : '@';
	case S_IFIFO:
		return '|';
	case S_IFSOCK:
		return '=';
	case S_IFREG:
		return mode & 0111 ? '*' : 0;
	default:
		return 0;
	}
}

/* Whether a symlink leads nowhere; asked for its colour only. */
static bool is_broken(const struct printer *p, const struct dir_entry *entry, uint32_t mode)
{
	size_t before;
	uint32_t row;
	if (!S_ISLNK(mode))
		return false;
	bool broken = !path_push(p->dir, entry->name, &before) &&
		      index_path(p->tree, buf_bytes(p->dir), true, &row);
	p->dir->n = before;
	return broken;
}

static void put_entry(const struct printer *p, const struct dir_entry *entry, uint32_t mode)
{
	bool begun = p->style->colours &&
		     colours_begin(stdout, mode, entry->name, is_broken(p, entry, mode));
	char mark = mark_of(p->style, mode);
	p->style->put_name(stdout, entry->name);
	colours_end(stdout, begun);
	if (mark)
		putchar(mark);
}

static void print_long(const struct printer *p, const struct dir_entry *entry,
		       const struct widths *w)
{
	struct inode inode;
	char mode[FORMAT_TEXT_MAX], size[FORMAT_TEXT_MAX], date[FORMAT_TEXT_MAX];
	index_inode(p->tree, entry->row, &inode);
	size_text(p->style, &inode, size);
	printf("%s %*" PRIu32 " %*" PRIu32 " %*" PRIu32 " %*s %s ", format_mode(inode.mode, mode),
	       w->nlink, inode.nlink, w->uid, inode.uid, w->gid, inode.gid, w->size, size,
	       format_minute(inode.mtime, date));
	put_entry(p, entry, inode.mode);
	if (S_ISLNK(inode.mode)) {
		fputs(" -> ", stdout);
		p->style->put_name(stdout, index_link_target(p->tree, entry->row));
	}
	putchar('\n');
}

static void print_lines(const struct printer *p)
{
	struct widths w = {0};
	if (p->style->long_format)
		w = widths_of(p);
	for (uint32_t i = 0; i < p->entries->n && !ferror(stdout); i++) {
		const struct dir_entry *entry = &p->entries->entries[i];
		struct inode inode;
		if (p->style->long_format) {
			print_long(p, entry, &w);
			continue;
		}
		index_inode(p->tree, entry->row, &inode);
		put_entry(p, entry, inode.mode);
		putchar('\n');
	}
}

static size_t entry_width(const struct printer *p, uint32_t i)
{
	struct inode inode;
	index_inode(p->tree, p->entries->entries[i].row, &inode);
	return text_width(p->entries->entries[i].name) + (mark_of(p->style, inode.mode) != 0);
}

static void print_row(const struct printer *p, const struct columns *columns, const size_t *widths,
		      size_t row)
{
	for (size_t i = row; i < p->entries->n; i += columns->rows) {
		struct inode inode;
		bool last = i + columns->rows >= p->entries->n;
		index_inode(p->tree, p->entries->entries[i].row, &inode);
		put_entry(p, &p->entries->entries[i], inode.mode);
		if (!last)
			printf("%*s", (int)(columns->widths[i / columns->rows] - widths[i]), "");
	}
	putchar('\n');
}

static err_t print_columns(const struct printer *p)
{
	struct columns columns;
	size_t n = p->entries->n;
	auto_free size_t *widths = try_array(n, sizeof(*widths), n);
	if (!widths)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		widths[i] = entry_width(p, i);
	err_t err = n ? columns_fit(widths, n, p->style->width, &columns) : 0;
	if (err || !n)
		return err;
	for (size_t row = 0; row < columns.rows && !ferror(stdout); row++)
		print_row(p, &columns, widths, row);
	columns_fini(&columns);
	return 0;
}

static struct bytes last_component(struct bytes path)
{
	const uint8_t *slash = memrchr(path.p, '/', path.n);
	size_t skip = slash ? (size_t)(slash - path.p) + 1 : 0;
	return (struct bytes){path.p + skip, path.n - skip};
}

static err_t print_json(const struct printer *p, struct json_out *json)
{
	err_t err = 0;
	for (uint32_t i = 0; i < p->entries->n && !err && !ferror(stdout); i++) {
		const struct dir_entry *entry = &p->entries->entries[i];
		size_t before;
		err = path_push(p->dir, entry->name, &before);
		if (!err)
			look_json_entry(json, p->tree, entry->row, buf_bytes(p->dir),
					last_component(entry->name));
		p->dir->n = before;
	}
	return err;
}

err_t ls_print(const struct ls_style *style, const struct index *tree, struct buf *dir,
	       const struct listing *entries, struct json_out *json)
{
	const struct printer p = {style, tree, dir, entries};
	if (style->as_json)
		return print_json(&p, json);
	if (style->width && !style->long_format)
		return print_columns(&p);
	print_lines(&p);
	return 0;
}
