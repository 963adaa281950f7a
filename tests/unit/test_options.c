/*
 * test_options - the words behind -o, and what becomes of them
 */
#include "fs/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define FIXED "ro,default_permissions,subtype=imgfs,fsname=image"

/* What libfuse gets for a list; freed by the caller. */
static char *text_for(const char *list, bool root)
{
	struct mount_options o;
	struct diag d = DIAG_INIT;
	if (mount_options_parse(list, root, &o, &d))
		fail_msg("%s: %s", list ? list : "none", d.text);
	char *text = mount_options_text(&o, "image");
	mount_options_fini(&o);
	return text;
}

static void check_text(const char *list, bool root, const char *expected)
{
	auto_free char *text = text_for(list, root);
	assert_string_equal(text, expected);
}

static void check_refused(const char *list, bool root, enum err_class cls, const char *word)
{
	struct mount_options o;
	struct diag d = DIAG_INIT;
	assert_int_equal(mount_options_parse(list, root, &o, &d),
			 cls == ERR_DENIED ? -EPERM : -EINVAL);
	assert_int_equal(d.cls, cls);
	assert_non_null(strstr(d.text, word));
	assert_null(o.selinux);
}

static void test_defaults(void **state)
{
	(void)state;
	check_text(NULL, false, FIXED);
	check_text("", false, FIXED);
	check_text(",,", false, FIXED);
	check_text(NULL, true, FIXED ",allow_other");
}

static void test_words(void **state)
{
	(void)state;
	check_text("allow_other", false, FIXED ",allow_other");
	check_text("noallow_other", true, FIXED);
	check_text("xattrs", false, FIXED); /* ours, not the kernel's */
	check_text("ro,defaults,nosuid,nodev,noatime,nonempty", false, FIXED);
	check_text("suid,dev,noexec,noallow_other", true, FIXED ",suid,dev,noexec");
	check_text("suid,dev,nosuid,nodev,noexec,exec", true, FIXED ",allow_other");
	check_text("context=a:b:c,defcontext=d", false, FIXED ",context=a:b:c,defcontext=d");
}

static void test_values(void **state)
{
	struct mount_options o;
	(void)state;
	assert_int_equal(mount_options_parse("nonempty,read_ahead=4", true, &o, NULL), 0);
	assert_true(o.nonempty);
	assert_int_equal(o.read_ahead_kib, 4);
	assert_int_equal(mount_options_parse("read_ahead=16384", true, &o, NULL), 0);
	assert_int_equal(o.read_ahead_kib, READ_AHEAD_MAX_KIB);
	assert_false(o.nonempty);
}

static void test_refused(void **state)
{
	static const char *const numbers[] = {
		"read_ahead=",	    "read_ahead=3",
		"read_ahead=16385", "read_ahead=-8",
		"read_ahead= 64",   "read_ahead=64k",
		"read_ahead=1e3",   "read_ahead=99999999999999999999"};
	(void)state;
	check_refused("nosuchword", true, ERR_USAGE, "nosuchword");
	check_refused("context=x,allow_other,read-ahead=5", true, ERR_USAGE, "read-ahead=5");
	check_refused("rw", true, ERR_USAGE, "read-only");
	check_refused("auto_unmount", true, ERR_USAGE, "umount");
	check_refused("fsname=other", true, ERR_USAGE, "fsname");
	check_refused("ro ", true, ERR_USAGE, "ro ");
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		check_refused(numbers[i], true, ERR_USAGE, "read_ahead=");
}

static void test_what_takes_root(void **state)
{
	(void)state;
	check_refused("suid", false, ERR_DENIED, "suid");
	check_refused("ro,dev", false, ERR_DENIED, "dev");
	check_refused("read_ahead=512", false, ERR_DENIED, "read_ahead");
}

/* A reference may hold what separates options. */
static void test_escapes(void **state)
{
	struct mount_options o = {0};
	auto_free char *text = mount_options_text(&o, "oci:/a,suid\\,b c");
	(void)state;
	assert_string_equal(text, "ro,default_permissions,subtype=imgfs,"
				  "fsname=oci:/a\\,suid\\\\\\,b c");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),	cmocka_unit_test(test_words),
		cmocka_unit_test(test_values),		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_what_takes_root), cmocka_unit_test(test_escapes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
