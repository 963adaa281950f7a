/*
 * ops - names and attributes: everything that is one look into the tree
 *
 * Every answer may be kept by the kernel for ever, a missing name included: an entry with node 0
 * and a timeout is a cached "no", where a plain ENOENT would be asked for again each time.
 */
#include "fs/ops_priv.h"

#include "fetch/log.h"

#include <stdlib.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#define BLOCK_SIZE	4096 /* st_blksize and statfs: a page, the unit of the page cache */
#define STAT_BLOCK_SIZE 512  /* the unit of st_blocks (stat(2)) */

bool row_of(const struct filesystem *fs, fuse_ino_t node, uint32_t *row)
{
	if (node == 0 || node > fs->info->n_inodes)
		return false;
	*row = (uint32_t)(node - 1);
	return true;
}

bool row_inode(fuse_req_t req, fuse_ino_t node, uint32_t *row, struct inode *inode)
{
	struct filesystem *fs = filesystem_of(req);

	if (!row_of(fs, node, row)) {
		log_warn("fuse.node", "node=%llu: never given out", (unsigned long long)node);
		reply_error(req, fs->counters, -EIO);
		return false;
	}
	index_inode(fs->tree, *row, inode);
	return true;
}

static int sparse_order(const void *key, const void *element)
{
	const uint32_t *row = key;
	const struct sparse_file *file = element;

	return (*row > file->row) - (*row < file->row);
}

/* Bytes of a file that are stored: its size, without holes. */
static uint64_t data_size(const struct filesystem *fs, uint32_t row, const struct inode *inode)
{
	const struct sparse_file *file;

	if (!(inode->flags & INODE_SPARSE))
		return inode->size;
	file = bsearch(&row, fs->sparse, fs->n_sparse, sizeof(*file), sparse_order);
	BUG_ON(!file);
	return file->stored;
}

void stat_of(const struct filesystem *fs, uint32_t row, const struct inode *inode, struct stat *out)
{
	uint64_t size = S_ISDIR(inode->mode) ? BLOCK_SIZE : inode->size;
	uint64_t stored = S_ISREG(inode->mode) ? data_size(fs, row, inode) : size;

	*out = (struct stat){
		.st_ino = node_of(row),
		.st_mode = inode->mode,
		.st_nlink = inode->nlink,
		.st_uid = inode->uid,
		.st_gid = inode->gid,
		.st_rdev = makedev(inode->rdev_major, inode->rdev_minor),
		.st_size = (off_t)size,
		.st_blksize = BLOCK_SIZE,
		.st_blocks = (blkcnt_t)(stored / STAT_BLOCK_SIZE + (stored % STAT_BLOCK_SIZE != 0)),
		.st_mtim = {.tv_sec = inode->mtime, .tv_nsec = inode->mtime_ns},
	};
	/* A layer records one time; the others must not differ between two mounts. */
	out->st_atim = out->st_mtim;
	out->st_ctim = out->st_mtim;
}

void entry_of(const struct filesystem *fs, uint32_t row, struct fuse_entry_param *out)
{
	struct inode inode;

	index_inode(fs->tree, row, &inode);
	*out = (struct fuse_entry_param){
		.ino = node_of(row),
		.attr_timeout = CACHE_TIMEOUT_S,
		.entry_timeout = CACHE_TIMEOUT_S,
	};
	stat_of(fs, row, &inode, &out->attr);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct filesystem *fs = userdata;
	unsigned wanted = FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_EXPLICIT_INVAL_DATA;

	/* Automatic invalidation compares times and sizes that can not change. An asynchronous
	 * direct read waits for its answer so that not even SIGKILL ends it. Splicing the request
	 * in would hide its header from the counters. */
	conn->want &=
		~(unsigned)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_ASYNC_DIO | FUSE_CAP_SPLICE_READ);
	if (fs->has_acls)
		wanted |= FUSE_CAP_POSIX_ACL;
	conn->want |= conn->capable & wanted;
	fs->no_open = conn->capable & FUSE_CAP_NO_OPEN_SUPPORT;
	fs->no_opendir = conn->capable & FUSE_CAP_NO_OPENDIR_SUPPORT;

	/* The kernel derives the largest READ from the largest WRITE. */
	conn->max_write = READ_MAX;
	/* Asynchronous read-ahead is skipped while the queue is congested: the default of 12
	 * starves a reader whose bytes come over the network. */
	conn->max_background = 64;
	conn->congestion_threshold = 48;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct filesystem *fs = filesystem_of(req);
	struct fuse_entry_param entry = {.entry_timeout = CACHE_TIMEOUT_S};
	struct inode dir;
	uint32_t parent_row, row;
	err_t err;

	if (!row_inode(req, parent, &parent_row, &dir))
		return;
	err = index_lookup(fs->tree, parent_row, BYTES_STR(name), &row);
	if (err && err != -ENOENT) {
		reply_error(req, fs->counters, err);
		return;
	}
	if (!err)
		entry_of(fs, row, &entry);
	reply_sent(fs->counters, fuse_reply_entry(req, &entry));
}

static void op_forget(fuse_req_t req, fuse_ino_t node, uint64_t n_lookups)
{
	(void)node;
	(void)n_lookups;
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	(void)count;
	(void)forgets;
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct filesystem *fs = filesystem_of(req);
	struct inode inode;
	struct stat st;
	uint32_t row;

	(void)fi;
	if (!row_inode(req, node, &row, &inode))
		return;
	stat_of(fs, row, &inode, &st);
	reply_sent(fs->counters, fuse_reply_attr(req, &st, CACHE_TIMEOUT_S));
}

static void op_readlink(fuse_req_t req, fuse_ino_t node)
{
	struct filesystem *fs = filesystem_of(req);
	struct inode inode;
	struct bytes target;
	uint32_t row;

	if (!row_inode(req, node, &row, &inode))
		return;
	if (!S_ISLNK(inode.mode)) {
		reply_error(req, fs->counters, -EINVAL);
		return;
	}
	target = index_link_target(fs->tree, row);
	/* fuse_reply_readlink wants a NUL; the bytes are what it would send. */
	reply_sent(fs->counters, fuse_reply_buf(req, (const char *)target.p, target.n));
}

static void op_statfs(fuse_req_t req, fuse_ino_t node)
{
	struct filesystem *fs = filesystem_of(req);
	struct statvfs st = {
		.f_bsize = BLOCK_SIZE,
		.f_frsize = BLOCK_SIZE,
		.f_blocks = fs->info->files_size / BLOCK_SIZE +
			    (fs->info->files_size % BLOCK_SIZE != 0),
		.f_files = fs->info->n_inodes,
		.f_namemax = INDEX_NAME_MAX,
	};

	(void)node;
	reply_sent(fs->counters, fuse_reply_statfs(req, &st));
	/* overlayfs asks when it is laid over a tree, and then comes a container */
	content_expect(fs->content, NULL, NULL);
}

void filesystem_operations(const struct filesystem *fs, struct fuse_lowlevel_ops *out)
{
	*out = (struct fuse_lowlevel_ops){
		.init = op_init,
		.lookup = op_lookup,
		.forget = op_forget,
		.forget_multi = op_forget_multi,
		.getattr = op_getattr,
		.readlink = op_readlink,
		.open = op_open,
		.read = op_read,
		.opendir = op_opendir,
		.readdir = op_readdir,
		.readdirplus = op_readdirplus,
		.statfs = op_statfs,
	};
	if ((fs->info->flags & INDEX_HAS_XATTRS) || fs->xattrs) {
		out->getxattr = op_getxattr;
		out->listxattr = op_listxattr;
	}
	if (fs->info->flags & INDEX_HAS_SPARSE)
		out->lseek = op_lseek;
}

static uint64_t extents_size(const struct index *tree, uint32_t row, uint64_t size)
{
	uint64_t stored = 0;

	for (uint64_t off = 0; off < size;) {
		struct extent e;

		index_extent(tree, row, off, &e);
		stored += e.hole ? 0 : e.len;
		off += e.len;
	}
	return stored;
}

/* The first sparse file at or behind a row; false when there is none. */
static bool next_sparse(const struct filesystem *fs, uint32_t *row, struct inode *inode)
{
	const uint32_t end = fs->info->n_dirs + fs->info->n_regular;

	for (; *row < end; ++*row) {
		index_inode(fs->tree, *row, inode);
		if (inode->flags & INODE_SPARSE)
			return true;
	}
	return false;
}

/* Attributes are asked for again and again; so that each extent is looked at once, it is here. */
static void measure_sparse_files(struct filesystem *fs)
{
	struct inode inode;
	size_t n = 0;

	if (!(fs->info->flags & INDEX_HAS_SPARSE))
		return;
	for (uint32_t row = fs->info->n_dirs; next_sparse(fs, &row, &inode); row++)
		n++;
	fs->sparse = xcalloc(n, sizeof(*fs->sparse));
	for (uint32_t row = fs->info->n_dirs; next_sparse(fs, &row, &inode); row++)
		fs->sparse[fs->n_sparse++] = (struct sparse_file){
			.row = row, .stored = extents_size(fs->tree, row, inode.size)};
}

struct filesystem *filesystem_new(const struct index *tree, struct content *content,
				  struct counters *counters, bool xattrs)
{
	struct filesystem *fs = new_of(struct filesystem);

	fs->tree = tree;
	fs->info = index_info(tree);
	BUG_ON(fs->info->kind != INDEX_IMAGE);
	fs->content = content;
	fs->counters = counters;
	fs->xattrs = xattrs;
	fs->has_acls = tree_has_acls(tree);
	measure_sparse_files(fs);
	return fs;
}

void filesystem_free(struct filesystem **filesystem)
{
	struct filesystem *fs = take(filesystem);

	if (!fs)
		return;
	free(fs->sparse);
	free(fs);
}
