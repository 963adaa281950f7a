/*
 * chunk_store: what was put is read back, by everyone who has the layer open; rot, truncation and
 * foreign files are absence, never wrong bytes and never a signal.
 */
#include "tests/unit/content_world.h"

#include "fetch/store_priv.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const enum world_codec one_tar[] = {WORLD_TAR};

#define MAP_HEAD 128 /* fetch/STORE.md, the map */

struct fixture {
	struct world *w;
	struct chunk_store *cs;
	uint32_t n_chunks;
	char dir[256];
};

static struct chunk_store *open_layer(struct world *w)
{
	struct chunk_store *cs = NULL;
	assert_int_equal(chunk_store_open(w->store, w->tables[0], &cs, NULL), 0);
	return cs;
}

static int setup(void **state)
{
	struct fixture *f = new_of(struct fixture);
	char rel[STORE_PATH_MAX];
	f->w = world_new(one_tar, 1);
	f->cs = open_layer(f->w);
	f->n_chunks = index_info(f->w->layers[0])->n_chunks;
	snprintf(f->dir, sizeof(f->dir), "%s/v1/%s", store_dir(f->w->store),
		 store_layer_dir(&f->w->blob_digests[0], rel));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	chunk_store_close(&f->cs);
	world_free(&f->w);
	free(f);
	return 0;
}

static void reopen(struct fixture *f)
{
	chunk_store_close(&f->cs);
	f->cs = open_layer(f->w);
}

static const uint8_t *bytes_of(const struct fixture *f, uint32_t chunk, uint32_t *len)
{
	struct chunk c;
	index_chunk(f->w->layers[0], chunk, &c);
	*len = c.stream_len;
	return f->w->streams[0].p + c.stream_off;
}

static void put_chunk(struct fixture *f, struct chunk_store *cs, uint32_t chunk)
{
	uint32_t len;
	assert_int_equal(chunk_store_put(cs, chunk, bytes_of(f, chunk, &len)), 0);
}

static err_t read_chunk(const struct fixture *f, struct chunk_store *cs, uint32_t chunk,
			uint32_t off, uint32_t n)
{
	uint32_t len;
	uint8_t *p = malloc(n + 1);
	assert_non_null(p);
	const uint8_t *want = bytes_of(f, chunk, &len);
	err_t err = chunk_store_read(cs, chunk, off, n, p);
	if (!err)
		assert_memory_equal(p, want + off, n);
	free(p);
	return err;
}

static int open_file(const struct fixture *f, const char *name)
{
	char path[300];
	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void change_byte(const struct fixture *f, const char *name, uint64_t off, uint8_t xor)
{
	uint8_t byte;
	int fd = open_file(f, name);
	assert_int_equal(read_at(fd, &byte, 1, off), 0);
	byte ^= xor;
	assert_int_equal(write_at(fd, &byte, 1, off), 0);
	close(fd);
}

static uint8_t map_byte(const struct fixture *f, uint32_t chunk)
{
	uint8_t byte;
	int fd = open_file(f, "map");
	assert_int_equal(read_at(fd, &byte, 1, MAP_HEAD + chunk), 0);
	close(fd);
	return byte;
}

static void keeps_what_it_gets(void **state)
{
	struct fixture *f = *state;
	assert_true(f->n_chunks > 100);
	assert_int_equal(read_chunk(f, f->cs, 3, 0, 100), -ENOENT);
	assert_false(chunk_store_has(f->cs, 3));
	put_chunk(f, f->cs, 3);
	put_chunk(f, f->cs, 3);
	assert_true(chunk_store_has(f->cs, 3));
	assert_int_equal(read_chunk(f, f->cs, 3, 0, CHUNK_TARGET_MIN), 0);
	reopen(f);
	assert_int_equal(read_chunk(f, f->cs, 3, 17, 1000), 0);
	assert_int_equal(read_chunk(f, f->cs, 3, 0, CHUNK_TARGET_MIN), 0);
	assert_int_equal(read_chunk(f, f->cs, 3, 5, 0), 0);
	assert_int_equal(read_chunk(f, f->cs, 2, 0, 1), -ENOENT);
	put_chunk(f, f->cs, f->n_chunks - 1);
	assert_false(chunk_store_complete(f->cs));
	for (uint32_t i = 0; i < f->n_chunks; i++)
		put_chunk(f, f->cs, i);
	assert_true(chunk_store_complete(f->cs));
}

static void is_sparse_and_closed(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	put_chunk(f, f->cs, 50);
	int fd = open_file(f, "data");
	assert_int_equal(fstat(fd, &st), 0);
	close(fd);
	assert_int_equal(st.st_size, f->w->streams[0].n);
	assert_true(st.st_blocks * 512 < 10 * CHUNK_TARGET_MIN);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(f->dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

static void others_see_it(void **state)
{
	struct fixture *f = *state;
	struct chunk_store *other = open_layer(f->w);
	put_chunk(f, f->cs, 7);
	assert_true(chunk_store_has(other, 7));
	assert_int_equal(read_chunk(f, other, 7, 1, 50), 0);
	put_chunk(f, other, 8);
	assert_int_equal(read_chunk(f, f->cs, 8, 1, 50), 0);
	chunk_store_close(&other);
}

/* Rot that happened before the first touch is found, wherever in the chunk it is. */
static void rot_is_absence(void **state)
{
	struct fixture *f = *state;
	for (uint32_t chunk = 10; chunk < 14; chunk++)
		put_chunk(f, f->cs, chunk);
	struct chunk c;
	index_chunk(f->w->layers[0], 11, &c);
	change_byte(f, "data", c.stream_off + c.stream_len - 1, 1);
	reopen(f);
	assert_true(chunk_store_has(f->cs, 11));
	assert_int_equal(read_chunk(f, f->cs, 11, 0, 10), -ENOENT);
	assert_false(chunk_store_has(f->cs, 11));
	assert_int_equal(map_byte(f, 11), 4);
	assert_int_equal(read_chunk(f, f->cs, 10, 0, 10), 0);
	assert_int_equal(read_chunk(f, f->cs, 12, 0, 10), 0);
	/* Punched out, and put again under the next generation. */
	uint8_t p[16];
	int fd = open_file(f, "data");
	assert_int_equal(read_at(fd, p, sizeof(p), c.stream_off + 4096), 0);
	close(fd);
	put_chunk(f, f->cs, 11);
	assert_int_equal(map_byte(f, 11), 5);
	assert_int_equal(read_chunk(f, f->cs, 11, 0, c.stream_len), 0);
}

/* Whoever verified a chunk before somebody else dropped it does not believe the old look. */
static void a_drop_reaches_everyone(void **state)
{
	struct fixture *f = *state;
	struct chunk c;
	put_chunk(f, f->cs, 20);
	assert_int_equal(read_chunk(f, f->cs, 20, 0, 10), 0);
	index_chunk(f->w->layers[0], 20, &c);
	change_byte(f, "data", c.stream_off, 0xff);
	struct chunk_store *other = open_layer(f->w);
	assert_int_equal(read_chunk(f, other, 20, 0, 10), -ENOENT);
	assert_int_equal(read_chunk(f, f->cs, 20, 0, 10), -ENOENT);
	put_chunk(f, other, 20);
	assert_int_equal(read_chunk(f, f->cs, 20, 0, 10), 0);
	/* The new generation is verified anew in this process too. */
	change_byte(f, "data", c.stream_off, 0xff);
	put_chunk(f, f->cs, 21);
	chunk_store_close(&other);
	reopen(f);
	assert_int_equal(read_chunk(f, f->cs, 20, 0, 10), -ENOENT);
}

/* Bits that a power failure, or an enemy, has set without data. */
static void bits_without_data(void **state)
{
	struct fixture *f = *state;
	for (unsigned value = 0; value < 256; value++)
		change_byte(f, "map", MAP_HEAD + value % f->n_chunks, (uint8_t)value);
	for (uint32_t chunk = 0; chunk < f->n_chunks; chunk++)
		assert_int_equal(read_chunk(f, f->cs, chunk, 0, 10), -ENOENT);
	reopen(f);
	for (uint32_t chunk = 0; chunk < f->n_chunks; chunk++) {
		assert_int_equal(read_chunk(f, f->cs, chunk, 0, 10), -ENOENT);
		put_chunk(f, f->cs, chunk);
		assert_int_equal(read_chunk(f, f->cs, chunk, 0, 10), 0);
	}
}

/* A process died in the middle of a drop. */
static void a_half_drop_is_finished(void **state)
{
	struct fixture *f = *state;
	uint32_t len;
	put_chunk(f, f->cs, 30);
	change_byte(f, "map", MAP_HEAD + 30, 3); /* STORED to DROPPING */
	assert_int_equal(read_chunk(f, f->cs, 30, 0, 10), -ENOENT);
	assert_int_equal(chunk_store_put(f->cs, 30, bytes_of(f, 30, &len)), -EBUSY);
	/* Somebody has it open, so it may be a living one's. */
	struct chunk_store *other = open_layer(f->w);
	assert_int_equal(map_byte(f, 30), 2);
	chunk_store_close(&other);
	reopen(f);
	assert_int_equal(map_byte(f, 30), 4);
	put_chunk(f, f->cs, 30);
	assert_int_equal(read_chunk(f, f->cs, 30, 0, 10), 0);
}

/* Each of these files is replaced, not used; nothing is lost but the cache. */
static void damaged_files_are_replaced(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *name;
		long size; /* new size; -1: change a byte instead */
		uint64_t off;
	} damages[] = {{"map", 0, 0},	{"map", 100, 0}, {"map", 200, 0},     {"map", 1 << 20, 0},
		       {"map", -1, 0},	{"map", -1, 8},	 {"map", -1, 12},     {"map", -1, 16},
		       {"map", -1, 24}, {"map", -1, 32}, {"map", -1, 60},     {"map", -1, 127},
		       {"data", 0, 0},	{"data", 5, 0},	 {"data", 1 << 30, 0}};
	for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
		put_chunk(f, f->cs, 40);
		chunk_store_close(&f->cs);
		if (damages[i].size >= 0) {
			int fd = open_file(f, damages[i].name);
			assert_int_equal(ftruncate(fd, damages[i].size), 0);
			close(fd);
		} else {
			change_byte(f, damages[i].name, damages[i].off, 1);
		}
		f->cs = open_layer(f->w);
		assert_false(chunk_store_has(f->cs, 40));
		put_chunk(f, f->cs, 40);
		assert_int_equal(read_chunk(f, f->cs, 40, 0, 100), 0);
	}
}

/* data shrinks under an open layer: pread ends early, nobody gets a signal. */
static void data_truncated_while_open(void **state)
{
	struct fixture *f = *state;
	put_chunk(f, f->cs, 60);
	int fd = open_file(f, "data");
	assert_int_equal(ftruncate(fd, 1000), 0);
	close(fd);
	assert_int_equal(read_chunk(f, f->cs, 60, 0, 100), -ENOENT);
	assert_false(chunk_store_has(f->cs, 60));
}

/* The same layer cut into other chunks: a new pair; who has the old one goes on with it. */
static void another_cut_is_another_map(void **state)
{
	struct fixture *f = *state;
	struct world *w = f->w;
	struct layer_build_options options = {.chunk_target = 2 * CHUNK_TARGET_MIN};
	auto_buf struct buf file = {0};
	struct index *ix;
	struct digest diff_id = {0};
	struct layer_build *b = layer_build_new(&options);
	assert_int_equal(layer_build_feed(b, w->blobs[0].p, w->blobs[0].n, NULL), 0);
	assert_int_equal(
		layer_build_finish(b, &w->blob_digests[0], w->blobs[0].n, &diff_id, &file, NULL),
		0);
	layer_build_free(&b);
	assert_int_equal(index_open_bytes(buf_bytes(&file), &ix, NULL), 0);

	put_chunk(f, f->cs, 3);
	struct chunk_store *other;
	struct chunk_table *table = chunk_table_of_index(ix);
	assert_int_equal(chunk_store_open(w->store, table, &other, NULL), 0);
	assert_false(chunk_store_has(other, 1));
	assert_int_equal(chunk_store_put(other, 1, w->streams[0].p + 2 * CHUNK_TARGET_MIN), 0);
	assert_int_equal(read_chunk(f, f->cs, 3, 0, 100), 0);
	put_chunk(f, f->cs, 4);
	assert_false(chunk_store_has(other, 2));
	chunk_store_close(&other);
	chunk_table_free(&table);
	index_close(&ix);
}

static void not_ours_is_refused(void **state)
{
	struct fixture *f = *state;
	struct chunk_store *cs = NULL;
	struct diag d = DIAG_INIT;
	assert_int_equal(chmod(f->dir, 0755), 0);
	assert_int_equal(chunk_store_open(f->w->store, f->w->tables[0], &cs, &d), -EPERM);
	assert_int_equal(d.cls, ERR_STORE);
	assert_int_equal(chmod(f->dir, 0700), 0);
}

static void full_means_pass_through(void **state)
{
	struct fixture *f = *state;
	uint32_t len;
	assert_true(chunk_store_keeps(f->cs));
	put_chunk(f, f->cs, 1);
	store_note_error(f->w->store, -ENOSPC, "test");
	assert_false(chunk_store_keeps(f->cs));
	assert_int_equal(chunk_store_put(f->cs, 2, bytes_of(f, 2, &len)), -ENOSPC);
	assert_false(chunk_store_has(f->cs, 2));
	assert_int_equal(read_chunk(f, f->cs, 1, 0, 100), 0);
}

static void no_descriptors_means_pass_through(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, none;
	struct chunk_store *cs = NULL;
	uint32_t len;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	err_t err = chunk_store_open(f->w->store, f->w->tables[0], &cs, NULL);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(err, 0);
	assert_false(chunk_store_keeps(cs));
	assert_int_equal(read_chunk(f, cs, 0, 0, 1), -ENOENT);
	assert_int_equal(chunk_store_put(cs, 0, bytes_of(f, 0, &len)), -ENOSPC);
	chunk_store_close(&cs);
}

/* --- at the same time --- */

struct crowd {
	struct fixture *f;
	_Atomic unsigned seed;
};

static void use_at_random(struct fixture *f, struct chunk_store *cs, uint32_t seed, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		seed = seed * 1664525u + 1013904223u;
		uint32_t chunk = (seed >> 10) % f->n_chunks, len;
		bytes_of(f, chunk, &len);
		uint32_t off = (seed >> 7) % len;
		err_t err = read_chunk(f, cs, chunk, off, min_of(len - off, 3000u));
		assert_true(err == 0 || err == -ENOENT);
		if (err)
			put_chunk(f, cs, chunk);
	}
}

static void *crowd_main(void *arg)
{
	struct crowd *crowd = arg;
	unsigned seed = atomic_fetch_add(&crowd->seed, 1);
	if (seed % 2) {
		use_at_random(crowd->f, crowd->f->cs, seed * 7919, 2000);
		return NULL;
	}
	for (int i = 0; i < 20; i++) {
		struct chunk_store *own = open_layer(crowd->f->w);
		use_at_random(crowd->f, own, seed * 7919 + (unsigned)i, 100);
		chunk_store_close(&own);
	}
	return NULL;
}

static void threads_share_a_layer(void **state)
{
	struct crowd crowd = {.f = *state};
	pthread_t threads[8];
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, crowd_main, &crowd), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
}

static void processes_share_a_layer(void **state)
{
	struct fixture *f = *state;
	pid_t children[4];
	for (size_t i = 0; i < ARRAY_LEN(children); i++) {
		children[i] = fork();
		assert_true(children[i] >= 0);
		if (children[i] == 0) {
			struct chunk_store *own = NULL;
			if (chunk_store_open(f->w->store, f->w->tables[0], &own, NULL) != 0)
				_exit(1);
			use_at_random(f, own, (uint32_t)i * 31337, 2000);
			_exit(0);
		}
	}
	use_at_random(f, f->cs, 99, 500);
	for (size_t i = 0; i < ARRAY_LEN(children); i++) {
		int status = -1;
		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		assert_int_equal(status, 0);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(keeps_what_it_gets),
		TEST(is_sparse_and_closed),
		TEST(others_see_it),
		TEST(rot_is_absence),
		TEST(a_drop_reaches_everyone),
		TEST(bits_without_data),
		TEST(a_half_drop_is_finished),
		TEST(damaged_files_are_replaced),
		TEST(data_truncated_while_open),
		TEST(another_cut_is_another_map),
		TEST(not_ours_is_refused),
		TEST(full_means_pass_through),
		TEST(no_descriptors_means_pass_through),
		TEST(threads_share_a_layer),
		TEST(processes_share_a_layer),
	};
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
