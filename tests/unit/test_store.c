/* store: who may own it, documents, tags, indexes, kept blobs, temporary files, what it takes. */
#include "tests/unit/content_world.h"

#include "fetch/store_priv.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int setup(void **state)
{
	char *dir = xstrdup("/tmp/imgfs-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	*state = dir;
	return 0;
}

static int teardown(void **state)
{
	world_remove_dir(*state);
	free(*state);
	return 0;
}

static struct store *open_store(const char *dir)
{
	struct store *s = NULL;
	struct diag d = DIAG_INIT;
	err_t err = store_open(dir, &s, &d);
	if (err)
		print_error("%s\n", d.text);
	assert_int_equal(err, 0);
	return s;
}

static char *file_path(const struct store *s, const char *rel)
{
	return xasprintf("%s/v1/%s", store_dir(s), rel);
}

static void write_file(const char *path, const void *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, p, n), 0);
	close(fd);
}

static bool is_there(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0;
}

static unsigned litter(const struct store *s)
{
	auto_free char *command = xasprintf("exit $(ls '%s/v1/tmp' | wc -l)", store_dir(s));
	int status = system(command);
	assert_true(WIFEXITED(status));
	return (unsigned)WEXITSTATUS(status);
}

/* --- the directory --- */

static void makes_itself(void **state)
{
	auto_free char *deep = xasprintf("%s/a/b", (const char *)*state);
	struct store *s = open_store(deep);
	struct stat st;
	assert_int_equal(stat(deep, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_string_equal(store_dir(s), deep);
	store_close(&s);
	s = open_store(deep);
	store_close(&s);
}

static void knows_its_default_place(void **state)
{
	const char *dir = *state;
	struct store *s = NULL;
	setenv("IMGFS_STORE", dir, 1);
	s = open_store(NULL);
	assert_string_equal(store_dir(s), dir);
	store_close(&s);
	unsetenv("IMGFS_STORE");
}

static void a_relative_path_stays_right(void **state)
{
	char old[4096];
	assert_non_null(getcwd(old, sizeof(old)));
	assert_int_equal(chdir(*state), 0);
	struct store *s = open_store("rel");
	assert_int_equal(chdir(old), 0);
	auto_free char *want = xasprintf("%s/rel", (const char *)*state);
	assert_string_equal(store_dir(s), want);
	store_close(&s);
}

static void refuse(const char *dir)
{
	struct store *s = NULL;
	struct diag d = DIAG_INIT;
	assert_int_equal(store_open(dir, &s, &d), -EPERM);
	assert_int_equal(d.cls, ERR_STORE);
	assert_null(s);
}

static void refuses_what_others_can_enter(void **state)
{
	const char *dir = *state;
	static const mode_t modes[] = {0755, 0750, 0701, 0770, 01777};
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		assert_int_equal(chmod(dir, modes[i]), 0);
		refuse(dir);
	}
	assert_int_equal(chmod(dir, 0700), 0);
	struct store *s = open_store(dir);
	store_close(&s);
	auto_free char *below = xasprintf("%s/v1", dir);
	assert_int_equal(chmod(below, 0755), 0);
	refuse(dir);
	assert_int_equal(chmod(below, 0700), 0);
}

static void refuses_what_others_own(void **state)
{
	const char *dir = *state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(dir, 1, 1), 0);
	refuse(dir);
	assert_int_equal(chown(dir, 0, 0), 0);
}

static void refuses_symlinks(void **state)
{
	auto_free char *real = xasprintf("%s/real", (const char *)*state);
	auto_free char *last = xasprintf("%s/last", (const char *)*state);
	auto_free char *inside = xasprintf("%s/last/store", (const char *)*state);
	assert_int_equal(mkdir(real, 0700), 0);
	assert_int_equal(symlink("real", last), 0);
	refuse(last);
	/* On the way, our own are followed, others' are not. */
	struct store *s = open_store(inside);
	store_close(&s);
	if (geteuid() == 0) {
		assert_int_equal(lchown(last, 1, 1), 0);
		refuse(inside);
	}
	auto_free char *v1 = xasprintf("%s/v1", real);
	assert_int_equal(symlink("store", v1), 0);
	refuse(real);
}

static void symlinks_below_are_not_followed(void **state)
{
	struct store *s = open_store(*state);
	struct document doc = {0};
	put_raw(&doc.bytes, "{}", 2);
	digest_of(DIGEST_SHA256, "{}", 2, &doc.digest);
	auto_free char *documents = file_path(s, "documents");
	assert_int_equal(symlink("/tmp", documents), 0);
	assert_int_equal(store_document_put(s, &doc), -EPERM);
	assert_int_equal(store_document_get(s, &doc.digest, &doc), -ENOENT);
	document_fini(&doc);
	store_close(&s);
}

/* --- documents and tags --- */

static void make_document(struct document *doc, enum digest_alg alg, const char *text,
			  const char *media_type)
{
	*doc = (struct document){0};
	put_raw(&doc->bytes, text, strlen(text));
	digest_of(alg, text, strlen(text), &doc->digest);
	snprintf(doc->media_type, sizeof(doc->media_type), "%s", media_type);
}

static void check_document(struct store *s, enum digest_alg alg, const char *text,
			   const char *media_type)
{
	struct document doc, back = {0};
	make_document(&doc, alg, text, media_type);
	assert_int_equal(store_document_get(s, &doc.digest, &back), -ENOENT);
	assert_int_equal(store_document_put(s, &doc), 0);
	assert_int_equal(store_document_put(s, &doc), 0);
	assert_int_equal(store_document_get(s, &doc.digest, &back), 0);
	assert_int_equal(back.bytes.n, strlen(text));
	assert_memory_equal(back.bytes.p, text, strlen(text));
	assert_string_equal(back.media_type, media_type);
	assert_true(digest_equal(&back.digest, &doc.digest));
	document_fini(&back);
	document_fini(&doc);
}

static void documents_come_back(void **state)
{
	struct store *s = open_store(*state);
	char longest[128];
	memset(longest, 'm', 127);
	longest[127] = 0;
	check_document(s, DIGEST_SHA256, "{\"a\": 1}\n", "application/json");
	check_document(s, DIGEST_SHA512, "x", "");
	check_document(s, DIGEST_SHA256, "y", longest);
	check_document(s, DIGEST_SHA256, "\n", "text/plain");
	assert_int_equal(litter(s), 0);
	store_close(&s);
}

/* Every single-bit flip and every truncation of a stored document is found. */
static void damaged_documents_are_absent(void **state)
{
	struct store *s = open_store(*state);
	struct document doc, back;
	char rel[STORE_PATH_MAX], hex[DIGEST_TEXT_MAX];
	make_document(&doc, DIGEST_SHA256, "some bytes", "application/x");
	snprintf(rel, sizeof(rel), "documents/sha256/%.64s", digest_hex(&doc.digest, hex));
	auto_free char *path = file_path(s, rel);
	auto_buf struct buf good = {0};
	assert_int_equal(store_document_put(s, &doc), 0);
	assert_int_equal(read_file(path, 0, &good), 0);
	for (size_t i = 0; i < good.n; i++) {
		good.p[i] ^= (uint8_t)(1u << (i % 8));
		write_file(path, good.p, good.n);
		good.p[i] ^= (uint8_t)(1u << (i % 8));
		assert_int_equal(store_document_get(s, &doc.digest, &back), -ENOENT);
		assert_false(is_there(path));
		write_file(path, good.p, i);
		assert_int_equal(store_document_get(s, &doc.digest, &back), -ENOENT);
	}
	write_file(path, good.p, good.n);
	assert_int_equal(store_document_get(s, &doc.digest, &back), 0);
	document_fini(&back);
	document_fini(&doc);
	store_close(&s);
}

static void tags_come_back(void **state)
{
	struct store *s = open_store(*state);
	struct digest a, b, got;
	digest_of(DIGEST_SHA256, "a", 1, &a);
	digest_of(DIGEST_SHA512, "b", 1, &b);
	static const char text[] = "docker.io/library/alpine:latest";
	assert_int_equal(store_tag_get(s, text, &got), -ENOENT);
	assert_int_equal(store_tag_put(s, text, &a), 0);
	assert_int_equal(store_tag_get(s, text, &got), 0);
	assert_true(digest_equal(&got, &a));
	assert_int_equal(store_tag_put(s, text, &b), 0);
	assert_int_equal(store_tag_get(s, text, &got), 0);
	assert_true(digest_equal(&got, &b));
	assert_int_equal(store_tag_put(s, "oci:/../../x y\n", &a), 0);
	assert_int_equal(store_tag_get(s, "oci:/../../x y\n", &got), 0);
	store_close(&s);
}

static void note_tag(void *arg, const char *text, const struct digest *digest)
{
	char *seen = arg, hex[DIGEST_TEXT_MAX];
	sprintf(seen + strlen(seen), "%s=%.4s ", text, digest_hex(digest, hex));
}

static void tags_are_listed(void **state)
{
	struct store *s = open_store(*state);
	struct digest a;
	char seen[256] = "";
	digest_of(DIGEST_SHA256, "a", 1, &a);
	assert_int_equal(store_tags_each(s, note_tag, seen), 0);
	assert_int_equal(store_tag_put(s, "index-of sha256:00", &a), 0);
	assert_int_equal(store_tag_put(s, "rejected-index sha256:00", &a), 0);
	assert_int_equal(store_tag_put(s, "host/x:1", &a), 0);
	auto_free char *torn = file_path(s, "tags/torn"), *other = file_path(s, "tags/other");
	write_file(torn, "sha256:", 7);
	write_file(other, "no digest\nhost/y:1\n", 19);
	assert_int_equal(store_tags_each(s, note_tag, seen), 0);
	assert_string_equal(seen, "host/x:1=ca97 ");
	store_close(&s);
}

static void damaged_tags_are_absent(void **state)
{
	struct store *s = open_store(*state);
	struct digest a, name, got;
	char hex[DIGEST_TEXT_MAX], rel[STORE_PATH_MAX];
	digest_of(DIGEST_SHA256, "a", 1, &a);
	digest_of(DIGEST_SHA256, "host/x:1", 8, &name);
	snprintf(rel, sizeof(rel), "tags/%.64s", digest_hex(&name, hex));
	auto_free char *path = file_path(s, rel);
	static const char *const bad[] = {"", "\n", "sha256:00\nhost/x:1\n", "no newline",
					  "\n\n\n"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(store_tag_put(s, "host/x:1", &a), 0);
		write_file(path, bad[i], strlen(bad[i]));
		assert_int_equal(store_tag_get(s, "host/x:1", &got), -ENOENT);
	}
	/* Another reference's file under this name. */
	char text[DIGEST_TEXT_MAX];
	auto_free char *other = xasprintf("%s\nhost/x:2\n", digest_text(&a, text));
	write_file(path, other, strlen(other));
	assert_int_equal(store_tag_get(s, "host/x:1", &got), -ENOENT);
	store_close(&s);
}

/* --- indexes --- */

static void indexes_come_back(void **state)
{
	static const enum world_codec one[] = {WORLD_GZIP};
	struct world *w = world_new(one, 1);
	struct index *ix;
	struct digest key, wrong;
	(void)state;
	image_key_of(w->blob_digests, 1, &key);
	digest_of(DIGEST_SHA256, "x", 1, &wrong);
	assert_int_equal(store_index_get(w->store, INDEX_LAYER, &w->blob_digests[0], &ix), -ENOENT);
	assert_int_equal(store_index_put(w->store, INDEX_LAYER, &w->blob_digests[0],
					 buf_bytes(&w->indexes[0])),
			 0);
	assert_int_equal(store_index_put(w->store, INDEX_IMAGE, &key, buf_bytes(&w->tree)), 0);
	assert_int_equal(store_index_get(w->store, INDEX_LAYER, &w->blob_digests[0], &ix), 0);
	assert_int_equal(index_info(ix)->blob_size, w->blobs[0].n);
	index_close(&ix);
	assert_int_equal(store_index_get(w->store, INDEX_IMAGE, &key, &ix), 0);
	assert_int_equal(index_info(ix)->n_layers, 1);
	index_close(&ix);

	/* Under another name it is not believed, and goes out of the way. */
	assert_int_equal(store_index_put(w->store, INDEX_LAYER, &wrong, buf_bytes(&w->indexes[0])),
			 0);
	auto_free char *path = store_index_path(w->store, INDEX_LAYER, &wrong);
	auto_free char *aside = xasprintf("%s.rotten", path);
	assert_int_equal(store_index_get(w->store, INDEX_LAYER, &wrong, &ix), -ENOENT);
	assert_false(is_there(path));
	assert_true(is_there(aside));
	world_free(&w);
}

static void damaged_indexes_are_absent(void **state)
{
	static const enum world_codec one[] = {WORLD_TAR};
	struct world *w = world_new(one, 1);
	struct index *ix;
	(void)state;
	for (size_t i = 0; i < 20; i++) {
		size_t at = w->indexes[0].n / 20 * i;
		w->indexes[0].p[at] ^= 1;
		assert_int_equal(store_index_put(w->store, INDEX_LAYER, &w->blob_digests[0],
						 buf_bytes(&w->indexes[0])),
				 0);
		w->indexes[0].p[at] ^= 1;
		err_t err = store_index_get(w->store, INDEX_LAYER, &w->blob_digests[0], &ix);
		/* Padding between the sections may be covered by nothing. */
		assert_true(err == 0 || err == -ENOENT);
		if (!err)
			index_close(&ix);
	}
	assert_int_equal(store_index_put(w->store, INDEX_LAYER, &w->blob_digests[0],
					 (struct bytes){w->indexes[0].p, w->indexes[0].n / 2}),
			 0);
	assert_int_equal(store_index_get(w->store, INDEX_LAYER, &w->blob_digests[0], &ix), -ENOENT);
	world_free(&w);
}

/* --- blobs and temporary files --- */

static void blobs_are_kept(void **state)
{
	struct store *s = open_store(*state);
	struct digest d;
	struct blob_writer *writer;
	char got[8];
	digest_of(DIGEST_SHA256, "a blob", 6, &d);
	assert_int_equal(store_blob_open(s, &d, 6), -ENOENT);
	assert_int_equal(store_blob_create(s, &d, &writer), 0);
	blob_writer_write(writer, "a b", 3);
	assert_int_equal(store_blob_open(s, &d, 6), -ENOENT);
	blob_writer_write(writer, "lob", 3);
	assert_int_equal(blob_writer_commit(&writer), 0);
	assert_null(writer);
	assert_int_equal(store_blob_open(s, &d, 7), -ENOENT);
	int fd = store_blob_open(s, &d, 6);
	assert_true(fd >= 0);
	assert_int_equal(read_at(fd, got, 6, 0), 0);
	assert_memory_equal(got, "a blob", 6);
	store_blob_drop(s, &d);
	assert_int_equal(store_blob_open(s, &d, 6), -ENOENT);
	close(fd);

	assert_int_equal(store_blob_create(s, &d, &writer), 0);
	assert_int_equal(litter(s), 1);
	blob_writer_abort(&writer);
	assert_int_equal(litter(s), 0);
	store_close(&s);
}

/* The disk is full: the writer goes dead, what it wrote is given back. */
static void a_dead_writer_says_so(void **state)
{
	struct store *s = open_store(*state);
	struct digest d;
	struct blob_writer *writer;
	digest_of(DIGEST_SHA256, "b", 1, &d);
	assert_int_equal(store_blob_create(s, &d, &writer), 0);
	/* A descriptor that can not be written to stands in for a disk that takes no more. */
	auto_free char *tmp = file_path(s, "tmp");
	auto_free char *command =
		xasprintf("for f in '%s'/*; do test -f \"$f\" || exit 1; done", tmp);
	assert_int_equal(system(command), 0);
	for (int fd = 3; fd < 64; fd++) {
		char link[64], target[256] = "";
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		ssize_t n = readlink(link, target, sizeof(target) - 1);
		if (n > 0 && strstr(target, "/v1/tmp/")) {
			int full = open("/dev/full", O_RDWR | O_CLOEXEC);
			assert_true(full >= 0);
			assert_int_equal(dup2(full, fd), fd);
			close(full);
		}
	}
	blob_writer_write(writer, "b", 1);
	blob_writer_write(writer, "b", 1);
	assert_int_equal(blob_writer_commit(&writer), -ENOSPC);
	assert_int_equal(litter(s), 0);
	assert_true(store_is_full(s));
	assert_int_equal(store_blob_create(s, &d, &writer), -ENOSPC);
	assert_int_equal(store_blob_open(s, &d, 1), -ENOENT);
	store_close(&s);
}

static void litter_of_the_dead_is_removed(void **state)
{
	struct store *s = open_store(*state), *other;
	struct temp_file living;
	assert_int_equal(temp_file_create(s, &living), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct temp_file dead;
		if (temp_file_create(s, &dead) != 0)
			_exit(1);
		_exit(0);
	}
	int status = -1;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(litter(s), 2);
	other = open_store(*state);
	assert_int_equal(litter(s), 1);
	auto_fd int dir_fd = store_walk(s, "tags", true);
	assert_int_equal(temp_file_publish(s, &living, dir_fd, "name", true), 0);
	assert_int_equal(litter(s), 0);
	auto_free char *path = file_path(s, "tags/name");
	assert_true(is_there(path));
	store_close(&other);
	store_close(&s);
}

struct cleaner {
	struct store *s;
	_Atomic bool stop;
};

static void *clean_main(void *arg)
{
	struct cleaner *cleaner = arg;
	while (!atomic_load(&cleaner->stop))
		temp_litter_remove(cleaner->s);
	return NULL;
}

/* Somebody cleans all the time: nobody's work is lost. */
static void cleaning_harms_nobody(void **state)
{
	struct cleaner cleaner = {.s = open_store(*state)};
	pthread_t thread;
	struct digest d, got;
	digest_of(DIGEST_SHA256, "c", 1, &d);
	assert_int_equal(pthread_create(&thread, NULL, clean_main, &cleaner), 0);
	for (int i = 0; i < 300; i++) {
		char text[32];
		snprintf(text, sizeof(text), "host/x:%d", i);
		assert_int_equal(store_tag_put(cleaner.s, text, &d), 0);
		assert_int_equal(store_tag_get(cleaner.s, text, &got), 0);
	}
	atomic_store(&cleaner.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(litter(cleaner.s), 0);
	store_close(&cleaner.s);
}

static void counts_what_it_takes(void **state)
{
	static const enum world_codec one[] = {WORLD_TAR};
	struct world *w = world_new(one, 1);
	struct store_usage before, after;
	struct digest key;
	(void)state;
	assert_int_equal(store_usage(w->store, &before, NULL), 0);
	assert_int_equal(before.n_layers + before.n_images, 0);
	assert_int_equal(before.chunks + before.blobs + before.indexes + before.documents, 0);
	image_key_of(w->blob_digests, 1, &key);
	assert_int_equal(store_index_put(w->store, INDEX_IMAGE, &key, buf_bytes(&w->tree)), 0);
	world_keep_blob(w, 0, -1);
	struct content *c = world_content(w, 10, false);
	world_check_read(w, c, 0, 2, 0, 1000);
	content_free(&c);
	assert_int_equal(store_usage(w->store, &after, NULL), 0);
	assert_int_equal(after.n_layers, 1);
	assert_int_equal(after.n_images, 1);
	assert_true(after.chunks >= CHUNK_TARGET_MIN && after.chunks < 20 * CHUNK_TARGET_MIN);
	assert_true(after.blobs >= w->blobs[0].n);
	assert_true(after.indexes >= w->tree.n);
	world_free(&w);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(makes_itself),
		TEST(knows_its_default_place),
		TEST(a_relative_path_stays_right),
		TEST(refuses_what_others_can_enter),
		TEST(refuses_what_others_own),
		TEST(refuses_symlinks),
		TEST(symlinks_below_are_not_followed),
		TEST(documents_come_back),
		TEST(damaged_documents_are_absent),
		TEST(tags_come_back),
		TEST(tags_are_listed),
		TEST(damaged_tags_are_absent),
		TEST(indexes_come_back),
		TEST(damaged_indexes_are_absent),
		TEST(blobs_are_kept),
		TEST(a_dead_writer_says_so),
		TEST(litter_of_the_dead_is_removed),
		TEST(cleaning_harms_nobody),
		TEST(counts_what_it_takes),
	};
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
