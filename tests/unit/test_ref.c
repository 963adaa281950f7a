/* References: what the user types, and what becomes of it. */
#include "fetch/ref.h"

#include <stdarg.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#define HEX64	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIGEST	"sha256:" HEX64
#define TEN(s)	s s s s s s s s s s
#define HUNDRED TEN(TEN("a"))

static void good_references(void **state)
{
	static const struct {
		const char *text, *expanded;
	} cases[] = {
		{"alpine", "docker.io/library/alpine:latest"},
		{"user/app:1", "docker.io/user/app:1"},
		{"localhost/app", "localhost/app:latest"},
		{"foo:5000", "docker.io/library/foo:5000"},
		{"foo:5000/bar", "foo:5000/bar:latest"},
		{"docker.io/alpine@" DIGEST, "docker.io/library/alpine@" DIGEST},
		{"index.docker.io/a/b:c", "docker.io/a/b:c"},
		{"docker://ghcr.io/a/b", "ghcr.io/a/b:latest"},
		{"Host.Example/app", "host.example/app:latest"},
		{"[::1]:5000/a", "[::1]:5000/a:latest"},
		{"a/b__c/d-e---f/g.h/i_j", "docker.io/a/b__c/d-e---f/g.h/i_j:latest"},
		{"a:T_-.9", "docker.io/library/a:T_-.9"},
		{"a:1@" DIGEST, "docker.io/library/a:1@" DIGEST},
		{"a@sha512:" HEX64 HEX64, "docker.io/library/a@sha512:" HEX64 HEX64},
		{"oci", "docker.io/library/oci:latest"},
		{"dir:1", "docker.io/library/dir:1"},
		{"127.0.0.1:1/a/b", "127.0.0.1:1/a/b:latest"},
		{HEX64 ":1", "docker.io/library/" HEX64 ":1"},
		{"docker://oci:5000/a", "docker://oci:5000/a:latest"},
		{"Docker-Archive:1/a", "docker://docker-archive:1/a:latest"},
		{"oci:/a/b", "oci:/a/b"},
		{"oci:dir:name:1@x", "oci:dir:name:1@x"},
		{"oci:dir:@3", "oci:dir:@3"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct diag d = DIAG_INIT;
		struct ref ref, again;
		if (ref_parse(cases[i].text, &ref, &d))
			fail_msg("%s: %s", cases[i].text, d.text);
		char *text = ref_text(&ref);
		assert_string_equal(text, cases[i].expanded);
		/* the expanded form means the same */
		assert_int_equal(ref_parse(text, &again, NULL), 0);
		char *text_again = ref_text(&again);
		assert_string_equal(text_again, text);
		free(text_again);
		free(text);
		ref_fini(&again);
		ref_fini(&ref);
	}
}

static void bad_references(void **state)
{
	static const char *const cases[] = {
		"",
		"a//b",
		"a/",
		"/a",
		"a..b",
		"a:",
		"a@sha256:abc",
		"Host/App",
		"App",
		"host.example/App",
		"a b",
		"a:b c",
		"a@",
		"a@" DIGEST "@" DIGEST,
		HEX64,
		"-a",
		"a-",
		"a___b",
		"a._b",
		".a",
		"a:.b",
		"a:-b",
		"host:/a",
		"host:0/a",
		"host:65536/a",
		"host:1x/a",
		"-host.io/a",
		"host-.io/a",
		"ho..st/a",
		"host.io./a",
		"[::1/a",
		"[::g]:1/a",
		"[::1]x/a",
		"a/b\n",
		"a:b\r\nX: y",
		"a?b",
		"a#b",
		"a%2fb",
		"../a",
		"a/../b",
		"oci:",
		"oci::name",
		"oci:dir:",
		"oci:dir:@",
		"oci:dir:@x",
		"oci:dir:@1x",
		"oci:dir:@99999999999",
		"a:" HUNDRED TEN("aaa"),
		HUNDRED "/" HUNDRED "/" HUNDRED,
		"user@host.io/a",
		"\xc3\xa9",
		"host.io/\x7f",
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct diag d = DIAG_INIT;
		struct ref ref;
		if (ref_parse(cases[i], &ref, &d) == 0)
			fail_msg("accepted: %s", cases[i]);
		assert_int_equal(d.cls, ERR_USAGE);
		assert_true(d.text[0] != 0);
		assert_null(ref.host);
	}
}

static void other_transports(void **state)
{
	static const char *const cases[] = {
		"oci-archive:x.tar",
		"docker-archive:x.tar",
		"containers-storage:x",
		"docker-daemon:x:1",
		"dir:/x",
		"https://ghcr.io/a",
		"http://x/y",
		"sif:./x",
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct diag d = DIAG_INIT;
		struct ref ref;
		assert_int_equal(ref_parse(cases[i], &ref, &d), -ENOTSUP);
		assert_int_equal(d.cls, ERR_UNSUPPORTED);
	}
	struct diag d = DIAG_INIT;
	struct ref ref;
	assert_int_equal(ref_parse("a@blake3:" HEX64, &ref, &d), -EINVAL);
	assert_int_equal(d.cls, ERR_UNSUPPORTED);
}

static void fields(void **state)
{
	struct ref ref;
	(void)state;
	assert_int_equal(ref_parse("localhost:5000/a/b:c@" DIGEST, &ref, NULL), 0);
	assert_int_equal(ref.kind, REF_REGISTRY);
	assert_string_equal(ref.host, "localhost:5000");
	assert_string_equal(ref.repo, "a/b");
	assert_string_equal(ref.tag, "c");
	assert_int_equal(ref.digest.alg, DIGEST_SHA256);
	assert_string_equal(ref_api_host(&ref), "localhost:5000");
	ref_fini(&ref);
	assert_int_equal(ref_parse("alpine@" DIGEST, &ref, NULL), 0);
	assert_null(ref.tag);
	assert_string_equal(ref_api_host(&ref), "registry-1.docker.io");
	ref_fini(&ref);
	assert_int_equal(ref_parse("oci:/d:@7", &ref, NULL), 0);
	assert_int_equal(ref.kind, REF_OCI_LAYOUT);
	assert_string_equal(ref.dir, "/d");
	assert_null(ref.name);
	assert_int_equal(ref.number, 7);
	ref_fini(&ref);
	assert_int_equal(ref_parse("oci:/d:n", &ref, NULL), 0);
	assert_string_equal(ref.name, "n");
	assert_int_equal(ref.number, -1);
	ref_fini(&ref);
}

static void loopback(void **state)
{
	static const char *const near[] = {"localhost",	  "localhost:5000", "127.0.0.1",
					   "127.9.9.9:1", "[::1]",	    "[::1]:5000"};
	static const char *const far[] = {"localhost.io", "128.0.0.1",	  "10.0.0.1:5000",
					  "[::2]",	  "127.0.0.1.io", "docker.io",
					  "[::1",	  "xlocalhost"};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(near); i++)
		assert_true(ref_host_is_loopback(near[i]));
	for (size_t i = 0; i < ARRAY_LEN(far); i++)
		assert_false(ref_host_is_loopback(far[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_references),  cmocka_unit_test(bad_references),
		cmocka_unit_test(other_transports), cmocka_unit_test(fields),
		cmocka_unit_test(loopback),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
