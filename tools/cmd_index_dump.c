/*
 * imgfs index dump: any index as text (index/FORMAT.md, "Text form").
 */
#include "index/dump.h"
#include "tools/cmd_index_priv.h"

#include <string.h>

static int dump(const struct command *self, const struct index *ix)
{
	struct diag d = DIAG_INIT;
	err_t err = index_dump(ix, stdout);
	if (!err || err == -EIO) /* a failed stream is reported when it is flushed */
		return 0;
	(void)fail_sys(&d, err == -EBADMSG ? ERR_INTEGRITY : ERR_OTHER, err, "the index");
	return cli_fail(self, &d);
}

static int dump_file(const struct command *self, const char *path)
{
	struct index *ix;
	int status = index_open_file(self, path, &ix);
	if (status)
		return status;
	status = dump(self, ix);
	index_close(&ix);
	return status;
}

/* The layer that a number or a digest names; false when there is none. */
static bool find_layer(const struct image *image, const char *wanted, size_t *out)
{
	for (size_t i = 0; i < image->manifest.n_layers; i++) {
		char number[24], digest[DIGEST_TEXT_MAX];
		snprintf(number, sizeof(number), "%zu", i);
		digest_text(&image->manifest.layers[i].desc.digest, digest);
		if (strcmp(wanted, number) && strcmp(wanted, digest) &&
		    strcmp(wanted, strchr(digest, ':') + 1))
			continue;
		*out = i;
		return true;
	}
	return false;
}

/* A layer whose index is in the store needs no other layer. */
static int dump_layer(const struct command *self, struct cli_image *ci, const char *wanted)
{
	struct diag d = DIAG_INIT;
	struct index *ix = NULL;
	size_t layer;
	if (!find_layer(ci->image, wanted, &layer)) {
		(void)fail(&d, ERR_NOT_FOUND, -ENOENT,
			   "no layer %s in the image; it has %zu, numbered from 0", wanted,
			   ci->image->manifest.n_layers);
		return cli_fail(self, &d);
	}
	err_t err = index_layer_of_store(ci->image, layer, &ix);
	int status = 0;
	if (!err) {
		status = dump(self, ix);
		index_close(&ix);
		return status;
	}
	status = cli_prepare_image(self, ci);
	return status ? status : dump(self, ci->image->layers[layer]);
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct cli_image ci;
	const char *reference;
	const char *layer = NULL;
	bool merged = false;
	const struct option_row rows[] = {
		{0, "layer", OPT_STRING, &layer, "N|DIGEST",
		 "the index of one layer, numbered from 0, the lowest"},
		{0, "merged", OPT_FLAG, &merged, NULL, "the merged tree of the image (default)"},
		{0},
	};
	int status = cli_one_reference(self, argc, argv, rows, &common, true, &reference);
	if (status)
		return status;
	if (merged && layer)
		return cli_usage_error(self, "--layer and --merged exclude each other");
	if (index_operand_is_file(reference)) {
		if (layer || merged)
			return cli_usage_error(self, "a file is dumped as a whole");
		return dump_file(self, reference);
	}
	status = cli_open_image(self, &common, reference, !layer, &ci);
	if (status)
		return status;
	status = layer ? dump_layer(self, &ci, layer) : dump(self, ci.image->tree);
	cli_close_image(&ci);
	return status;
}

const struct command index_dump_command = {
	.name = "index dump",
	.synopsis = "[--merged | --layer N|DIGEST] REF | FILE",
	.summary = "Print an index as text, one line an entry",
	.details = "An operand that begins with '/' or '.', or that is a file, is read as an index "
		   "file.\n"
		   "Indexes that the store has not are built first.",
	.examples = "imgfs index dump docker.io/library/alpine\n"
		    "# the lowest layer\n"
		    "imgfs index dump --layer 0 docker.io/library/alpine",
	.run = run,
};
