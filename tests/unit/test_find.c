/*
 * The expressions of `imgfs find`: what words mean, one inode at a time, and which words are none.
 * The end-to-end tests compare whole walks with find(1).
 */
#include "tools/find_expression.c"
#include "tools/find_tests.c"
#include "tools/find_values.c"
#include "tools/format.c"
#include "tools/text.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#undef fail

#define NOW 1000000000

/* "-name x -o -type d" as words; at most 40. */
struct split {
	char text[400];
	char *words[40];
	size_t n;
};

static void split_words(const char *text, struct split *out)
{
	char *rest = NULL;
	snprintf(out->text, sizeof(out->text), "%s", text);
	out->n = 0;
	for (char *word = strtok_r(out->text, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		out->words[out->n++] = word;
}

static err_t parse(struct split *split, const char *text, struct expression **out, struct diag *d)
{
	struct find_time now = {NOW, 500};
	split_words(text, split);
	return expression_parse(split->words, split->n, now, out, d);
}

/* Letters of the actions in their order. */
static void note_action(void *context, const struct candidate *c, enum primary_kind action,
			const char *text)
{
	char *log = context;
	(void)c;
	(void)text;
	log[strlen(log)] = action == PRIMARY_PRINT ? 'p' : action == PRIMARY_LS ? 'l' : '0';
}

static const struct candidate sample = {
	.row = 7,
	.inode = {.mode = S_IFREG | 04755,
		  .uid = 1000,
		  .gid = 50,
		  .nlink = 2,
		  .mtime = NOW - 3 * DAY_S - 10,
		  .mtime_ns = 500,
		  .size = 1025},
	.path = {(const uint8_t *)"/usr/lib/Name.so", 16},
	.name = {(const uint8_t *)"Name.so", 7},
	.start = {(const uint8_t *)"/", 1},
	.depth = 3,
};

/* What is printed for the sample: "" when the expression is false. */
static void assert_actions(const char *text, const char *wanted)
{
	struct expression *e;
	struct split split;
	struct find_outcome outcome;
	char log[20] = "";
	assert_int_equal(parse(&split, text, &e, NULL), 0);
	(void)expression_eval(e, &sample, note_action, log, &outcome);
	if (strcmp(log, wanted))
		print_error("%s: '%s', not '%s'\n", text, log, wanted);
	assert_string_equal(log, wanted);
	expression_free(&e);
}

static void true_tests(void **state)
{
	static const char *const texts[] = {
		"",
		"-name Name.so",
		"-name *.so",
		"-name [A-Z]???.so",
		"-iname nAME*",
		"-path /usr*so",
		"-path */Name.so",
		"-ipath */name.SO",
		"-type f",
		"-type d,f",
		"-perm 4755",
		"-perm -4000",
		"-perm -111",
		"-perm /6000",
		"-perm /0",
		"-perm -0",
		"-perm -u+s",
		"-perm u=rwxs,go=rx",
		"-perm -g=rx,o+x",
		"-perm /g+w,u+x",
		"-uid 1000",
		"-uid +999",
		"-uid -1001",
		"-user 1000",
		"-gid 50",
		"-group 50",
		"-links 2",
		"-links +1",
		"-size 3",
		"-size 3b",
		"-size 1025c",
		"-size +1024c",
		"-size 2k",
		"-size +1k",
		"-size 513w",
		"-size 1M",
		"-size -2M",
		"-size 1G",
		"-mtime 3",
		"-mtime +2",
		"-mtime -4",
		"-mmin 4320",
		"-newermt 2001-09-05",
		"-newermt @999740000",
		"-samefile x ! -true -o -true",
		"! -false",
		"! ! -true",
		"-not -empty",
		"-maxdepth 0 -mindepth 7",
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_actions(texts[i], "p");
}

static void false_tests(void **state)
{
	static const char *const texts[] = {
		"-name Name",  "-name name.so",	 "-name */Name.so",
		"-type d",     "-type l,p",	 "-perm 755",
		"-perm -2000", "-perm -222",	 "-perm /022",
		"-perm 0",     "-uid 999",	 "-uid +1000",
		"-uid -1000",  "-user root",	 "-links 1",
		"-size 2",     "-size 1k",	 "-size -1M",
		"-size -3",    "-size 0",	 "-mtime 2",
		"-mtime +3",   "-mtime -3",	 "-newermt 2001-09-07",
		"-lname *",    "-empty",	 "-false",
		"! -true",     "-name [A-Z].so", "-newermt @999999999",
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_actions(texts[i], "");
}

/* Precedence and order, with three actions that tell who was reached. */
static void joined(void **state)
{
	static const struct {
		const char *text, *actions;
	} cases[] = {
		{"-print -ls -print0", "pl0"},
		{"-print -o -ls", "p"},
		{"-false -o -ls", "l"},
		{"-print , -ls", "pl"},
		{"-false , -ls", "l"},
		{"-false -print , -ls", "l"},
		{"-true -o -true -print", ""},
		{"( -true -o -true ) -print", "p"},
		{"-false -a -print -o -ls", "l"},
		{"-false ( -print -o -ls )", ""},
		{"! ( -false -o -true ) -o -ls", "l"},
		{"! -false -print", "p"},
		{"-not -print -o -ls", "pl"},
		{"-print -and -false -or -ls", "pl"},
		{"-prune -o -print", ""},
		{"-type d -prune -o -print", "p"},
		{"-print -quit -ls", "p"},
		{"-print -quit , -ls", "p"},
		{"! -quit -o -ls", ""},
		{"-prune", "p"},
		{"-prune -true", "p"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_actions(cases[i].text, cases[i].actions);
}

static void outcomes(void **state)
{
	struct expression *e;
	struct split split;
	struct find_outcome outcome;
	uint64_t min, max;
	char log[20] = "";
	(void)state;
	assert_int_equal(parse(&split, "-prune -false -o -quit", &e, NULL), 0);
	assert_false(expression_eval(e, &sample, note_action, log, &outcome));
	assert_true(outcome.prune && outcome.quit);
	expression_depths(e, &min, &max);
	assert_true(min == 0 && max == UINT64_MAX);
	expression_free(&e);
	assert_int_equal(parse(&split, "-mindepth 2 ( -maxdepth 5 -o -ls )", &e, NULL), 0);
	expression_depths(e, &min, &max);
	assert_true(min == 2 && max == 5);
	assert_true(expression_has(e, PRIMARY_LS) && !expression_has(e, PRIMARY_PRINT));
	expression_free(&e);
}

static void refused(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{"-name", "must follow '-name'"},
		{"-type x", "not a type"},
		{"-type ,f", "not a type"},
		{"-type ff", "not a type"},
		{"-type f,", "not a type"},
		{"-size 1x", "not a size"},
		{"-size x", "not a size"},
		{"-size 1kk", "not a size"},
		{"-size +-1", "not a size"},
		{"-size 18446744073709551616", "not a size"},
		{"-links 1k", "not a number"},
		{"-links ++1", "not a number"},
		{"-perm 8", "not a mode"},
		{"-perm 10000", "not a mode"},
		{"-perm 77777777777777777777777", "not a mode"},
		{"-perm -", "not a mode"},
		{"-perm u", "not a mode"},
		{"-perm u+w,", "not a mode"},
		{"-perm rw", "not a mode"},
		{"-perm a+X", "not a mode"},
		{"-newermt 2024", "not a date"},
		{"-newermt 2024-13-01", "not a date"},
		{"-newermt 2024-02-30", "calendar"},
		{"-newermt 2024-01-01T", "not a date"},
		{"-newermt 2024-01-01T25:00", "not a date"},
		{"-newermt @", "not a date"},
		{"-user daemon", "not a number"},
		{"-maxdepth +1", "not a depth"},
		{"(", "missing behind '('"},
		{"( -true", "')' is missing"},
		{"-true )", "')' without '('"},
		{"( )", "missing before ')'"},
		{"!", "missing behind '!'"},
		{"-o", "missing before '-o'"},
		{"-true -o", "missing behind '-o'"},
		{"-true -a -o -true", "missing before '-o'"},
		{"-true , , -true", "missing before ','"},
		{"-true , ", "missing behind ','"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct expression *e = NULL;
		struct split split;
		struct diag d = DIAG_INIT;
		assert_int_equal(parse(&split, cases[i].text, &e, &d), -EINVAL);
		if (!strstr(d.text, cases[i].said))
			print_error("%s: %s\n", cases[i].text, d.text);
		assert_non_null(strstr(d.text, cases[i].said));
		assert_int_equal(d.cls, ERR_USAGE);
		assert_null(e);
	}
}

/* Neither nesting nor length is the stack's limit. */
static void bounds(void **state)
{
	static char open[] = "(", close[] = ")", not [] = "!", yes[] = "-true";
	char *words[FIND_WORDS_MAX + 1];
	struct find_time now = {0};
	struct find_outcome outcome;
	struct expression *e;
	char log[20] = "";
	(void)state;
	for (size_t i = 0; i <= FIND_WORDS_MAX; i++)
		words[i] = yes;
	assert_int_equal(expression_parse(words, FIND_WORDS_MAX + 1, now, &e, NULL), -EINVAL);
	assert_int_equal(expression_parse(words, FIND_WORDS_MAX, now, &e, NULL), 0);
	assert_true(expression_eval(e, &sample, note_action, log, &outcome));
	expression_free(&e);
	for (size_t i = 0; i < NESTING_MAX; i++) {
		words[i] = open;
		words[2 * NESTING_MAX - i] = close;
	}
	words[NESTING_MAX] = yes;
	assert_int_equal(expression_parse(words, 2 * NESTING_MAX + 1, now, &e, NULL), 0);
	expression_free(&e);
	for (size_t i = 0; i <= NESTING_MAX; i++)
		words[i] = not ;
	words[NESTING_MAX + 1] = yes;
	assert_int_equal(expression_parse(words, NESTING_MAX + 2, now, &e, NULL), -EINVAL);
	assert_int_equal(expression_parse(words + 1, NESTING_MAX + 1, now, &e, NULL), 0);
	assert_true(expression_eval(e, &sample, note_action, log, &outcome));
	expression_free(&e);
}

/* Ages at both ends of what 64 bits hold, and ahead of now. */
static void ages(void **state)
{
	static const int64_t times[] = {INT64_MIN, INT64_MAX, NOW, NOW + 1};
	struct find_value older = {.sign = '+', .number = 1, .unit = DAY_S, .time = {NOW, 0}};
	struct find_value younger = {.sign = '-', .number = 1, .unit = DAY_S, .time = {NOW, 0}};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		struct candidate c = {.inode = {.mtime = times[i], .mtime_ns = 1}};
		assert_int_equal(test_age(&older, &c), i == 0);
		assert_int_equal(test_age(&younger, &c), i != 0);
	}
}

static void words_of_expressions(void **state)
{
	(void)state;
	assert_int_equal(find_arity("-name"), 1);
	assert_int_equal(find_arity("-print"), 0);
	assert_int_equal(find_arity("("), 0);
	assert_int_equal(find_arity("-not"), 0);
	assert_int_equal(find_arity("-v"), -1);
	assert_int_equal(find_arity("--name"), -1);
	assert_int_equal(find_arity("/usr"), -1);
	assert_int_equal(find_arity(""), -1);
	for (size_t i = 0; find_primary_name(i); i++)
		assert_non_null(find_primary(find_primary_name(i)));
}

/* Widths and cuts of names as a terminal shows them. */
static void widths(void **state)
{
	static const struct {
		const char *text;
		size_t width, fit5; /* bytes that take five columns */
	} cases[] = {
		{"", 0, 0},	     {"abc", 3, 3},
		{"abcdef", 6, 5},    {"\xc3\xa4\xc3\xb6", 2, 4},
		{"a\\b", 4, 3},	     {"\xff\xff", 8, 1},
		{"a\x1b[2J", 8, 2},  {"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 6, 6},
		{"a\xcc\x81", 1, 3},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(text_width(BYTES_STR(cases[i].text)), cases[i].width);
		assert_int_equal(text_fit(BYTES_STR(cases[i].text), 5), cases[i].fit5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(true_tests), cmocka_unit_test(false_tests),
		cmocka_unit_test(joined),     cmocka_unit_test(outcomes),
		cmocka_unit_test(refused),    cmocka_unit_test(bounds),
		cmocka_unit_test(ages),	      cmocka_unit_test(words_of_expressions),
		cmocka_unit_test(widths),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
