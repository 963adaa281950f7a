/*
 * imgfs top: the records of all mounts, read again each second. What a daemon does shows without it
 * being asked, so one that hangs is seen as well as any other.
 */
#include "fetch/log.h"
#include "fs/mountpoint.h"
#include "fs/mounts.h"
#include "tools/cli.h"
#include "tools/format.h"
#include "tools/mount_dead.h"
#include "tools/mount_text.h"
#include "tools/mount_view.h"
#include "tools/screen.h"
#include "tools/terminal.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DELAY_MAX_S  3600
#define DELAY_MIN_MS 100
#define HINT_WIDTH   54 /* of the longest */

enum order {
	BY_MOUNTPOINT,
	BY_READ,
	BY_FETCHED,
	BY_HITS,
	BY_WAITING,
	BY_ERRORS,
};

static const struct {
	char key;
	const char *name;
} orders[] = {
	[BY_MOUNTPOINT] = {'m', "mount point"}, [BY_READ] = {'r', "read"},
	[BY_FETCHED] = {'f', "fetched"},	[BY_HITS] = {'h', "hit rate"},
	[BY_WAITING] = {'w', "waiting"},	[BY_ERRORS] = {'e', "errors"},
};

/* One look at all mounts. */
struct look {
	int64_t at_us;
	struct mount_list list;
	struct mount_rates *rates; /* of each row; owned */
};

struct top {
	const char *mountpoint; /* only this one; or NULL */
	struct look now, before;
	enum order order;
	int chosen_pid;	 /* the highlighted mount's daemon; 0: the first */
	bool one;	 /* everything about the chosen mount */
	uint64_t rounds; /* 0: for ever */
	unsigned delay_ms;
};

/* ---- looking ---- */

static void look_fini(struct look *l)
{
	mount_list_fini(&l->list);
	free(l->rates);
	*l = (struct look){0};
}

static uint64_t per_second(uint64_t now, uint64_t before, int64_t us)
{
	return now > before && us > 0 ? (uint64_t)((double)(now - before) * 1e6 / (double)us) : 0;
}

static const struct mount_row *same_mount(const struct look *l, const struct mount_row *row)
{
	for (size_t i = 0; i < l->list.n; i++)
		if (l->list.rows[i].pid == row->pid &&
		    l->list.rows[i].started_at == row->started_at)
			return &l->list.rows[i];
	return NULL;
}

static struct mount_rates rates_of(const struct top *t, const struct mount_row *row)
{
	const struct mount_row *old = same_mount(&t->before, row);
	int64_t us = t->now.at_us - t->before.at_us;
	const struct content_stats *s = &row->board.stats, *o;

	if (!old)
		return (struct mount_rates){.known = false};
	o = &old->board.stats;
	return (struct mount_rates){
		.known = true,
		.read_bytes = per_second(s->read_bytes, o->read_bytes, us),
		.fetched_bytes = per_second(s->fetched_bytes, o->fetched_bytes, us),
		.store_hits = s->store_hits - min_of(o->store_hits, s->store_hits),
		.misses = s->misses - min_of(o->misses, s->misses),
	};
}

/* Keep the mounts of one path; the others are freed. */
static void keep_only(struct mount_list *list, const char *mountpoint)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->rows[i].mountpoint, mountpoint) == 0)
			list->rows[n++] = list->rows[i];
		else
			mount_row_fini(&list->rows[i]);
	list->n = n;
}

/* ---- order ---- */

static uint64_t sort_value(const struct top *t, const struct mount_row *row)
{
	const struct mount_rates r = rates_of(t, row);
	const struct content_stats *s = &row->board.stats;

	switch (t->order) {
	case BY_READ:
		return r.known ? r.read_bytes : s->read_bytes;
	case BY_FETCHED:
		return r.known ? r.fetched_bytes : s->fetched_bytes;
	case BY_HITS: /* the worst first */
		return 100 - (uint64_t)max_of(mount_hit_percent(s->store_hits, s->misses), 0);
	case BY_WAITING:
		return row->board.n_waiting;
	case BY_ERRORS:
		return s->errors;
	case BY_MOUNTPOINT:
		break;
	}
	return 0;
}

static int row_order(const void *a, const void *b, void *arg)
{
	const struct mount_row *x = a, *y = b;
	uint64_t left = sort_value(arg, x), right = sort_value(arg, y);
	int order = strcmp(x->mountpoint, y->mountpoint);

	if (left != right)
		return left < right ? 1 : -1;
	return order ? order : x->pid - y->pid;
}

static void arrange(struct top *t)
{
	struct look *l = &t->now;

	if (l->list.n)
		qsort_r(l->list.rows, l->list.n, sizeof(*l->list.rows), row_order, t);
	free(l->rates);
	l->rates = xcalloc(l->list.n + 1, sizeof(*l->rates));
	for (size_t i = 0; i < l->list.n; i++)
		l->rates[i] = rates_of(t, &l->list.rows[i]);
}

static err_t take_look(struct top *t, struct diag *d)
{
	err_t err;

	look_fini(&t->before);
	t->before = t->now;
	t->now = (struct look){.at_us = board_now_us()};
	err = mounts_list(&t->now.list, d);
	if (!err && t->mountpoint)
		keep_only(&t->now.list, t->mountpoint);
	if (!err)
		arrange(t);
	return err;
}

/* ---- what is shown ---- */

/* The row that is highlighted; n when there is none. */
static size_t chosen_row(const struct top *t)
{
	for (size_t i = 0; i < t->now.list.n; i++)
		if (t->now.list.rows[i].pid == t->chosen_pid)
			return i;
	return 0;
}

static void print_head(const struct top *t, const struct mount_view *v)
{
	char at[FORMAT_TEXT_MAX], read[FORMAT_TEXT_MAX], fetched[FORMAT_TEXT_MAX];
	uint64_t read_bytes = 0, fetched_bytes = 0, waiting = 0;
	size_t n = t->now.list.n;

	for (size_t i = 0; i < n; i++) {
		read_bytes += t->now.rates[i].read_bytes;
		fetched_bytes += t->now.rates[i].fetched_bytes;
		waiting += t->now.list.rows[i].board.n_waiting;
	}
	format_time(time(NULL), 0, at);
	fprintf(v->out, "imgfs top  %.8s UTC  %zu mount%s\n", at + 11, n, n == 1 ? "" : "s");
	fprintf(v->out, "read %s/s, fetch %s/s, %" PRIu64 " waiting\n",
		format_size(read_bytes, read), format_size(fetched_bytes, fetched), waiting);
}

static void print_hint(const struct top *t, const struct mount_view *v)
{
	if (t->one)
		fputs("q ends, Escape: all mounts", v->out);
	else
		fputs("q ends, Enter: one mount, sort: mrfhwe", v->out);
	if (!t->one && v->width >= HINT_WIDTH)
		fprintf(v->out, " (by %s)", orders[t->order].name);
}

static void print_mount(const struct top *t, const struct mount_view *v, size_t i, size_t lines)
{
	const struct mount_row *row = &t->now.list.rows[i];
	const struct mount_rates *r = &t->now.rates[i];
	char up[24], read[FORMAT_TEXT_MAX], fetched[FORMAT_TEXT_MAX];
	/* In a narrow window some of the lines above are two. */
	size_t above = v->width && v->width < HINT_WIDTH ? 13 : 9;
	size_t left = lines > above + 3 ? lines - above : 3, layers;
	struct mount_names names;

	mount_names_load(row, &names);
	mount_text_begin(v, MOUNT_TEXT_HEAD);
	mount_text_tail(v, BYTES_STR(row->mountpoint), v->width, false);
	mount_text_end(v, MOUNT_TEXT_HEAD);
	fputc('\n', v->out);
	mount_text_tail(v, BYTES_STR(row->reference), v->width, false);
	fprintf(v->out, "\npid %d, up %s%s\n", row->pid, mount_view_uptime(mount_uptime_s(row), up),
		mount_is_attached(row) ? "" : ", detached");
	if (r->known)
		fprintf(v->out, "%-11s %s/s read, %s/s fetched\n", "now",
			format_size(r->read_bytes, read), format_size(r->fetched_bytes, fetched));
	mount_view_totals(v, row);
	layers = max_of(left / 2, (size_t)1);
	layers = min_of((size_t)row->n_layers, layers);
	mount_view_layers(v, row, layers);
	left -= min_of(left, layers);
	mount_view_waiting(v, row, &names, left / 2);
	mount_view_slow(v, row, &names, left / 2);
	mount_view_last_error(v, row);
	mount_names_fini(&names);
}

static void print_all(const struct top *t, const struct mount_view *v, size_t lines)
{
	const struct look *l = &t->now;
	size_t chosen = chosen_row(t), used = 5 + l->list.n;
	struct mount_names names;

	mount_view_table(v, l->list.rows, l->list.n, l->rates, lines ? chosen : l->list.n);
	if (!l->list.n || lines < used + 3)
		return;
	/* What is left of the window says what the chosen mount waits for. */
	mount_names_load(&l->list.rows[chosen], &names);
	fputc('\n', v->out);
	mount_view_waiting(v, &l->list.rows[chosen], &names, (lines - used) / 2);
	mount_view_slow(v, &l->list.rows[chosen], &names, (lines - used) / 2);
	mount_names_fini(&names);
}

/* @lines of the window; 0: there is none. */
static void print_round(const struct top *t, const struct mount_view *v, size_t lines)
{
	print_head(t, v);
	if (lines)
		print_hint(t, v);
	fputc('\n', v->out);
	if (!t->now.list.n)
		fputs("Nothing is mounted.\n", v->out);
	else if (t->one)
		print_mount(t, v, chosen_row(t), lines ? lines - min_of(lines, (size_t)3) : 1000);
	else
		print_all(t, v, lines);
}

/* ---- rounds in a pipe ---- */

static void sleep_ms(unsigned ms)
{
	struct timespec left = {.tv_sec = (time_t)(ms / 1000),
				.tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

static err_t run_plain(struct top *t, struct diag *d)
{
	const struct mount_view v = {.out = stdout};

	for (uint64_t i = 0; !t->rounds || i < t->rounds; i++) {
		err_t err;

		if (i) {
			sleep_ms(t->delay_ms);
			putchar('\n');
		}
		err = take_look(t, d);
		if (err)
			return err;
		print_round(t, &v, 0);
		/* Nobody reads any more: cli_flush says so. */
		if (fflush(stdout) || ferror(stdout))
			return 0;
	}
	return 0;
}

/* ---- a window ---- */

static err_t draw(const struct top *t)
{
	auto_free char *text = NULL;
	unsigned columns, lines;
	size_t n;
	struct mount_view v = {.out = open_memstream(&text, &n),
			       .colours = terminal_colours(STDOUT_FILENO, COLOUR_AUTO)};

	if (!v.out)
		return -ENOMEM;
	screen_size(&columns, &lines);
	v.width = columns;
	print_round(t, &v, lines > 1 ? lines - 1 : 1);
	if (fclose(v.out))
		return -ENOMEM;
	return screen_draw(text);
}

static void choose(struct top *t, bool down)
{
	size_t at = chosen_row(t), n = t->now.list.n;

	if (n)
		t->chosen_pid =
			t->now.list.rows[down ? min_of(at + 1, n - 1) : at - min_of(at, (size_t)1)]
				.pid;
}

/* False: the end. */
static bool obey(struct top *t, int key)
{
	if (key == 'q' || key == 'Q' || key == SCREEN_ENDED)
		return false;
	if (key == SCREEN_UP || key == 'k')
		choose(t, false);
	else if (key == SCREEN_DOWN || key == 'j')
		choose(t, true);
	else if (key == '\n' || key == '\r' || key == SCREEN_RIGHT)
		t->one = true;
	else if (key == SCREEN_ESCAPE || key == SCREEN_LEFT || key == 127 || key == '\b')
		t->one = false;
	for (size_t i = 0; i < ARRAY_LEN(orders); i++)
		if (key == orders[i].key) {
			t->order = (enum order)i;
			t->one = false;
			arrange(t);
		}
	return true;
}

static err_t watch(struct top *t, struct diag *d)
{
	for (uint64_t i = 0; !t->rounds || i < t->rounds; i++) {
		int64_t until_ms = now_ms() + t->delay_ms;
		int key = SCREEN_RESIZED;
		err_t err = take_look(t, d);

		while (!err && key != SCREEN_TIMEOUT) {
			err = draw(t);
			if (!err)
				key = screen_wait(until_ms);
			if (!err && !obey(t, key))
				return 0;
			if (now_ms() >= until_ms)
				break;
		}
		if (err)
			return d->text[0] ? err : fail_sys(d, ERR_OTHER, err, "terminal");
	}
	return 0;
}

static err_t run_on_screen(struct top *t, struct diag *d)
{
	err_t err = screen_open();

	if (err)
		return fail_sys(d, ERR_OTHER, err, "terminal");
	err = watch(t, d);
	screen_close();
	return err;
}

/* ---- the command ---- */

static err_t find_mount(struct top *t, const char *directory, char **path, struct diag *d)
{
	err_t err = directory ? mountpoint_path(directory, path, d) : 0;

	t->mountpoint = *path;
	t->one = directory != NULL;
	if (!err)
		err = take_look(t, d);
	if (!err && directory && t->now.list.n == 0)
		err = mount_missing(*path, directory, d);
	look_fini(&t->now);
	return err;
}

/* SECONDS[.FRACTION] from 0.1 on, with a point whatever the locale, as thousandths. */
static bool parse_delay(const char *text, unsigned *ms)
{
	size_t whole = strspn(text, "0123456789"), digits = 0;
	const char *point = text + whole;
	unsigned scale = 1000;

	if (*point == '.')
		digits = strspn(point + 1, "0123456789");
	if (whole + digits == 0 || whole > 4 || point[*point == '.' ? 1 + digits : 0])
		return false;
	*ms = whole ? (unsigned)strtoul(text, NULL, 10) * 1000 : 0;
	for (size_t i = 1; i <= digits && (scale /= 10); i++)
		*ms += (unsigned)(point[i] - '0') * scale;
	return *ms >= DELAY_MIN_MS && *ms <= DELAY_MAX_S * 1000;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct common_options common = {0};
	struct top t = {.delay_ms = 1000};
	uint64_t rounds = UINT64_MAX;
	const char *delay = NULL;
	struct diag d = DIAG_INIT;
	auto_free char *path = NULL;
	bool batch = false;
	char **operands;
	const struct option_row rows[] = {
		{'b', "batch", OPT_FLAG, &batch, NULL, "plain text, one round after the other"},
		{'n', "rounds", OPT_NUMBER, &rounds, "N", "end after so many (for ever)"},
		{'d', "delay", OPT_STRING, &delay, "SECONDS",
		 "between two rounds, from 0.1 on (1)"},
		{0},
	};
	int n = cli_parse(self, argc, argv, rows, &common, &operands);
	err_t err;

	if (n > 1)
		return cli_usage_error(self, "expected one DIR at the most, got %d operands", n);
	if (rounds == 0)
		return cli_usage_error(self, "--rounds: 1 or more; leave it out for no end");
	if (delay && !parse_delay(delay, &t.delay_ms))
		return cli_usage_error(self, "--delay: 0.1 to %d seconds, not '%s'", DELAY_MAX_S,
				       delay);
	t.rounds = rounds == UINT64_MAX ? 0 : rounds;
	err = find_mount(&t, n ? operands[0] : NULL, &path, &d);
	if (!err)
		err = batch || !screen_is_possible() ? run_plain(&t, &d) : run_on_screen(&t, &d);
	look_fini(&t.now);
	look_fini(&t.before);
	screen_end_process();
	return err ? cli_fail(self, &d) : 0;
}

const struct command cmd_top = {
	.name = "top",
	.synopsis = "[-b] [-n N] [-d SECONDS] [DIR]",
	.summary = "Watch what all mounts read, fetch and wait for",
	.details =
		"Shows the mounts of the user who asks, again each second. With DIR: that one.\n"
		"Where there is no terminal it prints round after round, as with -b.\n\n"
		"Keys: q ends; up, down (or k, j) choose a mount; Enter shows its layers and its\n"
		"slowest reads, Escape goes back; m, r, f, h, w, e sort by mount point, bytes\n"
		"read, bytes fetched, worst hit rate, waiting reads, errors.",
	.examples = "# live, in a terminal\nimgfs top\n"
		    "# one mount, with a bar for each layer\nimgfs top /mnt\n"
		    "# ten rounds into a file\nimgfs top -b -n 10 > rounds.txt",
	.run = run,
};
