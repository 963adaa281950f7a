/*
 * fuzz_profile - arbitrary bytes as a profile: refused with the line, or ranges of files that the
 * tree has, which go out and in again unchanged
 *
 * The first byte says what the rest is: the text (even), or packed (odd).
 */
#include "index/profile.h"
#include "tests/unit/tree_index.h"

#include <string.h>
#include <sys/stat.h>

#define TEXT_MAX (4u << 20) /* of what is unpacked: beyond it only costs time */

static struct index *tree;

static uint32_t add(struct tree *t, uint32_t dir, struct bytes name, mode_t mode, uint64_t size)
{
	struct tree_node node = {.mode = mode, .size = size, .stream_off = 512};
	uint32_t made;
	BUG_ON(tree_add_node(t, &node, &made) || tree_link(t, dir, name, made));
	return made;
}

/* Files with odd names, a hard link, and what is no file. */
static void make_tree(void)
{
	static struct buf file;
	struct tree *t = tree_new();
	uint32_t dir = add(t, 0, BYTES_STR("a b"), S_IFDIR | 0755, 0);
	uint32_t link = add(t, dir, BYTES_STR("c\nd\\"), S_IFREG | 0644, 1000);
	add(t, 0, BYTES_STR("f"), S_IFREG | 0644, 5);
	add(t, 0, BYTES_STR("e"), S_IFREG | 0644, 0);
	add(t, 0, BYTES_STR("\x80\x7f"), S_IFREG | 0644, 70000);
	add(t, 0, BYTES_STR("p"), S_IFIFO | 0644, 0);
	BUG_ON(tree_link(t, 0, BYTES_STR("g"), link));
	BUG_ON(index_of_tree(t, true, NULL, &file));
	BUG_ON(index_open_bytes(buf_bytes(&file), &tree, NULL));
	tree_free(&t);
}

/* What profile_read promises of ranges; the same ranges come back from what is written of them. */
static void check(const struct profile *p)
{
	struct buf text = {0};
	struct profile again;
	for (size_t i = 0; i < p->n; i++) {
		struct inode inode;
		index_inode(tree, p->ranges[i].row, &inode);
		BUG_ON(!S_ISREG(inode.mode) || p->ranges[i].len == 0);
		BUG_ON(p->ranges[i].off >= inode.size ||
		       p->ranges[i].len > inode.size - p->ranges[i].off);
	}
	BUG_ON(profile_write(tree, p, &text));
	BUG_ON(profile_read(tree, buf_bytes(&text), &again, NULL));
	BUG_ON(again.n != p->n);
	for (size_t i = 0; i < p->n; i++)
		BUG_ON(again.ranges[i].row != p->ranges[i].row ||
		       again.ranges[i].off != p->ranges[i].off ||
		       again.ranges[i].len != p->ranges[i].len);
	profile_fini(&again);
	buf_fini(&text);
}

static void try_text(struct bytes text)
{
	struct profile p, none;
	struct diag d = DIAG_INIT, e = DIAG_INIT;
	err_t err = profile_read(tree, text, &p, &d);
	BUG_ON(err && (err != -EBADMSG || !strstr(d.text, "line")));
	BUG_ON(profile_read(NULL, text, &none, &e) != err || strcmp(d.text, e.text) != 0);
	if (err)
		return;
	BUG_ON(none.n);
	check(&p);
	profile_fini(&p);
	profile_fini(&none);
}

/* What was packed here comes back. */
static void pack_again(struct bytes text)
{
	struct buf packed = {0}, back = {0};
	BUG_ON(profile_pack(text, &packed) || profile_unpack(buf_bytes(&packed), &back));
	BUG_ON(!bytes_equal(text, buf_bytes(&back)));
	buf_fini(&packed);
	buf_fini(&back);
}

static void try_packed(struct bytes packed)
{
	struct buf text = {0};
	err_t err = profile_unpack(packed, &text);
	BUG_ON(err && err != -EBADMSG);
	BUG_ON(!err && (text.n == 0 || text.n > PROFILE_TEXT_MAX));
	if (!err && text.n <= TEXT_MAX)
		try_text(buf_bytes(&text));
	buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!tree)
		make_tree();
	if (size < 2)
		return 0;
	const struct bytes in = {data + 1, size - 1};
	if (data[0] & 1) {
		try_packed(in);
	} else {
		try_text(in);
		pack_again(in);
	}
	return 0;
}
