/*
 * What a container starts with: that it comes before anybody reads, whoever says what is started,
 * and that nothing else does.
 */
#include "tests/unit/loader_world.h"

#define APP    "/usr/bin/app"
#define LD     "/lib64/ld.so"
#define LIBA   "/usr/lib/liba.so"
#define SCRIPT "/srv/start"
#define PLAIN  "/srv/plain"
#define OTHER  "/usr/bin/other"
#define PASSWD "/etc/passwd"

static const struct shape wide = {true, false};

static const struct made files[] = {
	{.path = PASSWD, .size = 1, .no_elf = true},
	{.path = APP, .size = 40, .loader = LD, .needs = {"liba.so"}},
	{.path = LIBA, .size = 3},
	{.path = LD, .size = 2},
	{.path = SCRIPT, .size = 2, .text = "#!/usr/bin/env -S app --fast\n"},
	{.path = "/usr/bin/env", .size = 2},
	{.path = PLAIN, .size = 3, .no_elf = true},
	{.path = OTHER, .size = 2},
};

static struct world *world(void)
{
	return loader_world(files, ARRAY_LEN(files), wide);
}

static void who_starts_it_says_what(void **state)
{
	(void)state;
	struct world *w = world();
	struct content *c = loader_content(w, 2);
	content_expect(c, WORDS("app"), "/");
	COME(w, c, PASSWD, APP, LD, LIBA);
	c = loader_content(w, 2);
	content_expect(c, WORDS(APP, "plain", "-x", "", "."), "/srv");
	COME(w, c, PASSWD, APP, LD, LIBA, PLAIN);
	c = loader_content(w, 2);
	content_expect(c, WORDS("./start", "other"), "/srv");
	COME(w, c, PASSWD, SCRIPT, "/usr/bin/env", APP, LD, LIBA, OTHER);
	c = loader_content(w, 2);
	content_expect(c, WORDS("start"), "/srv"); /* programs are not looked for there */
	COME(w, c, PASSWD);
	world_free(&w);
}

static void else_the_config_does(void **state)
{
	(void)state;
	char **none = WORDS(NULL), srv[] = "/srv";
	struct world *w = world();
	struct image_config *config = &w->image.config, before = *config;
	config->env = WORDS("HOME=/", "PATH=/gone:/srv");
	config->entrypoint = WORDS("plain");
	config->cmd = none;
	struct content *c = loader_content(w, 2);
	content_expect(c, NULL, NULL);
	COME(w, c, PASSWD, PLAIN);
	config->cmd = WORDS("start");
	config->working_dir = srv;
	c = loader_content(w, 2);
	content_expect(c, NULL, NULL);
	COME(w, c, PASSWD, PLAIN, SCRIPT, "/usr/bin/env"); /* app is not in this PATH */
	config->entrypoint = none;
	c = loader_content(w, 2);
	content_expect(c, NULL, NULL);
	COME(w, c, PASSWD, SCRIPT, "/usr/bin/env");
	*config = before;
	world_free(&w);
}

static void only_once(void **state)
{
	(void)state;
	struct world *w = world();
	struct content *c = loader_content(w, 2);
	content_expect(c, WORDS("other"), "/");
	content_expect(c, WORDS("app"), "/");
	COME(w, c, PASSWD, OTHER);
	world_free(&w);
}

/* And not at all where nothing but what is asked for is fetched, or nothing can be. */
static void not_everywhere(void **state)
{
	(void)state;
	static const char *const nothing[] = {NULL};
	struct world *w = world();
	struct content *c = world_content(w, 20, false);
	content_expect(c, WORDS("app"), "/");
	check_come(w, &c, nothing);
	w->image.options.offline = true;
	c = loader_content(w, 2);
	content_expect(c, WORDS("app"), "/");
	check_come(w, &c, nothing);
	assert_int_equal(atomic_load(&w->script.opens), 0);
	world_free(&w);
}

/* More words than are looked at, and names that lead nowhere. */
static void whatever_the_words(void **state)
{
	(void)state;
	const char *words[64] = {"/", "..", "/usr/bin", "//", "gone/app", "/gone", "=", "app/"};
	struct world *w = world();
	for (size_t i = 8; i < ARRAY_LEN(words) - 1; i++)
		words[i] = i < 16 ? "app" : "plain";
	struct content *c = loader_content(w, 2);
	content_expect(c, (char **)words, "srv");
	COME(w, c, PASSWD, APP, LD, LIBA);
	words[0] = NULL;
	c = loader_content(w, 2);
	content_expect(c, (char **)words, "");
	COME(w, c, PASSWD);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_starts_it_says_what),
		cmocka_unit_test(else_the_config_does),
		cmocka_unit_test(only_once),
		cmocka_unit_test(not_everywhere),
		cmocka_unit_test(whatever_the_words),
	};
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
