/*
 * fuzz_artifact - any bytes as an artifact manifest and as a list of referrers: a value or an error
 * with a reason, and what is accepted is written and read again unchanged
 */
#include "fetch/manifest_artifact_json.h"

#include "index/wire.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_limits(const struct artifact *a)
{
	BUG_ON(a->n_layers > MANIFEST_LAYERS_MAX + 16 || a->n_signatures > ARTIFACT_KEYS_MAX);
	BUG_ON(a->tree.digest.alg == DIGEST_NONE || a->tree.size > WIRE_FORM_MAX);
	BUG_ON(a->subject.size > DOCUMENT_MAX || a->config.size > DOCUMENT_MAX);
	BUG_ON(a->config_bytes.n > ARTIFACT_CONFIG_MAX);
	for (size_t i = 0; i < a->n_layers; i++)
		BUG_ON(a->layers[i].layer.alg == DIGEST_NONE ||
		       a->layers[i].form.digest.alg == DIGEST_NONE ||
		       a->layers[i].form.size > WIRE_FORM_MAX);
	for (size_t i = 0; i < a->n_signatures; i++) {
		size_t n = strlen(a->signatures[i].key_id);
		BUG_ON(n == 0 || n >= ARTIFACT_KEY_ID_MAX);
	}
}

static void check_same(const struct artifact *a, const struct artifact *b)
{
	struct buf x = {0}, y = {0};
	BUG_ON(artifact_statement(a, &x) || artifact_statement(b, &y));
	BUG_ON(!bytes_equal(buf_bytes(&x), buf_bytes(&y)));
	BUG_ON(a->n_signatures != b->n_signatures);
	BUG_ON(!digest_equal(&a->config.digest, &b->config.digest));
	BUG_ON(!bytes_equal(buf_bytes(&a->config_bytes), buf_bytes(&b->config_bytes)));
	buf_fini(&x);
	buf_fini(&y);
}

static void check_entry(const struct artifact *a, struct bytes manifest)
{
	struct artifact_candidates c = {0};
	auto_free char *entry = artifact_descriptor(a, manifest);
	auto_free char *list = xasprintf("{\"manifests\":[%s]}", entry);
	BUG_ON(artifact_candidates_add(&c, BYTES_STR(list), NULL));
	BUG_ON(c.n != 1 || !c.list[0].sure || c.list[0].n_key_ids != a->n_signatures);
	artifact_candidates_fini(&c);
}

static void write_again(const struct artifact *a)
{
	struct document doc = {0}, twice = {0};
	struct artifact b;
	BUG_ON(artifact_write(a, &doc.bytes));
	BUG_ON(artifact_parse(&doc, &b, NULL));
	check_same(a, &b);
	BUG_ON(artifact_write(&b, &twice.bytes));
	BUG_ON(!bytes_equal(buf_bytes(&doc.bytes), buf_bytes(&twice.bytes)));
	check_entry(&b, buf_bytes(&doc.bytes));
	artifact_fini(&b);
	buf_fini(&doc.bytes);
	buf_fini(&twice.bytes);
}

static void try_manifest(struct bytes in)
{
	struct document doc = {0};
	struct artifact a;
	struct diag d = DIAG_INIT;
	BUG_ON(buf_append(&doc.bytes, in.p, in.n));
	err_t err = artifact_parse(&doc, &a, &d);
	BUG_ON(err && !d.text[0]);
	if (!err) {
		check_limits(&a);
		write_again(&a);
		artifact_fini(&a);
	}
	buf_fini(&doc.bytes);
}

static void try_list(struct bytes in)
{
	struct artifact_candidates c = {0};
	struct diag d = DIAG_INIT;
	for (unsigned i = 0; i < 3; i++) {
		err_t err = artifact_candidates_add(&c, in, &d);
		BUG_ON(err && (err != -EBADMSG || !d.text[0] || c.n));
	}
	BUG_ON(c.n > ARTIFACT_CANDIDATES_MAX);
	for (size_t i = 0; i < c.n; i++) {
		const struct artifact_candidate *one = &c.list[i];
		BUG_ON(one->digest.alg == DIGEST_NONE || one->n_key_ids > ARTIFACT_KEYS_MAX);
		for (size_t k = 0; k < one->n_key_ids; k++)
			BUG_ON(!one->key_ids[k][0] ||
			       strnlen(one->key_ids[k], ARTIFACT_KEY_ID_MAX) ==
				       ARTIFACT_KEY_ID_MAX);
		if (one->manifest.n)
			try_manifest(buf_bytes(&one->manifest));
	}
	artifact_candidates_fini(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct bytes in = {data, size};
	try_manifest(in);
	try_list(in);
	return 0;
}
