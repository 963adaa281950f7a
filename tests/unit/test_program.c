/*
 * test_program - which file a program's name leads to, under which path, and what a script's first
 * line names
 */
#include "index/path.h"
#include "index/program.h"

#include "tests/unit/layer_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char image[] =
	"f usr/bin/env e\nf usr/bin/sh s\nf bin/sh S\nd usr/local/bin/tool\nf usr/bin/tool t\n"
	"s usr/bin/python3 python3.11\nf usr/bin/python3.11 p\ns usr/bin/loop loop\n"
	"f app/start g\nf app/lib/run r\n";

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

/* @want: the path under which it is found, links not resolved; NULL: nothing. */
static void check(void **state, const char *search, const char *cwd, const char *name,
		  const char *want)
{
	const struct tree *t = *state;
	uint32_t row = UINT32_MAX, wanted;
	auto_buf struct buf path = {0};
	bool found = program_find(t->ix, BYTES_STR(search), BYTES_STR(cwd), BYTES_STR(name), &row,
				  &path);
	if (found != (want != NULL))
		print_error("%s in '%s', from '%s'\n", name, search, cwd);
	assert_int_equal(found, want != NULL);
	assert_true(bytes_equal_str(buf_bytes(&path), want ? want : ""));
	if (!want)
		return;
	assert_int_equal(index_path(t->ix, BYTES_STR(want), true, &wanted), 0);
	assert_int_equal(row, wanted);
}

static void by_its_name(void **state)
{
	static const char path[] = "/usr/local/bin:/usr/bin:/bin";
	check(state, path, "/", "sh", "/usr/bin/sh");
	check(state, "/bin:/usr/bin", "/", "sh", "/bin/sh");
	check(state, path, "/", "tool", "/usr/bin/tool"); /* the first is a directory */
	check(state, path, "/", "python3", "/usr/bin/python3");
	check(state, path, "/", "loop", NULL);
	check(state, path, "/app", "start", NULL); /* empty directories are not this one */
	check(state, "::/gone::/bin:", "/app", "sh", "/bin/sh");
	check(state, "/bin/", "/", "sh", "/bin//sh");
	check(state, "", "/", "sh", NULL);
	check(state, "usr/bin", "/", "sh", NULL);
	check(state, path, "/", "", NULL);
}

static void by_its_path(void **state)
{
	check(state, "/bin", "/app", "/usr/bin/sh", "/usr/bin/sh");
	check(state, "/bin", "/app", "./start", "/app/./start");
	check(state, "/bin", "/app", "lib/run", "/app/lib/run");
	check(state, "/bin", "/", "app/../bin/sh", "//app/../bin/sh");
	check(state, "/bin", "", "lib/run", NULL);
	check(state, "/bin", "/app", "/gone/sh", NULL);
}

static void not_beyond_32_directories(void **state)
{
	auto_buf struct buf search = {0};
	for (unsigned i = 0; i < 32; i++)
		assert_int_equal(buf_append(&search, "/gone:", strlen("/gone:")), 0);
	assert_int_equal(buf_append(&search, "/bin", sizeof("/bin")), 0);
	const char *all = (char *)search.p;
	check(state, all, "/", "sh", NULL);
	check(state, all + strlen("/gone:"), "/", "sh", "/bin/sh");
}

/* ---- paths ---- */

static void paths_are_joined(void **state)
{
	auto_buf struct buf path = {0};
	auto_buf struct buf bounded = {.limit = 8};
	(void)state;
	assert_true(path_join(BYTES_STR("/usr"), BYTES_STR("bin/sh"), &path));
	assert_true(bytes_equal_str(buf_bytes(&path), "/usr/bin/sh"));
	assert_true(path_join(BYTES_STR(""), BYTES_STR("-old"), &path));
	assert_true(bytes_equal_str(buf_bytes(&path), "/usr/bin/sh-old"));
	assert_true(path_join(BYTES_STR("/usr"), BYTES_STR("bin"), &bounded));
	assert_true(bytes_equal_str(buf_bytes(&bounded), "/usr/bin"));
	bounded.n = 0;
	assert_false(path_join(BYTES_STR("/usr"), BYTES_STR("sbin"), &bounded));
	bounded.n = 0;
	assert_false(path_join(BYTES_STR("/usr/bin"), BYTES_STR(""), &bounded));
	bounded.n = 0;
	assert_false(path_join(BYTES_STR(""), BYTES_STR("/usr/sbin"), &bounded));
}

static void paths_are_parted(void **state)
{
	static const struct {
		const char *path, *parent, *last;
	} paths[] = {
		{"/usr/bin/sh", "/usr/bin", "sh"},
		{"/usr//bin///sh", "/usr//bin", "sh"},
		{"/usr/bin/", "/usr/bin", ""},
		{"/sh", "", "sh"},
		{"bin/sh", "bin", "sh"},
		{"sh", "", "sh"},
		{"/a/..", "/a", ".."},
		{"///", "", ""},
		{"/", "", ""},
		{"", "", ""},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct bytes path = BYTES_STR(paths[i].path);
		assert_true(bytes_equal_str(path_parent(path), paths[i].parent));
		assert_true(bytes_equal_str(path_last(path), paths[i].last));
	}
}

/* ---- scripts ---- */

static void check_script(const char *head, const char *interpreter, const char *program)
{
	struct script s;
	bool is_script = program_script(BYTES_STR(head), &s);
	if (is_script != (interpreter != NULL))
		print_error("%s\n", head);
	assert_int_equal(is_script, interpreter != NULL);
	if (!is_script)
		return;
	assert_true(bytes_equal_str(s.interpreter, interpreter));
	assert_true(bytes_equal_str(s.program, program));
}

static void what_a_script_names(void **state)
{
	(void)state;
	check_script("#!/bin/sh\necho\n", "/bin/sh", "");
	check_script("#! \t/bin/sh -e\n", "/bin/sh", "");
	check_script("#!/usr/bin/env node\n", "/usr/bin/env", "node");
	check_script("#!/usr/bin/env  -S A=1 -i node --flag\n", "/usr/bin/env", "node");
	check_script("#!/usr/bin/env\n", "/usr/bin/env", "");
	check_script("#!/usr/bin/env -i\n", "/usr/bin/env", "");
	check_script("#!/usr/bin/perl env x\n", "/usr/bin/perl", "");
	check_script("#!/env x\n", "/env", "x");
}

static void what_is_no_script(void **state)
{
	char line[PROGRAM_LINE_MAX + 32];
	(void)state;
	check_script("", NULL, NULL);
	check_script("#", NULL, NULL);
	check_script("#!", NULL, NULL);
	check_script("#!\n/bin/sh", NULL, NULL);
	check_script("#!   \n", NULL, NULL);
	check_script("#!bin/sh\n", NULL, NULL);
	check_script("#!/bin/sh", NULL, NULL); /* the line may go on */
	check_script(" #!/bin/sh\n", NULL, NULL);
	check_script("\x7f"
		     "ELF\n",
		     NULL, NULL);
	memset(line, 'x', sizeof(line));
	memcpy(line, "#!/", 3);
	line[PROGRAM_LINE_MAX - 1] = '\n';
	struct script s;
	assert_true(program_script((struct bytes){(uint8_t *)line, sizeof(line)}, &s));
	assert_int_equal(s.interpreter.n, PROGRAM_LINE_MAX - 3);
	line[PROGRAM_LINE_MAX - 1] = 'x';
	line[PROGRAM_LINE_MAX] = '\n';
	assert_false(program_script((struct bytes){(uint8_t *)line, sizeof(line)}, &s));
	line[10] = '\0';
	line[20] = '\n';
	assert_false(program_script((struct bytes){(uint8_t *)line, sizeof(line)}, &s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_its_name),
		cmocka_unit_test(by_its_path),
		cmocka_unit_test(not_beyond_32_directories),
		cmocka_unit_test(paths_are_joined),
		cmocka_unit_test(paths_are_parted),
		cmocka_unit_test(what_a_script_names),
		cmocka_unit_test(what_is_no_script),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
