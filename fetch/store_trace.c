/*
 * Traces by a name that the caller makes: the last TRACES_MAX that were put. A file is one head
 * line, with the XXH3 of what follows against bit rot, and then the packed trace (index/trace.h).
 */
#include "fetch/store_priv.h"

#include "fetch/log.h"
#include "index/trace.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define TRACE_DIR  "traces"
#define TRACE_LINE "imgfs-trace-1 "
#define HEAD_LEN   (sizeof(TRACE_LINE) - 1 + 16 + 1)
#define TRACES_MAX 64 /* some tens of kilobytes each */

static void file_name(const char *name, char hex[DIGEST_TEXT_MAX])
{
	struct digest digest;
	digest_of(DIGEST_SHA256, name, strlen(name), &digest);
	digest_hex(&digest, hex);
}

static void head_of(struct bytes packed, char head[HEAD_LEN + 1])
{
	snprintf(head, HEAD_LEN + 1, TRACE_LINE "%016llx\n",
		 (unsigned long long)XXH3_64bits(packed.p, packed.n));
}

err_t store_trace_get(struct store *s, const char *name, struct buf *packed)
{
	char hex[DIGEST_TEXT_MAX], head[HEAD_LEN + 1];
	auto_buf struct buf file = {0};
	file_name(name, hex);
	err_t err = store_read(s, TRACE_DIR, hex, HEAD_LEN + TRACE_PACKED_MAX, &file);
	if (err)
		return err;
	if (file.n > HEAD_LEN) {
		const struct bytes rest = {file.p + HEAD_LEN, file.n - HEAD_LEN};
		head_of(rest, head);
		if (memcmp(file.p, head, HEAD_LEN) == 0)
			return buf_append(packed, rest.p, rest.n);
	}
	log_warn("store.rotten", "store=%s file=" TRACE_DIR "/%s next=removed", s->dir, hex);
	store_remove(s, TRACE_DIR, hex);
	return -ENOENT;
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
	int fd = store_walk(s, TRACE_DIR, false);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		cleanup_fd(&fd);
		return;
	}
	if (count_files(dir, oldest) > TRACES_MAX)
		store_remove(s, TRACE_DIR, oldest);
	closedir(dir);
}

err_t store_trace_put(struct store *s, const char *name, struct bytes packed)
{
	char hex[DIGEST_TEXT_MAX], head[HEAD_LEN + 1];
	file_name(name, hex);
	head_of(packed, head);
	const struct bytes parts[] = {BYTES_STR(head), packed};
	err_t err = store_publish(s, TRACE_DIR, hex, parts, ARRAY_LEN(parts));
	if (!err)
		drop_oldest(s);
	return err;
}
