/*
 * complete_image - candidates that are not in tables: references, paths inside images, layouts,
 * mount points
 *
 * Nothing of this asks the network, makes a store, or says what went wrong: there is no candidate
 * then.
 */
#ifndef IMGFS_TOOLS_COMPLETE_IMAGE_H
#define IMGFS_TOOLS_COMPLETE_IMAGE_H

#include "tools/cli.h"
#include "tools/complete_out.h"

/* complete_references - those that the store has seen, in the shortest form that begins as it was
 * typed; and layouts behind "oci:". suffix follows each: ":" where a path will stand behind it. */
void complete_references(struct completion *c, const struct common_options *common,
			 const char *suffix);

/* complete_digests - of the images of the store, as few digits as `imgfs store ls` shows; with
 * "sha256:" for who begins so. Cost: reads every document of the store. */
void complete_digests(struct completion *c, const struct common_options *common);

/*
 * complete_paths - files of an image whose tree is in the store
 * The part that is completed is a path; directories end in "/". Names with a dot in front are for
 * who types the dot.
 */
void complete_paths(struct completion *c, const struct common_options *common,
		    const char *reference);

/* complete_mounts - where images are mounted. */
void complete_mounts(struct completion *c);

#endif
