/*
 * imgfs run: one process mounts the image and serves it, lays a writable overlay on it and waits
 * for the OCI runtime that runs the container.
 *
 * It all happens in a mount namespace of its own, so that nothing of it can be left mounted. What
 * kill -9 of this process leaves, a guard takes away (tools/run_guard.h), else the next run. The
 * container runs inside the `ready` call of the session: from there until it ends, FUSE threads
 * answer.
 */
#include "fetch/log.h"
#include "tools/read_options.h"
#include "tools/run_bundle.h"
#include "tools/run_dir.h"
#include "tools/run_guard.h"
#include "tools/run_ns.h"
#include "tools/run_plan.h"
#include "tools/run_root.h"
#include "tools/run_runtime.h"
#include "tools/run_top.h"
#include "tools/serve.h"
#include "tools/terminal.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define RUN_ROWS 32

struct run_command {
	const struct command *self;
	struct common_options common;
	struct run_options options;
	struct content_options content;
	const char *reference, *keep, *runtime, *log;
	char *const *words; /* behind REF */
	bool interactive;
	/* while it runs */
	struct rlimit files; /* as we were started */
	struct run_ns ns;
	struct run_dir dir;
	struct run_top top;
	struct run_spec spec;
	char *program, *id;		 /* of the runtime; its name for the container */
	char *image, *rootfs, *expanded; /* mount points; the reference */
	struct cli_image ci;
	struct mount_record *record;
	bool has_run;
	int status; /* once it has run */
};

/* ---- inside the mount ---- */

static err_t find_user(struct run_command *r, int root, struct diag *d)
{
	auto_buf struct buf passwd = {0};
	auto_buf struct buf group = {0};
	const struct image_config *config = &r->ci.image->config;
	err_t err = run_root_read(root, "/etc/passwd", RUN_USER_FILE_MAX, &passwd);
	if (err)
		return fail_sys(d, ERR_OTHER, err, "/etc/passwd of the image");
	err = run_root_read(root, "/etc/group", RUN_USER_FILE_MAX, &group);
	if (err)
		return fail_sys(d, ERR_OTHER, err, "/etc/group of the image");
	err = run_plan_user(&r->options, config, buf_bytes(&passwd), buf_bytes(&group), &r->spec,
			    d);
	if (!err && r->ns.single_id && (r->spec.user.uid || r->spec.user.gid))
		err = fail(d, ERR_DENIED, -EPERM,
			   "user %u of the image does not exist for you; '-u 0' runs as root of "
			   "the container; a range of ids in /etc/subuid and /etc/subgid, and the "
			   "package uidmap, give you others",
			   r->spec.user.uid);
	return err;
}

/* -t, and without a terminal what docker says. */
static int check_terminal(const struct run_command *r)
{
	if (!r->options.terminal || terminal_is(STDIN_FILENO))
		return 0;
	return cli_usage_error(r->self, "-t: standard input is not a terminal; leave -t out");
}

static err_t run_container(struct run_command *r, struct diag *d)
{
	auto_fd int root = open(r->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct runtime runtime = {
		.program = r->program,
		.dir = r->dir.path,
		.id = r->id,
		.in_user_ns = r->ns.in_user_ns,
		.interactive = r->interactive || r->options.terminal,
		.terminal = r->options.terminal,
		.stop_signal = run_signal_parse(r->spec.stop_signal),
		.files = r->files,
	};
	err_t err = root < 0 ? fail_sys(d, ERR_OTHER, -errno, "%s", r->rootfs) : 0;
	if (!err)
		err = find_user(r, root, d);
	if (!err)
		err = run_bundle_write(r->dir.path, &r->spec, d);
	if (err)
		return err;
	r->status = run_root_program(root, &r->spec, r->options.volumes.n > 0, d);
	if (r->status)
		return -ENOENT;
	cleanup_fd(&root);
	root = -1;
	err = run_dir_note(&r->dir, r->program, r->id, d);
	if (!err && runtime_stop_asked()) {
		r->status = 128 + runtime_stop_asked();
		r->has_run = true;
		return 0;
	}
	if (!err)
		err = runtime_run(&runtime, &r->status, d);
	r->has_run = !err;
	return err;
}

/* The tree can be read: the `ready` call of the session. */
static err_t lay_and_run(struct serving *s, void *arg, struct diag *d)
{
	struct run_command *r = arg;
	serving_begin(s);
	serving_expect(s, r->spec.args, r->spec.cwd);
	err_t err = run_top_mount(&r->top, r->ci.image->tree, r->image, r->rootfs,
				  r->options.privileged, r->ns.in_user_ns, d);
	if (err)
		return err;
	err = run_container(r, d);
	if (umount2(r->rootfs, 0) && umount2(r->rootfs, MNT_DETACH))
		log_warn("run.unmount", "path=%s error=\"%s\"", r->rootfs, strerror(errno));
	return err ? err : -ECANCELED; /* the session has done its work */
}

/* ---- around it ---- */

static err_t serve(struct run_command *r, struct diag *d)
{
	const struct mount_options mount = {.allow_other = true, .dev = r->options.privileged};
	const struct serve_options options = {
		.mountpoint = r->image,
		.mount = &mount,
		.content = r->content,
		.ready = lay_and_run,
		.arg = r,
	};
	return serve_image(&r->ci, &options, &r->record, d);
}

static err_t plan(struct run_command *r, struct diag *d)
{
	char name[HOST_NAME_MAX + 1] = "";
	const struct image_config *config = &r->ci.image->config;
	bool host_name = !r->options.net || !strcmp(r->options.net, "host");
	if (!host_name || gethostname(name, sizeof(name) - 1))
		snprintf(name, sizeof(name), "%s", r->id);
	err_t err = run_plan_make(&r->options, config, r->words, name, &r->spec, d);
	free(r->spec.reference);
	r->spec.reference = xstrdup(r->expanded);
	r->spec.in_user_ns = r->ns.in_user_ns;
	r->spec.groups_fixed = r->ns.groups_fixed;
	r->spec.no_tty_group = r->ns.no_tty_group;
	struct winsize size;
	if (r->spec.terminal && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0) {
		r->spec.rows = size.ws_row;
		r->spec.columns = size.ws_col;
	}
	if (!err)
		err = run_bundle_etc(r->dir.path, &r->spec, d);
	return err ? err : run_plan_volumes(&r->options, &r->spec, d);
}

static err_t make_places(struct run_command *r, struct diag *d)
{
	char digest[DIGEST_TEXT_MAX];
	err_t err = run_dir_new(&r->dir, d);
	if (err)
		return err;
	r->id = xasprintf("%s-%s", r->options.name ? r->options.name : "imgfs",
			  run_dir_token(&r->dir));
	r->image = run_dir_file(&r->dir, "image");
	r->rootfs = run_dir_file(&r->dir, "rootfs");
	auto_free char *top = run_dir_file(&r->dir, "top");
	if (mkdir(r->image, 0700) || mkdir(r->rootfs, 0700))
		return fail_sys(d, ERR_OTHER, -errno, "%s", r->dir.path);
	return run_top_open(r->keep ? r->keep : top, r->keep != NULL,
			    digest_text(&r->ci.image->digest, digest), r->ci.image->tree, &r->top,
			    d);
}

static void unmake(struct run_command *r)
{
	run_top_close(&r->top);
	/* a tmpfs, where the disk could not carry an overlay */
	if (r->dir.path) {
		auto_free char *top = run_dir_file(&r->dir, "top");
		umount2(top, MNT_DETACH);
	}
	mount_record_leave(&r->record);
	run_dir_remove(&r->dir);
	run_spec_fini(&r->spec);
	cli_close_image(&r->ci);
	free(r->image);
	free(r->rootfs);
	free(r->expanded);
	free(r->id);
}

/* docker's and podman's status for what went wrong before there was a container. */
static int failed(const struct run_command *r, const struct diag *d)
{
	int status = cli_fail(r->self, d);
	return r->status ? r->status : status == ERR_USAGE ? ERR_USAGE : RUN_STATUS_FAILED;
}

static int run_image(struct run_command *r)
{
	struct diag d = DIAG_INIT;
	int status = cli_open_image(r->self, &r->common, r->reference, true, &r->ci);
	if (status > 128)
		return status;
	if (status)
		return RUN_STATUS_FAILED;
	r->expanded = ref_text(&r->ci.image->ref);
	err_t err = runtime_watch(&d);
	if (!err)
		err = make_places(r, &d);
	if (!err)
		err = plan(r, &d);
	if (!err)
		err = serve(r, &d);
	status = r->has_run ? r->status : failed(r, &d);
	unmake(r);
	return status;
}

/* ---- the command ---- */

static err_t log_open(const char *path, struct diag *d)
{
	if (!path)
		return 0;
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
	if (fd < 0)
		return fail_sys(d, ERR_OTHER, -errno, "log file %s", path);
	log_to_fd(fd);
	return 0;
}

static int prepare(struct run_command *r)
{
	struct diag d = DIAG_INIT;
	err_t err = log_open(r->log, &d);
	descriptors_raise(&r->files);
	if (!err)
		err = run_ns_enter(&r->ns, &d);
	if (!err)
		err = runtime_find(r->runtime, r->ns.in_user_ns, &r->program, &d);
	if (err)
		return failed(r, &d);
	runtime_hide_mixed_cgroups();
	run_dirs_clean(r->ns.in_user_ns);
	mounts_clean();
	struct guard guard;
	guard_start(r->ns.in_user_ns, &guard);
	int status = run_image(r);
	guard_dismiss(&guard);
	return status;
}

/* What imgfs.conf says of this image, too. */
static int configure(struct run_command *r, const struct read_options *reading)
{
	struct diag d = DIAG_INIT;
	struct conf *conf = NULL;
	if (conf_load(r->common.config, r->reference, &conf, &d))
		return cli_fail(r->self, &d);
	int status = read_options_take(r->self, reading, conf, &r->content);
	conf_free(&conf);
	return status;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct run_command r = {.self = self, .dir = {.fd = -1}, .top = {.fd = -1}};
	struct read_options reading = READ_OPTIONS_INIT;
	bool rm = false;
	struct diag d = DIAG_INIT;
	char **operands;
	struct option_row rows[RUN_ROWS] = {
		{'i', "interactive", OPT_FLAG, &r.interactive, NULL,
		 "the command reads standard input"},
	};
	const struct option_row more[] = {
		{0, "keep", OPT_STRING, &r.keep, "DIR",
		 "keep what the container writes there, and go on from it"},
		{0, "rm", OPT_FLAG, &rm, NULL, "as always: nothing stays without --keep"},
		{0, "runtime", OPT_STRING, &r.runtime, "PROGRAM", "the OCI runtime (crun, runc)"},
		{0, "log", OPT_STRING, &r.log, "FILE", "log to a file, not to standard error"},
	};
	size_t n_rows = 1 + run_plan_rows(&r.options, rows + 1);
	n_rows += read_options_rows(&reading, rows + n_rows);
	memcpy(rows + n_rows, more, sizeof(more));
	int n = cli_parse(self, argc, argv, rows, &r.common, &operands);
	if (n == 0)
		return cli_usage_error(self, "a reference is missing");
	if (run_plan_check(&r.options, &d))
		return failed(&r, &d);
	if (check_terminal(&r))
		return ERR_USAGE;
	r.reference = operands[0];
	r.words = operands + 1;
	if (*r.words && !strcmp(*r.words, "--"))
		r.words++;
	int status = configure(&r, &reading);
	if (!status)
		status = prepare(&r);
	free(r.program);
	return status;
}

const struct command cmd_run = {
	.name = "run",
	.synopsis = "[-it] [-e NAME=VALUE] [-v SRC:DST] ... REF [COMMAND [ARGUMENT...]]",
	.summary = "Run a command of an image in a container, without pulling the image",
	.details =
		"Mounts the image, lays a writable overlay on it and starts COMMAND, or what the "
		"image\n"
		"names, with an OCI runtime (crun or runc). When it ends, everything is taken "
		"away, "
		"but\n"
		"with --keep DIR what was written stays in DIR/upper.\n\n"
		"Options stand before REF: what follows it belongs to the command.\n\n"
		"Exit status: that of the command; 127 if the image has no such command, 126 if it "
		"can\n"
		"not be started, 125 if imgfs or the runtime failed, 2 for a wrong command "
		"line.\n\n"
		"SIGTERM and SIGHUP stop the container by the image's stop signal, and kill it 10 "
		"seconds\n"
		"later; without -t the third Ctrl-C kills it, with -t Ctrl-C goes to the program. "
		"Other\n"
		"signals are passed on.\n\n"
		"A plain user runs it in a user namespace: root inside is that user outside. Trust "
		"files and\n"
		"keys must be that user's own then.",
	.examples = "# a shell in an image\n"
		    "imgfs run -it docker.io/library/debian bash\n"
		    "# a tool on files of this machine\n"
		    "imgfs run -v .:/src -w /src docker.io/library/python:3.12 python3 test.py\n"
		    "# keep what is written, and go on another time\n"
		    "imgfs run --keep ./top docker.io/library/debian touch /made",
	.options_first = true,
	.run = run,
};
