/*
 * A thread looks at the counters ten times a second and draws a block of lines; before each drawing
 * it goes back to the block's first line, by the number of rows that the old lines take in the
 * window as it is now. It writes all of it at once, hides no cursor and changes no mode, so that
 * whatever ends the process leaves a usable terminal. The lock is the place itself, and so is held
 * while it is written to: who prints something else takes it, clears the block, and lets the thread
 * draw it again below.
 */
#include "tools/progress.h"

#include "fetch/log.h"
#include "fetch/lock.h"
#include "tools/progress_text.h"
#include "tools/terminal.h"

#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DRAW_MS	      100
#define FIRST_DRAW_MS 400  /* what is done by then shows nothing */
#define PLAIN_MS      5000 /* between two lines of a log */
#define RATE_MS	      3000 /* the rate is that of about so long */
#define LINES_MAX     64

static struct {
	/* fixed while it runs */
	struct progress counters;
	const char *command, *noun;
	bool plain;
	pthread_t thread;
	pthread_cond_t changed;
	int64_t began_ms;
	/* the main thread's */
	bool active;
	/* under lock */
	struct lock lock;
	bool ended;
	size_t n_lines;
	size_t lengths[LINES_MAX]; /* of the lines that are on the screen */
	/* set by a signal handler */
	atomic_bool was_stopped;
	/* the main thread's */
	struct sigaction old;
	/* the drawing thread's */
	int64_t looked_ms, said_ms;
	uint64_t before[MANIFEST_LAYERS_MAX + 1]; /* bytes done at the last look; the last: all */
	double rates[MANIFEST_LAYERS_MAX + 1];
} shown;
static pthread_once_t lock_once = PTHREAD_ONCE_INIT;

#define ALL_ROWS MANIFEST_LAYERS_MAX

static void make_lock(void)
{
	lock_init(&shown.lock);
}

/* --- what is known --- */

struct row_view {
	uint64_t done, total;
	enum progress_state state;
};

static struct row_view look_at(size_t i)
{
	const struct progress_row *row = &shown.counters.rows[i];
	struct row_view v = {
		.done = atomic_load_explicit(&row->done, memory_order_relaxed),
		.total = atomic_load_explicit(&row->total, memory_order_relaxed),
		.state = (enum progress_state)atomic_load_explicit(&row->state,
								   memory_order_relaxed),
	};
	v.done = min_of(v.done, v.total);
	return v;
}

struct sums {
	uint64_t done, total;
	size_t n, n_done;
};

static struct sums sum_up(void)
{
	struct sums s = {0};
	for (size_t i = 0; i < MANIFEST_LAYERS_MAX; i++) {
		struct row_view v = look_at(i);
		if (v.state == PROGRESS_NONE)
			continue;
		s.n++;
		s.n_done += v.state == PROGRESS_DONE;
		s.done += v.done;
		s.total += v.total;
	}
	return s;
}

/* A moving average that forgets within RATE_MS; exact means while it is younger than that. */
static void note_rate(size_t i, uint64_t done, int64_t now)
{
	double ms = (double)max_of(now - shown.looked_ms, (int64_t)1);
	double age = (double)max_of(now - shown.began_ms, (int64_t)1);
	double weight = ms / min_of((double)RATE_MS, age);
	double fresh = done > shown.before[i] ? (double)(done - shown.before[i]) * 1000 / ms : 0;
	shown.rates[i] += (fresh - shown.rates[i]) * min_of(weight, 1.0);
	shown.before[i] = done;
}

static void note_rates(const struct sums *all, int64_t now)
{
	for (size_t i = 0; i < MANIFEST_LAYERS_MAX; i++) {
		struct row_view v = look_at(i);
		if (v.state == PROGRESS_RUNNING)
			note_rate(i, v.done, now);
	}
	note_rate(ALL_ROWS, all->done, now);
	shown.looked_ms = now;
}

/* --- the place --- */

static struct winsize window_size(void)
{
	struct winsize w = {0};
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) || !w.ws_row)
		w.ws_row = 24;
	w.ws_col =
		(unsigned short)min_of(terminal_width(STDERR_FILENO), (unsigned)PROGRESS_LINE_MAX);
	return w;
}

/* Rows of the window that the old lines take: one that has become narrower has wrapped them. */
static size_t rows_taken(unsigned columns)
{
	size_t rows = 0;
	for (size_t i = 0; i < shown.n_lines; i++)
		rows += shown.lengths[i] ? (shown.lengths[i] - 1) / columns + 1 : 1;
	return rows;
}

static size_t put_back_to_start(char *out, size_t room, unsigned columns)
{
	size_t rows = rows_taken(columns);
	if (!rows)
		return 0;
	return (size_t)snprintf(out, room, "\r\033[%zuA\033[J", rows);
}

static void erase_locked(void)
{
	char text[32];
	lock_must_hold(&shown.lock);
	size_t n = put_back_to_start(text, sizeof(text), window_size().ws_col);
	shown.n_lines = 0;
	if (n)
		(void)!write_all(STDERR_FILENO, text, n);
}

/* --- drawing --- */

struct page {
	char text[LINES_MAX * (PROGRESS_LINE_MAX + 1) + 64];
	size_t n, n_lines;
	size_t lengths[LINES_MAX];
	unsigned columns;
	size_t label_width;
};

static void add_line(struct page *page, const struct progress_view *view)
{
	char line[PROGRESS_LINE_MAX];
	/* The last column stays free: some terminals wrap as soon as it is filled. */
	progress_bar(view, page->columns > 1 ? page->columns - 1 : 1, line);
	size_t n = strlen(line);
	memcpy(page->text + page->n, line, n);
	page->text[page->n + n] = '\n';
	page->n += n + 1;
	page->lengths[page->n_lines++] = n;
}

static void add_rows(struct page *page, size_t lines)
{
	char label[32];
	for (size_t i = 0; i < MANIFEST_LAYERS_MAX && page->n_lines < lines; i++) {
		struct row_view v = look_at(i);
		if (v.state != PROGRESS_RUNNING)
			continue;
		snprintf(label, sizeof(label), "%.16s %zu", shown.noun, i);
		add_line(page, &(struct progress_view){label, v.done, v.total, shown.rates[i],
						       page->label_width, true});
	}
}

static void add_sum(struct page *page, const struct sums *all)
{
	char label[40] = "total";
	/* Wide enough to name how many are done. */
	if (shown.noun && all->n > 1 && page->columns >= 90)
		snprintf(label, sizeof(label), "total, %zu of %zu", all->n_done, all->n);
	add_line(page, &(struct progress_view){label, all->done, all->total, shown.rates[ALL_ROWS],
					       page->label_width, false});
}

/* Whoever runs in the background leaves the terminal to the others. */
static bool may_draw(void)
{
	pid_t foreground = tcgetpgrp(STDERR_FILENO);
	return foreground < 0 || foreground == getpgrp();
}

static void draw_locked(const struct sums *all)
{
	static struct page page;
	struct winsize w = window_size();
	lock_must_hold(&shown.lock);
	if (!all->n || !may_draw())
		return;
	/* A shell has written below what stood there. */
	if (atomic_exchange(&shown.was_stopped, false))
		shown.n_lines = 0;
	page.columns = w.ws_col;
	page.n_lines = 0;
	page.label_width = shown.noun ? (w.ws_col >= 90 ? 17 : strlen(shown.noun) + 4) : 0;
	page.n = put_back_to_start(page.text, sizeof(page.text), w.ws_col);
	if (shown.noun && w.ws_row > 2)
		add_rows(&page, min_of((size_t)w.ws_row - 2, (size_t)LINES_MAX - 1));
	add_sum(&page, all);
	memcpy(shown.lengths, page.lengths, sizeof(shown.lengths));
	shown.n_lines = page.n_lines;
	(void)!write_all(STDERR_FILENO, page.text, page.n);
}

static void say(const struct sums *all, int64_t now)
{
	char text[PROGRESS_LINE_MAX], rows[48] = "";
	const struct progress_view view = {"", all->done, all->total, shown.rates[ALL_ROWS],
					   0,  false};
	if (!all->n || now < shown.said_ms + PLAIN_MS)
		return;
	shown.said_ms = now;
	if (shown.noun && all->n > 1)
		snprintf(rows, sizeof(rows), "%zu of %zu %.16ss, ", all->n_done, all->n,
			 shown.noun);
	fprintf(stderr, "imgfs %s: %s%s\n", shown.command, rows, progress_plain(&view, text));
}

static void *run(void *arg)
{
	(void)arg;
	lock_take(&shown.lock);
	int64_t next_ms = shown.began_ms + FIRST_DRAW_MS;
	while (!shown.ended) {
		condition_wait(&shown.changed, &shown.lock, next_ms);
		int64_t now = now_ms();
		if (shown.ended || now < next_ms)
			continue;
		struct sums all = sum_up();
		note_rates(&all, now);
		if (shown.plain)
			say(&all, now);
		else
			draw_locked(&all);
		next_ms = now + DRAW_MS;
	}
	lock_drop(&shown.lock);
	return NULL;
}

/* --- beginning and end --- */

static bool is_wanted(bool *plain)
{
	const char *term = getenv("TERM");
	enum progress_when when = cli_progress_when();
	*plain = when == PROGRESS_PLAIN;
	if (when != PROGRESS_AUTO)
		return *plain;
	return terminal_is(STDERR_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

void progress_hold(void)
{
	pthread_once(&lock_once, make_lock);
	lock_take(&shown.lock);
	erase_locked();
}

void progress_release(void)
{
	lock_drop(&shown.lock);
}

static void on_continue(int number)
{
	(void)number;
	atomic_store(&shown.was_stopped, true);
}

/* Signals belong to the threads that were there before. */
static bool start_thread(void)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	bool started = pthread_create(&shown.thread, NULL, run, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return started;
}

struct progress *progress_begin(const struct command *self, const char *noun)
{
	bool plain;
	BUG_ON(shown.active);
	if (!is_wanted(&plain))
		return NULL;
	pthread_once(&lock_once, make_lock);
	memset((void *)&shown.counters, 0, sizeof(shown.counters));
	memset(shown.before, 0, sizeof(shown.before));
	for (size_t i = 0; i <= MANIFEST_LAYERS_MAX; i++)
		shown.rates[i] = 0;
	shown.command = self->name;
	shown.noun = noun;
	shown.plain = plain;
	shown.ended = false;
	shown.began_ms = shown.looked_ms = now_ms();
	shown.said_ms = shown.began_ms;
	condition_init(&shown.changed);
	if (!start_thread()) {
		pthread_cond_destroy(&shown.changed);
		return NULL;
	}
	struct sigaction act = {.sa_handler = on_continue, .sa_flags = SA_RESTART};
	sigaction(SIGCONT, &act, &shown.old);
	shown.active = true;
	log_around(progress_hold, progress_release);
	return &shown.counters;
}

void progress_end(void)
{
	if (!shown.active)
		return;
	log_around(NULL, NULL);
	progress_hold();
	shown.ended = true;
	pthread_cond_signal(&shown.changed);
	progress_release();
	pthread_join(shown.thread, NULL);
	pthread_cond_destroy(&shown.changed);
	sigaction(SIGCONT, &shown.old, NULL);
	shown.active = false;
}
