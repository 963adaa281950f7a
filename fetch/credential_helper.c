/*
 * Credential helpers: a program that is given a server's name and answers with a secret. It is
 * somebody else's program, so it gets a short environment, no descriptors of ours, a time limit,
 * and its output is never logged.
 */
#include "fetch/credentials.h"

#include "fetch/json.h"
#include "fetch/log.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define HELPER_NAME_MAX 64
#define HELPER_ENV_MAX	64

extern char **environ;

bool credential_helper_name_valid(const char *name)
{
	size_t n = strlen(name);
	return n > 0 && n <= HELPER_NAME_MAX && name[0] != '.' && name[0] != '-' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
		       n;
}

/* What helpers need to find key rings, agents and cloud accounts. */
static bool env_passes(const char *entry)
{
	static const char *const names[] = {
		"HOME=",	  "PATH=",	  "USER=",
		"LOGNAME=",	  "LANG=",	  "XDG_",
		"DBUS_",	  "DISPLAY=",	  "WAYLAND_DISPLAY=",
		"GNUPGHOME=",	  "GPG_",	  "PASSWORD_STORE_",
		"DOCKER_CONFIG=", "AWS_",	  "GOOGLE_",
		"CLOUDSDK_",	  "AZURE_",	  "SSL_CERT_",
		"https_proxy=",	  "HTTPS_PROXY=", "http_proxy=",
		"no_proxy=",	  "NO_PROXY=",
	};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strncmp(entry, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static void short_environment(char *out[HELPER_ENV_MAX + 1])
{
	size_t n = 0;
	for (char **entry = environ; entry && *entry && n < HELPER_ENV_MAX; entry++)
		if (env_passes(*entry))
			out[n++] = *entry;
	out[n] = NULL;
}

struct helper {
	pid_t pid;
	int in, out;
};

/* In a process group of its own, so that what it started ends with it. */
static err_t spawn(const char *program, int in, int out, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	char *env[HELPER_ENV_MAX + 1];
	char get[] = "get";
	auto_free char *name = xstrdup(program);
	char *argv[] = {name, get, NULL};
	short_environment(env);
	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	err_t err = -posix_spawnp(pid, program, &actions, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return err;
}

static err_t start(const char *program, struct helper *out)
{
	int to[2], from[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, to) < 0)
		return -errno;
	if (pipe2(from, O_CLOEXEC) < 0) {
		err_t err = -errno;
		close(to[0]);
		close(to[1]);
		return err;
	}
	err_t err = spawn(program, to[0], from[1], &out->pid);
	close(to[0]);
	close(from[1]);
	out->in = to[1];
	out->out = from[0];
	if (err) {
		close(out->in);
		close(out->out);
	}
	return err;
}

/* The server's name fits any socket buffer; a helper that does not read it is no error, and must
 * not send us SIGPIPE. */
static void tell(struct helper *h, const char *server)
{
	auto_free char *line = xasprintf("%s\n", server);
	if (send(h->in, line, strlen(line), MSG_NOSIGNAL) < 0)
		log_debug("credentials.helper", "server=%s does not listen", server);
	close(h->in);
}

static err_t listen_to(struct helper *h, struct buf *out)
{
	int64_t deadline_ms = now_ms() + CREDENTIAL_HELPER_TIMEOUT_S * 1000;
	char piece[4096];
	out->limit = CREDENTIAL_HELPER_OUTPUT_MAX;
	for (;;) {
		struct pollfd fd = {.fd = h->out, .events = POLLIN};
		int64_t left = deadline_ms - now_ms();
		if (left <= 0)
			return -ETIMEDOUT;
		int ready = poll(&fd, 1, (int)left);
		if (ready < 0 && errno != EINTR)
			return -errno;
		if (ready <= 0)
			continue;
		ssize_t n = read(h->out, piece, sizeof(piece));
		if (n == 0)
			break;
		err_t err = n < 0 ? -errno : buf_append(out, piece, (size_t)n);
		explicit_bzero(piece, sizeof(piece));
		if (err)
			return err;
	}
	return 0;
}

/* Wait for its end; kill it when it closed its output but lives on. */
static bool reap(struct helper *h, bool kill_now)
{
	int status = 0;
	int64_t deadline_ms = now_ms() + 1000;
	pid_t done = 0;
	while (!kill_now && (done = waitpid(h->pid, &status, WNOHANG)) == 0 &&
	       now_ms() < deadline_ms)
		usleep(2000);
	if (done != h->pid) {
		kill(-h->pid, SIGKILL);
		while (waitpid(h->pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	close(h->out);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool says_none(const struct buf *output)
{
	static const char none[] = "credentials not found in native keychain";
	return memmem(output->p, output->n, none, strlen(none)) != NULL;
}

/* A username of <token> says that the secret is an identity token. */
static err_t read_answer(const char *program, const struct buf *output, struct credential *out,
			 struct diag *d)
{
	json_t *root;
	if (json_parse_object(buf_bytes(output), &root, NULL))
		return fail(d, ERR_DENIED, -EIO, "%s answered no JSON", program);
	const char *user = json_string_value(json_object_get(root, "Username"));
	const char *secret = json_string_value(json_object_get(root, "Secret"));
	bool good = user && secret;
	if (good && strcmp(user, "<token>") == 0) {
		out->identity_token = xstrdup(secret);
	} else if (good && *user) {
		out->username = xstrdup(user);
		out->password = xstrdup(secret);
	}
	if (good)
		out->origin = xstrdup(program);
	json_decref(root);
	return good ? 0 : fail(d, ERR_DENIED, -EIO, "%s answered something else", program);
}

err_t credential_helper_get(const char *name, const char *server, struct credential *out,
			    struct diag *d)
{
	struct helper helper;
	struct buf output = {0};
	*out = (struct credential){0};
	if (!credential_helper_name_valid(name))
		return fail(d, ERR_USAGE, -EINVAL, "'%.80s' is not a credential helper's name",
			    name);
	auto_free char *program = xasprintf("docker-credential-%s", name);
	err_t err = start(program, &helper);
	if (err)
		return fail_sys(d, ERR_DENIED, err, "%s", program);
	tell(&helper, server);
	err = listen_to(&helper, &output);
	bool success = reap(&helper, err != 0);
	if (err)
		err = fail_sys(d, ERR_DENIED, err, "%s", program);
	else if (success)
		err = read_answer(program, &output, out, d);
	else if (!says_none(&output))
		err = fail(d, ERR_DENIED, -EIO, "%s failed", program);
	if (output.p)
		explicit_bzero(output.p, output.n);
	buf_fini(&output);
	return err;
}
