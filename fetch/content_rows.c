/*
 * What must be there before a read can be taken apart into chunks: the chunk rows of the groups
 * that it touches, where a published index gives them; or the index of a layer for which nothing
 * was published, because it is small. Both travel like chunks do, as flights under a slot of their
 * own, so waiting, deadlines, retries and merged ranges are those of chunks. A small layer is
 * fetched whole, indexed, and kept: its chunks need no further request.
 */
#include "fetch/content_priv.h"

#include "fetch/log.h"

/* Bytes of one request for groups: what comes in a moment, with what lies behind; and a third more
 * with what lies before. */
#define GROUPS_FORWARD_MS  4
#define GROUPS_FORWARD_MIN (96u << 10)
#define GROUPS_FORWARD_MAX (512u << 10)

/* --- the reader's side --- */

/* One thing that is missing, by its flight's key. */
struct need {
	uint32_t slot; /* n_slots + slot */
	uint32_t group;
};

typedef bool (*need_fn)(void *arg, const struct need *need); /* false ends the walk */

static bool groups_needed(struct content *c, uint32_t slot, uint64_t off, uint64_t len,
			  need_fn found, void *arg)
{
	struct chunk_table *table = slot_table(&c->slots[slot]);
	struct need need = {c->n_slots + slot, 0};
	uint32_t last = 0;
	if (table && !chunk_table_groups(table, off, len, &need.group, &last))
		return true;
	for (; need.group <= last; need.group++)
		if ((!table || !chunk_table_recall(table, need.group)) && !found(arg, &need))
			return false;
	return true;
}

/* The bytes of a file that a read wants: its request may be gone while it is being looked at. */
struct wanted {
	uint32_t row;
	uint64_t off, end;
};

/* Everything that a read lacks. */
static void needs_of(struct content *c, struct wanted w, need_fn found, void *arg)
{
	uint64_t off = w.off, end = w.end;
	const struct need look = {c->n_slots, SHARE_LOAD_GROUP};
	if (share_pending(c) && off < end && !found(arg, &look))
		return;
	while (off < end) {
		struct extent run;
		index_extent(c->image->tree, w.row, off, &run);
		uint64_t len = min_of(run.len, end - off);
		if (!run.hole &&
		    !groups_needed(c, c->slot_of_layer[run.layer], run.stream_off, len, found, arg))
			return;
		off += len;
	}
}

static bool count_need(void *arg, const struct need *need)
{
	(void)need;
	++*(size_t *)arg;
	return true;
}

struct joining {
	struct content *c;
	uint8_t *to; /* anything but NULL */
	struct ticket *ticket;
	size_t left; /* parts that the ticket has room for */
	struct leads leads;
};

static bool join_need(void *arg, const struct need *need)
{
	struct joining *j = arg;
	struct flight *lead = NULL;
	struct chunk_data *data = NULL;
	/* A part of no bytes: what arrives is put where everybody finds it. */
	struct part part = {.to = j->to, .off = 0, .n = 0};
	if (j->left-- == 0)
		return false;
	switch (flight_join(j->c->flights, j->ticket, need->slot, need->group, &part, &lead,
			    &data)) {
	case JOIN_WAITS:
		return true;
	case JOIN_LEADS:
		leads_add(j->c, &j->leads, lead);
		return true;
	case JOIN_LANDED:
		chunk_data_put(&data);
		return true;
	case JOIN_FAILED:
		break;
	}
	return false;
}

bool content_rows_wait(struct content *c, struct read_request *r)
{
	const struct wanted w = {r->row, r->off, r->off + r->n};
	size_t n = 0;
	needs_of(c, w, count_need, &n);
	if (n == 0)
		return false;
	struct joining j = {.c = c, .to = r->buf, .left = n};
	trace_waits(c, r, TRACE_NONE, TRACE_NONE);
	r->for_rows = true;
	content_wait_begin(c, r);
	j.ticket = ticket_new(c->flights, n, r, &r->state);
	if (!j.ticket) {
		r->for_rows = false;
		content_read_done(c, r, -EIO);
		return true;
	}
	needs_of(c, w, join_need, &j);
	leads_submit(c, &j.leads);
	ticket_close(c->flights, j.ticket);
	return true;
}

struct ahead_needs {
	struct content *c;
	const struct start *how;
	struct leads leads;
	bool missing;
};

static bool start_need(void *arg, const struct need *need)
{
	struct ahead_needs *a = arg;
	a->missing = true;
	if (!a->how->fetches)
		return true;
	struct flight *f = flight_start(a->c->flights, need->slot, need->group, a->how->priority);
	if (f)
		leads_add(a->c, &a->leads, f);
	return true;
}

bool content_rows_ahead(struct content *c, uint32_t slot, uint64_t off, uint64_t len,
			const struct start *how)
{
	struct ahead_needs a = {.c = c, .how = how};
	groups_needed(c, slot, off, len, start_need, &a);
	leads_submit(c, &a.leads);
	return !a.missing;
}

/* --- the worker's side --- */

void content_rows_job(struct content *c, struct job *job)
{
	const struct slot *slot = &c->slots[job->slot - c->n_slots];
	const struct chunk_table *table = slot_table(slot);
	const struct wire_head *head = table ? chunk_table_head(table) : NULL;
	if (job->chunk >= WORK_GROUP_FIRST) {
		job->alone = true;
		job->blob_off = job->blob_len = 0;
		return;
	}
	job->alone = !head;
	job->blob_off = head ? head->groups[job->chunk].off : 0;
	job->blob_len = head ? head->groups[job->chunk].len : slot->blob_size;
}

static void arrived(struct content *c, struct flight *f)
{
	flight_land(c->flights, f, c->nothing);
	flight_forget(c->flights, f);
}

/* Whether the tree in use speaks of this stream: it may be a published one, and its extents are
 * followed without another look. */
static bool tree_fits(struct content *c, const struct slot *slot, const struct index *ix)
{
	const struct index *tree = c->image->tree;
	for (uint32_t i = 0; i < index_info(tree)->n_layers; i++) {
		struct index_layer layer;
		index_layer(tree, i, &layer);
		if (digest_equal(&layer.blob_digest, &slot->blob_digest) &&
		    layer.stream_size != index_info(ix)->stream_size)
			return false;
	}
	return true;
}

/* Whether the index of a layer can only be had from the source. */
static bool must_fetch(struct content *c, const struct slot *slot)
{
	auto_fd int kept = store_blob_open(c->image->store, &slot->blob_digest, slot->blob_size);
	return kept < 0 && !store_index_there(c->image->store, INDEX_LAYER, &slot->blob_digest);
}

/* The layer's index, from its blob. */
static err_t index_slot(struct content *c, struct slot *slot, struct diag *d)
{
	const struct index *ix;
	bool fetches = must_fetch(c, slot);
	if (fetches)
		content_fetch_begins(c, slot->layer);
	err_t err = image_index_layer(c->image, slot->layer, &ix, d);
	if (fetches)
		content_fetch_ends(c);
	if (err)
		return err;
	if (fetches) {
		board_count(&c->board->fetches, 1);
		content_fetched(c, slot->layer, slot->blob_size);
	}
	if (!tree_fits(c, slot, ix)) {
		content_disprove(c, slot, "its stream has another size");
		return fail(d, ERR_INTEGRITY, -ENOTSUP, "the published tree does not fit it");
	}
	return content_slot_open(c, slot, chunk_table_of_index(ix), d);
}

static void run_index(struct content *c, struct slot *slot, struct flight *f)
{
	struct diag d = DIAG_INIT;
	int64_t from_ms = now_ms();
	bool there = slot_table(slot) != NULL;
	bool fetches =
		!there && !store_index_there(c->image->store, INDEX_LAYER, &slot->blob_digest);
	err_t err = there ? 0 : index_slot(c, slot, &d);
	if (fetches)
		trace_fetched(c, &(struct trace_fetched){.from_ms = from_ms,
							 .bytes = err ? 0 : slot->blob_size,
							 .slot = (uint32_t)(slot - c->slots),
							 .chunk = TRACE_NONE,
							 .who = f->began_as,
							 .flags = TRACE_INDEX |
								  (err ? TRACE_FAILED : 0)});
	if (!err) {
		arrived(c, f);
		content_prove_tree(c);
		return;
	}
	if (err != -ECANCELED) {
		board_failed(c->board, slot->layer, d.text);
		log_warn("layer.not_indexed", "layer=%s reason=\"%s\"", slot->name, d.text);
	}
	if (atomic_load_explicit(&slot->disproved, memory_order_relaxed))
		flight_fail(c->flights, f, -EBADMSG);
	else if (err == -EBADMSG)
		content_refused(c, f);
	else
		content_unreachable(c, f, err);
}

/* A range of a slot's form, into a new buffer. */
static err_t fetch_form(struct content *c, const struct slot *slot, uint64_t off, uint64_t len,
			int64_t deadline_ms, uint8_t **out, struct diag *d)
{
	const struct chunk_table *table = slot_table(slot);
	int64_t from_ms = now_ms();
	*out = try_array(len, 1, WIRE_FORM_MAX);
	if (!*out)
		return fail_sys(d, ERR_OTHER, -ENOMEM, "a part of a published index");
	content_fetch_begins(c, slot->layer);
	err_t err = source_read_range(c->image->source, chunk_table_form(table),
				      chunk_table_head(table)->form_len, off, len, deadline_ms,
				      *out, d);
	content_fetch_ends(c);
	board_count(&c->board->fetches, 1);
	if (!err)
		content_fetched(c, slot->layer, len);
	else if (err != -ECANCELED)
		board_failed(c->board, slot->layer, d->text);
	trace_fetched(c, &(struct trace_fetched){.from_ms = from_ms,
						 .bytes = err ? 0 : len,
						 .slot = (uint32_t)(slot - c->slots),
						 .chunk = TRACE_NONE,
						 .flags = TRACE_INDEX | (err ? TRACE_FAILED : 0)});
	return err;
}

/* One group out of a range that came. */
static void group_came(struct content *c, const struct slot *slot, struct flight *f,
		       struct bytes piece)
{
	struct diag d = DIAG_INIT;
	err_t err = chunk_table_arrive(slot_table(slot), f->job.chunk, piece, &d);
	if (!err) {
		arrived(c, f);
		return;
	}
	if (err == -EBADMSG) {
		board_count(&c->board->refused, 1);
		board_failed(c->board, slot->layer, d.text);
		log_warn("index.refused", "layer=%s group=%u source=%s reason=\"%s\"", slot->name,
			 f->job.chunk, c->image->source->label, d.text);
		content_refused(c, f);
	} else {
		content_unreachable(c, f, err);
	}
}

/* Groups [first, last], and where they lie in the form. */
struct group_span {
	uint32_t first, last;
	uint64_t off, len;
};

static struct group_span span_of(const struct wire_head *h, uint32_t first, uint32_t last)
{
	uint64_t off = h->groups[first].off;
	return (struct group_span){first, last, off,
				   h->groups[last].off + h->groups[last].len - off};
}

/* A round trip for some 20 KiB is a waste on most lines, and who reads here will read beside it:
 * the neighbours that are missing come along. */
static struct group_span widen(const struct content *c, const struct chunk_table *table,
			       struct group_span s)
{
	if (!c->neighbours)
		return s;
	const struct wire_head *h = chunk_table_head(table);
	uint64_t forward =
		max_of(line_bytes_in(c, GROUPS_FORWARD_MS), (uint64_t)GROUPS_FORWARD_MIN);
	forward = min_of(forward, (uint64_t)GROUPS_FORWARD_MAX);
	struct group_span wider;
	while (s.last + 1 < h->n_groups && !chunk_table_has_group(table, s.last + 1) &&
	       (wider = span_of(h, s.first, s.last + 1)).len <= forward)
		s = wider;
	while (s.first > 0 && !chunk_table_has_group(table, s.first - 1) &&
	       (wider = span_of(h, s.first - 1, s.last)).len <= forward + forward / 3)
		s = wider;
	return s;
}

/* The groups of a span that nobody waits for: right or not is found when they are needed. */
static void others_came(struct content *c, const struct slot *slot, const struct group_span *span,
			const uint8_t *bytes)
{
	struct chunk_table *table = slot_table(slot);
	for (uint32_t i = span->first; i <= span->last; i++) {
		const struct wire_part *part = &chunk_table_head(table)->groups[i];
		struct bytes piece = {bytes + (part->off - span->off), part->len};
		struct diag d = DIAG_INIT;
		if (!chunk_table_has_group(table, i) &&
		    chunk_table_arrive(table, i, piece, &d) == -EBADMSG)
			board_count(&c->board->refused, 1);
	}
}

static void fetch_groups(struct content *c, const struct slot *slot, struct flight **flights,
			 size_t n)
{
	struct diag d = DIAG_INIT;
	const struct chunk_table *table = slot_table(slot);
	struct group_span span = widen(
		c, table,
		span_of(chunk_table_head(table), flights[0]->job.chunk, flights[n - 1]->job.chunk));
	auto_free uint8_t *bytes = NULL;
	err_t err = fetch_form(c, slot, span.off, span.len, content_deadline(c, flights, n), &bytes,
			       &d);
	if (err && err != -ECANCELED)
		log_warn("fetch.failed", "layer=%s index=%llu-%llu source=%s reason=\"%s\"",
			 slot->name, (unsigned long long)span.off,
			 (unsigned long long)(span.off + span.len - 1), c->image->source->label,
			 d.text);
	for (size_t i = 0; i < n; i++) {
		const struct job *job = &flights[i]->job;
		if (err)
			content_unreachable(c, flights[i], err);
		else
			group_came(
				c, slot, flights[i],
				(struct bytes){bytes + (job->blob_off - span.off), job->blob_len});
	}
	if (!err)
		others_came(c, slot, &span, bytes);
}

void content_queue_work(struct content *c, uint32_t slot, uint32_t group)
{
	struct flight *f = flight_start(c->flights, c->n_slots + slot, group, PRIORITY_FILL);
	if (!f)
		return;
	content_submit(c, &f, 1);
}

static void run_work(struct content *c, struct slot *slot, struct flight *f)
{
	switch (f->job.chunk) {
	case PROOF_GROUP:
		content_run_proof(c, slot);
		break;
	case PROFILE_SAVE_GROUP:
		record_save(c);
		break;
	case SHARE_LOAD_GROUP: /* may have been queued again before it was done */
		if (share_pending(c)) {
			share_load(c);
			content_go_on_warming(c);
		}
		break;
	case EXPECT_GROUP:
		expect_run(c);
		break;
	default:
		replay_load(c);
		break;
	}
	arrived(c, f);
}

void content_run_rows(struct content *c, struct job **jobs, size_t n)
{
	struct slot *slot = &c->slots[jobs[0]->slot - c->n_slots];
	struct chunk_table *table = slot_table(slot);
	struct flight *wanted[BATCH_MAX];
	size_t n_wanted = 0;
	for (size_t i = 0; i < n; i++) {
		struct flight *f = flight_of(jobs[i]);
		/* Work is done whether somebody waits for it or not. */
		if (f->job.chunk < WORK_GROUP_FIRST && flight_drop_unwanted(c->flights, f))
			continue;
		if (f->job.chunk >= WORK_GROUP_FIRST)
			run_work(c, slot, f);
		else if (!table || !chunk_table_head(table))
			run_index(c, slot, f);
		else if (chunk_table_recall(table, f->job.chunk))
			arrived(c, f);
		else
			wanted[n_wanted++] = f;
	}
	if (n_wanted)
		fetch_groups(c, slot, wanted, n_wanted);
}

err_t content_rows_again(struct content *c, const struct slot *slot, uint32_t chunk)
{
	struct chunk_table *table = slot_table(slot);
	const struct wire_head *head = chunk_table_head(table);
	struct diag d = DIAG_INIT;
	auto_free uint8_t *bytes = NULL;
	if (!head)
		return -EBADMSG;
	uint32_t group = chunk / head->group_chunks;
	const struct wire_part *part = &head->groups[group];
	log_warn("store.rotten", "layer=%s group=%u next=\"fetched again\"", slot->name, group);
	err_t err = fetch_form(c, slot, part->off, part->len, now_ms() + c->budget_ms, &bytes, &d);
	if (!err)
		err = chunk_table_arrive(table, group, (struct bytes){bytes, part->len}, &d);
	if (err)
		log_warn("fetch.failed", "layer=%s group=%u reason=\"%s\"", slot->name, group,
			 d.text);
	return err;
}
