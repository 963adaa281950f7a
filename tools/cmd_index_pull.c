/*
 * imgfs index pull: bring a published index into the store as a whole.
 */
#include "tools/cmd_index_priv.h"
#include "tools/interrupt.h"
#include "tools/progress.h"

#include <string.h>

static void progress(void *arg, const struct publish_part *part)
{
	if (part->layer < PUBLISH_PROFILE)
		progress_bytes(arg, 0, part->sizes.total);
	index_print_part(part, part->was_there ? "present" : "pulled");
}

/* Why there is none to pull, as far as it is known without -v. */
static int fail_none(const struct command *self, const struct image *image, const char *named)
{
	struct diag d = DIAG_INIT;
	char text[DIGEST_TEXT_MAX];
	if (named && !strcmp(named, "none"))
		return cli_usage_error(self, "--index none leaves nothing to pull");
	if (named)
		(void)fail(&d, ERR_NOT_FOUND, -ENOENT,
			   "the published index %s is not there, or is not this image's (-v says "
			   "more)",
			   named);
	else if (image->untrusted.alg)
		(void)fail(&d, ERR_NOT_FOUND, -ENOENT,
			   "the published index %s is not trusted; --trust-key, --index=DIGEST or "
			   "--trust-index=any would use it",
			   digest_text(&image->untrusted, text));
	else
		(void)fail(&d, ERR_NOT_FOUND, -ENOENT,
			   "no published index was found; 'imgfs index push' makes one (-v says "
			   "more)");
	return cli_fail(self, &d);
}

static int pull(const struct command *self, struct image *image)
{
	struct diag d = DIAG_INIT;
	char text[DIGEST_TEXT_MAX];
	index_print_part_head();
	fflush(stdout);
	struct progress *counters = progress_begin(self, NULL);
	uint64_t total = 0;
	for (size_t i = 0; i < image->artifact.n_layers; i++)
		total += image->artifact.layers[i].form.size;
	progress_layer(counters, 0, total);
	interrupt_watch(image->source);
	err_t err = image_pull(image, progress, counters, &d);
	interrupt_unwatch();
	progress_end();
	if (interrupt_signal()) {
		fprintf(stderr, "imgfs %s: interrupted\n", self->name);
		return 128 + interrupt_signal();
	}
	if (err)
		return cli_fail(self, &d);
	printf("index %s, %s\n", digest_text(&image->artifact_digest, text),
	       trust_state_name(image->trusted));
	return 0;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct cli_image ci;
	const char *reference;
	int status = cli_one_reference(self, argc, argv, NULL, &common, false, &reference);
	if (status)
		return status;
	struct image_options options = image_options_of(&common);
	options.find_always = true;
	status = cli_open_image_with(self, &common, &options, reference, false, &ci);
	if (status)
		return status;
	status = ci.image->published ? pull(self, ci.image)
				     : fail_none(self, ci.image, ci.in_force.index);
	cli_close_image(&ci);
	return status;
}

const struct command index_pull = {
	.name = "index pull",
	.synopsis = "REF",
	.summary = "Bring the published index of an image into the store",
	.details = "A mount takes the parts of a published index that it needs; this takes all of "
		   "it, and\n"
		   "proves its structure. Which index is taken is decided as for 'imgfs mount'. A "
		   "store\n"
		   "that can not keep it is an error here.",
	.examples = "imgfs index pull --trust-key publish.pem registry.example.com/app:1",
	.run = run,
};
