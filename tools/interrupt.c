/*
 * A signal handler may do next to nothing, and ending a source's calls takes locks: the handler
 * writes a byte into a pipe, a thread reads it and calls source_interrupt.
 */
#include "tools/interrupt.h"

#include "fetch/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

static struct {
	struct sigaction old[ARRAY_LEN(signals)];
	struct source *source;
	pthread_t thread;
	int pipe[2]; /* one byte: a signal's number, or 0 to end the thread */
	bool active;
} watch;
static atomic_int caught;
static _Atomic int64_t caught_ms;

/*
 * One wish may come as several signals: timeout(1) and a terminal signal the whole group, and a
 * parent that ends passes it on. Only one that comes later is somebody who does not want to wait.
 */
#define SAME_WISH_MS 500

static void on_signal(int number)
{
	int saved = errno, none = 0;
	uint8_t byte = (uint8_t)number;
	if (!atomic_compare_exchange_strong(&caught, &none, number)) {
		if (now_ms() >= atomic_load(&caught_ms) + SAME_WISH_MS)
			_exit(128 + number);
		errno = saved;
		return;
	}
	atomic_store(&caught_ms, now_ms());
	if (write(watch.pipe[1], &byte, 1) != 1)
		_exit(128 + number);
	errno = saved;
}

static void *watch_pipe(void *arg)
{
	uint8_t byte = 0;
	(void)arg;
	for (;;) {
		ssize_t n = read(watch.pipe[0], &byte, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n != 1 || byte == 0)
			return NULL;
		if (watch.source)
			source_interrupt(watch.source);
	}
}

void interrupt_watch(struct source *source)
{
	BUG_ON(watch.active);
	watch.source = source;
	if (pipe2(watch.pipe, O_CLOEXEC))
		return; /* without a watch, a signal simply ends the process */
	if (pthread_create(&watch.thread, NULL, watch_pipe, NULL)) {
		close(watch.pipe[0]);
		close(watch.pipe[1]);
		return;
	}
	watch.active = true;
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
		sigaction(signals[i], NULL, &watch.old[i]);
		if (watch.old[i].sa_handler != SIG_IGN)
			sigaction(signals[i], &act, NULL);
	}
}

void interrupt_unwatch(void)
{
	uint8_t end = 0;
	if (!watch.active)
		return;
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigaction(signals[i], &watch.old[i], NULL);
	BUG_ON(write_all(watch.pipe[1], &end, 1));
	pthread_join(watch.thread, NULL);
	close(watch.pipe[0]);
	close(watch.pipe[1]);
	watch.active = false;
}

int interrupt_signal(void)
{
	return atomic_load(&caught);
}

void interrupt_end_process(void)
{
	int number = interrupt_signal();
	if (!number)
		return;
	signal(number, SIG_DFL);
	raise(number);
	_exit(128 + number);
}
