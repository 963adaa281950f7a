/*
 * Lists of referrers are read, changed in one place and written again by the JSON library. The
 * strict reader comes first: what it does not take is never written back in another form.
 */
#include "fetch/manifest_referrers.h"

#include "fetch/json.h"

#include <ctype.h>
#include <string.h>

#define TAG_ALG_MAX 32
#define TAG_HEX_MAX 64
#define WRITE_FLAGS (JSON_COMPACT | JSON_REAL_PRECISION(17))

static void append_tag_part(char *tag, const char *part, size_t n)
{
	char *at = tag + strlen(tag);
	for (size_t i = 0; i < n; i++)
		*at++ = isalnum((unsigned char)part[i]) || strchr("_.-", part[i]) ? part[i] : '-';
	*at = 0;
}

char *referrers_tag(const struct digest *subject)
{
	char hex[DIGEST_TEXT_MAX];
	const char *alg = digest_alg_name(subject->alg);
	digest_hex(subject, hex);
	char *tag = xcalloc(TAG_ALG_MAX + 1 + TAG_HEX_MAX + 1, 1);
	append_tag_part(tag, alg, strnlen(alg, TAG_ALG_MAX));
	append_tag_part(tag, "-", 1);
	append_tag_part(tag, hex, strnlen(hex, TAG_HEX_MAX));
	return tag;
}

/* An image index, by content; Go programs write an empty list as null. */
static err_t parse_index(struct bytes json, json_t **root, struct diag *d)
{
	const json_t *list;
	const char *type = NULL;
	err_t err = json_parse_object(json, root, d);
	if (!err)
		err = json_member_string(*root, "mediaType", &type, d);
	if (!err && type && strcmp(type, MEDIA_TYPE_OCI_INDEX) != 0)
		err = fail(d, ERR_INTEGRITY, -EBADMSG, "its media type is %.100s", type);
	if (!err && !json_object_get(*root, "manifests"))
		err = fail(d, ERR_INTEGRITY, -EBADMSG, "it has no \"manifests\"");
	if (!err)
		err = json_member_array(*root, "manifests", &list, d);
	if (err)
		diag_prepend(d, "this is no OCI image index");
	return err;
}

err_t referrers_check(struct bytes json, struct diag *d)
{
	json_auto_t *root = NULL;
	return parse_index(json, &root, d);
}

static bool has_digest(const json_t *entry, const char *digest)
{
	const char *text = json_string_value(json_object_get(entry, "digest"));
	return text && strcmp(text, digest) == 0;
}

bool referrers_list(struct bytes json, const struct digest *digest)
{
	json_auto_t *root = NULL;
	char text[DIGEST_TEXT_MAX];
	digest_text(digest, text);
	if (parse_index(json, &root, NULL))
		return false;
	const json_t *list = json_object_get(root, "manifests");
	for (size_t i = 0; i < json_array_size(list); i++)
		if (has_digest(json_array_get(list, i), text))
			return true;
	return false;
}

/* The caller's descriptor; it must be the one of what is put. */
static err_t parse_descriptor(const struct manifest_put *put, const char *digest, json_t **out,
			      struct diag *d)
{
	json_auto_t *entry = NULL;
	const char *type = NULL;
	uint64_t size = 0;
	err_t err = json_parse_object(BYTES_STR(put->descriptor), &entry, d);
	if (!err)
		err = json_member_string(entry, "mediaType", &type, d);
	if (!err)
		err = json_member_size(entry, "size", INT64_MAX, &size, d);
	if (err) {
		diag_prepend(d, "the descriptor of %s", digest);
		return -EINVAL;
	}
	if (!has_digest(entry, digest) || size != put->content.n || !type ||
	    strcmp(type, put->media_type) != 0)
		return fail(d, ERR_OTHER, -EINVAL, "the descriptor of %s is one of something else",
			    digest);
	*out = take(&entry);
	return 0;
}

/* Remove all entries of the digest; where the first one stood, or the end. */
static size_t remove_entries(json_t *list, const char *digest)
{
	size_t place = SIZE_MAX;
	for (size_t i = 0; i < json_array_size(list);) {
		if (!has_digest(json_array_get(list, i), digest)) {
			i++;
			continue;
		}
		place = min_of(place, i);
		BUG_ON(json_array_remove(list, i) != 0);
	}
	return min_of(place, json_array_size(list));
}

static err_t write_index(const json_t *root, struct buf *out, struct diag *d)
{
	auto_free char *text = json_dumps(root, WRITE_FLAGS);
	if (!text)
		return fail_sys(d, ERR_OTHER, -ENOMEM, "write an image index");
	size_t n = strlen(text);
	if (n > DOCUMENT_MAX)
		return fail(d, ERR_UNSUPPORTED, -E2BIG,
			    "the list of manifests is full: it would have %zu bytes, more than %u",
			    n, DOCUMENT_MAX);
	err_t err = buf_append(out, text, n);
	return err ? fail_sys(d, ERR_OTHER, err, "write an image index") : 0;
}

err_t referrers_merge(struct bytes json, const struct manifest_put *put, enum referrers_place place,
		      struct buf *out, struct diag *d)
{
	json_auto_t *root = NULL, *entry = NULL;
	char digest[DIGEST_TEXT_MAX];
	digest_text(&put->digest, digest);
	err_t err = parse_descriptor(put, digest, &entry, d);
	if (!err)
		err = parse_index(json.n ? json : BYTES_STR(REFERRERS_NONE), &root, d);
	if (err)
		return err;
	if (!json_is_array(json_object_get(root, "manifests")) &&
	    json_object_set_new(root, "manifests", json_array()))
		return fail_sys(d, ERR_OTHER, -ENOMEM, "write an image index");
	json_t *list = json_object_get(root, "manifests");
	size_t at = remove_entries(list, digest);
	if (json_array_insert(list, place == REFERRERS_FIRST ? 0 : at, entry))
		return fail_sys(d, ERR_OTHER, -ENOMEM, "write an image index");
	return write_index(root, out, d);
}

/* "sha256-" and 64 digits: the index under a fallback tag is no image. */
static bool is_fallback_tag(const char *tag)
{
	size_t hex =
		strspn(tag + strcspn(tag, "-") + (strchr(tag, '-') != NULL), "0123456789abcdef");
	return !strncmp(tag, "sha", 3) && strchr(tag, '-') && hex == 64;
}

err_t tags_parse(struct bytes json, char **tags, size_t max, size_t *n, struct diag *d)
{
	json_auto_t *root = NULL;
	const json_t *list = NULL;
	*n = 0;
	err_t err = json_parse_object(json, &root, d);
	if (!err)
		err = json_member_array(root, "tags", &list, d);
	for (size_t i = 0; !err && i < json_array_size(list) && *n < max; i++) {
		const char *tag = json_string_value(json_array_get(list, i));
		if (tag && !is_fallback_tag(tag))
			tags[(*n)++] = xstrdup(tag);
	}
	return err;
}
