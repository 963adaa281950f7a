/*
 * imgfs store ls: the images that the store has something of.
 */
#include "tools/cmd_store_priv.h"
#include "tools/format.h"
#include "tools/json_out.h"
#include "tools/mount_text.h"
#include "tools/terminal.h"
#include "tools/text.h"

#include <string.h>
#include <unistd.h>

#define SHORT_DIGEST 19 /* "sha256:" and twelve digits: what tells images apart */
#define WHOLE_DIGEST 71 /* of sha256 */
#define SIZE_COLUMN  10
#define STATE_COLUMN 8
#define USED_COLUMN  16
#define IN_USE	     "  in use" /* behind the time of use */
#define GAP	     2
#define IMAGE_MIN    16 /* columns of a name */
#define LAYER_WIDTH  39 /* of a layer's line but the digest */

static const char *state_of(const struct catalog_image *image)
{
	return image->complete ? "complete" : "partial";
}

/* ---- what fits ---- */

enum column { COLUMN_DIGEST, COLUMN_SIZE, COLUMN_STATE, COLUMN_USED, N_COLUMNS };

struct layout {
	bool shown[N_COLUMNS];
	bool whole_digests; /* of layers */
	bool layer_digests; /* any */
	size_t image_width;
};

/* The digest behind @ is as long as that of its column. The caller frees. */
static char *short_name(const char *name)
{
	const char *at = strrchr(name, '@');
	size_t n = at ? min_of((size_t)(at + 1 - name) + SHORT_DIGEST, strlen(name)) : strlen(name);
	return xstrndup(name, n);
}

static size_t widest_name(const struct catalog *c)
{
	size_t width = strlen("IMAGE");
	for (size_t i = 0; i < c->n_images; i++)
		for (size_t k = 0; k < c->images[i].n_names; k++) {
			auto_free char *name = short_name(c->images[i].names[k]);
			width = max_of(width, text_width(BYTES_STR(name)));
		}
	return width;
}

static bool any_in_use(const struct catalog *c)
{
	for (size_t i = 0; i < c->n_images; i++)
		if (c->images[i].in_use)
			return true;
	return false;
}

/* On a terminal, columns go one after the other until a part of the name can be seen. */
static struct layout lay_out(const struct catalog *c, size_t window)
{
	static const enum column least_worth_first[] = {COLUMN_USED, COLUMN_DIGEST, COLUMN_STATE,
							COLUMN_SIZE};
	const size_t widths[N_COLUMNS] = {SHORT_DIGEST, SIZE_COLUMN, STATE_COLUMN,
					  USED_COLUMN + (any_in_use(c) ? strlen(IN_USE) : 0)};
	struct layout l = {.shown = {true, true, true, true},
			   .whole_digests = !window || window >= LAYER_WIDTH + WHOLE_DIGEST,
			   .layer_digests = !window || window >= LAYER_WIDTH + SHORT_DIGEST,
			   .image_width = widest_name(c)};
	size_t others = 0, least = min_of(l.image_width, (size_t)IMAGE_MIN);
	for (size_t i = 0; i < N_COLUMNS; i++)
		others += GAP + widths[i];
	for (size_t i = 0; window && i < N_COLUMNS && least + others > window; i++) {
		l.shown[least_worth_first[i]] = false;
		others -= GAP + widths[least_worth_first[i]];
	}
	if (window && l.image_width + others > window)
		l.image_width = window > others ? window - others : 1;
	return l;
}

/* ---- text ---- */

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

static void print_layers(const struct catalog_image *image, const struct layout *l)
{
	char digest[DIGEST_TEXT_MAX], size[FORMAT_TEXT_MAX], disk[FORMAT_TEXT_MAX];
	for (size_t i = 0; i < image->n_layers; i++) {
		const struct catalog_layer *layer = &image->layers[i];
		printf("  %3zu", i);
		if (l->layer_digests)
			printf("  %.*s", l->whole_digests ? DIGEST_TEXT_MAX : SHORT_DIGEST,
			       digest_text(&layer->digest, digest));
		printf("  %10s  %10s  %s\n", format_size(layer->size, size),
		       format_size(layer_disk(layer), disk), layer_state(layer));
	}
}

static void print_row(const struct catalog_image *image, const char *name, const struct layout *l)
{
	const struct mount_view out = {.out = stdout};
	char digest[DIGEST_TEXT_MAX], size[FORMAT_TEXT_MAX], used[FORMAT_TEXT_MAX];
	auto_free char *shown = short_name(name);
	mount_text_tail(&out, BYTES_STR(shown), l->image_width, true);
	if (l->shown[COLUMN_DIGEST])
		printf("  %.*s", SHORT_DIGEST, digest_text(&image->digest, digest));
	if (l->shown[COLUMN_SIZE])
		printf("  %*s", SIZE_COLUMN, format_size(image->disk, size));
	if (l->shown[COLUMN_STATE])
		printf("  %-*s", STATE_COLUMN, state_of(image));
	if (l->shown[COLUMN_USED])
		printf("  %s%s", format_minute(image->used, used), image->in_use ? IN_USE : "");
	putchar('\n');
}

static void print_head(const struct layout *l)
{
	printf("%-*.*s", (int)l->image_width, (int)l->image_width, "IMAGE");
	if (l->shown[COLUMN_DIGEST])
		printf("  %-*s", SHORT_DIGEST, "DIGEST");
	if (l->shown[COLUMN_SIZE])
		printf("  %*s", SIZE_COLUMN, "ON DISK");
	if (l->shown[COLUMN_STATE])
		printf("  %-*s", STATE_COLUMN, "STATE");
	if (l->shown[COLUMN_USED])
		fputs("  LAST USED (UTC)", stdout);
	putchar('\n');
}

static void print_text(const struct catalog *c, bool layers)
{
	bool terminal = terminal_is(STDOUT_FILENO);
	struct layout l = lay_out(c, terminal ? terminal_width(STDOUT_FILENO) : 0);
	/* Scripts get an empty table; people a word. */
	if (!c->n_images && terminal)
		puts("The store is empty.");
	if (c->n_images)
		print_head(&l);
	for (size_t i = 0; i < c->n_images; i++) {
		const struct catalog_image *image = &c->images[i];
		for (size_t k = 0; k < max_of(image->n_names, (size_t)1); k++)
			print_row(image, image->n_names ? image->names[k] : "-", &l);
		if (layers)
			print_layers(image, &l);
	}
}

/* ---- JSON ---- */

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
		{0, "json", OPT_FLAG, &common.json, NULL, "one object (JSON.md)"},
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
		"disk, and whether that is the whole, a part, the index alone, or nothing. Digests "
		"are\n"
		"shortened (--json has all of them), on a narrow terminal columns are left out.",
	.examples = "imgfs store ls\n"
		    "imgfs store ls --json | jq -r '.images[] | select(.complete) | .names[]'",
	.run = run,
};
