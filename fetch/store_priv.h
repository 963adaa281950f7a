/*
 * store_priv - what the files of the store share: the directory walk, and publishing by rename
 */
#ifndef IMGFS_FETCH_STORE_PRIV_H
#define IMGFS_FETCH_STORE_PRIV_H

#include "fetch/store.h"

#include <stdatomic.h>

/* After a write failed for lack of room the store is not written to for this long: a reader must
 * not pay for an attempt that is bound to fail, and room may come back at any time. */
#define STORE_PASS_THROUGH_MS 10000

#define STORE_PATH_MAX 200 /* "layers/sha512/" + 128 digits + "/" + a name, rounded up */

struct store {
	/* fixed after open */
	char *dir;	/* absolute, as given to store_open or found */
	int version_fd; /* DIR/v1 */
	/* atomic */
	_Atomic(uint64_t) temp_count;
	_Atomic(int64_t) full_until_ms; /* now_ms() time; 0: not full */
};

/*
 * store_walk - open a directory below v1/, component by component, never through a symlink
 * @path    relative, no "." or ".."
 * @create  make what is missing, mode 0700
 * Each directory must be ours and closed to others, else -EPERM. Returns a descriptor or -errno.
 */
int store_walk(const struct store *s, const char *path, bool create) must_check;

/*
 * store_walk_kept - the same, and nobody removes the directory as long as *keep_fd is open: for who
 * gives a file a name in it
 * A shared flock on the parent, which a remover takes exclusively (STORE.md, S16). Close it soon.
 */
int store_walk_kept(const struct store *s, const char *path, bool create, int *keep_fd) must_check;

/*
 * store_walk_locked - the same, with an exclusive flock on the directory: for who makes, moves or
 * removes files in it that belong together
 * The lock ends with the descriptor. Nobody removes the directory before.
 */
int store_walk_locked(const struct store *s, const char *path, bool create) must_check;

/* store_list - call `each` for every name in a directory below v1/, but . and ..; nothing where
 * there is none. Names that come or go meanwhile may be missed. */
typedef void (*store_name_fn)(void *arg, int dir_fd, const char *name);
void store_list(struct store *s, const char *dir, store_name_fn each, void *arg);

/* store_open_file - a regular file of ours in an open directory; flags as for open(2), without
 * O_CREAT. Returns a descriptor or -errno (-EPERM: not a regular file of ours). */
int store_open_file(int dir_fd, const char *name, int flags) must_check;

/*
 * A file in the making, in v1/tmp. It is flocked for as long as it is there, so that the litter of
 * a dead process can be told from the work of a living one.
 */
struct temp_file {
	int fd; /* -1: none */
	char name[48];
};
#define TEMP_FILE_NONE                                                                             \
	(struct temp_file)                                                                         \
	{                                                                                          \
		.fd = -1                                                                           \
	}
err_t temp_file_create(struct store *s, struct temp_file *out) must_check;
/* temp_file_publish - rename to dir_fd/name, with fsync of file and directory when `sync`; closes.
 * On failure the file is dropped. */
err_t temp_file_publish(struct store *s, struct temp_file *t, int dir_fd, const char *name,
			bool sync) must_check;
/* temp_file_publish_in - the same by the directory's path, which is made, and which nobody removes
 * meanwhile. */
err_t temp_file_publish_in(struct store *s, struct temp_file *t, const char *dir, const char *name,
			   bool sync) must_check;
void temp_file_drop(struct store *s, struct temp_file *t);
/* temp_litter_remove - unlink what no living process holds. */
void temp_litter_remove(struct store *s);

/* store_publish - write `parts` one after the other as the file `dir`/`name`; the directory is
 * created. Notes a full disk. */
err_t store_publish(struct store *s, const char *dir, const char *name, const struct bytes *parts,
		    size_t n_parts) must_check;

/* store_read - a whole file below v1/, at most `limit` bytes, into an empty buffer; -ENOENT when it
 * can not be had. */
err_t store_read(struct store *s, const char *dir, const char *name, size_t limit,
		 struct buf *out) must_check;
/* store_remove - unlink dir/name if it is there. */
void store_remove(struct store *s, const char *dir, const char *name);

/* Files of which nothing depends, by a name that the caller makes (store_note.c). */
struct note_kind {
	const char *dir, *magic; /* below v1/; the first word of a file, with its version */
	size_t max;		 /* bytes of the content */
};
/* store_note_get - its content, appended; -ENOENT also for one that rotted, which is removed. */
err_t store_note_get(struct store *s, const struct note_kind *kind, const char *name,
		     struct buf *content) must_check;
/* store_note_put - over the one before; errors of store_publish. */
err_t store_note_put(struct store *s, const struct note_kind *kind, const char *name,
		     struct bytes content) must_check;
/* store_note_drop - remove it if it is there. */
void store_note_drop(struct store *s, const struct note_kind *kind, const char *name);

/* store_dir_remove_empty - one of layers/, images/ or published/, unless something is in it or
 * somebody is about to put something in. 0 also when it stays.
 */
err_t store_dir_remove_empty(struct store *s, const char *parent, const char *name) must_check;

/* store_dir_remove - a directory of layers/, images/ or published/ with what is in it, or
 * (bytes_only) its chunks and its kept blob. -EBUSY when a process has the chunks open; 0 when it
 * is not there.
 */
err_t store_dir_remove(struct store *s, const char *parent, const char *name,
		       bool bytes_only) must_check;

/* store_layer_dir, store_image_dir - "layers/sha256/HEX", "images/HEX" into buf; returns buf. */
const char *store_layer_dir(const struct digest *blob, char buf[STORE_PATH_MAX]);
const char *store_image_dir(const struct digest *key, char buf[STORE_PATH_MAX]);
/* store_published_dir - "published/HEX" of an artifact or a form. */
const char *store_published_dir(const struct digest *digest, char buf[STORE_PATH_MAX]);

/* store_document_peek - store_document_get that removes nothing: -EBADMSG for a document that is
 * wrong. */
err_t store_document_peek(struct store *s, const struct digest *digest,
			  struct document *out) must_check;

/* store_map_counts - of a map in an open directory: chunks, and those that are STORED; false when
 * there is none. */
bool store_map_counts(int dir_fd, uint32_t *n_chunks, uint32_t *n_stored);

/* store_tag_read - a tag's digest and text, by the name of its file; the caller frees the text.
 * -ENOENT. */
err_t store_tag_read(struct store *s, const char *file, struct digest *digest,
		     char **text) must_check;

/* store_note_error - after a failed write: pass-through for a while, one log line. */
void store_note_error(struct store *s, err_t err, const char *what);
/* store_is_full - whether writes are not tried at present. */
bool store_is_full(const struct store *s);

#endif
