/*
 * trace_build - a trace's file made by hand, to be bent by tests
 *
 * Two layers, of three chunks and of none that are known; nine files; two fetches and a wait.
 */
#ifndef IMGFS_TESTS_UNIT_TRACE_BUILD_H
#define IMGFS_TESTS_UNIT_TRACE_BUILD_H

#include "index/trace.h"

#include <string.h>

struct trace_made {
	struct disk_trace_head head;
	struct disk_trace_slot slots[2];
	uint8_t files[8]; /* nine bits */
	struct disk_trace_event fetches[3], waits[2];
	struct disk_trace_chunk chunks[3];
};

static inline void trace_make(struct trace_made *t)
{
	*t = (struct trace_made){
		.head = {.magic = TRACE_MAGIC_BYTES,
			 .version = put_le32(TRACE_VERSION),
			 .n_slots = put_le32(2),
			 .started_at = put_le64(1700000000),
			 .ended_ms = put_le32(5000),
			 .n_files = put_le32(9),
			 .files_off = put_le64(offsetof(struct trace_made, files)),
			 .fetches_off = put_le64(offsetof(struct trace_made, fetches)),
			 .waits_off = put_le64(offsetof(struct trace_made, waits)),
			 .fetches_room = put_le32(3),
			 .waits_room = put_le32(2),
			 .n_fetches = put_le32(2),
			 .n_waits = put_le32(1),
			 .reads = put_le64(7),
			 .read_bytes = put_le64(70000),
			 .wait_ms = put_le64(33)},
		.files = {0x02, 0x01}, /* 1 and 8 */
	};
	for (unsigned i = 0; i < 2; i++) {
		t->slots[i] = (struct disk_trace_slot){.stream_size = put_le64(1000 * (i + 1)),
						       .digest_alg = DIGEST_SHA256};
		t->slots[i].blob_digest[0] = (uint8_t)(i + 1);
		t->slots[i].off = put_le64(offsetof(struct trace_made, chunks));
	}
	t->slots[0].n_chunks = t->slots[0].room = put_le32(3);
	t->chunks[1] = (struct disk_trace_chunk){
		put_le32(33), TRACE_READ | TRACE_WAITED, TRACE_READER, {0}};
	t->fetches[0] = (struct disk_trace_event){.ready = put_le32(1),
						  .from_ms = put_le32(10),
						  .took_ms = put_le32(30),
						  .chunk = put_le32(1),
						  .n_chunks = put_le32(2),
						  .bytes = put_le32(4000),
						  .who = TRACE_READER};
	t->fetches[1] = t->fetches[0];
	t->fetches[1].who = TRACE_FILL;
	t->fetches[1].slot = put_le32(TRACE_NONE);
	t->waits[0] = t->fetches[0];
	t->waits[0].file = put_le32(8);
}

static inline struct digest trace_made_digest(unsigned slot)
{
	struct digest d = {.alg = DIGEST_SHA256};
	d.b[0] = (uint8_t)(slot + 1);
	return d;
}

#endif
