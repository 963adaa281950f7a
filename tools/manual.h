/*
 * manual - manual pages in scdoc(5), made of the tables that parse and of the texts of --help
 *
 * A page a command; what tables can not say stands in tools/man/, where a line "@@ PART" is
 * replaced by a part from here (tools/man/build).
 */
#ifndef IMGFS_TOOLS_MANUAL_H
#define IMGFS_TOOLS_MANUAL_H

#include "tools/describe.h"

/* A heading, or a command under it; ended by a row of zeroes. */
struct manual_entry {
	const char *heading;
	const struct command *command;
};

/* manual_list - the names of the pages that are made of tables alone, one a line:
 * "imgfs-index-build". */
void manual_list(const struct command *const *table);

/*
 * manual_print - what these words name, on standard output: a page of manual_list, one of the parts
 * "commands", "common-options" and "conf-keys", or a topic of tools/topics.h
 * Returns false, and prints nothing, when they name none.
 */
bool manual_print(const struct command *const *table, const struct manual_entry *entries,
		  char *const *words, int n);

#endif
