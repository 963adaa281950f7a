/*
 * What the store takes on disk, by kind: one walk over its tree, counting allocated blocks, since
 * the data files are sparse.
 */
#include "fetch/store_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where the walk is: the kind of a file follows from the top directory and its own name. */
struct place {
	struct store_usage *usage;
	const char *top; /* "layers"; "" at the root */
	unsigned depth;	 /* of the directory that is listed; 0 is v1/ */
};

#define DEPTH_MAX 4 /* v1/layers/sha256/HEX/data; what lies deeper is not ours */

static uint64_t *counter_of(const struct place *at, const char *name)
{
	struct store_usage *u = at->usage;
	if (strcmp(at->top, "documents") == 0 || strcmp(at->top, "tags") == 0)
		return &u->documents;
	if (strcmp(at->top, "layers") != 0 && strcmp(at->top, "images") != 0 &&
	    strcmp(at->top, "published") != 0)
		return &u->other;
	if (strcmp(name, "index") == 0 || strcmp(name, "form") == 0)
		return &u->indexes;
	if (strcmp(name, "data") == 0 || strcmp(name, "map") == 0)
		return &u->chunks;
	return strcmp(name, "blob") == 0 ? &u->blobs : &u->other;
}

/* A layer or an image is a directory at its fixed depth: layers/ALG/HEX, images/HEX. */
static void count_dir(const struct place *at)
{
	at->usage->n_layers += at->depth == 2 && strcmp(at->top, "layers") == 0;
	at->usage->n_images += at->depth == 1 && strcmp(at->top, "images") == 0;
}

static err_t walk(int fd, const struct place *at);

static err_t visit(int dir_fd, const struct place *at, const char *name)
{
	struct stat st;
	/* Files come and go while we look. */
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISDIR(st.st_mode)) {
		*counter_of(at, name) += (uint64_t)st.st_blocks * 512;
		return 0;
	}
	at->usage->other += (uint64_t)st.st_blocks * 512;
	count_dir(at);
	if (at->depth == DEPTH_MAX)
		return 0;
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	struct place below = {at->usage, at->depth ? at->top : name, at->depth + 1};
	return walk(fd, &below);
}

/* Takes fd. Recursion ends at DEPTH_MAX. */
static err_t walk(int fd, const struct place *at)
{
	DIR *dir = fdopendir(fd);
	if (!dir) {
		err_t err = -errno;
		close(fd);
		return err;
	}
	err_t err = 0;
	const struct dirent *entry;
	while (!err && (entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			err = visit(dirfd(dir), at, entry->d_name);
	closedir(dir);
	return err;
}

err_t store_usage(struct store *s, struct store_usage *out, struct diag *d)
{
	struct store_usage usage = {0};
	struct place root = {&usage, "", 0};
	int fd = openat(s->version_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	err_t err = fd < 0 ? -errno : walk(fd, &root);
	if (err)
		return fail_sys(d, ERR_STORE, err, "store %s", s->dir);
	*out = usage;
	return 0;
}
