/*
 * fuzz_wire_tree - arbitrary bytes as a tree's form: refused, or a tree whose index opens or is
 * refused, and which goes out and in again unchanged
 *
 * The first byte says whether it is an image's tree (1) and whether the rest is a form as it
 * travels (2). Otherwise the rest are the columns alone, MARK between them, so that the input
 * reaches what is behind the table of lengths.
 */
#include "index/wire_tree_priv.h"
#include "tests/unit/tree_index.h"

#include <string.h>

static const uint8_t MARK[2] = {0xff, 0xfd};

static void form_of_columns(struct bytes in, struct buf *out)
{
	struct bytes columns[WIRE_COLUMNS];
	for (size_t i = 0; i < WIRE_COLUMNS; i++) {
		const uint8_t *end = in.n ? memmem(in.p, in.n, MARK, sizeof(MARK)) : NULL;
		columns[i] = (struct bytes){in.p, end ? (size_t)(end - in.p) : in.n};
		size_t taken = columns[i].n + (end ? sizeof(MARK) : 0);
		in = (struct bytes){in.p + taken, in.n - taken};
		BUG_ON(varint_put(out, columns[i].n) || varint_put(out, columns[i].n));
	}
	for (size_t i = 0; i < WIRE_COLUMNS; i++)
		BUG_ON(buf_append(out, columns[i].p, columns[i].n));
}

/* Out of the index and in again: the same index. */
static void round_trip(const struct index *ix, const struct buf *file, bool image)
{
	struct buf form = {0}, digests = {0}, again = {0};
	struct tree *tree;
	BUG_ON(wire_tree_encode(ix, &form) || wire_digests_encode(ix, &digests));
	struct bytes sums = buf_bytes(&digests);
	BUG_ON(wire_tree_decode(buf_bytes(&form), image, TREE_LAYERS, &tree, NULL));
	BUG_ON(index_of_tree(tree, image, &sums, &again));
	BUG_ON(again.n != file->n || memcmp(again.p, file->p, file->n) != 0);
	tree_free(&tree);
	buf_fini(&form);
	buf_fini(&digests);
	buf_fini(&again);
}

/* Any bytes as its digests, then right ones. */
static void try_index(const struct tree *tree, struct bytes junk, bool image)
{
	static const uint8_t none[SHA256_LEN];
	struct buf file = {0}, sums = {0}, form = {0};
	struct index *ix;
	err_t err = index_of_tree(tree, image, &junk, &file);
	BUG_ON(err && err != -EBADMSG);
	file.n = 0;
	for (uint32_t i = 0; i < tree_node_count(tree); i++) {
		const struct tree_node *n = tree_node_const(tree, i);
		if (n->nlink && n->size && (n->mode & 0170000) == 0100000 &&
		    !(n->flags & INODE_SPARSE))
			BUG_ON(buf_append(&sums, none, sizeof(none)));
	}
	struct bytes column = buf_bytes(&sums), digests;
	BUG_ON(columns_pack(&column, 1, &form));
	digests = buf_bytes(&form);
	BUG_ON(index_of_tree(tree, image, &digests, &file));
	err = index_open_bytes(buf_bytes(&file), &ix, NULL);
	BUG_ON(err && err != -EBADMSG);
	if (!err) {
		round_trip(ix, &file, image);
		index_close(&ix);
	}
	buf_fini(&file);
	buf_fini(&sums);
	buf_fini(&form);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	bool image = data[0] & 1, as_it_is = data[0] & 2;
	struct bytes in = {data + 1, size - 1};
	struct buf form = {0};
	struct tree *tree;
	struct diag d = DIAG_INIT;
	if (as_it_is)
		BUG_ON(buf_append(&form, in.p, in.n));
	else
		form_of_columns(in, &form);
	err_t err = wire_tree_decode(buf_bytes(&form), image, image ? TREE_LAYERS : 1, &tree, &d);
	BUG_ON(err && !d.text[0]);
	if (!err) {
		try_index(tree, in, image);
		tree_free(&tree);
	}
	buf_fini(&form);
	return 0;
}
