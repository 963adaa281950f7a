/*
 * test_counters - names, slots and sums
 */
#include "fs/counters.h"

#include <linux/fuse.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct content_stats no_reads;

static uint64_t value_of(const struct counter_value *values, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(values[i].name, name) == 0)
			return values[i].value;
	fail_msg("no counter is called %s", name);
	return 0;
}

static void test_upcalls(void **state)
{
	struct counters c = {0};
	struct counters_view v;
	(void)state;
	counters_upcall(&c, FUSE_LOOKUP);
	counters_upcall(&c, FUSE_LOOKUP);
	counters_upcall(&c, FUSE_READDIRPLUS);
	counters_copy(&c, &no_reads, &v);
	assert_int_equal(value_of(v.upcalls, v.n_upcalls, "lookup"), 2);
	assert_int_equal(value_of(v.upcalls, v.n_upcalls, "readdirplus"), 1);
	assert_int_equal(value_of(v.upcalls, v.n_upcalls, "getattr"), 0);
	assert_int_equal(value_of(v.upcalls, v.n_upcalls, "other"), 0);
	assert_int_equal(v.upcalls_total, 3);
}

/* Opcodes come from outside: those without a name are counted too, whatever their number. */
static void test_opcodes_without_a_name(void **state)
{
	const uint32_t opcodes[] = {0,	       FUSE_SETATTR, COUNTERS_OPCODES - 1, COUNTERS_OPCODES,
				    CUSE_INIT, UINT32_MAX};
	struct counters c = {0};
	struct counters_view v;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(opcodes); i++)
		counters_upcall(&c, opcodes[i]);
	counters_copy(&c, &no_reads, &v);
	assert_int_equal(value_of(v.upcalls, v.n_upcalls, "other"), ARRAY_LEN(opcodes));
	assert_int_equal(v.upcalls_total, ARRAY_LEN(opcodes));
}

static void test_names_are_unique(void **state)
{
	struct counters c = {0};
	struct counters_view v;
	(void)state;
	for (uint32_t opcode = 0; opcode < COUNTERS_OPCODES; opcode++)
		counters_upcall(&c, opcode);
	counters_copy(&c, &no_reads, &v);
	assert_int_equal(v.upcalls_total, COUNTERS_OPCODES);
	for (size_t i = 0; i < v.n_upcalls; i++)
		for (size_t k = i + 1; k < v.n_upcalls; k++)
			assert_string_not_equal(v.upcalls[i].name, v.upcalls[k].name);
}

static void test_content(void **state)
{
	const struct content_stats stats = {.reads = 1,
					    .read_bytes = UINT64_MAX,
					    .fetched_bytes = 3,
					    .errors = 4,
					    .failures = 5};
	struct counters c = {0};
	struct counters_view v;
	(void)state;
	counters_copy(&c, &stats, &v);
	assert_int_equal(v.n_content, sizeof(stats) / sizeof(uint64_t));
	assert_int_equal(value_of(v.content, v.n_content, "reads"), 1);
	assert_int_equal(value_of(v.content, v.n_content, "read_bytes"), UINT64_MAX);
	assert_int_equal(value_of(v.content, v.n_content, "fetched_bytes"), 3);
	assert_int_equal(value_of(v.content, v.n_content, "errors"), 4);
	assert_int_equal(value_of(v.content, v.n_content, "failures"), 5);
}

static void test_failed_replies(void **state)
{
	struct counters c = {0};
	struct counters_view v;
	(void)state;
	counters_failed_reply(&c);
	counters_copy(&c, &no_reads, &v);
	assert_int_equal(v.failed_replies, 1);
	assert_int_equal(v.upcalls_total, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_upcalls),
		cmocka_unit_test(test_opcodes_without_a_name),
		cmocka_unit_test(test_names_are_unique),
		cmocka_unit_test(test_content),
		cmocka_unit_test(test_failed_replies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
