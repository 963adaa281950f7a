/* Who vouches for an index: options, trust files and which line of them applies, signatures. */
#include "fetch/trust_priv.h"
#include "tests/unit/key_build.h"

#include <stdint.h>

#define DIGEST "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
static const char STATEMENT[] = "imgfs-index-statement-1\n";

/* --- which line applies --- */

static void patterns(void **state)
{
	static const char file[] = "# hosts and repositories\n"
				   "*                          none\n"
				   "h.io                       any   # all of h.io\n"
				   "h.io/prod/*                any\n"
				   "h.io/prod/app\tany\r\n"
				   "h.io/prod/app*             any\n"
				   "h.io/pr*                   any\n"
				   "localhost:5000/*           any\n"
				   "\n"
				   "oci:*                      any\n"
				   "   oci:/srv/images/*       any\n"
				   "oci:/srv/images/one        any\n"
				   "oci:/srv/..*               any";
	static const struct {
		const char *subject;
		unsigned line;
	} cases[] = {
		{"h.io/a", 3},
		{"h.io/a/b/c", 3},
		{"h.io/prod", 7},
		{"h.io/prod/x", 4},
		{"h.io/prod/x/y", 4},
		{"h.io/prod/app", 5},
		{"h.io/prod/apple", 6},
		{"h.io/prod/app/x", 6},
		{"h.io/preview", 7},
		{"h.io:5000/a", 2},
		{"h.iot/a", 2},
		{"h.io.evil.org/prod/app", 2},
		{"x.h.io/a", 2},
		{"localhost:5000/a", 8},
		{"localhost:50001/a", 2},
		{"localhost/a", 2},
		{"docker.io/library/h.io", 2},
		{"oci:/tmp/x", 10},
		{"oci:/", 10},
		{"oci:/srv/images/two", 11},
		{"oci:/srv/images/one", 12},
		{"oci:/srv/images/one/more", 11},
		{"oci:/srv/images", 10},
		{"oci:/srv/..a", 13},
		{"oci:/srv/.a", 10},
		{"oci:5000/a", 2}, /* a registry on a host called oci */
	};
	struct trust_file f;
	(void)state;
	assert_int_equal(trust_file_parse(BYTES_STR(file), "/etc/t", &f, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct trust_entry *e = trust_file_match(&f, cases[i].subject);
		if (!e || e->line != cases[i].line)
			fail_msg("%s: line %u", cases[i].subject, e ? e->line : 0);
	}
	trust_file_fini(&f);
}

static void the_order_of_lines_does_not_matter(void **state)
{
	static const char *const files[] = {"h.io/a any\nh.io/a* none\nh.io none\n* none\n",
					    "* none\nh.io none\nh.io/a* none\nh.io/a any\n"};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct trust_file f;
		assert_int_equal(trust_file_parse(BYTES_STR(files[i]), "t", &f, NULL), 0);
		assert_true(trust_file_match(&f, "h.io/a")->any);
		assert_true(trust_file_match(&f, "h.io/ab")->none);
		trust_file_fini(&f);
	}
}

static void the_root_as_a_layout(void **state)
{
	struct trust_file f;
	(void)state;
	assert_int_equal(trust_file_parse(BYTES_STR("oci:/ any\n"), "t", &f, NULL), 0);
	assert_non_null(trust_file_match(&f, "oci:/"));
	assert_null(trust_file_match(&f, "oci:/a"));
	trust_file_fini(&f);
}

static void nothing_applies(void **state)
{
	static const char *const files[] = {"", "\n\n", "#h.io any\n", "# x\n  # y", "g.io any\n"};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct trust_file f;
		assert_int_equal(trust_file_parse(BYTES_STR(files[i]), "t", &f, NULL), 0);
		assert_null(trust_file_match(&f, "h.io/a"));
		trust_file_fini(&f);
	}
}

static void keys_are_beside_the_file(void **state)
{
	static const struct {
		const char *file, *key;
	} cases[] = {
		{"/etc/imgfs/trust", "/etc/imgfs/k.pem"},
		{"/trust", "/k.pem"},
		{"trust", "./k.pem"},
		{"a/trust", "a/k.pem"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct trust_file f;
		assert_int_equal(trust_file_parse(BYTES_STR("h.io key=k.pem any key=/x#y.pem\n"),
						  cases[i].file, &f, NULL),
				 0);
		assert_int_equal(f.entries[0].n_keys, 2);
		assert_string_equal(f.entries[0].keys[0], cases[i].key);
		assert_string_equal(f.entries[0].keys[1], "/x#y.pem");
		assert_true(f.entries[0].any);
		trust_file_fini(&f);
	}
}

static void wrong_lines(void **state)
{
	static const struct {
		const char *line, *word;
	} cases[] = {
		{"h.io", "nothing follows"},
		{"h.io # any", "nothing follows"},
		{"h.io all", "'all' is no word"},
		{"h.io Any", "'Any' is no word"},
		{"h.io key=", "path of a key"},
		{"h.io none any", "stands alone"},
		{"h.io key=k none", "stands alone"},
		{"h.io/*/x any", "at the end only"},
		{"h.io/** any", "at the end only"},
		{"** any", "at the end only"},
		{"h.io* any", "strangers"},
		{"localhost:* any", "strangers"},
		{"h* any", "strangers"},
		{"python any", "begin with a host"},
		{"H.io any", "begin with a host"},
		{"h.io:x any", "begin with a host"},
		{"index.docker.io any", "begin with a host"},
		{"https://h.io/a any", "begin with a host"},
		{"docker://h.io/a any", "begin with a host"},
		{"/a any", "begin with a host"},
		{"/* any", "begin with a host"},
		{"library/python any", "begin with a host"},
		{"docker.io/python any", "docker.io/library/python"},
		{"h.io/a:1 any", "write 'h.io/a'"},
		{"h.io/a@" DIGEST " any", "write 'h.io/a'"},
		{"h.io/A any", "no reference"},
		{"h.io/ any", "no reference"},
		{"h.io/a//* any", "no reference"},
		{"h.io/a:1* any", "no reference"},
		{"oci: any", "absolute path"},
		{"oci:x any", "absolute path"},
		{"oci:x/* any", "absolute path"},
		{"oci:/a/ any", "last '/'"},
		{"oci:/a//b any", "realpath"},
		{"oci:/a/../b any", "realpath"},
		{"oci:/a/./* any", "realpath"},
		{"oci:/a/.. any", "realpath"},
		{"oci:/. any", "realpath"},
		{"oci:// any", "last '/'"},
		{"g.io any", "line 1 has the same"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_free char *text = xasprintf("g.io any\n\n%s\n", cases[i].line);
		struct trust_file f;
		struct diag d = DIAG_INIT;
		if (trust_file_parse(BYTES_STR(text), "/etc/t", &f, &d) != -EINVAL)
			fail_msg("'%s' passed", cases[i].line);
		assert_null(f.entries);
		assert_int_equal(d.cls, ERR_USAGE);
		if (!strstr(d.text, cases[i].word) || strncmp(d.text, "/etc/t:3: ", 10) != 0)
			fail_msg("'%s': %s", cases[i].line, d.text);
	}
}

static void a_nul_is_no_text(void **state)
{
	struct trust_file f;
	struct diag d = DIAG_INIT;
	(void)state;
	assert_int_equal(
		trust_file_parse((struct bytes){(const uint8_t *)"h.io any\n\0", 10}, "t", &f, &d),
		-EINVAL);
	assert_non_null(strstr(d.text, "NUL"));
}

/* --- options: a home and a system-wide file for each test --- */

struct world {
	char *system, *user, *folder;
};
static struct world world;

static int world_make(void **state)
{
	if (key_dir_make(state))
		return -1;
	world.system = key_path("system");
	world.folder = key_path("imgfs");
	world.user = key_path("imgfs/trust");
	unsetenv("HOME");
	key_pair("ED25519", "one");
	key_pair("P-256", "two");
	return mkdir(world.folder, 0755) || setenv("XDG_CONFIG_HOME", key_dir, 1);
}

static int world_remove(void **state)
{
	free(world.system);
	free(world.user);
	free(world.folder);
	return key_dir_remove(state);
}

static err_t try_trust(const struct trust_options *o, const char *text, struct trust **out,
		       struct diag *d)
{
	struct ref ref;
	assert_int_equal(ref_parse(text, &ref, NULL), 0);
	err_t err = trust_new_with(world.system, o, &ref, out, d);
	assert_int_equal(!err, *out != NULL);
	ref_fini(&ref);
	return err;
}

static struct trust *trust_for(const struct trust_options *o, const char *text)
{
	struct trust *t;
	struct diag d = DIAG_INIT;
	if (try_trust(o, text, &t, &d))
		fail_msg("%s: %s", text, d.text);
	return t;
}

/* In one word: refused, hint (takes them), keys, bound, or nothing. */
static const char *summary(const struct trust_options *o, const char *text)
{
	struct trust *t = trust_for(o, text);
	const char *word = trust_refuses(t)	  ? "refused"
			   : trust_bound(t)	  ? "bound"
			   : trust_takes_hints(t) ? "hint"
			   : trust_n_keys(t)	  ? "keys"
						  : "nothing";
	assert_int_equal(trust_looks(t), strcmp(word, "nothing") && strcmp(word, "refused"));
	assert_false(trust_refuses(t) && trust_takes_hints(t));
	trust_free(&t);
	assert_null(t);
	return word;
}

static void fails(const struct trust_options *o, err_t want, enum err_class cls, const char *word)
{
	struct trust *t;
	struct diag d = DIAG_INIT;
	err_t err = try_trust(o, "h.io/a", &t, &d);
	if (err != want || d.cls != cls || !strstr(d.text, word))
		fail_msg("%d, class %d: '%s' without '%s'", err, (int)d.cls, d.text, word);
}

static void options_alone(void **state)
{
	auto_free char *key = key_path("one.pem");
	const char *const keys[] = {key, NULL}, *const none[] = {NULL};
	(void)state;
	assert_string_equal(summary(&(struct trust_options){0}, "h.io/a"), "nothing");
	assert_string_equal(summary(&(struct trust_options){.keys = none}, "h.io/a"), "nothing");
	assert_string_equal(summary(&(struct trust_options){.keys = keys}, "h.io/a"), "keys");
	assert_string_equal(summary(&(struct trust_options){.any = true}, "h.io/a"), "hint");
	assert_string_equal(summary(&(struct trust_options){.index = DIGEST}, "h.io/a"), "bound");
	assert_string_equal(summary(&(struct trust_options){.index = "none"}, "h.io/a"), "refused");
	assert_string_equal(
		summary(&(struct trust_options){.index = "none", .keys = keys}, "h.io/a"),
		"refused");
	struct trust *t = trust_for(
		&(struct trust_options){.index = DIGEST, .any = true, .keys = keys}, "h.io/a");
	char text[DIGEST_TEXT_MAX];
	assert_string_equal(digest_text(trust_bound(t), text), DIGEST);
	assert_true(trust_takes_hints(t));
	assert_int_equal(trust_n_keys(t), 1);
	trust_free(&t);
}

static void the_public_door(void **state)
{
	const struct trust_options bound = {.index = DIGEST};
	struct ref ref;
	struct trust *t;
	(void)state;
	assert_int_equal(ref_parse("h.io/a", &ref, NULL), 0);
	assert_int_equal(trust_new(&bound, &ref, &t, NULL), 0);
	assert_non_null(trust_bound(t));
	trust_free(&t);
	trust_free(&t);
	ref_fini(&ref);
}

static void bad_options(void **state)
{
	auto_free char *secret = key_path("absent.pem");
	const char *const keys[] = {secret, NULL};
	(void)state;
	fails(&(struct trust_options){.index = "latest"}, -EINVAL, ERR_USAGE, "--index");
	fails(&(struct trust_options){.index = ""}, -EINVAL, ERR_USAGE, "--index");
	fails(&(struct trust_options){.index = "md5:00"}, -EINVAL, ERR_USAGE, "--index");
	fails(&(struct trust_options){.index = "none", .any = true}, -EINVAL, ERR_USAGE,
	      "contradict");
	fails(&(struct trust_options){.keys = keys}, -ENOENT, ERR_USAGE, "--trust-key");
	fails(&(struct trust_options){.trust_file = secret}, -ENOENT, ERR_USAGE, secret);
}

static void options_and_files(void **state)
{
	auto_free char *key = key_path("one.pem");
	const char *const keys[] = {key, NULL};
	const struct trust_options plain = {0}, any = {.any = true}, with_key = {.keys = keys},
				   bound = {.index = DIGEST}, no = {.index = "none"};
	(void)state;
	text_write(world.system, "h.io any\nn.io none\nk.io key=two.pem\n");
	assert_string_equal(summary(&plain, "h.io/a"), "hint");
	assert_string_equal(summary(&plain, "n.io/a"), "refused");
	assert_string_equal(summary(&plain, "k.io/a"), "keys");
	assert_string_equal(summary(&plain, "x.io/a"), "nothing");
	assert_string_equal(summary(&no, "h.io/a"), "refused");
	assert_string_equal(summary(&any, "n.io/a"), "hint");
	assert_string_equal(summary(&with_key, "n.io/a"), "keys");
	assert_string_equal(summary(&bound, "n.io/a"), "bound");
	struct trust *t = trust_for(&with_key, "k.io/a");
	assert_int_equal(trust_n_keys(t), 2);
	assert_string_not_equal(public_key_id(trust_key(t, 0)), public_key_id(trust_key(t, 1)));
	trust_free(&t);
	t = trust_for(&bound, "h.io/a");
	assert_false(trust_takes_hints(t)); /* --index decides alone */
	trust_free(&t);
	text_write(world.system, "broken\n");
	fails(&plain, -EINVAL, ERR_USAGE, world.system);
	assert_string_equal(summary(&bound, "h.io/a"), "bound");
	assert_string_equal(summary(&no, "h.io/a"), "refused");
	unlink(world.system);
}

/* imgfs.conf: what it says counts where the files say nothing, and opens nothing that they shut. */
static void defaults_and_files(void **state)
{
	auto_free char *key = key_path("one.pem");
	const char *const keys[] = {key, NULL};
	const struct trust_options any = {.any = true, .default_only = true},
				   with_key = {.keys = keys, .default_only = true},
				   bound = {.index = DIGEST, .default_only = true},
				   no = {.index = "none", .default_only = true};
	(void)state;
	text_write(world.system, "n.io none\nk.io key=two.pem\n");
	assert_string_equal(summary(&any, "n.io/a"), "refused");
	assert_string_equal(summary(&with_key, "n.io/a"), "refused");
	assert_string_equal(summary(&bound, "n.io/a"), "refused");
	assert_string_equal(summary(&any, "k.io/a"), "keys");
	assert_string_equal(summary(&no, "k.io/a"), "keys");
	assert_string_equal(summary(&any, "x.io/a"), "hint");
	assert_string_equal(summary(&with_key, "x.io/a"), "keys");
	assert_string_equal(summary(&bound, "x.io/a"), "bound");
	assert_string_equal(summary(&no, "x.io/a"), "refused");
	text_write(world.system, "broken\n");
	fails(&bound, -EINVAL, ERR_USAGE, world.system);
	unlink(world.system);
}

static void both_default_files(void **state)
{
	const struct trust_options plain = {0};
	auto_free char *named = key_path("named");
	(void)state;
	text_write(world.system, "h.io none\nh.io/long/name none\ns.io any\n");
	text_write(world.user, "h.io any\nu.io key=../one.pem\n");
	assert_string_equal(summary(&plain, "h.io/a"), "hint");
	assert_string_equal(summary(&plain, "h.io/long/name"), "hint"); /* the user's file first */
	assert_string_equal(summary(&plain, "s.io/a"), "hint");
	assert_string_equal(summary(&plain, "u.io/a"), "keys");
	text_write(named, "h.io none\n");
	const struct trust_options other = {.trust_file = named};
	assert_string_equal(summary(&other, "h.io/a"), "refused");
	assert_string_equal(summary(&other, "s.io/a"),
			    "nothing"); /* the default ones are not read */
	unlink(world.user);
	assert_string_equal(summary(&plain, "h.io/a"), "refused");
	unlink(world.system);
	assert_string_equal(summary(&plain, "h.io/a"), "nothing");
}

static void places_of_the_user(void **state)
{
	const struct trust_options plain = {0};
	auto_free char *config = key_path(".config");
	auto_free char *folder = key_path(".config/imgfs");
	auto_free char *file = key_path(".config/imgfs/trust");
	(void)state;
	assert_int_equal(mkdir(config, 0755) || mkdir(folder, 0755), 0);
	text_write(file, "h.io any\n");
	assert_string_equal(summary(&plain, "h.io/a"), "nothing");
	setenv("HOME", key_dir, 1);
	assert_string_equal(summary(&plain, "h.io/a"), "nothing");
	setenv("XDG_CONFIG_HOME", "relative", 1);
	assert_string_equal(summary(&plain, "h.io/a"), "hint");
	unsetenv("XDG_CONFIG_HOME");
	assert_string_equal(summary(&plain, "h.io/a"), "hint");
	setenv("HOME", file, 1); /* a file where a folder should be */
	assert_string_equal(summary(&plain, "h.io/a"), "nothing");
	unsetenv("HOME");
	assert_string_equal(summary(&plain, "h.io/a"), "nothing");
	setenv("XDG_CONFIG_HOME", key_dir, 1);
}

static void layouts_by_their_real_path(void **state)
{
	const struct trust_options plain = {0};
	auto_free char *good = key_path("good");
	auto_free char *evil = key_path("evil");
	auto_free char *link_path = key_path("good/link");
	auto_free char *line = xasprintf("oci:%s any\noci:%s/* any\n* none\n", good, good);
	char *refs[] = {xasprintf("oci:%s", good), xasprintf("oci:%s/../evil", good),
			xasprintf("oci:%s:name", link_path), xasprintf("oci:%s/..", good)};
	static const char *const want[] = {"hint", "refused", "refused", "refused"};
	(void)state;
	assert_int_equal(mkdir(good, 0755) || mkdir(evil, 0755) || symlink(evil, link_path), 0);
	text_write(world.system, line);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		assert_string_equal(summary(&plain, refs[i]), want[i]);
		free(refs[i]);
	}
	struct trust *t;
	struct diag d = DIAG_INIT;
	assert_int_equal(try_trust(&plain, "oci:/nowhere/at/all", &t, &d), -ENOENT);
	assert_int_equal(d.cls, ERR_NOT_FOUND);
	unlink(world.system);
}

/* --- files that others could have written --- */

static void guarded_files(void **state)
{
	static const mode_t fine[] = {0644, 0600, 0444, 0755}, bad[] = {0664, 0646, 0620, 0602};
	const struct trust_options plain = {0}, named = {.trust_file = world.system};
	(void)state;
	text_write(world.system, "h.io any\n");
	for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
		assert_int_equal(chmod(world.system, fine[i]), 0);
		assert_string_equal(summary(&plain, "h.io/a"), "hint");
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(chmod(world.system, bad[i]), 0);
		fails(&plain, -EPERM, ERR_DENIED, "go-w");
		fails(&named, -EPERM, ERR_DENIED, world.system);
	}
	unlink(world.system);
	assert_int_equal(mkfifo(world.system, 0600), 0);
	fails(&plain, -EINVAL, ERR_USAGE, "regular file");
	unlink(world.system);
	text_write(world.system, "");
	assert_int_equal(truncate(world.system, TRUST_FILE_MAX + 1), 0);
	fails(&plain, -E2BIG, ERR_USAGE, "larger");
	unlink(world.system);
}

static void files_of_strangers(void **state)
{
	const struct trust_options plain = {0};
	(void)state;
	if (geteuid() != 0)
		skip(); /* giving a file away takes root */
	text_write(world.system, "h.io any\n");
	assert_int_equal(chown(world.system, 12345, 0), 0);
	fails(&plain, -EPERM, ERR_DENIED, "user 12345");
	assert_int_equal(chmod(key_dir, 0755), 0);
	assert_int_equal(seteuid(12345), 0); /* now it is our own */
	assert_string_equal(summary(&plain, "h.io/a"), "hint");
	assert_int_equal(seteuid(0) || chown(world.system, 0, 0) || seteuid(12345), 0);
	assert_string_equal(summary(&plain, "h.io/a"), "hint"); /* root's */
	assert_int_equal(seteuid(0) || chmod(world.system, 0600) || seteuid(12345), 0);
	fails(&plain, -EACCES, ERR_DENIED, world.system);
	assert_int_equal(seteuid(0), 0);
	unlink(world.system);
}

static void keys_in_trust_files(void **state)
{
	const struct trust_options plain = {0};
	auto_free char *key = key_path("one.pem");
	auto_free char *place = xasprintf("%s:2: %s", world.system, key);
	(void)state;
	text_write(world.system, "h.io/b key=missing.pem\nh.io/a key=one.pem\n");
	assert_string_equal(summary(&plain, "h.io/a"), "keys"); /* other lines' keys are not read */
	assert_int_equal(chmod(key, 0666), 0);
	fails(&plain, -EPERM, ERR_DENIED, place);
	assert_int_equal(chmod(key, 0644), 0);
	text_write(world.system, "h.io\tkey=missing.pem\n");
	fails(&plain, -ENOENT, ERR_USAGE, ":1: ");
	text_write(world.system, "h.io key=system\n");
	fails(&plain, -EINVAL, ERR_USAGE, "PEM");
	text_write(world.system, "h.io key=one.key\n"); /* a private one has a public half */
	assert_string_equal(summary(&plain, "h.io/a"), "keys");
	unlink(world.system);
}

/* --- signatures --- */

static void sign_with(const char *name, struct buf *signature, char id[KEY_ID_LEN + 1])
{
	struct signing_key *k;
	auto_free char *path = key_path(name);
	assert_int_equal(signing_key_load(path, &k, NULL), 0);
	assert_int_equal(signing_key_sign(k, BYTES_STR(STATEMENT), signature, NULL), 0);
	snprintf(id, KEY_ID_LEN + 1, "%s", signing_key_id(k));
	signing_key_free(&k);
}

static void judgements(void **state)
{
	auto_free char *one = key_path("one.pem");
	const char *const keys[] = {one, NULL};
	struct buf by_one = {0}, by_two = {0};
	char id_one[KEY_ID_LEN + 1], id_two[KEY_ID_LEN + 1];
	(void)state;
	sign_with("one.key", &by_one, id_one);
	sign_with("two.key", &by_two, id_two);
	const struct statement_signature good = {id_one, buf_bytes(&by_one)},
					 stranger = {id_two, buf_bytes(&by_two)},
					 impostor = {id_one, buf_bytes(&by_two)},
					 mislabelled = {id_two, buf_bytes(&by_one)},
					 empty = {id_one, {NULL, 0}}, odd = {"", {NULL, 0}};
	const struct statement_signature none_good[] = {stranger, impostor, mislabelled, empty,
							odd};
	const struct statement_signature last_good[] = {stranger, impostor, odd, good};
	struct trust *t = trust_for(&(struct trust_options){.keys = keys}, "h.io/a");
	struct bytes text = BYTES_STR(STATEMENT), other = BYTES_STR("imgfs-index-statement-2\n");
	assert_int_equal(trust_judge(t, text, &good, 1), TRUST_SIGNED);
	assert_int_equal(trust_judge(t, other, &good, 1), TRUST_HINT);
	assert_int_equal(trust_judge(t, text, NULL, 0), TRUST_HINT);
	assert_int_equal(trust_judge(t, text, none_good, ARRAY_LEN(none_good)), TRUST_HINT);
	assert_int_equal(trust_judge(t, text, last_good, ARRAY_LEN(last_good)), TRUST_SIGNED);
	trust_free(&t);
	t = trust_for(&(struct trust_options){.any = true}, "h.io/a");
	assert_int_equal(trust_judge(t, text, &good, 1), TRUST_HINT); /* no key, no signature */
	trust_free(&t);
	buf_fini(&by_one);
	buf_fini(&by_two);
}

static void state_names(void **state)
{
	(void)state;
	assert_string_equal(trust_state_name(TRUST_HINT), "hint");
	assert_string_equal(trust_state_name(TRUST_SIGNED), "signed");
	assert_string_equal(trust_state_name(TRUST_BOUND), "bound");
	assert_string_equal(trust_state_name(TRUST_PROVEN), "proven");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns),
		cmocka_unit_test(the_order_of_lines_does_not_matter),
		cmocka_unit_test(the_root_as_a_layout),
		cmocka_unit_test(nothing_applies),
		cmocka_unit_test(keys_are_beside_the_file),
		cmocka_unit_test(wrong_lines),
		cmocka_unit_test(a_nul_is_no_text),
		cmocka_unit_test(options_alone),
		cmocka_unit_test(the_public_door),
		cmocka_unit_test(bad_options),
		cmocka_unit_test(options_and_files),
		cmocka_unit_test(defaults_and_files),
		cmocka_unit_test(both_default_files),
		cmocka_unit_test(places_of_the_user),
		cmocka_unit_test(layouts_by_their_real_path),
		cmocka_unit_test(guarded_files),
		cmocka_unit_test(files_of_strangers),
		cmocka_unit_test(keys_in_trust_files),
		cmocka_unit_test(judgements),
		cmocka_unit_test(state_names),
	};
	return cmocka_run_group_tests(tests, world_make, world_remove);
}
