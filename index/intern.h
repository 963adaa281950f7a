/*
 * intern - byte strings kept once, in one buffer that becomes a section
 */
#ifndef IMGFS_INDEX_INTERN_H
#define IMGFS_INDEX_INTERN_H

#include "index/base.h"

/* Zero-initialise; bytes already in `data` before the first add stay in front. Offsets have 32
 * bits. */
struct intern {
	struct buf data;
	struct intern_slot *slots;
	size_t n_slots, n_used;
};

/* intern_add - the offset of equal bytes in data, appended if they are new. -ENOMEM, -E2BIG beyond
 * 4 GiB. */
err_t intern_add(struct intern *in, struct bytes b, uint32_t *off) must_check;
void intern_fini(struct intern *in);

#endif
