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
		(void)fail(&d, ERR_NOT_FOUND, err, "%s: %s not a directory", path,
			   path[strlen(path) - 1] == '/' ? "is" : "a parent is");
	else
		(void)fail_sys(&d, ERR_OTHER, err, "%s", path);
	return cli_fail(self, &d);
}

err_t path_push(struct buf *path, struct bytes name, size_t *before)
{
	*before = path->n;
	err_t err = path->n > 1 ? buf_append(path, "/", 1) : 0; /* "/" has its slash */
	return err ? err : buf_append(path, name.p, name.n);
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

/* What the entries of a listing are compared by. */
struct sorting {
	const struct index *tree;
	enum listing_order order;
	bool reverse;
};

static int compare_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_i64(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int by_order(const void *a, const void *b, void *context)
{
	const struct sorting *s = context;
	const struct dir_entry *left = a, *right = b;
	struct inode x, y;
	int found = 0;
	index_inode(s->tree, left->row, &x);
	index_inode(s->tree, right->row, &y);
	if (s->order == ORDER_SIZE)
		found = compare_u64(y.size, x.size);
	else if (s->order == ORDER_TIME && !(found = compare_i64(y.mtime, x.mtime)))
		found = compare_u64(y.mtime_ns, x.mtime_ns);
	if (!found)
		found = bytes_compare(left->name, right->name);
	return s->reverse ? -found : found;
}

void listing_sort(const struct index *tree, struct listing *l, enum listing_order order,
		  bool reverse)
{
	struct sorting sorting = {tree, order, reverse};
	qsort_r(l->entries, l->n, sizeof(*l->entries), by_order, &sorting);
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

void look_json_entry(struct json_out *j, const struct index *tree, uint32_t row, struct bytes path,
		     struct bytes name)
{
	json_put_object(j, NULL);
	json_put_bytes(j, "path", path);
	json_put_bytes(j, "name", name);
	look_json_inode(j, tree, row);
	json_put_end(j);
}
