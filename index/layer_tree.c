/*
 * How the members of a tar become a tree.
 *
 * Names are cleaned lexically and walked from the root. A symlink on the way that this same layer
 * brought is followed inside the root; what lower layers have at that place is not known here and
 * is settled by the merge. Directories that the archive never named are implied. A whiteout becomes
 * an entry of its own, an opaque mark a flag of its directory; both act on lower layers only,
 * wherever they stand in the archive, so one that meets an entry of its own layer only turns a
 * directory opaque.
 */
#include "index/layer_tree.h"

#include <sys/stat.h>

#define WHITEOUT_PREFIX ".wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"

/* A path that is still to be walked: components are taken off its front, symlink targets are put
 * there. */
struct walk {
	struct buf rest;
	size_t at;
	unsigned symlinks;
};

static bool walk_next(struct walk *w, struct bytes *name)
{
	while (w->at < w->rest.n && w->rest.p[w->at] == '/')
		w->at++;
	if (w->at == w->rest.n)
		return false;
	size_t start = w->at;
	while (w->at < w->rest.n && w->rest.p[w->at] != '/')
		w->at++;
	*name = (struct bytes){w->rest.p + start, w->at - start};
	return true;
}

/* Put a symlink's target in front of what is left. */
static err_t walk_symlink(struct walk *w, struct bytes target)
{
	if (++w->symlinks > SYMLINKS_MAX)
		return -ELOOP;
	struct buf joined = {0};
	err_t err = buf_append(&joined, target.p, target.n);
	if (!err)
		err = buf_append(&joined, "/", 1);
	if (!err)
		err = buf_append(&joined, w->rest.p + w->at, w->rest.n - w->at);
	if (err) {
		buf_fini(&joined);
		return err;
	}
	buf_fini(&w->rest);
	w->rest = joined;
	w->at = 0;
	return 0;
}

/* Clean a name as path.Clean("/" + name) does: no empty parts, no ".", ".." takes a part away and
 * stops at the root. */
static err_t clean_path(struct bytes name, struct buf *out)
{
	struct walk w = {.rest = {.p = (uint8_t *)(uintptr_t)name.p, .n = name.n}};
	struct bytes part;
	while (walk_next(&w, &part)) {
		if (bytes_equal_str(part, "."))
			continue;
		if (bytes_equal_str(part, "..")) {
			while (out->n && out->p[--out->n] != '/')
				;
			continue;
		}
		err_t err = buf_append(out, "/", 1);
		if (!err)
			err = buf_append(out, part.p, part.n);
		if (err)
			return err;
	}
	return 0;
}

static err_t replace(struct tree *t, uint32_t dir, struct bytes name, uint32_t node)
{
	uint32_t old = tree_lookup(t, dir, name);
	if (old != TREE_NONE)
		tree_unlink(t, old);
	return tree_link(t, dir, name, node);
}

static bool is_whiteout_name(struct bytes name)
{
	return name.n >= 4 && memcmp(name.p, WHITEOUT_PREFIX, 4) == 0;
}

/*
 * A directory that is only implied by what lies in it. Below a whiteout of the same layer it is
 * opaque. -ENODATA for a name that no tree can have: what lies below a whiteout's own name is
 * ignored.
 */
static err_t imply_dir(struct tree *t, uint32_t dir, struct bytes name, uint32_t *out)
{
	if (is_whiteout_name(name))
		return -ENODATA;
	struct tree_node node = {.mode = S_IFDIR | 0755, .flags = INODE_IMPLIED};
	uint32_t old = tree_lookup(t, dir, name);
	if (old != TREE_NONE && (tree_node(t, tree_entry(t, old)->node)->flags & INODE_WHITEOUT))
		node.flags |= INODE_OPAQUE;
	err_t err = tree_add_node(t, &node, out);
	return err ? err : replace(t, dir, name, *out);
}

/* Walk to the directory that a path names, through this layer's own symlinks, making what is
 * missing. */
static err_t walk_to_dir(struct tree *t, struct bytes path, uint32_t *out)
{
	struct walk w = {0};
	err_t err = buf_append(&w.rest, path.p, path.n);
	uint32_t dir = 0;
	struct bytes name;
	while (!err && walk_next(&w, &name)) {
		if (bytes_equal_str(name, "."))
			continue;
		if (bytes_equal_str(name, "..")) {
			dir = tree_node(t, dir)->parent;
			continue;
		}
		uint32_t e = tree_lookup(t, dir, name);
		const struct tree_node *n =
			e == TREE_NONE ? NULL : tree_node(t, tree_entry(t, e)->node);
		if (n && S_ISDIR(n->mode))
			dir = tree_entry(t, e)->node;
		else if (n && S_ISLNK(n->mode)) {
			dir = n->target.n && n->target.p[0] == '/' ? 0 : dir;
			err = walk_symlink(&w, n->target);
		} else
			err = imply_dir(t, dir, name, &dir);
	}
	buf_fini(&w.rest);
	*out = dir;
	return err;
}

/*
 * Where a hard link's target lies: its entry, or TREE_NONE with the path under which a lower layer
 * must have it. The last component is not followed; nothing is made.
 */
static err_t find_target(struct tree *t, struct bytes path, uint32_t *entry, struct buf *lower_path)
{
	struct walk w = {0};
	err_t err = buf_append(&w.rest, path.p, path.n);
	uint32_t dir = 0, e = TREE_NONE;
	unsigned outside = 0; /* components since the walk has left what this layer has */
	struct bytes name;
	while (!err && walk_next(&w, &name)) {
		if (bytes_equal_str(name, "."))
			continue;
		if (bytes_equal_str(name, "..")) {
			while (lower_path->n && lower_path->p[--lower_path->n] != '/')
				;
			dir = outside ? dir : tree_node(t, dir)->parent;
			outside -= outside > 0;
			continue;
		}
		bool last = w.at >= w.rest.n;
		e = outside ? TREE_NONE : tree_lookup(t, dir, name);
		const struct tree_node *n =
			e == TREE_NONE ? NULL : tree_node(t, tree_entry(t, e)->node);
		if (n && S_ISLNK(n->mode) && !last) {
			if (n->target.n && n->target.p[0] == '/') {
				dir = 0;
				lower_path->n = 0;
			}
			err = walk_symlink(&w, n->target);
			continue;
		}
		if (n && S_ISDIR(n->mode))
			dir = tree_entry(t, e)->node;
		else
			outside++;
		err = buf_append(lower_path, "/", 1);
		if (!err)
			err = buf_append(lower_path, name.p, name.n);
	}
	buf_fini(&w.rest);
	*entry = e;
	return err;
}

/*
 * user.overlay.* would be obeyed by an overlayfs above the mount; trusted.* belongs to the machine
 * that made the image (trusted.overlay.* among it), and no unpacker sets it.
 */
static bool xattr_is_hidden(struct bytes name)
{
	static const char *const prefixes[] = {"trusted.", "user.overlay."};
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		size_t n = strlen(prefixes[i]);
		if (name.n >= n && memcmp(name.p, prefixes[i], n) == 0)
			return true;
	}
	return false;
}

/* The member's xattrs that may be shown, on top of the set `base`. */
static err_t add_xattrs(struct tree *t, uint32_t base, const struct tar_entry *e, uint32_t *out)
{
	*out = base;
	if (!e->n_xattrs)
		return 0;
	auto_free struct tar_xattr *shown = try_array(e->n_xattrs, sizeof(*shown), TAR_XATTRS_MAX);
	if (!shown)
		return -ENOMEM;
	size_t n = 0;
	for (size_t i = 0; i < e->n_xattrs; i++)
		if (!xattr_is_hidden(e->xattrs[i].name))
			shown[n++] = e->xattrs[i];
	return tree_xattrs_union(t, base, shown, n, out);
}

static err_t node_extents(struct tree *t, const struct tar_entry *e, struct tree_node *node)
{
	struct tree_extent *extents = tree_extents(t, e->n_extents);
	if (!extents)
		return -ENOMEM;
	uint64_t at = e->data_off;
	size_t n = 0;
	for (size_t i = 0; i < e->n_extents; i++) {
		if (!e->extents[i].len)
			continue;
		extents[n++] = (struct tree_extent){e->extents[i].off, e->extents[i].len, at};
		at += e->extents[i].len;
	}
	node->extents = extents;
	node->n_extents = (uint32_t)n;
	node->flags |= INODE_SPARSE;
	return 0;
}

static uint32_t mode_of(const struct tar_entry *e)
{
	static const uint32_t types[] = {
		[TAR_REGULAR] = S_IFREG, [TAR_SYMLINK] = S_IFLNK,   [TAR_CHAR] = S_IFCHR,
		[TAR_BLOCK] = S_IFBLK,	 [TAR_DIRECTORY] = S_IFDIR, [TAR_FIFO] = S_IFIFO,
	};
	/* Linux has no permissions on symlinks; every unpacked tree shows 0777. */
	return types[e->type] | (e->type == TAR_SYMLINK ? 0777 : e->mode);
}

static err_t node_of(struct tree *t, const struct tar_entry *e, struct tree_node *node)
{
	*node = (struct tree_node){
		.mode = mode_of(e),
		.uid = e->uid,
		.gid = e->gid,
		.mtime = e->mtime,
		.mtime_ns = e->mtime_ns,
	};
	err_t err = add_xattrs(t, 0, e, &node->xattrs);
	if (err)
		return err;
	switch (e->type) {
	case TAR_REGULAR:
		node->size = e->size;
		node->stream_off = e->data_off;
		return e->sparse ? node_extents(t, e, node) : 0;
	case TAR_SYMLINK:
		return tree_bytes(t, e->link, &node->target);
	case TAR_CHAR:
	case TAR_BLOCK:
		node->size = (uint64_t)e->dev_major << 32 | e->dev_minor;
		return 0;
	default:
		return 0;
	}
}

/* Attributes of a member onto a directory that is there already: what is in it stays. */
static void dir_update(struct tree_node *dir, const struct tree_node *from)
{
	dir->mode = from->mode;
	dir->uid = from->uid;
	dir->gid = from->gid;
	dir->mtime = from->mtime;
	dir->mtime_ns = from->mtime_ns;
	dir->xattrs = from->xattrs;
	dir->flags &= ~(uint32_t)INODE_IMPLIED;
}

static err_t add_whiteout(struct tree *t, uint32_t dir, struct bytes hidden, struct diag *d)
{
	if (hidden.n == 0 || bytes_equal_str(hidden, ".") || bytes_equal_str(hidden, ".."))
		return fail(d, ERR_INTEGRITY, -EBADMSG,
			    "a whiteout names no file: '" WHITEOUT_PREFIX "%.*s'", (int)hidden.n,
			    (const char *)hidden.p);
	/* Left over from AUFS: book-keeping that is neither shown nor obeyed. */
	if (is_whiteout_name(hidden))
		return 0;
	uint32_t e = tree_lookup(t, dir, hidden);
	if (e != TREE_NONE) {
		struct tree_node *n = tree_node(t, tree_entry(t, e)->node);
		if (S_ISDIR(n->mode))
			n->flags |= INODE_OPAQUE;
		return 0;
	}
	struct tree_node whiteout = {.flags = INODE_WHITEOUT};
	uint32_t node;
	err_t err = tree_add_node(t, &whiteout, &node);
	return err ? err : tree_link(t, dir, hidden, node);
}

/* A link to something that this layer does not have; the merge looks for it in the layers below. */
static err_t add_lower_link(struct tree *t, struct bytes target, uint32_t dir, struct bytes name)
{
	struct tree_node link = {.flags = INODE_LOWER_LINK};
	uint32_t node;
	err_t err = tree_bytes(t, target, &link.target);
	if (!err)
		err = tree_add_node(t, &link, &node);
	return err ? err : replace(t, dir, name, node);
}

/* A link's own header is applied to the inode, as unpackers do after link(2). */
static err_t apply_link_header(struct tree *t, const struct tar_entry *e, uint32_t node)
{
	uint32_t xattrs;
	struct tree_node *n = tree_node(t, node);
	if (n->flags & INODE_LOWER_LINK)
		return 0;
	err_t err = add_xattrs(t, n->xattrs, e, &xattrs);
	if (err)
		return err;
	n->xattrs = xattrs;
	n->uid = e->uid;
	n->gid = e->gid;
	n->mtime = e->mtime;
	n->mtime_ns = e->mtime_ns;
	if (!S_ISLNK(n->mode))
		n->mode = (n->mode & S_IFMT) | e->mode;
	return 0;
}

static err_t add_hard_link(struct tree *t, const struct tar_entry *e, uint32_t dir,
			   struct bytes name, struct diag *d)
{
	auto_buf struct buf cleaned = {0}, lower_path = {0};
	err_t err = clean_path(e->link, &cleaned);
	uint32_t target;
	if (!err)
		err = find_target(t, buf_bytes(&cleaned), &target, &lower_path);
	if (err)
		return err;
	if (cleaned.n == 0)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "a hard link to the root directory");
	if (lower_path.n > FORMAT_TARGET_MAX)
		return fail(d, ERR_INTEGRITY, -EBADMSG,
			    "a hard link to a path of more than %u bytes", FORMAT_TARGET_MAX);
	if (target == TREE_NONE ||
	    (tree_node(t, tree_entry(t, target)->node)->flags & INODE_WHITEOUT))
		return add_lower_link(t, buf_bytes(&lower_path), dir, name);
	if (target == tree_lookup(t, dir, name))
		return 0;
	uint32_t node = tree_entry(t, target)->node;
	if (S_ISDIR(tree_node(t, node)->mode))
		return fail(d, ERR_INTEGRITY, -EBADMSG, "a hard link to a directory");
	err = apply_link_header(t, e, node);
	if (err == -EBADMSG)
		return fail(d, ERR_INTEGRITY, err, "more xattrs than a file can have");
	return err ? err : replace(t, dir, name, node);
}

static err_t add_plain(struct tree *t, const struct tar_entry *e, uint32_t dir, struct bytes name,
		       uint32_t *out)
{
	struct tree_node node;
	err_t err = node_of(t, e, &node);
	if (err)
		return err;
	uint32_t old = tree_lookup(t, dir, name);
	struct tree_node *held = old == TREE_NONE ? NULL : tree_node(t, tree_entry(t, old)->node);
	if (held && S_ISDIR(held->mode) && e->type == TAR_DIRECTORY) {
		dir_update(held, &node);
		return 0;
	}
	if (held && (held->flags & INODE_WHITEOUT) && e->type == TAR_DIRECTORY)
		node.flags |= INODE_OPAQUE;
	err = tree_add_node(t, &node, out);
	return err ? err : replace(t, dir, name, *out);
}

static err_t add_root(struct tree *t, const struct tar_entry *e, struct diag *d)
{
	if (e->type != TAR_DIRECTORY)
		return fail(d, ERR_INTEGRITY, -EBADMSG, "the root of the layer is not a directory");
	struct tree_node node;
	err_t err = node_of(t, e, &node);
	if (!err)
		dir_update(tree_node(t, 0), &node);
	return err;
}

static err_t add_named(struct tree *t, const struct tar_entry *e, struct bytes path, uint32_t *node,
		       struct diag *d)
{
	const uint8_t *slash = memrchr(path.p, '/', path.n);
	struct bytes parent = {path.p, (size_t)(slash - path.p)};
	struct bytes name = {slash + 1, path.n - parent.n - 1};
	uint32_t dir;
	err_t err = walk_to_dir(t, parent, &dir);
	if (err)
		return err;
	if (bytes_equal_str(name, WHITEOUT_OPAQUE)) {
		tree_node(t, dir)->flags |= INODE_OPAQUE;
		return 0;
	}
	if (is_whiteout_name(name))
		return add_whiteout(t, dir, (struct bytes){name.p + 4, name.n - 4}, d);
	if (e->type == TAR_HARDLINK)
		return add_hard_link(t, e, dir, name, d);
	return add_plain(t, e, dir, name, node);
}

err_t layer_tree_add(struct tree *t, const struct tar_entry *e, uint32_t *node, struct diag *d)
{
	*node = TREE_NONE;
	auto_buf struct buf path = {0};
	struct diag why = DIAG_INIT;
	err_t err = clean_path(e->name, &path);
	if (!err)
		err = path.n ? add_named(t, e, buf_bytes(&path), node, &why) : add_root(t, e, &why);
	if (!err || err == -ENODATA)
		return 0;
	int shown = (int)min_of(e->name.n, (size_t)200);
	if (err == -ELOOP)
		return fail(d, ERR_INTEGRITY, -EBADMSG,
			    "'%.*s': too many symbolic links on the way", shown,
			    (const char *)e->name.p);
	if (err == -EBADMSG && !why.text[0])
		return fail(d, ERR_INTEGRITY, err, "'%.*s': more than %u directories deep", shown,
			    (const char *)e->name.p, FORMAT_DEPTH_MAX);
	if (err == -EBADMSG)
		return fail(d, ERR_INTEGRITY, err, "'%.*s': %s", shown, (const char *)e->name.p,
			    why.text);
	return fail_sys(d, ERR_OTHER, err, "'%.*s'", shown, (const char *)e->name.p);
}
