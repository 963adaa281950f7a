/*
 * Manifests and image indexes: what each document is taken for, what is refused and why, and which
 * entry of an index is chosen. Hostile documents must end soon and cost little memory.
 */
#include <jansson.h>
#include <time.h>

#include "fetch/json.h"
#include "fetch/manifest_priv.h"
#include "tests/unit/document_text.h"

static const struct {
	const char *text, *media_type;
	err_t err;
	enum manifest_kind kind;
	const char *part;
} kinds[] = {
	{"{'schemaVersion':2,'manifests':[]}", OCI_INDEX, 0, MANIFEST_INDEX, NULL},
	{"{'schemaVersion':2,'manifests':[]}", "", 0, MANIFEST_INDEX, NULL},
	{"{'manifests':null}", "", 0, MANIFEST_INDEX, NULL},
	{"{'schemaVersion':2,'mediaType':'" OCI_INDEX "'}", "", 0, MANIFEST_INDEX, NULL},
	{"{'schemaVersion':2,'mediaType':'" DOCKER_LIST "','manifests':[]}", "application/json", 0,
	 MANIFEST_INDEX, NULL},
	{"{'schemaVersion':2," CONFIG ",'layers':[]}", OCI_MANIFEST, 0, MANIFEST_IMAGE, NULL},
	{"{'schemaVersion':2," CONFIG ",'layers':null}", "", 0, MANIFEST_IMAGE, NULL},
	{"{" CONFIG ",'layers':[],'manifests':null}", "", 0, MANIFEST_IMAGE, NULL},
	{"{" CONFIG ",'layers':[],'fsLayers':null}", "", 0, MANIFEST_IMAGE, NULL},
	{"{'config':" DESC(DOCKER_CONFIG, SHA_A, "7") "},'layers':[]}", DOCKER_IMAGE, 0,
	 MANIFEST_IMAGE, NULL},
	{"{" CONFIG ",'layers':[],'unknown':{'a':[1]}}", "", 0, MANIFEST_IMAGE, NULL},
	/* One document, two kinds: CVE-2021-41190. */
	{"{" CONFIG ",'layers':[],'manifests':[]}", "", -EBADMSG, 0, "mixes"},
	{"{'layers':[],'manifests':[]}", OCI_INDEX, -EBADMSG, 0, "mixes"},
	{"{" CONFIG ",'manifests':[]}", OCI_INDEX, -EBADMSG, 0, "mixes"},
	{"{" CONFIG ",'layers':[],'fsLayers':[]}", "", -EBADMSG, 0, "mixes"},
	{"{'manifests':[],'fsLayers':[]}", "", -EBADMSG, 0, "mixes"},
	{"{'manifests':[]}", OCI_MANIFEST, -EBADMSG, 0, "fields of an image index"},
	{"{" CONFIG ",'layers':[]}", OCI_INDEX, -EBADMSG, 0, "fields of an image manifest"},
	{"{" CONFIG ",'layers':[],'mediaType':'" OCI_INDEX "'}", "", -EBADMSG, 0, "fields"},
	{"{'mediaType':'" OCI_MANIFEST "','manifests':[]}", OCI_INDEX, -EBADMSG, 0, "calls itself"},
	{"{" CONFIG ",'layers':[],'mediaType':'" OCI_MANIFEST "'}", DOCKER_IMAGE, -EBADMSG, 0,
	 "calls itself"},
	/* What is no image. */
	{"{'schemaVersion':1,'fsLayers':[],'history':[]}", "", -ENOTSUP, 0, "schema1"},
	{"{'schemaVersion':1}", "", -ENOTSUP, 0, "schema1"},
	{"{'schemaVersion':2,'manifests':[]}",
	 "application/vnd.docker.distribution.manifest.v1+prettyjws", -ENOTSUP, 0, "schema1"},
	{"{'schemaVersion':3,'manifests':[]}", "", -ENOTSUP, 0, "schemaVersion 3"},
	{"{'schemaVersion':'2','manifests':[]}", "", -EBADMSG, 0, "schemaVersion"},
	{"{'config':" DESC("application/vnd.oci.empty.v1+json", SHA_A, "2") "},'layers':[]}", "",
	 -ENOTSUP, 0, "artifact"},
	{"{'config':" DESC("application/vnd.amazon.soci.index.v1+json", SHA_A,
			   "2") "},'layers':[]}",
	 OCI_MANIFEST, -ENOTSUP, 0, "soci.index"},
	{"{'config':{'digest':'" SHA_A "','size':2},'layers':[]}", "", -ENOTSUP, 0, "artifact"},
	{"{'layers':[]}", "", -EBADMSG, 0, "no config"},
	{"{'config':[],'layers':[]}", "", -EBADMSG, 0, "not an object"},
	{"{'artifactType':'a/b','blobs':[]}", "application/vnd.oci.artifact.manifest.v1+json",
	 -ENOTSUP, 0, "artifact"},
	{"{" CONFIG ",'layers':[]}", "application/vnd.cncf.helm", -ENOTSUP, 0, "helm"},
	{"{}", "", -EBADMSG, 0, "no manifest"},
	{"{'mediaType':7,'manifests':[]}", "", -EBADMSG, 0, "mediaType"},
	/* What is no I-JSON object. */
	{"", "", -EBADMSG, 0, "JSON"},
	{"[]", "", -EBADMSG, 0, "not an object"},
	{"null", "", -EBADMSG, 0, "JSON"},
	{"{'manifests':[]", "", -EBADMSG, 0, "JSON"},
	{"{'manifests':[]} x", "", -EBADMSG, 0, "JSON"},
	{"{'manifests':[],'manifests':[]}", "", -EBADMSG, 0, "duplicate"},
	{"{'manifests':[],'a':{'b':1,'b':1}}", "", -EBADMSG, 0, "duplicate"},
	{"{'manifests':[],'a\\u0000':1}", "", -EBADMSG, 0, "JSON"},
	{"{'manifests':[],'a':'\xff'}", "", -EBADMSG, 0, "decode byte"},
	{"{'manifests':[],'a':'\xed\xa0\x80'}", "", -EBADMSG, 0, "decode byte"},
	{"{'manifests':[],'a':9223372036854775808}", "", -EBADMSG, 0, "too big"},
	{"{'manifests':[],'a':1e999}", "", -EBADMSG, 0, "overflow"},
	{"{'manifests':[],'a':9223372036854775807}", "", 0, MANIFEST_INDEX, NULL},
};

static void kind(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct document doc = document_text(kinds[i].text, kinds[i].media_type);
		struct diag d = DIAG_INIT;
		enum manifest_kind found = MANIFEST_INDEX;
		err_t err = manifest_kind_of(&doc, &found, &d);
		assert_outcome(kinds[i].text, err, kinds[i].err, &d, kinds[i].part);
		if (!err)
			assert_int_equal(found, kinds[i].kind);
		if (err)
			assert_int_equal(d.cls, err == -ENOTSUP ? ERR_UNSUPPORTED : ERR_INTEGRITY);
		document_fini(&doc);
	}
}

static void parse(void **state)
{
	struct document doc = document_text("{'schemaVersion':2," CONFIG ",'layers':[" LAYER_A
					    "," LAYER_B "," LAYER_A "],"
					    "'annotations':{'b':'2','n':3,'a':'1'}}",
					    "");
	struct manifest m;
	(void)state;
	assert_int_equal(manifest_parse(&doc, &m, NULL), 0);
	assert_string_equal(m.annotations[0].key, "a");
	assert_string_equal(m.annotations[1].value, "2");
	assert_null(m.annotations[2].key);
	assert_int_equal(m.n_layers, 3);
	assert_int_equal(m.config.size, 7);
	assert_string_equal(m.config.media_type, OCI_CONFIG);
	char text[DIGEST_TEXT_MAX];
	assert_string_equal(digest_text(&m.layers[1].desc.digest, text), SHA_B);
	assert_int_equal(m.layers[1].desc.size, 20);
	assert_true(digest_equal(&m.layers[0].desc.digest, &m.layers[2].desc.digest));
	assert_int_equal(m.layers[0].diff_id.alg, DIGEST_NONE);
	manifest_fini(&m);
	document_fini(&doc);
}

static void layer_types(void **state)
{
	static const struct {
		const char *type;
		err_t err;
		const char *part;
	} cases[] = {
		{OCI_LAYER, 0, NULL},
		{OCI_LAYER "+gzip", 0, NULL},
		{OCI_LAYER "+zstd", 0, NULL},
		{"application/vnd.oci.image.layer.nondistributable.v1.tar", 0, NULL},
		{"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", 0, NULL},
		{"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", 0, NULL},
		{DOCKER_LAYER, 0, NULL},
		{DOCKER_LAYER ".gzip", 0, NULL},
		{DOCKER_LAYER ".zstd", 0, NULL},
		{"application/vnd.docker.image.rootfs.foreign.diff.tar", 0, NULL},
		{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", 0, NULL},
		{OCI_LAYER "+gzip+encrypted", -ENOTSUP, "layer 1 of 1: it is encrypted"},
		{OCI_LAYER "+encrypted", -ENOTSUP, "encrypted"},
		{"application/vnd.erofs.layer.v1", -ENOTSUP, "not known"},
		{"application/vnd.oci.empty.v1+json", -ENOTSUP, "not known"},
		{OCI_MANIFEST, -ENOTSUP, "not known"},
		{"", -ENOTSUP, "not known"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_free char *text = xasprintf(
			"{" CONFIG ",'layers':[{'mediaType':'%s','digest':'" SHA_A "','size':1}]}",
			cases[i].type);
		struct document doc = document_text(text, "");
		struct manifest m;
		struct diag d = DIAG_INIT;
		assert_outcome(cases[i].type, manifest_parse(&doc, &m, &d), cases[i].err, &d,
			       cases[i].part);
		manifest_fini(&m);
		document_fini(&doc);
	}
}

static void descriptors(void **state)
{
	static const struct {
		const char *layers;
		err_t err;
		const char *part;
	} cases[] = {
		{DESC(OCI_LAYER, SHA_A, "0") "}", 0, NULL},
		{DESC(OCI_LAYER, SHA_A, "140737488355328") "}", 0, NULL},
		{DESC(OCI_LAYER, "sha512:" HEX_A HEX_B, "1") "}", 0, NULL},
		{DESC(OCI_LAYER, SHA_A, "140737488355329") "}", -EBADMSG, "not within"},
		{DESC(OCI_LAYER, SHA_A, "9223372036854775807") "}", -EBADMSG, "not within"},
		{DESC(OCI_LAYER, SHA_A, "-1") "}", -EBADMSG, "not within"},
		{DESC(OCI_LAYER, SHA_A, "1.0") "}", -EBADMSG, "not an integer"},
		{DESC(OCI_LAYER, SHA_A, "1e3") "}", -EBADMSG, "not an integer"},
		{DESC(OCI_LAYER, SHA_A, "'1'") "}", -EBADMSG, "not an integer"},
		{DESC(OCI_LAYER, SHA_A, "null") "}", -EBADMSG, "not an integer"},
		{"{'mediaType':'" OCI_LAYER "','digest':'" SHA_A "'}", -EBADMSG, "size"},
		{"{'mediaType':'" OCI_LAYER "','size':1}", -EBADMSG, "digest"},
		{DESC(OCI_LAYER, "sha256:../../../../etc/passwd", "1") "}", -EBADMSG, NULL},
		{DESC(OCI_LAYER, "sha256:" HEX_A "a", "1") "}", -EBADMSG, NULL},
		{DESC(OCI_LAYER, "sha256:A" HEX_A, "1") "}", -EBADMSG, NULL},
		{DESC(OCI_LAYER, "md5:" HEX_A, "1") "}", -EBADMSG, NULL},
		{"{'mediaType':7,'digest':'" SHA_A "','size':1}", -EBADMSG, "mediaType"},
		{"7", -EBADMSG, "not an object"},
		{"null", -EBADMSG, "layer 1 of 1"},
		{LAYER_A ",[]", -EBADMSG, "layer 2 of 2"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_free char *text = xasprintf("{" CONFIG ",'layers':[%s]}", cases[i].layers);
		struct document doc = document_text(text, "");
		struct manifest m;
		struct diag d = DIAG_INIT;
		assert_outcome(text, manifest_parse(&doc, &m, &d), cases[i].err, &d, cases[i].part);
		manifest_fini(&m);
		document_fini(&doc);
	}
}

static void other_rejects(void **state)
{
	static const struct {
		const char *text;
		err_t err;
		const char *part;
	} cases[] = {
		{"{'manifests':[]}", -EBADMSG, "not an image manifest"},
		{"{" CONFIG ",'layers':{}}", -EBADMSG, "not an array"},
		{"{" CONFIG ",'layers':'x'}", -EBADMSG, "not an array"},
		{"{'config':" DESC(OCI_CONFIG, SHA_A, "4194305") "},'layers':[]}", -EBADMSG,
		 "not within"},
		{"{'config':" DESC(OCI_CONFIG, "x", "1") "},'layers':[]}", -EBADMSG, NULL},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct document doc = document_text(cases[i].text, "");
		struct manifest m;
		struct diag d = DIAG_INIT;
		assert_outcome(cases[i].text, manifest_parse(&doc, &m, &d), cases[i].err, &d,
			       cases[i].part);
		document_fini(&doc);
	}
}

/* A list of n times one item. */
static char *repeat(const char *head, const char *item, size_t n, const char *tail)
{
	struct buf text = {0};
	assert_int_equal(buf_append(&text, head, strlen(head)), 0);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(buf_append(&text, i ? "," : "", i ? 1 : 0), 0);
		assert_int_equal(buf_append(&text, item, strlen(item)), 0);
	}
	assert_int_equal(buf_append(&text, tail, strlen(tail) + 1), 0);
	return (char *)text.p;
}

static void layer_count(void **state)
{
	(void)state;
	for (size_t n = 511; n <= 513; n++) {
		auto_free char *text = repeat("{" CONFIG ",'layers':[", LAYER_A, n, "]}");
		struct document doc = document_text(text, "");
		struct manifest m;
		struct diag d = DIAG_INIT;
		assert_outcome("layers", manifest_parse(&doc, &m, &d), n <= 512 ? 0 : -ENOTSUP, &d,
			       n <= 512 ? NULL : "513 layers");
		manifest_fini(&m);
		document_fini(&doc);
	}
}

#define FOR(os, arch)  ",'platform':{'os':'" os "','architecture':'" arch "'}"
#define ENTRY(digest)  DESC(OCI_MANIFEST, digest, "9")
#define ARTIFACT(type) ",'artifactType':'" type "'"
#define NOTE(key)      ",'annotations':{'" key "':'x'}"

static void choose(void **state)
{
	static const struct {
		const char *entries, *wanted, *digest, *part;
	} cases[] = {
		{ENTRY(SHA_A) FOR("linux", "arm64") "}," ENTRY(SHA_B) FOR("linux", "amd64") "}",
		 "linux/amd64", SHA_B, NULL},
		/* The first of equals; the better before the earlier. */
		{ENTRY(SHA_A) FOR("linux", "amd64") "}," ENTRY(SHA_B) FOR("linux", "amd64") "}",
		 "linux/amd64", SHA_A, NULL},
		{ENTRY(SHA_A) FOR("linux", "386") "}," ENTRY(SHA_B) FOR("linux", "amd64") "}",
		 "linux/amd64", SHA_B, NULL},
		{ENTRY(SHA_A) "}," ENTRY(SHA_B) FOR("linux", "386") "}", "linux/amd64", SHA_B,
		 NULL},
		{ENTRY(SHA_A) "}," ENTRY(SHA_B) FOR("linux", "arm64") "}", "linux/amd64", SHA_A,
		 NULL},
		{ENTRY(SHA_A) ",'platform':null}", "linux/amd64", SHA_A, NULL},
		/* A SOCI index has the platform of its image. */
		{ENTRY(SHA_A) FOR("linux", "amd64")
			 ARTIFACT("application/vnd.amazon.soci.index.v2+json") "}," ENTRY(SHA_B)
				 FOR("linux", "amd64") "}",
		 "linux/amd64", SHA_B, NULL},
		{ENTRY(SHA_A) FOR("linux", "amd64") ARTIFACT("") "}", "linux/amd64", SHA_A, NULL},
		{ENTRY(SHA_A) FOR("linux", "amd64") NOTE("vnd.docker.reference.type") "}," ENTRY(
			 SHA_B) FOR("linux", "386") "}",
		 "linux/amd64", SHA_B, NULL},
		{ENTRY(SHA_A) FOR("unknown", "unknown") "}," ENTRY(SHA_B) "}", "linux/amd64", SHA_B,
		 NULL},
		/* Entries of other types, and what is wrong in them, are ignored. */
		{"{'mediaType':'a/b','digest':'md5:1'}," ENTRY(SHA_B) "}", "linux/amd64", SHA_B,
		 NULL},
		{DESC(OCI_INDEX, SHA_C, "9") FOR("linux", "amd64") "}", "linux/amd64", SHA_C, NULL},
		{ENTRY(SHA_A) FOR("windows", "amd64") "}", "linux/amd64", NULL,
		 "no image for platform linux/amd64; there is: windows/amd64"},
		{ENTRY(SHA_A) FOR("linux", "aarch64") "}," ENTRY(SHA_A) FOR("linux", "arm") "}",
		 "linux/riscv64", NULL, "linux/arm64, linux/arm/v7"},
		{"", "linux/amd64", NULL, "there is: none"},
		{ENTRY(SHA_A) FOR("l\\u001b[", "amd64") "}", "linux/amd64", NULL, "none"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_free char *text =
			xasprintf("{'schemaVersion':2,'manifests':[%s]}", cases[i].entries);
		struct document doc = document_text(text, OCI_INDEX);
		struct platform wanted;
		struct descriptor found;
		struct diag d = DIAG_INIT;
		char digest[DIGEST_TEXT_MAX];
		assert_int_equal(platform_parse(cases[i].wanted, &wanted, NULL), 0);
		assert_outcome(text, manifest_choose(&doc, &wanted, &found, &d),
			       cases[i].digest ? 0 : -ENOENT, &d, cases[i].part);
		if (cases[i].digest)
			assert_string_equal(digest_text(&found.digest, digest), cases[i].digest);
		else
			assert_int_equal(d.cls, ERR_NOT_FOUND);
		document_fini(&doc);
	}
}

static void choose_says_platform(void **state)
{
	static const char *const entries[] = {ENTRY(SHA_A) "}",
					      ENTRY(SHA_A) FOR("linux", "amd64") "}"};
	struct platform wanted = {"linux", "amd64", ""};
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		auto_free char *text = xasprintf("{'manifests':[%s]}", entries[i]);
		struct document doc = document_text(text, "");
		struct descriptor found;
		assert_int_equal(manifest_choose(&doc, &wanted, &found, NULL), 0);
		assert_int_equal(found.has_platform, i == 1);
		document_fini(&doc);
	}
}

static void bad_index(void **state)
{
	static const struct {
		const char *text, *part;
	} cases[] = {
		{"{" CONFIG ",'layers':[]}", "not an image index"},
		{"{'manifests':{}}", "not an array"},
		{"{'manifests':[7]}", "entry 0"},
		{"{'manifests':[" ENTRY(SHA_A) "}," ENTRY("sha256:x") "}]}", "entry 1"},
		{"{'manifests':[" DESC(OCI_MANIFEST, SHA_A, "4194305") "}]}", "not within"},
		{"{'manifests':[" DESC(OCI_MANIFEST, SHA_A, "-4") "}]}", "not within"},
		{"{'manifests':[" ENTRY(SHA_A) ",'platform':'linux'}]}", "not an object"},
		{"{'manifests':[" ENTRY(SHA_A) ",'platform':{'os':1}}]}", "not a string"},
		{"{'manifests':[" ENTRY(SHA_A) ",'annotations':[]}]}", "not an object"},
	};
	struct platform wanted = {"linux", "amd64", ""};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct document doc = document_text(cases[i].text, "");
		struct descriptor found;
		struct diag d = DIAG_INIT;
		assert_outcome(cases[i].text, manifest_choose(&doc, &wanted, &found, &d), -EBADMSG,
			       &d, cases[i].part);
		document_fini(&doc);
	}
}

static void entry_count(void **state)
{
	struct platform wanted = {"linux", "amd64", ""};
	(void)state;
	for (size_t n = 1024; n <= 1025; n++) {
		auto_free char *text =
			repeat("{'manifests':[", ENTRY(SHA_A) FOR("linux", "amd64") "}", n, "]}");
		struct document doc = document_text(text, "");
		struct descriptor found;
		struct diag d = DIAG_INIT;
		assert_outcome("entries", manifest_choose(&doc, &wanted, &found, &d),
			       n == 1024 ? 0 : -ENOTSUP, &d, n == 1024 ? NULL : "1025 entries");
		document_fini(&doc);
	}
}

static void depth(void **state)
{
	(void)state;
	for (size_t n = 30; n <= 31; n++) {
		struct buf text = {0};
		assert_int_equal(buf_append(&text, "{'manifests':[],'a':[", 21), 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(buf_append(&text, "[", 1), 0);
		for (size_t i = 0; i < n + 1; i++)
			assert_int_equal(buf_append(&text, "]", 1), 0);
		assert_int_equal(buf_append(&text, "}", 2), 0);
		struct document doc = document_text((char *)text.p, "");
		struct diag d = DIAG_INIT;
		enum manifest_kind found;
		assert_outcome("depth", manifest_kind_of(&doc, &found, &d), n == 30 ? 0 : -EBADMSG,
			       &d, n == 30 ? NULL : "nested deeper");
		document_fini(&doc);
		buf_fini(&text);
	}
}

/* Brackets in strings are no brackets, and an escaped quote does not end a string. */
static void depth_in_strings(void **state)
{
	auto_free char *text = repeat("{'manifests':[],'a':'", "[[\\\\[{\\'", 64, "'}");
	struct document doc = document_text(text, "");
	enum manifest_kind found;
	(void)state;
	assert_int_equal(manifest_kind_of(&doc, &found, NULL), 0);
	document_fini(&doc);
}

/* Memory that the JSON library holds, and the most it held. */
static size_t held, held_max;

static void *count_malloc(size_t n)
{
	size_t *p = malloc(n + 16);
	if (!p)
		return NULL;
	*p = n;
	held += n;
	held_max = max_of(held, held_max);
	return p + 2;
}

static void count_free(void *p)
{
	size_t *start = p ? (size_t *)p - 2 : NULL;
	if (start)
		held -= *start;
	free(start);
}

/* The largest documents of the most expensive content, cut off where a document ends. */
static void hostile_cost(void **state)
{
	static const struct {
		const char *head, *item;
	} cases[] = {
		{"{'manifests':[", "[]"},
		{"{'manifests':[", "{}"},
		{"{'manifests':[", "{'a':{}}"},
		{"{'manifests':[", "[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]"},
		{"{'manifests':[", "''"},
		{"{'manifests':[", "1.5"},
		{"{'manifests':[", "'\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001'"},
	};
	(void)state;
	json_malloc_t old_malloc;
	json_free_t old_free;
	json_get_alloc_funcs(&old_malloc, &old_free);
	json_set_alloc_funcs(count_malloc, count_free);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (size_t n = JSON_VALUES_MAX / 4; n < DOCUMENT_MAX; n *= 4) {
			size_t len = strlen(cases[i].item) + 1;
			auto_free char *text = repeat(cases[i].head, cases[i].item,
						      min_of(n, DOCUMENT_MAX / len - 16), "]}");
			struct document doc = document_text(text, "");
			clock_t start = clock();
			enum manifest_kind found;
			held_max = 0;
			(void)!manifest_kind_of(&doc, &found, NULL);
			assert_int_equal(held, 0);
			assert_in_range(held_max, 0, 16 << 20);
			assert_in_range(clock() - start, 0, 2 * CLOCKS_PER_SEC);
			document_fini(&doc);
		}
	}
	json_set_alloc_funcs(old_malloc, old_free);
}

/* One token as long as a document may be. */
static void hostile_token(void **state)
{
	static const char *const wraps[][2] = {
		{"{'manifests':[],'a':", "}"}, {"{'manifests':[],'a':0.", "}"}, {"{'a':'", "'}"}};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wraps); i++) {
		struct buf text = {0};
		assert_int_equal(buf_append(&text, wraps[i][0], strlen(wraps[i][0])), 0);
		while (text.n < DOCUMENT_MAX - 16)
			assert_int_equal(buf_append(&text, "7", 1), 0);
		assert_int_equal(buf_append(&text, wraps[i][1], strlen(wraps[i][1]) + 1), 0);
		struct document doc = document_text((char *)text.p, "");
		clock_t start = clock();
		enum manifest_kind found;
		(void)!manifest_kind_of(&doc, &found, NULL);
		assert_in_range(clock() - start, 0, 2 * CLOCKS_PER_SEC);
		document_fini(&doc);
		buf_fini(&text);
	}
}

static void too_large(void **state)
{
	struct document doc = document_text("{'manifests':[]}", "");
	struct diag d = DIAG_INIT;
	enum manifest_kind found;
	(void)state;
	while (doc.bytes.n <= DOCUMENT_MAX)
		assert_int_equal(buf_append(&doc.bytes, "                ", 16), 0);
	assert_outcome("too large", manifest_kind_of(&doc, &found, &d), -EBADMSG, &d, "larger");
	document_fini(&doc);
}

static void layout_version(void **state)
{
	static const struct {
		const char *text;
		err_t err;
	} cases[] = {
		{"{'imageLayoutVersion':'1.0.0'}", 0},
		{"{'imageLayoutVersion':'1.1.0','x':1}", 0},
		{"{'imageLayoutVersion':'2.0.0'}", -ENOTSUP},
		{"{'imageLayoutVersion':1}", -EBADMSG},
		{"{}", -EBADMSG},
		{"", -EBADMSG},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_free char *text = json_text(cases[i].text);
		struct diag d = DIAG_INIT;
		assert_outcome(text, layout_file_check(BYTES_STR(text), &d), cases[i].err, &d,
			       NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kind),		 cmocka_unit_test(parse),
		cmocka_unit_test(layer_types),	 cmocka_unit_test(descriptors),
		cmocka_unit_test(other_rejects), cmocka_unit_test(layer_count),
		cmocka_unit_test(choose),	 cmocka_unit_test(choose_says_platform),
		cmocka_unit_test(bad_index),	 cmocka_unit_test(entry_count),
		cmocka_unit_test(depth),	 cmocka_unit_test(depth_in_strings),
		cmocka_unit_test(hostile_cost),	 cmocka_unit_test(hostile_token),
		cmocka_unit_test(too_large),	 cmocka_unit_test(layout_version),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
