/*
 * What bash makes of a line, and what it makes of a candidate: quotes are taken apart and put back,
 * and a real bash agrees.
 */
#include "tools/complete_out.c"
#include "tools/format.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#undef fail
#include <unistd.h>

#define BREAKS " \t\n\"'@><=;|&(:" /* bash's default */

static void lines(void **state)
{
	static const struct {
		const char *line, *words; /* words joined by | */
		size_t cut;
		char quote;
		bool redirected;
	} cases[] = {
		{"imgfs", "imgfs", 0, 0, false},
		{"imgfs ", "imgfs|", 0, 0, false},
		{"imgfs  ls\tx", "imgfs|ls|x", 0, 0, false},
		{"imgfs ls oci:/a:1", "imgfs|ls|oci:/a:1", 7, 0, false},
		{"imgfs ls oci:/a ", "imgfs|ls|oci:/a|", 0, 0, false},
		{"imgfs ls --fill=", "imgfs|ls|--fill=", 7, 0, false},
		{"imgfs ls a\\ b\\:c", "imgfs|ls|a b:c", 0, 0, false},
		{"imgfs ls 'a b'c", "imgfs|ls|a bc", 0, 0, false},
		{"imgfs ls 'oci:/a b", "imgfs|ls|oci:/a b", 0, '\'', false},
		{"imgfs ls x\"a\\\"\\b", "imgfs|ls|xa\"\\b", 1, '"', false},
		{"imgfs ls a\\", "imgfs|ls|a", 0, 0, false},
		{"cd x; imgfs ls", "imgfs|ls", 0, 0, false},
		{"a|imgfs ls", "imgfs|ls", 0, 0, false},
		{"(imgfs ls", "imgfs|ls", 0, 0, false},
		{"imgfs ls >", "imgfs|ls|", 0, 0, true},
		{"imgfs ls > x", "imgfs|ls|x", 0, 0, true},
		{"imgfs ls > x y", "imgfs|ls|y", 0, 0, false},
		{"", "", 0, 0, false},
		{";", "", 0, 0, false},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct shell_line line;
		char joined[256] = "";
		shell_line_split(cases[i].line, BREAKS, &line);
		for (int k = 0; k < line.n; k++)
			snprintf(joined + strlen(joined), sizeof(joined) - strlen(joined), "%s%s",
				 k ? "|" : "", line.words[k]);
		assert_string_equal(joined, cases[i].words);
		assert_int_equal(line.cut, cases[i].cut);
		assert_int_equal(line.quote, cases[i].quote);
		assert_int_equal(line.redirected, cases[i].redirected);
		shell_line_fini(&line);
	}
}

/* What a real bash reads, between brackets. */
static void assert_bash_reads(const char *quoted, const char *text)
{
	auto_free char *script = xasprintf("printf '[%%s]' %s\n", quoted);
	char got[256];
	FILE *file = tmpfile();
	fputs(script, file);
	fflush(file);
	auto_free char *command = xasprintf("bash --norc </proc/%d/fd/%d", getpid(), fileno(file));
	FILE *bash = popen(command, "r");
	got[fread(got, 1, sizeof(got) - 1, bash)] = '\0';
	assert_int_equal(pclose(bash), 0);
	fclose(file);
	auto_free char *expected = xasprintf("[%s]", text);
	assert_string_equal(got, expected);
}

static const char *const texts[] = {
	"plain", "a b",	    "it's",	   "quo\"te", "back\\slash", "$HOME",  "`id`",
	"$(id)", "a*b?[c]", "x;y",	   "x&y",     "x|y",	     "<x>",    "~x",
	"!x",	 "{a,b}",   "caf\xc3\xa9", "#x",      "a=b:c@d",     "tab\tx", "^x",
};

static void quotes_are_what_bash_reads(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		static const char quotes[] = {0, '\'', '"'};
		for (size_t q = 0; q < ARRAY_LEN(quotes); q++) {
			auto_buf struct buf quoted = {0};
			struct shell_line line;
			shell_quote(texts[i], quotes[q], &quoted);
			const char close[] = {quotes[q], '\0'};
			auto_free char *word =
				xasprintf("%s%.*s%s", close, (int)quoted.n, quoted.p, close);
			assert_bash_reads(word, texts[i]);
			shell_line_split(word, BREAKS, &line);
			assert_string_equal(line.words[line.n - 1], texts[i]);
			shell_line_fini(&line);
		}
	}
}

static void assert_put(struct completion *c, const char *text, const char *lines_expected)
{
	completion_put(c, text, "what it is");
	assert_int_equal(c->lines.n, strlen(lines_expected));
	assert_memory_equal(c->lines.p, lines_expected, c->lines.n);
	buf_fini(&c->lines);
}

static void candidates(void **state)
{
	struct completion bash = {.bash = true, .typed = "oci:/a", .fixed = "", .cut = 4};
	struct completion zsh = {.typed = "--fill=o", .fixed = "--fill="};
	(void)state;
	assert_put(&bash, "oci:/a b", "/a\\ b \n");
	assert_put(&bash, "oci:/a/", "/a/\n");
	assert_put(&bash, "oci:/b", "");
	assert_put(&bash, "oci:/a\n", "");
	assert_put(&bash, "oci:/a\x1b[2J", "");
	assert_put(&bash, "oci:/a\xe9", "");
	bash.quote = '"';
	assert_put(&bash, "oci:/a $b", "/a \\$b\n");
	assert_put(&zsh, "off", "--fill=off\twhat it is\n");
	assert_put(&zsh, "idle", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(quotes_are_what_bash_reads),
		cmocka_unit_test(candidates),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
