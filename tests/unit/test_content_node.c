/*
 * What a program of Node.js imports: that it comes before anybody reads it, whoever says what is
 * started, and that nothing else does.
 */
#include "tests/unit/loader_world.h"

#define NODE_BIN "/usr/bin/node"
#define MAIN	 "/app/main.js"
#define SCOPE	 "/app/package.json"
#define UTIL	 "/app/lib/util.js"
#define DATA	 "/app/lib/data.json"
#define MODULES	 "/app/node_modules/"
#define A_JSON	 MODULES "a/package.json"
#define A_MAIN	 MODULES "a/lib/a.js"
#define B_JSON	 MODULES "@s/b/package.json"
#define B_MAIN	 MODULES "@s/b/node.js"
#define C_JSON	 MODULES "c/package.json"
#define C_INDEX	 MODULES "c/index.js"
#define ADDON	 MODULES "c/addon.node"
#define LIBA	 "/usr/lib/liba.so"
#define LATE	 MODULES "late/index.js"
#define TOOL	 "/usr/bin/tool"
#define PLAIN	 "/srv/plain.txt"
#define LD	 "/lib64/ld.so"
#define ONLY	 "/srv/only.cjs"

static const struct shape wide = {true, false};

static const struct made files[] = {
	{.path = NODE_BIN, .size = 6, .loader = LD},
	{.path = LD, .size = 2},
	{.path = ONLY, .size = 2, .text = "require('/app/node_modules/late')\n"},
	{.path = MAIN,
	 .size = 2,
	 .text = "const a = require('a');\nrequire('fs');\nfunction f() {\n  require('late')\n}\n"},
	{.path = SCOPE, .size = 1, .text = "{\"main\": \"node_modules/late\"}"},
	{.path = UTIL, .size = 2, .text = "import x from './data.json'\nimport '../main.js'\n"},
	{.path = DATA, .size = 1, .text = "{\"x\":\n\"require('late')\"}"},
	{.path = A_JSON, .size = 1, .text = "{\"main\": \"lib/a\", \"exports\": null}"},
	{.path = A_MAIN,
	 .size = 2,
	 .text = "exports.b = require('@s/b'), require('../../../lib/util')\n"},
	{.path = B_JSON,
	 .size = 1,
	 .text = "{\"main\": \"gone.js\", \"exports\": {\".\": {\"import\": \"./late.mjs\", "
		 "\"node\": {\"default\": \"./node.js\"}}}}"},
	{.path = B_MAIN, .size = 2, .text = "require('c')\n"},
	{.path = C_JSON, .size = 1, .text = "{\"name\": \"c\", \"name\": \"twice\"}"},
	{.path = C_INDEX, .size = 2, .text = "require('./addon')\n"},
	{.path = ADDON, .size = 2, .search = "$ORIGIN/../../../usr/lib", .needs = {"liba.so"}},
	{.path = LIBA, .size = 2},
	{.path = LATE, .size = 2, .text = "x\n"},
	{.path = TOOL, .size = 2, .text = "#!/usr/bin/node\nrequire('/app/lib/util')\n"},
	{.path = PLAIN, .size = 2, .text = "require('/app/lib/util')\n"},
};

#define A_AND_WHAT_IT_IMPORTS                                                                      \
	A_JSON, A_MAIN, B_JSON, B_MAIN, C_JSON, C_INDEX, ADDON, LIBA, UTIL, DATA

static struct world *world(void)
{
	return loader_world(files, ARRAY_LEN(files), wide);
}

static void what_a_script_imports_comes(void **state)
{
	(void)state;
	struct world *w = world();
	for (unsigned workers = 1; workers <= 4; workers++) {
		struct content *c = loader_content(w, workers);
		content_expect(c, WORDS("node", "main.js"), "/app");
		COME(w, c, NODE_BIN, LD, SCOPE, MAIN, A_AND_WHAT_IT_IMPORTS);
	}
	world_free(&w);
}

static void a_script_without_its_ending(void **state)
{
	(void)state;
	struct world *w = world();
	struct content *c = loader_content(w, 2);
	content_expect(c, WORDS("node", "--inspect", "-r", "late", "lib/util", "plain.txt"),
		       "/app");
	COME(w, c, NODE_BIN, LD, LATE, UTIL, DATA, MAIN, A_JSON, A_MAIN, B_JSON, B_MAIN, C_JSON,
	     C_INDEX, ADDON, LIBA);
	c = loader_content(w, 2);
	content_expect(c, WORDS("node", "-r"), "/app");
	COME(w, c, NODE_BIN, LD);
	world_free(&w);
}

static void a_script_that_names_node(void **state)
{
	(void)state;
	struct world *w = world();
	struct content *c = loader_content(w, 2);
	content_expect(c, WORDS("tool"), "/");
	COME(w, c, TOOL, NODE_BIN, LD, MAIN, A_AND_WHAT_IT_IMPORTS);
	world_free(&w);
}

/* Nobody has said what is started. */
static void from_the_program_that_a_reader_came_to(void **state)
{
	(void)state;
	struct expectation e;
	struct world *w = world();
	struct content *c = loader_content(w, 2);
	expect_nothing(w, &e);
	expect_around_head(w, &e, UTIL);
	check_read(w, c, UTIL, 0, HEAD);
	check_stored(w, c, &e); /* it is not known what that is */
	content_free(&c);
	world_empty_store(w);
	c = loader_content(w, 2);
	expect_nothing(w, &e);
	expect_whole(w, &e, NODE_BIN);
	expect_whole(w, &e, LD);
	expect_around_head(w, &e, NODE_BIN);
	check_read(w, c, NODE_BIN, 0, HEAD);
	check_stored(w, c, &e);
	expect_nothing(w, &e);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (has_any(w, c, files[i].path))
			expect(w, &e, files[i].path, 0, files[i].size * CHUNK, MAY, BESIDE);
	expect_whole(w, &e, LATE);
	expect_around_head(w, &e, ONLY);
	check_read(w, c, ONLY, 0, HEAD);
	check_stored(w, c, &e);
	content_free(&c);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_script_imports_comes),
		cmocka_unit_test(a_script_without_its_ending),
		cmocka_unit_test(a_script_that_names_node),
		cmocka_unit_test(from_the_program_that_a_reader_came_to),
	};
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
