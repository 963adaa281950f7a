/*
 * imgfs inspect --json: all of it, one member after the other. What was strings once stays strings;
 * what is more stands in members of its own.
 */
#include "tools/inspect.h"
#include "tools/json_out.h"

static void json_list(struct json_out *j, const char *key, char **items)
{
	json_put_array(j, key);
	for (; *items; items++)
		json_put_text(j, NULL, *items);
	json_put_end(j);
}

static void json_labels(struct json_out *j, const char *key, const struct label *labels)
{
	json_put_object(j, key);
	for (; labels->key; labels++)
		json_put_text(j, labels->key, labels->value);
	json_put_end(j);
}

static void json_digest(struct json_out *j, const char *key, const struct digest *digest)
{
	char text[DIGEST_TEXT_MAX];
	json_put_text(j, key, digest_len(digest) ? digest_text(digest, text) : NULL);
}

static void json_platform(struct json_out *j, const struct platform *platform)
{
	json_put_object(j, "platform");
	json_put_text(j, "os", platform->os);
	json_put_text(j, "architecture", platform->arch);
	json_put_text(j, "variant", platform->variant);
	json_put_end(j);
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
	json_list(j, "shell", config->shell);
	json_list(j, "healthcheck", config->healthcheck);
	json_list(j, "on_build", config->on_build);
	json_list(j, "exposed_ports", config->exposed_ports);
	json_list(j, "volumes", config->volumes);
	json_labels(j, "labels", config->labels);
	json_put_array(j, "history");
	for (size_t i = 0; i < config->n_history; i++)
		json_put_text(j, NULL,
			      config->history[i].created_by ? config->history[i].created_by : "");
	json_put_end(j);
	json_put_end(j);
}

static void json_history(struct json_out *j, const struct image *image)
{
	const struct image_config *config = &image->config;
	json_put_array(j, "history");
	for (size_t i = 0; i < config->n_history; i++) {
		const struct history_entry *step = &config->history[i];
		size_t layer = history_layer(config, image->manifest.n_layers, i);
		json_put_object(j, NULL);
		json_put_text(j, "created", step->created);
		json_put_text(j, "created_by", step->created_by);
		json_put_text(j, "author", step->author);
		json_put_text(j, "comment", step->comment);
		json_put_bool(j, "empty_layer", step->empty_layer);
		if (layer != SIZE_MAX) {
			json_put_number(j, "layer", layer);
			json_put_number(j, "size", image->manifest.layers[layer].desc.size);
		}
		json_put_end(j);
	}
	json_put_end(j);
}

static void json_layer(struct json_out *j, struct image *image, size_t i)
{
	const struct layer_desc *layer = &image->manifest.layers[i];
	struct layer_stored stored;
	image_layer_stored(image, i, &stored);
	json_put_object(j, NULL);
	json_put_number(j, "number", i);
	json_digest(j, "digest", &layer->desc.digest);
	json_digest(j, "diff_id", &layer->diff_id);
	json_put_number(j, "size", layer->desc.size);
	json_put_text(j, "media_type", layer->desc.media_type);
	json_put_text(j, "compression", inspect_compression(layer->desc.media_type));
	json_put_bool(j, "indexed", image_layer_indexed(image, i));
	json_put_text(j, "state", layer_state_name(image_layer_state(image, i)));
	json_put_bool(j, "blob_kept", stored.blob);
	json_put_number(j, "chunks_bytes", stored.chunks_bytes);
	if (stored.stream_size)
		json_put_number(j, "stream_size", stored.stream_size);
	json_put_end(j);
}

void inspect_json(struct image *image, const char *reference)
{
	struct json_out json;
	struct inspect_totals totals;
	inspect_totals(image, &totals);
	json_out_start(&json, stdout, 3);
	json_put_object(&json, NULL);
	json_put_text(&json, "reference", reference);
	json_digest(&json, "digest", &image->digest);
	json_digest(&json, "top_digest", &image->top_digest);
	json_digest(&json, "config_digest", &image->manifest.config.digest);
	json_put_text(&json, "media_type", image->manifest_type);
	json_platform(&json, &image->config.platform);
	json_put_number(&json, "size", totals.size);
	json_put_number(&json, "blobs_size", totals.blobs_size);
	json_put_number(&json, "chunks_bytes", totals.chunks_bytes);
	json_put_bool(&json, "tree_indexed", image_tree_indexed(image));
	if (image->published)
		json_digest(&json, "published_index", &image->artifact_digest);
	json_labels(&json, "annotations", image->manifest.annotations);
	json_config(&json, &image->config);
	json_history(&json, image);
	json_put_array(&json, "layers");
	for (size_t i = 0; i < image->manifest.n_layers; i++)
		json_layer(&json, image, i);
	json_put_end(&json);
	json_put_end(&json);
}
