/*
 * imgfs prefetch: what will be read is brought into the store now: an image, parts of its tree, or
 * what its recorded start reads.
 */
#include "fetch/content_prefetch.h"
#include "fetch/image_profile.h"
#include "tools/format.h"
#include "tools/interrupt.h"
#include "tools/look.h"
#include "tools/progress.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* How long a source may give nothing. */
#define PATIENCE_S 30

struct prefetch_command {
	const struct command *self;
	struct common_options common;
	const char *reference;
	char **paths; /* NULL-terminated */
	bool profile;
	struct cli_image ci;
	struct content *content;
	struct prefetch *wanted;
	uint64_t streamed; /* bytes of layers that had to be indexed */
	bool no_memory;
};

/* --- which parts --- */

static void add_file(struct prefetch_command *p, uint32_t row)
{
	struct inode inode;
	index_inode(p->ci.image->tree, row, &inode);
	if (S_ISREG(inode.mode) && inode.size && prefetch_add(p->wanted, row, 0, inode.size))
		p->no_memory = true;
}

/* A file, or all below a directory. */
static void add_below(struct prefetch_command *p, uint32_t row)
{
	const struct index *tree = p->ci.image->tree;
	struct inode inode;
	index_inode(tree, row, &inode);
	if (!S_ISDIR(inode.mode)) {
		add_file(p, row);
		return;
	}
	uint32_t count = index_dir_count(tree, row);
	for (uint32_t i = 0; i < count; i++) {
		struct dir_entry entry;
		index_dir_entry(tree, row, i, &entry);
		add_below(p, entry.row);
	}
}

/* Symlinks stand for their targets; one that leads nowhere has no bytes. */
static int add_path(struct prefetch_command *p, char *path)
{
	const struct index *tree = p->ci.image->tree;
	uint32_t row;
	int status = look_up_listed(p->self, tree, path, false, &row);
	if (!status && !index_path(tree, BYTES_STR(path), true, &row))
		add_below(p, row);
	return status;
}

static int add_paths(struct prefetch_command *p)
{
	struct path_list list = {0};
	int status = look_paths(p->self, p->ci.image->tree, p->paths, &list);
	for (size_t i = 0; i < list.n && !status; i++)
		status = add_path(p, list.paths[i]);
	path_list_fini(&list);
	return status;
}

static int add_profile(struct prefetch_command *p)
{
	struct diag d = DIAG_INIT;
	auto_buf struct buf text = {0};
	struct profile profile;
	enum profile_origin origin;
	err_t err = image_profile_get(p->ci.image, false, &text, &origin);
	if (err)
		err = fail(&d, ERR_NOT_FOUND, err,
			   "there is no profile of this image; a mount records one");
	else
		err = profile_read(p->ci.image->tree, buf_bytes(&text), &profile, &d);
	if (err)
		return cli_fail(p->self, &d);
	for (size_t i = 0; i < profile.n && !p->no_memory; i++) {
		const struct profile_range *range = &profile.ranges[i];
		if (prefetch_add(p->wanted, range->row, range->off, range->len))
			p->no_memory = true;
	}
	profile_fini(&profile);
	return 0;
}

static int add_wanted(struct prefetch_command *p)
{
	struct diag d = DIAG_INIT;
	int status = 0;
	if (p->profile)
		status = add_profile(p);
	else if (!*p->paths)
		prefetch_add_all(p->wanted);
	if (!status && *p->paths)
		status = add_paths(p);
	if (status || !p->no_memory)
		return status;
	(void)fail_sys(&d, ERR_OTHER, -ENOMEM, "prefetch");
	return cli_fail(p->self, &d);
}

/* --- fetching --- */

static int fetch(struct prefetch_command *p)
{
	struct diag d = DIAG_INIT;
	struct image *image = p->ci.image;
	image->options.progress = progress_begin(p->self, "layer");
	interrupt_watch(image->source);
	err_t err = prefetch_run(p->wanted, image->options.progress, &d);
	interrupt_unwatch();
	progress_end();
	image->options.progress = NULL;
	if (interrupt_signal()) {
		fprintf(stderr, "imgfs %s: interrupted\n", p->self->name);
		return 128 + interrupt_signal();
	}
	return err ? cli_fail(p->self, &d) : 0;
}

static void report(struct prefetch_command *p)
{
	struct content_stats stats;
	struct json_out json;
	char size[FORMAT_TEXT_MAX], digest[DIGEST_TEXT_MAX];
	auto_free char *reference = ref_text(&p->ci.image->ref);
	bool whole = !p->profile && !*p->paths;
	content_stats(p->content, &stats);
	uint64_t fetched = stats.fetched_bytes + p->streamed;
	if (p->common.json) {
		json_out_start(&json, stdout, 1);
		json_put_object(&json, NULL);
		json_put_bytes(&json, "reference", BYTES_STR(reference));
		json_put_text(&json, "digest", digest_text(&p->ci.image->digest, digest));
		json_put_bool(&json, "whole", whole);
		json_put_number(&json, "fetched_bytes", fetched);
		json_put_end(&json);
		return;
	}
	if (p->common.quiet)
		return;
	format_name(stdout, BYTES_STR(reference));
	if (fetched)
		printf(": %s fetched", format_size(fetched, size));
	else
		printf(": nothing to fetch");
	printf(whole ? ", all of it is in the store\n" : ", what was asked for is in the store\n");
}

static int run_content(struct prefetch_command *p)
{
	struct diag d = DIAG_INIT;
	const struct content_options options = {.neighbours = true, .budget_s = PATIENCE_S};
	if (content_new(p->ci.image, &options, &p->content, &d))
		return cli_fail(p->self, &d);
	p->wanted = prefetch_new(p->content);
	int status = add_wanted(p);
	if (!status)
		status = fetch(p);
	if (!status)
		report(p);
	prefetch_free(&p->wanted);
	content_free(&p->content);
	return status;
}

/* --- the command --- */

/* Whether a layer can be read without asking the source for its blob. */
static bool is_here(const struct cli_image *ci, size_t layer)
{
	const struct descriptor *desc = &ci->image->manifest.layers[layer].desc;
	auto_fd int fd = store_blob_open(ci->store, &desc->digest, desc->size);
	return fd >= 0 || image_layer_indexed(ci->image, layer);
}

static int prefetch(struct prefetch_command *p)
{
	struct image_options options = image_options_of(&p->common);
	options.lazy_layers = false;
	int status =
		cli_open_image_with(p->self, &p->common, &options, p->reference, false, &p->ci);
	if (status)
		return status;
	size_t n = p->ci.image->manifest.n_layers;
	auto_free bool *had = xcalloc(n + 1, sizeof(*had));
	for (size_t i = 0; i < n; i++)
		had[i] = is_here(&p->ci, i);
	status = cli_prepare_image(p->self, &p->ci);
	for (size_t i = 0; i < n && !status; i++)
		if (!had[i] && p->ci.image->layers[i] &&
		    manifest_first(&p->ci.image->manifest, i) == i)
			p->streamed += p->ci.image->manifest.layers[i].desc.size;
	if (!status)
		status = run_content(p);
	cli_close_image(&p->ci);
	return status;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct prefetch_command p = {.self = self};
	char **operands;
	const struct option_row rows[] = {
		{0, "profile", OPT_FLAG, &p.profile, NULL,
		 "what the recorded start of the image reads"},
		{0, "json", OPT_FLAG, &p.common.json, NULL, "one object (JSON.md)"},
		{0},
	};
	int n = cli_parse(self, argc, argv, rows, &p.common, &operands);
	if (n == 0)
		return cli_usage_error(self, "a reference is missing");
	if (p.profile && n > 1)
		return cli_usage_error(self, "either --profile or paths");
	p.reference = operands[0];
	p.paths = operands + 1;
	return prefetch(&p);
}

const struct command cmd_prefetch = {
	.name = "prefetch",
	.synopsis = "[--profile] REF [PATH...]",
	.summary = "Fetch an image, or parts of it, into the local store",
	.details = "Without PATH all layers are fetched, whole; afterwards every command works on\n"
		   "the image with --offline, by the same reference and with the same trust\n"
		   "options, and no registry is asked. PATH is a file, a directory with all below\n"
		   "it, or a pattern as for 'imgfs ls'.\n"
		   "\n"
		   "What is in the store is not fetched again, so a second call goes on where the\n"
		   "first one stopped. Where neither the store nor the registry has an index of\n"
		   "the image, its layers are streamed whole first, as by 'imgfs mount'. Contents\n"
		   "that come through a published index are kept unpacked, which takes two to\n"
		   "three times the size of the layers.",
	.examples = "imgfs prefetch docker.io/library/python:3.12\n"
		    "imgfs prefetch docker.io/library/python:3.12 /usr/local/lib '/usr/bin/*'\n"
		    "imgfs prefetch --profile docker.io/library/python:3.12\n"
		    "# then, without a network:\n"
		    "imgfs mount --offline docker.io/library/python:3.12 /mnt",
	.run = run,
};
