/*
 * layout_priv - what the reading and the writing side of a layout share
 */
#ifndef IMGFS_FETCH_LAYOUT_PRIV_H
#define IMGFS_FETCH_LAYOUT_PRIV_H

#include "fetch/layout.h"

#include <stdatomic.h>

struct layout_source {
	struct source base;
	int dir_fd;
	atomic_bool interrupted;
};

static inline struct layout_source *layout_of(struct source *s)
{
	return (struct layout_source *)s;
}

err_t layout_check_interrupt(struct layout_source *s, struct diag *d) must_check;
/* layout_open_regular - a regular file below dir_fd; nothing else is waited for or followed.
 * -errno. */
int layout_open_regular(int dir_fd, const char *name, uint64_t *size);
/* layout_open_dir - a directory below dir_fd, not through a symbolic link. -errno. */
int layout_open_dir(int dir_fd, const char *name);
/* layout_read_named - a named file of the layout itself. */
err_t layout_read_named(struct layout_source *s, const char *name, struct buf *out,
			struct diag *d) must_check;

err_t layout_referrers(struct source *s, const struct ref *ref, const struct digest *subject,
		       const char *artifact_type, referrers_page_fn page, void *arg,
		       struct diag *d);
err_t layout_blob_put(struct source *s, const struct digest *digest, struct bytes content,
		      bool *was_there, struct diag *d);
err_t layout_manifest_put(struct source *s, const struct manifest_put *put, struct diag *d);

#endif
