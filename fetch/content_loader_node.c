/*
 * Modules of Node.js, for content_loader_modules.c: how a Node is started, and what its modules
 * import (index/node.h, index/js_imports.h). Of a package the name leads to its package.json, which
 * Node reads in any case; what that says is the module is its only import.
 */
#include "fetch/content_loader_priv.h"

#include "fetch/json.h"
#include "index/node.h"

#include <ctype.h>
#include <string.h>

#define CHOICES_MAX 8 /* conditions in conditions */

/* --- what is imported --- */

/* What "exports" says of the package itself, to who requires it; NULL: nothing. */
static const char *chosen(const json_t *value)
{
	static const char *const keys[] = {".", "node", "require", "default", "import"};
	for (unsigned depth = 0; json_is_object(value) && depth < CHOICES_MAX; depth++) {
		const json_t *next = NULL;
		for (size_t i = 0; i < ARRAY_LEN(keys) && !next; i++)
			next = json_object_get(value, keys[i]);
		value = next;
	}
	return json_string_value(value);
}

/* A path in the package, with or without "./" before it. */
static void add_main(const char *path, struct js_imports *list)
{
	auto_free char *name = xasprintf("./%s", path);
	(void)js_imports_add(list, BYTES_STR(name));
}

static void look_through_package(struct object *o, struct bytes file)
{
	json_auto_t *root = NULL;
	const char *path = NULL;
	if (json_parse_object(file, &root, NULL) == 0) {
		path = chosen(json_object_get(root, "exports"));
		if (!path)
			path = json_string_value(json_object_get(root, "main"));
	}
	add_main(path ? path : "index.js", &o->names);
}

/* What is required may be data. */
static bool is_json(struct bytes file)
{
	size_t at = 0;
	while (at < file.n && isspace(file.p[at]))
		at++;
	return at < file.n && (file.p[at] == '{' || file.p[at] == '[');
}

void node_look_through(struct object *o, struct bytes file)
{
	if (o->is_package)
		look_through_package(o, file);
	else if (!is_json(file))
		js_imports_of(file, &o->names);
}

static void import_one(struct content *c, uint32_t dir, struct bytes name)
{
	struct node_module found;
	if (!node_resolve(c->image->tree, dir, name, &found))
		return;
	struct object *o = object_module(c, found.row, found.dir, NODE);
	if (o)
		o->is_package = found.is_package;
}

bool node_import(struct content *c, const struct js_imports *list, size_t *at, uint32_t dir)
{
	struct bytes name;
	for (unsigned i = 0; i < IMPORTS_AT_ONCE; i++) {
		size_t before = *at;
		if (!js_imports_next(list, at, &name))
			return true;
		if (!modules_have_room(c)) {
			*at = before;
			return false;
		}
		import_one(c, dir, name);
	}
	return false;
}

/* --- how a Node is started --- */

void node_import_scope(struct content *c, uint32_t dir)
{
	const struct index *tree = c->image->tree;
	struct node_module found;
	struct inode inode;
	for (unsigned level = 0; level < NODE_LEVELS_MAX; level++) {
		if (node_resolve(tree, dir, BYTES_STR("./package.json"), &found)) {
			(void)object_module(c, found.row, found.dir, NO_LANGUAGE);
			return;
		}
		index_inode(tree, dir, &inode);
		if (dir == inode.parent)
			return;
		dir = inode.parent;
	}
}

static bool takes_module(const char *word)
{
	static const char *const options[] = {"-r", "--require", "--import"};
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (!strcmp(word, options[i]))
			return true;
	return false;
}

/* node [-r MODULE]... [FILE]; a file that is called by its whole name is expected as such. */
static void import_by_words(struct content *c, uint32_t dir)
{
	const char *words[EXPECT_WORDS_MAX];
	size_t n = expect_words(c, words), i = 0;
	while (i < n && !node_is_one(BYTES_STR(words[i])))
		i++;
	for (i++; i < n && words[i][0] == '-'; i++)
		if (i + 1 < n && takes_module(words[i])) {
			i++;
			import_one(c, dir, BYTES_STR(words[i]));
		}
	if (i >= n)
		return;
	auto_free char *path = xasprintf("%s%s", words[i][0] == '/' ? "" : "./", words[i]);
	import_one(c, dir, BYTES_STR(path));
}

void node_begin(struct content *c)
{
	auto_free char *cwd = expect_dir(c);
	uint32_t dir = modules_dir(c, BYTES_STR(cwd));
	c->loader->modules.has_node = true;
	if (dir != NO_ROW)
		import_by_words(c, dir);
}
