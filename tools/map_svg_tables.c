/*
 * What cost most: files and directories, by the time in which somebody waited for them; where
 * nobody waited, by what was read of them.
 */
#include "tools/map_svg_priv.h"

#include <inttypes.h>

#define ROWS	    10
#define ROW_HEIGHT  20
#define BAR_LENGTH  64
#define FILES_WIDTH 540
#define GAP	    28

struct row {
	struct bytes path;
	uint64_t ms, bytes;
	char more[FORMAT_TEXT_MAX];
};

/* @longest: the figure of the first row, whose bar is as long as a bar may be. */
static void draw_row(const struct svg *s, double x, double width, double y, const struct row *r,
		     uint64_t longest, bool by_time, unsigned characters)
{
	char figure[FORMAT_TEXT_MAX];
	uint64_t value = by_time ? r->ms : r->bytes;
	double len = longest ? BAR_LENGTH * (double)value / (double)longest : 0;
	fprintf(s->out,
		"<text class=\"num\" x=\"%.0f\" y=\"%.1f\">%s</text>"
		"<rect class=\"%s\" x=\"%.0f\" y=\"%.1f\" width=\"%.1f\" height=\"9\"/>\n",
		x + 62, y, by_time ? map_duration(value, figure) : format_size(value, figure),
		by_time ? "cost" : "cost-read", x + 70, y - 8.5, max_of(len, 1.0));
	fprintf(s->out, "<text class=\"code\" x=\"%.0f\" y=\"%.1f\">", x + 70 + BAR_LENGTH + 10, y);
	svg_bytes(s->out, r->path, characters);
	fprintf(s->out, "</text>\n");
	if (*r->more)
		fprintf(s->out, "<text class=\"num dim small\" x=\"%.0f\" y=\"%.1f\">%s</text>\n",
			x + width, y, r->more);
}

static void subheading(const struct svg *s, double x, const char *text)
{
	fprintf(s->out, "<text class=\"strong\" x=\"%.0f\" y=\"%.1f\">%s</text>\n", x, s->y, text);
}

static void files(const struct svg *s, size_t n, bool by_time)
{
	const struct map *m = s->map;
	uint64_t longest = by_time ? m->files[0].wait_ms : m->files[0].read_bytes;
	subheading(s, SVG_MARGIN, "Files");
	for (size_t i = 0; i < n; i++) {
		const struct map_file *f = &m->files[i];
		struct row r = {.path = f->path, .ms = f->wait_ms, .bytes = f->read_bytes};
		if (by_time)
			snprintf(r.more, sizeof(r.more), "%u wait%s", f->waits,
				 f->waits == 1 ? "" : "s");
		draw_row(s, SVG_MARGIN, FILES_WIDTH, s->y + ROW_HEIGHT * (double)(i + 1), &r,
			 longest, by_time, by_time ? 49 : 56);
	}
}

static void dirs(const struct svg *s, size_t n, bool by_time)
{
	const struct map *m = s->map;
	uint64_t longest = by_time ? m->dirs[0].wait_ms : m->dirs[0].read_bytes;
	double x = SVG_MARGIN + FILES_WIDTH + GAP;
	subheading(s, x, "Directories");
	for (size_t i = 0; i < n; i++) {
		const struct map_dir *dir = &m->dirs[i];
		struct row r = {.path = dir->path, .ms = dir->wait_ms, .bytes = dir->read_bytes};
		draw_row(s, x, SVG_RIGHT - x, s->y + ROW_HEIGHT * (double)(i + 1), &r, longest,
			 by_time, 27);
	}
}

/* Those that cost nothing are not shown. */
static size_t rows_of_files(const struct map *m, bool by_time)
{
	size_t n = 0;
	while (n < min_of(m->n_files, (size_t)ROWS) &&
	       (by_time ? m->files[n].waits > 0 : m->files[n].read_bytes > 0))
		n++;
	return n;
}

static size_t rows_of_dirs(const struct map *m, bool by_time)
{
	size_t n = 0;
	while (n < min_of(m->n_dirs, (size_t)ROWS) &&
	       (by_time ? m->dirs[n].waits > 0 : m->dirs[n].read_bytes > 0))
		n++;
	return n;
}

void svg_tables(struct svg *s)
{
	const struct map *m = s->map;
	bool by_time = m->n_files && m->files[0].waits;
	size_t n_files = rows_of_files(m, by_time), n_dirs = rows_of_dirs(m, by_time);
	char remark[FORMAT_TEXT_MAX];
	if (!n_files)
		return;
	snprintf(remark, sizeof(remark), "%zu file%s read", m->n_files,
		 m->n_files == 1 ? " was" : "s were");
	s->y += 8;
	svg_heading(s, by_time ? "What was waited for" : "What was read", remark);
	s->y += 8;
	files(s, n_files, by_time);
	if (n_dirs)
		dirs(s, n_dirs, by_time);
	s->y += ROW_HEIGHT * (double)(max_of(n_files, n_dirs) + 1);
}
