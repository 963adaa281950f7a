/*
 * What a program in Python imports: that it comes before anybody reads it, whoever says what is
 * started, that nothing else does, and how far ahead of the reader it is fetched.
 */
#include "tests/unit/loader_world.h"

#define LIB    "/usr/lib/python3.11/"
#define PYTHON "/usr/bin/python3.11"
#define CODECS LIB "encodings/__init__.py"
#define UTF_8  LIB "encodings/__pycache__/utf_8.cpython-311.pyc"
#define DEEP   LIB "deep.py"
#define FAST   LIB "lib-dynload/fast.cpython-311-x86_64-linux-gnu.so"
#define LIBA   "/usr/lib/liba.so"
#define SITE   LIB "site-packages/"
#define TWO    SITE "two/__init__.py"
#define THREE  SITE "two/three.py"
#define TOOL   SITE "tool/__init__.py"
#define TOOLS  SITE "tool/__main__.py"
#define MAIN   "/app/main.py"
#define ONE    "/app/one.py"
#define WEB    "/srv/web.py"
#define SERVE  "/usr/bin/serve"
#define DATA   "/srv/data"
#define LATE   SITE "late.py"
#define GO     "/go.py"
#define NEXT   "/next.py"

static const struct shape wide = {true, false};

/* `import deep`, compiled by 3.11: the head, and a code object up to its names. */
static const char compiled[] = "\xa7\r\r\n\0\0\0\0\0\0\0\0\0\0\0\0"
			       "c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
			       "s\6\0\0\0d\0d\1l\0"
			       ")\2i\0\0\0\0N)\1z\4deep";

static const struct made files[] = {
	{.path = PYTHON, .size = 6},
	{.path = CODECS, .size = 2, .text = "import codecs\n"},
	{.path = UTF_8, .size = 2, .text = compiled, .text_len = sizeof(compiled) - 1},
	{.path = LIB "encodings/utf_8.py", .size = 1, .text = "import late\n"},
	{.path = DEEP, .size = 2, .text = "import deep\n"},
	{.path = FAST, .size = 2, .search = "$ORIGIN/../..", .needs = {"liba.so"}},
	{.path = LIBA, .size = 2},
	{.path = TWO, .size = 2, .text = "from . import three\nimport main\n"},
	{.path = THREE, .size = 2, .text = "#!/usr/bin/env python\nimport fast\n"},
	{.path = GO, .size = 2, .text = "#!/usr/bin/gone\nimport next\n"},
	{.path = NEXT, .size = 2, .text = "x\n"},
	{.path = TOOL, .size = 2, .text = "x = 1\n"},
	{.path = TOOLS, .size = 2, .text = "from one import nothing\n"},
	{.path = MAIN,
	 .size = 2,
	 .text = "import one\nfrom two import name, gone\ndef later():\n    import late\n"},
	{.path = ONE, .size = 2, .text = "import sys, gone.deeper\n"},
	{.path = WEB, .size = 2, .text = "import deep\n"},
	{.path = SERVE, .size = 2, .text = "#!/usr/bin/python3.11\nimport tool\n"},
	{.path = DATA, .size = 2, .text = "import late\n"},
	{.path = LATE, .size = 2, .text = "import deep\n"},
};

static struct world *world(void)
{
	return loader_world(files, ARRAY_LEN(files), wide);
}

/* What every start reads: the second one is compiled, and imports the third. */
#define ALWAYS PYTHON, CODECS, UTF_8, DEEP

static void what_a_script_imports_comes(void **state)
{
	(void)state;
	struct world *w = world();
	for (unsigned workers = 1; workers <= 4; workers++) {
		struct content *c = loader_content(w, workers);
		content_expect(c, WORDS("python3.11", "main.py"), "/app");
		COME(w, c, ALWAYS, MAIN, ONE, TWO, THREE, FAST, LIBA);
	}
	world_free(&w);
}

/* And its first line may name anybody. */
static void a_script_may_lie_in_the_root(void **state)
{
	(void)state;
	struct world *w = world();
	struct content *c = loader_content(w, 2);
	content_expect(c, WORDS("python3.11", "go.py"), "/");
	COME(w, c, ALWAYS, GO, NEXT);
	world_free(&w);
}

/* Nothing is asked for any more, for a while; readers are served as ever. */
static void a_dead_source_is_left_alone(void **state)
{
	(void)state;
	struct world *w = world();
	struct content *c = loader_content(w, 2);
	atomic_store(&w->script.error, -ECONNREFUSED);
	atomic_store(&w->script.failures, -1);
	content_expect(c, WORDS("python3.11", "main.py"), "/app");
	while (!atomic_load(&w->script.opens))
		sleep_ms(1);
	wait_idle(w);
	unsigned opens = atomic_load(&w->script.opens);
	assert_in_range(opens, 1, 16);
	sleep_ms(100);
	assert_int_equal(atomic_load(&w->script.opens), opens);
	atomic_store(&w->script.failures, 0);
	check_read(w, c, DEEP, 0, HEAD);
	check_read(w, c, LATE, 0, HEAD);
	content_free(&c);
	world_free(&w);
}

static void options_name_modules(void **state)
{
	(void)state;
	struct world *w = world();
	struct content *c = loader_content(w, 2);
	content_expect(c, WORDS("python3.11", "-m", "tool", "main"), "/app");
	COME(w, c, ALWAYS, TOOL, TOOLS, ONE);
	c = loader_content(w, 2);
	content_expect(c, WORDS("python3.11", "-W", "-m", "-uc", "import two.three; two"), "/");
	COME(w, c, ALWAYS, TWO, THREE, FAST, LIBA); /* main is not in this directory */
	c = loader_content(w, 2);
	content_expect(c, WORDS("python3.11", "-m"), "/app");
	COME(w, c, ALWAYS);
	world_free(&w);
}

static void a_script_names_its_python(void **state)
{
	(void)state;
	struct world *w = world();
	struct content *c = loader_content(w, 2);
	content_expect(c, WORDS("serve", "web:app", "/x:y", ":z"), "/srv");
	COME(w, c, ALWAYS, SERVE, TOOL, WEB);
	world_free(&w);
}

static void the_image_says_where_else_modules_are(void **state)
{
	(void)state;
	struct world *w = world();
	struct image_config *config = &w->image.config, before = *config;
	config->env = WORDS("PYTHONPATH=/gone:/app:/srv");
	struct content *c = loader_content(w, 2);
	content_expect(c, WORDS("python3.11", "-c", "import one, web"), "/");
	COME(w, c, ALWAYS, ONE, WEB);
	*config = before;
	world_free(&w);
}

/* Nobody has said that it will be: a compiled module tells which Python it is. */
static void from_the_module_that_a_reader_came_to(void **state)
{
	(void)state;
	struct expectation e;
	struct world *w = world();
	struct content *c = loader_content(w, 2);
	expect_nothing(w, &e);
	expect_around_head(w, &e, DATA);
	check_read(w, c, DATA, 0, HEAD);
	check_stored(w, c, &e);
	expect_nothing(w, &e);
	expect_whole(w, &e, UTF_8);
	expect_whole(w, &e, CODECS); /* as with every start */
	expect_whole(w, &e, DEEP);
	expect_around_head(w, &e, DATA);
	expect_around_head(w, &e, UTF_8);
	check_read(w, c, UTF_8, 0, HEAD);
	check_stored(w, c, &e);
	/* And now of text, too, if its name says what it is. */
	expect_nothing(w, &e);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (!strcmp(files[i].path, THREE) || !strcmp(files[i].path, FAST) ||
		    !strcmp(files[i].path, LIBA))
			expect_whole(w, &e, files[i].path);
		else if (has_any(w, c, files[i].path))
			expect(w, &e, files[i].path, 0, files[i].size * CHUNK, MAY, BESIDE);
	expect_around_head(w, &e, THREE);
	check_read(w, c, THREE, 0, HEAD);
	check_stored(w, c, &e);
	content_free(&c);
	world_free(&w);
}

/* --- how far ahead --- */

#define BIG_CHUNKS (3u * 1024 * 1024 / CHUNK)

static const struct made big[] = {
	{.path = PYTHON, .size = 2},
	{.path = MAIN, .size = 2, .text = "import b1, b2, b3, b4, b5\n"},
	{.path = "/app/b1.py", .size = BIG_CHUNKS, .text = "x\n"},
	{.path = "/app/b2.py", .size = BIG_CHUNKS, .text = "x\n"},
	{.path = "/app/b3.py", .size = BIG_CHUNKS, .text = "x\n"},
	{.path = "/app/b4.py", .size = BIG_CHUNKS, .text = "x\n"},
	{.path = "/app/b5.py", .size = BIG_CHUNKS, .text = "x\n"},
	{.path = LIB "os.py", .size = 1, .text = "x\n"},
};

static void little_before_somebody_reads(void **state)
{
	(void)state;
	struct expectation e;
	struct world *w = loader_world(big, ARRAY_LEN(big), wide);
	struct content *c = loader_content(w, 2);
	expect_nothing(w, &e);
	for (size_t i = 0; i < 5; i++)
		expect_whole(w, &e, big[i].path);
	content_expect(c, WORDS("python3.11", "main.py"), "/app");
	check_stored(w, c, &e);
	expect_nothing(w, &e);
	for (size_t i = 0; i < 7; i++)
		expect_whole(w, &e, big[i].path);
	expect_around_head(w, &e, LIB "os.py");
	check_read(w, c, "/app/b1.py", 0, HEAD);
	assert_int_equal(stats_of(c).misses, 0);
	/* The object that waits for room is looked at when something has come. */
	check_read(w, c, LIB "os.py", 0, HEAD);
	check_stored(w, c, &e);
	content_free(&c);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_script_imports_comes),
		cmocka_unit_test(a_script_may_lie_in_the_root),
		cmocka_unit_test(a_dead_source_is_left_alone),
		cmocka_unit_test(options_name_modules),
		cmocka_unit_test(a_script_names_its_python),
		cmocka_unit_test(the_image_says_where_else_modules_are),
		cmocka_unit_test(from_the_module_that_a_reader_came_to),
		cmocka_unit_test(little_before_somebody_reads),
	};
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
