/*
 * The directory itself: who may have made it, how a path below it is walked, and how a file comes
 * into being. A name appears in the store only by rename of a file that is complete; a directory is
 * entered only through descriptors, one component at a time, so that nobody can slip a symlink in.
 */
#include "fetch/store_priv.h"

#include "fetch/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- opening the root --- */

char *store_default_dir(struct diag *d)
{
	const char *from_env = getenv("IMGFS_STORE");
	if (from_env && *from_env)
		return xstrdup(from_env);
	if (geteuid() == 0)
		return xstrdup("/var/lib/imgfs");
	const char *cache = getenv("XDG_CACHE_HOME");
	/* A relative XDG_CACHE_HOME is to be ignored (XDG Base Directory Specification). */
	if (cache && *cache == '/')
		return xasprintf("%s/imgfs", cache);
	const char *home = getenv("HOME");
	if (home && *home == '/')
		return xasprintf("%s/.cache/imgfs", home);
	(void)fail(d, ERR_STORE, -ENOENT,
		   "no place for the store: HOME is not set; name one with --store");
	return NULL;
}

/* A symlink on the way is followed only when root or we made it. */
static err_t check_link(int at, const char *name)
{
	struct stat st;
	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode) && st.st_uid != 0 && st.st_uid != geteuid())
		return -EPERM;
	return 0;
}

static int enter(int at, const char *name, bool last, bool create)
{
	int flags = O_PATH | O_DIRECTORY | O_CLOEXEC | (last ? O_NOFOLLOW : 0);
	err_t err = last ? 0 : check_link(at, name);
	if (err && err != -ENOENT)
		return err;
	int fd = openat(at, name, flags);
	if (fd >= 0 || errno != ENOENT || !create)
		return fd < 0 ? -errno : fd;
	if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(at, name, flags | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

/* Walk to the store, perhaps making what is missing. The last component is never a symlink. */
static int open_root(const char *dir, bool create)
{
	auto_free char *path = xstrdup(dir);
	auto_fd int at = open(*path == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return -errno;
	char *save = NULL, *name = strtok_r(path, "/", &save);
	while (name) {
		char *next = strtok_r(NULL, "/", &save);
		int fd = enter(at, name, next == NULL, create);
		if (fd < 0)
			return fd;
		close(at);
		at = fd;
		name = next;
	}
	int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static err_t check_ours(int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	return st.st_uid == geteuid() && !(st.st_mode & 077) ? 0 : -EPERM;
}

static char *path_of(int fd)
{
	char link[64], path[PATH_MAX];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof(path) - 1);
	return n > 0 && path[0] == '/' ? xstrndup(path, (size_t)n) : NULL;
}

static err_t fail_open(struct diag *d, err_t err, const char *dir)
{
	if (err == -EPERM || err == -ELOOP || err == -ENOTDIR)
		return fail(d, ERR_STORE, -EPERM,
			    "store %s: must be a directory of uid %u that is closed to others "
			    "(chmod 700), not reached through others' symlinks",
			    dir, (unsigned)geteuid());
	if (err == -ENOENT)
		return fail(d, ERR_NOT_FOUND, err, "store %s: there is none", dir);
	return fail_sys(d, ERR_STORE, err, "store %s", dir);
}

static err_t open_at(struct store *s, const char *dir, bool create, struct diag *d)
{
	auto_fd int root = open_root(dir, create);
	if (root < 0)
		return fail_open(d, root, dir);
	err_t err = check_ours(root);
	if (err)
		return fail_open(d, err, dir);
	/* The process may change its directory, and index_open wants a path. */
	s->dir = path_of(root);
	if (!s->dir)
		s->dir = realpath(dir, NULL);
	if (!s->dir)
		return fail_sys(d, ERR_STORE, -errno, "store %s", dir);
	if (create && mkdirat(root, "v1", 0700) < 0 && errno != EEXIST)
		return fail_open(d, -errno, dir);
	s->version_fd = openat(root, "v1", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	err = s->version_fd < 0 ? -errno : check_ours(s->version_fd);
	if (err)
		return fail_open(d, err, dir);
	int tmp = store_walk(s, "tmp", true);
	if (tmp < 0)
		return fail_open(d, tmp, dir);
	close(tmp);
	return 0;
}

static err_t open_store(const char *dir, bool create, struct store **out, struct diag *d)
{
	auto_free char *chosen = dir && *dir ? xstrdup(dir) : store_default_dir(d);
	if (!chosen)
		return -ENOENT;
	struct store *s = new_of(struct store);
	s->version_fd = -1;
	err_t err = open_at(s, chosen, create, d);
	if (err) {
		store_close(&s);
		return err;
	}
	temp_litter_remove(s);
	*out = s;
	return 0;
}

err_t store_open(const char *dir, struct store **out, struct diag *d)
{
	return open_store(dir, true, out, d);
}

err_t store_open_there(const char *dir, struct store **out, struct diag *d)
{
	return open_store(dir, false, out, d);
}

void store_close(struct store **s)
{
	if (!*s)
		return;
	if ((*s)->version_fd >= 0)
		close((*s)->version_fd);
	free((*s)->dir);
	free(*s);
	*s = NULL;
}

const char *store_dir(const struct store *s)
{
	return s->dir;
}

/* --- the way to a file --- */

static int step(int at, const char *name, bool create)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(at, name, flags);
	if (fd < 0 && errno == ENOENT && create) {
		if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
			return -errno;
		fd = openat(at, name, flags);
	}
	if (fd < 0)
		return errno == ELOOP || errno == ENOTDIR ? -EPERM : -errno;
	err_t err = check_ours(fd);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

int store_walk(const struct store *s, const char *path, bool create)
{
	char copy[STORE_PATH_MAX];
	BUG_ON(strlen(path) >= sizeof(copy));
	memcpy(copy, path, strlen(path) + 1);
	int at = s->version_fd;
	char *save = NULL;
	for (char *name = strtok_r(copy, "/", &save); name; name = strtok_r(NULL, "/", &save)) {
		int fd = step(at, name, create);
		if (at != s->version_fd)
			close(at);
		if (fd < 0)
			return fd;
		at = fd;
	}
	return at;
}

int store_walk_kept(const struct store *s, const char *path, bool create, int *keep_fd)
{
	char parent[STORE_PATH_MAX];
	const char *slash = strrchr(path, '/');
	BUG_ON(strlen(path) >= sizeof(parent));
	*keep_fd = -1;
	if (!slash)
		return store_walk(s, path, create); /* these are never removed */
	snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
	auto_fd int parent_fd = store_walk(s, parent, create);
	if (parent_fd < 0)
		return parent_fd;
	if (flock(parent_fd, LOCK_SH) < 0)
		return -errno;
	int fd = step(parent_fd, slash + 1, create);
	if (fd >= 0) {
		*keep_fd = parent_fd;
		parent_fd = -1;
	}
	return fd;
}

int store_walk_locked(const struct store *s, const char *path, bool create)
{
	auto_fd int keep_fd = -1;
	auto_fd int fd = store_walk_kept(s, path, create, &keep_fd);
	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX) < 0)
		return -errno;
	int locked = fd;
	fd = -1;
	return locked;
}

void store_list(struct store *s, const char *dir, store_name_fn each, void *arg)
{
	int fd = store_walk(s, dir, false);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	if (!list) {
		if (fd >= 0)
			close(fd);
		return;
	}
	const struct dirent *entry;
	while ((entry = readdir(list)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			each(arg, dirfd(list), entry->d_name);
	closedir(list);
}

int store_open_file(int dir_fd, const char *name, int flags)
{
	/* O_NONBLOCK: a fifo in the place of a file must not hang us. */
	int fd = openat(dir_fd, name, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno == ELOOP ? -EPERM : -errno;
	struct stat st;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid())
		return fd;
	close(fd);
	return -EPERM;
}

err_t store_read(struct store *s, const char *dir, const char *name, size_t limit, struct buf *out)
{
	auto_fd int at = store_walk(s, dir, false);
	if (at < 0)
		return -ENOENT;
	auto_fd int fd = store_open_file(at, name, O_RDONLY);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || (uint64_t)st.st_size > limit)
		return -ENOENT;
	err_t err = buf_reserve(out, (size_t)st.st_size);
	if (err)
		return err;
	if (read_at(fd, out->p, (size_t)st.st_size, 0) != 0)
		return -ENOENT;
	out->n = (size_t)st.st_size;
	return 0;
}

void store_remove(struct store *s, const char *dir, const char *name)
{
	auto_fd int at = store_walk(s, dir, false);
	if (at >= 0)
		unlinkat(at, name, 0);
}

const char *store_layer_dir(const struct digest *blob, char buf[STORE_PATH_MAX])
{
	char hex[DIGEST_TEXT_MAX];
	snprintf(buf, STORE_PATH_MAX, "layers/%s/%.128s", digest_alg_name(blob->alg),
		 digest_hex(blob, hex));
	return buf;
}

const char *store_image_dir(const struct digest *key, char buf[STORE_PATH_MAX])
{
	char hex[DIGEST_TEXT_MAX];
	snprintf(buf, STORE_PATH_MAX, "images/%.128s", digest_hex(key, hex));
	return buf;
}

/* --- a disk that takes no more --- */

void store_note_error(struct store *s, err_t err, const char *what)
{
	int64_t now = now_ms();
	int64_t old = atomic_exchange_explicit(&s->full_until_ms, now + STORE_PASS_THROUGH_MS,
					       memory_order_relaxed);
	if (now < old)
		return;
	log_warn("store.pass-through",
		 "store=%s what=%s error=\"%s\" next=\"serve without keeping, try again in %d s\"",
		 s->dir, what, strerrordesc_np(-err), STORE_PASS_THROUGH_MS / 1000);
}

bool store_is_full(const struct store *s)
{
	int64_t until_ms = atomic_load_explicit(&s->full_until_ms, memory_order_relaxed);
	return until_ms && now_ms() < until_ms;
}
