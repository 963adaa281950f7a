/*
 * mounts - a lock says who lives, a mapping says what they do
 *
 * A record is made under a name with a dot and renamed when its mount is there, so a look into the
 * directory never takes a half-written one for stale. Whoever probes a lock asks for a shared one:
 * two of them do not take each other for the daemon.
 */
#include "fs/mounts_priv.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct mount_record {
	int dir, fd;
	char name[RECORD_ID_MAX];
	struct record_file *file;
	int trace_fd; /* -1: none */
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

char *mounts_runtime_dir(void)
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

int mounts_dir(bool create, struct diag *d)
{
	auto_free char *path = mounts_runtime_dir();
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
	auto_free char *path = mounts_runtime_dir();

	return fail_sys(d, ERR_OTHER, err, "record of the mount in %s", path);
}

bool text_set(char *field, size_t size, const char *text)
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
	if (info->layers)
		memcpy(file->layers, info->layers, file->n_layers * sizeof(*info->layers));
	/* Only a convenience: without it rows have numbers and no names. */
	(void)text_set(file->tree, sizeof(file->tree), info->tree ? info->tree : "");
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

	r->fd = r->trace_fd = -1;
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

/* ---- the trace beside it ---- */

/* Locked like the record, so that whoever cleans up takes it for what it is. */
int mount_record_trace(struct mount_record *r)
{
	char name[TRACE_NAME_MAX];

	BUG_ON(r->name[0] != '.' || r->trace_fd >= 0);
	trace_name(r->name, name);
	r->trace_fd = openat(r->dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (r->trace_fd < 0)
		return -errno;
	return flock(r->trace_fd, LOCK_EX) ? -errno : r->trace_fd;
}

static void trace_show(const struct mount_record *r)
{
	char name[TRACE_NAME_MAX];

	trace_name(r->name, name);
	if (r->trace_fd >= 0)
		(void)!renameat(r->dir, name, r->dir, name + 1);
}

static void trace_remove(struct mount_record *r)
{
	char name[TRACE_NAME_MAX];

	trace_name(r->name, name);
	if (r->trace_fd >= 0)
		unlinkat(r->dir, name, 0);
	cleanup_fd(&r->trace_fd);
}

err_t mount_record_show(struct mount_record *r, const struct mounted *mounted, struct diag *d)
{
	BUG_ON(r->name[0] != '.');
	trace_show(r);
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

struct board *mount_record_board(struct mount_record *r)
{
	return &r->file->board;
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
	trace_remove(r);
	if (r->name[0])
		unlinkat(r->dir, r->name, 0);
	if (r->file)
		munmap(r->file, sizeof(*r->file));
	cleanup_fd(&r->fd);
	cleanup_fd(&r->dir);
	free(r);
}

void mount_record_row(const struct mount_record *record, struct mount_row *out)
{
	record_row(record->file, out);
}
