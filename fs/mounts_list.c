/*
 * The records of others: a file that nobody locks belongs to a daemon that died, and is removed by
 * whoever meets it; the others are mapped for as long as it takes to copy them.
 */
#include "fs/mounts_priv.h"

#include "fetch/log.h"
#include "index/trace.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define UNSHOWN_S 60 /* a mount that is this old was shown, or its daemon has died */
#define POLL_MS	  10

/* A record whose daemon lives, mapped for reading. */
struct record_view {
	int fd;
	char name[RECORD_ID_MAX];
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
	       text_ends(file->tree, sizeof(file->tree)) &&
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
	if (name[0] == '.' || trace_is_name(name) || fstat(v->fd, &st) ||
	    st.st_size != sizeof(*v->file)) {
		record_view_close(v);
		return false;
	}
	if (!text_set(v->name, sizeof(v->name), name)) {
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

static uint32_t lowest_with_blob(const struct record_file *file, uint32_t layer)
{
	for (uint32_t i = 0; i < layer; i++)
		if (digest_equal(&file->layers[i].digest, &file->layers[layer].digest))
			return i;
	return layer;
}

static void layer_copy(const struct record_file *file, uint32_t i, struct mount_layer *out)
{
	bool known = file->layers[i].digest.alg != 0;
	uint32_t same_as = known ? lowest_with_blob(file, i) : i;
	const struct board_layer *shown = &file->board.layers[same_as];

	*out = (struct mount_layer){
		.size = file->layers[i].size,
		.state = atomic_load_explicit(&file->layer_states[i], memory_order_relaxed),
		.same_as = same_as,
		.fetched_bytes = atomic_load_explicit(&shown->fetched_bytes, memory_order_relaxed),
		.n_chunks = atomic_load_explicit(&shown->n_chunks, memory_order_relaxed),
		.n_stored = atomic_load_explicit(&shown->n_stored, memory_order_relaxed),
	};
	/* A chunk that rotted and came again was counted twice. */
	out->n_stored = min_of(out->n_stored, out->n_chunks);
	if (known)
		(void)digest_text(&file->layers[i].digest, out->digest);
}

void record_row(const struct record_file *file, struct mount_row *row)
{
	*row = (struct mount_row){
		.mountpoint = xstrdup(file->mountpoint),
		.reference = xstrdup(file->reference),
		.manifest = xstrdup(file->manifest),
		.store = xstrdup(file->store),
		.tree = xstrdup(file->tree),
		.mounted = {file->dev_major, file->dev_minor, true, geteuid()},
		.started_at = file->started_at,
		.pid = file->pid,
		.n_layers = min_of(file->n_layers, (uint32_t)INDEX_LAYERS_MAX),
	};
	row->layers = xcalloc(max_of(row->n_layers, 1u), sizeof(*row->layers));
	for (uint32_t i = 0; i < row->n_layers; i++) {
		layer_copy(file, i, &row->layers[i]);
		if (row->layers[i].same_as == i)
			row->size += row->layers[i].size;
	}
	board_copy(&file->board, &row->board);
	counters_copy(&file->counters, &row->board.stats, &row->counters);
}

void mount_row_fini(struct mount_row *row)
{
	free(row->mountpoint);
	free(row->reference);
	free(row->manifest);
	free(row->store);
	free(row->tree);
	free(row->layers);
	*row = (struct mount_row){0};
}

struct list_growing {
	struct mount_list *list;
	size_t cap;
	bool failed;
};

static void list_add(const struct record_view *v, void *arg)
{
	struct list_growing *g = arg;
	struct mount_row *row;

	if (!try_grow(&g->list->rows, g->list->n, &g->cap, sizeof(*row))) {
		g->failed = true;
		return;
	}
	row = &g->list->rows[g->list->n++];
	record_row(v->file, row);
	memcpy(row->name, v->name, sizeof(row->name));
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

err_t mounts_trace_read(const struct mount_row *row, struct buf *out)
{
	char name[TRACE_NAME_MAX];
	auto_fd int dir = mounts_dir(false, NULL), fd = -1;
	struct stat st;
	err_t err;

	trace_name(row->name, name);
	if (dir >= 0)
		fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return -ENOENT;
	if (st.st_size > TRACE_FILE_MAX)
		return -E2BIG;
	err = buf_append_zeros(out, (size_t)st.st_size);
	return err ? err : read_at(fd, out->p, out->n, 0);
}

void mount_list_fini(struct mount_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		mount_row_fini(&list->rows[i]);
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
