/*
 * test_metrics - the text that Prometheus reads, where it goes, and what may be asked of its page
 */
#include "fetch/image.h"
#include "fs/exporter.h"
#include "fs/http_page.h"
#include "fs/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- text ---- */

static char *text_of(const struct mount_row *row)
{
	auto_buf struct buf out = {0};
	assert_int_equal(metrics_text(row, &out), 0);
	return xstrndup((const char *)out.p, out.n);
}

static char texts[][64] = {"/mnt/a", "localhost:5000/app:1", "sha256:00", "/store", ""};

static struct mount_row row_of(struct mount_layer *layers, uint32_t n)
{
	return (struct mount_row){.mountpoint = texts[0],
				  .reference = texts[1],
				  .manifest = texts[2],
				  .store = texts[3],
				  .tree = texts[4],
				  .started_at = 1700000000,
				  .layers = layers,
				  .n_layers = n};
}

static void test_figures(void **state)
{
	struct mount_layer layers[] = {
		{.digest = "sha256:01",
		 .size = 100,
		 .fetched_bytes = 7,
		 .n_chunks = 5,
		 .n_stored = 2,
		 .state = LAYER_SIGNED},
		{.digest = "sha256:01", .size = 100, .fetched_bytes = 7},
	};
	struct mount_row row = row_of(layers, 2);
	(void)state;
	row.board.stats.fetched_bytes = UINT64_MAX;
	row.board.stats.errors = 3;
	row.board.n_waiting = 2;
	row.board.waits[0] = 4;
	row.board.waits[6] = 1;
	row.board.waits[BOARD_BUCKETS - 1] = 2;
	row.board.waited_us = 61000042;
	auto_free char *text = text_of(&row);
#define HAS(line) assert_non_null(strstr(text, line "\n"))
	HAS("imgfs_fetched_bytes_total{mountpoint=\"/mnt/a\"} 18446744073709551615");
	HAS("imgfs_read_errors_total{mountpoint=\"/mnt/a\"} 3");
	HAS("imgfs_reads_waiting{mountpoint=\"/mnt/a\"} 2");
	HAS("# TYPE imgfs_read_wait_seconds histogram");
	HAS("imgfs_read_wait_seconds_bucket{mountpoint=\"/mnt/a\",le=\"0.001\"} 4");
	HAS("imgfs_read_wait_seconds_bucket{mountpoint=\"/mnt/a\",le=\"0.05\"} 4");
	HAS("imgfs_read_wait_seconds_bucket{mountpoint=\"/mnt/a\",le=\"0.1\"} 5");
	HAS("imgfs_read_wait_seconds_bucket{mountpoint=\"/mnt/a\",le=\"30\"} 5");
	HAS("imgfs_read_wait_seconds_bucket{mountpoint=\"/mnt/a\",le=\"+Inf\"} 7");
	HAS("imgfs_read_wait_seconds_sum{mountpoint=\"/mnt/a\"} 61.000042");
	HAS("imgfs_read_wait_seconds_count{mountpoint=\"/mnt/a\"} 7");
	HAS("imgfs_layer_chunks_stored{mountpoint=\"/mnt/a\",layer=\"0\",digest=\"sha256:01\"} 2");
	HAS("imgfs_layer_state{mountpoint=\"/mnt/a\",layer=\"0\",state=\"signed\"} 1");
#undef HAS
	assert_null(strstr(text, "layer=\"1\"")); /* the same blob, once */
}

/* Names are bytes, labels are UTF-8 in quotes. */
static void test_labels(void **state)
{
	static char evil[] = "/a\"b\\c\nd\xff\xc3\xa9\xed\xa0\x80\xf4\x90\x80\x80";
	struct mount_row row = row_of(NULL, 0);
	(void)state;
	row.mountpoint = evil;
	auto_free char *text = text_of(&row);
	assert_non_null(strstr(text, "imgfs_reads_total{mountpoint=\"/a\\\"b\\\\c\\nd\xef\xbf\xbd"
				     "\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
				     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"} 0\n"));
}

/* Each family has its help and type, once, before its samples. */
static void test_form(void **state)
{
	struct mount_row row = row_of(NULL, 0);
	(void)state;
	auto_free char *text = text_of(&row);
	char family[128] = "", *save = NULL;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char name[128];
		if (sscanf(line, "# HELP %127s", name) == 1) {
			strcpy(family, name);
			line = strtok_r(NULL, "\n", &save);
			assert_int_equal(sscanf(line, "# TYPE %127s", name), 1);
			assert_string_equal(name, family);
		} else {
			assert_int_equal(strncmp(line, family, strlen(family)), 0);
		}
	}
}

/* ---- targets ---- */

static void test_targets(void **state)
{
	static const struct {
		const char *text;
		enum exporter_kind kind;
		const char *path, *host;
		uint16_t port;
	} cases[] = {
		{":9100", EXPORTER_TCP, NULL, "127.0.0.1", 9100},
		{"localhost:1", EXPORTER_TCP, NULL, "127.0.0.1", 1},
		{"*:65535", EXPORTER_TCP, NULL, "", 65535},
		{"10.0.0.1:80", EXPORTER_TCP, NULL, "10.0.0.1", 80},
		{"[::1]:80", EXPORTER_TCP, NULL, "::1", 80},
		{"unix:/run/x", EXPORTER_UNIX, "/run/x", NULL, 0},
		{"unix:x:9", EXPORTER_UNIX, "x:9", NULL, 0},
		{"m.prom", EXPORTER_FILE, "m.prom", NULL, 0},
		{"./a:80", EXPORTER_FILE, "./a:80", NULL, 0},
	};
	static const char *const refused[] = {
		"",    "unix:", ":0",	":65536", ":99999999999", ":",
		"a:b", ":80x",	": 80", "::1:80", "dir/",
	};
	struct exporter_target t;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(exporter_target_parse(cases[i].text, &t, NULL), 0);
		assert_int_equal(t.kind, cases[i].kind);
		assert_int_equal(t.port, cases[i].port);
		if (cases[i].path)
			assert_string_equal(t.path, cases[i].path);
		if (cases[i].host)
			assert_string_equal(t.host, cases[i].host);
		exporter_target_fini(&t);
	}
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct diag d = DIAG_INIT;
		assert_int_equal(exporter_target_parse(refused[i], &t, &d), -EINVAL);
		assert_int_equal(d.cls, ERR_USAGE);
		exporter_target_fini(&t);
	}
}

/* ---- requests ---- */

static void test_requests(void **state)
{
	static const struct {
		const char *text;
		enum http_page_answer answer;
		bool head;
	} cases[] = {
		{"", HTTP_PAGE_INCOMPLETE, false},
		{"GET /metrics HTTP/1.1\r\nHost: x\r\n", HTTP_PAGE_INCOMPLETE, false},
		{"GET /metrics HTTP/1.1\r\nHost: x\r\n\r", HTTP_PAGE_INCOMPLETE, false},
		{"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", HTTP_PAGE_OK, false},
		{"GET /metrics HTTP/1.0\n\n", HTTP_PAGE_OK, false},
		{"GET /metrics?a=b%20 HTTP/1.1\r\n\r\nrest", HTTP_PAGE_OK, false},
		{"HEAD /metrics HTTP/1.1\r\n\r\n", HTTP_PAGE_OK, true},
		{"POST /metrics HTTP/1.1\r\n\r\n", HTTP_PAGE_METHOD, false},
		{"get /metrics HTTP/1.1\r\n\r\n", HTTP_PAGE_METHOD, false},
		{"GET / HTTP/1.1\r\n\r\n", HTTP_PAGE_UNKNOWN, false},
		{"GET /metrics/ HTTP/1.1\r\n\r\n", HTTP_PAGE_UNKNOWN, false},
		{"GET /metricsx HTTP/1.1\r\n\r\n", HTTP_PAGE_UNKNOWN, false},
		{"GET /metrics\r\n\r\n", HTTP_PAGE_BAD, false},
		{"GET /metrics HTTP/2.0\r\n\r\n", HTTP_PAGE_BAD, false},
		{"GET  /metrics HTTP/1.1\r\n\r\n", HTTP_PAGE_BAD, false},
		{"GET /metrics HTTP/1.1 x\r\n\r\n", HTTP_PAGE_BAD, false},
		{"\r\n\r\n", HTTP_PAGE_BAD, false},
		{"\n\n", HTTP_PAGE_BAD, false},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		bool head;
		assert_int_equal(http_page_judge(BYTES_STR(cases[i].text), "/metrics", &head),
				 cases[i].answer);
		assert_int_equal(head, cases[i].head);
	}
}

static void test_endless_request(void **state)
{
	auto_free char *text = xcalloc(1, HTTP_PAGE_REQUEST_MAX);
	bool head;
	(void)state;
	memset(text, 'a', HTTP_PAGE_REQUEST_MAX);
	struct bytes all = {(const uint8_t *)text, HTTP_PAGE_REQUEST_MAX},
		     fewer = {all.p, all.n - 1};
	assert_int_equal(http_page_judge(fewer, "/metrics", &head), HTTP_PAGE_INCOMPLETE);
	assert_int_equal(http_page_judge(all, "/metrics", &head), HTTP_PAGE_TOO_LONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_figures),	 cmocka_unit_test(test_labels),
		cmocka_unit_test(test_form),	 cmocka_unit_test(test_targets),
		cmocka_unit_test(test_requests), cmocka_unit_test(test_endless_request),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
