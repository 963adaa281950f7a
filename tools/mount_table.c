/*
 * The table of mounts. Each column knows its width and how much it is worth; as long as a line is
 * too long for the path of a mount to be recognised, the column that is worth least goes.
 */
#include "tools/mount_view.h"

#include "tools/format.h"
#include "tools/mount_text.h"

#include <inttypes.h>

#define CELL_MAX       32
#define MOUNTPOINT_MIN 18 /* columns in which most are told apart */
#define IMAGE_MIN      24

struct line {
	const struct mount_row *row;
	const struct mount_rates *rates; /* NULL: totals */
};

struct column {
	const char *head, *rate_head; /* NULL: not with, or only with rates */
	int width;
	unsigned worth; /* lower goes first; 0: not shown */
	void (*cell)(const struct line *l, char text[CELL_MAX]);
};

static void size_cell(uint64_t bytes, char text[CELL_MAX])
{
	char size[FORMAT_TEXT_MAX];

	snprintf(text, CELL_MAX, "%.*s", CELL_MAX - 1, format_size(bytes, size));
}

static void rate_cell(uint64_t bytes, bool known, char text[CELL_MAX])
{
	if (known)
		size_cell(bytes, text);
	else
		snprintf(text, CELL_MAX, "-");
}

static void pid_cell(const struct line *l, char text[CELL_MAX])
{
	snprintf(text, CELL_MAX, "%d", l->row->pid);
}

static void uptime_cell(const struct line *l, char text[CELL_MAX])
{
	mount_view_uptime(mount_uptime_s(l->row), text);
}

static void read_cell(const struct line *l, char text[CELL_MAX])
{
	if (l->rates)
		rate_cell(l->rates->read_bytes, l->rates->known, text);
	else
		size_cell(l->row->board.stats.read_bytes, text);
}

static void fetch_cell(const struct line *l, char text[CELL_MAX])
{
	if (l->rates)
		rate_cell(l->rates->fetched_bytes, l->rates->known, text);
	else
		size_cell(l->row->board.stats.fetched_bytes, text);
}

static void fetched_cell(const struct line *l, char text[CELL_MAX])
{
	size_cell(l->row->board.stats.fetched_bytes, text);
}

static void total_cell(const struct line *l, char text[CELL_MAX])
{
	size_cell(l->row->size, text);
}

static void hit_cell(const struct line *l, char text[CELL_MAX])
{
	const struct content_stats *s = &l->row->board.stats;
	int percent = l->rates && l->rates->known
			      ? mount_hit_percent(l->rates->store_hits, l->rates->misses)
			      : mount_hit_percent(s->store_hits, s->misses);

	if (percent < 0)
		snprintf(text, CELL_MAX, "-");
	else
		snprintf(text, CELL_MAX, "%d%%", percent);
}

static void waiting_cell(const struct line *l, char text[CELL_MAX])
{
	snprintf(text, CELL_MAX, "%" PRIu32, l->row->board.n_waiting);
}

static void fetching_cell(const struct line *l, char text[CELL_MAX])
{
	snprintf(text, CELL_MAX, "%" PRIu32, l->row->board.n_fetching);
}

static void slowest_cell(const struct line *l, char text[CELL_MAX])
{
	const struct board_view *b = &l->row->board;
	uint64_t ms = b->n_slow ? b->slow[0].wait_ms : 0;

	if (b->n_waiting_shown)
		ms = max_of(ms, mount_wait_ms(&b->waiting[0]));
	if (ms)
		mount_view_duration(ms, text);
	else
		snprintf(text, CELL_MAX, "-");
}

static void errors_cell(const struct line *l, char text[CELL_MAX])
{
	snprintf(text, CELL_MAX, "%" PRIu64, l->row->board.stats.errors);
}

static const struct column columns[] = {
	{"PID", "PID", 7, 2, pid_cell},
	{"UPTIME", "UPTIME", 8, 3, uptime_cell},
	{"READ", "READ/S", 10, 7, read_cell},
	{NULL, "FETCH/S", 10, 9, fetch_cell},
	{"FETCHED", "FETCHED", 10, 8, fetched_cell},
	{"OF", "OF", 10, 6, total_cell},
	{"HIT", "HIT", 4, 10, hit_cell},
	{"WAIT", "WAIT", 4, 11, waiting_cell},
	{"FETCH", "FETCH", 5, 4, fetching_cell},
	{"SLOWEST", "SLOWEST", 7, 5, slowest_cell},
	{"ERRORS", "ERRORS", 6, 8, errors_cell},
};

#define IMAGE_WORTH 1

struct layout {
	bool shown[ARRAY_LEN(columns)];
	bool image;
	size_t mountpoint_width, image_width; /* 0: as wide as it gets */
};

static const char *head_of(const struct column *c, bool rates)
{
	return rates ? c->rate_head : c->head;
}

static size_t fixed_width(const struct layout *l)
{
	size_t width = 0;

	for (size_t i = 0; i < ARRAY_LEN(columns); i++)
		width += l->shown[i] ? (size_t)columns[i].width + 1 : 0;
	return width + 1 + MOUNTPOINT_MIN + (l->image ? 2 + IMAGE_MIN : 0);
}

/* Take away what is worth least; false when nothing is left. */
static bool drop_one(struct layout *l)
{
	size_t least = ARRAY_LEN(columns);

	if (l->image) {
		l->image = false;
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(columns); i++)
		if (l->shown[i] &&
		    (least == ARRAY_LEN(columns) || columns[i].worth < columns[least].worth))
			least = i;
	if (least == ARRAY_LEN(columns))
		return false;
	l->shown[least] = false;
	return true;
}

static struct layout lay_out(const struct mount_view *v, bool rates)
{
	struct layout l = {.image = true};
	size_t left;

	for (size_t i = 0; i < ARRAY_LEN(columns); i++)
		l.shown[i] = head_of(&columns[i], rates) != NULL;
	if (!v->width)
		return l;
	while (fixed_width(&l) > v->width && drop_one(&l))
		;
	left = v->width > fixed_width(&l) ? v->width - fixed_width(&l) : 0;
	l.mountpoint_width = MOUNTPOINT_MIN + (l.image ? left / 2 : left);
	l.image_width = IMAGE_MIN + left - left / 2;
	return l;
}

static void print_head(const struct mount_view *v, const struct layout *l, bool rates)
{
	mount_text_begin(v, MOUNT_TEXT_HEAD);
	for (size_t i = 0; i < ARRAY_LEN(columns); i++)
		if (l->shown[i])
			fprintf(v->out, "%*s ", columns[i].width, head_of(&columns[i], rates));
	fprintf(v->out, " %-*s", (int)l->mountpoint_width, "MOUNTPOINT");
	if (l->image)
		fputs("  IMAGE", v->out);
	mount_text_end(v, MOUNT_TEXT_HEAD);
	fputc('\n', v->out);
}

static void print_line(const struct mount_view *v, const struct layout *l, const struct line *line)
{
	const struct mount_row *row = line->row;

	for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
		char text[CELL_MAX];

		if (!l->shown[i])
			continue;
		columns[i].cell(line, text);
		fprintf(v->out, "%*s ", columns[i].width, text);
	}
	fputc(' ', v->out);
	mount_text_tail(v, BYTES_STR(row->mountpoint), l->mountpoint_width, l->image);
	if (l->image) {
		fputs("  ", v->out);
		mount_text_tail(v, BYTES_STR(row->reference), l->image_width, false);
	}
	/* On a terminal it would break the line; the report on the mount says it, too. */
	if (!v->width && !mount_is_attached(row))
		fputs("  (detached)", v->out);
}

void mount_view_table(const struct mount_view *v, const struct mount_row *rows, size_t n,
		      const struct mount_rates *rates, size_t chosen)
{
	struct layout l = lay_out(v, rates != NULL);

	print_head(v, &l, rates != NULL);
	for (size_t i = 0; i < n; i++) {
		struct line line = {&rows[i], rates ? &rates[i] : NULL};
		enum mount_text_style style =
			i == chosen ? MOUNT_TEXT_CHOSEN
			: rows[i].board.n_waiting_shown &&
					mount_wait_ms(&rows[i].board.waiting[0]) >
						MOUNT_TEXT_LONG_MS
				? MOUNT_TEXT_BAD
				: MOUNT_TEXT_PLAIN;

		mount_text_begin(v, style);
		print_line(v, &l, &line);
		mount_text_end(v, style);
		fputc('\n', v->out);
	}
}
