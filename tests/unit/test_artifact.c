/*
 * The artifact that publishes an index (index/WIRE.md): what is written is read again, the same on
 * every machine; its statement is the text of fetch/TRUST.md; and what may come from whoever can
 * push, manifests and lists of them, is refused or passed over where it is malformed.
 */
#include "tests/unit/document_text.h"

#include "fetch/base64.h"
#include "fetch/manifest_artifact_json.h"

#define SHA512_D "sha512:" HEX_A HEX_B
#define TREE	 DESC(ARTIFACT_TREE, SHA_B, "1000") "}"
#define FORM(layer, digest, size)                                                                  \
	DESC(ARTIFACT_FORM, digest, size) ",'annotations':{'" ARTIFACT_LAYER "':'" layer "'}}"
#define HEAD	"{'schemaVersion':2,'mediaType':'" OCI_MANIFEST "','artifactType':'" ARTIFACT_TYPE "'"
#define SUBJECT ",'subject':" DESC(OCI_MANIFEST, SHA_A, "7") "}"

static void set_digest(struct digest *digest, const char *text)
{
	assert_int_equal(digest_parse(BYTES_STR(text), digest, NULL), 0);
}

static void set_descriptor(struct descriptor *out, const char *type, const char *digest,
			   uint64_t size)
{
	*out = (struct descriptor){.size = size};
	set_digest(&out->digest, digest);
	snprintf(out->media_type, sizeof(out->media_type), "%s", type);
}

/* An artifact with everything. */
static struct artifact artifact_full(void)
{
	struct artifact a = {.n_layers = 2, .n_signatures = 2};
	set_descriptor(&a.subject, OCI_MANIFEST, SHA_A, 1234);
	set_descriptor(&a.tree, ARTIFACT_TREE, SHA_B, 5678);
	a.layers = xcalloc(2, sizeof(*a.layers));
	set_digest(&a.layers[0].layer, SHA_C);
	set_descriptor(&a.layers[0].form, ARTIFACT_FORM, SHA_A, 9);
	set_digest(&a.layers[1].layer, SHA512_D);
	set_descriptor(&a.layers[1].form, ARTIFACT_FORM, SHA_B, UINT64_C(1) << 31);
	set_descriptor(&a.config, OCI_CONFIG, SHA_C, 11);
	assert_int_equal(buf_append(&a.config_bytes, "{\"os\":\"x\"}\n", 11), 0);
	snprintf(a.signatures[0].key_id, ARTIFACT_KEY_ID_MAX, "0123456789abcdef");
	assert_int_equal(buf_append(&a.signatures[0].bytes, "\0\xff signature", 12), 0);
	snprintf(a.signatures[1].key_id, ARTIFACT_KEY_ID_MAX, "fedcba9876543210");
	assert_int_equal(buf_append(&a.signatures[1].bytes, "another", 7), 0);
	return a;
}

static struct document document_of(const struct artifact *a)
{
	struct document doc = {0};
	assert_int_equal(artifact_write(a, &doc.bytes), 0);
	digest_of(DIGEST_SHA256, doc.bytes.p, doc.bytes.n, &doc.digest);
	return doc;
}

static void check_descriptor(const struct descriptor *a, const struct descriptor *b)
{
	assert_true(digest_equal(&a->digest, &b->digest));
	assert_int_equal(a->size, b->size);
	assert_string_equal(a->media_type, b->media_type);
}

static void check_same(const struct artifact *a, const struct artifact *b)
{
	check_descriptor(&a->subject, &b->subject);
	check_descriptor(&a->tree, &b->tree);
	check_descriptor(&a->config, &b->config);
	assert_int_equal(a->n_layers, b->n_layers);
	for (size_t i = 0; i < a->n_layers; i++) {
		assert_true(digest_equal(&a->layers[i].layer, &b->layers[i].layer));
		check_descriptor(&a->layers[i].form, &b->layers[i].form);
	}
	assert_true(bytes_equal(buf_bytes(&a->config_bytes), buf_bytes(&b->config_bytes)));
	assert_int_equal(a->n_signatures, b->n_signatures);
	for (size_t i = 0; i < a->n_signatures; i++) {
		const struct artifact_signature *x = &a->signatures[i], *y = &b->signatures[i];
		assert_string_equal(x->key_id, y->key_id);
		assert_true(bytes_equal(buf_bytes(&x->bytes), buf_bytes(&y->bytes)));
	}
}

/* The artifact is taken. */
static void check_round_trip(struct artifact a)
{
	struct artifact got;
	struct diag d = DIAG_INIT;
	struct document doc = document_of(&a);
	if (artifact_parse(&doc, &got, &d))
		fail_msg("%s", d.text);
	check_same(&a, &got);
	struct document again = document_of(&got);
	assert_true(bytes_equal(buf_bytes(&doc.bytes), buf_bytes(&again.bytes)));
	document_fini(&doc);
	document_fini(&again);
	artifact_fini(&got);
	artifact_fini(&a);
}

static void round_trips(void **state)
{
	(void)state;
	check_round_trip(artifact_full());
	struct artifact a = artifact_full();
	a.subject = (struct descriptor){0};
	check_round_trip(a);
	a = artifact_full();
	a.config = (struct descriptor){0};
	buf_fini(&a.config_bytes);
	check_round_trip(a);
	a = artifact_full();
	buf_fini(&a.config_bytes); /* named, not carried */
	check_round_trip(a);
	a = artifact_full();
	a.n_layers = 0;
	check_round_trip(a);
	a = artifact_full();
	for (size_t i = 0; i < 2; i++)
		buf_fini(&a.signatures[i].bytes);
	a.n_signatures = 0;
	check_round_trip(a);
}

/* The bytes are what everyone signs the digest of: they do not change unnoticed. */
static void the_text(void **state)
{
	(void)state;
	struct artifact a = {0};
	set_descriptor(&a.subject, OCI_MANIFEST, SHA_A, 7);
	set_descriptor(&a.tree, "", SHA_B, 1000);
	a.layers = xcalloc(1, sizeof(*a.layers));
	a.n_layers = 1;
	set_digest(&a.layers[0].layer, SHA_C);
	set_descriptor(&a.layers[0].form, "", SHA_A, 9);
	snprintf(a.signatures[0].key_id, ARTIFACT_KEY_ID_MAX, "0011223344556677");
	assert_int_equal(buf_append(&a.signatures[0].bytes, "sig", 3), 0);
	a.n_signatures = 1;
	auto_free char *want = json_text(
		"{'annotations':{'vnd.imgfs.signature.0011223344556677':'c2ln'},"
		"'artifactType':'application/vnd.imgfs.index.v1',"
		"'config':{'data':'e30=','digest':'sha256:"
		"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',"
		"'mediaType':'application/vnd.oci.empty.v1+json','size':2},"
		"'layers':[{'digest':'" SHA_B "','mediaType':'application/vnd.imgfs.tree.v1',"
		"'size':1000},{'annotations':{'vnd.imgfs.layer':'" SHA_C "'},'digest':'" SHA_A
		"','mediaType':'application/vnd.imgfs.layer.v1','size':9}],"
		"'mediaType':'" OCI_MANIFEST "','schemaVersion':2,"
		"'subject':{'digest':'" SHA_A "','mediaType':'" OCI_MANIFEST "','size':7}}");
	struct document doc = document_of(&a);
	assert_int_equal(buf_append(&doc.bytes, "", 1), 0);
	assert_string_equal((char *)doc.bytes.p, want);
	document_fini(&doc);
	artifact_fini(&a);
}

/* fetch/TRUST.md, "What is signed". */
static void the_statement(void **state)
{
	(void)state;
	struct artifact a = artifact_full();
	auto_buf struct buf out = {0};
	assert_int_equal(artifact_statement(&a, &out), 0);
	assert_int_equal(buf_append(&out, "", 1), 0);
	assert_string_equal((char *)out.p, "imgfs-index-statement-1\n"
					   "subject " SHA_A "\n"
					   "image " SHA_B " 5678\n"
					   "layer " SHA_C " " SHA_A " 9\n"
					   "layer " SHA512_D " " SHA_B " 2147483648\n");
	assert_int_equal(out.n, strlen((char *)out.p) + 1);
	buf_fini(&out);
	a.n_layers = 0;
	assert_int_equal(artifact_statement(&a, &out), 0);
	assert_true(bytes_equal_str(buf_bytes(&out), "imgfs-index-statement-1\nsubject " SHA_A
						     "\nimage " SHA_B " 5678\n"));
	artifact_fini(&a);
}

/* --- parsing --- */

struct rule {
	const char *text;
	err_t err;
	const char *part; /* of the reason */
};

#define WITH(parts) HEAD SUBJECT ",'layers':[" parts "]}"

static const struct rule rules[] = {
	{WITH(TREE), 0, NULL},
	{WITH(TREE "," FORM(SHA_A, SHA_B, "5")), 0, NULL},
	{HEAD ",'layers':[" TREE "]}", 0, NULL},
	{HEAD ",'subject':null,'annotations':null,'layers':[" TREE "]}", 0, NULL},
	/* what a newer imgfs may add */
	{WITH(TREE "," DESC("application/vnd.imgfs.other.v1", SHA_A, "1") "}"), 0, NULL},
	{WITH(TREE ",{'mediaType':'application/vnd.imgfs.other.v1'}"), 0, NULL},
	{WITH(TREE ",{}"), 0, NULL},
	{WITH(TREE ",{'mediaType':null}"), 0, NULL},
	{HEAD ",'more':[1],'layers':[" TREE "]}", 0, NULL},
	/* no document */
	{"", -EBADMSG, "JSON"},
	{"[]", -EBADMSG, "not an object"},
	{"{'artifactType':'a','artifactType':'a'}", -EBADMSG, "duplicate"},
	/* not ours */
	{"{}", -EBADMSG, "no published index"},
	{"{'artifactType':null}", -EBADMSG, "no published index"},
	{"{'artifactType':'x/y'}", -EBADMSG, "a \"x/y\""},
	{"{'artifactType':1}", -EBADMSG, "\"artifactType\" is not a string"},
	{"{'artifactType':'application/vnd.imgfs.index.v2'}", -ENOTSUP,
	 "index.v2\"; this imgfs reads \"application/vnd.imgfs.index.v1\""},
	{"{'artifactType':'application/vnd.imgfs.index.v11'}", -ENOTSUP, "index.v11"},
	{"{'artifactType':'application/vnd.imgfs.index.'}", -ENOTSUP, "this imgfs reads"},
	/* subject */
	{HEAD ",'subject':'x','layers':[" TREE "]}", -EBADMSG, "\"subject\" is not an object"},
	{HEAD ",'subject':{},'layers':[" TREE "]}", -EBADMSG, "a digest is missing"},
	{HEAD ",'subject':" DESC(OCI_MANIFEST, "sha256:zz", "1") "},'layers':[" TREE "]}", -EBADMSG,
	 "digest"},
	{HEAD ",'subject':" DESC(OCI_MANIFEST, SHA_A, "-1") "},'layers':[" TREE "]}", -EBADMSG,
	 "\"size\" is -1"},
	{HEAD ",'subject':" DESC(OCI_MANIFEST, SHA_A, "4194305") "},'layers':[" TREE "]}", -EBADMSG,
	 "\"size\" is 4194305"},
	{HEAD ",'subject':{'mediaType':'x','digest':'" SHA_A "'},'layers':[" TREE "]}", -EBADMSG,
	 "\"size\" is not an integer"},
	{HEAD ",'subject':" DESC(OCI_MANIFEST, SHA_A, "1.5") "},'layers':[" TREE "]}", -EBADMSG,
	 "\"size\" is not an integer"},
	/* annotations */
	{HEAD ",'annotations':[],'layers':[" TREE "]}", -EBADMSG,
	 "\"annotations\" is not an object"},
	/* parts */
	{HEAD "}", -EBADMSG, "has no tree"},
	{HEAD ",'layers':null}", -EBADMSG, "has no tree"},
	{WITH(""), -EBADMSG, "has no tree"},
	{WITH(FORM(SHA_A, SHA_B, "5")), -EBADMSG, "has no tree"},
	{HEAD ",'layers':{}}", -EBADMSG, "\"layers\" is not an array"},
	{WITH(TREE ",1"), -EBADMSG, "not an object"},
	{WITH(TREE ",null"), -EBADMSG, "not an object"},
	{WITH(TREE ",[]"), -EBADMSG, "not an object"},
	{WITH(TREE ",{'mediaType':5}"), -EBADMSG, "\"mediaType\" is not a string"},
	{WITH("{'mediaType':'" ARTIFACT_TREE "'}"), -EBADMSG, "a digest is missing"},
	{WITH("{'mediaType':'" ARTIFACT_TREE "','digest':'" SHA_A "'}"), -EBADMSG,
	 "\"size\" is not an integer"},
	{WITH(DESC(ARTIFACT_TREE, SHA_A, "2147483648") "}"), 0, NULL},
	{WITH(DESC(ARTIFACT_TREE, SHA_A, "2147483649") "}"), -EBADMSG, "\"size\" is 2147483649"},
	{WITH(DESC(ARTIFACT_TREE, "md5:" HEX_A, "1") "}"), -EBADMSG, "md5"},
	{WITH(TREE "," DESC(ARTIFACT_FORM, SHA_A, "5") "}"), -EBADMSG, "does not name its layer"},
	{WITH(TREE "," DESC(ARTIFACT_FORM, SHA_A, "5") ",'annotations':{}}"), -EBADMSG,
	 "does not name its layer"},
	{WITH(TREE "," DESC(ARTIFACT_FORM, SHA_A, "5") ",'annotations':[]}"), -EBADMSG,
	 "\"annotations\" is not an object"},
	{WITH(TREE "," DESC(ARTIFACT_FORM, SHA_A, "5") ",'annotations':{'" ARTIFACT_LAYER "':1}}"),
	 -EBADMSG, "\"vnd.imgfs.layer\" is not a string"},
	{WITH(TREE "," FORM("sha256:1", SHA_B, "5")), -EBADMSG, "digest"},
	{WITH(TREE "," FORM("", SHA_B, "5")), -EBADMSG, "digest"},
	{WITH(TREE "," FORM(SHA_A, "sha256:1", "5")), -EBADMSG, "digest"},
	{WITH(TREE "," FORM(SHA_A, SHA_B, "2147483649")), -EBADMSG, "\"size\" is 2147483649"},
	{WITH(TREE "," FORM(SHA_A, SHA_B, "'5'")), -EBADMSG, "\"size\" is not an integer"},
	/* config */
	{WITH(TREE "," DESC(OCI_CONFIG, SHA_A, "5") "}"), 0, NULL},
	{WITH(TREE "," DESC(DOCKER_CONFIG, SHA_A, "5") "}"), 0, NULL},
	{WITH(TREE "," DESC(OCI_CONFIG, "x", "5") "}"), -EBADMSG, "digest"},
	{WITH(TREE "," DESC(OCI_CONFIG, SHA_A, "4194305") "}"), -EBADMSG, "\"size\" is 4194305"},
};

static void malformed_members(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		struct document doc = document_text(rules[i].text, OCI_MANIFEST);
		struct artifact a;
		struct diag d = DIAG_INIT;
		err_t err = artifact_parse(&doc, &a, &d);
		assert_outcome(rules[i].text, err, rules[i].err, &d, rules[i].part);
		if (err && d.cls != (err == -ENOTSUP ? ERR_UNSUPPORTED : ERR_INTEGRITY))
			fail_msg("%s: class %d of \"%s\"", rules[i].text, d.cls, d.text);
		if (!err)
			artifact_fini(&a);
		document_fini(&doc);
	}
}

static struct document document_of_parts(size_t n)
{
	auto_buf struct buf text = {0};
	static const char begin[] = HEAD ",'layers':[" TREE;
	assert_int_equal(buf_append(&text, begin, strlen(begin)), 0);
	for (size_t i = 1; i < n; i++) {
		char part[] = "," FORM(SHA_A, SHA_B, "5"), digits[17];
		/* A digest of its own for the layer: each is named once. */
		snprintf(digits, sizeof(digits), "%016zx", i);
		for (char *at = part; (at = strstr(at, SHA_A)) != NULL; at++)
			memcpy(at + 7, digits, 16);
		assert_int_equal(buf_append(&text, part, strlen(part)), 0);
	}
	assert_int_equal(buf_append(&text, "]}", 3), 0);
	return document_text((char *)text.p, OCI_MANIFEST);
}

static void too_many_parts(void **state)
{
	(void)state;
	struct artifact a;
	struct diag d = DIAG_INIT;
	struct document most = document_of_parts(MANIFEST_LAYERS_MAX + 16);
	struct document more = document_of_parts(MANIFEST_LAYERS_MAX + 17);
	assert_int_equal(artifact_parse(&most, &a, &d), 0);
	assert_int_equal(a.n_layers, MANIFEST_LAYERS_MAX + 15);
	artifact_fini(&a);
	assert_int_equal(artifact_parse(&more, &a, &d), -ENOTSUP);
	assert_non_null(strstr(d.text, "529 parts"));
	document_fini(&most);
	document_fini(&more);
}

/* --- the config that is carried --- */

/* @data the text of the member, with its quotes. Returns the bytes that came along. */
static size_t config_bytes_of(const char *data)
{
	auto_free char *text =
		xasprintf(WITH(TREE "," DESC(OCI_CONFIG, SHA_C, "5") ",'data':%s}"), data);
	struct document doc = document_text(text, OCI_MANIFEST);
	struct artifact a;
	struct diag d = DIAG_INIT;
	if (artifact_parse(&doc, &a, &d))
		fail_msg("%.80s: %s", data, d.text);
	size_t n = a.config_bytes.n;
	assert_int_equal(a.config.size, 5);
	artifact_fini(&a);
	document_fini(&doc);
	return n;
}

static size_t carried(size_t n)
{
	uint8_t *zeroes = xcalloc(n, 1);
	auto_free char *encoded = base64_encode((struct bytes){zeroes, n});
	auto_free char *data = xasprintf("'%s'", encoded);
	free(zeroes);
	return config_bytes_of(data);
}

static void embedded_configs(void **state)
{
	(void)state;
	assert_int_equal(config_bytes_of("'e30='"), 2);
	/* Not carried is no error: it can be fetched. */
	assert_int_equal(config_bytes_of("'e30'"), 0);
	assert_int_equal(config_bytes_of("'e30=\\n'"), 0);
	assert_int_equal(config_bytes_of("'e31='"), 0);
	assert_int_equal(config_bytes_of("'!!!!'"), 0);
	assert_int_equal(config_bytes_of("''"), 0);
	assert_int_equal(config_bytes_of("null"), 0);
	assert_int_equal(config_bytes_of("17"), 0);
	assert_int_equal(config_bytes_of("{}"), 0);
	assert_int_equal(carried(ARTIFACT_CONFIG_MAX / 3 * 3), ARTIFACT_CONFIG_MAX / 3 * 3);
	assert_int_equal(carried(ARTIFACT_CONFIG_MAX), ARTIFACT_CONFIG_MAX);
	assert_int_equal(carried(ARTIFACT_CONFIG_MAX + 1), 0);
	assert_int_equal(carried(ARTIFACT_CONFIG_MAX + 2), 0);
	assert_int_equal(carried(ARTIFACT_CONFIG_MAX + 3), 0);
	assert_int_equal(carried(700000), 0);
}

static void the_first_config_counts(void **state)
{
	(void)state;
	struct document doc =
		document_text(WITH(TREE "," DESC(OCI_CONFIG, SHA_A, "5") ",'data':'e30='}," DESC(
				      OCI_CONFIG, SHA_B, "6") ",'data':'e30K'}"),
			      OCI_MANIFEST);
	struct artifact a;
	struct digest want;
	set_digest(&want, SHA_A);
	assert_int_equal(artifact_parse(&doc, &a, NULL), 0);
	assert_true(digest_equal(&a.config.digest, &want));
	assert_int_equal(a.config_bytes.n, 2);
	artifact_fini(&a);
	document_fini(&doc);
}

/* --- signatures --- */

/* The artifact with these annotations; the caller frees it. */
static struct artifact annotated(const char *annotations)
{
	auto_free char *text =
		xasprintf(HEAD ",'annotations':{%s},'layers':[" TREE "]}", annotations);
	struct document doc = document_text(text, OCI_MANIFEST);
	struct artifact a;
	struct diag d = DIAG_INIT;
	if (artifact_parse(&doc, &a, &d))
		fail_msg("%s: %s", annotations, d.text);
	document_fini(&doc);
	return a;
}

#define KEY(id) "'" ARTIFACT_SIGNATURE_PREFIX id "':"
#define K16	"0123456789abcdef"
#define K63	K16 K16 K16 "0123456789abcde"

static void signatures(void **state)
{
	(void)state;
	static const struct {
		const char *annotations;
		const char *key_id; /* of the one signature; NULL: there is none */
	} cases[] = {
		{"", NULL},
		{"'other':'c2ln'", NULL},
		{KEY("a") "'c2ln'", "a"},
		{KEY(K16) "'c2ln'", K16},
		{KEY(K63) "'c2ln'", K63},
		{KEY(K63 "f") "'c2ln'", NULL}, /* longer than a name may be */
		{KEY("") "'c2ln'", NULL},
		{"'vnd.imgfs.signature':'c2ln'", NULL},
		{KEY("a") "'c2l'", NULL},
		{KEY("a") "'c2lu '", NULL},
		{KEY("a") "7", NULL},
		{KEY("a") "null", NULL},
		{KEY("a") "{}", NULL},
		{KEY("bad") "'?'," KEY("good") "'c2ln','x':'y'", "good"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct artifact a = annotated(cases[i].annotations);
		assert_int_equal(a.n_signatures, cases[i].key_id ? 1 : 0);
		if (cases[i].key_id) {
			assert_string_equal(a.signatures[0].key_id, cases[i].key_id);
			assert_true(bytes_equal_str(buf_bytes(&a.signatures[0].bytes), "sig"));
		}
		artifact_fini(&a);
	}
}

static void more_signatures_than_are_looked_at(void **state)
{
	(void)state;
	auto_buf struct buf text = {0};
	for (unsigned i = 0; i < ARTIFACT_KEYS_MAX + 5; i++) {
		auto_free char *one = xasprintf("%s" KEY("%04u") "'%s'", i ? "," : "", i,
						i == 3 ? "not base64" : "c2ln");
		assert_int_equal(buf_append(&text, one, strlen(one)), 0);
	}
	assert_int_equal(buf_append(&text, "", 1), 0);
	struct artifact a = annotated((char *)text.p);
	assert_int_equal(a.n_signatures, ARTIFACT_KEYS_MAX);
	for (size_t i = 0; i < a.n_signatures; i++) {
		assert_int_equal(strlen(a.signatures[i].key_id), 4);
		assert_string_not_equal(a.signatures[i].key_id, "0003");
		assert_true(bytes_equal_str(buf_bytes(&a.signatures[i].bytes), "sig"));
	}
	artifact_fini(&a);
}

/* --- lists --- */

/* What artifact_descriptor writes for lists is found there, with the manifest where it is small. */
static void our_own_entries(void **state)
{
	(void)state;
	static const size_t sizes[] = {0, 48u << 10, (48u << 10) + 1};
	struct artifact a = artifact_full();
	struct document doc = document_of(&a);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct artifact_candidates c = {0};
		if (sizes[i]) /* of any length: nobody looks into it here */
			assert_int_equal(buf_append_zeros(&doc.bytes, sizes[i] - doc.bytes.n), 0);
		struct bytes manifest = buf_bytes(&doc.bytes);
		auto_free char *entry = artifact_descriptor(&a, manifest);
		auto_free char *twice = artifact_descriptor(&a, manifest);
		auto_free char *list = xasprintf("{\"manifests\":[%s]}", entry);
		struct digest digest;
		assert_string_equal(entry, twice);
		digest_of(DIGEST_SHA256, manifest.p, manifest.n, &digest);
		assert_int_equal(artifact_candidates_add(&c, BYTES_STR(list), NULL), 0);
		assert_int_equal(c.n, 1);
		assert_true(c.list[0].sure && digest_equal(&c.list[0].digest, &digest));
		assert_int_equal(c.list[0].n_key_ids, 2);
		assert_string_equal(c.list[0].key_ids[0], a.signatures[0].key_id);
		assert_string_equal(c.list[0].key_ids[1], a.signatures[1].key_id);
		if (i < 2)
			assert_true(bytes_equal(buf_bytes(&c.list[0].manifest), manifest));
		else
			assert_int_equal(c.list[0].manifest.n, 0);
		artifact_candidates_fini(&c);
	}
	document_fini(&doc);
	artifact_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trips),
		cmocka_unit_test(the_text),
		cmocka_unit_test(the_statement),
		cmocka_unit_test(malformed_members),
		cmocka_unit_test(too_many_parts),
		cmocka_unit_test(embedded_configs),
		cmocka_unit_test(the_first_config_counts),
		cmocka_unit_test(signatures),
		cmocka_unit_test(more_signatures_than_are_looked_at),
		cmocka_unit_test(our_own_entries),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
