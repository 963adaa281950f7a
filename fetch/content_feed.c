/*
 * Who feeds the queue with what nobody waits for yet: programs (content_loader.c), a profile
 * (content_replay.c), a fill (content_fill.c). Batches end on many workers at once, and each end
 * may have made room.
 */
#include "fetch/content_priv.h"

void feeder_run(struct feeder *f, void (*feed)(struct content *c), struct content *c)
{
	lock_take(&f->lock);
	f->again = true;
	bool mine = !f->busy;
	f->busy = true;
	while (mine && f->again) {
		f->again = false;
		lock_drop(&f->lock);
		feed(c);
		lock_take(&f->lock);
	}
	if (mine)
		f->busy = false;
	lock_drop(&f->lock);
}
