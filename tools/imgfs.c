/*
 * The imgfs command: one table of commands, and what is said about them and about the program.
 */
#include "tools/complete.h"
#include "tools/help.h"
#include "tools/interrupt.h"
#include "tools/manual.h"
#include "tools/terminal.h"
#include "tools/topics.h"
#include "tools/mount_helper.h"
#include "tools/version.h"

#include <fcntl.h>
#include <malloc.h>
#include <string.h>
#include <unistd.h>

#define TOPICS_MAX 16 /* that a suggestion looks at; there are fewer */

#define HEAP_OBJECT_MAX (32 << 20) /* larger ones are mapped */
#define NEVER		(-1)

static int run_help(const struct command *self, int argc, char **argv);

const struct command cmd_help = {
	.name = "help",
	.synopsis = "[COMMAND [SUBCOMMAND] | TOPIC]",
	.summary = "Say what a command does, or what an exit status means",
	.details = "Topics are exit-codes, environment and files. The same texts stand in manual "
		   "pages:\n"
		   "'man imgfs', 'man imgfs-ls', and so on.",
	.examples = "imgfs help mount\n"
		    "imgfs help index build\n"
		    "imgfs help exit-codes",
	.run = run_help,
};

static const struct command *const commands[] = {
#define COMMAND(x) &cmd_##x,
#include "tools/commands.def"
	NULL,
};

/* A heading of `imgfs help`, or a command under it. */
static const struct manual_entry entries[] = {
#define GROUP(heading) {heading, NULL},
#define COMMAND(x)     {NULL, &cmd_##x},
#include "tools/commands.def"
	{0},
};

static void print_line(const char *text)
{
	help_paragraph(stdout, text, strlen(text), 0, 0, terminal_width(STDOUT_FILENO));
}

static void print_entry(const struct manual_entry *entry)
{
	if (!entry->heading) {
		cli_list_commands((const struct command *const[]){entry->command, NULL}, stdout);
		return;
	}
	auto_free char *heading = xasprintf("%s:", entry->heading);
	printf("\n");
	print_line(heading);
}

static int print_overview(void)
{
	printf("Usage: imgfs COMMAND [OPTION...] ...\n\n");
	print_line("Look into container images, and mount them, without pulling them.");
	for (const struct manual_entry *entry = entries; entry->heading || entry->command; entry++)
		print_entry(entry);
	printf("\n");
	print_line(
		"'imgfs COMMAND --help' says more; 'imgfs help exit-codes' lists the exit codes, "
		"'imgfs help environment' the variables that are read.");
	printf("\n");
	print_line("REF is HOST/REPOSITORY[:TAG][@DIGEST] or oci:DIRECTORY[:NAME].");
	return 0;
}

/* Not listed: a manual page, or a part of one, for scdoc; what the build asks for. */
static int run_manual(const struct command *self, int argc, char **argv)
{
	if (argc == 0)
		manual_list(commands);
	else if (!manual_print(commands, entries, argv, argc))
		return cli_usage_error(self, "there is no page '%s'", argv[0]);
	return 0;
}

static int unknown_word(const struct command *self, const char *word)
{
	const char *names[TOPICS_MAX + 1] = {0};
	for (size_t i = 0; topics[i] && i < TOPICS_MAX; i++)
		names[i] = topics[i]->name;
	const char *near = cli_nearest(word, names);
	return near ? cli_usage_error(self, "unknown topic '%s', did you mean '%s'?", word, near)
		    : cli_unknown_command(NULL, commands, word);
}

static int run_help(const struct command *self, int argc, char **argv)
{
	char **words;
	int used, n;
	if (argc > 1 && !strcmp(argv[1], "--scdoc"))
		return run_manual(self, argc - 2, argv + 2);
	n = cli_parse(self, argc, argv, NULL, NULL, &words);
	const struct topic *topic = n == 1 ? topic_find(words[0]) : NULL;
	const struct command *command = describe_find(commands, words, n, &used);
	const struct command *const *table = command ? describe_commands(command) : NULL;
	if (n == 0)
		return print_overview();
	if (topic)
		topic_print(topic);
	else if (command && used == n)
		describe_command(command, help_print, NULL);
	else if (!command)
		return unknown_word(self, words[0]);
	else if (table)
		return cli_unknown_command(command, table, words[used]);
	else
		return cli_usage_error(self, "'imgfs %s' has no commands", command->name);
	return 0;
}

static bool is_one_of(const char *word, const char *a, const char *b)
{
	return !strcmp(word, a) || !strcmp(word, b);
}

static int run(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "imgfs: a command is missing; see 'imgfs help'\n");
		return ERR_USAGE;
	}
	if (is_one_of(argv[1], "--version", "-V")) {
		version_print();
		return 0;
	}
	if (is_one_of(argv[1], "--help", "-h"))
		return print_overview();
	if (!strcmp(argv[1], COMPLETE_COMMAND))
		return complete(commands, argc - 2, argv + 2);
	if (argv[1][0] == '-') {
		fprintf(stderr, "imgfs: options follow the command; see 'imgfs help'\n");
		return ERR_USAGE;
	}
	return cli_dispatch(NULL, commands, argc, argv);
}

/*
 * A closed standard descriptor would be given to the next file that is opened, and output would go
 * into it. These give an error instead.
 */
static void fill_standard_descriptors(void)
{
	static const int modes[] = {O_WRONLY, O_RDONLY, O_RDWR};
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", modes[fd]) != fd)
			_exit(ERR_OTHER);
}

/*
 * One heap for all threads, which keeps what is freed until somebody calls malloc_trim: a mount
 * does when it is there (fs/trim.h), and when it has proven a layer. Buffers of ranges and chunks
 * come and go by the megabyte, each time on another thread: with a heap for each thread and glibc's
 * limits most of them are fresh pages, and a fresh page costs more than the bytes that are put into
 * it, on a virtual machine several times more. Any limit is met again and again by somebody: with
 * 16 MiB one index build took 19 s, where 6 are usual. Small objects do not meet at the heap's
 * lock: each thread has a cache of them.
 */
static void set_up_heap(void)
{
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, HEAP_OBJECT_MAX);
	mallopt(M_TRIM_THRESHOLD, NEVER);
}

int main(int argc, char **argv)
{
	set_up_heap();
	fill_standard_descriptors();
	cli_ignore_sigpipe();
	bool helper = argc && mount_helper_named(argv[0]);
	int status = cli_flush(NULL, helper ? mount_helper_main(argc, argv) : run(argc, argv));
	interrupt_end_process();
	return status;
}
