/*
 * test_python_resolve - which files an import reads, in which order, and that no name leads out of
 * the directories of modules
 */
#include "tests/unit/python_world.h"

#define TAG "cpython-311-x86_64-linux-gnu"

/* The directories: /app, then those of INSTALLED, or of a Python without lib-dynload. */
static void begin(const char *text, const char *program, struct world *w)
{
	look_into(text, w);
	assert_true(python_find(w->tree, BYTES_STR(program), &w->py));
	python_search_first(w->tree, &w->py, BYTES_STR("/app"));
}

static void begin_installed(const char *text, struct world *w)
{
	auto_free char *all = xasprintf("%s%s", INSTALLED, text);
	begin(all, "/usr/bin/python3.11", w);
}

/* @dir: of the module that imports; @paths: of what is read, links resolved. */
static void check_next(struct world *w, uint32_t dir, unsigned level, struct bytes name,
		       const char *paths)
{
	struct python_module found[PYTHON_PARTS_MAX];
	const struct python_import import = {level, name};
	auto_buf struct buf got = {0};
	unsigned n = python_resolve(w->tree, &w->py, dir, &import, found);
	assert_in_range(n, 0, PYTHON_PARTS_MAX);
	for (unsigned i = 0; i < n; i++)
		put_path(w, found[i].row, &got);
	auto_free char *what =
		xasprintf("%u %.*s", level, (int)min_of(name.n, (size_t)200), (const char *)name.p);
	check_paths(what, &got, paths);
}

/* Of a name that was not looked for before. */
static void check(struct world *w, const char *name, const char *paths)
{
	python_forget(&w->py);
	check_next(w, PYTHON_NO_ROW, 0, BYTES_STR(name), paths);
}

static void check_from(struct world *w, const char *dir, unsigned level, const char *name,
		       const char *paths)
{
	python_forget(&w->py);
	check_next(w, row_of(w, dir), level, BYTES_STR(name), paths);
}

static const char packages[] = "f app/a/__init__.py x\nf app/a/b.py x\nf app/a/c/__init__.py x\n"
			       "f app/a/c/d.py x\nf app/m.py x\nf app/a/m.py x\n"
			       "f app/both.py x\nf app/both/__init__.py x\n"
			       "f usr/lib/python3.11/json/__init__.py x\n"
			       "f usr/lib/python3.11/m.py x\n"
			       "f usr/lib/python3.11/site-packages/a/e.py x\n"
			       "f top.py x\nf top/__init__.py x\n";

static void packages_and_modules(void **state)
{
	struct world w;
	(void)state;
	begin_installed(packages, &w);
	check(&w, "m", "/app/m.py");
	check(&w, "a", "/app/a/__init__.py");
	check(&w, "a.b", "/app/a/__init__.py /app/a/b.py");
	check(&w, "a.c.d", "/app/a/__init__.py /app/a/c/__init__.py /app/a/c/d.py");
	check(&w, "a.c.gone.d", "/app/a/__init__.py /app/a/c/__init__.py");
	check(&w, "a.d", "/app/a/__init__.py");
	check(&w, "a.e", "/app/a/__init__.py");
	check(&w, "m.b", "/app/m.py");
	check(&w, "both", "/app/both/__init__.py");
	check(&w, "json", "/usr/lib/python3.11/json/__init__.py");
	check(&w, "gone.a", "");
	check(&w, "b", "");
	check(&w, "top", "");
	check(&w, "A", "");
	check(&w, "_json", "/usr/lib/python3.11/lib-dynload/_json." TAG ".so");
	look_away(&w);
}

static void a_directory_counts_if_nothing_else_has_the_name(void **state)
{
	struct world w;
	(void)state;
	begin_installed("f app/space/in/x.py x\nf app/space/y.py x\n"
			"d usr/lib/python3.11/site-packages/space\n"
			"f app/later/x.py x\nf usr/lib/python3.11/site-packages/later.py x\n"
			"f app/pack/x.py x\n"
			"f usr/lib/python3.11/site-packages/pack/__init__.py x\n"
			"f app/beside/x.py x\nf app/beside.py x\n"
			"f app/top/__init__.py x\nf app/top/sub/x.py x\nf app/empty/x.txt x\n"
			"d app/odd/__init__.py\nf app/odd/x.py x\n",
			&w);
	check(&w, "space", "");
	check(&w, "space.y", "/app/space/y.py");
	check(&w, "space.in.x", "/app/space/in/x.py");
	check(&w, "later.x", "/usr/lib/python3.11/site-packages/later.py");
	check(&w, "pack.x", "/usr/lib/python3.11/site-packages/pack/__init__.py");
	check(&w, "beside.x", "/app/beside.py");
	check(&w, "top.sub.x", "/app/top/__init__.py /app/top/sub/x.py");
	check(&w, "empty.x", "");
	check(&w, "odd.x", "/app/odd/x.py");
	look_away(&w);
}

static void extensions_then_source_then_compiled(void **state)
{
	struct world w;
	(void)state;
	begin_installed("f app/e." TAG ".so x\nf app/e.abi3.so x\nf app/e.so x\nf app/e.py x\n"
			"f app/f.abi3.so x\nf app/f.so x\nf app/f.py x\nf app/f.pyc x\n"
			"f app/g.so x\nf app/g.py x\n"
			"f app/h.py x\nf app/h.pyc x\nf app/i.pyc x\n"
			"f app/j.cpython-310-x86_64-linux-gnu.so x\n"
			"f app/k.cpython-311-aarch64-linux-gnu.so x\n"
			"f app/l/__init__." TAG ".so x\nf app/l/__init__.py x\nf app/l/x.pyc x\n"
			"d app/n." TAG ".so\nc app/n.so 1 3\nf app/n.py x\n",
			&w);
	check(&w, "e", "/app/e." TAG ".so");
	check(&w, "f", "/app/f.abi3.so");
	check(&w, "g", "/app/g.so");
	check(&w, "h", "/app/h.py");
	check(&w, "i", "/app/i.pyc");
	check(&w, "j", "");
	check(&w, "k", "");
	check(&w, "l.x", "/app/l/__init__." TAG ".so /app/l/x.pyc");
	check(&w, "n", "/app/n.py");
	look_away(&w);
}

/* How the extension modules of this Python end is not known. */
static void without_a_tag_the_others_are_found(void **state)
{
	struct world w;
	(void)state;
	begin("f opt/bin/python3.11 x\nd opt/lib/python3.11/lib-dynload\nf app/e." TAG ".so x\n"
	      "f app/e.abi3.so x\nf app/f." TAG ".so x\nf app/f.py x\nf app/g." TAG ".so x\n"
	      "f app/h x\n",
	      "/opt/bin/python3.11", &w);
	assert_int_equal(w.py.tagged.n, 0);
	check(&w, "e", "/app/e.abi3.so");
	check(&w, "f", "/app/f.py");
	check(&w, "g", "");
	check(&w, "h", "");
	look_away(&w);
}

static void what_is_compiled_is_read_in_place_of_the_source(void **state)
{
	struct world w;
	(void)state;
	begin_installed("f app/q.py x\nf app/__pycache__/q.cpython-311.pyc x\n"
			"f app/r.py x\nf app/__pycache__/r.cpython-310.pyc x\n"
			"f app/__pycache__/r.cpython-311.opt-1.pyc x\n"
			"f app/__pycache__/s.cpython-311.pyc x\n"
			"f app/t/__init__.py x\nf app/t/__pycache__/__init__.cpython-311.pyc x\n"
			"f app/t/u.py x\nf app/t/__pycache__/u.cpython-310.pyc x\n"
			"f app/t/__pycache__/u.cpython-311.pyc x\n"
			"f app/v.so x\nf app/v.py x\nf app/__pycache__/v.cpython-311.pyc x\n"
			"f app/y.py x\nd app/__pycache__/y.cpython-311.pyc\n"
			"f app/z/__init__.py x\nf app/z/__pycache__ not-a-directory\n",
			&w);
	check(&w, "q", "/app/__pycache__/q.cpython-311.pyc");
	check(&w, "r", "/app/r.py");
	check(&w, "s", "");
	check(&w, "t.u",
	      "/app/t/__pycache__/__init__.cpython-311.pyc"
	      " /app/t/__pycache__/u.cpython-311.pyc");
	check(&w, "v", "/app/v.so");
	check(&w, "y", "/app/y.py");
	check(&w, "z", "/app/z/__init__.py");
	look_away(&w);
}

static void each_only_once(void **state)
{
	struct world w;
	(void)state;
	begin_installed(packages, &w);
	const uint32_t any = PYTHON_NO_ROW, dir = row_of(&w, "/app/a");
	check(&w, "a.b", "/app/a/__init__.py /app/a/b.py");
	check_next(&w, any, 0, BYTES_STR("a.b"), "");
	check_next(&w, any, 0, BYTES_STR("a"), "");
	check_next(&w, any, 0, BYTES_STR("a.c.d"), "/app/a/c/__init__.py /app/a/c/d.py");
	check_next(&w, any, 0, BYTES_STR("a.c"), "");
	check_next(&w, any, 0, BYTES_STR("gone.x"), "");
	check_next(&w, any, 0, BYTES_STR("m"), "/app/m.py");
	check_next(&w, dir, 1, BYTES_STR("m"), "/app/a/m.py");
	check_next(&w, dir, 1, BYTES_STR("c.d"), "/app/a/c/__init__.py /app/a/c/d.py");
	check_next(&w, dir, 1, BYTES_STR("c.d"), "");
	check_next(&w, row_of(&w, "/app/a/c"), 2, BYTES_STR("c"), "");
	python_forget(&w.py);
	check_next(&w, any, 0, BYTES_STR("a.b"), "/app/a/__init__.py /app/a/b.py");
	look_away(&w);
}

static void from_the_directory_of_the_module(void **state)
{
	struct world w;
	(void)state;
	begin_installed(packages, &w);
	check_from(&w, "/app/a/c", 1, "d", "/app/a/c/d.py");
	check_from(&w, "/app/a/c", 1, "b", "");
	check_from(&w, "/app/a/c", 2, "b", "/app/a/b.py");
	check_from(&w, "/app/a/c", 2, "c.d", "/app/a/c/__init__.py /app/a/c/d.py");
	check_from(&w, "/app/a/c", 3, "m", "/app/m.py");
	check_from(&w, "/app/a", 1, "c.d", "/app/a/c/__init__.py /app/a/c/d.py");
	/* Only there. */
	check_from(&w, "/app/a", 1, "json", "");
	check_from(&w, "/app/a", 1, "e", "");
	check_from(&w, "/app/a", 1, "a", "");
	/* The package itself, which has been read. */
	check_from(&w, "/app/a/c", 1, "", "");
	check_from(&w, "/app/a/c", 2, "", "");
	/* Level 0 does not care. */
	check_from(&w, "/app/a", 0, "b", "");
	check_from(&w, "/app/a", 0, "m", "/app/m.py");
	look_away(&w);
}

static void above_the_root_is_the_root(void **state)
{
	static const unsigned levels[] = {4, 5, 100, 255, UINT32_MAX};
	struct world w;
	(void)state;
	begin_installed(packages, &w);
	for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
		check_from(&w, "/app/a/c", levels[i], "m", "");
		check_from(&w, "/app/a/c", levels[i], "json", "");
		check_from(&w, "/app/a/c", levels[i], "app.m", "/app/m.py");
	}
	look_away(&w);
}

/* Where a module's own imports begin: beside its source. */
/* What python -c runs lies in no directory. */
static void from_nowhere(void **state)
{
	struct world w;
	(void)state;
	begin_installed("f app/m.py x\nf m.py x\n", &w);
	for (unsigned level = 1; level <= 3; level++)
		check_next(&w, PYTHON_NO_ROW, level, BYTES_STR("m"), "");
	check(&w, "m", "/app/m.py");
	look_away(&w);
}

/* The names of a debug build say so, too. */
static void other_builds_have_other_tags(void **state)
{
	struct world w;
	(void)state;
	begin_installed("f usr/lib/python3.11/lib-dynload/a.cpython-311d-x86_64-linux-gnu.so x\n"
			"f usr/lib/python3.11/lib-dynload/b.cpython-311d-x86_64-linux-gnu.so x\n"
			"f usr/lib/python3.11/lib-dynload/c.cpython-3111-x86_64-linux-gnu.so x\n"
			"f app/fast." TAG ".so x\nf app/.py x\nf app/p/.py x\nf app/p/q.py x\n",
			&w);
	check(&w, "fast", "/app/fast." TAG ".so");
	check(&w, "a", "");
	check(&w, ".q", "");
	check(&w, "p..q", "");
	look_away(&w);
}

static void the_directory_of_a_module(void **state)
{
	static const char *const dirs[] = {"/app/p", "/app/p/q", "/app/p/q"};
	struct python_module found[PYTHON_PARTS_MAX];
	struct world w;
	(void)state;
	begin_installed("f app/p/__init__.py x\nf app/p/__pycache__/__init__.cpython-311.pyc x\n"
			"f app/p/q/__init__.so x\nf app/p/q/r.py x\n"
			"f app/p/q/__pycache__/r.cpython-311.pyc x\nf app/space/x.py x\n",
			&w);
	struct python_import import = {0, BYTES_STR("p.q.r")};
	assert_int_equal(python_resolve(w.tree, &w.py, PYTHON_NO_ROW, &import, found), 3);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		assert_int_equal(found[i].dir, row_of(&w, dirs[i]));
	import = (struct python_import){2, BYTES_STR("q.r")};
	uint32_t from = row_of(&w, "/app/p/q");
	assert_int_equal(python_resolve(w.tree, &w.py, from, &import, found), 2);
	assert_int_equal(found[0].dir, row_of(&w, "/app/p/q"));
	assert_int_equal(found[1].dir, row_of(&w, "/app/p/q"));
	import = (struct python_import){0, BYTES_STR("space.x")};
	assert_int_equal(python_resolve(w.tree, &w.py, PYTHON_NO_ROW, &import, found), 1);
	assert_int_equal(found[0].dir, row_of(&w, "/app/space"));
	import = (struct python_import){0, BYTES_STR("_json")};
	assert_int_equal(python_resolve(w.tree, &w.py, PYTHON_NO_ROW, &import, found), 1);
	assert_int_equal(found[0].dir, row_of(&w, "/usr/lib/python3.11/lib-dynload"));
	look_away(&w);
}

/* --- names --- */

static void names_that_are_not_well_formed(void **state)
{
	static const char *const none[] = {"",	     ".",	 "..",	   "...", ".a",
					   "..a",    "/",	 "../top", "a/b", "app/m",
					   "/app/m", "../app/m", "./m",	   "m/",  "\xff",
					   "*",	     "__init__", "m\xc0",  " m"};
	struct world w;
	(void)state;
	begin_installed(packages, &w);
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		check(&w, none[i], "");
		check_from(&w, "/app", 1, none[i], "");
	}
	check(&w, "a..b", "/app/a/__init__.py");
	check(&w, "a...m", "/app/a/__init__.py");
	check(&w, "a.", "/app/a/__init__.py");
	check(&w, "a./m", "/app/a/__init__.py");
	check(&w, "a.c/d", "/app/a/__init__.py");
	check_from(&w, "/app/a", 1, "../m", "");
	check_from(&w, "/app/a", 1, "c..d", "/app/a/c/__init__.py");
	check_next(&w, PYTHON_NO_ROW, 0, (struct bytes){NULL, 0}, "");
	check_next(&w, PYTHON_NO_ROW, 0, (struct bytes){(const uint8_t *)"m\0x", 3}, "");
	check_next(&w, PYTHON_NO_ROW, 0, (struct bytes){(const uint8_t *)"a.b\0", 4},
		   "/app/a/__init__.py");
	look_away(&w);
}

static void names_that_are_too_long(void **state)
{
	static const size_t lengths[] = {252, 253, 255, 256, 500, 512, 513, 5000, 1u << 20};
	struct world w;
	auto_free char *name = xcalloc(1, (1u << 20) + 1);
	(void)state;
	begin_installed(packages, &w);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		memset(name, 'x', lengths[i]);
		check(&w, name, "");
		check_from(&w, "/app/a", 1, name, "");
		memcpy(name, "a.", 2);
		check(&w, name, "/app/a/__init__.py");
	}
	memset(name, '.', 1u << 20);
	check(&w, name, "");
	look_away(&w);
}

static void no_more_parts_than_there_is_room_for(void **state)
{
	struct world w;
	auto_buf struct buf text = {0}, name = {0}, paths = {0}, dir = {0};
	(void)state;
	put_text(&dir, "app");
	for (unsigned i = 0; i < PYTHON_PARTS_MAX + 4; i++) {
		put_text(&dir, "/p");
		auto_free char *at = xasprintf("%.*s/__init__.py", (int)dir.n, (char *)dir.p);
		auto_free char *line = xasprintf("f %s x\n", at);
		auto_free char *path = xasprintf("%s/%s", i ? " " : "", at);
		put_text(&text, line);
		put_text(&name, i ? ".p" : "p");
		if (i < PYTHON_PARTS_MAX)
			put_text(&paths, path);
	}
	assert_int_equal(buf_append(&text, "", 1) | buf_append(&name, "", 1), 0);
	assert_int_equal(buf_append(&paths, "", 1), 0);
	begin_installed((char *)text.p, &w);
	check(&w, (char *)name.p, (char *)paths.p);
	check_next(&w, PYTHON_NO_ROW, 0, BYTES_STR((char *)name.p), "");
	look_away(&w);
}

static const char frozen[] = "f app/abc.py x\nf app/p/__init__.py x\nf app/p/os.py x\n"
			     "f opt/bin/python3.10 x\nf opt/lib/python3.10/os.py x\n"
			     "f usr/lib/python3.11/io.py x\nf usr/lib/python3.11/osx.py x\n"
			     "f usr/lib/python3.11/importlib/__init__.py x\n"
			     "f usr/lib/python3.11/importlib/util.py x\n"
			     "f usr/lib/python3.11/importlib/abc.py x\n";

static void what_is_part_of_python_is_not_read(void **state)
{
	struct world w;
	(void)state;
	begin_installed(frozen, &w);
	check(&w, "os", "");
	check(&w, "os.path", "");
	check(&w, "io", "");
	check(&w, "abc", "");
	check(&w, "osx", "/usr/lib/python3.11/osx.py");
	check(&w, "importlib.util", "/usr/lib/python3.11/importlib/__init__.py");
	check(&w, "importlib.abc",
	      "/usr/lib/python3.11/importlib/__init__.py /usr/lib/python3.11/importlib/abc.py");
	check(&w, "p.os", "/app/p/__init__.py /app/p/os.py");
	check_from(&w, "/app/p", 1, "os", "/app/p/os.py");
	check_from(&w, "/app/p", 2, "abc", "/app/abc.py");
	python_fini(&w.py);
	assert_true(python_find(w.tree, BYTES_STR("/opt/bin/python3.10"), &w.py));
	check(&w, "os", "/opt/lib/python3.10/os.py");
	look_away(&w);
}

static void links_are_followed_inside_the_tree(void **state)
{
	struct python_module found[PYTHON_PARTS_MAX];
	const struct python_import import = {0, BYTES_STR("pack.sub")};
	struct world w;
	(void)state;
	begin_installed("f data/real.py x\nf data/pack/__init__.py x\nf data/pack/sub.py x\n"
			"f data/pack/sub.pyc x\ns data/pack/__pycache__ ../cache\n"
			"s data/cache/sub.cpython-311.pyc /data/pack/sub.pyc\n"
			"s app/near.py ../data/real.py\ns app/far.py /data/real.py\n"
			"s app/up.py ../../../../data/real.py\ns app/twice.py near.py\n"
			"s app/pack /data/pack\n"
			"s app/broken.py gone\nf usr/lib/python3.11/broken.py x\n"
			"s app/loop.py loop.py\ns app/pair pair2\ns app/pair2 pair\n"
			"s app/to-dir.py ../data\ns app/space ../data\n",
			&w);
	check(&w, "near", "/data/real.py");
	check(&w, "far", "/data/real.py");
	check(&w, "up", "/data/real.py");
	check(&w, "twice", "/data/real.py");
	check(&w, "broken", "/usr/lib/python3.11/broken.py");
	check(&w, "loop", "");
	check(&w, "pair.x", "");
	check(&w, "to-dir", "");
	check(&w, "space.real", "/data/real.py");
	check(&w, "pack.sub", "/data/pack/__init__.py /data/pack/sub.pyc");
	python_forget(&w.py);
	assert_int_equal(python_resolve(w.tree, &w.py, PYTHON_NO_ROW, &import, found), 2);
	assert_int_equal(found[0].dir, row_of(&w, "/data/pack"));
	assert_int_equal(found[1].dir, row_of(&w, "/data/pack"));
	look_away(&w);
}

static void look_for_many(struct world *w, unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++) {
		auto_free char *name = xasprintf("n%u", i);
		check_next(w, PYTHON_NO_ROW, 0, BYTES_STR(name), "");
	}
}

static void after_many_names_nothing_is_found(void **state)
{
	const unsigned all = 24576;
	struct world w;
	(void)state;
	begin_installed(packages, &w);
	const uint32_t any = PYTHON_NO_ROW, dir = row_of(&w, "/app/a");
	look_for_many(&w, 0, all - 2);
	look_for_many(&w, 0, all - 2); /* known ones do not count again */
	check_next(&w, any, 0, BYTES_STR("a.b.c"), "/app/a/__init__.py /app/a/b.py");
	check_next(&w, any, 0, BYTES_STR("m"), "");
	check_next(&w, any, 0, BYTES_STR("a.c"), "");
	check_next(&w, dir, 1, BYTES_STR("b"), "");
	look_for_many(&w, all, 2000);
	python_forget(&w.py);
	check_next(&w, any, 0, BYTES_STR("m"), "/app/m.py");
	look_for_many(&w, 0, all - 2);
	check_next(&w, any, 0, BYTES_STR("a.c"), "/app/a/__init__.py");
	check_next(&w, any, 0, BYTES_STR("a.c"), "");
	look_away(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packages_and_modules),
		cmocka_unit_test(a_directory_counts_if_nothing_else_has_the_name),
		cmocka_unit_test(extensions_then_source_then_compiled),
		cmocka_unit_test(without_a_tag_the_others_are_found),
		cmocka_unit_test(what_is_compiled_is_read_in_place_of_the_source),
		cmocka_unit_test(each_only_once),
		cmocka_unit_test(from_the_directory_of_the_module),
		cmocka_unit_test(above_the_root_is_the_root),
		cmocka_unit_test(from_nowhere),
		cmocka_unit_test(other_builds_have_other_tags),
		cmocka_unit_test(the_directory_of_a_module),
		cmocka_unit_test(names_that_are_not_well_formed),
		cmocka_unit_test(names_that_are_too_long),
		cmocka_unit_test(no_more_parts_than_there_is_room_for),
		cmocka_unit_test(what_is_part_of_python_is_not_read),
		cmocka_unit_test(links_are_followed_inside_the_tree),
		cmocka_unit_test(after_many_names_nothing_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
