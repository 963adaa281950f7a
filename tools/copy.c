/*
 * The list of the plan in four passes. What became of an entry is one byte: what failed, or lies in
 * a directory that did, is passed over by the passes behind.
 */
#include "tools/copy.h"

#include "tools/interrupt.h"
#include "tools/progress.h"
#include "tools/read_pipe.h"
#include "tools/terminal.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum fate {
	WAITS,	 /* nothing was done yet */
	THERE,	 /* done; a directory: can be entered */
	MADE,	 /* a directory that was not there before */
	SKIPPED, /* the user wanted it so */
	FAILED,
};

struct copy {
	const struct command *self;
	const struct copy_plan *plan;
	struct content *content;
	struct extract extract;
	int base;
	const char *base_text;
	uint8_t *fates;	 /* of entries: enum fate */
	uint32_t *order; /* all that are no directories, by row, then as listed */
	size_t n_order;
	uint32_t open_dir; /* entry of open_fd, or COPY_BASE for none */
	int open_fd;
	int status;
	bool stop; /* the next ones would fail, too */
};

static const struct copy_entry *entry_of(const struct copy *c, uint32_t entry)
{
	return &c->plan->entries[entry];
}

/* --- failing --- */

static char *target_path(const struct copy *c, uint32_t entry)
{
	char *path = xstrdup("");
	for (; entry != COPY_BASE; entry = entry_of(c, entry)->parent) {
		struct bytes name = entry_of(c, entry)->name;
		if (!name.n)
			continue;
		char *longer = xasprintf("/%.*s%s", (int)name.n, (const char *)name.p, path);
		free(path);
		path = longer;
	}
	char *full = xasprintf("%s%s", strcmp(c->base_text, "/") ? c->base_text : "", path);
	free(path);
	return full;
}

static void report(struct copy *c, uint32_t entry, struct diag *d)
{
	progress_hold();
	int status = cli_fail(c->self, d);
	progress_release();
	c->status = c->status ? c->status : status;
	c->fates[entry] = FAILED;
}

/* Whether the destination will refuse everything that follows, too. */
static bool refuses_all(err_t err)
{
	return err == -ENOSPC || err == -EDQUOT || err == -EROFS || err == -EIO;
}

static void write_failed(struct copy *c, uint32_t entry, err_t err)
{
	struct diag d = DIAG_INIT;
	auto_free char *path = target_path(c, entry);
	bool is_dir = copy_plan_is_dir(c->plan, entry);
	if (is_dir && (err == -EEXIST || err == -ENOTDIR || err == -ELOOP))
		(void)fail(&d, ERR_OTHER, err,
			   "%s: something that is not a directory is in the way (-f replaces it)",
			   path);
	else if (!is_dir && (err == -EISDIR || err == -ENOTEMPTY || err == -EEXIST))
		(void)fail(&d, ERR_OTHER, err, "%s: a directory is in the way", path);
	else
		(void)fail_sys(&d, err == -EACCES || err == -EPERM ? ERR_DENIED : ERR_OTHER, err,
			       "%s", path);
	report(c, entry, &d);
	c->stop |= refuses_all(err);
}

static bool is_stopped(const struct copy *c)
{
	return c->stop || interrupt_signal();
}

/* --- directories --- */

static void name_of(const struct copy *c, uint32_t entry, char name[EXTRACT_NAME_MAX])
{
	struct bytes bytes = entry_of(c, entry)->name;
	BUG_ON(bytes.n >= EXTRACT_NAME_MAX);
	memcpy(name, bytes.p, bytes.n);
	name[bytes.n] = '\0';
}

static void forget_open_dir(struct copy *c)
{
	if (c->open_dir != COPY_BASE)
		close(c->open_fd);
	c->open_dir = COPY_BASE;
}

/* From the base, component by component: no path, so nothing that leads out, and no limit to its
 * length. */
static int walk_to(struct copy *c, uint32_t entry)
{
	size_t depth = 0;
	for (uint32_t at = entry; at != COPY_BASE; at = entry_of(c, at)->parent)
		depth++;
	auto_free uint32_t *chain = xcalloc(depth + 1, sizeof(*chain));
	for (uint32_t at = entry, i = (uint32_t)depth; i > 0; at = entry_of(c, at)->parent)
		chain[--i] = at;
	int fd = dup(c->base);
	for (size_t i = 0; i < depth && fd >= 0; i++) {
		char name[EXTRACT_NAME_MAX];
		name_of(c, chain[i], name);
		if (!*name)
			continue;
		auto_fd int parent = fd;
		fd = extract_open_dir(parent, name);
	}
	return fd;
}

/* The descriptor of the directory that an entry lies in, borrowed; -errno. The last one is kept:
 * files that follow each other mostly are neighbours. */
static int open_parent(struct copy *c, uint32_t entry)
{
	uint32_t dir = entry_of(c, entry)->parent;
	if (dir == COPY_BASE)
		return c->base;
	if (dir == c->open_dir)
		return c->open_fd;
	int fd = walk_to(c, dir);
	if (fd < 0)
		return -errno;
	forget_open_dir(c);
	c->open_dir = dir;
	c->open_fd = fd;
	return fd;
}

static bool parent_failed(const struct copy *c, uint32_t entry)
{
	uint32_t parent = entry_of(c, entry)->parent;
	return parent != COPY_BASE && c->fates[parent] == FAILED;
}

static void make_dir(struct copy *c, uint32_t entry)
{
	char name[EXTRACT_NAME_MAX];
	bool made = false;
	name_of(c, entry, name);
	int parent = open_parent(c, entry);
	err_t err = parent < 0 ? parent : 0;
	if (!err && *name)
		err = extract_dir(&c->extract, parent, name, &made);
	if (err)
		write_failed(c, entry, err);
	else
		c->fates[entry] = made ? MADE : THERE;
}

static void make_dirs(struct copy *c)
{
	for (uint32_t i = 0; i < c->plan->n && !is_stopped(c); i++) {
		if (!copy_plan_is_dir(c->plan, i))
			continue;
		if (parent_failed(c, i))
			c->fates[i] = FAILED;
		else
			make_dir(c, i);
	}
}

/* Deepest first: what is made in a directory changes its time, and may need its mode. */
static void finish_dirs(struct copy *c)
{
	for (uint32_t i = (uint32_t)c->plan->n; i-- > 0;) {
		char name[EXTRACT_NAME_MAX];
		if (!copy_plan_is_dir(c->plan, i) || (c->fates[i] != MADE && c->fates[i] != THERE))
			continue;
		name_of(c, i, name);
		int parent = open_parent(c, i);
		err_t err = parent < 0
				    ? parent
				    : extract_dir_finish(&c->extract, parent, name,
							 entry_of(c, i)->row, c->fates[i] == MADE);
		if (err)
			write_failed(c, i, err);
	}
}

/* --- files --- */

static int by_row(const void *a, const void *b, void *arg)
{
	const struct copy_plan *plan = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	uint32_t p = plan->entries[x].row, q = plan->entries[y].row;
	if (p != q)
		return p < q ? -1 : 1;
	return x < y ? -1 : x > y;
}

static void list_others(struct copy *c)
{
	for (uint32_t i = 0; i < c->plan->n; i++)
		if (!copy_plan_is_dir(c->plan, i))
			c->order[c->n_order++] = i;
	qsort_r(c->order, c->n_order, sizeof(*c->order), by_row, (void *)c->plan);
}

/* Whether the place of an entry is given to it; otherwise its fate is set. */
static bool may_make(struct copy *c, uint32_t entry)
{
	char name[EXTRACT_NAME_MAX];
	if (parent_failed(c, entry)) {
		c->fates[entry] = FAILED;
		return false;
	}
	int parent = open_parent(c, entry);
	if (parent < 0) {
		write_failed(c, entry, parent);
		return false;
	}
	name_of(c, entry, name);
	if (extract_is_there(&c->extract, parent, name))
		c->fates[entry] = SKIPPED;
	return c->fates[entry] == WAITS;
}

static bool is_regular(const struct copy *c, uint32_t entry)
{
	const struct index_info *info = index_info(c->plan->tree);
	uint32_t row = entry_of(c, entry)->row;
	return row >= info->n_dirs && row < info->n_dirs + info->n_regular;
}

/* The files whose bytes are read: of hard links that are kept, one each. */
static size_t list_files(struct copy *c, uint32_t *files)
{
	size_t n = 0;
	for (size_t i = 0; i < c->n_order && !is_stopped(c); i++) {
		uint32_t entry = c->order[i];
		if (!is_regular(c, entry) || !may_make(c, entry))
			continue;
		if (!c->extract.options.archive || n == 0 ||
		    entry_of(c, files[n - 1])->row != entry_of(c, entry)->row)
			files[n++] = entry;
	}
	return n;
}

static void read_failed(struct copy *c, const struct read_pipe *pipe, uint32_t entry, err_t err)
{
	struct diag d = DIAG_INIT;
	auto_free char *path = copy_plan_path(c->plan, entry);
	c->stop |= read_pipe_is_fatal(err);
	if (err == -EINTR)
		c->fates[entry] = FAILED;
	else if (read_pipe_fail(pipe, err, path, &d))
		report(c, entry, &d);
}

static void copy_file(struct copy *c, struct read_pipe *pipe, size_t number, uint32_t entry)
{
	struct extract_file file = EXTRACT_NO_FILE;
	struct read_piece piece = {0};
	char name[EXTRACT_NAME_MAX];
	name_of(c, entry, name);
	int parent = open_parent(c, entry);
	err_t err = parent < 0 ? parent : extract_file_begin(&c->extract, parent, &file);
	while (!err && read_pipe_take(pipe, number, &piece) && !piece.err)
		err = write_at(file.fd, piece.p, piece.n, piece.off);
	if (!err && !piece.err)
		err = extract_file_finish(&c->extract, &file, name, entry_of(c, entry)->row);
	extract_file_drop(&file);
	if (err)
		write_failed(c, entry, err);
	else if (piece.err)
		read_failed(c, pipe, entry, piece.err);
	else
		c->fates[entry] = THERE;
}

static void copy_files(struct copy *c)
{
	auto_free uint32_t *files = xcalloc(c->n_order + 1, sizeof(*files));
	auto_free uint32_t *rows = xcalloc(c->n_order + 1, sizeof(*rows));
	size_t n = list_files(c, files);
	for (size_t i = 0; i < n; i++)
		rows[i] = entry_of(c, files[i])->row;
	struct progress *progress = progress_begin(c->self, NULL);
	struct read_pipe *pipe = read_pipe_new(c->content, c->plan->tree, rows, n, progress);
	for (size_t i = 0; i < n && !is_stopped(c); i++)
		copy_file(c, pipe, i, files[i]);
	read_pipe_free(&pipe);
	progress_end();
}

/* --- links and nodes --- */

static void link_to(struct copy *c, uint32_t from, uint32_t entry)
{
	char from_name[EXTRACT_NAME_MAX], name[EXTRACT_NAME_MAX];
	name_of(c, from, from_name);
	name_of(c, entry, name);
	auto_fd int from_parent = entry_of(c, from)->parent == COPY_BASE
					  ? dup(c->base)
					  : walk_to(c, entry_of(c, from)->parent);
	int parent = open_parent(c, entry);
	err_t err = from_parent < 0 ? -errno : parent < 0 ? parent : 0;
	if (!err)
		err = extract_link(&c->extract, from_parent, from_name, parent, name);
	if (err)
		write_failed(c, entry, err);
	else
		c->fates[entry] = THERE;
}

static void make_other(struct copy *c, uint32_t entry)
{
	char name[EXTRACT_NAME_MAX];
	bool made = false;
	name_of(c, entry, name);
	int parent = open_parent(c, entry);
	err_t err = parent < 0 ? parent
			       : extract_other(&c->extract, parent, name, entry_of(c, entry)->row,
					       &made);
	if (err)
		write_failed(c, entry, err);
	else
		c->fates[entry] = made ? THERE : SKIPPED;
}

/* What is left in the order of rows: names of an inode follow each other. */
static void make_others(struct copy *c)
{
	uint32_t first = COPY_BASE; /* the entry of this row that was made here */
	for (size_t i = 0; i < c->n_order && !is_stopped(c); i++) {
		uint32_t entry = c->order[i];
		if (first != COPY_BASE && entry_of(c, first)->row != entry_of(c, entry)->row)
			first = COPY_BASE;
		if (c->fates[entry] == WAITS && first != COPY_BASE && c->extract.options.archive &&
		    may_make(c, entry))
			link_to(c, first, entry);
		else if (c->fates[entry] == WAITS && !is_regular(c, entry) && may_make(c, entry))
			make_other(c, entry);
		if (c->fates[entry] == THERE && first == COPY_BASE)
			first = entry;
	}
}

int copy_run(const struct command *self, const struct copy_plan *plan, struct content *content,
	     const struct extract_options *options, int base, const char *base_text,
	     struct extract_lost *lost)
{
	struct copy c = {
		.self = self,
		.plan = plan,
		.content = content,
		.extract = {.options = *options, .tree = plan->tree, .lost = *lost},
		.base = base,
		.base_text = base_text,
		.open_dir = COPY_BASE,
	};
	c.fates = xcalloc(plan->n + 1, sizeof(*c.fates));
	c.order = xcalloc(plan->n + 1, sizeof(*c.order));
	list_others(&c);
	make_dirs(&c);
	copy_files(&c);
	make_others(&c);
	finish_dirs(&c);
	forget_open_dir(&c);
	free(c.fates);
	free(c.order);
	*lost = c.extract.lost;
	return c.status;
}

/* --- to a descriptor --- */

static err_t write_zeroes(int fd, uint64_t n)
{
	static const uint8_t zeroes[64 << 10];
	err_t err = 0;
	for (size_t part; n && !err; n -= part) {
		part = (size_t)min_of(n, (uint64_t)sizeof(zeroes));
		err = write_all(fd, zeroes, part);
	}
	return err;
}

static int write_stopped(const struct command *self, const char *name, err_t err)
{
	struct diag d = DIAG_INIT;
	if (!name)
		return cli_output_lost(self, 0, err);
	(void)fail_sys(&d, ERR_OTHER, err, "%s", name);
	return cli_fail(self, &d);
}

int copy_to(const struct command *self, const struct copy_plan *plan, struct content *content,
	    int fd, const char *name)
{
	struct read_piece piece = {0};
	struct diag d = DIAG_INIT;
	struct inode inode;
	uint32_t row = plan->entries[0].row;
	uint64_t at = 0;
	err_t err = 0;
	index_inode(plan->tree, row, &inode);
	/* What is shown on a terminal must not be drawn over. */
	struct progress *progress = terminal_is(fd) ? NULL : progress_begin(self, NULL);
	struct read_pipe *pipe = read_pipe_new(content, plan->tree, &row, 1, progress);
	while (!err && read_pipe_take(pipe, 0, &piece) && !piece.err) {
		err = write_zeroes(fd, piece.off - at);
		if (!err)
			err = write_all(fd, piece.p, piece.n);
		at = piece.off + piece.n;
	}
	if (!err && !piece.err)
		err = write_zeroes(fd, inode.size - at);
	if (piece.err)
		(void)read_pipe_fail(pipe, piece.err, plan->entries[0].source, &d);
	read_pipe_free(&pipe);
	progress_end();
	if (err)
		return write_stopped(self, name, err);
	if (!piece.err || piece.err == -EINTR)
		return 0;
	return cli_fail(self, &d);
}
