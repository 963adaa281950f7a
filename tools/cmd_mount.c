/*
 * imgfs mount: everything is checked and opened before the kernel hears of it, so that a mount that
 * can not work never exists; then one process stays behind and serves it.
 */
#include "fetch/log.h"
#include "fs/daemon.h"
#include "fs/mountpoint.h"
#include "fs/stop.h"
#include "tools/read_options.h"
#include "tools/serve.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#define MOUNT_ROWS 5 /* options that no other command has */

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
	bool foreground;
	struct daemon daemon;
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
static err_t check_apart(const struct mount_command *m, const struct cli_image *ci, struct diag *d)
{
	const struct ref *ref = &ci->image->ref;
	err_t err = mountpoint_check_apart(m->mountpoint, store_dir(ci->store), "store", d);

	if (!err && ref->kind == REF_OCI_LAYOUT)
		err = mountpoint_check_apart(m->mountpoint, ref->dir, "image layout", d);
	return err;
}

/* The tree can be read: from here on errors go to the log. */
static err_t become_ready(struct serving *s, void *arg, struct diag *d)
{
	struct mount_command *m = arg;

	if (m->log_fd >= 0)
		log_to_fd(m->log_fd);
	else if (!m->foreground)
		log_to_syslog();
	m->log_fd = -1;
	serving_begin(s);
	return m->foreground ? 0 : daemon_ready(&m->daemon, d);
}

static err_t serve_prepared(struct mount_command *m, const struct cli_image *ci,
			    struct mount_record **record, struct diag *d)
{
	const struct serve_options options = {
		.mountpoint = m->mountpoint,
		.fsname = m->fsname,
		.mount = &m->options,
		.metrics = m->metrics ? &m->target : NULL,
		.content = m->content,
		.ready = become_ready,
		.arg = m,
	};
	err_t err = stop_install(d);

	return err ? err : serve_image(ci, &options, record, d);
}

static int serve(struct mount_command *m)
{
	struct cli_image ci = {0};
	struct mount_record *record = NULL;
	struct diag d = DIAG_INIT;
	struct image_options options = image_options_of(&m->common);
	int status;

	/* What is here of a layer can be said only once its index is open. */
	options.lazy_layers = !m->options.xattrs;
	status = cli_open_image_with(m->self, &m->common, &options, m->reference, false, &ci);
	if (status)
		return status;
	if (check_apart(m, &ci, &d))
		status = cli_fail(m->self, &d);
	if (!status)
		status = cli_prepare_image(m->self, &ci);
	if (!status && serve_prepared(m, &ci, &record, &d))
		status = cli_fail(m->self, &d);
	cli_close_image(&ci);
	mount_record_leave(&record);
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
	descriptors_raise(NULL);
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

/* What imgfs.conf says goes before what was typed: the later word wins. */
static char *join_lists(char *typed, const struct conf *conf)
{
	const struct conf_setting *s = conf_get(conf, "mount-options");
	char *joined;

	if (!s)
		return typed;
	joined = typed ? xasprintf("%s,%s", s->value, typed) : xstrdup(s->value);
	free(typed);
	return joined;
}

static int mount_with(struct mount_command *m, const struct read_options *reading, char **list,
		      const char *directory)
{
	struct diag d = DIAG_INIT;
	struct conf *conf = NULL;
	int status;

	if (conf_load(m->common.config, m->reference, &conf, &d))
		return cli_fail(m->self, &d);
	*list = join_lists(*list, conf);
	status = read_options_take(m->self, reading, conf, &m->content);
	if (!status)
		status = check_words(m, *list, directory);
	if (!status)
		status = mount_image(m);
	conf_free(&conf);
	return status;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct mount_command m = {.self = self, .log_fd = -1};
	struct read_options reading = READ_OPTIONS_INIT;
	auto_free char *list = NULL;
	auto_free char *authfile = NULL;
	char **operands;
	struct option_row rows[MOUNT_ROWS + READ_OPTIONS_ROWS + 1] = {
		{'o', NULL, OPT_LIST, &list, "LIST", "mount options, see below"},
		{'f', "foreground", OPT_FLAG, &m.foreground, NULL,
		 "stay, and log to standard error"},
		{0, "log", OPT_STRING, &m.log, "FILE", "log to a file, not to syslog"},
		{0, "metrics", OPT_STRING, &m.metrics, "WHERE",
		 "figures for Prometheus: [ADDR]:PORT, unix:PATH or a file, while it is mounted"},
		{0, "fsname", OPT_STRING, &m.fsname, "NAME",
		 "what the table of mounts shows as source (the reference in full)"},
	};

	read_options_rows(&reading, rows + MOUNT_ROWS);
	int status, n = cli_parse(self, argc, argv, rows, &m.common, &operands);

	if (n != 2)
		return cli_usage_error(self, "expected REF and DIR, got %d operand%s", n,
				       n == 1 ? "" : "s");
	m.reference = operands[0];
	if (m.common.authfile && (authfile = realpath(m.common.authfile, NULL)))
		m.common.authfile = authfile;
	status = mount_with(&m, &reading, &list, operands[1]);
	exporter_target_fini(&m.target);
	cleanup_fd(&m.log_fd);
	mount_options_fini(&m.options);
	free(m.mountpoint);
	return status;
}

const struct command cmd_mount = {
	.name = "mount",
	.synopsis = "[-f] [-o LIST] REF DIR",
	.summary = "Show an image's tree at a directory, read-only",
	.details =
		"Returns when the tree can be read; a process in the background serves it until\n"
		"'imgfs umount DIR'. What an image's layers hold is fetched when it is read;\n"
		"the image's program also when overlayfs is laid over DIR.\n\n"
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
