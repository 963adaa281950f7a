/*
 * test_python_imports - what a Python module imports: the list, and what is read from a module's
 * text; of compiled ones: test_python_code.c
 */
#include "index/python_imports.h"

#include "tests/unit/pyc_build.h"

/* --- the list --- */

static void check_list(const struct python_imports *list, const char *want)
{
	auto_buf struct buf found = {0};
	put_found(list, &found);
	assert_string_equal((char *)found.p, want);
}

static void names_are_kept_in_order(void **state)
{
	(void)state;
	struct python_imports list = {0};
	struct python_import import;
	size_t at = 0;
	assert_false(python_imports_next(&list, &at, &import));
	assert_true(python_imports_add(&list, 0, BYTES_STR("z.y"), BYTES_STR("")));
	assert_true(python_imports_add(&list, 0, BYTES_STR("z.y"), BYTES_STR("x")));
	assert_true(python_imports_add(&list, 1, BYTES_STR(""), BYTES_STR("")));
	assert_true(python_imports_add(&list, 2, BYTES_STR(""), BYTES_STR("a")));
	assert_true(python_imports_add(&list, 0, BYTES_STR("z.y"), (struct bytes){0}));
	check_list(&list, "z.y z.y.x . ..a z.y ");
	while (python_imports_next(&list, &at, &import))
		;
	assert_false(python_imports_next(&list, &at, &import));
	python_imports_fini(&list);
}

static void names_have_255_bytes_at_most(void **state)
{
	(void)state;
	struct python_imports list = {0};
	uint8_t x[PYTHON_NAME_MAX + 1];
	memset(x, 'x', sizeof(x));
	static const struct {
		size_t of, name;
		bool fits;
	} cases[] = {
		{127, 127, true},	  {128, 127, false},	{127, 128, false},
		{255, 0, true},		  {0, 255, true},	{256, 0, false},
		{0, 256, false},	  {253, 1, true},	{1, 253, true},
		{254, 1, false},	  {255, 255, false},	{SIZE_MAX, 0, false},
		{0, SIZE_MAX, false},	  {SIZE_MAX, 1, false}, {SIZE_MAX, SIZE_MAX, false},
		{SIZE_MAX - 1, 2, false},
	};
	size_t n = 0, at = 0;
	/* A name that is left out does not end the list. */
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_true(python_imports_add(&list, (unsigned)i, (struct bytes){x, cases[i].of},
					       (struct bytes){x, cases[i].name}));
	for (struct python_import import; python_imports_next(&list, &at, &import); n++) {
		assert_true(cases[import.level].fits);
		assert_true(import.name.n >= 255 - (cases[import.level].of != 0));
	}
	assert_int_equal(n, 5);
	python_imports_fini(&list);
}

static void levels_are_255_at_most(void **state)
{
	(void)state;
	struct python_imports list = {0};
	struct python_import import;
	size_t at = 0;
	assert_true(python_imports_add(&list, 255, BYTES_STR("a"), BYTES_STR("")));
	assert_true(python_imports_add(&list, 256, BYTES_STR("b"), BYTES_STR("")));
	assert_true(python_imports_add(&list, UINT32_MAX, BYTES_STR("c"), BYTES_STR("")));
	assert_true(python_imports_next(&list, &at, &import));
	assert_int_equal(import.level, 255);
	assert_true(bytes_equal_str(import.name, "a"));
	assert_false(python_imports_next(&list, &at, &import));
	python_imports_fini(&list);
}

static void a_full_list_takes_no_more(void **state)
{
	(void)state;
	for (size_t len = 1; len < PYTHON_NAME_MAX; len += 23) {
		struct python_imports list = {0};
		uint8_t x[PYTHON_NAME_MAX];
		size_t n = 0, at = 0, bytes = 0;
		memset(x, 'x', sizeof(x));
		while (python_imports_add(&list, 1, (struct bytes){x, len}, (struct bytes){0}))
			n++;
		assert_false(python_imports_add(&list, 1, (struct bytes){x, len}, BYTES_STR("")));
		for (struct python_import import; python_imports_next(&list, &at, &import); n--) {
			assert_int_equal(import.name.n, len);
			bytes += len;
		}
		assert_int_equal(n, 0);
		assert_true(bytes <= PYTHON_NAMES_SIZE && bytes > PYTHON_NAMES_SIZE / 4);
		python_imports_fini(&list);
	}
}

/* --- text --- */

struct text {
	const char *text, *want;
};

static void check_texts(const struct text *texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check_found(BYTES_STR(texts[i].text), false, texts[i].want);
}

static void each_form_of_import(void **state)
{
	(void)state;
	static const struct text texts[] = {
		{"import a\n", "a "},
		{"import a", "a "},
		{"import a.b as c, d, e.f.g\n", "a.b d e.f.g "},
		{"import a;import b ; from c import d;\n", "a b c c.d "},
		{"import\ta,\tb\n", "a b "},
		{"from a import b\n", "a a.b "},
		{"from a import b", "a a.b "},
		{"from a.b import c as d, e as f\n", "a.b a.b.c a.b.e "},
		{"from a import *\n", "a "},
		{"from . import x\n", ". .x "},
		{"from .import x\n", ". .x "},
		{"from .a import x\n", ".a .a.x "},
		{"from . a import x\n", ".a .a.x "},
		{"from ..a.b import (c as d,\n e)\n", "..a.b ..a.b.c ..a.b.e "},
		{"from .... import a, b\n", ".... ....a ....b "},
		{"from ... import *\n", "... "},
		{"from a import(b)\n", "a a.b "},
		{"from a import (b,)\n", "a a.b "},
		{"from a import ( # one, two\n\tb, # import c\n\n\tc\n) ; import d\n",
		 "a a.b a.c d "},
		{"from a import (b\n    , c)\nimport d\n", "a a.b a.c d "},
		{"import a # , b; import c\nimport d\n", "a d "},
		{"import \\\n  a, \\\n  b\nimport c\n", "a b c "},
		{"from a \\\n import \\\n b\n", "a a.b "},
		{"from\\\n a import b\n", "a a.b "},
		{"import a\r\nfrom b import (c,\r\n\td)\r\nimport e\r\n", "a b b.c b.d e "},
		{"\xef\xbb\xbfimport a\n", "a "},
		{"import \xc3\xa4.\xe6\xbc\xa2\xe5\xad\x97, b\n",
		 "\xc3\xa4.\xe6\xbc\xa2\xe5\xad\x97 b "},
		{"import _a1, __b__.C\n", "_a1 __b__.C "},
		{"from important import fromage, imports\n",
		 "important important.fromage important.imports "},
		{"from a import assist as asp, b\n", "a a.assist a.b "},
		{"from.a import b\nfrom.import c\nfrom..d import e\nimport f\n",
		 ".a .a.b . .c ..d ..d.e f "},
		{"from x import *; import y\nimport z\n", "x y z "},
		{"import a, \\\r\n  b\r\nimport c\r\n", "a b c "},
		{"x = 'a\\\r\nimport no'\r\nimport c\r\n", "c "},
		{"def f():\n    pass\n\fimport a\nimport b\n", "a b "},
		{"import a.\nimport b\n", "a b "},
	};
	check_texts(texts, ARRAY_LEN(texts));
}

static void what_is_no_import(void **state)
{
	(void)state;
	static const struct text texts[] = {
		{"", ""},
		{"\n", ""},
		{"\xef\xbb\xbf", ""},
		{"# import a", ""},
		{"  # import a\n", ""},
		{"important = 1\nfromage(2)\nimport_a()\n", ""},
		{"import\n", ""},
		{"import 'a'\n", ""},
		{"import .a\n", ""},
		{"from\n", ""},
		{"from a\n", ""},
		{"from a import\n", "a "},
		{"from . import\n", ". "},
		{"from a import (\n", "a "},
		{"from 'a' import b\n", ""},
		{"__import__('a')\nimportlib.import_module('b')\n", ""},
		{"raise E from a\nyield from b\n", ""},
		{"a = [\nimport b\n]\nimport c\n", "c "},
		{"f(1,\nimport b\n, {\nimport c\n})\nimport d\n", "d "},
		{"a = 1 + \\\nimport b\nimport c\n", "c "},
		{"a = ')'; b = (\nimport c\n)\nimport d\n", "d "},
		{")\nx\nimport a\n", "a "},
	};
	check_texts(texts, ARRAY_LEN(texts));
}

static void strings_are_no_statements(void **state)
{
	(void)state;
	static const struct text texts[] = {
		{"'''\nimport a\n'''\nimport b\n", "b "},
		{"\"\"\"One.\n\nimport a\n\"\"\"\nimport b\n", "b "},
		{"x = '''\nimport a\n\"\"\"\nimport b\n'''\nimport c\n", "c "},
		{"x = \"\"\"'''\nimport a\n\"\"\"\nimport c\n", "c "},
		{"x = '''''' ; y = ''; z = \"\"\nimport a\n", "a "},
		{"x = '\\\nimport a'\nimport b\n", "b "},
		{"x = 'it\\'s'\nimport a\n", "a "},
		{"x = '\\\\'\nimport a\n", "a "},
		{"x = '''\\'''\nimport a\n'''\nimport b\n", "b "},
		{"x = '''a''\nimport a\n''''\nimport b\n", "b "},
		{"x = r'\\' ; y = r'\\''\nimport a\n", "a "},
		{"x = rb'''\\\nimport a\n'''\nimport b\n", "b "},
		{"x = f'{a[\"b\"]}'\nimport c\n", "c "},
		{"x = '#'\nimport a\n", "a "},
		{"x = '('\nimport a\n", "a "},
		{"x = 1 # it's\nimport a\n", "a "},
		{"x = 1 # ( '''\nimport a\n", "a "},
		{"x = 'not closed\nimport a\n", "a "},
		{"x = '''not closed\nimport a\n", ""},
		{"import a\nx = \"\"\"not closed", "a "},
		{"import a\nx = 'not closed\\", "a "},
		{"import a\nx = '''not closed\\", "a "},
		{"import a\nx = (not closed\nimport b\n", "a "},
		{"import a\\", "a "},
	};
	check_texts(texts, ARRAY_LEN(texts));
}

static void blocks_that_run_count(void **state)
{
	(void)state;
	static const struct text texts[] = {
		{"try:\n\timport a\nexcept E:\n\timport b\nelse:\n\timport c\nfinally:\n\timport "
		 "d\n",
		 "a b c d "},
		{"if x:\n    import a\nelif y:\n    import b\nelse:\n    import c\n", "a b c "},
		{"with x:\n  for y in z:\n    while w:\n      import a\n", "a "},
		{"def f():\n    import a\nimport b\n", "b "},
		{"def f(a=(\n1), b='''\n'''):\n    import a\nimport b\n", "b "},
		{"def f(): import a\nimport b\n", "b "},
		{"async def f():\n    import a\nimport b\n", "b "},
		{"class A:\n    import a\n\n    def f():\n        import b\n    import c\nimport "
		 "d\n",
		 "d "},
		{"@a\n@b(\n'c')\ndef f():\n    import a\nimport b\n", "b "},
		{"if x:\n    def f():\n        import a\n    import b\nimport c\n", "b c "},
		{"def f():\n    x\n# import a\n    import b\n\n\n\timport c\nimport d\n", "d "},
		{"def f():\n    x = '''\nimport a\n'''\n    import b\nimport c\n", "c "},
		{"def f():\n    x = (\nimport_a)\n    import b\nimport c\n", "c "},
		{"def f():\n    x = 1 + \\\nimport_a\n    import b\nimport c\n", "c "},
		{"if x:\n        def f():\n\t    import a\n\timport b\n", "b "},
		{"def f():\r\n    import a\r\n\r\nimport b\r\n", "b "},
		{"def f():\r\n    x\r\n\r\n    import a\r\nimport b\r\n", "b "},
		{"def f():\n    import a", ""},
		{"define = 1\nimport a\nclassy = 2\nasynchronous\nimport b\n", "a b "},
		{"\f\nimport a\n", "a "},
	};
	check_texts(texts, ARRAY_LEN(texts));
}

static void type_checking_in_text_does_not_count(void **state)
{
	(void)state;
	static const struct text texts[] = {
		{"if TYPE_CHECKING:\n    import a\nimport b\n", "b "},
		{"if TYPE_CHECKING : # c\n    import a\nimport b\n", "b "},
		{"if (TYPE_CHECKING):\n    import a\nimport b\n", "b "},
		{"if typing.TYPE_CHECKING:\n    import a\nelse:\n    import b\n", "b "},
		{"if TYPE_CHECKING: import a\nimport b\n", "b "},
		{"if TYPE_CHECKING:\n    if x:\n        import a\n    import b\nimport c\n", "c "},
		{"if TYPE_CHECKING:\n    import a\nelif x:\n    import b\nelse:\n    import c\n",
		 "b c "},
		{"try:\n    if t.TYPE_CHECKING:\n        import a\n    import b\nexcept:\n    "
		 "pass\n",
		 "b "},
		{"if x:\n    import a\nelif TYPE_CHECKING:\n    import b\nelse:\n    import c\n",
		 "a c "},
		{"if MY_TYPE_CHECKING:\n    import a\n", "a "},
		{"if not TYPE_CHECKING:\n    import a\n", "a "},
		{"if TYPE_CHECKING or x:\n    import a\n", "a "},
		{"if TYPE_CHECKING_OFF:\n    import a\n", "a "},
		{"if TYPE_CHECKING.x:\n    import a\n", "a "},
		{"from typing import TYPE_CHECKING\nimport a\n", "typing typing.TYPE_CHECKING a "},
	};
	check_texts(texts, ARRAY_LEN(texts));
}

/* Cut off anywhere, or with a byte changed to one that means something. */
static void no_text_is_too_odd(void **state)
{
	(void)state;
	static const char text[] = "'''a'''\nimport a.b as c, \\\n d;from . import (e, # f\n\tg)\n"
				   "def h(x=\"\\\"\"):\n\timport i\nif TYPE_CHECKING:\n import j\n";
	static const char odd[] = "\0\n\r\f\t #'\"\\()[]{}.,;:*import\x80\xff";
	for (size_t n = 0; n < sizeof(text); n++) {
		auto_buf struct buf found = {0};
		find((struct bytes){(const uint8_t *)text, n}, false, &found);
	}
	for (size_t at = 0; at < strlen(text) * sizeof(odd); at++) {
		auto_buf struct buf found = {0};
		char changed[sizeof(text)];
		memcpy(changed, text, sizeof(text));
		changed[at / sizeof(odd)] = odd[at % sizeof(odd)];
		find((struct bytes){(uint8_t *)changed, strlen(text)}, false, &found);
	}
}

/* Each again and again: the time for it grows with the text, not with its square. */
static void long_texts_take_one_pass(void **state)
{
	(void)state;
	static const char *const pieces[] = {
		"import ", "from ", ".", "(",  "'",   "'''", "\\\n",	 "\\", "#",   "a.",
		"a,",	   "a ",    ";", "\t", "if ", "@\n", "def a\n ", "\n", " (\n"};
	for (size_t i = 0; i < ARRAY_LEN(pieces) * ARRAY_LEN(pieces); i++) {
		auto_buf struct buf text = {0}, found = {0};
		const char *first = pieces[i / ARRAY_LEN(pieces)];
		const char *piece = pieces[i % ARRAY_LEN(pieces)];
		put(&text, first, strlen(first));
		while (text.n < 100000)
			put(&text, piece, strlen(piece));
		find(buf_bytes(&text), false, &found);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_kept_in_order),
		cmocka_unit_test(names_have_255_bytes_at_most),
		cmocka_unit_test(levels_are_255_at_most),
		cmocka_unit_test(a_full_list_takes_no_more),
		cmocka_unit_test(each_form_of_import),
		cmocka_unit_test(what_is_no_import),
		cmocka_unit_test(strings_are_no_statements),
		cmocka_unit_test(blocks_that_run_count),
		cmocka_unit_test(type_checking_in_text_does_not_count),
		cmocka_unit_test(no_text_is_too_odd),
		cmocka_unit_test(long_texts_take_one_pass),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
