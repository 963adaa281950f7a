/*
 * cli - what the subcommands share: one table of commands, one table of options each, one way to
 * fail
 *
 * A command is a row of the table in tools/commands.def. Its options are rows too; parsing, usage
 * errors, --help, manual pages and completions come from them (tools/describe.h), so that they can
 * not differ. A word of a synopsis or of an option's argument says what may stand there, in
 * completions too: see tools/complete.c.
 */
#ifndef IMGFS_TOOLS_CLI_H
#define IMGFS_TOOLS_CLI_H

#include "fetch/image.h"

#include <stdio.h>

enum option_kind {
	OPT_FLAG,   /* --json: *(bool *)value = true */
	OPT_COUNT,  /* -v -v: ++*(int *)value */
	OPT_STRING, /* --store DIR: *(const char **)value = the text (of argv) */
	OPT_NUMBER, /* --budget N: *(uint64_t *)value; decimal, K/M/G suffixes of 1024 */
	OPT_LIST,   /* -o a,b -o c: appended with commas to *(char **)value, owned by the caller */
	OPT_EACH,   /* --key A --key B: appended to *(struct option_texts *)value */
};

#define OPTION_TEXTS_MAX 128 /* of one option; more variables than that stand in an --env-file */

/* What an option that may come several times was given; NULL behind the last. */
struct option_texts {
	const char *texts[OPTION_TEXTS_MAX + 1];
	size_t n;
};

struct option_row {
	char short_name;       /* 0: none */
	const char *long_name; /* NULL: none */
	enum option_kind kind;
	void *value;
	const char *arg_name; /* "DIR"; NULL for flags */
	const char *help;     /* one line */
};

/* Options that every command understands; filled by cli_parse. */
struct common_options {
	const char *store;		/* --store DIR */
	const char *platform;		/* --platform OS/ARCH[/VARIANT] */
	const char *authfile;		/* --authfile FILE */
	const char *token_host;		/* --token-host HOST */
	bool plain_http;		/* --plain-http */
	const char *index;		/* --index DIGEST|none */
	struct option_texts trust_keys; /* --trust-key FILE */
	const char *trust_index;	/* --trust-index any */
	const char *trust_file;		/* --trust-file FILE */
	bool trust_is_default;		/* the trust_ members come from imgfs.conf */
	const char *config;		/* --config FILE|none */
	bool json;			/* --json, for commands that list it */
	const char *progress;		/* --progress auto|plain|none */
	bool offline;			/* --offline */
	bool quiet;			/* -q */
	int verbose;			/* -v, -vv */
};

struct command {
	const char *name;
	const char *synopsis; /* "[-lR] REF [PATH]" */
	const char *summary;  /* one line for `imgfs help` */
	const char *details;  /* a few lines for `imgfs NAME --help`; may be NULL */
	const char *
		examples; /* lines: a command to type, or "# what the next one does"; may be NULL */
	/* an option behind the first operand belongs to that, as in `docker run REF ls -l` */
	bool options_first;
	/* returns the exit status; argv[0] is the command's name */
	int (*run)(const struct command *self, int argc, char **argv);
};

/*
 * cli_parse - options of one command and the common ones, in any order with the operands ("--" ends
 * options, and with self->options_first so does the first operand)
 * @rows     the command's own options, ended by a row of zeroes; may be NULL. A short name that a
 *           common option has too is theirs.
 * @common   NULL: the command has no common options
 * @operands where the operands go: argv is permuted, *operands points at the first, a NULL stands
 *           behind the last
 * Returns the number of operands. Sets the log level from -v and -q. On --help, and on -h where
 * that is none of the command's options, prints the help and exits 0. On a usage error prints one
 * line that points to "imgfs NAME --help", exits 2.
 */
int cli_parse(const struct command *self, int argc, char **argv, const struct option_row *rows,
	      struct common_options *common, char ***operands);

/*
 * cli_one_reference - cli_parse for a command whose only operand is a reference
 * @or_file  the usage error says that a file may stand there too
 * Returns 0 with the operand in *reference, or an exit status after cli_usage_error.
 */
int cli_one_reference(const struct command *self, int argc, char **argv,
		      const struct option_row *rows, struct common_options *common, bool or_file,
		      const char **reference);

/* cli_usage_error - one line on standard error, then exit status 2 (returned). */
int cli_usage_error(const struct command *self, const char *fmt, ...) printf_like(2, 3);

/* cli_fail - print "imgfs NAME: text" once; the exit status that belongs to d->cls. */
int cli_fail(const struct command *self, const struct diag *d);

/*
 * cli_flush - write what is left for standard output, and say so once if it could not be written
 * Returns status, or 1 (ERR_OTHER) when that was 0 and the output is lost. A closed pipe ends the
 * process with SIGPIPE, without a word, unless whoever started it ignores that signal. Long output
 * asks ferror(stdout) now and then, so that it ends when nobody reads it.
 */
int cli_flush(const struct command *self, int status);

/* cli_output_lost - the same for a failed write that did not go through stdio; err 0: unknown. */
int cli_output_lost(const struct command *self, int status, err_t err);

/* cli_ignore_sigpipe - called once at start: a lost reader becomes an error of a write, see
 * cli_flush. */
void cli_ignore_sigpipe(void);

/*
 * cli_dispatch - run the row of a table that argv[1] names, with argv + 1, and flush its output
 * @parent  what stands before the name: {"index", ...} for `imgfs index build`, NULL for the top
 * @table   ended by NULL
 * An unknown name is a usage error that suggests the nearest one. --help and a missing name list
 * the table.
 */
int cli_dispatch(const struct command *parent, const struct command *const *table, int argc,
		 char **argv);

/* cli_unknown_command - the usage error for a name that is not in the table; exit status 2
 * (returned). */
int cli_unknown_command(const struct command *parent, const struct command *const *table,
			const char *typed);

/* cli_list_commands - the table as text: names and summaries, fitted to the width. */
void cli_list_commands(const struct command *const *table, FILE *out);

/* cli_nearest - the word of a NULL-terminated list that is probably meant by `typed`; NULL when
 * none is close. */
const char *cli_nearest(const char *typed, const char *const *words);

/* How long work shows how far it is: --progress, and nothing with -q. */
enum progress_when { PROGRESS_AUTO, PROGRESS_PLAIN, PROGRESS_NEVER };
/* cli_progress_when - as the last cli_parse has read it. */
enum progress_when cli_progress_when(void);

/* image_options_of - the part of the common options that image_open takes; find_index is set. */
struct image_options image_options_of(const struct common_options *common);

struct conf;
struct cli_image {
	struct store *store;
	struct image *image;
	struct conf *conf;		/* owned; see tools/conf.h */
	struct common_options in_force; /* the command line's and the conf's together */
};
/* cli_open_image - imgfs.conf, store, image_open, and (if prepare) image_prepare; 0 or an exit
 * status after cli_fail. */
int cli_open_image(const struct command *self, const struct common_options *common,
		   const char *reference, bool prepare, struct cli_image *out);
/* cli_open_image_with - the same with other options than image_options_of gives; platform, registry
 * and trust come from `common` and imgfs.conf all the same. */
int cli_open_image_with(const struct command *self, const struct common_options *common,
			const struct image_options *options, const char *reference, bool prepare,
			struct cli_image *out);
/* cli_open_store - the store that `common` and the [default] of imgfs.conf name, for commands
 * without a reference; none is made. *out is NULL where nobody named one and the default one is not
 * there: that is an empty store. 0 or an exit status after cli_fail. */
int cli_open_store(const struct command *self, const struct common_options *common,
		   struct store **out);
/* cli_prepare_image - image_prepare, ended by Ctrl-C; 0 or an exit status after cli_fail. */
int cli_prepare_image(const struct command *self, struct cli_image *ci);
/* cli_close_image - also for one that was opened only in part or not at all (zeroes). */
void cli_close_image(struct cli_image *ci);

/* Every command of commands.def, one file each. */
#define COMMAND(x) extern const struct command cmd_##x;
#include "tools/commands.def"

#endif
