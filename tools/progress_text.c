/*
 * What a line of progress says. The parts are made first, then as many as fit are put side by side,
 * and the bar takes the columns that are left.
 */
#include "tools/progress_text.h"

#include "tools/format.h"

#include <inttypes.h>
#include <string.h>

#define PART_MAX      48
#define BAR_MIN	      6
#define BAR_MAX	      40
#define GAP	      2
#define ROOMY	      70 /* columns of a window in which those of a block are aligned */
#define AMOUNT_WIDTH  17 /* "1023.9/1023.9 MiB" */
#define RATE_WIDTH    12
#define LEFT_WIDTH    7	     /* of a day; longer times push the rest to the left */
#define TIME_LEFT_MAX 359999 /* seconds; longer is no estimate */

/* Both in the unit of the whole: "12.3/45.6 MiB". */
static void amounts(const struct progress_view *v, const char *between, char out[PART_MAX])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double done = (double)min_of(v->done, v->total), total = (double)v->total;
	size_t unit = 0;
	for (; total >= 1023.95 && unit + 1 < ARRAY_LEN(units); unit++) {
		done /= 1024;
		total /= 1024;
	}
	int digits = unit ? 1 : 0;
	snprintf(out, PART_MAX, "%.*f%s%.*f %s", digits, done, between, digits, total, units[unit]);
}

static void rate_text(const struct progress_view *v, char out[PART_MAX])
{
	char size[FORMAT_TEXT_MAX];
	out[0] = '\0';
	if (v->rate >= 1)
		snprintf(out, PART_MAX, "%.40s/s", format_size((uint64_t)v->rate, size));
}

static void time_left(const struct progress_view *v, char out[PART_MAX])
{
	out[0] = '\0';
	if (v->rate < 1 || v->done >= v->total)
		return;
	double left = (double)(v->total - v->done) / v->rate + 0.5;
	if (left > TIME_LEFT_MAX)
		return;
	uint64_t s = (uint64_t)left;
	if (s >= 3600)
		snprintf(out, PART_MAX, "%" PRIu64 ":%02u:%02u", s / 3600, (unsigned)(s / 60 % 60),
			 (unsigned)(s % 60));
	else
		snprintf(out, PART_MAX, "%u:%02u", (unsigned)(s / 60), (unsigned)(s % 60));
}

static size_t append(char *line, size_t n, const char *part)
{
	if (!*part || n >= PROGRESS_LINE_MAX)
		return n;
	return n + (size_t)snprintf(line + n, PROGRESS_LINE_MAX - n, "%s%s", n ? "  " : "", part);
}

/* To the right of a column of this width. */
static void pad(char part[PART_MAX], size_t width)
{
	size_t n = strlen(part);
	if (n >= width)
		return;
	memmove(part + width - n, part, n + 1);
	memset(part, ' ', width - n);
}

static void draw_bar(const struct progress_view *v, size_t n, char *out)
{
	uint64_t done = min_of(v->done, v->total);
	size_t full = v->total ? (size_t)((double)done / (double)v->total * (double)n) : n;
	memset(out, '#', full);
	memset(out + full, '-', n - full);
	out[n] = '\0';
}

/* The columns of a part behind others. */
static size_t columns(const char *part)
{
	return *part ? GAP + strlen(part) : 0;
}

static void percent(const struct progress_view *v, char out[PART_MAX])
{
	double part = v->total ? (double)min_of(v->done, v->total) / (double)v->total : 1;
	snprintf(out, PART_MAX, "%d%%", (int)(part * 100));
}

/* Where label and amounts are too wide: a number that is cut would be another number. */
static void shrink(const struct progress_view *v, size_t width, char label[PART_MAX],
		   char amount[PART_MAX])
{
	if (strlen(label) + columns(amount) <= width)
		return;
	for (size_t n = strlen(label); n > 1 && label[n - 1] == ' '; n--)
		label[n - 1] = '\0';
	if (strlen(label) + columns(amount) <= width)
		return;
	percent(v, amount);
	if (strlen(label) + columns(amount) <= width)
		return;
	char *out = strlen(amount) <= width ? label : amount;
	*out = '\0';
}

const char *progress_bar(const struct progress_view *v, size_t width, char out[PROGRESS_LINE_MAX])
{
	char amount[PART_MAX], rate[PART_MAX], left[PART_MAX], bar[BAR_MAX + 1] = "";
	char label[PART_MAX];
	width = min_of(width, (size_t)PROGRESS_LINE_MAX - 1);
	snprintf(label, sizeof(label), "%-*s", (int)min_of(v->label_width, (size_t)PART_MAX - 1),
		 v->label);
	amounts(v, "/", amount);
	rate_text(v, rate);
	time_left(v, left);
	if (v->label_width && width >= ROOMY) {
		pad(amount, AMOUNT_WIDTH);
		pad(rate, RATE_WIDTH);
		pad(left, LEFT_WIDTH);
	}
	shrink(v, width, label, amount);
	size_t used = strlen(label) + columns(amount) + (v->part ? GAP + BAR_MIN : 0);
	if (used + columns(rate) > width)
		rate[0] = '\0';
	if (used + columns(rate) + columns(left) > width)
		left[0] = '\0';
	used = strlen(label) + columns(amount) + columns(rate) + columns(left);
	if (used + GAP + BAR_MIN <= width)
		draw_bar(v, min_of(width - used - GAP, (size_t)BAR_MAX), bar);
	size_t n = append(out, 0, label);
	n = append(out, n, bar);
	n = append(out, n, amount);
	n = append(out, n, rate);
	n = append(out, n, left);
	out[min_of(n, width)] = '\0';
	return out;
}

const char *progress_plain(const struct progress_view *v, char out[PROGRESS_LINE_MAX])
{
	char amount[PART_MAX], rate[PART_MAX], left[PART_MAX];
	amounts(v, " of ", amount);
	rate_text(v, rate);
	time_left(v, left);
	snprintf(out, PROGRESS_LINE_MAX, "%s%s%s%s%s%s", amount, *rate ? ", " : "", rate,
		 *left ? ", " : "", left, *left ? " left" : "");
	return out;
}
