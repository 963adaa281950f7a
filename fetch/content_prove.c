/*
 * The full pass: a layer that is read by a published index is proven once all of its chunks are
 * here. Its stream is hashed and compared with the DiffID, which the image's manifest vouches for;
 * its tree is built again out of the stream; and both together with the chunk rows must be, bit for
 * bit, the index that the publisher named. If not, the publisher has lied, or published something
 * broken: the layer is not served any more, and the log says so at the highest level. When all
 * layers are proven they are merged, and the merged tree is judged in the same way.
 *
 * What is proven so is every byte and every name. What is not is how the blob was cut: the blob was
 * never seen whole. So nothing of it moves to where this machine's own indexes are, which others
 * may be given; `imgfs index verify` reads the blob and does that.
 *
 * It runs as the least urgent job of one worker, and looks for the end of the content often.
 */
#include "fetch/content_priv.h"

#include "fetch/log.h"
#include "index/layer_build.h"
#include "index/layer_write.h"
#include "index/merge.h"

#include <malloc.h>
#include <string.h>
#include <unistd.h>

#define PROOF_AGAIN_MS 10000
#define BUSY_MS	       20 /* a reader that came within this time is still at it */
#define PROOFS_MAX     3  /* on a disk that rots under our hands */

/* --- states --- */

void content_show_state(struct content *c, const struct slot *slot, enum layer_state state)
{
	uint32_t n = c->layer_states ? index_info(c->image->tree)->n_layers : 0;
	for (uint32_t i = 0; i < n; i++)
		if (digest_equal(&c->image->manifest.layers[i].desc.digest, &slot->blob_digest))
			atomic_store_explicit(&c->layer_states[i], (uint8_t)state,
					      memory_order_relaxed);
}

bool content_is_disproved(struct content *c, uint32_t row)
{
	if (!atomic_load_explicit(&c->any_disproved, memory_order_relaxed))
		return false;
	struct inode inode;
	index_inode(c->image->tree, row, &inode);
	for (uint64_t off = 0; off < inode.size;) {
		struct extent run;
		index_extent(c->image->tree, row, off, &run);
		if (!run.hole &&
		    atomic_load_explicit(&c->slots[c->slot_of_layer[run.layer]].disproved,
					 memory_order_relaxed))
			return true;
		off += run.len;
	}
	return false;
}

void content_disprove(struct content *c, struct slot *slot, const char *why)
{
	char text[DIGEST_TEXT_MAX];
	atomic_store_explicit(&slot->disproved, true, memory_order_relaxed);
	atomic_store_explicit(&c->any_disproved, true, memory_order_relaxed);
	content_show_state(c, slot, LAYER_DISPROVED);
	log_error("layer.disproved",
		  "layer=%s index=%s reason=\"%s\" next=\"its files are not served any more; "
		  "unmount, and mount again: the index is rejected from now on\"",
		  slot->name, digest_text(&c->image->artifact_digest, text), why);
	image_reject_index(c->image);
}

/* --- one layer --- */

/* The sections CHUNKS and WINDOWS, from the groups. */
static err_t sections_of(const struct chunk_table *table, struct buf *chunks, struct buf *windows)
{
	const struct wire_head *head = chunk_table_head(table);
	err_t err = 0;
	for (uint32_t group = 0; group < head->n_groups && !err; group++) {
		uint32_t first = group * head->group_chunks, n = wire_group_len(head, group);
		uint64_t len = 0;
		for (uint32_t i = 0; i < n && !err; i++) {
			struct chunk row;
			chunk_table_get(table, first + i, &row);
			len += row.window_len;
			if (row.window_len)
				row.window_off += windows->n;
			err = layer_write_chunk(chunks, &row);
		}
		auto_buf struct buf own = {0};
		if (!err)
			err = chunk_table_group_windows(table, group, &own);
		if (!err)
			err = own.n == len ? buf_append(windows, own.p, own.n) : -EBADMSG;
	}
	return err;
}

/* Readers first: as long as somebody reads, a chunk at a time. */
static void make_way(struct content *c)
{
	if (now_ms() - atomic_load_explicit(&c->read_ms, memory_order_relaxed) < BUSY_MS)
		usleep(BUSY_MS / 2 * 1000);
}

/* All of the stream through the tree builder: 0, -ENOENT (a chunk is not stored any more),
 * -ECANCELED, -EBADMSG. */
static err_t feed_stream(struct content *c, const struct slot *slot, struct layer_build *build,
			 struct diag *d)
{
	const struct chunk_table *table = slot_table(slot);
	auto_free uint8_t *bytes = malloc(CHUNK_STREAM_MAX);
	err_t err = bytes ? 0 : -ENOMEM;
	for (uint32_t i = 0; i < chunk_table_info(table)->n_chunks && !err; i++) {
		struct chunk row;
		make_way(c);
		if (atomic_load_explicit(&c->stopping, memory_order_relaxed))
			return -ECANCELED;
		chunk_table_get(table, i, &row);
		/* Rot since its first touch is no lie of the publisher's. */
		err = chunk_store_read_again(slot->chunks, i, bytes);
		if (!err)
			err = layer_build_feed_stream(build, bytes, row.stream_len, d);
	}
	return err;
}

/* The layer's whole index, built from its stream and its rows. */
static err_t rebuild(struct content *c, const struct slot *slot, struct buf *out, struct diag *d)
{
	const struct chunk_table *table = slot_table(slot);
	auto_buf struct buf chunks = {0}, windows = {0};
	struct layer_build *build = layer_build_stream(chunk_table_info(table)->diff_id.alg);
	err_t err = feed_stream(c, slot, build, d);
	/* Windows that have rotted on disk are no lie of the publisher's. */
	if (!err && sections_of(table, &chunks, &windows))
		err = -ENOENT;
	if (!err)
		err = layer_build_finish_stream(build, chunk_table_info(table), buf_bytes(&chunks),
						buf_bytes(&windows), out, d);
	layer_build_free(&build);
	return err;
}

static err_t compare(const struct chunk_table *table, struct bytes file, struct diag *d)
{
	const struct wire_head *head = chunk_table_head(table);
	struct index *ix = NULL;
	struct digest canonical;
	err_t err = index_open_bytes(file, &ix, d);
	if (err)
		return err;
	err = index_canonical_digest(ix, &canonical);
	bool same = !memcmp(canonical.b, head->canonical, sizeof(head->canonical)) &&
		    index_table_xxh3(ix) == head->table_xxh3;
	index_close(&ix);
	if (err)
		return err;
	return same ? 0
		    : fail(d, ERR_INTEGRITY, -EBADMSG,
			   "the layer gives another index than the published one");
}

/* Every group's rows are in memory, or can be taken from the store. */
static bool groups_are_here(struct chunk_table *table)
{
	for (uint32_t i = 0; i < chunk_table_head(table)->n_groups; i++)
		(void)chunk_table_recall(table, i);
	return chunk_table_whole(table);
}

static void proven(struct content *c, struct slot *slot, struct bytes file)
{
	const struct chunk_table *table = slot_table(slot);
	err_t err = store_published_index_put(c->image->store, chunk_table_form(table), file);
	if (err)
		log_warn("store.index_not_kept", "reason=\"%s\"", strerror(-err));
	content_show_state(c, slot, LAYER_PROVEN);
	log_info("layer.proven", "layer=%s", slot->name);
	atomic_store_explicit(&slot->proven, true, memory_order_relaxed);
}

/* Small layers that nobody has touched are all that stands between the proven ones and a proven
 * tree: they are worth their few requests then. */
static void index_the_rest(struct content *c)
{
	for (uint32_t i = 0; i < c->n_slots; i++) {
		const struct slot *slot = &c->slots[i];
		const struct chunk_table *table = slot_table(slot);
		if (table && chunk_table_form(table) &&
		    !atomic_load_explicit(&slot->proven, memory_order_relaxed))
			return;
	}
	for (uint32_t i = 0; i < c->n_slots; i++) {
		struct flight *f =
			slot_table(&c->slots[i])
				? NULL
				: flight_start(c->flights, c->n_slots + i, 0, PRIORITY_FILL);
		if (!f)
			continue;
		content_submit(c, &f, 1);
	}
}

/* Rot was found, and dropped: the proof goes on when the bytes have come once more. */
static void fetch_again(struct content *c, struct slot *slot)
{
	struct leads leads = {.n = 0};
	uint32_t number = (uint32_t)(slot - c->slots);
	if (atomic_fetch_add_explicit(&slot->proofs, 1, memory_order_relaxed) >= PROOFS_MAX)
		return;
	atomic_store_explicit(&slot->next_proof_ms, 0, memory_order_relaxed);
	for (uint32_t i = 0; i < chunk_table_info(slot_table(slot))->n_chunks; i++) {
		struct flight *f = chunk_store_has(slot->chunks, i)
					   ? NULL
					   : flight_start(c->flights, number, i, PRIORITY_FILL);
		if (!f)
			continue;
		leads_add(c, &leads, f);
	}
	leads_submit(c, &leads);
}

static void prove(struct content *c, struct slot *slot)
{
	struct chunk_table *table = slot_table(slot);
	struct diag d = DIAG_INIT;
	auto_buf struct buf file = {0};
	if (!groups_are_here(table) || !chunk_store_complete(slot->chunks))
		return;
	err_t err = rebuild(c, slot, &file, &d);
	if (!err)
		err = compare(table, buf_bytes(&file), &d);
	if (!err) {
		proven(c, slot, buf_bytes(&file));
		index_the_rest(c);
		content_prove_tree(c);
	} else if (err == -EBADMSG || err == -ENOTSUP) {
		content_disprove(c, slot, d.text);
	} else {
		log_info("layer.not_proven", "layer=%s error=%d", slot->name, -err);
		if (err == -ENOENT)
			fetch_again(c, slot);
	}
}

void content_run_proof(struct content *c, struct slot *slot)
{
	if (chunk_table_form(slot_table(slot)) &&
	    !atomic_load_explicit(&slot->proven, memory_order_relaxed))
		prove(c, slot);
	else
		content_prove_tree(c);
	/* It has built a tree, and a heap that nobody trims would keep its memory. */
	malloc_trim(0);
}

void content_prove_soon(struct content *c, uint32_t number)
{
	struct slot *slot = &c->slots[number];
	if (!chunk_table_form(slot_table(slot)) ||
	    atomic_load_explicit(&slot->proven, memory_order_relaxed) ||
	    atomic_load_explicit(&slot->disproved, memory_order_relaxed) ||
	    !chunk_store_complete(slot->chunks))
		return;
	/* One that came to nothing, because of rot, say, is not tried at each read. */
	int64_t now = now_ms();
	int64_t next = atomic_load_explicit(&slot->next_proof_ms, memory_order_relaxed);
	if (now >= next && atomic_compare_exchange_strong_explicit(
				   &slot->next_proof_ms, &next, now + PROOF_AGAIN_MS,
				   memory_order_relaxed, memory_order_relaxed))
		content_queue_work(c, number, PROOF_GROUP);
}

void content_prove_what_is_here(struct content *c)
{
	if (!c->image->published)
		return;
	atomic_store_explicit(&c->read_ms, now_ms(), memory_order_relaxed);
	if (atomic_load_explicit(&c->looked, memory_order_relaxed) ||
	    atomic_exchange_explicit(&c->looked, true, memory_order_relaxed))
		return;
	bool all = true;
	uint32_t any = c->n_slots; /* a slot whose flight may stand for the tree's proof */
	for (uint32_t i = 0; i < c->n_slots; i++) {
		struct slot *slot = &c->slots[i];
		const struct chunk_table *table = slot_table(slot);
		bool proven = table && (!chunk_table_form(table) ||
					atomic_load_explicit(&slot->proven, memory_order_relaxed));
		all = all && (proven ||
			      store_index_there(c->image->store, INDEX_LAYER, &slot->blob_digest));
		if (table && !proven)
			content_prove_soon(c, i);
		if (table)
			any = i;
	}
	if (all && any < c->n_slots)
		content_queue_work(c, any, PROOF_GROUP);
}

/* --- the merged tree --- */

/* The proven index of every layer, or false: built here, or given by the layer's whole stream. */
static bool load_proven(struct content *c, struct index **layers, uint32_t n)
{
	struct store *store = c->image->store;
	for (uint32_t i = 0; i < n; i++) {
		const struct layer_desc *layer = &c->image->manifest.layers[i];
		struct index_layer_head head;
		if (!store_index_get(store, INDEX_LAYER, &layer->desc.digest, &layers[i]))
			continue;
		if (!index_layer_head(c->image->tree, i, &head) ||
		    store_published_index_get(store, INDEX_LAYER, &head.form, &layers[i]) ||
		    !digest_equal(&index_info(layers[i])->blob_digest, &layer->desc.digest))
			return false;
	}
	return true;
}

static void judge_tree(struct content *c, struct index *const *layers, uint32_t n)
{
	struct diag d = DIAG_INIT;
	struct index *merged = NULL;
	auto_buf struct buf file = {0};
	err_t err = merge_layers((const struct index *const *)layers, n, &file, &d);
	if (!err)
		err = index_open_bytes(buf_bytes(&file), &merged, &d);
	if (!err && index_same_tree(merged, c->image->tree)) {
		atomic_store_explicit(&c->tree_proven, true, memory_order_relaxed);
		log_info("tree.proven", "layers=%u", n);
	} else if (!err || err == -EBADMSG) {
		for (uint32_t i = 0; i < c->n_slots; i++)
			content_disprove(c, &c->slots[i],
					 "the layers give another tree than the published one");
	}
	index_close(&merged);
}

void content_prove_tree(struct content *c)
{
	uint32_t n = c->image->published ? index_info(c->image->tree)->n_layers : 0;
	if (n == 0 || atomic_load_explicit(&c->tree_proven, memory_order_relaxed))
		return;
	/* One at a time; a second comes to the same result. */
	if (atomic_exchange_explicit(&c->judging, true, memory_order_acquire))
		return;
	struct index **layers = xcalloc(n, sizeof(*layers));
	if (load_proven(c, layers, n))
		judge_tree(c, layers, n);
	for (uint32_t i = 0; i < n; i++)
		index_close(&layers[i]);
	free(layers);
	atomic_store_explicit(&c->judging, false, memory_order_release);
}
