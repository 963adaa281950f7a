/*
 * The layers are named to overlayfs as /proc/self/fd/N, which needs no escapes: commas, colons and
 * backslashes of paths would be separators.
 */
#include "tools/run_top.h"

#include "fetch/log.h"
#include "tools/run_dir.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMAGE_NOTE     "image" /* in a kept folder: which image it lies on */
#define IMAGE_NOTE_MAX 256

/* ---- the folder ---- */

/* The top's root is what the container sees as "/". */
static void upper_like_root(int fd, const struct index *tree)
{
	struct inode root;
	index_inode(tree, 0, &root);
	auto_fd int upper = openat(fd, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* an owner that this user namespace does not have stays ours */
	if (upper < 0 || (fchown(upper, root.uid, root.gid) && errno != EINVAL && errno != EPERM) ||
	    fchmod(upper, root.mode & 07777))
		log_debug("run.top", "error=\"%s\"", strerror(errno));
}

static err_t make_parts(int fd, const struct index *tree)
{
	if (mkdirat(fd, "upper", 0755) == 0)
		upper_like_root(fd, tree);
	else if (errno != EEXIST)
		return -errno;
	return mkdirat(fd, "work", 0755) && errno != EEXIST ? -errno : 0;
}

/* Changes of one image make no sense over another. */
static err_t check_image(const char *folder, const char *image, struct diag *d)
{
	auto_free char *path = xasprintf("%s/" IMAGE_NOTE, folder);
	auto_free char *line = xasprintf("%s\n", image);
	auto_buf struct buf text = {0};
	err_t err = read_file(path, IMAGE_NOTE_MAX, &text);
	if (err == -ENOENT)
		return run_file_write(path, line, strlen(line), d);
	if (err)
		return fail_sys(d, ERR_OTHER, err, "%s", path);
	if (bytes_equal_str(buf_bytes(&text), line))
		return 0;
	return fail(d, ERR_OTHER, -EINVAL,
		    "--keep %s: it was made with another image (%s says which); use another folder",
		    folder, path);
}

err_t run_top_open(const char *folder, bool kept, const char *image, const struct index *tree,
		   struct run_top *out, struct diag *d)
{
	err_t err = mkdir(folder, 0700) && errno != EEXIST ? -errno : 0;
	*out = (struct run_top){.fd = -1, .kept = kept};
	if (!err) {
		out->fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		err = out->fd < 0 ? -errno : 0;
	}
	if (err)
		return fail_sys(d, ERR_OTHER, err, "%s%s", kept ? "--keep " : "", folder);
	out->folder = xstrdup(folder);
	if (kept && flock(out->fd, LOCK_EX | LOCK_NB))
		return fail(d, ERR_OTHER, -EBUSY, "--keep %s: another container uses it", folder);
	err = kept ? check_image(folder, image, d) : 0;
	if (err)
		return err;
	err = make_parts(out->fd, tree);
	return err ? fail_sys(d, ERR_OTHER, err, "%s", folder) : 0;
}

void run_top_close(struct run_top *top)
{
	if (!top->folder)
		return;
	cleanup_fd(&top->fd);
	free(top->folder);
	*top = (struct run_top){.fd = -1};
}

/* ---- the overlay ---- */

static err_t mount_layers(const struct run_top *top, const char *lower, const char *target,
			  unsigned long flags, const char *more)
{
	auto_fd int low = open(lower, O_PATH | O_DIRECTORY | O_CLOEXEC);
	auto_fd int upper = openat(top->fd, "upper", O_PATH | O_DIRECTORY | O_CLOEXEC);
	auto_fd int work = openat(top->fd, "work", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (low < 0 || upper < 0 || work < 0)
		return -errno;
	auto_free char *options = xasprintf("lowerdir=/proc/self/fd/%d,upperdir=/proc/self/fd/%d,"
					    "workdir=/proc/self/fd/%d%s",
					    low, upper, work, more);
	return mount("imgfs", target, "overlay", flags, options) ? -errno : 0;
}

/* What is thrown away need not reach the disk (Linux 5.10; overlayfs.rst, "volatile"). */
static err_t mount_somehow(const struct run_top *top, const char *lower, const char *target,
			   unsigned long flags, bool in_user_ns)
{
	const char *attributes = in_user_ns ? ",userxattr" : "";
	auto_free char *quick = xasprintf("%s,volatile", attributes);
	err_t err = -EINVAL;
	if (!top->kept)
		err = mount_layers(top, lower, target, flags, quick);
	return err == -EINVAL ? mount_layers(top, lower, target, flags, attributes) : err;
}

/* The folder's file system is no place for an upper directory: another overlay, NFS, FUSE. */
static err_t move_to_memory(struct run_top *top, const struct index *tree)
{
	cleanup_fd(&top->fd);
	top->fd = -1;
	if (mount("imgfs", top->folder, "tmpfs", MS_NOSUID, "mode=700"))
		return -errno;
	top->fd = open(top->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (top->fd < 0)
		return -errno;
	log_warn("run.top",
		 "place=%s: no overlay can stand on its file system: what the container "
		 "writes is held in memory; TMPDIR names another place",
		 top->folder);
	return make_parts(top->fd, tree);
}

err_t run_top_mount(struct run_top *top, const struct index *tree, const char *lower,
		    const char *target, bool dev, bool in_user_ns, struct diag *d)
{
	/* Whoever is allowed to make device nodes gets them. */
	unsigned long flags = dev && !in_user_ns ? 0 : MS_NODEV;
	err_t err = mount_somehow(top, lower, target, flags, in_user_ns);
	if ((err == -EINVAL || err == -EOPNOTSUPP) && !top->kept) {
		err = move_to_memory(top, tree);
		if (!err)
			err = mount_somehow(top, lower, target, flags, in_user_ns);
	}
	if (!err)
		return 0;
	if (err == -ENODEV)
		return fail(d, ERR_OTHER, err, "this kernel has no overlayfs: 'modprobe overlay'");
	return fail_sys(d, ERR_OTHER, err, "overlay with its top in %s", top->folder);
}
