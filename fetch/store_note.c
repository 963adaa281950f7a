/*
 * Files by a name that the caller makes, of which nothing depends: profiles and traces. A file is
 * one head line, with the XXH3 of what follows against bit rot, and then the bytes.
 */
#include "fetch/store_priv.h"

#include "fetch/log.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#define HEAD_MAX 64

static void file_name(const char *name, char hex[DIGEST_TEXT_MAX])
{
	struct digest digest;
	digest_of(DIGEST_SHA256, name, strlen(name), &digest);
	digest_hex(&digest, hex);
}

/* Returns its length. */
static size_t head_of(const struct note_kind *kind, struct bytes content, char head[HEAD_MAX])
{
	return (size_t)snprintf(head, HEAD_MAX, "%s %016llx\n", kind->magic,
				(unsigned long long)XXH3_64bits(content.p, content.n));
}

err_t store_note_get(struct store *s, const struct note_kind *kind, const char *name,
		     struct buf *content)
{
	char hex[DIGEST_TEXT_MAX], head[HEAD_MAX];
	auto_buf struct buf file = {0};
	const size_t head_len = head_of(kind, (struct bytes){0}, head);
	file_name(name, hex);
	err_t err = store_read(s, kind->dir, hex, head_len + kind->max, &file);
	if (err)
		return err;
	if (file.n > head_len) {
		const struct bytes rest = {file.p + head_len, file.n - head_len};
		head_of(kind, rest, head);
		if (memcmp(file.p, head, head_len) == 0)
			return buf_append(content, rest.p, rest.n);
	}
	log_warn("store.rotten", "store=%s file=%s/%s next=removed", s->dir, kind->dir, hex);
	store_remove(s, kind->dir, hex);
	return -ENOENT;
}

err_t store_note_put(struct store *s, const struct note_kind *kind, const char *name,
		     struct bytes content)
{
	char hex[DIGEST_TEXT_MAX], head[HEAD_MAX];
	file_name(name, hex);
	head_of(kind, content, head);
	const struct bytes parts[] = {BYTES_STR(head), content};
	return store_publish(s, kind->dir, hex, parts, ARRAY_LEN(parts));
}

void store_note_drop(struct store *s, const struct note_kind *kind, const char *name)
{
	char hex[DIGEST_TEXT_MAX];
	file_name(name, hex);
	store_remove(s, kind->dir, hex);
}
