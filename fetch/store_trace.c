/*
 * Traces (index/trace.h) by a name that the caller makes: the last TRACES_MAX that were put.
 */
#include "fetch/store_priv.h"

#include "index/trace.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#define TRACES_MAX 64 /* some tens of kilobytes each */

static const struct note_kind traces = {"traces", "imgfs-trace-1", TRACE_PACKED_MAX};

err_t store_trace_get(struct store *s, const char *name, struct buf *packed)
{
	return store_note_get(s, &traces, name, packed);
}

/* One pass over the directory: how many there are, and which is the oldest. */
static unsigned count_files(DIR *dir, char oldest[NAME_MAX + 1])
{
	const struct dirent *entry;
	struct timespec least = {0};
	unsigned n = 0;
	while ((entry = readdir(dir))) {
		struct stat st;
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
		    !S_ISREG(st.st_mode))
			continue;
		bool older =
			st.st_mtim.tv_sec < least.tv_sec ||
			(st.st_mtim.tv_sec == least.tv_sec && st.st_mtim.tv_nsec < least.tv_nsec);
		if (n++ && !older)
			continue;
		least = st.st_mtim;
		snprintf(oldest, NAME_MAX + 1, "%s", entry->d_name);
	}
	return n;
}

/* Each put that adds one removes one, so one is enough. */
static void drop_oldest(struct store *s)
{
	char oldest[NAME_MAX + 1] = "";
	int fd = store_walk(s, traces.dir, false);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		cleanup_fd(&fd);
		return;
	}
	if (count_files(dir, oldest) > TRACES_MAX)
		store_remove(s, traces.dir, oldest);
	closedir(dir);
}

err_t store_trace_put(struct store *s, const char *name, struct bytes packed)
{
	err_t err = store_note_put(s, &traces, name, packed);
	if (!err)
		drop_oldest(s);
	return err;
}
