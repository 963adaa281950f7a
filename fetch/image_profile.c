/*
 * Which profile an image has. Whatever is wrong with one, the image is there without: errors are a
 * word in the log.
 */
#include "fetch/image_profile.h"

#include "fetch/image_priv.h"
#include "fetch/log.h"

#include <string.h>

#define FETCH_PROFILE_MS 10000 /* some ten kilobytes */

const char *profile_origin_name(enum profile_origin o)
{
	static const char *const names[] = {"own", "published", "sibling"};
	BUG_ON((unsigned)o >= ARRAY_LEN(names));
	return names[o];
}

static char *name_of(const struct digest *manifest)
{
	char text[DIGEST_TEXT_MAX];
	return xasprintf("image %s", digest_text(manifest, text));
}

static char *own_name(const struct image *image)
{
	return name_of(&image->digest);
}

static char *repository_name(const struct image *image)
{
	const struct ref *ref = &image->ref;
	if (ref->kind == REF_REGISTRY)
		return xasprintf("repository %s/%s", ref->host, ref->repo);
	return xasprintf("layout %s", ref->dir);
}

static err_t unpack(struct bytes packed, struct buf *text)
{
	struct profile none;
	struct diag d = DIAG_INIT;
	err_t err = profile_unpack(packed, text);
	if (!err)
		err = profile_read(NULL, buf_bytes(text), &none, &d);
	if (err) {
		log_warn("profile.refused", "reason=\"%s\"", *d.text ? d.text : strerror(-err));
		buf_fini(text);
		return err == -ENOMEM ? err : -ENOENT;
	}
	profile_fini(&none);
	return 0;
}

static err_t get_named(struct image *image, char *name, struct buf *text)
{
	auto_free char *owned = name;
	auto_buf struct buf packed = {0};
	err_t err = store_profile_get(image->store, owned, &packed);
	if (err)
		return err;
	err = unpack(buf_bytes(&packed), text);
	if (err == -ENOENT)
		store_profile_drop(image->store, owned);
	return err;
}

static err_t get_published(struct image *image, struct buf *text)
{
	struct diag d = DIAG_INIT;
	auto_buf struct buf packed = {0};
	auto_free char *name = own_name(image);
	if (!image->published || !image->artifact.profile.digest.alg)
		return -ENOENT;
	err_t err = image_fetch_part(image, &image->artifact.profile, "its profile",
				     now_ms() + FETCH_PROFILE_MS, &packed, &d);
	if (err) {
		if (err != -ECANCELED)
			log_info("profile.not_fetched", "reason=\"%s\"", d.text);
		return -ENOENT;
	}
	err = unpack(buf_bytes(&packed), text);
	if (!err && store_profile_put(image->store, name, buf_bytes(&packed)))
		log_info("store.profile_not_kept", "image=%s", name);
	return err;
}

err_t image_profile_get(struct image *image, bool own_only, struct buf *text,
			enum profile_origin *origin)
{
	*origin = PROFILE_OWN;
	err_t err = get_named(image, own_name(image), text);
	if (err != -ENOENT || own_only)
		return err;
	*origin = PROFILE_PUBLISHED;
	err = get_published(image, text);
	if (err != -ENOENT)
		return err;
	*origin = PROFILE_SIBLING;
	return get_named(image, repository_name(image), text);
}

err_t image_profile_put(struct image *image, struct bytes text)
{
	auto_free char *own = own_name(image), *repository = repository_name(image);
	auto_buf struct buf packed = {0};
	err_t err = text.n > PROFILE_TEXT_MAX ? -E2BIG : profile_pack(text, &packed);
	if (!err && packed.n > PROFILE_PACKED_MAX)
		err = -E2BIG;
	if (!err)
		err = store_profile_put(image->store, own, buf_bytes(&packed));
	if (!err)
		err = store_profile_put(image->store, repository, buf_bytes(&packed));
	return err;
}

void image_profile_drop(struct image *image)
{
	auto_free char *own = own_name(image), *repository = repository_name(image);
	store_profile_drop(image->store, own);
	store_profile_drop(image->store, repository);
}

void image_profile_forget(struct store *s, const struct digest *manifest)
{
	auto_free char *name = name_of(manifest);
	store_profile_drop(s, name);
}
