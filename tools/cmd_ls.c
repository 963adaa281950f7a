/*
 * imgfs ls: a directory of an image, from its index alone. One walk serves all forms of output; a
 * form differs in how a directory's entries are printed.
 */
#include "tools/format.h"
#include "tools/look.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct ls {
	const struct command *self;
	const struct index *tree;
	bool long_format, hidden, recursive, as_json;
	void (*put_name)(FILE *out, struct bytes name);
	struct json_out json;
	struct buf path; /* of the directory that is listed */
};

/* Widths of the columns of one directory's long listing. */
struct widths {
	int nlink, uid, gid, size;
};

static void size_text(const struct inode *inode, char buf[FORMAT_TEXT_MAX])
{
	if (S_ISCHR(inode->mode) || S_ISBLK(inode->mode))
		snprintf(buf, FORMAT_TEXT_MAX, "%" PRIu32 ", %" PRIu32, inode->rdev_major,
			 inode->rdev_minor);
	else
		snprintf(buf, FORMAT_TEXT_MAX, "%" PRIu64, inode->size);
}

static int digits(uint32_t n)
{
	return snprintf(NULL, 0, "%" PRIu32, n);
}

static struct widths widths_of(const struct ls *ls, const struct listing *l)
{
	struct widths w = {0};
	for (uint32_t i = 0; i < l->n; i++) {
		struct inode inode;
		char size[FORMAT_TEXT_MAX];
		index_inode(ls->tree, l->entries[i].row, &inode);
		size_text(&inode, size);
		w.nlink = max_of(w.nlink, digits(inode.nlink));
		w.uid = max_of(w.uid, digits(inode.uid));
		w.gid = max_of(w.gid, digits(inode.gid));
		w.size = max_of(w.size, (int)strlen(size));
	}
	return w;
}

static void print_long(const struct ls *ls, const struct dir_entry *entry, const struct widths *w)
{
	struct inode inode;
	char mode[FORMAT_TEXT_MAX], size[FORMAT_TEXT_MAX], date[FORMAT_TEXT_MAX];
	index_inode(ls->tree, entry->row, &inode);
	size_text(&inode, size);
	printf("%s %*" PRIu32 " %*" PRIu32 " %*" PRIu32 " %*s %s ", format_mode(inode.mode, mode),
	       w->nlink, inode.nlink, w->uid, inode.uid, w->gid, inode.gid, w->size, size,
	       format_minute(inode.mtime, date));
	ls->put_name(stdout, entry->name);
	if (S_ISLNK(inode.mode)) {
		fputs(" -> ", stdout);
		ls->put_name(stdout, index_link_target(ls->tree, entry->row));
	}
	putchar('\n');
}

static void print_json(struct ls *ls, const struct dir_entry *entry, struct bytes path)
{
	json_put_object(&ls->json, NULL);
	json_put_bytes(&ls->json, "path", path);
	json_put_bytes(&ls->json, "name", entry->name);
	look_json_inode(&ls->json, ls->tree, entry->row);
	json_put_end(&ls->json);
}

/* Appends "/name" to the path; what the path's length was before. */
static err_t path_push(struct buf *path, struct bytes name, size_t *before)
{
	*before = path->n;
	err_t err = path->n == 1 ? 0 : buf_append(path, "/", 1); /* "/" has its slash */
	return err ? err : buf_append(path, name.p, name.n);
}

static err_t print_entry(struct ls *ls, const struct dir_entry *entry, const struct widths *w)
{
	if (ls->as_json) {
		size_t before;
		err_t err = path_push(&ls->path, entry->name, &before);
		if (!err)
			print_json(ls, entry, buf_bytes(&ls->path));
		ls->path.n = before;
		return err;
	}
	if (ls->long_format) {
		print_long(ls, entry, w);
		return 0;
	}
	ls->put_name(stdout, entry->name);
	putchar('\n');
	return 0;
}

static err_t list_directory(struct ls *ls, uint32_t dir);

static err_t list_below(struct ls *ls, const struct listing *l)
{
	err_t err = 0;
	for (uint32_t i = 0; i < l->n && !err && !ferror(stdout); i++) {
		struct inode inode;
		size_t before;
		index_inode(ls->tree, l->entries[i].row, &inode);
		if (!S_ISDIR(inode.mode))
			continue;
		err = path_push(&ls->path, l->entries[i].name, &before);
		if (!err && !ls->as_json)
			putchar('\n');
		if (!err)
			err = list_directory(ls, l->entries[i].row);
		ls->path.n = before;
	}
	return err;
}

static err_t list_directory(struct ls *ls, uint32_t dir)
{
	struct listing l;
	struct widths w = {0};
	err_t err = listing_load(ls->tree, dir, ls->hidden, &l);
	if (err)
		return err;
	if (ls->long_format && !ls->as_json)
		w = widths_of(ls, &l);
	if (ls->recursive && !ls->as_json) {
		ls->put_name(stdout, buf_bytes(&ls->path));
		fputs(":\n", stdout);
	}
	for (uint32_t i = 0; i < l.n && !err && !ferror(stdout); i++)
		err = print_entry(ls, &l.entries[i], &w);
	if (!err && ls->recursive)
		err = list_below(ls, &l);
	listing_fini(&l);
	return err;
}

/* What is not a directory is listed by itself, under the name that was typed. */
static void list_single(struct ls *ls, uint32_t row, const char *path)
{
	struct dir_entry entry = {.name = BYTES_STR(path), .row = row};
	struct listing l = {.entries = &entry, .n = 1};
	struct widths w = widths_of(ls, &l);
	if (ls->as_json) {
		const char *slash = strrchr(path, '/');
		entry.name = BYTES_STR(slash + 1);
		print_json(ls, &entry, BYTES_STR(path));
	} else if (ls->long_format) {
		print_long(ls, &entry, &w);
	} else {
		ls->put_name(stdout, entry.name);
		putchar('\n');
	}
}

static err_t list_row(struct ls *ls, uint32_t row, const char *path)
{
	struct inode inode;
	err_t err = 0;
	index_inode(ls->tree, row, &inode);
	if (ls->as_json)
		json_put_array(&ls->json, NULL);
	if (S_ISDIR(inode.mode)) {
		err = buf_append(&ls->path, path, strlen(path));
		if (!err)
			err = list_directory(ls, row);
	} else {
		list_single(ls, row, path);
	}
	if (ls->as_json)
		json_put_end(&ls->json);
	buf_fini(&ls->path);
	return err;
}

static int list_image(struct ls *ls, const struct common_options *common, char **operands)
{
	struct cli_image ci;
	uint32_t row;
	auto_free char *path = look_path(operands[1] ? operands[1] : "/");
	int status = cli_open_image(ls->self, common, operands[0], true, &ci);
	if (status)
		return status;
	ls->tree = ci.image->tree;
	status = look_up(ls->self, ls->tree, path, !ls->long_format, &row);
	err_t err = status ? 0 : list_row(ls, row, path);
	if (err) {
		struct diag d = DIAG_INIT;
		(void)fail_sys(&d, ERR_OTHER, err, "%s", path);
		status = cli_fail(ls->self, &d);
	}
	cli_close_image(&ci);
	return status;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct ls ls = {.self = self};
	char **operands;
	const struct option_row rows[] = {
		{'l', "long", OPT_FLAG, &ls.long_format, NULL,
		 "mode, links, owner, size, time (UTC), name"},
		{'a', "all", OPT_FLAG, &ls.hidden, NULL, "also names that begin with a dot"},
		{'R', "recursive", OPT_FLAG, &ls.recursive, NULL, "directories below, too"},
		{0, "json", OPT_FLAG, &common.json, NULL, "an array of objects (tools/JSON.md)"},
		{0},
	};
	int n = cli_parse(self, argc, argv, rows, &common, &operands);
	if (n < 1 || n > 2)
		return cli_usage_error(self, n < 1 ? "a reference is missing"
						   : "one reference and one path at the most");
	ls.as_json = common.json;
	ls.put_name = isatty(STDOUT_FILENO) ? format_name : format_raw;
	json_out_start(&ls.json, stdout, 1);
	return list_image(&ls, &common, operands);
}

const struct command cmd_ls = {
	.name = "ls",
	.synopsis = "[-laR] [--json] REF [PATH]",
	.summary = "List a directory of an image",
	.details = "Names are sorted by their bytes. Owners are numbers, times are UTC. Without "
		   "-a, names\n"
		   "that begin with a dot are left out; '.' and '..' are never listed. On a "
		   "terminal,\n"
		   "control characters and bytes that are not UTF-8 are shown as \\ooo, a "
		   "backslash as \\\\;\n"
		   "into a pipe or a file names go as they are. Without -l, PATH may be a symlink.",
	.run = run,
};
