/*
 * imgfs stat: everything the index knows about a path, down to the layer that holds its bytes.
 */
#include "tools/directives.h"
#include "tools/format.h"
#include "tools/look.h"
#include "tools/terminal.h"

#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where the first byte that is no hole lies; false for files without any. */
static bool first_data(const struct index *tree, uint32_t row, const struct inode *inode,
		       struct extent *out)
{
	if (!S_ISREG(inode->mode))
		return false;
	for (uint64_t off = 0; off < inode->size; off += out->len) {
		index_extent(tree, row, off, out);
		if (!out->hole)
			return true;
	}
	return false;
}

/* The content's digest, or false: sparse files carry none, and nothing else has content. */
static bool content_digest(const struct index *tree, uint32_t row, const struct inode *inode,
			   struct digest *out)
{
	const uint8_t *sha256 = S_ISREG(inode->mode) ? index_file_digest(tree, row) : NULL;
	if (!sha256)
		return false;
	*out = (struct digest){.alg = DIGEST_SHA256};
	for (size_t i = 0; i < SHA256_LEN; i++)
		out->b[i] = sha256[i];
	return true;
}

static void print_line(const char *label, struct bytes value)
{
	printf("%8s: ", label);
	format_name(stdout, value);
	putchar('\n');
}

static void print_place(const struct index *tree, uint32_t row, const struct inode *inode)
{
	char text[DIGEST_TEXT_MAX];
	struct digest digest;
	struct extent extent;
	struct index_layer layer;
	if (content_digest(tree, row, inode, &digest))
		printf("%8s: %s\n", "Digest", digest_text(&digest, text));
	if (!first_data(tree, row, inode, &extent))
		return;
	index_layer(tree, extent.layer, &layer);
	printf("%8s: %" PRIu32 " %s, stream offset %" PRIu64 "\n", "Layer", extent.layer,
	       digest_text(&layer.blob_digest, text), extent.stream_off);
}

static void print_text(const struct index *tree, uint32_t row, const char *path)
{
	struct inode inode;
	char mode[FORMAT_TEXT_MAX], mtime[FORMAT_TEXT_MAX];
	index_inode(tree, row, &inode);
	print_line("Path", BYTES_STR(path));
	printf("%8s: %s%s\n", "Type", format_type(inode.mode),
	       inode.flags & INODE_SPARSE ? " (sparse)" : "");
	if (S_ISLNK(inode.mode))
		print_line("Target", index_link_target(tree, row));
	if (S_ISCHR(inode.mode) || S_ISBLK(inode.mode))
		printf("%8s: %" PRIu32 ", %" PRIu32 "\n", "Device", inode.rdev_major,
		       inode.rdev_minor);
	printf("%8s: %04o %s\n", "Mode", inode.mode & 07777, format_mode(inode.mode, mode));
	printf("%8s: %" PRIu32 ":%" PRIu32 "\n", "Owner", inode.uid, inode.gid);
	printf("%8s: %" PRIu64 "\n", "Size", inode.size);
	printf("%8s: %" PRIu32 "\n", "Links", inode.nlink);
	printf("%8s: %s\n", "Modified", format_time(inode.mtime, inode.mtime_ns, mtime));
	for (uint32_t i = 0; i < index_xattr_count(tree, row); i++) {
		struct xattr_view xattr;
		index_xattr(tree, row, i, &xattr);
		printf("%8s: ", "Xattr");
		format_name(stdout, xattr.name);
		putchar('=');
		format_name(stdout, xattr.value);
		putchar('\n');
	}
	print_place(tree, row, &inode);
}

static void print_json_place(struct json_out *j, const struct index *tree, uint32_t row)
{
	char text[DIGEST_TEXT_MAX];
	struct inode inode;
	struct digest digest;
	struct extent extent;
	struct index_layer layer;
	index_inode(tree, row, &inode);
	if (content_digest(tree, row, &inode, &digest))
		json_put_text(j, "digest", digest_text(&digest, text));
	if (!first_data(tree, row, &inode, &extent))
		return;
	index_layer(tree, extent.layer, &layer);
	json_put_object(j, "layer");
	json_put_number(j, "number", extent.layer);
	json_put_text(j, "digest", digest_text(&layer.blob_digest, text));
	json_put_number(j, "stream_offset", extent.stream_off);
	json_put_end(j);
}

static void print_json(struct json_out *j, const struct index *tree, uint32_t row, const char *path)
{
	json_put_object(j, NULL);
	json_put_bytes(j, "path", BYTES_STR(path));
	look_json_inode(j, tree, row);
	json_put_array(j, "xattrs");
	for (uint32_t i = 0; i < index_xattr_count(tree, row); i++) {
		struct xattr_view xattr;
		index_xattr(tree, row, i, &xattr);
		json_put_object(j, NULL);
		json_put_bytes(j, "name", xattr.name);
		json_put_bytes(j, "value", xattr.value);
		json_put_end(j);
	}
	json_put_end(j);
	print_json_place(j, tree, row);
	json_put_end(j);
}

struct stating {
	const struct command *self;
	const struct index *tree;
	const char *format; /* NULL: everything */
	bool follow, as_json;
	bool printed; /* something stands before: a blank line must follow */
	put_name_fn put_name;
	struct json_out json;
};

static void print_format(const struct stating *s, uint32_t row, const char *path)
{
	struct candidate c = {.tree = s->tree, .row = row, .path = BYTES_STR(path), .name = c.path};
	index_inode(s->tree, row, &c.inode);
	directives_print(DIRECTIVES_STAT, s->format, &c, s->put_name, stdout);
	putchar('\n');
}

static int stat_path(struct stating *s, char *path)
{
	uint32_t row;
	int status = look_up_listed(s->self, s->tree, path, s->follow, &row);
	if (status)
		return status;
	if (s->as_json) {
		print_json(&s->json, s->tree, row, path);
	} else if (s->format) {
		print_format(s, row, path);
	} else {
		if (s->printed)
			putchar('\n');
		s->printed = true;
		print_text(s->tree, row, path);
	}
	return 0;
}

static int stat_paths(struct stating *s, char **typed)
{
	struct path_list paths = {0};
	int status = look_paths(s->self, s->tree, typed, &paths);
	json_out_start(&s->json, stdout, 2);
	if (s->as_json)
		json_put_array(&s->json, NULL);
	for (size_t i = 0; i < paths.n; i++) {
		int failed = stat_path(s, paths.paths[i]);
		status = status ? status : failed;
	}
	if (s->as_json)
		json_put_end(&s->json);
	path_list_fini(&paths);
	return status;
}

static int check_words(const struct stating *s, int n)
{
	struct diag d = DIAG_INIT;
	if (n < 2)
		return cli_usage_error(s->self, n ? "a path is missing" : "a reference is missing");
	if (s->format && s->as_json)
		return cli_usage_error(s->self, "-c and --json exclude each other");
	if (s->format && directives_check(DIRECTIVES_STAT, s->format, &d))
		return cli_usage_error(s->self, "%s", d.text);
	return 0;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct stating s = {.self = self};
	struct cli_image ci;
	char **operands;
	const struct option_row rows[] = {
		{'c', "format", OPT_STRING, &s.format, "FORMAT",
		 "one line for each path, as stat(1) has it: %n %s %a %u %Y ..."},
		{'L', "dereference", OPT_FLAG, &s.follow, NULL, "follow symlinks"},
		{0, "json", OPT_FLAG, &common.json, NULL, "an array of objects (JSON.md)"},
		{0},
	};
	int n = cli_parse(self, argc, argv, rows, &common, &operands);
	s.as_json = common.json;
	s.put_name = terminal_is(STDOUT_FILENO) ? format_name : format_raw;
	int status = check_words(&s, n);
	if (!status)
		status = cli_open_image(self, &common, operands[0], true, &ci);
	if (status)
		return status;
	s.tree = ci.image->tree;
	status = stat_paths(&s, operands + 1);
	cli_close_image(&ci);
	return status;
}

const struct command cmd_stat = {
	.name = "stat",
	.synopsis = "[-L] [-c FORMAT | --json] REF PATH...",
	.summary = "Show all that is known about files of an image",
	.details =
		"Without -L, symlinks are not followed. PATH may be a pattern, as for 'imgfs\n"
		"ls'. Layers are numbered from 0, the lowest one. Control characters and bytes\n"
		"that are not UTF-8 are shown as \\ooo, a backslash as \\\\; -c does that on a\n"
		"terminal only.\n"
		"In FORMAT, %n is the path, %N with the target of a symlink, %s size, %a and %A\n"
		"mode, %u %g owner, %h links, %F type, %y and %Y time, %t:%T device, %i a\n"
		"number of this image.",
	.examples = "imgfs stat docker.io/library/alpine /etc/passwd\n"
		    "# which layer a program comes from\n"
		    "imgfs stat -L python:3.12 /usr/local/bin/python3\n"
		    "imgfs stat -c '%a %u:%g %n' alpine '/usr/bin/*'",
	.run = run,
};
