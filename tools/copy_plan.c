/*
 * The list is its own queue: directories that were added are looked into in their turn, so the walk
 * goes level by level and needs no stack. Where symlinks are followed, a directory that contains
 * itself is refused.
 */
#include "tools/copy_plan.h"

#include "tools/look.h"

#include <string.h>
#include <sys/stat.h>

static int out_of_memory(const struct command *self)
{
	struct diag d = DIAG_INIT;
	(void)fail(&d, ERR_OTHER, -ENOMEM, "out of memory");
	return cli_fail(self, &d);
}

static uint32_t mode_of(const struct copy_plan *plan, uint32_t row)
{
	struct inode inode;
	index_inode(plan->tree, row, &inode);
	return inode.mode;
}

bool copy_plan_is_dir(const struct copy_plan *plan, size_t entry)
{
	return S_ISDIR(mode_of(plan, plan->entries[entry].row));
}

bool copy_plan_is_regular(const struct copy_plan *plan, size_t entry)
{
	return S_ISREG(mode_of(plan, plan->entries[entry].row));
}

char *copy_plan_path(const struct copy_plan *plan, size_t entry)
{
	const struct copy_entry *e = &plan->entries[entry];
	char *path = xstrdup("");
	for (; !e->source; e = &plan->entries[e->parent]) {
		char *longer = xasprintf("/%.*s%s", (int)e->name.n, (const char *)e->name.p, path);
		free(path);
		path = longer;
	}
	size_t n = strlen(e->source);
	while (*path && n && e->source[n - 1] == '/')
		n--;
	char *full = xasprintf("%.*s%s", (int)n, e->source, path);
	free(path);
	return full;
}

static bool add(struct copy_plan *plan, struct copy_entry e)
{
	if (plan->n == COPY_BASE || !try_grow(&plan->entries, plan->n, &plan->cap, sizeof(e)))
		return false;
	plan->entries[plan->n++] = e;
	return true;
}

/* The last component of a path; empty for "/", "." and "..", which have no name to land under. */
static struct bytes last_name(const char *path)
{
	size_t end = strlen(path);
	while (end && path[end - 1] == '/')
		end--;
	size_t begin = end;
	while (begin && path[begin - 1] != '/')
		begin--;
	struct bytes name = {(const uint8_t *)path + begin, end - begin};
	if (bytes_equal_str(name, ".") || bytes_equal_str(name, ".."))
		name.n = 0;
	return name;
}

int copy_plan_add(const struct command *self, struct copy_plan *plan, const char *path,
		  const char *name)
{
	uint32_t row;
	/* A slash at the end asks for what a symlink leads to. */
	bool follow = plan->follow != FOLLOW_NEVER || path[strlen(path) - 1] == '/';
	int status = look_up(self, plan->tree, path, follow, &row);
	if (status)
		return status;
	struct copy_entry e = {row, COPY_BASE, last_name(path), path};
	if (name)
		e.name = BYTES_STR(name);
	return add(plan, e) ? 0 : out_of_memory(self);
}

/* Whether a directory is one of those that an entry lies in. */
static bool contains_itself(const struct copy_plan *plan, size_t entry, uint32_t row)
{
	for (uint32_t at = (uint32_t)entry; at != COPY_BASE; at = plan->entries[at].parent)
		if (plan->entries[at].row == row)
			return true;
	return false;
}

/* What a symlink in a directory leads to; 0 or an exit status. */
static int follow_link(const struct command *self, const struct copy_plan *plan, size_t dir,
		       struct bytes name, uint32_t *row)
{
	struct diag d = DIAG_INIT;
	auto_free char *parent = copy_plan_path(plan, dir);
	auto_free char *path = xasprintf("%s/%.*s", parent, (int)name.n, (const char *)name.p);
	int status = look_up(self, plan->tree, path, true, row);
	if (status || !S_ISDIR(mode_of(plan, *row)) || !contains_itself(plan, dir, *row))
		return status;
	(void)fail(&d, ERR_OTHER, -ELOOP, "%s: leads to a directory that it lies in; left out",
		   path);
	return cli_fail(self, &d);
}

static int add_children(const struct command *self, struct copy_plan *plan, size_t dir)
{
	struct listing listing;
	int status = 0;
	if (listing_load(plan->tree, plan->entries[dir].row, true, &listing))
		return out_of_memory(self);
	for (uint32_t i = 0; i < listing.n; i++) {
		const struct dir_entry *child = &listing.entries[i];
		struct copy_entry e = {child->row, (uint32_t)dir, child->name, NULL};
		int failed = 0;
		if (plan->follow == FOLLOW_ALWAYS && S_ISLNK(mode_of(plan, child->row)))
			failed = follow_link(self, plan, dir, child->name, &e.row);
		if (!failed && !add(plan, e))
			failed = out_of_memory(self);
		status = status ? status : failed;
	}
	listing_fini(&listing);
	return status;
}

int copy_plan_fill(const struct command *self, struct copy_plan *plan)
{
	int status = 0;
	for (size_t i = 0; i < plan->n; i++) {
		int failed = copy_plan_is_dir(plan, i) ? add_children(self, plan, i) : 0;
		status = status ? status : failed;
	}
	return status;
}

void copy_plan_fini(struct copy_plan *plan)
{
	free(plan->entries);
	*plan = (struct copy_plan){0};
}
