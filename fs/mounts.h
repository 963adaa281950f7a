/*
 * mounts - records of live mounts in the runtime directory
 *
 * One small file a mount, mapped by its daemon, which holds an exclusive flock(2) on it for as long
 * as it lives. So `imgfs status` reads everything without asking the daemon, and a record that
 * nobody locks belongs to a daemon that died: whoever finds it removes it.
 *
 * The directory is $IMGFS_RUNTIME_DIR/mounts, else /run/imgfs/mounts as root, else
 * $XDG_RUNTIME_DIR/imgfs/mounts, else /tmp/imgfs-UID/mounts. It must be ours and closed to others.
 */
#ifndef IMGFS_FS_MOUNTS_H
#define IMGFS_FS_MOUNTS_H

#include "fs/counters.h"
#include "fs/mountpoint.h"

/* What a daemon says about itself; texts are borrowed. */
struct mount_info {
	const char *mountpoint; /* canonical */
	const char *reference;	/* as ref_text gives it */
	const char *manifest;	/* digest of the platform's manifest, as text */
	const char *store;	/* the store's directory */
	uint32_t n_layers;	/* of the image */
};

struct mount_record;

/*
 * mount_record_new - write and lock a record of this process
 * It is not listed before mount_record_show. -ENAMETOOLONG for a text that does not fit; -EPERM for
 * a runtime directory that others can write; -errno. All ERR_OTHER.
 */
err_t mount_record_new(const struct mount_info *info, struct mount_record **out,
		       struct diag *d) must_check;

/* mount_record_show - the mount is there: list it from now on. */
err_t mount_record_show(struct mount_record *record, const struct mounted *mounted,
			struct diag *d) must_check;

/* mount_record_counters - in shared memory; valid until mount_record_free. */
struct counters *mount_record_counters(struct mount_record *record);

/* mount_record_layer_states - INDEX_LAYERS_MAX of enum layer_state in shared memory, for
 * content_options; valid as the counters are. */
_Atomic(uint8_t) *mount_record_layer_states(struct mount_record *record);

/* mount_record_free - remove the file and let go of its lock. */
void mount_record_free(struct mount_record **record);

/* mount_record_leave - remove the file, but hold the lock until this process is really gone: that
 * is what `imgfs umount` waits for. */
void mount_record_leave(struct mount_record **record);

/* A copy of one live record. */
struct mount_row {
	char *mountpoint, *reference, *manifest, *store; /* owned */
	struct mounted mounted;				 /* its device number */
	int64_t started_at;				 /* seconds since 1970 */
	int pid;
	uint32_t n_layers;
	uint8_t layer_states[INDEX_LAYERS_MAX]; /* enum layer_state */
	struct counters_view counters;
};
struct mount_list {
	struct mount_row *rows; /* by mount point, then pid; owned */
	size_t n;
};

/*
 * mounts_list - all live mounts of this user; removes stale records on the way
 * A missing runtime directory is an empty list. Free with mount_list_fini also after an error.
 */
err_t mounts_list(struct mount_list *out, struct diag *d) must_check;

/* mount_list_fini - leaves an empty list. */
void mount_list_fini(struct mount_list *list);

/*
 * mounts_find - the record of the daemon that serves a mount, as a descriptor for mounts_wait_gone
 * Daemons are told apart by the device number of their mount, since one that was detached lazily,
 * or that another mount namespace still has, lives on beside a new one on the same path. Gives the
 * daemon's pid. -ENOENT when nobody serves it; -errno.
 */
int mounts_find(const struct mounted *mounted, int *pid);

/* mounts_wait_gone - wait for the end of the process that holds a record; -ETIMEDOUT after
 * timeout_ms. Looks every 10 ms. */
err_t mounts_wait_gone(int record_fd, int timeout_ms) must_check;

/* mounts_runtime_path - the directory in which mounts/ lies or would lie; the caller frees. */
char *mounts_runtime_path(void);

/* mounts_clean - remove stale records. */
void mounts_clean(void);

#endif
