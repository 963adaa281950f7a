/*
 * mountpoint - paths that may be dead
 *
 * A mount whose daemon was killed can not be looked at, so its path is put together from the parent
 * folder, which can, and the last name; all the rest is known from mountinfo.
 */
#include "fs/mountpoint.h"

#include "fs/fusermount.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define MOUNTINFO_MAX (64u << 20) /* a hundred thousand mounts with long paths */

/* ---- mountinfo ---- */

/* Whether a field, with its \ooo escapes, spells the text. */
static bool field_is(const char *field, size_t n, const char *text)
{
	for (size_t i = 0; i < n; text++) {
		unsigned char byte = (unsigned char)field[i];

		if (byte == '\\' && n - i >= 4) {
			byte = (unsigned char)((field[i + 1] - '0') << 6 |
					       (field[i + 2] - '0') << 3 | (field[i + 3] - '0'));
			i += 4;
		} else {
			i++;
		}
		if ((unsigned char)*text != byte)
			return false;
	}
	return *text == '\0';
}

/* Field number i (from 0) of a line, fields parted by one space; false when there are fewer. */
static bool line_field(const char *line, size_t len, unsigned i, const char **field, size_t *n)
{
	const char *end = line + len;

	for (; i; i--) {
		line = memchr(line, ' ', (size_t)(end - line));
		if (!line)
			return false;
		line++;
	}
	const char *space = memchr(line, ' ', (size_t)(end - line));

	*field = line;
	*n = (size_t)((space ? space : end) - line);
	return true;
}

/* A field without its escapes. */
static char *field_text(const char *field, size_t n)
{
	char *text = xcalloc(n + 1, 1), *p = text;

	for (size_t i = 0; i < n; i++) {
		if (field[i] == '\\' && n - i >= 4) {
			*p++ = (char)((field[i + 1] - '0') << 6 | (field[i + 2] - '0') << 3 |
				      (field[i + 3] - '0'));
			i += 3;
		} else {
			*p++ = field[i];
		}
	}
	return text;
}

static unsigned owner_of(const char *super)
{
	const char *found = strstr(super, "user_id=");
	unsigned owner;

	return found && sscanf(found, "user_id=%u", &owner) == 1 ? owner : UINT_MAX;
}

/* ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS [TAG...] - TYPE SOURCE SUPER; `line` ends in NUL.
 */
static bool line_parse(const char *line, const char **path, size_t *path_len, struct mounted *out)
{
	const char *field, *type = strstr(line, " - "), *super;
	size_t n, len = strlen(line);

	if (!type || !line_field(line, len, 4, path, path_len))
		return false;
	if (!line_field(line, len, 2, &field, &n) ||
	    sscanf(field, "%u:%u", &out->dev_major, &out->dev_minor) != 2)
		return false;
	type += 3;
	super = strrchr(type, ' ');
	out->owner = super ? owner_of(super) : UINT_MAX;
	n = strcspn(type, " ");
	out->is_imgfs = n == strlen(MOUNT_TYPE) && memcmp(type, MOUNT_TYPE, n) == 0;
	return true;
}

typedef void line_fn(const char *path, size_t path_len, const struct mounted *mounted, void *arg);

static err_t mountinfo_each(line_fn *each, void *arg)
{
	auto_buf struct buf text = {0};
	err_t err = read_file("/proc/self/mountinfo", MOUNTINFO_MAX, &text);
	char *next;

	if (!err)
		err = buf_append_zeros(&text, 1);
	if (err)
		return err;
	for (char *line = (char *)text.p; line && *line; line = next) {
		struct mounted mounted;
		const char *path;
		size_t n;

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (line_parse(line, &path, &n, &mounted))
			each(path, n, &mounted, arg);
	}
	return 0;
}

struct top_search {
	const char *path;
	struct mounted *out;
	bool found;
};

/* Mounts are listed in the order in which they were made: the last one is on top. */
static void take_top(const char *path, size_t n, const struct mounted *mounted, void *arg)
{
	struct top_search *search = arg;

	if (!field_is(path, n, search->path))
		return;
	*search->out = *mounted;
	search->found = true;
}

err_t mounted_at(const char *path, struct mounted *out)
{
	struct top_search search = {.path = path, .out = out};
	err_t err = mountinfo_each(take_top, &search);

	return err ? err : search.found ? 0 : -ENOENT;
}

struct imgfs_search {
	void (*each)(const char *path, const struct mounted *mounted, void *arg);
	void *arg;
};

static void take_imgfs(const char *path, size_t n, const struct mounted *mounted, void *arg)
{
	const struct imgfs_search *search = arg;

	if (mounted->is_imgfs) {
		auto_free char *text = field_text(path, n);

		search->each(text, mounted, search->arg);
	}
}

err_t mounted_imgfs_each(void (*each)(const char *path, const struct mounted *mounted, void *arg),
			 void *arg)
{
	struct imgfs_search search = {.each = each, .arg = arg};

	return mountinfo_each(take_imgfs, &search);
}

/* ---- paths ---- */

static bool is_symlink(const char *path)
{
	char byte;

	return readlink(path, &byte, 1) >= 0;
}

static bool last_is_dots(const char *last)
{
	return strcmp(last, ".") == 0 || strcmp(last, "..") == 0;
}

err_t mountpoint_path(const char *path, char **out, struct diag *d)
{
	auto_free char *text = xstrdup(path);
	auto_free char *parent = NULL;
	char *last;
	size_t n = strlen(text);

	while (n > 1 && text[n - 1] == '/')
		text[--n] = '\0';
	last = strrchr(text, '/');
	last = last ? last + 1 : text;
	if (*last == '\0' || last_is_dots(last) || is_symlink(text)) {
		*out = realpath(text, NULL);
		return *out ? 0 : fail_sys(d, ERR_NOT_FOUND, -errno, "%s", path);
	}
	if (last == text) {
		parent = realpath(".", NULL);
	} else {
		last[-1] = '\0';
		parent = realpath(last - 1 == text ? "/" : text, NULL);
	}
	if (!parent)
		return fail_sys(d, ERR_NOT_FOUND, -errno, "%s", path);
	*out = xasprintf("%s/%s", strcmp(parent, "/") == 0 ? "" : parent, last);
	return 0;
}

static bool directory_is_empty(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	bool empty = true;

	if (!dir)
		return false;
	while (empty && (entry = readdir(dir)))
		empty = last_is_dots(entry->d_name);
	closedir(dir);
	return empty;
}

err_t mountpoint_check_alive(const char *path, struct diag *d)
{
	struct statfs figures;

	/* The attributes of a dead root may still be cached; these figures never are. */
	if (statfs(path, &figures) && errno == ENOTCONN)
		return fail(d, ERR_OTHER, -ENOTCONN,
			    "%s is a mount whose daemon is gone; run 'imgfs umount %s' first", path,
			    path);
	return 0;
}

err_t mountpoint_check(const char *path, bool nonempty, char **out, struct diag *d)
{
	auto_free char *canonical = NULL;
	struct mounted mounted;
	struct stat st;
	err_t err = mountpoint_check_alive(path, d);

	if (err)
		return err;
	canonical = realpath(path, NULL);
	if (!canonical || stat(canonical, &st))
		return fail_sys(d, errno == EACCES ? ERR_DENIED : ERR_NOT_FOUND, -errno,
				"mount point %s", path);
	if (!S_ISDIR(st.st_mode))
		return fail(d, ERR_USAGE, -ENOTDIR, "mount point %s is not a directory", path);
	if (strcmp(canonical, "/") == 0)
		return fail(d, ERR_OTHER, -EBUSY, "will not hide / below a mount");
	if (mounted_at(canonical, &mounted) == 0 && mounted.is_imgfs)
		return fail(d, ERR_OTHER, -EBUSY,
			    "an image is mounted on %s already; run 'imgfs umount %s' first", path,
			    path);
	if (!nonempty && !directory_is_empty(canonical))
		return fail(d, ERR_OTHER, -ENOTEMPTY,
			    "mount point %s is not empty, or can not be read; '-o nonempty' hides "
			    "what is in it",
			    path);
	*out = take(&canonical);
	return 0;
}

static bool lies_in(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

err_t mountpoint_check_apart(const char *path, const char *dir, const char *what, struct diag *d)
{
	auto_free char *real = realpath(dir, NULL);

	if (!real)
		return fail_sys(d, ERR_OTHER, -errno, "%s %s", what, dir);
	if (lies_in(real, path))
		return fail(d, ERR_OTHER, -EBUSY, "a mount on %s would hide the %s %s", path, what,
			    real);
	if (lies_in(path, real))
		return fail(d, ERR_OTHER, -EBUSY, "mount point %s lies in the %s %s", path, what,
			    real);
	return 0;
}

/* ---- unmounting ---- */

static err_t detach_failed(const char *path, err_t err, struct diag *d)
{
	if (err == -EBUSY)
		return fail(d, ERR_OTHER, err,
			    "%s is in use (EBUSY); end what uses it, or unmount with --lazy", path);
	if (err == -EPERM)
		return fail(d, ERR_DENIED, err, "umount %s: not permitted; root may", path);
	return fail_sys(d, ERR_OTHER, err, "umount %s", path);
}

err_t mountpoint_detach(const char *path, bool lazy, struct diag *d)
{
	const char *words[] = {"-u", "--", path, NULL},
		   *lazy_words[] = {"-u", "-z", "--", path, NULL};
	char said[FUSERMOUNT_TEXT_MAX];
	err_t err;

	if (geteuid() == 0) {
		if (umount2(path, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
			return 0;
		return detach_failed(path, -errno, d);
	}
	err = fusermount(lazy ? lazy_words : words, said);
	if (!err)
		return 0;
	if (err != -EIO)
		return fail_sys(d, ERR_OTHER, err, "can not run fusermount3");
	if (strstr(said, strerror(EBUSY)))
		return detach_failed(path, -EBUSY, d);
	return fail(d, ERR_DENIED, -EPERM, "%s; the user who mounted it, or root, may unmount it",
		    *said ? said : "fusermount3 failed");
}
