/*
 * What standard output and standard error are connected to.
 */
#include "tools/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WIDTH_MAX 1000 /* a larger $COLUMNS is a mistake */

bool terminal_is(int fd)
{
	return isatty(fd) == 1;
}

unsigned terminal_width(int fd)
{
	struct winsize window;
	if (!ioctl(fd, TIOCGWINSZ, &window) && window.ws_col)
		return window.ws_col;
	const char *columns = getenv("COLUMNS");
	long n = columns ? strtol(columns, NULL, 10) : 0;
	return n > 0 && n <= WIDTH_MAX ? (unsigned)n : TERMINAL_WIDTH;
}

bool terminal_colours(int fd, enum colour_when when)
{
	if (when != COLOUR_AUTO)
		return when == COLOUR_ALWAYS;
	const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
	return terminal_is(fd) && !(no_colour && *no_colour) && !(term && !strcmp(term, "dumb"));
}

bool terminal_colour_when(const char *text, enum colour_when *out)
{
	static const char *const names[] = {
		[COLOUR_AUTO] = "auto", [COLOUR_ALWAYS] = "always", [COLOUR_NEVER] = "never"};
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		*out = (enum colour_when)i;
		if (!strcmp(text, names[i]))
			return true;
	}
	return false;
}
