/*
 * imgfs export: the merged tree of an image as one tar, to standard output or into a file, which
 * has its name only when it is whole.
 */
#include "tools/export.h"
#include "tools/interrupt.h"
#include "tools/look.h"
#include "tools/progress.h"
#include "tools/read_pipe.h"
#include "tools/terminal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where the archive goes. */
struct target {
	const char *path; /* NULL: standard output */
	char *temporary;  /* owned; NULL: what is written needs no name any more */
	int fd;
};

/* --- the target --- */

static int target_fail(const struct command *self, const char *path, err_t err)
{
	struct diag d = DIAG_INIT;
	(void)fail_sys(&d, err == -EACCES ? ERR_DENIED : ERR_OTHER, err, "%s", path);
	return cli_fail(self, &d);
}

static mode_t default_mode(void)
{
	mode_t mask = umask(077);
	umask(mask);
	return 0666 & ~mask;
}

/* Only a regular file can be replaced; a device or a fifo is written to. */
static int target_open(const struct command *self, struct target *t)
{
	struct stat st;
	if (!t->path) {
		t->fd = STDOUT_FILENO;
		return 0;
	}
	if (stat(t->path, &st) == 0 && !S_ISREG(st.st_mode)) {
		t->fd = open(t->path, O_WRONLY | O_CLOEXEC);
		return t->fd < 0 ? target_fail(self, t->path, -errno) : 0;
	}
	mode_t mode = default_mode();
	t->temporary = xasprintf("%s.XXXXXX", t->path);
	t->fd = mkostemp(t->temporary, O_CLOEXEC);
	if (t->fd >= 0 && fchmod(t->fd, mode) == 0)
		return 0;
	err_t err = -errno;
	if (t->fd >= 0)
		unlink(t->temporary);
	free(take(&t->temporary));
	return target_fail(self, t->path, err);
}

/* Give the file its name, or take it away. 0 or an exit status. */
static int target_close(const struct command *self, struct target *t, bool whole)
{
	err_t err = 0;
	if (t->path && t->fd >= 0 && close(t->fd) < 0)
		err = -errno;
	if (!t->temporary)
		return whole && err ? target_fail(self, t->path, err) : 0;
	if (whole && !err && rename(t->temporary, t->path) < 0)
		err = -errno;
	if (!whole || err)
		unlink(t->temporary);
	free(take(&t->temporary));
	return whole && err ? target_fail(self, t->path, err) : 0;
}

/* --- the archive --- */

static int say_why(const struct command *self, const struct target *t, err_t err,
		   const struct export_output *out, const struct diag *d)
{
	if (interrupt_signal()) {
		fprintf(stderr, "imgfs %s: interrupted\n", self->name);
		return 128 + interrupt_signal();
	}
	if (!err)
		return 0;
	if (out->error)
		return t->path ? target_fail(self, t->path, out->error)
			       : cli_output_lost(self, 0, out->error);
	return cli_fail(self, d);
}

/* Watched from before the temporary file is there until it has gone. */
static int export_watched(const struct command *self, struct content *content,
			  const struct image *image, const char *path, uint32_t row,
			  struct target *t)
{
	struct diag d = DIAG_INIT;
	int status = target_open(self, t);
	if (status)
		return status;
	struct export_output out = {.fd = t->fd};
	err_t err =
		export_tree(content, image->tree, path, row, &out, progress_begin(self, NULL), &d);
	progress_end();
	status = say_why(self, t, err, &out, &d);
	int closed = target_close(self, t, !status);
	return status ? status : closed;
}

static int export_image(const struct command *self, struct image *image, const char *path,
			uint64_t budget_s, struct target *t)
{
	struct diag d = DIAG_INIT;
	const struct content_options options = {.budget_s = (unsigned)budget_s,
						.workers = READ_PIPE_WORKERS};
	struct content *content;
	uint32_t row;
	int status = look_up(self, image->tree, path, false, &row);
	if (status)
		return status;
	err_t err = content_new(image, &options, &content, &d);
	if (err)
		return cli_fail(self, &d);
	interrupt_watch(image->source);
	status = export_watched(self, content, image, path, row, t);
	interrupt_unwatch();
	content_free(&content);
	return status;
}

/* Without what a name in an archive must not have; NULL for "..". */
static char *clean_path(const char *typed)
{
	auto_free char *copy = xstrdup(typed);
	char *path = xstrdup("/"), *rest = copy, *part;
	while ((part = strsep(&rest, "/"))) {
		if (!*part || !strcmp(part, "."))
			continue;
		char *longer = xasprintf("%s%s%s", path, path[1] ? "/" : "", part);
		free(path);
		path = longer;
		if (strcmp(part, "..") == 0) {
			free(path);
			return NULL;
		}
	}
	return path;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct cli_image ci;
	struct target target = {.fd = -1};
	uint64_t budget_s = CONTENT_BUDGET_S;
	char **operands;
	const struct option_row rows[] = {
		{'o', "output", OPT_STRING, &target.path, "FILE",
		 "write to this file, which appears when it is whole ('-': standard output)"},
		{0, "read-budget", OPT_NUMBER, &budget_s, "SECONDS",
		 "give up when bytes do not come for so long (60)"},
		{0},
	};
	int n = cli_parse(self, argc, argv, rows, &common, &operands);
	if (n < 1)
		return cli_usage_error(self, "a reference is missing");
	if (n > 2)
		return cli_usage_error(self, "one path at a time");
	if (budget_s == 0 || budget_s > READ_PIPE_BUDGET_MAX_S)
		return cli_usage_error(self, "--read-budget: 1 to %d seconds",
				       READ_PIPE_BUDGET_MAX_S);
	auto_free char *path = clean_path(n > 1 ? operands[1] : "/");
	if (!path)
		return cli_usage_error(self, "a path with '..' is no name for an archive");
	if (target.path && !strcmp(target.path, "-"))
		target.path = NULL;
	if (!target.path && terminal_is(STDOUT_FILENO))
		return cli_usage_error(self, "an archive is not for a terminal: use -o FILE, or a "
					     "pipe");
	int status = cli_open_image(self, &common, operands[0], true, &ci);
	if (status)
		return status;
	status = export_image(self, ci.image, path, budget_s, &target);
	cli_close_image(&ci);
	return status;
}

const struct command cmd_export = {
	.name = "export",
	.synopsis = "[-o FILE] REF [PATH]",
	.summary = "Write the merged tree of an image, or a part of it, as a tar",
	.details =
		"The archive is POSIX pax, as GNU tar, bsdtar and docker import read it: with "
		"owners\n"
		"(as numbers), times to the nanosecond, xattrs, hard links, devices and holes. The "
		"same\n"
		"image gives the same bytes everywhere. Names are those of the image without the\n"
		"slash in front; with PATH, that file or directory and what is below it. A symlink "
		"as\n"
		"PATH is not followed.\n"
		"\n"
		"Only what is written is fetched, and every byte is verified before it is written. "
		"An\n"
		"archive that could not be finished has no end and is not left in FILE.",
	.examples = "imgfs export -o python.tar docker.io/library/python:3.12\n"
		    "imgfs export alpine | tar -C rootfs --xattrs --xattrs-include='*' -xpf -\n"
		    "imgfs export alpine /etc | tar -tvf -\n"
		    "imgfs export alpine | zstd > alpine.tar.zst",
	.run = run,
};
