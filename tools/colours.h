/*
 * colours - how a terminal shows what kind of file a name is: as ls(1) does, and by its LS_COLORS
 */
#ifndef IMGFS_TOOLS_COLOURS_H
#define IMGFS_TOOLS_COLOURS_H

#include "index/base.h"

#include <stdio.h>

/*
 * colours_begin - switch to the colour of a file; colours_end switches back, if it did
 * @name    for the suffixes of LS_COLORS ("*.tar=01;31")
 * @broken  a symlink that leads nowhere
 * Returns whether it wrote anything. Cost: a look through LS_COLORS.
 */
bool colours_begin(FILE *out, uint32_t mode, struct bytes name, bool broken);
void colours_end(FILE *out, bool begun);

#endif
