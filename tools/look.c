/*
 * The merged tree as commands see it. An index keeps a directory in the order of a salted hash;
 * people and scripts get bytewise order, whatever the locale.
 */
#include "tools/look.h"

#include "tools/format.h"

#include <string.h>
#include <sys/stat.h>

char *look_path(const char *typed)
{
	while (*typed == '/')
		typed++;
	char *path = xasprintf("/%s", typed);
	for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
		path[n - 1] = '\0';
	return path;
}

int look_up(const struct command *self, const struct index *tree, const char *path, bool follow,
	    uint32_t *row)
{
	struct diag d = DIAG_INIT;
	err_t err = index_path(tree, BYTES_STR(path), follow, row);
	if (!err)
		return 0;
	if (err == -ENOENT)
		(void)fail(&d, ERR_NOT_FOUND, err, "%s: no such file in the image", path);
	else if (err == -ENOTDIR)
		(void)fail(&d, ERR_NOT_FOUND, err, "%s: a parent is not a directory", path);
	else
		(void)fail_sys(&d, ERR_OTHER, err, "%s", path);
	return cli_fail(self, &d);
}

static int by_name(const void *a, const void *b)
{
	return bytes_compare(((const struct dir_entry *)a)->name,
			     ((const struct dir_entry *)b)->name);
}

err_t listing_load(const struct index *tree, uint32_t dir, bool hidden, struct listing *out)
{
	uint32_t count = index_dir_count(tree, dir);
	*out = (struct listing){0};
	out->entries = try_array(count, sizeof(*out->entries), count);
	if (!out->entries)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		struct dir_entry *entry = &out->entries[out->n];
		index_dir_entry(tree, dir, i, entry);
		if (hidden || entry->name.p[0] != '.')
			out->n++;
	}
	qsort(out->entries, out->n, sizeof(*out->entries), by_name);
	return 0;
}

void listing_fini(struct listing *l)
{
	free(l->entries);
	*l = (struct listing){0};
}

void look_json_inode(struct json_out *j, const struct index *tree, uint32_t row)
{
	struct inode inode;
	char mode[8];
	index_inode(tree, row, &inode);
	snprintf(mode, sizeof(mode), "%04o", inode.mode & 07777);
	json_put_text(j, "type", format_type(inode.mode));
	json_put_text(j, "mode", mode);
	json_put_number(j, "uid", inode.uid);
	json_put_number(j, "gid", inode.gid);
	json_put_number(j, "nlink", inode.nlink);
	json_put_number(j, "size", inode.size);
	json_put_signed(j, "mtime", inode.mtime);
	json_put_number(j, "mtime_ns", inode.mtime_ns);
	if (S_ISLNK(inode.mode))
		json_put_bytes(j, "target", index_link_target(tree, row));
	if (S_ISCHR(inode.mode) || S_ISBLK(inode.mode)) {
		json_put_number(j, "major", inode.rdev_major);
		json_put_number(j, "minor", inode.rdev_minor);
	}
}
