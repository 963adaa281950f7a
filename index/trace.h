/*
 * trace - what one mount has read and fetched, and what its readers waited for
 *
 * The file that a mount writes while it runs (fetch/content_trace.c) and leaves in the store when
 * it ends; fetch/STORE.md, "A trace", has its form. It is advice for people: nothing is decided by
 * it, so whatever is wrong with one costs a picture. Here it is read, out of bytes that may be torn
 * or made up.
 */
#ifndef IMGFS_INDEX_TRACE_H
#define IMGFS_INDEX_TRACE_H

#include "index/digest.h"
#include "index/le.h"

/* Larger ones are not written and not read: an image of 250 GiB has one of this size. */
#define TRACE_FILE_MAX	 (8u << 20)
#define TRACE_PACKED_MAX TRACE_FILE_MAX
/* Events of each kind that are kept, the first ones: a start, not a life. */
#define TRACE_EVENTS_MAX 4096u
#define TRACE_SLOTS_MAX	 512u

/* Who wanted bytes first. */
enum trace_who {
	TRACE_NOBODY,  /* they were here, or are not; of a fetch: rows of a published index */
	TRACE_READER,  /* somebody waited */
	TRACE_AHEAD,   /* read-ahead, and what lies beside */
	TRACE_PROFILE, /* replay of a recorded start */
	TRACE_FILL,    /* background fill */
	TRACE_WHO_COUNT,
};
/* trace_who_name - "index", "reader", "read-ahead", "profile", "fill". */
const char *trace_who_name(enum trace_who who);

enum trace_chunk_flags {
	TRACE_READ = 1 << 0,   /* a reader got bytes of it */
	TRACE_WAITED = 1 << 1, /* and one had to wait */
};

enum trace_event_flags {
	TRACE_KEPT = 1 << 0,   /* the bytes came from a kept blob, not over the network */
	TRACE_FAILED = 1 << 1, /* they did not come; of a wait: the read failed or was given up */
	TRACE_INDEX = 1 << 2,  /* rows of a published index, or a small layer as a whole */
};

#define TRACE_NONE UINT32_MAX /* no such chunk */

/* --- the bytes of the file, little-endian --- */

struct disk_trace_head {
	uint8_t magic[8];
	le32 version, n_slots;
	le64 started_at; /* seconds since 1970 */
	le32 ended_ms;	 /* after the start; 0: it runs */
	le32 n_files;	 /* regular files of the image */
	le64 files_off, fetches_off, waits_off;
	le32 fetches_room, waits_room;
	le32 n_fetches, n_waits; /* seen; those beyond the room are only counted */
	le64 reads, read_bytes;
	le64 wait_ms; /* sum over all readers */
	le64 fetched[TRACE_WHO_COUNT];
	le64 kept_bytes;
	uint8_t zero[48];
};
struct disk_trace_slot {
	le32 n_chunks, room; /* 0 while the layer is not indexed; records that there is room for */
	le64 off;
	le64 stream_size;
	uint8_t digest_alg;
	uint8_t zero[7];
	uint8_t blob_digest[DIGEST_MAX];
};
struct disk_trace_chunk {
	le32 wait_ms;
	uint8_t flags, who;
	uint8_t zero[2];
};
struct disk_trace_event {
	le32 ready; /* 1: the others are there */
	le32 from_ms, took_ms;
	le32 slot, chunk, n_chunks;
	le32 bytes;
	le32 file; /* waits: which regular file */
	uint8_t who, flags;
	uint8_t zero[6];
};
#define TRACE_MAGIC_BYTES                                                                          \
	{                                                                                          \
		'i', 'm', 'g', 'f', 's', 't', 'r', 'c'                                             \
	}
#define TRACE_VERSION 1

/* --- reading --- */

struct trace;

/* Where bytes came from, or what a reader waited for. */
struct trace_event {
	uint32_t from_ms, took_ms; /* since the start of the mount */
	uint32_t slot;
	uint32_t chunk, n_chunks; /* chunk may be TRACE_NONE */
	uint32_t bytes;
	uint32_t file; /* number of a regular file; waits only */
	enum trace_who who;
	unsigned flags; /* enum trace_event_flags */
};

struct trace_chunk {
	uint32_t wait_ms; /* sum over readers; saturates */
	unsigned flags;	  /* enum trace_chunk_flags */
	enum trace_who who;
};

struct trace_info {
	int64_t started_at;
	uint32_t ended_ms; /* 0: it runs */
	uint32_t n_slots, n_files;
	uint64_t reads, read_bytes, wait_ms, kept_bytes;
	uint64_t fetched[TRACE_WHO_COUNT];
	uint32_t fetches_seen, waits_seen;
	size_t n_fetches, n_waits; /* that are kept: the first ones */
};

/*
 * trace_parse - take a file apart
 * @file  taken on success; may be the copy of one that is being written
 * -EBADMSG (ERR_INTEGRITY) with the place for bytes that are no trace; -ENOMEM.
 */
err_t trace_parse(struct buf *file, struct trace **out, struct diag *d) must_check;
void trace_free(struct trace **t);
const struct trace_info *trace_info(const struct trace *t);

/* trace_slot - the slot of a blob that was cut into this many chunks; false: none. */
bool trace_slot(const struct trace *t, const struct digest *blob, uint32_t n_chunks,
		uint64_t stream_size, uint32_t *slot);
/* trace_chunk_get - of a slot that trace_slot gave; zeroes for a chunk without a record. */
void trace_chunk_get(const struct trace *t, uint32_t slot, uint32_t chunk, struct trace_chunk *out);
/* trace_file_was_read - whether a reader asked for bytes of a regular file; any number. */
bool trace_file_was_read(const struct trace *t, uint32_t file);
/* trace_fetch, trace_wait - the event at i < n_fetches, n_waits; slot < n_slots, or TRACE_NONE. */
struct trace_event trace_fetch(const struct trace *t, size_t i);
struct trace_event trace_wait(const struct trace *t, size_t i);

/* trace_pack - the compressed form of a file, appended to an empty buffer; trace_unpack - the
 * reverse. -EBADMSG, -ENOMEM. */
err_t trace_pack(struct bytes file, struct buf *packed) must_check;
err_t trace_unpack(struct bytes packed, struct buf *file) must_check;

#endif
