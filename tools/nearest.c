/*
 * What was probably meant: the one word of a list that takes the fewest changes.
 */
#include "tools/cli.h"

#include <string.h>

#define WORD_MAX 32 /* longer words are not misspelt, they are something else */

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
