/*
 * dump - an index as text, one line an entry (index/FORMAT.md, "Text form"); golden tests live on
 * it
 */
#ifndef IMGFS_INDEX_DUMP_H
#define IMGFS_INDEX_DUMP_H

#include "index/index.h"

#include <stdio.h>

/* index_dump - write the text form; -EIO when the stream fails, -EBADMSG when a window does not
 * decompress. */
err_t index_dump(const struct index *ix, FILE *out) must_check;

#endif
