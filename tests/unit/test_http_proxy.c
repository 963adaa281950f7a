/* Which requests go through a proxy: the variables, and the list of hosts that go without. */
#include "fetch/http_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool exempts(const char *list, const char *text)
{
	struct http_url url;
	BUG_ON(http_url_parse(text, &url, NULL));
	bool exempt = http_proxy_exempts(list, &url);
	http_url_fini(&url);
	return exempt;
}

static void exempt(void **state)
{
	static const struct {
		const char *list, *url;
	} cases[] = {
		{"*", "http://a.example/"},
		{"a.example", "http://a.example/"},
		{"x, A.Example", "http://a.example/"},
		{".example", "http://a.example/"},
		{"*.example", "http://a.example/"},
		{"example.", "http://a.example/"},
		{"a.example:5000", "http://a.example:5000/"},
		{"10.1.2.3", "http://10.1.2.3/"},
		{"10.0.0.0/8", "http://10.1.2.3/"},
		{"10.1.2.0/23", "http://10.1.3.3/"},
		{"0.0.0.0/0", "http://10.1.2.3/"},
		{"10.1.2.3/32", "http://10.1.2.3/"},
		{"fd00::/8", "http://[fd12::1]/"},
		{"fd12::1", "http://[fd12:0::1]/"},
		{"[fd12::1]:80", "http://[fd12::1]/"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (!exempts(cases[i].list, cases[i].url))
			fail_msg("%s does not exempt %s", cases[i].list, cases[i].url);
}

static void not_exempt(void **state)
{
	static const struct {
		const char *list, *url;
	} cases[] = {
		{"", "http://a.example/"},
		{", ,", "http://a.example/"},
		{".", "http://a.example/"},
		{"a.example", "http://ba.example/"},
		{"b.a.example", "http://a.example/"},
		{"a.example:5000", "http://a.example/"},
		{"2.3", "http://10.1.2.3/"},
		{"10.0.0.0/33", "http://10.0.0.1/"},
		{"10.0.0.0/", "http://10.0.0.0/"},
		{"10.0.0.0/8x", "http://10.0.0.0/"},
		{"10.1.2.0/23", "http://10.1.4.3/"},
		{"10.0.0.0/8", "http://a.example/"},
		{"::/0", "http://10.0.0.1/"},
		{"0.0.0.0/0", "http://[fd12::1]/"},
		{"fd00::/8", "http://[fe80::1]/"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (exempts(cases[i].list, cases[i].url))
			fail_msg("%s exempts %s", cases[i].list, cases[i].url);
}

static void assert_proxy(const char *text, const char *proxy)
{
	struct http_url url;
	BUG_ON(http_url_parse(text, &url, NULL));
	const char *found = http_proxy_for(&url);
	http_url_fini(&url);
	if (!proxy)
		assert_null(found);
	else
		assert_string_equal(found, proxy);
}

static void variables(void **state)
{
	(void)state;
	assert_proxy("http://a.example/", NULL);
	setenv("ALL_PROXY", "all", 1);
	setenv("HTTP_PROXY", "not looked at", 1);
	assert_proxy("http://a.example/", "all");
	assert_proxy("https://a.example/", "all");
	setenv("http_proxy", "plain", 1);
	setenv("HTTPS_PROXY", "secure", 1);
	assert_proxy("http://a.example/", "plain");
	assert_proxy("https://a.example/", "secure");
	assert_proxy("http://localhost/", NULL);
	assert_proxy("http://127.0.0.2/", NULL);
	setenv("NO_PROXY", "a.example", 1);
	assert_proxy("https://a.example/", NULL);
	assert_proxy("https://b.example/", "secure");
	setenv("no_proxy", "b.example", 1);
	assert_proxy("https://a.example/", "secure");
	assert_proxy("https://b.example/", NULL);
}

static int forget_variables(void **state)
{
	static const char *const names[] = {"http_proxy",  "HTTP_PROXY", "https_proxy",
					    "HTTPS_PROXY", "all_proxy",	 "ALL_PROXY",
					    "no_proxy",	   "NO_PROXY"};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		unsetenv(names[i]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exempt),
		cmocka_unit_test(not_exempt),
		cmocka_unit_test_setup_teardown(variables, forget_variables, forget_variables),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
