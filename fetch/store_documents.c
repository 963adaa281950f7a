/*
 * Manifests, image indexes and configs by digest, and what a tag named last. A document's file is
 * one head line and then its exact bytes:
 *
 *   imgfs-document-1 <XXH3 of the media type, 16 hex digits> <media type> LF
 *
 * The digest in the file's name proves the bytes; the media type is the source's word, which no
 * digest covers, so it has its own checksum against bit rot.
 */
#include "fetch/store_priv.h"

#include "fetch/log.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#define DOCUMENT_MAGIC "imgfs-document-1 "
#define HEAD_MAX       (sizeof(DOCUMENT_MAGIC) + 17 + 128) /* with a media type of 127 bytes, LF */
#define TAG_FILE_MAX   (DIGEST_TEXT_MAX + REF_TEXT_MAX + 2)

static const char *document_dir(const struct digest *digest, char buf[STORE_PATH_MAX])
{
	snprintf(buf, STORE_PATH_MAX, "documents/%s", digest_alg_name(digest->alg));
	return buf;
}

static void head_write(const char *media_type, char head[HEAD_MAX + 1])
{
	snprintf(head, HEAD_MAX + 1, DOCUMENT_MAGIC "%016llx %s\n",
		 (unsigned long long)XXH3_64bits(media_type, strlen(media_type)), media_type);
}

/* Split a file in media type and bytes; false when the head is not what head_write makes. */
static bool head_read(struct bytes file, char media_type[128], struct bytes *bytes)
{
	const uint8_t *end = file.n ? memchr(file.p, '\n', min_of(file.n, HEAD_MAX)) : NULL;
	size_t fixed = strlen(DOCUMENT_MAGIC) + 17;
	if (!end || (size_t)(end - file.p) < fixed)
		return false;
	size_t n = (size_t)(end - file.p) - fixed;
	if (n >= 128)
		return false;
	memcpy(media_type, file.p + fixed, n);
	media_type[n] = 0;
	char head[HEAD_MAX + 1];
	head_write(media_type, head);
	*bytes = (struct bytes){end + 1, file.n - (size_t)(end + 1 - file.p)};
	return bytes_equal_str((struct bytes){file.p, (size_t)(end + 1 - file.p)}, head);
}

static bool document_parse(struct bytes file, const struct digest *want, struct document *out)
{
	struct bytes bytes;
	struct document doc = {0};
	if (!head_read(file, doc.media_type, &bytes))
		return false;
	digest_of((enum digest_alg)want->alg, bytes.p, bytes.n, &doc.digest);
	if (!digest_equal(&doc.digest, want) || buf_append(&doc.bytes, bytes.p, bytes.n) != 0)
		return false;
	*out = doc;
	return true;
}

err_t store_document_peek(struct store *s, const struct digest *digest, struct document *out)
{
	BUG_ON(!digest->alg);
	char dir[STORE_PATH_MAX], hex[DIGEST_TEXT_MAX];
	auto_buf struct buf file = {0};
	err_t err = store_read(s, document_dir(digest, dir), digest_hex(digest, hex),
			       HEAD_MAX + DOCUMENT_MAX, &file);
	if (err)
		return err;
	return document_parse(buf_bytes(&file), digest, out) ? 0 : -EBADMSG;
}

static void drop_document(struct store *s, const struct digest *digest)
{
	char dir[STORE_PATH_MAX], hex[DIGEST_TEXT_MAX];
	store_remove(s, document_dir(digest, dir), digest_hex(digest, hex));
}

err_t store_document_get(struct store *s, const struct digest *digest, struct document *out)
{
	char text[DIGEST_TEXT_MAX];
	err_t err = store_document_peek(s, digest, out);
	if (err != -EBADMSG)
		return err;
	log_warn("store.rotten", "store=%s document=%s next=\"removed, will be fetched again\"",
		 s->dir, digest_text(digest, text));
	drop_document(s, digest);
	return -ENOENT;
}

err_t store_document_check(struct store *s, const struct digest *digest, bool repair)
{
	struct document doc;
	err_t err = store_document_peek(s, digest, &doc);
	if (!err)
		document_fini(&doc);
	else if (err == -EBADMSG && repair)
		drop_document(s, digest);
	return err;
}

err_t store_document_put(struct store *s, const struct document *doc)
{
	BUG_ON(!doc->digest.alg);
	char dir[STORE_PATH_MAX], hex[DIGEST_TEXT_MAX], head[HEAD_MAX + 1];
	struct digest found;
	digest_of((enum digest_alg)doc->digest.alg, doc->bytes.p, doc->bytes.n, &found);
	BUG_ON(!digest_equal(&found, &doc->digest));
	head_write(doc->media_type, head);
	const struct bytes parts[] = {BYTES_STR(head), buf_bytes(&doc->bytes)};
	return store_publish(s, document_dir(&doc->digest, dir), digest_hex(&doc->digest, hex),
			     parts, ARRAY_LEN(parts));
}

/* --- tags --- */

/* A reference may hold any byte a file name can not: its hash is the name, its text the content. */
static void tag_name(const char *text, char hex[DIGEST_TEXT_MAX])
{
	struct digest name;
	digest_of(DIGEST_SHA256, text, strlen(text), &name);
	digest_hex(&name, hex);
}

err_t store_tag_put(struct store *s, const char *text, const struct digest *digest)
{
	char name[DIGEST_TEXT_MAX], value[DIGEST_TEXT_MAX];
	tag_name(text, name);
	const struct bytes parts[] = {BYTES_STR(digest_text(digest, value)), BYTES_STR("\n"),
				      BYTES_STR(text), BYTES_STR("\n")};
	return store_publish(s, "tags", name, parts, ARRAY_LEN(parts));
}

err_t store_tag_read(struct store *s, const char *file, struct digest *digest, char **text)
{
	auto_buf struct buf bytes = {0};
	err_t err = store_read(s, "tags", file, TAG_FILE_MAX, &bytes);
	if (err)
		return err;
	const uint8_t *end = bytes.n ? memchr(bytes.p, '\n', bytes.n) : NULL;
	if (!end || bytes.p[bytes.n - 1] != '\n' || end == bytes.p + bytes.n - 1 ||
	    digest_parse((struct bytes){bytes.p, (size_t)(end - bytes.p)}, digest, NULL))
		return -ENOENT;
	*text = xstrndup((const char *)end + 1, (size_t)(bytes.p + bytes.n - end) - 2);
	return 0;
}

err_t store_tag_get(struct store *s, const char *text, struct digest *digest)
{
	char name[DIGEST_TEXT_MAX];
	auto_buf struct buf file = {0};
	tag_name(text, name);
	err_t err = store_read(s, "tags", name, TAG_FILE_MAX, &file);
	if (err)
		return err;
	const uint8_t *end = file.n ? memchr(file.p, '\n', file.n) : NULL;
	size_t n = end ? (size_t)(end - file.p) : 0;
	struct bytes rest = end ? (struct bytes){end + 1, file.n - n - 1} : (struct bytes){NULL, 0};
	if (end && rest.n == strlen(text) + 1 && memcmp(rest.p, text, rest.n - 1) == 0 &&
	    digest_parse((struct bytes){file.p, n}, digest, NULL) == 0)
		return 0;
	log_warn("store.rotten", "store=%s file=tags/%s next=\"removed\"", s->dir, name);
	store_remove(s, "tags", name);
	return -ENOENT;
}
