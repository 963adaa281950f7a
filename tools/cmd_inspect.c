/*
 * imgfs inspect: manifest and config of an image, and what the store has of its layers. No layer is
 * read for it.
 */
#include "tools/cli.h"
#include "tools/format.h"
#include "tools/json_out.h"

#include <inttypes.h>
#include <string.h>

static uint64_t layers_size(const struct image *image)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < image->manifest.n_layers; i++)
		if (!add_u64(sum, image->manifest.layers[i].desc.size, &sum))
			return UINT64_MAX;
	return sum;
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

static void print_labels(const struct label *labels)
{
	if (labels->key)
		puts("Labels:");
	for (; labels->key; labels++) {
		fputs("  ", stdout);
		format_name(stdout, BYTES_STR(labels->key));
		putchar('=');
		format_name(stdout, BYTES_STR(labels->value));
		putchar('\n');
	}
}

static void print_layers(struct image *image)
{
	char size[FORMAT_TEXT_MAX], digest[DIGEST_TEXT_MAX];
	printf("Layers:      %zu, %s\n", image->manifest.n_layers,
	       format_size(layers_size(image), size));
	for (size_t i = 0; i < image->manifest.n_layers; i++) {
		const struct descriptor *desc = &image->manifest.layers[i].desc;
		printf("  %3zu  %s  %10s  %-9s  ", i, digest_text(&desc->digest, digest),
		       format_size(desc->size, size),
		       layer_state_name(image_layer_state(image, i)));
		format_name(stdout, BYTES_STR(desc->media_type));
		putchar('\n');
	}
}

static void print_text(struct image *image, const char *reference)
{
	const struct image_config *config = &image->config;
	char digest[DIGEST_TEXT_MAX], platform[100];
	print_line("Reference:", reference);
	print_line("Digest:", digest_text(&image->digest, digest));
	if (!digest_equal(&image->top_digest, &image->digest))
		print_line("Index:", digest_text(&image->top_digest, digest));
	print_line("Platform:", platform_text(&config->platform, platform));
	print_line("Created:", config->created);
	print_line("Author:", config->author);
	print_line("User:", config->user);
	print_line("WorkingDir:", config->working_dir);
	print_words("Entrypoint:", config->entrypoint);
	print_words("Cmd:", config->cmd);
	print_line("StopSignal:", config->stop_signal);
	print_list("Env:", config->env);
	print_list("Ports:", config->exposed_ports);
	print_list("Volumes:", config->volumes);
	print_labels(config->labels);
	print_layers(image);
	if (image->published)
		print_line("Published:", digest_text(&image->artifact_digest, digest));
	print_list("History:", config->history);
}

static void json_list(struct json_out *j, const char *key, char **items)
{
	json_put_array(j, key);
	for (; *items; items++)
		json_put_text(j, NULL, *items);
	json_put_end(j);
}

static void json_labels(struct json_out *j, const struct label *labels)
{
	json_put_object(j, "labels");
	for (; labels->key; labels++)
		json_put_text(j, labels->key, labels->value);
	json_put_end(j);
}

static void json_digest(struct json_out *j, const char *key, const struct digest *digest)
{
	char text[DIGEST_TEXT_MAX];
	json_put_text(j, key, digest_len(digest) ? digest_text(digest, text) : NULL);
}

static void json_config(struct json_out *j, const struct image_config *config)
{
	json_put_object(j, "config");
	json_put_text(j, "created", config->created);
	json_put_text(j, "author", config->author);
	json_put_text(j, "user", config->user);
	json_put_text(j, "working_dir", config->working_dir);
	json_put_text(j, "stop_signal", config->stop_signal);
	json_list(j, "env", config->env);
	json_list(j, "entrypoint", config->entrypoint);
	json_list(j, "cmd", config->cmd);
	json_list(j, "exposed_ports", config->exposed_ports);
	json_list(j, "volumes", config->volumes);
	json_labels(j, config->labels);
	json_list(j, "history", config->history);
	json_put_end(j);
}

static void json_layers(struct json_out *j, struct image *image)
{
	json_put_array(j, "layers");
	for (size_t i = 0; i < image->manifest.n_layers; i++) {
		const struct layer_desc *layer = &image->manifest.layers[i];
		json_put_object(j, NULL);
		json_put_number(j, "number", i);
		json_digest(j, "digest", &layer->desc.digest);
		json_digest(j, "diff_id", &layer->diff_id);
		json_put_number(j, "size", layer->desc.size);
		json_put_text(j, "media_type", layer->desc.media_type);
		json_put_bool(j, "indexed", image_layer_indexed(image, i));
		json_put_text(j, "state", layer_state_name(image_layer_state(image, i)));
		json_put_end(j);
	}
	json_put_end(j);
}

static void print_json(struct image *image, const char *reference)
{
	struct json_out json;
	const struct platform *platform = &image->config.platform;
	json_out_start(&json, stdout, 3);
	json_put_object(&json, NULL);
	json_put_text(&json, "reference", reference);
	json_digest(&json, "digest", &image->digest);
	json_digest(&json, "top_digest", &image->top_digest);
	json_put_object(&json, "platform");
	json_put_text(&json, "os", platform->os);
	json_put_text(&json, "architecture", platform->arch);
	json_put_text(&json, "variant", platform->variant);
	json_put_end(&json);
	json_put_number(&json, "size", layers_size(image));
	if (image->published)
		json_digest(&json, "published_index", &image->artifact_digest);
	json_config(&json, &image->config);
	json_layers(&json, image);
	json_put_end(&json);
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct cli_image ci;
	const char *operand;
	const struct option_row rows[] = {
		{0, "json", OPT_FLAG, &common.json, NULL, "one object (tools/JSON.md)"},
		{0},
	};
	int status = cli_one_reference(self, argc, argv, rows, &common, false, &operand);
	if (status)
		return status;
	status = cli_open_image(self, &common, operand, false, &ci);
	if (status)
		return status;
	auto_free char *reference = ref_text(&ci.image->ref);
	if (common.json)
		print_json(ci.image, reference);
	else
		print_text(ci.image, reference);
	cli_close_image(&ci);
	return 0;
}

const struct command cmd_inspect = {
	.name = "inspect",
	.synopsis = "[--json] REF",
	.summary = "Show manifest, config and layers of an image",
	.details =
		"No layer is read. Each has a state: 'proven' (the store has an index that was "
		"built\n"
		"or proven here), 'bound', 'signed' or 'hint' (a published index would be used, "
		"and\n"
		"why it is trusted), or 'unindexed'. Layers are numbered from 0, the lowest one.",
	.run = run,
};
