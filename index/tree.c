/*
 * The tree in memory: two growing arrays, one open-addressing hash table from (directory, name) to
 * entry, one arena for names. A tree whose names are known to be unique has no table, and its arena
 * holds extents only.
 * Removing a name only unlinks it; nothing is reused, so numbers held elsewhere (hard links that
 * wait for their target) stay good. Removal walks with the entries' own lists, never by recursion:
 * depth is the input's.
 */
#include "index/tree.h"

#include "index/intern.h"
#include "index/xattr_set.h"

#include <sys/stat.h>
#include <xxhash.h>

#define ARENA_BLOCK (256u << 10)
#define RESERVE_MAX (1u << 20) /* names: some hundred megabytes, that are touched as they come */

struct arena_block {
	struct arena_block *next;
	uint8_t bytes[];
};

struct tree {
	struct tree_node *nodes;
	size_t n_nodes, cap_nodes;
	struct tree_entry *entries;
	size_t n_entries, cap_entries;
	uint32_t *table; /* entry number + 1; 0: free; TREE_NONE: removed */
	size_t table_size, table_used;
	bool unique;	 /* no table, no digests, and names are not copied */
	struct buf kept; /* where they lie then */
	struct arena_block *arena;
	size_t arena_used, arena_cap;
	struct intern xattrs; /* encoded sets */
};

static void *arena_alloc(struct tree *t, size_t n)
{
	n = (n + 7) & ~(size_t)7;
	if (!t->arena || t->arena_cap - t->arena_used < n) {
		size_t cap = max_of(n, (size_t)ARENA_BLOCK);
		struct arena_block *block = malloc(sizeof(*block) + cap);
		if (!block)
			return NULL;
		block->next = t->arena;
		t->arena = block;
		t->arena_cap = cap;
		t->arena_used = 0;
	}
	void *p = t->arena->bytes + t->arena_used;
	t->arena_used += n;
	return p;
}

/* Room that is not had is made later, as names come: a guess may be anybody's, so it is bounded. */
static void arrays_reserve(struct tree *t, size_t n)
{
	n = min_of(n, (size_t)RESERVE_MAX) + 1; /* the root */
	t->nodes = malloc(n * sizeof(*t->nodes));
	t->cap_nodes = t->nodes ? n : 0;
	t->entries = malloc(n * sizeof(*t->entries));
	t->cap_entries = t->entries ? n : 0;
}

static struct tree *tree_make(bool unique, size_t n)
{
	struct tree *t = new_of(struct tree);
	t->unique = unique;
	if (n)
		arrays_reserve(t, n);
	struct tree_node root = {.mode = S_IFDIR | 0755, .flags = INODE_IMPLIED};
	uint32_t row;
	BUG_ON(tree_add_node(t, &root, &row) || row != 0);
	BUG_ON(buf_append_zeros(&t->xattrs.data, sizeof(struct disk_xattr_set)));
	return t;
}

struct tree *tree_new(void)
{
	return tree_make(false, 0);
}

struct tree *tree_new_unique(size_t n)
{
	return tree_make(true, n);
}

void tree_keep(struct tree *t, struct buf *memory)
{
	BUG_ON(t->kept.p);
	t->kept = *memory;
	*memory = (struct buf){0};
}

bool tree_has_digests(const struct tree *t)
{
	return !t->unique;
}

void tree_free(struct tree **tp)
{
	struct tree *t = *tp;
	if (!t)
		return;
	for (struct arena_block *b = t->arena, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	free(t->nodes);
	free(t->entries);
	free(t->table);
	buf_fini(&t->kept);
	intern_fini(&t->xattrs);
	free(t);
	*tp = NULL;
}

uint32_t tree_node_count(const struct tree *t)
{
	return (uint32_t)t->n_nodes;
}

struct tree_node *tree_node(struct tree *t, uint32_t node)
{
	BUG_ON(node >= t->n_nodes);
	return &t->nodes[node];
}

const struct tree_node *tree_node_const(const struct tree *t, uint32_t node)
{
	BUG_ON(node >= t->n_nodes);
	return &t->nodes[node];
}

const struct tree_entry *tree_entry(const struct tree *t, uint32_t entry)
{
	BUG_ON(entry >= t->n_entries);
	return &t->entries[entry];
}

err_t tree_add_node(struct tree *t, const struct tree_node *node, uint32_t *out)
{
	if (t->n_nodes >= FORMAT_INODES_MAX)
		return -E2BIG;
	if (!try_grow(&t->nodes, t->n_nodes, &t->cap_nodes, sizeof(*t->nodes)))
		return -ENOMEM;
	struct tree_node *n = &t->nodes[t->n_nodes];
	*n = *node;
	n->nlink = 0;
	if (S_ISDIR(n->mode)) {
		n->parent = n->entry = n->depth = 0;
		n->first_entry = TREE_NONE;
	}
	*out = (uint32_t)t->n_nodes++;
	return 0;
}

static size_t slot_of(const struct tree *t, uint32_t dir, struct bytes name)
{
	return XXH3_64bits_withSeed(name.p, name.n, hash_seed() + dir) & (t->table_size - 1);
}

/* The slot that holds the name, or the free one that ends its probe sequence. */
static size_t slot_find(const struct tree *t, uint32_t dir, struct bytes name)
{
	size_t slot = slot_of(t, dir, name);
	for (;; slot = (slot + 1) & (t->table_size - 1)) {
		uint32_t held = t->table[slot];
		if (held == 0)
			return slot;
		if (held == TREE_NONE)
			continue;
		const struct tree_entry *e = &t->entries[held - 1];
		if (e->parent == dir && bytes_equal(e->name, name))
			return slot;
	}
}

/* Removed slots count as used; growing drops them, so half of the table is always free. */
static err_t table_grow(struct tree *t)
{
	if (t->table_used * 2 < t->table_size)
		return 0;
	size_t size = max_of(t->table_size * 2, (size_t)1024);
	uint32_t *old = t->table, *table = calloc(size, sizeof(*table));
	if (!table)
		return -ENOMEM;
	size_t old_size = t->table_size;
	t->table = table;
	t->table_size = size;
	t->table_used = 0;
	for (size_t i = 0; i < old_size; i++) {
		if (old[i] == 0 || old[i] == TREE_NONE)
			continue;
		const struct tree_entry *e = &t->entries[old[i] - 1];
		table[slot_find(t, e->parent, e->name)] = old[i];
		t->table_used++;
	}
	free(old);
	return 0;
}

uint32_t tree_lookup(const struct tree *t, uint32_t dir, struct bytes name)
{
	BUG_ON(t->unique);
	if (!t->table_size)
		return TREE_NONE;
	uint32_t held = t->table[slot_find(t, dir, name)];
	return held ? held - 1 : TREE_NONE;
}

/* The name into the table, and its bytes into the arena; *kept is where they are. */
static err_t name_take(struct tree *t, uint32_t dir, struct bytes name, uint32_t **slot,
		       struct bytes *kept)
{
	err_t err = table_grow(t);
	if (err)
		return err;
	*slot = &t->table[slot_find(t, dir, name)];
	BUG_ON(**slot != 0); /* free */
	return tree_bytes(t, name, kept);
}

err_t tree_link(struct tree *t, uint32_t dir, struct bytes name, uint32_t node)
{
	BUG_ON(!S_ISDIR(t->nodes[dir].mode));
	bool is_dir = S_ISDIR(t->nodes[node].mode);
	BUG_ON(is_dir && t->nodes[node].nlink);
	if (t->n_entries >= FORMAT_DIRENTS_MAX)
		return -E2BIG;
	if (is_dir && t->nodes[dir].depth + 1 > FORMAT_DEPTH_MAX)
		return -EBADMSG;
	struct tree_entry entry = {.name = name, .parent = dir, .node = node, .prev = TREE_NONE};
	uint32_t *slot = NULL;
	err_t err = t->unique ? 0 : name_take(t, dir, name, &slot, &entry.name);
	if (err)
		return err;
	if (!try_grow(&t->entries, t->n_entries, &t->cap_entries, sizeof(*t->entries)))
		return -ENOMEM;
	uint32_t number = (uint32_t)t->n_entries++;
	entry.next = t->nodes[dir].first_entry;
	if (entry.next != TREE_NONE)
		t->entries[entry.next].prev = number;
	t->entries[number] = entry;
	t->nodes[dir].first_entry = number;
	t->nodes[node].nlink++;
	if (is_dir) {
		t->nodes[node].parent = dir;
		t->nodes[node].entry = number;
		t->nodes[node].depth = t->nodes[dir].depth + 1;
	}
	if (slot) {
		*slot = number + 1;
		t->table_used++;
	}
	return 0;
}

static void unlink_one(struct tree *t, uint32_t number)
{
	struct tree_entry *e = &t->entries[number];
	struct tree_node *dir = &t->nodes[e->parent];
	BUG_ON(t->unique);
	t->table[slot_find(t, e->parent, e->name)] = TREE_NONE;
	if (e->prev == TREE_NONE)
		dir->first_entry = e->next;
	else
		t->entries[e->prev].next = e->next;
	if (e->next != TREE_NONE)
		t->entries[e->next].prev = e->prev;
	t->nodes[e->node].nlink--;
}

/* Empty the deepest first: always go down into the first entry until it has nothing below it. */
void tree_clear_dir(struct tree *t, uint32_t dir)
{
	for (uint32_t at = dir;;) {
		uint32_t number = t->nodes[at].first_entry;
		if (number == TREE_NONE) {
			if (at == dir)
				return;
			at = t->nodes[at].parent;
			unlink_one(t, t->nodes[at].first_entry);
			continue;
		}
		uint32_t node = t->entries[number].node;
		if (S_ISDIR(t->nodes[node].mode))
			at = node;
		else
			unlink_one(t, number);
	}
}

void tree_unlink(struct tree *t, uint32_t entry)
{
	uint32_t node = t->entries[entry].node;
	if (S_ISDIR(t->nodes[node].mode))
		tree_clear_dir(t, node);
	unlink_one(t, entry);
}

err_t tree_dir_path(const struct tree *t, uint32_t dir, struct buf *out)
{
	uint32_t chain[FORMAT_DEPTH_MAX + 1];
	size_t n = 0;
	for (; dir != 0; dir = t->nodes[dir].parent)
		chain[n++] = t->nodes[dir].entry;
	while (n--) {
		struct bytes name = t->entries[chain[n]].name;
		err_t err = buf_append(out, "/", 1);
		if (!err)
			err = buf_append(out, name.p, name.n);
		if (err)
			return err;
	}
	return 0;
}

err_t tree_bytes(struct tree *t, struct bytes b, struct bytes *out)
{
	uint8_t *p = arena_alloc(t, b.n);
	if (!p)
		return -ENOMEM;
	if (b.n)
		memcpy(p, b.p, b.n);
	*out = (struct bytes){p, b.n};
	return 0;
}

struct tree_extent *tree_extents(struct tree *t, size_t n)
{
	return arena_alloc(t, n * sizeof(struct tree_extent));
}

err_t tree_xattrs_add(struct tree *t, const struct tar_xattr *xattrs, size_t n, uint32_t *out)
{
	return xattr_set_add(&t->xattrs, 0, xattrs, n, out);
}

err_t tree_xattrs_union(struct tree *t, uint32_t set, const struct tar_xattr *xattrs, size_t n,
			uint32_t *out)
{
	return xattr_set_add(&t->xattrs, set, xattrs, n, out);
}

struct bytes tree_xattrs_section(const struct tree *t)
{
	/* Offset 0 means "none", so the first set stands behind eight zeroes; without any set there
	 * is nothing. */
	size_t n = t->xattrs.data.n;
	return n > sizeof(struct disk_xattr_set) ? buf_bytes(&t->xattrs.data)
						 : (struct bytes){NULL, 0};
}
