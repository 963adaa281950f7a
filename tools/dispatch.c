/*
 * Tables of commands: the top one and those of `imgfs index` and `imgfs store` are searched, listed
 * and misspelt in the same way.
 */
#include "tools/cli.h"

#include <string.h>

#define COMMANDS_MAX 64 /* rows that a suggestion looks at; tables are far shorter */

/* The last word of "index build". */
static const char *own_name(const struct command *c)
{
	const char *space = strrchr(c->name, ' ');
	return space ? space + 1 : c->name;
}

void cli_list_commands(const struct command *const *table, FILE *out)
{
	for (; *table; table++)
		fprintf(out, "  %-14s %s\n", (*table)->name, (*table)->summary);
}

static int list_help(const struct command *parent, const struct command *const *table)
{
	printf("Usage: imgfs %s COMMAND ...\n\n%s.\n", parent->name, parent->summary);
	if (parent->details)
		printf("\n%s\n", parent->details);
	printf("\nCommands:\n");
	cli_list_commands(table, stdout);
	printf("\n'imgfs %s COMMAND --help' says more.\n", parent->name);
	return 0;
}

static int unknown_command(const struct command *parent, const struct command *const *table,
			   const char *typed)
{
	const char *words[COMMANDS_MAX + 1] = {0};
	struct diag d = DIAG_INIT;
	for (size_t n = 0; table[n] && n < COMMANDS_MAX; n++)
		words[n] = own_name(table[n]);
	const char *near = cli_nearest(typed, words);
	(void)fail(&d, ERR_USAGE, -EINVAL, "unknown command '%s'%s%s%s", typed,
		   near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
	fprintf(stderr, "imgfs%s%s: %s; see 'imgfs help'\n", parent ? " " : "",
		parent ? parent->name : "", d.text);
	return ERR_USAGE;
}

int cli_dispatch(const struct command *parent, const struct command *const *table, int argc,
		 char **argv)
{
	const char *typed = argc > 1 ? argv[1] : NULL;
	if (parent && typed && !strcmp(typed, "--help"))
		return list_help(parent, table);
	if (parent && (!typed || typed[0] == '-'))
		return cli_usage_error(parent,
				       typed ? "a command must come before '%s'"
					     : "a command is missing%s",
				       typed ? typed : "");
	for (const struct command *const *row = table; *row; row++)
		if (!strcmp(own_name(*row), typed))
			return cli_flush(*row, (*row)->run(*row, argc - 1, argv + 1));
	return unknown_command(parent, table, typed);
}
