/*
 * The OCI layout source: which entry a reference names, that only what matches its digest comes
 * out, and that nothing leads out of the directory.
 */
#include "tests/unit/layout_build.h"

#define NAMED(name) ",'annotations':{'org.opencontainers.image.ref.name':'" name "'}"

struct fixture {
	char *dir;
	struct blob a, b; /* two manifests */
};

static int set_up(void **state)
{
	struct fixture *f = new_of(struct fixture);
	f->dir = layout_new();
	f->a = layout_put_json(f->dir, "{" CONFIG ",'layers':[]}");
	f->b = layout_put_json(f->dir, "{" CONFIG ",'layers':[" LAYER_A "]}");
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	remove_tree(&f->dir);
	free(f);
	return 0;
}

static void write_index(struct fixture *f, const char *more_a, const char *more_b)
{
	auto_free char *a = descriptor_of(&f->a, OCI_MANIFEST, more_a);
	auto_free char *b = more_b ? descriptor_of(&f->b, OCI_MANIFEST, more_b) : NULL;
	auto_free char *text =
		xasprintf("{'schemaVersion':2,'manifests':[%s%s%s]}", a, b ? "," : "", b ? b : "");
	write_json(f->dir, "index.json", text);
}

static struct ref ref_to(struct fixture *f, const char *name, int number)
{
	return (struct ref){.kind = REF_OCI_LAYOUT,
			    .dir = f->dir,
			    .name = (char *)(uintptr_t)name,
			    .number = number};
}

static struct source *open_layout(struct fixture *f)
{
	struct ref ref = ref_to(f, NULL, -1);
	struct source *s = NULL;
	struct diag d = DIAG_INIT;
	assert_outcome("open", layout_source_new(&ref, &s, &d), 0, &d, NULL);
	return s;
}

/* head and manifest must agree; digest NULL: the error and a part of its text. */
static void assert_named(struct fixture *f, const char *name, int number, const char *digest,
			 err_t err, const char *part)
{
	struct ref ref = ref_to(f, name, number);
	struct source *s = open_layout(f);
	struct digest head;
	struct document doc;
	struct diag d = DIAG_INIT, d2 = DIAG_INIT;
	char text[DIGEST_TEXT_MAX];
	assert_outcome("head", source_head(s, &ref, &head, &d), err, &d, part);
	assert_outcome("manifest", source_manifest(s, &ref, NULL, &doc, &d2), err, &d2, part);
	if (!err) {
		assert_string_equal(digest_text(&head, text), digest);
		assert_string_equal(digest_text(&doc.digest, text), digest);
		assert_string_equal(doc.media_type, OCI_MANIFEST);
		document_fini(&doc);
		assert_int_equal(source_manifest(s, &ref, &head, &doc, NULL), 0);
		assert_string_equal(doc.media_type, OCI_MANIFEST);
		document_fini(&doc);
	}
	source_free(&s);
}

static void one_image(void **state)
{
	struct fixture *f = *state;
	write_index(f, "", NULL);
	assert_named(f, NULL, -1, f->a.digest, 0, NULL);
	assert_named(f, NULL, 0, f->a.digest, 0, NULL);
	assert_named(f, NULL, 1, NULL, -ENOENT, "1 entries");
	assert_named(f, "x", -1, NULL, -ENOENT, "no image named x; it has: @0 (no name)");
}

static void several_images(void **state)
{
	struct fixture *f = *state;
	write_index(f, NAMED("one"), NAMED("two"));
	assert_named(f, "one", -1, f->a.digest, 0, NULL);
	assert_named(f, "two", -1, f->b.digest, 0, NULL);
	assert_named(f, NULL, 1, f->b.digest, 0, NULL);
	assert_named(f, NULL, -1, NULL, -EINVAL,
		     "2 images: choose one by name or @N of: @0 one, @1 two");
	assert_named(f, "three", -1, NULL, -ENOENT, "@0 one, @1 two");
	write_index(f, NAMED("one"), NAMED("one"));
	assert_named(f, "one", -1, NULL, -EINVAL, "2 images named one");
}

/* The same image under two names is one image; what is no image does not count. */
static void what_counts(void **state)
{
	struct fixture *f = *state;
	struct blob b = f->b;
	f->b = f->a;
	write_index(f, NAMED("one"), NAMED("latest"));
	assert_named(f, NULL, -1, f->a.digest, 0, NULL);
	assert_named(f, "latest", -1, f->a.digest, 0, NULL);
	f->b = b;
	write_index(f, "", ",'artifactType':'a/b'");
	assert_named(f, NULL, -1, f->a.digest, 0, NULL);
	assert_named(f, NULL, 1, NULL, -ENOTSUP, "artifact");
	write_index(f, "", ",'platform':{'os':'unknown','architecture':'unknown'}");
	assert_named(f, NULL, -1, f->a.digest, 0, NULL);
}

static void no_images(void **state)
{
	struct fixture *f = *state;
	static const char *const texts[] = {"{'schemaVersion':2,'manifests':[]}",
					    "{'schemaVersion':2,'manifests':null}"};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		write_json(f->dir, "index.json", texts[i]);
		assert_named(f, NULL, -1, NULL, -ENOENT, "no image; it has: none");
	}
	write_json(f->dir, "index.json", "{" CONFIG ",'layers':[]}");
	assert_named(f, NULL, -1, NULL, -EBADMSG, "index.json");
	write_json(f->dir, "index.json", "{");
	assert_named(f, NULL, -1, NULL, -EBADMSG, "index.json: bad JSON");
	auto_free char *path = xasprintf("%s/index.json", f->dir);
	assert_int_equal(unlink(path), 0);
	assert_named(f, NULL, -1, NULL, -ENOENT, "index.json");
	assert_int_equal(symlink("/dev/zero", path), 0);
	assert_named(f, NULL, -1, NULL, -EBADMSG, "index.json is not a regular file");
}

/* A manifest that is not what its descriptor says. */
static void lying_manifest(void **state)
{
	struct fixture *f = *state;
	struct ref ref = ref_to(f, NULL, -1);
	struct source *s = open_layout(f);
	struct document doc;
	struct diag d = DIAG_INIT;
	f->a.size++;
	write_index(f, "", NULL);
	assert_outcome("size", source_manifest(s, &ref, NULL, &doc, &d), -EBADMSG, &d, "bytes");
	f->a.size--;
	write_index(f, "", NULL);
	auto_free char *bytes = xcalloc(1, f->a.size);
	write_under(f->dir, f->a.path, bytes, f->a.size);
	assert_outcome("manifest", source_manifest(s, &ref, NULL, &doc, &d), -EBADMSG, &d,
		       "digest");
	assert_int_equal(d.cls, ERR_INTEGRITY);
	assert_outcome("by digest", source_manifest(s, &ref, &f->a.value, &doc, &d), -EBADMSG, &d,
		       "digest");
	auto_free char *path = xasprintf("%s/%s", f->dir, f->a.path);
	assert_int_equal(truncate(path, (off_t)DOCUMENT_MAX + 1), 0);
	assert_outcome("by digest", source_manifest(s, &ref, &f->a.value, &doc, &d), -EBADMSG, &d,
		       NULL);
	assert_int_equal(unlink(path), 0);
	assert_outcome("absent", source_manifest(s, &ref, NULL, &doc, &d), -ENOENT, &d, "no blob");
	source_free(&s);
}

static void small_blob(void **state)
{
	struct fixture *f = *state;
	struct source *s = open_layout(f);
	struct document doc;
	struct diag d = DIAG_INIT;
	assert_int_equal(source_small_blob(s, &f->a.value, f->a.size, &doc, &d), 0);
	assert_int_equal(doc.bytes.n, f->a.size);
	assert_true(digest_equal(&doc.digest, &f->a.value));
	document_fini(&doc);
	assert_int_equal(source_small_blob(s, &f->a.value, f->a.size + 1, &doc, &d), -EBADMSG);
	assert_int_equal(source_small_blob(s, &f->a.value, f->a.size - 1, &doc, &d), -EBADMSG);
	struct blob empty = layout_put(f->dir, "", 0);
	assert_int_equal(source_small_blob(s, &empty.value, 0, &doc, &d), 0);
	document_fini(&doc);
	source_free(&s);
}

#define DATA_LEN 300000

static void ranges(void **state)
{
	static const uint64_t cases[][2] = {
		{0, DATA_LEN}, {0, 1}, {DATA_LEN - 1, 1}, {1, DATA_LEN - 1}, {4095, 4098}};
	struct fixture *f = *state;
	struct source *s = open_layout(f);
	auto_free uint8_t *data = xcalloc(1, DATA_LEN), *got = xcalloc(1, DATA_LEN + 1);
	for (size_t i = 0; i < DATA_LEN; i++)
		data[i] = (uint8_t)(i * 7919 >> 8);
	struct blob b = layout_put(f->dir, data, DATA_LEN);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t off = cases[i][0], len = cases[i][1];
		struct diag d = DIAG_INIT;
		got[len] = 0x5a;
		assert_outcome("range",
			       source_read_range(s, &b.value, b.size, off, len, INT64_MAX, got, &d),
			       0, &d, NULL);
		assert_memory_equal(got, data + off, len);
		assert_int_equal(got[len], 0x5a);
	}
	source_free(&s);
}

/* A stream ends with its range, and reports a file that was cut under it. */
static void stream_ends(void **state)
{
	struct fixture *f = *state;
	struct source *s = open_layout(f);
	struct source_stream *st;
	struct diag d = DIAG_INIT;
	struct blob b = layout_put(f->dir, "0123456789", 10);
	char got[16];
	size_t n;
	assert_int_equal(source_open(s, &b.value, 10, 2, 5, INT64_MAX, &st, &d), 0);
	assert_int_equal(source_read(st, got, 3, &n, &d), 0);
	assert_int_equal(n, 3);
	assert_int_equal(source_read(st, got + 3, 13, &n, &d), 0);
	assert_int_equal(n, 2);
	assert_memory_equal(got, "23456", 5);
	assert_int_equal(source_read(st, got, 3, &n, &d), 0);
	assert_int_equal(n, 0);
	source_close(&st);
	assert_int_equal(source_open(s, &b.value, 10, 0, 10, INT64_MAX, &st, &d), 0);
	auto_free char *path = xasprintf("%s/%s", f->dir, b.path);
	assert_int_equal(truncate(path, 4), 0);
	assert_outcome("cut", source_read(st, got, 10, &n, &d), -EBADMSG, &d, "shorter");
	source_close(&st);
	assert_outcome("cut", source_open(s, &b.value, 10, 0, 10, INT64_MAX, &st, &d), -EBADMSG, &d,
		       "4 bytes");
	source_free(&s);
}

/* What is not a plain file inside the directory is not opened, and waited for even less. */
static void no_way_out(void **state)
{
	struct fixture *f = *state;
	struct source *s = open_layout(f);
	struct source_stream *st;
	struct diag d = DIAG_INIT;
	char *outside = new_tree();
	struct blob b = layout_put(f->dir, "0123456789", 10);
	auto_free char *blob = xasprintf("%s/%s", f->dir, b.path);
	auto_free char *alg = xasprintf("%s/blobs/sha256", f->dir);
	auto_free char *moved = xasprintf("%s/sha256", outside);
	assert_int_equal(unlink(blob), 0);
	assert_int_equal(symlink("../../oci-layout", blob), 0);
	assert_outcome("symlink", source_open(s, &b.value, 10, 0, 10, INT64_MAX, &st, &d), -EBADMSG,
		       &d, "regular");
	assert_int_equal(unlink(blob), 0);
	assert_int_equal(mkfifo(blob, 0644), 0);
	assert_outcome("fifo", source_open(s, &b.value, 10, 0, 10, INT64_MAX, &st, &d), -EBADMSG,
		       &d, "regular");
	assert_int_equal(unlink(blob), 0);
	assert_int_equal(mkdir(blob, 0755), 0);
	assert_outcome("directory", source_open(s, &b.value, 10, 0, 10, INT64_MAX, &st, &d),
		       -EBADMSG, &d, "regular");
	assert_int_equal(rmdir(blob), 0);
	write_under(f->dir, b.path, "0123456789", 10);
	assert_int_equal(rename(alg, moved), 0);
	assert_int_equal(symlink(moved, alg), 0);
	assert_outcome("symlinked directory",
		       source_open(s, &b.value, 10, 0, 10, INT64_MAX, &st, &d), -EBADMSG, &d, NULL);
	assert_int_equal(unlink(alg), 0);
	assert_outcome("no directory", source_open(s, &b.value, 10, 0, 10, INT64_MAX, &st, &d),
		       -ENOENT, &d, "no blob");
	source_free(&s);
	remove_tree(&outside);
}

static void interrupted(void **state)
{
	struct fixture *f = *state;
	write_index(f, "", NULL);
	struct ref ref = ref_to(f, NULL, -1);
	struct source *s = open_layout(f);
	struct source_stream *st;
	struct digest digest;
	struct document doc;
	char got[4];
	size_t n;
	assert_int_equal(source_open(s, &f->a.value, f->a.size, 0, 4, INT64_MAX, &st, NULL), 0);
	source_interrupt(s);
	assert_int_equal(source_read(st, got, 4, &n, NULL), -ECANCELED);
	source_close(&st);
	assert_int_equal(source_head(s, &ref, &digest, NULL), -ECANCELED);
	assert_int_equal(source_manifest(s, &ref, &f->a.value, &doc, NULL), -ECANCELED);
	assert_int_equal(source_small_blob(s, &f->a.value, f->a.size, &doc, NULL), -ECANCELED);
	assert_int_equal(source_open(s, &f->a.value, f->a.size, 0, 4, INT64_MAX, &st, NULL),
			 -ECANCELED);
	source_free(&s);
}

static void no_layout(void **state)
{
	struct fixture *f = *state;
	struct ref ref = ref_to(f, NULL, -1);
	struct source *s;
	struct diag d = DIAG_INIT;
	write_json(f->dir, "oci-layout", "{'imageLayoutVersion':'2.0.0'}");
	assert_outcome("version", layout_source_new(&ref, &s, &d), -ENOTSUP, &d, "version");
	write_json(f->dir, "oci-layout", "x");
	assert_outcome("no JSON", layout_source_new(&ref, &s, &d), -EBADMSG, &d, "oci-layout");
	auto_free char *path = xasprintf("%s/oci-layout", f->dir);
	assert_int_equal(truncate(path, 5000), 0);
	assert_outcome("large", layout_source_new(&ref, &s, &d), -EBADMSG, &d, "larger");
	assert_int_equal(unlink(path), 0);
	assert_outcome("no file", layout_source_new(&ref, &s, &d), -ENOENT, &d, "oci-layout");
	assert_int_equal(d.cls, ERR_NOT_FOUND);
	ref.dir = path;
	assert_outcome("no directory", layout_source_new(&ref, &s, &d), -ENOENT, &d, path);
	write_under(f->dir, "oci-layout", "x", 1);
	assert_outcome("a file", layout_source_new(&ref, &s, &d), -ENOENT, &d, path);
	assert_int_equal(d.cls, ERR_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_image),      TEST(several_images), TEST(what_counts), TEST(no_images),
		TEST(lying_manifest), TEST(small_blob),	    TEST(ranges),      TEST(stream_ends),
		TEST(no_way_out),     TEST(interrupted),    TEST(no_layout),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
