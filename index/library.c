#include "index/library.h"

#include "index/file_at.h"
#include "index/row_path.h"

#include <ctype.h>
#include <string.h>

/* Directories of a search path that are looked into: programs name a few, and each may cost a walk
 * over 40 links. */
#define SEARCH_DIRS_MAX 32

static const struct bytes no_bytes;

/* --- the usual directories --- */

static bool is_dir(const struct index *tree, struct bytes path)
{
	uint32_t row;
	return index_path(tree, path, true, &row) == 0 && row < index_info(tree)->n_dirs;
}

static void add_dir(const struct index *tree, const char *base, struct bytes name,
		    struct library_dirs *dirs)
{
	struct buf *path = &dirs->paths[dirs->n];
	if (dirs->n == ARRAY_LEN(dirs->paths))
		return;
	if (buf_append(path, base, strlen(base)) ||
	    (name.n && (buf_append(path, "/", 1) || buf_append(path, name.p, name.n))) ||
	    !is_dir(tree, buf_bytes(path)))
		buf_fini(path);
	else
		dirs->n++;
}

/* /usr/lib, and /usr/lib/x86_64-linux-gnu; the file ld-linux-x86-64.so.2 is named alike. */
static void add_with_tuples(const struct index *tree, uint32_t dir, const char *base,
			    struct library_dirs *dirs)
{
	static const char tuple[] = "-linux-";
	add_dir(tree, base, no_bytes, dirs);
	for (uint32_t i = 0; i < index_dir_count(tree, dir); i++) {
		struct dir_entry entry;
		index_dir_entry(tree, dir, i, &entry);
		if (memmem(entry.name.p, entry.name.n, tuple, strlen(tuple)))
			add_dir(tree, base, entry.name, dirs);
	}
}

void library_dirs_find(const struct index *tree, struct library_dirs *out)
{
	static const char *const bases[] = {"/lib", "/usr/lib", "/lib64", "/usr/lib64",
					    "/usr/local/lib"};
	uint32_t seen[ARRAY_LEN(bases)];
	size_t n_seen = 0;
	for (size_t i = 0; i < ARRAY_LEN(bases); i++) {
		uint32_t dir;
		size_t at = 0;
		if (index_path(tree, BYTES_STR(bases[i]), true, &dir) ||
		    dir >= index_info(tree)->n_dirs)
			continue;
		while (at < n_seen && seen[at] != dir)
			at++;
		if (at < n_seen) /* /lib is a link to usr/lib */
			continue;
		seen[n_seen++] = dir;
		add_with_tuples(tree, dir, bases[i], out);
	}
}

void library_dirs_fini(struct library_dirs *dirs)
{
	for (size_t i = 0; i < dirs->n; i++)
		buf_fini(&dirs->paths[i]);
	dirs->n = 0;
}

/* --- who looks --- */

void library_user_init(struct library_user *user, uint32_t row, struct buf *dir)
{
	*user = (struct library_user){.row = row};
	if (!dir)
		return;
	user->dir = *dir;
	*dir = (struct buf){0};
}

void library_user_fini(struct library_user *user)
{
	buf_fini(&user->dir);
	buf_fini(&user->search);
}

static struct bytes dir_of(struct bytes path)
{
	while (path.n && path.p[path.n - 1] != '/')
		path.n--;
	path.n -= path.n > 1;
	return path;
}

static bool find_own_dir(const struct index *tree, struct library_user *user)
{
	auto_buf struct buf path = {0};
	if (user->dir.n)
		return true;
	if (index_row_paths(tree, &user->row, 1, &path))
		return false;
	struct bytes dir = dir_of(buf_bytes(&path));
	if (buf_append(&user->dir, dir.p, dir.n))
		buf_fini(&user->dir);
	return user->dir.n != 0;
}

/* --- finding --- */

static bool goes_on_with(struct bytes part, size_t n)
{
	return part.n > n && (part.p[n] == '_' || isalnum(part.p[n]));
}

/* The length of $ORIGIN at the beginning of a directory; 0: it does not begin so. $ORIGINAL is
 * another word. */
static size_t origin_len(struct bytes part)
{
	static const char plain[] = "$ORIGIN", braced[] = "${ORIGIN}";
	size_t n = strlen(braced);
	if (part.n >= n && memcmp(part.p, braced, n) == 0)
		return n;
	n = strlen(plain);
	return part.n >= n && memcmp(part.p, plain, n) == 0 && !goes_on_with(part, n) ? n : 0;
}

/* One directory of a search path into an empty buffer; false where it can not be resolved. */
static bool expand(const struct index *tree, struct library_user *user, struct bytes part,
		   struct buf *out)
{
	size_t n = origin_len(part);
	if (n && (!find_own_dir(tree, user) || buf_append(out, user->dir.p, user->dir.n)))
		return false;
	return buf_append(out, part.p + n, part.n - n) == 0 && out->n != 0;
}

static bool find_in_search(const struct index *tree, struct library_user *user, struct bytes name,
			   uint32_t *row, struct buf *dir)
{
	struct bytes left = buf_bytes(&user->search);
	for (unsigned i = 0; left.n && i < SEARCH_DIRS_MAX; i++) {
		const uint8_t *colon = memchr(left.p, ':', left.n);
		size_t n = colon ? (size_t)(colon - left.p) : left.n;
		dir->n = 0;
		if (expand(tree, user, (struct bytes){left.p, n}, dir) &&
		    file_at(tree, buf_bytes(dir), name, row))
			return true;
		n += colon != NULL;
		left.p += n;
		left.n -= n;
	}
	return false;
}

bool library_find(const struct index *tree, const struct library_dirs *dirs,
		  struct library_user *user, struct bytes name, uint32_t *row, struct buf *dir)
{
	if (name.n == 0)
		return false;
	if (memchr(name.p, '/', name.n)) {
		struct bytes own = dir_of(name);
		return file_at(tree, no_bytes, name, row) && buf_append(dir, own.p, own.n) == 0;
	}
	if (find_in_search(tree, user, name, row, dir))
		return true;
	for (size_t i = 0; i < dirs->n; i++) {
		dir->n = 0;
		if (file_at(tree, buf_bytes(&dirs->paths[i]), name, row))
			return buf_append(dir, dirs->paths[i].p, dirs->paths[i].n) == 0;
	}
	return false;
}
