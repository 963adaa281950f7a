/*
 * The parts of a mount in the order in which they need each other: the record that others read, the
 * content that fills it, the exporter, the session. They go in the other order, so that reads in
 * flight are answered while there is still somebody to tell.
 */
#include "tools/serve.h"

#include "fetch/log.h"
#include "fs/session.h"
#include "fs/trim.h"
#include "fs/tune.h"

#include <string.h>
#include <sys/resource.h>

/* Two descriptors a layer and a few more: far above the usual soft limit of 1024 for the images
 * with the most layers. */
#define DESCRIPTORS_WANTED 8192

struct serving {
	const struct cli_image *ci;
	const struct serve_options *options;
	char *reference; /* expanded */
	struct content_options reading;
	struct content *content;
	struct mount_record *record;
	struct exporter *exporter;
	struct session *session;
};

void descriptors_raise(struct rlimit *before)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit))
		limit = (struct rlimit){.rlim_cur = 1024, .rlim_max = 1024};
	if (before)
		*before = limit;
	if (limit.rlim_cur >= DESCRIPTORS_WANTED)
		return;
	limit.rlim_cur = min_of(limit.rlim_max, (rlim_t)DESCRIPTORS_WANTED);
	if (setrlimit(RLIMIT_NOFILE, &limit))
		log_debug("mount.limit", "error=\"%s\"", strerror(errno));
}

/* The kernel may be told to end a mount that takes too long over one answer: fail the read first.
 */
static void budget_keep_in_limit(struct content_options *o)
{
	unsigned limit_s = tune_answer_limit_s();
	if (limit_s == 0 || (!o->wait_for_ever && o->budget_s <= limit_s))
		return;
	log_warn("mount.read_budget",
		 "seconds=%u: reads fail after this time, as fs.fuse.*_request_timeout demands",
		 limit_s);
	o->budget_s = limit_s;
	o->wait_for_ever = false;
}

static err_t record_make(struct serving *s, struct diag *d)
{
	const struct image *image = s->ci->image;
	char digest[DIGEST_TEXT_MAX];
	uint32_t n_layers = index_info(image->tree)->n_layers;
	auto_free struct mount_info_layer *layers = xcalloc(n_layers + 1, sizeof(*layers));
	auto_free char *tree = image_tree_path(image);
	const struct mount_info info = {
		.mountpoint = s->options->mountpoint,
		.reference = s->reference,
		.manifest = digest_text(&image->digest, digest),
		.store = store_dir(s->ci->store),
		.n_layers = n_layers,
		.layers = layers,
		.tree = tree,
	};
	for (uint32_t i = 0; i < n_layers; i++)
		layers[i] = (struct mount_info_layer){image->manifest.layers[i].desc.digest,
						      image->manifest.layers[i].desc.size};
	return mount_record_new(&info, &s->record, d);
}

static err_t content_make(struct serving *s, struct diag *d)
{
	s->reading = s->options->content;
	s->reading.neighbours = true;
	s->reading.share = true;
	s->reading.layer_states = mount_record_layer_states(s->record);
	s->reading.board = mount_record_board(s->record);
	s->reading.trace_fd = max_of(mount_record_trace(s->record), 0);
	budget_keep_in_limit(&s->reading);
	return content_new(s->ci->image, &s->reading, &s->content, d);
}

static err_t session_make(struct serving *s, struct diag *d)
{
	const struct serve_options *o = s->options;
	const struct session_options options = {
		.mountpoint = o->mountpoint,
		.fsname = o->fsname ? o->fsname : s->reference,
		.mount = o->mount,
		.tree = s->ci->image->tree,
		.content = s->content,
		.counters = mount_record_counters(s->record),
	};
	err_t err = session_open(&options, &s->session, d);
	return err ? err : mount_record_show(s->record, session_mounted(s->session), d);
}

void serving_begin(struct serving *s)
{
	content_warm(s->content);
	trim_memory();
}

void serving_expect(struct serving *s, char *const *words, const char *cwd)
{
	content_expect(s->content, words, cwd);
}

static err_t ready(void *arg, struct diag *d)
{
	struct serving *s = arg;
	return s->options->ready(s, s->options->arg, d);
}

err_t serve_image(const struct cli_image *image, const struct serve_options *options,
		  struct mount_record **record, struct diag *d)
{
	struct serving s = {.ci = image, .options = options};
	s.reference = ref_text(&image->image->ref);
	err_t err = record_make(&s, d);
	if (!err)
		err = content_make(&s, d);
	if (!err && options->metrics)
		err = exporter_open(options->metrics, options->mountpoint, &s.exporter, d);
	if (!err)
		err = session_make(&s, d);
	/* Its thread reads the record, of which only atomic words change from here on. */
	if (!err && s.exporter)
		err = exporter_start(s.exporter, s.record, d);
	if (!err)
		err = session_serve(s.session, ready, &s, d);
	if (s.content)
		content_free(&s.content);
	session_close(&s.session);
	exporter_stop(&s.exporter);
	free(s.reference);
	*record = s.record;
	return err;
}
