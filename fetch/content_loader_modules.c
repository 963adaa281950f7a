/*
 * Modules of Python and Node.js, for content_loader.c. A program in one of them reads hundreds of
 * files before its first line, one after the other, and each says which ones come next. So an
 * object that turns out to be a module is looked through as soon as it is here, and what it imports
 * is fetched and looked through in turn, in the order in which the program comes to it. What is
 * there as a library goes on as such.
 *
 * Which language it is, and where it looks for modules, is known when its program is started, or is
 * expected to be. Nothing says that the imports will happen (`df` makes a container expected, too):
 * so few are fetched before the reader comes to the first one, and no more than a start needs are
 * ever ahead of it. What is wrong once stays in that count, and ends the guessing.
 */
#include "fetch/content_loader_priv.h"

#include "index/node.h"
#include "index/path.h"
#include "index/program.h"
#include "index/row_path.h"

#include <string.h>

#define MODULE_MAX     (4u << 20) /* larger ones are not looked through */
#define COMING_MAX     128	  /* objects of which nothing is known yet */
#define MODULES_MAX    1024	  /* objects; then what they import is left to the reader */
#define NAMES_PASS_MAX (4u << 20) /* names of a tree looked at, to find out where modules lie */

/* How far ahead of the reader modules are fetched, before it has come to any, and then. */
static const struct {
	uint32_t files;
	uint64_t bytes;
} ahead[] = {{64, 8u << 20}, {512, 64u << 20}};

/* --- what is ahead of the reader --- */

static uint64_t counted_bytes(uint64_t size)
{
	return min_of(size, (uint64_t)WHOLE_MAX);
}

bool modules_have_room(const struct content *c)
{
	const struct loader *l = c->loader;
	uint32_t read = atomic_load_explicit(&l->modules_used, memory_order_relaxed);
	uint32_t made = atomic_load_explicit(&l->modules_made, memory_order_relaxed);
	uint64_t bytes_read = atomic_load_explicit(&l->module_bytes_used, memory_order_relaxed);
	uint64_t bytes_made = atomic_load_explicit(&l->module_bytes_made, memory_order_relaxed);
	unsigned begun = read > 0;
	return made - min_of(made, read) < ahead[begun].files &&
	       bytes_made - min_of(bytes_made, bytes_read) < ahead[begun].bytes &&
	       l->modules.n_coming < COMING_MAX && l->modules.n_objects < MODULES_MAX &&
	       !atomic_load_explicit(&c->stopping, memory_order_relaxed);
}

void modules_made(struct loader *l, struct object *o)
{
	atomic_fetch_add_explicit(&l->modules_made, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&l->module_bytes_made, counted_bytes(o->size),
				  memory_order_relaxed);
	l->modules.n_objects++;
	l->modules.n_coming++;
	o->is_coming = true;
}

void modules_read(struct content *c, uint32_t row)
{
	struct inode inode;
	index_inode(c->image->tree, row, &inode);
	atomic_fetch_add_explicit(&c->loader->modules_used, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&c->loader->module_bytes_used, counted_bytes(inode.size),
				  memory_order_relaxed);
}

void modules_taken_back(struct loader *l, const struct object *o)
{
	atomic_fetch_sub_explicit(&l->modules_made, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&l->module_bytes_made, counted_bytes(o->size),
				  memory_order_relaxed);
}

void modules_have_come(struct loader *l, struct object *o)
{
	l->modules.n_coming -= o->is_coming;
	o->is_coming = false;
}

void modules_forget(struct loader *l, struct object *o)
{
	modules_have_come(l, o);
	l->modules.n_objects -= o->reason == MODULE;
}

void modules_drop(struct loader *l)
{
	if (l->modules.has_python)
		python_forget(&l->modules.python);
}

/* --- how a program is started --- */

enum language modules_begin(struct content *c, struct bytes program)
{
	struct modules *m = &c->loader->modules;
	if (python_is_one(program)) {
		if (!m->has_python && python_find(c->image->tree, program, &m->python))
			python_begin(c, true);
		return m->has_python ? PYTHON : NO_LANGUAGE;
	}
	if (!node_is_one(program))
		return NO_LANGUAGE;
	if (!m->has_node)
		node_begin(c);
	return NODE;
}

void modules_reached(struct content *c, uint32_t row)
{
	static const char *const names[] = {"python3", "python", "node", "nodejs"};
	static const struct bytes nowhere;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		auto_buf struct buf path = {0};
		uint32_t found;
		if (program_find(c->image->tree, expect_search(c), nowhere, BYTES_STR(names[i]),
				 &found, &path) &&
		    found == row)
			(void)modules_begin(c, buf_bytes(&path));
	}
}

/* --- which files are modules --- */

uint32_t modules_dir(const struct content *c, struct bytes path)
{
	uint32_t row;
	bool is_there = index_path(c->image->tree, path, true, &row) == 0 &&
			row < index_info(c->image->tree)->n_dirs;
	return is_there ? row : NO_ROW;
}

static bool ends_in(struct bytes path, const char *end)
{
	size_t n = strlen(end);
	return path.n > n && memcmp(path.p + path.n - n, end, n) == 0;
}

static enum language language_of(const struct content *c, struct bytes path)
{
	const struct modules *m = &c->loader->modules;
	if (m->has_python && (ends_in(path, ".py") || ends_in(path, ".pyc")))
		return PYTHON;
	if (m->has_node && (ends_in(path, ".js") || ends_in(path, ".cjs") || ends_in(path, ".mjs")))
		return NODE;
	return NO_LANGUAGE;
}

/* One of the paths of a file, and its directory; false: there is none, or it would cost too much to
 * find out. */
static bool find_path(struct content *c, uint32_t row, struct buf *path, struct bytes *dir)
{
	struct modules *m = &c->loader->modules;
	m->names_passed += index_info(c->image->tree)->n_dirents;
	if (m->names_passed > NAMES_PASS_MAX || index_row_paths(c->image->tree, &row, 1, path) ||
	    path->n == 0)
		return false;
	struct bytes parent = path_parent(buf_bytes(path));
	*dir = parent.n ? parent : BYTES_STR("/");
	return true;
}

/* The object is what a program of this language begins with. */
static void begin_script(struct content *c, struct object *o, enum language language)
{
	auto_buf struct buf path = {0};
	struct bytes dir = buf_bytes(&o->user.dir);
	if (dir.n == 0 && !find_path(c, o->row, &path, &dir))
		return;
	if (language == PYTHON)
		python_search_first(c->image->tree, &c->loader->modules.python, dir);
	o->language = language;
	o->source = modules_dir(c, dir);
	if (language == NODE && o->source != NO_ROW)
		node_import_scope(c, o->source);
}

void modules_expected(struct content *c, struct object *o, struct bytes path)
{
	enum language language = language_of(c, path);
	if (language != NO_LANGUAGE)
		begin_script(c, o, language);
}

void modules_script(struct content *c, struct object *o, enum language language)
{
	if (o->source == NO_ROW)
		begin_script(c, o, language);
	if (o->source != NO_ROW && o->size <= MODULE_MAX)
		o->stage = AT_MODULE;
}

/* A file that a reader came to: is it a module, and where? */
static void find_out(struct content *c, struct object *o, bool is_code)
{
	struct modules *m = &c->loader->modules;
	auto_buf struct buf path = {0};
	struct bytes dir;
	if (!find_path(c, o->row, &path, &dir))
		return;
	if (is_code && bytes_equal_str(path_last(dir), "__pycache__"))
		dir = path_parent(dir);
	if (is_code && !m->has_python && python_of_module(c->image->tree, dir, &m->python))
		python_begin(c, false);
	o->language = language_of(c, buf_bytes(&path));
	o->source = modules_dir(c, dir);
}

/* Worth a look at where it lies. */
static bool may_import(struct bytes head)
{
	static const char *const words[] = {"import", "require"};
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (memmem(head.p, head.n, words[i], strlen(words[i])))
			return true;
	return false;
}

void modules_look(struct content *c, struct object *o, struct bytes head)
{
	const struct modules *m = &c->loader->modules;
	unsigned minor;
	bool is_code = python_is_code(head, &minor);
	bool is_text = !is_code && !memchr(head.p, 0, head.n);
	if (o->size > MODULE_MAX || (!is_code && !is_text))
		return;
	if (o->source == NO_ROW &&
	    (is_code || ((m->has_python || m->has_node) && may_import(head))))
		find_out(c, o, is_code);
	bool is_other = is_code && (o->language != PYTHON || minor != m->python.minor);
	if (o->source != NO_ROW && o->language != NO_LANGUAGE && !is_other)
		o->stage = AT_MODULE;
}

/* --- what is imported --- */

static enum go need_whole(struct content *c, struct object *o, struct buf *out)
{
	size_t n = (size_t)o->size;
	enum go came = need(c, o, 0, n, NULL);
	if (came != GO_ON)
		return came;
	if (buf_reserve(out, n))
		return GO_END;
	came = need(c, o, 0, n, out->p);
	out->n = came == GO_ON ? n : 0;
	return came;
}

enum go modules_step_module(struct content *c, struct object *o)
{
	auto_buf struct buf file = {.limit = MODULE_MAX};
	enum go came = need_whole(c, o, &file);
	if (came != GO_ON)
		return came;
	modules_have_come(c->loader, o);
	o->stage = AT_IMPORTS;
	if (o->language == PYTHON)
		python_look_through(o, buf_bytes(&file));
	else
		node_look_through(o, buf_bytes(&file));
	return GO_ON;
}

/* Nobody knows when there will be room again: what waits for that does not grow old. */
enum go modules_step_imports(struct content *c, struct object *o)
{
	bool done = o->language == PYTHON ? python_import(c, &o->imports, &o->import_at, o->source)
					  : node_import(c, &o->names, &o->import_at, o->source);
	if (!done && modules_have_room(c))
		return GO_ON;
	if (!done && c->loader->modules.n_objects < MODULES_MAX) {
		o->until_ms = now_ms() + OBJECT_MS;
		return GO_WAIT;
	}
	o->stage = AT_END;
	return GO_ON;
}
