/*
 * Profiles (index/profile.h) by a name that the caller makes.
 */
#include "fetch/store_priv.h"

#include "index/profile.h"

static const struct note_kind profiles = {"profiles", "imgfs-profile-1", PROFILE_PACKED_MAX};

err_t store_profile_get(struct store *s, const char *name, struct buf *packed)
{
	return store_note_get(s, &profiles, name, packed);
}

err_t store_profile_put(struct store *s, const char *name, struct bytes packed)
{
	return store_note_put(s, &profiles, name, packed);
}

void store_profile_drop(struct store *s, const char *name)
{
	store_note_drop(s, &profiles, name);
}
