/*
 * Published forms in the store: only what is whole and matches its digest is read; chunks that a
 * form decoded become a layer's once; and a form that is dropped leaves nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fetch/log.h"
#include "fetch/store_priv.h"

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORM_LEN 100000

struct fixture {
	char dir[64];
	struct store *store;
	struct buf bytes; /* of a form: the store does not look into it */
	struct digest form, blob;
	char *published, *layer; /* their directories */
};

static int setup(void **state)
{
	struct fixture *f = new_of(struct fixture);
	char rel[STORE_PATH_MAX];
	snprintf(f->dir, sizeof(f->dir), "/tmp/imgfs-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(store_open(f->dir, &f->store, NULL), 0);
	assert_int_equal(buf_append_zeros(&f->bytes, FORM_LEN), 0);
	for (size_t i = 0; i < FORM_LEN; i++)
		f->bytes.p[i] = (uint8_t)(i * 7 + i / 251 + 1);
	digest_of(DIGEST_SHA256, f->bytes.p, f->bytes.n, &f->form);
	digest_of(DIGEST_SHA256, "blob", 4, &f->blob);
	f->published = xasprintf("%s/v1/%s", f->dir, store_published_dir(&f->form, rel));
	f->layer = xasprintf("%s/v1/%s", f->dir, store_layer_dir(&f->blob, rel));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[100];
	store_close(&f->store);
	buf_fini(&f->bytes);
	free(f->published);
	free(f->layer);
	snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	free(f);
	return system(command);
}

static void put_text(const char *dir, const char *name, const char *text)
{
	auto_free char *path = xasprintf("%s/%s", dir, name);
	auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, text, strlen(text)), 0);
}

/* @text NULL: there is no such file. */
static void check_text(const char *dir, const char *name, const char *text)
{
	auto_free char *path = xasprintf("%s/%s", dir, name);
	auto_buf struct buf got = {0};
	err_t err = read_file(path, 100, &got);
	if (!text)
		assert_int_equal(err, -ENOENT);
	else if (err || !bytes_equal_str(buf_bytes(&got), text))
		fail_msg("%s: %d '%.*s'", path, err, (int)got.n, got.n ? (char *)got.p : "");
}

static void write_whole(struct fixture *f)
{
	assert_int_equal(store_form_write(f->store, &f->form, buf_bytes(&f->bytes)), 0);
}

static err_t read_whole(struct fixture *f)
{
	auto_buf struct buf out = {0};
	err_t err = store_form_read(f->store, &f->form, FORM_LEN, &out);
	assert_true(bytes_equal(buf_bytes(&out), err ? (struct bytes){0} : buf_bytes(&f->bytes)));
	return err;
}

static void whole_forms(void **state)
{
	struct fixture *f = *state;
	auto_buf struct buf out = {0};
	assert_int_equal(read_whole(f), -ENOENT);
	write_whole(f);
	assert_int_equal(read_whole(f), 0);
	assert_int_equal(store_form_read(f->store, &f->form, FORM_LEN - 1, &out), -ENOENT);
	assert_int_equal(store_form_read(f->store, &f->form, FORM_LEN + 1, &out), -ENOENT);
	assert_int_equal(store_form_read(f->store, &f->blob, FORM_LEN, &out), -ENOENT);
	assert_int_equal(out.n, 0);
	assert_int_equal(read_whole(f), 0); /* asking wrongly has done nothing */
}

static void forms_in_parts(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	int fd = store_form_open(f->store, &f->form, FORM_LEN);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, FORM_LEN);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_blocks, 0);
	assert_int_equal(write_at(fd, f->bytes.p + 50000, 50000, 50000), 0);
	assert_int_equal(read_whole(f), -ENOENT);
	/* A second one is the same file. */
	int other = store_form_open(f->store, &f->form, FORM_LEN);
	assert_true(other >= 0);
	assert_int_equal(write_at(other, f->bytes.p, 50000, 0), 0);
	assert_int_equal(read_whole(f), 0);
	assert_int_equal(write_at(fd, "x", 1, 77777), 0);
	assert_int_equal(read_whole(f), -ENOENT);
	close(fd);
	close(other);
	write_whole(f);
	assert_int_equal(read_whole(f), 0);
}

/* A file of another length is no copy of the form, whatever made it. */
static void another_length(void **state)
{
	struct fixture *f = *state;
	auto_free char *path = xasprintf("%s/form", f->published);
	write_whole(f);
	assert_int_equal(truncate(path, 500), 0);
	assert_int_equal(read_whole(f), -ENOENT);
	write_whole(f);
	assert_int_equal(read_whole(f), 0);
	assert_int_equal(truncate(path, FORM_LEN + 1), 0);
	assert_int_equal(read_whole(f), -ENOENT);
	int fd = store_form_open(f->store, &f->form, FORM_LEN);
	assert_true(fd >= 0);
	close(fd);
	write_whole(f);
	assert_int_equal(read_whole(f), 0);
}

static void not_ours_is_left_alone(void **state)
{
	struct fixture *f = *state;
	auto_free char *path = xasprintf("%s/form", f->published);
	auto_free char *aside = xasprintf("%s/aside", f->dir);
	write_whole(f);
	put_text(f->dir, "aside", "hello");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(aside, path), 0);
	assert_true(store_form_open(f->store, &f->form, FORM_LEN) < 0);
	assert_true(store_form_write(f->store, &f->form, buf_bytes(&f->bytes)) < 0);
	assert_int_equal(read_whole(f), -ENOENT);
	check_text(f->dir, "aside", "hello");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(chmod(f->published, 0755), 0);
	assert_int_equal(store_form_open(f->store, &f->form, FORM_LEN), -EPERM);
	assert_int_equal(chmod(f->published, 0700), 0);
}

static void adopted_by_a_layer(void **state)
{
	struct fixture *f = *state;
	write_whole(f);
	store_form_adopt(f->store, &f->form, &f->blob); /* nothing to move */
	check_text(f->layer, "data", NULL);
	put_text(f->published, "data", "published data");
	put_text(f->published, "map", "published map");
	store_form_adopt(f->store, &f->form, &f->blob);
	check_text(f->layer, "data", "published data");
	check_text(f->layer, "map", "published map");
	check_text(f->published, "data", NULL);
	check_text(f->published, "map", NULL);
	assert_int_equal(read_whole(f), 0);
}

static void a_layer_that_has_its_own(void **state)
{
	struct fixture *f = *state;
	write_whole(f);
	store_form_adopt(f->store, &f->form, &f->blob); /* makes the directory */
	put_text(f->layer, "data", "own data");
	put_text(f->layer, "map", "own map");
	put_text(f->published, "data", "published data");
	put_text(f->published, "map", "published map");
	store_form_adopt(f->store, &f->form, &f->blob);
	check_text(f->layer, "data", "own data");
	check_text(f->layer, "map", "own map");
	check_text(f->published, "map", "published map");
	/* Data without a map are nothing. */
	auto_free char *map = xasprintf("%s/map", f->layer);
	assert_int_equal(unlink(map), 0);
	store_form_adopt(f->store, &f->form, &f->blob);
	check_text(f->layer, "data", "published data");
	check_text(f->layer, "map", "published map");
}

static void nothing_to_adopt_or_drop(void **state)
{
	struct fixture *f = *state;
	store_form_adopt(f->store, &f->form, &f->blob);
	assert_int_equal(access(f->published, F_OK), -1);
	store_published_drop(f->store, &f->form);
	assert_int_equal(access(f->published, F_OK), -1);
}

static void dropped_with_all_it_had(void **state)
{
	struct fixture *f = *state;
	struct digest other;
	auto_buf struct buf out = {0};
	digest_of(DIGEST_SHA256, "y", 1, &other);
	write_whole(f);
	assert_int_equal(store_form_write(f->store, &other, BYTES_STR("y")), 0);
	put_text(f->published, "data", "d");
	put_text(f->published, "map", "m");
	put_text(f->published, "index", "i");
	put_text(f->published, "index.rotten", "r");
	store_published_drop(f->store, &f->form);
	assert_int_equal(access(f->published, F_OK), -1);
	assert_int_equal(read_whole(f), -ENOENT);
	/* Others stay. */
	assert_int_equal(store_form_read(f->store, &other, 1, &out), 0);
	write_whole(f);
	assert_int_equal(read_whole(f), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(whole_forms),
		TEST(forms_in_parts),
		TEST(another_length),
		TEST(not_ours_is_left_alone),
		TEST(adopted_by_a_layer),
		TEST(a_layer_that_has_its_own),
		TEST(nothing_to_adopt_or_drop),
		TEST(dropped_with_all_it_had),
	};
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
