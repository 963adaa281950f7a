/* Texts from outside, made fit for a terminal. */
#include "index/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void printable(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"", ""},
		{"plain ~", "plain ~"},
		{"a\nb\t\x7f\x1b[2J", "a?b???[2J"},
		{"\xc2\x80|\xc2\x9b|\xc2\x9f|\xc2\xa0", "?|?|?|\xc2\xa0"},
		{"\xe2\x80\x8a\xe2\x80\x8b\xe2\x80\x8f\xe2\x80\x90", "\xe2\x80\x8a??\xe2\x80\x90"},
		{"\xe2\x80\xa9\xe2\x80\xaa\xe2\x80\xae\xe2\x80\xaf", "\xe2\x80\xa9??\xe2\x80\xaf"},
		{"\xe2\x81\xa5\xe2\x81\xa6\xe2\x81\xa9\xe2\x81\xaa", "\xe2\x81\xa5??\xe2\x81\xaa"},
		{"\xef\xbb\xbf\xef\xbb\xbe", "?\xef\xbb\xbe"},
		{"gr\xc3\xbc\xc3\x9f"
		 "e \xe2\x80\x9c",
		 "gr\xc3\xbc\xc3\x9f"
		 "e \xe2\x80\x9c"},
		/* cut in the middle, and no UTF-8 at all */
		{"\xc2", "\xc2"},
		{"\xe2\x80", "\xe2\x80"},
		{"\xef\xbb", "\xef\xbb"},
		{"\xe2\x80\n", "\xe2\x80?"},
		{"\x9b\xff", "\x9b\xff"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_free char *text =
			xstrdup(cases[i].text); /* exact, so that a checker sees more */
		text_make_printable(text);
		assert_string_equal(text, cases[i].want);
	}
}

static void diagnostics(void **state)
{
	struct diag d = DIAG_INIT;
	(void)state;
	/* cmocka has a macro of this name */
	assert_int_equal((fail)(&d, ERR_OTHER, -EIO, "%s",
				"\xc2\x9b"
				"1m\xe2\x80\xae"),
			 -EIO);
	assert_string_equal(d.text, "?1m?");
	diag_prepend(&d, "%s", "\xe2\x81\xa6x");
	assert_string_equal(d.text, "?x: ?1m?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(printable),
		cmocka_unit_test(diagnostics),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
