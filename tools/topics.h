/*
 * topics - what belongs to no single command: exit codes, environment, files
 *
 * Rows of a name and a text, for `imgfs help TOPIC` and for the section of that name in manual
 * pages.
 */
#ifndef IMGFS_TOOLS_TOPICS_H
#define IMGFS_TOOLS_TOPICS_H

#include "index/base.h"

struct topic_row {
	const char *name, *text;
};

struct topic {
	const char *name;	      /* "exit-codes" */
	unsigned column;	      /* where the texts begin */
	const struct topic_row *rows; /* ended by a row of zeroes */
};

/* Ended by NULL. */
extern const struct topic *const topics[];

/* topic_find - by name; NULL. */
const struct topic *topic_find(const char *name);

/* topic_print - on standard output, fitted to its width. */
void topic_print(const struct topic *topic);

#endif
