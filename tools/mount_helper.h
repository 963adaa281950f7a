/*
 * mount_helper - the program as mount(8) calls it, so that `mount -t imgfs` and lines of fstab work
 *
 *   mount.imgfs REF DIR [-sfnv] [-N NAMESPACE] [-o LIST] [-t TYPE]
 *
 * In the list may stand the words of `imgfs mount -o`, every key of imgfs.conf (store=DIR,
 * plain-http, trust-key=FILE, ...), config=FILE, log=FILE, metrics=WHERE, offline, fsname=NAME, and
 * what fstab has for others: noauto, user, nofail, _netdev, x-*. A value with a comma stands in
 * double quotes.
 */
#ifndef IMGFS_TOOLS_MOUNT_HELPER_H
#define IMGFS_TOOLS_MOUNT_HELPER_H

#include <stdbool.h>

/* mount_helper_named - whether a program of this name (argv[0]) is the helper: mount.imgfs, or
 * mount.fuse.imgfs. */
bool mount_helper_named(const char *program);

/* mount_helper_main - returns the exit status as mount(8) has it: 0, 1 (usage), 8 (interrupted), 32
 * (mount failure). */
int mount_helper_main(int argc, char **argv);

#endif
