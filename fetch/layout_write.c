/*
 * Writing to an OCI layout. Every file appears whole, by renaming one that is on the disk; readers
 * need no lock. `index.json` belongs to all who write to the layout: it is read, changed and
 * replaced under a lock on the directory, which other copies of imgfs respect. As for reading, no
 * symbolic link is followed.
 */
#include "fetch/layout_priv.h"
#include "fetch/log.h"
#include "fetch/manifest_referrers.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_WAIT_MS 10000 /* others hold it for as long as it takes to write one file */
#define LOCK_LOOK_MS 20
#define TEMP_TRIES   100

static const char LAYOUT_TEXT[] = "{\"imageLayoutVersion\":\"1.0.0\"}";

static err_t fail_write(const char *label, const char *what, err_t err, struct diag *d)
{
	bool refused = err == -EROFS || err == -EACCES || err == -EPERM;
	(void)fail(d, ERR_STORE, err, "%s can not be written to: %s: %s; name a layout that can be",
		   label, what, strerror(-err));
	return refused ? -EACCES : err;
}

/* --- files --- */

static int create_temp(int dir_fd, char name[64])
{
	static _Atomic unsigned count;
	int fd = -1;
	for (int i = 0; i < TEMP_TRIES; i++) {
		snprintf(name, 64, ".imgfs-%d-%u", (int)getpid(), atomic_fetch_add(&count, 1));
		fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			    0644);
		if (fd >= 0 || errno != EEXIST)
			break;
	}
	return fd < 0 ? -errno : fd;
}

static err_t write_temp(int fd, struct bytes content)
{
	err_t err = write_all(fd, content.p, content.n);
	return !err && fsync(fd) ? -errno : err;
}

/* The whole file or none of it, and after a power failure too. */
static err_t write_file(int dir_fd, const char *name, struct bytes content)
{
	char temp[64];
	auto_fd int fd = create_temp(dir_fd, temp);
	if (fd < 0)
		return fd;
	err_t err = write_temp(fd, content);
	if (!err && renameat(dir_fd, temp, dir_fd, name))
		err = -errno;
	if (err)
		unlinkat(dir_fd, temp, 0);
	else if (fsync(dir_fd))
		err = -errno;
	return err;
}

static int make_dir(int dir_fd, const char *name)
{
	if (mkdirat(dir_fd, name, 0755) && errno != EEXIST)
		return -errno;
	return layout_open_dir(dir_fd, name);
}

/* --- blobs --- */

/* Whether the file holds these bytes: a writer that was killed may have left anything. */
static bool holds(int dir_fd, const char *name, struct bytes content)
{
	uint8_t piece[65536];
	uint64_t size;
	auto_fd int fd = layout_open_regular(dir_fd, name, &size);
	if (fd < 0 || size != content.n)
		return false;
	for (size_t at = 0, n; at < content.n; at += n) {
		n = min_of(content.n - at, sizeof(piece));
		if (read_at(fd, piece, n, at) || memcmp(piece, content.p + at, n) != 0)
			return false;
	}
	return true;
}

static err_t put_blob(struct layout_source *s, const struct digest *digest, struct bytes content,
		      bool *was_there)
{
	char hex[DIGEST_TEXT_MAX];
	digest_hex(digest, hex);
	auto_fd int blobs = make_dir(s->dir_fd, "blobs");
	if (blobs < 0)
		return blobs;
	auto_fd int alg = make_dir(blobs, digest_alg_name(digest->alg));
	if (alg < 0)
		return alg;
	*was_there = holds(alg, hex, content);
	return *was_there ? 0 : write_file(alg, hex, content);
}

err_t layout_blob_put(struct source *base, const struct digest *digest, struct bytes content,
		      bool *was_there, struct diag *d)
{
	struct layout_source *s = layout_of(base);
	char what[DIGEST_TEXT_MAX + 8], text[DIGEST_TEXT_MAX];
	err_t err = layout_check_interrupt(s, d);
	if (err)
		return err;
	err = put_blob(s, digest, content, was_there);
	snprintf(what, sizeof(what), "blob %s", digest_text(digest, text));
	return err ? fail_write(base->label, what, err, d) : 0;
}

/* --- index.json --- */

/* File systems that know no locks are written to without. */
static bool lock_unknown(int error)
{
	return error == EBADF || error == ENOLCK || error == EOPNOTSUPP || error == ENOSYS;
}

/* A descriptor that holds the lock until it is closed. It is an own one: threads exclude each other
 * too. -errno after a diagnostic. */
static int lock_layout(struct layout_source *s, struct diag *d)
{
	int64_t until_ms = now_ms() + LOCK_WAIT_MS;
	auto_fd int fd = openat(s->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail_sys(d, ERR_STORE, -errno, "%s: open it again", s->base.label);
	while (flock(fd, LOCK_EX | LOCK_NB) && !lock_unknown(errno)) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return fail_sys(d, ERR_STORE, -errno, "%s: lock", s->base.label);
		err_t err = layout_check_interrupt(s, d);
		if (err)
			return err;
		if (now_ms() >= until_ms)
			return fail(d, ERR_STORE, -EBUSY,
				    "%s: somebody else has been writing to it for %d s",
				    s->base.label, LOCK_WAIT_MS / 1000);
		usleep(LOCK_LOOK_MS * 1000);
	}
	int locked = fd;
	fd = -1;
	return locked;
}

static err_t list_manifest(struct layout_source *s, const struct manifest_put *put, struct diag *d)
{
	auto_buf struct buf old = {0}, merged = {0};
	err_t err = layout_read_named(s, "index.json", &old, d);
	if (err)
		return err;
	err = referrers_merge(buf_bytes(&old), put, REFERRERS_LAST, &merged, d);
	if (err) {
		diag_prepend(d, "%s: index.json is left as it is", s->base.label);
		return err;
	}
	err = write_file(s->dir_fd, "index.json", buf_bytes(&merged));
	return err ? fail_write(s->base.label, "index.json", err, d) : 0;
}

err_t layout_manifest_put(struct source *base, const struct manifest_put *put, struct diag *d)
{
	struct layout_source *s = layout_of(base);
	bool was_there;
	err_t err = layout_blob_put(base, &put->digest, put->content, &was_there, d);
	if (err)
		return err;
	auto_fd int lock = lock_layout(s, d);
	return lock < 0 ? lock : list_manifest(s, put, d);
}

err_t layout_referrers(struct source *base, const struct ref *ref, const struct digest *subject,
		       const char *artifact_type, referrers_page_fn page, void *arg, struct diag *d)
{
	(void)ref, (void)subject, (void)artifact_type; /* index.json lists everything */
	struct layout_source *s = layout_of(base);
	auto_buf struct buf index = {0};
	err_t err = layout_check_interrupt(s, d);
	if (!err)
		err = layout_read_named(s, "index.json", &index, d);
	return err ? err : page(arg, buf_bytes(&index), d);
}

/* --- a new one --- */

static bool is_empty(int dir_fd)
{
	const struct dirent *entry;
	bool empty = true;
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (empty && (entry = readdir(dir)))
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	closedir(dir);
	return empty;
}

/* `oci-layout` comes last: what has it is complete. */
static err_t fill_new(int dir_fd)
{
	auto_fd int blobs = make_dir(dir_fd, "blobs");
	if (blobs < 0)
		return blobs;
	err_t err = write_file(dir_fd, "index.json", BYTES_STR(REFERRERS_NONE));
	return err ? err : write_file(dir_fd, "oci-layout", BYTES_STR(LAYOUT_TEXT));
}

err_t layout_create(const char *dir, struct diag *d)
{
	if (mkdir(dir, 0755) && errno != EEXIST)
		return fail_write(dir, "its directory", -errno, d);
	auto_fd int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return fail_sys(d, ERR_STORE, -errno, "open %s", dir);
	if (faccessat(dir_fd, "oci-layout", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if (!is_empty(dir_fd))
		return fail(d, ERR_USAGE, -ENOTEMPTY,
			    "%s holds other files: an image layout is made in a new or empty "
			    "directory",
			    dir);
	err_t err = fill_new(dir_fd);
	return err ? fail_write(dir, "a new image layout", err, d) : 0;
}
