/*
 * imgfs.conf: what is no line of it, which section counts for which key, and what an option becomes
 * when the command line, the environment and two files have a word in it.
 */
#include "tools/conf.c"
#include "tools/conf_file.c"
#include "tools/conf_keys.c"
#include "tools/nearest.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

/* --- lines that are refused --- */

static void refused(void **state)
{
	static const struct {
		const char *text;
		const char *said;
	} cases[] = {
		{"store = /x\n", "f:1: a section must come before 'store'"},
		{"\n\n[defualt]\n", "f:3: unknown section 'defualt', did you mean 'default'?"},
		{"[else]\n", "f:1: unknown section 'else': [default]"},
		{"[]\n", "f:1: unknown section ''"},
		{"[default\n", "f:1: a section's line ends with ']'"},
		{"[default x]\n", "f:1: [default] stands alone"},
		{"[registry]\n", "f:1: a pattern is missing"},
		{"[registry h.io/a]\n",
		 "f:1: [registry HOST] takes a host alone: write [repository h.io/a]"},
		{"[registry h*]\n", "f:1: [registry HOST] takes a host alone"},
		{"[registry H.io]\n", "f:1: pattern 'H.io'"},
		{"[repository h.io]\n", "f:1: [repository HOST/PATH] takes a repository"},
		{"[repository *]\n", "f:1: what is for everything stands in [default]"},
		{"[repository h*]\n", "f:1: pattern 'h': '*' inside a host"},
		{"[repository h.io/a*b]\n", "f:1: pattern 'h.io/a*b': '*' stands at the end only"},
		{"[repository alpine]\n", "f:1: [repository HOST/PATH] takes a repository"},
		{"[repository a/b]\n", "pattern 'a/b': it does not begin with a host"},
		{"[repository oci:x]\n", "f:1: pattern 'oci:x'"},
		{"[default]\n[default]\n", "f:2: line 1 begins the same section"},
		{"[registry h.io]\n[registry  h.io ]\n", "f:2: line 1 begins the same section"},
		{"[default]\nstoer = /x\n", "f:2: unknown key 'stoer', did you mean 'store'?"},
		{"[default]\nzzzzzz = /x\n", "f:2: unknown key 'zzzzzz'; 'imgfs config --keys'"},
		{"[default]\n= /x\n", "f:2: unknown key ''"},
		{"[default]\nstore\n", "f:2: store: a value is missing: store = DIR"},
		{"[default]\nstore =  \n", "f:2: store: a value is missing"},
		{"[default]\nstore = /x\nstore = /y\n",
		 "f:3: store: line 2 of this section has it"},
		{"[default]\nplain-http = true\n", "f:2: plain-http: yes|no, not 'true'"},
		{"[default]\nfill = i\n", "f:2: fill: off|idle|full, not 'i'"},
		{"[default]\nfill = off|idle\n", "f:2: fill: off|idle|full, not 'off|idle'"},
		{"[default]\ntrust-index = all\n", "f:2: trust-index: any, not 'all'"},
		{"[default]\nread-budget = 0\n", "f:2: read-budget: 1 to 86400 seconds"},
		{"[default]\nread-budget = 86401\n", "f:2: read-budget: 1 to 86400 seconds"},
		{"[default]\nread-budget = 99999999999999999999\n", "f:2: read-budget"},
		{"[default]\nread-budget = -1\n", "f:2: read-budget: 1 to 86400 seconds"},
		{"[default]\nread-budget = 5s\n", "f:2: read-budget: 1 to 86400 seconds"},
		{"[default]\nplatform = x86\n", "f:2: platform: "},
		{"[default]\nindex = sha256:1\n", "f:2: index: neither 'none' nor a digest"},
		{"[default]\ntoken-host = a/b\n", "f:2: token-host: not a HOST"},
		{"[default]\nmount-options = noexec,rw\n", "f:2: mount-options: -o rw"},
		{"[default]\nindex = none\ntrust-index = any\n",
		 "f:3: 'index = none' and a trust-index"},
		{"[default]\ntrust-key = k\nindex = none\n", "f:3: 'index = none' and a trust-key"},
		{"[default]\nauthfile = ~/x\n", "f:2: authfile: $HOME is not set"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct diag d = DIAG_INIT;
		struct conf_file f;
		err_t err = conf_file_parse(BYTES_STR(cases[i].text), "f", NULL, &f, &d);
		if (err != -EINVAL || d.cls != ERR_USAGE || !strstr(d.text, cases[i].said))
			fail_msg("%s: %d %s", cases[i].text, err, d.text);
		assert_null(f.sections);
	}
}

static void no_text(void **state)
{
	struct diag d = DIAG_INIT;
	struct conf_file f;
	(void)state;
	assert_int_equal(conf_file_parse((struct bytes){(const uint8_t *)"[default]\0", 10}, "f",
					 NULL, &f, &d),
			 -EINVAL);
	assert_non_null(strstr(d.text, "NUL"));
	assert_int_equal(conf_file_parse((struct bytes){0}, "f", NULL, &f, &d), 0);
	conf_file_fini(&f);
}

static void too_many_keys(void **state)
{
	struct diag d = DIAG_INIT;
	struct conf_file f;
	char text[1024] = "[default]\n";
	(void)state;
	for (int i = 0; i < CONF_SEVERAL_MAX; i++)
		strcat(text, "trust-key = k\n");
	assert_int_equal(conf_file_parse(BYTES_STR(text), "f", NULL, &f, &d), 0);
	assert_int_equal(f.sections[0].n, CONF_SEVERAL_MAX);
	conf_file_fini(&f);
	strcat(text, "trust-key = k\n");
	assert_int_equal(conf_file_parse(BYTES_STR(text), "f", NULL, &f, &d), -EINVAL);
	assert_non_null(strstr(d.text, "f:18: trust-key: more than 16"));
}

/* --- lines that are taken --- */

static void spellings(void **state)
{
	static const char text[] =
		"# a comment\r\n; another\n\t[ default ]\r\n"
		"  store=/a # b = c  \r\nplatform =linux/arm64\n"
		"authfile = ~/auth.json\ntrust-file = t\n[registry\tlocalhost:5000]\n"
		"plain-http = yes";
	static const char *const values[] = {"/a # b = c", "linux/arm64", "/home/u/auth.json",
					     "/etc/x/t"};
	struct conf_file f;
	(void)state;
	assert_int_equal(conf_file_parse(BYTES_STR(text), "/etc/x/f", "/home/u", &f, NULL), 0);
	assert_int_equal(f.n, 2);
	assert_string_equal(f.sections[0].title, "default");
	assert_string_equal(f.sections[1].title, "registry localhost:5000");
	assert_int_equal(f.sections[0].n, ARRAY_LEN(values));
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		assert_string_equal(f.sections[0].lines[i].value, values[i]);
	assert_int_equal(f.sections[1].lines[0].line, 9);
	conf_file_fini(&f);
}

static void every_key_can_be_written(void **state)
{
	static const struct {
		const char *name, *value;
	} values[] = {
		{"store", "/s"},	  {"platform", "linux/arm64/v8"},
		{"authfile", "/a"},	  {"token-host", "auth.h.io:443"},
		{"plain-http", "no"},	  {"index", "none"},
		{"trust-key", "/k"},	  {"trust-index", "any"},
		{"trust-file", "/t"},	  {"fill", "idle"},
		{"read-budget", "86400"}, {"on-error", "wait"},
		{"no-profile", "yes"},	  {"mount-options", "noexec,suid,read_ahead=512"},
	};
	(void)state;
	size_t n = 0;
	for (const struct conf_key *key = conf_keys; key->name; key++, n++) {
		struct diag d = DIAG_INIT;
		assert_string_equal(values[n].name, key->name);
		if (conf_key_check(key, values[n].value, &d))
			fail_msg("%s", d.text);
		assert_true(key->arg && key->help);
	}
	assert_int_equal(n, ARRAY_LEN(values));
}

/* --- which section counts --- */

static void most_specific(void **state)
{
	static const char text[] = "[repository h.io/a/*]\nfill = full\n"
				   "[default]\nfill = off\nstore = /d\n"
				   "[registry h.io]\nfill = idle\n"
				   "[repository h.io/a/b]\nplatform = linux/arm64\n"
				   "[repository oci:/srv/*]\nstore = /o\n";
	static const struct {
		const char *key, *subject;
		unsigned line; /* of the section; 0: none */
	} cases[] = {
		{"fill", NULL, 3},
		{"fill", "x.io/a", 3},
		{"fill", "h.io/x", 6},
		{"fill", "h.io/a/c", 1},
		{"fill", "h.io/a/b", 1},
		{"fill", "h.io/a", 6},
		{"store", "h.io/a/b", 3},
		{"platform", "h.io/a/b", 8},
		{"platform", "h.io/a/c", 0},
		{"platform", NULL, 0},
		{"store", "oci:/srv/x", 10},
		{"store", "oci:/srv", 3},
		{"fill", "h.io.evil.org/a", 3},
		{"fill", "oci:/h.io/a", 3},
	};
	struct conf_file f;
	(void)state;
	assert_int_equal(conf_file_parse(BYTES_STR(text), "f", NULL, &f, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct conf_section *s =
			conf_file_find(&f, conf_key_find(cases[i].key), cases[i].subject);
		if ((s ? s->line : 0) != cases[i].line)
			fail_msg("%s of %s: line %u", cases[i].key, cases[i].subject,
				 s ? s->line : 0);
	}
	conf_file_fini(&f);
}

/* --- from files to options --- */

static char folder[] = "test_conf.XXXXXX";

static char *put(const char *name, const char *text)
{
	char *path = xasprintf("%s/%s", folder, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	chmod(path, 0644);
	return path;
}

static int make_folder(void **state)
{
	(void)state;
	unsetenv("IMGFS_CONFIG");
	unsetenv("IMGFS_STORE");
	unsetenv("REGISTRY_AUTH_FILE");
	if (!mkdtemp(folder))
		return -1;
	auto_free char *real = realpath(folder, NULL);
	auto_free char *imgfs = xasprintf("%s/imgfs", folder);
	setenv("XDG_CONFIG_HOME", real, 1);
	return mkdir(imgfs, 0755);
}

static int remove_folder(void **state)
{
	auto_free char *command = xasprintf("rm -rf %s", folder);
	(void)state;
	return system(command);
}

/* What options become for a reference, with the two files of the folder. */
static struct conf *load(const char *reference, struct common_options *common)
{
	struct diag d = DIAG_INIT;
	struct conf *conf;
	auto_free char *system_file = xasprintf("%s/system", folder);
	if (conf_load_with(system_file, common->config, reference, &conf, &d))
		fail_msg("%s", d.text);
	conf_fill(conf, common);
	return conf;
}

static void user_before_system(void **state)
{
	free(put("system", "[default]\nstore = /system\nplatform = linux/amd64\n"
			   "[registry h.io]\nstore = /more\n"));
	free(put("imgfs/imgfs.conf", "[default]\nstore = /user\n"));
	struct common_options common = {0}, of_host = {0}, typed = {.store = "/typed"};
	(void)state;
	struct conf *conf = load("x.io/a", &common);
	assert_string_equal(common.store, "/user");
	assert_string_equal(common.platform, "linux/amd64");
	assert_int_equal(conf_n_places(conf), 2);
	conf_free(&conf);
	conf = load("h.io/a:1", &of_host);
	assert_string_equal(of_host.store, "/more"); /* more specific */
	assert_int_equal(conf_get(conf, "store")->line, 5);
	conf_free(&conf);
	conf = load("h.io/a:1", &typed);
	assert_string_equal(typed.store, "/typed");
	conf_free(&conf);
}

static void environment_before_files(void **state)
{
	free(put("imgfs/imgfs.conf", "[default]\nstore = /user\nauthfile = /auth\n"));
	struct common_options common = {0};
	(void)state;
	setenv("IMGFS_STORE", "/env", 1);
	struct conf *conf = load(NULL, &common);
	assert_null(common.store); /* store_open looks there itself */
	assert_string_equal(common.authfile, "/auth");
	unsetenv("IMGFS_STORE");
	conf_free(&conf);
}

static void named_files(void **state)
{
	free(put("imgfs/imgfs.conf", "[default]\nstore = /user\n"));
	auto_free char *named = put("named", "[default]\nstore = relative\n");
	auto_free char *broken = put("broken", "store");
	struct common_options common = {.config = named}, none = {.config = "none"}, env = {0};
	struct diag d = DIAG_INIT;
	(void)state;
	struct conf *conf = load(NULL, &common);
	assert_true(common.store[0] == '/' && strstr(common.store, "/relative"));
	assert_int_equal(conf_n_places(conf), 1);
	conf_free(&conf);
	conf = load(NULL, &none);
	assert_null(none.store);
	conf_free(&conf);
	setenv("IMGFS_CONFIG", named, 1);
	conf = load(NULL, &env);
	assert_non_null(strstr(env.store, "/relative"));
	conf_free(&conf);
	setenv("IMGFS_CONFIG", broken, 1);
	assert_int_equal(conf_load(NULL, NULL, &conf, &d), -EINVAL);
	assert_null(conf);
	setenv("IMGFS_CONFIG", "/nonexistent", 1);
	assert_int_equal(conf_load(NULL, NULL, &conf, &d), -ENOENT);
	assert_int_equal(d.cls, ERR_USAGE);
	unsetenv("IMGFS_CONFIG");
}

static void files_that_others_can_write(void **state)
{
	auto_free char *named = put("others", "[default]\nstore = /x\n");
	struct diag d = DIAG_INIT;
	struct conf *conf;
	(void)state;
	chmod(named, 0666);
	assert_int_equal(conf_load(named, NULL, &conf, &d), -EPERM);
	assert_int_equal(d.cls, ERR_DENIED);
}

static void trust_is_one_answer(void **state)
{
	auto_free char *key = put("key.pem", "no key, but a file");
	auto_free char *named = put("trust", "[default]\ntrust-index = any\ntrust-file = /t\n"
					     "[registry h.io]\ntrust-key = key.pem\n"
					     "[repository h.io/own]\nindex = none\n"
					     "[repository h.io/lost]\ntrust-key = lost.pem\n");
	struct common_options any = {.config = named}, keys = {.config = named},
			      none = {.config = named}, typed = {.config = named, .index = "none"};
	struct diag d = DIAG_INIT;
	(void)state;
	struct conf *conf = load("x.io/a", &any);
	assert_string_equal(any.trust_index, "any");
	assert_string_equal(any.trust_file, "/t");
	conf_free(&conf);
	conf = load("h.io/a", &keys);
	assert_null(keys.trust_index);
	assert_null(keys.trust_file);
	assert_int_equal(keys.trust_keys.n, 1);
	assert_non_null(strstr(keys.trust_keys.texts[0], "/key.pem"));
	conf_free(&conf);
	conf = load("h.io/own", &none);
	assert_string_equal(none.index, "none");
	assert_int_equal(none.trust_keys.n, 0);
	conf_free(&conf);
	conf = load("x.io/a", &typed);
	assert_null(typed.trust_index);
	conf_free(&conf);
	assert_int_equal(conf_load(named, "h.io/lost", &conf, &d), -ENOENT);
	assert_non_null(strstr(d.text, ":9: trust-key: "));
	chmod(key, 0666);
	assert_int_equal(conf_load(named, "h.io/a", &conf, &d), -EPERM);
}

static void flags(void **state)
{
	auto_free char *named =
		put("flags", "[default]\nplain-http = yes\n[registry h.io]\nplain-http = no\n");
	struct common_options yes = {.config = named}, no = {.config = named},
			      typed = {.config = named, .plain_http = true};
	(void)state;
	struct conf *conf = load("x.io/a", &yes);
	assert_true(yes.plain_http && conf_flag(conf, "plain-http"));
	assert_false(conf_flag(conf, "no-profile"));
	conf_free(&conf);
	conf = load("h.io/a", &no);
	assert_false(no.plain_http);
	conf_free(&conf);
	conf = load("h.io/a", &typed);
	assert_true(typed.plain_http);
	conf_free(&conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused),
		cmocka_unit_test(no_text),
		cmocka_unit_test(too_many_keys),
		cmocka_unit_test(spellings),
		cmocka_unit_test(every_key_can_be_written),
		cmocka_unit_test(most_specific),
		cmocka_unit_test(user_before_system),
		cmocka_unit_test(environment_before_files),
		cmocka_unit_test(named_files),
		cmocka_unit_test(files_that_others_can_write),
		cmocka_unit_test(trust_is_one_answer),
		cmocka_unit_test(flags),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
