/* Where logins are kept, and which one is taken. */
#include "fetch/credentials.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* base64 of "u:p", "a:b:c", "hub:p" and "u:p" followed by two NULs */
#define U_P    "dTpw"
#define A_BC   "YTpiOmM="
#define HUB_P  "aHViOnA="
#define U_P_00 "dTpwAAA="

static void same(const char *got, const char *want, const char *what)
{
	if (!got != !want || (got && strcmp(got, want) != 0))
		fail_msg("%s: got %s, want %s", what, got ? got : "-", want ? want : "-");
}

static void documents(void **state)
{
	static const struct {
		const char *json, *host, *repo, *username, *password;
	} cases[] = {
		{"{\"auths\":{\"h.io\":{\"auth\":\"" U_P "\"}}}", "h.io", "a/b", "u", "p"},
		{"{\"auths\":{\"h.io\":{\"auth\":\"" A_BC "\"}}}", "h.io", "a", "a", "b:c"},
		{"{\"auths\":{\"h.io\":{\"auth\":\"" U_P_00 "\"}}}", "h.io", "a", "u", "p"},
		{"{\"auths\":{\"h.io\":{\"username\":\"x\",\"password\":\"y\"}}}", "h.io", "a", "x",
		 "y"},
		{"{\"auths\":{\"https://h.io/v1/\":{\"auth\":\"" U_P "\"}}}", "h.io", "a", "u",
		 "p"},
		{"{\"auths\":{\"http://h.io\":{\"auth\":\"" U_P "\"}}}", "h.io", "a", "u", "p"},
		{"{\"auths\":{\"h.io:1\":{\"auth\":\"" U_P "\"}}}", "h.io", "a", NULL, NULL},
		{"{\"auths\":{\"h.io\":{\"auth\":\"" U_P "\"}}}", "h.io:1", "a", NULL, NULL},
		{"{\"auths\":{\"x.h.io\":{\"auth\":\"" U_P "\"}}}", "h.io", "a", NULL, NULL},
		/* the most specific path, on borders of components only */
		{"{\"auths\":{\"h.io\":{\"auth\":\"" U_P "\"},\"h.io/a\":{\"auth\":\"" A_BC "\"}}}",
		 "h.io", "a/b", "a", "b:c"},
		{"{\"auths\":{\"h.io/a/b\":{\"auth\":\"" U_P "\"},\"h.io/a\":{\"auth\":\"" A_BC
		 "\"}}}",
		 "h.io", "a/b", "u", "p"},
		{"{\"auths\":{\"h.io/a\":{\"auth\":\"" U_P "\"}}}", "h.io", "ab", NULL, NULL},
		{"{\"auths\":{\"h.io/a\":{\"auth\":\"" U_P "\"}}}", "h.io", "b", NULL, NULL},
		/* Docker Hub's many names */
		{"{\"auths\":{\"https://index.docker.io/v1/\":{\"auth\":\"" HUB_P "\"}}}",
		 "docker.io", "library/a", "hub", "p"},
		{"{\"auths\":{\"registry-1.docker.io\":{\"auth\":\"" HUB_P "\"}}}", "docker.io",
		 "library/a", "hub", "p"},
		{"{\"auths\":{\"docker.io/me\":{\"auth\":\"" HUB_P "\"}}}", "docker.io", "me/a",
		 "hub", "p"},
		/* nothing usable */
		{"{\"auths\":{\"h.io\":{}}}", "h.io", "a", NULL, NULL},
		{"{\"auths\":{\"h.io\":{\"auth\":\"%%%%\"}}}", "h.io", "a", NULL, NULL},
		{"{\"auths\":{\"h.io\":{\"auth\":\"dTp\"}}}", "h.io", "a", NULL, NULL},
		{"{\"auths\":{\"h.io\":{\"auth\":\"dQ==\"}}}", "h.io", "a", NULL, NULL},
		{"{\"auths\":{\"h.io\":5}}", "h.io", "a", NULL, NULL},
		{"{\"auths\":[]}", "h.io", "a", NULL, NULL},
		{"{}", "h.io", "a", NULL, NULL},
		/* a helper that is not there does not hide what is stored */
		{"{\"credsStore\":\"no-such-helper\",\"auths\":{\"h.io\":{\"auth\":\"" U_P "\"}}}",
		 "h.io", "a", "u", "p"},
		{"{\"credHelpers\":{\"h.io\":\"../../bin/sh\"},\"auths\":{\"h.io\":{\"auth\":\"" U_P
		 "\"}}}",
		 "h.io", "a", "u", "p"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct credential c;
		err_t err = credentials_parse(BYTES_STR(cases[i].json), false, cases[i].host,
					      cases[i].repo, &c, NULL);
		assert_int_equal(err, 0);
		same(c.username, cases[i].username, cases[i].json);
		same(c.password, cases[i].password, cases[i].json);
		credential_fini(&c);
	}
}

static void tokens_in_documents(void **state)
{
	static const char json[] = "{\"auths\":{\"h.io\":{\"identitytoken\":\"i\"},"
				   "\"r.io\":{\"registrytoken\":\"r\"}}}";
	struct credential c;
	(void)state;
	assert_int_equal(credentials_parse(BYTES_STR(json), false, "h.io", "a", &c, NULL), 0);
	assert_string_equal(c.identity_token, "i");
	assert_false(credential_is_empty(&c));
	credential_fini(&c);
	assert_int_equal(credentials_parse(BYTES_STR(json), false, "r.io", "a", &c, NULL), 0);
	assert_string_equal(c.registry_token, "r");
	credential_fini(&c);
	assert_true(credential_is_empty(&c));
}

static void not_documents(void **state)
{
	static const char *const cases[] = {
		"", "[]", "{", "null", "{\"auths\":{}}x", "{\"auths\":{},\"auths\":{}}"};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct credential c;
		struct diag d = DIAG_INIT;
		assert_int_equal(credentials_parse(BYTES_STR(cases[i]), false, "h", "a", &c, &d),
				 -EINVAL);
		assert_true(credential_is_empty(&c));
	}
}

static void helper_names(void **state)
{
	(void)state;
	assert_true(credential_helper_name_valid("ecr-login"));
	assert_true(credential_helper_name_valid("a.b_c-1"));
	static const char *const bad[] = {"", "a/b", "../x", ".x", "-x", "a b", "a;b", "$x", "a\n"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(credential_helper_name_valid(bad[i]));
}

/* --- places: a home of its own for each test --- */

static char home[] = "/tmp/imgfs-credentials.XXXXXX";

static int make_home(void **state)
{
	static const char *const names[] = {"DOCKER_CONFIG", "DOCKER_AUTH_CONFIG",
					    "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR",
					    "XDG_CONFIG_HOME"};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		unsetenv(names[i]);
	return mkdtemp(home) && setenv("HOME", home, 1) == 0 ? 0 : -1;
}

static int remove_home(void **state)
{
	auto_free char *command = xasprintf("rm -rf '%s'", home);
	(void)state;
	return system(command);
}

static void write_login(const char *path, const char *user)
{
	auto_free char *full = xasprintf("%s/%s", home, path);
	for (char *slash = full + strlen(home) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = 0;
		assert_true(mkdir(full, 0700) == 0 || errno == EEXIST);
		*slash = '/';
	}
	FILE *file = fopen(full, "w");
	assert_non_null(file);
	bool old = strstr(path, ".dockercfg") != NULL;
	fprintf(file, "%s{\"h.io\":{\"username\":\"%s\",\"password\":\"x\"}}%s",
		old ? "" : "{\"auths\":", user, old ? "" : "}");
	fclose(file);
}

static void expect_user(const char *authfile, const char *want)
{
	struct credential c;
	assert_int_equal(prctl(PR_SET_DUMPABLE, 1), 0);
	assert_int_equal(credentials_find(authfile, "h.io", "a", &c, NULL), 0);
	same(c.username, want, "user");
	assert_int_equal(prctl(PR_GET_DUMPABLE), want ? 0 : 1);
	credential_fini(&c);
}

static void places_in_order(void **state)
{
	auto_free char *runtime = xasprintf("%s/run", home);
	auto_free char *docker = xasprintf("%s/docker", home);
	auto_free char *file = xasprintf("%s/own.json", home);
	(void)state;
	expect_user(NULL, NULL);
	write_login(".dockercfg", "dockercfg");
	expect_user(NULL, "dockercfg");
	write_login(".docker/config.json", "docker");
	expect_user(NULL, "docker");
	write_login("docker/config.json", "docker-config");
	setenv("DOCKER_CONFIG", docker, 1);
	expect_user(NULL, "docker-config");
	write_login(".config/containers/auth.json", "podman");
	expect_user(NULL, "podman");
	write_login("run/containers/auth.json", "runtime");
	setenv("XDG_RUNTIME_DIR", runtime, 1);
	expect_user(NULL, "runtime");
	setenv("DOCKER_AUTH_CONFIG",
	       "{\"auths\":{\"h.io\":{\"username\":\"env\",\"password\":\"\"}}}", 1);
	expect_user(NULL, "env");
	write_login("own.json", "own");
	setenv("REGISTRY_AUTH_FILE", file, 1);
	expect_user(NULL, "own");
	write_login("other.json", "other");
	auto_free char *other = xasprintf("%s/other.json", home);
	expect_user(other, "other");
}

static void broken_files(void **state)
{
	struct credential c;
	struct diag d = DIAG_INIT;
	auto_free char *missing = xasprintf("%s/missing.json", home);
	auto_free char *broken = xasprintf("%s/broken.json", home);
	(void)state;
	assert_int_equal(credentials_find(missing, "h.io", "a", &c, &d), -ENOENT);
	assert_int_equal(d.cls, ERR_USAGE);
	assert_non_null(strstr(d.text, missing));
	FILE *file = fopen(broken, "w");
	fputs("{secret", file);
	fclose(file);
	assert_int_equal(credentials_find(broken, "h.io", "a", &c, &d), -EINVAL);
	assert_null(strstr(d.text, "secret"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(documents),	   cmocka_unit_test(tokens_in_documents),
		cmocka_unit_test(not_documents),   cmocka_unit_test(helper_names),
		cmocka_unit_test(places_in_order), cmocka_unit_test(broken_files),
	};
	return cmocka_run_group_tests(tests, make_home, remove_home);
}
