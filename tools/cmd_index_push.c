/*
 * imgfs index push: build what is missing, then publish the indexes beside the image.
 */
#include "fetch/image_publish.h"
#include "tools/cmd_index_priv.h"

#include <string.h>

struct push {
	const struct command *self;
	struct common_options common;
	struct option_texts bases;
	const char *key_file;
	uint64_t small_layer;
	uint64_t chunk_size;
};

/*
 * Layers that other images have published need not be streamed. What is signed here must have been
 * signed by a trusted key; and a manifest's word for its index counts only where the user has named
 * that manifest by its digest.
 */
static int borrow_from(struct push *p, struct image *image, const char *reference)
{
	struct image_options options = image_options_of(&p->common);
	struct diag d = DIAG_INIT;
	struct cli_image base;
	size_t taken = 0;
	options.find_always = true;
	options.ignore_named = strstr(reference, "@sha") == NULL;
	int status = cli_open_image_with(p->self, &p->common, &options, reference, false, &base);
	if (status)
		return status;
	enum trust_state least = p->key_file ? TRUST_SIGNED : TRUST_HINT;
	err_t err = image_borrow(image, base.image, least, &taken, &d);
	if (err) {
		diag_prepend(&d, "--base %s", reference);
		/* Without it the layers are streamed, which takes longer and is right. */
		if (err != -ENOENT && err != -EACCES)
			status = cli_fail(p->self, &d);
		else
			fprintf(stderr, "imgfs %s: %s\n", p->self->name, d.text);
	} else {
		fprintf(stderr, "imgfs %s: %zu layer%s taken from %s (%s)\n", p->self->name, taken,
			taken == 1 ? "" : "s", reference, trust_state_name(base.image->trusted));
	}
	cli_close_image(&base);
	return status;
}

static int borrow(struct push *p, struct image *image)
{
	int status = 0;
	for (size_t i = 0; i < p->bases.n && !status; i++)
		status = borrow_from(p, image, p->bases.texts[i]);
	return status;
}

static int push_image(struct push *p, const char *reference, const struct signing_key *key)
{
	struct cli_image ci;
	struct image_options options = image_options_of(&p->common);
	options.find_index = options.lazy_layers = false;
	options.chunk_target = (uint32_t)p->chunk_size;
	int status = cli_open_image_with(p->self, &p->common, &options, reference, false, &ci);
	if (status)
		return status;
	status = borrow(p, ci.image);
	size_t taken = 0;
	if (!status) {
		options = image_options_of(&ci.in_force);
		image_borrow_around(ci.image, &options, &taken);
	}
	if (!status)
		status = cli_prepare_image(p->self, &ci);
	if (!status)
		status = index_publish(p->self, ci.image, NULL, key, p->small_layer);
	cli_close_image(&ci);
	return status;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct push p = {.self = self,
			 .chunk_size = CHUNK_TARGET_DEFAULT,
			 .small_layer = SMALL_LAYER_DEFAULT};
	struct diag d = DIAG_INIT;
	struct signing_key *key = NULL;
	const char *reference;
	const struct option_row rows[] = {
		{0, "sign-key", OPT_STRING, &p.key_file, "FILE",
		 "sign with this private key, Ed25519 or P-256, PEM"},
		{0, "base", OPT_EACH, &p.bases, "REF",
		 "take layers from the published index of this image, if it is trusted"},
		{0, "min-layer-size", OPT_NUMBER, &p.small_layer, "BYTES",
		 "smaller layers are not published: readers fetch them whole (1M; 0: none)"},
		{0, "chunk-size", OPT_NUMBER, &p.chunk_size, "BYTES",
		 "for indexes that have to be built: see 'imgfs index build --help' (256K)"},
		{0},
	};
	int status = cli_one_reference(self, argc, argv, rows, &p.common, false, &reference);
	if (status)
		return status;
	if (p.common.offline && strncmp(reference, "oci:", 4))
		return cli_usage_error(self, "--offline leaves no registry to write to");
	if (p.chunk_size < CHUNK_TARGET_MIN || p.chunk_size > CHUNK_STREAM_MAX)
		return cli_usage_error(self, "--chunk-size takes 16K to 1M");
	if (p.key_file && signing_key_load(p.key_file, &key, &d)) {
		diag_prepend(&d, "--sign-key");
		return cli_fail(self, &d);
	}
	status = push_image(&p, reference, key);
	signing_key_free(&key);
	return status;
}

const struct command index_push = {
	.name = "index push",
	.synopsis = "[--sign-key FILE] [--base REF]... REF",
	.summary = "Publish the indexes of an image beside it",
	.details =
		"Layers that the store has no index of are streamed once and indexed, as by "
		"'imgfs\n"
		"index build'; not those that another image has published, signed by a key that "
		"is\n"
		"trusted (--trust-key, --trust-file): one named by --base or by the image's base\n"
		"annotation, or another tag of the repository. Then one artifact that refers to "
		"the\n"
		"image is written to its repository (or layout); the image stays as it is. Others\n"
		"use it when they trust it: see 'imgfs mount --help', --trust-key, --index and\n"
		"--trust-index.",
	.examples = "imgfs index push --sign-key publish.key registry.example.com/app:2\n"
		    "# what the release before has published need not be read again\n"
		    "imgfs index push --sign-key publish.key --trust-key publish.pem \\\n"
		    "    --base registry.example.com/app:1 registry.example.com/app:2",
	.run = run,
};
