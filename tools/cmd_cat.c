/*
 * imgfs cat: contents of files, fetched piece by piece as they are written, so that nothing is
 * fetched that nobody reads.
 */
#include "fetch/content.h"
#include "tools/format.h"
#include "tools/look.h"

#include <sys/stat.h>
#include <unistd.h>

#define PIECE_LEN (1u << 20) /* a few chunks: enough to keep several fetches going */

struct cat {
	const struct command *self;
	const struct index *tree;
	struct content *content;
	uint8_t *piece;
	err_t output; /* of standard output: ends everything */
};

static int copy_out(struct cat *cat, uint32_t row, uint64_t size, const char *path)
{
	struct diag d = DIAG_INIT;
	for (uint64_t off = 0; off < size && !cat->output;) {
		size_t n = (size_t)min_of(size - off, (uint64_t)PIECE_LEN);
		err_t err = content_read(cat->content, row, off, cat->piece, n, &d);
		if (err) {
			diag_prepend(&d, "%s", path);
			return cli_fail(cat->self, &d);
		}
		cat->output = write_all(STDOUT_FILENO, cat->piece, n);
		off += n;
	}
	return 0;
}

static int cat_path(struct cat *cat, char *path)
{
	struct diag d = DIAG_INIT;
	struct inode inode;
	uint32_t row;
	int status = look_up_listed(cat->self, cat->tree, path, true, &row);
	if (status)
		return status;
	index_inode(cat->tree, row, &inode);
	if (S_ISREG(inode.mode))
		return copy_out(cat, row, inode.size, path);
	if (S_ISDIR(inode.mode))
		(void)fail(&d, ERR_OTHER, -EISDIR, "%s: is a directory; 'imgfs ls' lists it", path);
	else
		(void)fail(&d, ERR_OTHER, -EINVAL, "%s: is not a regular file (%s)", path,
			   format_type(inode.mode));
	return cli_fail(cat->self, &d);
}

static int cat_paths(struct cat *cat, char **typed)
{
	struct path_list paths = {0};
	int status = look_paths(cat->self, cat->tree, typed, &paths);
	for (size_t i = 0; i < paths.n && !cat->output; i++) {
		int failed = cat_path(cat, paths.paths[i]);
		status = status ? status : failed;
	}
	path_list_fini(&paths);
	return status;
}

static int cat_image(const struct command *self, struct image *image, char **typed)
{
	struct diag d = DIAG_INIT;
	const struct content_options options = {0};
	struct cat cat = {.self = self, .tree = image->tree};
	err_t err = content_new(image, &options, &cat.content, &d);
	if (err)
		return cli_fail(self, &d);
	cat.piece = xcalloc(1, PIECE_LEN);
	int status = cat_paths(&cat, typed);
	free(cat.piece);
	content_free(&cat.content);
	return cat.output ? cli_output_lost(self, status, cat.output) : status;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct cli_image ci;
	char **operands;
	int n = cli_parse(self, argc, argv, NULL, &common, &operands);
	if (n < 2)
		return cli_usage_error(self, n ? "a path is missing" : "a reference is missing");
	int status = cli_open_image(self, &common, operands[0], true, &ci);
	if (status)
		return status;
	status = cat_image(self, ci.image, operands + 1);
	cli_close_image(&ci);
	return status;
}

const struct command cmd_cat = {
	.name = "cat",
	.synopsis = "REF PATH...",
	.summary = "Write the contents of files of an image to standard output",
	.details = "Symlinks are followed inside the image. PATH may be a pattern, as for 'imgfs\n"
		   "ls'. Only what is written is fetched, and every byte is verified before it is\n"
		   "written. When a file fails, the others are still written, and the exit status\n"
		   "is that of the first failure.",
	.examples = "imgfs cat docker.io/library/alpine /etc/os-release\n"
		    "imgfs cat alpine '/etc/apk/keys/*.pub'\n"
		    "# a program for another processor\n"
		    "imgfs cat --platform linux/arm64 alpine /bin/busybox > busybox",
	.run = run,
};
