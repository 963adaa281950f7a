/*
 * log - the one place of the libraries that prints
 *
 * A line is "imgfs: LEVEL event key=value ...". Where lines go is set once at start: standard
 * error, syslog (a daemon's default) or a file. At most LOG_BURST lines of one event in
 * LOG_PERIOD_S seconds; the next one says how many were held back. Never pass secrets, query
 * strings or Authorization values.
 */
#ifndef IMGFS_FETCH_LOG_H
#define IMGFS_FETCH_LOG_H

#include "index/base.h"

enum log_level {
	LOG_LEVEL_ERROR = 0,
	LOG_LEVEL_WARN = 1,
	LOG_LEVEL_INFO = 2,  /* -v */
	LOG_LEVEL_DEBUG = 3, /* -vv */
};
#define LOG_BURST    5
#define LOG_PERIOD_S 10

/* log_set_level - lines above it are dropped; LOG_LEVEL_WARN at start. */
void log_set_level(enum log_level level);
/* log_to_syslog, log_to_fd - where lines go from now on; log_to_fd takes the descriptor. One that
 * it took before is closed: no other thread may log at that moment. */
void log_to_syslog(void);
void log_to_fd(int fd);
bool log_enabled(enum log_level level);
/* log_around - called before and after each line that goes to standard error, by the thread that
 * logs: whoever draws there clears the place. NULL, NULL: nobody does any more; a call that has
 * begun may still come to its end. */
void log_around(void (*before)(void), void (*after)(void));
/* log_event - @event is a dotted constant such as "chunk.refused"; it is the key of the rate limit.
 * Any thread. */
void log_event(enum log_level level, const char *event, const char *fmt, ...) printf_like(3, 4);
#define log_error(event, ...) log_event(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...)  log_event(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define log_info(event, ...)  log_event(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) log_event(LOG_LEVEL_DEBUG, event, __VA_ARGS__)

/* now_ms - CLOCK_MONOTONIC in milliseconds: the only clock of deadlines, tokens and back-off. */
int64_t now_ms(void);

#endif
