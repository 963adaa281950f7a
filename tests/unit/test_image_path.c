/*
 * REF:PATH: where the reference ends, for every kind of reference with colons of its own.
 */
#include "tools/image_path.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void divided(void **state)
{
	static const struct {
		const char *text, *reference, *path;
	} cases[] = {
		{"alpine:/", "alpine", "/"},
		{"alpine:3.19:/etc/passwd", "alpine:3.19", "/etc/passwd"},
		{"localhost:5000/app:1:/a", "localhost:5000/app:1", "/a"},
		{"[::1]:5000/app:/a", "[::1]:5000/app", "/a"},
		{"app@sha256:00ff:/a", "app@sha256:00ff", "/a"},
		{"docker://host/app:1:/a", "docker://host/app:1", "/a"},
		{"oci:/srv/layout:/a", "oci:/srv/layout", "/a"},
		{"oci:layout:name:/a", "oci:layout:name", "/a"},
		{"oci:/srv/layout:@2:/a", "oci:/srv/layout:@2", "/a"},
		{"app:1:/a:/b", "app:1", "/a:/b"},
		{"oci:d:1:/a:/b", "oci:d:1", "/a:/b"},
		{"app://a", "app", "//a"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *path = NULL;
		char *reference = NULL;
		assert_true(image_path_split(cases[i].text, &reference, &path));
		assert_string_equal(reference, cases[i].reference);
		assert_string_equal(path, cases[i].path);
		free(reference);
	}
}

static void refused(void **state)
{
	static const char *const cases[] = {"",
					    "alpine",
					    "alpine:3",
					    "/etc/passwd",
					    ":/etc",
					    "oci:/srv/layout",
					    "oci::/a",
					    "a/b",
					    "docker://host/app",
					    "app:1:etc/passwd"};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *path = NULL;
		char *reference = NULL;
		assert_false(image_path_split(cases[i], &reference, &path));
		assert_null(reference);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(divided),
		cmocka_unit_test(refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
