/*
 * Removing what others may be about to use. A directory of chunks is emptied under the lock that
 * its openers take, and only when nobody has its data open. Then the directory itself goes, if it
 * is still empty, under the exclusive lock on its parent: who is about to put something into it
 * holds that lock shared (store_walk_kept). Always the parent's lock before the directory's.
 */
#include "fetch/store_priv.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* Nobody has the chunks open, and nobody can open them while the directory is locked. */
static bool is_idle(int dir_fd)
{
	auto_fd int data = store_open_file(dir_fd, "data", O_RDONLY);
	return data < 0 || flock(data, LOCK_EX | LOCK_NB) == 0;
}

static err_t remove_files(int dir_fd, const char *const *names)
{
	for (; *names; names++)
		if (unlinkat(dir_fd, *names, 0) < 0 && errno != ENOENT)
			return -errno;
	return 0;
}

err_t store_dir_remove_empty(struct store *s, const char *parent, const char *name)
{
	auto_fd int parent_fd = store_walk(s, parent, false);
	if (parent_fd < 0)
		return parent_fd == -ENOENT ? 0 : parent_fd;
	if (flock(parent_fd, LOCK_EX) < 0)
		return -errno;
	auto_fd int dir_fd =
		openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* Who has it locked is about to make files in it. */
	if (dir_fd < 0 || flock(dir_fd, LOCK_EX | LOCK_NB) < 0)
		return 0;
	if (unlinkat(parent_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT && errno != ENOTEMPTY &&
	    errno != EEXIST)
		return -errno;
	return 0;
}

/* Under the lock on the directory. */
static err_t empty_dir(struct store *s, const char *path, bool bytes_only)
{
	/* The map first: who dies in between leaves no map without its data. */
	static const char *const bytes[] = {"map", "data", "blob", NULL};
	static const char *const others[] = {"index", "index.rotten", "form", NULL};
	auto_fd int dir_fd = store_walk_locked(s, path, false);
	if (dir_fd < 0)
		return dir_fd;
	if (!is_idle(dir_fd))
		return -EBUSY;
	err_t err = remove_files(dir_fd, bytes);
	return err || bytes_only ? err : remove_files(dir_fd, others);
}

err_t store_dir_remove(struct store *s, const char *parent, const char *name, bool bytes_only)
{
	auto_free char *path = xasprintf("%s/%s", parent, name);
	err_t err = empty_dir(s, path, bytes_only);
	if (err || bytes_only)
		return err == -ENOENT ? 0 : err;
	/* What is not ours stays, and the directory with it. */
	return store_dir_remove_empty(s, parent, name);
}
