/*
 * A walk over both trees at once. The names of a directory come sorted from both, so they are
 * merged like two lists; what only one has is walked alone. The stack holds pairs that wait, the
 * next one on top, so nodes come out in the order in which people list a tree.
 */
#include "tools/diff.h"

#include "tools/look.h"

#include <string.h>
#include <sys/stat.h>

struct stack {
	struct diff_node *items;
	size_t n, cap;
};

const char *diff_what_name(enum diff_what what)
{
	switch (what) {
	case DIFF_WHAT_TYPE:
		return "type";
	case DIFF_WHAT_CONTENT:
		return "content";
	case DIFF_WHAT_MODE:
		return "mode";
	case DIFF_WHAT_OWNER:
		return "owner";
	case DIFF_WHAT_XATTRS:
		return "xattrs";
	case DIFF_WHAT_TARGET:
		return "target";
	case DIFF_WHAT_DEVICE:
		return "device";
	case DIFF_WHAT_TIME:
		return "time";
	}
	return "unknown";
}

void diff_start(struct diff *diff, struct image *a, struct image *b, bool times)
{
	*diff = (struct diff){
		.a = {a, image_digests_new(a)}, .b = {b, image_digests_new(b)}, .times = times};
	diff->seen_a = xcalloc(index_info(a->tree)->n_inodes, 1);
	diff->seen_b = xcalloc(index_info(b->tree)->n_inodes, 1);
}

void diff_fini(struct diff *diff)
{
	image_digests_free(&diff->a.digests);
	image_digests_free(&diff->b.digests);
	free(diff->seen_a);
	free(diff->seen_b);
	free(diff->nodes);
	*diff = (struct diff){0};
}

/* --- one pair --- */

static bool same_layer(const struct diff *diff, uint32_t a, uint32_t b)
{
	struct index_layer x, y;
	index_layer(diff->a.image->tree, a, &x);
	index_layer(diff->b.image->tree, b, &y);
	return digest_equal(&x.blob_digest, &y.blob_digest);
}

/* Whether two files of one size are the same bytes of the same layers, hole for hole. */
static bool same_place(const struct diff *diff, uint32_t a, uint32_t b, uint64_t size)
{
	struct extent x, y;
	for (uint64_t off = 0; off < size; off += x.len) {
		index_extent(diff->a.image->tree, a, off, &x);
		index_extent(diff->b.image->tree, b, off, &y);
		if (x.hole != y.hole || x.len != y.len)
			return false;
		if (!x.hole &&
		    (x.stream_off != y.stream_off || !same_layer(diff, x.layer, y.layer)))
			return false;
	}
	return true;
}

/* Content of two regular files: DIFF_SAME, DIFF_CHANGED or DIFF_UNKNOWN. */
static enum diff_status compare_content(const struct diff *diff, const struct diff_node *node,
					const struct inode *a, const struct inode *b)
{
	if (a->size != b->size)
		return DIFF_CHANGED;
	if (same_place(diff, node->a, node->b, a->size))
		return DIFF_SAME;
	const uint8_t *x = image_digest_of(diff->a.digests, node->a);
	const uint8_t *y = x ? image_digest_of(diff->b.digests, node->b) : NULL;
	if (!x || !y)
		return DIFF_UNKNOWN;
	return memcmp(x, y, SHA256_LEN) ? DIFF_CHANGED : DIFF_SAME;
}

/* Sets are sorted by name. */
static bool same_xattrs(const struct diff *diff, uint32_t a, uint32_t b)
{
	struct xattr_cursor x, y;
	struct xattr_view u, v;
	index_xattrs(diff->a.image->tree, a, &x);
	index_xattrs(diff->b.image->tree, b, &y);
	for (;;) {
		bool more = index_xattr_next(&x, &u);
		if (more != index_xattr_next(&y, &v))
			return false;
		if (!more)
			return true;
		if (!bytes_equal(u.name, v.name) || !bytes_equal(u.value, v.value))
			return false;
	}
}

static unsigned compare_attributes(const struct diff *diff, const struct diff_node *node,
				   const struct inode *a, const struct inode *b)
{
	unsigned what = 0;
	if (!S_ISLNK(a->mode) && (a->mode & 07777) != (b->mode & 07777))
		what |= DIFF_WHAT_MODE;
	if (a->uid != b->uid || a->gid != b->gid)
		what |= DIFF_WHAT_OWNER;
	if (a->rdev_major != b->rdev_major || a->rdev_minor != b->rdev_minor)
		what |= DIFF_WHAT_DEVICE;
	if (diff->times && (a->mtime != b->mtime || a->mtime_ns != b->mtime_ns))
		what |= DIFF_WHAT_TIME;
	if (S_ISLNK(a->mode) && !bytes_equal(index_link_target(diff->a.image->tree, node->a),
					     index_link_target(diff->b.image->tree, node->b)))
		what |= DIFF_WHAT_TARGET;
	if (!same_xattrs(diff, node->a, node->b))
		what |= DIFF_WHAT_XATTRS;
	return what;
}

static void compare(const struct diff *diff, struct diff_node *node, const struct inode *a,
		    const struct inode *b)
{
	if ((a->mode & S_IFMT) != (b->mode & S_IFMT)) {
		node->status = DIFF_TYPE;
		node->what = DIFF_WHAT_TYPE;
		return;
	}
	enum diff_status content = S_ISREG(a->mode) ? compare_content(diff, node, a, b) : DIFF_SAME;
	node->what = compare_attributes(diff, node, a, b);
	if (content == DIFF_CHANGED)
		node->what |= DIFF_WHAT_CONTENT;
	node->status = node->what ? DIFF_CHANGED : content;
}

/* --- counting --- */

static uint64_t file_size(const struct inode *inode)
{
	return S_ISREG(inode->mode) ? inode->size : 0;
}

/* Bytes of a file the first time that one of its names is met. */
static uint64_t size_once(uint8_t *seen, uint32_t row, const struct inode *inode)
{
	uint64_t size = seen[row] ? 0 : file_size(inode);
	seen[row] = 1;
	return size;
}

static void count_side(struct diff *diff, struct diff_node *node, struct diff_count *count,
		       uint8_t *seen, uint32_t row, const struct inode *inode)
{
	uint64_t size = size_once(seen, row, inode);
	count->names++;
	count->bytes += size;
	if (node->inside) {
		diff->nodes[node->top].n_inside++;
		diff->nodes[node->top].size_inside += size;
	}
}

static void count_node(struct diff *diff, struct diff_node *node, const struct inode *a,
		       const struct inode *b)
{
	switch (node->status) {
	case DIFF_ADDED:
		count_side(diff, node, &diff->added, diff->seen_b, node->b, b);
		break;
	case DIFF_REMOVED:
		count_side(diff, node, &diff->removed, diff->seen_a, node->a, a);
		break;
	case DIFF_CHANGED:
	case DIFF_TYPE:
		diff->changed++;
		diff->grown += (int64_t)size_once(diff->seen_b, node->b, b);
		diff->grown -= (int64_t)size_once(diff->seen_a, node->a, a);
		break;
	case DIFF_UNKNOWN:
		diff->unknown++;
		break;
	case DIFF_SAME:
		diff->same++;
		break;
	}
}

/* --- the walk --- */

static err_t push(struct stack *stack, const struct diff_node *node)
{
	if (!try_grow(&stack->items, stack->n, &stack->cap, sizeof(*node)))
		return -ENOMEM;
	stack->items[stack->n++] = *node;
	return 0;
}

/* The pairs of two sorted lists, the last one first. */
static err_t push_pairs(struct stack *stack, const struct diff_node *child, const struct listing *a,
			const struct listing *b)
{
	uint32_t i = a->n, k = b->n;
	err_t err = 0;
	while ((i || k) && !err) {
		int order = !i	 ? -1
			    : !k ? 1
				 : bytes_compare(a->entries[i - 1].name, b->entries[k - 1].name);
		struct diff_node node = *child;
		if (order >= 0) {
			node.name = a->entries[--i].name;
			node.a = a->entries[i].row;
		}
		if (order <= 0) {
			node.name = b->entries[--k].name;
			node.b = b->entries[k].row;
		}
		err = push(stack, &node);
	}
	return err;
}

static err_t load_if_dir(const struct index *tree, uint32_t row, struct listing *out)
{
	const struct index_info *info = index_info(tree);
	*out = (struct listing){0};
	return row < info->n_dirs ? listing_load(tree, row, true, out) : 0;
}

static err_t push_children(struct diff *diff, uint32_t number, struct stack *stack)
{
	const struct diff_node *node = &diff->nodes[number];
	struct diff_node child = {.parent = number, .a = DIFF_NONE, .b = DIFF_NONE};
	struct listing a, b = {0};
	child.inside = node->inside || node->status == DIFF_ADDED || node->status == DIFF_REMOVED ||
		       node->status == DIFF_TYPE;
	child.top = node->inside ? node->top : number;
	err_t err = load_if_dir(diff->a.image->tree, node->a, &a);
	if (!err)
		err = load_if_dir(diff->b.image->tree, node->b, &b);
	if (!err)
		err = push_pairs(stack, &child, &a, &b);
	listing_fini(&a);
	listing_fini(&b);
	return err;
}

static err_t visit(struct diff *diff, struct diff_node *node, struct stack *stack)
{
	struct inode a = {0}, b = {0};
	if (node->a != DIFF_NONE)
		index_inode(diff->a.image->tree, node->a, &a);
	if (node->b != DIFF_NONE)
		index_inode(diff->b.image->tree, node->b, &b);
	if (node->a == DIFF_NONE || node->b == DIFF_NONE)
		node->status = node->a == DIFF_NONE ? DIFF_ADDED : DIFF_REMOVED;
	else
		compare(diff, node, &a, &b);
	count_node(diff, node, &a, &b);
	bool dir = S_ISDIR(a.mode) || S_ISDIR(b.mode);
	if (node->status == DIFF_SAME && !dir)
		return 0;
	if (diff->n == DIFF_NONE || !try_grow(&diff->nodes, diff->n, &diff->cap, sizeof(*node)))
		return -ENOMEM;
	diff->nodes[diff->n++] = *node;
	return dir ? push_children(diff, (uint32_t)diff->n - 1, stack) : 0;
}

static err_t find(const struct index *tree, const char *path, uint32_t *row)
{
	err_t err = index_path(tree, BYTES_STR(path), false, row);
	if (err)
		*row = DIFF_NONE;
	return err == -ENOTDIR || err == -ELOOP ? -ENOENT : err;
}

err_t diff_path(struct diff *diff, const char *path)
{
	struct stack stack = {0};
	struct diff_node node = {.parent = DIFF_NONE};
	err_t err_a = find(diff->a.image->tree, path, &node.a);
	err_t err_b = find(diff->b.image->tree, path, &node.b);
	if (err_a && err_b)
		return err_a;
	while (*path == '/')
		path++;
	node.name = BYTES_STR(path);
	err_t err = push(&stack, &node);
	while (stack.n && !err) {
		node = stack.items[--stack.n];
		err = visit(diff, &node, &stack);
	}
	free(stack.items);
	return err;
}

bool diff_differs(const struct diff *diff)
{
	return diff->added.names || diff->removed.names || diff->changed || diff->unknown;
}

err_t diff_node_path(const struct diff *diff, uint32_t node, struct buf *out)
{
	size_t depth = 1;
	for (uint32_t at = node; diff->nodes[at].parent != DIFF_NONE; at = diff->nodes[at].parent)
		depth++;
	auto_free struct bytes *names = try_array(depth, sizeof(*names), DIFF_NONE);
	if (!names)
		return -ENOMEM;
	uint32_t at = node;
	for (size_t i = depth; i > 0; at = diff->nodes[at].parent)
		names[--i] = diff->nodes[at].name;
	err_t err = 0;
	for (size_t i = 0; i < depth && !err; i++) {
		if (out->n)
			err = buf_append(out, "/", 1);
		if (!err)
			err = buf_append(out, names[i].p, names[i].n);
	}
	return err;
}
