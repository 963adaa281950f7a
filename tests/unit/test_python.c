/*
 * test_python - which Python a program is, and where it looks for modules
 */
#include "tests/unit/python_world.h"

/* --- which Python --- */

/* @minor: 0: it is none. */
static void check_program(struct world *w, const char *program, unsigned minor, const char *dirs)
{
	python_fini(&w->py);
	bool is_one = python_find(w->tree, BYTES_STR(program), &w->py);
	if (is_one != (minor != 0))
		print_error("%s\n", program);
	assert_int_equal(is_one, minor != 0);
	if (!is_one)
		return;
	assert_int_equal(w->py.minor, minor);
	check_dirs(w, program, dirs);
}

static void names_that_are_none(void **state)
{
	static const char *const none[] = {
		"/usr/bin/perl",
		"/usr/bin/Python3",
		"/usr/bin/ipython3",
		"/usr/bin/pytho",
		"/usr/bin/3.11",
		"/usr/bin/ python3",
		"/usr/python3/bin",
		"/usr/bin/python3.11/",
		"/usr/bin/pypy3",
		"/usr/bin/",
		"/",
		"",
	};
	struct world w;
	(void)state;
	look_into(INSTALLED "s usr/bin/ipython3 python3.11\ns usr/bin/perl python3.11\n", &w);
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		assert_false(python_is_one(BYTES_STR(none[i])));
		check_program(&w, none[i], 0, NULL);
	}
	assert_true(python_is_one(BYTES_STR("/usr/bin/python")));
	assert_true(python_is_one(BYTES_STR("/python3")));
	assert_true(python_is_one(BYTES_STR("python3.13t")));
	check_program(&w, "/usr/bin/python3.11", 11, INSTALLED_DIRS);
	look_away(&w);
}

static void links_lead_to_the_program(void **state)
{
	struct world w;
	(void)state;
	look_into(INSTALLED "s usr/bin/python3 python3.11\ns usr/bin/python python3\n"
			    "s usr/local/bin/python3 /usr/bin/python3\n"
			    "s opt/bin/python ../../usr/local/bin/python3\n"
			    "s etc/alternatives/py3 /usr/bin/python3.11\n"
			    "s srv/python /etc/alternatives/py3\n"
			    "s pythonic opt\ns opt/bin/python3 /pythonic/../usr/bin/python3\n",
		  &w);
	check_program(&w, "/usr/bin/python3", 11, INSTALLED_DIRS);
	check_program(&w, "/usr/bin/python", 11, INSTALLED_DIRS);
	check_program(&w, "/usr/local/bin/python3", 11, INSTALLED_DIRS);
	check_program(&w, "/opt/bin/python", 11, INSTALLED_DIRS);
	check_program(&w, "/opt/bin/python3", 11, INSTALLED_DIRS);
	check_program(&w, "/pythonic/bin/python", 11, INSTALLED_DIRS);
	check_program(&w, "/srv/python", 11, INSTALLED_DIRS);
	check_program(&w, "/usr//bin//python3", 11, INSTALLED_DIRS);
	look_away(&w);
}

static void the_name_says_which(void **state)
{
	struct world w;
	(void)state;
	look_into("f opt/bin/python3.9 x\nf opt/bin/python3.11 x\nf opt/bin/python3 x\n"
		  "s opt/bin/python python3.9\nf opt/bin/python3.13t x\n"
		  "d opt/lib/python3.9\nd opt/lib/python3.11\nd opt/lib/python3.13\n"
		  "d opt/lib/python3.13t\nf opt/lib/python3.14 x\nd opt/lib/python3.999\n"
		  "d opt/lib/python3.15-old\n"
		  "d opt/lib/python3\nd opt/lib/python2.7\nd opt/lib/perl3.99\n",
		  &w);
	check_program(&w, "/opt/bin/python3.9", 9, "/opt/lib/python3.9");
	check_program(&w, "/opt/bin/python3.11", 11, "/opt/lib/python3.11");
	check_program(&w, "/opt/bin/python", 9, "/opt/lib/python3.9");
	check_program(&w, "/opt/bin/python3.13t", 13, "/opt/lib/python3.13t");
	/* The highest, by numbers. */
	check_program(&w, "/opt/bin/python3", 13, "/opt/lib/python3.13");
	check_program(&w, "/opt/bin/python3.12", 0, NULL);
	look_away(&w);
}

static void names_with_dots_in_them(void **state)
{
	struct world w;
	(void)state;
	look_into(INSTALLED "s usr/bin/python3 ./python3.11\ns usr/bin/python ../bin/./python3\n",
		  &w);
	check_program(&w, "/usr/bin/python3", 11, INSTALLED_DIRS);
	check_program(&w, "/usr/bin/python", 11, INSTALLED_DIRS);
	check_program(&w, "/usr/bin/./python3.11", 11, INSTALLED_DIRS);
	check_program(&w, "/usr/lib/../bin/python3.11", 11, INSTALLED_DIRS);
	look_away(&w);
}

/* What stands beside it says nothing about a program whose name says something else. */
static void other_pythons(void **state)
{
	struct world w;
	(void)state;
	look_into(INSTALLED "s usr/bin/python python2.7\nf usr/bin/python2.7 x\n"
			    "f usr/bin/python3-config x\nf usr/bin/python3.11-config x\n",
		  &w);
	check_program(&w, "/usr/bin/python", 0, NULL);
	check_program(&w, "/usr/bin/python2.7", 0, NULL);
	check_program(&w, "/usr/bin/python3-config", 0, NULL);
	check_program(&w, "/usr/bin/python3.11-config", 0, NULL);
	check_program(&w, "/usr/bin/python3", 0, NULL); /* it is not there */
	look_away(&w);
}

static void its_directory_says_which(void **state)
{
	struct world w;
	(void)state;
	look_into("f opt/bin/python x\nf opt/lib/python3.8/os.py x\nf srv/bin/python x\n"
		  "d srv/lib/python3.9\nd srv/lib/python3.10\n",
		  &w);
	check_program(&w, "/opt/bin/python", 8, "/opt/lib/python3.8");
	check_program(&w, "/srv/bin/python", 10, "/srv/lib/python3.10");
	look_away(&w);
}

static void versions_that_are_not_known(void **state)
{
	struct world w;
	(void)state;
	look_into("f a/bin/python3.5 x\nd a/lib/python3.5\nf b/bin/python x\nd b/lib/python2.7\n"
		  "f c/bin/python3.100 x\nd c/lib/python3.100\nf d/bin/python3. x\n"
		  "d d/lib/python3.\nf e/bin/python3.6 x\nd e/lib/python3.6\n",
		  &w);
	check_program(&w, "/a/bin/python3.5", 0, NULL);
	check_program(&w, "/b/bin/python", 0, NULL);
	check_program(&w, "/c/bin/python3.100", 0, NULL);
	check_program(&w, "/d/bin/python3.", 0, NULL);
	check_program(&w, "/e/bin/python3.6", 6, "/e/lib/python3.6");
	look_away(&w);
}

static void without_modules_there_is_none(void **state)
{
	struct world w;
	(void)state;
	look_into("f a/bin/python3.11 x\nf b/bin/python3.11 x\nd b/lib\n"
		  "f c/bin/python3 x\nf c/lib/python3.11 not-a-directory\n"
		  "f d/bin/python3 x\nf d/lib not-a-directory\n"
		  "f e/bin/python3 x\ns e/lib/python3.11 gone\n",
		  &w);
	check_program(&w, "/a/bin/python3.11", 0, NULL);
	check_program(&w, "/b/bin/python3.11", 0, NULL);
	check_program(&w, "/c/bin/python3", 0, NULL);
	check_program(&w, "/d/bin/python3", 0, NULL);
	check_program(&w, "/e/bin/python3", 0, NULL);
	look_away(&w);
}

static void the_directories_of_debian(void **state)
{
	struct world w;
	(void)state;
	look_into(INSTALLED "d usr/lib/python3/dist-packages\n"
			    "d usr/local/lib/python3.11/dist-packages\n"
			    "d usr/local/lib/python3.10/dist-packages\n",
		  &w);
	check_program(&w, "/usr/bin/python3.11", 11,
		      INSTALLED_DIRS " /usr/local/lib/python3.11/dist-packages"
				     " /usr/lib/python3/dist-packages");
	look_away(&w);
}

static void a_virtual_environment_comes_behind_its_installation(void **state)
{
	static const char dirs[] = INSTALLED_DIRS " /venv/lib/python3.11"
						  " /venv/lib/python3.11/site-packages";
	struct world w;
	(void)state;
	look_into(INSTALLED "s usr/bin/python3 python3.11\n"
			    "s venv/bin/python /usr/bin/python3\ns venv/bin/python3 python\n"
			    "s venv/bin/python3.11 python\nd venv/lib/python3.11/site-packages\n"
			    "s venv/lib64 lib\nd venv/lib/python3.12/site-packages\n"
			    "s app/.venv ../venv\n",
		  &w);
	check_program(&w, "/venv/bin/python", 11, dirs);
	check_program(&w, "/venv/bin/python3", 11, dirs);
	check_program(&w, "/venv/bin/python3.11", 11, dirs);
	check_program(&w, "/app/.venv/bin/python", 11, dirs);
	check_program(&w, "/usr/bin/python3", 11, INSTALLED_DIRS);
	look_away(&w);
}

static void the_prefix_may_be_the_root(void **state)
{
	struct world w;
	(void)state;
	look_into(INSTALLED "s usr/bin/python3 python3.11\ns bin usr/bin\ns lib usr/lib\n", &w);
	check_program(&w, "/bin/python3", 11, INSTALLED_DIRS);
	check_program(&w, "/bin/python3.11", 11, INSTALLED_DIRS);
	look_away(&w);
	look_into(INSTALLED "s bin usr/bin\nd lib\nd usr/local/lib/python3.11/dist-packages\n", &w);
	check_program(&w, "/bin/python3.11", 11,
		      INSTALLED_DIRS " /usr/local/lib/python3.11/dist-packages");
	look_away(&w);
	look_into("f bin/python3.11 x\ns bin/python3 python3.11\nd lib/python3.11/site-packages\n"
		  "d local/lib/python3.11/dist-packages\n",
		  &w);
	check_program(&w, "/bin/python3", 11,
		      "/lib/python3.11 /lib/python3.11/site-packages"
		      " /local/lib/python3.11/dist-packages");
	look_away(&w);
}

static void loops_of_links_end(void **state)
{
	struct world w;
	(void)state;
	look_into(INSTALLED "s a/bin/python3 python3\ns a/bin/python python-too\n"
			    "s a/bin/python-too /a/bin/python\ns loop loop\ns b/lib ../b/lib\n"
			    "f b/bin/python3.11 x\n",
		  &w);
	check_program(&w, "/a/bin/python3", 0, NULL);
	check_program(&w, "/a/bin/python", 0, NULL);
	check_program(&w, "/loop/bin/python3.11", 0, NULL);
	check_program(&w, "/b/bin/python3.11", 0, NULL);
	look_away(&w);
}

/* "/usr/", so often "./", "bin/python3.11" */
static char *roundabout(unsigned n)
{
	auto_free char *dots = xcalloc(2 * (size_t)n + 1, 1);
	for (unsigned i = 0; i < n; i++)
		memcpy(dots + 2 * (size_t)i, "./", 2);
	return xasprintf("/usr/%sbin/python3.11", dots);
}

static void what_is_too_long_is_none(void **state)
{
	struct world w;
	(void)state;
	look_into(INSTALLED, &w);
	auto_free char *fits = roundabout(2000), *too_long = roundabout(2100);
	auto_free char *huge = roundabout(1u << 20);
	check_program(&w, fits, 11, INSTALLED_DIRS);
	check_program(&w, too_long, 0, NULL);
	check_program(&w, huge, 0, NULL);
	look_away(&w);
}

static void check_path(struct world *w, const char *path, unsigned minor, const char *dirs)
{
	python_fini(&w->py);
	bool is_inside = python_of_module(w->tree, BYTES_STR(path), &w->py);
	if (is_inside != (minor != 0))
		print_error("%s\n", path);
	assert_int_equal(is_inside, minor != 0);
	if (!is_inside)
		return;
	assert_int_equal(w->py.minor, minor);
	check_dirs(w, path, dirs);
}

static void the_python_of_a_module(void **state)
{
	static const char *const none[] = {
		"/opt/lib/python3/dist-packages/a",
		"/usr/lib/python3.10/os.py",
		"/usr/lib/python2.7/os.py",
		"/usr/lib",
		"/app/python3.11/a.py",
		"/usr/lib/x/python3.11/a.py",
		"/usr/xlib/python3.11/os.py",
		"/lib/python3.11/os.py",
		"/",
		"",
	};
	struct world w;
	(void)state;
	look_into(INSTALLED "d venv/lib/python3.11/site-packages\nd opt/lib/python3.9\n"
			    "d opt/lib/python3/dist-packages\nd usr/lib/python2.7\n"
			    "d app/python3.11\nd usr/xlib/python3.11\n",
		  &w);
	check_path(&w, "/usr/lib/python3.11", 11, INSTALLED_DIRS);
	check_path(&w, "/usr/lib/python3.11/os.py", 11, INSTALLED_DIRS);
	check_path(&w, "/usr/lib/python3.11/site-packages/a/b/c", 11, INSTALLED_DIRS);
	check_path(&w, "/opt/lib/python3.9/json", 9,
		   "/opt/lib/python3.9 /opt/lib/python3/dist-packages");
	check_path(&w, "/venv/lib/python3.11/site-packages/a", 11,
		   "/venv/lib/python3.11 /venv/lib/python3.11/site-packages");
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		check_path(&w, none[i], 0, NULL);
	look_away(&w);
	look_into("d lib/python3.12/lib-dynload\n", &w);
	check_path(&w, "/lib/python3.12/os.py", 12, "/lib/python3.12 /lib/python3.12/lib-dynload");
	look_away(&w);
}

/* --- the order of search --- */

static void what_is_asked_for_comes_first(void **state)
{
	struct world w;
	(void)state;
	look_into(INSTALLED "d app\nd srv\nf file x\ns link app\nf srv/a.py x\nf app/a.py x\n"
			    "f usr/lib/python3.11/a.py x\n",
		  &w);
	check_program(&w, "/usr/bin/python3.11", 11, INSTALLED_DIRS);
	python_search_first(w.tree, &w.py, BYTES_STR("/app"));
	python_search_first(w.tree, &w.py, BYTES_STR("/srv"));
	python_search_first(w.tree, &w.py, BYTES_STR("/gone"));
	python_search_first(w.tree, &w.py, BYTES_STR("/file"));
	check_dirs(&w, "two", "/srv /app " INSTALLED_DIRS);
	python_search_first(w.tree, &w.py, BYTES_STR("/link/"));
	assert_int_equal(w.py.dirs[0], row_of(&w, "/app"));
	look_away(&w);
}

static void no_more_directories_than_there_is_room_for(void **state)
{
	struct world w;
	auto_buf struct buf text = {0};
	(void)state;
	put_text(&text, INSTALLED);
	for (unsigned i = 0; i <= PYTHON_DIRS_MAX; i++) {
		auto_free char *line = xasprintf("d app/%u\n", i);
		put_text(&text, line);
	}
	assert_int_equal(buf_append(&text, "", 1), 0);
	look_into((char *)text.p, &w);
	check_program(&w, "/usr/bin/python3.11", 11, INSTALLED_DIRS);
	for (unsigned i = 0; i <= PYTHON_DIRS_MAX; i++) {
		auto_free char *dir = xasprintf("/app/%u", i);
		python_search_first(w.tree, &w.py, BYTES_STR(dir));
	}
	assert_int_equal(w.py.n_dirs, PYTHON_DIRS_MAX);
	assert_int_equal(w.py.dirs[0], row_of(&w, "/app/28"));
	assert_int_equal(w.py.dirs[28], row_of(&w, "/app/0"));
	assert_int_equal(w.py.dirs[PYTHON_DIRS_MAX - 1],
			 row_of(&w, "/usr/lib/python3.11/site-packages"));
	look_away(&w);
}

/* --- no Python at all --- */

static void there_may_be_nothing_to_free(void **state)
{
	struct python py = {0};
	struct world w;
	(void)state;
	python_fini(&py);
	python_fini(&py);
	look_into("f usr/bin/python3.11 x\n", &w);
	check_program(&w, "/usr/bin/python3.11", 0, NULL);
	python_fini(&w.py);
	check_path(&w, "/usr/lib/python3.11/os.py", 0, NULL);
	look_away(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_that_are_none),
		cmocka_unit_test(links_lead_to_the_program),
		cmocka_unit_test(the_name_says_which),
		cmocka_unit_test(names_with_dots_in_them),
		cmocka_unit_test(other_pythons),
		cmocka_unit_test(its_directory_says_which),
		cmocka_unit_test(versions_that_are_not_known),
		cmocka_unit_test(without_modules_there_is_none),
		cmocka_unit_test(the_directories_of_debian),
		cmocka_unit_test(a_virtual_environment_comes_behind_its_installation),
		cmocka_unit_test(the_prefix_may_be_the_root),
		cmocka_unit_test(loops_of_links_end),
		cmocka_unit_test(what_is_too_long_is_none),
		cmocka_unit_test(the_python_of_a_module),
		cmocka_unit_test(what_is_asked_for_comes_first),
		cmocka_unit_test(no_more_directories_than_there_is_room_for),
		cmocka_unit_test(there_may_be_nothing_to_free),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
