/*
 * What the reader's files say about themselves on the board (fetch/board.h). A read that the store
 * answers comes by here twice, for one comparison each; one that waits takes a place where others
 * see it, with its row, its layer, and since when.
 */
#include "fetch/content_priv.h"

/* The layer of the first byte that is not in a hole. */
static uint32_t layer_of(const struct content *c, const struct read_request *r)
{
	for (uint64_t off = r->off; off < r->off + r->n;) {
		struct extent run;
		index_extent(c->image->tree, r->row, off, &run);
		if (!run.hole)
			return c->slots[c->slot_of_layer[run.layer]].layer;
		off += run.len;
	}
	return 0;
}

void content_wait_begin(struct content *c, struct read_request *r)
{
	if (r->wait.since_us) {
		r->wait.kind = BOARD_WAITS_FOR_BYTES;
		board_wait_changed(c->board, r->wait_place, r->wait.kind);
		return;
	}
	r->wait = (struct board_wait){
		.since_us = board_now_us(),
		.off = r->off,
		.n = (uint32_t)min_of(r->n, (size_t)UINT32_MAX),
		.row = r->row,
		.layer = layer_of(c, r),
		.kind = r->for_rows ? BOARD_WAITS_FOR_INDEX : BOARD_WAITS_FOR_BYTES,
	};
	r->wait_place = board_wait_begin(c->board, &r->wait);
}

void content_wait_end(struct content *c, struct read_request *r, err_t err)
{
	if (r->wait.since_us)
		board_wait_end(c->board, r->wait_place, &r->wait, err);
	r->wait.since_us = 0;
}

void content_fetched(struct content *c, uint32_t layer, uint64_t n)
{
	board_count(&c->board->fetched_bytes, n);
	board_count(&c->board->layers[layer].fetched_bytes, n);
}

/* The layer that this thread is fetching: a source does not know for whom it works. */
static _Thread_local uint32_t fetching_layer;

void content_fetch_begins(struct content *c, uint32_t layer)
{
	fetching_layer = layer;
	atomic_fetch_add_explicit(&c->board->n_fetching, 1, memory_order_relaxed);
}

void content_fetch_ends(struct content *c)
{
	atomic_fetch_sub_explicit(&c->board->n_fetching, 1, memory_order_relaxed);
}

void content_trouble(void *arg, const char *text)
{
	struct content *c = arg;
	board_failed(c->board, fetching_layer, text);
}

void content_show_chunks(struct content *c, const struct slot *slot)
{
	struct board_layer *layer = &c->board->layers[slot->layer];
	uint32_t n = chunk_table_info(slot_table(slot))->n_chunks, stored = 0;
	for (uint32_t i = 0; i < n; i++)
		stored += chunk_store_has(slot->chunks, i);
	atomic_fetch_add_explicit(&layer->n_stored, stored, memory_order_relaxed);
	atomic_store_explicit(&layer->n_chunks, n, memory_order_relaxed);
}

void content_show_stored(struct content *c, const struct slot *slot)
{
	atomic_fetch_add_explicit(&c->board->layers[slot->layer].n_stored, 1, memory_order_relaxed);
}
