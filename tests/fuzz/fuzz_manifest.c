/*
 * Any bytes as manifest, image index, config and `oci-layout` file: each parser ends with a value
 * or an error, and what one accepts keeps its promises.
 *
 * Input: one byte that chooses the media type of the header, then the document.
 */
#include "fetch/manifest_priv.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const media_types[] = {
	"",
	"application/vnd.oci.image.index.v1+json",
	"application/vnd.oci.image.manifest.v1+json",
	"application/vnd.docker.distribution.manifest.v2+json",
	"application/vnd.docker.distribution.manifest.v1+json",
};

/* No document is two kinds, whatever its header says: CVE-2021-41190. */
static void check_one_kind(struct document *doc)
{
	enum manifest_kind first = MANIFEST_INDEX, kind;
	bool found = false;
	for (size_t i = 0; i < ARRAY_LEN(media_types); i++) {
		snprintf(doc->media_type, sizeof(doc->media_type), "%s", media_types[i]);
		if (manifest_kind_of(doc, &kind, NULL))
			continue;
		BUG_ON(found && kind != first);
		first = kind;
		found = true;
	}
}

static void check_index(const struct document *doc)
{
	struct index_entries entries;
	struct platform host = {"linux", "amd64", ""};
	struct descriptor chosen;
	struct diag d = DIAG_INIT;
	if (!manifest_choose(doc, &host, &chosen, &d))
		BUG_ON(chosen.digest.alg == DIGEST_NONE || chosen.size > DOCUMENT_MAX);
	if (index_entries_parse(doc, &entries, &d))
		return;
	BUG_ON(entries.n > MANIFEST_ENTRIES_MAX);
	index_entries_fini(&entries);
}

static void check_manifest(const struct document *doc)
{
	struct manifest m;
	struct diag d = DIAG_INIT;
	if (manifest_parse(doc, &m, &d))
		return;
	BUG_ON(m.n_layers > MANIFEST_LAYERS_MAX || m.config.size > DOCUMENT_MAX);
	for (size_t i = 0; i < m.n_layers; i++)
		BUG_ON(m.layers[i].desc.size > LAYER_SIZE_MAX ||
		       m.layers[i].desc.digest.alg == DIGEST_NONE);
	manifest_fini(&m);
}

/* The number of layers is part of the question: up to two. */
static void check_config(const struct document *doc)
{
	struct layer_desc layers[2] = {0};
	for (size_t n = 0; n <= ARRAY_LEN(layers); n++) {
		struct manifest m = {.layers = layers, .n_layers = n};
		struct image_config c;
		struct diag d = DIAG_INIT;
		if (config_parse(doc, &m, &c, &d))
			continue;
		for (size_t i = 0; i < n; i++)
			BUG_ON(layers[i].diff_id.alg == DIGEST_NONE);
		BUG_ON(!c.env || !c.entrypoint || !c.cmd || !c.exposed_ports || !c.volumes ||
		       !c.labels || !c.history);
		image_config_fini(&c);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	struct document doc = {0};
	struct platform p;
	BUG_ON(buf_append(&doc.bytes, data + 1, size - 1));
	check_one_kind(&doc);
	snprintf(doc.media_type, sizeof(doc.media_type), "%s",
		 media_types[data[0] % ARRAY_LEN(media_types)]);
	check_index(&doc);
	check_manifest(&doc);
	check_config(&doc);
	(void)!layout_file_check(buf_bytes(&doc.bytes), NULL);
	if (!buf_append(&doc.bytes, "", 1))
		(void)!platform_parse((const char *)doc.bytes.p, &p, NULL);
	document_fini(&doc);
	return 0;
}
