/*
 * copy - carry out a plan: everything it lists, below one directory
 *
 * Directories first, then files in the order of their data in the layers, whatever directory they
 * belong to, so that they are fetched with few requests; then links and nodes, which could lead
 * somebody who looks on elsewhere; last the attributes of directories.
 */
#ifndef IMGFS_TOOLS_COPY_H
#define IMGFS_TOOLS_COPY_H

#include "fetch/content.h"
#include "tools/copy_plan.h"
#include "tools/extract.h"

/*
 * copy_run - 0, or the exit status of the first failure, each of which got an error line
 * @base       descriptor of the directory that COPY_BASE stands for
 * @base_text  its name, for messages
 * @lost       added to
 * A file that fails is left out, and the others are copied; without network, space or permission
 * it ends at once. Ends after a signal when an interrupt_watch is on, and leaves no half file.
 */
int copy_run(const struct command *self, const struct copy_plan *plan, struct content *content,
	     const struct extract_options *options, int base, const char *base_text,
	     struct extract_lost *lost);

/* copy_to - the bytes of one regular file, the only entry, to a descriptor; 0 or an exit status
 * after an error line. @name of what is written to, for messages; NULL: standard output. */
int copy_to(const struct command *self, const struct copy_plan *plan, struct content *content,
	    int fd, const char *name);

#endif
