/*
 * The command line: options in any order, help from the same rows, one line for each usage error,
 * and the exit status of each class. What ends the process is run in a child.
 */
#include "tools/cli.c"
#include "tools/describe.c"
#include "tools/dispatch.c"
#include "tools/help.c"
#include "tools/nearest.c"
#include "tools/terminal.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#undef fail
#include <fcntl.h>
#include <sys/wait.h>

#define WORDS_MAX 12

/* A command with one option of each kind, and what it was given. */
static struct {
	bool flag;
	int count;
	const char *text;
	uint64_t number;
	char *list;
	struct common_options common;
	char **operands;
	int n;
} got;

static int run_sample(const struct command *self, int argc, char **argv)
{
	const struct option_row rows[] = {
		{'f', "flag", OPT_FLAG, &got.flag, NULL, "a flag"},
		{'c', NULL, OPT_COUNT, &got.count, NULL, "counted"},
		{'t', "text", OPT_STRING, &got.text, "TEXT", "a text"},
		{0, "number", OPT_NUMBER, &got.number, "N", "a number"},
		{'o', NULL, OPT_LIST, &got.list, "OPTIONS", "a list"},
		{0},
	};
	got.n = cli_parse(self, argc, argv, rows, &got.common, &got.operands);
	return got.n == 1 && !strcmp(got.operands[0], "say") ? printf("said\n") - 5 : 0;
}

static const struct command sample = {
	.name = "sample",
	.synopsis = "[-f] WORD...",
	.summary = "Do nothing",
	.details = "Details.",
	.run = run_sample,
};
static const struct command deep = {.name = "group deep", .summary = "Deep", .run = run_sample};
static const struct command *const group_table[] = {&deep, NULL};

static int run_group(const struct command *self, int argc, char **argv)
{
	return cli_dispatch(self, group_table, argc, argv);
}

static const struct command group = {.name = "group", .summary = "Group", .run = run_group};
static const struct command *const table[] = {&sample, &group, NULL};

/* Words may be permuted, so each call has its own array. */
static int split(const char *line, char *copy, char *words[WORDS_MAX])
{
	int n = 0;
	char *rest;
	for (char *w = strtok_r(strcpy(copy, line), " ", &rest); w; w = strtok_r(NULL, " ", &rest))
		words[n++] = w;
	words[n] = NULL;
	return n;
}

static void parse(const char *line)
{
	static char copy[256];
	static char *words[WORDS_MAX];
	free(got.list);
	memset(&got, 0, sizeof(got));
	int n = split(line, copy, words);
	assert_int_equal(run_sample(&sample, n, words), 0);
}

struct outcome {
	int status;
	char out[4096], err[4096];
};

static void read_back(FILE *file, char text[4096])
{
	rewind(file);
	text[fread(text, 1, 4095, file)] = '\0';
	fclose(file);
}

/* Dispatch a line in a child; stdout goes to `sink`, or is captured. */
static void dispatch_to(const char *line, const char *sink, struct outcome *o)
{
	char copy[256], *words[WORDS_MAX];
	FILE *out = tmpfile(), *err = tmpfile();
	int n = split(line, copy, words), status;
	fflush(NULL);
	pid_t pid = fork();
	if (!pid) {
		dup2(sink ? open(sink, O_WRONLY) : fileno(out), STDOUT_FILENO);
		dup2(fileno(err), STDERR_FILENO);
		cli_ignore_sigpipe();
		exit(cli_dispatch(NULL, table, n, words));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	o->status = WEXITSTATUS(status);
	read_back(out, o->out);
	read_back(err, o->err);
}

static void assert_usage_error(const char *line, const char *expected)
{
	struct outcome o;
	dispatch_to(line, NULL, &o);
	assert_int_equal(o.status, 2);
	assert_string_equal(o.err, expected);
	assert_string_equal(o.out, "");
}

/* docker's manner: what follows the first operand is nobody's option. */
static void options_first(void **state)
{
	static const struct command first = {.name = "first", .options_first = true};
	bool volume = false, flag = false;
	struct common_options common = {0};
	const struct option_row rows[] = {
		{'v', "volume", OPT_FLAG, &volume, NULL, "hides the common -v"},
		{'f', NULL, OPT_FLAG, &flag, NULL, "a flag"},
		{0},
	};
	char copy[256], *words[WORDS_MAX], **operands;
	int n = split("first -v --verbose ref -f --help -- x", copy, words);
	(void)state;
	assert_int_equal(cli_parse(&first, n, words, rows, &common, &operands), 5);
	assert_string_equal(operands[0], "ref");
	assert_string_equal(operands[1], "-f");
	assert_string_equal(operands[3], "--");
	assert_null(operands[5]);
	assert_true(volume && !flag);
	assert_int_equal(common.verbose, 1);
	n = split("first -- ref -f", copy, words);
	assert_int_equal(cli_parse(&first, n, words, rows, &common, &operands), 2);
	log_set_level(LOG_LEVEL_WARN);
}

static void options_and_operands_in_any_order(void **state)
{
	(void)state;
	parse("sample one -fcc two --text=x --store /s three -o a -ob,c");
	assert_int_equal(got.n, 3);
	assert_string_equal(got.operands[0], "one");
	assert_string_equal(got.operands[1], "two");
	assert_string_equal(got.operands[2], "three");
	assert_null(got.operands[3]);
	assert_true(got.flag);
	assert_int_equal(got.count, 2);
	assert_string_equal(got.text, "x");
	assert_string_equal(got.common.store, "/s");
	assert_string_equal(got.list, "a,b,c");
}

static void common_options_are_known(void **state)
{
	(void)state;
	parse("sample --platform linux/arm64 --authfile=/a --plain-http -vvq");
	assert_string_equal(got.common.platform, "linux/arm64");
	assert_string_equal(got.common.authfile, "/a");
	assert_true(got.common.plain_http && got.common.quiet);
	assert_int_equal(got.common.verbose, 2);
	assert_false(got.common.json);
	assert_int_equal(got.n, 0);
	assert_null(got.operands[0]);
}

static void two_dashes_end_options(void **state)
{
	(void)state;
	parse("sample - -f -- -c --text");
	assert_int_equal(got.n, 3);
	assert_string_equal(got.operands[0], "-");
	assert_string_equal(got.operands[1], "-c");
	assert_string_equal(got.operands[2], "--text");
	assert_int_equal(got.count, 0);
}

static void empty_arguments_are_values(void **state)
{
	(void)state;
	parse("sample --text= -t -f");
	assert_string_equal(got.text, "-f"); /* what follows an option is its argument */
	assert_false(got.flag);
}

static void numbers(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
		bool ok;
	} cases[] = {
		{"0", 0, true},
		{"42", 42, true},
		{"2K", 2048, true},
		{"3M", 3 << 20, true},
		{"1G", 1 << 30, true},
		{"18446744073709551615", UINT64_MAX, true},
		{"17179869183G", 17179869183ull << 30, true},
		{"18446744073709551616", 0, false},
		{"17179869184G", 0, false},
		{"-1", 0, false},
		{"+1", 0, false},
		{"", 0, false},
		{"K", 0, false},
		{"1k", 0, false},
		{"1KB", 0, false},
		{"1 ", 0, false},
		{"0x10", 0, false},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t value = 0;
		assert_int_equal(parse_number(cases[i].text, &value), cases[i].ok);
		assert_true(value == cases[i].value);
	}
}

static void usage_errors_are_one_line(void **state)
{
	(void)state;
	assert_usage_error("imgfs sample --flga", "imgfs sample: unknown option '--flga', did you "
						  "mean '--flag'?; see 'imgfs sample --help'\n");
	assert_usage_error("imgfs sample -fx",
			   "imgfs sample: unknown option '-x'; see 'imgfs sample --help'\n");
	assert_usage_error("imgfs sample --text", "imgfs sample: an argument must follow "
						  "'--text'; see 'imgfs sample --help'\n");
	assert_usage_error("imgfs sample --flag=1", "imgfs sample: no argument belongs to 'flag'; "
						    "see 'imgfs sample --help'\n");
	assert_usage_error("imgfs sample --number 1x",
			   "imgfs sample: not a number: '1x' (decimal, K, M or G may follow); see "
			   "'imgfs sample --help'\n");
	assert_usage_error("imgfs sample --\x1b[2J", "imgfs sample: unknown option '--?[2J'; see "
						     "'imgfs sample --help'\n");
}

static void unknown_commands_suggest(void **state)
{
	(void)state;
	assert_usage_error("imgfs smaple", "imgfs: unknown command 'smaple', did you mean "
					   "'sample'?; see 'imgfs help'\n");
	assert_usage_error("imgfs zzz", "imgfs: unknown command 'zzz'; see 'imgfs help'\n");
	assert_usage_error("imgfs group dep", "imgfs group: unknown command 'dep', did you mean "
					      "'deep'?; see 'imgfs help'\n");
	assert_usage_error("imgfs group",
			   "imgfs group: a command is missing; see 'imgfs group --help'\n");
	assert_usage_error("imgfs group -v deep", "imgfs group: a command must come before '-v'; "
						  "see 'imgfs group --help'\n");
}

static void help_has_every_row(void **state)
{
	static const char *const lines[] = {
		"Usage: imgfs sample [-f] WORD...\n",
		"\nDo nothing.\n",
		"\nDetails.\n",
		"  -f, --flag ",
		"  -c ",
		"  -t, --text TEXT ",
		"  --number N ",
		"  -o OPTIONS ",
		"  --store DIR ",
		"  -v, --verbose ",
		"  --help ",
	};
	struct outcome o;
	(void)state;
	dispatch_to("imgfs sample --help --text x", NULL, &o);
	assert_int_equal(o.status, 0);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		assert_non_null(strstr(o.out, lines[i]));
	dispatch_to("imgfs group --help", NULL, &o);
	assert_int_equal(o.status, 0);
	assert_non_null(strstr(o.out, "\n  group deep "));
}

/* -h is help where the command has no other use for it; here it is said in a group's place too. */
static void short_help(void **state)
{
	struct outcome o, same;
	(void)state;
	dispatch_to("imgfs sample --help", NULL, &o);
	dispatch_to("imgfs sample one -h", NULL, &same);
	assert_int_equal(same.status, 0);
	assert_string_equal(same.out, o.out);
	dispatch_to("imgfs group --help", NULL, &o);
	dispatch_to("imgfs group -h", NULL, &same);
	assert_string_equal(same.out, o.out);
	assert_usage_error("imgfs sample -fh",
			   "imgfs sample: unknown option '-h'; see 'imgfs sample --help'\n");
}

/* What is known of a command without running it. */
static void note_command(void *arg, const struct description *d)
{
	char *seen = arg;
	size_t rows = 0;
	while (d->rows && !option_row_is_last(&d->rows[rows]))
		rows++;
	sprintf(seen + strlen(seen), "%s:%zu%s%s ", d->self->name, rows, d->common ? "c" : "",
		d->commands ? "g" : "");
}

static void commands_describe_themselves(void **state)
{
	char seen[256] = "", copy[] = "group deep deeper", *words[WORDS_MAX];
	char text[sizeof(copy)];
	int used;
	(void)state;
	split(copy, text, words);
	describe_tree(table, note_command, seen);
	assert_string_equal(seen, "sample:5c group:0g group deep:5c ");
	assert_ptr_equal(describe_find(table, words, 2, &used), &deep);
	assert_int_equal(used, 2);
	assert_ptr_equal(describe_find(table, words, 3, &used), &deep);
	assert_int_equal(used, 2);
	assert_ptr_equal(describe_find(table, words, 1, &used), &group);
	assert_null(describe_find(table, words + 1, 2, &used));
	assert_int_equal(used, 0);
	assert_ptr_equal(describe_commands(&group), group_table);
	assert_null(describe_commands(&sample));
}

/* Texts written for 80 columns in a window of `width`. */
static void assert_text(unsigned width, const char *text, const char *expected)
{
	char *out = NULL;
	size_t n;
	FILE *stream = open_memstream(&out, &n);
	help_text(stream, text, width);
	fclose(stream);
	assert_string_equal(out, expected);
	free(out);
}

static void texts_fit_the_window(void **state)
{
	static const char text[] = "One line of it\nand another.\n\n"
				   "  short, s    what it does, and\n"
				   "              more of it\n"
				   "  alone\n"
				   "The end.";
	(void)state;
	assert_text(80, text,
		    "One line of it\nand another.\n\n  short, s    what it does, and\n"
		    "              more of it\n  alone\nThe end.\n");
	assert_text(33, text,
		    "One line of it\nand another.\n\n  short, s    what it does, and\n"
		    "              more of it\n  alone\nThe end.\n");
	assert_text(28, text,
		    "One line of it and another.\n\n  short, s\n      what it does, and more\n"
		    "      of it\n  alone\nThe end.\n");
	assert_text(20, "  -a N    -b    -c\n  -d N       -e file and more",
		    "  -a N -b -c\n  -d N -e file and\n    more\n");
	assert_text(1, "a bc", "a\nbc\n");
}

static void nearest(void **state)
{
	static const char *const words[] = {"mount", "umount", "ls", "tree", "stat", "store", NULL};
	(void)state;
	assert_string_equal(cli_nearest("muont", words), "mount");
	assert_string_equal(cli_nearest("sl", words), "ls");
	assert_string_equal(cli_nearest("stats", words), "stat");
	assert_string_equal(cli_nearest("stor", words), "store");
	assert_null(cli_nearest("cp", words));
	assert_null(cli_nearest("", words));
	assert_null(cli_nearest("a-word-that-is-longer-than-any-command-can-be", words));
}

static int fail_with(enum err_class cls, const char *text, char *line)
{
	struct diag d = DIAG_INIT;
	int saved = dup(STDERR_FILENO);
	FILE *err = tmpfile();
	(void)fail(&d, cls, -EIO, "%s", text);
	dup2(fileno(err), STDERR_FILENO);
	int status = cli_fail(&sample, &d);
	dup2(saved, STDERR_FILENO);
	close(saved);
	read_back(err, line);
	return status;
}

static void a_failure_is_one_line_and_its_class(void **state)
{
	char line[4096];
	(void)state;
	for (int cls = ERR_OTHER; cls <= ERR_UNSUPPORTED; cls++)
		assert_int_equal(fail_with((enum err_class)cls, "x: y", line), cls);
	(void)fail_with(ERR_NOT_FOUND, "x: a\nb", line);
	assert_string_equal(line, "imgfs sample: x: a?b\n");
	(void)fail_with(ERR_DENIED, "x: refused", line);
	/* Most refusals are local: a registry's own text says how to log in. */
	assert_string_equal(line, "imgfs sample: x: refused\n");
	(void)fail_with(ERR_RATE, "x: refused", line);
	assert_string_equal(
		line, "imgfs sample: x: refused; wait a while, or log in for a higher limit\n");
	(void)fail_with(ERR_RATE, "x: refused; do this", line);
	assert_string_equal(line, "imgfs sample: x: refused; do this\n");
}

static void lost_output_is_a_failure(void **state)
{
	struct outcome o;
	(void)state;
	dispatch_to("imgfs sample say", NULL, &o);
	assert_int_equal(o.status, 0);
	assert_string_equal(o.out, "said\n");
	dispatch_to("imgfs sample say", "/dev/full", &o);
	assert_int_equal(o.status, 1);
	assert_string_equal(o.err, "imgfs sample: standard output: No space left on device\n");
	dispatch_to("imgfs sample --help", "/dev/full", &o);
	assert_int_equal(o.status, 1);
}

/* The reader is gone: SIGPIPE, silently, as every other tool; an error where that is ignored. */
static int end_at_closed_pipe(void (*handler)(int))
{
	int ends[2], status;
	fflush(NULL);
	assert_int_equal(pipe(ends), 0);
	close(ends[0]); /* before the child can write */
	pid_t pid = fork();
	if (!pid) {
		signal(SIGPIPE, handler);
		dup2(ends[1], STDOUT_FILENO);
		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		close(ends[1]);
		cli_ignore_sigpipe();
		printf("lost\n");
		_exit(cli_flush(&sample, 0));
	}
	close(ends[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void closed_pipe(void **state)
{
	(void)state;
	int status = end_at_closed_pipe(SIG_DFL);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGPIPE);
	status = end_at_closed_pipe(SIG_IGN);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
}

static int drop_list(void **state)
{
	(void)state;
	free(take(&got.list));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_and_operands_in_any_order),
		cmocka_unit_test(options_first),
		cmocka_unit_test(common_options_are_known),
		cmocka_unit_test(two_dashes_end_options),
		cmocka_unit_test(empty_arguments_are_values),
		cmocka_unit_test(numbers),
		cmocka_unit_test(usage_errors_are_one_line),
		cmocka_unit_test(unknown_commands_suggest),
		cmocka_unit_test(help_has_every_row),
		cmocka_unit_test(short_help),
		cmocka_unit_test(commands_describe_themselves),
		cmocka_unit_test(texts_fit_the_window),
		cmocka_unit_test(nearest),
		cmocka_unit_test(a_failure_is_one_line_and_its_class),
		cmocka_unit_test(lost_output_is_a_failure),
		cmocka_unit_test(closed_pipe),
	};
	return cmocka_run_group_tests(tests, NULL, drop_list);
}
