/*
 * What the dynamic loader reads next: that it comes after the first bytes of a program, that
 * nothing else does, and that it ends, whatever the files and the source say.
 */
#include "tests/unit/loader_world.h"

#define APP    "/bin/app"
#define LD     "/lib64/ld.so"
#define LIBA   "/usr/lib/liba.so"
#define LIBB   "/usr/lib/sub/libb.so"
#define DATA   "/usr/lib/data.so"
#define UNUSED "/usr/lib/libunused.so"

static const struct shape wide = {true, false};

/* A chain: each is named by the one before it, which has to be here for that. */
static const struct made chain[] = {
	{.path = UNUSED, .size = 2, .needs = {"liba.so"}},
	{.path = LIBB, .size = 5, .needs = {"libgone.so", "data.so"}},
	{.path = APP, .size = 40, .loader = LD, .needs = {"liba.so"}},
	{.path = "/usr/lib/sub/liba.so", .size = 2, .needs = {"libunused.so"}},
	{.path = DATA, .size = 3, .no_elf = true},
	{.path = LIBA, .size = 6, .search = "/gone:$ORIGIN/sub", .needs = {"libb.so"}},
	{.path = LD, .size = 4},
};

static void expect_chain(const struct world *w, struct expectation *e)
{
	static const char *const paths[] = {APP, LD, LIBA, LIBB, DATA};
	expect_nothing(w, e);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		expect_whole(w, e, paths[i]);
	expect_around_head(w, e, APP);
}

static void check_chain(struct world *w, unsigned workers)
{
	struct expectation e;
	struct content *c = loader_content(w, workers);
	expect_chain(w, &e);
	check_read(w, c, APP, 0, HEAD);
	check_stored(w, c, &e);
	assert_int_equal(stats_of(c).misses, 1);
	check_read(w, c, LIBB, 0, 5 * CHUNK);
	check_read(w, c, LIBA, 5 * CHUNK, CHUNK);
	assert_int_equal(stats_of(c).misses, 1);
	content_free(&c);
	world_empty_store(w);
}

static void what_a_program_names_comes(void **state)
{
	(void)state;
	struct world *w = loader_world(chain, ARRAY_LEN(chain), wide);
	for (unsigned workers = 1; workers <= 4; workers++)
		check_chain(w, workers);
	world_free(&w);
}

static void whatever_the_machine(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		struct world *w = loader_world(chain, ARRAY_LEN(chain), shapes[i]);
		check_chain(w, 2);
		world_free(&w);
	}
}

/* Who comes to a library first is served as well as who comes to the program. */
static void a_library_that_is_read_first(void **state)
{
	(void)state;
	struct expectation e;
	struct world *w = loader_world(chain, ARRAY_LEN(chain), wide);
	struct content *c = loader_content(w, 1);
	expect_nothing(w, &e);
	expect_whole(w, &e, LIBA);
	expect_whole(w, &e, LIBB);
	expect_whole(w, &e, DATA);
	expect_around_head(w, &e, LIBA);
	check_read(w, c, LIBA, 0, HEAD);
	check_stored(w, c, &e);
	content_free(&c);
	world_free(&w);
}

static void nothing_is_fetched_without_neighbours(void **state)
{
	(void)state;
	struct expectation e;
	struct world *w = loader_world(chain, ARRAY_LEN(chain), wide);
	struct content *c = world_content(w, 20, false);
	expect_nothing(w, &e);
	expect(w, &e, APP, 0, HEAD, MUST, 0);
	check_read(w, c, APP, 0, HEAD);
	check_stored(w, c, &e);
	assert_int_equal(atomic_load(&w->script.opens), 1);
	content_free(&c);
	world_free(&w);
}

static void a_file_that_is_no_program_brings_nothing(void **state)
{
	(void)state;
	struct expectation e;
	struct world *w = loader_world(chain, ARRAY_LEN(chain), wide);
	struct content *c = loader_content(w, 2);
	expect_nothing(w, &e);
	expect_around_head(w, &e, DATA);
	check_read(w, c, DATA, 0, HEAD);
	check_stored(w, c, &e);
	content_free(&c);
	world_free(&w);
}

/* No read comes after the first one, so that nothing goes on for another reason than what has come;
 * what comes side by side must not be overlooked. */
static void nothing_stalls(void **state)
{
	(void)state;
	static const struct made branches[] = {
		{.path = APP, .size = 6, .loader = LD, .needs = {"l1.so"}},
		{.path = LD, .size = 2},
		{.path = "/lib/l1.so", .size = 2, .needs = {"l2.so", "x1.so"}},
		{.path = "/lib/l2.so", .size = 2, .needs = {"x2.so", "l3.so"}},
		{.path = "/lib/l3.so", .size = 2, .needs = {"l4.so", "x3.so"}},
		{.path = "/lib/l4.so", .size = 2, .needs = {"x4.so", "l5.so"}},
		{.path = "/lib/l5.so", .size = 2},
		{.path = "/lib/x1.so", .size = 2},
		{.path = "/lib/x2.so", .size = 2},
		{.path = "/lib/x3.so", .size = 2},
		{.path = "/lib/x4.so", .size = 2},
	};
	struct expectation e;
	struct world *w = loader_world(branches, ARRAY_LEN(branches), wide);
	expect_nothing(w, &e);
	for (size_t i = 0; i < ARRAY_LEN(branches); i++)
		expect_whole(w, &e, branches[i].path);
	for (unsigned i = 0; i < 40; i++) {
		struct content *c = loader_content(w, i % 2 ? 4 : 8);
		check_read(w, c, APP, 0, HEAD);
		wait_expected(c, &e);
		content_free(&c);
		world_empty_store(w);
	}
	free(e.of);
	world_free(&w);
}

/* --- the middle of a file --- */

#define MIDDLE (20u * CHUNK)

/* And a read of the head brings what it brings, still. */
static void the_middle_does_not_bring_the_head(void **state)
{
	(void)state;
	struct expectation e;
	struct world *w = loader_world(chain, ARRAY_LEN(chain), wide);
	struct content *c = loader_content(w, 2);
	expect_nothing(w, &e);
	expect(w, &e, APP, MIDDLE, 100, MUST, 0);
	expect(w, &e, APP, MIDDLE, 100, MAY, BESIDE);
	check_read(w, c, APP, MIDDLE, 100);
	check_stored(w, c, &e);
	expect_chain(w, &e);
	check_read(w, c, APP, 0, HEAD);
	check_stored(w, c, &e);
	content_free(&c);
	world_free(&w);
}

static void a_head_that_is_here_counts_for_the_middle(void **state)
{
	(void)state;
	struct expectation e;
	struct world *w = loader_world(chain, ARRAY_LEN(chain), wide);
	struct content *c = world_content(w, 20, false);
	check_read(w, c, APP, 0, HEAD);
	content_free(&c);
	c = loader_content(w, 2);
	expect_chain(w, &e);
	check_read(w, c, APP, MIDDLE, 100);
	check_stored(w, c, &e);
	content_free(&c);
	world_free(&w);
}

/* --- large files --- */

#define MIB	     (1u << 20)
#define LARGE	     (13u * MIB)
#define FIRST_LEN    (CHUNK * 12)
#define WRITABLE_AT  (LARGE - CHUNK * 9)
#define WRITABLE_LEN (CHUNK * 4)
#define LAST_AT	     (WRITABLE_AT + WRITABLE_LEN)
#define SEGMENT_4M   (4u * MIB) /* of a segment, no more is fetched */

#define LARGE_SEGMENTS                                                                             \
	{                                                                                          \
		{0, FIRST_LEN, false}, {FIRST_LEN, WRITABLE_AT - FIRST_LEN, false},                \
			{WRITABLE_AT, WRITABLE_LEN, true},                                         \
		{                                                                                  \
			LAST_AT, LARGE - LAST_AT, false                                            \
		}                                                                                  \
	}

static const struct made large[] = {
	{.path = APP, .size = LARGE / CHUNK, .needs = {"liba.so"}, .segments = LARGE_SEGMENTS},
	{.path = LIBA, .size = LARGE / CHUNK, .needs = {"libb.so"}, .segments = LARGE_SEGMENTS},
	{.path = "/usr/lib/libb.so", .size = LARGE / CHUNK, .needs = {"libgone.so"}},
};

static void of_a_large_file_two_segments_come(void **state)
{
	(void)state;
	static const char *const paths[] = {APP, LIBA};
	struct expectation e;
	struct world *w = loader_world(large, ARRAY_LEN(large), wide);
	for (unsigned workers = 1; workers <= 4; workers += 3) {
		struct content *c = loader_content(w, workers);
		expect_nothing(w, &e);
		for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
			expect(w, &e, paths[i], 0, FIRST_LEN, MUST, 0);
			expect(w, &e, paths[i], WRITABLE_AT, WRITABLE_LEN, MUST, 0);
			/* The names, and the dynamic section. */
			expect(w, &e, paths[i], LARGE - 2 * CHUNK, 2 * CHUNK, MUST, 0);
		}
		expect(w, &e, "/usr/lib/libb.so", 0, SEGMENT_4M, MUST, 0);
		expect(w, &e, "/usr/lib/libb.so", LARGE - 2 * CHUNK, 2 * CHUNK, MUST, 0);
		expect_around_head(w, &e, APP);
		check_read(w, c, APP, 0, HEAD);
		check_stored(w, c, &e);
		content_free(&c);
		world_empty_store(w);
	}
	world_free(&w);
}

/* --- circles --- */

static void files_that_need_each_other(void **state)
{
	(void)state;
	static const struct made circle[] = {
		{.path = APP, .size = 3, .loader = LIBA, .needs = {"liba.so", "liba.so", APP}},
		{.path = LIBA, .size = 3, .needs = {"liba.so", "libb.so", APP}},
		{.path = "/usr/lib/libb.so", .size = 3, .loader = LIBA, .needs = {"liba.so"}},
	};
	struct expectation e;
	struct world *w = loader_world(circle, ARRAY_LEN(circle), wide);
	struct content *c = loader_content(w, 3);
	expect_nothing(w, &e);
	for (size_t i = 0; i < ARRAY_LEN(circle); i++)
		expect_whole(w, &e, circle[i].path);
	expect_around_head(w, &e, APP);
	check_read(w, c, APP, 0, HEAD);
	check_stored(w, c, &e);
	assert_true(stats_of(c).fetched_bytes <= (9 + 2 * BESIDE) * CHUNK);
	content_free(&c);
	world_free(&w);
}

/* --- what goes wrong --- */

/* The reader's request is under way, and nothing after it. */
static struct probe *begin_slowly(struct world *w, struct content *c)
{
	struct probe *probe = probe_of_row(row_of(w, APP), 0, HEAD);
	int64_t until_ms = now_ms() + 20000;
	atomic_store(&w->script.delay_ms, 200);
	content_read_start(c, &probe->r);
	while (!atomic_load(&w->script.opens)) {
		assert_true(now_ms() < until_ms);
		sleep_ms(1);
	}
	return probe;
}

#define MANY 1000

static void check_failure(err_t error, unsigned workers)
{
	struct world *w = loader_world(chain, ARRAY_LEN(chain), wide);
	struct content *c = loader_content(w, workers);
	struct probe *probe = begin_slowly(w, c);
	sleep_ms(20); /* neighbours may have a request of their own */
	atomic_store(&w->script.error, error);
	atomic_store(&w->script.failures, MANY);
	assert_int_equal(probe_wait(probe), 0);
	probe_free(&probe);
	wait_idle(w);
	unsigned opens = atomic_load(&w->script.opens);
	assert_in_range(atomic_load(&w->script.failures), MANY - 8, MANY - 1);
	sleep_ms(500);
	assert_int_equal(atomic_load(&w->script.opens), opens);
	assert_int_equal(stats_of(c).errors, 0);
	atomic_store(&w->script.failures, 0);
	atomic_store(&w->script.delay_ms, 0);
	check_read(w, c, LIBA, 0, 6 * CHUNK);
	check_read(w, c, APP, 0, 40 * CHUNK);
	assert_int_equal(stats_of(c).errors, 0);
	content_free(&c);
	world_free(&w);
}

static void a_dead_source_is_left_alone(void **state)
{
	(void)state;
	check_failure(-ECONNREFUSED, 1);
	check_failure(-ENOENT, 1);
	check_failure(-ETIMEDOUT, 4);
}

static void wrong_bytes_are_not_kept(void **state)
{
	(void)state;
	struct world *w = loader_world(chain, ARRAY_LEN(chain), wide);
	for (unsigned workers = 1; workers <= 4; workers += 3) {
		struct content *c = loader_content(w, workers);
		uint32_t bad = (uint32_t)(stream_off(w, LIBA) / CHUNK) + 2;
		atomic_store(&w->script.opens, 0);
		atomic_store(&w->script.lie_at, (int)(bad * CHUNK + 100));
		atomic_store(&w->script.lies, -1);
		check_read(w, c, APP, 0, HEAD);
		wait_idle(w);
		assert_false(chunk_store_has(c->slots[0].chunks, bad));
		assert_true(stats_of(c).refused >= 1);
		assert_true(atomic_load(&w->script.opens) <= 20);
		/* Whoever reads what is right is not harmed. */
		check_read(w, c, LIBA, 0, 2 * CHUNK);
		check_read(w, c, LIBA, 3 * CHUNK, 3 * CHUNK);
		check_read(w, c, LIBB, 0, 5 * CHUNK);
		assert_int_equal(stats_of(c).errors, 0);
		atomic_store(&w->script.lies, 0);
		check_read(w, c, LIBA, 0, 6 * CHUNK);
		content_free(&c);
		world_empty_store(w);
	}
	world_free(&w);
}

/* --- programs that are opened and not run --- */

#define PROGRAMS 40
#define ENOUGH	 16 /* with a library each: what is judged by */

/* Programs, with a library each; one that was read brings nothing of where the next one lies.
 */
static struct world *many_programs(char paths[2 * PROGRAMS][32])
{
	struct buf tar = {0};
	put_filler(&tar, BETWEEN);
	for (unsigned i = 0; i < 2 * PROGRAMS; i++) {
		bool library = i >= PROGRAMS;
		char *path = paths[i], *needs = paths[PROGRAMS + i % PROGRAMS];
		snprintf(path, 32, library ? "/lib/lib%u.so" : "/bin/app%u", i % PROGRAMS);
		snprintf(needs, 32, "/lib/lib%u.so", i % PROGRAMS);
		struct made made = {.path = path, .size = 1};
		if (!library)
			made.needs[0] = needs + strlen("/lib/");
		put_made(&tar, &made, wide);
		put_filler(&tar, i == PROGRAMS - 1 ? BETWEEN : library ? 1 : 8);
	}
	put_end(&tar);
	return world_new_of(WORLD_TAR, &tar);
}

static void wait_for_any(struct world *w, struct content *c, const char *path)
{
	int64_t until_ms = now_ms() + 20000;
	while (!has_any(w, c, path)) {
		assert_true(now_ms() < until_ms);
		sleep_ms(1);
	}
}

static void check_use(bool used)
{
	char paths[2 * PROGRAMS][32];
	struct world *w = many_programs(paths);
	struct content *c = loader_content(w, 2);
	for (unsigned i = 0; i < PROGRAMS; i++) {
		check_read(w, c, paths[i], 0, HEAD);
		check_read(w, c, paths[i], HEAD, HEAD); /* says nothing about libraries */
		if (used || i < ENOUGH)
			wait_for_any(w, c, paths[PROGRAMS + i]);
		if (used)
			check_read(w, c, paths[PROGRAMS + i], 0, HEAD);
	}
	wait_idle(w);
	for (unsigned i = ENOUGH; i < PROGRAMS; i++)
		assert_int_equal(has_any(w, c, paths[PROGRAMS + i]), used);
	content_free(&c);
	world_free(&w);
}

static void where_nothing_is_used_it_ends(void **state)
{
	(void)state;
	check_use(false);
	check_use(true);
}

/* --- what is too much --- */

#define LONG_CHAIN 300
#define AHEAD_MAX  256 /* libraries before the reader */

/* Each names the next one. */
static struct world *long_chain(char paths[LONG_CHAIN + 1][32])
{
	struct buf tar = {0};
	for (unsigned i = 0; i <= LONG_CHAIN; i++)
		snprintf(paths[i], sizeof(paths[i]), "/lib/lib%u.so", i);
	for (unsigned i = 0; i < LONG_CHAIN; i++) {
		struct made made = {
			.path = paths[i], .size = 1, .needs = {paths[i + 1] + strlen("/lib/")}};
		put_made(&tar, &made, wide);
		put_filler(&tar, i ? 1 : BETWEEN);
	}
	put_end(&tar);
	return world_new_of(WORLD_TAR, &tar);
}

static unsigned count_libraries(struct world *w, struct content *c, char paths[LONG_CHAIN + 1][32])
{
	unsigned n = 0;
	for (unsigned i = 1; i < LONG_CHAIN; i++)
		n += has_any(w, c, paths[i]);
	return n;
}

static void an_image_is_not_fetched_by_one_read(void **state)
{
	(void)state;
	char paths[LONG_CHAIN + 1][32];
	struct world *w = long_chain(paths);
	struct content *c = loader_content(w, 2);
	check_read(w, c, paths[0], 0, HEAD);
	wait_for_any(w, c, paths[AHEAD_MAX]);
	wait_idle(w);
	assert_int_equal(count_libraries(w, c, paths), AHEAD_MAX);
	/* As the reader follows, it goes on. */
	for (unsigned i = 1; i < LONG_CHAIN; i++)
		check_read(w, c, paths[i], 0, HEAD);
	assert_int_equal(stats_of(c).errors, 0);
	content_free(&c);
	world_free(&w);
}

static void nothing_of_a_disproved_layer(void **state)
{
	(void)state;
	static const struct start how = {
		.priority = PRIORITY_READAHEAD, .queue_max = 64, .fetches = true};
	struct world *w = loader_world(chain, ARRAY_LEN(chain), wide);
	struct content *c = loader_content(w, 1);
	uint64_t from = 0;
	atomic_store(&c->slots[0].disproved, true);
	assert_int_equal(content_start_range(c, row_of(w, APP), &from, HEAD, &how), START_NOTHING);
	assert_int_equal(from, 0);
	wait_idle(w);
	assert_int_equal(atomic_load(&w->script.opens), 0);
	content_free(&c);
	world_free(&w);
}

/* --- the end --- */

static void ends_at_any_moment(void **state)
{
	(void)state;
	struct world *w = loader_world(chain, ARRAY_LEN(chain), wide);
	unsigned seed = 4711;
	atomic_store(&w->script.delay_ms, 1);
	for (unsigned i = 0; i < 24; i++) {
		struct content *c = loader_content(w, 1 + i % 4);
		struct probe *probe = probe_of_row(row_of(w, i % 3 ? APP : LIBA), 0, HEAD);
		content_read_start(c, &probe->r);
		usleep((useconds_t)rand_r(&seed) % 40000);
		content_free(&c);
		err_t err = probe_wait(probe);
		assert_true(err == 0 || err == -EIO);
		probe_free(&probe);
		world_empty_store(w);
	}
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_program_names_comes),
		cmocka_unit_test(whatever_the_machine),
		cmocka_unit_test(a_library_that_is_read_first),
		cmocka_unit_test(nothing_is_fetched_without_neighbours),
		cmocka_unit_test(a_file_that_is_no_program_brings_nothing),
		cmocka_unit_test(nothing_stalls),
		cmocka_unit_test(the_middle_does_not_bring_the_head),
		cmocka_unit_test(a_head_that_is_here_counts_for_the_middle),
		cmocka_unit_test(of_a_large_file_two_segments_come),
		cmocka_unit_test(files_that_need_each_other),
		cmocka_unit_test(a_dead_source_is_left_alone),
		cmocka_unit_test(wrong_bytes_are_not_kept),
		cmocka_unit_test(where_nothing_is_used_it_ends),
		cmocka_unit_test(an_image_is_not_fetched_by_one_read),
		cmocka_unit_test(nothing_of_a_disproved_layer),
		cmocka_unit_test(ends_at_any_moment),
	};
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
