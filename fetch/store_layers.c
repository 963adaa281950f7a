/*
 * Which layers the store has bytes of, the ones used last first.
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
