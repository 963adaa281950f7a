/*
 * Files in the making. Each is flocked by its maker from its first moment until it has been renamed
 * or dropped; the kernel lets the lock go when the maker dies. So litter is exactly what can be
 * locked, and no name, pid or age has to be guessed from. A maker that loses the moment between
 * creating and locking to somebody who cleans sees that its file has no name any more, and makes
 * another.
 */
#include "fetch/store_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Once is rare, this often is a bug or an enemy. */
#define CREATE_TRIES 100

static err_t create_once(int tmp_fd, struct temp_file *t)
{
	t->fd = openat(tmp_fd, t->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (t->fd < 0)
		return errno == EEXIST ? -EAGAIN : -errno;
	struct stat st;
	if (flock(t->fd, LOCK_EX) == 0 && fstat(t->fd, &st) == 0 && st.st_nlink == 1)
		return 0;
	close(t->fd);
	t->fd = -1;
	return -EAGAIN;
}

err_t temp_file_create(struct store *s, struct temp_file *out)
{
	*out = TEMP_FILE_NONE;
	auto_fd int tmp_fd = store_walk(s, "tmp", true);
	if (tmp_fd < 0)
		return tmp_fd;
	err_t err = -EAGAIN;
	for (int i = 0; err == -EAGAIN && i < CREATE_TRIES; i++) {
		uint64_t n = atomic_fetch_add_explicit(&s->temp_count, 1, memory_order_relaxed);
		snprintf(out->name, sizeof(out->name), "%d-%llu", (int)getpid(),
			 (unsigned long long)n);
		err = create_once(tmp_fd, out);
	}
	return err;
}

void temp_file_drop(struct store *s, struct temp_file *t)
{
	if (t->fd < 0)
		return;
	store_remove(s, "tmp", t->name);
	close(t->fd);
	*t = TEMP_FILE_NONE;
}

static err_t rename_in(struct store *s, struct temp_file *t, int dir_fd, const char *name,
		       bool sync)
{
	if (sync && fsync(t->fd) < 0)
		return -errno;
	auto_fd int tmp_fd = store_walk(s, "tmp", false);
	if (tmp_fd < 0)
		return tmp_fd;
	if (renameat(tmp_fd, t->name, dir_fd, name) < 0)
		return -errno;
	/* The file is there in any case; whether it will be after a power failure is the disk's
	 * word. */
	if (sync)
		(void)!fsync(dir_fd);
	return 0;
}

/* After the attempt to give it its name. */
static err_t finish(struct store *s, struct temp_file *t, err_t err)
{
	if (err) {
		temp_file_drop(s, t);
		return err;
	}
	close(t->fd);
	*t = TEMP_FILE_NONE;
	return 0;
}

err_t temp_file_publish(struct store *s, struct temp_file *t, int dir_fd, const char *name,
			bool sync)
{
	BUG_ON(t->fd < 0);
	return finish(s, t, rename_in(s, t, dir_fd, name, sync));
}

err_t temp_file_publish_in(struct store *s, struct temp_file *t, const char *dir, const char *name,
			   bool sync)
{
	BUG_ON(t->fd < 0);
	auto_fd int keep_fd = -1;
	auto_fd int dir_fd = store_walk_kept(s, dir, true, &keep_fd);
	return finish(s, t, dir_fd < 0 ? dir_fd : rename_in(s, t, dir_fd, name, sync));
}

static void remove_if_unheld(int tmp_fd, const char *name)
{
	auto_fd int fd = store_open_file(tmp_fd, name, O_RDONLY);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return;
	/* Its maker may have published it in the meantime, and another may have taken the name. */
	struct stat held, named;
	if (fstat(fd, &held) == 0 && fstatat(tmp_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	    held.st_ino == named.st_ino && held.st_dev == named.st_dev)
		unlinkat(tmp_fd, name, 0);
}

void temp_litter_remove(struct store *s)
{
	int tmp_fd = store_walk(s, "tmp", false);
	if (tmp_fd < 0)
		return;
	DIR *dir = fdopendir(tmp_fd);
	if (!dir) {
		close(tmp_fd);
		return;
	}
	const struct dirent *entry;
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			remove_if_unheld(dirfd(dir), entry->d_name);
	closedir(dir);
}

static err_t write_parts(int fd, const struct bytes *parts, size_t n_parts)
{
	for (size_t i = 0; i < n_parts; i++) {
		err_t err = write_all(fd, parts[i].p, parts[i].n);
		if (err)
			return err;
	}
	return 0;
}

static err_t publish(struct store *s, const char *dir, const char *name, const struct bytes *parts,
		     size_t n_parts)
{
	struct temp_file t;
	err_t err = temp_file_create(s, &t);
	if (err)
		return err;
	err = write_parts(t.fd, parts, n_parts);
	if (err) {
		temp_file_drop(s, &t);
		return err;
	}
	return temp_file_publish_in(s, &t, dir, name, true);
}

err_t store_publish(struct store *s, const char *dir, const char *name, const struct bytes *parts,
		    size_t n_parts)
{
	err_t err = publish(s, dir, name, parts, n_parts);
	if (err)
		store_note_error(s, err, dir);
	return err;
}
