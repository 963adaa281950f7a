/*
 * Opening an image for a command: what imgfs.conf says of it, store, reference, and the layers'
 * indexes, which may have to be streamed for minutes and so can be interrupted.
 */
#include "tools/cli.h"
#include "tools/conf.h"
#include "tools/interrupt.h"
#include "tools/progress.h"

struct image_options image_options_of(const struct common_options *common)
{
	return (struct image_options){
		.platform = common->platform,
		.registry = {.plain_http = common->plain_http,
			     .authfile = common->authfile,
			     .token_host = common->token_host},
		.offline = common->offline,
		.find_index = true,
		.lazy_layers = true,
		.trust = {.index = common->index,
			  .keys = common->trust_keys.n ? common->trust_keys.texts : NULL,
			  .any = common->trust_index != NULL,
			  .trust_file = common->trust_file,
			  .default_only = common->trust_is_default},
	};
}

int cli_prepare_image(const struct command *self, struct cli_image *ci)
{
	struct diag d = DIAG_INIT;
	ci->image->options.progress = progress_begin(self, "layer");
	interrupt_watch(ci->image->source);
	err_t err = image_prepare(ci->image, &d);
	interrupt_unwatch();
	progress_end();
	ci->image->options.progress = NULL;
	if (interrupt_signal()) {
		fprintf(stderr, "imgfs %s: interrupted\n", self->name);
		return 128 + interrupt_signal();
	}
	return err ? cli_fail(self, &d) : 0;
}

int cli_open_image(const struct command *self, const struct common_options *common,
		   const char *reference, bool prepare, struct cli_image *out)
{
	struct image_options options = image_options_of(common);
	return cli_open_image_with(self, common, &options, reference, prepare, out);
}

static err_t apply_conf(const struct common_options *common, const char *reference,
			struct cli_image *ci, struct diag *d)
{
	ci->in_force = *common;
	err_t err = conf_load(common->config, reference, &ci->conf, d);
	if (!err)
		conf_fill(ci->conf, &ci->in_force);
	return err;
}

int cli_open_image_with(const struct command *self, const struct common_options *common,
			const struct image_options *options, const char *reference, bool prepare,
			struct cli_image *out)
{
	struct diag d = DIAG_INIT;
	*out = (struct cli_image){0};
	err_t err = apply_conf(common, reference, out, &d);
	struct image_options with = *options, in_force = image_options_of(&out->in_force);
	with.platform = in_force.platform;
	with.registry = in_force.registry;
	with.trust = in_force.trust;
	if (!err)
		err = store_open(out->in_force.store, &out->store, &d);
	if (!err)
		err = image_open(out->store, reference, &with, &out->image, &d);
	int status = err ? cli_fail(self, &d) : 0;
	if (!status && prepare)
		status = cli_prepare_image(self, out);
	if (status)
		cli_close_image(out);
	return status;
}

void cli_close_image(struct cli_image *ci)
{
	if (ci->image)
		image_close(&ci->image);
	if (ci->store)
		store_close(&ci->store);
	conf_free(&ci->conf);
}

int cli_open_store(const struct command *self, const struct common_options *common,
		   struct store **out)
{
	struct diag d = DIAG_INIT;
	struct cli_image ci = {0};
	*out = NULL;
	err_t err = apply_conf(common, NULL, &ci, &d);
	bool named = ci.in_force.store;
	if (!err)
		err = store_open_there(ci.in_force.store, out, &d);
	conf_free(&ci.conf);
	bool empty = err == -ENOENT && d.cls == ERR_NOT_FOUND && !named;
	return err && !empty ? cli_fail(self, &d) : 0;
}
