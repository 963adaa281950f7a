/*
 * chunk_table: groups that arrive in any order and from any thread give the rows and windows of the
 * index that was published; they come back from the store, and rot, a full disk and another form
 * are absence.
 */
#include "tests/unit/wire_build.h"

#include "fetch/chunk_table.h"
#include "fetch/log.h"
#include "fetch/store_priv.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GZIP, TAR, INNER, EMPTY };

static const struct wire_layer layers[] = {
	[GZIP] = {.name = "gzip",
		  .codec = BLOB_GZIP,
		  .big_file = 1800000,
		  .target = CHUNK_TARGET_MIN},
	[TAR] = {.name = "tar", .codec = BLOB_TAR, .big_file = 4400000, .target = CHUNK_TARGET_MIN},
	[INNER] = {.name = "inner",
		   .codec = BLOB_ZSTD,
		   .big_file = 4400000,
		   .target = CHUNK_TARGET_MIN},
	[EMPTY] = {.name = "no bytes", .codec = BLOB_TAR, .no_bytes = true},
};

struct fixture {
	struct wire_world w;
	struct buf form;
	struct wire_head *wire; /* the head, parsed beside the table */
	struct index_layer_head head;
	char dir[64];
	struct store *store;
	struct chunk_table *t;
};

static void head_of_form(const struct buf *form, struct index_layer_head *out)
{
	struct wire_disk_begin begin;
	memcpy(&begin, form->p, sizeof(begin));
	digest_of(DIGEST_SHA256, form->p, form->n, &out->form);
	out->form_len = form->n;
	out->head = (struct bytes){form->p, get_le32(begin.head_len)};
}

static struct chunk_table *table_of(struct fixture *f)
{
	struct chunk_table *t = NULL;
	struct diag d = DIAG_INIT;
	if (chunk_table_of_head(f->store, &f->head, &t, &d))
		fail_msg("%s", d.text);
	return t;
}

static struct fixture *fixture_of(size_t layer)
{
	struct fixture *f = new_of(struct fixture);
	wire_world_make(&layers[layer], &f->w);
	wire_encode(f->w.ix, &f->form);
	f->wire = wire_head_of(&f->form);
	head_of_form(&f->form, &f->head);
	snprintf(f->dir, sizeof(f->dir), "/tmp/imgfs-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(store_open(f->dir, &f->store, NULL), 0);
	f->t = table_of(f);
	return f;
}

static void fixture_free(struct fixture **fp)
{
	struct fixture *f = take(fp);
	char command[100];
	chunk_table_free(&f->t);
	store_close(&f->store);
	wire_head_free(&f->wire);
	wire_world_free(&f->w);
	buf_fini(&f->form);
	snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
}

static void again(struct fixture *f)
{
	chunk_table_free(&f->t);
	f->t = table_of(f);
}

static struct bytes part_of(const struct fixture *f, uint32_t group)
{
	return wire_part_at(&f->form, &f->wire->groups[group]);
}

static void arrive(struct fixture *f, uint32_t group)
{
	struct diag d = DIAG_INIT;
	if (chunk_table_arrive(f->t, group, part_of(f, group), &d))
		fail_msg("group %u: %s", group, d.text);
}

/* --- rows --- */

static void check_row(const struct chunk *got, const struct chunk *want)
{
	assert_memory_equal(got->sha256, want->sha256, SHA256_LEN);
	assert_true(got->stream_off == want->stream_off && got->blob_off == want->blob_off &&
		    got->blob_len == want->blob_len && got->stream_len == want->stream_len &&
		    got->window_off == want->window_off && got->window_len == want->window_len &&
		    got->xxh3 == want->xxh3 && got->codec == want->codec &&
		    got->start == want->start && got->bit == want->bit && got->skip == want->skip &&
		    got->header_bits == want->header_bits &&
		    got->stored_left == want->stored_left && got->final_block == want->final_block);
}

/* Rows and windows are those of the index; @all gets the windows one after the other. */
static void check_rows(const struct fixture *f, struct chunk_table *t, uint32_t first, uint32_t n,
		       struct buf *all)
{
	struct chunk_windows near = {0};
	for (uint32_t i = first; i < first + n; i++) {
		struct chunk got, want;
		struct bytes window;
		auto_buf struct buf wanted = {0};
		assert_true(chunk_table_has_chunk(t, i));
		chunk_table_get(t, i, &got);
		index_chunk(f->w.ix, i, &want);
		assert_int_equal(chunk_table_window(t, i, &near, &window), 0);
		assert_int_equal(index_chunk_window(f->w.ix, &want, &wanted), 0);
		assert_true(bytes_equal(window, buf_bytes(&wanted)));
		want.window_off = want.window_len ? all->n : 0;
		put_raw(all, wanted.p, wanted.n);
		check_row(&got, &want);
		assert_int_equal(chunk_table_at(t, want.stream_off), i);
		assert_int_equal(chunk_table_at(t, want.stream_off + want.stream_len - 1), i);
	}
	chunk_windows_fini(&near);
}

static void check_group(const struct fixture *f, struct chunk_table *t, uint32_t group)
{
	auto_buf struct buf all = {0}, of_group = {0};
	check_rows(f, t, group * f->wire->group_chunks, wire_group_len(f->wire, group), &all);
	assert_int_equal(chunk_table_group_windows(t, group, &of_group), 0);
	assert_true(bytes_equal(buf_bytes(&of_group), buf_bytes(&all)));
}

static void check_info(const struct fixture *f, const struct chunk_table *t)
{
	const struct index_info *a = chunk_table_info(t), *b = index_info(f->w.ix);
	assert_true(digest_equal(&a->blob_digest, &b->blob_digest));
	assert_true(digest_equal(&a->diff_id, &b->diff_id));
	assert_int_equal(a->blob_size, b->blob_size);
	assert_int_equal(a->stream_size, b->stream_size);
	assert_int_equal(a->codec, b->codec);
	assert_int_equal(a->n_chunks, b->n_chunks);
	assert_int_equal(chunk_table_xxh3(t), index_table_xxh3(f->w.ix));
}

static void rows_of_an_index(void **state)
{
	(void)state;
	struct fixture *f = fixture_of(GZIP);
	struct chunk_table *t = chunk_table_of_index(f->w.ix);
	uint32_t first, last;
	auto_buf struct buf all = {0};
	check_info(f, t);
	assert_null(chunk_table_form(t));
	assert_null(chunk_table_head(t));
	assert_true(chunk_table_whole(t));
	assert_false(chunk_table_groups(t, 0, 1, &first, &last));
	check_rows(f, t, 0, index_info(f->w.ix)->n_chunks, &all);
	chunk_table_free(&t);
	fixture_free(&f);
}

/* From the last to the first; what did not come is not there. */
static void groups_in_any_order(void **state)
{
	(void)state;
	for (size_t layer = GZIP; layer <= EMPTY; layer++) {
		struct fixture *f = fixture_of(layer);
		uint32_t n = f->wire->n_groups;
		assert_true(n >= 2 || layer == EMPTY);
		check_info(f, f->t);
		assert_true(digest_equal(chunk_table_form(f->t), &f->head.form));
		assert_int_equal(chunk_table_head(f->t)->n_groups, n);
		for (uint32_t group = n; group-- > 0;) {
			assert_false(chunk_table_has_chunk(f->t, group * f->wire->group_chunks));
			assert_false(chunk_table_whole(f->t));
			assert_false(chunk_table_recall(f->t, group));
			arrive(f, group);
			check_group(f, f->t, group);
			arrive(f, group); /* twice is once */
		}
		assert_true(chunk_table_whole(f->t));
		for (uint32_t group = 0; group < n; group++)
			check_group(f, f->t, group);
		const uint64_t size = index_info(f->w.ix)->stream_size;
		for (uint64_t off = 0; off < size; off += 97)
			assert_int_equal(chunk_table_at(f->t, off), index_chunk_at(f->w.ix, off));
		fixture_free(&f);
	}
}

static void groups_of_a_range(void **state)
{
	(void)state;
	struct fixture *f = fixture_of(GZIP), *z = fixture_of(INNER);
	const uint64_t *offs = f->wire->stream_offs, size = index_info(f->w.ix)->stream_size;
	uint32_t first, last, end = f->wire->n_groups - 1;
	assert_true(chunk_table_groups(f->t, 0, 1, &first, &last));
	assert_true(first == 0 && last == 0);
	assert_true(chunk_table_groups(f->t, 0, size, &first, &last));
	assert_true(first == 0 && last == end);
	assert_true(chunk_table_groups(f->t, offs[2] - 1, 1, &first, &last));
	assert_true(first == 1 && last == 1);
	assert_true(chunk_table_groups(f->t, offs[2] - 1, 2, &first, &last));
	assert_true(first == 1 && last == 2);
	assert_true(chunk_table_groups(f->t, offs[2], 1, &first, &last));
	assert_true(first == 2 && last == 2);
	assert_true(chunk_table_groups(f->t, size - 1, 1, &first, &last));
	assert_true(first == end && last == end);
	/* A frame may go over all groups. */
	assert_true(chunk_table_groups(z->t, 5, 1, &first, &last));
	assert_true(first == 0 && last == z->wire->n_groups - 1);
	fixture_free(&f);
	fixture_free(&z);
}

/* --- bytes that are wrong --- */

static void wrong_bytes_do_not_arrive(void **state)
{
	(void)state;
	struct fixture *f = fixture_of(GZIP);
	struct bytes piece = part_of(f, 1);
	auto_buf struct buf wrong = {0};
	struct diag d = DIAG_INIT;
	wire_copy(piece, &wrong);
	wrong.p[wrong.n / 2] ^= 1;
	assert_int_equal(chunk_table_arrive(f->t, 1, buf_bytes(&wrong), &d), -EBADMSG);
	assert_int_equal(d.cls, ERR_INTEGRITY);
	assert_non_null(strstr(d.text, "SHA-256 mismatch"));
	piece.n--;
	assert_int_equal(chunk_table_arrive(f->t, 1, piece, &d), -EBADMSG);
	assert_int_equal(chunk_table_arrive(f->t, 1, (struct bytes){0}, &d), -EBADMSG);
	assert_int_equal(chunk_table_arrive(f->t, 1, part_of(f, 2), &d), -EBADMSG);
	assert_false(chunk_table_has_chunk(f->t, f->wire->group_chunks));
	assert_false(chunk_table_recall(f->t, 1));
	arrive(f, 1);
	check_group(f, f->t, 1);
	fixture_free(&f);
}

/* Other rows in a group, and no windows; the head names them rightly. */
static void change_group(struct fixture *f, uint32_t group, const struct chunk *rows)
{
	struct wire_pieces pieces;
	auto_buf struct buf raw = {0};
	wire_rows_raw(rows, wire_group_len(f->wire, group), &raw);
	wire_take_apart(&f->form, &pieces);
	wire_group_put(buf_bytes(&raw), (struct bytes){0}, &pieces.groups[group]);
	f->form.n = 0;
	wire_put_together(&pieces, &f->form);
	wire_pieces_free(&pieces);
	wire_head_free(&f->wire);
	f->wire = wire_head_of(&f->form);
	head_of_form(&f->form, &f->head);
	again(f);
}

/* The head names them rightly, but they are rows of nothing: neither now nor from the store. */
static void rows_that_lie_do_not_arrive(void **state)
{
	(void)state;
	struct fixture *f = fixture_of(GZIP);
	struct chunk rows[WIRE_CHUNKS_MAX];
	struct diag d = DIAG_INIT;
	assert_int_equal(wire_group_rows(f->wire, 1, part_of(f, 1), rows, NULL), 0);
	rows[2].blob_len = 0;
	change_group(f, 1, rows);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(chunk_table_arrive(f->t, 1, part_of(f, 1), &d), -EBADMSG);
		assert_non_null(strstr(d.text, "group 1, chunk 2"));
		assert_false(chunk_table_has_chunk(f->t, f->wire->group_chunks));
		assert_false(chunk_table_recall(f->t, 1));
		again(f);
	}
	arrive(f, 0);
	check_group(f, f->t, 0);
	fixture_free(&f);
}

/* Each group is right by itself, but the second goes back in the blob: a range over both would end
 * before it begins. Whichever comes second is refused, whether or not one is missing between. */
static void groups_that_contradict_each_other(void **state)
{
	(void)state;
	static const uint32_t orders[][2] = {{0, 1}, {1, 0}, {1, 2}, {2, 1}, {0, 3}, {3, 0}};
	for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
		struct fixture *f = fixture_of(GZIP);
		uint32_t high = max_of(orders[i][0], orders[i][1]);
		struct chunk rows[WIRE_CHUNKS_MAX];
		struct diag d = DIAG_INIT;
		assert_int_equal(wire_group_rows(f->wire, high, part_of(f, high), rows, NULL), 0);
		for (uint32_t k = 0; k < wire_group_len(f->wire, high); k++)
			rows[k].blob_off = 0;
		change_group(f, high, rows);
		arrive(f, orders[i][0]);
		err_t err = chunk_table_arrive(f->t, orders[i][1], part_of(f, orders[i][1]), &d);
		if (err != -EBADMSG || !strstr(d.text, "contradicts"))
			fail_msg("%u, then %u: %d %s", orders[i][0], orders[i][1], err, d.text);
		assert_false(chunk_table_recall(f->t, orders[i][1]));
		fixture_free(&f);
	}
}

static void heads_that_lie_are_no_table(void **state)
{
	(void)state;
	struct fixture *f = fixture_of(TAR);
	struct index_layer_head head = f->head;
	struct chunk_table *t = NULL;
	struct diag d = DIAG_INIT;
	head.form_len++;
	assert_int_equal(chunk_table_of_head(f->store, &head, &t, &d), -EBADMSG);
	assert_non_null(strstr(d.text, "the length of a form"));
	head = f->head;
	head.head.n--;
	assert_int_equal(chunk_table_of_head(f->store, &head, &t, &d), -EBADMSG);
	head.head.n = 0;
	assert_int_equal(chunk_table_of_head(f->store, &head, &t, &d), -EBADMSG);
	f->form.p[8] = WIRE_VERSION + 1;
	assert_int_equal(chunk_table_of_head(f->store, &f->head, &t, &d), -ENOTSUP);
	assert_null(t);
	fixture_free(&f);
}

/* --- the store --- */

static char *path_of(const struct fixture *f, const char *name)
{
	char dir[STORE_PATH_MAX];
	return xasprintf("%s/v1/%s%s%s", f->dir, store_published_dir(&f->head.form, dir),
			 name ? "/" : "", name ? name : "");
}

static void flip(const struct fixture *f, uint64_t off)
{
	auto_free char *path = path_of(f, "form");
	auto_fd int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;
	assert_int_equal(read_at(fd, &byte, 1, off), 0);
	byte ^= 0x10;
	assert_int_equal(write_at(fd, &byte, 1, off), 0);
}

static void the_store_remembers(void **state)
{
	(void)state;
	struct fixture *f = fixture_of(GZIP);
	arrive(f, 1);
	arrive(f, 3);
	again(f);
	for (uint32_t i = 0; i < f->wire->n_groups; i++)
		assert_int_equal(chunk_table_recall(f->t, i), i == 1 || i == 3);
	check_group(f, f->t, 1);
	check_group(f, f->t, 3);
	assert_true(chunk_table_recall(f->t, 1)); /* is there already */
	fixture_free(&f);
}

static void rot_is_absence(void **state)
{
	(void)state;
	struct fixture *f = fixture_of(GZIP);
	uint64_t windows_at = f->wire->groups[1].off + f->wire->groups[1].len - 5;
	auto_buf struct buf window = {0};
	uint32_t chunk = f->wire->group_chunks;
	arrive(f, 1);
	flip(f, windows_at);
	/* The rows are in memory; the windows are read each time. */
	struct chunk row;
	do
		chunk_table_get(f->t, chunk++, &row);
	while (!row.window_len);
	struct chunk_windows near = {0};
	struct bytes unused;
	assert_int_equal(chunk_table_window(f->t, chunk - 1, &near, &unused), -EBADMSG);
	assert_int_equal(near.raw.n, 0);
	assert_int_equal(chunk_table_group_windows(f->t, 1, &window), -EBADMSG);
	assert_int_equal(window.n, 0);
	arrive(f, 1);
	check_group(f, f->t, 1);
	flip(f, windows_at);
	store_note_error(f->store, -EIO, "test"); /* a disk that dies: memory keeps the part */
	arrive(f, 1);
	check_group(f, f->t, 1);
	store_close(&f->store);
	assert_int_equal(store_open(f->dir, &f->store, NULL), 0);
	again(f);
	assert_false(chunk_table_recall(f->t, 1));
	arrive(f, 1);
	check_group(f, f->t, 1);
	again(f);
	assert_true(chunk_table_recall(f->t, 1));
	fixture_free(&f);
}

static void a_file_that_is_cut(void **state)
{
	(void)state;
	struct fixture *f = fixture_of(GZIP);
	auto_free char *path = path_of(f, "form");
	arrive(f, 0);
	assert_int_equal(truncate(path, (off_t)f->wire->groups[0].off + 3), 0);
	auto_buf struct buf windows = {0};
	assert_int_equal(chunk_table_group_windows(f->t, 0, &windows), -EBADMSG);
	again(f); /* another length: another file */
	assert_false(chunk_table_recall(f->t, 0));
	arrive(f, 0);
	again(f);
	assert_true(chunk_table_recall(f->t, 0));
	check_group(f, f->t, 0);
	fixture_free(&f);
}

static void full_means_memory(void **state)
{
	(void)state;
	struct fixture *f = fixture_of(GZIP);
	arrive(f, 0);
	store_note_error(f->store, -ENOSPC, "test");
	for (uint32_t i = 1; i < f->wire->n_groups; i++)
		arrive(f, i);
	for (uint32_t i = 0; i < f->wire->n_groups; i++)
		check_group(f, f->t, i);
	again(f);
	assert_true(chunk_table_recall(f->t, 0));
	assert_false(chunk_table_recall(f->t, 1));
	fixture_free(&f);
}

/* No descriptor, and a place that is not ours: the table is there and keeps all in memory. */
static void no_file_means_memory(void **state)
{
	(void)state;
	struct fixture *f = fixture_of(GZIP);
	struct rlimit old, none;
	auto_free char *path = path_of(f, "form"), *dir = path_of(f, NULL);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	again(f);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	arrive(f, 2);
	check_group(f, f->t, 2);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	again(f);
	assert_false(chunk_table_recall(f->t, 2));
	arrive(f, 2);
	check_group(f, f->t, 2);
	assert_int_equal(chmod(dir, 0777), 0);
	again(f);
	arrive(f, 2);
	check_group(f, f->t, 2);
	assert_int_equal(chmod(dir, 0700), 0);
	fixture_free(&f);
}

/* --- threads --- */

struct crowd {
	struct fixture *f;
	_Atomic uint32_t seed;
};

static void *crowd_main(void *arg)
{
	struct crowd *c = arg;
	struct fixture *f = c->f;
	uint32_t seed = atomic_fetch_add(&c->seed, 1) * 7919, n = f->wire->n_groups;
	for (unsigned i = 0; i < 60; i++) {
		seed = seed * 1664525u + 1013904223u;
		uint32_t group = (seed >> 8) % n, other = (seed >> 16) % n;
		if (seed >> 31 || !chunk_table_recall(f->t, group))
			BUG_ON(chunk_table_arrive(f->t, group, part_of(f, group), NULL));
		(void)chunk_table_whole(f->t);
		uint32_t chunk = other * f->wire->group_chunks;
		if (!chunk_table_has_chunk(f->t, chunk))
			continue;
		auto_buf struct buf windows = {0};
		struct chunk row;
		chunk_table_get(f->t, chunk, &row);
		BUG_ON(row.stream_off != f->wire->stream_offs[other]);
		BUG_ON(chunk_table_at(f->t, row.stream_off) != chunk);
		BUG_ON(chunk_table_group_windows(f->t, other, &windows));
	}
	return NULL;
}

static void run_crowd(bool full)
{
	pthread_t threads[6];
	struct crowd c = {.f = fixture_of(GZIP)};
	if (full)
		store_note_error(c.f->store, -ENOSPC, "test");
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, crowd_main, &c), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	assert_true(chunk_table_whole(c.f->t));
	for (uint32_t i = 0; i < c.f->wire->n_groups; i++)
		check_group(c.f, c.f->t, i);
	fixture_free(&c.f);
}

static void threads_bring_groups(void **state)
{
	(void)state;
	run_crowd(false);
	run_crowd(true);
}

/* Who has a form open goes on with it when it is dropped. */
static void dropped_while_open(void **state)
{
	(void)state;
	struct fixture *f = fixture_of(TAR);
	auto_free char *dir = path_of(f, NULL);
	arrive(f, 0);
	store_published_drop(f->store, &f->head.form);
	assert_int_equal(access(dir, F_OK), -1);
	check_group(f, f->t, 0);
	arrive(f, 1);
	check_group(f, f->t, 1);
	again(f);
	assert_false(chunk_table_recall(f->t, 0));
	fixture_free(&f);
}

/* A whole form in the store is all of its groups, and groups are a form but for its end. */
static void groups_and_whole_forms(void **state)
{
	(void)state;
	struct fixture *f = fixture_of(GZIP);
	auto_buf struct buf out = {0};
	const struct digest *form = &f->head.form;
	const struct wire_part *tree = &f->wire->tree;
	for (uint32_t i = 0; i < f->wire->n_groups; i++)
		arrive(f, i);
	assert_int_equal(store_form_read(f->store, form, f->form.n, &out), -ENOENT);
	int fd = store_form_open(f->store, form, f->form.n);
	assert_true(fd >= 0);
	assert_int_equal(write_at(fd, f->form.p, f->wire->head_len, 0), 0);
	assert_int_equal(write_at(fd, f->form.p + tree->off, f->form.n - tree->off, tree->off), 0);
	close(fd);
	assert_int_equal(store_form_read(f->store, form, f->form.n, &out), 0);
	assert_true(bytes_equal(buf_bytes(&out), buf_bytes(&f->form)));
	store_published_drop(f->store, form);
	assert_int_equal(store_form_write(f->store, form, buf_bytes(&f->form)), 0);
	again(f);
	for (uint32_t i = 0; i < f->wire->n_groups; i++) {
		assert_true(chunk_table_recall(f->t, i));
		check_group(f, f->t, i);
	}
	fixture_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_of_an_index),
		cmocka_unit_test(groups_in_any_order),
		cmocka_unit_test(groups_of_a_range),
		cmocka_unit_test(wrong_bytes_do_not_arrive),
		cmocka_unit_test(rows_that_lie_do_not_arrive),
		cmocka_unit_test(groups_that_contradict_each_other),
		cmocka_unit_test(heads_that_lie_are_no_table),
		cmocka_unit_test(the_store_remembers),
		cmocka_unit_test(rot_is_absence),
		cmocka_unit_test(a_file_that_is_cut),
		cmocka_unit_test(full_means_memory),
		cmocka_unit_test(no_file_means_memory),
		cmocka_unit_test(threads_bring_groups),
		cmocka_unit_test(dropped_while_open),
		cmocka_unit_test(groups_and_whole_forms),
	};
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
