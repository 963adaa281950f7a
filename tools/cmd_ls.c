/*
 * imgfs ls: directories of an image, from its index alone. What is no directory is listed first, by
 * the path that was typed; the directories follow, each from its own walk.
 */
#include "tools/format.h"
#include "tools/ls.h"
#include "tools/terminal.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct ls {
	const struct command *self;
	const struct index *tree;
	struct ls_style style;
	bool hidden, recursive, directory_itself, one_a_line;
	bool by_size, by_time, reverse;
	const char *colour;
	bool headings; /* each directory is announced by its path */
	bool printed;  /* something stands before: a blank line must follow */
	struct json_out json;
	struct buf path; /* of the directory that is listed */
};

/* The operands that were found, apart. */
struct found {
	struct listing files, dirs; /* the names are paths */
};

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
		if (!err)
			err = list_directory(ls, l->entries[i].row);
		ls->path.n = before;
	}
	return err;
}

static enum listing_order order_of(const struct ls *ls)
{
	if (ls->by_time)
		return ORDER_TIME;
	return ls->by_size ? ORDER_SIZE : ORDER_NAME;
}

static void announce(struct ls *ls)
{
	if (ls->style.as_json)
		return;
	if (ls->printed)
		putchar('\n');
	ls->printed = true;
	if (ls->headings) {
		ls->style.put_name(stdout, buf_bytes(&ls->path));
		fputs(":\n", stdout);
	}
}

static err_t list_directory(struct ls *ls, uint32_t dir)
{
	struct listing l;
	err_t err = listing_load(ls->tree, dir, ls->hidden, &l);
	if (err)
		return err;
	if (order_of(ls) != ORDER_NAME || ls->reverse)
		listing_sort(ls->tree, &l, order_of(ls), ls->reverse);
	announce(ls);
	err = ls_print(&ls->style, ls->tree, &ls->path, &l, &ls->json);
	if (!err && ls->recursive)
		err = list_below(ls, &l);
	listing_fini(&l);
	return err;
}

static err_t list_found(struct ls *ls, struct found *found)
{
	err_t err = 0;
	listing_sort(ls->tree, &found->files, order_of(ls), ls->reverse);
	listing_sort(ls->tree, &found->dirs, order_of(ls), ls->reverse);
	if (found->files.n)
		err = ls_print(&ls->style, ls->tree, &ls->path, &found->files, &ls->json);
	ls->printed = found->files.n != 0;
	for (uint32_t i = 0; i < found->dirs.n && !err; i++) {
		struct bytes path = found->dirs.entries[i].name;
		err = buf_append(&ls->path, path.p, path.n);
		if (!err)
			err = list_directory(ls, found->dirs.entries[i].row);
		ls->path.n = 0;
	}
	buf_fini(&ls->path);
	return err;
}

/* Looks every path up; those that are not there are told, and the first decides the status. */
static int find_operands(struct ls *ls, const struct path_list *paths, struct found *out)
{
	bool follow = !ls->style.long_format && !ls->style.classify && !ls->directory_itself;
	int status = 0;
	out->files.entries = xcalloc(paths->n + 1, sizeof(*out->files.entries));
	out->dirs.entries = xcalloc(paths->n + 1, sizeof(*out->dirs.entries));
	for (size_t i = 0; i < paths->n; i++) {
		struct dir_entry entry;
		struct inode inode;
		int failed =
			look_up_listed(ls->self, ls->tree, paths->paths[i], follow, &entry.row);
		entry.name = BYTES_STR(paths->paths[i]);
		status = status ? status : failed;
		if (failed)
			continue;
		index_inode(ls->tree, entry.row, &inode);
		if (S_ISDIR(inode.mode) && !ls->directory_itself)
			out->dirs.entries[out->dirs.n++] = entry;
		else
			out->files.entries[out->files.n++] = entry;
	}
	return status;
}

static int list_paths(struct ls *ls, char **typed)
{
	struct path_list paths = {0};
	struct found found = {0};
	int status = look_paths(ls->self, ls->tree, typed, &paths);
	int failed = find_operands(ls, &paths, &found);
	ls->headings = ls->recursive || paths.n > 1 || (*typed && typed[1]);
	if (ls->style.as_json)
		json_put_array(&ls->json, NULL);
	err_t err = list_found(ls, &found);
	if (ls->style.as_json)
		json_put_end(&ls->json);
	listing_fini(&found.files);
	listing_fini(&found.dirs);
	path_list_fini(&paths);
	if (err) {
		struct diag d = DIAG_INIT;
		(void)fail_sys(&d, ERR_OTHER, err, "list");
		return cli_fail(ls->self, &d);
	}
	return status ? status : failed;
}

static int set_style(struct ls *ls, bool as_json)
{
	enum colour_when when = COLOUR_AUTO;
	bool seen = terminal_is(STDOUT_FILENO);
	if (ls->colour && !terminal_colour_when(ls->colour, &when))
		return cli_usage_error(ls->self, "--color takes auto, always or never, not '%s'",
				       ls->colour);
	ls->style.as_json = as_json;
	ls->style.colours = terminal_colours(STDOUT_FILENO, when);
	ls->style.put_name = seen ? format_name : format_raw;
	if (seen && !ls->one_a_line)
		ls->style.width = terminal_width(STDOUT_FILENO);
	json_out_start(&ls->json, stdout, 1);
	return 0;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct ls ls = {.self = self};
	struct cli_image ci;
	char **operands;
	const struct option_row rows[] = {
		{'l', "long", OPT_FLAG, &ls.style.long_format, NULL,
		 "mode, links, owner, size, time (UTC), name"},
		{'a', "all", OPT_FLAG, &ls.hidden, NULL, "also names that begin with a dot"},
		{'R', "recursive", OPT_FLAG, &ls.recursive, NULL, "directories below, too"},
		{'h', "human-readable", OPT_FLAG, &ls.style.human, NULL,
		 "with -l: sizes as 1.5K, 12M (powers of 1024)"},
		{'d', "directory", OPT_FLAG, &ls.directory_itself, NULL,
		 "directories themselves, not what is in them"},
		{'F', "classify", OPT_FLAG, &ls.style.classify, NULL,
		 "a mark behind names: / directory, * executable, @ link, | fifo, = socket"},
		{'1', NULL, OPT_FLAG, &ls.one_a_line, NULL, "one name a line, on a terminal too"},
		{'S', NULL, OPT_FLAG, &ls.by_size, NULL, "the largest first"},
		{'t', NULL, OPT_FLAG, &ls.by_time, NULL, "the newest first"},
		{'r', "reverse", OPT_FLAG, &ls.reverse, NULL, "in the opposite order"},
		{0, "color", OPT_STRING, &ls.colour, "auto|always|never",
		 "colours (auto: on a terminal)"},
		{0, "json", OPT_FLAG, &common.json, NULL, "an array of objects (JSON.md)"},
		{0},
	};
	int n = cli_parse(self, argc, argv, rows, &common, &operands);
	if (n < 1)
		return cli_usage_error(self, "a reference is missing");
	int status = set_style(&ls, common.json);
	if (!status)
		status = cli_open_image(self, &common, operands[0], true, &ci);
	if (status)
		return status;
	ls.tree = ci.image->tree;
	status = list_paths(&ls, operands + 1);
	cli_close_image(&ci);
	return status;
}

const struct command cmd_ls = {
	.name = "ls",
	.synopsis = "[-alRhdF1Str] [--color auto|always|never] [--json] REF [PATH...]",
	.summary = "List directories of an image",
	.details =
		"Nothing of the files is fetched. Names are sorted by their bytes, in columns\n"
		"on a terminal. Owners are numbers, times are UTC. Without -a, names that begin\n"
		"with a dot are left out; '.' and '..' are never listed. A PATH that is a\n"
		"symlink is followed, but with -l, -F or -d.\n"
		"A PATH that holds *, ? or [ is a pattern inside the image, where ** stands for\n"
		"any number of directories: quote it, so that the shell does not take it.\n"
		"Colours are those of LS_COLORS; NO_COLOR turns them off. On a terminal,\n"
		"control characters and bytes that are not UTF-8 are shown as \\ooo, a backslash\n"
		"as \\\\; into a pipe or a file names go as they are.",
	.examples = "imgfs ls -l docker.io/library/alpine /etc\n"
		    "# the largest libraries first\n"
		    "imgfs ls -lhS docker.io/library/python:3.12 '/usr/lib/*/*.so*'\n"
		    "# every file of that name, wherever it is\n"
		    "imgfs ls -d alpine '/**/passwd'",
	.run = run,
};
