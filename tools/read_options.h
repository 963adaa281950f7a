/*
 * read_options - how a mount reads: the options that `imgfs mount` and `imgfs run` share, with what
 * imgfs.conf says of them
 */
#ifndef IMGFS_TOOLS_READ_OPTIONS_H
#define IMGFS_TOOLS_READ_OPTIONS_H

#include "fetch/content.h"
#include "tools/cli.h"
#include "tools/conf.h"

#define READ_OPTIONS_ROWS 4

/* As typed; READ_OPTIONS_INIT before the command line is parsed. */
struct read_options {
	const char *fill, *on_error; /* NULL: not said */
	uint64_t budget_s;	     /* UINT64_MAX: not said */
	bool no_profile;
};
#define READ_OPTIONS_INIT                                                                          \
	{                                                                                          \
		.budget_s = UINT64_MAX                                                             \
	}

/* read_options_rows - writes their rows of the option table; returns READ_OPTIONS_ROWS. */
size_t read_options_rows(struct read_options *o, struct option_row *rows);

/*
 * read_options_take - what holds: the command line, then imgfs.conf, then the defaults
 * @conf  may be NULL
 * Sets only what the options are about. 0, or an exit status after cli_usage_error.
 */
int read_options_take(const struct command *self, const struct read_options *o,
		      const struct conf *conf, struct content_options *out);

#endif
