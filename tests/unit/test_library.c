/*
 * test_library - which file of a tree a library's name leads to, and who is asked first
 */
#include "index/library.h"

#include "tests/unit/layer_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct found {
	struct buf file;
	struct index *tree;
	struct library_dirs dirs;
};

static void look_into(const char *text, struct found *f)
{
	*f = (struct found){0};
	assert_int_equal(index_of_text(text, &f->file, NULL), 0);
	assert_int_equal(index_open_bytes(buf_bytes(&f->file), &f->tree, NULL), 0);
	library_dirs_find(f->tree, &f->dirs);
}

static void look_away(struct found *f)
{
	library_dirs_fini(&f->dirs);
	assert_int_equal(f->dirs.n, 0);
	index_close(&f->tree);
	buf_fini(&f->file);
}

static uint32_t row_of(const struct found *f, const char *path)
{
	uint32_t row = UINT32_MAX;
	assert_int_equal(index_path(f->tree, BYTES_STR(path), true, &row), 0);
	return row;
}

static void put_text(struct buf *b, const char *text)
{
	assert_int_equal(buf_append(b, text, strlen(text)), 0);
}

/* Who looks: a file of the tree, whether its directory is known (or NULL), its search path. */
struct who {
	const char *file, *dir, *search;
};

/* @want: the path of what is found, NULL: nothing; @dir: where. */
static void check(const struct found *f, struct who who, const char *name, const char *want,
		  const char *dir)
{
	struct library_user user;
	auto_buf struct buf known = {0}, at = {0};
	uint32_t row = UINT32_MAX;
	if (who.dir)
		put_text(&known, who.dir);
	library_user_init(&user, row_of(f, who.file), who.dir ? &known : NULL);
	assert_int_equal(known.n, 0);
	put_text(&user.search, who.search);
	bool found = library_find(f->tree, &f->dirs, &user, BYTES_STR(name), &row, &at);
	if (found != (want != NULL))
		print_error("%s, in '%s'\n", name, who.search);
	assert_int_equal(found, want != NULL);
	if (want) {
		assert_int_equal(row, row_of(f, want));
		assert_true(bytes_equal_str(buf_bytes(&at), dir));
	}
	library_user_fini(&user);
}

static const struct who anybody = {"/bin/app", NULL, ""};

/* --- the usual directories --- */

static void in_the_usual_directories(void **state)
{
	struct found f;
	(void)state;
	look_into("f bin/app x\n"
		  "f lib/liba.so a\nf usr/lib/liba.so A\nf usr/lib/libb.so b\n"
		  "f lib64/libc.so c\nf usr/lib64/libd.so d\nf usr/local/lib/libe.so e\n"
		  "f usr/lib/x86_64-linux-gnu/libf.so f\nf usr/lib/private/libg.so g\n"
		  "f lib/aarch64-linux-gnu/liba.so B\n",
		  &f);
	assert_int_equal(f.dirs.n, 7);
	check(&f, anybody, "liba.so", "/lib/liba.so", "/lib");
	check(&f, anybody, "libb.so", "/usr/lib/libb.so", "/usr/lib");
	check(&f, anybody, "libc.so", "/lib64/libc.so", "/lib64");
	check(&f, anybody, "libd.so", "/usr/lib64/libd.so", "/usr/lib64");
	check(&f, anybody, "libe.so", "/usr/local/lib/libe.so", "/usr/local/lib");
	check(&f, anybody, "libf.so", "/usr/lib/x86_64-linux-gnu/libf.so",
	      "/usr/lib/x86_64-linux-gnu");
	check(&f, anybody, "libg.so", NULL, NULL);
	look_away(&f);
}

static void none_of_them_is_there(void **state)
{
	struct found f;
	(void)state;
	look_into("f bin/app x\nf lib not-a-directory\ns lib64 gone\ns usr/lib lib\n", &f);
	assert_int_equal(f.dirs.n, 0);
	check(&f, anybody, "liba.so", NULL, NULL);
	check(&f, anybody, "/bin/app", "/bin/app", "/bin");
	look_away(&f);
}

static void one_directory_of_two_names_counts_once(void **state)
{
	struct found f;
	(void)state;
	look_into("f bin/app x\ns lib usr/lib\ns lib64 /usr/lib64\ns usr/lib64 lib\n"
		  "f usr/lib/liba.so a\nf usr/lib/x86_64-linux-gnu/libb.so b\n"
		  "s usr/local/lib ../lib\n",
		  &f);
	assert_int_equal(f.dirs.n, 2);
	check(&f, anybody, "liba.so", "/usr/lib/liba.so", "/lib");
	check(&f, anybody, "libb.so", "/usr/lib/x86_64-linux-gnu/libb.so", "/lib/x86_64-linux-gnu");
	look_away(&f);
}

/* The loader itself has a name as a tuple has it. */
static void what_is_no_directory_takes_no_place(void **state)
{
	struct found f;
	auto_buf struct buf text = {0};
	(void)state;
	put_text(&text, "f bin/app x\nf usr/lib/liba.so a\nf opt/libb.so b\n"
			"s lib/gone-linux-gnu nowhere\ns lib/to-linux-gnu /opt\n");
	for (unsigned i = 0; i < LIBRARY_DIRS_MAX; i++) {
		auto_free char *line = xasprintf("f lib/ld-linux-%u.so x\n", i);
		put_text(&text, line);
	}
	assert_int_equal(buf_append(&text, "", 1), 0);
	look_into((char *)text.p, &f);
	assert_int_equal(f.dirs.n, 3);
	check(&f, anybody, "liba.so", "/usr/lib/liba.so", "/usr/lib");
	check(&f, anybody, "libb.so", "/opt/libb.so", "/lib/to-linux-gnu");
	look_away(&f);
}

static void no_more_directories_than_there_is_room_for(void **state)
{
	struct found f;
	auto_buf struct buf text = {0};
	(void)state;
	put_text(&text, "f bin/app x\nf lib/liba.so a\nf usr/lib/libb.so b\n");
	for (unsigned i = 0; i < LIBRARY_DIRS_MAX; i++) {
		auto_free char *line = xasprintf("d lib/m%u-linux-gnu\n", i);
		put_text(&text, line);
	}
	assert_int_equal(buf_append(&text, "", 1), 0);
	look_into((char *)text.p, &f);
	assert_int_equal(f.dirs.n, LIBRARY_DIRS_MAX);
	check(&f, anybody, "liba.so", "/lib/liba.so", "/lib");
	check(&f, anybody, "libb.so", NULL, NULL);
	look_away(&f);
}

/* --- the search path --- */

static const char with_origins[] = "f opt/app/bin/run x\n"
				   "f opt/app/lib/liba.so a\n"
				   "f opt/app/bin/sub/libb.so b\n"
				   "f opt/app/bin/libc.so c\n"
				   "f usr/lib/liba.so A\n"
				   "s usr/bin/run ../../opt/app/bin/run\n"
				   "f opt/app/bin-extra/libd.so d\n"
				   "f opt/app/binAL/libe.so e\n"
				   "f top x\nf libt.so t\n";

static void the_search_path_comes_first(void **state)
{
	struct found f;
	(void)state;
	look_into(with_origins, &f);
	check(&f, (struct who){"/top", "/", "/opt/app/lib"}, "liba.so", "/opt/app/lib/liba.so",
	      "/opt/app/lib");
	check(&f, (struct who){"/top", "/", "/nowhere:/top:/opt/app/lib:/usr/lib"}, "liba.so",
	      "/opt/app/lib/liba.so", "/opt/app/lib");
	check(&f, (struct who){"/top", "/", "/usr/lib:/opt/app/lib"}, "liba.so", "/usr/lib/liba.so",
	      "/usr/lib");
	check(&f, (struct who){"/top", "/", "/opt/app/lib/"}, "liba.so", "/opt/app/lib/liba.so",
	      "/opt/app/lib/");
	check(&f, (struct who){"/top", "/", ":::/nowhere::"}, "liba.so", "/usr/lib/liba.so",
	      "/usr/lib");
	look_away(&f);
}

static void origin_is_where_the_user_lies(void **state)
{
	struct found f;
	(void)state;
	look_into(with_origins, &f);
	static const char *const known[] = {"/opt/app/bin", NULL};
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		const char *file = "/opt/app/bin/run", *dir = known[i];
		check(&f, (struct who){file, dir, "$ORIGIN/../lib"}, "liba.so",
		      "/opt/app/lib/liba.so", "/opt/app/bin/../lib");
		check(&f, (struct who){file, dir, "/x:${ORIGIN}/sub:$ORIGIN"}, "libb.so",
		      "/opt/app/bin/sub/libb.so", "/opt/app/bin/sub");
		check(&f, (struct who){file, dir, "${ORIGIN}"}, "libc.so", "/opt/app/bin/libc.so",
		      "/opt/app/bin");
		check(&f, (struct who){file, dir, "${ORIGIN}:$ORIGIN/sub"}, "libb.so",
		      "/opt/app/bin/sub/libb.so", "/opt/app/bin/sub");
		check(&f, (struct who){file, dir, "$ORIGIN-extra"}, "libd.so",
		      "/opt/app/bin-extra/libd.so", "/opt/app/bin-extra");
	}
	/* What is known is not found out again. */
	check(&f, (struct who){"/opt/app/bin/run", "/opt/app", "$ORIGIN/lib"}, "liba.so",
	      "/opt/app/lib/liba.so", "/opt/app/lib");
	check(&f, (struct who){"/top", NULL, "$ORIGIN"}, "libt.so", "/libt.so", "/");
	look_away(&f);
}

static void what_only_looks_like_origin(void **state)
{
	static const char *const none[] = {"$ORIGINAL",	   "$ORIGIN_AL", "$ORIGIN7", "${ORIGIN",
					   "$origin",	   "ORIGIN",	 "$",	     "",
					   "/opt/$ORIGIN", "$LIB"};
	struct found f;
	(void)state;
	look_into(with_origins, &f);
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		struct who who = {"/opt/app/bin/run", NULL, none[i]};
		check(&f, who, "libc.so", NULL, NULL);
		check(&f, who, "libe.so", NULL, NULL);
	}
	look_away(&f);
}

/* The directory is found out once, and is the user's from then on. */
static void the_users_directory_is_kept(void **state)
{
	struct library_user user;
	struct found f;
	auto_buf struct buf at = {0};
	uint32_t row;
	(void)state;
	look_into(with_origins, &f);
	library_user_init(&user, row_of(&f, "/opt/app/bin/run"), NULL);
	assert_true(library_find(f.tree, &f.dirs, &user, BYTES_STR("liba.so"), &row, &at));
	assert_int_equal(user.dir.n, 0);
	put_text(&user.search, "$ORIGIN");
	at.n = 0;
	assert_true(library_find(f.tree, &f.dirs, &user, BYTES_STR("libc.so"), &row, &at));
	assert_true(bytes_equal_str(buf_bytes(&user.dir), "/opt/app/bin"));
	library_user_fini(&user);
	assert_int_equal(user.dir.n + user.search.n, 0);
	look_away(&f);
}

/* --- names --- */

static void names_with_a_slash_are_paths(void **state)
{
	const struct who who = {"/bin/app", NULL, "/opt:$ORIGIN"};
	struct found f;
	(void)state;
	look_into("f bin/app x\nf lib/liba.so a\nf opt/lib/libb.so b\nf top x\n", &f);
	check(&f, who, "/opt/lib/libb.so", "/opt/lib/libb.so", "/opt/lib");
	check(&f, who, "/top", "/top", "/");
	check(&f, who, "/opt/../lib/./liba.so", "/lib/liba.so", "/opt/../lib/.");
	check(&f, who, "lib/libb.so", NULL, NULL);
	check(&f, who, "./liba.so", NULL, NULL);
	check(&f, who, "/liba.so", NULL, NULL);
	check(&f, who, "/lib/liba.so/", NULL, NULL);
	check(&f, who, "/lib/liba.so/x", NULL, NULL);
	check(&f, who, "/", NULL, NULL);
	look_away(&f);
}

static void names_that_lead_nowhere(void **state)
{
	const struct who who = {"/bin/app", NULL, "/opt"};
	struct found f;
	(void)state;
	look_into("f bin/app x\nf lib/liba.so a\n", &f);
	check(&f, who, "", NULL, NULL);
	check(&f, who, ".", NULL, NULL);
	check(&f, who, "..", NULL, NULL);
	check(&f, who, "lib", NULL, NULL);
	check(&f, who, "LIBA.SO", NULL, NULL);
	check(&f, who, "liba", NULL, NULL);
	look_away(&f);
}

static void only_regular_files_are_found(void **state)
{
	const struct who who = {"/bin/app", NULL, "/opt"};
	struct found f;
	(void)state;
	look_into("f bin/app x\n"
		  "d opt/liba.so\nf lib/liba.so a\n"
		  "c opt/libb.so 1 3\nf lib/libb.so b\n"
		  "s opt/libc.so gone\nf lib/libc.so c\n"
		  "s opt/libd.so libd.so\nd lib/libd.so\n"
		  "s opt/libe.so ../lib\n",
		  &f);
	check(&f, who, "liba.so", "/lib/liba.so", "/lib");
	check(&f, who, "libb.so", "/lib/libb.so", "/lib");
	check(&f, who, "libc.so", "/lib/libc.so", "/lib");
	check(&f, who, "libd.so", NULL, NULL);
	check(&f, who, "libe.so", NULL, NULL);
	check(&f, who, "/opt/libb.so", NULL, NULL);
	look_away(&f);
}

/* What they lead to is found, and where they stand is the directory. */
static void links_are_followed_inside_the_tree(void **state)
{
	struct found f;
	(void)state;
	look_into("f bin/app x\n"
		  "f data/v1/liba.so.1.2 a\ns data/current v1\n"
		  "s lib/liba.so.1 /data/current/liba.so.1.2\ns lib/liba.so liba.so.1\n"
		  "s lib/libb.so ../../../../data/v1/liba.so.1.2\n"
		  "h lib/libc.so data/v1/liba.so.1.2\n",
		  &f);
	check(&f, anybody, "liba.so", "/data/v1/liba.so.1.2", "/lib");
	check(&f, anybody, "libb.so", "/data/v1/liba.so.1.2", "/lib");
	check(&f, anybody, "libc.so", "/data/v1/liba.so.1.2", "/lib");
	check(&f, (struct who){"/bin/app", NULL, "/data/current"}, "liba.so.1.2",
	      "/data/v1/liba.so.1.2", "/data/current");
	look_away(&f);
}

/* "/lib/", so often "./", "liba.so" */
static char *roundabout(unsigned n)
{
	auto_free char *dots = xcalloc(2 * (size_t)n + 1, 1);
	for (unsigned i = 0; i < n; i++)
		memcpy(dots + 2 * (size_t)i, "./", 2);
	return xasprintf("/lib/%sliba.so", dots);
}

static void what_is_too_long_is_not_found(void **state)
{
	struct found f;
	(void)state;
	look_into("f bin/app x\nf lib/liba.so a\n", &f);
	auto_free char *fits = roundabout(2000), *too_long = roundabout(2100);
	auto_free char *huge = roundabout(1u << 20);
	uint32_t row;
	auto_buf struct buf at = {0};
	struct library_user user;
	library_user_init(&user, row_of(&f, "/bin/app"), NULL);
	assert_true(library_find(f.tree, &f.dirs, &user, BYTES_STR(fits), &row, &at));
	assert_false(library_find(f.tree, &f.dirs, &user, BYTES_STR(too_long), &row, &at));
	assert_false(library_find(f.tree, &f.dirs, &user, BYTES_STR(huge), &row, &at));
	library_user_fini(&user);
	/* As a directory of a search path: the next one is looked into. */
	too_long[strlen(too_long) - strlen("liba.so")] = 0;
	auto_free char *search = xasprintf("%s:/bin", too_long);
	check(&f, (struct who){"/bin/app", NULL, search}, "liba.so", "/lib/liba.so", "/lib");
	check(&f, (struct who){"/bin/app", NULL, search}, "app", "/bin/app", "/bin");
	memset(huge, 'x', strlen(huge));
	check(&f, anybody, huge, NULL, NULL);
	look_away(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_the_usual_directories),
		cmocka_unit_test(none_of_them_is_there),
		cmocka_unit_test(one_directory_of_two_names_counts_once),
		cmocka_unit_test(what_is_no_directory_takes_no_place),
		cmocka_unit_test(no_more_directories_than_there_is_room_for),
		cmocka_unit_test(the_search_path_comes_first),
		cmocka_unit_test(origin_is_where_the_user_lies),
		cmocka_unit_test(what_only_looks_like_origin),
		cmocka_unit_test(the_users_directory_is_kept),
		cmocka_unit_test(names_with_a_slash_are_paths),
		cmocka_unit_test(names_that_lead_nowhere),
		cmocka_unit_test(only_regular_files_are_found),
		cmocka_unit_test(links_are_followed_inside_the_tree),
		cmocka_unit_test(what_is_too_long_is_not_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
