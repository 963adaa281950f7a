/*
 * imgfs index build: what a mount would do first, on its own, with the sizes that came out of it.
 */
#include "tools/cmd_index_priv.h"
#include "fetch/layout.h"
#include "tools/format.h"

#include <string.h>
#include <unistd.h>

static void print_row(const char *number, const struct digest *digest, uint64_t blob,
		      const struct index *ix, const char *state)
{
	char name[DIGEST_TEXT_MAX], blob_size[FORMAT_TEXT_MAX] = "-";
	char index_size[FORMAT_TEXT_MAX], percent[FORMAT_TEXT_MAX];
	if (blob)
		format_size(blob, blob_size);
	printf("%-5s  %s  %10s  %10s  %8s  %s\n", number, digest_text(digest, name), blob_size,
	       format_size(index_file_size(ix), index_size),
	       format_percent(index_file_size(ix), blob, percent), state);
}

static void print_layers(const struct image *image, const bool *had)
{
	printf("%-5s  %-71s  %10s  %10s  %8s  %s\n", "LAYER", "DIGEST", "BLOB", "INDEX", "PERCENT",
	       "STATE");
	for (size_t i = 0; i < image->manifest.n_layers; i++) {
		const struct descriptor *desc = &image->manifest.layers[i].desc;
		char number[24];
		snprintf(number, sizeof(number), "%zu", i);
		print_row(number, &desc->digest, desc->size, image->layers[i],
			  had[i] ? "present" : "built");
	}
	print_row("image", &index_info(image->tree)->image_key, 0, image->tree, "merged");
}

/* A layout keeps its indexes itself; a registry is written to by `index push` alone. */
static bool wants_output(const struct image *image, const char *output)
{
	if (output)
		return strcmp(output, "none") != 0;
	if (image->ref.kind != REF_OCI_LAYOUT)
		return false;
	if (access(image->ref.dir, W_OK) == 0)
		return true;
	fprintf(stderr, "imgfs index build: oci:%s can not be written to: not published there\n",
		image->ref.dir);
	return false;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct cli_image ci;
	struct diag d = DIAG_INIT;
	const char *reference, *output = NULL, *key_file = NULL;
	struct signing_key *key = NULL;
	uint64_t chunk_size = CHUNK_TARGET_DEFAULT;
	const struct option_row rows[] = {
		{0, "chunk-size", OPT_NUMBER, &chunk_size, "BYTES",
		 "what a chunk aims at, 16K to 1M: finer fetches less, coarser indexes are smaller "
		 "(256K)"},
		{0, "output", OPT_STRING, &output, "oci:DIR|none",
		 "publish into this layout (default: for oci:DIR that layout)"},
		{0, "sign-key", OPT_STRING, &key_file, "FILE",
		 "sign what is published: see 'imgfs index push --help'"},
		{0},
	};
	int status = cli_one_reference(self, argc, argv, rows, &common, false, &reference);
	if (status)
		return status;
	if (chunk_size < CHUNK_TARGET_MIN || chunk_size > CHUNK_STREAM_MAX)
		return cli_usage_error(self, "--chunk-size takes 16K to 1M");
	bool into_layout = output ? strcmp(output, "none") != 0 : !strncmp(reference, "oci:", 4);
	if (output && into_layout && strncmp(output, "oci:", 4))
		return cli_usage_error(self, "--output takes oci:DIR or 'none', not '%s'", output);
	if (key_file && !into_layout)
		return cli_usage_error(self, "--sign-key needs --output oci:DIR: nothing is "
					     "published otherwise (see 'imgfs index push')");
	if (output && into_layout && layout_create(output + 4, &d)) {
		diag_prepend(&d, "--output");
		return cli_fail(self, &d);
	}
	if (key_file && signing_key_load(key_file, &key, &d)) {
		diag_prepend(&d, "--sign-key");
		return cli_fail(self, &d);
	}
	struct image_options options = image_options_of(&common);
	options.find_index = options.lazy_layers = false;
	options.chunk_target = (uint32_t)chunk_size;
	status = cli_open_image_with(self, &common, &options, reference, false, &ci);
	if (status) {
		signing_key_free(&key);
		return status;
	}
	auto_free bool *had = xcalloc(ci.image->manifest.n_layers + 1, sizeof(*had));
	for (size_t i = 0; i < ci.image->manifest.n_layers; i++)
		had[i] = image_layer_indexed(ci.image, i);
	status = cli_prepare_image(self, &ci);
	if (!status)
		print_layers(ci.image, had);
	if (!status && wants_output(ci.image, output))
		status = index_publish(self, ci.image, output, key, SMALL_LAYER_DEFAULT);
	signing_key_free(&key);
	cli_close_image(&ci);
	return status;
}

const struct command index_build = {
	.name = "index build",
	.synopsis = "[--output oci:DIR] REF",
	.summary = "Build the indexes of an image that the store has not",
	.details =
		"Each missing layer is streamed once; its digest and its DiffID are checked on "
		"the\n"
		"way. The percentage is that of the index in its blob.\n\n"
		"For an image in a layout (oci:DIR) the indexes are published there, too, as "
		"'imgfs\n"
		"index push' does it in a registry: one artifact that refers to the image, which\n"
		"stays as it is. Tools that want a layout with one image only (skopeo without a\n"
		"name) then want the image named, oci:DIR:NAME; '--output none' leaves the layout\n"
		"alone. --output oci:DIR keeps the artifact of any image in a layout, to be "
		"copied\n"
		"beside the image later.",
	.examples = "imgfs index build docker.io/library/python:3.12\n"
		    "# of a layout, and into it\n"
		    "imgfs index build oci:/srv/images/app:1\n"
		    "# to be copied beside the image later\n"
		    "imgfs index build --output oci:app-index example.com/app:1",
	.run = run,
};
