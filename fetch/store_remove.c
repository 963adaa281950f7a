/*
 * Removing what others may be about to use. A directory of chunks is emptied under the lock that
 * its openers take, and only when nobody has its data open; then it goes itself, still locked, and
 * who has waited for the lock walks again and makes another (store_walk_locked).
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

err_t store_dir_remove(struct store *s, const char *parent, const char *name, bool bytes_only)
{
	/* The map first: who dies in between leaves no map without its data. */
	static const char *const bytes[] = {"map", "data", "blob", NULL};
	static const char *const others[] = {"index", "index.rotten", "form", NULL};
	auto_free char *path = xasprintf("%s/%s", parent, name);
	auto_fd int parent_fd = store_walk(s, parent, false);
	auto_fd int dir_fd = store_walk_locked(s, path, false);
	if (parent_fd < 0 || dir_fd < 0)
		return dir_fd == -ENOENT || parent_fd == -ENOENT ? 0 : min_of(dir_fd, parent_fd);
	if (!is_idle(dir_fd))
		return -EBUSY;
	err_t err = remove_files(dir_fd, bytes);
	if (err || bytes_only)
		return err;
	err = remove_files(dir_fd, others);
	/* What is not ours stays, and the directory with it. */
	if (!err && unlinkat(parent_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT &&
	    errno != ENOTEMPTY && errno != EEXIST)
		err = -errno;
	return err;
}
