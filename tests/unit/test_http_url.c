/* URLs, redirects, and the header values that decide what is done with an answer. */
#include "fetch/http_url.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct http_url parsed(const char *text)
{
	struct http_url url;
	struct diag d = DIAG_INIT;
	if (http_url_parse(text, &url, &d))
		fail_msg("%s", d.text);
	return url;
}

static void parse(void **state)
{
	static const char *const bad[] = {
		"",
		"host/path",
		"/path",
		"ftp://h/x",
		"file:///etc/passwd",
		"http://",
		"https:///",
		"http://u:p@h/",
		"http://u@h/",
		"http://h:99999/",
		"http://h x/",
		"//h/x",
	};
	(void)state;
	struct http_url url = parsed("https://Host.IO/a/../b?q=1#f");
	assert_string_equal(url.host, "host.io");
	assert_string_equal(url.port, "443");
	assert_string_equal(url.path, "/a/../b");
	assert_string_equal(url.text, "https://Host.IO/a/../b?q=1");
	assert_true(url.https);
	char *shown = http_url_shown(&url);
	assert_string_equal(shown, "https://host.io/a/../b");
	free(shown);
	http_url_fini(&url);
	url = parsed("http://[::1]:5000");
	assert_string_equal(url.host, "[::1]");
	assert_string_equal(url.port, "5000");
	shown = http_url_shown(&url);
	assert_string_equal(shown, "http://[::1]:5000/");
	free(shown);
	http_url_fini(&url);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (http_url_parse(bad[i], &url, NULL) != -EPROTO)
			fail_msg("accepted: %s", bad[i]);
}

static void origins(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{"https://h/a", "https://H:443/b?c", true},
		{"http://h:80/", "http://h/", true},
		{"https://h/", "http://h/", false},
		{"https://h/", "http://h:443/", false},
		{"https://h/", "https://h:444/", false},
		{"https://h/", "https://h.io/", false},
		{"http://127.0.0.1/", "http://2130706433/", true}, /* one address, two spellings */
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_url a = parsed(cases[i].a), b = parsed(cases[i].b);
		if (http_url_same_origin(&a, &b) != cases[i].same)
			fail_msg("%s %s", cases[i].a, cases[i].b);
		http_url_fini(&a);
		http_url_fini(&b);
	}
}

static void redirects(void **state)
{
	static const struct {
		const char *from, *location, *to; /* to NULL: refused */
	} cases[] = {
		{"https://h/v2/a?x", "https://s.io/y?z=1", "https://s.io/y?z=1"},
		{"https://h/v2/a?x", "/art/y", "https://h/art/y"},
		{"https://h/v2/a?x", "b", "https://h/v2/b"},
		{"https://h/v2/a", "?q", "https://h/v2/a?q"},
		{"https://h/v2/a", "//s.io/y", "https://s.io/y"},
		{"http://h/v2/a", "https://s.io/y", "https://s.io/y"},
		{"http://h/v2/a", "http://s.io/y", "http://s.io/y"},
		{"https://h/v2/a", "http://s.io/y", NULL},
		{"https://h/v2/a", "HTTP://h/v2/a", NULL},
		{"https://h/v2/a", "file:///etc/passwd", NULL},
		{"https://h/v2/a", "ftp://s.io/", NULL},
		{"https://h/v2/a", "https://u:p@s.io/", NULL},
		{"https://h/v2/a", "", NULL},
		{"https://h/v2/a", NULL, NULL},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_url from = parsed(cases[i].from), to;
		struct diag d = DIAG_INIT;
		err_t err = http_url_follow(&from, cases[i].location, &to, &d);
		if (!cases[i].to) {
			assert_int_equal(err, -EPROTO);
			assert_null(to.text);
			assert_non_null(strstr(d.text, "redirect refused"));
		} else {
			assert_int_equal(err, 0);
			assert_string_equal(to.text, cases[i].to);
		}
		http_url_fini(&from);
		http_url_fini(&to);
	}
}

static void refused_redirect_keeps_the_signature_secret(void **state)
{
	struct http_url from = parsed("https://h/a?sig=secret"), to;
	struct diag d = DIAG_INIT;
	(void)state;
	assert_int_equal(http_url_follow(&from, "http://s/b?sig=secret", &to, &d), -EPROTO);
	assert_null(strstr(d.text, "secret"));
	http_url_fini(&from);
}

static void content_ranges(void **state)
{
	static const struct {
		const char *text;
		struct http_content_range want;
	} good[] = {
		{"bytes 0-9/10", {true, true, 0, 9, 10}},
		{"Bytes 5-5/*", {true, false, 5, 5, 0}},
		{"bytes */77", {false, true, 0, 0, 77}},
		{"bytes 0-18446744073709551614/18446744073709551615",
		 {true, true, 0, UINT64_MAX - 1, UINT64_MAX}},
	};
	static const char *const bad[] = {
		"",
		"bytes",
		"bytes 0-9",
		"bytes 9-0/10",
		"bytes 0-10/10",
		"bytes=0-9/10",
		"items 0-9/10",
		"bytes 0-9/10 ",
		"bytes -9/10",
		"bytes 0-/10",
		"bytes */*",
		"bytes 0-9/",
		"bytes +0-9/10",
		"bytes 0x0-9/10",
		"bytes 0-9/18446744073709551616",
		"bytes 0-9/10,bytes 0-9/10",
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct http_content_range got;
		assert_true(http_content_range_parse(good[i].text, &got));
		assert_int_equal(got.has_range, good[i].want.has_range);
		assert_int_equal(got.has_total, good[i].want.has_total);
		assert_true(got.first == good[i].want.first && got.last == good[i].want.last);
		assert_true(got.total == good[i].want.total);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct http_content_range got;
		if (http_content_range_parse(bad[i], &got))
			fail_msg("accepted: '%s'", bad[i]);
	}
}

static void waiting_times(void **state)
{
	time_t now = http_date_parse("Wed, 21 Oct 2026 07:28:00 GMT");
	(void)state;
	assert_int_equal(now, 1792567680);
	assert_int_equal(http_retry_after_ms("5", now), 5000);
	assert_int_equal(http_retry_after_ms("0", now), 0);
	assert_int_equal(http_retry_after_ms("99999999999", now), 86400000);
	assert_int_equal(http_retry_after_ms("Wed, 21 Oct 2026 07:28:30 GMT", now), 30000);
	assert_int_equal(http_retry_after_ms("Wed, 21 Oct 2025 07:28:30 GMT", now), 0);
	assert_int_equal(http_retry_after_ms("-1", now), 0);
	assert_int_equal(http_retry_after_ms("soon", now), 0);
}

static void signed_urls(void **state)
{
	static const time_t now = 1767225600; /* 2026-01-01 */
	static const struct {
		const char *url;
		int64_t life_s;
	} cases[] = {
		{"https://s/x?X-Amz-Date=20260101T000000Z&X-Amz-Expires=600&b", 600},
		{"https://s/x?a&X-Amz-Expires=1200&X-Amz-Date=20251231T235000Z", 600},
		{"https://s/x?X-Goog-Date=20260101T000000Z&X-Goog-Expires=60", 60},
		{"https://s/x?sv=1&se=2026-01-01T00%3A20%3A00Z&sig=s", 1200},
		{"https://s/x?Expires=1767225700&Signature=s", 100},
		{"https://s/x?Expires=1767225500", -100},
		{"https://s/x", INT64_MAX},
		{"https://s/x?Expires=never", INT64_MAX},
		{"https://s/x?X-Amz-Date=20260101T000000Z", INT64_MAX},
		{"https://s/x?X-Amz-Date=2026&X-Amz-Expires=1", INT64_MAX},
		{"https://s/x?NotExpires=1", INT64_MAX},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (http_url_lifetime_s(cases[i].url, now) != cases[i].life_s)
			fail_msg("%s: %lld", cases[i].url,
				 (long long)http_url_lifetime_s(cases[i].url, now));
}

static void networks(void **state)
{
	static const struct {
		const char *host;
		enum http_network network;
	} cases[] = {
		{"8.8.8.8", HTTP_NET_PUBLIC},
		{"host.io", HTTP_NET_PUBLIC},
		{"10.1.2.3", HTTP_NET_PRIVATE},
		{"172.16.0.1", HTTP_NET_PRIVATE},
		{"172.32.0.1", HTTP_NET_PUBLIC},
		{"192.168.0.1", HTTP_NET_PRIVATE},
		{"100.64.0.1", HTTP_NET_PRIVATE},
		{"100.128.0.1", HTTP_NET_PUBLIC},
		{"127.9.9.9", HTTP_NET_LOOPBACK},
		{"localhost", HTTP_NET_LOOPBACK},
		{"localhost.", HTTP_NET_LOOPBACK},
		{"169.254.169.254", HTTP_NET_LOCAL},
		{"0.0.0.0", HTTP_NET_LOCAL},
		{"224.0.0.1", HTTP_NET_LOCAL},
		{"255.255.255.255", HTTP_NET_LOCAL},
		{"[::1]", HTTP_NET_LOOPBACK},
		{"[::]", HTTP_NET_LOCAL},
		{"[fe80::1]", HTTP_NET_LOCAL},
		{"[fd00::1]", HTTP_NET_PRIVATE},
		{"[2001:db8::1]", HTTP_NET_PUBLIC},
		{"[::ffff:127.0.0.1]", HTTP_NET_LOOPBACK},
		{"[::ffff:10.0.0.1]", HTTP_NET_PRIVATE},
		{"[64:ff9b::a9fe:a9fe]", HTTP_NET_LOCAL},
		{"[2002:7f00:1::]", HTTP_NET_LOOPBACK},
		{"[::7f00:1]", HTTP_NET_LOCAL},
		{"[ff02::1]", HTTP_NET_LOCAL},
		{"[fe80::1%25eth0]", HTTP_NET_LOCAL},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (http_host_network(cases[i].host) != cases[i].network)
			fail_msg("%s: %d", cases[i].host, (int)http_host_network(cases[i].host));
	struct sockaddr unix_socket = {.sa_family = AF_UNIX};
	assert_int_equal(http_network_of(&unix_socket), HTTP_NET_LOCAL);
}

static void queries_and_forms(void **state)
{
	char *form = NULL;
	(void)state;
	char *one = http_query_add("https://h/t", "scope", "repository:a/b:pull");
	char *two = http_query_add(one, "account", "a b&c");
	assert_string_equal(two, "https://h/t?scope=repository%3Aa%2Fb%3Apull&account=a%20b%26c");
	http_form_add(&form, "a", "1=2");
	http_form_add(&form, "b", "");
	assert_string_equal(form, "a=1%3D2&b=");
	free(form);
	free(two);
	free(one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse),
		cmocka_unit_test(origins),
		cmocka_unit_test(redirects),
		cmocka_unit_test(refused_redirect_keeps_the_signature_secret),
		cmocka_unit_test(content_ranges),
		cmocka_unit_test(waiting_times),
		cmocka_unit_test(signed_urls),
		cmocka_unit_test(networks),
		cmocka_unit_test(queries_and_forms),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
