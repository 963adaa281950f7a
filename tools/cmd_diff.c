/*
 * imgfs diff: what changed between two images, from their indexes alone.
 */
#include "tools/diff.h"
#include "tools/look.h"
#include "tools/terminal.h"

#include <string.h>
#include <unistd.h>

struct diff_options {
	bool name_status, all, times, exit_code;
};

static void print(const struct diff *diff, const struct diff_options *o,
		  const struct common_options *common)
{
	bool terminal = terminal_is(STDOUT_FILENO);
	if (common->json)
		diff_print_json(diff);
	else if (o->name_status)
		diff_print_status(diff);
	else if (!common->quiet)
		diff_print_stat(diff, o->all, terminal_colours(STDOUT_FILENO, COLOUR_AUTO),
				terminal ? terminal_width(STDOUT_FILENO) : 0);
}

/* Said once; what it is about is shown as not known. */
static void say_failed(const struct command *self, const struct diff *diff, bool quiet)
{
	struct diag d = DIAG_INIT;
	if (quiet || !diff->unknown)
		return;
	if (image_digests_failed(diff->a.digests, &d) || image_digests_failed(diff->b.digests, &d))
		fprintf(stderr, "imgfs %s: note: %s; contents that need them are not compared\n",
			self->name, d.text);
}

static int add_path(const struct command *self, struct diff *diff, const char *path)
{
	struct diag d = DIAG_INIT;
	err_t err = diff_path(diff, path);
	if (!err)
		return 0;
	if (err == -ENOENT)
		(void)fail(&d, ERR_NOT_FOUND, err, "%s: no such file in either image", path);
	else
		(void)fail_sys(&d, ERR_OTHER, err, "%s", path);
	return cli_fail(self, &d);
}

static int compare(const struct command *self, struct image *a, struct image *b, char **paths,
		   size_t n, const struct diff_options *o, const struct common_options *common)
{
	struct diff diff;
	auto_free char **clean = xcalloc(n + 1, sizeof(*clean));
	int status = 0;
	diff_start(&diff, a, b, o->times);
	for (size_t i = 0; i < n; i++) {
		clean[i] = look_path(paths[i]);
		int failed = add_path(self, &diff, clean[i]);
		status = status ? status : failed;
	}
	print(&diff, o, common);
	say_failed(self, &diff, common->quiet);
	if (!status && o->exit_code && diff_differs(&diff))
		status = 1;
	diff_fini(&diff);
	for (size_t i = 0; i < n; i++)
		free(clean[i]);
	return status;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct diff_options o = {0};
	struct cli_image a, b;
	char **operands, slash[] = "/", *root[] = {slash, NULL};
	const struct option_row rows[] = {
		{0, "all", OPT_FLAG, &o.all, NULL,
		 "also each path in directories that are only in one of the images"},
		{0, "name-status", OPT_FLAG, &o.name_status, NULL,
		 "a letter, a tab and a path for each, as git does"},
		{0, "times", OPT_FLAG, &o.times, NULL,
		 "also when files were last modified, which builds change for nothing"},
		{0, "exit-code", OPT_FLAG, &o.exit_code, NULL, "exit with 1 when anything differs"},
		{0, "json", OPT_FLAG, &common.json, NULL, "an object (JSON.md)"},
		{0},
	};
	int n = cli_parse(self, argc, argv, rows, &common, &operands);
	if (n < 2)
		return cli_usage_error(self, n ? "a second reference is missing"
					       : "two references are missing");
	char **paths = n > 2 ? operands + 2 : root;
	size_t n_paths = n > 2 ? (size_t)n - 2 : 1;
	int status = cli_open_image(self, &common, operands[0], true, &a);
	if (status)
		return status;
	status = cli_open_image(self, &common, operands[1], true, &b);
	if (!status) {
		status = compare(self, a.image, b.image, paths, n_paths, &o, &common);
		cli_close_image(&b);
	}
	cli_close_image(&a);
	return status;
}

const struct command cmd_diff = {
	.name = "diff",
	.synopsis = "[--all] [--name-status] [--times] [--exit-code] [--json] REF REF [PATH...]",
	.summary = "Show what changed between two images, without reading their files",
	.details =
		"A: added, D: removed, M: changed, T: of another type, ?: not known. What changed "
		"is\n"
		"content (by SHA-256), mode, owner, xattrs, a symlink's target; times only with\n"
		"--times. Directories that are only in one image are one line with what is in "
		"them;\n"
		"--all, --name-status and --json list every path.\n"
		"\n"
		"No file is read. The digests are in the indexes; of a published index, those of "
		"the\n"
		"layers that differ are fetched. Sparse files have no digest: one that has only "
		"its\n"
		"size in common is 'not known'. Exit status 0, or with --exit-code 1 when "
		"anything\n"
		"differs or is not known.",
	.examples = "imgfs diff python:3.12.1 python:3.12.2\n"
		    "imgfs diff app:1 app:2 /etc /usr/local\n"
		    "imgfs diff --name-status app:1 app:2 | grep '^D'\n"
		    "imgfs diff -q --exit-code app:1 app:2 && echo nothing to deploy",
	.run = run,
};
