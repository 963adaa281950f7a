/*
 * tree - a directory tree in memory, while an index is being built
 *
 * Nodes are inodes, entries are names. Both are numbered from 0 and never reused, so a number stays
 * valid for the tree's life even when the name it had is gone. Node 0 is the root directory. Not
 * thread safe.
 *
 * All functions that add return -ENOMEM, or -E2BIG beyond FORMAT_INODES_MAX, FORMAT_DIRENTS_MAX.
 */
#ifndef IMGFS_INDEX_TREE_H
#define IMGFS_INDEX_TREE_H

#include "index/format.h"
#include "index/index.h"
#include "index/tar.h"

#define TREE_NONE UINT32_MAX

struct tree_extent {
	uint64_t off, len;
	uint64_t stream_off;
};

/* An inode. `layer` says whose stream holds the bytes (and the sparse extents). */
struct tree_node {
	uint32_t mode;	/* S_IFMT | 07777, 0 for whiteouts and lower links */
	uint32_t flags; /* enum inode_flags */
	uint32_t uid, gid;
	int64_t mtime;
	uint32_t mtime_ns;
	uint32_t nlink; /* names that refer to it; maintained by the tree */
	uint64_t size;	/* regular: bytes; devices: major << 32 | minor */
	uint32_t layer;
	uint32_t xattrs; /* of tree_xattrs_add; 0: none */
	/* By type: a tree may have millions of them. */
	union {
		/* directories; maintained by the tree */
		struct {
			uint32_t parent;      /* the root's is itself */
			uint32_t entry;	      /* that names it; not the root's */
			uint32_t first_entry; /* newest name first; TREE_NONE ends the list */
			uint32_t depth;
		};
		/* regular files */
		struct {
			const uint8_t *digest; /* SHA-256 or NULL; the adder's, or in the arena */
			union {
				uint64_t stream_off;
				const struct tree_extent *extents; /* INODE_SPARSE; in the arena */
			};
			uint32_t n_extents;
		};
		struct bytes target; /* symlinks and lower links; in the arena, or kept */
	};
};

struct tree_entry {
	struct bytes name; /* in the arena, or kept */
	uint32_t parent, node;
	uint32_t next, prev; /* in the parent's list */
};

struct tree;
/* tree_new - a tree with a root (0755, 0:0, implied) and nothing in it. */
struct tree *tree_new(void);
/*
 * tree_new_unique - the same, for a caller who brings each name of a directory once
 * No table of names is kept: tree_lookup and what takes names away are not allowed. Names and
 * targets are not copied, and must live as long as the tree (tree_keep). Nodes have no digests.
 * @n  names that will come, or 0; only a guess for which room is made
 */
struct tree *tree_new_unique(size_t n);
/* tree_keep - memory that names and targets lie in: the tree's from here on. */
void tree_keep(struct tree *t, struct buf *memory);
/* tree_has_digests - false: nothing is known of any, and no room is needed for them. */
bool tree_has_digests(const struct tree *t);
void tree_free(struct tree **t);

/* tree_node_count - nodes ever added, those without a name included. */
uint32_t tree_node_count(const struct tree *t);
/* tree_node, tree_entry - valid until the next add. */
struct tree_node *tree_node(struct tree *t, uint32_t node);
const struct tree_entry *tree_entry(const struct tree *t, uint32_t entry);
const struct tree_node *tree_node_const(const struct tree *t, uint32_t node);

/* tree_add_node - a node without a name; *node is copied, its lists and nlink start empty. */
err_t tree_add_node(struct tree *t, const struct tree_node *node, uint32_t *out) must_check;
/* tree_lookup - the entry of a name in a directory, or TREE_NONE. */
uint32_t tree_lookup(const struct tree *t, uint32_t dir, struct bytes name);
/* tree_link - give a node a name (that is free); a directory can have one only. -EBADMSG beyond
 * FORMAT_DEPTH_MAX. Cost: a look at the table, if there is one. */
err_t tree_link(struct tree *t, uint32_t dir, struct bytes name, uint32_t node) must_check;
/* tree_unlink - take a name away, with everything below it. */
void tree_unlink(struct tree *t, uint32_t entry);
/* tree_clear_dir - take all names of a directory away. */
void tree_clear_dir(struct tree *t, uint32_t dir);

/* tree_dir_path - "/a/b" of a directory that has a name, appended; nothing for the root. */
err_t tree_dir_path(const struct tree *t, uint32_t dir, struct buf *out) must_check;

/* tree_bytes - copy bytes into the arena. */
err_t tree_bytes(struct tree *t, struct bytes b, struct bytes *out) must_check;
/* tree_extents - room in the arena for n extents. */
struct tree_extent *tree_extents(struct tree *t, size_t n);

/*
 * tree_xattrs_add - a set of xattrs (sorted here by name); equal sets are kept once
 * *out is its offset in the XATTRS section, 0 for n == 0.
 */
err_t tree_xattrs_add(struct tree *t, const struct tar_xattr *xattrs, size_t n,
		      uint32_t *out) must_check;
/* tree_xattrs_union - the set with more xattrs in it; the new ones win. -EBADMSG: more than an
 * inode can have. */
err_t tree_xattrs_union(struct tree *t, uint32_t set, const struct tar_xattr *xattrs, size_t n,
			uint32_t *out) must_check;
/* tree_xattrs_section - the encoded sets. */
struct bytes tree_xattrs_section(const struct tree *t);

#endif
