/*
 * Platforms: every spelling comes out as one, and the order in which offered platforms serve a
 * wanted one is the one that containerd has.
 */
#include "fetch/manifest_priv.h"
#include "tests/unit/document_text.h"

static void spelling(void **state)
{
	static const char *const cases[][2] = {
		{"linux/amd64", "linux/amd64"},
		{"linux/x86_64", "linux/amd64"},
		{"Linux/X86-64", "linux/amd64"},
		{"linux/amd64/v1", "linux/amd64"},
		{"linux/amd64/v3", "linux/amd64/v3"},
		{"linux/aarch64", "linux/arm64"},
		{"linux/arm64/v8", "linux/arm64"},
		{"linux/arm64/8", "linux/arm64"},
		{"linux/arm64/v8.0", "linux/arm64"},
		{"linux/arm64/v8.2", "linux/arm64/v8.2"},
		{"linux/arm64/v9.0", "linux/arm64/v9"},
		{"linux/armhf", "linux/arm/v7"},
		{"linux/armel", "linux/arm/v6"},
		{"linux/arm", "linux/arm/v7"},
		{"linux/arm/6", "linux/arm/v6"},
		{"linux/arm/v5", "linux/arm/v5"},
		{"linux/i386", "linux/386"},
		{"macos/arm64", "darwin/arm64"},
		{"linux/riscv64", "linux/riscv64"},
		{"linux/ppc64le", "linux/ppc64le"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct platform p;
		struct diag d = DIAG_INIT;
		char text[100];
		assert_outcome(cases[i][0], platform_parse(cases[i][0], &p, &d), 0, &d, NULL);
		assert_string_equal(platform_text(&p, text), cases[i][1]);
	}
}

static void malformed(void **state)
{
	static const char *const cases[] = {
		"",
		"linux",
		"/amd64",
		"linux/",
		"linux/arm/",
		"a/b/c/d",
		"linux//v8",
		"linux/am d64",
		"linux/amd64\n",
		"linux/\xc3\xa9",
		"l*/amd64",
		"linux/amd64/;",
		"linux/abcdefghijklmnopqrstuvwxyz0123456789",
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct platform p;
		struct diag d = DIAG_INIT;
		assert_outcome(cases[i], platform_parse(cases[i], &p, &d), -EINVAL, &d,
			       "OS/ARCH[/VARIANT]");
		assert_int_equal(d.cls, ERR_USAGE);
	}
}

static int rank(const char *wanted, const char *offered)
{
	struct platform w, o;
	assert_int_equal(platform_parse(wanted, &w, NULL), 0);
	assert_int_equal(platform_parse(offered, &o, NULL), 0);
	return platform_rank(&w, &o);
}

/* In each list the first serves itself perfectly, and every later one worse than the one before. */
static void order(void **state)
{
	static const char *const lists[][20] = {
		{"linux/amd64", "linux/386"},
		{"linux/amd64/v3", "linux/amd64/v2", "linux/amd64", "linux/386"},
		{"linux/arm64", "linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"},
		{"linux/arm64/v8.2", "linux/arm64/v8.1", "linux/arm64", "linux/arm/v8",
		 "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"},
		{"linux/arm64/v9.1", "linux/arm64/v9", "linux/arm64/v8.6", "linux/arm64/v8.5",
		 "linux/arm64/v8.4", "linux/arm64/v8.3", "linux/arm64/v8.2", "linux/arm64/v8.1",
		 "linux/arm64", "linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"},
		{"linux/arm", "linux/arm/v6", "linux/arm/v5"},
		{"linux/arm/v6", "linux/arm/v5"},
		{"linux/386"},
		{"linux/s390x"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		const char *const *list = lists[i];
		assert_int_equal(rank(list[0], list[0]), 0);
		for (size_t k = 1; list[k]; k++)
			if (rank(list[0], list[k]) <= rank(list[0], list[k - 1]))
				fail_msg("%s: %s does not come after %s", list[0], list[k],
					 list[k - 1]);
	}
}

static void unfit(void **state)
{
	static const char *const cases[][2] = {
		{"linux/amd64", "linux/arm64"},
		{"linux/amd64", "windows/amd64"},
		{"linux/amd64", "linux/amd64/v2"},
		{"linux/amd64/v2", "linux/amd64/v3"},
		{"linux/386", "linux/amd64"},
		{"linux/arm64", "linux/arm64/v8.1"},
		{"linux/arm64/v9", "linux/arm64/v8.6"},
		{"linux/arm64/v8.9", "linux/arm64/v9"},
		{"linux/arm/v6", "linux/arm/v7"},
		{"linux/arm/v5", "linux/arm/v4"},
		{"linux/arm", "linux/arm64"},
		{"linux/arm64", "linux/arm/v4"},
		{"linux/riscv64", "linux/riscv64/rva22"},
		{"linux/amd64", "linux/amd64/haswell"},
		{"linux/ppc64le", "linux/ppc64"},
		{"darwin/arm64", "linux/arm64"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (rank(cases[i][0], cases[i][1]) >= 0)
			fail_msg("%s is served by %s", cases[i][0], cases[i][1]);
}

/* Unknown levels still serve themselves. */
static void unknown_level(void **state)
{
	(void)state;
	assert_int_equal(rank("linux/amd64/haswell", "linux/amd64/haswell"), 0);
	assert_true(rank("linux/amd64/haswell", "linux/amd64") < 0);
	assert_int_equal(rank("linux/arm64/v10", "linux/arm64/v10"), 0);
}

static void host(void **state)
{
	struct platform p;
	(void)state;
	platform_host(&p);
	assert_string_equal(p.os, "linux");
	assert_int_equal(platform_rank(&p, &p), 0);
	assert_string_not_equal(p.arch, "unknown");
	assert_string_not_equal(p.arch, "x86_64");
}

/* Texts from documents. */
static void from_document(void **state)
{
	struct platform p;
	(void)state;
	assert_true(platform_set(&p, "LINUX", "AArch64", NULL));
	assert_string_equal(p.arch, "arm64");
	assert_true(platform_set(&p, NULL, NULL, NULL));
	assert_string_equal(p.os, "");
	assert_false(platform_set(&p, "linux", "\x1b[31m", NULL));
	assert_string_equal(p.os, "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spelling),	 cmocka_unit_test(malformed),
		cmocka_unit_test(order),	 cmocka_unit_test(unfit),
		cmocka_unit_test(unknown_level), cmocka_unit_test(host),
		cmocka_unit_test(from_document),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
