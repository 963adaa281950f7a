/*
 * Image configs: the fields that come out, null as absence, and the DiffIDs that must fit the
 * manifest.
 */
#include "tests/unit/document_text.h"

#define ROOTFS(ids) "'rootfs':{'type':'layers','diff_ids':[" ids "]}"
#define TWO	    "'" SHA_B "','" SHA_C "'"

/* A manifest of two layers. */
static struct manifest two_layers(void)
{
	struct document doc =
		document_text("{" CONFIG ",'layers':[" LAYER_A "," LAYER_B "]}", OCI_MANIFEST);
	struct manifest m;
	assert_int_equal(manifest_parse(&doc, &m, NULL), 0);
	document_fini(&doc);
	return m;
}

static void assert_list(char **list, const char *const *expected)
{
	size_t i = 0;
	assert_non_null(list);
	for (; expected[i]; i++) {
		assert_non_null(list[i]);
		assert_string_equal(list[i], expected[i]);
	}
	assert_null(list[i]);
}

/* Keys and values in turn. */
static void assert_labels(const struct label *labels, const char *const *expected)
{
	assert_non_null(labels);
	for (; *expected; expected += 2, labels++) {
		assert_non_null(labels->key);
		assert_string_equal(labels->key, expected[0]);
		assert_string_equal(labels->value, expected[1]);
	}
	assert_null(labels->key);
}
#define LIST(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void all_fields(void **state)
{
	struct document doc = document_text(
		"{'created':'2024-01-02T03:04:05Z','author':'A','architecture':'aarch64',"
		"'os':'linux','variant':'v8',"
		"'config':{'User':'1:2','ExposedPorts':{'80/tcp':{},'53/udp':{}},"
		"'Env':['PATH=/bin','A='],'Entrypoint':['/e'],'Cmd':['c','d e'],"
		"'Volumes':{'/v':{}},'WorkingDir':'/"
		"w','Labels':{'b':'2','a':'1=x','a=1':'y','c':null},"
		"'StopSignal':'SIGTERM','ArgsEscaped':true,'Shell':['/bin/bash','-c'],"
		"'OnBuild':['RUN x'],'Healthcheck':{'Test':['CMD','true'],'Interval':1}},"
		"'history':[{'created_by':'one','empty_layer':true},{'created':'2024','author':'B'}"
		","
		"{'comment':'x','empty_layer':false},{}]," ROOTFS(TWO) "}",
		"");
	struct manifest m = two_layers();
	struct image_config c;
	char text[DIGEST_TEXT_MAX], platform[100];
	(void)state;
	assert_int_equal(config_parse(&doc, &m, &c, NULL), 0);
	assert_string_equal(platform_text(&c.platform, platform), "linux/arm64");
	assert_string_equal(c.created, "2024-01-02T03:04:05Z");
	assert_string_equal(c.author, "A");
	assert_string_equal(c.user, "1:2");
	assert_string_equal(c.working_dir, "/w");
	assert_string_equal(c.stop_signal, "SIGTERM");
	assert_list(c.env, LIST("PATH=/bin", "A="));
	assert_list(c.entrypoint, LIST("/e"));
	assert_list(c.cmd, LIST("c", "d e"));
	assert_list(c.exposed_ports, LIST("53/udp", "80/tcp"));
	assert_list(c.volumes, LIST("/v"));
	assert_labels(c.labels, LIST("a", "1=x", "a=1", "y", "b", "2", "c", ""));
	assert_list(c.shell, LIST("/bin/bash", "-c"));
	assert_list(c.on_build, LIST("RUN x"));
	assert_list(c.healthcheck, LIST("CMD", "true"));
	assert_int_equal(c.n_history, 4);
	assert_string_equal(c.history[0].created_by, "one");
	assert_true(c.history[0].empty_layer);
	assert_string_equal(c.history[1].created, "2024");
	assert_string_equal(c.history[1].author, "B");
	assert_string_equal(c.history[2].comment, "x");
	assert_null(c.history[2].created_by);
	assert_false(c.history[2].empty_layer || c.history[3].empty_layer);
	assert_int_equal(history_layer(&c, 3, 0), SIZE_MAX);
	assert_int_equal(history_layer(&c, 3, 1), 0);
	assert_int_equal(history_layer(&c, 3, 3), 2);
	assert_int_equal(history_layer(&c, 2, 3), SIZE_MAX);
	assert_string_equal(digest_text(&m.layers[0].diff_id, text), SHA_B);
	assert_string_equal(digest_text(&m.layers[1].diff_id, text), SHA_C);
	image_config_fini(&c);
	manifest_fini(&m);
	document_fini(&doc);
}

/* Nothing but what must be there; and the same with every other field null. */
static void nothing_else(void **state)
{
	static const char *const texts[] = {
		"{" ROOTFS(TWO) "}",
		"{'config':null,'created':null,'author':null,'os':null,'architecture':null,"
		"'variant':null,'history':null," ROOTFS(TWO) "}",
		"{'config':{'User':null,'ExposedPorts':null,'Env':null,'Entrypoint':null,'Cmd':"
		"null,"
		"'Volumes':null,'WorkingDir':null,'Labels':null,'StopSignal':null}," ROOTFS(
			TWO) "}",
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct document doc = document_text(texts[i], "");
		struct manifest m = two_layers();
		struct image_config c;
		assert_int_equal(config_parse(&doc, &m, &c, NULL), 0);
		assert_null(c.created);
		assert_null(c.author);
		assert_null(c.user);
		assert_null(c.working_dir);
		assert_null(c.stop_signal);
		assert_string_equal(c.platform.os, "");
		char **const lists[] = {c.env,	   c.entrypoint, c.cmd,	     c.exposed_ports,
					c.volumes, c.shell,	 c.on_build, c.healthcheck};
		assert_labels(c.labels, LIST());
		assert_int_equal(c.n_history, 0);
		for (size_t k = 0; k < ARRAY_LEN(lists); k++)
			assert_list(lists[k], LIST());
		image_config_fini(&c);
		manifest_fini(&m);
		document_fini(&doc);
	}
}

/* Docker accepts a lone string where a list stands. */
static void string_for_list(void **state)
{
	struct document doc =
		document_text("{'config':{'Entrypoint':'/bin/sh -c'}," ROOTFS(TWO) "}", "");
	struct manifest m = two_layers();
	struct image_config c;
	(void)state;
	assert_int_equal(config_parse(&doc, &m, &c, NULL), 0);
	assert_list(c.entrypoint, LIST("/bin/sh -c"));
	image_config_fini(&c);
	manifest_fini(&m);
	document_fini(&doc);
}

static void no_layers(void **state)
{
	static const char *const texts[] = {"{" ROOTFS("") "}",
					    "{'rootfs':{'type':'layers','diff_ids':null}}",
					    "{'rootfs':{'type':'layers'}}"};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct document doc = document_text(texts[i], "");
		struct manifest m = {0};
		struct image_config c;
		assert_int_equal(config_parse(&doc, &m, &c, NULL), 0);
		image_config_fini(&c);
		document_fini(&doc);
	}
}

static void rejects(void **state)
{
	static const struct {
		const char *text, *part;
	} cases[] = {
		{"{}", "type layers"},
		{"{'rootfs':null}", "type layers"},
		{"{'rootfs':[]}", "not an object"},
		{"{'rootfs':{'type':'other','diff_ids':[" TWO "]}}", "type layers"},
		{"{'rootfs':{'diff_ids':[" TWO "]}}", "type layers"},
		{"{" ROOTFS("'" SHA_A "'") "}", "1 DiffIDs for the manifest's 2 layers"},
		{"{" ROOTFS(TWO ",'" SHA_A "'") "}", "3 DiffIDs"},
		{"{" ROOTFS("") "}", "0 DiffIDs"},
		{"{" ROOTFS("'" SHA_A "',7") "}", "digest"},
		{"{" ROOTFS("'" SHA_A "',null") "}", "digest"},
		{"{" ROOTFS("'" SHA_A "','sha256:abc'") "}", "diff_ids"},
		{"{'rootfs':{'type':'layers','diff_ids':'x'}}", "not an array"},
		{"{'config':[]," ROOTFS(TWO) "}", "not an object"},
		{"{'config':{'Env':{}}," ROOTFS(TWO) "}", "Env"},
		{"{'config':{'Env':[1]}," ROOTFS(TWO) "}", "Env"},
		{"{'config':{'Cmd':[null]}," ROOTFS(TWO) "}", "Cmd"},
		{"{'config':{'User':0}," ROOTFS(TWO) "}", "User"},
		{"{'config':{'Labels':[]}," ROOTFS(TWO) "}", "Labels"},
		{"{'config':{'Labels':{'a':1}}," ROOTFS(TWO) "}", "not a string"},
		{"{'config':{'Volumes':'/v'}," ROOTFS(TWO) "}", "Volumes"},
		{"{'history':[1]," ROOTFS(TWO) "}", "history"},
		{"{'history':[{'created_by':1}]," ROOTFS(TWO) "}", "created_by"},
		{"{'history':[{'created':'x'},{'comment':[]}]," ROOTFS(TWO) "}", "comment"},
		{"{'config':{'Healthcheck':[]}," ROOTFS(TWO) "}", "Healthcheck"},
		{"{'config':{'Healthcheck':{'Test':[1]}}," ROOTFS(TWO) "}", "Test"},
		{"{'os':1," ROOTFS(TWO) "}", "os"},
		{"{'os':'li nux'," ROOTFS(TWO) "}", "platform"},
		{"{'os':'linux','os':'linux'," ROOTFS(TWO) "}", "duplicate"},
		{"[]", "not an object"},
		{"", "JSON"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct document doc = document_text(cases[i].text, "");
		struct manifest m = two_layers();
		struct image_config c;
		struct diag d = DIAG_INIT;
		assert_outcome(cases[i].text, config_parse(&doc, &m, &c, &d), -EBADMSG, &d,
			       cases[i].part);
		assert_int_equal(d.cls, ERR_INTEGRITY);
		manifest_fini(&m);
		document_fini(&doc);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_fields),	   cmocka_unit_test(nothing_else),
		cmocka_unit_test(string_for_list), cmocka_unit_test(no_layers),
		cmocka_unit_test(rejects),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
