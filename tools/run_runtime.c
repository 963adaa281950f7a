/*
 * Without a terminal the runtime gets a process group of its own, so that a Ctrl-C reaches it once:
 * through us. On a terminal it must be in the foreground group, and the keys are bytes to it.
 */
#include "tools/run_runtime.h"

#include "fetch/log.h"
#include "tools/run_process.h"
#include "tools/terminal.h"

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
#include <termios.h>
#include <unistd.h>

#include <linux/magic.h>

#define ARGUMENTS_MAX  16
#define LOG_MAX	       (64u << 10)
#define INTERRUPTS_MAX 3     /* as docker counts them */
#define CLEAN_MS       20000 /* a runtime waits some seconds for killed processes itself */
#define CGROUPS	       "/sys/fs/cgroup"

/* ---- which runtime ---- */

static bool is_crun(const char *program)
{
	const char *slash = strrchr(program, '/');
	return strncmp(slash ? slash + 1 : program, "crun", 4) == 0;
}

err_t runtime_find(const char *wanted, char **out, struct diag *d)
{
	static const char *const known[] = {"crun", "runc"};
	for (size_t i = 0; !wanted && i < ARRAY_LEN(known); i++) {
		*out = process_find(known[i]);
		if (*out)
			return 0;
	}
	*out = wanted ? process_find(wanted) : NULL;
	if (*out)
		return 0;
	if (wanted)
		return fail(d, ERR_OTHER, -ENOENT, "there is no runtime '%s'; --runtime names one",
			    wanted);
	return fail(d, ERR_OTHER, -ENOENT,
		    "no OCI runtime is installed; install the package crun or runc");
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
	bool crun = is_crun(r->program), whole = is_cgroup2(CGROUPS) && !access(CGROUPS, W_OK);
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
		words[n++] = whole ? "cgroupfs" : "disabled";
	} else if (access(CGROUPS, W_OK)) {
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
	pid_t pid;
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

static void kill_container(struct running *run)
{
	run_quietly(run->r, (const char *const[]){"kill", run->r->id, "KILL", NULL});
	run->kill_at_ms = now_ms() + RUN_STOP_S * 1000; /* in case that it was not there yet */
}

static void take_signal(struct running *run, int number)
{
	int passed = number;
	if (number == SIGTERM || number == SIGHUP) {
		passed = run->r->stop_signal;
		if (!run->kill_at_ms)
			run->kill_at_ms = now_ms() + RUN_STOP_S * 1000;
	}
	if (number == SIGINT && ++run->interrupts >= INTERRUPTS_MAX) {
		kill_container(run);
		return;
	}
	if (number != SIGTSTP)
		kill(run->pid, passed);
}

static int time_left(const struct running *run)
{
	if (!run->kill_at_ms)
		return -1;
	return (int)max_of(run->kill_at_ms - now_ms(), (int64_t)0);
}

/* Until the runtime has ended. */
static void attend(struct running *run)
{
	auto_fd int process = pidfd_open(run->pid, 0);
	struct pollfd fds[] = {
		{.fd = signal_pipe[0], .events = POLLIN},
		{.fd = process, .events = POLLIN},
	};
	while (process >= 0) {
		uint8_t number;
		int n = poll(fds, ARRAY_LEN(fds), time_left(run));
		if (n < 0 && errno != EINTR)
			return;
		if (n > 0 && fds[1].revents)
			return;
		while (n > 0 && read(signal_pipe[0], &number, 1) == 1)
			take_signal(run, number);
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
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	setrlimit(RLIMIT_NOFILE, &r->files);
	if (!r->terminal)
		setpgid(0, 0);
	if (!r->interactive) {
		int null = open("/dev/null", O_RDONLY);
		if (null >= 0)
			dup2(null, STDIN_FILENO);
	}
	execv(r->program, (char *const *)(uintptr_t)words);
	dprintf(STDERR_FILENO, "imgfs run: %s: %s\n", r->program, strerror(errno));
	_exit(RUN_STATUS_FAILED);
}

static pid_t start(const struct runtime *r)
{
	const char *words[ARGUMENTS_MAX];
	char *owned[2];
	size_t n = common_words(r, words, owned);
	words[n++] = "run";
	words[n++] = "--bundle";
	words[n++] = r->dir;
	words[n++] = r->id;
	words[n] = NULL;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		become_runtime(r, words);
	free(owned[0]);
	free(owned[1]);
	return pid;
}

/* The runtime has written to its log only when it was it that failed. */
static int status_of_failure(const struct runtime *r, int status)
{
	auto_free char *path = xasprintf("%s/runtime.log", r->dir);
	auto_buf struct buf text = {0};
	if (read_file(path, LOG_MAX, &text) || buf_append_zeros(&text, 1))
		return status;
	const char *said = (const char *)text.p;
	if (is_crun(r->program) ? !*said : !strstr(said, "level=error"))
		return status;
	if (strcasestr(said, "permission denied") || strcasestr(said, "exec format error"))
		return RUN_STATUS_NO_PROGRAM;
	if (strcasestr(said, "executable file"))
		return RUN_STATUS_NOT_FOUND;
	return RUN_STATUS_FAILED;
}

static int wait_for(const struct runtime *r, pid_t pid)
{
	int status;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return RUN_STATUS_FAILED;
	if (!WIFEXITED(status)) {
		fprintf(stderr, "imgfs run: %s was ended by signal %d\n", r->program,
			WTERMSIG(status));
		return RUN_STATUS_FAILED;
	}
	status = WEXITSTATUS(status);
	return status ? status_of_failure(r, status) : 0;
}

err_t runtime_run(const struct runtime *r, int *status, struct diag *d)
{
	struct running run = {.r = r};
	struct termios modes;
	bool restore = r->terminal && tcgetattr(STDIN_FILENO, &modes) == 0;
	run.pid = start(r);
	if (run.pid < 0)
		return fail_sys(d, ERR_OTHER, -errno, "fork");
	attend(&run);
	*status = wait_for(r, run.pid);
	if (restore)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &modes);
	runtime_clean(r->program, r->dir, r->id);
	return 0;
}

void runtime_clean(const char *program, const char *dir, const char *id)
{
	struct runtime r = {.program = program, .dir = dir, .id = id};
	auto_free char *state = xasprintf("%s/state/%s", dir, id);
	if (!access(state, F_OK))
		run_quietly(&r, (const char *const[]){"delete", "--force", id, NULL});
}
