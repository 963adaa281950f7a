/*
 * imgfs index verify: a full pass. Every layer is streamed and indexed again; what comes out must
 * be the index that the store has, and the published one that would be used, compared in the
 * uncompressed form. The rebuilt layers are merged again too, so that both merged trees are checked
 * by the same measure. What was proven so is kept, if the store had nothing.
 */
#include "index/merge.h"
#include "index/wire.h"
#include "tools/cmd_index_priv.h"
#include "tools/format.h"
#include "tools/interrupt.h"
#include "tools/progress.h"

#include <string.h>

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
	const char *named; /* --index: a published index that has to be there; or NULL */
	bool published_lies;
};

static err_t fail_differs(struct diag *d, const char *whose, const struct digest *found,
			  const struct digest *right, const char *advice)
{
	char text_a[DIGEST_TEXT_MAX], text_b[DIGEST_TEXT_MAX];
	return fail(d, ERR_INTEGRITY, -EBADMSG, "%s index is %s, the layer gives %s; %s", whose,
		    digest_text(found, text_a), digest_text(right, text_b), advice);
}

/* 0 when both have the same uncompressed form. */
static err_t compare(const struct index *stored, const struct index *fresh, struct diag *d)
{
	struct digest a, b;
	err_t err = index_canonical_digest(stored, &a);
	if (!err)
		err = index_canonical_digest(fresh, &b);
	if (err)
		return fail_sys(d, ERR_OTHER, err, "can not compare");
	return digest_equal(&a, &b)
		       ? 0
		       : fail_differs(d, "the store's", &a, &b, "remove it from the store");
}

/* What was compared besides the digests of the layer itself. */
static const char *compared_with(bool stored, bool published)
{
	if (stored)
		return published ? " (and so is the published index)" : "";
	return published ? " (the published index; the store had none)"
			 : " (the store had no index)";
}

static void print_verdict(struct verify *v, const char *name, const char *what, err_t err,
			  const struct diag *d)
{
	progress_hold();
	if (err) {
		printf("%s: FAILED: %s\n", name, d->text);
		if (!v->failures++)
			v->first = *d;
	} else {
		printf("%s: proven%s\n", name, what);
	}
	fflush(stdout); /* the next layer may take minutes */
	progress_release();
}

/* Rebuild with the chunk size that the other index was built with, or the two could not agree. */
static err_t rebuild(struct verify *v, size_t layer, uint32_t chunk_target, struct rebuilt *out,
		     struct diag *d)
{
	v->image->options.chunk_target = chunk_target;
	err_t err = image_layer_rebuild(v->image, layer, &out->file, d);
	if (!err)
		err = index_open_bytes(buf_bytes(&out->file), &out->ix, d);
	return err;
}

static void rebuilt_fini(struct rebuilt *r)
{
	index_close(&r->ix);
	buf_fini(&r->file);
}

/* The form as a whole: it decodes, and gives just what its head says. */
static err_t check_form(struct verify *v, size_t layer, struct diag *d)
{
	const struct artifact *a = &v->image->artifact;
	const struct digest *blob = &v->image->manifest.layers[layer].desc.digest;
	auto_buf struct buf form = {0}, file = {0};
	size_t i = 0;
	while (i < a->n_layers && !digest_equal(&a->layers[i].layer, blob))
		i++;
	BUG_ON(i == a->n_layers); /* image_use_index has compared tree and artifact */
	struct index_layer_head at;
	err_t err = image_fetch_form(v->image, &a->layers[i], &form, d);
	if (err || !index_layer_head(v->image->tree, (uint32_t)layer, &at))
		return err;
	err = wire_layer_decode(buf_bytes(&form), &file, d);
	/* Readers go by the copy of the head that came with the tree. */
	if (!err && !bytes_equal(at.head, (struct bytes){form.p, at.head.n}))
		err = fail(d, ERR_INTEGRITY, -EBADMSG,
			   "the published tree has another head than the published index");
	if (err == -EBADMSG || err == -ENOTSUP)
		v->published_lies = true;
	return err;
}

/* The published index of a layer says by its head what the whole is. */
static err_t compare_head(struct verify *v, size_t layer, const struct wire_head *head,
			  struct diag *d)
{
	struct rebuilt own = {0};
	const struct index *fresh = v->layers[layer].ix;
	struct digest published = {.alg = DIGEST_SHA256}, right;
	err_t err = 0;
	if (index_info(fresh)->chunk_target != head->info.chunk_target) {
		err = rebuild(v, layer, head->info.chunk_target, &own, d);
		fresh = own.ix;
	}
	for (size_t i = 0; i < SHA256_LEN; i++)
		published.b[i] = head->canonical[i];
	if (!err)
		err = check_form(v, layer, d);
	if (!err && (err = index_canonical_digest(fresh, &right)))
		(void)fail_sys(d, ERR_OTHER, err, "can not compare");
	if (!err && !digest_equal(&published, &right)) {
		v->published_lies = true;
		err = fail_differs(d, "the published", &published, &right,
				   "it is rejected from now on");
	}
	rebuilt_fini(&own);
	return err;
}

/* The head of a layer's published index, or NULL. */
static struct wire_head *head_of(struct verify *v, size_t layer)
{
	struct index_layer_head at;
	struct wire_head *head = NULL;
	struct diag unused = DIAG_INIT;
	if (!v->image->tree || !index_layer_head(v->image->tree, (uint32_t)layer, &at) ||
	    wire_head_parse(at.head, &head, &unused))
		return NULL;
	return head;
}

/* A layer that was proven needs not be proven again. */
static void keep(struct verify *v, size_t layer, const struct wire_head *head)
{
	const struct digest *blob = &v->image->manifest.layers[layer].desc.digest;
	struct index_layer_head at;
	if (store_index_put(v->image->store, INDEX_LAYER, blob, buf_bytes(&v->layers[layer].file)))
		return;
	if (head && index_layer_head(v->image->tree, (uint32_t)layer, &at))
		store_form_adopt(v->image->store, &at.form, blob);
}

static err_t verify_indexes(struct verify *v, size_t layer, const struct index *stored,
			    const struct wire_head *head, struct diag *d)
{
	uint32_t target = stored ? index_info(stored)->chunk_target
			  : head ? head->info.chunk_target
				 : 0;
	err_t err = rebuild(v, layer, target, &v->layers[layer], d);
	if (!err && stored)
		err = compare(stored, v->layers[layer].ix, d);
	if (!err && head)
		err = compare_head(v, layer, head, d);
	if (!err && !stored)
		keep(v, layer, head);
	return err;
}

static void verify_layer(struct verify *v, size_t layer)
{
	struct diag d = DIAG_INIT;
	struct index *stored = NULL;
	char name[32 + DIGEST_TEXT_MAX], text[DIGEST_TEXT_MAX];
	bool has = index_layer_of_store(v->image, layer, &stored) == 0;
	struct wire_head *head = head_of(v, layer);
	err_t err = verify_indexes(v, layer, stored, head, &d);
	const char *what = compared_with(has, head != NULL);
	index_close(&stored);
	wire_head_free(&head);
	if (interrupt_signal())
		return;
	snprintf(name, sizeof(name), "layer %zu %s", layer,
		 digest_text(&v->image->manifest.layers[layer].desc.digest, text));
	print_verdict(v, name, what, err, &d);
}

static err_t judge_merged(struct verify *v, const struct index *stored, const struct index *fresh,
			  struct diag *d)
{
	err_t err = stored ? compare(stored, fresh, d) : 0;
	if (!err && v->image->tree && !index_same_tree(v->image->tree, fresh)) {
		v->published_lies = true;
		err = fail(d, ERR_INTEGRITY, -EBADMSG,
			   "the published tree is not what the layers give; it is rejected from "
			   "now on");
	}
	return err;
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
	if (!err)
		err = judge_merged(v, stored, fresh, d);
	/* As for layers: the next mount need not merge. Without room it does. */
	if (!err && !stored &&
	    store_index_put(v->image->store, INDEX_IMAGE, &index_info(fresh)->image_key,
			    buf_bytes(&file)))
		fprintf(stderr, "imgfs index verify: the merged tree could not be kept\n");
	index_close(&fresh);
	return err;
}

static void verify_merged(struct verify *v)
{
	struct diag d = DIAG_INIT;
	struct index *stored = NULL;
	err_t absent = index_image_of_store(v->image, &stored);
	err_t err = compare_merged(v, absent ? NULL : stored, &d);
	index_close(&stored);
	print_verdict(v, "image", compared_with(!absent, v->image->tree != NULL), err, &d);
}

/* The published index that would be used, or was asked for, is part of what is verified. */
static void judge_published(struct verify *v)
{
	struct image *image = v->image;
	struct diag d = DIAG_INIT;
	char text[DIGEST_TEXT_MAX];
	const struct digest chosen = image->published ? image->artifact_digest : image->untrusted;
	bool wanted = image->published;
	if (wanted && image_use_index(image, &d))
		return; /* interrupted */
	if (wanted && !image->published)
		(void)fail(&d, ERR_INTEGRITY, -EBADMSG,
			   "the published index %s can not be used (the log says why)",
			   digest_text(&chosen, text));
	else if (!wanted && v->named)
		(void)fail(&d, ERR_NOT_FOUND, -ENOENT,
			   "the published index %s is not there, or is not this image's", v->named);
	else
		return;
	print_verdict(v, "published index", "", -EBADMSG, &d);
}

static int verify_image(const struct command *self, struct image *image, const char *named)
{
	struct verify v = {.image = image, .named = named};
	size_t n = image->manifest.n_layers;
	v.layers = xcalloc(n + 1, sizeof(*v.layers));
	image->options.progress = progress_begin(self, "layer");
	for (size_t i = 0; i < n; i++)
		progress_expect(image->options.progress, i, image->manifest.layers[i].desc.size);
	interrupt_watch(image->source);
	judge_published(&v);
	unsigned unusable = v.failures;
	for (size_t i = 0; i < n && !interrupt_signal(); i++)
		verify_layer(&v, i);
	interrupt_unwatch();
	progress_end();
	image->options.progress = NULL;
	if (!interrupt_signal() && v.failures <= unusable)
		verify_merged(&v);
	if (v.published_lies)
		image_reject_index(image);
	for (size_t i = 0; i < n; i++)
		rebuilt_fini(&v.layers[i]);
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
	struct image_options options = image_options_of(&common);
	options.find_always = true;
	status = cli_open_image_with(self, &common, &options, reference, false, &ci);
	if (status)
		return status;
	const char *index = ci.in_force.index;
	status = verify_image(self, ci.image, index && strcmp(index, "none") ? index : NULL);
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
		"of the store, and with the published one that 'imgfs mount' would use; then the\n"
		"merged tree in the same way. What is proven so is kept. FILE, an operand that\n"
		"begins with '/' or '.' or that is a file: every invariant of index/FORMAT.md is\n"
		"checked. A mismatch gives exit code 6.",
	.examples = "imgfs index verify docker.io/library/python:3.12\n"
		    "# a published index, before it is trusted\n"
		    "imgfs index verify --trust-index any registry.example.com/app:1",
	.run = run,
};
