/*
 * Patterns inside an image. A pattern is taken component by component: a plain one is looked up,
 * one with wildcards is compared with every name of the directory, and ** walks all directories
 * below.
 */
#include "tools/look.h"
#include "tools/text.h"

#include <dirent.h>
#include <fnmatch.h>
#include <string.h>

struct glob {
	const struct index *tree;
	struct path_list *out;
	struct buf path; /* of the directory that is reached; "/" at first */
};

void path_list_fini(struct path_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->paths[i]);
	free(l->paths);
	*l = (struct path_list){0};
}

/* Takes the path. */
static err_t list_add(struct path_list *l, char *path)
{
	if (!try_grow(&l->paths, l->n + 1, &l->cap, sizeof(*l->paths))) {
		free(path);
		return -ENOMEM;
	}
	l->paths[l->n++] = path;
	l->paths[l->n] = NULL;
	return 0;
}

err_t path_list_add(struct path_list *l, const char *path)
{
	return list_add(l, xstrdup(path));
}

static err_t add_here(struct glob *g)
{
	return list_add(g->out, xstrndup((const char *)g->path.p, g->path.n));
}

static err_t expand(struct glob *g, const char *rest);

/* One name below the directory: a match if nothing follows, else a step further. */
static err_t step(struct glob *g, struct bytes name, const char *tail)
{
	size_t before;
	err_t err = path_push(&g->path, name, &before);
	if (!err)
		err = *tail ? expand(g, tail) : add_here(g);
	g->path.n = before;
	return err;
}

static err_t step_plain(struct glob *g, struct bytes name, const char *tail)
{
	size_t before;
	uint32_t row;
	err_t err = path_push(&g->path, name, &before);
	bool there = !err && !index_path(g->tree, buf_bytes(&g->path), false, &row);
	g->path.n = before;
	return there ? step(g, name, tail) : err;
}

static err_t step_matching(struct glob *g, uint32_t dir, const char *pattern, const char *tail)
{
	struct listing l;
	err_t err = listing_load(g->tree, dir, true, &l);
	if (err)
		return err;
	for (uint32_t i = 0; i < l.n && !err; i++)
		if (text_matches(pattern, l.entries[i].name, FNM_PERIOD))
			err = step(g, l.entries[i].name, tail);
	listing_fini(&l);
	return err;
}

/* "**": what follows it, here and in every directory below. With nothing behind, all names. */
static err_t step_everywhere(struct glob *g, uint32_t dir, const char *tail)
{
	struct listing l;
	err_t err = *tail ? expand(g, tail) : 0;
	if (err)
		return err;
	err = listing_load(g->tree, dir, false, &l);
	if (err)
		return err;
	for (uint32_t i = 0; i < l.n && !err; i++) {
		size_t before;
		err = path_push(&g->path, l.entries[i].name, &before);
		if (!err && !*tail)
			err = add_here(g);
		if (!err && l.entries[i].type == DT_DIR)
			err = step_everywhere(g, l.entries[i].row, tail);
		g->path.n = before;
	}
	listing_fini(&l);
	return err;
}

/* The next component of rest, which has no slash before it; returns what stands behind it. */
static const char *split(const char *rest, char **component)
{
	const char *end = strchrnul(rest, '/');
	*component = xstrndup(rest, (size_t)(end - rest));
	return end + strspn(end, "/");
}

static err_t expand(struct glob *g, const char *rest)
{
	uint32_t dir;
	auto_free char *component = NULL;
	const char *tail = split(rest, &component);
	if (index_path(g->tree, buf_bytes(&g->path), true, &dir) ||
	    dir >= index_info(g->tree)->n_dirs)
		return 0;
	if (!strcmp(component, "**")) {
		while (!strncmp(tail, "**/", 3)) /* twice is the same as once */
			tail += 2 + strspn(tail + 2, "/");
		return step_everywhere(g, dir, tail);
	}
	if (text_is_pattern(component))
		return step_matching(g, dir, component, tail);
	return step_plain(g, BYTES_STR(component), tail);
}

static int by_text(const void *a, const void *b)
{
	const char *const *left = a, *const *right = b;
	return strcmp(*left, *right);
}

/* Two ** find some paths twice. */
static void sort_and_unite(struct path_list *l, size_t first)
{
	size_t kept = first;
	if (l->n == first)
		return;
	qsort(l->paths + first, l->n - first, sizeof(*l->paths), by_text);
	for (size_t i = first; i < l->n; i++)
		if (kept > first && !strcmp(l->paths[i], l->paths[kept - 1]))
			free(l->paths[i]);
		else
			l->paths[kept++] = l->paths[i];
	l->n = kept;
	l->paths[kept] = NULL;
}

err_t look_glob(const struct index *tree, const char *pattern, struct path_list *out)
{
	struct glob g = {.tree = tree, .out = out};
	size_t first = out->n;
	err_t err = buf_append(&g.path, "/", 1);
	if (!err)
		err = expand(&g, pattern + strspn(pattern, "/"));
	buf_fini(&g.path);
	sort_and_unite(out, first);
	return err;
}

/* Whether a path is a directory, or leads to one. */
static bool is_directory(const struct index *tree, const char *path)
{
	uint32_t row;
	return !index_path(tree, BYTES_STR(path), true, &row) && row < index_info(tree)->n_dirs;
}

/* "name/": puts the slash back behind the paths from `first` on; of a pattern's, only directories
 * stay. */
static void add_slashes(const struct index *tree, struct path_list *l, size_t first, bool plain)
{
	size_t kept = first;
	for (size_t i = first; i < l->n; i++) {
		char *path = l->paths[i];
		if (plain || is_directory(tree, path))
			l->paths[kept++] = xasprintf("%s%s", path, path[1] ? "/" : "");
		free(path);
	}
	l->n = kept;
	if (l->paths)
		l->paths[kept] = NULL;
}

static int add_typed(const struct command *self, const struct index *tree, const char *typed,
		     struct path_list *out)
{
	struct diag d = DIAG_INIT;
	auto_free char *path = look_path(typed);
	size_t before = out->n;
	uint32_t row;
	bool plain = !text_is_pattern(path) || !index_path(tree, BYTES_STR(path), false, &row);
	err_t err = plain ? list_add(out, take(&path)) : look_glob(tree, path, out);
	if (typed[0] && typed[strlen(typed) - 1] == '/')
		add_slashes(tree, out, before, plain);
	if (!err && out->n > before)
		return 0;
	if (err)
		(void)fail_sys(&d, ERR_OTHER, err, "%s", typed);
	else
		(void)fail(&d, ERR_NOT_FOUND, -ENOENT, "%s: nothing in the image matches", path);
	return cli_fail(self, &d);
}

int look_up_listed(const struct command *self, const struct index *tree, char *path, bool follow,
		   uint32_t *row)
{
	size_t n = strlen(path);
	int status = look_up(self, tree, path, follow, row);
	if (n > 1 && path[n - 1] == '/')
		path[n - 1] = '\0';
	return status;
}

int look_paths(const struct command *self, const struct index *tree, char **typed,
	       struct path_list *out)
{
	int status = 0;
	if (!*typed)
		return add_typed(self, tree, "/", out);
	for (; *typed; typed++) {
		int failed = add_typed(self, tree, *typed, out);
		status = status ? status : failed;
	}
	return status;
}
