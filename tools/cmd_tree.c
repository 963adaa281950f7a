/*
 * imgfs tree: the directories of an image, drawn. The prefix of a line grows by one column with
 * each level: a bar where more entries of that level follow, blank where they do not.
 */
#include "tools/colours.h"
#include "tools/format.h"
#include "tools/look.h"
#include "tools/terminal.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES_LEN 11 /* of a size in bytes, as tree(1) has it */
#define SHORT_LEN 5  /* of one as 1.5K */

struct drawing {
	const struct command *self;
	const struct index *tree;
	uint64_t level_max; /* at least 1 */
	bool hidden, dirs_only, sizes, human, sums, colours, as_json;
	uint64_t *below; /* with --du: by row of a directory, the sizes of all files in and below it
			  */
	struct buf prefix;
	struct buf path; /* of the directory that is drawn */
	uint64_t n_dirs, n_others, bytes;
	struct json_out json;
};

/* Rows of directories are in breadth-first order: children are complete before their parents. */
static err_t sum_up(struct drawing *t)
{
	uint32_t n_dirs = index_info(t->tree)->n_dirs;
	t->below = try_array(n_dirs, sizeof(*t->below), n_dirs);
	if (!t->below)
		return -ENOMEM;
	for (uint32_t dir = n_dirs; dir-- > 0;) {
		struct inode inode;
		struct dir_entry entry;
		for (uint32_t i = 0; i < index_dir_count(t->tree, dir); i++) {
			index_dir_entry(t->tree, dir, i, &entry);
			index_inode(t->tree, entry.row, &inode);
			t->below[dir] += S_ISDIR(inode.mode) ? 0 : inode.size;
		}
		index_inode(t->tree, dir, &inode);
		if (dir)
			t->below[inode.parent] += t->below[dir];
	}
	return 0;
}

static uint64_t size_of(const struct drawing *t, uint32_t row, const struct inode *inode)
{
	return t->below && S_ISDIR(inode->mode) ? t->below[row] : inode->size;
}

static void draw_size(const struct drawing *t, uint64_t size)
{
	char text[FORMAT_TEXT_MAX];
	if (t->human)
		printf("[%*s]  ", SHORT_LEN, format_size_short(size, text));
	else if (t->sizes || t->sums)
		printf("[%*" PRIu64 "]  ", BYTES_LEN, size);
}

/* Whether the symlink that t->path names leads nowhere. */
static bool is_broken(const struct drawing *t, uint32_t mode)
{
	uint32_t row;
	return S_ISLNK(mode) && index_path(t->tree, buf_bytes(&t->path), true, &row);
}

static void draw_name(const struct drawing *t, const struct dir_entry *entry,
		      const struct inode *inode)
{
	draw_size(t, size_of(t, entry->row, inode));
	bool begun = t->colours &&
		     colours_begin(stdout, inode->mode, entry->name, is_broken(t, inode->mode));
	format_name(stdout, entry->name);
	colours_end(stdout, begun);
	if (S_ISLNK(inode->mode)) {
		fputs(" -> ", stdout);
		format_name(stdout, index_link_target(t->tree, entry->row));
	}
	putchar('\n');
}

static void put_json(struct drawing *t, const struct dir_entry *entry, const struct inode *inode,
		     uint64_t depth)
{
	struct json_out *j = &t->json;
	json_put_object(j, NULL);
	json_put_bytes(j, "path", buf_bytes(&t->path));
	json_put_bytes(j, "name", entry->name);
	json_put_number(j, "depth", depth);
	look_json_inode(j, t->tree, entry->row);
	if (t->below && S_ISDIR(inode->mode))
		json_put_number(j, "below", t->below[entry->row]);
	json_put_end(j);
}

static void count(struct drawing *t, const struct inode *inode)
{
	if (S_ISDIR(inode->mode))
		t->n_dirs++;
	else
		t->n_others++;
	t->bytes += t->below ? 0 : inode->size;
}

static err_t draw_directory(struct drawing *t, uint32_t dir, uint64_t level);

/* One line, and what is below it. */
static err_t draw_entry(struct drawing *t, const struct dir_entry *entry, bool last, uint64_t level)
{
	struct inode inode;
	size_t prefix = t->prefix.n, path = t->path.n;
	const char *column = last ? "    " : "│   ";
	err_t err = path_push(&t->path, entry->name, &path);
	if (err)
		return err;
	index_inode(t->tree, entry->row, &inode);
	if (t->as_json) {
		put_json(t, entry, &inode, level);
	} else {
		format_raw(stdout, buf_bytes(&t->prefix));
		fputs(last ? "└── " : "├── ", stdout);
		draw_name(t, entry, &inode);
	}
	count(t, &inode);
	if (S_ISDIR(inode.mode) && level < t->level_max) {
		err = buf_append(&t->prefix, column, strlen(column));
		if (!err)
			err = draw_directory(t, entry->row, level + 1);
	}
	t->prefix.n = prefix;
	t->path.n = path;
	return err;
}

static void keep_directories(const struct index *tree, struct listing *l)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < l->n; i++)
		if (l->entries[i].row < index_info(tree)->n_dirs)
			l->entries[kept++] = l->entries[i];
	l->n = kept;
}

static err_t draw_directory(struct drawing *t, uint32_t dir, uint64_t level)
{
	struct listing l;
	err_t err = listing_load(t->tree, dir, t->hidden, &l);
	if (err)
		return err;
	if (t->dirs_only)
		keep_directories(t->tree, &l);
	for (uint32_t i = 0; i < l.n && !err && !ferror(stdout); i++)
		err = draw_entry(t, &l.entries[i], i + 1 == l.n, level);
	listing_fini(&l);
	return err;
}

/* A path that was typed, which stands by itself. */
static int draw_root(struct drawing *t, char *path)
{
	struct dir_entry root;
	struct diag d = DIAG_INIT;
	struct inode inode;
	int status = look_up_listed(t->self, t->tree, path, true, &root.row);
	if (status)
		return status;
	root.name = BYTES_STR(path);
	index_inode(t->tree, root.row, &inode);
	err_t err = buf_append(&t->path, path, strlen(path));
	if (!err && t->as_json) {
		const char *slash = strrchr(path, '/');
		root.name = BYTES_STR(slash[1] ? slash + 1 : slash);
		put_json(t, &root, &inode, 0);
	} else if (!err) {
		draw_name(t, &root, &inode);
		count(t, &inode);
		t->bytes += t->below ? size_of(t, root.row, &inode) : 0;
	}
	if (!err && S_ISDIR(inode.mode))
		err = draw_directory(t, root.row, 1);
	t->path.n = 0;
	if (!err)
		return 0;
	(void)fail_sys(&d, ERR_OTHER, err, "%s", path);
	return cli_fail(t->self, &d);
}

static void draw_total(const struct drawing *t)
{
	char size[FORMAT_TEXT_MAX];
	putchar('\n');
	if (t->human)
		printf("%s in ", format_size_short(t->bytes, size));
	else if (t->sizes || t->sums)
		printf("%" PRIu64 " bytes in ", t->bytes);
	printf("%" PRIu64 " director%s", t->n_dirs, t->n_dirs == 1 ? "y" : "ies");
	if (!t->dirs_only)
		printf(", %" PRIu64 " file%s", t->n_others, t->n_others == 1 ? "" : "s");
	putchar('\n');
}

static int draw(struct drawing *t, char **typed)
{
	struct path_list paths = {0};
	int status = look_paths(t->self, t->tree, typed, &paths);
	json_out_start(&t->json, stdout, 1);
	if (t->as_json)
		json_put_array(&t->json, NULL);
	for (size_t i = 0; i < paths.n; i++) {
		int failed = draw_root(t, paths.paths[i]);
		status = status ? status : failed;
	}
	if (t->as_json)
		json_put_end(&t->json);
	else if (t->n_dirs || t->n_others)
		draw_total(t);
	path_list_fini(&paths);
	buf_fini(&t->prefix);
	buf_fini(&t->path);
	free(take(&t->below));
	return status;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct drawing t = {.self = self, .level_max = UINT64_MAX};
	struct cli_image ci;
	enum colour_when when = COLOUR_AUTO;
	const char *colour = NULL;
	char **operands;
	const struct option_row rows[] = {
		{'L', "level", OPT_NUMBER, &t.level_max, "N",
		 "go N directories deep (default: all)"},
		{'a', "all", OPT_FLAG, &t.hidden, NULL, "also names that begin with a dot"},
		{'d', NULL, OPT_FLAG, &t.dirs_only, NULL, "directories only"},
		{'s', NULL, OPT_FLAG, &t.sizes, NULL, "the size of each file in bytes"},
		{'h', NULL, OPT_FLAG, &t.human, NULL, "sizes as 1.5K, 12M (powers of 1024)"},
		{0, "du", OPT_FLAG, &t.sums, NULL,
		 "of directories, the sizes of all files below (links count each time)"},
		{0, "json", OPT_FLAG, &common.json, NULL, "an array of objects (JSON.md)"},
		{0, "color", OPT_STRING, &colour, "auto|always|never",
		 "colours (auto: on a terminal)"},
		{0},
	};
	int n = cli_parse(self, argc, argv, rows, &common, &operands);
	if (n < 1)
		return cli_usage_error(self, "a reference is missing");
	if (!t.level_max)
		return cli_usage_error(self, "-L takes 1 or more");
	if (colour && !terminal_colour_when(colour, &when))
		return cli_usage_error(self, "--color takes auto, always or never, not '%s'",
				       colour);
	t.as_json = common.json;
	t.colours = terminal_colours(STDOUT_FILENO, when);
	int status = cli_open_image(self, &common, operands[0], true, &ci);
	if (status)
		return status;
	t.tree = ci.image->tree;
	err_t err = t.sums ? sum_up(&t) : 0;
	if (err) {
		struct diag d = DIAG_INIT;
		(void)fail_sys(&d, ERR_OTHER, err, "add sizes up");
		status = cli_fail(self, &d);
	} else {
		status = draw(&t, operands + 1);
	}
	cli_close_image(&ci);
	return status;
}

const struct command cmd_tree = {
	.name = "tree",
	.synopsis = "[-adsh] [-L N] [--du] [--color auto|always|never] [--json] REF [PATH...]",
	.summary = "Draw the directories of an image as a tree",
	.details =
		"Nothing of the files is fetched. Names stand in bytewise order; control\n"
		"characters and bytes that are not UTF-8 are shown as \\ooo, a backslash as \\\\.\n"
		"Without -a, names that begin with a dot are left out. PATH may be a pattern,\n"
		"as for 'imgfs ls'. The last line counts what was drawn; with -s, -h or --du it\n"
		"adds the sizes up.",
	.examples = "imgfs tree -L 2 docker.io/library/alpine\n"
		    "# where the space goes\n"
		    "imgfs tree -d -h --du -L 2 docker.io/library/python:3.12 /usr\n"
		    "imgfs tree -h alpine /etc/apk",
	.run = run,
};
