/* WWW-Authenticate: what is taken from it, and what is not. */
#include "fetch/challenge.h"

#include <stdarg.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

struct expected {
	const char *header;
	enum challenge_scheme scheme;
	const char *realm, *service, *scope, *error;
};

static void same(const char *got, const char *want, const char *header)
{
	if (!got != !want || (got && strcmp(got, want) != 0))
		fail_msg("%s: got %s, want %s", header, got ? got : "-", want ? want : "-");
}

static void check(const struct challenge *c, const struct expected *e)
{
	if (c->scheme != e->scheme)
		fail_msg("%s: scheme %d, want %d", e->header, (int)c->scheme, (int)e->scheme);
	same(c->realm, e->realm, e->header);
	same(c->service, e->service, e->header);
	same(c->scope, e->scope, e->header);
	same(c->error, e->error, e->header);
}

static void headers(void **state)
{
	static const struct expected cases[] = {
		{"Bearer realm=\"https://a/t\",service=\"s\",scope=\"repository:x:pull\"",
		 CHALLENGE_BEARER, "https://a/t", "s", "repository:x:pull", NULL},
		{"bEARER REALM = \"https://a/t\" , Service=s , error=invalid_token",
		 CHALLENGE_BEARER, "https://a/t", "s", NULL, "invalid_token"},
		{"Basic realm=\"a, b\", Bearer realm=\"https://a/t\"", CHALLENGE_BEARER,
		 "https://a/t", NULL, NULL, NULL},
		{"Bearer realm=\"https://a/t\", Basic realm=\"b\"", CHALLENGE_BEARER, "https://a/t",
		 NULL, NULL, NULL},
		{"Basic", CHALLENGE_BASIC, NULL, NULL, NULL, NULL},
		{"Basic realm=\"say \\\"hello\\\"\"", CHALLENGE_BASIC, "say \"hello\"", NULL, NULL,
		 NULL},
		{"Negotiate, Basic realm=x", CHALLENGE_BASIC, "x", NULL, NULL, NULL},
		{"Negotiate oYIB/+==, Bearer realm=\"https://a\"", CHALLENGE_BEARER, "https://a",
		 NULL, NULL, NULL},
		{"Digest realm=\"d\", nonce=\"n,=\", qop=\"auth\", Basic realm=\"b\"",
		 CHALLENGE_BASIC, "b", NULL, NULL, NULL},
		{"Bearer realm=\"one\", realm=\"two\"", CHALLENGE_BEARER, "one", NULL, NULL, NULL},
		{"Bearer service=\"s\"", CHALLENGE_NONE, NULL, NULL, NULL, NULL},
		{"Bearer", CHALLENGE_NONE, NULL, NULL, NULL, NULL},
		{"Bearer realm=\"open", CHALLENGE_NONE, NULL, NULL, NULL, NULL},
		{", ,Basic realm=b,,", CHALLENGE_BASIC, "b", NULL, NULL, NULL},
		{"=\"\"", CHALLENGE_NONE, NULL, NULL, NULL, NULL},
		{"", CHALLENGE_NONE, NULL, NULL, NULL, NULL},
		{"\"Bearer realm=x\"", CHALLENGE_NONE, NULL, NULL, NULL, NULL},
		{"Bearer realm=\"\"", CHALLENGE_BEARER, "", NULL, NULL, NULL},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct challenge c = {0};
		challenge_add(&c, cases[i].header);
		check(&c, &cases[i]);
		challenge_fini(&c);
	}
}

static void several_headers(void **state)
{
	struct challenge c = {0}, copy = {0};
	(void)state;
	challenge_add(&c, "Basic realm=b");
	challenge_add(&c, "Bearer realm=\"https://a\",error=\"insufficient_scope\"");
	challenge_add(&c, "Basic realm=c");
	challenge_copy(&copy, &c);
	challenge_fini(&c);
	assert_int_equal(copy.scheme, CHALLENGE_BEARER);
	assert_string_equal(copy.realm, "https://a");
	assert_true(challenge_has_error(&copy, "insufficient_scope"));
	assert_false(challenge_has_error(&copy, "invalid_token"));
	challenge_fini(&copy);
}

static void endless_parameter(void **state)
{
	char header[CHALLENGE_PARAM_MAX + 100] = "Bearer realm=\"";
	struct challenge c = {0};
	(void)state;
	memset(header + strlen(header), 'x', CHALLENGE_PARAM_MAX + 1);
	strcat(header, "\"");
	challenge_add(&c, header);
	assert_int_equal(c.scheme, CHALLENGE_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers),
		cmocka_unit_test(several_headers),
		cmocka_unit_test(endless_parameter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
