/*
 * content: what is read, fetched and waited for is written down as it happens, and a copy stays in
 * the store
 */
#include "tests/unit/profile_world.h"

#include "fetch/image_trace.h"

#include <sys/mman.h>

static const enum world_codec one_tar[] = {WORLD_TAR}, one_frame[] = {WORLD_ZSTD_ONE};

struct traced {
	struct world *w;
	struct content *c;
	int fd;
};

static void begin(struct traced *t, unsigned workers)
{
	t->fd = memfd_create("trace", MFD_CLOEXEC);
	assert_true(t->fd > 0);
	const struct content_options options = {
		.budget_s = 20, .workers = workers, .trace_fd = t->fd};
	t->c = world_content_with(t->w, &options);
}

/* As another process sees it. */
static struct trace *look(const struct traced *t)
{
	struct trace *trace;
	auto_buf struct buf file = {0};
	off_t n = lseek(t->fd, 0, SEEK_END);
	assert_true(n > 0 && n <= TRACE_FILE_MAX);
	assert_int_equal(buf_append_zeros(&file, (size_t)n), 0);
	assert_int_equal(read_at(t->fd, file.p, file.n, 0), 0);
	assert_int_equal(trace_parse(&file, &trace, NULL), 0);
	return trace;
}

/* A fetch is written down when it has ended, which is after its readers were answered. */
static struct trace *look_after(const struct traced *t, enum trace_who who)
{
	struct trace *trace = look(t);
	for (unsigned i = 0; i < 500 && !trace_info(trace)->fetched[who]; i++) {
		trace_free(&trace);
		usleep(20000);
		trace = look(t);
	}
	return trace;
}

static struct trace *look_in_store(const struct traced *t)
{
	struct trace *trace;
	assert_int_equal(image_trace_get(&t->w->image, &trace), 0);
	return trace;
}

static void end(struct traced *t)
{
	content_free(&t->c);
	close(t->fd);
}

static uint32_t chunk_of(const struct traced *t, unsigned file, uint64_t off)
{
	struct extent run;
	index_extent(t->w->image.tree, world_row(t->w, 0, file), off, &run);
	return chunk_table_at(t->w->tables[0], run.stream_off);
}

/* The record of the chunk at a place of a file, found as `imgfs map` finds it. */
static struct trace_chunk record_of(const struct traced *t, const struct trace *trace,
				    unsigned file, uint64_t off)
{
	const struct index_info *info = chunk_table_info(t->w->tables[0]);
	struct trace_chunk record;
	uint32_t slot;
	assert_true(trace_slot(trace, &t->w->blob_digests[0], info->n_chunks, info->stream_size,
			       &slot));
	trace_chunk_get(trace, slot, chunk_of(t, file, off), &record);
	return record;
}

static bool file_was_read(const struct traced *t, const struct trace *trace, unsigned file)
{
	return trace_file_was_read(trace,
				   world_row(t->w, 0, file) - index_info(t->w->image.tree)->n_dirs);
}

static void check_first_read(const struct traced *t, struct trace *trace)
{
	const struct trace_info *info = trace_info(trace);
	struct trace_chunk record = record_of(t, trace, BIG, 100000);
	assert_true(info->reads == 1 && info->read_bytes == 1000);
	assert_int_equal(info->fetches_seen, 1);
	assert_int_equal(info->waits_seen, 1);
	assert_true(file_was_read(t, trace, BIG) && !file_was_read(t, trace, SMALL));
	assert_int_equal(record.who, TRACE_READER);
	assert_int_equal(record.flags, TRACE_READ | TRACE_WAITED);
	assert_true(record.wait_ms >= 30);
	record = record_of(t, trace, BIG, 2000000);
	assert_true(record.flags == 0 && record.who == TRACE_NOBODY);
	struct trace_event fetch = trace_fetch(trace, 0), wait = trace_wait(trace, 0);
	assert_int_equal(fetch.chunk, chunk_of(t, BIG, 100000));
	assert_true(fetch.took_ms >= 30 && fetch.bytes > 0 && fetch.flags == 0);
	assert_int_equal(info->fetched[TRACE_READER], fetch.bytes);
	assert_int_equal(wait.chunk, fetch.chunk);
	assert_true(wait.took_ms >= 30 && wait.bytes == 1000 && wait.flags == 0);
	assert_int_equal(wait.file, world_row(t->w, 0, BIG) - index_info(t->w->image.tree)->n_dirs);
	trace_free(&trace);
}

static void writes_down_a_miss(void **state)
{
	(void)state;
	struct traced t = {.w = profile_world(one_tar, 1)};
	begin(&t, 0);
	atomic_store(&t.w->script.delay_ms, 30);
	world_check_read(t.w, t.c, 0, BIG, 100000, 1000);
	struct trace *trace = look_after(&t, TRACE_READER);
	assert_int_equal(trace_info(trace)->ended_ms, 0);
	check_first_read(&t, trace);
	end(&t);
	trace = look_in_store(&t);
	assert_true(trace_info(trace)->ended_ms > 0);
	check_first_read(&t, trace);
	world_free(&t.w);
}

static void a_hit_waits_for_nothing(void **state)
{
	(void)state;
	struct traced t = {.w = profile_world(one_tar, 1)};
	begin(&t, 0);
	world_check_read(t.w, t.c, 0, MIDDLE, 0, 100000);
	end(&t);
	begin(&t, 0);
	world_check_read(t.w, t.c, 0, MIDDLE, 0, 100000);
	struct trace *trace = look(&t);
	struct trace_chunk record = record_of(&t, trace, MIDDLE, 50000);
	assert_true(trace_info(trace)->reads == 1 && trace_info(trace)->waits_seen == 0 &&
		    trace_info(trace)->fetches_seen == 0);
	assert_true(record.flags == TRACE_READ && record.who == TRACE_NOBODY);
	trace_free(&trace);
	end(&t);
	world_free(&t.w);
}

static void read_ahead_is_told_apart(void **state)
{
	(void)state;
	struct traced t = {.w = profile_world(one_tar, 1)};
	begin(&t, 0);
	for (uint64_t off = 0; off < 600000; off += 20000)
		world_check_read(t.w, t.c, 0, BIG, off, 20000);
	struct trace *trace = look_after(&t, TRACE_AHEAD);
	assert_true(trace_info(trace)->fetched[TRACE_READER] > 0);
	assert_true(trace_info(trace)->fetched[TRACE_AHEAD] > 0);
	assert_int_equal(trace_info(trace)->fetched[TRACE_FILL], 0);
	assert_int_equal(record_of(&t, trace, BIG, 590000).who, TRACE_AHEAD);
	trace_free(&trace);
	end(&t);
	world_free(&t.w);
}

static void a_failure_is_an_event(void **state)
{
	(void)state;
	uint8_t p[100];
	struct traced t = {.w = profile_world(one_tar, 1)};
	begin(&t, 0);
	atomic_store(&t.w->script.error, -ENOENT);
	atomic_store(&t.w->script.failures, -1);
	assert_int_equal(content_read(t.c, world_row(t.w, 0, BIG), 7, p, 100, NULL), -ENOENT);
	/* Here the event comes first: the range is given up before its readers are told. */
	struct trace *trace = look(&t);
	assert_int_equal(trace_fetch(trace, 0).flags, TRACE_FAILED);
	assert_int_equal(trace_fetch(trace, 0).bytes, 0);
	assert_int_equal(trace_wait(trace, 0).flags, TRACE_FAILED);
	assert_int_equal(record_of(&t, trace, BIG, 7).who, TRACE_NOBODY);
	trace_free(&trace);
	end(&t);
	world_free(&t.w);
}

static void a_frame_brings_its_chunks(void **state)
{
	(void)state;
	struct traced t = {.w = profile_world(one_frame, 1)};
	begin(&t, 0);
	world_check_read(t.w, t.c, 0, BIG, 2000000, 1000);
	content_free(&t.c);
	struct trace *trace = look_in_store(&t);
	struct trace_event e = trace_fetch(trace, 0);
	assert_int_equal(e.chunk, 0);
	assert_true(e.n_chunks >= chunk_of(&t, BIG, 2000000));
	assert_int_equal(record_of(&t, trace, MIDDLE, 0).who, TRACE_READER);
	assert_int_equal(record_of(&t, trace, MIDDLE, 0).flags, 0);
	assert_true(record_of(&t, trace, BIG, 2000000).flags & TRACE_READ);
	trace_free(&trace);
	close(t.fd);
	world_free(&t.w);
}

static void nothing_read_leaves_nothing(void **state)
{
	(void)state;
	struct trace *trace;
	struct traced t = {.w = profile_world(one_tar, 1)};
	begin(&t, 0);
	end(&t);
	assert_int_equal(image_trace_get(&t.w->image, &trace), -ENOENT);
	world_free(&t.w);
}

/* A file that can not be written to is no reason not to serve. */
static void goes_without_a_file(void **state)
{
	(void)state;
	struct traced t = {.w = profile_world(one_tar, 1)};
	t.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	const struct content_options options = {.budget_s = 20, .trace_fd = t.fd};
	t.c = world_content_with(t.w, &options);
	world_check_read(t.w, t.c, 0, MIDDLE, 0, 100000);
	end(&t);
	world_free(&t.w);
}

/* More events than are kept: the first ones stay, the others are counted. */
static void keeps_the_first(void **state)
{
	(void)state;
	uint8_t p[100];
	struct traced t = {.w = profile_world(one_tar, 1)};
	begin(&t, 1);
	atomic_store(&t.w->script.error, -ENOENT);
	atomic_store(&t.w->script.failures, -1);
	for (unsigned i = 0; i < TRACE_EVENTS_MAX + 50; i++)
		assert_int_equal(content_read(t.c, world_row(t.w, 0, BIG), 7, p, 100, NULL),
				 -ENOENT);
	struct trace *trace = look(&t);
	assert_int_equal(trace_info(trace)->waits_seen, TRACE_EVENTS_MAX + 50);
	assert_int_equal(trace_info(trace)->n_waits, TRACE_EVENTS_MAX);
	trace_free(&trace);
	content_free(&t.c);
	trace = look_in_store(&t);
	assert_int_equal(trace_info(trace)->n_waits, TRACE_EVENTS_MAX);
	trace_free(&trace);
	close(t.fd);
	world_free(&t.w);
}

/* --- the store --- */

static void the_store_keeps_the_last(void **state)
{
	(void)state;
	struct world *w = profile_world(one_tar, 1);
	for (unsigned i = 0; i < 70; i++) {
		char name[32];
		snprintf(name, sizeof(name), "image %u", i);
		assert_int_equal(store_trace_put(w->store, name, BYTES_STR("packed")), 0);
	}
	unsigned there = 0;
	for (unsigned i = 0; i < 70; i++) {
		char name[32];
		auto_buf struct buf packed = {0};
		snprintf(name, sizeof(name), "image %u", i);
		err_t err = store_trace_get(w->store, name, &packed);
		assert_true(err == 0 || err == -ENOENT);
		there += !err;
		if (i == 69)
			assert_int_equal(err, 0);
	}
	assert_int_equal(there, 64);
	world_free(&w);
}

static void a_rotten_trace_is_none(void **state)
{
	(void)state;
	struct trace *trace;
	struct world *w = profile_world(one_tar, 1);
	/* Right bytes that are no trace; and what rotted on disk. */
	assert_int_equal(image_trace_put(&w->image, BYTES_STR("not a trace, but well kept")), 0);
	assert_int_equal(image_trace_get(&w->image, &trace), -ENOENT);
	auto_free char *command =
		xasprintf("for f in '%s'/v1/traces/*; do printf x >>\"$f\"; done", w->dir);
	assert_int_equal(system(command), 0);
	assert_int_equal(image_trace_get(&w->image, &trace), -ENOENT);
	auto_free char *gone = xasprintf("test -z \"$(ls '%s'/v1/traces)\"", w->dir);
	assert_int_equal(system(gone), 0);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_down_a_miss),
		cmocka_unit_test(a_hit_waits_for_nothing),
		cmocka_unit_test(read_ahead_is_told_apart),
		cmocka_unit_test(a_failure_is_an_event),
		cmocka_unit_test(a_frame_brings_its_chunks),
		cmocka_unit_test(nothing_read_leaves_nothing),
		cmocka_unit_test(goes_without_a_file),
		cmocka_unit_test(keeps_the_first),
		cmocka_unit_test(the_store_keeps_the_last),
		cmocka_unit_test(a_rotten_trace_is_none),
	};
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
