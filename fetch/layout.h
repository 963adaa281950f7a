/*
 * layout - an OCI image layout directory as a source (image-spec image-layout.md)
 */
#ifndef IMGFS_FETCH_LAYOUT_H
#define IMGFS_FETCH_LAYOUT_H

#include "fetch/source.h"

/* layout_source_new - opens the directory and checks `oci-layout`; -ENOENT (ERR_NOT_FOUND),
 * -EBADMSG (ERR_INTEGRITY). */
err_t layout_source_new(const struct ref *ref, struct source **out, struct diag *d) must_check;

/*
 * layout_create - make the directory an OCI image layout without images
 * The directory may be missing (its parent may not), empty, or a layout already, which is left as
 * it is. -ENOTEMPTY (ERR_USAGE) when it holds anything else; -errno (ERR_STORE).
 */
err_t layout_create(const char *dir, struct diag *d) must_check;

/* layout_names_each - fn for the name of every image that has one, each name once, in the order of
 * index.json. Errors of layout_source_new; -EBADMSG. */
typedef void layout_name_fn(void *arg, const char *name);
err_t layout_names_each(const char *dir, layout_name_fn *fn, void *arg, struct diag *d) must_check;

#endif
