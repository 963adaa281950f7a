/*
 * What options and an image's config make of a container: users by the image's files, environment,
 * command, capabilities, signals; and config.json, which jansson reads back.
 */
#include "tools/format.c"
#include "tools/json_out.c"
#include "tools/run_caps.c"
#include "tools/run_env.c"
#include "tools/run_plan.c"
#include "tools/run_spec.c"
#include "tools/run_tmpfs.c"
#include "tools/run_user.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#undef fail
#include <jansson.h>

#define PASSWD                                                                                     \
	"root:x:0:0:root:/root:/bin/sh\n"                                                          \
	"short:x:7\n"                                                                              \
	":x:8:8::/nobody:\n"                                                                       \
	"joe:x:1000:100:Joe:/srv/joe:/bin/sh\n"                                                    \
	"joe:x:2000:200::/second:\n"                                                               \
	"1234:x:77:77::/number:\n"                                                                 \
	"relative:x:1001:1001::home:\n"                                                            \
	"big:x:4294967295:1::/:\n"                                                                 \
	"last:x:1002:1002::/last"
#define GROUP                                                                                      \
	"root:x:0:\n"                                                                              \
	"audio:x:29:ann,joe\n"                                                                     \
	"video:x:44:joey,joe,\n"                                                                   \
	"again:x:29:joe\n"                                                                         \
	"jo:x:50:jo\n"                                                                             \
	"tty:x:5"

static char *const nothing[] = {NULL};

static err_t resolve(const char *text, struct run_user *out, struct diag *d)
{
	return run_user_resolve(text, BYTES_STR(PASSWD), BYTES_STR(GROUP), out, d);
}

static void assert_user(const char *text, uint32_t uid, uint32_t gid, const char *home)
{
	struct run_user user;
	struct diag d = DIAG_INIT;
	assert_int_equal(resolve(text, &user, &d), 0);
	assert_int_equal(user.uid, uid);
	assert_int_equal(user.gid, gid);
	assert_string_equal(user.home, home);
	run_user_fini(&user);
}

static void users(void **state)
{
	(void)state;
	assert_user("", 0, 0, "/root");
	assert_user(NULL, 0, 0, "/root");
	assert_user("root", 0, 0, "/root");
	assert_user("joe", 1000, 100, "/srv/joe");
	assert_user("1000", 1000, 100, "/srv/joe");
	assert_user("joe:audio", 1000, 29, "/srv/joe");
	assert_user("joe:", 1000, 100, "/srv/joe");
	assert_user(":tty", 0, 5, "/root");
	assert_user("5000", 5000, 0, "/");
	assert_user("5000:6000", 5000, 6000, "/");
	assert_user("1234", 1234, 0, "/"); /* a number is an id, even if somebody is called so */
	assert_user("relative", 1001, 1001, "/");
	assert_user("last:tty", 1002, 5, "/last");
	assert_user("2147483647", 2147483647, 0, "/");
}

static void users_that_are_not_there(void **state)
{
	static const struct {
		const char *text;
		err_t err;
		const char *says;
	} cases[] = {
		{"nobody", -ENOENT, "'nobody' is not in the image's /etc/passwd"},
		{"short", -ENOENT, "passwd"},
		{"big", -ENOENT, "passwd"},
		{"jo", -ENOENT, "passwd"},
		{"joe:nogroup", -ENOENT, "'nogroup' is not in the image's /etc/group"},
		{"2147483648", -EINVAL, "ids end at 2147483647"},
		{"1:99999999999999999999", -EINVAL, "ids end at"},
		{"-1", -ENOENT, "passwd"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct diag d = DIAG_INIT;
		struct run_user user;
		assert_int_equal(resolve(cases[i].text, &user, &d), cases[i].err);
		assert_non_null(strstr(d.text, cases[i].says));
		assert_null(user.home);
	}
}

static void groups(void **state)
{
	struct run_user user;
	(void)state;
	assert_int_equal(resolve("joe", &user, NULL), 0);
	assert_int_equal(user.n_groups, 2);
	assert_int_equal(user.groups[0], 29);
	assert_int_equal(user.groups[1], 44);
	run_user_fini(&user);
	/* who names a group has that alone */
	assert_int_equal(resolve("joe:tty", &user, NULL), 0);
	assert_int_equal(user.n_groups, 0);
	run_user_fini(&user);
}

static void too_many_groups(void **state)
{
	auto_buf struct buf group = {0};
	struct diag d = DIAG_INIT;
	struct run_user user;
	char line[64];
	(void)state;
	for (int i = 0; i <= RUN_GROUPS_MAX; i++) {
		int n = snprintf(line, sizeof(line), "g%d:x:%d:joe\n", i, 1000 + i);
		assert_int_equal(buf_append(&group, line, (size_t)n), 0);
	}
	assert_int_equal(run_user_resolve("joe", BYTES_STR(PASSWD), buf_bytes(&group), &user, &d),
			 -E2BIG);
	assert_int_equal(d.cls, ERR_UNSUPPORTED);
}

static void environment(void **state)
{
	struct run_env env = {0};
	struct diag d = DIAG_INIT;
	(void)state;
	setenv("FROM_HERE", "yes", 1);
	unsetenv("NOT_HERE");
	assert_int_equal(run_env_set(&env, "A=1", &d), 0);
	assert_int_equal(run_env_set(&env, "AB=2", &d), 0);
	assert_int_equal(run_env_set(&env, "A=3=4", &d), 0);
	assert_int_equal(run_env_set(&env, "FROM_HERE", &d), 0);
	assert_int_equal(run_env_set(&env, "NOT_HERE", &d), 0);
	run_env_default(&env, "AB=5");
	run_env_default(&env, "C=6");
	assert_int_equal(env.n, 4);
	assert_string_equal(run_env_get(&env, "A"), "3=4");
	assert_string_equal(run_env_get(&env, "AB"), "2");
	assert_string_equal(run_env_get(&env, "FROM_HERE"), "yes");
	assert_string_equal(run_env_get(&env, "C"), "6");
	assert_null(run_env_get(&env, "NOT_HERE"));
	assert_null(env.entries[4]);
	assert_int_equal(run_env_set(&env, "=x", &d), -EINVAL);
	assert_int_equal(run_env_set(&env, "", &d), -EINVAL);
	run_env_fini(&env);
}

static void environment_file(void **state)
{
	static const char good[] = "# comment\n\nA=1\r\n  B= \"2\" \n#A=9\nFROM_HERE\nC=";
	static const char nul[] = "A=1\nB=\0\n";
	struct run_env env = {0};
	struct diag d = DIAG_INIT;
	(void)state;
	setenv("FROM_HERE", "yes", 1);
	assert_int_equal(run_env_read(&env, BYTES_STR(good), "f", &d), 0);
	assert_string_equal(run_env_get(&env, "A"), "1");
	assert_string_equal(run_env_get(&env, "B"), " \"2\" ");
	assert_string_equal(run_env_get(&env, "FROM_HERE"), "yes");
	assert_string_equal(run_env_get(&env, "C"), "");
	assert_int_equal(run_env_read(&env, BYTES_STR("A=1\nB C=2\n"), "f", &d), -EINVAL);
	assert_non_null(strstr(d.text, "f: line 2"));
	assert_int_equal(run_env_read(&env, BYTES_STR("=1\n"), "f", &d), -EINVAL);
	assert_int_equal(
		run_env_read(&env, (struct bytes){(const uint8_t *)nul, sizeof(nul) - 1}, "f", &d),
		-EINVAL);
	run_env_fini(&env);
}

static void assert_args(const struct run_options *o, char *const *entrypoint, char *const *cmd,
			char *const *words, const char *expected)
{
	const struct image_config config = {.entrypoint = (char **)(uintptr_t)entrypoint,
					    .cmd = (char **)(uintptr_t)cmd,
					    .env = (char **)(uintptr_t)nothing};
	struct diag d = DIAG_INIT;
	struct run_spec spec;
	char joined[256] = "";
	err_t err = run_plan_make(o, &config, words, "host", &spec, &d);
	assert_int_equal(err, expected ? 0 : -EINVAL);
	for (char **arg = spec.args; arg && *arg; arg++) {
		strcat(joined, *arg);
		strcat(joined, "|");
	}
	assert_string_equal(joined, expected ? expected : "");
	run_spec_fini(&spec);
}

static void commands(void **state)
{
	static char *const entry[] = {(char *)(uintptr_t) "e", (char *)(uintptr_t) "1", NULL};
	static char *const cmd[] = {(char *)(uintptr_t) "c", NULL};
	static char *const words[] = {(char *)(uintptr_t) "w", (char *)(uintptr_t) "-x", NULL};
	const struct run_options none = {0}, other = {.entrypoint = "o"},
				 empty = {.entrypoint = ""};
	(void)state;
	assert_args(&none, entry, cmd, nothing, "e|1|c|");
	assert_args(&none, entry, cmd, words, "e|1|w|-x|");
	assert_args(&none, nothing, cmd, words, "w|-x|");
	assert_args(&none, nothing, nothing, nothing, NULL);
	assert_args(&other, entry, cmd, nothing, "o|");
	assert_args(&other, entry, cmd, words, "o|w|-x|");
	assert_args(&empty, entry, cmd, words, "w|-x|");
	assert_args(&empty, entry, cmd, nothing, "c|");
}

static void assert_tmpfs(const char *text, const char *target, const char *options)
{
	struct run_tmpfs tmpfs;
	struct diag d = DIAG_INIT;
	err_t err = run_tmpfs_parse(text, &tmpfs, &d);
	assert_int_equal(err, target ? 0 : -EINVAL);
	if (!target)
		return;
	assert_string_equal(tmpfs.target, target);
	assert_string_equal(tmpfs.options, options);
	run_tmpfs_fini(&tmpfs);
}

static void memory(void **state)
{
	(void)state;
	assert_tmpfs("/a", "/a", "nosuid,nodev,mode=1777,noexec");
	assert_tmpfs("/a//:", "/a", "nosuid,nodev,mode=1777,noexec");
	assert_tmpfs("/a/b:size=10m,,exec,mode=0755", "/a/b",
		     "nosuid,nodev,size=10m,exec,mode=0755");
	assert_tmpfs("/a:size=50%,ro", "/a", "nosuid,nodev,size=50%,ro,mode=1777,noexec");
	static const char *const wrong[] = {"",		 "a",		"/",
					    "//",	 "/a:suid",	"/a:size=",
					    "/a:size=m", "/a:size=1mm", "/a:size=1%%",
					    "/a:mode=8", "/a:mode=",	"/a:mode=77777"};
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_tmpfs(wrong[i], NULL, NULL);
}

/* A volume lies on a tmpfs, unless that lies in it. */
static void memory_and_volumes(void **state)
{
	struct run_spec spec = {0};
	struct diag d = DIAG_INIT;
	(void)state;
	run_spec_bind(&spec, xstrdup("/host"), xstrdup("/tmp/"), false);
	run_spec_bind(&spec, xstrdup("/host"), xstrdup("/data/in"), false);
	assert_int_equal(run_tmpfs_add(&spec, "/data", &d), 0);
	assert_int_equal(run_tmpfs_add(&spec, "/tmp/in", &d), 0);
	assert_int_equal(run_tmpfs_add(&spec, "/tmp", &d), -EINVAL);
	assert_int_equal(run_tmpfs_add(&spec, "/data/", &d), -EINVAL);
	run_tmpfs_add_usual(&spec);
	assert_int_equal(spec.n_tmpfs, 4);
	assert_false(spec.tmpfs[0].in_volume);
	assert_true(spec.tmpfs[1].in_volume);
	assert_string_equal(spec.tmpfs[2].target, "/run");
	assert_string_equal(spec.tmpfs[3].target, "/var/tmp");
	run_spec_fini(&spec);
}

static void signals(void **state)
{
	(void)state;
	assert_int_equal(run_signal_parse("SIGTERM"), SIGTERM);
	assert_int_equal(run_signal_parse("QUIT"), SIGQUIT);
	assert_int_equal(run_signal_parse("15"), 15);
	assert_int_equal(run_signal_parse("SIGRTMIN+3"), SIGRTMIN + 3);
	assert_int_equal(run_signal_parse("SIGRTMIN+99"), 0);
	assert_int_equal(run_signal_parse("SIGNONE"), 0);
	assert_int_equal(run_signal_parse("99999999999999999999"), 0);
	assert_int_equal(run_signal_parse("9x"), 0);
	assert_int_equal(run_signal_parse(""), 0);
}

static uint64_t caps_of(struct option_texts add, struct option_texts drop)
{
	const struct run_options o = {.cap_add = add, .cap_drop = drop};
	return make_caps(&o);
}

static void capabilities(void **state)
{
	const struct option_texts none = {0}, all = {.texts = {"ALL"}, .n = 1},
				  raw = {.texts = {"net_raw"}, .n = 1},
				  chown = {.texts = {"CAP_CHOWN"}, .n = 1};
	struct diag d = DIAG_INIT;
	uint64_t set, usual = run_caps_default();
	(void)state;
	assert_string_equal(run_caps_name(0), "CAP_CHOWN");
	assert_string_equal(run_caps_name(40), "CAP_CHECKPOINT_RESTORE");
	assert_null(run_caps_name(41));
	assert_int_equal(run_caps_parse("nosuch", &set, &d), -EINVAL);
	assert_true(caps_of(none, none) == usual && !(usual & run_caps_bit("SYS_ADMIN")));
	assert_true(!(usual & run_caps_bit("MKNOD")));
	assert_true(caps_of(raw, none) == (usual | run_caps_bit("NET_RAW")));
	assert_true(caps_of(none, chown) == (usual & ~run_caps_bit("CHOWN")));
	assert_true(caps_of(chown, all) == run_caps_bit("CHOWN"));
	assert_true(caps_of(all, chown) == (run_caps_here() & ~run_caps_bit("CHOWN")) ||
		    !(run_caps_here() & usual));
}

static void refused(void **state)
{
	static const struct {
		struct run_options options;
		const char *says;
	} cases[] = {
		{{.workdir = "rel"}, "absolute"},
		{{.net = "bridge"}, "'host' or 'none'"},
		{{.name = "a/b"}, "--name"},
		{{.name = "-a"}, "--name"},
		{{.name = ""}, "--name"},
		{{.hostname = "a b"}, "--hostname"},
		{{.cap_add = {.texts = {"x"}, .n = 1}}, "'x' is no capability"},
	};
	const struct run_options fine = {.workdir = "/", .net = "none", .name = "a.b_c-1"};
	(void)state;
	assert_int_equal(run_plan_check(&fine, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct diag d = DIAG_INIT;
		assert_int_equal(run_plan_check(&cases[i].options, &d), -EINVAL);
		assert_int_equal(d.cls, ERR_USAGE);
		assert_non_null(strstr(d.text, cases[i].says));
	}
}

static void volumes(void **state)
{
	static const struct {
		const char *text;
		err_t err;
	} cases[] = {
		{"/tmp:/t", 0},		  {"/:/t:ro", 0},	    {"/tmp:/t:rw", 0},
		{"/tmp", -EINVAL},	  {"/tmp:t", -EINVAL},	    {":/t", -EINVAL},
		{"/tmp:/t:z", -EINVAL},	  {"/tmp:/", -EINVAL},	    {"/tmp://", -EINVAL},
		{"/no/such:/t", -ENOENT}, {"/tmp:/t:ro:", -EINVAL},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct run_options o = {.volumes = {.texts = {cases[i].text}, .n = 1}};
		struct diag d = DIAG_INIT;
		struct run_spec spec = {0};
		assert_int_equal(run_plan_volumes(&o, &spec, &d), cases[i].err);
		assert_int_equal(spec.n_binds, cases[i].err ? 0 : 1);
		assert_true(cases[i].err == 0 || strstr(d.text, "-v"));
		if (!cases[i].err)
			assert_int_equal(spec.binds[0].read_only,
					 strstr(cases[i].text, ":ro") != NULL);
		run_spec_fini(&spec);
	}
}

/* ---- config.json ---- */

static json_t *written(const struct run_spec *spec)
{
	char *text = NULL;
	size_t n = 0;
	json_error_t error;
	FILE *out = open_memstream(&text, &n);
	run_spec_write(spec, out);
	assert_int_equal(fclose(out), 0);
	json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
	assert_non_null(root);
	free(text);
	return root;
}

static json_t *at(json_t *root, const char *a, const char *b, const char *c)
{
	json_t *value = json_object_get(root, a);
	value = b ? json_object_get(value, b) : value;
	return c ? json_object_get(value, c) : value;
}

static const char *mount_type(json_t *root, const char *target)
{
	size_t i;
	json_t *mount;
	json_array_foreach(json_object_get(root, "mounts"), i, mount)
	{
		if (!strcmp(json_string_value(json_object_get(mount, "destination")), target))
			return json_string_value(json_object_get(mount, "type"));
	}
	return NULL;
}

static void plan_for(const struct run_options *o, const char *user, struct run_spec *spec)
{
	static char *env[] = {(char *)(uintptr_t) "PATH=/p", (char *)(uintptr_t) "bad",
			      (char *)(uintptr_t) "HOME=/h", NULL};
	static char *cmd[] = {(char *)(uintptr_t) "sh", NULL};
	const struct image_config config = {.env = env,
					    .cmd = cmd,
					    .entrypoint = (char **)(uintptr_t)nothing,
					    .user = (char *)(uintptr_t)user,
					    .working_dir = (char *)(uintptr_t) "app",
					    .stop_signal = (char *)(uintptr_t) "SIGQUIT"};
	struct diag d = DIAG_INIT;
	assert_int_equal(run_plan_make(o, &config, nothing, "host", spec, &d), 0);
	assert_int_equal(run_plan_user(o, &config, BYTES_STR(PASSWD), BYTES_STR(GROUP), spec, &d),
			 0);
	assert_int_equal(run_spec_check(spec, &d), 0);
}

static void config_of_root(void **state)
{
	const struct run_options o = {0};
	struct run_spec spec;
	(void)state;
	plan_for(&o, NULL, &spec);
	json_t *root = written(&spec);
	assert_string_equal(json_string_value(at(root, "ociVersion", NULL, NULL)), "1.0.2");
	assert_string_equal(json_string_value(at(root, "process", "cwd", NULL)), "/app");
	assert_string_equal(json_string_value(at(root, "hostname", NULL, NULL)), "host");
	assert_string_equal(spec.stop_signal, "SIGQUIT");
	assert_string_equal(run_env_get(&spec.env, "PATH"), "/p");
	assert_string_equal(run_env_get(&spec.env, "HOME"), "/h");
	assert_string_equal(run_env_get(&spec.env, "HOSTNAME"), "host");
	assert_null(run_env_get(&spec.env, "TERM"));
	assert_int_equal(json_array_size(at(root, "process", "env", NULL)), 3);
	assert_int_equal(json_array_size(at(root, "linux", "namespaces", NULL)), 4);
	assert_int_equal(json_array_size(json_object_get(at(root, "process", "capabilities", NULL),
							 "effective")),
			 __builtin_popcountll(run_caps_default()));
	assert_string_equal(mount_type(root, "/sys"), "sysfs");
	assert_string_equal(mount_type(root, "/dev/mqueue"), "mqueue");
	assert_true(json_array_size(at(root, "linux", "maskedPaths", NULL)) > 5);
	assert_false(json_is_true(at(root, "root", "readonly", NULL)));
	json_decref(root);
	run_spec_fini(&spec);
}

static void config_of_a_user(void **state)
{
	const struct run_options o = {
		.net = "none", .read_only = true, .terminal = true, .name = "box"};
	struct run_spec spec;
	(void)state;
	plan_for(&o, "joe", &spec);
	spec.in_user_ns = true;
	spec.no_tty_group = true;
	json_t *root = written(&spec);
	json_t *caps = at(root, "process", "capabilities", NULL);
	assert_int_equal(json_integer_value(at(root, "process", "user", "uid")), 1000);
	assert_int_equal(json_array_size(at(root, "process", "user", "additionalGids")), 3);
	assert_int_equal(json_array_size(json_object_get(caps, "effective")), 0);
	assert_true(json_array_size(json_object_get(caps, "bounding")) > 0);
	assert_string_equal(json_string_value(at(root, "hostname", NULL, NULL)), "box");
	assert_string_equal(run_env_get(&spec.env, "TERM"), "xterm");
	assert_int_equal(json_array_size(at(root, "linux", "namespaces", NULL)), 5);
	assert_string_equal(mount_type(root, "/sys"), "none");
	assert_true(json_is_true(at(root, "root", "readonly", NULL)));
	assert_true(json_is_true(at(root, "process", "terminal", NULL)));
	json_decref(root);
	spec.groups_fixed = true;
	root = written(&spec);
	assert_null(at(root, "process", "user", "additionalGids"));
	json_decref(root);
	run_spec_fini(&spec);
}

static void what_json_can_not_say(void **state)
{
	const struct run_options o = {.env = {.texts = {"A=\xff"}, .n = 1}};
	const struct image_config config = {.cmd = (char *[]){(char *)(uintptr_t) "sh", NULL}};
	struct diag d = DIAG_INIT;
	struct run_spec spec;
	(void)state;
	assert_int_equal(run_plan_make(&o, &config, nothing, "host", &spec, &d), 0);
	assert_int_equal(run_spec_check(&spec, &d), -EINVAL);
	assert_non_null(strstr(d.text, "not UTF-8"));
	run_spec_fini(&spec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(users),
		cmocka_unit_test(users_that_are_not_there),
		cmocka_unit_test(groups),
		cmocka_unit_test(too_many_groups),
		cmocka_unit_test(environment),
		cmocka_unit_test(environment_file),
		cmocka_unit_test(commands),
		cmocka_unit_test(signals),
		cmocka_unit_test(memory),
		cmocka_unit_test(memory_and_volumes),
		cmocka_unit_test(capabilities),
		cmocka_unit_test(refused),
		cmocka_unit_test(volumes),
		cmocka_unit_test(config_of_root),
		cmocka_unit_test(config_of_a_user),
		cmocka_unit_test(what_json_can_not_say),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
