/*
 * mounts_priv - the file that a daemon keeps and others read; for mounts.c, which writes one's own,
 * and mounts_list.c, which reads those of others
 */
#ifndef IMGFS_FS_MOUNTS_PRIV_H
#define IMGFS_FS_MOUNTS_PRIV_H

#include "fs/mounts.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define RECORD_MAGIC   "imgfsmnt"
#define RECORD_VERSION 3
#define RECORD_ID_MAX  MOUNT_RECORD_NAME_MAX

/* The file. Only the version of imgfs that wrote it can read it; the lock is for all of them. */
struct record_file {
	char magic[8];
	uint32_t version;
	int32_t pid;
	int64_t started_at;
	uint32_t dev_major, dev_minor; /* of the mount */
	char mountpoint[PATH_MAX], store[PATH_MAX];
	char reference[REF_TEXT_MAX];
	char manifest[DIGEST_TEXT_MAX];
	char tree[PATH_MAX];
	struct counters counters;
	struct board board;
	uint32_t n_layers;
	struct mount_info_layer layers[INDEX_LAYERS_MAX];
	_Atomic(uint8_t) layer_states[INDEX_LAYERS_MAX]; /* enum layer_state, bottom first */
};

/* mounts_dir - the directory of records, or -errno. */
int mounts_dir(bool create, struct diag *d);

/* text_set - whether a text fits into a field of a record; copied if so. */
bool text_set(char *field, size_t size, const char *text);

/* record_row - a copy of a record that is mapped. */
void record_row(const struct record_file *file, struct mount_row *row);

/* A record's trace lies beside it. */
#define TRACE_SUFFIX   ".trace"
#define TRACE_NAME_MAX (RECORD_ID_MAX + sizeof(TRACE_SUFFIX))

/* trace_name - the file name of a record's trace. */
static inline void trace_name(const char *record, char out[TRACE_NAME_MAX])
{
	snprintf(out, TRACE_NAME_MAX, "%s" TRACE_SUFFIX, record);
}

/* trace_is_name - whether a file name is that of a trace. */
static inline bool trace_is_name(const char *name)
{
	size_t n = strlen(name), suffix = strlen(TRACE_SUFFIX);

	return n > suffix && strcmp(name + n - suffix, TRACE_SUFFIX) == 0;
}

#endif
