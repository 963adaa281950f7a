/*
 * Counters of long work. Each is atomic by itself and none decides on anything, so a reader may see
 * one that is a moment older than the other.
 */
#include "fetch/progress.h"

static void set_state(struct progress_row *row, enum progress_state state)
{
	atomic_store_explicit(&row->state, (uint8_t)state, memory_order_relaxed);
}

void progress_expect(struct progress *p, size_t row, uint64_t total)
{
	if (!p || row >= ARRAY_LEN(p->rows))
		return;
	atomic_store_explicit(&p->rows[row].done, 0, memory_order_relaxed);
	atomic_store_explicit(&p->rows[row].total, total, memory_order_relaxed);
	set_state(&p->rows[row], PROGRESS_WAITING);
}

void progress_start(struct progress *p, size_t row, uint64_t total)
{
	if (!p || row >= ARRAY_LEN(p->rows))
		return;
	progress_expect(p, row, total);
	set_state(&p->rows[row], PROGRESS_RUNNING);
}

void progress_add(struct progress *p, size_t row, uint64_t n)
{
	if (p && row < ARRAY_LEN(p->rows))
		atomic_fetch_add_explicit(&p->rows[row].done, n, memory_order_relaxed);
}

void progress_finish(struct progress *p, size_t row)
{
	if (!p || row >= ARRAY_LEN(p->rows))
		return;
	struct progress_row *r = &p->rows[row];
	atomic_store_explicit(&r->done, atomic_load_explicit(&r->total, memory_order_relaxed),
			      memory_order_relaxed);
	set_state(r, PROGRESS_DONE);
}
