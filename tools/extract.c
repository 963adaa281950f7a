/*
 * Everything but a directory is made under a hidden name first and then renamed, which replaces a
 * file or a symlink that is in the way without following it. Directories are opened with
 * O_NOFOLLOW. Attributes are set in the order in which the kernel lets them be: the owner first,
 * since a new one clears set-user-ID bits and capabilities; the times last.
 */
#include "tools/extract.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SET_IDS	    (S_ISUID | S_ISGID)
#define NAMES_TRIED 1000 /* of hidden files that other processes may have left */

static err_t result(int returned)
{
	return returned < 0 ? -errno : 0;
}

/* --- attributes --- */

/* Owner and group, or at least the group; false when the owner is not as wanted. */
static bool set_owner(struct extract *x, int parent, const char *name, const struct inode *inode)
{
	const int flags = AT_SYMLINK_NOFOLLOW;
	if (fchownat(parent, name, inode->uid, inode->gid, flags) == 0)
		return true;
	x->lost.owners++;
	(void)!fchownat(parent, name, (uid_t)-1, inode->gid, flags);
	return false;
}

/* No call sets an xattr by descriptor and name without following a link: the path does. */
static void set_xattrs(struct extract *x, int parent, const char *name, uint32_t row)
{
	char path[64 + EXTRACT_NAME_MAX];
	struct xattr_cursor cursor;
	struct xattr_view xattr;
	bool lost = false;
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", parent, name);
	index_xattrs(x->tree, row, &cursor);
	while (index_xattr_next(&cursor, &xattr)) {
		char key[XATTR_NAME_MAX + 1];
		snprintf(key, sizeof(key), "%.*s", (int)xattr.name.n, (const char *)xattr.name.p);
		lost |= lsetxattr(path, key, xattr.value.p, xattr.value.n, 0) < 0;
	}
	x->lost.xattrs += lost;
}

/* Of anything that has a name already, hidden or not, and that is not a symlink of somebody else:
 * it was made by us, or opened with O_NOFOLLOW just before. */
static err_t set_attributes(struct extract *x, int parent, const char *name, uint32_t row)
{
	struct inode inode;
	index_inode(x->tree, row, &inode);
	mode_t mode = inode.mode & 07777;
	if (!x->options.archive)
		return S_ISLNK(inode.mode)
			       ? 0
			       : result(fchmodat(parent, name, mode & 0777 & ~x->options.umask, 0));
	if (!set_owner(x, parent, name, &inode) && S_ISREG(inode.mode) && (mode & SET_IDS)) {
		x->lost.set_ids++;
		mode &= ~(mode_t)SET_IDS;
	}
	set_xattrs(x, parent, name, row);
	err_t err = S_ISLNK(inode.mode) ? 0 : result(fchmodat(parent, name, mode, 0));
	const struct timespec at = {inode.mtime, inode.mtime_ns};
	const struct timespec times[2] = {at, at};
	return err ? err : result(utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW));
}

/* --- directories --- */

int extract_open_dir(int parent, const char *name)
{
	return openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool is_directory(int parent, const char *name)
{
	struct stat st;
	return fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

err_t extract_dir(struct extract *x, int parent, const char *name, bool *made)
{
	err_t err = result(mkdirat(parent, name, 0700));
	*made = !err;
	if (err != -EEXIST)
		return err;
	if (is_directory(parent, name))
		return 0;
	if (!x->options.force)
		return -EEXIST;
	err = result(unlinkat(parent, name, 0));
	if (!err)
		err = result(mkdirat(parent, name, 0700));
	*made = !err;
	return err;
}

err_t extract_dir_finish(struct extract *x, int parent, const char *name, uint32_t row, bool made)
{
	if (!made && !x->options.archive)
		return 0;
	if (!*name)
		return set_attributes(x, parent, ".", row);
	/* Only while it is still the directory: a chmod would follow a symlink. */
	auto_fd int fd = extract_open_dir(parent, name);
	return fd < 0 ? -errno : set_attributes(x, fd, ".", row);
}

/* --- files --- */

bool extract_is_there(const struct extract *x, int parent, const char *name)
{
	struct stat st;
	return x->options.no_clobber && fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void next_temporary(struct extract *x, char name[64])
{
	snprintf(name, 64, ".imgfs-cp.%d.%u", (int)getpid(), x->n_temporary++);
}

/* Give what was made its name. Two names of one file are left as they are by rename(2). */
static err_t put_in_place(int parent, const char *temporary, const char *name)
{
	err_t err = result(renameat(parent, temporary, parent, name));
	(void)unlinkat(parent, temporary, 0);
	return err;
}

err_t extract_file_begin(struct extract *x, int parent, struct extract_file *file)
{
	*file = (struct extract_file)EXTRACT_NO_FILE;
	file->parent = parent;
	for (unsigned i = 0; i < NAMES_TRIED; i++) {
		next_temporary(x, file->temporary);
		file->fd = openat(parent, file->temporary,
				  O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (file->fd >= 0 || errno != EEXIST)
			break;
	}
	return result(file->fd);
}

err_t extract_file_finish(struct extract *x, struct extract_file *file, const char *name,
			  uint32_t row)
{
	struct inode inode;
	index_inode(x->tree, row, &inode);
	err_t err = result(ftruncate(file->fd, (off_t)inode.size));
	if (!err)
		err = set_attributes(x, file->parent, file->temporary, row);
	/* Some file systems say only here that they are full. */
	int fd = file->fd;
	file->fd = -1;
	err_t closed = result(close(fd));
	err = err ? err : closed;
	if (!err)
		return put_in_place(file->parent, file->temporary, name);
	(void)unlinkat(file->parent, file->temporary, 0);
	return err;
}

void extract_file_drop(struct extract_file *file)
{
	if (file->fd < 0)
		return;
	close(file->fd);
	(void)unlinkat(file->parent, file->temporary, 0);
	file->fd = -1;
}

/* --- links and nodes --- */

err_t extract_link(struct extract *x, int from_parent, const char *from, int parent,
		   const char *name)
{
	char temporary[64];
	err_t err = -EEXIST;
	for (unsigned i = 0; i < NAMES_TRIED && err == -EEXIST; i++) {
		next_temporary(x, temporary);
		err = result(linkat(from_parent, from, parent, temporary, 0));
	}
	return err ? err : put_in_place(parent, temporary, name);
}

static err_t make_symlink(const struct extract *x, int parent, const char *name, uint32_t row)
{
	struct bytes target = index_link_target(x->tree, row);
	auto_free char *text = xstrndup((const char *)target.p, target.n);
	return result(symlinkat(text, parent, name));
}

static err_t make_node(int parent, const char *name, const struct inode *inode)
{
	dev_t device = makedev(inode->rdev_major, inode->rdev_minor);
	return result(mknodat(parent, name, (inode->mode & S_IFMT) | 0600, device));
}

static bool is_device(const struct inode *inode)
{
	return S_ISCHR(inode->mode) || S_ISBLK(inode->mode);
}

err_t extract_other(struct extract *x, int parent, const char *name, uint32_t row, bool *made)
{
	char temporary[64];
	struct inode inode;
	err_t err = -EEXIST;
	index_inode(x->tree, row, &inode);
	*made = false;
	if (is_device(&inode) && !x->options.archive) {
		x->lost.devices++;
		return 0;
	}
	for (unsigned i = 0; i < NAMES_TRIED && err == -EEXIST; i++) {
		next_temporary(x, temporary);
		err = S_ISLNK(inode.mode) ? make_symlink(x, parent, temporary, row)
					  : make_node(parent, temporary, &inode);
	}
	if (err == -EPERM && is_device(&inode)) {
		x->lost.devices++;
		return 0;
	}
	if (err)
		return err;
	*made = true;
	err = set_attributes(x, parent, temporary, row);
	if (!err)
		return put_in_place(parent, temporary, name);
	(void)unlinkat(parent, temporary, 0);
	return err;
}
