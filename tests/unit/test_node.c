/*
 * test_node - where a name leads to in the trees of Node.js
 */
#include "index/node.h"

#include "tests/unit/layer_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char image[] =
	"f app/main.js m\nf app/package.json p\nf app/lib/a.js a\nf app/lib/b.json b\nf "
	"app/lib/c.node c\n"
	"f app/lib/d/index.js d\nf app/lib/e/package.json e\nf app/lib/e/index.js e\nd "
	"app/lib/empty\n"
	"f app/lib/a.js.js aa\n"
	"f app/node_modules/x/package.json x\nf app/node_modules/x/lib/y.js y\n"
	"f app/node_modules/plain/index.js i\nf app/node_modules/@s/z/package.json z\n"
	"f app/node_modules/@s/z/t.js t\nf app/node_modules/file.js f\n"
	"f app/lib/node_modules/x/index.js o\n"
	"f node_modules/root/index.js r\n"
	"f store/l@1/node_modules/l/package.json l\nf store/l@1/node_modules/l/l.js l\n"
	"f store/l@1/node_modules/k/index.js k\ns app/node_modules/l /store/l@1/node_modules/l\n"
	"s app/lib/link.js a.js\ns app/lib/loop.js loop.js\n";

struct tree {
	struct buf file;
	struct index *ix;
};

static int set_up(void **state)
{
	static struct tree t;
	*state = &t;
	return index_of_text(image, &t.file, NULL) ||
	       index_open_bytes(buf_bytes(&t.file), &t.ix, NULL);
}

static int tear_down(void **state)
{
	struct tree *t = *state;
	index_close(&t->ix);
	buf_fini(&t->file);
	return 0;
}

static uint32_t row_of(const struct tree *t, const char *path)
{
	uint32_t row;
	assert_int_equal(index_path(t->ix, BYTES_STR(path), true, &row), 0);
	return row;
}

/* @want: the file that is found; NULL: nothing. @in: its directory. */
static void check(void **state, const char *dir, const char *name, const char *want, const char *in)
{
	const struct tree *t = *state;
	struct node_module found;
	bool is_found = node_resolve(t->ix, row_of(t, dir), BYTES_STR(name), &found);
	if (is_found != (want != NULL))
		print_error("'%s' from %s\n", name, dir);
	assert_int_equal(is_found, want != NULL);
	if (!want)
		return;
	assert_int_equal(found.row, row_of(t, want));
	assert_int_equal(found.dir, row_of(t, in));
	size_t n = strlen(want);
	assert_int_equal(found.is_package, n > 13 && !strcmp(want + n - 13, "/package.json") &&
						   !strstr(name, "package.json"));
}

static void which_program(void **state)
{
	(void)state;
	assert_true(node_is_one(BYTES_STR("/usr/local/bin/node")));
	assert_true(node_is_one(BYTES_STR("nodejs")));
	assert_false(node_is_one(BYTES_STR("/usr/bin/node18")));
	assert_false(node_is_one(BYTES_STR("/node/bin")));
	assert_false(node_is_one(BYTES_STR("")));
}

static void paths(void **state)
{
	check(state, "/app", "./lib/a", "/app/lib/a.js", "/app/lib");
	check(state, "/app", "./lib/a.js", "/app/lib/a.js", "/app/lib");
	check(state, "/app/lib", "./b", "/app/lib/b.json", "/app/lib");
	check(state, "/app/lib", "./c", "/app/lib/c.node", "/app/lib");
	check(state, "/app/lib", "../main", "/app/main.js", "/app");
	check(state, "/app/lib", "./d", "/app/lib/d/index.js", "/app/lib/d");
	check(state, "/app/lib", "./d/", "/app/lib/d/index.js", "/app/lib/d");
	check(state, "/app/lib", "./e", "/app/lib/e/package.json", "/app/lib/e");
	check(state, "/app/lib/d", "..", NULL, NULL);
	check(state, "/app/lib/d", "../..", "/app/package.json", "/app");
	check(state, "/app/lib", "./package.json", NULL, NULL);
	check(state, "/app", "./package.json", "/app/package.json", "/app");
	check(state, "/", "/app/lib/a", "/app/lib/a.js", "/app/lib");
	check(state, "/app/lib", "./link", "/app/lib/a.js", "/app/lib");
	check(state, "/app/lib", "./empty", NULL, NULL);
	check(state, "/app/lib", "./loop", NULL, NULL);
	check(state, "/app/lib", "./gone", NULL, NULL);
}

static void packages(void **state)
{
	check(state, "/app/lib/d", "plain", "/app/node_modules/plain/index.js",
	      "/app/node_modules/plain");
	check(state, "/app", "x", "/app/node_modules/x/package.json", "/app/node_modules/x");
	check(state, "/app", "x/lib/y", "/app/node_modules/x/lib/y.js", "/app/node_modules/x/lib");
	check(state, "/app/lib/d", "x", "/app/lib/node_modules/x/index.js",
	      "/app/lib/node_modules/x"); /* the nearest */
	check(state, "/app", "@s/z", "/app/node_modules/@s/z/package.json",
	      "/app/node_modules/@s/z");
	check(state, "/app", "@s/z/t", "/app/node_modules/@s/z/t.js", "/app/node_modules/@s/z");
	check(state, "/app", "root", "/node_modules/root/index.js", "/node_modules/root");
	check(state, "/app", "fs", NULL, NULL);
	check(state, "/app", "node:fs", NULL, NULL);
	check(state, "/app", "file.js", NULL, NULL); /* no directory */
	check(state, "/", "x", NULL, NULL);
}

/* As pnpm has them: what lies beside the package that a link leads to is its own. */
static void packages_that_are_links(void **state)
{
	static const char dir[] = "/store/l@1/node_modules/l";
	const struct tree *t = *state;
	struct node_module found;
	check(state, "/app", "l", "/store/l@1/node_modules/l/package.json", dir);
	assert_true(node_resolve(t->ix, row_of(t, "/app"), BYTES_STR("l"), &found));
	assert_int_equal(found.dir, row_of(t, dir));
	check(state, dir, "k", "/store/l@1/node_modules/k/index.js", "/store/l@1/node_modules/k");
}

static void whatever_the_name(void **state)
{
	static const char *const names[] = {
		"",    "@", "@s", "@s/", "//", "/", "...", ".x", "x/", "a:b", "../../../../..",
		"\x01"};
	const struct tree *t = *state;
	struct node_module found;
	char name[8192];
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		(void)node_resolve(t->ix, row_of(t, "/app/lib"), BYTES_STR(names[i]), &found);
	memset(name, 'a', sizeof(name));
	assert_false(node_resolve(t->ix, 0, (struct bytes){(uint8_t *)name, 8192}, &found));
	name[0] = '.';
	name[1] = '/';
	assert_false(node_resolve(t->ix, 0, (struct bytes){(uint8_t *)name, 8192}, &found));
	assert_false(node_resolve(t->ix, row_of(t, "/app"), (struct bytes){(uint8_t *)"x\0", 2},
				  &found));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(which_program),     cmocka_unit_test(paths),
		cmocka_unit_test(packages),	     cmocka_unit_test(packages_that_are_links),
		cmocka_unit_test(whatever_the_name),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
