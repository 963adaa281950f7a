/*
 * Publishing as commands do it: a line for each part as it is done, then the artifact's digest.
 */
#include "fetch/layout.h"
#include "tools/cmd_index_priv.h"
#include "tools/format.h"
#include "tools/interrupt.h"
#include "tools/progress.h"

void index_print_part_head(void)
{
	printf("%-5s  %-71s  %8s  %8s  %8s  %8s  %8s  %8s  %7s  %s\n", "LAYER", "INDEX", "HEAD",
	       "ROWS", "WINDOWS", "TREE", "DIGESTS", "TOTAL", "PERCENT", "STATE");
}

void index_print_part(const struct publish_part *part, const char *state)
{
	char name[24] = "image", digest[DIGEST_TEXT_MAX], percent[FORMAT_TEXT_MAX];
	char text[6][FORMAT_TEXT_MAX];
	const struct wire_sizes *s = &part->sizes;
	const uint64_t sizes[6] = {s->head, s->rows, s->windows, s->tree, s->digests, s->total};
	for (size_t i = 0; i < 6; i++)
		format_size(sizes[i], text[i]);
	if (part->layer == PUBLISH_PROFILE)
		snprintf(name, sizeof(name), "start");
	else if (part->layer != PUBLISH_TREE)
		snprintf(name, sizeof(name), "%zu", part->layer);
	progress_hold();
	printf("%-5s  %s  %8s  %8s  %8s  %8s  %8s  %8s  %7s  %s\n", name,
	       digest_text(&part->digest, digest), text[0], text[1], text[2], text[3], text[4],
	       text[5], format_percent(s->total, part->blob_size, percent), state);
	fflush(stdout); /* the next layer takes a while */
	progress_release();
}

static void progress(void *arg, const struct publish_part *part)
{
	if (part->layer < PUBLISH_PROFILE)
		progress_bytes(arg, 0, part->blob_size);
	index_print_part(part, part->borrowed ? "copied" : part->was_there ? "present" : "pushed");
}

static err_t open_layout(const char *text, struct source **out, struct diag *d)
{
	struct ref ref = {0};
	err_t err = ref_parse(text, &ref, d);
	if (!err && ref.kind != REF_OCI_LAYOUT)
		err = fail(d, ERR_USAGE, -EINVAL, "%s is no layout; write oci:DIR", text);
	if (!err)
		err = layout_create(ref.dir, d);
	if (!err)
		err = layout_source_new(&ref, out, d);
	ref_fini(&ref);
	return err;
}

/* Bytes of the layers that will be packed. */
static uint64_t size_of_published(const struct image *image, uint64_t small_layer)
{
	const struct manifest *m = &image->manifest;
	uint64_t sum = 0;
	for (size_t i = 0; i < m->n_layers; i++)
		if (manifest_first(m, i) == i && m->layers[i].desc.size >= small_layer)
			sum += m->layers[i].desc.size;
	return sum;
}

static int publish(const struct command *self, struct image *image, struct source *to,
		   const struct publish_options *options)
{
	struct diag d = DIAG_INIT;
	struct digest artifact;
	char text[DIGEST_TEXT_MAX];
	struct publish_options told = *options;
	index_print_part_head();
	/* Packing takes its time by the size of the layers. */
	told.arg = progress_begin(self, NULL);
	progress_layer(told.arg, 0, size_of_published(image, options->small_layer));
	interrupt_watch(image->source);
	err_t err = image_publish(image, to, &told, &artifact, &d);
	interrupt_unwatch();
	progress_end();
	if (interrupt_signal()) {
		fprintf(stderr, "imgfs %s: interrupted\n", self->name);
		return 128 + interrupt_signal();
	}
	if (err)
		return cli_fail(self, &d);
	printf("index %s\n", digest_text(&artifact, text));
	if (options->key)
		printf("signed by %s\n", signing_key_id(options->key));
	return 0;
}

int index_publish(const struct command *self, struct image *image, const char *layout,
		  const struct signing_key *key, uint64_t small_layer)
{
	const struct publish_options options = {
		.key = key, .small_layer = small_layer, .profile = true, .progress = progress};
	struct source *to = NULL;
	struct diag d = DIAG_INIT;
	if (layout && open_layout(layout, &to, &d))
		return cli_fail(self, &d);
	int status = publish(self, image, to ? to : image->source, &options);
	if (to)
		source_free(&to);
	return status;
}
