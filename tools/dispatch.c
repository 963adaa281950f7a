/*
 * Tables of commands: the top one and those of `imgfs index` and `imgfs store` are searched, listed
 * and misspelt in the same way.
 */
#include "tools/help.h"

#include <string.h>

#define WORD_MAX     32 /* longer words are not misspelt, they are something else */
#define COMMANDS_MAX 64 /* rows that a suggestion looks at; tables are far shorter */

/*
 * Optimal string alignment: insertions, deletions, replacements and swapped neighbours count one
 * each.
 */
static unsigned distance(const char *a, const char *b)
{
	unsigned d[WORD_MAX + 1][WORD_MAX + 1];
	size_t na = strlen(a), nb = strlen(b);
	if (na > WORD_MAX || nb > WORD_MAX)
		return WORD_MAX;
	for (size_t i = 0; i <= na; i++)
		d[i][0] = (unsigned)i;
	for (size_t j = 0; j <= nb; j++)
		d[0][j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		for (size_t j = 1; j <= nb; j++) {
			unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
			best = min_of(best, d[i - 1][j] + 1);
			best = min_of(best, d[i][j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = min_of(best, d[i - 2][j - 2] + 1);
			d[i][j] = best;
		}
	}
	return d[na][nb];
}

const char *cli_nearest(const char *typed, const char *const *words)
{
	const char *nearest = NULL;
	/* Half the letters may be wrong, three at the most: `cp` is no misspelt `ls`. */
	unsigned best = min_of((unsigned)strlen(typed) / 2, 3u) + 1;
	for (; *words; words++) {
		unsigned d = distance(typed, *words);
		if (d >= best || 2 * d > strlen(*words))
			continue;
		best = d;
		nearest = *words;
	}
	return nearest;
}

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
