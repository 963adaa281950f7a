/*
 * Python's modules, for content_loader_modules.c: how a Python is started, and what its modules
 * import (index/python.h, index/python_imports.h).
 */
#include "fetch/content_loader_priv.h"

#include <string.h>

/* Read by every start: the codecs of the usual locale, and what sets the search path up. */
#define ALWAYS "import encodings.utf_8, site, sitecustomize\n"

#define ROUNDS_AT_BEGIN 4 /* each of IMPORTS_AT_ONCE: more than anybody writes behind -c */

/* --- what is imported --- */

void python_look_through(struct object *o, struct bytes file)
{
	unsigned minor;
	if (python_is_code(file, &minor))
		python_imports_of_code(file, &o->imports);
	else
		python_imports_of_source(file, &o->imports);
}

bool python_import(struct content *c, const struct python_imports *list, size_t *at, uint32_t dir)
{
	struct modules *m = &c->loader->modules;
	struct python_module found[PYTHON_PARTS_MAX];
	struct python_import import;
	for (unsigned i = 0; i < IMPORTS_AT_ONCE; i++) {
		size_t before = *at;
		if (!python_imports_next(list, at, &import))
			return true;
		if (!modules_have_room(c)) {
			*at = before;
			return false;
		}
		unsigned n = python_resolve(c->image->tree, &m->python, dir, &import, found);
		for (unsigned k = 0; k < n; k++)
			(void)object_module(c, found[k].row, found[k].dir, PYTHON);
	}
	return false;
}

/* --- how a Python is started --- */

/* Directories with ':' between them, as in PYTHONPATH: the last one first, since each is put before
 * all others. Of very many those at the beginning are left out. */
static void search_first(struct content *c, struct bytes dirs)
{
	for (unsigned i = 0; dirs.n && i < PYTHON_DIRS_MAX; i++) {
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

void python_begin(struct content *c, bool started)
{
	auto_free char *cwd = expect_dir(c);
	struct python_imports list = {0};
	size_t at = 0;
	c->loader->modules.has_python = true;
	search_first(c, expect_env(c, "PYTHONPATH"));
	python_search_first(c->image->tree, &c->loader->modules.python, BYTES_STR(cwd));
	python_imports_of_source(BYTES_STR(ALWAYS), &list);
	if (started)
		import_by_words(c, &list);
	for (unsigned i = 0; i < ROUNDS_AT_BEGIN && !python_import(c, &list, &at, NO_ROW); i++)
		;
	python_imports_fini(&list);
}
