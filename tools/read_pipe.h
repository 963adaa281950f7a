/*
 * read_pipe - the contents of many files of an image, in one order, fetched ahead
 *
 * Who copies or packs files knows what comes next. The pipe keeps the reads of the next megabytes
 * under way, however many files they belong to: so neighbours are asked for together, a few large
 * ranges instead of many small ones, and the line is never idle between two files. Every byte that
 * comes out has been verified. Reads in the order of rows, which is that of the data in their
 * layers, need the fewest requests.
 */
#ifndef IMGFS_TOOLS_READ_PIPE_H
#define IMGFS_TOOLS_READ_PIPE_H

#include "fetch/content.h"
#include "fetch/progress.h"

/*
 * Bytes under way or waiting to be taken. A read fails when it was not served within the content's
 * budget, so what waits behind others must not be more than the line brings in a part of that: the
 * window doubles where it came quickly, and halves where it came slowly.
 */
#define READ_PIPE_WINDOW_FIRST (4u << 20)
#define READ_PIPE_WINDOW_MIN   (1u << 20)
#define READ_PIPE_WINDOW_MAX   (32u << 20)

/* For content_options.workers: what waits for one of few is merged into large ranges meanwhile. */
#define READ_PIPE_WORKERS 4

#define READ_PIPE_BUDGET_MAX_S 86400 /* of --read-budget: a day */

/* A run of bytes of a file. Holes are passed over: what no piece covers is zeroes. */
struct read_piece {
	uint64_t off;
	const uint8_t *p; /* valid until the next call; NULL on error */
	size_t n;
	err_t err; /* why it could not be read: see struct read_request; -EINTR: a signal came */
};

struct read_pipe;

/*
 * read_pipe_new - begins to read
 * @rows  n_files rows of regular files, in the order in which they will be taken; borrowed
 * @progress  row 0 counts the bytes that are taken; NULL: nobody looks
 * Ended early by a signal while an interrupt_watch is on. Free it before the content.
 */
struct read_pipe *read_pipe_new(struct content *content, const struct index *tree,
				const uint32_t *rows, size_t n_files, struct progress *progress);
/*
 * read_pipe_take - the next piece of file number `file`; false when it has no more
 * Files are taken in ascending order; what was not taken of one before is dropped, so that the rest
 * of a file that failed can be skipped.
 */
bool read_pipe_take(struct read_pipe *p, size_t file, struct read_piece *out);
/* read_pipe_free - cancels what is under way. */
void read_pipe_free(struct read_pipe **p);

/* read_pipe_fail - the diagnostic for a piece's error, and its class; returns err. */
err_t read_pipe_fail(const struct read_pipe *p, err_t err, const char *path, struct diag *d);
/* read_pipe_is_fatal - whether the next files will hardly fare better: no network, no permission,
 * no memory; not: wrong bytes. */
bool read_pipe_is_fatal(err_t err);

#endif
