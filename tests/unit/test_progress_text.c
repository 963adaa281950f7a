/*
 * Lines of progress: what they say, that they fit, and what is left out first.
 */
#include "tools/format.c"
#include "tools/progress_text.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#undef fail

#define MIB (UINT64_C(1) << 20)

static struct progress_view half(void)
{
	return (struct progress_view){.label = "layer 3",
				      .done = 50 * MIB,
				      .total = 100 * MIB,
				      .rate = 10.0 * (double)MIB};
}

static void test_says(void **state)
{
	char line[PROGRESS_LINE_MAX];
	struct progress_view v = half();
	(void)state;
	assert_string_equal(progress_bar(&v, 60, line),
			    "layer 3  ########---------  50.0/100.0 MiB  10.0 MiB/s  0:05");
	assert_string_equal(progress_plain(&v, line), "50.0 of 100.0 MiB, 10.0 MiB/s, 0:05 left");
	v.rate = 0;
	assert_string_equal(progress_plain(&v, line), "50.0 of 100.0 MiB");
	v.rate = 1024;
	assert_string_equal(progress_plain(&v, line),
			    "50.0 of 100.0 MiB, 1.0 KiB/s, 14:13:20 left");
	v.rate = 1;
	assert_string_equal(progress_plain(&v, line), "50.0 of 100.0 MiB, 1 B/s");
}

static void test_fits_every_width(void **state)
{
	(void)state;
	for (int block = 0; block < 4; block++)
		for (size_t width = 1; width < 2 * PROGRESS_LINE_MAX; width++) {
			char line[PROGRESS_LINE_MAX];
			struct progress_view v = half();
			v.label_width = block & 1 ? 17 : 0;
			v.part = (block & 2) != 0;
			assert_in_range(strlen(progress_bar(&v, width, line)), 1,
					min_of(width, (size_t)PROGRESS_LINE_MAX - 1));
		}
}

static void test_leaves_out(void **state)
{
	char line[PROGRESS_LINE_MAX];
	struct progress_view v = half();
	(void)state;
	/* The whole: rate and time left first. */
	assert_string_equal(progress_bar(&v, 44, line),
			    "layer 3  50.0/100.0 MiB  10.0 MiB/s  0:05");
	assert_string_equal(progress_bar(&v, 38, line), "layer 3  50.0/100.0 MiB  10.0 MiB/s");
	/* A part: the bar first. */
	v.part = true;
	assert_string_equal(progress_bar(&v, 39, line), "layer 3  ####----  50.0/100.0 MiB  0:05");
	assert_string_equal(progress_bar(&v, 24, line), "layer 3  50.0/100.0 MiB");
}

static void test_cuts_no_number(void **state)
{
	char line[PROGRESS_LINE_MAX];
	struct progress_view v = half();
	(void)state;
	v.part = true;
	v.label_width = 11;
	assert_string_equal(progress_bar(&v, 27, line), "layer 3      50.0/100.0 MiB");
	assert_string_equal(progress_bar(&v, 23, line), "layer 3  50.0/100.0 MiB");
	assert_string_equal(progress_bar(&v, 22, line), "layer 3  ####----  50%");
	assert_string_equal(progress_bar(&v, 12, line), "layer 3  50%");
	assert_string_equal(progress_bar(&v, 11, line), "50%");
	assert_string_equal(progress_bar(&v, 3, line), "50%");
	assert_string_equal(progress_bar(&v, 2, line), "la");
}

static void test_edges(void **state)
{
	char line[PROGRESS_LINE_MAX];
	struct progress_view v = {.label = "total", .done = 9, .total = 0};
	(void)state;
	assert_string_equal(progress_plain(&v, line), "0 of 0 B");
	assert_non_null(strstr(progress_bar(&v, 60, line), "####"));
	v = (struct progress_view){
		.label = "total", .done = UINT64_MAX, .total = UINT64_MAX, .rate = 1e18};
	assert_non_null(strstr(progress_bar(&v, 80, line), "TiB"));
	v.done = 0;
	assert_null(strstr(progress_bar(&v, 80, line), "#"));
}

static void test_block_is_aligned(void **state)
{
	char a[PROGRESS_LINE_MAX], b[PROGRESS_LINE_MAX];
	struct progress_view v = half(), w = half();
	(void)state;
	v.label_width = w.label_width = 9;
	v.part = true;
	w.label = "total";
	w.done = w.total = 1000 * MIB;
	progress_bar(&v, 79, a);
	progress_bar(&w, 79, b);
	assert_int_equal(strlen(a), strlen(b));
	assert_int_equal(strchr(a, '#') - a, strchr(b, '#') - b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_says),	   cmocka_unit_test(test_fits_every_width),
		cmocka_unit_test(test_leaves_out), cmocka_unit_test(test_cuts_no_number),
		cmocka_unit_test(test_edges),	   cmocka_unit_test(test_block_is_aligned),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
