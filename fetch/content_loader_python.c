/*
 * Python's modules, for content_loader.c. A program in Python reads hundreds of files before its
 * first line, one after the other, and each says which ones come next (index/python_imports.h). So
 * an object that turns out to be a module is looked through as soon as it is here, and what it
 * imports is fetched and looked through in turn, in the order in which Python comes to it.
 * Extension modules are libraries, and go on as such.
 *
 * Which Python it is and where it looks is known when a container is started with it, or when a
 * reader comes to a module inside of its installation. Nothing says that the imports will happen
 * (`df` makes a container expected, too), so few are fetched before the reader comes to the first
 * one, and no more than a start needs are ever ahead of it: what is wrong once stays in that count,
 * and ends the guessing.
 */
#include "fetch/content_loader_priv.h"

#include "index/file_at.h"
#include "index/row_path.h"

#include <string.h>

#define MODULE_MAX     (4u << 20) /* larger ones are not looked through */
#define COMING_MAX     128	  /* objects of which nothing is known yet */
#define OBJECTS_MAX    1024	  /* then what they import is left to the reader */
#define NAMES_PASS_MAX (4u << 20) /* names of a tree looked at, to find out where modules lie */

/* How far ahead of the reader modules are fetched, before it has come to any, and then. */
static const struct {
	uint32_t files;
	uint64_t bytes;
} ahead[] = {{64, 8u << 20}, {512, 64u << 20}};

/* Read by every start: the codecs of the usual locale, and what sets the search path up. */
#define ALWAYS "import encodings.utf_8, site, sitecustomize\n"

/* --- what is ahead of the reader --- */

static uint64_t counted_bytes(uint64_t size)
{
	return min_of(size, (uint64_t)WHOLE_MAX);
}

bool modules_have_room(const struct loader *l)
{
	uint32_t read = atomic_load_explicit(&l->modules_used, memory_order_relaxed);
	uint32_t made = atomic_load_explicit(&l->modules_made, memory_order_relaxed);
	uint64_t bytes_read = atomic_load_explicit(&l->module_bytes_used, memory_order_relaxed);
	uint64_t bytes_made = atomic_load_explicit(&l->module_bytes_made, memory_order_relaxed);
	unsigned begun = read > 0;
	return made - min_of(made, read) < ahead[begun].files &&
	       bytes_made - min_of(bytes_made, bytes_read) < ahead[begun].bytes &&
	       l->modules.n_coming < COMING_MAX;
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

static void has_come(struct loader *l, struct object *o)
{
	l->modules.n_coming -= o->is_coming;
	o->is_coming = false;
}

void modules_forget(struct loader *l, struct object *o)
{
	has_come(l, o);
	l->modules.n_objects -= o->reason == MODULE;
}

void modules_drop(struct loader *l)
{
	if (l->modules.known)
		python_forget(&l->modules.python);
}

/* --- what is imported --- */

/* False: there is no room for what a module, which lies in this directory, imports next. */
static bool go_on_importing(struct content *c, const struct python_imports *list, size_t *at,
			    uint32_t dir)
{
	struct modules *m = &c->loader->modules;
	struct python_module found[PYTHON_PARTS_MAX];
	struct python_import import;
	while (modules_have_room(c->loader)) {
		if (!python_imports_next(list, at, &import))
			return true;
		unsigned n = python_resolve(c->image->tree, &m->python, dir, &import, found);
		for (unsigned i = 0; i < n; i++) {
			struct object *o = object_module(c, found[i].row);
			if (o)
				o->source = found[i].dir;
		}
	}
	return false;
}

static enum go need_whole(struct content *c, struct object *o, struct buf *out)
{
	size_t n = (size_t)o->size;
	if (buf_reserve(out, n))
		return GO_END;
	enum go came = need(c, o, 0, n, out->p);
	out->n = came == GO_ON ? n : 0;
	return came;
}

enum go modules_step_module(struct content *c, struct object *o)
{
	unsigned minor;
	auto_buf struct buf file = {.limit = MODULE_MAX};
	enum go came = need_whole(c, o, &file);
	if (came != GO_ON)
		return came;
	has_come(c->loader, o);
	o->stage = AT_IMPORTS;
	if (python_is_code(buf_bytes(&file), &minor))
		python_imports_of_code(buf_bytes(&file), &o->imports);
	else
		python_imports_of_source(buf_bytes(&file), &o->imports);
	return GO_ON;
}

enum go modules_step_imports(struct content *c, struct object *o)
{
	const struct modules *m = &c->loader->modules;
	if (!go_on_importing(c, &o->imports, &o->import_at, o->source) &&
	    m->n_objects < OBJECTS_MAX)
		return GO_WAIT;
	o->stage = AT_END;
	return GO_ON;
}

/* --- how a Python is started --- */

/* Directories with ':' between them, as in PYTHONPATH: the last one first, since each is put before
 * all others. */
static void search_first(struct content *c, struct bytes dirs)
{
	while (dirs.n) {
		const uint8_t *colon = memrchr(dirs.p, ':', dirs.n);
		size_t at = colon ? (size_t)(colon - dirs.p) + 1 : 0;
		python_search_first(c->image->tree, &c->loader->modules.python,
				    (struct bytes){dirs.p + at, dirs.n - at});
		dirs.n = at ? at - 1 : 0;
	}
}

/* The option of some letters that this one, which is the last and has an argument, may end. */
static bool is_option(const char *word, char last)
{
	size_t n = strlen(word);
	return n >= 2 && word[0] == '-' && word[1] != '-' && word[n - 1] == last;
}

/* python [-m MODULE | -c TEXT] */
static void import_by_options(const char *const *words, size_t n, struct python_imports *list)
{
	for (size_t i = 0; i + 1 < n && words[i][0] == '-'; i++) {
		struct bytes next = BYTES_STR(words[i + 1]);
		if (is_option(words[i], 'm')) {
			(void)python_imports_add(list, 0, next, BYTES_STR("__main__"));
			return;
		}
		if (is_option(words[i], 'c')) {
			python_imports_of_source(next, list);
			return;
		}
		i += is_option(words[i], 'W') || is_option(words[i], 'X');
	}
}

/* MODULE:OBJECT, as those write it who serve an application. */
static void import_by_word(const char *word, struct python_imports *list)
{
	const char *colon = strchr(word, ':');
	size_t n = colon ? (size_t)(colon - word) : 0;
	if (n && !memchr(word, '/', n))
		(void)python_imports_add(list, 0, (struct bytes){(const uint8_t *)word, n},
					 (struct bytes){0});
}

static void import_by_words(const struct content *c, struct python_imports *list)
{
	const char *words[EXPECT_WORDS_MAX];
	size_t n = expect_words(c, words), i = 0;
	while (i < n && !python_is_one(BYTES_STR(words[i])))
		i++;
	if (i < n)
		import_by_options(words + i + 1, n - i - 1, list);
	for (i = 1; i < n; i++)
		import_by_word(words[i], list);
}

static void begin(struct content *c, bool expected)
{
	auto_free char *cwd = expect_dir(c);
	struct python_imports list = {0};
	size_t at = 0;
	c->loader->modules.known = true;
	search_first(c, expect_env(c, "PYTHONPATH"));
	python_search_first(c->image->tree, &c->loader->modules.python, BYTES_STR(cwd));
	python_imports_of_source(BYTES_STR(ALWAYS), &list);
	if (expected)
		import_by_words(c, &list);
	(void)go_on_importing(c, &list, &at, PYTHON_NO_ROW);
	python_imports_fini(&list);
}

bool modules_begin(struct content *c, struct bytes program)
{
	struct modules *m = &c->loader->modules;
	if (!python_is_one(program))
		return false;
	if (!m->known && python_find(c->image->tree, program, &m->python))
		begin(c, true);
	return m->known;
}

/* --- which files are modules --- */

static uint32_t dir_row(const struct content *c, struct bytes path)
{
	uint32_t row;
	bool is_there = index_path(c->image->tree, path, true, &row) == 0 &&
			row < index_info(c->image->tree)->n_dirs;
	return is_there ? row : PYTHON_NO_ROW;
}

static bool ends_in(struct bytes path, const char *end)
{
	size_t n = strlen(end);
	return path.n > n && memcmp(path.p + path.n - n, end, n) == 0;
}

/* One of the paths of the object's file; false: there is none, or too many names were looked at. */
static bool find_path(struct content *c, const struct object *o, struct buf *path)
{
	struct modules *m = &c->loader->modules;
	m->names_passed += index_info(c->image->tree)->n_dirents;
	return m->names_passed <= NAMES_PASS_MAX &&
	       index_row_paths(c->image->tree, &o->row, 1, path) == 0;
}

/* Its modules lie beside it. */
static void begin_script(struct content *c, struct object *o)
{
	auto_buf struct buf path = {0};
	struct bytes dir = buf_bytes(&o->user.dir);
	if (dir.n == 0 && find_path(c, o, &path))
		dir = path_parent(buf_bytes(&path));
	if (dir.n == 0)
		return;
	python_search_first(c->image->tree, &c->loader->modules.python, dir);
	o->source = dir_row(c, dir);
}

void modules_expected(struct content *c, struct object *o, struct bytes path)
{
	if (c->loader->modules.known && ends_in(path, ".py"))
		begin_script(c, o);
}

void modules_script(struct content *c, struct object *o)
{
	if (o->source == PYTHON_NO_ROW)
		begin_script(c, o);
	if (o->source != PYTHON_NO_ROW && o->size <= MODULE_MAX)
		o->stage = AT_MODULE;
}

/* A file that a reader came to: is it a module, and where? */
static bool find_out(struct content *c, struct object *o, bool is_code)
{
	struct modules *m = &c->loader->modules;
	auto_buf struct buf path = {0};
	if (!find_path(c, o, &path) || !ends_in(buf_bytes(&path), is_code ? ".pyc" : ".py"))
		return false;
	struct bytes dir = path_parent(buf_bytes(&path));
	if (is_code && bytes_equal_str(path_last(dir), "__pycache__"))
		dir = path_parent(dir);
	if (!m->known && python_of_module(c->image->tree, dir, &m->python))
		begin(c, false);
	o->source = dir_row(c, dir);
	return m->known && o->source != PYTHON_NO_ROW;
}

void modules_look(struct content *c, struct object *o, struct bytes head)
{
	const struct modules *m = &c->loader->modules;
	unsigned minor;
	bool is_code = python_is_code(head, &minor);
	if (o->size > MODULE_MAX || (!is_code && (!m->known || memchr(head.p, 0, head.n))))
		return;
	bool is_module = o->source != PYTHON_NO_ROW || find_out(c, o, is_code);
	if (is_module && (!is_code || minor == m->python.minor))
		o->stage = AT_MODULE;
}
