/*
 * Files that are believed: opened once, and what is open is looked at and read, so that the file
 * that was checked is the one that counts.
 */
#include "fetch/guarded_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static err_t check_guarded(const char *path, const struct stat *st, struct diag *d)
{
	if (!S_ISREG(st->st_mode))
		return fail(d, ERR_USAGE, -EINVAL, "%s: it is not a regular file", path);
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return fail(d, ERR_DENIED, -EPERM,
			    "%s: it belongs to user %u, who could have imgfs trust anything: it "
			    "must be root's or user %u's",
			    path, (unsigned)st->st_uid, (unsigned)geteuid());
	if (st->st_mode & 022)
		return fail(d, ERR_DENIED, -EPERM,
			    "%s: others than its owner may write it (mode %04o) and so have imgfs "
			    "trust anything: chmod go-w it",
			    path, (unsigned)(st->st_mode & 07777));
	return 0;
}

static err_t read_open(int fd, const char *path, size_t limit, struct buf *out, struct diag *d)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return fail_sys(d, ERR_OTHER, -errno, "%s", path);
	err_t err = check_guarded(path, &st, d);
	if (err)
		return err;
	size_t n = (size_t)st.st_size;
	if (n > limit)
		return fail(d, ERR_USAGE, -E2BIG, "%s: larger than %zu bytes", path, limit);
	err = buf_append_zeros(out, n);
	if (!err && n)
		err = read_at(fd, out->p, n, 0);
	return err ? fail_sys(d, ERR_OTHER, err, "%s", path) : 0;
}

err_t guarded_file_read(const char *path, size_t limit, struct buf *out, struct diag *d)
{
	/* Not blocking: a FIFO in its place is refused, not waited for. */
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0)
		return read_open(fd, path, limit, out, d);
	err_t err = -errno;
	if (err == -ENOENT || err == -ENOTDIR)
		return err;
	return fail_sys(d, err == -EACCES ? ERR_DENIED : ERR_OTHER, err, "%s", path);
}
