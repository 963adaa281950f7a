/*
 * Blobs kept as they were streamed, compressed. A kept blob is one more source, and trusted as
 * little: each range read from it is checked against the index before it is decoded, and the whole
 * blob is dropped when one lies. That is why it is published without fsync: after a power failure
 * it can only be a liar, never wrong data.
 */
#include "fetch/store_priv.h"

#include "fetch/log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOB_FILE "blob"

struct blob_writer {
	struct store *store;
	struct digest digest;
	struct temp_file file;
	err_t err; /* the first; the writer is dead from then on */
};

err_t store_blob_create(struct store *s, const struct digest *digest, struct blob_writer **out)
{
	BUG_ON(!digest->alg);
	struct temp_file file;
	err_t err = store_is_full(s) ? -ENOSPC : temp_file_create(s, &file);
	if (err)
		return err;
	struct blob_writer *w = new_of(struct blob_writer);
	w->store = s;
	w->digest = *digest;
	w->file = file;
	*out = w;
	return 0;
}

void blob_writer_write(struct blob_writer *w, const void *p, size_t n)
{
	if (w->err)
		return;
	w->err = write_all(w->file.fd, p, n);
	if (!w->err)
		return;
	/* Give the room back at once: the index is going to need it. */
	temp_file_drop(w->store, &w->file);
	store_note_error(w->store, w->err, "blob");
}

static err_t publish(struct blob_writer *w)
{
	char dir[STORE_PATH_MAX];
	return temp_file_publish_in(w->store, &w->file, store_layer_dir(&w->digest, dir), BLOB_FILE,
				    false);
}

err_t blob_writer_commit(struct blob_writer **wp)
{
	struct blob_writer *w = *wp;
	err_t err = w->err ? w->err : publish(w);
	blob_writer_abort(wp);
	return err;
}

void blob_writer_abort(struct blob_writer **w)
{
	if (!*w)
		return;
	temp_file_drop((*w)->store, &(*w)->file);
	free(*w);
	*w = NULL;
}

int store_blob_open(struct store *s, const struct digest *digest, uint64_t size)
{
	char dir[STORE_PATH_MAX];
	auto_fd int at = store_walk(s, store_layer_dir(digest, dir), false);
	if (at < 0)
		return -ENOENT;
	int fd = store_open_file(at, BLOB_FILE, O_RDONLY);
	if (fd < 0)
		return -ENOENT;
	struct stat st;
	if (fstat(fd, &st) == 0 && (uint64_t)st.st_size == size)
		return fd;
	close(fd);
	return -ENOENT;
}

void store_blob_drop(struct store *s, const struct digest *digest)
{
	char dir[STORE_PATH_MAX];
	store_remove(s, store_layer_dir(digest, dir), BLOB_FILE);
}
