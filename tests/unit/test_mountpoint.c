/*
 * test_mountpoint - paths of mount points, without mounting anything
 */
#include "fs/mountpoint.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char *scratch; /* canonical */

static int make_scratch(void **state)
{
	char name[] = "/tmp/imgfs-mountpoint.XXXXXX";
	(void)state;
	if (!mkdtemp(name))
		return -1;
	scratch = realpath(name, NULL);
	return chdir(scratch) || mkdir("dir", 0700) || mkdir("dir/inner", 0700) ||
	       mkdir("empty", 0700) || symlink("dir/inner", "link") || symlink("gone", "dangling");
}

static int remove_scratch(void **state)
{
	(void)state;
	if (unlink("link") || unlink("dangling") || rmdir("dir/inner") || rmdir("dir") ||
	    rmdir("empty") || chdir("/") || rmdir(scratch))
		return -1;
	free(scratch);
	return 0;
}

static void check_path(const char *typed, const char *below)
{
	auto_free char *expected = xasprintf("%s%s", scratch, below);
	auto_free char *path = NULL;
	struct diag d = DIAG_INIT;
	if (mountpoint_path(typed, &path, &d))
		fail_msg("%s: %s", typed, d.text);
	assert_string_equal(path, expected);
}

static void test_paths(void **state)
{
	auto_free char *absolute = xasprintf("%s/dir/../dir/inner///", scratch);
	(void)state;
	check_path("dir", "/dir");
	check_path("dir/", "/dir");
	check_path("./dir//inner", "/dir/inner");
	check_path(".", "");
	check_path("dir/..", "");
	check_path("dir/inner/.", "/dir/inner");
	check_path("link", "/dir/inner");
	check_path("link/", "/dir/inner");
	check_path("link/..", "/dir");
	check_path(absolute, "/dir/inner");
	/* The last name is not looked at. */
	check_path("dir/missing", "/dir/missing");
	check_path("missing", "/missing");
}

static void test_paths_at_the_root(void **state)
{
	static const char *const typed[] = {"/", "//", "/missing", "//missing//"};
	static const char *const expected[] = {"/", "/", "/missing", "/missing"};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(typed); i++) {
		auto_free char *path = NULL;
		assert_int_equal(mountpoint_path(typed[i], &path, NULL), 0);
		assert_string_equal(path, expected[i]);
	}
}

static void test_paths_that_lead_nowhere(void **state)
{
	static const char *const typed[] = {"missing/deeper", "dangling", "dir/missing/..", ""};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(typed); i++) {
		char *path = NULL;
		struct diag d = DIAG_INIT;
		assert_int_equal(mountpoint_path(typed[i], &path, &d), -ENOENT);
		assert_int_equal(d.cls, ERR_NOT_FOUND);
		assert_null(path);
	}
}

static void test_mounted(void **state)
{
	struct mounted m;
	struct stat st;
	(void)state;
	assert_int_equal(mounted_at("/proc", &m), 0);
	assert_int_equal(stat("/proc", &st), 0);
	assert_false(m.is_imgfs);
	assert_int_equal(m.dev_major, st.st_dev >> 8 & 0xfff);
	assert_int_equal(mounted_at(scratch, &m), -ENOENT);
	assert_int_equal(mounted_at("/pro", &m), -ENOENT);
	assert_int_equal(mounted_at("/proc/", &m), -ENOENT);
	assert_int_equal(mounted_at("", &m), -ENOENT);
}

static void check_refused(const char *typed, enum err_class cls, err_t err)
{
	struct diag d = DIAG_INIT;
	char *path = NULL;
	assert_int_equal(mountpoint_check(typed, false, &path, &d), err);
	assert_int_equal(d.cls, cls);
	assert_null(path);
}

static void test_check(void **state)
{
	auto_free char *empty = NULL;
	auto_free char *full = NULL;
	auto_free char *expected = xasprintf("%s/empty", scratch);
	(void)state;
	check_refused("missing", ERR_NOT_FOUND, -ENOENT);
	check_refused("dangling", ERR_NOT_FOUND, -ENOENT);
	check_refused("/dev/null", ERR_USAGE, -ENOTDIR);
	check_refused("/", ERR_OTHER, -EBUSY);
	check_refused("dir", ERR_OTHER, -ENOTEMPTY);
	assert_int_equal(mountpoint_check("dir", true, &full, NULL), 0);
	assert_int_equal(mountpoint_check("dir/../empty", false, &empty, NULL), 0);
	assert_string_equal(empty, expected);
}

static void test_apart(void **state)
{
	auto_free char *dir = xasprintf("%s/dir", scratch);
	auto_free char *inner = xasprintf("%s/dir/inner", scratch);
	auto_free char *beside = xasprintf("%s/di", scratch);
	struct diag d = DIAG_INIT;
	(void)state;
	assert_int_equal(mountpoint_check_apart(dir, "empty", "store", &d), 0);
	/* A common beginning of the names is not a common folder. */
	assert_int_equal(mountpoint_check_apart(beside, dir, "store", &d), 0);
	assert_int_equal(mountpoint_check_apart(dir, "link", "store", &d), -EBUSY);
	assert_non_null(strstr(d.text, "hide the store"));
	assert_int_equal(mountpoint_check_apart(inner, "dir", "store", &d), -EBUSY);
	assert_non_null(strstr(d.text, "lies in the store"));
	assert_int_equal(mountpoint_check_apart(dir, dir, "store", &d), -EBUSY);
	assert_int_equal(mountpoint_check_apart(dir, "missing", "store", &d), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_paths_at_the_root),
		cmocka_unit_test(test_paths_that_lead_nowhere),
		cmocka_unit_test(test_mounted),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_apart),
	};
	return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
