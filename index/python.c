#include "index/python.h"

#include "index/file_at.h"
#include "index/index_priv.h"
#include "index/path.h"

#include <ctype.h>
#include <dirent.h>
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
	if (py->n_dirs == PYTHON_DIRS_MAX || path.n == 0 || path.p[0] != '/')
		return;
	uint32_t dir = dir_at(tree, 0, path);
	if (dir == PYTHON_NO_ROW)
		return;
	memmove(py->dirs + 1, py->dirs, py->n_dirs * sizeof(*py->dirs));
	py->dirs[0] = dir;
	py->n_dirs++;
}

/* "python3.11", or "python3.13t", which has no global lock and modules of its own. False: it is no
 * such name. */
static bool take_version(struct bytes name, struct python *py)
{
	static const char start[] = "python3.";
	size_t at = strlen(start);
	unsigned minor = 0;
	if (name.n <= at || memcmp(name.p, start, at) != 0)
		return false;
	for (; at < name.n && isdigit(name.p[at]) && minor <= MINOR_MAX; at++)
		minor = minor * 10 + (name.p[at] - '0');
	bool is_free = at + 1 == name.n && name.p[at] == 't';
	if (minor < MINOR_MIN || minor > MINOR_MAX || at + is_free != name.n)
		return false;
	py->minor = minor;
	snprintf(py->version, sizeof(py->version), "3.%u%s", minor, is_free ? "t" : "");
	snprintf(py->compiled, sizeof(py->compiled), ".cpython-3%u.pyc", minor);
	snprintf(py->tag, sizeof(py->tag), ".cpython-3%u%s-", minor, is_free ? "t" : "");
	return true;
}

/* BEFORE, the version, AFTER, from the prefix on. */
static uint32_t dir_below(const struct index *tree, const struct python *py, uint32_t prefix,
			  const char *before, const char *after)
{
	char path[64];
	snprintf(path, sizeof(path), "%s%s%s", before, py->version, after);
	return prefix == PYTHON_NO_ROW ? prefix : dir_at(tree, prefix, BYTES_STR(path));
}

/* The directories of one prefix. */
static void add_prefix(const struct index *tree, struct python *py, uint32_t prefix)
{
	static const char lib[] = "lib/python";
	add_dir(py, dir_below(tree, py, prefix, lib, ""));
	add_dir(py, dir_below(tree, py, prefix, lib, "/lib-dynload"));
	add_dir(py, dir_below(tree, py, prefix, lib, "/site-packages"));
	add_dir(py, dir_below(tree, py, prefix, "local/lib/python", "/dist-packages"));
	if (prefix != PYTHON_NO_ROW)
		add_dir(py, dir_at(tree, prefix, BYTES_STR("lib/python3/dist-packages")));
}

/* How the extension modules of this version end is seen at those that come with Python. */
static void find_tag(const struct index *tree, struct python *py, uint32_t prefix)
{
	uint32_t dir = dir_below(tree, py, prefix, "lib/python", "/lib-dynload");
	if (dir == PYTHON_NO_ROW)
		return;
	for (uint32_t i = 0; i < index_dir_count(tree, dir) && !py->tagged.n; i++) {
		struct dir_entry entry;
		index_dir_entry(tree, dir, i, &entry);
		const uint8_t *at = memmem(entry.name.p, entry.name.n, py->tag, strlen(py->tag));
		if (at)
			py->tagged = (struct bytes){at, entry.name.n - (size_t)(at - entry.name.p)};
	}
}

/* --- which Python --- */

static bool begin(const struct index *tree, uint32_t prefix, struct python *py)
{
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

static uint32_t parent_row(const struct index *tree, uint32_t dir)
{
	struct inode inode;
	index_inode(tree, dir, &inode);
	return inode.parent;
}

/* PREFIX of PREFIX/bin/python; links on the way to it are followed. */
static uint32_t prefix_of(const struct index *tree, struct bytes program)
{
	struct bytes parent = path_parent(program);
	uint32_t dir = dir_at(tree, 0, parent);
	return dir == PYTHON_NO_ROW ? dir : parent_row(tree, dir);
}

/* By what is there besides a program that does not say it: the highest, with the global lock if
 * there are both. */
static bool version_in(const struct index *tree, uint32_t prefix, struct python *py)
{
	struct python other = {0};
	uint32_t dir = prefix == PYTHON_NO_ROW ? prefix : dir_at(tree, prefix, BYTES_STR("lib"));
	for (uint32_t i = 0; dir != PYTHON_NO_ROW && i < index_dir_count(tree, dir); i++) {
		struct dir_entry entry;
		index_dir_entry(tree, dir, i, &entry);
		if (entry.type != DT_DIR || !take_version(entry.name, &other))
			continue;
		bool is_usual = strlen(other.version) < strlen(py->version);
		if (other.minor > py->minor || (other.minor == py->minor && is_usual))
			*py = other;
	}
	return py->minor != 0;
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
	static const struct bytes nowhere;
	auto_buf struct buf path = {.limit = FORMAT_TARGET_MAX};
	uint32_t row;
	*out = (struct python){0};
	if (!python_is_one(program) || !file_at(tree, nowhere, program, &row) ||
	    buf_append(&path, program.p, program.n))
		return false;
	for (unsigned i = 0; i < HOPS_MAX && next_hop(tree, &path); i++)
		;
	uint32_t prefix = prefix_of(tree, buf_bytes(&path));
	struct bytes name = path_last(buf_bytes(&path));
	bool says_no_version = bytes_equal_str(name, "python") || bytes_equal_str(name, "python3");
	if (!take_version(name, out) && !(says_no_version && version_in(tree, prefix, out)))
		return false;
	if (!begin(tree, prefix, out))
		return false;
	add_prefix(tree, out, prefix_of(tree, program));
	return true;
}

bool python_of_module(const struct index *tree, struct bytes path, struct python *out)
{
	*out = (struct python){0};
	for (struct bytes dir = path; dir.n; dir = path_parent(dir)) {
		struct bytes lib = path_parent(dir);
		if (bytes_equal_str(path_last(lib), "lib") && take_version(path_last(dir), out))
			return begin(tree, dir_at(tree, 0, path_parent(lib)), out);
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
	for (; levels && dir; levels--)
		dir = parent_row(tree, dir);
	return dir;
}

unsigned python_resolve(const struct index *tree, struct python *py, uint32_t dir,
			const struct python_import *import, struct python_module *out)
{
	struct bytes whole = import->name;
	unsigned n = 0;
	size_t begin_of = 0;
	if (import->level && dir == PYTHON_NO_ROW)
		return 0;
	uint32_t from = import->level ? up(tree, dir, import->level - 1) : PYTHON_NO_ROW;
	uint32_t at = from;
	for (unsigned i = 0; i < PYTHON_PARTS_MAX && begin_of < whole.n; i++) {
		const uint8_t *dot = memchr(whole.p + begin_of, '.', whole.n - begin_of);
		size_t end = dot ? (size_t)(dot - whole.p) : whole.n;
		struct bytes so_far = {whole.p, end};
		struct bytes part = {whole.p + begin_of, end - begin_of};
		uint64_t key;
		struct python_name *slot = name_slot(py, from, so_far, &key);
		if (!slot || part.n == 0)
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
