/*
 * layout_build - OCI layouts for tests, in a directory of their own that is removed at the end
 */
#ifndef IMGFS_TESTS_LAYOUT_BUILD_H
#define IMGFS_TESTS_LAYOUT_BUILD_H

#include "fetch/layout.h"
#include "tests/unit/document_text.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static inline int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static inline void remove_tree(char **dir)
{
	nftw(*dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	free(take(dir));
}

static inline char *new_tree(void)
{
	const char *tmp = getenv("TMPDIR");
	char *dir = xasprintf("%s/imgfs-test-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(dir));
	return dir;
}

static inline void write_under(const char *dir, const char *name, const void *p, size_t n)
{
	auto_free char *path = xasprintf("%s/%s", dir, name);
	auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, p, n), 0);
}

/* JSON with ' for ". */
static inline void write_json(const char *dir, const char *name, const char *text)
{
	auto_free char *json = json_text(text);
	write_under(dir, name, json, strlen(json));
}

/* A layout without images. */
static inline char *layout_new(void)
{
	char *dir = new_tree();
	auto_free char *blobs = xasprintf("%s/blobs", dir);
	auto_free char *sha256 = xasprintf("%s/blobs/sha256", dir);
	assert_int_equal(mkdir(blobs, 0755), 0);
	assert_int_equal(mkdir(sha256, 0755), 0);
	write_json(dir, "oci-layout", "{'imageLayoutVersion':'1.0.0'}");
	write_json(dir, "index.json", "{'schemaVersion':2,'manifests':[]}");
	return dir;
}

struct blob {
	char digest[DIGEST_TEXT_MAX], path[DIGEST_TEXT_MAX + 16];
	size_t size;
	struct digest value;
};

static inline struct blob layout_put(const char *dir, const void *p, size_t n)
{
	struct blob b = {.size = n};
	char hex[DIGEST_TEXT_MAX];
	digest_of(DIGEST_SHA256, p, n, &b.value);
	digest_text(&b.value, b.digest);
	snprintf(b.path, sizeof(b.path), "blobs/sha256/%s", digest_hex(&b.value, hex));
	write_under(dir, b.path, p, n);
	return b;
}

static inline struct blob layout_put_json(const char *dir, const char *text)
{
	auto_free char *json = json_text(text);
	return layout_put(dir, json, strlen(json));
}

/* One descriptor; more is "" or further fields with a leading comma. */
static inline char *descriptor_of(const struct blob *b, const char *type, const char *more)
{
	return xasprintf("{'mediaType':'%s','digest':'%s','size':%zu%s}", type, b->digest, b->size,
			 more);
}

#endif
