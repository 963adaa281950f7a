/*
 * Lists of what refers to an image: which entries may be a published index, what they claim, and
 * that nothing in a list is trusted or too much.
 */
#include "tests/unit/document_text.h"

#include "fetch/manifest_artifact_json.h"

#define KEY(id)	      "'" ARTIFACT_SIGNATURE_PREFIX id "':"
#define K16	      "0123456789abcdef"
#define K64	      K16 K16 K16 K16
#define OURS(digest)  DESC(OCI_MANIFEST, digest, "9") ",'artifactType':'" ARTIFACT_TYPE "'"
#define VAGUE(digest) DESC(OCI_MANIFEST, digest, "9")
#define LIST(entries) "{'schemaVersion':2,'manifests':[" entries "]}"

static err_t add(struct artifact_candidates *c, const char *text, struct diag *d)
{
	auto_free char *json = json_text(text);
	return artifact_candidates_add(c, BYTES_STR(json), d);
}

struct list_rule {
	const char *entries;
	size_t n;
	bool sure, other_version; /* sure: of the first */
};

static const struct list_rule list_rules[] = {
	{"", 0, false, false},
	{OURS(SHA_A) "}", 1, true, false},
	{OURS(SHA_A) ",'platform':{'os':'linux'}}", 1, true, false},
	{VAGUE(SHA_A) "}", 1, false, false},
	{VAGUE(SHA_A) ",'artifactType':null}", 1, false, false},
	{VAGUE(SHA_A) ",'artifactType':''}", 1, false, false},
	{VAGUE(SHA_A) ",'artifactType':'application/vnd.oci.empty.v1+json'}", 1, false, false},
	{VAGUE(SHA_A) ",'artifactType':'" OCI_CONFIG "'}", 1, false, false},
	{VAGUE(SHA_A) ",'artifactType':'" DOCKER_CONFIG "'}", 1, false, false},
	{VAGUE(SHA_A) ",'platform':{'os':'linux'}}", 0, false, false},
	{VAGUE(SHA_A) ",'platform':null}", 1, false, false},
	{VAGUE(SHA_A) ",'artifactType':'application/vnd.other'}", 0, false, false},
	{VAGUE(SHA_A) ",'artifactType':'application/vnd.imgfs.index.v2'}", 0, false, true},
	{VAGUE(SHA_A) ",'artifactType':'application/vnd.imgfs.index.v2'}," OURS(SHA_B) "}", 1, true,
	 true},
	/* what is no entry is passed over */
	{"1,null,'x',[],{}," OURS(SHA_B) "}", 1, true, false},
	{OURS("sha256:1") "}," OURS(SHA_B) "}", 1, true, false},
	{DESC(OCI_MANIFEST, SHA_A, "-9") ",'artifactType':'" ARTIFACT_TYPE "'}", 0, false, false},
	{DESC(OCI_MANIFEST, SHA_A, "4194305") ",'artifactType':'" ARTIFACT_TYPE "'}", 0, false,
	 false},
	{"{'artifactType':'" ARTIFACT_TYPE "','digest':'" SHA_A "'}", 0, false, false},
	{VAGUE(SHA_A) ",'artifactType':5}", 0, false, false},
	{OURS(SHA_A) ",'annotations':[]}", 1, true, false},
	{OURS(SHA_A) ",'annotations':{'a':5}}", 1, true, false},
	{OURS(SHA_A) "}," VAGUE(SHA_A) "}", 2, true, false},
};

static void entries_of_lists(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(list_rules); i++) {
		const struct list_rule *rule = &list_rules[i];
		auto_free char *text = xasprintf(LIST("%s"), rule->entries);
		struct artifact_candidates c = {0};
		struct diag d = DIAG_INIT;
		if (add(&c, text, &d))
			fail_msg("%s: %s", text, d.text);
		if (c.n != rule->n || (c.n && c.list[0].sure != rule->sure) ||
		    c.other_version != rule->other_version)
			fail_msg("%s: %zu, %d, %d", text, c.n, c.n && c.list[0].sure,
				 c.other_version);
		artifact_candidates_fini(&c);
	}
}

static void what_is_no_list(void **state)
{
	(void)state;
	struct artifact_candidates c = {0};
	static const char *const texts[] = {"",
					    "x",
					    "[]",
					    "{'manifests':{}}",
					    "{'manifests':1}",
					    "{'manifests':[],'manifests':[]}"};
	assert_int_equal(add(&c, "{}", NULL), 0);
	assert_int_equal(add(&c, "{'manifests':null}", NULL), 0);
	assert_int_equal(add(&c, LIST(OURS(SHA_A) "}"), NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct diag d = DIAG_INIT;
		assert_outcome(texts[i], add(&c, texts[i], &d), -EBADMSG, &d, "");
		assert_int_equal(d.cls, ERR_INTEGRITY);
		assert_true(d.text[0]);
	}
	assert_int_equal(c.n, 1); /* what was there stays */
	artifact_candidates_fini(&c);
}

static void more_entries_than_are_looked_at(void **state)
{
	(void)state;
	struct artifact_candidates c = {0};
	auto_buf struct buf text = {0};
	for (unsigned i = 0; i < ARTIFACT_CANDIDATES_MAX - 10; i++) {
		static const char entry[] = "," OURS(SHA_B) ",'data':'e30='}";
		assert_int_equal(buf_append(&text, entry + !i, strlen(entry) - !i), 0);
	}
	assert_int_equal(buf_append(&text, "", 1), 0);
	auto_free char *list = xasprintf(LIST("%s"), (char *)text.p);
	assert_int_equal(add(&c, list, NULL), 0);
	assert_int_equal(c.n, ARTIFACT_CANDIDATES_MAX - 10);
	assert_int_equal(add(&c, list, NULL), 0);
	assert_int_equal(c.n, ARTIFACT_CANDIDATES_MAX);
	assert_int_equal(add(&c, list, NULL), 0);
	assert_int_equal(c.n, ARTIFACT_CANDIDATES_MAX);
	assert_int_equal(c.list[ARTIFACT_CANDIDATES_MAX - 1].manifest.n, 2);
	artifact_candidates_fini(&c);
}

/* Keys that an entry claims: by name alone, whatever stands behind it. */
static void claimed_keys(void **state)
{
	(void)state;
	struct artifact_candidates c = {0};
	auto_buf struct buf text = {0};
	assert_int_equal(add(&c,
			     LIST(OURS(SHA_A) ",'annotations':{'x':'y'," KEY("k1") "'c2ln'," KEY(
				     "") "'c2ln'," KEY(K64) "''}}"),
			     NULL),
			 0);
	assert_int_equal(c.list[0].n_key_ids, 1);
	assert_string_equal(c.list[0].key_ids[0], "k1");
	for (unsigned i = 0; i < ARTIFACT_KEYS_MAX + 3; i++) {
		auto_free char *one = xasprintf("%s" KEY("%02u") "''", i ? "," : "", i);
		assert_int_equal(buf_append(&text, one, strlen(one)), 0);
	}
	assert_int_equal(buf_append(&text, "", 1), 0);
	auto_free char *list = xasprintf(LIST(OURS(SHA_A) ",'annotations':{%s}}"), (char *)text.p);
	assert_int_equal(add(&c, list, NULL), 0);
	assert_int_equal(c.list[1].n_key_ids, ARTIFACT_KEYS_MAX);
	artifact_candidates_fini(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_of_lists),
		cmocka_unit_test(what_is_no_list),
		cmocka_unit_test(more_entries_than_are_looked_at),
		cmocka_unit_test(claimed_keys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
