/*
 * image_path - REF:PATH, a path inside an image as one operand
 *
 * A reference may hold colons itself: host:5000/app:1, oci:DIR:NAME, app@sha256:... The path is
 * absolute, and no reference holds ":/" behind its scheme: so the first ":/" there divides the two.
 */
#ifndef IMGFS_TOOLS_IMAGE_PATH_H
#define IMGFS_TOOLS_IMAGE_PATH_H

#include "index/base.h"

/*
 * image_path_split - divide an operand
 * *reference is the caller's to free, *path points into text, at its '/'. False when there is no
 * path, or no reference in front of it.
 */
bool image_path_split(const char *text, char **reference, const char **path);

#endif
