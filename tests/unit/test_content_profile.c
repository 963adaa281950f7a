/*
 * content: what a start reads is recorded in its order, by the rules of what is worth keeping, and
 * becomes the profile of the image and of its repository.
 */
#include "tests/unit/profile_world.h"

#include "fetch/content_priv.h"

#include <dirent.h>

static const enum world_codec two_tars[] = {WORLD_TAR, WORLD_TAR};

/* --- recording --- */

static void records_what_is_read_in_order(void **state)
{
	(void)state;
	struct world *w = profile_world(two_tars, 2);
	struct content *c = profile_content(w, 0);
	world_check_read(w, c, 0, BIG, 100000, 1000);
	world_check_read(w, c, 1, MIDDLE, 0, 100000);
	world_check_read(w, c, 0, SMALL, 0, 5000);
	world_check_read(w, c, 0, BIG, 101000, 500);  /* goes on where the first has ended */
	world_check_read(w, c, 1, MIDDLE, 500, 2000); /* nothing new */
	world_check_read(w, c, 1, SMALL, 0, 0);
	world_check_read(w, c, 0, BIG, 99999, 10); /* begins before what is known */
	assert_no_profile(w);
	content_free(&c);
	assert_profile(w, "100000 1500 /file-0-2\n"
			  "0 100000 /file-1-1\n"
			  "0 5000 /file-0-0\n"
			  "99999 10 /file-0-2\n");
	world_free(&w);
}

/* A file that is read on and on is one range, as long as nothing else is read meanwhile. */
static void long_ranges_keep_the_order(void **state)
{
	(void)state;
	struct world *w = profile_world(two_tars, 2);
	struct content *c = profile_content(w, 0);
	for (uint64_t off = 0; off < 2000000; off += 100000)
		world_check_read(w, c, 0, BIG, off, 100000);
	world_check_read(w, c, 1, SMALL, 0, 5000);
	world_check_read(w, c, 0, BIG, 2000000, 100000);
	world_check_read(w, c, 1, MIDDLE, 0, 10);
	world_check_read(w, c, 0, BIG, 2100000, 100000);
	content_free(&c);
	assert_profile(w, "0 2000000 /file-0-2\n"
			  "0 5000 /file-1-0\n"
			  "2000000 200000 /file-0-2\n"
			  "0 10 /file-1-1\n");
	world_free(&w);
}

/* The range is written down when it is asked for, whether it comes or not: the next start will ask
 * for it, too. */
static void records_what_failed(void **state)
{
	(void)state;
	uint8_t p[100];
	struct world *w = profile_world(two_tars, 1);
	struct content *c = profile_content(w, 0);
	atomic_store(&w->script.error, -ENOENT);
	atomic_store(&w->script.failures, -1);
	assert_int_equal(content_read(c, world_row(w, 0, BIG), 7, p, 100, NULL), -ENOENT);
	content_free(&c);
	assert_profile(w, "7 100 /file-0-2\n");
	world_free(&w);
}

static void nothing_read_is_nothing_recorded(void **state)
{
	(void)state;
	struct world *w = profile_world(two_tars, 1);
	struct content *c = profile_content(w, 0);
	content_warm(c);
	world_check_read(w, c, 0, BIG, 17, 0);
	content_free(&c);
	assert_no_profile(w);
	world_free(&w);
}

static void without_being_asked_nothing_is_recorded(void **state)
{
	(void)state;
	struct world *w = profile_world(two_tars, 1);
	struct content *c = world_content(w, 20, false);
	world_check_read(w, c, 0, BIG, 0, 100);
	content_free(&c);
	assert_no_profile(w);
	put_profile(w, "0 3000000 /file-0-2\n");
	forget_chunks(w);
	c = world_content(w, 20, false);
	content_warm(c);
	assert_false(scheduler_started(c->scheduler));
	sleep_ms(100);
	assert_int_equal(atomic_load(&w->script.opens), 0);
	content_free(&c);
	assert_profile(w, "0 3000000 /file-0-2\n");
	world_free(&w);
}

/* Ranges that begin before others count anew, so a few megabytes can be more than is worth
 * remembering: so many reads of all but the first bytes of a file. */
static void read_backwards(struct world *w, unsigned times)
{
	struct content *c = profile_content(w, 0);
	for (unsigned i = 0; i < times; i++)
		world_check_read(w, c, 0, BIG, times - i, world_file_size(BIG) - (times - i));
	content_free(&c);
}

static void a_search_is_not_recorded(void **state)
{
	(void)state;
	struct world *w = profile_world(two_tars, 1);
	read_backwards(w, (64u << 20) / 3000000 + 2);
	assert_no_profile(w);
	read_backwards(w, 2);
	assert_profile(w, "2 2999998 /file-0-2\n1 2999999 /file-0-2\n");
	/* Nor does it replace what is there. */
	read_backwards(w, (64u << 20) / 3000000 + 2);
	assert_profile(w, "2 2999998 /file-0-2\n1 2999999 /file-0-2\n");
	world_free(&w);
}

/* A start is over when nothing new was read for ten seconds. */
static void silence_ends_the_recording(void **state)
{
	(void)state;
	enum profile_origin origin;
	struct world *w = profile_world(two_tars, 2);
	struct content *c = profile_content(w, 0);
	world_check_read(w, c, 0, MIDDLE, 0, 1000);
	int64_t start_ms = now_ms(), until_ms = start_ms + 40000;
	for (;;) {
		auto_buf struct buf text = {0};
		if (image_profile_get(&w->image, true, &text, &origin) == 0)
			break;
		assert_true(now_ms() < until_ms);
		sleep_ms(100);
	}
	assert_true(now_ms() - start_ms > 8000);
	world_check_read(w, c, 1, BIG, 0, 100000);
	content_free(&c);
	assert_profile(w, "0 1000 /file-0-1\n");
	world_free(&w);
}

/* --- what becomes of an older profile --- */

struct succession {
	const char *name, *old;
	struct {
		unsigned layer, file;
		size_t n;
	} reads[3];	      /* ended by n == 0 */
	const char *recorded; /* NULL: the old one stays */
};

static const struct succession successions[] = {
	{"the same",
	 "0 100000 /file-0-1\n0 5000 /file-0-0\n",
	 {{0, MIDDLE, 100000}, {0, SMALL, 5000}},
	 NULL},
	{"another order",
	 "0 100000 /file-0-1\n0 5000 /file-0-0\n",
	 {{0, SMALL, 5000}, {0, MIDDLE, 100000}},
	 NULL},
	{"most of it", "0 100000 /file-0-1\n0 5000 /file-0-0\n", {{0, MIDDLE, 90000}}, NULL},
	{"half of it", "0 100000 /file-0-1\n0 100000 /file-1-1\n", {{0, MIDDLE, 100000}}, NULL},
	{"less than half",
	 "0 100000 /file-0-1\n0 100001 /file-1-2\n",
	 {{0, MIDDLE, 100000}},
	 "0 100000 /file-0-1\n"},
	{"a tenth more", "0 90000 /file-0-1\n", {{0, MIDDLE, 100000}}, NULL},
	{"more than a tenth more",
	 "0 89999 /file-0-1\n",
	 {{0, MIDDLE, 100000}},
	 "0 100000 /file-0-1\n"},
	{"something else", "0 100000 /file-0-1\n", {{1, MIDDLE, 100000}}, "0 100000 /file-1-1\n"},
	{"the same file elsewhere",
	 "0 50000 /file-0-2\n",
	 {{0, MIDDLE, 50000}},
	 "0 50000 /file-0-1\n"},
	{"a glance", "0 100000 /file-0-1\n", {{1, SMALL, 5000}}, NULL},
	{"more than a glance", "0 100000 /file-0-1\n", {{1, MIDDLE, 25000}}, "0 25000 /file-1-1\n"},
	{"of another image", "0 100000 /gone\n", {{1, SMALL, 5000}}, "0 5000 /file-1-0\n"},
	{"no profile", "0 100000 file-0-1\n", {{1, SMALL, 5000}}, "0 5000 /file-1-0\n"},
};

static void an_old_profile_makes_room_for_a_better_one(void **state)
{
	(void)state;
	struct world *w = profile_world(two_tars, 2);
	for (size_t i = 0; i < ARRAY_LEN(successions); i++) {
		const struct succession *s = &successions[i];
		put_profile(w, s->old);
		struct content *c = profile_content(w, 0);
		for (size_t k = 0; k < ARRAY_LEN(s->reads) && s->reads[k].n; k++)
			world_check_read(w, c, s->reads[k].layer, s->reads[k].file, 0,
					 s->reads[k].n);
		content_free(&c);
		print_message("%s\n", s->name);
		assert_profile(w, s->recorded ? s->recorded : s->old);
	}
	world_free(&w);
}

/* --- whose profile --- */

static void the_next_release_starts_with_it(void **state)
{
	(void)state;
	enum profile_origin origin;
	auto_buf struct buf text = {0}, own = {0}, other = {0};
	struct world *w = profile_world(two_tars, 2);
	struct digest first = w->image.digest;
	struct content *c = profile_content(w, 0);
	world_check_read(w, c, 1, MIDDLE, 0, 100000);
	content_free(&c);
	forget_chunks(w);
	digest_of(DIGEST_SHA256, "the next", 8, &w->image.digest);
	assert_int_equal(image_profile_get(&w->image, true, &own, &origin), -ENOENT);
	assert_int_equal(image_profile_get(&w->image, false, &text, &origin), 0);
	assert_int_equal(origin, PROFILE_SIBLING);
	c = profile_content(w, 0);
	content_warm(c);
	wait_stored(w, 1, MIDDLE, 0, 100000);
	world_check_read(w, c, 0, MIDDLE, 0, 100000);
	content_free(&c);
	/* Each has its own; the repository has the last one. */
	assert_profile(w, "0 100000 /file-0-1\n");
	w->image.digest = first;
	assert_profile(w, "0 100000 /file-1-1\n");
	digest_of(DIGEST_SHA256, "the third", 9, &w->image.digest);
	assert_int_equal(image_profile_get(&w->image, false, &other, &origin), 0);
	assert_memory_equal(other.p, PROFILE_HEAD "0 100000 /file-0-1\n", other.n);
	image_profile_drop(&w->image);
	assert_no_profile(w);
	w->image.digest = first;
	assert_profile(w, "0 100000 /file-1-1\n");
	/* Another repository, and a layout, have nothing of it. */
	static char other_repo[] = "other", dir[] = "/srv/layout";
	digest_of(DIGEST_SHA256, "the fourth", 10, &w->image.digest);
	put_profile(w, "0 1 /file-0-0\n");
	digest_of(DIGEST_SHA256, "the fifth", 9, &w->image.digest);
	w->image.ref.repo = other_repo;
	assert_no_profile(w);
	w->image.ref = (struct ref){.kind = REF_OCI_LAYOUT, .dir = dir};
	assert_no_profile(w);
	put_profile(w, "0 2 /file-0-0\n");
	digest_of(DIGEST_SHA256, "the sixth", 9, &w->image.digest);
	other.n = 0;
	assert_int_equal(image_profile_get(&w->image, false, &other, &origin), 0);
	assert_memory_equal(other.p, PROFILE_HEAD "0 2 /file-0-0\n", other.n);
	world_free(&w);
}

/* Flip one byte of every profile in the store; how many there are. */
static unsigned spoil_profiles(struct world *w, off_t at)
{
	auto_free char *dir = xasprintf("%s/v1/profiles", w->dir);
	DIR *d = opendir(dir);
	assert_non_null(d);
	unsigned n = 0;
	for (struct dirent *e; (e = readdir(d));) {
		uint8_t byte;
		if (e->d_name[0] == '.')
			continue;
		int fd = openat(dirfd(d), e->d_name, O_RDWR);
		assert_true(fd >= 0);
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 0x20;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		close(fd);
		n++;
	}
	closedir(d);
	return n;
}

static void rot_is_no_profile(void **state)
{
	(void)state;
	struct world *w = profile_world(two_tars, 1);
	for (off_t at = 0; at < 50; at++) {
		put_profile(w, "0 100000 /file-0-1\n");
		assert_int_equal(spoil_profiles(w, at), 2);
		assert_no_profile(w);
		DIR *d;
		auto_free char *dir = xasprintf("%s/v1/profiles", w->dir);
		assert_non_null(d = opendir(dir));
		for (struct dirent *e; (e = readdir(d));)
			assert_int_equal(e->d_name[0], '.');
		closedir(d);
	}
	put_profile(w, "0 100000 /file-0-1\n");
	spoil_profiles(w, 40);
	struct content *c = profile_content(w, 0);
	content_warm(c);
	world_check_read(w, c, 0, BIG, 0, 1000);
	content_free(&c);
	assert_profile(w, "0 1000 /file-0-2\n");
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_what_is_read_in_order),
		cmocka_unit_test(long_ranges_keep_the_order),
		cmocka_unit_test(records_what_failed),
		cmocka_unit_test(nothing_read_is_nothing_recorded),
		cmocka_unit_test(without_being_asked_nothing_is_recorded),
		cmocka_unit_test(a_search_is_not_recorded),
		cmocka_unit_test(silence_ends_the_recording),
		cmocka_unit_test(an_old_profile_makes_room_for_a_better_one),
		cmocka_unit_test(the_next_release_starts_with_it),
		cmocka_unit_test(rot_is_no_profile),
	};
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
