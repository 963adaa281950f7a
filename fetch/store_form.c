/*
 * What the store has of published indexes, one directory a digest:
 *
 *   published/HEX/index   the merged tree of the artifact (index/WIRE.md) of this digest, unpacked
 *   published/HEX/form    as much of the layer form of this digest as was fetched, sparse
 *   published/HEX/data, map   chunks that were decoded by that form
 *
 * A form's holes and rot are found by the SHA-256 of its parts, so it has no map of its own.
 */
#include "fetch/store_priv.h"

#include "fetch/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORM_FILE "form"

const char *store_published_dir(const struct digest *digest, char buf[STORE_PATH_MAX])
{
	char hex[DIGEST_TEXT_MAX];
	snprintf(buf, STORE_PATH_MAX, "published/%.128s", digest_hex(digest, hex));
	return buf;
}

static int open_sized(int dir_fd, uint64_t len)
{
	struct stat st;
	int fd = store_open_file(dir_fd, FORM_FILE, O_RDWR);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) == 0 && (uint64_t)st.st_size == len)
		return fd;
	close(fd);
	return -ENOENT;
}

static err_t make_sized(struct store *s, int dir_fd, uint64_t len)
{
	struct temp_file t;
	err_t err = temp_file_create(s, &t);
	if (err)
		return err;
	if (ftruncate(t.fd, (off_t)len) == 0)
		return temp_file_publish(s, &t, dir_fd, FORM_FILE, false);
	err = -errno;
	temp_file_drop(s, &t);
	return err;
}

int store_form_open(struct store *s, const struct digest *form, uint64_t len)
{
	char dir[STORE_PATH_MAX];
	/* Two that make it side by side: the second opens what the first has made. */
	auto_fd int dir_fd = store_walk_locked(s, store_published_dir(form, dir), true);
	if (dir_fd < 0)
		return dir_fd;
	int fd = open_sized(dir_fd, len);
	if (fd != -ENOENT)
		return fd;
	err_t err = make_sized(s, dir_fd, len);
	if (err) {
		store_note_error(s, err, dir);
		return err;
	}
	return open_sized(dir_fd, len);
}

err_t store_form_read(struct store *s, const struct digest *form, uint64_t len, struct buf *out)
{
	char dir[STORE_PATH_MAX];
	struct digest found;
	err_t err = store_read(s, store_published_dir(form, dir), FORM_FILE, (size_t)len, out);
	if (err)
		return err;
	digest_of(DIGEST_SHA256, out->p, out->n, &found);
	if (out->n == len && digest_equal(&found, form))
		return 0;
	buf_fini(out);
	return -ENOENT;
}

err_t store_form_write(struct store *s, const struct digest *form, struct bytes bytes)
{
	auto_fd int fd = store_form_open(s, form, bytes.n);
	if (fd < 0)
		return fd;
	err_t err = write_at(fd, bytes.p, bytes.n, 0);
	if (err)
		store_note_error(s, err, "published index");
	return err;
}

static void move(int from_fd, int to_fd, const char *name)
{
	if (renameat2(from_fd, name, to_fd, name, RENAME_NOREPLACE) < 0 && errno != ENOENT &&
	    errno != EEXIST)
		log_info("store.not_moved", "file=%s error=\"%m\"", name);
}

void store_form_adopt(struct store *s, const struct digest *form, const struct digest *blob)
{
	char dir[STORE_PATH_MAX];
	/* An opener of either pair sees both files of one or none (S10). */
	auto_fd int from_fd = store_walk_locked(s, store_published_dir(form, dir), false);
	auto_fd int to_fd = store_walk_locked(s, store_layer_dir(blob, dir), true);
	if (from_fd < 0 || to_fd < 0)
		return;
	if (faccessat(to_fd, "map", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return;
	unlinkat(to_fd, "data", 0);
	move(from_fd, to_fd, "data");
	move(from_fd, to_fd, "map");
}

void store_published_drop(struct store *s, const struct digest *digest)
{
	static const char *const names[] = {"map", "data", "form", "index", "index.rotten"};
	char dir[STORE_PATH_MAX];
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		store_remove(s, store_published_dir(digest, dir), names[i]);
	char hex[DIGEST_TEXT_MAX];
	(void)!store_dir_remove_empty(s, "published", digest_hex(digest, hex));
}
