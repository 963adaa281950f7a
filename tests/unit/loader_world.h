/*
 * loader_world - for tests of what is fetched for the dynamic loader: a content_world of one plain
 * layer with made-up programs and libraries, and which of its chunks are in the store
 *
 * Each file has chunks of its own, far from those of the next, so that neighbours of a missed chunk
 * are no chunks of another file. Of what a file says, the dynamic section stands in its last chunk
 * and the names in the one before, so that both have to be waited for.
 */
#ifndef IMGFS_TESTS_UNIT_LOADER_WORLD_H
#define IMGFS_TESTS_UNIT_LOADER_WORLD_H

#include "tests/unit/content_probe.h"
#include "tests/unit/elf_build.h"

#include "fetch/content_priv.h"

#define CHUNK	  CHUNK_TARGET_MIN
#define BETWEEN	  24u /* chunks between two files: more than any window of neighbours */
#define BESIDE	  16u /* chunks of a window of neighbours, at most */
#define HEAD	  4096u
#define ADDR	  0x10000u
#define LOADER_AT 0x800u /* where the path of a program's loader stands in it */

/* Bytes of a file; small files have one segment, which is all of it. */
struct made_segment {
	uint64_t off, len;
	bool writable;
};

struct made {
	const char *path;
	size_t size; /* chunks */
	bool no_elf;
	const char *text;	     /* what it begins with, if it is no program; then lines */
	size_t text_len;	     /* 0: that of a string */
	const char *loader, *search; /* NULL: none */
	const char *needs[4];
	struct made_segment segments[4]; /* none: one that is all of it */
};

static inline uint64_t made_dynamic_at(const struct made *m)
{
	return (uint64_t)(m->size - 1) * CHUNK + 0x2000;
}

static inline uint64_t made_names_at(const struct made *m)
{
	return made_dynamic_at(m) - (m->size > 1 ? CHUNK : 0) + 0x1000;
}

static inline uint64_t made_name(uint8_t *names, size_t *n, const char *text)
{
	size_t at = *n;
	memcpy(names + at, text, strlen(text) + 1);
	*n += strlen(text) + 1;
	return at;
}

/* The dynamic section and the names; addresses are offsets in the file, beginning at ADDR. */
static inline void made_dynamic(const struct made *m, struct shape s, uint8_t *file)
{
	auto_buf struct buf section = {0};
	uint8_t *names = file + made_names_at(m);
	struct entry entries[8];
	size_t n = 0, n_names = 1;
	names[0] = 0;
	for (size_t i = 0; i < ARRAY_LEN(m->needs) && m->needs[i]; i++)
		entries[n++] = (struct entry){NEEDED, made_name(names, &n_names, m->needs[i])};
	if (m->search)
		entries[n++] = (struct entry){RUNPATH, made_name(names, &n_names, m->search)};
	entries[n++] = (struct entry){STRTAB, ADDR + made_names_at(m)};
	entries[n++] = (struct entry){STRSZ, n_names};
	entries[n++] = (struct entry){END, 0};
	put_entries(&section, s, entries, n);
	memcpy(file + made_dynamic_at(m), section.p, section.n);
}

static inline size_t made_loads(const struct made *m, struct segment *out)
{
	size_t n = 0;
	if (!m->segments[0].len)
		out[n++] = (struct segment){LOAD, R | X | W, 0, ADDR, m->size * CHUNK};
	for (size_t i = 0; i < ARRAY_LEN(m->segments) && m->segments[i].len; i++) {
		const struct made_segment *from = &m->segments[i];
		out[n++] = (struct segment){LOAD, from->writable ? R | W : R, from->off,
					    ADDR + from->off, from->len};
	}
	return n;
}

static inline void made_elf(const struct made *m, struct shape s, uint8_t *file)
{
	struct segment segments[8];
	auto_buf struct buf head = {0};
	size_t n = 0;
	if (m->loader) {
		segments[n++] = (struct segment){INTERP, R, LOADER_AT, ADDR + LOADER_AT,
						 strlen(m->loader) + 1};
		memcpy(file + LOADER_AT, m->loader, strlen(m->loader) + 1);
	}
	n += made_loads(m, segments + n);
	segments[n++] = (struct segment){DYNAMIC, R | W, made_dynamic_at(m),
					 ADDR + made_dynamic_at(m), 0x200};
	make(&head, s, segments, (unsigned)n);
	memcpy(file, head.p, head.n);
	made_dynamic(m, s, file);
}

static inline void put_filler(struct buf *tar, size_t chunks)
{
	static unsigned number;
	char name[32];
	/* Until the next file's bytes begin with a chunk. */
	size_t n = chunks * CHUNK + (size_t)(-(tar->n + 1024) % CHUNK);
	auto_free uint8_t *p = xcalloc(n, 1);
	world_fill(p, n, 7 + (uint32_t)tar->n);
	snprintf(name, sizeof(name), "filler-%u", number++);
	put_member(tar, '0', name, p, n);
	assert_int_equal((tar->n + 512) % CHUNK, 0);
}

static inline void put_made(struct buf *tar, const struct made *m, struct shape s)
{
	size_t n = m->size * CHUNK;
	auto_free uint8_t *p = xcalloc(n, 1);
	world_fill(p, n, (uint32_t)tar->n);
	if (m->text) {
		memset(p, '\n', n);
		memcpy(p, m->text, m->text_len ? m->text_len : strlen(m->text));
	} else if (!m->no_elf) {
		made_elf(m, s, p);
	}
	put_member(tar, '0', m->path + 1, p, n);
}

static inline struct world *loader_world(const struct made *files, size_t n, struct shape s)
{
	struct buf tar = {0};
	put_filler(&tar, BETWEEN);
	for (size_t i = 0; i < n; i++) {
		put_made(&tar, &files[i], s);
		put_filler(&tar, BETWEEN);
	}
	put_end(&tar);
	return world_new_of(WORLD_TAR, &tar);
}

static inline struct content *loader_content(struct world *w, unsigned workers)
{
	const struct content_options options = {
		.budget_s = 20, .neighbours = true, .workers = workers};
	return world_content_with(w, &options);
}

static inline uint32_t row_of(const struct world *w, const char *path)
{
	uint32_t row = 0;
	assert_int_equal(index_path(w->image.tree, BYTES_STR(path), true, &row), 0);
	return row;
}

static inline uint64_t stream_off(const struct world *w, const char *path)
{
	struct extent run;
	index_extent(w->image.tree, row_of(w, path), 0, &run);
	return run.stream_off;
}

/* A read, and what has to come of it. */
static inline void check_read(struct world *w, struct content *c, const char *path, uint64_t off,
			      size_t n)
{
	auto_free uint8_t *p = xcalloc(n, 1);
	struct diag d = DIAG_INIT;
	err_t err = content_read(c, row_of(w, path), off, p, n, &d);
	if (err)
		print_error("%s: %s\n", path, d.text);
	assert_int_equal(err, 0);
	assert_memory_equal(p, w->streams[0].p + stream_off(w, path) + off, n);
}

/* --- what is in the store --- */

/* What is to be found of each chunk. */
enum expected {
	MUST_NOT,
	MAY,
	MUST,
};
struct expectation {
	uint32_t n;
	uint8_t *of; /* enum expected, by chunk */
};

static inline void expect_nothing(const struct world *w, struct expectation *e)
{
	e->n = chunk_table_info(w->tables[0])->n_chunks;
	e->of = xcalloc(e->n, 1);
}

/* The chunks of a file's bytes, at the least as much as was expected before; `beside` more on
 * either side are expected, too. */
static inline void expect(const struct world *w, struct expectation *e, const char *path,
			  uint64_t off, uint64_t n, enum expected what, uint32_t beside)
{
	uint64_t from = stream_off(w, path) + off;
	uint32_t first = (uint32_t)(from / CHUNK), last = (uint32_t)((from + n - 1) / CHUNK);
	assert_true(last < e->n);
	for (uint32_t i = first - beside; i <= last + beside; i++)
		e->of[i] = max_of(e->of[i], (uint8_t)what);
}

static inline void expect_whole(const struct world *w, struct expectation *e, const char *path)
{
	struct inode inode;
	index_inode(w->image.tree, row_of(w, path), &inode);
	expect(w, e, path, 0, inode.size, MUST, 0);
}

/* What a read of a file's first bytes brings by itself. */
static inline void expect_around_head(const struct world *w, struct expectation *e,
				      const char *path)
{
	expect(w, e, path, 0, HEAD, MUST, 0);
	expect(w, e, path, 0, HEAD, MAY, BESIDE);
}

/* Everything that must come does so in a while. */
static inline void wait_expected(struct content *c, const struct expectation *e)
{
	struct chunk_store *chunks = c->slots[0].chunks;
	int64_t until_ms = now_ms() + 20000;
	for (uint32_t i = 0; i < e->n; i++)
		while (e->of[i] == MUST && !chunk_store_has(chunks, i)) {
			if (now_ms() >= until_ms)
				fail_msg("chunk %u does not come", i);
			sleep_ms(1);
		}
}

/* And nothing else does. Ends the expectation. */
static inline void check_stored(struct world *w, struct content *c, struct expectation *e)
{
	struct chunk_store *chunks = c->slots[0].chunks;
	wait_expected(c, e);
	wait_idle(w);
	for (uint32_t i = 0; i < e->n; i++)
		if (e->of[i] == MUST_NOT && chunk_store_has(chunks, i))
			fail_msg("chunk %u came", i);
	free(take(&e->of));
}

/* Exactly these files come, and nobody has waited for one. Ends the content. */
static inline void check_come(struct world *w, struct content **c, const char *const *paths)
{
	struct expectation e;
	expect_nothing(w, &e);
	for (; *paths; paths++)
		expect_whole(w, &e, *paths);
	check_stored(w, *c, &e);
	assert_int_equal(stats_of(*c).misses, 0);
	content_free(c);
	world_empty_store(w);
}

#define COME(w, c, ...) check_come(w, &(c), (const char *const[]){__VA_ARGS__, NULL})
#define WORDS(...)	((char **)(const char *[]){__VA_ARGS__, NULL})

static inline bool has_any(struct world *w, struct content *c, const char *path)
{
	struct inode inode;
	index_inode(w->image.tree, row_of(w, path), &inode);
	uint64_t from = stream_off(w, path);
	for (uint64_t at = from; at < from + inode.size; at += CHUNK)
		if (chunk_store_has(c->slots[0].chunks, (uint32_t)(at / CHUNK)))
			return true;
	return false;
}

#endif
