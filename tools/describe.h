/*
 * describe - what a command understands, asked of the command itself
 *
 * The rows of a command's options live in its run function, beside the variables they fill.
 * describe_command runs it without words; cli_parse and cli_dispatch then hand over what they were
 * given, and come back here. So help, manual pages and completions are made of the rows that parse.
 * A command does nothing before it parses, therefore.
 */
#ifndef IMGFS_TOOLS_DESCRIBE_H
#define IMGFS_TOOLS_DESCRIBE_H

#include "tools/cli.h"

/* Borrowed; valid during the call that gets it. */
struct description {
	const struct command *self;
	const struct option_row *rows;	       /* own options, ended by zeroes; NULL: none */
	const struct option_row *common;       /* the common ones, in the same way */
	const struct command *const *commands; /* of a group of commands; NULL: it is none */
};

typedef void describe_fn(void *arg, const struct description *d);

/* describe_command - calls fn once, with what the command parses. fn may describe others. */
void describe_command(const struct command *command, describe_fn *fn, void *arg);

/* described - for cli_parse and cli_dispatch: when the command was only asked, this does not come
 * back to it; otherwise nothing happens. */
void described(const struct description *d);

/* describe_tree - fn for every command of a table and of the groups in it, a group before its
 * commands. */
void describe_tree(const struct command *const *table, describe_fn *fn, void *arg);

/* describe_find - the command that words name, "index build" being two; NULL when there is none.
 * *used is the number of words it took. */
const struct command *describe_find(const struct command *const *table, char *const *words, int n,
				    int *used);

/* describe_commands - the table of a group; NULL of another command. */
const struct command *const *describe_commands(const struct command *command);

/* option_row_is_last, option_takes_argument - about one row. */
bool option_row_is_last(const struct option_row *row);
bool option_takes_argument(const struct option_row *row);

/* command_own_name - the last word of "index build". */
const char *command_own_name(const struct command *c);

#endif
