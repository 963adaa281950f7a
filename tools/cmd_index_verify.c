/*
 * imgfs index verify: a full pass. Every layer is streamed and indexed again; what comes out must
 * be the index that the store has, compared in the uncompressed form. The rebuilt layers are merged
 * again too, so that the merged tree is checked by the same measure.
 */
#include "index/merge.h"
#include "tools/cmd_index_priv.h"
#include "tools/format.h"
#include "tools/interrupt.h"

/* One layer's index as it was rebuilt. */
struct rebuilt {
	struct buf file;
	struct index *ix;
};

struct verify {
	struct image *image;
	struct rebuilt *layers;
	struct diag first; /* the first failure: it decides the exit status */
	unsigned failures;
};

/* 0 when both have the same uncompressed form. */
static err_t compare(const struct index *stored, const struct index *fresh, struct diag *d)
{
	struct digest a, b;
	char text_a[DIGEST_TEXT_MAX], text_b[DIGEST_TEXT_MAX];
	err_t err = index_canonical_digest(stored, &a);
	if (!err)
		err = index_canonical_digest(fresh, &b);
	if (err)
		return fail_sys(d, ERR_OTHER, err, "can not compare");
	if (digest_equal(&a, &b))
		return 0;
	return fail(d, ERR_INTEGRITY, -EBADMSG,
		    "the store's index is %s, the layer gives %s; remove it from the store",
		    digest_text(&a, text_a), digest_text(&b, text_b));
}

static void print_verdict(struct verify *v, const char *name, bool stored, err_t err,
			  const struct diag *d)
{
	if (err) {
		printf("%s: FAILED: %s\n", name, d->text);
		if (!v->failures++)
			v->first = *d;
	} else {
		printf("%s: proven%s\n", name, stored ? "" : " (the store had no index)");
	}
	fflush(stdout); /* the next layer may take minutes */
}

/* Rebuild with the chunk size that the stored index was built with, or the two could not agree. */
static err_t rebuild(struct verify *v, size_t layer, const struct index *stored, struct diag *d)
{
	struct rebuilt *out = &v->layers[layer];
	if (stored)
		v->image->options.chunk_target = index_info(stored)->chunk_target;
	err_t err = image_layer_rebuild(v->image, layer, &out->file, d);
	if (!err)
		err = index_open_bytes(buf_bytes(&out->file), &out->ix, d);
	return err;
}

static void verify_layer(struct verify *v, size_t layer)
{
	struct diag d = DIAG_INIT;
	struct index *stored = NULL;
	char name[32 + DIGEST_TEXT_MAX], text[DIGEST_TEXT_MAX];
	err_t absent = index_layer_of_store(v->image, layer, &stored);
	err_t err = rebuild(v, layer, stored, &d);
	if (!err && !absent)
		err = compare(stored, v->layers[layer].ix, &d);
	if (stored)
		index_close(&stored);
	if (interrupt_signal())
		return;
	snprintf(name, sizeof(name), "layer %zu %s", layer,
		 digest_text(&v->image->manifest.layers[layer].desc.digest, text));
	print_verdict(v, name, !absent, err, &d);
}

static err_t compare_merged(struct verify *v, const struct index *stored, struct diag *d)
{
	size_t n = v->image->manifest.n_layers;
	auto_free const struct index **layers = xcalloc(n + 1, sizeof(struct index *));
	auto_buf struct buf file = {0};
	struct index *fresh = NULL;
	for (size_t i = 0; i < n; i++)
		layers[i] = v->layers[i].ix;
	err_t err = merge_layers(layers, n, &file, d);
	if (!err)
		err = index_open_bytes(buf_bytes(&file), &fresh, d);
	if (!err && stored)
		err = compare(stored, fresh, d);
	if (fresh)
		index_close(&fresh);
	return err;
}

static void verify_merged(struct verify *v)
{
	struct diag d = DIAG_INIT;
	struct index *stored = NULL;
	err_t absent = index_image_of_store(v->image, &stored);
	err_t err = compare_merged(v, absent ? NULL : stored, &d);
	if (stored)
		index_close(&stored);
	print_verdict(v, "image", !absent, err, &d);
}

static int verify_image(const struct command *self, struct image *image)
{
	struct verify v = {.image = image};
	size_t n = image->manifest.n_layers;
	v.layers = xcalloc(n + 1, sizeof(*v.layers));
	interrupt_watch(image->source);
	for (size_t i = 0; i < n && !interrupt_signal(); i++)
		verify_layer(&v, i);
	interrupt_unwatch();
	if (!interrupt_signal() && !v.failures)
		verify_merged(&v);
	for (size_t i = 0; i < n; i++) {
		if (v.layers[i].ix)
			index_close(&v.layers[i].ix);
		buf_fini(&v.layers[i].file);
	}
	free(v.layers);
	if (interrupt_signal()) {
		fprintf(stderr, "imgfs %s: interrupted\n", self->name);
		return 128 + interrupt_signal();
	}
	return v.failures ? cli_fail(self, &v.first) : 0;
}

static int verify_file(const struct command *self, const char *path)
{
	struct diag d = DIAG_INIT;
	struct index *ix;
	struct digest canonical;
	char text[DIGEST_TEXT_MAX];
	int status = index_open_file(self, path, &ix);
	if (status)
		return status;
	err_t err = index_canonical_digest(ix, &canonical);
	if (err) {
		(void)fail_sys(&d, err == -EBADMSG ? ERR_INTEGRITY : ERR_OTHER, err, "%s", path);
		status = cli_fail(self, &d);
	} else {
		format_name(stdout, BYTES_STR(path));
		printf(": valid %s index, canonical digest %s\n",
		       index_info(ix)->kind == INDEX_LAYER ? "layer" : "image",
		       digest_text(&canonical, text));
	}
	index_close(&ix);
	return status;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct cli_image ci;
	const char *reference;
	int status = cli_one_reference(self, argc, argv, NULL, &common, true, &reference);
	if (status)
		return status;
	if (index_operand_is_file(reference))
		return verify_file(self, reference);
	status = cli_open_image(self, &common, reference, false, &ci);
	if (status)
		return status;
	status = verify_image(self, ci.image);
	cli_close_image(&ci);
	return status;
}

const struct command index_verify = {
	.name = "index verify",
	.synopsis = "REF | FILE",
	.summary = "Prove the indexes of an image by a full pass over its layers",
	.details =
		"REF: every layer is read once more (from the kept blob, else from its source), "
		"its\n"
		"digest and DiffID are checked, and its index is built again and compared with "
		"that\n"
		"of the store; then the merged tree in the same way. FILE, an operand that begins\n"
		"with '/' or '.' or that is a file: every invariant of index/FORMAT.md is "
		"checked.\n"
		"A mismatch gives exit code 6.",
	.run = run,
};
