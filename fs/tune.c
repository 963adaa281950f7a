/*
 * tune - the read-ahead window of a mount's backing device, and the time that a request may take
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

#define ANSWER_MARGIN_S 5 /* for an answer that is on its way when the time is over */

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

/* A number of seconds from a file of /proc/sys; 0 without the file, and for no limit. */
static unsigned setting_s(const char *path)
{
	auto_buf struct buf text = {0};
	err_t err = read_file(path, 64, &text);

	if (!err)
		err = buf_append_zeros(&text, 1);
	return err ? 0 : (unsigned)strtoul((const char *)text.p, NULL, 10);
}

unsigned tune_answer_limit_s(void)
{
	unsigned usual = setting_s("/proc/sys/fs/fuse/default_request_timeout");
	unsigned highest = setting_s("/proc/sys/fs/fuse/max_request_timeout");
	unsigned limit = usual && highest ? min_of(usual, highest) : max_of(usual, highest);

	if (limit == 0)
		return 0;
	return limit > 2 * ANSWER_MARGIN_S ? limit - ANSWER_MARGIN_S : max_of(limit / 2, 1u);
}
