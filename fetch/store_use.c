/*
 * Who uses an image, and when it was used last: an empty file for each, whose time is that of the
 * last use and which everybody who has the image open holds by a shared flock. The kernel lets go
 * of it when a process dies. Who wants to remove an image takes the lock exclusively; who comes
 * meanwhile waits for him, finds that the file has no name any more, and makes another.
 */
#include "fetch/store_priv.h"

#include "fetch/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SEIZE_TRIES   20
#define SEIZE_WAIT_US 10000 /* somebody may only be looking */
#define BEGIN_TRIES   100   /* once is rare */

static const char *use_dir(const struct digest *manifest, char buf[STORE_PATH_MAX])
{
	snprintf(buf, STORE_PATH_MAX, "uses/%s", digest_alg_name(manifest->alg));
	return buf;
}

static int open_note(struct store *s, const struct digest *manifest, bool create)
{
	char dir[STORE_PATH_MAX], hex[DIGEST_TEXT_MAX];
	auto_fd int at = store_walk(s, use_dir(manifest, dir), create);
	if (at < 0)
		return at;
	digest_hex(manifest, hex);
	if (!create)
		return store_open_file(at, hex, O_RDONLY);
	int fd = openat(at, hex, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	return fd < 0 ? -errno : fd;
}

/* Whether the file still has its name: nobody has removed it before it was locked. */
static bool has_name(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && st.st_nlink == 1;
}

static int begin_once(struct store *s, const struct digest *manifest)
{
	auto_fd int fd = open_note(s, manifest, true);
	if (fd < 0)
		return fd;
	while (flock(fd, LOCK_SH) < 0)
		if (errno != EINTR)
			return -errno;
	if (!has_name(fd))
		return -EAGAIN;
	(void)futimens(fd, NULL);
	int locked = fd;
	fd = -1;
	return locked;
}

int store_use_begin(struct store *s, const struct digest *manifest)
{
	int fd = -EAGAIN;
	for (int i = 0; fd == -EAGAIN && i < BEGIN_TRIES; i++)
		fd = begin_once(s, manifest);
	return fd;
}

static int seize_once(struct store *s, const struct digest *manifest)
{
	auto_fd int fd = open_note(s, manifest, true);
	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (!has_name(fd))
		return -EAGAIN;
	int locked = fd;
	fd = -1;
	return locked;
}

int store_use_seize(struct store *s, const struct digest *manifest)
{
	int fd = seize_once(s, manifest);
	for (int i = 1; (fd == -EBUSY || fd == -EAGAIN) && i < SEIZE_TRIES; i++) {
		usleep(SEIZE_WAIT_US);
		fd = seize_once(s, manifest);
	}
	return fd;
}

bool store_use_last(struct store *s, const struct digest *manifest, int64_t *when, bool *in_use)
{
	struct stat st;
	auto_fd int fd = open_note(s, manifest, false);
	if (fd < 0 || fstat(fd, &st) < 0)
		return false;
	*when = st.st_mtim.tv_sec;
	*in_use = flock(fd, LOCK_EX | LOCK_NB) < 0;
	return true;
}

void store_use_forget(struct store *s, const struct digest *manifest)
{
	char dir[STORE_PATH_MAX], hex[DIGEST_TEXT_MAX];
	store_remove(s, use_dir(manifest, dir), digest_hex(manifest, hex));
}
