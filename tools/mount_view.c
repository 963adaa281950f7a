/*
 * The parts of a report on one mount. Figures come from its record; nothing here asks the daemon.
 */
#include "tools/mount_view.h"

#include "fetch/image.h"
#include "tools/format.h"
#include "tools/mount_text.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define LABEL_WIDTH 11
#define BAR_MAX	    40
#define BAR_MIN	    8

/* ---- figures ---- */

uint64_t mount_uptime_s(const struct mount_row *row)
{
	int64_t now = time(NULL);

	/* A clock that was set back must not show centuries. */
	return now > row->started_at ? (uint64_t)(now - row->started_at) : 0;
}

bool mount_is_attached(const struct mount_row *row)
{
	struct mounted top;

	return mounted_at(row->mountpoint, &top) == 0 && top.dev_major == row->mounted.dev_major &&
	       top.dev_minor == row->mounted.dev_minor;
}

int mount_hit_percent(uint64_t hits, uint64_t misses)
{
	double all = (double)hits + (double)misses;

	return all > 0 ? (int)(100 * (double)hits / all) : -1;
}

uint64_t mount_wait_ms(const struct board_wait *wait)
{
	int64_t us = board_now_us() - wait->since_us;

	return us > 0 ? (uint64_t)us / 1000 : 0;
}

const char *mount_view_duration(uint64_t ms, char buf[16])
{
	if (ms < 1000)
		snprintf(buf, 16, "%u ms", (unsigned)ms);
	else if (ms < 100000)
		snprintf(buf, 16, "%u.%u s", (unsigned)(ms / 1000), (unsigned)(ms % 1000 / 100));
	else
		snprintf(buf, 16, "%u min", (unsigned)min_of(ms / 60000, (uint64_t)999999));
	return buf;
}

const char *mount_view_uptime(uint64_t seconds, char buf[24])
{
	uint64_t days = seconds / 86400, rest = seconds % 86400;

	if (days)
		snprintf(buf, 24, "%ud%02uh", (unsigned)days, (unsigned)(rest / 3600));
	else
		snprintf(buf, 24, "%02u:%02u:%02u", (unsigned)(rest / 3600),
			 (unsigned)(rest % 3600 / 60), (unsigned)(rest % 60));
	return buf;
}

/* ---- totals ---- */

static void label(const struct mount_view *v, const char *text)
{
	fprintf(v->out, "%-*s ", LABEL_WIDTH, text);
}

/* Bytes of the first line of a text that is broken at blanks. */
static size_t line_len(const char *text, size_t width)
{
	size_t n = strlen(text), at;

	if (!width || n <= width)
		return n;
	for (at = width; at > 0 && text[at] != ' '; at--)
		;
	return at ? at : width;
}

void mount_view_line(const struct mount_view *v, const char *name, const char *text)
{
	size_t width = v->width > LABEL_WIDTH + 10 ? v->width - LABEL_WIDTH - 1 : 0;

	label(v, name);
	if (!*text)
		fputc('\n', v->out);
	for (const char *rest = text; *rest;) {
		size_t n = line_len(rest, width);

		if (rest != text)
			label(v, "");
		format_name(v->out, (struct bytes){(const uint8_t *)rest, n});
		fputc('\n', v->out);
		rest += n + (rest[n] == ' ');
	}
}

/* The text that was written to begin_line's stream, which is closed here. */
static void end_line(const struct mount_view *v, const char *name, FILE *line, char **text)
{
	fclose(line);
	mount_view_line(v, name, *text);
	free(take(text));
}

static FILE *begin_line(char **text, size_t *n)
{
	FILE *line = open_memstream(text, n);

	BUG_ON(!line);
	return line;
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void print_fetched(const struct mount_view *v, const struct mount_row *row)
{
	const struct content_stats *s = &row->board.stats;
	char fetched[FORMAT_TEXT_MAX], of[FORMAT_TEXT_MAX], *text;
	size_t n;
	FILE *line = begin_line(&text, &n);

	fprintf(line, "%s", format_size(s->fetched_bytes, fetched));
	if (row->size)
		fprintf(line, " of %s (%.1f %%)", format_size(row->size, of),
			100.0 * (double)s->fetched_bytes / (double)row->size);
	fprintf(line, ", %" PRIu64 " request%s", s->fetches, plural(s->fetches));
	end_line(v, "fetched", line, &text);
}

static void print_reads(const struct mount_view *v, const struct mount_row *row)
{
	const struct content_stats *s = &row->board.stats;
	int hit = mount_hit_percent(s->store_hits, s->misses);
	char read[FORMAT_TEXT_MAX], *text;
	size_t n;
	FILE *line = begin_line(&text, &n);

	fprintf(line, "%s in %" PRIu64 " read%s", format_size(s->read_bytes, read), s->reads,
		plural(s->reads));
	if (hit >= 0)
		fprintf(line, ", %d %% of the chunks from the store", hit);
	end_line(v, "reads", line, &text);
}

static void print_in_flight(const struct mount_view *v, const struct mount_row *row)
{
	const struct board_view *b = &row->board;
	char wait[16], *text;
	size_t n;
	FILE *line = begin_line(&text, &n);

	fprintf(line, "%" PRIu32 " read%s wait%s", b->n_waiting, plural(b->n_waiting),
		b->n_waiting == 1 ? "s" : "");
	if (b->n_waiting_shown)
		fprintf(line, " (%s)", mount_view_duration(mount_wait_ms(&b->waiting[0]), wait));
	fprintf(line, ", %" PRIu32 " fetch%s", b->n_fetching, b->n_fetching == 1 ? "" : "es");
	end_line(v, "in flight", line, &text);
}

static void print_errors(const struct mount_view *v, const struct mount_row *row)
{
	const struct board_view *b = &row->board;
	char *text;
	size_t n;
	FILE *line = begin_line(&text, &n);

	fprintf(line, "%" PRIu64 " read%s failed, %" PRIu64 " attempt%s to fetch failed",
		b->stats.errors, plural(b->stats.errors), b->stats.failures,
		plural(b->stats.failures));
	end_line(v, "errors", line, &text);
}

void mount_view_last_error(const struct mount_view *v, const struct mount_row *row)
{
	const struct board_view *b = &row->board;
	char at[FORMAT_TEXT_MAX], *text;
	size_t n;
	FILE *line;

	if (!b->n_failed)
		return;
	line = begin_line(&text, &n);
	format_time(b->failed[0].at_s, 0, at);
	fprintf(line, "%.19s UTC, layer %" PRIu32 ": %s", at, b->failed[0].layer,
		b->failed[0].text);
	end_line(v, "last error", line, &text);
}

void mount_view_totals(const struct mount_view *v, const struct mount_row *row)
{
	print_fetched(v, row);
	print_reads(v, row);
	print_in_flight(v, row);
	print_errors(v, row);
}

/* ---- layers ---- */

#define LAYER_FIXED   30 /* "  0 unindexed 1023.9 MiB 100%" and a blank */
#define FETCHED_WIDTH 11
#define DIGEST_WIDTH  13
#define BAR_ENDS      2

/* What a line of layers has room for. */
struct layer_line {
	bool fetched, digest;
	unsigned bar; /* 0: none */
};

static struct layer_line layer_line_of(const struct mount_view *v)
{
	struct layer_line l = {.fetched = true, .digest = true, .bar = 20};
	unsigned left = v->width > LAYER_FIXED ? v->width - LAYER_FIXED : 0;

	if (!v->width)
		return l;
	l.fetched = left >= FETCHED_WIDTH + BAR_ENDS + BAR_MIN;
	left -= l.fetched ? FETCHED_WIDTH : 0;
	l.digest = left >= DIGEST_WIDTH + BAR_ENDS + BAR_MIN;
	left -= l.digest ? DIGEST_WIDTH : 0;
	l.bar = left > BAR_ENDS ? min_of(left - BAR_ENDS, (unsigned)BAR_MAX) : 0;
	return l;
}

static void print_bar(const struct mount_view *v, const struct mount_layer *l, unsigned width)
{
	uint64_t full = l->n_chunks ? (uint64_t)width * l->n_stored / l->n_chunks : 0;

	fputs(" [", v->out);
	mount_text_begin(v, MOUNT_TEXT_GOOD);
	for (unsigned i = 0; i < width; i++) {
		if (i == full)
			mount_text_end(v, MOUNT_TEXT_GOOD);
		fputc(i < full ? '#' : '.', v->out);
	}
	if (full >= width)
		mount_text_end(v, MOUNT_TEXT_GOOD);
	fputc(']', v->out);
}

bool mount_layer_is_small(const struct mount_layer *l)
{
	return l->state == LAYER_UNINDEXED && l->size <= SMALL_LAYER_DEFAULT;
}

static void print_layer(const struct mount_view *v, const struct layer_line *line,
			const struct mount_row *row, uint32_t i)
{
	const struct mount_layer *l = &row->layers[i];
	char fetched[FORMAT_TEXT_MAX], size[FORMAT_TEXT_MAX];
	bool bad = l->state == LAYER_DISPROVED;
	const char *hex = strchr(l->digest, ':');

	fprintf(v->out, "%3" PRIu32 " ", i);
	mount_text_begin(v, bad ? MOUNT_TEXT_BAD : MOUNT_TEXT_PLAIN);
	fprintf(v->out, "%-9s", mount_layer_is_small(l) ? "small" : layer_state_name(l->state));
	mount_text_end(v, bad ? MOUNT_TEXT_BAD : MOUNT_TEXT_PLAIN);
	if (l->same_as != i) {
		fprintf(v->out, " the same as %" PRIu32 "\n", l->same_as);
		return;
	}
	if (line->fetched)
		fprintf(v->out, " %10s", format_size(l->fetched_bytes, fetched));
	fprintf(v->out, " %10s", format_size(l->size, size));
	if (l->n_chunks)
		fprintf(v->out, " %3u%%", (unsigned)(UINT64_C(100) * l->n_stored / l->n_chunks));
	else
		fputs("    -", v->out);
	if (line->bar)
		print_bar(v, l, line->bar);
	if (line->digest && hex)
		fprintf(v->out, " %.12s", hex + 1);
	fputc('\n', v->out);
}

void mount_view_layers(const struct mount_view *v, const struct mount_row *row, size_t max)
{
	size_t shown = min_of((size_t)row->n_layers, max);
	struct layer_line line = layer_line_of(v);

	mount_text_begin(v, MOUNT_TEXT_HEAD);
	fprintf(v->out, "%3s %-9s", "#", "LAYER");
	if (line.fetched)
		fprintf(v->out, " %10s", "FETCHED");
	fprintf(v->out, " %10s %4s", "OF", "HERE");
	mount_text_end(v, MOUNT_TEXT_HEAD);
	fputc('\n', v->out);
	for (uint32_t i = 0; i < shown; i++)
		print_layer(v, &line, row, i);
	if (shown < row->n_layers)
		fprintf(v->out, "    and %zu more\n", row->n_layers - shown);
}

/* ---- reads ---- */

static void print_head(const struct mount_view *v, const char *text)
{
	mount_text_begin(v, MOUNT_TEXT_HEAD);
	mount_text_start(v, BYTES_STR(text), v->width);
	mount_text_end(v, MOUNT_TEXT_HEAD);
	fputc('\n', v->out);
}

#define READ_FIXED  15 /* " 1023 ms     3 " */
#define READ_INDENT 4
#define REASON_MIN  50 /* columns beside a path; a narrower window has it below */

/* A wait, and why: beside the path, or below it where the window is narrow. */
static void print_read(const struct mount_view *v, uint64_t ms, uint32_t layer, uint32_t row,
		       struct bytes name, const char *why)
{
	char wait[16], inode[32];
	size_t left = v->width > READ_FIXED + 8 ? v->width - READ_FIXED : 8;
	bool beside = !v->width || left >= REASON_MIN + 20;
	size_t room = left > REASON_MIN ? left - REASON_MIN : 0;
	size_t used = beside ? min_of(name.n, room) : left;

	if (!name.n) {
		snprintf(inode, sizeof(inode), "inode %" PRIu64, (uint64_t)row + 1);
		name = BYTES_STR(inode);
		used = beside ? name.n : used;
	}
	fprintf(v->out, "%8s %5" PRIu32 " ", mount_view_duration(ms, wait), layer);
	mount_text_tail(v, name, v->width ? used : 0, false);
	if (beside)
		fputs("  ", v->out);
	else
		fprintf(v->out, "\n%*s", READ_INDENT, "");
	mount_text_tail(v, BYTES_STR(why),
			!v->width ? 0
			: beside  ? left - used - 2
				  : left + READ_FIXED - READ_INDENT,
			false);
	fputc('\n', v->out);
}

void mount_view_waiting(const struct mount_view *v, const struct mount_row *row,
			const struct mount_names *names, size_t max)
{
	const struct board_view *b = &row->board;

	if (!b->n_waiting_shown || !max)
		return;
	print_head(v, " WAITING LAYER FILE");
	for (size_t i = 0; i < min_of(b->n_waiting_shown, max); i++) {
		const struct board_wait *w = &b->waiting[i];
		bool bad = mount_wait_ms(w) > MOUNT_TEXT_LONG_MS;

		mount_text_begin(v, bad ? MOUNT_TEXT_BAD : MOUNT_TEXT_PLAIN);
		print_read(v, mount_wait_ms(w), w->layer, w->row, mount_name(names, w->row),
			   board_reason(b, w));
		mount_text_end(v, bad ? MOUNT_TEXT_BAD : MOUNT_TEXT_PLAIN);
	}
}

void mount_view_slow(const struct mount_view *v, const struct mount_row *row,
		     const struct mount_names *names, size_t max)
{
	const struct board_view *b = &row->board;

	if (!b->n_slow || !max)
		return;
	print_head(v, "  WAITED LAYER FILE");
	for (size_t i = 0; i < min_of(b->n_slow, max); i++) {
		const struct board_slow *s = &b->slow[i];
		auto_free char *why = s->err ? xasprintf("failed: %s", s->why) : xstrdup(s->why);

		print_read(v, s->wait_ms, s->layer, s->row, mount_name(names, s->row), why);
	}
}
