/*
 * imgfs inspect: manifest and config of an image, and what the store has of its layers. No layer is
 * read for it.
 */
#include "tools/cli.h"
#include "tools/format.h"
#include "tools/inspect.h"
#include "tools/json_out.h"
#include "tools/terminal.h"
#include "tools/text.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define LAYER_COLUMNS	 48 /* of a row of the table, before the digest */
#define HISTORY_COLUMNS	 31 /* of a row, before what was run */
#define DIGEST_SHORT_LEN 19 /* "sha256:" and twelve digits */

void inspect_totals(struct image *image, struct inspect_totals *out)
{
	*out = (struct inspect_totals){0};
	for (size_t i = 0; i < image->manifest.n_layers; i++) {
		uint64_t size = image->manifest.layers[i].desc.size;
		struct layer_stored stored;
		out->size += size; /* 512 layers of 2^47 bytes at the most */
		if (manifest_first(&image->manifest, i) != i)
			continue;
		image_layer_stored(image, i, &stored);
		out->n_blobs++;
		out->blobs_size += size;
		out->blobs_kept += stored.blob;
		out->chunks_bytes += stored.chunks_bytes;
	}
}

const char *inspect_compression(const char *media_type)
{
	if (strstr(media_type, "gzip"))
		return "gzip";
	return strstr(media_type, "zstd") ? "zstd" : "tar";
}

static void print_line(const char *label, const char *value)
{
	if (!value || !*value)
		return;
	printf("%-12s ", label);
	format_name(stdout, BYTES_STR(value));
	putchar('\n');
}

/* Words of a command line: JSON shows where each begins and ends. */
static void print_words(const char *label, char **words)
{
	struct json_out json;
	if (!*words)
		return;
	printf("%-12s ", label);
	json_out_start(&json, stdout, 0);
	json_put_array(&json, NULL);
	for (; *words; words++)
		json_put_text(&json, NULL, *words);
	json_put_end(&json);
}

static void print_list(const char *label, char **items)
{
	if (*items)
		printf("%s\n", label);
	for (; *items; items++) {
		fputs("  ", stdout);
		format_name(stdout, BYTES_STR(*items));
		putchar('\n');
	}
}

static void print_labels(const char *label, const struct label *labels)
{
	if (labels->key)
		puts(label);
	for (; labels->key; labels++) {
		fputs("  ", stdout);
		format_name(stdout, BYTES_STR(labels->key));
		putchar('=');
		format_name(stdout, BYTES_STR(labels->value));
		putchar('\n');
	}
}

/* "whole", the share of the stream that lies there as chunks, or "-". */
static const char *stored_text(const struct layer_stored *stored, char buf[FORMAT_TEXT_MAX])
{
	if (stored->blob || (stored->stream_size && stored->chunks_bytes >= stored->stream_size))
		return "whole";
	if (!stored->chunks_bytes)
		return "-";
	return format_percent(stored->chunks_bytes, stored->stream_size, buf);
}

static void print_layer(struct image *image, size_t i, int digest_len)
{
	char size[FORMAT_TEXT_MAX], share[FORMAT_TEXT_MAX], digest[DIGEST_TEXT_MAX];
	const struct descriptor *desc = &image->manifest.layers[i].desc;
	struct layer_stored stored;
	image_layer_stored(image, i, &stored);
	printf("  %3zu  %10s  %-4s  %-9s  %8s  %.*s\n", i, format_size(desc->size, size),
	       inspect_compression(desc->media_type), layer_state_name(image_layer_state(image, i)),
	       stored_text(&stored, share), digest_len, digest_text(&desc->digest, digest));
}

static void print_layers(struct image *image)
{
	char size[FORMAT_TEXT_MAX], once[FORMAT_TEXT_MAX];
	struct inspect_totals totals;
	bool narrow =
		terminal_is(STDOUT_FILENO) && terminal_width(STDOUT_FILENO) < LAYER_COLUMNS + 71;
	inspect_totals(image, &totals);
	printf("Layers:      %zu, %s", image->manifest.n_layers, format_size(totals.size, size));
	if (totals.blobs_size != totals.size)
		printf(" (%s without repetitions)", format_size(totals.blobs_size, once));
	printf("\n  %3s  %10s  %-4s  %-9s  %8s  %s\n", "", "SIZE", "TYPE", "INDEX", "STORED",
	       "DIGEST");
	for (size_t i = 0; i < image->manifest.n_layers; i++)
		print_layer(image, i, narrow ? DIGEST_SHORT_LEN : DIGEST_TEXT_MAX);
	printf("Stored:      %s of chunks, %zu of %zu blobs whole, merged tree %s\n",
	       format_size(totals.chunks_bytes, size), totals.blobs_kept, totals.n_blobs,
	       image_tree_indexed(image) ? "indexed" : "not indexed");
}

/* On a terminal, one line a step: the end of a long one is cut off. */
static void print_step(const char *text)
{
	struct bytes bytes = BYTES_STR(text);
	bool seen = terminal_is(STDOUT_FILENO);
	size_t width = seen ? terminal_width(STDOUT_FILENO) : 0;
	size_t room = width > HISTORY_COLUMNS + 1 ? width - HISTORY_COLUMNS - 1 : 1;
	if (seen && text_width(bytes) > room) {
		bytes.n = text_fit(bytes, room);
		format_name(stdout, bytes);
		fputs("…", stdout);
	} else {
		format_name(stdout, bytes);
	}
	putchar('\n');
}

/* The day of an RFC 3339 time. */
static void print_day(const char *time)
{
	struct bytes day = BYTES_STR(time ? time : "");
	day.n = min_of(day.n, (size_t)10);
	size_t width = text_width(day);
	format_name(stdout, day);
	printf("%*s", width < 12 ? (int)(12 - width) : 1, "");
}

static void print_history(const struct image *image)
{
	const struct image_config *config = &image->config;
	if (config->n_history)
		puts("History:");
	for (size_t i = 0; i < config->n_history; i++) {
		const struct history_entry *step = &config->history[i];
		size_t layer = history_layer(config, image->manifest.n_layers, i);
		char size[FORMAT_TEXT_MAX] = "-", number[FORMAT_TEXT_MAX] = "";
		if (layer != SIZE_MAX) {
			format_size(image->manifest.layers[layer].desc.size, size);
			snprintf(number, sizeof(number), "%zu", layer);
		} else if (!step->empty_layer) {
			snprintf(size, sizeof(size), "?");
		}
		printf("  %3s  %10s  ", number, size);
		print_day(step->created);
		print_step(step->created_by ? step->created_by
			   : step->comment  ? step->comment
					    : "");
	}
}

static void print_text(struct image *image, const char *reference)
{
	const struct image_config *config = &image->config;
	char digest[DIGEST_TEXT_MAX], platform[100];
	print_line("Reference:", reference);
	print_line("Digest:", digest_text(&image->digest, digest));
	if (!digest_equal(&image->top_digest, &image->digest))
		print_line("Image index:", digest_text(&image->top_digest, digest));
	print_line("Config:", digest_text(&image->manifest.config.digest, digest));
	print_line("Platform:", platform_text(&config->platform, platform));
	print_line("Created:", config->created);
	print_line("Author:", config->author);
	print_line("User:", config->user);
	print_line("WorkingDir:", config->working_dir);
	print_words("Entrypoint:", config->entrypoint);
	print_words("Cmd:", config->cmd);
	print_words("Shell:", config->shell);
	print_words("Healthcheck:", config->healthcheck);
	print_line("StopSignal:", config->stop_signal);
	print_list("Env:", config->env);
	print_list("Ports:", config->exposed_ports);
	print_list("Volumes:", config->volumes);
	print_list("OnBuild:", config->on_build);
	print_labels("Labels:", config->labels);
	print_labels("Annotations:", image->manifest.annotations);
	print_layers(image);
	if (image->published)
		print_line("Published:", digest_text(&image->artifact_digest, digest));
	print_history(image);
}

/* The document itself, as it was signed and stored. */
static int print_document(const struct command *self, struct image *image,
			  const struct digest *digest)
{
	struct diag d = DIAG_INIT;
	struct document doc;
	if (image_document(image, digest, &doc, &d))
		return cli_fail(self, &d);
	format_raw(stdout, buf_bytes(&doc.bytes));
	document_fini(&doc);
	return 0;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct cli_image ci;
	const char *operand;
	bool raw = false, raw_config = false;
	const struct option_row rows[] = {
		{0, "raw", OPT_FLAG, &raw, NULL, "the manifest's own bytes"},
		{0, "config", OPT_FLAG, &raw_config, NULL, "the config's own bytes"},
		{0, "json", OPT_FLAG, &common.json, NULL, "one object (JSON.md)"},
		{0},
	};
	int status = cli_one_reference(self, argc, argv, rows, &common, false, &operand);
	if (!status && raw + raw_config + common.json > 1)
		status = cli_usage_error(self, "--raw, --config and --json exclude each other");
	if (!status)
		status = cli_open_image(self, &common, operand, false, &ci);
	if (status)
		return status;
	auto_free char *reference = ref_text(&ci.image->ref);
	if (raw)
		status = print_document(self, ci.image, &ci.image->digest);
	else if (raw_config)
		status = print_document(self, ci.image, &ci.image->manifest.config.digest);
	else if (common.json)
		inspect_json(ci.image, reference);
	else
		print_text(ci.image, reference);
	cli_close_image(&ci);
	return status;
}

const struct command cmd_inspect = {
	.name = "inspect",
	.synopsis = "[--json | --raw | --config] REF",
	.summary = "Show manifest, config and layers of an image",
	.details =
		"No layer is read. Each has a state: 'proven' (the store has an index that was\n"
		"built or proven here), 'bound', 'signed' or 'hint' (a published index would be\n"
		"used, and why it is trusted), or 'unindexed'. STORED is the share of the\n"
		"layer's bytes that the local store has decoded, or 'whole'. Layers are\n"
		"numbered from 0, the lowest one; the history names the layer that a step made.\n"
		"On a terminal, long lines of the history and digests are cut to its width.",
	.examples = "imgfs inspect docker.io/library/python:3.12\n"
		    "imgfs inspect --json alpine | jq -r '.config.env[]'\n"
		    "# what the layers weigh\n"
		    "imgfs inspect --json alpine | jq '.layers[] | {digest, size}'\n"
		    "imgfs inspect --platform linux/arm64 --config alpine | jq .",
	.run = run,
};
