/*
 * Which layers the store has bytes of, the ones used last first, and how much it has of one. Chunks
 * lie in a sparse file as long as the layer's stream, so that its blocks say how much is there.
 */
#include "fetch/store_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENTRIES_MAX 4096 /* directories that are looked at */

struct listed {
	struct digest digest;
	struct timespec used;
};

struct listing {
	struct listed *list;
	size_t n, cap;
};

static void look_at(struct listing *l, int dir_fd, const char *alg, const char *hex)
{
	char path[DIGEST_TEXT_MAX + 8], text[DIGEST_TEXT_MAX + 8];
	struct stat index, map;
	struct listed one;
	if (strlen(hex) >= DIGEST_TEXT_MAX || l->n == ENTRIES_MAX)
		return;
	snprintf(text, sizeof(text), "%s:%s", alg, hex);
	if (digest_parse(BYTES_STR(text), &one.digest, NULL))
		return;
	snprintf(path, sizeof(path), "%s/index", hex);
	if (fstatat(dir_fd, path, &index, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	snprintf(path, sizeof(path), "%s/map", hex);
	if (fstatat(dir_fd, path, &map, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	one.used = map.st_mtim;
	if (try_grow(&l->list, l->n, &l->cap, sizeof(*l->list)))
		l->list[l->n++] = one;
}

static void list_alg(struct store *s, const char *alg, struct listing *l)
{
	char path[STORE_PATH_MAX];
	snprintf(path, sizeof(path), "layers/%s", alg);
	int fd = store_walk(s, path, false);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	const struct dirent *entry;
	while ((entry = readdir(dir)) != NULL)
		look_at(l, dirfd(dir), alg, entry->d_name);
	closedir(dir);
}

static int by_use(const void *a, const void *b)
{
	const struct timespec *x = &((const struct listed *)a)->used,
			      *y = &((const struct listed *)b)->used;
	if (x->tv_sec != y->tv_sec)
		return x->tv_sec < y->tv_sec ? 1 : -1;
	return (x->tv_nsec < y->tv_nsec) - (x->tv_nsec > y->tv_nsec);
}

size_t store_layers_used(struct store *s, struct digest *out, size_t max)
{
	struct listing l = {0};
	list_alg(s, "sha256", &l);
	list_alg(s, "sha512", &l);
	if (l.n)
		qsort(l.list, l.n, sizeof(*l.list), by_use);
	size_t n = min_of(l.n, max);
	for (size_t i = 0; i < n; i++)
		out[i] = l.list[i].digest;
	free(l.list);
	return n;
}

/* The larger of what `out` says and what the chunks in a directory are. */
static void count_chunks(struct store *s, const char *dir, struct layer_stored *out)
{
	struct stat st;
	auto_fd int dir_fd = store_walk(s, dir, false);
	auto_fd int fd = dir_fd < 0 ? dir_fd : store_open_file(dir_fd, "data", O_RDONLY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	out->stream_size = (uint64_t)st.st_size;
	uint64_t bytes = min_of((uint64_t)st.st_blocks * 512, out->stream_size);
	out->chunks_bytes = max_of(out->chunks_bytes, bytes);
}

void store_layer_stored(struct store *s, const struct digest *blob, uint64_t size,
			const struct digest *form, struct layer_stored *out)
{
	char dir[STORE_PATH_MAX];
	auto_fd int fd = store_blob_open(s, blob, size);
	*out = (struct layer_stored){.blob = fd >= 0};
	count_chunks(s, store_layer_dir(blob, dir), out);
	if (form)
		count_chunks(s, store_published_dir(form, dir), out);
}
