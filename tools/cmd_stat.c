/*
 * imgfs stat: everything the index knows about a path, down to the layer that holds its bytes.
 */
#include "tools/format.h"
#include "tools/look.h"

#include <inttypes.h>
#include <sys/stat.h>

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

static int stat_paths(const struct command *self, const struct index *tree, bool as_json,
		      char **paths)
{
	struct json_out json;
	int status = 0;
	json_out_start(&json, stdout, 2);
	if (as_json)
		json_put_array(&json, NULL);
	for (char **typed = paths; *typed; typed++) {
		auto_free char *path = look_path(*typed);
		uint32_t row;
		int failed = look_up(self, tree, path, false, &row);
		status = status ? status : failed;
		if (failed)
			continue;
		if (as_json)
			print_json(&json, tree, row, path);
		else
			print_text(tree, row, path);
		if (!as_json && typed[1])
			putchar('\n');
	}
	if (as_json)
		json_put_end(&json);
	return status;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct cli_image ci;
	char **operands;
	const struct option_row rows[] = {
		{0, "json", OPT_FLAG, &common.json, NULL, "an array of objects (tools/JSON.md)"},
		{0},
	};
	int n = cli_parse(self, argc, argv, rows, &common, &operands);
	if (n < 2)
		return cli_usage_error(self, n ? "a path is missing" : "a reference is missing");
	int status = cli_open_image(self, &common, operands[0], true, &ci);
	if (status)
		return status;
	status = stat_paths(self, ci.image->tree, common.json, operands + 1);
	cli_close_image(&ci);
	return status;
}

const struct command cmd_stat = {
	.name = "stat",
	.synopsis = "[--json] REF PATH...",
	.summary = "Show all that is known about files of an image",
	.details =
		"Symlinks are not followed. Layers are numbered from 0, the lowest one. Control\n"
		"characters and bytes that are not UTF-8 are shown as \\ooo, a backslash as \\\\.",
	.run = run,
};
