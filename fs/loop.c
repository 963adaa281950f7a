/*
 * loop - a few threads, each with one buffer, that take turns at /dev/fuse
 *
 * libfuse's own loop starts and ends threads as requests come; ours are few and stay, since no
 * handler waits for the network: what keeps one busy is a page fault in the index, or a chunk that
 * is read from the store. Every message passes through here, so each is counted by its opcode, also
 * those that libfuse answers by itself.
 *
 * A thread sits in read(2) on the device. When the mount ends the kernel ends that call; when we
 * end first (a lazily unmounted tree that is still in use) a signal does, again and again until the
 * thread is joined: one that came just before the call would be lost.
 */
#include "fs/loop.h"

#include "fetch/log.h"

#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOOP_THREADS_MIN 4 /* two that read the store, two for names, also on one processor */
#define LOOP_THREADS_MAX 10
#define WAKE_SIGNAL	 SIGUSR2
#define WAKE_NS		 (5 * 1000000L)

struct loop {
	struct fuse_session *session;
	struct counters *counters;
	int ended_fd;
	unsigned n_threads;
	pthread_t threads[LOOP_THREADS_MAX];
};

static void wake(int number)
{
	(void)number;
}

static void count(struct counters *counters, const struct fuse_buf *message)
{
	struct fuse_in_header header;

	if (message->size < sizeof(header) || (message->flags & FUSE_BUF_IS_FD))
		return;
	memcpy(&header, message->mem, sizeof(header));
	counters_upcall(counters, header.opcode);
}

/* Read one message and answer it, or hand it on; false when there will be no more. */
static bool serve_one(struct fuse_session *session, struct counters *counters,
		      struct fuse_buf *message)
{
	int n = fuse_session_receive_buf(session, message);

	if (n == -EINTR || n == -EAGAIN)
		return !fuse_session_exited(session);
	if (n <= 0) {
		if (n < 0 && n != -ENODEV)
			log_error("fuse.device", "error=\"%s\"", strerror(-n));
		fuse_session_exit(session);
		return false;
	}
	count(counters, message);
	fuse_session_process_buf(session, message);
	return !fuse_session_exited(session);
}

err_t loop_handshake(struct fuse_session *session, struct counters *counters)
{
	struct fuse_buf message = {0};
	uint64_t before = atomic_load(&counters->upcalls[FUSE_INIT]);
	bool more = true;

	while (more && atomic_load(&counters->upcalls[FUSE_INIT]) == before)
		more = serve_one(session, counters, &message);
	free(message.mem);
	return more ? 0 : -EPROTO;
}

static void *loop_thread(void *arg)
{
	struct loop *loop = arg;
	struct fuse_buf message = {0};
	uint64_t one = 1;

	while (serve_one(loop->session, loop->counters, &message))
		;
	free(message.mem);
	if (write(loop->ended_fd, &one, sizeof(one)) < 0)
		log_error("fuse.loop", "error=\"%s\"", strerror(errno));
	return NULL;
}

static unsigned threads_wanted(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	if (processors < LOOP_THREADS_MIN)
		return LOOP_THREADS_MIN;
	return (unsigned)min_of(processors, (long)LOOP_THREADS_MAX);
}

err_t loop_start(struct fuse_session *session, struct counters *counters, int ended_fd,
		 struct loop **out, struct diag *d)
{
	struct loop *loop = new_of(struct loop);
	struct sigaction action = {.sa_handler = wake}; /* no SA_RESTART: it has to end a call */
	unsigned wanted = threads_wanted();
	int err = 0;

	loop->session = session;
	loop->counters = counters;
	loop->ended_fd = ended_fd;
	sigaction(WAKE_SIGNAL, &action, NULL);
	for (; !err && loop->n_threads < wanted; loop->n_threads += !err)
		err = pthread_create(&loop->threads[loop->n_threads], NULL, loop_thread, loop);
	if (loop->n_threads == 0) {
		free(loop);
		return fail_sys(d, ERR_OTHER, -err, "FUSE threads");
	}
	*out = loop;
	return 0;
}

static void thread_end(pthread_t thread)
{
	for (;;) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += WAKE_NS;
		if (until.tv_nsec >= 1000000000L) {
			until.tv_nsec -= 1000000000L;
			until.tv_sec++;
		}
		pthread_kill(thread, WAKE_SIGNAL);
		if (pthread_timedjoin_np(thread, NULL, &until) == 0)
			return;
	}
}

void loop_stop(struct loop **loop)
{
	struct loop *l = take(loop);

	if (!l)
		return;
	fuse_session_exit(l->session);
	for (unsigned i = 0; i < l->n_threads; i++)
		thread_end(l->threads[i]);
	free(l);
}
