/*
 * diff - two merged trees side by side
 *
 * Files are compared by the digests of their content, which the indexes have; no file is read.
 * Where a digest can not be had (sparse files have none), equal places in equal layers still prove
 * equal content, and different sizes different; what is left is `unknown`, never guessed.
 */
#ifndef IMGFS_TOOLS_DIFF_H
#define IMGFS_TOOLS_DIFF_H

#include "fetch/image_digests.h"
#include "tools/cli.h"

#define DIFF_NONE UINT32_MAX /* no row, no parent */

enum diff_status {
	DIFF_SAME, /* only of directories: something below may differ */
	DIFF_ADDED,
	DIFF_REMOVED,
	DIFF_CHANGED,
	DIFF_TYPE,    /* another type */
	DIFF_UNKNOWN, /* all that is known is equal, but for the content */
};

/* What is different of something that is in both. */
enum diff_what {
	DIFF_WHAT_TYPE = 1 << 0,
	DIFF_WHAT_CONTENT = 1 << 1,
	DIFF_WHAT_MODE = 1 << 2,
	DIFF_WHAT_OWNER = 1 << 3,
	DIFF_WHAT_XATTRS = 1 << 4,
	DIFF_WHAT_TARGET = 1 << 5,
	DIFF_WHAT_DEVICE = 1 << 6,
	DIFF_WHAT_TIME = 1 << 7, /* only if asked for */
};

/* diff_what_name - "content", "mode", ... of one bit. */
const char *diff_what_name(enum diff_what what);

struct diff_side {
	struct image *image;
	struct image_digests *digests;
};

/* A name that differs, or a directory of both in which something might. In the order of a walk:
 * directories before what is in them, names in bytewise order. */
struct diff_node {
	uint32_t parent;   /* node, or DIFF_NONE for what was asked for */
	struct bytes name; /* below its parent; of the operand: its path without slashes around */
	uint32_t a, b;	   /* rows, or DIFF_NONE */
	enum diff_status status;
	unsigned what; /* enum diff_what */
	bool inside;   /* of a directory that is wholly added or removed, or is none any more */
	uint32_t top;  /* inside: the node of that directory */
	/* of such a directory: what is inside */
	uint32_t n_inside;
	uint64_t size_inside; /* bytes of files */
};

struct diff_count {
	uint64_t names, bytes; /* bytes of files, each inode once */
};

struct diff {
	struct diff_side a, b;
	bool times;
	struct diff_node *nodes; /* owned */
	size_t n, cap;
	struct diff_count added, removed;
	uint64_t changed, unknown, same; /* names */
	int64_t grown;			 /* bytes of changed files, together */
	/* private: inodes that were counted */
	uint8_t *seen_a, *seen_b;
};

/* diff_start - of two prepared images; `times`: also compare when files were last modified. */
void diff_start(struct diff *diff, struct image *a, struct image *b, bool times);
/*
 * diff_path - add what is at a path and below it
 * @path  absolute; borrowed until diff_fini. Symlinks as last component are not followed
 * -ENOENT when neither has it; -ENOMEM. Cost: linear in the names; the digests of layers that only
 * one of the images has may be fetched.
 */
err_t diff_path(struct diff *diff, const char *path) must_check;
void diff_fini(struct diff *diff);

/* diff_node_path - "usr/bin/env" appended to an empty buffer, nothing for the root; -ENOMEM. */
err_t diff_node_path(const struct diff *diff, uint32_t node, struct buf *out) must_check;
/* diff_differs - whether anything does, or may. */
bool diff_differs(const struct diff *diff);

/* --- ways to show one (diff_print.c) --- */

/* diff_print_stat - for people: one line a change, whole directories in one, and a summary. */
void diff_print_stat(const struct diff *diff, bool all, bool colours, unsigned width);
/* diff_print_status - for scripts: letter, tab, path, one line each. */
void diff_print_status(const struct diff *diff);
/* diff_print_json - tools/JSON.md. */
void diff_print_json(const struct diff *diff);

#endif
