/*
 * Lists of referrers as text: the fallback tag's name, what a list is, how an entry gets into one
 * without touching the others; and the Link header that leads from page to page.
 */
#include "fetch/http_url.h"
#include "fetch/manifest_referrers.h"
#include "tests/unit/document_text.h"

static const char OURS[] = DESC(OCI_MANIFEST, SHA_A, "4") ",'artifactType':'x/y'}";

static struct manifest_put put_of(const char *descriptor)
{
	struct manifest_put put = {
		.media_type = OCI_MANIFEST,
		.content = BYTES_STR("1234"),
		.descriptor = descriptor,
	};
	assert_int_equal(digest_parse(BYTES_STR(SHA_A), &put.digest, NULL), 0);
	return put;
}

/* Merge; expected NULL: it must fail with the error and a part of its text. */
static void assert_merged(const char *before, const char *descriptor, enum referrers_place place,
			  const char *expected, err_t err, const char *part)
{
	auto_free char *json = json_text(before), *entry = json_text(descriptor);
	auto_free char *want = json_text(expected ? expected : "");
	struct manifest_put put = put_of(entry);
	auto_buf struct buf out = {0};
	struct diag d = DIAG_INIT;
	err_t got = referrers_merge(BYTES_STR(json), &put, place, &out, &d);
	assert_outcome(before, got, err, &d, part);
	if (!expected)
		return;
	assert_int_equal(buf_append(&out, "", 1), 0);
	assert_string_equal((const char *)out.p, want);
	assert_true(referrers_list(BYTES_STR(want), &put.digest));
}

static void test_tag(void **state)
{
	struct digest digest;
	auto_free char *hex = xcalloc(129, 1);
	(void)state;
	assert_int_equal(digest_parse(BYTES_STR(SHA_A), &digest, NULL), 0);
	auto_free char *tag = referrers_tag(&digest);
	assert_string_equal(tag, "sha256-" HEX_A);
	memset(hex, 'c', 128);
	auto_free char *long_text = xasprintf("sha512:%s", hex);
	assert_int_equal(digest_parse(BYTES_STR(long_text), &digest, NULL), 0);
	auto_free char *cut = referrers_tag(&digest);
	assert_string_equal(cut, "sha512-" HEX_C);
}

static void test_first_entry(void **state)
{
	(void)state;
	const char *one = "{'schemaVersion':2,'mediaType':'" OCI_INDEX
			  "','manifests':[{'mediaType':'" OCI_MANIFEST "','digest':'" SHA_A
			  "','size':4,'artifactType':'x/y'}]}";
	assert_merged("", OURS, REFERRERS_FIRST, one, 0, NULL);
	assert_merged("", OURS, REFERRERS_LAST, one, 0, NULL);
	assert_merged(one, OURS, REFERRERS_FIRST, one, 0, NULL);
	assert_merged(
		"{'manifests':null}",
		"{'mediaType':'" OCI_MANIFEST "','digest':'" SHA_A "','size':4}", REFERRERS_FIRST,
		"{'manifests':[{'mediaType':'" OCI_MANIFEST "','digest':'" SHA_A "','size':4}]}", 0,
		NULL);
}

#define OLD_OURS "{'digest':'" SHA_A "'}"
#define FOREIGN_1                                                                                  \
	"{'digest':'" SHA_B "','x':[1.25,-9007199254740993,true,null,{'é':'a\\/b\\u0001'}]}"
#define FOREIGN_1_OUT                                                                              \
	"{'digest':'" SHA_B "','x':[1.25,-9007199254740993,true,null,{'é':'a/b\\u0001'}]}"
#define FOREIGN_2 "{'z':1,'digest':'" SHA_C "','a':2}"
#define NEW	  "{'mediaType':'" OCI_MANIFEST "','digest':'" SHA_A "','size':4}"

static void test_foreign_entries_stay(void **state)
{
	(void)state;
	static const char before[] = "{'who':'knows','manifests':[" FOREIGN_1 "," OLD_OURS
				     "," FOREIGN_2 "," OLD_OURS "],'annotations':{'k':'v'}}";
	assert_merged(before, NEW, REFERRERS_FIRST,
		      "{'who':'knows','manifests':[" NEW "," FOREIGN_1_OUT "," FOREIGN_2
		      "],'annotations':{'k':'v'}}",
		      0, NULL);
	assert_merged(before, NEW, REFERRERS_LAST,
		      "{'who':'knows','manifests':[" FOREIGN_1_OUT "," NEW "," FOREIGN_2
		      "],'annotations':{'k':'v'}}",
		      0, NULL);
	assert_merged("{'manifests':[" FOREIGN_2 ",7]}", NEW, REFERRERS_LAST,
		      "{'manifests':[" FOREIGN_2 ",7," NEW "]}", 0, NULL);
}

static void test_what_is_no_list(void **state)
{
	static const char *const texts[] = {
		"<html>",
		"[]",
		"{}",
		"{'errors':[]}",
		"{'manifests':{}}",
		"{'manifests':[],'manifests':[]}",
		"{'mediaType':'" OCI_MANIFEST "','manifests':[]}",
		"{'mediaType':'" DOCKER_LIST "','manifests':[]}",
		"{'mediaType':7,'manifests':[]}",
		"{'manifests':[]} x",
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct diag d = DIAG_INIT;
		auto_free char *json = json_text(texts[i]);
		assert_outcome(texts[i], referrers_check(BYTES_STR(json), &d), -EBADMSG, &d,
			       "no OCI image index");
		assert_merged(texts[i], NEW, REFERRERS_FIRST, NULL, -EBADMSG, "no OCI image index");
	}
	auto_free char *good = json_text("{'manifests':[]}");
	assert_int_equal(referrers_check(BYTES_STR(good), NULL), 0);
}

static void test_descriptors_of_something_else(void **state)
{
	static const char *const texts[] = {
		"",
		"[]",
		"{}",
		"{'mediaType':'" OCI_MANIFEST "','digest':'" SHA_A "'}",
		"{'mediaType':'" OCI_MANIFEST "','digest':'" SHA_A "','size':5}",
		"{'mediaType':'" OCI_MANIFEST "','digest':'" SHA_B "','size':4}",
		"{'mediaType':'" OCI_INDEX "','digest':'" SHA_A "','size':4}",
		"{'digest':'" SHA_A "','size':4}",
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_merged("{'manifests':[]}", texts[i], REFERRERS_FIRST, NULL, -EINVAL,
			      "descriptor of " SHA_A);
}

static void test_full_list(void **state)
{
	(void)state;
	size_t n = DOCUMENT_MAX - 60;
	auto_free char *filler = xcalloc(n + 1, 1);
	memset(filler, 'x', n);
	auto_free char *json = xasprintf("{'manifests':[],'x':'%s'}", filler);
	assert_merged(json, NEW, REFERRERS_FIRST, NULL, -E2BIG, "full");
}

static void test_link(void **state)
{
	static const struct {
		const char *value, *next;
	} cases[] = {
		{"</v2/a?n=1>; rel=\"next\"", "/v2/a?n=1"},
		{"</v2/a>;rel=next", "/v2/a"},
		{"</v2/a> ; Rel = \"prev NEXT\"", "/v2/a"},
		{"</b>; rel=\"prev\", </v2/a,b>; title=\"x, y\"; rel=\"next\"", "/v2/a,b"},
		{"<>; rel=\"next\"", ""},
		{"</v2/a>; rel=\"prev\"; title=\"next\"", NULL},
		{"</v2/a>; rel=\"nextone\"", NULL},
		{"</v2/a>", NULL},
		{"</v2/a; rel=\"next\"", NULL},
		{"/v2/a; rel=next", NULL},
		{"</v2/a>; rel", NULL},
		{"</v2/a>; rel=", NULL},
		{"</v2/a>;", NULL},
		{"</v2/a>; title=\"\\", NULL},
		{"", NULL},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_free char *next = http_link_next(cases[i].value);
		if (!next != !cases[i].next || (next && strcmp(next, cases[i].next) != 0))
			fail_msg("%s: got %s", cases[i].value, next ? next : "none");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tag),
		cmocka_unit_test(test_first_entry),
		cmocka_unit_test(test_foreign_entries_stay),
		cmocka_unit_test(test_what_is_no_list),
		cmocka_unit_test(test_descriptors_of_something_else),
		cmocka_unit_test(test_full_list),
		cmocka_unit_test(test_link),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
