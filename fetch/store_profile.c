/*
 * Profiles by a name that the caller makes. A file is one head line, with the XXH3 of what follows
 * against bit rot, and then the packed profile (index/profile.h).
 */
#include "fetch/store_priv.h"

#include "fetch/log.h"
#include "index/profile.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#define PROFILE_DIR   "profiles"
#define PROFILE_MAGIC "imgfs-profile-1 "
#define HEAD_LEN      (sizeof(PROFILE_MAGIC) - 1 + 16 + 1)

static void file_name(const char *name, char hex[DIGEST_TEXT_MAX])
{
	struct digest digest;
	digest_of(DIGEST_SHA256, name, strlen(name), &digest);
	digest_hex(&digest, hex);
}

static void head_of(struct bytes packed, char head[HEAD_LEN + 1])
{
	snprintf(head, HEAD_LEN + 1, PROFILE_MAGIC "%016llx\n",
		 (unsigned long long)XXH3_64bits(packed.p, packed.n));
}

err_t store_profile_get(struct store *s, const char *name, struct buf *packed)
{
	char hex[DIGEST_TEXT_MAX], head[HEAD_LEN + 1];
	auto_buf struct buf file = {0};
	file_name(name, hex);
	err_t err = store_read(s, PROFILE_DIR, hex, HEAD_LEN + PROFILE_PACKED_MAX, &file);
	if (err)
		return err;
	if (file.n > HEAD_LEN) {
		const struct bytes rest = {file.p + HEAD_LEN, file.n - HEAD_LEN};
		head_of(rest, head);
		if (memcmp(file.p, head, HEAD_LEN) == 0)
			return buf_append(packed, rest.p, rest.n);
	}
	log_warn("store.rotten", "store=%s file=" PROFILE_DIR "/%s next=removed", s->dir, hex);
	store_remove(s, PROFILE_DIR, hex);
	return -ENOENT;
}

err_t store_profile_put(struct store *s, const char *name, struct bytes packed)
{
	char hex[DIGEST_TEXT_MAX], head[HEAD_LEN + 1];
	file_name(name, hex);
	head_of(packed, head);
	const struct bytes parts[] = {BYTES_STR(head), packed};
	return store_publish(s, PROFILE_DIR, hex, parts, ARRAY_LEN(parts));
}

void store_profile_drop(struct store *s, const char *name)
{
	char hex[DIGEST_TEXT_MAX];
	file_name(name, hex);
	store_remove(s, PROFILE_DIR, hex);
}
