/*
 * imgfs mount: everything is checked and opened before the kernel hears of it, so that a mount that
 * can not work never exists; then one process stays behind and serves it.
 */
#include "fetch/content.h"
#include "fetch/log.h"
#include "fs/daemon.h"
#include "fs/exporter.h"
#include "fs/mountpoint.h"
#include "fs/mounts.h"
#include "fs/session.h"
#include "fs/stop.h"
#include "fs/trim.h"
#include "fs/tune.h"
#include "tools/conf.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Two descriptors a layer and a few more: far above the usual soft limit of 1024 for the images
 * with the most layers. */
#define DESCRIPTORS_WANTED 8192

struct mount_command {
	const struct command *self;
	struct common_options common;
	struct mount_options options;
	struct content_options content;
	const char *reference;
	char *mountpoint;    /* canonical; owned */
	const char *log;     /* --log */
	const char *fsname;  /* --fsname */
	int log_fd;	     /* -1 without */
	const char *metrics; /* --metrics */
	struct exporter_target target;
	struct content *warm; /* borrowed: what begins to fetch when the tree can be read */
	bool foreground;
	struct daemon daemon;
};

/* What a mount consists of while it is served, in the order in which it is made. */
struct mount_parts {
	struct cli_image ci;
	struct content *content;
	char *reference; /* expanded */
	struct mount_record *record;
	struct exporter *exporter; /* NULL: nobody takes metrics */
	struct session *session;
};

/* ---- before anything is opened ---- */

/* Relative names would mean something else once the daemon has left this directory. */
static void environment_make_absolute(void)
{
	static const char *const names[] = {"SSL_CERT_FILE", "SSL_CERT_DIR", "REGISTRY_AUTH_FILE",
					    "DOCKER_CONFIG"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *path = getenv(names[i]);
		auto_free char *absolute = path && *path != '/' ? realpath(path, NULL) : NULL;

		if (absolute)
			setenv(names[i], absolute, 1);
	}
}

/* Descriptors 0 to 2 must be what everybody takes them for, also when the caller closed them. */
static err_t standard_streams_open(struct diag *d)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return fail_sys(d, ERR_OTHER, -errno, "/dev/null");
	close(fd);
	return 0;
}

static void descriptor_limit_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= DESCRIPTORS_WANTED)
		return;
	limit.rlim_cur = min_of(limit.rlim_max, (rlim_t)DESCRIPTORS_WANTED);
	if (setrlimit(RLIMIT_NOFILE, &limit))
		log_debug("mount.limit", "error=\"%s\"", strerror(errno));
}

static err_t log_open(struct mount_command *m, struct diag *d)
{
	if (!m->log)
		return 0;
	m->log_fd = open(m->log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
	if (m->log_fd < 0)
		return fail_sys(d, ERR_OTHER, -errno, "log file %s", m->log);
	return 0;
}

/* ---- the process that serves ---- */

/* A mount may not hide, or lie in, what its own daemon reads. */
static err_t check_apart(const struct mount_command *m, const struct mount_parts *p, struct diag *d)
{
	const struct ref *ref = &p->ci.image->ref;
	err_t err = mountpoint_check_apart(m->mountpoint, store_dir(p->ci.store), "store", d);

	if (!err && ref->kind == REF_OCI_LAYOUT)
		err = mountpoint_check_apart(m->mountpoint, ref->dir, "image layout", d);
	return err;
}

static err_t record_make(const struct mount_command *m, struct mount_parts *p, struct diag *d)
{
	const struct image *image = p->ci.image;
	char digest[DIGEST_TEXT_MAX];
	uint32_t n_layers = index_info(image->tree)->n_layers;
	auto_free struct mount_info_layer *layers = xcalloc(n_layers + 1, sizeof(*layers));
	auto_free char *tree = image_tree_path(image);
	struct mount_info info = {
		.mountpoint = m->mountpoint,
		.reference = p->reference,
		.manifest = digest_text(&image->digest, digest),
		.store = store_dir(p->ci.store),
		.n_layers = n_layers,
		.layers = layers,
		.tree = tree,
	};

	for (uint32_t i = 0; i < n_layers; i++)
		layers[i] = (struct mount_info_layer){image->manifest.layers[i].desc.digest,
						      image->manifest.layers[i].desc.size};

	return mount_record_new(&info, &p->record, d);
}

static err_t session_make(const struct mount_command *m, struct mount_parts *p, struct diag *d)
{
	struct session_options options = {
		.mountpoint = m->mountpoint,
		.fsname = m->fsname ? m->fsname : p->reference,
		.mount = &m->options,
		.tree = p->ci.image->tree,
		.content = p->content,
		.counters = mount_record_counters(p->record),
	};

	return session_open(&options, &p->session, d);
}

/* The tree can be read: from here on errors go to the log. */
static err_t become_ready(void *arg, struct diag *d)
{
	struct mount_command *m = arg;

	if (m->log_fd >= 0)
		log_to_fd(m->log_fd);
	else if (!m->foreground)
		log_to_syslog();
	m->log_fd = -1;
	content_warm(m->warm);
	trim_memory();
	return m->foreground ? 0 : daemon_ready(&m->daemon, d);
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

static err_t serve_parts(struct mount_command *m, struct mount_parts *p, struct diag *d)
{
	err_t err;

	budget_keep_in_limit(&m->content);
	p->reference = ref_text(&p->ci.image->ref);
	err = record_make(m, p, d);
	if (!err) {
		m->content.layer_states = mount_record_layer_states(p->record);
		m->content.board = mount_record_board(p->record);
		m->content.trace_fd = max_of(mount_record_trace(p->record), 0);
		err = content_new(p->ci.image, &m->content, &p->content, d);
		m->warm = p->content;
	}
	if (!err && m->metrics)
		err = exporter_open(&m->target, m->mountpoint, &p->exporter, d);
	if (!err)
		err = stop_install(d);
	if (!err)
		err = session_make(m, p, d);
	if (!err)
		err = mount_record_show(p->record, session_mounted(p->session), d);
	/* Its thread reads the record, of which only atomic words change from here on. */
	if (!err && p->exporter)
		err = exporter_start(p->exporter, p->record, d);
	if (!err)
		err = session_serve(p->session, become_ready, m, d);
	/* Reads in flight are answered while there is still somebody to tell; the record goes last:
	 * `imgfs umount` waits for it. */
	if (p->content)
		content_free(&p->content);
	session_close(&p->session);
	exporter_stop(&p->exporter);
	return err;
}

static int serve(struct mount_command *m)
{
	struct mount_parts p = {0};
	struct diag d = DIAG_INIT;
	struct image_options options = image_options_of(&m->common);
	int status;

	/* What is here of a layer can be said only once its index is open. */
	options.lazy_layers = !m->options.xattrs;
	status = cli_open_image_with(m->self, &m->common, &options, m->reference, false, &p.ci);
	if (status)
		return status;
	if (check_apart(m, &p, &d))
		status = cli_fail(m->self, &d);
	if (!status)
		status = cli_prepare_image(m->self, &p.ci);
	if (!status && serve_parts(m, &p, &d))
		status = cli_fail(m->self, &d);
	cli_close_image(&p.ci);
	free(p.reference);
	mount_record_leave(&p.record);
	return status;
}

/* ---- the command ---- */

static int await(struct mount_command *m)
{
	struct diag d = DIAG_INIT;
	int status = 0;
	err_t err = 0;

	if (daemon_await(&m->daemon, m->mountpoint, &status, &err))
		return status;
	if (!err)
		return 0;
	(void)fail_sys(&d, ERR_OTHER, err, "%s was mounted, but can not be read", m->mountpoint);
	return cli_fail(m->self, &d);
}

static int mount_image(struct mount_command *m)
{
	struct diag d = DIAG_INIT;
	err_t err = log_open(m, &d);

	environment_make_absolute();
	descriptor_limit_raise();
	if (!err && !m->foreground)
		err = daemon_fork(&m->daemon, m->log_fd, &d);
	if (err)
		return cli_fail(m->self, &d);
	return m->foreground || m->daemon.is_child ? serve(m) : await(m);
}

static int check_words(struct mount_command *m, const char *list, const char *directory)
{
	struct diag d = DIAG_INIT;
	err_t err = standard_streams_open(&d);

	if (!err)
		err = mount_options_parse(list, geteuid() == 0, &m->options, &d);
	if (!err && m->metrics)
		err = exporter_target_parse(m->metrics, &m->target, &d);
	if (!err)
		err = mountpoint_check(directory, m->options.nonempty, &m->mountpoint, &d);
	return err ? cli_fail(m->self, &d) : 0;
}

static bool fill_mode_of(const char *text, enum fill_mode *out)
{
	static const char *const names[] = {
		[FILL_OFF] = "off", [FILL_IDLE] = "idle", [FILL_FULL] = "full"};

	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		*out = (enum fill_mode)i;
		if (!strcmp(text, names[i]))
			return true;
	}
	return false;
}

/* What the command line says, then imgfs.conf, then we. */
struct mount_words {
	char *list; /* owned */
	const char *fill, *on_error;
	uint64_t budget_s;
	bool no_profile;
};
#define BUDGET_UNSET UINT64_MAX

static const char *chosen(const char *typed, const struct conf *conf, const char *key,
			  const char *otherwise)
{
	const struct conf_setting *s = conf_get(conf, key);

	if (typed)
		return typed;
	return s ? s->value : otherwise;
}

static void words_fill(struct mount_words *w, const struct conf *conf)
{
	const struct conf_setting *list = conf_get(conf, "mount-options");
	const struct conf_setting *budget = conf_get(conf, "read-budget");
	char *joined;

	w->fill = chosen(w->fill, conf, "fill", "off");
	w->on_error = chosen(w->on_error, conf, "on-error", "eio");
	w->no_profile |= conf_flag(conf, "no-profile");
	if (w->budget_s == BUDGET_UNSET)
		w->budget_s = budget ? strtoul(budget->value, NULL, 10) : CONTENT_BUDGET_S;
	if (!list)
		return;
	/* The later word wins. */
	joined = w->list ? xasprintf("%s,%s", list->value, w->list) : xstrdup(list->value);
	free(w->list);
	w->list = joined;
}

static int words_take(struct mount_command *m, const struct mount_words *w)
{
	if (w->budget_s == 0 || w->budget_s > READ_BUDGET_MAX_S)
		return cli_usage_error(m->self, "--read-budget: 1 to %d seconds",
				       READ_BUDGET_MAX_S);
	if (strcmp(w->on_error, "eio") && strcmp(w->on_error, "wait"))
		return cli_usage_error(m->self, "--on-error: 'eio' or 'wait', not '%s'",
				       w->on_error);
	if (!fill_mode_of(w->fill, &m->content.fill))
		return cli_usage_error(m->self, "--fill: 'off', 'idle' or 'full', not '%s'",
				       w->fill);
	m->content.budget_s = (unsigned)w->budget_s;
	m->content.neighbours = true;
	m->content.share = true;
	m->content.profile = !w->no_profile;
	m->content.wait_for_ever = strcmp(w->on_error, "wait") == 0;
	return 0;
}

static int mount_with(struct mount_command *m, struct mount_words *w, const char *directory)
{
	struct diag d = DIAG_INIT;
	struct conf *conf = NULL;
	int status;

	if (conf_load(m->common.config, m->reference, &conf, &d))
		return cli_fail(m->self, &d);
	words_fill(w, conf);
	status = words_take(m, w);
	if (!status)
		status = check_words(m, w->list, directory);
	if (!status)
		status = mount_image(m);
	conf_free(&conf);
	return status;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct mount_command m = {.self = self, .log_fd = -1};
	struct mount_words w = {.budget_s = BUDGET_UNSET};
	auto_free char *authfile = NULL;
	char **operands;
	const struct option_row rows[] = {
		{'o', NULL, OPT_LIST, &w.list, "LIST", "mount options, see below"},
		{'f', "foreground", OPT_FLAG, &m.foreground, NULL,
		 "stay, and log to standard error"},
		{0, "log", OPT_STRING, &m.log, "FILE", "log to a file, not to syslog"},
		{0, "metrics", OPT_STRING, &m.metrics, "WHERE",
		 "figures for Prometheus: [ADDR]:PORT, unix:PATH or a file"},
		{0, "read-budget", OPT_NUMBER, &w.budget_s, "SECONDS",
		 "a read that can not be served fails after this time (60)"},
		{0, "fill", OPT_STRING, &w.fill, "off|idle|full",
		 "fetch the rest of the image, too: while nobody reads, or at once (off)"},
		{0, "no-profile", OPT_FLAG, &w.no_profile, NULL,
		 "do not record what is read first, nor replay it"},
		{0, "on-error", OPT_STRING, &w.on_error, "eio|wait",
		 "fail such a read, or keep trying for ever (eio)"},
		{0, "fsname", OPT_STRING, &m.fsname, "NAME",
		 "what the table of mounts shows as source (the reference in full)"},
		{0},
	};
	int status, n = cli_parse(self, argc, argv, rows, &m.common, &operands);

	if (n != 2)
		return cli_usage_error(self, "expected REF and DIR, got %d operand%s", n,
				       n == 1 ? "" : "s");
	m.reference = operands[0];
	if (m.common.authfile && (authfile = realpath(m.common.authfile, NULL)))
		m.common.authfile = authfile;
	status = mount_with(&m, &w, operands[1]);
	exporter_target_fini(&m.target);
	cleanup_fd(&m.log_fd);
	mount_options_fini(&m.options);
	free(m.mountpoint);
	free(w.list);
	return status;
}

const struct command cmd_mount = {
	.name = "mount",
	.synopsis = "[-f] [-o LIST] REF DIR",
	.summary = "Show an image's tree at a directory, read-only",
	.details =
		"Returns when the tree can be read; a process in the background serves it until\n"
		"'imgfs umount DIR'. What an image's layers hold is fetched when it is read.\n\n"
		"Mount options (-o a,b,...):\n"
		"  allow_other, noallow_other  whether other users may look (as root: yes)\n"
		"  suid, dev                   honour set-user-id files and capabilities, device\n"
		"                              nodes (root only; nosuid and nodev otherwise)\n"
		"  noexec                      programs can not be started\n"
		"  nonempty                    mount on a directory that is not empty\n"
		"  xattrs                      files have user.imgfs.layer, .digest and .cached: "
		"the\n"
		"                              layer and digest of their content, and how many of\n"
		"                              their bytes are here (getfattr -d)\n"
		"  read_ahead=KIB              read-ahead of the kernel (root only; 4 to 16384)\n"
		"  context=..., fscontext=..., defcontext=..., rootcontext=...   SELinux\n\n"
		"'mount -t imgfs REF DIR' and lines of fstab do the same; mount.imgfs --help.",
	.examples = "imgfs mount docker.io/library/python:3.12 /mnt\n"
		    "# everything, while nobody else reads; reads wait for a network that is away\n"
		    "imgfs mount --fill idle --on-error wait docker.io/library/python:3.12 /mnt\n"
		    "# the index that was published beside the image, signed by this key\n"
		    "imgfs mount --trust-key publish.pem registry.example.com/app:1 /mnt\n"
		    "# in the foreground, for this user alone\n"
		    "imgfs mount -f -o noallow_other oci:/srv/images/app:1 /mnt",
	.run = run,
};
