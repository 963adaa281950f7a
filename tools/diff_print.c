/*
 * A difference as text for people, as lines for scripts, and as JSON. People see a directory that
 * came or went as one line with what is in it; scripts get every name.
 */
#include "tools/diff.h"

#include "tools/format.h"
#include "tools/look.h"
#include "tools/terminal.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DETAIL_WIDTH	36 /* columns of a terminal that are kept for what is said of a path */
#define PATH_WIDTH_MIN	20
#define PATH_WIDTH_PIPE 60 /* where nobody says how wide: longer paths push the rest aside */

static char letter_of(const struct diff_node *node)
{
	static const char letters[] = {
		[DIFF_SAME] = ' ',    [DIFF_ADDED] = 'A', [DIFF_REMOVED] = 'D',
		[DIFF_CHANGED] = 'M', [DIFF_TYPE] = 'T',  [DIFF_UNKNOWN] = '?'};
	return letters[node->status];
}

static const char *status_name(const struct diff_node *node)
{
	static const char *const names[] = {
		[DIFF_SAME] = "same",	    [DIFF_ADDED] = "added", [DIFF_REMOVED] = "removed",
		[DIFF_CHANGED] = "changed", [DIFF_TYPE] = "type",   [DIFF_UNKNOWN] = "unknown"};
	return names[node->status];
}

/* The inode that is, or was, there. */
static void inode_of(const struct diff *diff, const struct diff_node *node, struct inode *out)
{
	if (node->b != DIFF_NONE)
		index_inode(diff->b.image->tree, node->b, out);
	else
		index_inode(diff->a.image->tree, node->a, out);
}

/* --- the path of a line --- */

/* As shown: safe for a terminal, a slash behind directories; the caller frees. */
static char *shown_path(const struct diff *diff, uint32_t number)
{
	const struct diff_node *node = &diff->nodes[number];
	auto_buf struct buf path = {0};
	struct inode inode;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	if (!out || diff_node_path(diff, number, &path))
		abort(); /* memory for one line */
	inode_of(diff, node, &inode);
	format_name(out, buf_bytes(&path));
	if (S_ISDIR(inode.mode))
		fputc('/', out);
	fclose(out);
	return text;
}

static bool begins_character(char c)
{
	return (c & 0xc0) != 0x80;
}

static unsigned columns(const char *text)
{
	unsigned n = 0;
	for (; *text; text++)
		n += begins_character(*text);
	return n;
}

/* In a column of this width: what is too long loses its beginning. */
static void print_path(const char *text, unsigned width, bool cut)
{
	unsigned n = columns(text);
	if (cut && n > width) {
		fputs("...", stdout);
		for (; n > width - 3; n--)
			do
				text++;
			while (!begins_character(*text));
		n = width;
		fputs(text, stdout);
		return;
	}
	printf("%s%*s", text, n < width ? (int)(width - n) : 0, "");
}

/* --- what is said of it --- */

static void print_signed_size(int64_t bytes)
{
	char text[FORMAT_TEXT_MAX];
	printf("%c%s", bytes < 0 ? '-' : '+',
	       format_size(bytes < 0 ? (uint64_t)-bytes : (uint64_t)bytes, text));
}

static void print_one_side(const struct diff_node *node, const struct inode *inode)
{
	int64_t sign = node->status == DIFF_REMOVED ? -1 : 1;
	if (S_ISREG(inode->mode))
		print_signed_size(sign * (int64_t)inode->size);
	else
		fputs(format_type(inode->mode), stdout);
	if (!node->n_inside)
		return;
	printf(", %" PRIu32 " path%s: ", node->n_inside, node->n_inside == 1 ? "" : "s");
	print_signed_size(sign * (int64_t)node->size_inside);
}

static void print_content(const struct inode *a, const struct inode *b)
{
	char x[FORMAT_TEXT_MAX], y[FORMAT_TEXT_MAX];
	if (a->size == b->size) {
		printf("%s, other content", format_size(a->size, x));
		return;
	}
	printf("%s -> %s (", format_size(a->size, x), format_size(b->size, y));
	print_signed_size((int64_t)(b->size - a->size));
	putchar(')');
}

static void print_target(const struct diff *diff, const struct diff_node *node)
{
	fputs("target ", stdout);
	format_name(stdout, index_link_target(diff->a.image->tree, node->a));
	fputs(" -> ", stdout);
	format_name(stdout, index_link_target(diff->b.image->tree, node->b));
}

static void print_what(const struct diff *diff, const struct diff_node *node, enum diff_what what,
		       const struct inode *a, const struct inode *b)
{
	char x[FORMAT_TEXT_MAX], y[FORMAT_TEXT_MAX];
	switch (what) {
	case DIFF_WHAT_TYPE:
		printf("%s -> %s", format_type(a->mode), format_type(b->mode));
		break;
	case DIFF_WHAT_CONTENT:
		print_content(a, b);
		break;
	case DIFF_WHAT_MODE:
		printf("mode %04o -> %04o", a->mode & 07777, b->mode & 07777);
		break;
	case DIFF_WHAT_OWNER:
		printf("owner %" PRIu32 ":%" PRIu32 " -> %" PRIu32 ":%" PRIu32, a->uid, a->gid,
		       b->uid, b->gid);
		break;
	case DIFF_WHAT_XATTRS:
		fputs("xattrs", stdout);
		break;
	case DIFF_WHAT_TARGET:
		print_target(diff, node);
		break;
	case DIFF_WHAT_DEVICE:
		printf("device %" PRIu32 ", %" PRIu32 " -> %" PRIu32 ", %" PRIu32, a->rdev_major,
		       a->rdev_minor, b->rdev_major, b->rdev_minor);
		break;
	case DIFF_WHAT_TIME:
		printf("time %s -> %s", format_minute(a->mtime, x), format_minute(b->mtime, y));
		break;
	}
}

static void print_both_sides(const struct diff *diff, const struct diff_node *node)
{
	struct inode a, b;
	char text[FORMAT_TEXT_MAX];
	const char *comma = "";
	index_inode(diff->a.image->tree, node->a, &a);
	index_inode(diff->b.image->tree, node->b, &b);
	if (node->status == DIFF_UNKNOWN)
		printf("%s, content not known", format_size(b.size, text));
	for (unsigned bit = 1; bit <= DIFF_WHAT_TIME; bit <<= 1) {
		if (!(node->what & bit))
			continue;
		fputs(comma, stdout);
		print_what(diff, node, bit, &a, &b);
		comma = ", ";
	}
	if (node->n_inside)
		printf(", %" PRIu32 " path%s inside", node->n_inside,
		       node->n_inside == 1 ? "" : "s");
}

/* --- for people --- */

static bool is_shown(const struct diff_node *node, bool all)
{
	return node->status != DIFF_SAME && (all || !node->inside);
}

static unsigned path_width(const struct diff *diff, bool all, unsigned width)
{
	unsigned longest = 0, room = PATH_WIDTH_PIPE;
	if (width)
		room = width > DETAIL_WIDTH + PATH_WIDTH_MIN ? width - DETAIL_WIDTH
							     : PATH_WIDTH_MIN;
	for (uint32_t i = 0; i < diff->n; i++) {
		if (!is_shown(&diff->nodes[i], all))
			continue;
		auto_free char *path = shown_path(diff, i);
		longest = max_of(longest, columns(path));
	}
	return min_of(longest, room);
}

static void print_letter(const struct diff_node *node, bool colours)
{
	static const char *const codes[] = {
		[DIFF_SAME] = "0",     [DIFF_ADDED] = "32", [DIFF_REMOVED] = "31",
		[DIFF_CHANGED] = "33", [DIFF_TYPE] = "35",  [DIFF_UNKNOWN] = "36"};
	if (colours)
		printf(" \033[%sm%c\033[0m ", codes[node->status], letter_of(node));
	else
		printf(" %c ", letter_of(node));
}

static void print_count(uint64_t n, const char *word, int64_t bytes)
{
	printf("%" PRIu64 " %s", n, word);
	if (!n)
		return;
	fputs(" (", stdout);
	print_signed_size(bytes);
	putchar(')');
}

static void print_summary(const struct diff *diff)
{
	putchar(' ');
	print_count(diff->changed, "changed", diff->grown);
	fputs(", ", stdout);
	print_count(diff->added.names, "added", (int64_t)diff->added.bytes);
	fputs(", ", stdout);
	print_count(diff->removed.names, "removed", -(int64_t)diff->removed.bytes);
	if (diff->unknown)
		printf(", %" PRIu64 " not known", diff->unknown);
	printf(", %" PRIu64 " the same\n", diff->same);
}

void diff_print_stat(const struct diff *diff, bool all, bool colours, unsigned width)
{
	unsigned column = path_width(diff, all, width);
	for (uint32_t i = 0; i < diff->n && !ferror(stdout); i++) {
		const struct diff_node *node = &diff->nodes[i];
		struct inode inode;
		if (!is_shown(node, all))
			continue;
		auto_free char *path = shown_path(diff, i);
		print_letter(node, colours);
		print_path(path, column, width != 0);
		fputs(" | ", stdout);
		inode_of(diff, node, &inode);
		if (node->status == DIFF_ADDED || node->status == DIFF_REMOVED)
			print_one_side(node, &inode);
		else
			print_both_sides(diff, node);
		putchar('\n');
	}
	print_summary(diff);
}

/* --- for scripts --- */

void diff_print_status(const struct diff *diff)
{
	bool terminal = terminal_is(STDOUT_FILENO);
	for (uint32_t i = 0; i < diff->n && !ferror(stdout); i++) {
		auto_buf struct buf path = {0};
		if (diff->nodes[i].status == DIFF_SAME || diff_node_path(diff, i, &path))
			continue;
		printf("%c\t/", letter_of(&diff->nodes[i]));
		(terminal ? format_name : format_raw)(stdout, buf_bytes(&path));
		putchar('\n');
	}
}

static void json_side(struct json_out *j, const char *key, const struct diff_side *side,
		      uint32_t row)
{
	if (row == DIFF_NONE)
		return;
	json_put_object(j, key);
	look_json_inode(j, side->image->tree, row);
	json_put_end(j);
}

static void json_node(struct json_out *j, const struct diff *diff, uint32_t number)
{
	const struct diff_node *node = &diff->nodes[number];
	auto_buf struct buf path = {0};
	if (buf_append(&path, "/", 1))
		abort();
	auto_buf struct buf rest = {0};
	if (diff_node_path(diff, number, &rest) || buf_append(&path, rest.p, rest.n))
		abort();
	json_put_object(j, NULL);
	json_put_bytes(j, "path", buf_bytes(&path));
	json_put_text(j, "status", status_name(node));
	json_put_array(j, "what");
	for (unsigned bit = 1; bit <= DIFF_WHAT_TIME; bit <<= 1)
		if (node->what & bit)
			json_put_text(j, NULL, diff_what_name(bit));
	json_put_end(j);
	json_side(j, "a", &diff->a, node->a);
	json_side(j, "b", &diff->b, node->b);
	json_put_end(j);
}

static void json_image(struct json_out *j, const char *key, const struct image *image)
{
	char text[DIGEST_TEXT_MAX];
	auto_free char *reference = ref_text(&image->ref);
	json_put_object(j, key);
	json_put_text(j, "reference", reference);
	json_put_text(j, "digest", digest_text(&image->digest, text));
	json_put_end(j);
}

void diff_print_json(const struct diff *diff)
{
	struct json_out j;
	json_out_start(&j, stdout, 2);
	json_put_object(&j, NULL);
	json_image(&j, "a", diff->a.image);
	json_image(&j, "b", diff->b.image);
	json_put_array(&j, "changes");
	for (uint32_t i = 0; i < diff->n && !ferror(stdout); i++)
		if (diff->nodes[i].status != DIFF_SAME)
			json_node(&j, diff, i);
	json_put_end(&j);
	json_put_number(&j, "changed", diff->changed);
	json_put_signed(&j, "changed_size", diff->grown);
	json_put_number(&j, "added", diff->added.names);
	json_put_number(&j, "added_size", diff->added.bytes);
	json_put_number(&j, "removed", diff->removed.names);
	json_put_number(&j, "removed_size", diff->removed.bytes);
	json_put_number(&j, "unknown", diff->unknown);
	json_put_number(&j, "same", diff->same);
	json_put_end(&j);
}
