/*
 * ops_dir - directory listings
 *
 * An offset is a position: 0 is ".", 1 is "..", 2 + i is entry i of the directory in the index,
 * whose order never changes. So a listing needs no state, and one that is interrupted, or resumed
 * by another process, goes on at the same place. The kernel keeps a whole listing in its page
 * cache.
 */
#include "fs/ops_priv.h"

#include <dirent.h>

/* The kernel asks for a page, or for the caller's buffer (32 KiB from libc); overlayfs asks for
 * more than it can mean. */
#define LISTING_MAX (128u << 10)

void op_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct filesystem *fs = filesystem_of(req);

	(void)node;
	if (fs->no_opendir) {
		reply_error(req, fs->counters, -ENOSYS);
		return;
	}
	fi->keep_cache = 1;
	fi->cache_readdir = 1;
	reply_sent(fs->counters, fuse_reply_open(req, fi));
}

/* A listing while it is put together. */
struct listing {
	fuse_req_t req;
	struct filesystem *fs;
	uint32_t dir;
	uint32_t parent; /* row of ".." */
	bool plus;
	char *p;
	size_t n, cap;
};

struct listed_name {
	char name[INDEX_NAME_MAX + 1]; /* libfuse wants a NUL */
	uint32_t row;
	uint32_t type; /* S_IFMT bits */
	bool is_dot;   /* "." or "..": listed, but not looked up */
};

static void listed_name_at(const struct listing *l, uint64_t pos, struct listed_name *out)
{
	struct dir_entry entry;

	if (pos < 2) {
		*out = (struct listed_name){
			.name = {'.', pos == 1 ? '.' : '\0'},
			.row = pos == 0 ? l->dir : l->parent,
			.type = S_IFDIR,
			.is_dot = true,
		};
		return;
	}
	index_dir_entry(l->fs->tree, l->dir, (uint32_t)(pos - 2), &entry);
	BUG_ON(entry.name.n > INDEX_NAME_MAX);
	__builtin_memcpy(out->name, entry.name.p, entry.name.n);
	out->name[entry.name.n] = '\0';
	out->row = entry.row;
	out->type = DTTOIF(entry.type);
	out->is_dot = false;
}

/* Append the entry at pos; false when it does not fit any more. */
static bool listing_add(struct listing *l, uint64_t pos)
{
	struct fuse_entry_param entry = {0};
	struct listed_name name;
	size_t need, room = l->cap - l->n;
	off_t next = (off_t)(pos + 1);

	listed_name_at(l, pos, &name);
	entry.attr.st_ino = node_of(name.row);
	entry.attr.st_mode = name.type;
	if (!l->plus) {
		need = fuse_add_direntry(l->req, l->p + l->n, room, name.name, &entry.attr, next);
	} else {
		if (!name.is_dot)
			entry_of(l->fs, name.row, &entry);
		need = fuse_add_direntry_plus(l->req, l->p + l->n, room, name.name, &entry, next);
	}
	if (need > room)
		return false;
	l->n += need;
	return true;
}

static void list(fuse_req_t req, fuse_ino_t node, size_t size, off_t off, bool plus)
{
	struct filesystem *fs = filesystem_of(req);
	struct listing l = {.req = req, .fs = fs, .plus = plus, .cap = min_of(size, LISTING_MAX)};
	auto_free char *p = NULL;
	struct inode dir;
	uint64_t end;

	if (!row_inode(req, node, &l.dir, &dir))
		return;
	if (!S_ISDIR(dir.mode) || off < 0) {
		reply_error(req, fs->counters, off < 0 ? -EINVAL : -ENOTDIR);
		return;
	}
	p = malloc(max_of(l.cap, 1u));
	if (!p) {
		reply_error(req, fs->counters, -ENOMEM);
		return;
	}
	l.p = p;
	l.parent = dir.parent;
	end = (uint64_t)index_dir_count(fs->tree, l.dir) + 2;
	for (uint64_t pos = (uint64_t)off; pos < end && listing_add(&l, pos); pos++)
		;
	/* An empty answer would mean the end of the directory. */
	if (l.n == 0 && (uint64_t)off < end)
		reply_error(req, fs->counters, -EINVAL);
	else
		reply_sent(fs->counters, fuse_reply_buf(req, l.p, l.n));
}

void op_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	list(req, node, size, off, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	(void)fi;
	list(req, node, size, off, true);
}
