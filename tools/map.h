/*
 * map - a picture of an image: what of each layer is in the local store, what was read, by whom it
 * was fetched, and where readers waited
 *
 * The model is put together once (map_build.c, map_files.c, map_time.c) out of the image, the store
 * and the trace of a mount; each form (map_svg.c, map_html.c, map_text.c, map_json.c) only draws
 * it.
 */
#ifndef IMGFS_TOOLS_MAP_H
#define IMGFS_TOOLS_MAP_H

#include "index/profile.h"
#include "index/trace.h"
#include "tools/cli.h"

#define MAP_NONE UINT32_MAX

/* Where it is known from what was read. */
enum map_origin {
	MAP_LIVE,    /* a mount that runs */
	MAP_LAST,    /* the last one that has ended */
	MAP_PROFILE, /* no trace; the recorded profile: what was read, and no times */
	MAP_NOTHING,
};

struct map_chunk {
	uint64_t at; /* in the blob; between places that are known, in proportion to the stream */
	uint64_t stream_off;
	uint32_t len, stream_len; /* bytes of the blob, of the stream */
	uint32_t wait_ms;
	bool stored, read, waited;
	enum trace_who who;
};

/* One distinct blob. */
struct map_layer {
	uint32_t number; /* the lowest of the image's layers that has it */
	struct digest blob;
	char name[13]; /* its digest's first digits */
	uint64_t blob_size, stream_size;
	bool known, kept; /* its chunks are; its blob is in the store as a whole */
	struct map_chunk *chunks;
	uint32_t n_chunks;
	char *mostly; /* the directory with most of its bytes, or NULL */
	uint64_t stored_bytes, read_bytes;
	uint64_t wait_ms; /* sum over readers */
	uint32_t waits, fetches;
};

/* A regular file that was read. */
struct map_file {
	uint32_t row;
	struct bytes path; /* owned; any bytes */
	uint64_t size;
	uint64_t read_bytes; /* of its bytes, those in chunks that were read */
	uint64_t wait_ms;    /* time in which at least one reader of it waited */
	uint32_t waits, longest_ms;
	uint32_t layer; /* of its first byte; MAP_NONE: no bytes in any */
};

struct map_dir {
	struct bytes path; /* owned */
	uint64_t read_bytes, wait_ms;
	uint32_t files, waits;
};

struct map_event {
	uint32_t from_ms, took_ms; /* since the mount */
	uint32_t layer;		   /* MAP_NONE: none in particular */
	uint32_t file;		   /* waits: of map->files, or MAP_NONE */
	uint32_t chunk, n_chunks;
	uint32_t bytes;
	enum trace_who who;
	bool kept, failed, index;
};

struct map {
	const struct image *image;
	char *reference; /* owned */
	enum map_origin origin;
	char *mountpoint;   /* MAP_LIVE; owned */
	uint32_t n_mounts;  /* that run */
	int64_t started_at; /* seconds since 1970; with a trace */
	uint64_t lasted_ms;

	struct map_layer *layers;
	uint32_t n_layers;
	uint32_t *layer_of;	/* by layer of the image: which of them */
	struct map_file *files; /* those that waited longest first, then those read most */
	size_t n_files;
	struct map_dir *dirs; /* in the same order */
	size_t n_dirs;
	struct map_event *fetches, *waits; /* by begin */
	size_t n_fetches, n_waits;
	/* The start: what lies between two silences of MAP_QUIET_MS, and where readers waited most.
	 */
	uint32_t first_ms, span_ms;
	size_t start_fetches[2], start_waits[2]; /* [first, end) of the events */
	bool more_events;			 /* than are kept */

	uint64_t size, stored_bytes, read_bytes; /* of the blobs */
	uint64_t asked_bytes, reads;		 /* by readers, of the stream */
	uint64_t fetched[TRACE_WHO_COUNT], kept_bytes;
	uint64_t unread_bytes; /* fetched by this mount, and not read */
	uint64_t requests;
	uint64_t wait_ms, waits_seen; /* time in which at least one reader waited */
};

#define MAP_QUIET_MS 10000

/*
 * map_load - the layers, and of each chunk whether it is here
 * The image must be prepared, and outlive the map. -ENOMEM, -errno of the store.
 */
err_t map_load(struct image *image, struct map *out, struct diag *d) must_check;
/* map_use_trace - what a mount did; map_use_profile - what a start was seen to read. -ENOMEM. */
err_t map_use_trace(struct map *m, const struct trace *t) must_check;
err_t map_use_profile(struct map *m, struct bytes text) must_check;
/* map_fini - also after an error. */
void map_fini(struct map *m);

/* map_layer_at - which of map->layers the image's layer is. */
uint32_t map_layer_at(const struct map *m, uint32_t image_layer);
/* map_chunk_at - the chunk of a known layer that covers an offset of its stream. */
uint32_t map_chunk_at(const struct map_layer *l, uint64_t stream_off);

/* Files of the image by number (row - n_dirs), each under one of its names. */
struct map_names;
/* map_names_new - NULL when memory ends; one pass over all directories. */
struct map_names *map_names_new(const struct index *tree);
void map_names_free(struct map_names **n);
/* map_path_of - "/usr/bin/env", appended to an empty buffer. -ENOMEM. */
err_t map_path_of(const struct map_names *n, uint32_t row, struct buf *path) must_check;
/* map_dir_of - the row of the directory that a regular file stands in, at most `depth` below the
 * root. */
uint32_t map_dir_of(const struct map_names *n, uint32_t row, unsigned depth);

/* map_label_layers - fill each layer's `mostly`. -ENOMEM. */
err_t map_label_layers(struct map *m, const struct map_names *n) must_check;
/* map_take_files - fill files and dirs: those of the trace, or, where there is none, the rows of
 * the profile. -ENOMEM. map_take_events - fetches and waits, and the figures that follow from them;
 * before map_take_files. */
err_t map_take_files(struct map *m, const struct trace *t, const struct profile *p) must_check;
err_t map_take_events(struct map *m, const struct trace *t) must_check;

/* --- forms --- */

/* map_svg - a picture of its own, or one inside a page. */
void map_svg(const struct map *m, FILE *out, bool in_page);
/* map_html - a page that needs nothing else. -ENOMEM. */
err_t map_html(const struct map *m, FILE *out) must_check;
void map_json(const struct map *m, FILE *out);
/* map_text - for a terminal of this width. */
void map_text(const struct map *m, FILE *out, unsigned width, bool colours, bool utf8);

/* --- words that the forms share --- */

/* map_source_text - "mounted on /mnt for 12 s", "last mount, 2026-11-26 14:28, 4.1 s"; the caller
 * frees. A mount point stands in it as format_name writes it. */
char *map_source_text(const struct map *m);
/* map_duration - "0 ms", "85 ms", "1.24 s", "12.4 s", "3 min 10 s". */
const char *map_duration(uint64_t ms, char buf[64]);

#endif
