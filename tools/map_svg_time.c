/*
 * When it happened: time runs to the right; on top, how many readers waited at each moment; below,
 * a row for each layer, with a mark for each range that was fetched, as long as the fetch took.
 * Fetches that overlap lie in lanes under each other.
 */
#include "tools/map_svg_priv.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define LANES_MAX   16
#define LANE_HEIGHT 7
#define MARK_HEIGHT 5.4
#define AREA_HEIGHT 40
#define MARK_MIN    1.6
#define WIDTH	    (SVG_RIGHT - SVG_LABELS)

static double x_of(const struct svg *s, uint64_t ms)
{
	double span = max_of(s->map->span_ms, 1u);
	return SVG_LABELS + WIDTH * min_of((double)ms / span, 1.0);
}

/* --- the axis --- */

/* A round step that gives at most eight ticks. */
static uint64_t tick_step(uint64_t span_ms)
{
	static const unsigned steps[] = {1, 2, 5};
	for (uint64_t unit = 1;; unit *= 10)
		for (unsigned i = 0; i < ARRAY_LEN(steps); i++)
			if (span_ms / (unit * steps[i]) <= 8)
				return unit * steps[i];
}

static void ticks(const struct svg *s, double top, double bottom)
{
	uint64_t step = tick_step(s->map->span_ms), span = s->map->span_ms;
	for (uint64_t ms = 0; ms <= span; ms += step) {
		char text[64];
		double x = x_of(s, ms);
		bool last = x > SVG_RIGHT - 20;
		if (step % 1000 == 0 || span >= 10000)
			snprintf(text, sizeof(text), "%g s", (double)ms / 1000);
		else if (span >= 1000)
			snprintf(text, sizeof(text), "%.*f s", step % 100 ? 2 : 1,
				 (double)ms / 1000);
		else
			snprintf(text, sizeof(text), "%" PRIu64 " ms", ms);
		fprintf(s->out, "<path class=\"tick\" d=\"M%.1f %.1fV%.1f\"/>", x, top, bottom);
		fprintf(s->out, "<text class=\"dim small %s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
			last ? "num" : "mid", x, bottom + 14, text);
	}
}

/* --- readers that wait --- */

/* Begins and ends of waits, in order; an end comes before a begin at the same time. */
struct edge {
	uint64_t ms;
	int step;
};

static int edge_order(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;
	if (x->ms != y->ms)
		return x->ms < y->ms ? -1 : 1;
	return x->step - y->step;
}

static struct edge *edges_of(const struct map *m)
{
	size_t n = m->start_waits[1] - m->start_waits[0];
	const struct map_event *waits = m->waits + m->start_waits[0];
	struct edge *edges = xcalloc(2 * n + 1, sizeof(*edges));
	for (size_t i = 0; i < n; i++) {
		uint64_t from = waits[i].from_ms - m->first_ms;
		/* What took no millisecond is still to be seen. */
		uint64_t took = max_of(waits[i].took_ms, 1u);
		edges[2 * i] = (struct edge){from, 1};
		edges[2 * i + 1] = (struct edge){from + took, -1};
	}
	if (n)
		qsort(edges, 2 * n, sizeof(*edges), edge_order);
	return edges;
}

static int most_waiting(const struct edge *edges, size_t n)
{
	int now = 0, most = 0;
	for (size_t i = 0; i < n; i++) {
		now += edges[i].step;
		most = max_of(most, now);
	}
	return most;
}

static void area(struct svg *s)
{
	const struct map *m = s->map;
	auto_free struct edge *edges = edges_of(m);
	size_t n = 2 * (m->start_waits[1] - m->start_waits[0]);
	int most = most_waiting(edges, n), now = 0;
	double floor_y = s->y + AREA_HEIGHT;
	fprintf(s->out, "<text x=\"%d\" y=\"%.1f\">readers waiting</text>\n", SVG_MARGIN,
		s->y + AREA_HEIGHT / 2.0);
	fprintf(s->out,
		"<text class=\"dim small\" x=\"%d\" y=\"%.1f\">%d at once, at the most</text>\n",
		SVG_MARGIN, s->y + AREA_HEIGHT / 2.0 + 15, most);
	fprintf(s->out, "<path class=\"waiting\" d=\"M%d %.1f", SVG_LABELS, floor_y);
	for (size_t i = 0; i < n;) {
		uint64_t ms = edges[i].ms;
		for (; i < n && edges[i].ms == ms; i++)
			now += edges[i].step;
		fprintf(s->out, "H%.2fV%.2f", x_of(s, ms),
			floor_y - (AREA_HEIGHT - 4) * (most ? (double)now / most : 0));
	}
	fprintf(s->out, "V%.1fZ\"/>\n<path class=\"rule\" d=\"M%d %.1fH%d\"/>\n", floor_y,
		SVG_LABELS, floor_y, SVG_RIGHT);
	s->y += AREA_HEIGHT + 8;
}

/* --- fetches --- */

static void mark_title(const struct svg *s, const struct map_event *e)
{
	char size[FORMAT_TEXT_MAX], from[64], took[64];
	fprintf(s->out, "<title>%s for %s, at %s, took %s%s%s</title>", format_size(e->bytes, size),
		e->index ? "an index" : trace_who_name(e->who),
		map_duration(e->from_ms - s->map->first_ms, from), map_duration(e->took_ms, took),
		e->kept ? ", from the kept blob" : "", e->failed ? ", failed" : "");
}

static void draw_mark(const struct svg *s, const struct map_event *e, unsigned lane)
{
	uint64_t from_ms = e->from_ms - s->map->first_ms;
	double x = x_of(s, from_ms);
	double to = max_of(x_of(s, from_ms + e->took_ms), x + MARK_MIN);
	if (to > SVG_RIGHT) {
		to = SVG_RIGHT;
		x = min_of(x, to - MARK_MIN);
	}
	fprintf(s->out,
		"<rect class=\"%s\" x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\"%s>",
		svg_who_class(e->index ? TRACE_NOBODY : e->who), x, s->y + lane * LANE_HEIGHT,
		to - x, MARK_HEIGHT, e->failed ? " opacity=\".4\"" : "");
	mark_title(s, e);
	fprintf(s->out, "</rect>\n");
}

/* The first lane that is free by then; the last one takes what is too much. */
static unsigned lane_for(uint64_t free_ms[LANES_MAX], const struct map_event *e, uint64_t least_ms)
{
	unsigned lane = 0;
	while (lane + 1 < LANES_MAX && free_ms[lane] > e->from_ms)
		lane++;
	free_ms[lane] = (uint64_t)e->from_ms + max_of((uint64_t)e->took_ms, least_ms);
	return lane;
}

static unsigned row_of(struct svg *s, uint32_t layer)
{
	const struct map *m = s->map;
	uint64_t free_ms[LANES_MAX] = {0};
	/* What is drawn wider than it took must not lie on its neighbour. */
	uint64_t least_ms = (uint64_t)((MARK_MIN + 0.6) * m->span_ms / WIDTH) + 1;
	unsigned lanes = 0;
	for (size_t i = m->start_fetches[0]; i < m->start_fetches[1]; i++) {
		if (m->fetches[i].layer != layer)
			continue;
		unsigned lane = lane_for(free_ms, &m->fetches[i], least_ms);
		lanes = max_of(lanes, lane + 1);
		draw_mark(s, &m->fetches[i], lane);
	}
	return lanes;
}

static void layer_row(struct svg *s, uint32_t layer)
{
	const struct map_layer *l = &s->map->layers[layer];
	unsigned lanes = row_of(s, layer);
	if (!lanes)
		return;
	double height = max_of(lanes * (double)LANE_HEIGHT, 14.0);
	fprintf(s->out,
		"<text class=\"strong\" x=\"%d\" y=\"%.1f\">%u</text>"
		"<text class=\"dim\" x=\"%d\" y=\"%.1f\">",
		SVG_MARGIN, s->y + 10, l->number, SVG_MARGIN + 24, s->y + 10);
	if (l->mostly)
		svg_bytes(s->out, BYTES_STR(l->mostly), 19);
	fprintf(s->out, "</text>\n");
	s->y += height + 6;
	fprintf(s->out, "<path class=\"rule\" d=\"M%d %.1fH%d\"/>\n", SVG_LABELS, s->y - 4,
		SVG_RIGHT);
}

/* --- the legend, with who fetched how much --- */

/* About how long a mark with its words is. */
static double legend_len(const char *line)
{
	return 26 + 6.6 * (double)strlen(line);
}

static void who_legend(struct svg *s)
{
	static const char *const words[] = {"index", "readers", "read-ahead", "profile", "fill"};
	static const enum trace_who order[] = {TRACE_READER, TRACE_AHEAD, TRACE_PROFILE, TRACE_FILL,
					       TRACE_NOBODY};
	char size[FORMAT_TEXT_MAX], line[2 * FORMAT_TEXT_MAX];
	double x = SVG_LABELS;
	for (unsigned i = 0; i < ARRAY_LEN(order); i++) {
		uint64_t bytes = s->map->fetched[order[i]];
		if (!bytes)
			continue;
		snprintf(line, sizeof(line), "%s %s", words[order[i]], format_size(bytes, size));
		if (x + legend_len(line) > SVG_RIGHT) {
			x = SVG_LABELS;
			s->y += 18;
		}
		fprintf(s->out,
			"<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"20\" height=\"9\"/>"
			"<text x=\"%.1f\" y=\"%.1f\">%s</text>\n",
			svg_who_class(order[i]), x, s->y + 2, x + 26, s->y + 11, line);
		x += legend_len(line) + 16;
	}
	if (s->map->unread_bytes) {
		snprintf(line, sizeof(line), "not read (yet): %s",
			 format_size(s->map->unread_bytes, size));
		if (x + legend_len(line) > SVG_RIGHT)
			s->y += 18;
		fprintf(s->out, "<text class=\"dim num\" x=\"%d\" y=\"%.1f\">%s</text>\n",
			SVG_RIGHT, s->y + 11, line);
	}
	s->y += 26;
}

static bool shows_all(const struct map *m)
{
	return !m->more_events && m->start_fetches[1] - m->start_fetches[0] == m->n_fetches &&
	       m->start_waits[1] - m->start_waits[0] == m->n_waits;
}

void svg_time(struct svg *s)
{
	const struct map *m = s->map;
	char remark[FORMAT_TEXT_MAX * 4], span[64], first[64];
	if (!m->n_fetches && !m->n_waits)
		return;
	snprintf(remark, sizeof(remark), "%s, beginning %s after the mount%s",
		 map_duration(m->span_ms, span), map_duration(m->first_ms, first),
		 shows_all(m) ? "" : "; not all that happened");
	s->y += 8;
	svg_heading(s, "Time", remark);
	double top = s->y;
	FILE *out = s->out;
	char *marks = NULL;
	size_t n = 0;
	/* The ticks lie under the marks, and are as long as these are many. */
	s->out = open_memstream(&marks, &n);
	BUG_ON(!s->out);
	area(s);
	for (uint32_t i = 0; i < m->n_layers; i++)
		layer_row(s, i);
	BUG_ON(fclose(s->out));
	s->out = out;
	ticks(s, top, s->y - 2);
	fwrite(marks, 1, n, out);
	free(marks);
	s->y += 26;
	who_legend(s);
}
