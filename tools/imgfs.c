/*
 * The imgfs command: one table of commands, and what is said about them and about the program.
 */
#include "tools/cli.h"
#include "tools/interrupt.h"
#include "tools/version.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int run_help(const struct command *self, int argc, char **argv);

const struct command cmd_help = {
	.name = "help",
	.synopsis = "[COMMAND [SUBCOMMAND] | exit-codes]",
	.summary = "Say what a command does, or what an exit status means",
	.run = run_help,
};

static const struct command *const commands[] = {
#define COMMAND(x) &cmd_##x,
#include "tools/commands.def"
	NULL,
};

static int print_overview(void)
{
	printf("Usage: imgfs COMMAND [OPTION...] ...\n\n"
	       "Look into container images, and mount them, without pulling them.\n");
#define GROUP(heading) printf("\n" heading ":\n");
#define COMMAND(x)     cli_list_commands((const struct command *const[]){&cmd_##x, NULL}, stdout);
#include "tools/commands.def"
	printf("\n'imgfs COMMAND --help' says more; 'imgfs help exit-codes' lists the exit codes.\n"
	       "\n"
	       "REF is HOST/REPOSITORY[:TAG][@DIGEST] or oci:DIRECTORY[:NAME].\n");
	return 0;
}

static int print_exit_codes(void)
{
	printf("0    done\n"
	       "1    any other failure\n"
	       "2    usage: the command line is wrong\n"
	       "3    not found: no such image, path or mount\n"
	       "4    access denied: credentials or permissions\n"
	       "5    network: no answer, or not a usable one\n"
	       "6    integrity: bytes that do not match their digest, a malformed image or index\n"
	       "7    store: the local store can not be read or written\n"
	       "8    rate limited by the registry\n"
	       "9    unsupported: a kind of image that imgfs does not know\n"
	       "125  imgfs run: there was no container; 126, 127: its command can not be started, "
	       "is not there\n"
	       "130  interrupted (128 + the number of the signal, as a shell shows it)\n");
	return 0;
}

static int run_help(const struct command *self, int argc, char **argv)
{
	static char option[] = "--help";
	char *words[4] = {argv[0]};
	int n = 1;
	if (argc > 1 && !strcmp(argv[1], option)) {
		printf("Usage: imgfs help %s\n\n%s.\n", self->synopsis, self->summary);
		return 0;
	}
	if (argc == 1)
		return print_overview();
	if (argc == 2 && !strcmp(argv[1], "exit-codes"))
		return print_exit_codes();
	if (argc > 3)
		return cli_usage_error(self, "too many words");
	for (int i = 1; i < argc; i++)
		words[n++] = argv[i];
	words[n] = option;
	return cli_dispatch(NULL, commands, n + 1, words);
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

int main(int argc, char **argv)
{
	fill_standard_descriptors();
	cli_ignore_sigpipe();
	int status = cli_flush(NULL, run(argc, argv));
	interrupt_end_process();
	return status;
}
