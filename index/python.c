#include "index/python.h"

#include "index/file_at.h"
#include "index/index_priv.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#define MINOR_MIN  6u
#define MINOR_MAX  99u
#define HOPS_MAX   16u	/* from a program's name to the program */
#define FILE_NAMES 512u /* bytes of a file name that is put together */

/* --- names that were looked for --- */

#define NAMES_SIZE (1u << 15)
#define NAMES_MAX  (NAMES_SIZE / 4 * 3)

struct python_names {
	uint64_t seed;
	unsigned n;
	struct python_name {
		uint64_t key;	  /* 0: free */
		uint32_t package; /* the directory that the name leads to; PYTHON_NO_ROW: none */
	} slots[NAMES_SIZE];
};

/* The slot of a name that is looked for in a directory (PYTHON_NO_ROW: in all); it may be free.
 * NULL: there is no room for new ones. */
static struct python_name *name_slot(struct python *py, uint32_t dir, struct bytes name,
				     uint64_t *key)
{
	struct python_names *names = py->names;
	*key = XXH3_64bits_withSeed(name.p, name.n, names->seed ^ dir) | 1;
	size_t at = *key >> 32 & (NAMES_SIZE - 1);
	while (names->slots[at].key && names->slots[at].key != *key)
		at = (at + 1) & (NAMES_SIZE - 1);
	return names->slots[at].key || names->n < NAMES_MAX ? &names->slots[at] : NULL;
}

/* --- directories --- */

static uint32_t dir_at(const struct index *tree, uint32_t from, struct bytes path)
{
	uint32_t row;
	bool is_dir = index_path_from(tree, from, path, true, &row) == 0 &&
		      row < index_info(tree)->n_dirs;
	return is_dir ? row : PYTHON_NO_ROW;
}

static void add_dir(struct python *py, uint32_t dir)
{
	for (unsigned i = 0; i < py->n_dirs; i++)
		if (py->dirs[i] == dir)
			return;
	if (dir != PYTHON_NO_ROW && py->n_dirs < PYTHON_DIRS_MAX)
		py->dirs[py->n_dirs++] = dir;
}

void python_search_first(const struct index *tree, struct python *py, struct bytes path)
{
	uint32_t dir = dir_at(tree, 0, path);
	if (dir == PYTHON_NO_ROW || py->n_dirs == PYTHON_DIRS_MAX)
		return;
	memmove(py->dirs + 1, py->dirs, py->n_dirs * sizeof(*py->dirs));
	py->dirs[0] = dir;
	py->n_dirs++;
}

/* "python3.11", also with letters behind it as in python3.13t; 0: it is no such name. */
static unsigned minor_of(struct bytes name)
{
	static const char start[] = "python3.";
	size_t at = strlen(start);
	unsigned minor = 0;
	if (name.n <= at || memcmp(name.p, start, at) != 0)
		return 0;
	for (; at < name.n && name.p[at] >= '0' && name.p[at] <= '9' && minor < MINOR_MAX; at++)
		minor = minor * 10 + (name.p[at] - '0');
	return minor >= MINOR_MIN && minor <= MINOR_MAX ? minor : 0;
}

/* The directories of one prefix. */
static void add_prefix(const struct index *tree, struct python *py, struct bytes prefix)
{
	static const struct {
		const char *before, *after;
	} below[] = {
		{"lib/python3.", ""},
		{"lib/python3.", "/lib-dynload"},
		{"lib/python3.", "/site-packages"},
		{"local/lib/python3.", "/dist-packages"},
	};
	uint32_t root = dir_at(tree, 0, prefix);
	if (root == PYTHON_NO_ROW)
		return;
	for (size_t i = 0; i < ARRAY_LEN(below); i++) {
		char path[64];
		snprintf(path, sizeof(path), "%s%u%s", below[i].before, py->minor, below[i].after);
		add_dir(py, dir_at(tree, root, BYTES_STR(path)));
	}
	add_dir(py, dir_at(tree, root, BYTES_STR("lib/python3/dist-packages")));
}

/* How the extension modules of this version end is seen at those that come with Python. */
static void find_tag(const struct index *tree, struct python *py, struct bytes prefix)
{
	char path[64], tag[24];
	snprintf(path, sizeof(path), "lib/python3.%u/lib-dynload", py->minor);
	snprintf(tag, sizeof(tag), ".cpython-3%u", py->minor);
	uint32_t root = dir_at(tree, 0, prefix);
	uint32_t dir = root == PYTHON_NO_ROW ? root : dir_at(tree, root, BYTES_STR(path));
	if (dir == PYTHON_NO_ROW)
		return;
	for (uint32_t i = 0; i < index_dir_count(tree, dir) && !py->tagged.n; i++) {
		struct dir_entry entry;
		index_dir_entry(tree, dir, i, &entry);
		const uint8_t *at = memmem(entry.name.p, entry.name.n, tag, strlen(tag));
		if (at)
			py->tagged = (struct bytes){at, entry.name.n - (size_t)(at - entry.name.p)};
	}
}

/* --- which Python --- */

static bool begin(const struct index *tree, struct bytes prefix, struct python *py)
{
	snprintf(py->compiled, sizeof(py->compiled), ".cpython-3%u.pyc", py->minor);
	add_prefix(tree, py, prefix);
	find_tag(tree, py, prefix);
	if (py->n_dirs == 0)
		return false;
	py->names = new_of(struct python_names);
	py->names->seed = hash_seed();
	return true;
}

void python_forget(struct python *py)
{
	memset(py->names->slots, 0, sizeof(py->names->slots));
	py->names->n = 0;
}

void python_fini(struct python *py)
{
	free(take(&py->names));
}

/* The next name of a program that is a link: it replaces the path. False: it is none. */
static bool next_hop(const struct index *tree, struct buf *path)
{
	uint32_t row;
	struct inode inode;
	if (index_path(tree, buf_bytes(path), false, &row))
		return false;
	index_inode(tree, row, &inode);
	if (!S_ISLNK(inode.mode))
		return false;
	struct bytes target = index_link_target(tree, row);
	bool absolute = target.n && target.p[0] == '/';
	path->n = absolute ? 0 : path->n - path_last(buf_bytes(path)).n;
	return buf_append(path, target.p, target.n) == 0;
}

/* If there is only one in the prefix, or the highest. */
static unsigned minor_in(const struct index *tree, struct bytes prefix)
{
	unsigned found = 0;
	uint32_t root = dir_at(tree, 0, prefix);
	uint32_t dir = root == PYTHON_NO_ROW ? root : dir_at(tree, root, BYTES_STR("lib"));
	for (uint32_t i = 0; dir != PYTHON_NO_ROW && i < index_dir_count(tree, dir); i++) {
		struct dir_entry entry;
		index_dir_entry(tree, dir, i, &entry);
		found = max_of(found, minor_of(entry.name));
	}
	return found;
}

bool python_is_one(struct bytes program)
{
	static const char start[] = "python";
	struct bytes name = path_last(program);
	return name.n >= strlen(start) && memcmp(name.p, start, strlen(start)) == 0;
}

/* Of a virtual environment the program is a link to that of the installation, and modules are
 * looked for in both: in those of the installation first. */
bool python_find(const struct index *tree, struct bytes program, struct python *out)
{
	auto_buf struct buf path = {.limit = FORMAT_TARGET_MAX};
	*out = (struct python){0};
	if (!python_is_one(program) || buf_append(&path, program.p, program.n))
		return false;
	for (unsigned i = 0; i < HOPS_MAX && next_hop(tree, &path); i++)
		;
	struct bytes prefix = path_parent(path_parent(buf_bytes(&path)));
	out->minor = minor_of(path_last(buf_bytes(&path)));
	if (!out->minor)
		out->minor = minor_in(tree, prefix);
	if (!out->minor || !begin(tree, prefix, out))
		return false;
	add_prefix(tree, out, path_parent(path_parent(program)));
	return true;
}

bool python_of_module(const struct index *tree, struct bytes path, struct python *out)
{
	*out = (struct python){0};
	for (struct bytes dir = path; dir.n; dir = path_parent(dir)) {
		struct bytes lib = path_parent(dir);
		out->minor = bytes_equal_str(path_last(lib), "lib") ? minor_of(path_last(dir)) : 0;
		if (out->minor)
			return begin(tree, path_parent(lib), out);
	}
	return false;
}

/* --- modules --- */

/* What one part of a dotted name leads to. */
struct part {
	uint32_t file;	  /* PYTHON_NO_ROW: a directory without code of its own */
	uint32_t package; /* PYTHON_NO_ROW: a module */
};

/* NAME and what it ends in, in a directory; links are followed. */
static bool child(const struct index *tree, uint32_t dir, struct bytes name, struct bytes end,
		  uint32_t *row)
{
	uint8_t text[FILE_NAMES];
	if (name.n + end.n > sizeof(text))
		return false;
	memcpy(text, name.p, name.n);
	if (end.n)
		memcpy(text + name.n, end.p, end.n);
	struct bytes whole = {text, name.n + end.n};
	struct inode inode;
	if (index_lookup(tree, dir, whole, row))
		return false;
	index_inode(tree, *row, &inode);
	return !S_ISLNK(inode.mode) || index_path_from(tree, dir, whole, true, row) == 0;
}

static bool file_child(const struct index *tree, uint32_t dir, struct bytes name, struct bytes end,
		       uint32_t *row)
{
	const struct index_info *info = index_info(tree);
	return child(tree, dir, name, end, row) && *row >= info->n_dirs &&
	       *row - info->n_dirs < info->n_regular;
}

static bool dir_child(const struct index *tree, uint32_t dir, struct bytes name, uint32_t *row)
{
	return child(tree, dir, name, (struct bytes){0}, row) && *row < index_info(tree)->n_dirs;
}

/* Extension modules come first, as in Python; a source is read if it is not compiled. */
static bool find_file(const struct index *tree, const struct python *py, uint32_t dir,
		      struct bytes name, uint32_t *row)
{
	uint32_t cache, compiled;
	if ((py->tagged.n && file_child(tree, dir, name, py->tagged, row)) ||
	    file_child(tree, dir, name, BYTES_STR(".abi3.so"), row) ||
	    file_child(tree, dir, name, BYTES_STR(".so"), row))
		return true;
	if (!file_child(tree, dir, name, BYTES_STR(".py"), row))
		return file_child(tree, dir, name, BYTES_STR(".pyc"), row);
	if (dir_child(tree, dir, BYTES_STR("__pycache__"), &cache) &&
	    file_child(tree, cache, name, BYTES_STR(py->compiled), &compiled))
		*row = compiled;
	return true;
}

static bool find_part(const struct index *tree, const struct python *py, uint32_t dir,
		      struct bytes name, struct part *out)
{
	uint32_t package;
	bool is_dir = dir_child(tree, dir, name, &package);
	if (is_dir && find_file(tree, py, package, BYTES_STR("__init__"), &out->file)) {
		out->package = package;
		return true;
	}
	if (find_file(tree, py, dir, name, &out->file)) {
		out->package = PYTHON_NO_ROW;
		return true;
	}
	*out = (struct part){PYTHON_NO_ROW, is_dir ? package : PYTHON_NO_ROW};
	return is_dir;
}

/* A directory without code counts only if nothing else has the name. */
static bool find_top(const struct index *tree, const struct python *py, struct bytes name,
		     struct part *out, uint32_t *in)
{
	struct part part, found = {PYTHON_NO_ROW, PYTHON_NO_ROW};
	for (unsigned i = 0; i < py->n_dirs && found.file == PYTHON_NO_ROW; i++) {
		if (!find_part(tree, py, py->dirs[i], name, &part) ||
		    (part.file == PYTHON_NO_ROW && found.package != PYTHON_NO_ROW))
			continue;
		found = part;
		*in = py->dirs[i];
	}
	*out = found;
	return found.file != PYTHON_NO_ROW || found.package != PYTHON_NO_ROW;
}

/* Part of Python itself since 3.11: their files are not read. */
static bool is_frozen(const struct python *py, struct bytes name)
{
	static const char *const frozen[] = {
		"_collections_abc",
		"_sitebuiltins",
		"abc",
		"codecs",
		"genericpath",
		"importlib._bootstrap",
		"importlib._bootstrap_external",
		"importlib.machinery",
		"importlib.util",
		"io",
		"ntpath",
		"os",
		"posixpath",
		"runpy",
		"site",
		"stat",
		"zipimport",
	};
	for (size_t i = 0; i < ARRAY_LEN(frozen) && py->minor >= 11; i++)
		if (bytes_equal_str(name, frozen[i]))
			return true;
	return false;
}

/* One part of a name, which has not been looked for. @dir: where it must be; PYTHON_NO_ROW: in any
 * directory. Its file, if it has one, becomes *found. */
static uint32_t resolve_part(const struct index *tree, struct python *py, uint32_t dir,
			     struct bytes part, bool frozen, struct python_module *found)
{
	struct part to = {PYTHON_NO_ROW, PYTHON_NO_ROW};
	uint32_t in = dir;
	bool is_there = dir == PYTHON_NO_ROW ? find_top(tree, py, part, &to, &in)
					     : find_part(tree, py, dir, part, &to);
	if (is_there && !frozen)
		*found = (struct python_module){to.file,
						to.package == PYTHON_NO_ROW ? in : to.package};
	return to.package;
}

static uint32_t up(const struct index *tree, uint32_t dir, unsigned levels)
{
	struct inode inode;
	for (; levels && dir; levels--) {
		index_inode(tree, dir, &inode);
		dir = inode.parent;
	}
	return dir;
}

unsigned python_resolve(const struct index *tree, struct python *py, uint32_t dir,
			const struct python_import *import, struct python_module *out)
{
	struct bytes whole = import->name;
	uint32_t from = import->level ? up(tree, dir, import->level - 1) : PYTHON_NO_ROW;
	uint32_t at = from;
	unsigned n = 0;
	size_t begin_of = 0;
	for (unsigned i = 0; i < PYTHON_PARTS_MAX && begin_of < whole.n; i++) {
		const uint8_t *dot = memchr(whole.p + begin_of, '.', whole.n - begin_of);
		size_t end = dot ? (size_t)(dot - whole.p) : whole.n;
		struct bytes so_far = {whole.p, end};
		struct bytes part = {whole.p + begin_of, end - begin_of};
		uint64_t key;
		struct python_name *slot = name_slot(py, from, so_far, &key);
		if (!slot)
			return n;
		if (!slot->key) {
			struct python_module found = {PYTHON_NO_ROW, PYTHON_NO_ROW};
			bool frozen = from == PYTHON_NO_ROW && is_frozen(py, so_far);
			uint32_t package = resolve_part(tree, py, at, part, frozen, &found);
			py->names->n++;
			*slot = (struct python_name){key, package};
			if (found.row != PYTHON_NO_ROW)
				out[n++] = found;
		}
		at = slot->package;
		if (at == PYTHON_NO_ROW)
			return n;
		begin_of = end + 1;
	}
	return n;
}
