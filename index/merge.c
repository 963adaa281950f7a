/*
 * Stacking layers. Each layer's tree is laid over what the layers below have given: in every
 * directory first an opaque mark takes everything away that was there, then each entry does its
 * own: a whiteout removes the name, a directory meets a directory and keeps its children, anything
 * else replaces. Because a layer's marks and entries stand side by side in its tree, their order in
 * the archive plays no part.
 *
 * Hard links to lower layers are resolved before the layer is laid over: their target is what the
 * image was below.
 */
#include "index/merge.h"

#include "index/index_priv.h"
#include "index/layer_tree.h"
#include "index/lower_rows.h"
#include "index/tree_write.h"

#include <stdio.h>
#include <sys/stat.h>

struct merge {
	const struct index *const *layers;
	size_t n_layers;
	struct tree *tree;
	/* of the layer that is being laid over */
	uint32_t layer;
	const struct index *ix;
	uint32_t *node_of; /* by row of the layer; TREE_NONE: not yet in the tree */
	struct lower_rows lower;
};

/* A pair of directories that are being laid over each other. */
struct pair {
	uint32_t layer_dir, tree_dir;
	size_t lower; /* of lower_rows; LOWER_ROWS_NONE: not needed so far */
};

void image_key_of(const struct digest *layers, size_t n, struct digest *out)
{
	struct hasher *h = hasher_new(DIGEST_SHA256);
	hasher_update(h, "imgfs-image-1\n", 14);
	for (size_t i = 0; i < n; i++) {
		char text[DIGEST_TEXT_MAX];
		digest_text(&layers[i], text);
		hasher_update(h, text, strlen(text));
		hasher_update(h, "\n", 1);
	}
	hasher_done(h, out);
	hasher_free(&h);
}

static err_t copy_xattrs(struct tree *t, const struct index *ix, uint32_t row, uint32_t *out)
{
	uint32_t n = index_xattr_count(ix, row);
	*out = 0;
	if (n == 0)
		return 0;
	auto_free struct tar_xattr *xattrs = try_array(n, sizeof(*xattrs), TAR_XATTRS_MAX);
	if (!xattrs)
		return -ENOMEM;
	struct xattr_cursor cursor;
	struct xattr_view v;
	index_xattrs(ix, row, &cursor);
	for (uint32_t i = 0; index_xattr_next(&cursor, &v); i++)
		xattrs[i] = (struct tar_xattr){v.name, v.value};
	return tree_xattrs_add(t, xattrs, n, out);
}

static err_t copy_extents(struct merge *m, uint32_t row, struct tree_node *node)
{
	uint64_t ref = get_le64(m->ix->inodes[row].ref), first = ref & UINT32_MAX, n = ref >> 32;
	struct tree_extent *extents = tree_extents(m->tree, n);
	if (!extents)
		return -ENOMEM;
	for (uint64_t i = 0; i < n; i++) {
		const struct disk_extent *x = &m->ix->extents[first + i];
		extents[i] =
			(struct tree_extent){get_le64(x->off), get_le64(x->len), get_le64(x->data)};
	}
	node->extents = extents;
	node->n_extents = (uint32_t)n;
	return 0;
}

/* A row of the layer as a node of the tree, without a name yet. */
static err_t copy_row(struct merge *m, uint32_t row, struct tree_node *node)
{
	struct inode inode;
	index_inode(m->ix, row, &inode);
	*node = (struct tree_node){
		.mode = inode.mode,
		.flags = inode.flags & INODE_SPARSE,
		.uid = inode.uid,
		.gid = inode.gid,
		.mtime = inode.mtime,
		.mtime_ns = inode.mtime_ns,
		.layer = m->layer,
		.size = inode.size,
	};
	err_t err = copy_xattrs(m->tree, m->ix, row, &node->xattrs);
	if (err)
		return err;
	if (S_ISCHR(inode.mode) || S_ISBLK(inode.mode))
		node->size = (uint64_t)inode.rdev_major << 32 | inode.rdev_minor;
	if (S_ISLNK(inode.mode))
		return tree_bytes(m->tree, index_link_target(m->ix, row), &node->target);
	if (!S_ISREG(inode.mode))
		return 0;
	node->digest = index_file_digest(m->ix, row);
	if (inode.flags & INODE_SPARSE)
		return copy_extents(m, row, node);
	node->stream_off = get_le64(m->ix->inodes[row].ref);
	return 0;
}

static void dir_attributes(struct tree_node *to, const struct tree_node *from)
{
	to->mode = from->mode;
	to->uid = from->uid;
	to->gid = from->gid;
	to->mtime = from->mtime;
	to->mtime_ns = from->mtime_ns;
	to->xattrs = from->xattrs;
}

/*
 * Attributes of a directory that the layer only implies and that is not there below it. Unpackers
 * that put each layer in a directory of its own (overlay) copy them from the first lower layer,
 * from the top, that has a directory under this path, even one that was hidden since; a whiteout or
 * a file there ends the search. Without any: 0755, root, 1970.
 */
static err_t implied_attributes(struct merge *m, struct pair *parent, struct bytes name,
				struct tree_node *node, size_t *at)
{
	err_t err = 0;
	if (parent->lower == LOWER_ROWS_NONE) {
		auto_buf struct buf path = {0};
		err = tree_dir_path(m->tree, parent->tree_dir, &path);
		if (!err)
			err = lower_rows_at(&m->lower, buf_bytes(&path), &parent->lower);
	}
	if (!err)
		err = lower_rows_below(&m->lower, parent->lower, name, at);
	uint32_t layer, row;
	if (err || !lower_rows_nearest(&m->lower, *at, &layer, &row))
		return err;
	struct inode inode;
	index_inode(m->layers[layer], row, &inode);
	node->mode = inode.mode;
	node->uid = inode.uid;
	node->gid = inode.gid;
	node->mtime = inode.mtime;
	node->mtime_ns = inode.mtime_ns;
	return copy_xattrs(m->tree, m->layers[layer], row, &node->xattrs);
}

/* The directory of the tree that a directory row of the layer becomes or meets. */
static err_t merge_dir(struct merge *m, struct pair *at, const struct dir_entry *e,
		       struct pair *below)
{
	struct tree_node node;
	uint32_t dir = at->tree_dir, *out = &below->tree_dir;
	bool implied = get_le16(m->ix->inodes[e->row].flags) & INODE_IMPLIED;
	uint32_t old = tree_lookup(m->tree, dir, e->name);
	uint32_t held = old == TREE_NONE ? TREE_NONE : tree_entry(m->tree, old)->node;
	bool meets = held != TREE_NONE && S_ISDIR(tree_node(m->tree, held)->mode);
	*out = held;
	if (meets && implied)
		return 0;
	err_t err = copy_row(m, e->row, &node);
	if (err)
		return err;
	if (meets) {
		dir_attributes(tree_node(m->tree, held), &node);
		return 0;
	}
	if (implied)
		err = implied_attributes(m, at, e->name, &node, &below->lower);
	if (!err)
		err = tree_add_node(m->tree, &node, out);
	if (err)
		return err;
	if (old != TREE_NONE)
		tree_unlink(m->tree, old);
	return tree_link(m->tree, dir, e->name, *out);
}

static err_t merge_file(struct merge *m, uint32_t dir, const struct dir_entry *e)
{
	uint32_t old = tree_lookup(m->tree, dir, e->name);
	if (get_le16(m->ix->inodes[e->row].flags) & INODE_WHITEOUT) {
		if (old != TREE_NONE)
			tree_unlink(m->tree, old);
		return 0;
	}
	if (m->node_of[e->row] == TREE_NONE) {
		struct tree_node node;
		err_t err = copy_row(m, e->row, &node);
		if (!err)
			err = tree_add_node(m->tree, &node, &m->node_of[e->row]);
		if (err)
			return err;
	}
	if (old != TREE_NONE)
		tree_unlink(m->tree, old);
	return tree_link(m->tree, dir, e->name, m->node_of[e->row]);
}

static err_t merge_entries(struct merge *m, struct pair at, struct buf *todo)
{
	uint32_t n = index_dir_count(m->ix, at.layer_dir);
	if (get_le16(m->ix->inodes[at.layer_dir].flags) & INODE_OPAQUE)
		tree_clear_dir(m->tree, at.tree_dir);
	err_t err = 0;
	for (uint32_t i = 0; i < n && !err; i++) {
		struct dir_entry e;
		index_dir_entry(m->ix, at.layer_dir, i, &e);
		if (!row_is_dir(m->ix, e.row)) {
			err = merge_file(m, at.tree_dir, &e);
			continue;
		}
		struct pair below = {.layer_dir = e.row, .lower = LOWER_ROWS_NONE};
		err = merge_dir(m, &at, &e, &below);
		if (!err)
			err = buf_append(todo, &below, sizeof(below));
	}
	return err;
}

static err_t merge_root(struct merge *m)
{
	struct tree_node node;
	if (get_le16(m->ix->inodes[0].flags) & INODE_IMPLIED)
		return 0;
	err_t err = copy_row(m, 0, &node);
	if (!err)
		dir_attributes(tree_node(m->tree, 0), &node);
	return err;
}

/* Where a path leads in the tree so far: symlinked parents are followed inside the root, the last
 * component is not. */
static err_t tree_path(const struct tree *t, struct bytes path, uint32_t *out)
{
	auto_buf struct buf rest = {0};
	err_t err = buf_append(&rest, path.p, path.n);
	uint32_t at = 0;
	unsigned symlinks = 0;
	for (size_t pos = 0; !err;) {
		while (pos < rest.n && rest.p[pos] == '/')
			pos++;
		size_t start = pos;
		while (pos < rest.n && rest.p[pos] != '/')
			pos++;
		struct bytes name = {rest.p + start, pos - start};
		if (name.n == 0)
			break;
		if (!S_ISDIR(tree_node_const(t, at)->mode))
			return -ENOENT;
		if (bytes_equal_str(name, "."))
			continue;
		if (bytes_equal_str(name, "..")) {
			at = tree_node_const(t, at)->parent;
			continue;
		}
		uint32_t e = tree_lookup(t, at, name);
		if (e == TREE_NONE)
			return -ENOENT;
		const struct tree_node *n = tree_node_const(t, tree_entry(t, e)->node);
		if (!S_ISLNK(n->mode) || pos >= rest.n) {
			at = tree_entry(t, e)->node;
			continue;
		}
		if (++symlinks > SYMLINKS_MAX)
			return -ENOENT;
		struct buf joined = {0};
		err = buf_append(&joined, n->target.p, n->target.n);
		if (!err)
			err = buf_append(&joined, rest.p + pos, rest.n - pos);
		at = n->target.p[0] == '/' ? 0 : at;
		buf_fini(&rest);
		rest = joined;
		pos = 0;
	}
	*out = at;
	return err;
}

static err_t resolve_lower_links(struct merge *m, struct diag *d)
{
	const struct index_info *info = index_info(m->ix);
	for (uint32_t row = info->n_dirs + info->n_regular; row < info->n_inodes; row++) {
		struct inode inode;
		index_inode(m->ix, row, &inode);
		if (!(inode.flags & INODE_LOWER_LINK))
			continue;
		struct bytes target = index_link_target(m->ix, row);
		uint32_t node = TREE_NONE;
		err_t err = tree_path(m->tree, target, &node);
		if (err == -ENOMEM)
			return err;
		if (err || S_ISDIR(tree_node(m->tree, node)->mode))
			return fail(d, ERR_INTEGRITY, -EBADMSG,
				    "layer %u has a hard link to '%.*s', which is %s", m->layer + 1,
				    (int)min_of(target.n, (size_t)200), (const char *)target.p,
				    err ? "in no layer below it" : "a directory");
		m->node_of[row] = node;
	}
	return 0;
}

static err_t lay_over(struct merge *m, struct diag *d)
{
	uint32_t n_rows = index_info(m->ix)->n_inodes;
	m->node_of = malloc((size_t)n_rows * sizeof(*m->node_of));
	if (!m->node_of)
		return -ENOMEM;
	memset(m->node_of, 0xff, (size_t)n_rows * sizeof(*m->node_of));
	err_t err = resolve_lower_links(m, d);
	auto_buf struct buf todo = {0};
	struct pair at = {0, 0, LOWER_ROWS_NONE};
	m->lower = (struct lower_rows){.layers = m->layers, .n_layers = m->layer};
	if (!err)
		err = merge_root(m);
	if (!err)
		err = buf_append(&todo, &at, sizeof(at));
	while (!err && todo.n) {
		todo.n -= sizeof(at);
		memcpy(&at, todo.p + todo.n, sizeof(at));
		err = merge_entries(m, at, &todo);
	}
	free(take(&m->node_of));
	buf_fini(&m->lower.rows);
	return err;
}

static err_t layers_section(const struct merge *m, struct digest *key, struct buf *out)
{
	struct digest blobs[INDEX_LAYERS_MAX];
	for (size_t i = 0; i < m->n_layers; i++) {
		const struct index_info *info = index_info(m->layers[i]);
		struct disk_layer row = {
			.blob_alg = info->blob_digest.alg,
			.diff_alg = info->diff_id.alg,
			.blob_size = put_le64(info->blob_size),
			.stream_size = put_le64(info->stream_size),
		};
		memcpy(row.blob_digest, info->blob_digest.b, DIGEST_MAX);
		memcpy(row.diff_id, info->diff_id.b, DIGEST_MAX);
		err_t err = buf_append(out, &row, sizeof(row));
		if (err)
			return err;
		blobs[i] = info->blob_digest;
	}
	image_key_of(blobs, m->n_layers, key);
	return 0;
}

static err_t write_image(const struct merge *m, struct buf *out)
{
	auto_buf struct buf layers = {0};
	struct digest key;
	struct tree_sections *ts;
	err_t err = layers_section(m, &key, &layers);
	if (err)
		return err;
	err = tree_sections_new(m->tree, name_salt(&key), true, &ts);
	if (err)
		return err;
	struct disk_image_meta meta = {.n_layers = put_le32((uint32_t)m->n_layers)};
	tree_sections_meta(ts, &meta.tree);
	memcpy(meta.image_key, key.b, sizeof(meta.image_key));
	struct section_out sections[TREE_SECTIONS + 2] = {
		{SECTION_META, false, {(const uint8_t *)&meta, sizeof(meta)}},
	};
	tree_sections_get(ts, sections + 1);
	sections[TREE_SECTIONS + 1] =
		(struct section_out){SECTION_LAYERS, false, buf_bytes(&layers)};
	err = container_write(INDEX_IMAGE, sections, ARRAY_LEN(sections), out);
	tree_sections_free(&ts);
	return err;
}

err_t merge_layers(const struct index *const *layers, size_t n, struct buf *out, struct diag *d)
{
	if (n > INDEX_LAYERS_MAX)
		return fail(d, ERR_UNSUPPORTED, -ENOTSUP, "%zu layers; %u is the most", n,
			    INDEX_LAYERS_MAX);
	struct diag why = DIAG_INIT;
	struct merge m = {.layers = layers, .n_layers = n, .tree = tree_new()};
	err_t err = 0;
	for (size_t i = 0; i < n && !err; i++) {
		BUG_ON(index_info(layers[i])->kind != INDEX_LAYER);
		m.layer = (uint32_t)i;
		m.ix = layers[i];
		err = lay_over(&m, &why);
	}
	if (!err)
		err = write_image(&m, out);
	tree_free(&m.tree);
	if (err && why.text[0])
		return fail(d, why.cls, err, "%s", why.text);
	if (err == -EBADMSG)
		return fail(d, ERR_INTEGRITY, err,
			    "merge the layers: more than %u directories deep", FORMAT_DEPTH_MAX);
	return err ? fail_sys(d, ERR_OTHER, err, "merge the layers") : 0;
}
