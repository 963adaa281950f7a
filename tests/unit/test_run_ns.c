/*
 * Files of ids: /etc/subuid as useradd writes it and as people do, and the maps of a user
 * namespace.
 */
#include "tools/run_ns.c"
#include "tools/run_process.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void ranges(void **state)
{
	static const struct {
		const char *file;
		uint32_t first, count; /* 0: none */
	} cases[] = {
		{"joe:100000:65536\n", 100000, 65536},
		{"ann:100000:65536\njoe:165536:65536", 165536, 65536},
		{"1000:5:6\njoe:1:2\n", 5, 6},
		{"joe:1:2\njoe:3:4\n", 1, 2},
		{"joe:x:2\njoe:1:0\njoe:3\njoe\n:1:2\njoe:4294967295:2\njoe:9:1\n", 9, 1},
		{"joey:1:2\njo:1:2\n", 0, 0},
		{"", 0, 0},
		{"\n\n::\n", 0, 0},
		{"joe:99999999999999999999:1\n", 0, 0},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint32_t first = 0, count = 0;
		bool found = run_ns_range(BYTES_STR(cases[i].file), "joe", 1000, &first, &count);
		assert_int_equal(found, cases[i].count != 0);
		assert_int_equal(first, cases[i].first);
		assert_int_equal(count, cases[i].count);
	}
}

static void maps_of_ids(void **state)
{
	static const char whole[] = "         0          0 4294967295\n",
			  single[] = "         0       1000          1\n",
			  ranged[] = "         0       1000          1\n"
				     "         1     100000      65536\n";
	(void)state;
	assert_true(run_ns_maps(BYTES_STR(whole), MAP_ALL - 1));
	assert_true(run_ns_maps(BYTES_STR(single), 0));
	assert_false(run_ns_maps(BYTES_STR(single), 1));
	assert_true(run_ns_maps(BYTES_STR(ranged), 65536));
	assert_false(run_ns_maps(BYTES_STR(ranged), 65537));
	assert_false(run_ns_maps(BYTES_STR(""), 0));
	assert_false(run_ns_maps(BYTES_STR("a b c\n"), 0));
}

static void paths_that_are_not_there_yet(void **state)
{
	(void)state;
	auto_free char *kept = resolve_start("/usr/no/such/place");
	auto_free char *link = resolve_start("/proc/self/no");
	assert_string_equal(kept, "/usr/no/such/place");
	assert_true(strncmp(link, "/proc/", 6) == 0 && !strstr(link, "self"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges),
		cmocka_unit_test(maps_of_ids),
		cmocka_unit_test(paths_that_are_not_there_yet),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
