/*
 * Writing to a layout: what is put can be read, an artifact beside an image does not change which
 * image a reference names, and nothing is written through a symbolic link.
 */
#include "tests/unit/layout_build.h"

#define SUBJECT_IMAGE "{" CONFIG ",'layers':[]}"

struct fixture {
	char *dir;
	struct source *s;
};

static struct source *open_layout(char *dir)
{
	struct ref ref = {.kind = REF_OCI_LAYOUT, .dir = dir, .number = -1};
	struct source *s = NULL;
	struct diag d = DIAG_INIT;
	assert_outcome("open", layout_source_new(&ref, &s, &d), 0, &d, NULL);
	return s;
}

static int set_up(void **state)
{
	struct fixture *f = new_of(struct fixture);
	f->dir = layout_new();
	f->s = open_layout(f->dir);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	source_free(&f->s);
	remove_tree(&f->dir);
	free(f);
	return 0;
}

static struct digest digest_of_text(const char *text)
{
	struct digest digest;
	digest_of(DIGEST_SHA256, text, strlen(text), &digest);
	return digest;
}

static err_t put_text(struct fixture *f, const char *text, bool *was_there, struct diag *d)
{
	struct digest digest = digest_of_text(text);
	return source_blob_put(f->s, &digest, BYTES_STR(text), was_there, d);
}

static err_t put_artifact(struct fixture *f, const char *text, const struct digest *subject,
			  struct diag *d)
{
	char digest[DIGEST_TEXT_MAX];
	struct manifest_put put = {
		.digest = digest_of_text(text),
		.media_type = OCI_MANIFEST,
		.content = BYTES_STR(text),
		.subject = *subject,
	};
	auto_free char *plain =
		xasprintf("{'mediaType':'" OCI_MANIFEST "','digest':'%s','size':%zu,"
			  "'artifactType':'application/x'}",
			  digest_text(&put.digest, digest), strlen(text));
	auto_free char *descriptor = json_text(plain);
	put.descriptor = descriptor;
	return source_manifest_put(f->s, &put, d);
}

/* A manifest with a subject, as its exact text. */
static char *artifact_text(const struct digest *subject)
{
	char text[DIGEST_TEXT_MAX];
	auto_free char *plain =
		xasprintf("{'schemaVersion':2,'mediaType':'" OCI_MANIFEST
			  "','artifactType':'application/x'," CONFIG ",'layers':[],"
			  "'subject':{'mediaType':'" OCI_MANIFEST "','digest':'%s','size':9}}",
			  digest_text(subject, text));
	return json_text(plain);
}

static void test_blob(void **state)
{
	struct fixture *f = *state;
	struct diag d = DIAG_INIT;
	bool was_there;
	char got[4];
	struct digest digest = digest_of_text("text");
	assert_outcome("put", put_text(f, "text", &was_there, &d), 0, &d, NULL);
	assert_false(was_there);
	assert_outcome("put", put_text(f, "text", &was_there, &d), 0, &d, NULL);
	assert_true(was_there);
	assert_int_equal(source_read_range(f->s, &digest, 4, 0, 4, INT64_MAX, got, &d), 0);
	assert_memory_equal(got, "text", 4);
	assert_outcome("other", source_blob_put(f->s, &digest, BYTES_STR("Text"), &was_there, &d),
		       -EBADMSG, &d, "has the digest");
	assert_outcome("empty", put_text(f, "", &was_there, &d), 0, &d, NULL);
}

/* What a killed writer left under the name, or somebody changed, is replaced. */
static void test_damaged_blob(void **state)
{
	struct fixture *f = *state;
	struct diag d = DIAG_INIT;
	bool was_there;
	struct blob blob = layout_put(f->dir, "text", 4);
	write_under(f->dir, blob.path, "tex!", 4);
	assert_outcome("put", put_text(f, "text", &was_there, &d), 0, &d, NULL);
	assert_false(was_there);
	struct document doc;
	assert_outcome("read", source_small_blob(f->s, &blob.value, 4, &doc, &d), 0, &d, NULL);
	document_fini(&doc);
}

/* Entries of a layout are known by number too: ours comes behind. */
static void test_artifact_beside_an_image(void **state)
{
	struct fixture *f = *state;
	struct diag d = DIAG_INIT;
	struct digest head;
	struct blob image = layout_put_json(f->dir, SUBJECT_IMAGE);
	auto_free char *entry = descriptor_of(&image, OCI_MANIFEST, ",'x':1");
	auto_free char *index = xasprintf("{'schemaVersion':2,'manifests':[%s]}", entry);
	write_json(f->dir, "index.json", index);
	auto_free char *text = artifact_text(&image.value);
	assert_outcome("put", put_artifact(f, text, &image.value, &d), 0, &d, NULL);
	assert_outcome("again", put_artifact(f, text, &image.value, &d), 0, &d, NULL);
	for (int number = -1; number <= 0; number++) {
		struct ref ref = {.kind = REF_OCI_LAYOUT, .dir = f->dir, .number = number};
		assert_outcome("head", source_head(f->s, &ref, &head, &d), 0, &d, NULL);
		assert_true(digest_equal(&head, &image.value));
	}
	struct ref artifact = {.kind = REF_OCI_LAYOUT, .dir = f->dir, .number = 1};
	assert_outcome("@1", source_head(f->s, &artifact, &head, &d), -ENOTSUP, &d, "an artifact");
}

struct pages {
	unsigned n;
	err_t err;
	struct buf text;
};

static err_t take_page(void *arg, struct bytes json, struct diag *d)
{
	struct pages *pages = arg;
	(void)d;
	pages->n++;
	pages->text.n = 0;
	assert_int_equal(buf_append(&pages->text, json.p, json.n), 0);
	return pages->err;
}

static void test_referrers(void **state)
{
	struct fixture *f = *state;
	struct diag d = DIAG_INIT;
	struct ref ref = {.kind = REF_OCI_LAYOUT, .dir = f->dir, .number = -1};
	struct pages pages = {0};
	struct digest subject = digest_of_text("subject");
	auto_free char *text = artifact_text(&subject);
	assert_outcome("put", put_artifact(f, text, &subject, &d), 0, &d, NULL);
	assert_int_equal(source_referrers(f->s, &ref, &subject, "a/b", take_page, &pages, &d), 0);
	assert_int_equal(pages.n, 1);
	assert_int_equal(buf_append(&pages.text, "", 1), 0);
	assert_non_null(strstr((const char *)pages.text.p, "application/x"));
	pages.err = -EUCLEAN;
	assert_int_equal(source_referrers(f->s, &ref, &subject, NULL, take_page, &pages, &d),
			 -EUCLEAN);
	source_interrupt(f->s);
	assert_int_equal(source_referrers(f->s, &ref, &subject, NULL, take_page, &pages, &d),
			 -ECANCELED);
	buf_fini(&pages.text);
}

static void test_foreign_index_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct diag d = DIAG_INIT;
	struct digest subject = digest_of_text("subject");
	auto_free char *text = artifact_text(&subject);
	write_json(f->dir, "index.json", "{'manifests':{}}");
	assert_outcome("put", put_artifact(f, text, &subject, &d), -EBADMSG, &d, "left as it is");
}

static void test_no_way_out(void **state)
{
	struct fixture *f = *state;
	struct diag d = DIAG_INIT;
	bool was_there;
	char *outside = new_tree();
	auto_free char *sha256 = xasprintf("%s/blobs/sha256", f->dir);
	assert_int_equal(rmdir(sha256), 0);
	assert_int_equal(symlink(outside, sha256), 0);
	assert_outcome("put", put_text(f, "text", &was_there, &d), -ENOTDIR, &d, "blob sha256");
	assert_int_equal(rmdir(outside), 0);
	free(outside);
}

static void test_create(void **state)
{
	struct diag d = DIAG_INIT;
	bool was_there;
	char *top = new_tree();
	auto_free char *dir = xasprintf("%s/new", top), *deep = xasprintf("%s/no/new", top);
	(void)state;
	assert_outcome("new", layout_create(dir, &d), 0, &d, NULL);
	struct fixture f = {dir, open_layout(dir)};
	assert_outcome("put", put_text(&f, "text", &was_there, &d), 0, &d, NULL);
	source_free(&f.s);
	assert_outcome("again", layout_create(dir, &d), 0, &d, NULL);
	assert_outcome("full", layout_create(top, &d), -ENOTEMPTY, &d, "other files");
	assert_outcome("no parent", layout_create(deep, &d), -ENOENT, &d, "No such file");
	remove_tree(&top);
}

/* A source that can only be read says so. */
static void test_read_only_kind(void **state)
{
	static const struct source_ops none;
	char label[] = "archive";
	struct source s = {.ops = &none, .label = label};
	struct diag d = DIAG_INIT;
	struct digest digest = digest_of_text("text");
	struct manifest_put put = {.digest = digest, .content = BYTES_STR("text")};
	struct ref ref = {0};
	bool was_there;
	(void)state;
	assert_outcome("blob", source_blob_put(&s, &digest, BYTES_STR("text"), &was_there, &d),
		       -ENOTSUP, &d, "archive: this kind of source can only be read");
	assert_outcome("manifest", source_manifest_put(&s, &put, &d), -ENOTSUP, &d, "archive");
	assert_outcome("referrers", source_referrers(&s, &ref, &digest, NULL, take_page, NULL, &d),
		       -ENOTSUP, &d, "archive");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_blob, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damaged_blob, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_artifact_beside_an_image, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_referrers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_foreign_index_is_left_alone, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_no_way_out, set_up, tear_down),
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_read_only_kind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
