/*
 * imgfs store ls: the images that the store has something of.
 */
#include "tools/cmd_store_priv.h"
#include "tools/format.h"
#include "tools/json_out.h"

#include <inttypes.h>
#include <string.h>

#define SHORT_DIGEST 19 /* "sha256:" and twelve digits: what tells images apart */

static const char *state_of(const struct catalog_image *image)
{
	return image->complete ? "complete" : "partial";
}

static void print_name(const char *name, size_t width)
{
	size_t n = strlen(name);
	format_name(stdout, BYTES_STR(name));
	printf("%*s", n < width ? (int)(width - n) : 0, "");
}

static const char *layer_state(const struct catalog_layer *layer)
{
	if (layer->whole)
		return "whole";
	const struct catalog_item *own = layer->own, *form = layer->published;
	if ((own && own->n_stored) || (form && form->n_stored))
		return "part";
	return (own && own->has_index) || form ? "index" : "absent";
}

static uint64_t layer_disk(const struct catalog_layer *layer)
{
	return (layer->own ? layer->own->disk : 0) +
	       (layer->published ? layer->published->disk : 0);
}

static void print_layers(const struct catalog_image *image)
{
	char digest[DIGEST_TEXT_MAX], size[FORMAT_TEXT_MAX], disk[FORMAT_TEXT_MAX];
	for (size_t i = 0; i < image->n_layers; i++) {
		const struct catalog_layer *layer = &image->layers[i];
		printf("  %3zu  %s  %10s  %10s  %s\n", i, digest_text(&layer->digest, digest),
		       format_size(layer->size, size), format_size(layer_disk(layer), disk),
		       layer_state(layer));
	}
}

static void print_image(const struct catalog_image *image, size_t width, bool layers)
{
	char digest[DIGEST_TEXT_MAX], size[FORMAT_TEXT_MAX], used[FORMAT_TEXT_MAX];
	for (size_t i = 0; i < max_of(image->n_names, (size_t)1); i++) {
		print_name(image->n_names ? image->names[i] : "-", width);
		printf("  %.*s  %10s  %-8s  %s%s\n", SHORT_DIGEST,
		       digest_text(&image->digest, digest), format_size(image->disk, size),
		       state_of(image), format_minute(image->used, used),
		       image->in_use ? "  in use" : "");
	}
	if (layers)
		print_layers(image);
}

static void print_text(const struct catalog *c, bool layers)
{
	size_t width = strlen("IMAGE");
	for (size_t i = 0; i < c->n_images; i++)
		for (size_t k = 0; k < c->images[i].n_names; k++)
			width = max_of(width, strlen(c->images[i].names[k]));
	if (c->n_images)
		printf("%-*s  %-*s  %10s  %-8s  %s\n", (int)width, "IMAGE", SHORT_DIGEST, "DIGEST",
		       "ON DISK", "STATE", "LAST USED (UTC)");
	for (size_t i = 0; i < c->n_images; i++)
		print_image(&c->images[i], width, layers);
}

static void json_layers(struct json_out *j, const struct catalog_image *image)
{
	char digest[DIGEST_TEXT_MAX];
	json_put_array(j, "layers");
	for (size_t i = 0; i < image->n_layers; i++) {
		const struct catalog_layer *layer = &image->layers[i];
		json_put_object(j, NULL);
		json_put_number(j, "number", i);
		json_put_text(j, "digest", digest_text(&layer->digest, digest));
		json_put_number(j, "size", layer->size);
		json_put_number(j, "disk", layer_disk(layer));
		json_put_text(j, "state", layer_state(layer));
		json_put_end(j);
	}
	json_put_end(j);
}

static void json_image(struct json_out *j, const struct catalog_image *image)
{
	char digest[DIGEST_TEXT_MAX];
	json_put_object(j, NULL);
	json_put_array(j, "names");
	for (size_t i = 0; i < image->n_names; i++)
		json_put_text(j, NULL, image->names[i]);
	json_put_end(j);
	json_put_text(j, "digest", digest_text(&image->digest, digest));
	json_put_number(j, "disk", image->disk);
	json_put_bool(j, "complete", image->complete);
	json_put_bool(j, "in_use", image->in_use);
	json_put_signed(j, "last_used", image->used);
	json_layers(j, image);
	json_put_end(j);
}

static void print_json(const struct catalog *c)
{
	struct json_out json;
	json_out_start(&json, stdout, 4);
	json_put_object(&json, NULL);
	json_put_array(&json, "images");
	for (size_t i = 0; i < c->n_images; i++)
		json_image(&json, &c->images[i]);
	json_put_end(&json);
	json_put_end(&json);
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct diag d = DIAG_INIT;
	struct store *store = NULL;
	struct catalog catalog = {0};
	bool layers = false;
	char **operands;
	const struct option_row rows[] = {
		{'l', "layers", OPT_FLAG, &layers, NULL, "the layers of each image, too"},
		{0, "json", OPT_FLAG, &common.json, NULL, "one object (tools/JSON.md)"},
		{0},
	};
	if (cli_parse(self, argc, argv, rows, &common, &operands))
		return cli_usage_error(self, "no operand is expected, but '%s' came", operands[0]);
	int status = cli_open_store(self, &common, &store);
	if (!status && store && catalog_load(store, &catalog, &d))
		status = cli_fail(self, &d);
	if (!status && common.json)
		print_json(&catalog);
	else if (!status)
		print_text(&catalog, layers);
	catalog_fini(&catalog);
	if (store)
		store_close(&store);
	return status;
}

const struct command store_ls_command = {
	.name = "store ls",
	.synopsis = "[-l] [--json]",
	.summary = "List the images that the store has something of",
	.details =
		"ON DISK is what the layers, their indexes and the merged tree take; layers\n"
		"that images share are counted for each. 'complete' images need no registry any\n"
		"more (--offline). An image without a name is one whose tag has moved on;\n"
		"'imgfs store gc' removes it. -l: for each layer its size, what of it is on\n"
		"disk, and whether that is the whole, a part, the index alone, or nothing.",
	.examples = "imgfs store ls\n"
		    "imgfs store ls --json | jq -r '.images[] | select(.complete) | .names[]'",
	.run = run,
};
