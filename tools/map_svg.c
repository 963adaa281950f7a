/*
 * The picture: figures, and a bar for each layer. A bar is as long as the square root of the
 * layer's size, so that the smallest can still be seen beside the largest; inside it, places are in
 * proportion. It tells three things in three places, so that nothing hangs on colour alone: what is
 * here fills the bar, what was read is its lower half, and where readers waited a needle stands on
 * top.
 */
#include "tools/map_svg_priv.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define BAR_MIN 10  /* the shortest bar */
#define MANY	24  /* layers, from which on their rows are low */
#define NARROW	0.8 /* what would be narrower is drawn as wide as this */
#define FIGURE	170 /* from one figure to the next; the last has more room */

static const struct svg_row high_row = {16, 22, 10, 8, true}, low_row = {7, 13, 6, 3, false};
static const char high_remark[] =
	"bar length: square root of the compressed size; below each name, "
	"its largest directory",
		  low_remark[] =
			  "bar length: square root of the compressed size; here / read, size";

/* --- the figures --- */

/* A line of small words below a figure. */
static void figure_line(const struct svg *s, double x, unsigned line, const char *text)
{
	if (*text)
		fprintf(s->out, "<text class=\"dim\" x=\"%.0f\" y=\"%.0f\">%s</text>\n", x,
			s->y + 42 + 16 * line, text);
}

static void figure(const struct svg *s, double x, const char *value, const char *label,
		   const char *more)
{
	fprintf(s->out, "<text class=\"big\" x=\"%.0f\" y=\"%.0f\">%s</text>\n", x, s->y + 24,
		value);
	figure_line(s, x, 0, label);
	figure_line(s, x, 1, more);
}

static void percent_text(char buf[FORMAT_TEXT_MAX], uint64_t part, uint64_t whole, const char *of)
{
	char percent[FORMAT_TEXT_MAX];
	snprintf(buf, FORMAT_TEXT_MAX, "%s of %s", format_percent(part, whole, percent), of);
}

static uint64_t fetched_total(const struct map *m)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < TRACE_WHO_COUNT; i++)
		sum += m->fetched[i];
	return sum;
}

/* What a mount did; dashes where only a profile is known. */
static void traced_figures(const struct svg *s, double x)
{
	const struct map *m = s->map;
	char value[FORMAT_TEXT_MAX], more[FORMAT_TEXT_MAX], size[FORMAT_TEXT_MAX];
	if (m->origin != MAP_LIVE && m->origin != MAP_LAST) {
		figure(s, x, "-", "fetched by this mount", "");
		figure(s, x + FIGURE, "-", "somebody waited", "");
		return;
	}
	snprintf(more, sizeof(more), "in %" PRIu64 " request%s", m->requests,
		 m->requests == 1 ? "" : "s");
	figure(s, x, format_size(fetched_total(m), value), "fetched by this mount", more);
	snprintf(more, sizeof(more), "%" PRIu64 " of %" PRIu64 " read%s", m->waits_seen, m->reads,
		 m->reads == 1 ? "" : "s");
	figure(s, x + FIGURE, map_duration(m->wait_ms, value), "somebody waited", more);
	snprintf(more, sizeof(more), "%s were read", format_size(m->asked_bytes, size));
	figure_line(s, x + FIGURE, 2, more);
}

static void figures(struct svg *s)
{
	const struct map *m = s->map;
	char value[FORMAT_TEXT_MAX], more[FORMAT_TEXT_MAX];
	double x = SVG_MARGIN;
	snprintf(more, sizeof(more), "%u distinct layer%s", m->n_layers,
		 m->n_layers == 1 ? "" : "s");
	figure(s, x, format_size(m->size, value), "the image, compressed", more);
	percent_text(more, m->stored_bytes, m->size, "the image");
	figure(s, x += FIGURE, format_size(m->stored_bytes, value), "in the local store", more);
	percent_text(more, m->read_bytes, m->size, "the image");
	figure(s, x += FIGURE, format_size(m->read_bytes, value), "in chunks that were read", more);
	traced_figures(s, x + FIGURE);
	s->y += 96;
}

/* --- layers --- */

static double bar_length(const struct map *m, const struct map_layer *l)
{
	uint64_t largest = 1;
	for (uint32_t i = 0; i < m->n_layers; i++)
		largest = max_of(largest, m->layers[i].blob_size);
	double len = SVG_BARS * sqrt((double)l->blob_size / (double)largest);
	return max_of(len, (double)BAR_MIN);
}

static double place_in(const struct map_layer *l, double len, uint64_t at)
{
	return l->blob_size ? len * (double)at / (double)l->blob_size : 0;
}

/* Runs of chunks that are alike, as one path. @read: those that were read, else those that are
 * here. */
static void draw_runs(const struct svg *s, const struct map_layer *l, double len, bool read)
{
	double y = s->y + s->row.needles + (read ? s->row.bar - s->row.read : 0);
	double drawn = -1;
	unsigned n = 0;
	for (uint32_t i = 0; i < l->n_chunks;) {
		uint32_t from = i;
		bool is = read ? l->chunks[i].read : l->chunks[i].stored;
		while (i < l->n_chunks && is == (read ? l->chunks[i].read : l->chunks[i].stored))
			i++;
		if (!is)
			continue;
		uint64_t end = i < l->n_chunks ? l->chunks[i].at : l->blob_size;
		double x = place_in(l, len, l->chunks[from].at), to = place_in(l, len, end);
		if (to - x < NARROW)
			to = x + NARROW;
		/* What an earlier one was widened over. */
		if (to <= drawn)
			continue;
		drawn = to = min_of(to, len);
		if (!n++)
			fprintf(s->out, "<path class=\"%s\" d=\"", read ? "read" : "here");
		fprintf(s->out, "M%.2f %.1fH%.2fV%.1fH%.2fZ", SVG_LABELS + x, y, SVG_LABELS + to,
			y + (read ? s->row.read : s->row.bar), SVG_LABELS + x);
	}
	if (n)
		fprintf(s->out, "\"/>\n");
}

static uint32_t longest_wait(const struct map *m)
{
	uint32_t longest = 1;
	for (uint32_t i = 0; i < m->n_layers; i++)
		for (uint32_t k = 0; k < m->layers[i].n_chunks; k++)
			longest = max_of(longest, m->layers[i].chunks[k].wait_ms);
	return longest;
}

/* The longest wait of each unit of width is the one that is seen. */
static void draw_needles(const struct svg *s, const struct map_layer *l, double len,
			 uint32_t longest_ms)
{
	float tallest[SVG_BARS + 1] = {0};
	unsigned n = 0;
	for (uint32_t i = 0; i < l->n_chunks; i++) {
		const struct map_chunk *c = &l->chunks[i];
		if (!c->waited)
			continue;
		double x = place_in(l, len, c->at + c->len / 2);
		float tall = (float)(3 + (s->row.needles - 4) *
						 sqrt((double)c->wait_ms / (double)longest_ms));
		unsigned column = (unsigned)min_of(x, (double)SVG_BARS);
		tallest[column] = max_of(tallest[column], tall);
	}
	for (unsigned i = 0; i < ARRAY_LEN(tallest); i++)
		if (tallest[i] > 0)
			fprintf(s->out, "%sM%.1f %.1fv-%.1f",
				n++ ? "" : "<path class=\"wait\" d=\"", SVG_LABELS + i + 0.5,
				s->y + s->row.needles, (double)tallest[i]);
	if (n)
		fprintf(s->out, "\"/>\n");
}

static void layer_title(const struct svg *s, const struct map_layer *l)
{
	char size[FORMAT_TEXT_MAX], here[FORMAT_TEXT_MAX], read[FORMAT_TEXT_MAX],
		text[DIGEST_TEXT_MAX];
	fprintf(s->out, "<title>layer %u, %s\n%s, %s here, %s in chunks that were read", l->number,
		digest_text(&l->blob, text), format_size(l->blob_size, size),
		format_size(l->stored_bytes, here), format_size(l->read_bytes, read));
	if (!l->known)
		fprintf(s->out, "\nnot indexed yet");
	if (l->kept)
		fprintf(s->out, "\nthe store keeps the whole blob");
	fprintf(s->out, "</title>\n");
}

static void layer_name(const struct svg *s, const struct map_layer *l, double y)
{
	fprintf(s->out,
		"<text class=\"strong\" x=\"%d\" y=\"%.1f\">%u</text>"
		"<text class=\"code\" x=\"%d\" y=\"%.1f\">%s</text>\n",
		SVG_MARGIN, y, l->number, SVG_MARGIN + 24, y, l->name);
	if (!l->mostly || !s->row.two_lines)
		return;
	fprintf(s->out, "<text class=\"dim\" x=\"%d\" y=\"%.1f\">", SVG_MARGIN + 24, y + 14);
	svg_bytes(s->out, BYTES_STR(l->mostly), 19);
	fprintf(s->out, "</text>\n");
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void layer_figures(const struct svg *s, const struct map_layer *l, double y)
{
	char size[FORMAT_TEXT_MAX];
	int x = s->row.two_lines ? SVG_RIGHT : SVG_RIGHT - 84;
	fprintf(s->out, "<text class=\"num strong\" x=\"%d\" y=\"%.1f\">%s</text>\n", SVG_RIGHT, y,
		format_size(l->blob_size, size));
	fprintf(s->out, "<text class=\"num dim\" x=\"%d\" y=\"%.1f\">", x,
		y + (s->row.two_lines ? 14 : 0));
	if (l->known)
		fprintf(s->out,
			s->row.two_lines ? "%.0f %% here, %.0f %% read</text>\n"
					 : "%.0f / %.0f %%</text>\n",
			percent(l->stored_bytes, l->blob_size),
			percent(l->read_bytes, l->blob_size));
	else
		fprintf(s->out, "%s</text>\n", l->kept ? "here, not indexed" : "not indexed yet");
}

static void layer_words(const struct svg *s, const struct map_layer *l)
{
	double y = s->y + s->row.needles + (s->row.two_lines ? 9 : 10.5);
	layer_name(s, l, y);
	layer_figures(s, l, y);
}

static void draw_layer(struct svg *s, uint32_t i, uint32_t longest_ms)
{
	const struct map_layer *l = &s->map->layers[i];
	double len = bar_length(s->map, l);
	fprintf(s->out, "<g class=\"layer\" data-layer=\"%u\" data-x=\"%d\" data-w=\"%.2f\">\n", i,
		SVG_LABELS, len);
	layer_title(s, l);
	layer_words(s, l);
	fprintf(s->out, "<rect class=\"%s\" x=\"%d\" y=\"%.1f\" width=\"%.2f\" height=\"%d\"/>\n",
		l->known  ? "absent"
		: l->kept ? "here"
			  : "unknown",
		SVG_LABELS, s->y + s->row.needles, len, s->row.bar);
	draw_runs(s, l, len, false);
	draw_runs(s, l, len, true);
	draw_needles(s, l, len, longest_ms);
	fprintf(s->out,
		"<rect class=\"frame\" x=\"%d\" y=\"%.1f\" width=\"%.2f\" height=\"%d\"/>\n",
		SVG_LABELS, s->y + s->row.needles, len, s->row.bar);
	fprintf(s->out, "</g>\n");
	s->y += s->row.needles + s->row.bar + s->row.gap;
}

static double legend_item(const struct svg *s, double x, const char *shape, const char *text)
{
	fprintf(s->out,
		"<g transform=\"translate(%.1f %.1f)\">%s<text x=\"26\" y=\"11\">%s</text></g>\n",
		x, s->y, shape, text);
	return x + 26 + 6.6 * (double)strlen(text) + 18;
}

static void legend(struct svg *s)
{
	double x = SVG_LABELS;
	x = legend_item(s, x,
			"<rect class=\"absent\" width=\"20\" height=\"14\"/>"
			"<rect class=\"frame\" width=\"20\" height=\"14\"/>",
			"not here");
	x = legend_item(s, x,
			"<rect class=\"here\" width=\"20\" height=\"14\"/>"
			"<rect class=\"frame\" width=\"20\" height=\"14\"/>",
			"in the store");
	x = legend_item(s, x,
			"<rect class=\"here\" width=\"20\" height=\"14\"/>"
			"<rect class=\"read\" y=\"7\" width=\"20\" height=\"7\"/>"
			"<rect class=\"frame\" width=\"20\" height=\"14\"/>",
			"and read");
	legend_item(s, x, "<path class=\"wait\" d=\"M5 14v-12M10 14v-6M15 14v-9\"/>",
		    "readers waited here, taller: longer");
	s->y += 26;
}

static void layers(struct svg *s)
{
	uint32_t longest_ms = longest_wait(s->map);
	s->row = s->map->n_layers > MANY ? low_row : high_row;
	svg_heading(s, "Layers", s->row.two_lines ? high_remark : low_remark);
	for (uint32_t i = 0; i < s->map->n_layers; i++)
		draw_layer(s, i, longest_ms);
	s->y += 4;
	legend(s);
}

/* --- the whole --- */

static void head(struct svg *s)
{
	const struct map *m = s->map;
	char digest[DIGEST_TEXT_MAX];
	auto_free char *source = map_source_text(m);
	s->y = 44;
	fprintf(s->out, "<text class=\"title\" x=\"%d\" y=\"%.0f\">", SVG_MARGIN, s->y);
	svg_bytes(s->out, BYTES_STR(m->reference), 72);
	fprintf(s->out, "</text>\n<text class=\"dim\" x=\"%d\" y=\"%.0f\">", SVG_MARGIN, s->y + 22);
	svg_text(s->out, source, 100);
	fprintf(s->out, "</text>\n<text class=\"code num dim\" x=\"%d\" y=\"%.0f\">%.19s</text>\n",
		SVG_RIGHT, s->y + 22, digest_text(&m->image->digest, digest));
	s->y += 44;
}

static void body(struct svg *s)
{
	head(s);
	figures(s);
	layers(s);
	svg_time(s);
	svg_tables(s);
	s->y += 6;
}

static void definitions(FILE *out)
{
	/* Marks of who: plain, stripes, stripes the other way, outline. */
	fprintf(out,
		"<defs>\n"
		"<pattern id=\"ahead\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" "
		"patternTransform=\"rotate(45)\"><rect class=\"p-ahead\" width=\"5\" height=\"5\"/>"
		"<rect class=\"p-gap\" width=\"1.4\" height=\"5\"/></pattern>\n"
		"<pattern id=\"profile\" width=\"4\" height=\"4\" patternUnits=\"userSpaceOnUse\">"
		"<rect class=\"p-profile\" width=\"4\" height=\"4\"/>"
		"<rect class=\"p-gap\" width=\"1\" height=\"4\"/></pattern>\n"
		"</defs>\n");
}

void map_svg(const struct map *m, FILE *out, bool in_page)
{
	char *text = NULL;
	size_t n = 0;
	struct svg s = {.out = open_memstream(&text, &n), .map = m};
	BUG_ON(!s.out);
	body(&s);
	BUG_ON(fclose(s.out));
	if (!in_page)
		fprintf(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" width=\"%d\" "
		"height=\"%.0f\" "
		"role=\"img\" aria-label=\"What of an image is here, what was read, and where "
		"readers waited\">\n",
		SVG_WIDTH, s.y, SVG_WIDTH, s.y);
	if (!in_page) {
		fprintf(out, "<title>");
		svg_bytes(out, BYTES_STR(m->reference), 0);
		fprintf(out, "</title>\n<style>\n");
		svg_style(out);
		fprintf(out, "</style>\n");
	}
	definitions(out);
	fprintf(out, "<rect class=\"paper\" width=\"%d\" height=\"%.0f\"/>\n", SVG_WIDTH, s.y);
	fwrite(text, 1, n, out);
	fprintf(out, "</svg>\n");
	free(text);
}
