/*
 * options - the words behind -o, as mount(8) has them
 */
#ifndef IMGFS_FS_OPTIONS_H
#define IMGFS_FS_OPTIONS_H

#include "index/base.h"

#define READ_AHEAD_MAX_KIB (16u << 10) /* larger windows only evict what they have just read */

struct mount_options {
	bool allow_other; /* everybody sees the mount, as far as its modes allow */
	bool suid, dev;	  /* honour set-user-id bits, file capabilities, device nodes; root only */
	bool noexec;
	bool nonempty;		 /* mount on a folder that has something in it */
	bool xattrs;		 /* show user.imgfs.* on files (ops_xattr.c) */
	unsigned read_ahead_kib; /* 0: READ_AHEAD_KIB (fs/tune.h); takes root */
	char *selinux;		 /* context options, joined by commas, or NULL; owned */
};

/*
 * mount_options_parse - a list such as "allow_other,read_ahead=512"
 * @list  NULL or empty for none; a later word wins over an earlier one
 * @root  whether the caller may use what takes root; a root's mount is for everybody unless it says
 *        noallow_other, because what root mounts is meant to be used by others
 * -EINVAL (ERR_USAGE) names the word that is unknown or not possible here, -EPERM (ERR_DENIED) one
 * that takes root.
 */
err_t mount_options_parse(const char *list, bool root, struct mount_options *out,
			  struct diag *d) must_check;

/* mount_options_fini - frees what parse allocated. */
void mount_options_fini(struct mount_options *o);

/*
 * mount_options_text - what libfuse takes behind -o for these options; the caller frees
 * @fsname  what the mount table shows as the device; may hold any byte
 */
char *mount_options_text(const struct mount_options *o, const char *fsname);

#endif
