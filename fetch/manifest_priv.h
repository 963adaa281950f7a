/*
 * manifest_priv - what the files behind manifest.h, and the layout source, share
 */
#ifndef IMGFS_FETCH_MANIFEST_PRIV_H
#define IMGFS_FETCH_MANIFEST_PRIV_H

#include "fetch/manifest.h"

#define LAYER_SIZE_MAX (UINT64_C(1) << 47) /* offsets in a blob have 48 bits in an index */

enum media_class {
	MEDIA_UNSTATED, /* none, or one that says nothing */
	MEDIA_INDEX,
	MEDIA_IMAGE,
	MEDIA_CONFIG,
	MEDIA_LAYER,
	MEDIA_ENCRYPTED,
	MEDIA_SCHEMA1,
	MEDIA_OTHER,
};
enum media_class media_class_of(const char *type);

/*
 * platform_set - from three texts of a document, each may be NULL; normalised
 * False when one is too long or holds characters that no platform has; *out is then all "unknown".
 */
bool platform_set(struct platform *out, const char *os, const char *arch, const char *variant);

/* One entry of an image index. */
struct index_entry {
	struct descriptor desc; /* set only where is_image */
	struct platform platform;
	bool is_image; /* an image or a nested index; not an artifact, an attestation, or unknown */
	char *ref_name; /* annotation org.opencontainers.image.ref.name, or NULL; owned */
};
struct index_entries {
	struct index_entry *entries; /* in the document's order; owned */
	size_t n;
};
/* index_entries_parse - errors as manifest_choose, but for -ENOENT; out needs fini on success only.
 */
err_t index_entries_parse(const struct document *index, struct index_entries *out,
			  struct diag *d) must_check;
void index_entries_fini(struct index_entries *e);

/* layout_file_check - the content of an `oci-layout` file (image-spec image-layout.md); -EBADMSG,
 * -ENOTSUP. */
err_t layout_file_check(struct bytes text, struct diag *d) must_check;

#endif
