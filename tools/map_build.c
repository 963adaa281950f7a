/*
 * The layers of a map: where each chunk lies in its blob, and whether the store has it. Chunks of
 * one huge frame share the frame's place, and of a published index not all rows may be here:
 * between the places that are known, a chunk lies in proportion to the stream.
 */
#include "tools/map.h"

#include "fetch/chunk_table.h"

#include <string.h>
#include <unistd.h>

#define CHUNKS_MAX (64u << 20) /* of a layer: 1 TiB in the smallest chunks */

uint32_t map_layer_at(const struct map *m, uint32_t image_layer)
{
	BUG_ON(image_layer >= m->image->manifest.n_layers);
	return m->layer_of[image_layer];
}

uint32_t map_chunk_at(const struct map_layer *l, uint64_t stream_off)
{
	uint32_t low = 0, high = l->n_chunks;
	BUG_ON(l->n_chunks == 0);
	while (low + 1 < high) {
		uint32_t mid = low + (high - low) / 2;
		if (l->chunks[mid].stream_off <= stream_off)
			low = mid;
		else
			high = mid;
	}
	return low;
}

/* --- places --- */

#define UNKNOWN UINT64_MAX

/* The places of chunks [from, to) between two that are known. */
static void interpolate(struct map_layer *l, uint32_t from, uint32_t to, uint64_t begin,
			uint64_t end)
{
	uint64_t stream = l->chunks[from].stream_off;
	uint64_t stream_end = to < l->n_chunks ? l->chunks[to].stream_off : l->stream_size;
	double each =
		stream_end > stream ? (double)(end - begin) / (double)(stream_end - stream) : 0;
	for (uint32_t i = from; i < to; i++)
		l->chunks[i].at =
			begin + (uint64_t)(each * (double)(l->chunks[i].stream_off - stream));
}

/* After this each chunk begins where the one before it ends. */
static void place_chunks(struct map_layer *l)
{
	uint32_t from = 0;
	uint64_t begin = 0;
	for (uint32_t i = 1; i <= l->n_chunks; i++) {
		uint64_t at = i < l->n_chunks ? l->chunks[i].at : l->blob_size;
		bool known = at != UNKNOWN && at > begin && at <= l->blob_size;
		if (!known && i < l->n_chunks)
			continue;
		interpolate(l, from, i, begin, max_of(at, begin));
		from = i;
		begin = max_of(at, begin);
	}
	for (uint32_t i = 0; i < l->n_chunks; i++) {
		uint64_t end = i + 1 < l->n_chunks ? l->chunks[i + 1].at : l->blob_size;
		l->chunks[i].len = (uint32_t)min_of(end - l->chunks[i].at, (uint64_t)UINT32_MAX);
	}
}

/* Chunks of a group whose rows are not here: as if they were all of one size. */
static void guess_group(struct map_layer *l, const struct wire_head *h, uint32_t chunk)
{
	uint32_t group = chunk / h->group_chunks, first = group * h->group_chunks;
	uint32_t n = wire_group_len(h, group);
	uint64_t begin = h->stream_offs[group];
	uint64_t end = group + 1 < h->n_groups ? h->stream_offs[group + 1] : l->stream_size;
	uint64_t at = begin + (end - begin) / n * (chunk - first);
	uint64_t next = chunk + 1 == first + n ? end : at + (end - begin) / n;
	l->chunks[chunk].stream_off = at;
	l->chunks[chunk].stream_len = (uint32_t)min_of(next - at, (uint64_t)UINT32_MAX);
	l->chunks[chunk].at = UNKNOWN;
}

static void take_row(struct map_layer *l, const struct chunk_table *table, uint32_t chunk)
{
	struct chunk row;
	if (!chunk_table_has_chunk(table, chunk)) {
		guess_group(l, chunk_table_head(table), chunk);
		return;
	}
	chunk_table_get(table, chunk, &row);
	l->chunks[chunk].stream_off = row.stream_off;
	l->chunks[chunk].stream_len = row.stream_len;
	l->chunks[chunk].at = row.blob_off;
}

/* --- what is here --- */

/* The rows of groups that the store has. */
static void recall_rows(struct chunk_table *table)
{
	const struct wire_head *h = chunk_table_head(table);
	for (uint32_t i = 0; h && i < h->n_groups; i++)
		(void)chunk_table_recall(table, i);
}

static err_t take_stored(struct store *s, struct map_layer *l, const struct chunk_table *table,
			 struct diag *d)
{
	struct chunk_store *chunks = NULL;
	if (chunk_store_there(s, table)) {
		err_t err = chunk_store_open(s, table, &chunks, d);
		if (err)
			return err;
	}
	for (uint32_t i = 0; i < l->n_chunks; i++) {
		struct map_chunk *c = &l->chunks[i];
		c->stored = l->kept || (chunks && chunk_store_has(chunks, i));
		l->stored_bytes += c->stored ? c->len : 0;
	}
	chunk_store_close(&chunks);
	return 0;
}

static err_t take_table(struct store *s, struct map_layer *l, struct chunk_table *table,
			struct diag *d)
{
	const struct index_info *info = chunk_table_info(table);
	l->stream_size = info->stream_size;
	l->n_chunks = info->n_chunks;
	l->chunks = try_array(max_of(l->n_chunks, 1u), sizeof(*l->chunks), CHUNKS_MAX);
	if (!l->chunks)
		return fail_sys(d, ERR_OTHER, -ENOMEM, "a layer of %u chunks", l->n_chunks);
	l->known = l->n_chunks != 0;
	recall_rows(table);
	for (uint32_t i = 0; i < l->n_chunks; i++)
		take_row(l, table, i);
	if (l->n_chunks)
		place_chunks(l);
	return take_stored(s, l, table, d);
}

static err_t table_of(const struct image *image, uint32_t layer, struct chunk_table **out,
		      struct diag *d)
{
	struct index_layer_head head;
	*out = NULL;
	if (image->layers[layer])
		*out = chunk_table_of_index(image->layers[layer]);
	else if (index_layer_head(image->tree, layer, &head))
		return chunk_table_of_head(image->store, &head, out, d);
	return 0;
}

static err_t load_layer(const struct image *image, uint32_t number, struct map_layer *l,
			struct diag *d)
{
	const struct descriptor *desc = &image->manifest.layers[number].desc;
	struct chunk_table *table;
	char hex[DIGEST_TEXT_MAX];
	*l = (struct map_layer){.number = number, .blob = desc->digest, .blob_size = desc->size};
	memcpy(l->name, digest_hex(&desc->digest, hex), sizeof(l->name) - 1);
	int fd = store_blob_open(image->store, &desc->digest, desc->size);
	l->kept = fd >= 0;
	cleanup_fd(&fd);
	err_t err = table_of(image, number, &table, d);
	if (!err && table)
		err = take_table(image->store, l, table, d);
	else if (!err && l->kept)
		l->stored_bytes = l->blob_size;
	chunk_table_free(&table);
	return err;
}

err_t map_load(struct image *image, struct map *m, struct diag *d)
{
	const struct manifest *manifest = &image->manifest;
	err_t err = 0;
	*m = (struct map){.image = image, .origin = MAP_NOTHING};
	m->reference = ref_text(&image->ref);
	m->layers = xcalloc(manifest->n_layers + 1, sizeof(*m->layers));
	m->layer_of = xcalloc(manifest->n_layers + 1, sizeof(*m->layer_of));
	for (uint32_t i = 0; i < manifest->n_layers && !err; i++) {
		uint32_t first = (uint32_t)manifest_first(manifest, i);
		m->layer_of[i] = first == i ? m->n_layers : m->layer_of[first];
		if (first != i)
			continue;
		struct map_layer *l = &m->layers[m->n_layers++];
		err = load_layer(image, i, l, d);
		m->size += l->blob_size;
		m->stored_bytes += l->stored_bytes;
	}
	return err;
}

/* --- the end --- */

void map_fini(struct map *m)
{
	for (uint32_t i = 0; i < m->n_layers; i++) {
		free(m->layers[i].chunks);
		free(m->layers[i].mostly);
	}
	for (size_t i = 0; i < m->n_files; i++)
		free((void *)(uintptr_t)m->files[i].path.p);
	for (size_t i = 0; i < m->n_dirs; i++)
		free((void *)(uintptr_t)m->dirs[i].path.p);
	free(m->layers);
	free(m->layer_of);
	free(m->files);
	free(m->dirs);
	free(m->fetches);
	free(m->waits);
	free(m->reference);
	free(m->mountpoint);
	*m = (struct map){0};
}
