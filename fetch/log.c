/*
 * Log lines, rate limited by event. A line is formatted into a local buffer and leaves in one
 * write, so that threads and processes sharing a file do not mix their lines. The table of events
 * is small and fixed: events are constants of the program, not input.
 */
#include "fetch/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LOG_EVENTS_MAX 128 /* more than the program has; the last slot is shared beyond it */
#define LOG_LINE_MAX   2048

struct log_slot {
	const char *event;
	int64_t period_start_ms;
	unsigned lines; /* printed in this period */
	unsigned held;	/* held back since the last printed line */
};

static struct {
	_Atomic int level;
	pthread_mutex_t lock;
	/* under the lock */
	struct log_slot slots[LOG_EVENTS_MAX];
	size_t n_slots;
	bool to_syslog;
	int fd;
} logger = {
	.level = LOG_LEVEL_WARN,
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.fd = STDERR_FILENO,
};

int64_t now_ms(void)
{
	struct timespec ts;
	BUG_ON(clock_gettime(CLOCK_MONOTONIC, &ts) != 0);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void log_set_level(enum log_level level)
{
	atomic_store(&logger.level, (int)level);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&logger.level, memory_order_relaxed);
}

static void close_fd_locked(void)
{
	if (logger.fd > STDERR_FILENO)
		close(logger.fd);
	logger.fd = -1;
}

static _Atomic(void (*)(void)) around_before, around_after;

void log_around(void (*before)(void), void (*after)(void))
{
	atomic_store(&around_before, before);
	atomic_store(&around_after, after);
}

void log_to_syslog(void)
{
	pthread_mutex_lock(&logger.lock);
	close_fd_locked();
	openlog("imgfs", LOG_PID, LOG_DAEMON);
	logger.to_syslog = true;
	pthread_mutex_unlock(&logger.lock);
}

void log_to_fd(int fd)
{
	pthread_mutex_lock(&logger.lock);
	close_fd_locked();
	logger.fd = fd;
	logger.to_syslog = false;
	pthread_mutex_unlock(&logger.lock);
}

static struct log_slot *slot_of_locked(const char *event)
{
	for (size_t i = 0; i < logger.n_slots; i++)
		if (strcmp(logger.slots[i].event, event) == 0)
			return &logger.slots[i];
	if (logger.n_slots == LOG_EVENTS_MAX)
		return &logger.slots[LOG_EVENTS_MAX - 1];
	struct log_slot *slot = &logger.slots[logger.n_slots++];
	*slot = (struct log_slot){.event = event, .period_start_ms = now_ms()};
	return slot;
}

/* Whether a line may leave now; *held is what was kept back before it. */
static bool admit_locked(const char *event, unsigned *held)
{
	struct log_slot *slot = slot_of_locked(event);
	int64_t now = now_ms();
	if (now - slot->period_start_ms >= LOG_PERIOD_S * 1000) {
		slot->period_start_ms = now;
		slot->lines = 0;
	}
	if (slot->lines >= LOG_BURST) {
		slot->held++;
		return false;
	}
	slot->lines++;
	*held = slot->held;
	slot->held = 0;
	return true;
}

static const char *level_name(enum log_level level)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};
	return names[level];
}

static int syslog_priority(enum log_level level)
{
	static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
	return priorities[level];
}

/* Where a line goes. */
struct log_place {
	bool to_syslog;
	int fd;
};

/* Without the lock: a reader that is slow, or gone, stops nobody who has nothing to print. */
static void emit(struct log_place place, enum log_level level, const char *event, const char *text,
		 unsigned held)
{
	char line[LOG_LINE_MAX], note[48] = "";
	if (held)
		snprintf(note, sizeof(note), " held_back=%u", held);
	int n = snprintf(line, sizeof(line) - 1, "imgfs: %s %s %s%s", level_name(level), event,
			 text, note);
	if (n < 0)
		return;
	text_make_printable(line); /* values come from images and servers: one line stays one */
	if (place.to_syslog) {
		syslog(syslog_priority(level), "%s", line + strlen("imgfs: "));
		return;
	}
	size_t len = strlen(line);
	line[len] = '\n';
	void (*before)(void) = place.fd == STDERR_FILENO ? atomic_load(&around_before) : NULL;
	void (*after)(void) = before ? atomic_load(&around_after) : NULL;
	if (after)
		before();
	/* A log that can not be written has nobody to tell. */
	if (place.fd >= 0)
		(void)!write_all(place.fd, line, len + 1);
	if (after)
		after();
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
	BUG_ON(level > LOG_LEVEL_DEBUG);
	if (!log_enabled(level))
		return;
	char text[LOG_LINE_MAX - 256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);

	unsigned held = 0;
	pthread_mutex_lock(&logger.lock);
	bool admitted = admit_locked(event, &held);
	struct log_place place = {logger.to_syslog, logger.fd};
	pthread_mutex_unlock(&logger.lock);
	if (admitted)
		emit(place, level, event, text, held);
}
