/*
 * A name says nothing about who lives: the lock does, and the kernel drops it with its process.
 */
#include "tools/run_dir.h"

#include "fetch/log.h"
#include "tools/run_runtime.h"

#include <dirent.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX	 "imgfs-run."
#define TRIES	 10   /* a cleaner may take a folder for a dead one's before it is locked */
#define NOTE_MAX 8192 /* two paths */

static char *place(void)
{
	const char *named = getenv("TMPDIR");
	return realpath(named && *named ? named : "/var/tmp", NULL);
}

/* Its lock; -EWOULDBLOCK when somebody has it, -ENOENT when it is none of ours. */
static int lock_dir(const char *path)
{
	struct stat st, now;
	auto_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if (st.st_uid != geteuid() || (st.st_mode & 077))
		return -ENOENT;
	if (flock(fd, LOCK_EX | LOCK_NB))
		return -errno;
	/* It may have been removed, and even made again, before it was locked. */
	if (stat(path, &now) || now.st_ino != st.st_ino || now.st_dev != st.st_dev)
		return -ENOENT;
	int result = fd;
	fd = -1;
	return result;
}

err_t run_dir_new(struct run_dir *out, struct diag *d)
{
	auto_free char *above = place();
	err_t err = above ? -EAGAIN : -errno;
	*out = (struct run_dir){.fd = -1};
	for (int i = 0; above && i < TRIES && out->fd < 0; i++) {
		char *path = xasprintf("%s/" PREFIX "XXXXXX", above);
		if (!mkdtemp(path)) {
			err = -errno;
			free(path);
			break;
		}
		out->fd = lock_dir(path);
		err = out->fd < 0 ? out->fd : 0;
		free(out->path);
		out->path = path;
	}
	if (!err)
		return 0;
	free(take(&out->path));
	const char *named = getenv("TMPDIR");
	return fail_sys(d, ERR_OTHER, err,
			"no folder for the container in %s; TMPDIR names another place",
			named && *named ? named : "/var/tmp");
}

const char *run_dir_token(const struct run_dir *dir)
{
	return dir->path + strlen(dir->path) - RUN_DIR_TOKEN_LEN;
}

char *run_dir_file(const struct run_dir *dir, const char *name)
{
	return xasprintf("%s/%s", dir->path, name);
}

err_t run_file_write(const char *path, const void *bytes, size_t n, struct diag *d)
{
	auto_free char *temp = xasprintf("%s.new", path);
	auto_fd int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	err_t err = fd < 0 ? -errno : write_all(fd, bytes, n);
	if (!err && (fchmod(fd, 0644) || rename(temp, path)))
		err = -errno;
	if (!err)
		return 0;
	if (fd >= 0)
		unlink(temp);
	return fail_sys(d, ERR_OTHER, err, "%s", path);
}

err_t run_dir_note(const struct run_dir *dir, const char *program, const char *id, struct diag *d)
{
	auto_free char *path = run_dir_file(dir, "runtime");
	auto_free char *text = xasprintf("%s\n%s\n", program, id);
	return run_file_write(path, text, strlen(text), d);
}

/* ---- the end ---- */

/*
 * fts(3) walks by changing the directory, so that trees deeper than a path can be are removed too;
 * it neither follows symlinks nor leaves the file system.
 */
static void remove_tree(const char *path)
{
	char *roots[] = {(char *)(uintptr_t)path, NULL};
	auto_fd int back = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOSTAT, NULL);
	err_t err = 0;
	if (!walk)
		return;
	for (FTSENT *at; (at = fts_read(walk));) {
		bool ok = true;
		if (at->fts_info == FTS_D || at->fts_info == FTS_DNR)
			/* a folder that its owner closed is opened, so that it can be emptied */
			ok = at->fts_info == FTS_D
				     ? chmod(at->fts_accpath, 0700) == 0 || geteuid() != 0
				     : rmdir(at->fts_accpath) == 0;
		else if (at->fts_info == FTS_DP)
			ok = rmdir(at->fts_accpath) == 0;
		else if (at->fts_info != FTS_DC)
			ok = unlink(at->fts_accpath) == 0;
		if (!ok && !err)
			err = -errno;
	}
	fts_close(walk);
	if (back >= 0 && fchdir(back))
		log_debug("run.cleanup", "error=\"%s\"", strerror(errno));
	if (err)
		log_warn("run.cleanup", "path=%s error=\"%s\"", path, strerror(-err));
}

void run_dir_remove(struct run_dir *dir)
{
	if (!dir->path)
		return;
	remove_tree(dir->path);
	cleanup_fd(&dir->fd);
	free(dir->path);
	*dir = (struct run_dir){.fd = -1};
}

/* ---- what others left ---- */

/* The container may still run: its processes are nobody's children, and their root is dead. */
static void end_container(const struct run_dir *dir, bool in_user_ns)
{
	auto_free char *path = run_dir_file(dir, "runtime");
	auto_buf struct buf note = {0};
	char *id, *end;
	if (read_file(path, NOTE_MAX, &note) || buf_append_zeros(&note, 1))
		return;
	id = strchr((char *)note.p, '\n');
	end = id ? strchr(id + 1, '\n') : NULL;
	if (!end)
		return;
	*id++ = '\0';
	*end = '\0';
	runtime_clean((const char *)note.p, dir->path, id, in_user_ns);
}

/* In the namespace of the dead process, where a guard is: mounts whose daemon is gone. */
static void unmount_parts(const struct run_dir *dir)
{
	static const char *const names[] = {"rootfs", "image", "top"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		auto_free char *path = run_dir_file(dir, names[i]);
		umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
	}
}

void run_dirs_clean(bool in_user_ns)
{
	auto_free char *above = place();
	DIR *list = above ? opendir(above) : NULL;
	if (!list)
		return;
	for (const struct dirent *entry; (entry = readdir(list));) {
		if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) ||
		    strlen(entry->d_name) != strlen(PREFIX) + RUN_DIR_TOKEN_LEN)
			continue;
		struct run_dir dir = {.path = xasprintf("%s/%s", above, entry->d_name)};
		dir.fd = lock_dir(dir.path);
		if (dir.fd < 0) {
			free(dir.path);
			continue;
		}
		log_info("run.cleanup", "path=%s", dir.path);
		end_container(&dir, in_user_ns);
		unmount_parts(&dir);
		run_dir_remove(&dir);
	}
	closedir(list);
}
