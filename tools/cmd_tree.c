/*
 * imgfs tree: the directories of an image, drawn. The prefix of a line grows by one column with
 * each level: a bar where more entries of that level follow, blank where they do not.
 */
#include "tools/format.h"
#include "tools/look.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

struct drawing {
	const struct index *tree;
	uint64_t level_max; /* 0: no limit */
	struct buf prefix;
	uint64_t n_dirs, n_others;
};

static void draw_name(const struct drawing *t, const struct dir_entry *entry, uint32_t mode,
		      bool last)
{
	format_raw(stdout, buf_bytes(&t->prefix));
	fputs(last ? "└── " : "├── ", stdout);
	format_name(stdout, entry->name);
	if (S_ISLNK(mode)) {
		fputs(" -> ", stdout);
		format_name(stdout, index_link_target(t->tree, entry->row));
	}
	putchar('\n');
}

static err_t draw_directory(struct drawing *t, uint32_t dir, uint64_t level)
{
	struct listing l;
	err_t err = listing_load(t->tree, dir, true, &l);
	if (err)
		return err;
	for (uint32_t i = 0; i < l.n && !err && !ferror(stdout); i++) {
		struct inode inode;
		size_t before = t->prefix.n;
		bool last = i + 1 == l.n;
		index_inode(t->tree, l.entries[i].row, &inode);
		draw_name(t, &l.entries[i], inode.mode, last);
		if (!S_ISDIR(inode.mode)) {
			t->n_others++;
			continue;
		}
		t->n_dirs++;
		if (t->level_max && level >= t->level_max)
			continue;
		const char *column = last ? "    " : "│   ";
		err = buf_append(&t->prefix, column, strlen(column));
		if (!err)
			err = draw_directory(t, l.entries[i].row, level + 1);
		t->prefix.n = before;
	}
	listing_fini(&l);
	return err;
}

static err_t draw(struct drawing *t, uint32_t row, const char *path)
{
	struct inode inode;
	err_t err = 0;
	index_inode(t->tree, row, &inode);
	format_name(stdout, BYTES_STR(path));
	putchar('\n');
	if (S_ISDIR(inode.mode)) {
		t->n_dirs = 1;
		err = draw_directory(t, row, 1);
	} else {
		t->n_others = 1;
	}
	buf_fini(&t->prefix);
	printf("\n%" PRIu64 " director%s, %" PRIu64 " file%s\n", t->n_dirs,
	       t->n_dirs == 1 ? "y" : "ies", t->n_others, t->n_others == 1 ? "" : "s");
	return err;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct drawing t = {0};
	struct cli_image ci;
	struct diag d = DIAG_INIT;
	char **operands;
	uint32_t row;
	const struct option_row rows[] = {
		{'L', "level", OPT_NUMBER, &t.level_max, "N",
		 "go N directories deep (default: all)"},
		{0},
	};
	int n = cli_parse(self, argc, argv, rows, &common, &operands);
	if (n < 1 || n > 2)
		return cli_usage_error(self, n < 1 ? "a reference is missing"
						   : "one reference and one path at the most");
	auto_free char *path = look_path(n > 1 ? operands[1] : "/");
	int status = cli_open_image(self, &common, operands[0], true, &ci);
	if (status)
		return status;
	t.tree = ci.image->tree;
	status = look_up(self, t.tree, path, true, &row);
	err_t err = status ? 0 : draw(&t, row, path);
	if (err) {
		(void)fail_sys(&d, ERR_OTHER, err, "%s", path);
		status = cli_fail(self, &d);
	}
	cli_close_image(&ci);
	return status;
}

const struct command cmd_tree = {
	.name = "tree",
	.synopsis = "[-L N] REF [PATH]",
	.summary = "Draw the directories of an image as a tree",
	.details = "Every name is shown, in bytewise order; control characters and bytes that are "
		   "not\n"
		   "UTF-8 as \\ooo, a backslash as \\\\.",
	.run = run,
};
