/*
 * mounts - a lock says who lives, a mapping says what they do
 *
 * A record is made under a name with a dot and renamed when its mount is there, so a look into the
 * directory never takes a half-written one for stale. Whoever probes a lock asks for a shared one:
 * two of them do not take each other for the daemon.
 */
#include "fs/mounts.h"

#include "fetch/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RECORD_MAGIC   "imgfsmnt"
#define RECORD_VERSION 2
#define RECORD_ID_MAX  20 /* ".", 16 hexadecimal digits, NUL */
#define UNSHOWN_S      60 /* a mount that is this old was shown, or its daemon has died */
#define POLL_MS	       10

/* The file. Only the version of imgfs that wrote it can read it; the lock is for all of them. */
struct record_file {
	char magic[8];
	uint32_t version;
	int32_t pid;
	int64_t started_at;
	uint32_t dev_major, dev_minor; /* of the mount */
	char mountpoint[PATH_MAX], store[PATH_MAX];
	char reference[REF_TEXT_MAX];
	char manifest[DIGEST_TEXT_MAX];
	struct counters counters;
	uint32_t n_layers;
	_Atomic(uint8_t) layer_states[INDEX_LAYERS_MAX]; /* enum layer_state, bottom first */
};

struct mount_record {
	int dir, fd;
	char name[RECORD_ID_MAX];
	struct record_file *file;
};

/* ---- the runtime directory ---- */

/* Open a directory that must be ours alone; made first if `create`. */
static int private_dir(int at, const char *name, bool create)
{
	auto_fd int fd = -1;
	struct stat st;
	int result;

	if (create && mkdirat(at, name, 0700) && errno != EEXIST)
		return -errno;
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		return -errno;
	if (st.st_uid != geteuid() || (st.st_mode & 077))
		return -EPERM;
	result = fd;
	fd = -1;
	return result;
}

char *mounts_runtime_path(void)
{
	const char *named = getenv("IMGFS_RUNTIME_DIR"), *xdg = getenv("XDG_RUNTIME_DIR");

	if (named && *named)
		return xstrdup(named);
	if (geteuid() == 0)
		return xstrdup("/run/imgfs");
	if (xdg && *xdg == '/')
		return xasprintf("%s/imgfs", xdg);
	return xasprintf("/tmp/imgfs-%u", (unsigned)geteuid());
}

/* The directory of records, or -errno. */
static int mounts_dir(bool create, struct diag *d)
{
	auto_free char *path = mounts_runtime_path();
	auto_fd int above = private_dir(AT_FDCWD, path, create);
	int fd = above < 0 ? above : private_dir(above, "mounts", create);

	if (fd == -EPERM)
		return fail(d, ERR_OTHER, fd, "runtime directory %s is not ours, or open to others",
			    path);
	if (fd < 0)
		return fail_sys(d, ERR_OTHER, fd, "runtime directory %s", path);
	return fd;
}

/* ---- a daemon's own record ---- */

static err_t record_failed(struct diag *d, err_t err)
{
	auto_free char *path = mounts_runtime_path();

	return fail_sys(d, ERR_OTHER, err, "record of the mount in %s", path);
}

static bool text_set(char *field, size_t size, const char *text)
{
	size_t n = strlen(text);

	if (n >= size)
		return false;
	memcpy(field, text, n + 1);
	return true;
}

static err_t record_fill(struct record_file *file, const struct mount_info *info, struct diag *d)
{
	memcpy(file->magic, RECORD_MAGIC, sizeof(file->magic));
	file->version = RECORD_VERSION;
	file->pid = getpid();
	file->started_at = time(NULL);
	file->n_layers = min_of(info->n_layers, (uint32_t)INDEX_LAYERS_MAX);
	if (!text_set(file->mountpoint, sizeof(file->mountpoint), info->mountpoint) ||
	    !text_set(file->reference, sizeof(file->reference), info->reference) ||
	    !text_set(file->manifest, sizeof(file->manifest), info->manifest) ||
	    !text_set(file->store, sizeof(file->store), info->store))
		return fail(d, ERR_OTHER, -ENAMETOOLONG, "a path or reference is too long");
	return 0;
}

/* No holes: a store into one through the mapping would be SIGBUS when the disk is full. */
static err_t record_reserve(int fd)
{
	int err;

	do
		err = posix_fallocate(fd, 0, sizeof(struct record_file));
	while (err == EINTR);
	return -err;
}

static err_t record_create(struct mount_record *r)
{
	uint64_t id;
	err_t err;
	void *p;

	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		return -errno;
	snprintf(r->name, sizeof(r->name), ".%016llx", (unsigned long long)id);
	r->fd = openat(r->dir, r->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (r->fd < 0) {
		r->name[0] = '\0';
		return -errno;
	}
	/* Waits for no more than somebody's probe: no other daemon knows the file. */
	if (flock(r->fd, LOCK_EX))
		return -errno;
	err = record_reserve(r->fd);
	if (err)
		return err;
	p = mmap(NULL, sizeof(*r->file), PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	r->file = p;
	return 0;
}

err_t mount_record_new(const struct mount_info *info, struct mount_record **out, struct diag *d)
{
	struct mount_record *r = new_of(struct mount_record);
	err_t err;

	r->fd = -1;
	r->dir = mounts_dir(true, d);
	err = min_of(r->dir, 0);
	if (!err) {
		err = record_create(r);
		if (err)
			(void)record_failed(d, err);
	}
	if (!err)
		err = record_fill(r->file, info, d);
	if (err)
		mount_record_free(&r);
	else
		*out = r;
	return err;
}

err_t mount_record_show(struct mount_record *r, const struct mounted *mounted, struct diag *d)
{
	BUG_ON(r->name[0] != '.');
	r->file->dev_major = mounted->dev_major;
	r->file->dev_minor = mounted->dev_minor;
	if (renameat(r->dir, r->name, r->dir, r->name + 1))
		return fail_sys(d, ERR_OTHER, -errno, "record of the mount");
	memmove(r->name, r->name + 1, strlen(r->name));
	return 0;
}

struct counters *mount_record_counters(struct mount_record *r)
{
	return &r->file->counters;
}

_Atomic(uint8_t) *mount_record_layer_states(struct mount_record *r)
{
	return r->file->layer_states;
}

void mount_record_leave(struct mount_record **record)
{
	struct mount_record *r = *record;

	if (r)
		r->fd = -1;
	mount_record_free(record);
}

void mount_record_free(struct mount_record **record)
{
	struct mount_record *r = take(record);

	if (!r)
		return;
	/* Removed while it is locked: nobody can have taken it for stale before. */
	if (r->name[0])
		unlinkat(r->dir, r->name, 0);
	if (r->file)
		munmap(r->file, sizeof(*r->file));
	cleanup_fd(&r->fd);
	cleanup_fd(&r->dir);
	free(r);
}

/* ---- the records of others ---- */

/* A record whose daemon lives, mapped for reading. */
struct record_view {
	int fd;
	const struct record_file *file;
};

static void record_view_close(struct record_view *v)
{
	if (v->file)
		munmap((void *)(uintptr_t)v->file, sizeof(*v->file));
	v->file = NULL;
	cleanup_fd(&v->fd);
	v->fd = -1;
}

/* Whether nobody holds the lock any more. A young record without a name yet may not be locked yet.
 */
static bool record_is_stale(int fd, const char *name)
{
	struct stat st;

	if (flock(fd, LOCK_SH | LOCK_NB))
		return false;
	return name[0] != '.' || (fstat(fd, &st) == 0 && time(NULL) - st.st_mtime > UNSHOWN_S);
}

static bool text_ends(const char *field, size_t size)
{
	return memchr(field, '\0', size) != NULL;
}

static bool record_is_ours(const struct record_file *file)
{
	return memcmp(file->magic, RECORD_MAGIC, sizeof(file->magic)) == 0 &&
	       file->version == RECORD_VERSION &&
	       text_ends(file->mountpoint, sizeof(file->mountpoint)) &&
	       text_ends(file->store, sizeof(file->store)) &&
	       text_ends(file->reference, sizeof(file->reference)) &&
	       text_ends(file->manifest, sizeof(file->manifest));
}

/* Map one record; false when it is stale (then it is removed) or can not be read. */
static bool record_view_open(int dir, const char *name, struct record_view *v)
{
	struct stat st;
	void *p;

	*v = (struct record_view){.fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
	if (v->fd < 0)
		return false;
	if (record_is_stale(v->fd, name)) {
		unlinkat(dir, name, 0);
		record_view_close(v);
		return false;
	}
	if (name[0] == '.' || fstat(v->fd, &st) || st.st_size != sizeof(*v->file)) {
		record_view_close(v);
		return false;
	}
	p = mmap(NULL, sizeof(*v->file), PROT_READ, MAP_SHARED, v->fd, 0);
	v->file = p == MAP_FAILED ? NULL : p;
	if (v->file && record_is_ours(v->file))
		return true;
	log_warn("mounts.record", "record=%s: written by another version of imgfs", name);
	record_view_close(v);
	return false;
}

/* Call `each` for every live record; a missing directory has none. */
static err_t records_each(void (*each)(const struct record_view *v, void *arg), void *arg,
			  struct diag *d)
{
	int fd = mounts_dir(false, d);
	const struct dirent *entry;
	DIR *dir;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return fail_sys(d, ERR_OTHER, -ENOMEM, "runtime directory");
	}
	while ((entry = readdir(dir))) {
		struct record_view v;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (!record_view_open(fd, entry->d_name, &v))
			continue;
		each(&v, arg);
		record_view_close(&v);
	}
	closedir(dir);
	return 0;
}

struct list_growing {
	struct mount_list *list;
	size_t cap;
	bool failed;
};

static void list_add(const struct record_view *v, void *arg)
{
	const struct record_file *file = v->file;
	struct list_growing *g = arg;
	struct mount_row *row;

	if (!try_grow(&g->list->rows, g->list->n, &g->cap, sizeof(*row))) {
		g->failed = true;
		return;
	}
	row = &g->list->rows[g->list->n++];
	*row = (struct mount_row){
		.mountpoint = xstrdup(file->mountpoint),
		.reference = xstrdup(file->reference),
		.manifest = xstrdup(file->manifest),
		.store = xstrdup(file->store),
		.mounted = {file->dev_major, file->dev_minor, true},
		.started_at = file->started_at,
		.pid = file->pid,
		.n_layers = min_of(file->n_layers, (uint32_t)INDEX_LAYERS_MAX),
	};
	for (uint32_t i = 0; i < row->n_layers; i++)
		row->layer_states[i] =
			atomic_load_explicit(&file->layer_states[i], memory_order_relaxed);
	counters_copy(&file->counters, &row->counters);
}

static int row_compare(const void *a, const void *b)
{
	const struct mount_row *left = a, *right = b;
	int order = strcmp(left->mountpoint, right->mountpoint);

	return order ? order : (left->pid > right->pid) - (left->pid < right->pid);
}

err_t mounts_list(struct mount_list *out, struct diag *d)
{
	struct list_growing g = {.list = out};
	err_t err;

	*out = (struct mount_list){0};
	err = records_each(list_add, &g, d);
	if (!err && g.failed)
		err = fail_sys(d, ERR_OTHER, -ENOMEM, "list of mounts");
	if (out->n)
		qsort(out->rows, out->n, sizeof(*out->rows), row_compare);
	return err;
}

void mount_list_fini(struct mount_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		free(list->rows[i].mountpoint);
		free(list->rows[i].reference);
		free(list->rows[i].manifest);
		free(list->rows[i].store);
	}
	free(list->rows);
	*list = (struct mount_list){0};
}

struct record_search {
	const struct mounted *mounted;
	int fd, pid;
};

static void search_record(const struct record_view *v, void *arg)
{
	struct record_search *search = arg;

	if (search->fd >= 0 || v->file->dev_major != search->mounted->dev_major ||
	    v->file->dev_minor != search->mounted->dev_minor)
		return;
	search->fd = fcntl(v->fd, F_DUPFD_CLOEXEC, 0);
	search->pid = v->file->pid;
}

int mounts_find(const struct mounted *mounted, int *pid)
{
	struct record_search search = {.mounted = mounted, .fd = -1};
	err_t err = records_each(search_record, &search, NULL);

	*pid = search.pid;
	if (err)
		cleanup_fd(&search.fd);
	return err ? err : search.fd < 0 ? -ENOENT : search.fd;
}

err_t mounts_wait_gone(int record_fd, int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms;

	while (flock(record_fd, LOCK_SH | LOCK_NB)) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (now_ms() >= end)
			return -ETIMEDOUT;
		nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
	}
	return 0;
}

static void look_only(const struct record_view *v, void *arg)
{
	(void)v;
	(void)arg;
}

void mounts_clean(void)
{
	err_t err = records_each(look_only, NULL, NULL);

	if (err)
		log_debug("mounts.clean", "error=\"%s\"", strerror(-err));
}
