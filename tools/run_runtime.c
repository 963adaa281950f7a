/*
 * The runtime only starts the container ("run --detach") and takes its state away at the end. In
 * between the container's first process is our child (PR_SET_CHILD_SUBREAPER): its exit status and
 * what it is told are ours, the same with every runtime.
 */
#include "tools/run_runtime.h"

#include "fetch/log.h"
#include "tools/run_console.h"
#include "tools/run_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/magic.h>

#define ARGUMENTS_MAX  24
#define LOG_MAX	       (64u << 10)
#define INTERRUPTS_MAX 3     /* as docker counts them */
#define CLEAN_MS       20000 /* a runtime waits some seconds for killed processes itself */
#define OURS_MS	       10000
#define OURS_LOOK_MS   2
#define CGROUPS	       "/sys/fs/cgroup"

/* ---- which runtime ---- */

static bool is_crun(const char *program)
{
	const char *slash = strrchr(program, '/');
	return strncmp(slash ? slash + 1 : program, "crun", 4) == 0;
}

static bool cgroups_writable(void)
{
	return access(CGROUPS, W_OK) == 0;
}

/*
 * Devices are closed to a container by a cgroup, else by the mount flag nodev; crun drops the
 * latter from the root file system. In a user namespace the kernel closes them by itself.
 */
static bool leaves_devices_open(const char *program, bool in_user_ns)
{
	return is_crun(program) && !in_user_ns && !cgroups_writable();
}

static char *find_known(bool in_user_ns)
{
	static const char *const known[] = {"crun", "runc"};
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		char *program = process_find(known[i]);
		if (program && !leaves_devices_open(program, in_user_ns))
			return program;
		free(program);
	}
	return NULL;
}

err_t runtime_find(const char *wanted, bool in_user_ns, char **out, struct diag *d)
{
	*out = wanted ? process_find(wanted) : find_known(in_user_ns);
	if (*out && !leaves_devices_open(*out, in_user_ns))
		return 0;
	if (*out)
		return fail(d, ERR_OTHER, -EROFS,
			    "%s leaves devices open where " CGROUPS
			    " can not be written; install the package runc",
			    *out);
	if (wanted)
		return fail(d, ERR_OTHER, -ENOENT, "there is no runtime '%s'; --runtime names one",
			    wanted);
	return fail(d, ERR_OTHER, -ENOENT, "no OCI runtime is installed; install the package %s",
		    in_user_ns || cgroups_writable() ? "crun or runc" : "runc");
}

static bool is_cgroup2(const char *path)
{
	struct statfs figures;
	return statfs(path, &figures) == 0 && figures.f_type == CGROUP2_SUPER_MAGIC;
}

void runtime_hide_mixed_cgroups(void)
{
	static const char path[] = CGROUPS "/unified";
	if (!is_cgroup2(path) || is_cgroup2(CGROUPS))
		return;
	if (mount("none", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=0,mode=555"))
		log_debug("run.cgroups", "error=\"%s\"", strerror(errno));
}

/* "crun OPTIONS..." up to where its command follows; the number of words. */
static size_t common_words(const struct runtime *r, const char **words, char **owned)
{
	bool crun = is_crun(r->program), cgroups = !r->in_user_ns && cgroups_writable();
	size_t n = 0;
	owned[0] = xasprintf("%s/state", r->dir);
	owned[1] = xasprintf("%s%s/runtime.log", crun ? "file:" : "", r->dir);
	words[n++] = r->program;
	words[n++] = "--root";
	words[n++] = owned[0];
	words[n++] = "--log";
	words[n++] = owned[1];
	if (crun) {
		words[n++] = "--cgroup-manager";
		words[n++] = cgroups ? "cgroupfs" : "disabled";
	} else if (!cgroups) {
		words[n++] = "--rootless"; /* go on without the right to make a cgroup */
		words[n++] = "true";
	}
	return n;
}

/* ---- signals ---- */

static const int forwarded[] = {SIGINT,	 SIGTERM, SIGHUP,   SIGQUIT, SIGUSR1, SIGUSR2,
				SIGCONT, SIGALRM, SIGWINCH, SIGTSTP, SIGIO,   SIGPWR};
static int signal_pipe[2] = {-1, -1};
static volatile sig_atomic_t asked;

static bool asks_for_end(int number)
{
	return number == SIGINT || number == SIGTERM || number == SIGHUP;
}

static void on_signal(int number)
{
	int saved = errno;
	uint8_t byte = (uint8_t)number;
	if (asks_for_end(number) && !asked)
		asked = number;
	/* a full pipe means that thousands wait already */
	if (write(signal_pipe[1], &byte, 1) < 0)
		byte = 0;
	errno = saved;
}

err_t runtime_watch(struct diag *d)
{
	struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, old;
	if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK))
		return fail_sys(d, ERR_OTHER, -errno, "pipe");
	for (size_t i = 0; i < ARRAY_LEN(forwarded); i++) {
		sigaction(forwarded[i], NULL, &old);
		/* as `nohup` has it, or a shell's background job */
		if (old.sa_handler != SIG_IGN)
			sigaction(forwarded[i], &act, NULL);
	}
	return 0;
}

int runtime_stop_asked(void)
{
	return asked;
}

/* ---- running ---- */

struct running {
	const struct runtime *r;
	struct console console; /* with -t */
	pid_t pid;		/* the container's first process, or, before that, the runtime */
	bool has_started;
	uint64_t early; /* signals that came before it had: bit number n for signal n */
	unsigned interrupts;
	int64_t kill_at_ms; /* 0: not asked to end */
};

static void run_quietly(const struct runtime *r, const char *const *command)
{
	const char *words[ARGUMENTS_MAX];
	char *owned[2];
	size_t n = common_words(r, words, owned);
	for (; *command && n + 1 < ARGUMENTS_MAX; command++)
		words[n++] = *command;
	words[n] = NULL;
	int status = process_run_quietly(words, CLEAN_MS);
	log_debug("run.runtime", "command=%s status=%d", words[n - 2], status);
	free(owned[0]);
	free(owned[1]);
}

/* The death of its first process ends the others. */
static void kill_container(struct running *run)
{
	kill(run->pid, SIGKILL);
	run->kill_at_ms = now_ms() + RUN_STOP_S * 1000;
}

static void take_signal(struct running *run, int number)
{
	int passed = number;
	/* The container may be about to catch it. A runtime that hangs does not: the clock runs. */
	if (!run->has_started)
		run->early |= UINT64_C(1) << number;
	if (number == SIGTERM || number == SIGHUP) {
		/* who has lost their terminal knows what to do */
		if (number == SIGTERM || !run->r->terminal)
			passed = run->r->stop_signal;
		if (!run->kill_at_ms)
			run->kill_at_ms = now_ms() + RUN_STOP_S * 1000;
	}
	if (number == SIGINT && ++run->interrupts >= INTERRUPTS_MAX)
		kill_container(run);
	else if (number == SIGWINCH && run->r->terminal)
		console_resize(&run->console);
	else if (number != SIGTSTP && run->has_started)
		kill(run->pid, passed);
}

static void take_early_signals(struct running *run)
{
	run->interrupts = 0;
	for (int i = 1; i < 64; i++)
		if (run->early & UINT64_C(1) << i)
			take_signal(run, i);
}

static int time_left(const struct running *run)
{
	if (!run->kill_at_ms)
		return -1;
	return (int)max_of(run->kill_at_ms - now_ms(), (int64_t)0);
}

/* Until run->pid has ended. */
static void attend(struct running *run)
{
	auto_fd int process = pidfd_open(run->pid, 0);
	struct pollfd fds[2 + CONSOLE_FDS] = {
		{.fd = signal_pipe[0], .events = POLLIN},
		{.fd = process, .events = POLLIN},
	};
	while (process >= 0) {
		uint8_t number;
		console_poll(&run->console, fds + 2);
		int n = poll(fds, ARRAY_LEN(fds), time_left(run));
		if (n < 0 && errno != EINTR)
			return;
		while (read(signal_pipe[0], &number, 1) == 1)
			take_signal(run, number);
		if (n > 0 && console_move(&run->console, fds + 2)) {
			/* A shell that is about to read could sleep through the signal alone. */
			console_hang_up(&run->console);
			take_signal(run, SIGHUP);
		}
		if (n > 0 && fds[1].revents)
			return;
		if (run->kill_at_ms && now_ms() >= run->kill_at_ms)
			kill_container(run);
	}
}

static _Noreturn void become_runtime(const struct runtime *r, const char **words)
{
	sigset_t none;
	sigemptyset(&none);
	signal(SIGPIPE, SIG_DFL); /* this command ignores it; a container expects it */
	sigprocmask(SIG_SETMASK, &none, NULL);
	setrlimit(RLIMIT_NOFILE, &r->files);
	setpgid(0, 0); /* a Ctrl-C reaches the container once: through us */
	if (!r->interactive || r->terminal) {
		int null = open("/dev/null", O_RDONLY);
		if (null >= 0)
			dup2(null, STDIN_FILENO);
	}
	execv(r->program, (char *const *)(uintptr_t)words);
	dprintf(STDERR_FILENO, "imgfs run: %s: %s\n", r->program, strerror(errno));
	_exit(RUN_STATUS_FAILED);
}

/* "run --detach": the runtime leaves when the container's process is about to start. */
static pid_t start(const struct running *run, const char *pid_file)
{
	const struct runtime *r = run->r;
	const char *words[ARGUMENTS_MAX];
	char *owned[2];
	size_t n = common_words(r, words, owned);
	words[n++] = "run";
	words[n++] = "--detach";
	words[n++] = "--bundle";
	words[n++] = r->dir;
	words[n++] = "--pid-file";
	words[n++] = pid_file;
	if (r->terminal) {
		words[n++] = "--console-socket";
		words[n++] = run->console.path;
	}
	words[n++] = r->id;
	BUG_ON(n >= ARGUMENTS_MAX);
	words[n] = NULL;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		become_runtime(r, words);
	free(owned[0]);
	free(owned[1]);
	return pid;
}

/* Whoever started the container's process may be a process of the runtime that outlives the runtime
 * for a moment: it becomes our child, alive or dead, when that one ends. */
static int end_of(pid_t pid)
{
	int64_t until_ms = now_ms() + OURS_MS;
	int status;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno == EINTR)
			continue;
		if (errno != ECHILD || now_ms() >= until_ms) {
			log_warn("run.status", "pid=%d error=\"%s\"", (int)pid, strerror(errno));
			return RUN_STATUS_FAILED;
		}
		nanosleep(&(struct timespec){.tv_nsec = OURS_LOOK_MS * 1000000L}, NULL);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The runtime has said why it failed; its words decide what the status is. */
static int status_of_failure(const struct runtime *r)
{
	auto_free char *path = xasprintf("%s/runtime.log", r->dir);
	auto_buf struct buf text = {0};
	if (read_file(path, LOG_MAX, &text) || buf_append_zeros(&text, 1))
		return RUN_STATUS_FAILED;
	const char *said = (const char *)text.p;
	if (strcasestr(said, "permission denied") || strcasestr(said, "exec format error"))
		return RUN_STATUS_NO_PROGRAM;
	return strcasestr(said, "executable file") ? RUN_STATUS_NOT_FOUND : RUN_STATUS_FAILED;
}

static pid_t read_pid(const char *path)
{
	auto_buf struct buf text = {0};
	if (read_file(path, 64, &text) || buf_append_zeros(&text, 1))
		return -1;
	long pid = strtol((const char *)text.p, NULL, 10);
	return pid > 1 && pid <= INT32_MAX ? (pid_t)pid : -1;
}

static err_t run_to_end(struct running *run, int *status, struct diag *d)
{
	const struct runtime *r = run->r;
	auto_free char *pid_file = xasprintf("%s/pid", r->dir);
	run->pid = start(run, pid_file);
	if (run->pid < 0)
		return fail_sys(d, ERR_OTHER, -errno, "fork");
	attend(run);
	int ended = end_of(run->pid);
	if (ended) {
		*status = 128 + runtime_stop_asked();
		if (runtime_stop_asked())
			return 0;
		if (ended > 128)
			return fail(d, ERR_OTHER, -EIO, "%s was ended by signal %d", r->program,
				    ended - 128);
		*status = status_of_failure(r);
		return 0;
	}
	run->pid = read_pid(pid_file);
	if (run->pid < 0)
		return fail(d, ERR_OTHER, -EIO, "%s has not said which process it started",
			    r->program);
	run->has_started = true;
	err_t err = r->terminal ? console_accept(&run->console, d) : 0;
	if (err)
		return err;
	take_early_signals(run);
	attend(run);
	*status = end_of(run->pid);
	console_drain(&run->console);
	return 0;
}

err_t runtime_run(const struct runtime *r, int *status, struct diag *d)
{
	struct running run = {.r = r, .console = {.socket = -1, .master = -1}};
	err_t err = 0;
	/* The container's process becomes our child when the runtime leaves. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		err = fail_sys(d, ERR_OTHER, -errno, "prctl");
	if (!err && r->terminal)
		err = console_open(r->dir, &run.console, d);
	if (!err)
		err = run_to_end(&run, status, d);
	console_close(&run.console);
	runtime_clean(r->program, r->dir, r->id, r->in_user_ns);
	return err;
}

void runtime_clean(const char *program, const char *dir, const char *id, bool in_user_ns)
{
	struct runtime r = {.program = program, .dir = dir, .id = id, .in_user_ns = in_user_ns};
	auto_free char *state = xasprintf("%s/state/%s", dir, id);
	if (!access(state, F_OK))
		run_quietly(&r, (const char *const[]){"delete", "--force", id, NULL});
}
