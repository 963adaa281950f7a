/*
 * The files of a map: which were read, how much of them, and how long readers of each waited; the
 * same by directory; and which directory is most of a layer. A chunk holds many small files, so
 * whether one was read is known from the trace's bit for the file, and how much of it from its
 * chunks.
 */
#include "tools/map.h"

#include <string.h>

#define DIR_DEPTH   3 /* /usr/lib/python3 */
#define LABEL_DEPTH 3

/* --- sums by key --- */

struct sum {
	uint64_t key; /* layer << 32 | directory, or a directory */
	uint64_t bytes;
};

static int by_key(const void *a, const void *b)
{
	const struct sum *x = a, *y = b;
	return (x->key > y->key) - (x->key < y->key);
}

/* One entry for each key; returns their number. */
static size_t add_up(struct sum *sums, size_t n)
{
	size_t kept = 0;
	if (n)
		qsort(sums, n, sizeof(*sums), by_key);
	for (size_t i = 0; i < n; i++) {
		if (kept && sums[kept - 1].key == sums[i].key)
			sums[kept - 1].bytes += sums[i].bytes;
		else
			sums[kept++] = sums[i];
	}
	return kept;
}

static char *path_text(const struct map_names *names, uint32_t row)
{
	auto_buf struct buf path = {0};
	if (map_path_of(names, row, &path) || buf_append(&path, "", 1))
		return NULL;
	return xstrdup((const char *)path.p);
}

err_t map_label_layers(struct map *m, const struct map_names *names)
{
	const struct index *tree = m->image->tree;
	const struct index_info *info = index_info(tree);
	auto_free struct sum *sums = try_array(info->n_regular + 1, sizeof(*sums), UINT32_MAX);
	size_t n = 0;
	if (!sums)
		return -ENOMEM;
	for (uint32_t row = info->n_dirs; row < info->n_dirs + info->n_regular; row++) {
		struct inode inode;
		struct extent run;
		index_inode(tree, row, &inode);
		if (inode.size == 0)
			continue;
		index_extent(tree, row, 0, &run);
		uint64_t layer = run.hole ? 0 : map_layer_at(m, run.layer);
		sums[n++] =
			(struct sum){layer << 32 | map_dir_of(names, row, LABEL_DEPTH), inode.size};
	}
	n = add_up(sums, n);
	for (size_t i = 0, best = 0; i < n; i++) {
		if (sums[i].key >> 32 != sums[best].key >> 32 || sums[i].bytes > sums[best].bytes)
			best = i;
		if (i + 1 == n || sums[i + 1].key >> 32 != sums[i].key >> 32)
			m->layers[sums[i].key >> 32].mostly =
				path_text(names, (uint32_t)sums[best].key);
	}
	return 0;
}

/* --- which files --- */

static uint64_t read_of_run(const struct map_layer *l, uint64_t from, uint64_t to)
{
	uint64_t sum = 0;
	for (uint32_t i = l->known ? map_chunk_at(l, from) : 0; i < l->n_chunks; i++) {
		const struct map_chunk *c = &l->chunks[i];
		if (c->stream_off >= to)
			break;
		uint64_t begin = max_of(from, c->stream_off);
		uint64_t end = min_of(to, c->stream_off + c->stream_len);
		if (c->read && begin < end)
			sum += end - begin;
	}
	return sum;
}

/* Size, layer, and the bytes in chunks that were read. */
static void measure(const struct map *m, struct map_file *f)
{
	const struct index *tree = m->image->tree;
	struct inode inode;
	index_inode(tree, f->row, &inode);
	f->size = inode.size;
	f->layer = MAP_NONE;
	for (uint64_t off = 0; off < inode.size;) {
		struct extent run;
		index_extent(tree, f->row, off, &run);
		uint64_t len = min_of(run.len, inode.size - off);
		if (!run.hole) {
			uint32_t layer = map_layer_at(m, run.layer);
			f->layer = f->layer == MAP_NONE ? layer : f->layer;
			f->read_bytes += read_of_run(&m->layers[layer], run.stream_off,
						     run.stream_off + len);
		}
		off += len;
	}
}

/* By regular file; NULL when memory ends. */
static bool *files_of_profile(const struct map *m, const struct profile *p)
{
	const struct index_info *info = index_info(m->image->tree);
	bool *named = try_array(info->n_regular + 1, sizeof(*named), UINT32_MAX);
	for (size_t i = 0; named && p && i < p->n; i++)
		named[p->ranges[i].row - info->n_dirs] = true;
	return named;
}

static err_t collect(struct map *m, const struct trace *t, const struct profile *p)
{
	const struct index_info *info = index_info(m->image->tree);
	auto_free bool *named = files_of_profile(m, p);
	size_t cap = 0;
	if (!named)
		return -ENOMEM;
	for (uint32_t i = 0; i < info->n_regular; i++) {
		uint32_t row = info->n_dirs + i;
		if (!(t ? trace_file_was_read(t, i) : named[i]))
			continue;
		if (!try_grow(&m->files, m->n_files, &cap, sizeof(*m->files)))
			return -ENOMEM;
		struct map_file *f = &m->files[m->n_files++];
		*f = (struct map_file){.row = row};
		measure(m, f);
	}
	return 0;
}

/* --- how long --- */

/* The union of the intervals in which readers of one file waited: waits come by begin. */
static void add_waits(struct map *m)
{
	auto_free uint64_t *until = xcalloc(m->n_files + 1, sizeof(*until));
	for (size_t i = 0; i < m->n_waits; i++) {
		const struct map_event *w = &m->waits[i];
		if (w->file == MAP_NONE)
			continue;
		struct map_file *f = &m->files[w->file];
		uint64_t begin = max_of((uint64_t)w->from_ms, until[w->file]);
		uint64_t end = (uint64_t)w->from_ms + w->took_ms;
		f->waits++;
		f->longest_ms = max_of(f->longest_ms, w->took_ms);
		f->wait_ms += end > begin ? end - begin : 0;
		until[w->file] = max_of(until[w->file], end);
	}
}

/* Until now the events name files by their number in the image; the files are in that order. */
static void name_files(struct map *m)
{
	uint32_t first = index_info(m->image->tree)->n_dirs;
	for (size_t i = 0; i < m->n_waits; i++) {
		uint32_t row = m->waits[i].file + first;
		size_t low = 0, high = m->n_files;
		while (low < high) {
			size_t mid = low + (high - low) / 2;
			if (m->files[mid].row < row)
				low = mid + 1;
			else
				high = mid;
		}
		bool found = low < m->n_files && m->files[low].row == row;
		m->waits[i].file = found ? (uint32_t)low : MAP_NONE;
	}
}

static int by_cost(uint64_t a_ms, uint64_t b_ms, uint64_t a_bytes, uint64_t b_bytes)
{
	if (a_ms != b_ms)
		return a_ms > b_ms ? -1 : 1;
	return (a_bytes < b_bytes) - (a_bytes > b_bytes);
}

static int file_order(const void *a, const void *b)
{
	const struct map_file *x = a, *y = b;
	int order = by_cost(x->wait_ms, y->wait_ms, x->read_bytes, y->read_bytes);
	return order ? order : (x->row > y->row) - (x->row < y->row);
}

/* Sort the files, and have the events follow. */
static void sort_files(struct map *m)
{
	auto_free uint32_t *place = xcalloc(m->n_files + 1, sizeof(*place));
	auto_free uint32_t *rows = xcalloc(m->n_files + 1, sizeof(*rows));
	for (size_t i = 0; i < m->n_files; i++)
		rows[i] = m->files[i].row;
	if (m->n_files)
		qsort(m->files, m->n_files, sizeof(*m->files), file_order);
	for (size_t i = 0; i < m->n_files; i++) {
		size_t low = 0, high = m->n_files;
		while (low + 1 < high) {
			size_t mid = low + (high - low) / 2;
			if (rows[mid] <= m->files[i].row)
				low = mid;
			else
				high = mid;
		}
		place[low] = (uint32_t)i;
	}
	for (size_t i = 0; i < m->n_waits; i++)
		if (m->waits[i].file != MAP_NONE)
			m->waits[i].file = place[m->waits[i].file];
}

/* --- directories --- */

static int dir_order(const void *a, const void *b)
{
	const struct map_dir *x = a, *y = b;
	int order = by_cost(x->wait_ms, y->wait_ms, x->read_bytes, y->read_bytes);
	return order ? order : bytes_compare(x->path, y->path);
}

static err_t own_path(const struct map_names *names, uint32_t row, struct bytes *out)
{
	struct buf path = {0};
	err_t err = map_path_of(names, row, &path);
	*out = buf_bytes(&path);
	return err;
}

static size_t place_of_dir(const struct map *m, const struct map_names *names,
			   const struct sum *sums, size_t n, size_t file)
{
	const struct sum key = {map_dir_of(names, m->files[file].row, DIR_DEPTH), 0};
	const struct sum *at = bsearch(&key, sums, n, sizeof(key), by_key);
	BUG_ON(!at);
	return (size_t)(at - sums);
}

/* As add_waits does for files. */
static void add_dir_waits(struct map *m, const struct map_names *names, const struct sum *sums,
			  size_t n)
{
	auto_free uint64_t *until = xcalloc(n + 1, sizeof(*until));
	for (size_t i = 0; i < m->n_waits; i++) {
		const struct map_event *w = &m->waits[i];
		if (w->file == MAP_NONE)
			continue;
		size_t dir = place_of_dir(m, names, sums, n, w->file);
		uint64_t begin = max_of((uint64_t)w->from_ms, until[dir]);
		uint64_t end = (uint64_t)w->from_ms + w->took_ms;
		m->dirs[dir].wait_ms += end > begin ? end - begin : 0;
		until[dir] = max_of(until[dir], end);
	}
}

static err_t take_dirs(struct map *m, const struct map_names *names)
{
	auto_free struct sum *sums = try_array(m->n_files + 1, sizeof(*sums), UINT32_MAX);
	if (!sums)
		return -ENOMEM;
	for (size_t i = 0; i < m->n_files; i++)
		sums[i] = (struct sum){map_dir_of(names, m->files[i].row, DIR_DEPTH), 0};
	size_t n = add_up(sums, m->n_files);
	m->dirs = try_array(n + 1, sizeof(*m->dirs), UINT32_MAX);
	if (!m->dirs)
		return -ENOMEM;
	for (; m->n_dirs < n; m->n_dirs++) {
		err_t err =
			own_path(names, (uint32_t)sums[m->n_dirs].key, &m->dirs[m->n_dirs].path);
		if (err)
			return err;
	}
	for (size_t i = 0; i < m->n_files; i++) {
		struct map_dir *dir = &m->dirs[place_of_dir(m, names, sums, n, i)];
		dir->files++;
		dir->waits += m->files[i].waits;
		dir->read_bytes += m->files[i].read_bytes;
	}
	add_dir_waits(m, names, sums, n);
	if (n)
		qsort(m->dirs, n, sizeof(*m->dirs), dir_order);
	return 0;
}

err_t map_take_files(struct map *m, const struct trace *t, const struct profile *p)
{
	struct map_names *names = map_names_new(m->image->tree);
	err_t err = names ? map_label_layers(m, names) : -ENOMEM;
	if (!err)
		err = collect(m, t, p);
	for (size_t i = 0; i < m->n_files && !err; i++)
		err = own_path(names, m->files[i].row, &m->files[i].path);
	if (!err) {
		name_files(m);
		add_waits(m);
		sort_files(m);
		err = take_dirs(m, names);
	}
	map_names_free(&names);
	return err;
}
