/*
 * Every look is one openat2(2); nothing is resolved by hand.
 */
#include "tools/run_root.h"

#include "tools/run_runtime.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/openat2.h>

static int open_inside(int root, const char *path, int flags)
{
	struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC),
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

err_t run_root_read(int root, const char *path, size_t limit, struct buf *out)
{
	struct stat st;
	/* a FIFO of this name must not be waited for */
	auto_fd int fd = open_inside(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd == -ENOENT || fd == -ENOTDIR)
		return 0;
	if (fd < 0)
		return fd;
	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return 0;
	if ((uint64_t)st.st_size > limit)
		return -E2BIG;
	err_t err = buf_append_zeros(out, (size_t)st.st_size);
	return err || !out->n ? err : read_at(fd, out->p, out->n, 0);
}

/* ---- the program ---- */

/* 0 for a program, else what execve(2) would say. */
static err_t check_file(int root, const char *path)
{
	struct stat st;
	auto_fd int fd = open_inside(root, path, O_PATH);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st))
		return -errno;
	return S_ISREG(st.st_mode) && (st.st_mode & 0111) ? 0 : -EACCES;
}

static err_t search(int root, const struct run_spec *spec, const char *name, const char *list)
{
	auto_free char *copy = xstrdup(list);
	char *rest = copy, *dir;
	err_t worst = -ENOENT;
	while ((dir = strsep(&rest, ":"))) {
		/* a relative folder begins where the process does */
		bool absolute = *dir == '/';
		auto_free char *path = xasprintf("%s%s%s/%s", absolute ? "" : spec->cwd,
						 absolute ? "" : "/", dir, name);
		err_t err = check_file(root, path);
		if (!err)
			return 0;
		if (err != -ENOENT && err != -ENOTDIR)
			worst = err;
	}
	return worst;
}

int run_root_program(int root, const struct run_spec *spec, bool volumes, struct diag *d)
{
	const char *name = spec->args[0], *list = run_env_get(&spec->env, "PATH");
	bool has_slash = strchr(name, '/') != NULL;
	err_t err;
	if (!has_slash) {
		err = *name ? search(root, spec, name, list ? list : "") : -ENOENT;
	} else {
		auto_free char *path =
			*name == '/' ? xstrdup(name) : xasprintf("%s/%s", spec->cwd, name);
		err = check_file(root, path);
	}
	if (!err || volumes)
		return 0;
	if (err == -EACCES) {
		(void)fail(d, ERR_OTHER, err, "%s: is no program that can be started", name);
		return RUN_STATUS_NO_PROGRAM;
	}
	if (err != -ENOENT && err != -ENOTDIR) {
		(void)fail_sys(d, ERR_OTHER, err, "%s", name);
		return RUN_STATUS_NO_PROGRAM;
	}
	(void)fail(d, ERR_NOT_FOUND, err, "%s: there is no such program in the image%s%s", name,
		   has_slash ? "" : "; its PATH is ",
		   has_slash ? ""
		   : list    ? list
			     : "empty");
	return RUN_STATUS_NOT_FOUND;
}
