/*
 * Which references the store has seen: the texts inside the files of tags/, whose names are only
 * their hashes. What has been written there with another meaning is passed over.
 */
#include "fetch/store_priv.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

#define TAG_FILE_MAX (DIGEST_TEXT_MAX + REF_TEXT_MAX + 2)

/* "index-of DIGEST" and "rejected-index DIGEST" are no references (fetch/STORE.md). */
static bool is_reference(const char *text)
{
	static const char *const others[] = {"index-of ", "rejected-index "};
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (!strncmp(text, others[i], strlen(others[i])))
			return false;
	return *text != '\0';
}

/* A file that is not what store_tag_put writes is not ours to judge here: it is passed over. */
static void visit(struct store *s, const char *name, store_tag_fn *fn, void *arg)
{
	auto_buf struct buf file = {0};
	struct digest digest;
	if (store_read(s, "tags", name, TAG_FILE_MAX, &file) || !file.n ||
	    file.p[file.n - 1] != '\n')
		return;
	file.p[file.n - 1] = '\0';
	char *text = memchr(file.p, '\n', file.n - 1);
	if (!text || memchr(file.p, '\0', file.n - 1))
		return;
	*text++ = '\0';
	if (is_reference(text) && !digest_parse(BYTES_STR((const char *)file.p), &digest, NULL))
		fn(arg, text, &digest);
}

err_t store_tags_each(struct store *s, store_tag_fn *fn, void *arg)
{
	int fd = store_walk(s, "tags", false);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	DIR *dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -errno;
	}
	for (struct dirent *entry; (entry = readdir(dir));)
		if (entry->d_name[0] != '.')
			visit(s, entry->d_name, fn, arg);
	closedir(dir);
	return 0;
}
