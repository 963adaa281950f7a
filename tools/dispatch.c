/*
 * Tables of commands: the top one and those of `imgfs index` and `imgfs store` are searched, listed
 * and misspelt in the same way.
 */
#include "tools/help.h"

#include <string.h>

#define COMMANDS_MAX 64 /* rows that a suggestion looks at; tables are far shorter */

int cli_unknown_command(const struct command *parent, const struct command *const *table,
			const char *typed)
{
	const char *words[COMMANDS_MAX + 1] = {0};
	struct diag d = DIAG_INIT;
	for (size_t n = 0; table[n] && n < COMMANDS_MAX; n++)
		words[n] = command_own_name(table[n]);
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
	struct description about = {.self = parent, .commands = table};
	if (parent)
		described(&about);
	if (parent && typed && (!strcmp(typed, "--help") || !strcmp(typed, "-h"))) {
		help_print(NULL, &about);
		return 0;
	}
	if (parent && (!typed || typed[0] == '-'))
		return cli_usage_error(parent,
				       typed ? "a command must come before '%s'"
					     : "a command is missing%s",
				       typed ? typed : "");
	for (const struct command *const *row = table; *row; row++)
		if (!strcmp(command_own_name(*row), typed))
			return cli_flush(*row, (*row)->run(*row, argc - 1, argv + 1));
	return cli_unknown_command(parent, table, typed);
}
