/*
 * counters - how often the kernel asked, by opcode; and names for what its reads cost
 *
 * They live in the mount's record (fs/mounts.h), a file that the daemon and `imgfs status` both
 * map, so that asking for them wakes nobody. Every word is written with a relaxed atomic operation:
 * a figure is exact, two figures of one copy may be a request apart. What reads cost is counted
 * where it happens, on the board (fetch/board.h), which lies in the same record.
 */
#ifndef IMGFS_FS_COUNTERS_H
#define IMGFS_FS_COUNTERS_H

#include "fetch/content.h"

#include <stdatomic.h>

#define COUNTERS_OPCODES                                                                           \
	64		    /* opcodes below it have a slot of their own; the kernel uses 1 to 52  \
			     */
#define COUNTERS_CONTENT 16 /* room for figures of struct content_stats */

/* The shared form; part of the record's layout. */
struct counters {
	_Atomic uint64_t upcalls[COUNTERS_OPCODES]; /* by opcode; [0] for those without a name */
	_Atomic uint64_t failed_replies;	    /* the kernel did not take an answer */
};

/* One row of a copy, for printing. */
struct counter_value {
	const char *name;
	uint64_t value;
};
#define COUNTERS_UPCALL_KINDS 32 /* room for the rows of counters.def and "other" */

/* A plain copy. */
struct counters_view {
	struct counter_value upcalls[COUNTERS_UPCALL_KINDS];
	size_t n_upcalls;
	uint64_t upcalls_total; /* of everything, forgets and interrupts included */
	uint64_t failed_replies;
	struct counter_value content[COUNTERS_CONTENT];
	size_t n_content;
};

/* counters_upcall - one message of this opcode (any number: it comes from the kernel) was read. */
void counters_upcall(struct counters *c, uint32_t opcode);

/* counters_failed_reply - an answer could not be given to the kernel. */
void counters_failed_reply(struct counters *c);

/* counters_copy - these and the figures of a board with their names, in the order of counters.def;
 * of the upcalls "other" comes last. */
void counters_copy(const struct counters *c, const struct content_stats *stats,
		   struct counters_view *out);

#endif
