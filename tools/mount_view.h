/*
 * mount_view - what a mount's record says, as text for people: a table of mounts, and the parts of
 * a report on one of them; `imgfs status` prints them once, `imgfs top` again and again
 *
 * Everything is written to a stream and fits a width; what has to give way are columns that say
 * least, then the beginnings of paths and the ends of sentences.
 */
#ifndef IMGFS_TOOLS_MOUNT_VIEW_H
#define IMGFS_TOOLS_MOUNT_VIEW_H

#include "fs/mounts.h"

#include <stdio.h>

struct mount_view {
	FILE *out;
	unsigned width; /* columns; 0: as wide as it gets */
	bool colours;
};

/* What a mount did in each second since an earlier look at it. */
struct mount_rates {
	bool known;
	uint64_t read_bytes, fetched_bytes; /* a second */
	uint64_t store_hits, misses;	    /* since then */
};

/* ---- figures ---- */

/* mount_uptime_s - how long its daemon has lived. */
uint64_t mount_uptime_s(const struct mount_row *row);
/* mount_is_attached - whether this is what its path shows to us; if not it was detached, or lies in
 * another mount namespace. */
bool mount_is_attached(const struct mount_row *row);
/* mount_hit_percent - of the chunks that readers wanted, those that were in the store; -1: nobody
 * wanted any. */
int mount_hit_percent(uint64_t hits, uint64_t misses);
/* mount_wait_ms - how long a read has waited. */
uint64_t mount_wait_ms(const struct board_wait *wait);

/* ---- names of rows ---- */

/*
 * The paths of the files that a board speaks of. A mount whose tree lives in memory, or in a file
 * that is gone, has none.
 */
struct mount_names {
	struct mount_name {
		uint32_t row;
		struct buf path;
	} * names; /* owned */
	size_t n;
};
/* mount_names_load - cost: proves and reads through the tree's file, about 60 ns a name, if there
 * is anything to name; what cannot be named is left out. */
void mount_names_load(const struct mount_row *row, struct mount_names *out);
void mount_names_fini(struct mount_names *names);
/* mount_name - of a row, borrowed; empty when it is not known. */
struct bytes mount_name(const struct mount_names *names, uint32_t row);

/* ---- tables and parts ---- */

/* mount_view_table - one line a mount, with a head. @rates: one a row, or NULL: totals instead.
 * @chosen: the row to highlight; n: none. */
void mount_view_table(const struct mount_view *v, const struct mount_row *rows, size_t n,
		      const struct mount_rates *rates, size_t chosen);

/* mount_view_line - a text behind a label, broken at blanks into as many lines as it takes. */
void mount_view_line(const struct mount_view *v, const char *name, const char *text);
/* mount_view_totals - fetched of how much, reads and hit rate, what is in flight, errors. */
void mount_view_totals(const struct mount_view *v, const struct mount_row *row);
/* mount_view_last_error - when, of which layer, and what; nothing when there was none. */
void mount_view_last_error(const struct mount_view *v, const struct mount_row *row);
/* mount_layer_is_small - a layer that needs no published index: it is indexed when first read. */
bool mount_layer_is_small(const struct mount_layer *l);

/* mount_view_layers - a line a layer: state, fetched of its size, and a bar of what is here. */
void mount_view_layers(const struct mount_view *v, const struct mount_row *row, size_t max);
/* mount_view_waiting, mount_view_slow - reads that wait now, reads that waited longest; a head and
 * at most `max` lines. Nothing when there are none. */
void mount_view_waiting(const struct mount_view *v, const struct mount_row *row,
			const struct mount_names *names, size_t max);
void mount_view_slow(const struct mount_view *v, const struct mount_row *row,
		     const struct mount_names *names, size_t max);

/* mount_view_duration - "42 ms", "3.1 s", "5 min" into buf (16 bytes); returns buf. */
const char *mount_view_duration(uint64_t ms, char buf[16]);
/* mount_view_uptime - "00:10:11", "12d03h" into buf (24 bytes); returns buf. */
const char *mount_view_uptime(uint64_t seconds, char buf[24]);

#endif
