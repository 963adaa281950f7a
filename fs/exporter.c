/*
 * One thread beside those that serve the mount. It reads the record as everybody else does, so it
 * takes no lock that a reader could wait for. A file is written under another name and renamed: who
 * reads it finds the old figures or the new ones. The directory was opened once, since a daemon
 * leaves the one that it was started in.
 */
#include "fs/exporter.h"

#include "fetch/log.h"
#include "fs/http_page.h"
#include "fs/metrics.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG	     64
#define THREAD_STACK (256u << 10)

struct exporter {
	enum exporter_kind kind;
	char *text; /* for messages */
	char *name; /* of the file or socket, in its directory */
	int dir_fd, listen_fd, stop_fd;
	const struct mount_record *record;
	ino_t written; /* the file that was written last; 0: none yet */
	bool started;
	pthread_t thread;
};

/* ---- places ---- */

static bool lies_below(const char *path, const char *above)
{
	size_t n = strlen(above);

	return strncmp(path, above, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* The directory of a file or socket, and its name there. */
static err_t find_place(struct exporter *e, const char *path, const char *mountpoint, char **dir,
			struct diag *d)
{
	auto_free char *above = xstrdup(path), *last = xstrdup(path);
	struct stat st;

	e->name = xstrdup(basename(last));
	*dir = realpath(dirname(above), NULL);
	if (!*dir)
		return fail_sys(d, ERR_NOT_FOUND, -errno, "--metrics: directory of %s", path);
	if (lies_below(*dir, mountpoint))
		return fail(d, ERR_USAGE, -EINVAL, "--metrics: %s lies in the mount itself", path);
	e->dir_fd = open(*dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (e->dir_fd < 0)
		return fail_sys(d, ERR_OTHER, -errno, "--metrics: %s", *dir);
	if (fstatat(e->dir_fd, e->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
		return fail(d, ERR_USAGE, -EISDIR, "--metrics: %s is a directory", path);
	return 0;
}

/* ---- sockets ---- */

static err_t listen_at(struct exporter *e, const struct sockaddr *address, socklen_t len)
{
	int one = 1;

	e->listen_fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (e->listen_fd < 0)
		return -errno;
	if (address->sa_family != AF_UNIX)
		setsockopt(e->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(e->listen_fd, address, len) || listen(e->listen_fd, BACKLOG))
		return -errno;
	return 0;
}

static err_t open_tcp(struct exporter *e, const struct exporter_target *t, struct diag *d)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC,
				       .ai_socktype = SOCK_STREAM,
				       .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
	struct addrinfo *found = NULL;
	char port[8];
	err_t err;

	snprintf(port, sizeof(port), "%u", (unsigned)t->port);
	if (getaddrinfo(*t->host ? t->host : "0.0.0.0", port, &hints, &found))
		return fail(d, ERR_USAGE, -EINVAL, "--metrics: '%s' is no address in numbers",
			    t->host);
	err = listen_at(e, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	return err ? fail_sys(d, ERR_OTHER, err, "--metrics: listen at %s", e->text) : 0;
}

/* A socket that a killed daemon left behind: there is a file, and nobody answers. */
static bool is_left_over(const struct sockaddr_un *address, socklen_t len)
{
	auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd >= 0 && connect(fd, (const struct sockaddr *)address, len) &&
	       errno == ECONNREFUSED;
}

static err_t open_unix(struct exporter *e, const char *dir, struct diag *d)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(address);
	int n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", dir, e->name);
	err_t err;

	if (n < 0 || (size_t)n >= sizeof(address.sun_path)) {
		e->name[0] = '\0';
		return fail(d, ERR_USAGE, -ENAMETOOLONG,
			    "--metrics: a socket's path has at most %zu bytes",
			    sizeof(address.sun_path) - 1);
	}
	if (is_left_over(&address, len))
		unlinkat(e->dir_fd, e->name, 0);
	err = listen_at(e, (const struct sockaddr *)&address, len);
	if (!err)
		return 0;
	e->name[0] = '\0'; /* whatever lies there is not ours to remove */
	return fail_sys(d, ERR_OTHER, err, "--metrics: listen at %s", address.sun_path);
}

err_t exporter_open(const struct exporter_target *target, const char *mountpoint,
		    struct exporter **out, struct diag *d)
{
	struct exporter *e = new_of(struct exporter);
	auto_free char *dir = NULL;
	err_t err = 0;

	e->kind = target->kind;
	e->dir_fd = e->listen_fd = -1;
	e->text = target->path ? xstrdup(target->path)
			       : xasprintf("%s:%u", target->host, (unsigned)target->port);
	e->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (e->stop_fd < 0)
		err = fail_sys(d, ERR_OTHER, -errno, "eventfd");
	if (!err && target->path)
		err = find_place(e, target->path, mountpoint, &dir, d);
	if (!err && e->kind == EXPORTER_TCP)
		err = open_tcp(e, target, d);
	if (!err && e->kind == EXPORTER_UNIX)
		err = open_unix(e, dir, d);
	*out = e;
	if (err)
		exporter_stop(out);
	return err;
}

/* ---- exporting ---- */

static err_t write_metrics(void *arg, struct buf *out)
{
	const struct exporter *e = arg;
	struct mount_row row;
	err_t err;

	mount_record_row(e->record, &row);
	err = metrics_text(&row, out);
	mount_row_fini(&row);
	return err;
}

static err_t write_file(struct exporter *e)
{
	auto_buf struct buf text = {0};
	auto_free char *temp = xasprintf(".%s.%d", e->name, (int)getpid());
	auto_fd int fd = -1;
	struct stat st = {0};
	err_t err = write_metrics(e, &text);

	if (err)
		return err;
	fd = openat(e->dir_fd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	err = write_all(fd, text.p, text.n);
	if (!err && fstat(fd, &st))
		err = -errno;
	if (!err && renameat(e->dir_fd, temp, e->dir_fd, e->name))
		err = -errno;
	if (err)
		unlinkat(e->dir_fd, temp, 0);
	else
		e->written = st.st_ino;
	return err;
}

/* Who collects files would go on to report a mount that is gone. Another mount's file stays. */
static void remove_file(const struct exporter *e)
{
	struct stat st;

	if (fstatat(e->dir_fd, e->name, &st, AT_SYMLINK_NOFOLLOW) || st.st_ino != e->written)
		return;
	if (unlinkat(e->dir_fd, e->name, 0))
		log_warn("metrics.file", "file=%s error=\"%s\"", e->text, strerror(errno));
}

static void write_again(struct exporter *e)
{
	err_t err = write_file(e);

	if (err)
		log_warn("metrics.file", "file=%s error=\"%s\"", e->text, strerror(-err));
}

static void *exporter_thread(void *arg)
{
	struct exporter *e = arg;
	const struct http_page page = {
		.listen_fd = e->listen_fd,
		.stop_fd = e->stop_fd,
		.path = "/metrics",
		.content_type = METRICS_CONTENT_TYPE,
		.write = write_metrics,
		.arg = e,
	};
	struct pollfd stop = {.fd = e->stop_fd, .events = POLLIN};

	if (e->kind != EXPORTER_FILE)
		http_page_serve(&page);
	while (e->kind == EXPORTER_FILE && poll(&stop, 1, EXPORTER_FILE_S * 1000) == 0)
		write_again(e);
	return NULL;
}

/* Signals are the main thread's. */
static err_t start_thread(struct exporter *e)
{
	sigset_t all, old;
	pthread_attr_t attr;
	int failed;

	sigfillset(&all);
	BUG_ON(pthread_attr_init(&attr) != 0);
	pthread_attr_setstacksize(&attr, max_of((size_t)THREAD_STACK, (size_t)PTHREAD_STACK_MIN));
	pthread_sigmask(SIG_SETMASK, &all, &old);
	failed = pthread_create(&e->thread, &attr, exporter_thread, e);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	e->started = !failed;
	return failed ? -failed : 0;
}

err_t exporter_start(struct exporter *e, const struct mount_record *record, struct diag *d)
{
	err_t err;

	e->record = record;
	err = e->kind == EXPORTER_FILE ? write_file(e) : 0;
	if (err) {
		e->record = NULL;
		return fail_sys(d, ERR_OTHER, err, "--metrics: write %s", e->text);
	}
	err = start_thread(e);
	return err ? fail_sys(d, ERR_OTHER, err, "--metrics: thread") : 0;
}

void exporter_stop(struct exporter **exporter)
{
	struct exporter *e = take(exporter);
	uint64_t one = 1;

	if (!e)
		return;
	if (e->started) {
		while (write(e->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
		pthread_join(e->thread, NULL);
	}
	if (e->written)
		remove_file(e);
	if (e->kind == EXPORTER_UNIX && e->name && e->name[0] && e->listen_fd >= 0)
		unlinkat(e->dir_fd, e->name, 0);
	cleanup_fd(&e->listen_fd);
	cleanup_fd(&e->dir_fd);
	cleanup_fd(&e->stop_fd);
	free(e->text);
	free(e->name);
	free(e);
}
