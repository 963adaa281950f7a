/*
 * test_js_imports - which names a JavaScript module imports
 */
#include "index/js_imports.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* @want: the names, each with a space behind it. */
static void check(const char *text, const char *want)
{
	struct js_imports list = {0};
	auto_buf struct buf got = {0};
	struct bytes name;
	size_t at = 0;
	js_imports_of(BYTES_STR(text), &list);
	while (js_imports_next(&list, &at, &name)) {
		assert_int_equal(buf_append(&got, name.p, name.n), 0);
		assert_int_equal(buf_append(&got, " ", 1), 0);
	}
	assert_int_equal(buf_append(&got, "", 1), 0);
	assert_string_equal((const char *)got.p, want);
	js_imports_fini(&list);
}

static void required(void **state)
{
	(void)state;
	check("const a = require('a');\nvar b=require( \"./b.js\" ), c = require(`c/d`)\n",
	      "a ./b.js c/d ");
	check("var _x = _interopRequireDefault(require(\"@s/x\"));", "@s/x ");
	check("module.exports={...require('a')};require('b')", "a b ");
	check("require('a')\r\nrequire ('b')\r\n", "a b ");
}

static void imported(void **state)
{
	(void)state;
	check("import 'a';\nimport b from \"b\"\nimport {\n  c,\n  d\n} from './c.mjs';\n",
	      "a b ./c.mjs ");
	check("export * from 'a'\nexport {b}from\"b\";import*as c from'c'\n", "a b c ");
}

static void only_what_is_not_indented(void **state)
{
	(void)state;
	check("  require('a')\n\tconst b = require('b')\n\nrequire('c')\n", "c ");
}

static void nothing_else(void **state)
{
	(void)state;
	check("", "");
	check("\n\n\n", "");
	check("// require('a')\n/* require('b') */\n", "");
	check("requires('a'); _require('b'); require.resolve('c'); $require('d')", "");
	check("require(name); require('a' + b)\nrequire('\\x41'); require(`${a}`)\n", "a ");
	check("require('a\n')\nrequire('\nrequire(", "");
	check("require('')", "");
	check("import('a'); import(\"b\")\nfrom\nimport", "");
}

static void names_have_an_end(void **state)
{
	(void)state;
	char text[JS_NAME_MAX + 32], want[JS_NAME_MAX + 8];
	for (size_t n = JS_NAME_MAX - 1; n <= JS_NAME_MAX + 1; n++) {
		char name[JS_NAME_MAX + 2];
		memset(name, 'n', n);
		name[n] = 0;
		snprintf(text, sizeof(text), "require('%s');require('b')", name);
		snprintf(want, sizeof(want), "%s%sb ", n <= JS_NAME_MAX ? name : "",
			 n <= JS_NAME_MAX ? " " : "");
		check(text, want);
	}
}

static void a_list_has_an_end(void **state)
{
	(void)state;
	struct js_imports list = {0};
	auto_buf struct buf text = {0};
	struct bytes name;
	size_t at = 0, n = 0;
	for (unsigned i = 0; i < 20000; i++)
		assert_int_equal(buf_append(&text, "require('abc')\n", 15), 0);
	js_imports_of(buf_bytes(&text), &list);
	while (js_imports_next(&list, &at, &name)) {
		assert_true(bytes_equal_str(name, "abc"));
		n++;
	}
	assert_int_equal(n, 65536 / 4);
	assert_false(js_imports_add(&list, BYTES_STR("abc")));
	js_imports_fini(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(required),
		cmocka_unit_test(imported),
		cmocka_unit_test(only_what_is_not_indented),
		cmocka_unit_test(nothing_else),
		cmocka_unit_test(names_have_an_end),
		cmocka_unit_test(a_list_has_an_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
