/*
 * export - a merged tree as a tar
 *
 * The bytes follow from the tree alone: entries in bytewise order of their names, each directory
 * before what is in it, the first name of a file with its data and the others as links to it. So
 * the same image gives the same archive on every machine and with every store.
 */
#ifndef IMGFS_TOOLS_EXPORT_H
#define IMGFS_TOOLS_EXPORT_H

#include "fetch/content.h"
#include "fetch/progress.h"

/* Where the archive goes; `error` is that of the first write that failed. */
struct export_output {
	int fd;
	err_t error;
};

/*
 * export_tree - write the archive of a tree, or of a part of it
 * @path  absolute, without a slash at its end, "." and ".."; "/" for all. It names what `row` is:
 *        entries are called as in the image, without the slash in front
 * @progress  row 0 counts the bytes of files; NULL: nobody looks
 * Errors: -EINTR after a signal while an interrupt_watch is on; out->error; those of the reads,
 * with the file's name. The archive is then without its end. Cost: reads every byte of every file
 * once; READ_PIPE_WINDOW of memory, and about 50 bytes an entry.
 */
err_t export_tree(struct content *content, const struct index *tree, const char *path, uint32_t row,
		  struct export_output *out, struct progress *progress, struct diag *d) must_check;

#endif
