/*
 * tune - the read-ahead window of a mount's backing device
 *
 * FUSE can lower the window at INIT, but not raise it: that is a file in sysfs, named after the
 * device number of the mount. The limits on background requests, which sysfs has too, need no help:
 * as root the kernel takes them from the INIT reply as they are.
 */
#include "fs/tune.h"

#include "fetch/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void tune_read_ahead(const struct mounted *mounted, unsigned kib)
{
	char path[64], text[16];
	auto_fd int fd = -1;
	err_t err;
	int n;

	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", mounted->dev_major,
		 mounted->dev_minor);
	n = snprintf(text, sizeof(text), "%u", kib);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	err = fd < 0 ? -errno : write_all(fd, text, (size_t)n);
	if (err)
		log_debug("mount.read_ahead", "path=%s error=\"%s\"", path, strerror(-err));
}
